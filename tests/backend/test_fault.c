/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Exits of KVM that guests here cannot bring about, in our words. */
#include "../unit/port/port_test.h"

#include <string.h>

#include "backend/kvm/kvm_priv.h"

#define CODE UINT64_C(0x400000)

static const uint8_t code[] = { 0x0f, 0x01, 0xf9, 0x90 }; /* rdtscp; nop */

struct fixture {
    struct machine machine;
    struct vcpu vcpu;
    struct kvm_run run;
    struct ulv_region region[1];
    uint8_t page[4096];
};

static void
begin(struct fixture *f, uint32_t reason)
{
    memset(f, 0, sizeof(*f));
    f->vcpu.machine = &f->machine;
    f->vcpu.run = &f->run;
    memcpy(f->page, code, sizeof(code));
    ulv_regions_init(&f->machine.regions, LOW_BYTES, ADDRESS_MAX,
                     f->region, 1);
    (void)ulv_regions_add(&f->machine.regions, CODE, 4096, f->page,
                          ULV_GUEST_EXECUTE);
    f->run.exit_reason = reason;
    f->run.s.regs.regs.rip = CODE;
}

/* The bytes that KVM had fetched; else those that lie there. */
static void
test_fault__emulation(void **state)
{
    struct fixture f;
    struct ulv_exit out = { 0 };

    (void)state;
    begin(&f, KVM_EXIT_INTERNAL_ERROR);
    f.run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    f.run.emulation_failure.ndata = 3;
    f.run.emulation_failure.flags =
        KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    f.run.emulation_failure.insn_size = 2;
    f.run.emulation_failure.insn_bytes[0] = 0xd9;
    f.run.emulation_failure.insn_bytes[1] = 0xeb;
    ulv_kvm_other_exit(&f.vcpu, &out);
    assert_int_equal(out.reason, ULV_EXIT_FAULT);
    assert_int_equal(out.u.fault.kind, ULV_FAULT_EMULATION);
    assert_int_equal(out.u.fault.instruction_bytes, 2);
    assert_int_equal(out.u.fault.instruction[0], 0xd9);
    assert_true(f.vcpu.ended);
    begin(&f, KVM_EXIT_INTERNAL_ERROR);
    f.run.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
    memset(&out, 0, sizeof(out));
    ulv_kvm_other_exit(&f.vcpu, &out);
    assert_int_equal(out.u.fault.kind, ULV_FAULT_EMULATION);
    assert_true(out.u.fault.instruction_bytes >= sizeof(code));
    assert_memory_equal(out.u.fault.instruction, code, sizeof(code));
    assert_string_equal(ulv_fault_text(out.u.fault.kind),
                        "instruction that the host could not carry out");
}

/* A size that cannot be is cut. */
static void
test_fault__emulation_of_too_much(void **state)
{
    struct fixture f;
    struct ulv_exit out = { 0 };

    (void)state;
    begin(&f, KVM_EXIT_INTERNAL_ERROR);
    f.run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    f.run.emulation_failure.ndata = 3;
    f.run.emulation_failure.flags =
        KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    f.run.emulation_failure.insn_size = 255;
    ulv_kvm_other_exit(&f.vcpu, &out);
    assert_int_equal(out.u.fault.instruction_bytes, 15);
}

static void
test_fault__of_the_backend(void **state)
{
    static const uint32_t reason[] = { KVM_EXIT_INTERNAL_ERROR,
                                       KVM_EXIT_FAIL_ENTRY,
                                       KVM_EXIT_UNKNOWN };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(reason); i++) {
        struct fixture f;
        struct ulv_exit out = { 0 };

        begin(&f, reason[i]);
        if (reason[i] == KVM_EXIT_INTERNAL_ERROR)
            f.run.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
        if (reason[i] == KVM_EXIT_FAIL_ENTRY)
            f.run.fail_entry.hardware_entry_failure_reason = 33;
        ulv_kvm_other_exit(&f.vcpu, &out);
        assert_int_equal(out.u.fault.kind, ULV_FAULT_BACKEND);
        assert_int_equal(out.u.fault.registers.rip, CODE);
        if (reason[i] == KVM_EXIT_FAIL_ENTRY)
            assert_int_equal(out.u.fault.error_code, 33);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault__emulation),
        cmocka_unit_test(test_fault__emulation_of_too_much),
        cmocka_unit_test(test_fault__of_the_backend),
    };

    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
