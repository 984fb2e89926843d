/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vtx_test.h"

#include <string.h>

#include "backend/vtx/exit.h"

#define RIP UINT64_C(0x401234)

static const struct ulv_registers registers = {
    .rax = 1, .rdx = 12, .rcx = 13, .rsi = 11, .rdi = 10, .r8 = 14,
    .rsp = 0x500000, .rip = RIP, .rflags = 2,
};

/* SDM vol. 3D table C-1. next RETURN: a fault of the kind. */
static const struct {
    uint32_t reason;
    enum ulv_vtx_next next;
    uint32_t kind;
} reasons[] = {
    { 1, ULV_VTX_INTERRUPT, 0 },
    { 2, ULV_VTX_RETURN, ULV_FAULT_TRIPLE },
    { 3, ULV_VTX_INTERRUPT, 0 },
    { 4, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 5, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 6, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 7, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 8, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 9, ULV_VTX_RETURN, ULV_FAULT_PROTECTION },
    { 10, ULV_VTX_CPUID, 0 },
    { 11, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 12, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 13, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 14, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 15, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 16, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 17, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 18, ULV_VTX_CALL, 0 },
    { 19, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 20, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 21, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 22, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 23, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 24, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 25, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 26, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 27, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 28, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 29, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 30, ULV_VTX_RETURN, ULV_FAULT_PORT },
    { 31, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 32, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 33, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 34, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 36, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 37, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 39, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 40, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 41, ULV_VTX_MACHINE_CHECK, ULV_FAULT_BACKEND },
    { 43, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 44, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 45, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 46, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 47, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 49, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 50, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 51, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 52, ULV_VTX_ON, 0 },
    { 53, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 54, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 55, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 56, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 57, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 58, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 59, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 60, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 61, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 62, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 63, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 64, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 65, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 66, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 67, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 68, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 69, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 70, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 72, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 73, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 74, ULV_VTX_INTERRUPT, 0 },
    { 75, ULV_VTX_RETURN, ULV_FAULT_BACKEND },
    { 76, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 77, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 78, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
    { 79, ULV_VTX_RETURN, ULV_FAULT_INSTRUCTION },
};
/* 0 and 48 have tables of their own; these are reserved. */
static const uint32_t reserved[] = { 35, 38, 42, 71, 80, 255, 0xffff };

static void
test_backend_vtx_exit__every_reason(void **state)
{
    (void)state;
    assert_int_equal(ULV_COUNT_OF(reasons) + 2 + 4, 80);
    for (size_t i = 0; i < ULV_COUNT_OF(reasons); i++) {
        struct ulv_vtx_exit exit = { .reason = reasons[i].reason };
        struct ulv_exit out;

        assert_non_null(ulv_vtx_exit_text(exit.reason));
        assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                         reasons[i].next);
        if (reasons[i].kind == 0)
            continue;
        assert_int_equal(out.reason, ULV_EXIT_FAULT);
        assert_int_equal(out.u.fault.kind, reasons[i].kind);
        assert_memory_equal(&out.u.fault.registers, &registers,
                            sizeof(registers));
        if (reasons[i].reason != 30)
            assert_int_equal(out.u.fault.address, RIP);
    }
}

static void
test_backend_vtx_exit__reserved_reasons(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(reserved); i++) {
        struct ulv_vtx_exit exit = { .reason = reserved[i] };
        struct ulv_exit out;

        assert_null(ulv_vtx_exit_text(exit.reason));
        assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                         ULV_VTX_RETURN);
        assert_int_equal(out.u.fault.kind, ULV_FAULT_BACKEND);
        assert_int_equal(out.u.fault.error_code, reserved[i]);
    }
}

/* An entry that failed is none of the exits its number says otherwise. */
static void
test_backend_vtx_exit__failed_entries(void **state)
{
    struct ulv_vtx_exit exit = { .reason = 33 | 1u << 31 };
    struct ulv_exit out;

    (void)state;
    assert_string_equal(ulv_vtx_exit_text(exit.reason),
                        "VM-entry failure: invalid guest state");
    for (uint32_t reason = 0; reason < 80; reason++) {
        exit.reason = reason | 1u << 31;
        /* SDM vol. 3C 26.9: a machine check is the host's here too */
        assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                         reason == 41 ? ULV_VTX_MACHINE_CHECK
                                      : ULV_VTX_RETURN);
        assert_int_equal(out.u.fault.kind, ULV_FAULT_BACKEND);
    }
}

static void
test_backend_vtx_exit__call(void **state)
{
    struct ulv_vtx_exit exit = { .reason = 18, .instruction_bytes = 3 };
    struct ulv_exit out;

    (void)state;
    assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                     ULV_VTX_CALL);
    assert_int_equal(out.reason, ULV_EXIT_CALL);
    assert_int_equal(out.u.call.number, 10);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(out.u.call.argument[i], 11 + i);
}

#define HARDWARE (1u << 31 | 3u << 8)
#define WITH_ERROR (1u << 11)

static const struct {
    uint32_t event, error;
    uint64_t qualification;
    uint32_t kind;
    uint64_t address;
} exceptions[] = {
    { HARDWARE | 0, 9, 0, ULV_FAULT_ARITHMETIC, RIP },
    { HARDWARE | 1, 0, 0x4000, ULV_FAULT_INSTRUCTION, RIP },
    { 1u << 31 | 6u << 8 | 3, 0, 0, ULV_FAULT_INSTRUCTION, RIP }, /* INT3 */
    { 1u << 31 | 5u << 8 | 1, 0, 0, ULV_FAULT_INSTRUCTION, RIP }, /* INT1 */
    { HARDWARE | 4, 0, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | 5, 0, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | 6, 0, 0, ULV_FAULT_INSTRUCTION, RIP },
    { HARDWARE | 7, 0, 0, ULV_FAULT_INSTRUCTION, RIP },
    { HARDWARE | WITH_ERROR | 8, 0, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | WITH_ERROR | 10, 16, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | WITH_ERROR | 11, 16, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | WITH_ERROR | 12, 0, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | WITH_ERROR | 13, 0x402, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | WITH_ERROR | 14, 4, 0x777, ULV_FAULT_READ, 0x777 },
    { HARDWARE | WITH_ERROR | 14, 6, 0x777, ULV_FAULT_WRITE, 0x777 },
    { HARDWARE | WITH_ERROR | 14, 6, RIP, ULV_FAULT_WRITE, RIP },
    { HARDWARE | WITH_ERROR | 14, 0x14, 0x777, ULV_FAULT_EXECUTE, 0x777 },
    { HARDWARE | WITH_ERROR | 14, 4, RIP, ULV_FAULT_EXECUTE, RIP },
    { HARDWARE | 16, 0, 0, ULV_FAULT_ARITHMETIC, RIP },
    { HARDWARE | WITH_ERROR | 17, 0, 0, ULV_FAULT_PROTECTION, RIP },
    { HARDWARE | 19, 0, 0, ULV_FAULT_ARITHMETIC, RIP },
    { HARDWARE | WITH_ERROR | 21, 0, 0, ULV_FAULT_PROTECTION, RIP },
};

static void
test_backend_vtx_exit__exceptions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(exceptions); i++) {
        bool has_error = (exceptions[i].event & WITH_ERROR) != 0;
        struct ulv_vtx_exit exit = {
            .event = exceptions[i].event,
            .event_error = exceptions[i].error,
            .qualification = exceptions[i].qualification,
        };
        struct ulv_exit out;

        assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                         ULV_VTX_RETURN);
        assert_int_equal(out.reason, ULV_EXIT_FAULT);
        assert_int_equal(out.u.fault.kind, exceptions[i].kind);
        assert_int_equal(out.u.fault.vector, exceptions[i].event & 255);
        assert_int_equal(out.u.fault.address, exceptions[i].address);
        assert_int_equal(out.u.fault.error_code,
                         has_error ? exceptions[i].error : 0);
    }
}

static void
test_backend_vtx_exit__events_of_the_host(void **state)
{
    struct ulv_vtx_exit exit = { .event = 1u << 31 | 2u << 8 | 2 };
    struct ulv_exit out;

    (void)state;
    assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                     ULV_VTX_NMI);
    assert_int_equal(out.reason, ULV_EXIT_INTERRUPTED);
    exit.event = HARDWARE | 18;
    assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                     ULV_VTX_MACHINE_CHECK);
    assert_int_equal(out.u.fault.kind, ULV_FAULT_BACKEND);
    exit.event = 0; /* not valid: no exception at all */
    assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                     ULV_VTX_RETURN);
    assert_int_equal(out.u.fault.kind, ULV_FAULT_BACKEND);
}

static const struct {
    uint64_t qualification;
    uint32_t kind;
} violations[] = {
    { 0x181, ULV_FAULT_READ },    { 0x182, ULV_FAULT_WRITE },
    { 0x183, ULV_FAULT_WRITE },   { 0x184, ULV_FAULT_EXECUTE },
    { 0x1aa, ULV_FAULT_WRITE },   { 0x1bc, ULV_FAULT_EXECUTE },
    { 0x081, ULV_FAULT_BACKEND }, { 0x082, ULV_FAULT_BACKEND },
    { 0x001, ULV_FAULT_BACKEND },
};

static void
test_backend_vtx_exit__violations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(violations); i++) {
        struct ulv_vtx_exit exit = {
            .reason = 48,
            .qualification = violations[i].qualification,
            .guest_physical = 0x12345678,
        };
        struct ulv_exit out;

        assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                         ULV_VTX_RETURN);
        assert_int_equal(out.reason, ULV_EXIT_FAULT);
        assert_int_equal(out.u.fault.kind, violations[i].kind);
        assert_int_equal(out.u.fault.address, 0x12345678);
        assert_int_equal(out.u.fault.error_code,
                         violations[i].qualification);
    }
}

static void
test_backend_vtx_exit__port(void **state)
{
    struct ulv_vtx_exit exit = { .reason = 30, .qualification = 0x03f80008 };
    struct ulv_exit out;

    (void)state;
    assert_int_equal(ulv_vtx_exit_decode(&exit, &registers, &out),
                     ULV_VTX_RETURN);
    assert_int_equal(out.u.fault.address, 0x3f8);
}

/* SDM vol. 3C 30.4: 1 to 28 without 14, 21, 27. */
static void
test_backend_vtx_exit__errors_in_words(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        bool known = i >= 1 && i <= 28 && i != 14 && i != 21 && i != 27;

        assert_int_equal(strcmp(ulv_vtx_error_text(i), "unknown error") != 0,
                         known);
    }
    assert_string_equal(ulv_vtx_error_text(7),
                        "VM entry with invalid control fields");
}

static void
test_backend_vtx_exit__cpuid(void **state)
{
    const uint32_t all[4] = { ~0u, ~0u, ~0u, ~0u };
    const uint32_t none[4] = { 0, 0, 0, 0 };
    uint32_t ret[4];

    (void)state;
    ulv_vtx_cpuid(0, all, ret);
    assert_int_equal(ret[0], 1);
    assert_int_equal(ret[1], ~0u);
    ulv_vtx_cpuid(1, all, ret);
    assert_int_equal(ret[1], 0xff00);
    assert_int_equal(ret[2] >> 31, 1); /* a hypervisor */
    /* no SSE3, VMX, OSXSAVE, XSAVE, AVX; no FPU, APIC, MMX, FXSR, SSE, SSE2 */
    assert_int_equal(ret[2] & 0x1c000021, 0);
    assert_int_equal(ret[3] & 0x07800201, 0);
    ulv_vtx_cpuid(1, none, ret);
    assert_int_equal(ret[2], 1u << 31);
    ulv_vtx_cpuid(0x40000000, all, ret);
    assert_memory_equal(&ret[1], "ultravisor\0\0", 12);
    ulv_vtx_cpuid(0x80000000, all, ret);
    assert_int_equal(ret[0], 0x80000001);
    ulv_vtx_cpuid(0x80000001, all, ret);
    assert_int_equal(ret[3], 1u << 29);
    for (uint32_t leaf = 2; leaf < 40; leaf++) {
        ulv_vtx_cpuid(leaf, all, ret);
        assert_memory_equal(ret, none, sizeof(none));
        assert_int_equal(ulv_vtx_cpuid_leaf(leaf), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_vtx_exit__every_reason),
        cmocka_unit_test(test_backend_vtx_exit__reserved_reasons),
        cmocka_unit_test(test_backend_vtx_exit__failed_entries),
        cmocka_unit_test(test_backend_vtx_exit__call),
        cmocka_unit_test(test_backend_vtx_exit__exceptions),
        cmocka_unit_test(test_backend_vtx_exit__events_of_the_host),
        cmocka_unit_test(test_backend_vtx_exit__violations),
        cmocka_unit_test(test_backend_vtx_exit__port),
        cmocka_unit_test(test_backend_vtx_exit__errors_in_words),
        cmocka_unit_test(test_backend_vtx_exit__cpuid),
    };

    return cmocka_run_group_tests_name("backend_vtx-exit", tests, NULL, NULL);
}
