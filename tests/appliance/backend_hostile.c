/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a guest at CPL3 can try beside what every backend is tried with. */
#include "backend.h"

#define TABLES  UINT64_C(0x1000) /* of the backend */
#define NOWHERE UINT64_C(0x10000000)
#define FAR     UINT64_C(0x200000000)

/* Most are exceptions because there is nothing for the guest to name: no
 * descriptors, no task, no state but its own. */
static const struct fault_row rows[] = {
    /* ports: in the instruction, in dx, of strings */
    {"in", {0x31, 0xd2, 0xec}, ULV_FAULT_PORT, 0},
    {"in $0x64", {0xe4, 0x64}, ULV_FAULT_PORT, 0x64},
    {"inl $0x64", {0xe5, 0x64}, ULV_FAULT_PORT, 0x64},
    {"inw dx", {0x66, 0xba, 0xf8, 0xcf, 0x66, 0xed}, ULV_FAULT_PORT, 0xcff8},
    {"outl $0x92", {0xe7, 0x92}, ULV_FAULT_PORT, 0x92},
    {"out dx",
     {0x66, 0xba, 0xf9, 0x0c, 0xb0, 6, 0xee},
     ULV_FAULT_PORT,
     0xcf9}, /* the reset of PC chipsets */
    {"outl dx", {0x66, 0xba, 0xff, 0xff, 0xef}, ULV_FAULT_PORT, 0xffff},
    {"insl", {0x66, 0xba, 0xf0, 1, 0x6d}, ULV_FAULT_PORT, 0x1f0},
    {"outsb", {0x66, 0xba, 0xf8, 3, 0x6e}, ULV_FAULT_PORT, 0x3f8},
    {"rep outsw",
     {0x66, 0xba, 0, 0x89, 0xf3, 0x66, 0x6f},
     ULV_FAULT_PORT,
     0x8900},
    {"rep insb to nowhere",
     {0x66, 0xba, 0x60, 0, 0xbf, 0, 0, 0, 0x10, 0xf3, 0x6c},
     ULV_FAULT_PORT,
     0x60},
    {"sti", {0xfb}, ULV_FAULT_INSTRUCTION, RAM},

    /* memory that is not there, or not the guest's */
    {"read the far",
     {0x48, 0xb8, 0, 0, 0, 0, 2, 0, 0, 0, 0x8a, 0},
     ULV_FAULT_READ,
     FAR},
    {"write the far",
     {0x48, 0xb8, 0, 0, 0, 0, 2, 0, 0, 0, 0x88, 0},
     ULV_FAULT_WRITE,
     FAR},
    {"jump far away",
     {0x48, 0xb8, 0, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xe0},
     ULV_FAULT_EXECUTE,
     FAR},
    {"read its tables",
     {0x8a, 0x04, 0x25, 0, 0x10, 0, 0},
     ULV_FAULT_READ,
     TABLES},
    {"write its tables",
     {0x88, 0x04, 0x25, 0, 0x10, 0, 0},
     ULV_FAULT_WRITE,
     TABLES},
    {"read the host's image",
     {0x8a, 0x04, 0x25, 0, 0, 0x10, 0},
     ULV_FAULT_READ,
     0x100000},
    {"write the host's image",
     {0x88, 0x04, 0x25, 0, 0, 0x10, 0},
     ULV_FAULT_WRITE,
     0x100000},
    {"jump to the host's image",
     {0xb8, 0, 0, 0x10, 0, 0xff, 0xe0},
     ULV_FAULT_EXECUTE,
     0x100000},
    {"read the local APIC",
     {0xb8, 0x20, 0, 0xe0, 0xfe, 0x8b, 0},
     ULV_FAULT_READ,
     0xfee00020},
    {"write the local APIC",
     {0xb8, 0, 3, 0xe0, 0xfe, 0x89, 0},
     ULV_FAULT_WRITE,
     0xfee00300},
    {"read the upper half",
     {0x48, 0xb8, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0x8a, 0},
     ULV_FAULT_READ,
     UINT64_C(0xffff800000000000)},
    {"null", {0x31, 0xc0, 0x8b, 0}, ULV_FAULT_READ, 0},
    {"jump to null", {0x31, 0xc0, 0xff, 0xe0}, ULV_FAULT_EXECUTE, 0},
    {"read across the end",
     {0x48, 0x8b, 0x04, 0x25, 0xfc, 0xff, 0x5f, 0},
     ULV_FAULT_READ,
     RAM + BYTES},
    {"write across the end",
     {0x48, 0x89, 0x04, 0x25, 0xfc, 0xff, 0x5f, 0},
     ULV_FAULT_WRITE,
     RAM + BYTES},
    {"fetch across the end",
     {0xb8, 0xff, 0xff, 0x5f, 0, 0xff, 0xe0},
     ULV_FAULT_EXECUTE,
     RAM + BYTES},
    {"exchange with nothing",
     {0x48, 0x87, 0x04, 0x25, 0, 0, 0, 0x10},
     ULV_FAULT_WRITE,
     NOWHERE},
    {"push to nowhere",
     {0xbc, 0, 0, 0, 0x10, 0x50},
     ULV_FAULT_WRITE,
     NOWHERE - 8},
    {"call from nowhere",
     {0xbc, 0, 0, 0, 0x10, 0xe8, 0, 0, 0, 0},
     ULV_FAULT_WRITE,
     NOWHERE - 8},
    {"return to nowhere",
     {0x68, 0, 0, 0, 0x10, 0xc3},
     ULV_FAULT_EXECUTE,
     NOWHERE},
    {"stack that is not canonical",
     {0x48, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x50},
     ULV_FAULT_PROTECTION,
     RAM + 10},
    {"leave the stack", {0x58, 0x58}, ULV_FAULT_READ, RAM + BYTES},

    /* registers that guests do not have */
    {"sse", {0x0f, 0x57, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"avx", {0xc5, 0xf8, 0x57, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"x87", {0xd9, 0xee}, ULV_FAULT_INSTRUCTION, RAM},
    {"fwait", {0x9b}, ULV_FAULT_INSTRUCTION, RAM},
    {"mmx", {0x0f, 0xef, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"fxsave", {0x0f, 0xae, 0x04, 0x24}, ULV_FAULT_INSTRUCTION, RAM},
    {"xsave", {0x0f, 0xae, 0x24, 0x24}, ULV_FAULT_INSTRUCTION, RAM},
    {"xgetbv", {0x0f, 0x01, 0xd0}, ULV_FAULT_INSTRUCTION, RAM},
    {"xsetbv", {0x0f, 0x01, 0xd1}, ULV_FAULT_INSTRUCTION, RAM},
    {"wrfsbase", {0xf3, 0x48, 0x0f, 0xae, 0xd0}, ULV_FAULT_INSTRUCTION, RAM},
    {"wrpkru", {0x0f, 0x01, 0xef}, ULV_FAULT_INSTRUCTION, RAM},

    /* ways to a kernel */
    {"syscall", {0x0f, 0x05}, ULV_FAULT_INSTRUCTION, RAM},
    {"sysret", {0x48, 0x0f, 0x07}, ULV_FAULT_INSTRUCTION, RAM},
    {"sysenter", {0x0f, 0x34}, ULV_FAULT_PROTECTION, RAM},
    {"sysexit", {0x0f, 0x35}, ULV_FAULT_INSTRUCTION, RAM},
    {"int 0", {0xcd, 0}, ULV_FAULT_PROTECTION, RAM},
    {"int 2", {0xcd, 0x02}, ULV_FAULT_PROTECTION, RAM},
    {"int 8", {0xcd, 0x08}, ULV_FAULT_PROTECTION, RAM},
    {"int 14", {0xcd, 0x0e}, ULV_FAULT_PROTECTION, RAM},
    {"int 18", {0xcd, 0x12}, ULV_FAULT_PROTECTION, RAM},
    {"int 32", {0xcd, 0x20}, ULV_FAULT_PROTECTION, RAM},
    {"int 0x80", {0xcd, 0x80}, ULV_FAULT_PROTECTION, RAM},
    {"int 255", {0xcd, 0xff}, ULV_FAULT_PROTECTION, RAM},
    {"int3 at its address", {0xcc}, ULV_FAULT_INSTRUCTION, RAM},
    {"int1", {0xf1}, ULV_FAULT_INSTRUCTION, RAM},
    {"into", {0xce}, ULV_FAULT_INSTRUCTION, RAM},
    {"trap flag",
     {0x9c, 0x80, 0x4c, 0x24, 1, 1, 0x9d, 0x90},
     ULV_FAULT_INSTRUCTION,
     RAM + 8},
    {"load ss", {0x31, 0xc0, 0x8e, 0xd0}, ULV_FAULT_PROTECTION, RAM + 2},
    {"load ds",
     {0xb8, 0x1b, 0, 0, 0, 0x8e, 0xd8},
     ULV_FAULT_PROTECTION,
     RAM + 5},
    {"far jump", {0xff, 0x2c, 0x24}, ULV_FAULT_PROTECTION, RAM},
    {"rsm", {0x0f, 0xaa}, ULV_FAULT_INSTRUCTION, RAM},

    /* what belongs to the host */
    {"rdmsr of IA32_EFER",
     {0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32},
     ULV_FAULT_INSTRUCTION,
     RAM + 5},
    {"rdmsr of no MSR",
     {0x31, 0xc9, 0xff, 0xc9, 0x0f, 0x32},
     ULV_FAULT_INSTRUCTION,
     RAM + 4},
    {"wrmsr", {0x0f, 0x30}, ULV_FAULT_INSTRUCTION, RAM},
    {"wrmsr to IA32_APIC_BASE",
     {0x6a, 0x1b, 0x59, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30},
     ULV_FAULT_INSTRUCTION,
     RAM + 7},
    {"mov to cr0", {0x0f, 0x22, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov from cr0", {0x0f, 0x20, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov from cr2", {0x0f, 0x20, 0xd0}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov to cr3", {0x0f, 0x22, 0xd8}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov to cr4", {0x0f, 0x22, 0xe0}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov to cr8", {0x44, 0x0f, 0x22, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov to dr0", {0x0f, 0x23, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov to dr7", {0x0f, 0x23, 0xf8}, ULV_FAULT_INSTRUCTION, RAM},
    {"mov from dr6", {0x0f, 0x21, 0xf0}, ULV_FAULT_INSTRUCTION, RAM},
    {"lmsw", {0x0f, 0x01, 0xf0}, ULV_FAULT_INSTRUCTION, RAM},
    {"clts", {0x0f, 0x06}, ULV_FAULT_INSTRUCTION, RAM},
    {"invd", {0x0f, 0x08}, ULV_FAULT_INSTRUCTION, RAM},
    {"wbinvd", {0x0f, 0x09}, ULV_FAULT_INSTRUCTION, RAM},
    {"invlpg", {0x0f, 0x01, 0x38}, ULV_FAULT_INSTRUCTION, RAM},
    {"invpcid",
     {0x66, 0x0f, 0x38, 0x82, 0x04, 0x24},
     ULV_FAULT_INSTRUCTION,
     RAM},
    {"rdpmc", {0x0f, 0x33}, ULV_FAULT_INSTRUCTION, RAM},
    {"rdtscp", {0x0f, 0x01, 0xf9}, ULV_FAULT_INSTRUCTION, RAM},
    {"monitor", {0x0f, 0x01, 0xc8}, ULV_FAULT_INSTRUCTION, RAM},
    {"mwait", {0x0f, 0x01, 0xc9}, ULV_FAULT_INSTRUCTION, RAM},
    {"swapgs", {0x0f, 0x01, 0xf8}, ULV_FAULT_INSTRUCTION, RAM},
    {"lgdt", {0x0f, 0x01, 0x10}, ULV_FAULT_INSTRUCTION, RAM},
    {"lidt", {0x0f, 0x01, 0x18}, ULV_FAULT_INSTRUCTION, RAM},
    {"lldt", {0x0f, 0x00, 0xd0}, ULV_FAULT_INSTRUCTION, RAM},
    {"ltr", {0x0f, 0x00, 0xd8}, ULV_FAULT_INSTRUCTION, RAM},

    /* other machines: VMX, of AMD, enclaves */
    {"vmxon", {0xf3, 0x0f, 0xc7, 0x34, 0x24}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmxoff", {0x0f, 0x01, 0xc4}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmlaunch", {0x0f, 0x01, 0xc2}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmresume", {0x0f, 0x01, 0xc3}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmclear", {0x66, 0x0f, 0xc7, 0x34, 0x24}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmptrld", {0x0f, 0xc7, 0x34, 0x24}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmptrst", {0x0f, 0xc7, 0x3c, 0x24}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmread", {0x0f, 0x78, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmwrite", {0x0f, 0x79, 0xc0}, ULV_FAULT_INSTRUCTION, RAM},
    {"invept",
     {0x66, 0x0f, 0x38, 0x80, 0x04, 0x24},
     ULV_FAULT_INSTRUCTION,
     RAM},
    {"invvpid",
     {0x66, 0x0f, 0x38, 0x81, 0x04, 0x24},
     ULV_FAULT_INSTRUCTION,
     RAM},
    {"vmfunc", {0x0f, 0x01, 0xd4}, ULV_FAULT_INSTRUCTION, RAM},
    {"getsec", {0x0f, 0x37}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmrun", {0x0f, 0x01, 0xd8}, ULV_FAULT_INSTRUCTION, RAM},
    {"vmmcall", {0x0f, 0x01, 0xd9}, ULV_FAULT_INSTRUCTION, RAM},
    {"enclu", {0x0f, 0x01, 0xd7}, ULV_FAULT_INSTRUCTION, RAM},
    {"lock nop", {0xf0, 0x90}, ULV_FAULT_INSTRUCTION, RAM},
};

const struct fault_list hostile_faults = {rows, ULV_COUNT_OF(rows)};

GUEST(guest_popf);
GUEST(guest_flags);
GUEST(guest_iret);
GUEST(guest_far_return);
GUEST(guest_tables);
GUEST(guest_fill);
GUEST(guest_stack);
GUEST(guest_too_long);
GUEST(guest_shutdown);
GUEST(guest_registers);

/* SDM vol. 1 3.4.3: IF and IOPL; what guest_flags sets */
#define FLAGS_SYSTEM UINT64_C(0x3200)
#define FLAGS_GUEST  UINT64_C(0x244cd5)

static uint64_t
result(uint32_t n)
{
    return ulv_get_le64(ram + 0x800 + n * 8);
}

/* The host's own flags are compared after each case. */
static void
test_popf(void)
{
    struct ulv_exit out;

    BEGIN(guest_popf);
    run(&out);
    check_fault(&out, ULV_FAULT_INSTRUCTION, ANYWHERE);
    check((out.u.fault.registers.rax & FLAGS_SYSTEM) == 0, "rax",
          out.u.fault.registers.rax);
    check((out.u.fault.registers.rflags & FLAGS_SYSTEM) == 0, "rflags",
          out.u.fault.registers.rflags);
    end();
}

/* vmcall anywhere is a call, and the flags are each one's own. */
static void
test_flags(void)
{
    uint64_t flags;
    struct ulv_exit out;

    BEGIN(guest_flags);
    run(&out);
    __asm__ volatile("pushfq; pop %0" : "=r"(flags) : : "memory");
    check(out.reason == ULV_EXIT_CALL, "reason", out.reason);
    check(out.u.call.number == 77, "number", out.u.call.number);
    /* DF NT AC ID */
    check((flags & UINT64_C(0x244400)) == 0, "flags of the host", flags);
    ops->vcpu_answer(vcpu, 0, 0);
    run(&out);
    check_fault(&out, ULV_FAULT_INSTRUCTION, ANYWHERE);
    check((out.u.fault.registers.rax & FLAGS_GUEST) == FLAGS_GUEST, "rax",
          out.u.fault.registers.rax);
    end();
}

static void
test_returns_to_a_kernel(void)
{
    struct ulv_exit out;

    BEGIN(guest_iret);
    run(&out);
    check_fault(&out, ULV_FAULT_PROTECTION, RAM + 8);
    end();
    BEGIN(guest_far_return);
    run(&out);
    check_fault(&out, ULV_FAULT_PROTECTION, RAM + 4);
    end();
}

/* Instructions that need no privilege tell of the guest, not of the host:
 * empty tables, the selector of the guest's task, its CR0. */
static void
test_tables(void)
{
    struct ulv_exit out;

    BEGIN(guest_tables);
    run(&out);
    check_fault(&out, ULV_FAULT_INSTRUCTION, ANYWHERE);
    check(result(0) == 0 && result(1) == 0, "gdt", result(0));
    check(result(2) == 0 && result(3) == 0, "idt", result(2));
    check(result(4) == 0x28, "task", result(4));
    check(result(5) == 0, "ldt", result(5));
    check((result(6) & (CR0_EM | CR0_TS)) == (CR0_EM | CR0_TS), "cr0",
          result(6));
    check(result(7) == 0, "limit", result(7));
    end();
}

/* The end of its memory is the end; nothing beside it changes. */
static void
test_fill(void)
{
    struct ulv_exit out;

    BEGIN(guest_fill);
    run(&out);
    check_fault(&out, ULV_FAULT_WRITE, RAM + BYTES);
    check(ram[4096] == 0xcc && ram[BYTES - 1] == 0xcc, "filled", ram[4096]);
    end();
}

static void
test_stack_at_a_call(void)
{
    struct ulv_exit out;

    BEGIN(guest_stack);
    run(&out);
    check(out.reason == ULV_EXIT_CALL, "reason", out.reason);
    ops->vcpu_answer(vcpu, 0, 0);
    run(&out);
    check_fault(&out, ULV_FAULT_INSTRUCTION, RAM + 13);
    check(out.u.fault.registers.rsp == UINT64_C(1) << 63, "rsp",
          out.u.fault.registers.rsp);
    end();
}

static void
test_too_long(void)
{
    struct ulv_exit out;

    BEGIN(guest_too_long);
    run(&out);
    check_fault(&out, ULV_FAULT_PROTECTION, RAM);
    end();
}

/* The machine goes on. */
static void
test_shutdown(void)
{
    struct ulv_exit out;

    BEGIN(guest_shutdown);
    run(&out);
    check_fault(&out, ULV_FAULT_PORT, 0x8900);
    end();
}

/* What a guest had in registers is in none of the host's when it goes on; of
 * those that a function keeps that is so anyway. */
static void
test_registers_are_cleared(void)
{
    struct ulv_vtx_descriptor gdt = {0}, idt = {0};
    struct vcpu *v = vcpu;
    struct ulv_registers *registers = &v->registers;
    uint64_t left[7] = {0}, resume = 0;
    uint32_t outcome;

    BEGIN(guest_registers);
    write_field(FIELD_TIMER, 100);
    cpu_tables(&gdt, &idt);
    __asm__ volatile("call ulv_vtx_enter\n"
                     "    mov %%rcx, (%%rbx)\n"
                     "    mov %%rdx, 8(%%rbx)\n"
                     "    mov %%rsi, 16(%%rbx)\n"
                     "    mov %%r8, 24(%%rbx)\n"
                     "    mov %%r9, 32(%%rbx)\n"
                     "    mov %%r10, 40(%%rbx)\n"
                     "    mov %%r11, 48(%%rbx)"
                     : "=a"(outcome), "+D"(registers), "+S"(resume)
                     : "b"(left)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "cc", "memory");
    cpu_load_tables(&gdt, &idt);
    check(outcome == VMX_DONE, "entry", outcome);
    check(v->registers.r11 == UINT64_C(0x100a) * 0x100010001, "r11",
          v->registers.r11);
    for (size_t i = 0; i < ULV_COUNT_OF(left); i++)
        check(left[i] == 0, "left", left[i]);
    end();
}

/* ---- with other controls than the backend's ------------------------------ */

static void
triple_fault(const uint8_t *code, size_t bytes)
{
    struct ulv_exit out;

    begin(code, bytes);
    write_field(FIELD_EXCEPTIONS, 0);
    run(&out);
    check_fault(&out, ULV_FAULT_TRIPLE, ANYWHERE);
    run(&out);
    check(out.reason == ULV_EXIT_ENDED, "after it", out.reason);
    end();
}

/* No guest reaches one, as each exception exits. Were they the guest's, its
 * empty table would make a triple fault of each: it ends the guest alone. */
static void
test_triple_fault(void)
{
    static const uint8_t undefined[] = {0x0f, 0x0b};
    static const uint8_t interrupt[] = {0xcd, 0x80};
    static const uint8_t null[] = {0x31, 0xc0, 0x8b, 0};

    triple_fault(undefined, sizeof(undefined));
    triple_fault(interrupt, sizeof(interrupt));
    triple_fault(null, sizeof(null));
}

/* Without the exits that it asks for and does not need at CPL3, nothing
 * changes: controls.c says so. */
static void
test_privilege_alone(void)
{
    static const struct fault_row refused[] = {
        {"hlt", {0xf4}, ULV_FAULT_INSTRUCTION, RAM},
        {"mov to dr7", {0x0f, 0x23, 0xf8}, ULV_FAULT_INSTRUCTION, RAM},
        {"rdpmc", {0x0f, 0x33}, ULV_FAULT_INSTRUCTION, RAM},
        {"monitor", {0x0f, 0x01, 0xc8}, ULV_FAULT_INSTRUCTION, RAM},
        {"mwait", {0x0f, 0x01, 0xc9}, ULV_FAULT_INSTRUCTION, RAM},
        {"out", {0xe6, 0x80}, ULV_FAULT_PORT, 0x80},
        {"outsb", {0x66, 0xba, 0xf8, 3, 0x6e}, ULV_FAULT_PORT, 0x3f8},
    };
    const uint64_t exits = BIT(PRIMARY_HLT) | BIT(PRIMARY_MWAIT) |
                           BIT(PRIMARY_RDPMC) | BIT(PRIMARY_MOV_DR) |
                           BIT(PRIMARY_PORT) | BIT(PRIMARY_MONITOR);

    for (size_t i = 0; i < ULV_COUNT_OF(refused); i++) {
        const struct fault_row *row = &refused[i];
        const struct machine *m = machine;
        struct ulv_exit out;

        begin(row->code, sizeof(row->code));
        write_field(FIELD_PRIMARY, m->controls.primary & ~exits);
        run(&out);
        check_fault(&out, row->kind, row->address);
        end();
    }
}

static const struct test_case cases[] = {
    {"popf with IF and IOPL", test_popf},
    {"flags are each one's own", test_flags},
    {"returns to a kernel", test_returns_to_a_kernel},
    {"what tables tell", test_tables},
    {"fill all memory", test_fill},
    {"stack that is not canonical at a call", test_stack_at_a_call},
    {"instruction of 16 bytes", test_too_long},
    {"end the emulator", test_shutdown},
    {"registers are cleared", test_registers_are_cleared},
    {"triple fault", test_triple_fault},
    {"privilege alone", test_privilege_alone},
};

const struct case_list hostile_cases = {cases, ULV_COUNT_OF(cases)};
