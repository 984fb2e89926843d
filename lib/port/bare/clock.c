/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The clock: the time stamp counter, measured once against channel 2 of the
 * interval timer (Intel 8254 data sheet; gate and output at port 0x61). */
#include "port/bare/bare_priv.h"

#define TIMER_HERTZ      UINT64_C(1193182)
#define TIMER_CHANNEL_2  0x42
#define TIMER_COMMAND    0x43
#define TIMER_MODE_0     0xb0 /* channel 2, low then high byte, mode 0 */
#define TIMER_CONTROL    0x61
#define CONTROL_GATE     0x01
#define CONTROL_SPEAKER  0x02
#define CONTROL_OUTPUT   0x20
#define MEASURE_TICKS    (TIMER_HERTZ / 50) /* 20 ms */
#define MEASURE_POLLS    UINT32_C(100000000)
#define NSEC_OF_A_SECOND UINT64_C(1000000000)
#define SCALE_SHIFT      32

__extension__ typedef unsigned __int128 wide;

ulv_status
bare_clock_init(struct ulv_bare *b)
{
    uint8_t control = bare_in8(TIMER_CONTROL);
    uint64_t before, after;
    uint32_t polls = 0;

    control &= (uint8_t) ~(CONTROL_GATE | CONTROL_SPEAKER);
    bare_out8(TIMER_CONTROL, control);
    bare_out8(TIMER_COMMAND, TIMER_MODE_0);
    bare_out8(TIMER_CHANNEL_2, (uint8_t)MEASURE_TICKS);
    bare_out8(TIMER_CHANNEL_2, (uint8_t)(MEASURE_TICKS >> 8));
    bare_out8(TIMER_CONTROL, control | CONTROL_GATE);
    before = cpu_time();
    while ((bare_in8(TIMER_CONTROL) & CONTROL_OUTPUT) == 0) {
        if (++polls == MEASURE_POLLS)
            return ULV_E_HOST;
    }
    after = cpu_time();
    bare_out8(TIMER_CONTROL, control);
    /* a machine whose timer says "over" at once has none */
    if (polls == 0 || after <= before)
        return ULV_E_HOST;
    b->ticks_per_second = (after - before) * TIMER_HERTZ / MEASURE_TICKS;
    b->ticks_origin = before;
    if (b->ticks_per_second == 0)
        return ULV_E_HOST;
    b->nsec_scale =
        (NSEC_OF_A_SECOND << SCALE_SHIFT) / b->ticks_per_second;
    return b->nsec_scale == 0 ? ULV_E_HOST : ULV_OK;
}

ulv_nsec
bare_now(void *self)
{
    const struct ulv_bare *b = self;
    uint64_t passed = cpu_time() - b->ticks_origin;

    /* off by less than one part in 2^32 / 10^9 * Hz: a second a year */
    return (ulv_nsec)((wide)passed * b->nsec_scale >> SCALE_SHIFT);
}

void
bare_delay(struct ulv_bare *b, ulv_nsec time)
{
    ulv_nsec until = bare_now(b) + time;

    while (bare_now(b) < until)
        bare_pause();
}
