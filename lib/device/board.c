/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "device/board.h"

#include "base/base.h"

/* Intel 8042: the command that pulses its output line 0, which is the reset.
 * Its status never says that it is busy, which who wants to reset would wait
 * for, and always that it has a byte: a driver that empties it finds out at
 * once that there is none. */
#define KEYBOARD_PORT   0x64u
#define KEYBOARD_RESET  0xfeu
#define KEYBOARD_STATUS 0x01u

/* Motorola MC146818: reads as zero, for ones mean that the time is changing,
 * and are read again for a second. */
#define CLOCK_PORT 0x71u

static bool
is_uart(const struct ulv_exit_io *io)
{
    return io->bytes == 1 && io->address - ULV_UART_PORT < ULV_UART_PORTS;
}

static uint64_t
write_port(struct ulv_board *board, const struct ulv_exit_io *io)
{
    if (is_uart(io))
        ulv_uart_write(&board->uart, (uint32_t)(io->address - ULV_UART_PORT),
                       (uint8_t)io->value);
    else if (io->address == KEYBOARD_PORT &&
             (io->value & 0xff) == KEYBOARD_RESET)
        board->reset = true;
    return 0;
}

static uint64_t
read_port(struct ulv_board *board, const struct ulv_exit_io *io)
{
    if (is_uart(io))
        return ulv_uart_read(&board->uart,
                             (uint32_t)(io->address - ULV_UART_PORT));
    if (io->address == KEYBOARD_PORT)
        return KEYBOARD_STATUS;
    return io->address == CLOCK_PORT ? 0 : UINT64_MAX;
}

uint64_t
ulv_board_access(struct ulv_board *board, const struct ulv_exit_io *io)
{
    if (io->space != ULV_IO_PORT)
        return io->write != 0 ? 0 : UINT64_MAX;
    return io->write != 0 ? write_port(board, io) : read_port(board, io);
}
