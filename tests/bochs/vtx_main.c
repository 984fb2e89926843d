/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The VT-x backend on a processor. Prints a line "ok NAME" for each case that
 * holds, "not ok NAME: why" for others, "done" in the end; test_vtx.py reads.
 */
#include "bare.h"

#include "../backend/guests.h"
#include <ultravisor/sys/vtx.h>

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)
#define OTHER  UINT64_C(0x20000000) /* guest address of a second region */
#define TABLES UINT64_C(0x1000)     /* of the backend */

static const struct ulv_backend_ops *const ops = &ulv_backend_vtx;
static uint8_t *ram;
static void *machine, *vcpu;
static bool failed; /* the case under way */

static void
check(bool holds, const char *what, uint64_t value)
{
    if (!holds)
        bare_say("# %s: %x", what, value);
    failed |= !holds;
}

static void
finish(const char *name)
{
    bare_say(failed ? "not ok %s" : "ok %s", name);
    failed = false;
}

static ulv_status
try_begin(const void *code, size_t bytes, struct ulv_diag *diag)
{
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = 1,
                                   .host = &bare_host,
                                   .partition = 7,
                                   .gate = GATE };
    ulv_status status;

    memset(machine, 0, ops->machine_bytes);
    memset(vcpu, 0, ops->vcpu_bytes);
    memset(ram, 0, BYTES);
    memcpy(ram, code, bytes);
    status = ops->machine_init(machine, &cfg, diag);
    if (status == ULV_OK)
        status = ops->map(machine, (ulv_gpa){ RAM }, BYTES, ULV_NO_HANDLE, 0,
                          ram, ULV_GUEST_WRITE | ULV_GUEST_EXECUTE);
    if (status == ULV_OK)
        status = ops->vcpu_init(vcpu, machine, 0, (ulv_gpa){ RAM },
                                (ulv_gpa){ RAM + BYTES }, 77, diag);
    return status;
}

static void
begin(const void *code, size_t bytes)
{
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (try_begin(code, bytes, &diag) == ULV_OK)
        return;
    bare_say("not ok: %s", diag.text);
    bare_end();
}

static void
end(void)
{
    ops->vcpu_fini(vcpu);
    ops->machine_fini(machine);
}

static void
run(struct ulv_exit *out)
{
    for (int i = 0; i < 50; i++) {
        check(ops->vcpu_run(vcpu, SECOND, out) == ULV_OK, "run", 0);
        if (out->reason != ULV_EXIT_INTERRUPTED)
            return;
    }
    check(false, "no exit", 0);
}

static void
check_fault(const struct ulv_exit *out, uint32_t kind, uint64_t address)
{
    check(out->reason == ULV_EXIT_FAULT, "reason", out->reason);
    check(out->u.fault.kind == kind, "kind", out->u.fault.kind);
    check(address == ANYWHERE || out->u.fault.address == address, "address",
          out->u.fault.address);
}

static void
test_calls(void)
{
    struct ulv_exit out;
    uint64_t seen[3];

    begin(calls, sizeof(calls));
    run(&out);
    check(out.reason == ULV_EXIT_CALL, "reason", out.reason);
    check(out.u.call.number == 0x1122, "number", out.u.call.number);
    check(out.u.call.argument[0] == 77, "0", out.u.call.argument[0]);
    check(out.u.call.argument[1] == 3, "1", out.u.call.argument[1]);
    check(out.u.call.argument[2] == 4, "2", out.u.call.argument[2]);
    check(out.u.call.argument[3] == 5, "3", out.u.call.argument[3]);
    for (uint64_t n = 0; n < 200; n++) {
        ops->vcpu_answer(vcpu, -(int64_t)n, n * 3);
        run(&out);
        memcpy(seen, ram + 0x800, sizeof(seen));
        check(seen[0] == -n, "rax", seen[0]);
        check(seen[1] == n * 3, "rdx", seen[1]);
        check(seen[2] == 6, "rbx", seen[2]);
    }
    end();
    finish("calls");
}

/* Beside those of every backend. Most are exceptions because there is nothing
 * for the guest to name: no descriptors, no task, no state but its own. */
static const struct fault_row more_faults[] = {
    { "in", { 0x31, 0xd2, 0xec }, ULV_FAULT_PORT, 0 },
    { "read the far", { 0x48, 0xb8, 0, 0, 0, 0, 2, 0, 0, 0, 0x8a, 0 },
      ULV_FAULT_READ, UINT64_C(0x200000000) },
    { "write the far", { 0x48, 0xb8, 0, 0, 0, 0, 2, 0, 0, 0, 0x88, 0 },
      ULV_FAULT_WRITE, UINT64_C(0x200000000) },
    { "jump far away", { 0x48, 0xb8, 0, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xe0 },
      ULV_FAULT_EXECUTE, UINT64_C(0x200000000) },
    { "read its tables", { 0x8a, 0x04, 0x25, 0, 0x10, 0, 0 }, ULV_FAULT_READ,
      TABLES },
    { "write its tables", { 0x88, 0x04, 0x25, 0, 0x10, 0, 0 },
      ULV_FAULT_WRITE, TABLES },
    { "null", { 0x31, 0xc0, 0x8b, 0 }, ULV_FAULT_READ, 0 },
    { "not canonical", { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0 },
      ULV_FAULT_PROTECTION, RAM + 10 },
    { "sse", { 0x0f, 0x57, 0xc0 }, ULV_FAULT_INSTRUCTION, RAM },
    { "avx", { 0xc5, 0xf8, 0x57, 0xc0 }, ULV_FAULT_INSTRUCTION, RAM },
    { "x87", { 0xd9, 0xee }, ULV_FAULT_INSTRUCTION, RAM },
    { "mmx", { 0x0f, 0xef, 0xc0 }, ULV_FAULT_INSTRUCTION, RAM },
    { "fxsave", { 0x0f, 0xae, 0x04, 0x24 }, ULV_FAULT_INSTRUCTION, RAM },
    { "syscall", { 0x0f, 0x05 }, ULV_FAULT_INSTRUCTION, RAM },
    { "sysenter", { 0x0f, 0x34 }, ULV_FAULT_PROTECTION, RAM },
    { "int 0x80", { 0xcd, 0x80 }, ULV_FAULT_PROTECTION, RAM },
    { "int 2", { 0xcd, 0x02 }, ULV_FAULT_PROTECTION, RAM },
    { "int 18", { 0xcd, 0x12 }, ULV_FAULT_PROTECTION, RAM },
    { "int3", { 0xcc }, ULV_FAULT_INSTRUCTION, RAM },
    { "int1", { 0xf1 }, ULV_FAULT_INSTRUCTION, RAM },
    { "trap flag", { 0x9c, 0x80, 0x4c, 0x24, 1, 1, 0x9d, 0x90 },
      ULV_FAULT_INSTRUCTION, RAM + 8 },
    { "rdmsr", { 0x0f, 0x32 }, ULV_FAULT_INSTRUCTION, RAM },
    { "wrmsr", { 0x0f, 0x30 }, ULV_FAULT_INSTRUCTION, RAM },
    { "mov cr3", { 0x0f, 0x22, 0xd8 }, ULV_FAULT_INSTRUCTION, RAM },
    { "mov dr7", { 0x0f, 0x23, 0xf8 }, ULV_FAULT_INSTRUCTION, RAM },
    { "vmlaunch", { 0x0f, 0x01, 0xc2 }, ULV_FAULT_INSTRUCTION, RAM },
    { "vmxoff", { 0x0f, 0x01, 0xc4 }, ULV_FAULT_INSTRUCTION, RAM },
    { "vmwrite", { 0x0f, 0x79, 0xc0 }, ULV_FAULT_INSTRUCTION, RAM },
    { "invd", { 0x0f, 0x08 }, ULV_FAULT_INSTRUCTION, RAM },
    { "rdpmc", { 0x0f, 0x33 }, ULV_FAULT_INSTRUCTION, RAM },
    { "rdtscp", { 0x0f, 0x01, 0xf9 }, ULV_FAULT_INSTRUCTION, RAM },
    { "monitor", { 0x0f, 0x01, 0xc8 }, ULV_FAULT_INSTRUCTION, RAM },
    { "xgetbv", { 0x0f, 0x01, 0xd0 }, ULV_FAULT_INSTRUCTION, RAM },
    { "swapgs", { 0x0f, 0x01, 0xf8 }, ULV_FAULT_INSTRUCTION, RAM },
    { "lgdt", { 0x0f, 0x01, 0x10 }, ULV_FAULT_INSTRUCTION, RAM },
    { "lidt", { 0x0f, 0x01, 0x18 }, ULV_FAULT_INSTRUCTION, RAM },
    { "load ss", { 0x31, 0xc0, 0x8e, 0xd0 }, ULV_FAULT_PROTECTION, RAM + 2 },
    { "load ds", { 0xb8, 0x1b, 0, 0, 0, 0x8e, 0xd8 }, ULV_FAULT_PROTECTION,
      RAM + 5 },
    { "leave the stack", { 0x58, 0x58 }, ULV_FAULT_READ, RAM + BYTES },
};

static void
test_fault(const struct fault_row *row)
{
    struct ulv_exit out;

    begin(row->code, sizeof(row->code));
    run(&out);
    check_fault(&out, row->kind, row->address);
    if (row->kind != ULV_FAULT_EXECUTE &&
        row->address == out.u.fault.registers.rip) {
        check(out.u.fault.instruction_bytes == 15, "bytes", 0);
        check(memcmp(out.u.fault.instruction, ram + (row->address - RAM),
                     15) == 0,
              "instruction", 0);
    }
    run(&out);
    check(out.reason == ULV_EXIT_ENDED, "after it", out.reason);
    end();
    finish(row->what);
}

/* The first stay is as long as it gets: how fast time goes is not known yet. */
static void
test_budget_and_kick(void)
{
    struct ulv_registers registers;
    struct ulv_exit out;

    begin(loop, sizeof(loop));
    for (int i = 0; i < 20; i++) {
        check(ops->vcpu_run(vcpu, 5 * MS, &out) == ULV_OK, "run", 0);
        check(out.reason == ULV_EXIT_INTERRUPTED, "budget", out.reason);
    }
    ops->vcpu_kick(vcpu);
    check(ops->vcpu_run(vcpu, 3600 * SECOND, &out) == ULV_OK, "run", 0);
    check(out.reason == ULV_EXIT_INTERRUPTED, "kick", out.reason);
    check(ops->vcpu_run(vcpu, 0, &out) == ULV_OK, "run", 0);
    check(out.reason == ULV_EXIT_INTERRUPTED, "nothing", out.reason);
    check(ops->vcpu_registers(vcpu, &registers) == ULV_OK, "registers", 0);
    check(registers.rip == RAM, "rip", registers.rip);
    check(registers.rdi == 77, "rdi", registers.rdi);
    check(registers.rsp == RAM + BYTES - 8, "rsp", registers.rsp);
    end();
    finish("budget and kick");
}

static void
test_memory(void)
{
    struct ulv_exit out;

    begin(loop, sizeof(loop));
    check(ops->map(machine, (ulv_gpa){ RAM + 4096 }, 4096, 0, 0, ram, 0) ==
              ULV_E_EXISTS,
          "map twice", 0);
    check(ops->map(machine, (ulv_gpa){ RAM + 1 }, 4096, 0, 0, ram, 0) ==
              ULV_E_ARG,
          "map askew", 0);
    check(ops->map(machine, (ulv_gpa){ GATE }, 4096, 0, 0, ram, 0) ==
              ULV_E_EXISTS,
          "map the gate", 0);
    check(ops->map(machine, (ulv_gpa){ UINT64_C(1) << 40 }, 4096, 0, 0, ram,
                   0) == ULV_E_LIMIT,
          "map too far", 0);
    check(ops->unmap(machine, (ulv_gpa){ RAM }, 4096) == ULV_E_NOT_FOUND,
          "unmap a part", 0);
    (void)ops->vcpu_run(vcpu, 5 * MS, &out);
    check(ops->unmap(machine, (ulv_gpa){ RAM }, BYTES) == ULV_OK, "unmap", 0);
    run(&out);
    check_fault(&out, ULV_FAULT_EXECUTE, RAM);
    end();
    finish("memory comes and goes");
}

/* mov OTHER,%eax; mov %eax,OTHER + 4 */
static const uint8_t reader[] = {
    0x8b, 0x04, 0x25, 0, 0, 0, 0x20, 0x89, 0x04, 0x25, 4, 0, 0, 0x20,
};
/* mov OTHER + 0x3000,%eax; mov %eax,OTHER + 4; ud2 */
static const uint8_t reader_of_last[] = {
    0x8b, 0x04, 0x25, 0, 0x30, 0, 0x20, 0x89,
    0x04, 0x25, 4,    0, 0, 0x20, 0x0f, 0x0b,
};
/* mov $OTHER,%eax; jmp *%rax */
static const uint8_t jumper[] = { 0xb8, 0, 0, 0, 0x20, 0xff, 0xe0 };

static void
test_rights(uint8_t *page)
{
    struct ulv_exit out;

    page[0] = 42;
    begin(reader, sizeof(reader));
    check(ops->map(machine, (ulv_gpa){ OTHER }, 4096, 0, 0, page, 0) == ULV_OK,
          "map", 0);
    run(&out);
    check_fault(&out, ULV_FAULT_WRITE, OTHER + 4);
    check(out.u.fault.registers.rax == 42, "rax", out.u.fault.registers.rax);
    end();
    begin(jumper, sizeof(jumper));
    check(ops->map(machine, (ulv_gpa){ OTHER }, 4096, 0, 0, page,
                   ULV_GUEST_WRITE) == ULV_OK,
          "map", 0);
    run(&out);
    check_fault(&out, ULV_FAULT_EXECUTE, OTHER);
    end();
    finish("rights");
}

/* Pages that do not follow one another: the last comes first. */
static uint8_t *scattered;

static uint64_t
backwards(void *self, const void *p)
{
    uint64_t at = (uint64_t)(uintptr_t)p, first = (uintptr_t)scattered;

    (void)self;
    return at - first < 4 * 4096 ? first + 3 * 4096 - (at - first) : at;
}

static void
test_scattered_pages(uint8_t *pages)
{
    uint64_t (*physical)(void *, const void *) = bare_host.physical;
    struct ulv_exit out;

    scattered = pages;
    for (uint8_t i = 0; i < 4; i++)
        pages[i * 4096] = i + 40;
    begin(reader_of_last, sizeof(reader_of_last));
    bare_host.physical = backwards;
    check(ops->map(machine, (ulv_gpa){ OTHER }, 4 * 4096, 0, 0, pages,
                   ULV_GUEST_WRITE) == ULV_OK,
          "map", 0);
    bare_host.physical = physical;
    run(&out);
    check_fault(&out, ULV_FAULT_INSTRUCTION, RAM + 14);
    check(out.u.fault.registers.rax == 40, "rax", out.u.fault.registers.rax);
    check(pages[3 * 4096 + 4] == 40, "written", pages[3 * 4096 + 4]);
    end();
    finish("scattered pages");
}

static void
test_interrupts(void)
{
    struct ulv_exit out;

    begin(loop, sizeof(loop));
    bare_start_timer();
    for (int i = 0; i < 10; i++) {
        check(ops->vcpu_run(vcpu, 50 * MS, &out) == ULV_OK, "run", 0);
        check(out.reason == ULV_EXIT_INTERRUPTED, "reason", out.reason);
    }
    bare_stop_timer();
    check(bare_interrupts >= 10, "interrupts", bare_interrupts);
    end();
    finish("interrupts of the host");
}

/* registers.S: counts, and faults if a register is not what it was */
extern const uint8_t guest_registers[], guest_registers_end[];

/* Two machines in turn, often and anywhere interrupted. */
static void
test_two_machines(void)
{
    uint8_t *rams[2] = { ram, bare_host.alloc(NULL, BYTES, BYTES) };
    void *machines[2] = { machine, bare_host.alloc(NULL, ops->machine_bytes,
                                                   16) };
    void *vcpus[2] = { vcpu, bare_host.alloc(NULL, ops->vcpu_bytes, 16) };
    uint64_t count, before[2] = { 0, 0 };
    struct ulv_exit out;

    for (int i = 1; i >= 0; i--) {
        ram = rams[i];
        machine = machines[i];
        vcpu = vcpus[i];
        begin(guest_registers,
              (size_t)(guest_registers_end - guest_registers));
    }
    bare_start_timer();
    for (int i = 0; i < 60; i++) {
        ulv_nsec budget = (ulv_nsec)(i % 7 + 1) * MS;

        check(ops->vcpu_run(vcpus[i % 2], budget, &out) == ULV_OK, "run", 0);
        check(out.reason == ULV_EXIT_INTERRUPTED, "reason", out.reason);
        memcpy(&count, rams[1 - i % 2] + 0x800, sizeof(count));
        check(count == before[1 - i % 2], "the other one ran", count);
        memcpy(&before[i % 2], rams[i % 2] + 0x800, sizeof(count));
    }
    bare_stop_timer();
    check(before[0] > 100 && before[1] > 100, "counted", before[0]);
    end();
    ops->vcpu_fini(vcpus[1]);
    ops->machine_fini(machines[1]);
    bare_host.free(NULL, rams[1], BYTES);
    bare_host.free(NULL, machines[1], ops->machine_bytes);
    bare_host.free(NULL, vcpus[1], ops->vcpu_bytes);
    finish("two machines");
}

/* mov $0x40000000,%eax; cpuid; ud2 */
static const uint8_t cpuid[] = {
    0xb8, 0, 0, 0, 0x40, 0x0f, 0xa2, 0x0f, 0x0b,
};

static void
test_cpuid(void)
{
    struct ulv_exit out;
    uint32_t text;

    begin(cpuid, sizeof(cpuid));
    run(&out);
    check_fault(&out, ULV_FAULT_INSTRUCTION, RAM + 7);
    memcpy(&text, "ultr", sizeof(text));
    check(out.u.fault.registers.rbx == text, "rbx",
          out.u.fault.registers.rbx);
    end();
    finish("cpuid");
}

/* ---- failures ------------------------------------------------------------ */

static uint64_t allocations, fail_at;
static void *(*real_alloc)(void *self, size_t bytes, size_t align);

static void *
failing_alloc(void *self, size_t bytes, size_t align)
{
    return ++allocations == fail_at ? NULL : real_alloc(self, bytes, align);
}

static void
test_every_allocation_fails(void)
{
    uint64_t live = bare_live;
    ulv_status status = ULV_E_INTERNAL;
    struct ulv_diag diag = ULV_DIAG_INIT;

    real_alloc = bare_host.alloc;
    bare_host.alloc = failing_alloc;
    for (fail_at = 1; status != ULV_OK; fail_at++) {
        allocations = 0;
        status = try_begin(loop, sizeof(loop), &diag);
        check(status == ULV_OK || status == ULV_E_NO_MEMORY, "status",
              (uint64_t)(int64_t)status);
        end();
        check(bare_live == live, "live", bare_live - live);
    }
    bare_host.alloc = real_alloc;
    check(fail_at > 10, "allocations", fail_at);
    finish("every allocation fails");
}

/* CR4 and the limits of the tables; SDM vol. 3C 27.5.2. */
static void
check_state_of_host(void)
{
    struct {
        uint16_t pad[3], limit;
        uint64_t base;
    } gdt, idt;
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("sgdt %0" : "=m"(gdt.limit), "=m"(gdt.base));
    __asm__ volatile("sidt %0" : "=m"(idt.limit), "=m"(idt.base));
    check(cr4 == 0x620, "cr4", cr4);
    check(gdt.limit == 39, "gdt", gdt.limit);
    check(idt.limit == 4095, "idt", idt.limit);
    finish("the host is as it was");
}

void
bare_main(void)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_backend_caps caps;
    uint64_t live;

    if (ops->probe(&bare_host, &caps, &diag) != ULV_OK) {
        bare_say("probe: %s", diag.text);
        bare_end();
    }
    bare_say("probe: %s", caps.version);
    ram = bare_host.alloc(NULL, BYTES, BYTES);
    machine = bare_host.alloc(NULL, ops->machine_bytes, 16);
    vcpu = bare_host.alloc(NULL, ops->vcpu_bytes, 16);
    scattered = bare_host.alloc(NULL, 4 * 4096, 4096);
    live = bare_live;
    test_calls();
    for (size_t i = 0; i < ULV_COUNT_OF(faults); i++)
        test_fault(&faults[i]);
    for (size_t i = 0; i < ULV_COUNT_OF(more_faults); i++)
        test_fault(&more_faults[i]);
    test_budget_and_kick();
    test_memory();
    test_rights(scattered);
    test_scattered_pages(scattered);
    test_interrupts();
    test_two_machines();
    test_cpuid();
    test_every_allocation_fails();
    check_state_of_host();
    check(bare_live == live, "live", bare_live - live);
    finish("nothing is left");
    bare_say("done");
    bare_end();
}
