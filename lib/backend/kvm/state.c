/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A virtual processor as bytes. Guests run at CPL3, so what they can make of a
 * processor is little, and only that is taken from a saved one: general
 * registers, flags, selectors of data segments, extended state, the time stamp
 * counter. All else is as vcpu_init made it: a file cannot give a guest a
 * privilege. doc/formats/save.md has the table.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/kvm/kvm_priv.h"
#include "monitor/exception.h"

#define STATE_MAGIC   UINT64_C(0x3155435655504b) /* "KPUVCU1" */
#define STATE_VERSION 1u
#define STATE_WITH_INTERRUPTS 2u /* the same, and what is of interrupts */
#define MSR_TSC       0x10u
#define FAR_TSC       (UINT64_C(1) << 48) /* hours, at any pace */

/* A difference of clocks that a guest does not see: 250 ppm. */
#define KHZ_PART 4000u

/* All numbers little-endian, as everything here. */
struct state {
    uint64_t magic;
    uint32_t version;
    uint32_t bytes; /* of all: this, then cpuid, then extended state [, then
                       interrupts] */
    uint32_t cpuid_count;    /* struct kvm_cpuid_entry2 */
    uint32_t extended_bytes; /* XSAVE, not compacted */
    uint32_t tsc_khz;
    uint32_t rsvd_;
    uint64_t tsc;
    uint64_t xcr0;
    struct ulv_registers registers;
    uint16_t selector[4]; /* ds es fs gs */
};

struct parts {
    struct state head;
    struct cpuid cpuid;
    struct kvm_xsave extended;
    struct interrupted interrupts;
};

_Static_assert(sizeof(struct state) == 200, "format");
_Static_assert(sizeof(struct interrupted) == 64, "format");
_Static_assert(sizeof(struct kvm_cpuid_entry2) == 40, "format");

/* ---- processor identification -------------------------------------------- */

/* The registers of CPUID that hold features: a guest that saw a bit there may
 * use it. SDM vol. 2, CPUID; AMD APM vol. 3, appendix E. */
static const struct {
    uint32_t function, index;
    uint32_t registers; /* bit 0 eax .. bit 3 edx */
    uint32_t of_system; /* in ecx: as CR4 says; that there is a hypervisor, and
                           interrupts (x2APIC) */
} features[] = {
    { 1, 0, 0xc, UINT32_C(0x88200000) },
    { 7, 0, 0xe, UINT32_C(1) << 4 },
    { 7, 1, 0xf, 0 },
    { 0xd, 1, 1, 0 },
    { 0x80000001, 0, 0xc, 0 },
    { 0x80000008, 0, 2, 0 },
};

static uint32_t
leaf_register(const struct kvm_cpuid_entry2 *e, uint32_t which)
{
    const uint32_t all[] = { e->eax, e->ebx, e->ecx, e->edx };

    return all[which];
}

/* Whether this host has every feature that the guest was shown. */
static ulv_status
check_features(const struct cpuid *host, const struct cpuid *saved,
               struct ulv_diag *diag)
{
    static const char *const name[] = { "eax", "ebx", "ecx", "edx" };

    for (size_t i = 0; i < ULV_COUNT_OF(features) * 4; i++) {
        const uint32_t function = features[i / 4].function, which = i % 4;
        const struct kvm_cpuid_entry2 *has, *had =
            ulv_kvm_cpuid_leaf(saved, function, features[i / 4].index);
        uint32_t lacks;

        if (had == NULL || (features[i / 4].registers >> which & 1) == 0)
            continue;
        has = ulv_kvm_cpuid_leaf(host, function, features[i / 4].index);
        lacks = leaf_register(had, which);
        if (has != NULL)
            lacks &= ~leaf_register(has, which);
        if (which == 2)
            lacks &= ~features[i / 4].of_system;
        if (lacks == 0)
            continue;
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, lacks, 0,
                        "the saved guest may use features that the "
                        "processor here lacks, or that the partition may not "
                        "have: CPUID %x.%u %s, bits %x",
                        (uint64_t)function, (uint64_t)features[i / 4].index,
                        name[which], (uint64_t)lacks);
    }
    return ULV_OK;
}

/* ---- take apart ---------------------------------------------------------- */

ulv_status
ulv_kvm_bad(struct ulv_diag *diag, const char *what, uint64_t value,
            uint64_t bound)
{
    return ulv_fail(diag, ULV_E_FORMAT, 0, value, bound,
                    "the saved processor cannot be: %s is %x, bound %x", what,
                    value, bound);
}

static size_t
interrupt_bytes(const struct state *h)
{
    return h->version == STATE_WITH_INTERRUPTS ? sizeof(struct interrupted)
                                               : 0;
}

static ulv_status
check_head(const struct state *h, size_t bytes, struct ulv_diag *diag)
{
    if (h->magic != STATE_MAGIC)
        return ulv_kvm_bad(diag, "its mark", h->magic, STATE_MAGIC);
    if (h->version != STATE_VERSION && h->version != STATE_WITH_INTERRUPTS)
        return ulv_kvm_bad(diag, "its version", h->version,
                           STATE_WITH_INTERRUPTS);
    if (h->cpuid_count == 0 ||
        h->cpuid_count > sizeof(((struct cpuid *)0)->entry) /
                             sizeof(struct kvm_cpuid_entry2))
        return ulv_kvm_bad(diag, "its count of CPUID leaves", h->cpuid_count,
                           ULV_COUNT_OF(((struct cpuid *)0)->entry));
    if (h->extended_bytes != sizeof(struct kvm_xsave))
        return ulv_kvm_bad(diag, "the size of its extended state",
                           h->extended_bytes, sizeof(struct kvm_xsave));
    if (h->bytes != bytes ||
        bytes != sizeof(*h) +
                     h->cpuid_count * sizeof(struct kvm_cpuid_entry2) +
                     h->extended_bytes + interrupt_bytes(h))
        return ulv_kvm_bad(diag, "its size", h->bytes, bytes);
    if ((h->registers.rflags & ~FLAGS_MASK) != 0)
        return ulv_kvm_bad(diag, "rflags", h->registers.rflags, FLAGS_MASK);
    for (uint32_t i = 0; i < 4; i++) {
        if (h->selector[i] > 3 && h->selector[i] != SELECTOR_DATA3 &&
            h->selector[i] != SELECTOR_CODE3)
            return ulv_kvm_bad(diag, "a segment selector", h->selector[i],
                               SELECTOR_CODE3);
    }
    return ULV_OK;
}

static ulv_status
take_apart(const void *state, size_t bytes, struct parts *ret,
           struct ulv_diag *diag)
{
    const uint8_t *from = state;
    size_t cpuid_bytes;
    ulv_status status;

    memset(ret, 0, sizeof(*ret));
    if (bytes < sizeof(ret->head))
        return ulv_kvm_bad(diag, "its size", bytes, sizeof(ret->head));
    memcpy(&ret->head, from, sizeof(ret->head));
    status = check_head(&ret->head, bytes, diag);
    if (status != ULV_OK)
        return status;
    cpuid_bytes = ret->head.cpuid_count * sizeof(ret->cpuid.entry[0]);
    ret->cpuid.head.nent = ret->head.cpuid_count;
    memcpy(ret->cpuid.entry, from + sizeof(ret->head), cpuid_bytes);
    from += sizeof(ret->head) + cpuid_bytes;
    memcpy(&ret->extended, from, sizeof(ret->extended));
    memcpy(&ret->interrupts, from + sizeof(ret->extended),
           interrupt_bytes(&ret->head));
    return ulv_kvm_interrupts_check(&ret->interrupts, diag);
}

static ulv_status
check_parts(const struct cpuid *host, const struct parts *p,
            struct ulv_diag *diag)
{
    uint64_t lacks = p->head.xcr0 & ~ulv_kvm_cpuid_xcr0(host);

    if (p->head.xcr0 != ulv_kvm_cpuid_xcr0(&p->cpuid))
        return ulv_kvm_bad(diag, "its XCR0", p->head.xcr0,
                           ulv_kvm_cpuid_xcr0(&p->cpuid));
    if (lacks != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, p->head.xcr0, lacks,
                        "the saved guest has extended state (XCR0 %x) that the "
                        "processor here lacks, or that the partition may not "
                        "have: %x",
                        p->head.xcr0, lacks);
    return check_features(host, &p->cpuid, diag);
}

ulv_status
ulv_kvm_state_check(const struct ulv_host *host, const void *state,
                    size_t bytes, struct ulv_diag *diag)
{
    const struct cpuid *cpuid;
    struct parts p;
    ulv_status status = take_apart(state, bytes, &p, diag);
    int fd;

    (void)host;
    if (status != ULV_OK)
        return status;
    fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return ulv_kvm_error(diag, "/dev/kvm");
    cpuid = ulv_kvm_cpuid(fd);
    if (cpuid == NULL)
        status = ulv_kvm_error(diag, "KVM_GET_SUPPORTED_CPUID");
    (void)close(fd);
    return status == ULV_OK ? check_parts(cpuid, &p, diag) : status;
}

/* ---- save ---------------------------------------------------------------- */

/* What a stay left to be done is done, and the registers are as they are:
 * api.rst 5, KVM_EXIT_IO. */
static ulv_status
settle(struct vcpu *v, struct ulv_diag *diag)
{
    v->run->immediate_exit = 1;
    if (ioctl(v->fd, KVM_RUN, 0) == 0)
        return ulv_fail(diag, ULV_E_STATE, v->machine->cfg.partition,
                        v->run->exit_reason, 0,
                        "processor %u has more to do before it can be saved",
                        (uint64_t)v->idx);
    return errno == EINTR || errno == EAGAIN ? ULV_OK
                                             : ulv_kvm_error(diag, "KVM_RUN");
}

static bool
get_tsc(const struct vcpu *v, uint64_t *ret)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry[1];
    } m = { { .nmsrs = 1 }, { { .index = MSR_TSC } } };

    if (ioctl(v->fd, KVM_GET_MSRS, &m) != 1)
        return false;
    *ret = m.entry[0].data;
    return true;
}

/* The end of a handler, on its way: it divides again. */
static bool
is_at_door(const struct vcpu *v, const struct kvm_sregs *s,
           const struct kvm_vcpu_events *events)
{
    return s->cs.dpl == 3 && events->exception.nr == ULV_VECTOR_DIVIDE &&
           ulv_kvm_is_door(v->machine, v->run->s.regs.regs.rip);
}

static ulv_status
check_stands(const struct vcpu *v, struct kvm_sregs *ret,
             struct ulv_diag *diag)
{
    const bool interrupts = v->machine->cfg.interrupts != 0;
    struct kvm_vcpu_events events;

    memset(&events, 0, sizeof(events));
    if (ioctl(v->fd, KVM_GET_SREGS, ret) != 0)
        return ulv_kvm_error(diag, "KVM_GET_SREGS");
    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) != 0)
        return ulv_kvm_error(diag, "KVM_GET_VCPU_EVENTS");
    if (v->ended || (ret->cs.dpl != 3 && !interrupts) ||
        (events.exception.injected != 0 && !is_at_door(v, ret, &events)) ||
        ((events.flags & KVM_VCPUEVENT_VALID_PAYLOAD) != 0 &&
         events.exception.pending != 0))
        return ulv_fail(diag, ULV_E_STATE, v->machine->cfg.partition,
                        ret->cs.dpl, 3,
                        "processor %u is about to fault: let the guest go on",
                        (uint64_t)v->idx);
    return ULV_OK;
}

static ulv_status
collect(struct vcpu *v, struct parts *p, struct ulv_diag *diag)
{
    const bool interrupts = v->machine->cfg.interrupts != 0;
    struct state *h = &p->head;
    struct kvm_xcrs xcrs;
    struct kvm_sregs s;
    struct kvm_regs regs;
    ulv_status status = settle(v, diag);
    int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);

    memset(&xcrs, 0, sizeof(xcrs));
    if (status == ULV_OK)
        status = check_stands(v, &s, diag);
    regs = v->run->s.regs.regs;
    if (status == ULV_OK && interrupts)
        status = ulv_kvm_interrupts_save(v, s.cs.dpl == 3, &regs,
                                         &p->interrupts, diag);
    if (status != ULV_OK)
        return status;
    if (ioctl(v->fd, KVM_GET_XSAVE, &p->extended) != 0)
        return ulv_kvm_error(diag, "KVM_GET_XSAVE");
    if (ioctl(v->fd, KVM_GET_XCRS, &xcrs) != 0)
        return ulv_kvm_error(diag, "KVM_GET_XCRS");
    if (!get_tsc(v, &h->tsc))
        return ulv_kvm_error(diag, "KVM_GET_MSRS");
    p->cpuid = v->cpuid;
    h->magic = STATE_MAGIC;
    h->version = interrupts ? STATE_WITH_INTERRUPTS : STATE_VERSION;
    h->cpuid_count = p->cpuid.head.nent;
    h->extended_bytes = sizeof(p->extended);
    h->bytes = (uint32_t)(sizeof(*h) + sizeof(p->extended) +
                          h->cpuid_count * sizeof(p->cpuid.entry[0]) +
                          interrupt_bytes(h));
    h->tsc_khz = khz < 0 ? 0 : (uint32_t)khz;
    h->xcr0 = xcrs.nr_xcrs == 0 ? 1 : xcrs.xcrs[0].value;
    ulv_kvm_take_registers(&regs, &h->registers);
    h->registers.rflags &= FLAGS_MASK;
    h->selector[0] = s.ds.selector;
    h->selector[1] = s.es.selector;
    h->selector[2] = s.fs.selector;
    h->selector[3] = s.gs.selector;
    return ULV_OK;
}

ulv_status
ulv_kvm_vcpu_save(void *vcpu, void *buf, size_t capacity, size_t *ret_bytes,
                  struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    struct parts p;
    uint8_t *to = buf;
    size_t cpuid_bytes;
    ulv_status status;

    if (capacity < STATE_BYTES_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, v->machine->cfg.partition,
                        capacity, STATE_BYTES_MAX,
                        "a saved processor has up to %u bytes, there is room "
                        "for %u",
                        (uint64_t)STATE_BYTES_MAX, (uint64_t)capacity);
    memset(&p, 0, sizeof(p));
    status = collect(v, &p, diag);
    if (status != ULV_OK)
        return status;
    cpuid_bytes = p.head.cpuid_count * sizeof(p.cpuid.entry[0]);
    memcpy(to, &p.head, sizeof(p.head));
    memcpy(to + sizeof(p.head), p.cpuid.entry, cpuid_bytes);
    to += sizeof(p.head) + cpuid_bytes;
    memcpy(to, &p.extended, sizeof(p.extended));
    memcpy(to + sizeof(p.extended), &p.interrupts, interrupt_bytes(&p.head));
    *ret_bytes = p.head.bytes;
    return ULV_OK;
}

/* ---- restore ------------------------------------------------------------- */

/* Where the host does not let it be set, the guest sees the host's. */
static void
set_tsc(const struct vcpu *v, uint64_t value)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry[1];
    } m = { { .nmsrs = 1 }, { { .index = MSR_TSC, .data = value } } };

    (void)ioctl(v->fd, KVM_SET_MSRS, &m);
}

/* A counter that goes at another pace would break what the guest measured. */
static ulv_status
set_clock(const struct vcpu *v, const struct state *h, struct ulv_diag *diag)
{
    int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
    uint32_t part = h->tsc_khz / KHZ_PART;

    if (h->tsc_khz != 0 && khz > 0 &&
        ((uint32_t)khz > h->tsc_khz + part ||
         (uint32_t)khz < h->tsc_khz - part) &&
        ioctl(v->fd, KVM_SET_TSC_KHZ, (long)h->tsc_khz) != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, v->machine->cfg.partition,
                        h->tsc_khz, (uint64_t)khz,
                        "the saved guest's time stamp counter runs at %u kHz, "
                        "this host's at %u kHz, and it cannot scale",
                        (uint64_t)h->tsc_khz, (uint64_t)khz);
    /* KVM takes what is within a second of what it expects for an attempt to
     * bring processors together, and keeps its own: so from far away. */
    set_tsc(v, h->tsc + FAR_TSC);
    set_tsc(v, h->tsc);
    return ULV_OK;
}

static void
set_selector(struct kvm_segment *s, const struct kvm_segment *code,
             uint16_t selector)
{
    if (selector == SELECTOR_CODE3)
        *s = *code;
    else if (selector <= 3)
        s->unusable = 1;
    s->selector = selector;
}

static ulv_status
set_selectors(const struct vcpu *v, const uint16_t selector[4],
              struct ulv_diag *diag)
{
    struct kvm_sregs s;

    if (ioctl(v->fd, KVM_GET_SREGS, &s) != 0)
        return ulv_kvm_error(diag, "KVM_GET_SREGS");
    /* KVM on SVM reads it as busy, whatever it was set to */
    s.tr.type = ulv_kvm_task_type();
    set_selector(&s.ds, &s.cs, selector[0]);
    set_selector(&s.es, &s.cs, selector[1]);
    set_selector(&s.fs, &s.cs, selector[2]);
    set_selector(&s.gs, &s.cs, selector[3]);
    if (ioctl(v->fd, KVM_SET_SREGS, &s) != 0)
        return ulv_kvm_error(diag, "KVM_SET_SREGS");
    return ULV_OK;
}

static ulv_status
set_registers(struct vcpu *v, const struct ulv_registers *r, bool handles,
              struct ulv_diag *diag)
{
    const struct kvm_regs regs = {
        .rax = r->rax, .rbx = r->rbx, .rcx = r->rcx, .rdx = r->rdx,
        .rsi = r->rsi, .rdi = r->rdi, .rsp = r->rsp, .rbp = r->rbp,
        .r8 = r->r8,   .r9 = r->r9,   .r10 = r->r10, .r11 = r->r11,
        .r12 = r->r12, .r13 = r->r13, .r14 = r->r14, .r15 = r->r15,
        .rip = r->rip, .rflags = r->rflags | (handles ? FLAGS_SET_MASKED
                                                      : FLAGS_SET),
    };

    if (ioctl(v->fd, KVM_SET_REGS, &regs) != 0)
        return ulv_kvm_error(diag, "KVM_SET_REGS");
    v->run->s.regs.regs = regs;
    v->run->kvm_dirty_regs = 0;
    return ULV_OK;
}

ulv_status
ulv_kvm_vcpu_restore(void *vcpu, const void *state, size_t bytes,
                     struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    struct parts p;
    const bool interrupts = v->machine->cfg.interrupts != 0;
    ulv_status status = take_apart(state, bytes, &p, diag);

    if (status == ULV_OK && (interrupt_bytes(&p.head) != 0) != interrupts)
        status = ulv_fail(diag, ULV_E_CONFLICT, v->machine->cfg.partition,
                          p.head.version, interrupts,
                          "the saved guest %s interrupted, this one %s",
                          interrupts ? "could not be" : "could be",
                          interrupts ? "can be" : "cannot be");
    if (status == ULV_OK)
        status = check_parts(&v->cpuid, &p, diag); /* what it may have here */
    if (status == ULV_OK) {
        v->cpuid = p.cpuid; /* and shows what it showed */
        status = ulv_kvm_set_cpuid(v, diag);
    }
    if (status == ULV_OK)
        status = ulv_kvm_set_system_registers(v, diag);
    if (status == ULV_OK)
        status = set_clock(v, &p.head, diag);
    if (status == ULV_OK && ioctl(v->fd, KVM_SET_XSAVE, &p.extended) != 0)
        return ulv_fail(diag, ULV_E_FORMAT, v->machine->cfg.partition,
                        p.head.xcr0, 0,
                        "KVM refuses the extended state of processor %u",
                        (uint64_t)v->idx);
    if (status == ULV_OK)
        status = set_selectors(v, p.head.selector, diag);
    if (status == ULV_OK)
        status = set_registers(v, &p.head.registers, p.interrupts.active != 0,
                               diag);
    if (status == ULV_OK && interrupts)
        status = ulv_kvm_interrupts_restore(v, &p.interrupts, diag);
    return status;
}
