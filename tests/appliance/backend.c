/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The VT-x backend on a processor. Says first how many cases there are, then
 * "ok NAME" for each that holds, "not ok NAME" for others, in the end how many
 * held; test_backend.py reads. Each case leaves the host as it was.
 */
#include "backend.h"

/* The registers of the host that a stay in a guest could change. */
#define STATE_MAX 32

#define GUARD UINT64_C(4096) /* beside the memory of the guest */

struct state {
    uint64_t value[STATE_MAX];
    uint32_t count;
};

const struct ulv_backend_ops *const ops = &ulv_backend_vtx;
struct ulv_bare bare;
uint8_t *ram;
void *machine, *vcpu;

static bool failed; /* the case under way */
static uint32_t held;
static struct state state;
static uint64_t heap_free;

/* ---- what is said -------------------------------------------------------- */

void
say(const char *format, ...)
{
    char line[256];
    struct ulv_text text;
    va_list arguments;

    ulv_text_init(&text, line, sizeof(line));
    va_start(arguments, format);
    ulv_text_arguments(&text, format, arguments);
    va_end(arguments);
    bare.host.log(bare.host.self, ULV_LOG_INFO, line);
}

void
check(bool holds, const char *what, uint64_t value)
{
    if (!holds)
        say("# %s: %x", what, value);
    failed |= !holds;
}

void
check_fault(const struct ulv_exit *out, uint32_t kind, uint64_t address)
{
    check(out->reason == ULV_EXIT_FAULT, "reason", out->reason);
    check(out->u.fault.kind == kind, "kind", out->u.fault.kind);
    check(address == ANYWHERE || out->u.fault.address == address, "address",
          out->u.fault.address);
}

/* ---- the host ------------------------------------------------------------ */

static void
put(struct state *s, uint64_t value)
{
    if (s->count < STATE_MAX)
        s->value[s->count++] = value;
}

/* What an exit loads or loses: SDM vol. 3C 27.5.1 to 27.5.3. */
static void
read_state(struct state *s)
{
    struct ulv_vtx_descriptor gdt = {0}, idt = {0};
    uint64_t flags, dr7, cr8;
    uint16_t ldt;

    __asm__ volatile("pushfq; pop %0" : "=r"(flags) : : "memory");
    __asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
    __asm__ volatile("mov %%cr8, %0" : "=r"(cr8));
    __asm__ volatile("sldt %0" : "=r"(ldt));
    cpu_tables(&gdt, &idt);
    s->count = 0;
    /* but for those of arithmetic; SDM vol. 1 3.4.3 */
    put(s, flags & ~UINT64_C(0x8d5));
    put(s, cpu_cr0());
    put(s, cpu_cr3());
    put(s, cpu_cr4());
    put(s, cr8);
    put(s, gdt.limit);
    put(s, gdt.base);
    put(s, idt.limit);
    put(s, idt.base);
    put(s, cpu_tr());
    put(s, ldt);
    put(s, dr7);
    put(s, cpu_es());
    put(s, cpu_cs());
    put(s, cpu_ss());
    put(s, cpu_ds());
    put(s, cpu_fs());
    put(s, cpu_gs());
    put(s, cpu_msr(MSR_EFER));
    put(s, cpu_msr(MSR_FS_BASE));
    put(s, cpu_msr(MSR_GS_BASE));
    put(s, cpu_msr(MSR_SYSENTER_CS));
    put(s, cpu_msr(MSR_SYSENTER_ESP));
    put(s, cpu_msr(MSR_SYSENTER_EIP));
}

/* The port leaves many of them 0, as does an exit whose field for one was never
 * written: each has a value of its own here. No code of an image uses them. */
static void
make_state_distinct(void)
{
    uint64_t base = UINT64_C(0x123456789000);

    __asm__ volatile("mov %0, %%fs\n"
                     "    mov %0, %%gs"
                     :
                     : "r"((uint32_t)cpu_ds()));
    cpu_write_msr(MSR_FS_BASE, base + 1);
    cpu_write_msr(MSR_GS_BASE, base + 2);
    cpu_write_msr(MSR_SYSENTER_CS, cpu_cs());
    cpu_write_msr(MSR_SYSENTER_ESP, base + 3);
    cpu_write_msr(MSR_SYSENTER_EIP, base + 4);
    cpu_write_msr(MSR_EFER, cpu_msr(MSR_EFER) | EFER_SCE);
}

/* Registers, heap and guards as before the first case. */
static void
check_host(void)
{
    struct state now;

    read_state(&now);
    check(now.count == state.count && now.count < STATE_MAX, "registers",
          now.count);
    for (uint32_t i = 0; i < now.count; i++) {
        check(now.value[i] == state.value[i], "register number", i);
        check(now.value[i] == state.value[i], "is now", now.value[i]);
    }
    check(bare.heap_free == heap_free, "heap", bare.heap_free);
    check(bare.misuse == 0, "misuse", bare.misuse);
    check(bare.objects.live_handles == 0, "handles", bare.objects.live_handles);
    for (uint64_t i = 0; i < GUARD; i++) {
        check(ram[BYTES + i] == 0, "written above at", i);
        check(ram[-(int64_t)i - 1] == 0, "written below at", i);
    }
}

static void
finish(const char *name)
{
    check_host();
    say(failed ? "not ok %s" : "ok %s", name);
    held += !failed;
    failed = false;
}

/* ---- a guest ------------------------------------------------------------- */

ulv_status
try_begin(const void *code, size_t bytes, struct ulv_diag *diag)
{
    struct ulv_machine_cfg cfg = {.size = sizeof(cfg),
                                  .vcpu_count = 1,
                                  .host = &bare.host,
                                  .partition = 7,
                                  .gate = GATE};
    ulv_status status;

    memset(machine, 0, ops->machine_bytes);
    memset(vcpu, 0, ops->vcpu_bytes);
    memset(ram, 0, BYTES);
    memcpy(ram, code, bytes);
    status = ops->machine_init(machine, &cfg, diag);
    if (status == ULV_OK)
        status = ops->map(machine, (ulv_gpa){RAM}, BYTES, ULV_NO_HANDLE, 0, ram,
                          ULV_GUEST_WRITE | ULV_GUEST_EXECUTE);
    if (status == ULV_OK)
        status = ops->vcpu_init(vcpu, machine, 0, (ulv_gpa){RAM},
                                (ulv_gpa){RAM + BYTES}, 77, diag);
    return status;
}

void
begin(const void *code, size_t bytes)
{
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (try_begin(code, bytes, &diag) == ULV_OK)
        return;
    say("not ok: %s", diag.text);
    ulv_bare_end(false);
}

void
end(void)
{
    ops->vcpu_fini(vcpu);
    ops->machine_fini(machine);
}

void
run(struct ulv_exit *out)
{
    for (int i = 0; i < 50; i++) {
        check(ops->vcpu_run(vcpu, SECOND, out) == ULV_OK, "run", 0);
        if (out->reason != ULV_EXIT_INTERRUPTED)
            return;
    }
    check(false, "no exit", 0);
}

void
write_field(uint64_t field, uint64_t value)
{
    struct failure failure = { .status = ULV_OK };

    ulv_vtx_make_current(&failure, vcpu);
    ulv_vtx_write(&failure, field, value);
    check(failure.status == ULV_OK, "VMWRITE", failure.error);
}

/* ---- all of them --------------------------------------------------------- */

static void
run_fault(const struct fault_row *row)
{
    struct ulv_exit out;

    begin(row->code, sizeof(row->code));
    run(&out);
    check_fault(&out, row->kind, row->address);
    if (row->kind != ULV_FAULT_EXECUTE &&
        row->address == out.u.fault.registers.rip) {
        check(out.u.fault.instruction_bytes == 15, "bytes", 0);
        check(memcmp(out.u.fault.instruction, ram + (row->address - RAM), 15) ==
                  0,
              "instruction", 0);
    }
    run(&out);
    check(out.reason == ULV_EXIT_ENDED, "after it", out.reason);
    end();
    finish(row->what);
}

static uint64_t
run_all(bool count_only)
{
    const struct fault_list common = {faults, ULV_COUNT_OF(faults)};
    const struct fault_list *const rows[] = {&common, &hostile_faults};
    const struct case_list *const lists[] = {&memory_cases, &time_cases,
                                             &hostile_cases};
    uint64_t count = 0;

    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        count += rows[i]->count;
        for (size_t n = 0; n < rows[i]->count && !count_only; n++)
            run_fault(&rows[i]->rows[n]);
    }
    for (size_t i = 0; i < ULV_COUNT_OF(lists); i++) {
        count += lists[i]->count;
        for (size_t n = 0; n < lists[i]->count && !count_only; n++) {
            lists[i]->cases[n].run();
            finish(lists[i]->cases[n].name);
        }
    }
    return count;
}

bool
ulv_bare_main(const struct ulv_bare_boot *boot)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_backend_caps caps;
    uint64_t count = run_all(true);
    uint8_t *memory;

    if (ulv_bare_host_init(&bare, boot, &diag) != ULV_OK) {
        say("host: %s", diag.text);
        return false;
    }
    if (ops->probe(&bare.host, &caps, &diag) != ULV_OK) {
        say("probe: %s", diag.text);
        return false;
    }
    say("probe: %s", caps.version);
    memory = bare.host.alloc(bare.host.self, 3 * BYTES, BYTES);
    machine = bare.host.alloc(bare.host.self, ops->machine_bytes, 16);
    vcpu = bare.host.alloc(bare.host.self, ops->vcpu_bytes, 16);
    if (memory == NULL || machine == NULL || vcpu == NULL)
        return false;
    ram = memory + BYTES;
    make_state_distinct();
    read_state(&state);
    heap_free = bare.heap_free;
    say("cases %u", count);
    (void)run_all(false);
    say("done: %u of %u hold", (uint64_t)held, count);
    return held == count;
}
