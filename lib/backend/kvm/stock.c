/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Stock guests: a kernel that runs at CPL0 on a bare PC. KVM has the interrupt
 * controllers and the timer; whatever else it touches is told, an access at a
 * time. It sleeps inside KVM_RUN, which a kick or the end of a budget leaves.
 *
 * Source: Linux Documentation/virt/kvm/api.rst, by the names of the calls, and
 * chapter 5 (struct kvm_run); Documentation/virt/kvm/x86/msr.rst.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "backend/kvm/kvm_priv.h"

/* Where KVM has a task state and page tables of its own on processors that
 * cannot run real mode in a guest: in the hole, four pages. */
#define OWN_PAGES   UINT64_C(0xfffbc000)
#define OWN_TASK    (OWN_PAGES + PAGE)
#define RFLAGS_ONE  UINT64_C(2)
#define RFLAGS_IF   (UINT64_C(1) << 9)
#define CR0_PE_ET   UINT64_C(0x11)
#define CR0_PG      (UINT64_C(1) << 31)
#define CR4_PAE     (UINT64_C(1) << 5)
#define EFER_LONG   UINT64_C(0x500) /* LME LMA */
#define CODE        0x10 /* selectors of the loader's GDT */
#define DATA        0x18

/* The model-specific registers that a kernel needs; every other one faults. A
 * bit a register from the first. Those of the x2APIC are not filtered. */
static const struct {
    uint32_t first, count;
    uint64_t bits;
} allowed[] = {
    /* TSC, APIC_BASE, TSC_ADJUST */
    { 0x10, 44, UINT64_C(0x80000000801) },
    { 0x48, 2, 3 },        /* SPEC_CTRL, PRED_CMD */
    { 0x8b, 1, 1 },        /* microcode revision */
    { 0x10a, 2, 3 },       /* ARCH_CAPABILITIES, FLUSH_CMD */
    { 0x174, 3, 7 },       /* SYSENTER */
    { 0x1a0, 1, 1 },       /* MISC_ENABLE */
    { 0x277, 1, 1 },       /* PAT */
    { 0x6e0, 1, 1 },       /* TSC_DEADLINE */
    { 0xda0, 1, 1 },       /* XSS */
    { 0xc0000080, 5, 31 }, /* EFER STAR LSTAR CSTAR FMASK */
    { 0xc0000100, 4, 15 }, /* FS_BASE GS_BASE KERNEL_GS_BASE TSC_AUX */
    { 0xc0010015, 1, 1 },  /* AMD: HWCR */
    { 0xc0010055, 1, 1 },  /* AMD: INT_PENDING */
    { 0xc001011f, 1, 1 },  /* AMD: VIRT_SPEC_CTRL */
    { 0xc0011029, 1, 1 },  /* AMD: DE_CFG */
    { 0x4b564d00, 2, 3 },  /* kvm-clock */
};

const long ulv_kvm_for_stock[ULV_KVM_FOR_STOCK_COUNT] = {
    KVM_CAP_IRQCHIP,          KVM_CAP_PIT2,
    KVM_CAP_SET_TSS_ADDR,     KVM_CAP_SET_IDENTITY_MAP_ADDR,
    KVM_CAP_X86_MSR_FILTER,   KVM_CAP_TSC_DEADLINE_TIMER,
    KVM_CAP_MP_STATE,
};

static bool
set_filter(const struct machine *m)
{
    struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
    uint8_t bits[ULV_COUNT_OF(allowed)][8];

    _Static_assert(ULV_COUNT_OF(allowed) <= KVM_MSR_FILTER_MAX_RANGES,
                   "as many ranges as KVM takes");
    for (size_t i = 0; i < ULV_COUNT_OF(allowed); i++) {
        memcpy(bits[i], &allowed[i].bits, sizeof(bits[i]));
        filter.ranges[i] = (struct kvm_msr_filter_range){
            .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
            .base = allowed[i].first,
            .nmsrs = allowed[i].count,
            .bitmap = bits[i],
        };
    }
    return ioctl(m->vm_fd, KVM_X86_SET_MSR_FILTER, &filter) == 0;
}

ulv_status
ulv_kvm_stock_init(struct machine *m, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    const struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    uint64_t own_pages = OWN_PAGES;

    if (m->cfg.vcpu_count != 1)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, m->cfg.partition,
                        m->cfg.vcpu_count, 1,
                        "a stock kernel has one processor here, not %u",
                        (uint64_t)m->cfg.vcpu_count);
    if (ioctl(m->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &own_pages) != 0)
        return ulv_kvm_error(diag, "KVM_SET_IDENTITY_MAP_ADDR");
    if (ioctl(m->vm_fd, KVM_SET_TSS_ADDR, OWN_TASK) != 0)
        return ulv_kvm_error(diag, "KVM_SET_TSS_ADDR");
    if (ioctl(m->vm_fd, KVM_CREATE_IRQCHIP, 0) != 0)
        return ulv_kvm_error(diag, "KVM_CREATE_IRQCHIP");
    if (ioctl(m->vm_fd, KVM_CREATE_PIT2, &pit) != 0)
        return ulv_kvm_error(diag, "KVM_CREATE_PIT2");
    if (!set_filter(m))
        return ulv_kvm_error(diag, "KVM_X86_SET_MSR_FILTER");
    m->stock = host->alloc(host->self, STOCK_REGIONS * sizeof(*m->stock), 8);
    if (m->stock == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition, STOCK_REGIONS,
                        0, "no memory to list the guest's");
    return ULV_OK;
}

void
ulv_kvm_stock_fini(struct machine *m)
{
    const struct ulv_host *host = m->cfg.host;

    host->free(host->self, m->stock,
               m->stock == NULL ? 0 : STOCK_REGIONS * sizeof(*m->stock));
    m->stock = NULL;
}

/* ---- memory: a slot each, for a kernel has page tables of its own -------- */

static bool
set_slot(const struct machine *m, const struct stock_region *r, uint64_t bytes,
         const void *p, uint32_t access)
{
    struct kvm_userspace_memory_region region = {
        .slot = (uint32_t)(r - m->stock),
        .flags = (access & ULV_GUEST_WRITE) != 0 ? 0 : KVM_MEM_READONLY,
        .guest_phys_addr = r->guest,
        .memory_size = bytes,
        .userspace_addr = (uint64_t)(uintptr_t)p,
    };

    return ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

static ulv_status
check_place(const struct machine *m, uint64_t guest, uint64_t bytes)
{
    uint64_t end;

    if (bytes == 0 || bytes % PAGE != 0 || guest % PAGE != 0 ||
        !ulv_add_u64(guest, bytes, &end))
        return ULV_E_ARG;
    if (end > ADDRESS_MAX)
        return ULV_E_LIMIT;
    if (ulv_ranges_overlap(guest, bytes, ULV_STOCK_HOLE,
                           ULV_STOCK_HOLE_END - ULV_STOCK_HOLE))
        return ULV_E_EXISTS;
    for (uint32_t i = 0; i < STOCK_REGIONS; i++) {
        if (ulv_ranges_overlap(guest, bytes, m->stock[i].guest,
                               m->stock[i].bytes))
            return ULV_E_EXISTS;
    }
    return ULV_OK;
}

static struct stock_region *
find_region(const struct machine *m, uint64_t guest, uint64_t bytes)
{
    for (uint32_t i = 0; i < STOCK_REGIONS; i++) {
        if (m->stock[i].bytes == bytes &&
            (bytes == 0 || m->stock[i].guest == guest))
            return &m->stock[i];
    }
    return NULL;
}

ulv_status
ulv_kvm_stock_map(struct machine *m, uint64_t guest, uint64_t bytes,
                  const void *p, uint32_t access)
{
    struct stock_region *r = find_region(m, 0, 0);
    ulv_status status = check_place(m, guest, bytes);

    if (status == ULV_OK && r == NULL)
        status = ULV_E_LIMIT;
    if (status != ULV_OK)
        return status;
    r->guest = guest;
    if (!set_slot(m, r, bytes, p, access))
        return ulv_kvm_error(NULL, "");
    r->bytes = bytes;
    return ULV_OK;
}

ulv_status
ulv_kvm_stock_unmap(struct machine *m, uint64_t guest, uint64_t bytes)
{
    struct stock_region *r = bytes == 0 ? NULL : find_region(m, guest, bytes);

    if (r == NULL)
        return ULV_E_NOT_FOUND;
    if (!set_slot(m, r, 0, NULL, ULV_GUEST_WRITE))
        return ulv_kvm_error(NULL, "");
    r->bytes = 0;
    return ULV_OK;
}

ulv_status
ulv_kvm_stock_line(void *machine, uint32_t line, bool high)
{
    const struct machine *m = machine;
    struct kvm_irq_level level = { .irq = line, .level = high };

    return ioctl(m->vm_fd, KVM_IRQ_LINE, &level) == 0 ? ULV_OK : ULV_E_HOST;
}

/* ---- the way in ---------------------------------------------------------- */

static struct kvm_segment
flat(uint16_t selector, uint8_t type, bool code64)
{
    const struct kvm_segment s = { .limit = 0xffffffff,
                                   .selector = selector,
                                   .type = type,
                                   .present = 1,
                                   .db = !code64,
                                   .s = 1,
                                   .l = code64,
                                   .g = 1 };

    return s;
}

ulv_status
ulv_kvm_stock_enter(void *vcpu, const struct ulv_entry *entry,
                    struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    const bool is_long = entry->mode == ULV_ENTRY_LONG;
    struct kvm_regs regs = { .rip = entry->rip,
                             .rbx = entry->rbx,
                             .rsi = entry->rsi,
                             .rdi = entry->rdi,
                             .rflags = RFLAGS_ONE };
    struct kvm_sregs s;

    if (!is_long && entry->mode != ULV_ENTRY_PROTECTED)
        return ulv_fail(diag, ULV_E_ARG, v->machine->cfg.partition,
                        entry->mode, ULV_ENTRY_PROTECTED,
                        "a kernel is not entered in mode %u",
                        (uint64_t)entry->mode);
    if (ioctl(v->fd, KVM_GET_SREGS, &s) != 0)
        return ulv_kvm_error(diag, "KVM_GET_SREGS");
    s.cs = flat(CODE, 11, is_long);
    s.ss = s.ds = s.es = s.fs = s.gs = flat(DATA, 3, false);
    s.cr0 = CR0_PE_ET;
    if (is_long) {
        s.cr0 |= CR0_PG;
        s.cr3 = entry->page_tables;
        s.cr4 = CR4_PAE;
        s.efer = EFER_LONG;
        s.gdt.base = entry->gdt;
        s.gdt.limit = (uint16_t)(entry->gdt_bytes - 1);
    }
    if (ioctl(v->fd, KVM_SET_SREGS, &s) != 0)
        return ulv_kvm_error(diag, "KVM_SET_SREGS");
    if (ioctl(v->fd, KVM_SET_REGS, &regs) != 0)
        return ulv_kvm_error(diag, "KVM_SET_REGS");
    v->run->s.regs.regs = regs; /* for who asks before the first run */
    v->run->kvm_dirty_regs = 0;
    return ULV_OK;
}

/* ---- the ways out -------------------------------------------------------- */

/* One element of what KVM has stopped at: a string access has several. */
static uint8_t *
element(const struct vcpu *v)
{
    struct kvm_run *run = v->run;

    return (uint8_t *)run + run->io.data_offset +
           (uint64_t)v->io_next * run->io.size;
}

static bool
take_access(const struct vcpu *v, struct ulv_exit_io *ret)
{
    const struct kvm_run *run = v->run;
    const uint8_t *from;

    memset(ret, 0, sizeof(*ret));
    if (run->exit_reason == KVM_EXIT_IO) {
        ret->space = ULV_IO_PORT;
        ret->bytes = run->io.size;
        ret->write = run->io.direction == KVM_EXIT_IO_OUT;
        ret->address = run->io.port;
        from = element(v);
    } else if (run->exit_reason == KVM_EXIT_MMIO) {
        ret->space = ULV_IO_MEMORY;
        ret->bytes = run->mmio.len;
        ret->write = run->mmio.is_write != 0;
        ret->address = run->mmio.phys_addr;
        from = run->mmio.data;
    } else {
        return false;
    }
    if (ret->write != 0)
        memcpy(&ret->value, from, ULV_MIN(ret->bytes, 8U));
    return true;
}

void
ulv_kvm_stock_answer(struct vcpu *v, uint64_t value)
{
    struct kvm_run *run = v->run;
    uint8_t *to = run->mmio.data;
    uint32_t bytes = run->mmio.len;

    if (run->exit_reason == KVM_EXIT_IO) {
        to = element(v);
        bytes = run->io.size;
        if (run->io.direction == KVM_EXIT_IO_OUT)
            bytes = 0;
        v->io_next = (v->io_next + 1) % run->io.count;
        v->in_string = v->io_next != 0;
    } else if (run->mmio.is_write) {
        bytes = 0;
    }
    memcpy(to, &value, ULV_MIN(bytes, 8U));
}

bool
ulv_kvm_stock_at_once(struct vcpu *v)
{
    const struct ulv_machine_cfg *cfg = &v->machine->cfg;
    struct ulv_exit_io io;
    uint64_t value;

    do {
        if (cfg->io == NULL || !take_access(v, &io) ||
            !cfg->io(cfg->self, &io, &value))
            return false;
        ulv_kvm_stock_answer(v, value);
    } while (v->in_string);
    return true;
}

bool
ulv_kvm_stock_halted(const struct vcpu *v)
{
    struct kvm_mp_state state;

    return v->machine->cfg.kind == ULV_MACHINE_STOCK &&
           (v->run->s.regs.regs.rflags & RFLAGS_IF) == 0 &&
           ioctl(v->fd, KVM_GET_MP_STATE, &state) == 0 &&
           state.mp_state == KVM_MP_STATE_HALTED;
}

void
ulv_kvm_stock_exit(struct vcpu *v, struct ulv_exit *out)
{
    if (v->halted) {
        v->halted = false;
        out->reason = ULV_EXIT_HALTED;
    } else if (take_access(v, &out->u.io)) {
        out->reason = ULV_EXIT_IO;
    } else {
        ulv_kvm_other_exit(v, out);
    }
}
