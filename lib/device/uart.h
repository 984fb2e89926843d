/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A serial port as a kernel knows it, a 16550A, of which only the sending side
 * is there: what the guest sends is kept until somebody takes it, and while
 * there is no room the port says that it is not ready.
 *
 * For monitors of stock guests. Whatever is written to it leaves a port.
 *
 * Source: National Semiconductor PC16550D (June 1995), table II and section 8.
 */
#ifndef DEVICE_UART_H
#define DEVICE_UART_H

#include <ultravisor/types.h>

#define ULV_UART_PORT  0x3f8u /* of its first register */
#define ULV_UART_PORTS 8u
#define ULV_UART_LINE  4u /* its interrupt */

struct ulv_uart {
    uint8_t enabled; /* IER */
    uint8_t lcr, mcr, scratch;
    uint8_t divisor[2];
    bool fifo;
    bool sent; /* the interrupt of an empty transmitter is pending */
    uint32_t count;
    uint8_t out[512]; /* what it has sent and nobody has taken */
};

/* port: 0 .. ULV_UART_PORTS - 1 */
uint8_t ulv_uart_read(struct ulv_uart *uart, uint32_t port);
void ulv_uart_write(struct ulv_uart *uart, uint32_t port, uint8_t value);
/* All that was sent was taken. */
void ulv_uart_taken(struct ulv_uart *uart);
/* The level of its interrupt line. */
bool ulv_uart_interrupts(const struct ulv_uart *uart);

#endif
