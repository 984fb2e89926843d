/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a stock kernel finds beside its memory and what its backend gives it
 * (interrupt controllers, timer): a serial port, and of the keyboard's
 * controller the line that resets the machine. All else is absent: it reads as
 * ones (the clock as zeros), what is written there is gone.
 *
 * For monitors of stock guests: a state and no more, which neither allocates
 * nor calls anybody. Every access that a guest can make is answered.
 */
#ifndef DEVICE_BOARD_H
#define DEVICE_BOARD_H

#include <ultravisor/sys/backend.h>

#include "device/uart.h"

struct ulv_board {
    struct ulv_uart uart;
    bool reset; /* the guest has asked for it */
};

/* Carry out one access; what it reads, or 0. */
uint64_t ulv_board_access(struct ulv_board *board,
                          const struct ulv_exit_io *io);

#endif
