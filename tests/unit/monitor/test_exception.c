/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* From exceptions to faults: every kind, and any bytes at all. */
#include "../port/port_test.h"

#include "monitor/exception.h"

struct row {
    uint32_t vector;
    uint64_t error;
    uint8_t code[4];
    uint32_t bytes;
    uint32_t kind;
    uint64_t address;
};

#define RIP UINT64_C(0x401000)
#define CR2 UINT64_C(0x7000)
#define RDX UINT64_C(0xabcd1234)

static const struct row rows[] = {
    { 0, 0, { 0 }, 0, ULV_FAULT_ARITHMETIC, RIP },
    { 1, 0, { 0 }, 0, ULV_FAULT_INSTRUCTION, RIP },
    { 3, 0, { 0xcc }, 1, ULV_FAULT_INSTRUCTION, RIP },
    { 6, 0, { 0x0f, 0x0b }, 2, ULV_FAULT_INSTRUCTION, RIP },
    { 7, 0, { 0 }, 0, ULV_FAULT_INSTRUCTION, RIP },
    { 16, 0, { 0 }, 0, ULV_FAULT_ARITHMETIC, RIP },
    { 17, 0, { 0 }, 0, ULV_FAULT_PROTECTION, RIP },
    { 19, 0, { 0 }, 0, ULV_FAULT_ARITHMETIC, RIP },
    { 14, 4, { 0 }, 0, ULV_FAULT_READ, CR2 },
    { 14, 6, { 0 }, 0, ULV_FAULT_WRITE, CR2 },
    { 14, 7, { 0 }, 0, ULV_FAULT_WRITE, CR2 },
    { 14, 20, { 0 }, 0, ULV_FAULT_EXECUTE, CR2 },
    { 13, 0, { 0x90 }, 1, ULV_FAULT_PROTECTION, RIP },
    { 13, 0, { 0 }, 0, ULV_FAULT_PROTECTION, RIP },
    { 13, 0, { 0x66, 0x66, 0x48, 0xf3 }, 4, ULV_FAULT_PROTECTION, RIP },
    { 13, 0, { 0xf4 }, 1, ULV_FAULT_INSTRUCTION, RIP },
    { 13, 0, { 0xfb }, 1, ULV_FAULT_INSTRUCTION, RIP },
    { 13, 0, { 0x0f, 0x30 }, 2, ULV_FAULT_INSTRUCTION, RIP },
    { 13, 0, { 0x0f, 0x01, 0x17 }, 3, ULV_FAULT_INSTRUCTION, RIP },
    { 13, 0, { 0x0f, 0x6f }, 2, ULV_FAULT_PROTECTION, RIP },
    { 13, 0, { 0x0f }, 1, ULV_FAULT_PROTECTION, RIP },
    { 13, 0, { 0xe4, 0x80 }, 2, ULV_FAULT_PORT, 0x80 },
    { 13, 0, { 0xe7, 0xff }, 2, ULV_FAULT_PORT, 0xff },
    { 13, 0, { 0xe7 }, 1, ULV_FAULT_PROTECTION, RIP },
    { 13, 0, { 0xec }, 1, ULV_FAULT_PORT, 0x1234 },
    { 13, 0, { 0x66, 0xef }, 2, ULV_FAULT_PORT, 0x1234 },
    { 13, 0, { 0xf3, 0x48, 0x6e }, 3, ULV_FAULT_PORT, 0x1234 },
    { 200, 0, { 0x90 }, 1, ULV_FAULT_PROTECTION, RIP },
    { UINT32_MAX, 0, { 0x90 }, 1, ULV_FAULT_PROTECTION, RIP },
};

static struct ulv_exit_fault
classify(const struct row *row)
{
    struct ulv_exit_fault fault = { .vector = row->vector,
                                    .address = CR2,
                                    .error_code = row->error };

    fault.registers.rip = RIP;
    fault.registers.rdx = RDX;
    ulv_fault_take_instruction(&fault, RIP, row->bytes, row->code);
    ulv_fault_classify(&fault);
    return fault;
}

static void
test_exception__table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        struct ulv_exit_fault fault = classify(&rows[i]);

        if (fault.kind != rows[i].kind || fault.address != rows[i].address)
            print_message("row %zu: %s\n", i, ulv_fault_text(fault.kind));
        assert_int_equal(fault.kind, rows[i].kind);
        assert_int_equal(fault.address, rows[i].address);
        assert_int_equal(fault.instruction_bytes, rows[i].bytes);
    }
}

static void
check_any(uint32_t vector, uint32_t code)
{
    struct row row = { .vector = vector,
                       .code = { (uint8_t)code, (uint8_t)(code >> 8) },
                       .bytes = code % 3 };
    struct ulv_exit_fault fault = classify(&row);

    assert_in_range(fault.kind, ULV_FAULT_READ, ULV_FAULT_PORT);
    assert_true(fault.kind != ULV_FAULT_PORT || vector == 13);
}

/* Every first and second byte, behind every vector: a kind with words. */
static void
test_exception__any_bytes(void **state)
{
    (void)state;
    for (uint32_t vector = 0; vector < 40; vector++) {
        for (uint32_t code = 0; code < 65536; code++)
            check_any(vector, code);
    }
}

/* Bytes are taken from inside the range only. */
static void
test_exception__takes_the_instruction(void **state)
{
    const uint8_t memory[32] = { 1, 2, 3 };
    struct ulv_exit_fault fault = { 0 };

    (void)state;
    fault.registers.rip = RIP;
    ulv_fault_take_instruction(&fault, RIP + 1, 32, memory);
    ulv_fault_take_instruction(&fault, RIP - 32, 32, memory);
    assert_int_equal(fault.instruction_bytes, 0);
    ulv_fault_take_instruction(&fault, RIP - 31, 32, memory);
    assert_int_equal(fault.instruction_bytes, 1);
    ulv_fault_take_instruction(&fault, RIP - 1, 32, memory);
    assert_int_equal(fault.instruction_bytes, 15);
    assert_int_equal(fault.instruction[0], 2);
    fault = (struct ulv_exit_fault){ .registers.rip = 0 };
    ulv_fault_take_instruction(&fault, UINT64_MAX - 15, 16, memory);
    assert_int_equal(fault.instruction_bytes, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exception__table),
        cmocka_unit_test(test_exception__any_bytes),
        cmocka_unit_test(test_exception__takes_the_instruction),
    };

    return cmocka_run_group_tests_name("exception", tests, NULL, NULL);
}
