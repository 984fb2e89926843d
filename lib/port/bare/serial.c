/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* COM1, and the end. Registers: National Semiconductor PC16550D. */
#include "port/bare/bare_priv.h"

#define COM1                 0x3f8
#define DATA                 (COM1 + 0)
#define INTERRUPT_ENABLE     (COM1 + 1)
#define FIFO_CONTROL         (COM1 + 2)
#define LINE_CONTROL         (COM1 + 3)
#define MODEM_CONTROL        (COM1 + 4)
#define LINE_STATUS          (COM1 + 5)
#define LINE_8N1             0x03
#define LINE_DIVISOR         0x80 /* DATA and the next: the divisor */
#define FIFO_ON              0x07
#define MODEM_DTR_RTS        0x03
#define STATUS_HOLDING_EMPTY 0x20
#define STATUS_EMPTY         0x40 /* also what is being shifted out */

/* A port nobody answers at must not stop us. */
#define POLLS_MAX 1000000

#define BOCHS_SHUTDOWN 0x8900 /* "Shutdown" ends Bochs: iodev/unmapped.cc */

static void
wait_for(uint8_t bit)
{
    for (uint32_t i = 0; i < POLLS_MAX; i++) {
        if ((bare_in8(LINE_STATUS) & bit) != 0)
            return;
    }
}

static void
put(char letter)
{
    wait_for(STATUS_HOLDING_EMPTY);
    bare_out8(DATA, (uint8_t)letter);
}

void
bare_serial_init(void)
{
    bare_out8(INTERRUPT_ENABLE, 0);
    bare_out8(LINE_CONTROL, LINE_DIVISOR);
    bare_out8(DATA, 1); /* 115200 bits a second */
    bare_out8(DATA + 1, 0);
    bare_out8(LINE_CONTROL, LINE_8N1);
    bare_out8(FIFO_CONTROL, FIFO_ON);
    bare_out8(MODEM_CONTROL, MODEM_DTR_RTS);
}

void
bare_serial_line(const char *text)
{
    for (; *text != '\0'; text++)
        put(*text);
    put('\r');
    put('\n');
}

void
ulv_bare_end(bool success)
{
    static const char shutdown[] = "Shutdown";

    wait_for(STATUS_EMPTY);
    if (success) {
        __asm__ volatile("xchg %%bx, %%bx" : : : "memory");
    } else {
        for (uint32_t i = 0; i < sizeof(shutdown) - 1; i++)
            bare_out8(BOCHS_SHUTDOWN, (uint8_t)shutdown[i]);
    }
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}
