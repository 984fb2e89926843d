/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/vtx/vtx_priv.h"

#include "monitor/exception.h"

/*
 * A stay is cut into slices by the preemption timer, and kick is looked at
 * after each: that is how soon a kick takes effect.
 */
#define SLICE_NS     UINT64_C(1000000)
#define LEARN_NS     UINT64_C(1000000)
#define FIRST_TICKS  UINT64_C(0x10000) /* until it is known how fast */
#define NS_A_US      UINT64_C(1000)
#define FLAGS_RESET  UINT64_C(2) /* SDM vol. 1 3.4.3 */

/* run.S knows these */
_Static_assert(offsetof(struct ulv_registers, rdi) == 40, "run.S");
_Static_assert(offsetof(struct ulv_registers, rbp) == 48, "run.S");
_Static_assert(offsetof(struct ulv_registers, r8) == 64, "run.S");
_Static_assert(offsetof(struct ulv_registers, r15) == 120, "run.S");

static void
log_failure(const struct vcpu *v, const struct failure *failure)
{
    const struct ulv_host *host = v->machine->cfg.host;
    struct ulv_text text;
    char buf[160];

    if (host->log == NULL)
        return;
    ulv_text_init(&text, buf, sizeof(buf));
    ulv_text_format(&text, "vtx: partition %u: ", v->machine->cfg.partition);
    ulv_vtx_failure_text(failure, &text);
    host->log(host->self, ULV_LOG_ERROR, buf);
}

static void
log_exit(const struct vcpu *v, const struct ulv_vtx_exit *exit)
{
    const struct ulv_host *host = v->machine->cfg.host;
    const char *name = ulv_vtx_exit_text(exit->reason);
    struct ulv_text text;
    char buf[160];

    if (host->log == NULL)
        return;
    ulv_text_init(&text, buf, sizeof(buf));
    ulv_text_format(&text, "vtx: partition %u: %s (exit reason %x, "
                           "qualification %x)",
                    v->machine->cfg.partition,
                    name != NULL ? name : "unknown exit",
                    (uint64_t)exit->reason, exit->qualification);
    host->log(host->self, ULV_LOG_ERROR, buf);
}

/* ---- begin and end ------------------------------------------------------- */

static void
write_fields(struct failure *failure, const struct vcpu *v)
{
    const struct machine *m = v->machine;
    struct ulv_vtx_field fields[ULV_VTX_FIELDS_MAX];
    uint32_t count = ulv_vtx_guest_fields(
        &m->controls, ulv_vtx_ept_pointer(&m->ept), m->root->efer,
        m->root->cr4, fields);

    for (uint32_t i = 0; i < count; i++)
        ulv_vtx_write(failure, fields[i].field, fields[i].value);
    ulv_vtx_write(failure, FIELD_GUEST_RIP, v->registers.rip);
    ulv_vtx_write(failure, FIELD_GUEST_RSP, v->registers.rsp);
    ulv_vtx_write(failure, FIELD_GUEST_RFLAGS, v->registers.rflags);
    ulv_vtx_fields_of_host(failure, m->root);
}

ulv_status
ulv_vtx_vcpu_init(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
                  ulv_gpa stack, uint64_t argument, struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    struct machine *m = machine;
    const struct ulv_host *host = m->cfg.host;
    uint32_t revision = (uint32_t)(m->capabilities.basic & BASIC_REVISION);
    struct failure failure = { .status = ULV_OK };
    struct ulv_text text;
    char buf[160];

    (void)idx;
    v->machine = m;
    v->made = true;
    v->vmcs = host->alloc(host->self, ULV_VTX_PAGE, ULV_VTX_PAGE);
    if (v->vmcs == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition, ULV_VTX_PAGE,
                        0, "no memory for a VMCS");
    memcpy(v->vmcs, &revision, sizeof(revision));
    v->vmcs_physical = host->physical(host->self, v->vmcs);
    v->registers.rdi = argument;
    v->registers.rip = entry.value;
    v->registers.rsp = stack.value - 8;
    v->registers.rflags = FLAGS_RESET;
    v->first_time = cpu_time();
    v->first_now = host->now(host->self);
    ulv_vtx_note(&failure, "VMCLEAR", vmx_clear(v->vmcs_physical));
    ulv_vtx_make_current(&failure, v);
    write_fields(&failure, v);
    if (failure.status == ULV_OK)
        return ULV_OK;
    ulv_text_init(&text, buf, sizeof(buf));
    ulv_vtx_failure_text(&failure, &text);
    return ulv_fail(diag, ULV_E_HOST, m->cfg.partition, failure.error, 0, "%s",
                    buf);
}

/* The processor may keep parts of a VMCS until it is cleared; SDM vol. 3C
 * 24.11.3. */
void
ulv_vtx_vcpu_fini(void *vcpu)
{
    struct vcpu *v = vcpu;

    if (!v->made)
        return;
    v->made = false;
    if (v->vmcs_physical != 0)
        (void)vmx_clear(v->vmcs_physical);
    if (v->machine->root->current == v)
        v->machine->root->current = NULL;
    v->machine->cfg.host->free(v->machine->cfg.host->self, v->vmcs,
                               ULV_VTX_PAGE);
    v->vmcs = NULL;
}

/* ---- run ----------------------------------------------------------------- */

static void
learn(struct vcpu *v)
{
    const struct ulv_host *host = v->machine->cfg.host;
    ulv_nsec known = host->now(host->self) - v->first_now;

    if (known >= LEARN_NS)
        v->ticks_a_microsecond =
            (cpu_time() - v->first_time) / (known / NS_A_US) + 1;
}

/* SDM vol. 3C 25.5.1: the timer counts down every 2^n ticks. */
static uint64_t
timer_value(struct vcpu *v, ulv_nsec slice)
{
    uint64_t shift = v->machine->capabilities.misc & 31;
    uint64_t ticks = FIRST_TICKS;

    if (slice == SLICE_NS && v->timer_of_slice != 0)
        return v->timer_of_slice;
    if (v->ticks_a_microsecond == 0)
        learn(v);
    if (v->ticks_a_microsecond != 0)
        ticks = v->ticks_a_microsecond * (slice / NS_A_US + 1);
    ticks = ULV_MIN((ticks >> shift) + 1, (uint64_t)UINT32_MAX);
    if (slice == SLICE_NS && v->ticks_a_microsecond != 0)
        v->timer_of_slice = ticks;
    return ticks;
}

static void
read_exit(struct vcpu *v, uint32_t reason, struct ulv_vtx_exit *exit)
{
    v->registers.rip = vmx_read(FIELD_GUEST_RIP);
    v->registers.rsp = vmx_read(FIELD_GUEST_RSP);
    v->registers.rflags = vmx_read(FIELD_GUEST_RFLAGS);
    exit->reason = reason;
    exit->event = (uint32_t)vmx_read(FIELD_EVENT);
    exit->event_error = (uint32_t)vmx_read(FIELD_EVENT_ERROR);
    exit->instruction_bytes = (uint32_t)vmx_read(FIELD_INSTRUCTION_BYTES);
    exit->qualification = vmx_read(FIELD_QUALIFICATION);
    exit->guest_physical = vmx_read(FIELD_GUEST_PHYSICAL);
}

/* Behind the instruction that exited. */
static void
step_over(void)
{
    (void)vmx_write(FIELD_GUEST_RIP, vmx_read(FIELD_GUEST_RIP) +
                                         vmx_read(FIELD_INSTRUCTION_BYTES));
}

static void
answer_cpuid(struct ulv_registers *r)
{
    uint32_t leaf = (uint32_t)r->rax, ret[4];
    struct cpu_identity id = cpu_id(ulv_vtx_cpuid_leaf(leaf), 0);
    const uint32_t host[4] = { id.eax, id.ebx, id.ecx, id.edx };

    ulv_vtx_cpuid(leaf, host, ret);
    r->rax = ret[0];
    r->rbx = ret[1];
    r->rcx = ret[2];
    r->rdx = ret[3];
}

/* What was the host's, and is no longer pending: as if it came now. */
static void
raise_again(struct vcpu *v)
{
    if (v->raise == ULV_VECTOR_NMI)
        __asm__ volatile("int $2" ::: "memory");
    else if (v->raise == ULV_VECTOR_MACHINE)
        __asm__ volatile("int $18" ::: "memory");
    v->raise = 0;
}

/* What an exit asks of us; whether the guest goes on. */
static bool
follow(struct vcpu *v, const struct ulv_vtx_exit *exit, struct ulv_exit *out)
{
    switch (ulv_vtx_exit_decode(exit, &v->registers, out)) {
    case ULV_VTX_CALL:
        step_over();
        return false;
    case ULV_VTX_CPUID:
        step_over();
        answer_cpuid(&v->registers);
        return true;
    case ULV_VTX_ON:
        return true;
    case ULV_VTX_INTERRUPT:
        return false;
    case ULV_VTX_NMI:
        v->raise = ULV_VECTOR_NMI;
        return false;
    case ULV_VTX_MACHINE_CHECK:
        v->raise = ULV_VECTOR_MACHINE;
        v->ended = true;
        return false;
    default:
        v->ended = true;
        if (out->u.fault.kind == ULV_FAULT_BACKEND)
            log_exit(v, exit);
        return false;
    }
}

/* VMCALL, the common case, told by three fields of the VMCS. Whether it was
 * answered on the spot. */
static bool
answer_call(struct vcpu *v, struct ulv_exit *out)
{
    const struct ulv_machine_cfg *cfg = &v->machine->cfg;
    int64_t status;
    uint64_t value;

    step_over();
    ulv_vtx_call(&v->registers, out);
    if (cfg->call == NULL ||
        !cfg->call(cfg->self, &out->u.call, &status, &value))
        return false;
    v->registers.rax = (uint64_t)status;
    v->registers.rdx = value;
    return true;
}

static void
set_timer(struct vcpu *v, struct failure *failure, uint64_t value)
{
    if (value == v->timer)
        return;
    v->timer = value;
    ulv_vtx_note(failure, "VMWRITE", vmx_write(FIELD_TIMER, value));
}

/* Whether the budget is used up, whatever exits the guest went on from. Until
 * it is known how fast the time stamp counts, for a millisecond, it is not. */
static bool
is_over(const struct vcpu *v, uint64_t began, uint64_t budget_us)
{
    return v->ticks_a_microsecond != 0 &&
           cpu_time() - began >= budget_us * v->ticks_a_microsecond;
}

/* Slices until something is to tell. One that the timer ends has used its
 * length of the budget; others may have used as much. */
static void
stay_in(struct vcpu *v, struct failure *failure, ulv_nsec budget_ns,
        struct ulv_exit *out)
{
    struct ulv_vtx_exit exit;
    ulv_nsec left = budget_ns;
    uint64_t budget_us = ULV_MIN(budget_ns / NS_A_US, (uint64_t)UINT32_MAX);
    uint64_t began = cpu_time();
    uint32_t reason;

    do {
        ulv_nsec slice = ULV_MIN(left, SLICE_NS);

        set_timer(v, failure, timer_value(v, slice));
        ulv_vtx_note(failure, "VMLAUNCH or VMRESUME",
                     ulv_vtx_enter(&v->registers, v->launched));
        if (failure->status != ULV_OK)
            return;
        reason = (uint32_t)vmx_read(FIELD_REASON);
        if (reason == REASON_VMCALL) {
            v->launched = true;
            if (!answer_call(v, out))
                return;
        } else {
            v->launched = (reason & REASON_ENTRY_FAILED) == 0;
            read_exit(v, reason, &exit);
            if (!follow(v, &exit, out))
                return;
        }
        if (reason == REASON_TIMER)
            left -= slice;
        /* pairs with vcpu_kick */
    } while (left > 0 && !is_over(v, began, budget_us) &&
             __atomic_exchange_n(&v->kicked, 0, __ATOMIC_SEQ_CST) == 0);
    out->reason = ULV_EXIT_INTERRUPTED;
}

ulv_status
ulv_vtx_vcpu_run(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *out)
{
    struct vcpu *v = vcpu;
    const struct root *root = v->machine->root;
    struct failure failure = { .status = ULV_OK };
    struct ulv_vtx_descriptor gdt, idt;
    uint64_t flags;

    if (v->ended) {
        memset(out, 0, sizeof(*out));
        out->reason = ULV_EXIT_ENDED;
        out->u.fault.kind = ULV_FAULT_KILLED;
        return ULV_OK;
    }
    out->reason = ULV_EXIT_INTERRUPTED;
    /* pairs with vcpu_kick */
    if (__atomic_exchange_n(&v->kicked, 0, __ATOMIC_SEQ_CST) != 0 ||
        budget_ns == 0)
        return ULV_OK;
    flags = cpu_interrupts_off();
    cpu_tables(&gdt, &idt);
    if (root->current != v || v->machine->stale)
        ulv_vtx_make_current(&failure, v);
    if (failure.status == ULV_OK)
        stay_in(v, &failure, budget_ns, out);
    /* an exit has set their limits to 64 KiB, and their bases to those of the
     * VMCS; SDM vol. 3C 27.5.2 */
    cpu_load_tables(&gdt, &idt);
    raise_again(v);
    cpu_write_flags(flags);
    if (failure.status != ULV_OK) {
        v->ended = true;
        log_failure(v, &failure);
        return ULV_E_HOST;
    }
    if (out->reason == ULV_EXIT_FAULT) {
        ulv_regions_take_instruction(&v->machine->regions, &out->u.fault);
        if (out->u.fault.vector == ULV_VECTOR_PROTECTION)
            ulv_fault_classify(&out->u.fault); /* now it is known which */
    }
    return ULV_OK;
}

void
ulv_vtx_vcpu_answer(void *vcpu, int64_t status, uint64_t value)
{
    struct vcpu *v = vcpu;

    v->registers.rax = (uint64_t)status;
    v->registers.rdx = value;
}

void
ulv_vtx_vcpu_kick(void *vcpu)
{
    struct vcpu *v = vcpu;

    /* pairs with vcpu_run: before a stay and after each slice */
    __atomic_store_n(&v->kicked, 1, __ATOMIC_SEQ_CST);
}

ulv_status
ulv_vtx_vcpu_registers(void *vcpu, struct ulv_registers *ret)
{
    struct vcpu *v = vcpu;
    struct failure failure = { .status = ULV_OK };
    uint64_t flags;

    if (!v->ended) {
        flags = cpu_interrupts_off();
        ulv_vtx_make_current(&failure, v);
        v->registers.rip = vmx_read(FIELD_GUEST_RIP);
        v->registers.rsp = vmx_read(FIELD_GUEST_RSP);
        v->registers.rflags = vmx_read(FIELD_GUEST_RFLAGS);
        cpu_write_flags(flags);
    }
    *ret = v->registers;
    return failure.status;
}
