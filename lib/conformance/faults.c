/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a guest may not do, and what is told of it. */
#include "conformance/conformance_priv.h"

#define GATE ULV_GUEST_GATE
#define CODE_MAX 14u

/* A few instructions of which the last faults. */
struct row {
    const char *what;
    uint8_t code[CODE_MAX];
    uint32_t bytes;
    uint32_t kind;
    uint64_t address; /* or ANYWHERE */
};

/* movb $1,RESULT; ud2: what comes behind them, and is not to be reached */
static const uint8_t behind[] = { 0xc6, 0x04, 0x25, 0x00, 0x80, 0x40, 0x00,
                                  0x01, 0x0f, 0x0b };

/* The address of an instruction that faults by itself is its own. */
static const struct row instructions[] = {
    { "ud2", { 0x0f, 0x0b }, 2, ULV_FAULT_INSTRUCTION, RAM },
    { "cli", { 0xfa }, 1, ULV_FAULT_INSTRUCTION, RAM },
    { "sti", { 0xfb }, 1, ULV_FAULT_INSTRUCTION, RAM },
    { "hlt", { 0xf4 }, 1, ULV_FAULT_INSTRUCTION, RAM },
    { "mov %rax,%cr3", { 0x0f, 0x22, 0xd8 }, 3, ULV_FAULT_INSTRUCTION, RAM },
    { "mov %cr0,%rax", { 0x0f, 0x20, 0xc0 }, 3, ULV_FAULT_INSTRUCTION, RAM },
    { "rdmsr", { 0x0f, 0x32 }, 2, ULV_FAULT_INSTRUCTION, RAM },
    { "wrmsr", { 0x0f, 0x30 }, 2, ULV_FAULT_INSTRUCTION, RAM },
    { "nop; invd", { 0x90, 0x0f, 0x08 }, 3, ULV_FAULT_INSTRUCTION, RAM + 1 },
    /* rip is that of the instruction, or behind it where it was carried out */
    { "int3", { 0xcc }, 1, ULV_FAULT_INSTRUCTION, ANYWHERE },
};

static const struct row ports[] = {
    { "out %al,$0x80", { 0xe6, 0x80 }, 2, ULV_FAULT_PORT, 0x80 },
    { "in $0x80,%al", { 0xe4, 0x80 }, 2, ULV_FAULT_PORT, 0x80 },
    { "mov $0x1234,%dx; rep insb", { 0x66, 0xba, 0x34, 0x12, 0xf3, 0x6c }, 6,
      ULV_FAULT_PORT, 0x1234 },
    { "mov $0xcf8,%dx; out %eax,%dx", { 0x66, 0xba, 0xf8, 0x0c, 0xef }, 5,
      ULV_FAULT_PORT, 0xcf8 },
};

static const struct row accesses[] = {
    { "mov NOWHERE,%al", { 0x8a, 0x04, 0x25, 0, 0, 0, 0x10 }, 7,
      ULV_FAULT_READ, NOWHERE },
    { "mov %al,NOWHERE", { 0x88, 0x04, 0x25, 0, 0, 0, 0x10 }, 7,
      ULV_FAULT_WRITE, NOWHERE },
    { "mov NOWHERE + 0xabc,%al", { 0x8a, 0x04, 0x25, 0xbc, 0x0a, 0, 0x10 }, 7,
      ULV_FAULT_READ, NOWHERE + 0xabc },
    { "mov $NOWHERE,%eax; jmp *%rax", { 0xb8, 0, 0, 0, 0x10, 0xff, 0xe0 }, 7,
      ULV_FAULT_EXECUTE, NOWHERE },
    { "mov $NOWHERE,%esp; push %rax", { 0xbc, 0, 0, 0, 0x10, 0x50 }, 6,
      ULV_FAULT_WRITE, NOWHERE - 8 },
    { "mov %al,GATE", { 0x88, 0x04, 0x25, 0, 0xf0, 0x3f, 0 }, 7,
      ULV_FAULT_WRITE, GATE },
    { "mov %al,0", { 0x88, 0x04, 0x25, 0, 0, 0, 0 }, 7, ULV_FAULT_WRITE, 0 },
};

static const struct row others[] = {
    { "an address that is not canonical",
      { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0x00 }, 12,
      ULV_FAULT_PROTECTION, RAM + 10 },
    { "xor %ecx,%ecx; div %ecx", { 0x31, 0xc9, 0xf7, 0xf1 }, 4,
      ULV_FAULT_ARITHMETIC, RAM + 2 },
};

/* The instruction that is told lies in memory at the rip that is told. */
static bool
check_instruction(struct stage *s, const struct row *row,
                  const struct ulv_exit_fault *fault)
{
    uint64_t at = fault->registers.rip - RAM;
    uint32_t bytes = fault->instruction_bytes;

    if (row->kind == ULV_FAULT_EXECUTE)
        return fault->registers.rip == row->address ||
               ulv_kit_fail(s->kit, "%s: rip is %x", row->what,
                            fault->registers.rip);
    if (at > row->bytes)
        return ulv_kit_fail(s->kit, "%s: rip is %x", row->what,
                            fault->registers.rip);
    if (bytes == 0 || bytes > sizeof(fault->instruction))
        return ulv_kit_fail(s->kit, "%s: %u bytes of the instruction",
                            row->what, (uint64_t)bytes);
    return memcmp(fault->instruction, s->ram.p + at, bytes) == 0 ||
           ulv_kit_fail(s->kit, "%s: other bytes than those at rip",
                        row->what);
}

static bool
run_row(struct kit *k, const struct row *row)
{
    struct ulv_mock_step steps[2] = {
        { .kind = ULV_MOCK_FAULT,
          .number = row->kind,
          .argument = { row->address } },
        { .kind = ULV_MOCK_STORE, .argument = { RAM + RESULT, 1 } },
    };
    uint8_t code[CODE_MAX + sizeof(behind)] = { 0 };
    const struct guest guest = { code, code + sizeof(code), steps,
                                 ULV_COUNT_OF(steps) };
    struct stage *s;
    struct ulv_exit out;

    memcpy(code, row->code, row->bytes);
    memcpy(code + row->bytes, behind, sizeof(behind));
    s = ulv_kit_begin(k, &guest);
    if (s == NULL)
        return false;
    if (!ulv_kit_run_fault(s, 0, row->kind, row->address, &out)) {
        char reason[sizeof(k->reason)];

        memcpy(reason, k->reason, sizeof(reason));
        k->result = ULV_CONFORMANCE_PASSED;
        return ulv_kit_fail(k, "%s: %s", row->what, reason);
    }
    if (ulv_kit_word(s, RESULT) != 0)
        return ulv_kit_fail(k, "%s: the guest went on behind its fault",
                            row->what);
    return k->opts->guest_code == ULV_CONFORMANCE_STEPS ||
           check_instruction(s, row, &out.u.fault);
}

static void
run_rows(struct kit *k, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!run_row(k, &rows[i]))
            return;
    }
}

static void
test_instructions(struct kit *k)
{
    run_rows(k, instructions, ULV_COUNT_OF(instructions));
}

static void
test_ports(struct kit *k)
{
    run_rows(k, ports, ULV_COUNT_OF(ports));
}

static void
test_accesses(struct kit *k)
{
    run_rows(k, accesses, ULV_COUNT_OF(accesses));
}

static void
test_others(struct kit *k)
{
    run_rows(k, others, ULV_COUNT_OF(others));
}

static void
test_registers(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_registers);
    uint64_t code = (uint64_t)(ulv_kit_registers.code_end -
                               ulv_kit_registers.code);
    struct ulv_registers *r;
    struct ulv_exit out;
    uint64_t is[15];

    if (s == NULL || !ulv_kit_run_fault(s, 0, ULV_FAULT_INSTRUCTION,
                                        RAM + code - 2, &out))
        return;
    r = &out.u.fault.registers;
    memcpy(is, r, 7 * 8);          /* rax .. rbp */
    memcpy(is + 7, &r->r8, 8 * 8); /* r8 .. r15 */
    for (uint64_t i = 0; i < ULV_COUNT_OF(is); i++)
        REQUIRE(k, is[i] == (i + 1) * REGISTER_PATTERN,
                "register %u of rax to rbp, r8 to r15 is %x, not %x", i, is[i],
                (i + 1) * REGISTER_PATTERN);
    REQUIRE(k, r->rsp == RAM + RAM_BYTES - 8, "rsp is %x, not %x", r->rsp,
            RAM + RAM_BYTES - 8);
    REQUIRE(k, r->rip == RAM + code - 2, "rip is %x, not %x", r->rip,
            RAM + code - 2);
    REQUIRE(k, (r->rflags & 2) != 0, "rflags is %x", r->rflags);
}

/* Whatever is done to it afterwards. */
static void
test_for_good(struct kit *k)
{
    struct ulv_mock_step step = { .kind = ULV_MOCK_FAULT,
                                  .number = ULV_FAULT_INSTRUCTION,
                                  .argument = { RAM } };
    static const uint8_t code[] = { 0x0f, 0x0b };
    const struct guest guest = { code, code + sizeof(code), &step, 1 };
    struct stage *s = ulv_kit_begin(k, &guest);
    struct ulv_exit out;

    if (s == NULL ||
        !ulv_kit_run_fault(s, 0, ULV_FAULT_INSTRUCTION, RAM, &out))
        return;
    for (uint32_t i = 0; i < 20; i++) {
        if (i == 5)
            k->ops->vcpu_kick(s->vcpu[0]);
        if (i == 10)
            ulv_kit_answer(s, 0, 0, 0);
        if (!ulv_kit_run_once(s, 0, i % 3 * MILLISECOND, &out))
            return;
        REQUIRE(k, out.reason == ULV_EXIT_ENDED,
                "exit reason %u in run %u after a fault", (uint64_t)out.reason,
                (uint64_t)i);
    }
}

static const struct test_case cases[] = {
    { "instructions that are not allowed", test_instructions, 0 },
    { "ports", test_ports, 0 },
    { "accesses to what is not there", test_accesses, 0 },
    { "other faults", test_others, 0 },
    { "a fault has the registers", test_registers, NEEDS_CODE },
    { "a fault is for good", test_for_good, 0 },
};

const struct case_list ulv_kit_faults = { ULV_CONFORMANCE_FAULTS, cases,
                                          ULV_COUNT_OF(cases) };
