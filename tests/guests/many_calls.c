/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Every class and method with hostile arguments; nothing comes of it. */
#include <ultravisor/guest.h>

static const uint64_t hostile[] = {
    0, 1, 62, 63, 64, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63,
    0x3ff000, 0x400000, UINT64_C(0x100000000), UINT64_C(0xfffffffffffff000),
};
#define COUNT (sizeof(hostile) / sizeof(hostile[0]))

/* Those that by right end the partition, sleep for ever, give memory back. */
static bool
is_left_out(uint64_t number)
{
    return number == ULV_CALL_STOP || number == ULV_CALL_RESET ||
           number == ULV_CALL_FAULT || number == ULV_CALL_WAIT ||
           number == ULV_CALL_RELEASE;
}

int
guest_main(void)
{
    for (uint64_t number = 0; number < 0x1000; number++) {
        if (is_left_out(number))
            continue;
        if ((number & 0xff) > 8)
            continue;
        for (uint64_t i = 0; i < COUNT; i++)
            (void)guest_call(number, hostile[i], hostile[(i + 5) % COUNT],
                             hostile[(i + 7) % COUNT]);
    }
    if (guest_call(ULV_CALL_LOG, 0x400000, 161, 0).status != ULV_E_ARG ||
        guest_call(ULV_CALL_LOG, 0, 16, 0).status != ULV_E_ARG ||
        guest_call(ULV_CALL_FAULT, 1, 0, 16).status != ULV_E_ARG ||
        guest_call(ULV_CALL_RELEASE, 0x401000, 0, 0).status !=
            ULV_E_NOT_FOUND ||
        guest_call(ULV_CALL_SIGNAL, 63, 0, 0).status != ULV_E_NOT_FOUND ||
        guest_call(0xffff, 0, 0, 0).status != ULV_E_UNSUPPORTED)
        return 1;
    /* a wait of no length: what is pending, then nothing */
    for (int i = 0; i < 100; i++) {
        if (guest_call(ULV_CALL_WAIT, 0, 0, 0).status == ULV_E_TIMEOUT)
            return 0;
    }
    return 2;
}
