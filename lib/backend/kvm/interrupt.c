/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Interrupts of machines that have them: KVM's local APIC, in x2APIC mode, and
 * a few instructions at CPL0 between it and a handler at CPL3.
 *
 * An interrupt saves what it interrupted in the processor's own block, which no
 * guest reaches, tells the APIC that it is done with, and enters the handler
 * with IF clear. CPL3 cannot set IF: so nothing more comes, and the block stays
 * as it is, until the handler ends. It does that by a division by zero at one
 * place of the gate: an exception that no KVM intercepts, and that one without
 * hardware virtualization delivers as well, which is not so of INT n.
 *
 * Source: Intel SDM vol. 3A 6.14 (interrupts in 64-bit mode), 10.12 (x2APIC),
 * 10.11 (messages); KVM api.rst 4.38 (KVM_SET_MP_STATE), 4.57 (KVM_SET_LAPIC),
 * 4.71 (KVM_SIGNAL_MSI), 4.75 (KVM_IRQFD), 7.5 (KVM_CAP_SPLIT_IRQCHIP)
 */
#include <string.h>
#include <sys/ioctl.h>

#include "backend/kvm/kvm_priv.h"

#define FIRST_VECTOR UINT64_C(0x40) /* of the processor: our vector 0 */

#define APIC_X2     (UINT64_C(1) << 10) /* in IA32_APIC_BASE */
#define APIC_SPIV   0xf0
#define APIC_ISR    0x100 /* a bit a vector, 32 in every 16 bytes */
#define APIC_IRR    0x200
#define APIC_BITS   0x80
#define APIC_LINT0  0x350
#define APIC_ON     UINT32_C(0x1ff)
#define APIC_MASKED UINT32_C(0x10000)
#define ECX_X2APIC  (UINT32_C(1) << 21)

/* Offsets in STUBS, behind those of exceptions. */
#define STUB_VECTORS 0x400u /* 8 bytes each */
#define STUB_ENTER   0x600u
#define STUB_DIVIDE  0x700u

/* At the begin of a processor's block; its end is the stack of interrupts. */
struct block {
    uint64_t count;  /* of interrupts that were delivered */
    uint64_t active; /* 1: it is in its handler */
    uint64_t entry, stack;
};

/* Below the end of the block: rip, cs, rflags, rsp, ss as they were pushed;
 * the vector, and rdi as it was. */
#define FRAME  40
#define VECTOR 48
#define SAVED  56 /* rdi */

/* How far enter is when it has given back rax, rcx, rdx, which it pushes behind
 * rdi; and put_divide when there is no handler any more. */
#define ENTER_GIVEN_BACK 49u
#define DIVIDE_DONE      41u

#define BYTES4(n)                                                              \
    (uint8_t)((uint32_t)(n) & 255), (uint8_t)((uint32_t)(n) >> 8 & 255),       \
        (uint8_t)((uint32_t)(n) >> 16 & 255), (uint8_t)((uint32_t)(n) >> 24)
/* A word of the block, from a stack pointer so far below its end. */
#define FROM(below, field)                                                     \
    BYTES4((int32_t)((below) - INTERRUPT_ROOM + offsetof(struct block, field)))
/* The same, from the stack of exceptions, FRAME below its end. */
#define APART ((int32_t)(INTERRUPTS - STACK))
#define ACROSS(field)                                                          \
    BYTES4((int32_t)(APART + FRAME - INTERRUPT_ROOM +                          \
                     offsetof(struct block, field)))

static const uint8_t enter[] = {
    0x48, 0xff, 0x84, 0x24, FROM(48, count),  /* incq count(%rsp) */
    0x57,                                     /* push %rdi */
    0x48, 0x8b, 0x7c, 0x24, 8,                /* mov 8(%rsp), %rdi */
    0x48, 0xc7, 0x84, 0x24, FROM(SAVED, active), 1, 0, 0, 0,
                                              /* movq $1, active(%rsp) */
    0x50, 0x51, 0x52,                         /* push %rax, %rcx, %rdx */
    0xb9, BYTES4(0x80b),                      /* mov $EOI, %ecx */
    0xb8, BYTES4(0),                          /* mov $0, %eax */
    0xba, BYTES4(0),                          /* mov $0, %edx */
    0x0f, 0x30,                               /* wrmsr */
    0x5a, 0x59, 0x58,                         /* pop %rdx, %rcx, %rax */
    0x6a, SELECTOR_DATA3,                     /* push $SELECTOR_DATA3 */
    0xff, 0xb4, 0x24, FROM(SAVED + 8, stack), /* push stack(%rsp) */
    0x6a, 2,                                  /* push $2: IF is clear */
    0x6a, SELECTOR_CODE3,                     /* push $SELECTOR_CODE3 */
    0xff, 0xb4, 0x24, FROM(SAVED + 32, entry), /* push entry(%rsp) */
    0x48, 0xcf,                               /* iretq */
};

/* The door: in front of the gate proper, for machines with interrupts. */
#define DOOR 9
static const uint8_t door[] = {
    0x48, 0x81, 0xff, BYTES4(ULV_CALL_RESUME), /* cmp $RESUME, %rdi */
    0x75, 6,                                  /* jne 1f */
    0xf6, 0x35, BYTES4(0x800),                /* divb 0x800(%rip): a zero */
};                                            /* 1: */

static struct block *
block_of(const struct vcpu *v)
{
    return (struct block *)(void *)(v->machine->low + INTERRUPTS +
                                    v->idx * INTERRUPT_ROOM);
}

bool
ulv_kvm_is_door(const struct machine *m, uint64_t rip)
{
    return m->cfg.interrupts != 0 && rip == m->cfg.gate + DOOR;
}

/* ---- what the processor reads -------------------------------------------- */

/* A jump of 32 bits whose displacement ends at this offset in STUBS. */
static void
put_target(uint8_t *stubs, uint32_t end, uint32_t target)
{
    const uint8_t distance[] = { BYTES4(target - end) };

    memcpy(stubs + end - 4, distance, 4);
}

static void
put_divide(const struct machine *m, uint8_t *stubs)
{
    const uint8_t code[] = {
        0x48, 0x81, 0x3c, 0x24, BYTES4(m->cfg.gate + DOOR),
                                        /* cmpq $door, (%rsp) */
        0x0f, 0x85, BYTES4(0),          /* jne STUBS */
        0x48, 0x83, 0xbc, 0x24, ACROSS(active), 0,
                                        /* cmpq $0, active(%rsp) */
        0x0f, 0x84, BYTES4(0),          /* je STUBS */
        0x48, 0xc7, 0x84, 0x24, ACROSS(active), 0, 0, 0, 0,
                                        /* movq $0, active(%rsp) */
        0x48, 0x8b, 0xbc, 0x24, BYTES4(APART + FRAME - SAVED),
                                        /* mov rdi(%rsp), %rdi */
        0x48, 0x81, 0xc4, BYTES4(APART), /* add $APART, %rsp */
        0x48, 0xcf,                     /* iretq */
    };

    memcpy(stubs + STUB_DIVIDE, code, sizeof(code));
    put_target(stubs, STUB_DIVIDE + 14, 0);
    put_target(stubs, STUB_DIVIDE + 29, 0);
}

uint64_t
ulv_kvm_interrupts_lay(struct machine *m)
{
    uint8_t *stubs = m->low + STUBS;

    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        const uint8_t vector[] = { 0x6a, (uint8_t)i, 0xe9 }; /* push; jmp */
        uint32_t at = STUB_VECTORS + i * 8;

        memcpy(stubs + at, vector, sizeof(vector));
        put_target(stubs, at + 7, STUB_ENTER);
        ulv_kvm_set_gate(m, FIRST_VECTOR + i, STUBS + at, 0, 2);
    }
    memcpy(stubs + STUB_ENTER, enter, sizeof(enter));
    put_divide(m, stubs);
    ulv_kvm_set_gate(m, 0, STUBS + STUB_DIVIDE, 0, 1);
    memcpy(m->low + m->cfg.gate, door, sizeof(door));
    return sizeof(door);
}

/* ---- machines ------------------------------------------------------------ */

static const long needed[] = { KVM_CAP_IRQFD, KVM_CAP_IRQ_ROUTING,
                               KVM_CAP_SIGNAL_MSI, KVM_CAP_MP_STATE };

bool
ulv_kvm_interrupts_can(int kvm_fd)
{
    return ulv_kvm_has_all(kvm_fd, needed, ULV_COUNT_OF(needed)) &&
           (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) > 0 ||
            ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) > 0);
}

ulv_status
ulv_kvm_interrupts_init(struct machine *m, int kvm_fd, struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        m->bound[i] = -1;
        m->route[i] = UINT8_MAX;
    }
    m->splits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) > 0;
    if (ulv_kvm_interrupts_can(kvm_fd))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, m->cfg.partition, 0, 0,
                    "/dev/kvm lacks what interrupts need (irqfd, routing, "
                    "messages, an APIC in the kernel)");
}

/* As late as can be: a memory slot that is set after it costs much more. */
ulv_status
ulv_kvm_interrupts_chip(struct machine *m, struct ulv_diag *diag)
{
    struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP };

    if (m->has_chip)
        return ULV_OK;
    m->has_chip = true;
    if (m->splits) {
        if (ioctl(m->vm_fd, KVM_ENABLE_CAP, &split) != 0)
            return ulv_kvm_error(diag, "KVM_CAP_SPLIT_IRQCHIP");
    } else if (ioctl(m->vm_fd, KVM_CREATE_IRQCHIP, 0) != 0) {
        return ulv_kvm_error(diag, "KVM_CREATE_IRQCHIP");
    }
    return ULV_OK;
}

/* ---- vcpus --------------------------------------------------------------- */

void
ulv_kvm_interrupts_show(struct cpuid *c)
{
    for (uint32_t i = 0; i < c->head.nent; i++) {
        if (c->entry[i].function == 1)
            c->entry[i].ecx |= ECX_X2APIC;
    }
}

void
ulv_kvm_interrupts_registers(struct kvm_sregs *s)
{
    s->apic_base |= APIC_X2;
    memset(s->interrupt_bitmap, 0, sizeof(s->interrupt_bitmap));
}

static bool
set_mp_state(const struct vcpu *v, uint32_t state)
{
    struct kvm_mp_state mp = { .mp_state = state };

    return ioctl(v->fd, KVM_SET_MP_STATE, &mp) == 0;
}

static void
set_word(struct kvm_lapic_state *apic, uint32_t at, uint32_t value)
{
    memcpy(apic->regs + at, &value, sizeof(value));
}

/* The APIC is on and has nothing pending, and there is no handler. */
ulv_status
ulv_kvm_interrupts_reset(struct vcpu *v, struct ulv_diag *diag)
{
    struct kvm_lapic_state apic;

    memset(block_of(v), 0, INTERRUPT_ROOM);
    v->slept_at = 0;
    v->sleeps = false;
    if (ioctl(v->fd, KVM_GET_LAPIC, &apic) != 0)
        return ulv_kvm_error(diag, "KVM_GET_LAPIC");
    set_word(&apic, APIC_SPIV, APIC_ON);
    set_word(&apic, APIC_LINT0, APIC_MASKED);
    memset(apic.regs + APIC_ISR, 0, APIC_BITS);
    memset(apic.regs + APIC_IRR, 0, APIC_BITS);
    if (ioctl(v->fd, KVM_SET_LAPIC, &apic) != 0)
        return ulv_kvm_error(diag, "KVM_SET_LAPIC");
    if (!set_mp_state(v, KVM_MP_STATE_RUNNABLE))
        return ulv_kvm_error(diag, "KVM_SET_MP_STATE");
    return ULV_OK;
}

ulv_status
ulv_kvm_vcpu_handler(void *vcpu, ulv_gpa entry, ulv_gpa stack)
{
    struct vcpu *v = vcpu;

    if (v->machine->cfg.interrupts == 0)
        return ULV_E_STATE;
    if (entry.value >= ADDRESS_MAX)
        return ULV_E_ARG;
    block_of(v)->entry = entry.value;
    block_of(v)->stack = stack.value - 8;
    return ULV_OK;
}

/* What inject and bind ask. */
static ulv_status
check(const struct vcpu *v, uint32_t vector)
{
    if (v->machine->cfg.interrupts == 0)
        return ULV_E_STATE;
    if (vector >= ULV_VECTOR_COUNT)
        return ULV_E_ARG;
    return block_of(v)->entry == 0 ? ULV_E_STATE : ULV_OK;
}

/* A message to the APIC of that number, fixed, by edge. */
#define MESSAGE_ADDRESS(idx) (UINT32_C(0xfee00000) | (uint32_t)(idx) << 12)
#define MESSAGE_DATA(vector) ((uint32_t)(FIRST_VECTOR + (vector)))

ulv_status
ulv_kvm_vcpu_inject(void *vcpu, uint32_t vector)
{
    const struct vcpu *v = vcpu;
    struct kvm_msi message = { .address_lo = MESSAGE_ADDRESS(v->idx),
                               .data = MESSAGE_DATA(vector) };
    ulv_status status = check(v, vector);

    if (status == ULV_OK &&
        ioctl(v->machine->vm_fd, KVM_SIGNAL_MSI, &message) < 0)
        status = ULV_E_HOST;
    return status;
}

bool
ulv_kvm_vcpu_withdraw(void *vcpu, uint32_t vector)
{
    const struct vcpu *v = vcpu;
    const uint64_t number = FIRST_VECTOR + vector;
    const uint64_t at = APIC_IRR + number / 32 * 16 + number / 8 % 4;
    const uint8_t bit = (uint8_t)(1u << number % 8);
    struct kvm_lapic_state apic;

    if (check(v, vector) != ULV_OK ||
        ioctl(v->fd, KVM_GET_LAPIC, &apic) != 0 ||
        ((uint8_t)apic.regs[at] & bit) == 0)
        return false;
    apic.regs[at] = (char)((uint8_t)apic.regs[at] & ~bit);
    return ioctl(v->fd, KVM_SET_LAPIC, &apic) == 0;
}

/* ---- saved, and restored ------------------------------------------------- */

static uint64_t
vectors_in(const struct kvm_lapic_state *apic, uint32_t at)
{
    uint64_t found = 0;

    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        const uint64_t number = FIRST_VECTOR + i;

        if (((uint8_t)apic->regs[at + number / 32 * 16 + number / 8 % 4] >>
                 number % 8 &
             1) != 0)
            found |= UINT64_C(1) << i;
    }
    return found;
}

/* A word so far below the end of the processor's block, or of its stack of
 * exceptions. */
static uint64_t *
below(const struct vcpu *v, uint64_t stack, uint64_t bytes)
{
    return (uint64_t *)(void *)(v->machine->low + stack +
                                (v->idx + 1) * STACK_ROOM - bytes);
}

static void
take_frame(const struct vcpu *v, struct interrupted *to)
{
    to->rip = *below(v, INTERRUPTS, FRAME);
    to->rflags = *below(v, INTERRUPTS, FRAME - 16);
    to->rsp = *below(v, INTERRUPTS, FRAME - 24);
    to->rdi = *below(v, INTERRUPTS, SAVED);
}

/* On its way to the handler: the vector is pending, as if nothing had been. */
static void
undo_entry(const struct vcpu *v, struct kvm_regs *regs, struct interrupted *to)
{
    const uint64_t at = regs->rip - STUBS;
    const uint64_t pushed =
        INTERRUPTS + (v->idx + 1) * INTERRUPT_ROOM - regs->rsp;
    const bool given_back = at >= STUB_ENTER + ENTER_GIVEN_BACK;
    uint64_t vector = *below(v, INTERRUPTS, VECTOR);

    if (pushed < VECTOR)
        vector = (at - STUB_VECTORS) / 8;
    take_frame(v, to);
    if (pushed >= SAVED)
        regs->rdi = to->rdi;
    if (!given_back && pushed >= SAVED + 8)
        regs->rax = *below(v, INTERRUPTS, SAVED + 8);
    if (!given_back && pushed >= SAVED + 16)
        regs->rcx = *below(v, INTERRUPTS, SAVED + 16);
    if (!given_back && pushed >= SAVED + 24)
        regs->rdx = *below(v, INTERRUPTS, SAVED + 24);
    to->pending |= UINT64_C(1) << vector % ULV_VECTOR_COUNT;
    to->active = 0;
    regs->rip = to->rip;
    regs->rflags = to->rflags;
    regs->rsp = to->rsp;
}

/* At the end of the handler: it is over. false: that is a fault. */
static bool
finish_handler(const struct vcpu *v, struct kvm_regs *regs,
               struct interrupted *to)
{
    const uint64_t at = regs->rip - STUBS - STUB_DIVIDE;

    if (!ulv_kvm_is_door(v->machine, *below(v, STACK, FRAME)) ||
        (to->active == 0 && at < DIVIDE_DONE))
        return false;
    take_frame(v, to);
    to->active = 0;
    regs->rip = to->rip;
    regs->rflags = to->rflags;
    regs->rsp = to->rsp;
    regs->rdi = to->rdi;
    return true;
}

ulv_status
ulv_kvm_interrupts_save(const struct vcpu *v, bool at_cpl3,
                        struct kvm_regs *regs, struct interrupted *ret,
                        struct ulv_diag *diag)
{
    const struct block *block = block_of(v);
    const uint64_t at = regs->rip - STUBS;
    struct kvm_vcpu_events events;
    struct kvm_lapic_state apic;
    bool stands = true;

    memset(ret, 0, sizeof(*ret));
    memset(&events, 0, sizeof(events));
    if (ioctl(v->fd, KVM_GET_LAPIC, &apic) != 0)
        return ulv_kvm_error(diag, "KVM_GET_LAPIC");
    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) != 0)
        return ulv_kvm_error(diag, "KVM_GET_VCPU_EVENTS");
    ret->entry = block->entry;
    ret->stack = block->stack + 8;
    ret->active = block->active != 0;
    ret->pending = vectors_in(&apic, APIC_IRR);
    /* taken out of the APIC, and not yet delivered */
    if (events.interrupt.injected != 0 && events.interrupt.nr >= FIRST_VECTOR &&
        events.interrupt.nr < FIRST_VECTOR + ULV_VECTOR_COUNT)
        ret->pending |= UINT64_C(1) << (events.interrupt.nr - FIRST_VECTOR);
    if (!at_cpl3 && at >= STUB_DIVIDE)
        stands = finish_handler(v, regs, ret);
    else if (!at_cpl3 && at >= STUB_VECTORS)
        undo_entry(v, regs, ret);
    else if (!at_cpl3)
        stands = false;
    else if (ret->active != 0)
        take_frame(v, ret);
    if (!stands)
        return ulv_fail(diag, ULV_E_STATE, v->machine->cfg.partition, at, 0,
                        "processor %u is about to fault: let the guest go on",
                        (uint64_t)v->idx);
    if (ret->active == 0)
        ret->rip = ret->rflags = ret->rsp = ret->rdi = 0;
    if (ret->entry == 0)
        ret->pending = ret->stack = 0;
    ret->rflags &= FLAGS_MASK;
    return ULV_OK;
}

/* An address that the processor does not refuse to return to. */
static bool
is_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

ulv_status
ulv_kvm_interrupts_check(const struct interrupted *from, struct ulv_diag *diag)
{
    if (from->entry >= ADDRESS_MAX)
        return ulv_kvm_bad(diag, "its handler", from->entry, ADDRESS_MAX);
    if (from->pending >> ULV_VECTOR_COUNT != 0 ||
        (from->entry == 0 && from->pending != 0))
        return ulv_kvm_bad(diag, "its pending vectors", from->pending,
                           from->entry == 0 ? 0 : UINT64_MAX >> 2);
    if (from->active > 1 || from->rsvd_ != 0)
        return ulv_kvm_bad(diag, "that it is in a handler", from->active, 1);
    if (!is_canonical(from->rip))
        return ulv_kvm_bad(diag, "where its handler ends", from->rip,
                           ADDRESS_MAX);
    if ((from->rflags & ~FLAGS_MASK) != 0)
        return ulv_kvm_bad(diag, "rflags", from->rflags, FLAGS_MASK);
    return ULV_OK;
}

ulv_status
ulv_kvm_interrupts_restore(const struct vcpu *v, const struct interrupted *from,
                           struct ulv_diag *diag)
{
    struct block *block = block_of(v);
    struct kvm_lapic_state apic;

    block->entry = from->entry;
    block->stack = from->stack - 8;
    block->active = from->active;
    *below(v, INTERRUPTS, FRAME) = from->rip;
    *below(v, INTERRUPTS, FRAME - 8) = SELECTOR_CODE3;
    *below(v, INTERRUPTS, FRAME - 16) = from->rflags | FLAGS_SET;
    *below(v, INTERRUPTS, FRAME - 24) = from->rsp;
    *below(v, INTERRUPTS, FRAME - 32) = SELECTOR_DATA3;
    *below(v, INTERRUPTS, SAVED) = from->rdi;
    if (ioctl(v->fd, KVM_GET_LAPIC, &apic) != 0)
        return ulv_kvm_error(diag, "KVM_GET_LAPIC");
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        const uint64_t number = FIRST_VECTOR + i;
        const uint64_t at = APIC_IRR + number / 32 * 16 + number / 8 % 4;

        if ((from->pending >> i & 1) != 0)
            apic.regs[at] = (char)((uint8_t)apic.regs[at] | 1u << number % 8);
    }
    if (ioctl(v->fd, KVM_SET_LAPIC, &apic) != 0)
        return ulv_kvm_error(diag, "KVM_SET_LAPIC");
    return ULV_OK;
}

/* ---- bells --------------------------------------------------------------- */

static bool
set_routes(const struct machine *m)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entry[ULV_VECTOR_COUNT];
    } routes;

    memset(&routes, 0, sizeof(routes));
    for (uint32_t i = 0; i < ULV_VECTOR_COUNT; i++) {
        struct kvm_irq_routing_entry *e = &routes.entry[routes.head.nr];

        if (m->route[i] == UINT8_MAX)
            continue;
        routes.head.nr++;
        e->gsi = i;
        e->type = KVM_IRQ_ROUTING_MSI;
        e->u.msi.address_lo = MESSAGE_ADDRESS(m->route[i]);
        e->u.msi.data = MESSAGE_DATA(i);
    }
    return ioctl(m->vm_fd, KVM_SET_GSI_ROUTING, &routes) == 0;
}

static bool
set_irqfd(const struct machine *m, uint32_t vector, int fd, uint32_t flags)
{
    struct kvm_irqfd bell = { .fd = (uint32_t)fd,
                              .gsi = vector,
                              .flags = flags };

    return ioctl(m->vm_fd, KVM_IRQFD, &bell) == 0;
}

ulv_status
ulv_kvm_vcpu_bind(void *vcpu, uint32_t vector, ulv_handle bell)
{
    const struct vcpu *v = vcpu;
    struct machine *m = v->machine;
    const struct ulv_host *host = m->cfg.host;
    ulv_status status = check(v, vector);
    uint8_t before;

    if (status != ULV_OK)
        return status;
    if (bell == ULV_NO_HANDLE) {
        if (m->bound[vector] >= 0 && m->route[vector] == v->idx) {
            (void)set_irqfd(m, vector, m->bound[vector],
                            KVM_IRQFD_FLAG_DEASSIGN);
            m->bound[vector] = -1;
        }
        return ULV_OK;
    }
    if (m->bound[vector] >= 0)
        return ULV_E_STATE;
    before = m->route[vector];
    m->route[vector] = (uint8_t)v->idx;
    if ((before != v->idx && !set_routes(m)) ||
        !set_irqfd(m, vector, (int)bell, 0)) {
        m->route[vector] = before;
        return ULV_E_LIMIT;
    }
    m->bound[vector] = (int)bell;
    /* KVM has seen what was signalled before, but left it there */
    (void)host->event_take(host->self, bell);
    return ULV_OK;
}

/* ---- sleep --------------------------------------------------------------- */

/* Pairs with the guest's INC, before anything else of an interrupt: as long as
 * it is as it was, the registers are those of the call. */
static uint64_t
delivered(const struct vcpu *v)
{
    return __atomic_load_n(&block_of(v)->count, __ATOMIC_ACQUIRE);
}

bool
ulv_kvm_vcpu_sleeps(void *vcpu)
{
    const struct vcpu *v = vcpu;

    return v->sleeps && delivered(v) == v->slept_at;
}

static bool
go_to_sleep(struct vcpu *v)
{
    /* the one that ended the last sleep is known */
    uint64_t known = v->slept_at + (v->sleeps ? 1 : 0);

    v->sleeps = false;
    v->slept_at = delivered(v);
    if (v->slept_at != known || !set_mp_state(v, KVM_MP_STATE_HALTED))
        return false;
    ulv_kvm_vcpu_answer(v, ULV_OK, 0);
    v->sleeps = true;
    return true;
}

bool
ulv_kvm_vcpu_sleep(void *vcpu, bool sleep)
{
    struct vcpu *v = vcpu;
    bool held = v->thread == NULL || v->thread->held;
    bool slept;

    if (sleep)
        return go_to_sleep(v);
    if (!v->sleeps)
        return false;
    if (!held)
        ulv_kvm_thread_hold(v, true);
    slept = ulv_kvm_vcpu_sleeps(v);
    if (slept) {
        (void)set_mp_state(v, KVM_MP_STATE_RUNNABLE);
        v->sleeps = false;
    }
    if (!held)
        ulv_kvm_thread_hold(v, false);
    return slept;
}
