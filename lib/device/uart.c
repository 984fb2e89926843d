/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "device/uart.h"

#include "base/base.h"

/* Registers; 0 and 1 are the divisor while LCR has the bit DLAB. */
#define DATA    0u
#define IER     1u
#define IIR_FCR 2u
#define LCR     3u
#define MCR     4u
#define LSR     5u
#define MSR     6u
#define SCRATCH 7u

#define IER_SENT     0x02u
#define IER_ALL      0x0fu
#define IIR_NONE     0x01u
#define IIR_SENT     0x02u
#define IIR_FIFO     0xc0u
#define FCR_FIFO     0x01u
#define LCR_DIVISOR  0x80u
#define MCR_DTR      0x01u
#define MCR_RTS      0x02u
#define MCR_OUT1     0x04u
#define MCR_OUT2     0x08u
#define MCR_LOOP     0x10u
#define MCR_ALL      0x1fu
#define LSR_EMPTY    0x60u /* the holding register, and the one behind it */
#define MSR_CTS      0x10u
#define MSR_DSR      0x20u
#define MSR_RING     0x40u
#define MSR_CARRIER  0x80u

static bool
has_room(const struct ulv_uart *uart)
{
    return uart->count < sizeof(uart->out);
}

static uint8_t
read_cause(struct ulv_uart *uart)
{
    uint32_t cause = IIR_NONE;

    if (ulv_uart_interrupts(uart)) {
        cause = IIR_SENT;
        uart->sent = false; /* reading it is the answer */
    }
    return (uint8_t)(cause | (uart->fifo ? IIR_FIFO : 0));
}

/* Looped back, what it says of itself; otherwise somebody listens. */
static uint8_t
read_modem(const struct ulv_uart *uart)
{
    uint32_t status = 0;

    if ((uart->mcr & MCR_LOOP) == 0)
        return MSR_CTS | MSR_DSR | MSR_CARRIER;
    status |= (uart->mcr & MCR_RTS) != 0 ? MSR_CTS : 0;
    status |= (uart->mcr & MCR_DTR) != 0 ? MSR_DSR : 0;
    status |= (uart->mcr & MCR_OUT1) != 0 ? MSR_RING : 0;
    status |= (uart->mcr & MCR_OUT2) != 0 ? MSR_CARRIER : 0;
    return (uint8_t)status;
}

uint8_t
ulv_uart_read(struct ulv_uart *uart, uint32_t port)
{
    if (port <= IER && (uart->lcr & LCR_DIVISOR) != 0)
        return uart->divisor[port];
    switch (port) {
    case IER:
        return uart->enabled;
    case IIR_FCR:
        return read_cause(uart);
    case LCR:
        return uart->lcr;
    case MCR:
        return uart->mcr;
    case LSR:
        return has_room(uart) ? LSR_EMPTY : 0;
    case MSR:
        return read_modem(uart);
    case SCRATCH:
        return uart->scratch;
    default:
        return 0; /* nothing is ever received */
    }
}

/* A byte for which there is no room is lost: the port had said so. */
static void
send(struct ulv_uart *uart, uint8_t byte)
{
    if ((uart->mcr & MCR_LOOP) == 0 && has_room(uart))
        uart->out[uart->count++] = byte;
    uart->sent = has_room(uart);
}

void
ulv_uart_write(struct ulv_uart *uart, uint32_t port, uint8_t value)
{
    if (port <= IER && (uart->lcr & LCR_DIVISOR) != 0) {
        uart->divisor[port] = value;
        return;
    }
    switch (port) {
    case DATA:
        send(uart, value);
        break;
    case IER:
        /* enabling it while the transmitter is empty is a cause by itself */
        if ((value & ~(uint32_t)uart->enabled & IER_SENT) != 0)
            uart->sent = has_room(uart);
        uart->enabled = value & IER_ALL;
        break;
    case IIR_FCR:
        uart->fifo = (value & FCR_FIFO) != 0;
        break;
    case LCR:
        uart->lcr = value;
        break;
    case MCR:
        uart->mcr = value & MCR_ALL;
        break;
    case SCRATCH:
        uart->scratch = value;
        break;
    default:
        break; /* only to be read */
    }
}

void
ulv_uart_taken(struct ulv_uart *uart)
{
    if (!has_room(uart))
        uart->sent = true;
    uart->count = 0;
}

bool
ulv_uart_interrupts(const struct ulv_uart *uart)
{
    return uart->sent && (uart->enabled & IER_SENT) != 0;
}
