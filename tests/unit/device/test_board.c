/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a stock kernel finds at its ports: as its drivers ask for it, and as
 * nobody would. */
#include "../port/port_test.h"

#include "device/board.h"

static uint64_t
in(struct ulv_board *board, uint64_t port, uint32_t bytes)
{
    const struct ulv_exit_io io = { .space = ULV_IO_PORT,
                                    .bytes = bytes,
                                    .address = port };

    return ulv_board_access(board, &io);
}

static void
out(struct ulv_board *board, uint64_t port, uint64_t value)
{
    const struct ulv_exit_io io = { .space = ULV_IO_PORT,
                                    .bytes = 1,
                                    .write = 1,
                                    .address = port,
                                    .value = value };

    assert_int_equal(ulv_board_access(board, &io), 0);
}

#define REGISTER(n) (ULV_UART_PORT + (n))
#define IER         REGISTER(1)
#define IIR         REGISTER(2)
#define LCR         REGISTER(3)
#define MCR         REGISTER(4)
#define LSR         REGISTER(5)
#define MSR         REGISTER(6)
#define SCRATCH     REGISTER(7)

static void
test_device_board__sends(void **state)
{
    static struct ulv_board board;

    (void)state;
    memset(&board, 0, sizeof(board));
    for (const char *at = "hello"; *at != '\0'; at++) {
        assert_int_equal(in(&board, LSR, 1), 0x60);
        out(&board, ULV_UART_PORT, (uint8_t)*at);
    }
    assert_int_equal(board.uart.count, 5);
    assert_memory_equal(board.uart.out, "hello", 5);
    ulv_uart_taken(&board.uart);
    assert_int_equal(board.uart.count, 0);
    assert_int_equal(in(&board, ULV_UART_PORT, 1), 0);
}

/* Nobody takes it: it says that it is not ready, and what is sent nevertheless
 * is lost; when it is taken, there is an interrupt. */
static void
test_device_board__is_full(void **state)
{
    static struct ulv_board board;
    uint32_t sent = 0;

    (void)state;
    memset(&board, 0, sizeof(board));
    out(&board, IER, 2);
    while (in(&board, LSR, 1) != 0) {
        out(&board, ULV_UART_PORT, 'a');
        sent++;
    }
    assert_int_equal(sent, sizeof(board.uart.out));
    assert_false(ulv_uart_interrupts(&board.uart));
    out(&board, ULV_UART_PORT, 'b');
    assert_int_equal(board.uart.count, sizeof(board.uart.out));
    assert_int_equal(board.uart.out[sent - 1], 'a');
    ulv_uart_taken(&board.uart);
    assert_int_equal(in(&board, LSR, 1), 0x60);
    assert_true(ulv_uart_interrupts(&board.uart));
}

static void
test_device_board__interrupts(void **state)
{
    static struct ulv_board board;

    (void)state;
    memset(&board, 0, sizeof(board));
    assert_int_equal(in(&board, IIR, 1), 1);
    out(&board, ULV_UART_PORT, 'a');
    assert_false(ulv_uart_interrupts(&board.uart)); /* not enabled */
    out(&board, IER, 0xff);
    assert_int_equal(in(&board, IER, 1), 0x0f);
    assert_true(ulv_uart_interrupts(&board.uart));
    assert_int_equal(in(&board, IIR, 1), 2); /* that was the answer */
    assert_int_equal(in(&board, IIR, 1), 1);
    assert_false(ulv_uart_interrupts(&board.uart));
    out(&board, IER, 0xff); /* enabled already: no new cause */
    assert_false(ulv_uart_interrupts(&board.uart));
    out(&board, ULV_UART_PORT, 'b');
    assert_true(ulv_uart_interrupts(&board.uart));
    out(&board, IER, 0);
    assert_false(ulv_uart_interrupts(&board.uart));
    out(&board, IER, 2);
    assert_true(ulv_uart_interrupts(&board.uart));
}

/* As a driver finds out which port it is. */
static void
test_device_board__is_a_16550a(void **state)
{
    static struct ulv_board board;

    (void)state;
    memset(&board, 0, sizeof(board));
    out(&board, IIR, 1);
    assert_int_equal(in(&board, IIR, 1), 0xc1);
    out(&board, IIR, 0);
    assert_int_equal(in(&board, IIR, 1), 1);
    out(&board, SCRATCH, 0x5a);
    assert_int_equal(in(&board, SCRATCH, 1), 0x5a);
    out(&board, MCR, 0x1a); /* looped back */
    assert_int_equal(in(&board, MSR, 1), 0x90);
    out(&board, ULV_UART_PORT, 'x');
    assert_int_equal(board.uart.count, 0);
    out(&board, MCR, 0xe5);
    assert_int_equal(in(&board, MCR, 1), 0x05);
    assert_int_equal(in(&board, MSR, 1), 0xb0);
    out(&board, LCR, 0x83);
    out(&board, ULV_UART_PORT, 12);
    out(&board, IER, 1);
    assert_int_equal(in(&board, ULV_UART_PORT, 1), 12);
    assert_int_equal(in(&board, IER, 1), 1);
    out(&board, LCR, 3);
    assert_int_equal(in(&board, LCR, 1), 3);
    assert_int_equal(in(&board, IER, 1), 0);
    assert_int_equal(board.uart.count, 0);
}

static void
test_device_board__resets(void **state)
{
    static struct ulv_board board;

    (void)state;
    memset(&board, 0, sizeof(board));
    assert_int_equal(in(&board, 0x64, 1) & 2, 0); /* it is not busy */
    out(&board, 0x64, 0xd1);
    out(&board, 0x60, 0xfe);
    assert_false(board.reset);
    out(&board, 0x64, 0xfe);
    assert_true(board.reset);
}

/* Each port in each size, and memory: there is an answer, and none but the
 * port's own are not ones. */
static void
test_device_board__answers_all(void **state)
{
    static struct ulv_board board;
    struct ulv_exit_io io = { .space = ULV_IO_MEMORY, .bytes = 8 };
    uint64_t seed = 1;

    (void)state;
    memset(&board, 0, sizeof(board));
    for (uint64_t port = 0; port < 0x10000; port++) {
        for (uint32_t bytes = 1; bytes <= 4; bytes *= 2) {
            bool own = port == 0x64 || port == 0x71 ||
                       (bytes == 1 && port - ULV_UART_PORT < ULV_UART_PORTS);

            assert_true((in(&board, port, bytes) != UINT64_MAX) == own);
        }
    }
    io.address = UINT64_MAX;
    assert_true(ulv_board_access(&board, &io) == UINT64_MAX);
    io.write = 1;
    assert_true(ulv_board_access(&board, &io) == 0);
    for (uint32_t i = 0; i < 1000000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        io = (struct ulv_exit_io){ .space = ULV_IO_PORT,
                                   .bytes = 1u << (seed >> 60 & 3),
                                   .write = seed >> 59 & 1,
                                   .address = REGISTER(seed >> 40 & 7),
                                   .value = seed >> 16 };
        (void)ulv_board_access(&board, &io);
        assert_true(board.uart.count <= sizeof(board.uart.out));
        if ((seed >> 33) % 64 == 0)
            ulv_uart_taken(&board.uart);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_board__sends),
        cmocka_unit_test(test_device_board__is_full),
        cmocka_unit_test(test_device_board__interrupts),
        cmocka_unit_test(test_device_board__is_a_16550a),
        cmocka_unit_test(test_device_board__resets),
        cmocka_unit_test(test_device_board__answers_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
