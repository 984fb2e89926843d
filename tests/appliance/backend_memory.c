/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Calls, memory that comes and goes, and a host without memory. */
#include "backend.h"

#define OTHER       UINT64_C(0x20000000) /* guest address of a second region */
#define PAGE        4096u
#define OTHER_BYTES (4 * PAGE)

static uint8_t *
new_pages(void)
{
    uint8_t *pages = bare.host.alloc(bare.host.self, OTHER_BYTES, PAGE);

    check(pages != NULL, "pages", 0);
    return pages;
}

static void
free_pages(uint8_t *pages)
{
    bare.host.free(bare.host.self, pages, OTHER_BYTES);
}

static ulv_status
map(uint64_t guest, uint64_t bytes, void *p, uint32_t access)
{
    return ops->map(machine, (ulv_gpa){guest}, bytes, ULV_NO_HANDLE, 0, p,
                    access);
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
}

static void
test_memory(void)
{
    struct ulv_exit out;

    begin(loop, sizeof(loop));
    check(map(RAM + PAGE, PAGE, ram, 0) == ULV_E_EXISTS, "map twice", 0);
    check(map(RAM + 1, PAGE, ram, 0) == ULV_E_ARG, "map askew", 0);
    check(map(GATE, PAGE, ram, 0) == ULV_E_EXISTS, "map the gate", 0);
    check(map(UINT64_C(1) << 40, PAGE, ram, 0) == ULV_E_LIMIT, "map too far",
          0);
    check(ops->unmap(machine, (ulv_gpa){RAM}, PAGE) == ULV_E_NOT_FOUND,
          "unmap a part", 0);
    (void)ops->vcpu_run(vcpu, 5 * MS, &out);
    check(ops->unmap(machine, (ulv_gpa){RAM}, BYTES) == ULV_OK, "unmap", 0);
    run(&out);
    check_fault(&out, ULV_FAULT_EXECUTE, RAM);
    end();
}

static uint64_t calls_seen;

/* Answers the first 99 calls, and kicks at the tenth. */
static bool
answer_and_kick(void *self, const struct ulv_exit_call *call,
                int64_t *ret_status, uint64_t *ret_value)
{
    (void)self;
    check(call->number == 0x1122, "number", call->number);
    *ret_status = 5;
    *ret_value = ++calls_seen;
    if (calls_seen == 10)
        ops->vcpu_kick(vcpu);
    return calls_seen < 100;
}

/* On the spot: the guest goes on, until a kick, or a call that is not. */
static void
test_calls_at_once(void)
{
    struct machine *m = machine;
    struct ulv_exit out;
    uint64_t seen[2];

    begin(calls, sizeof(calls));
    m->cfg.call = answer_and_kick;
    calls_seen = 0;
    check(ops->vcpu_run(vcpu, SECOND, &out) == ULV_OK, "run", 0);
    check(out.reason == ULV_EXIT_INTERRUPTED, "kicked", out.reason);
    check(calls_seen == 10, "calls", calls_seen);
    run(&out);
    check(out.reason == ULV_EXIT_CALL, "reason", out.reason);
    check(calls_seen == 100, "calls", calls_seen);
    memcpy(seen, ram + 0x800, sizeof(seen));
    check(seen[0] == 5, "rax", seen[0]);
    check(seen[1] == 99, "rdx", seen[1]);
    end();
}

/* A processor may write to a VMCS until it is cleared, and its page is given
 * back: none is current then. SDM vol. 3C 30.3 VMCLEAR. */
static void
test_vmcs_is_cleared(void)
{
    struct ulv_exit out;
    uint64_t current = 0;

    begin(loop, sizeof(loop));
    (void)ops->vcpu_run(vcpu, MS, &out);
    ops->vcpu_fini(vcpu);
    __asm__ volatile("vmptrst %0" : "=m"(current));
    check(current == UINT64_MAX, "current VMCS", current);
    ops->machine_fini(machine);
}

/* The page of the root of the extended tables with a bit that no pointer to
 * one may have: an INVEPT of them fails. */
static uint64_t
askew(void *self, const void *p)
{
    const struct machine *m = machine;

    (void)self;
    return (uint64_t)(uintptr_t)p | (p == m->ept.root ? 0x400 : 0);
}

/* Whether an INVEPT of this machine's tables is due; one that failed is. */
static void
check_invalidation(bool expected)
{
    uint64_t (*physical)(void *, const void *) = bare.host.physical;
    struct ulv_registers registers;

    bare.host.physical = askew;
    for (int i = 0; i < 2; i++) {
        ulv_status status = ops->vcpu_registers(vcpu, &registers);

        check(status == (expected ? ULV_E_HOST : ULV_OK), "INVEPT",
              (uint64_t)(int64_t)status);
    }
    bare.host.physical = physical;
}

/* The next run, with an INVEPT that fails, and without a word. */
static ulv_status
run_askew(void)
{
    uint64_t (*physical)(void *, const void *) = bare.host.physical;
    void (*log)(void *, uint32_t, const char *) = bare.host.log;
    struct ulv_exit out;
    ulv_status status;

    bare.host.physical = askew;
    bare.host.log = NULL;
    status = ops->vcpu_run(vcpu, MS, &out);
    bare.host.log = log;
    bare.host.physical = physical;
    return status;
}

/* What a processor has kept of a mapping goes before the guest runs again. In
 * Bochs, which forgets more than it must, no guest would tell. */
static void
test_translations_are_dropped(void)
{
    uint8_t *page = new_pages();

    begin(loop, sizeof(loop));
    check(run_askew() == ULV_OK, "run", 0);
    check_invalidation(false);
    check(map(OTHER, PAGE, page, ULV_GUEST_WRITE) == ULV_OK, "map", 0);
    check(ops->unmap(machine, (ulv_gpa){OTHER}, PAGE) == ULV_OK, "unmap", 0);
    check_invalidation(true);
    check(run_askew() == ULV_E_HOST, "run after unmap", 0);
    end();
    free_pages(page);
}

/* Where the tables of a new machine are, those of an earlier one may have
 * been. */
static void
test_translations_of_others(void)
{
    uint64_t (*physical)(void *, const void *) = bare.host.physical;
    struct ulv_diag diag = ULV_DIAG_INIT;

    bare.host.physical = askew;
    check(try_begin(loop, sizeof(loop), &diag) == ULV_E_HOST, "begin", 0);
    bare.host.physical = physical;
    end();
}

/* mov OTHER,%eax; mov %eax,OTHER + 4 */
static const uint8_t reader[] = {
    0x8b, 0x04, 0x25, 0, 0, 0, 0x20, 0x89, 0x04, 0x25, 4, 0, 0, 0x20,
};
/* mov OTHER + 0x3000,%eax; mov %eax,OTHER + 4; ud2 */
static const uint8_t reader_of_last[] = {
    0x8b, 0x04, 0x25, 0, 0x30, 0,    0x20, 0x89,
    0x04, 0x25, 4,    0, 0,    0x20, 0x0f, 0x0b,
};
/* lock incl OTHER */
static const uint8_t counter[] = {0xf0, 0xff, 0x04, 0x25, 0, 0, 0, 0x20};
/* mov $OTHER,%eax; jmp *%rax */
static const uint8_t jumper[] = {0xb8, 0, 0, 0, 0x20, 0xff, 0xe0};

static void
test_rights(void)
{
    uint8_t *page = new_pages();
    struct ulv_exit out;

    page[0] = 42;
    begin(reader, sizeof(reader));
    check(map(OTHER, PAGE, page, 0) == ULV_OK, "map", 0);
    run(&out);
    check_fault(&out, ULV_FAULT_WRITE, OTHER + 4);
    check(out.u.fault.registers.rax == 42, "rax", out.u.fault.registers.rax);
    end();
    begin(counter, sizeof(counter));
    check(map(OTHER, PAGE, page, 0) == ULV_OK, "map", 0);
    run(&out);
    check_fault(&out, ULV_FAULT_WRITE, OTHER);
    end();
    begin(jumper, sizeof(jumper));
    check(map(OTHER, PAGE, page, ULV_GUEST_WRITE) == ULV_OK, "map", 0);
    run(&out);
    check_fault(&out, ULV_FAULT_EXECUTE, OTHER);
    check(page[0] == 42 && page[4] == 0, "written", page[0]);
    end();
    free_pages(page);
}

/* Pages that do not follow one another: the last comes first. */
static uint8_t *scattered;

static uint64_t
backwards(void *self, const void *p)
{
    uint64_t at = (uint64_t)(uintptr_t)p, first = (uintptr_t)scattered;

    (void)self;
    return at - first < OTHER_BYTES ? first + 3 * PAGE - (at - first) : at;
}

static void
test_scattered_pages(void)
{
    uint64_t (*physical)(void *, const void *) = bare.host.physical;
    uint8_t *pages = new_pages();
    struct ulv_exit out;

    scattered = pages;
    for (uint8_t i = 0; i < 4; i++)
        pages[i * PAGE] = i + 40;
    begin(reader_of_last, sizeof(reader_of_last));
    bare.host.physical = backwards;
    check(map(OTHER, OTHER_BYTES, pages, ULV_GUEST_WRITE) == ULV_OK, "map", 0);
    bare.host.physical = physical;
    run(&out);
    check_fault(&out, ULV_FAULT_INSTRUCTION, RAM + 14);
    check(out.u.fault.registers.rax == 40, "rax", out.u.fault.registers.rax);
    check(pages[3 * PAGE + 4] == 40, "written", pages[3 * PAGE + 4]);
    end();
    free_pages(pages);
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
    check(out.u.fault.registers.rbx == text, "rbx", out.u.fault.registers.rbx);
    end();
}

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
    uint64_t free_bytes = bare.heap_free;
    ulv_status status = ULV_E_INTERNAL;
    struct ulv_diag diag = ULV_DIAG_INIT;

    real_alloc = bare.host.alloc;
    bare.host.alloc = failing_alloc;
    for (fail_at = 1; status != ULV_OK; fail_at++) {
        allocations = 0;
        status = try_begin(loop, sizeof(loop), &diag);
        check(status == ULV_OK || status == ULV_E_NO_MEMORY, "status",
              (uint64_t)(int64_t)status);
        end();
        check(bare.heap_free == free_bytes, "heap", bare.heap_free);
    }
    bare.host.alloc = real_alloc;
    check(fail_at > 10, "allocations", fail_at);
}

static const struct test_case cases[] = {
    {"calls", test_calls},
    {"calls at once", test_calls_at_once},
    {"VMCS is cleared", test_vmcs_is_cleared},
    {"memory comes and goes", test_memory},
    {"translations are dropped", test_translations_are_dropped},
    {"translations of others", test_translations_of_others},
    {"rights", test_rights},
    {"scattered pages", test_scattered_pages},
    {"cpuid", test_cpuid},
    {"every allocation fails", test_every_allocation_fails},
};

const struct case_list memory_cases = {cases, ULV_COUNT_OF(cases)};
