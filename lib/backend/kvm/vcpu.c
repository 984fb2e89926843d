/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Running a virtual processor without leaving a trace in the caller's process:
 * no handler is installed. One real-time signal is blocked in the thread while
 * it is in vcpu_run and let through by KVM inside KVM_RUN only, where it ends
 * the stay with EINTR; whatever is left of it is taken away before the thread's
 * mask is as it was.
 */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/kvm/kvm_priv.h"

#define KICK_SIGNAL (SIGRTMIN + 5)

/* Hand-shake with kick: a signal is only sent to a thread that will take it. */
#define RUN_OUT     0u
#define RUN_IN      1u
#define RUN_SENDING 2u
#define RUN_SENT    3u

#define TASK_AVAILABLE 9
#define TASK_BUSY      11
/* bit 1, which is always 1, and IF */
#define RFLAGS   UINT64_C(0x202)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NXE (UINT64_C(1) << 11)
/* PE MP ET NE WP PG; PAE OSFXSR OSXMMEXCPT */
#define CR0 UINT64_C(0x80010033)
#define CR4 UINT64_C(0x620)
#define CR4_OSXSAVE (UINT64_C(1) << 18)

static struct kvm_segment
segment(uint16_t selector, uint8_t type, uint8_t dpl, bool code)
{
    struct kvm_segment s = { .limit = 0xffffffff,
                             .selector = selector,
                             .type = type,
                             .present = 1,
                             .dpl = dpl,
                             .db = code ? 0 : 1,
                             .s = 1,
                             .l = code ? 1 : 0,
                             .g = 1 };

    return s;
}

bool
ulv_kvm_is_emulated(void)
{
    uint32_t a, b, c, d;
    char name[12];

    __cpuid(1, a, b, c, d);
    if ((c & UINT32_C(1) << 31) == 0) /* no hypervisor */
        return false;
    __cpuid(0x40000000, a, b, c, d);
    memcpy(name, &b, 4);
    memcpy(name + 4, &c, 4);
    memcpy(name + 8, &d, 4);
    return memcmp(name, "TCGTCGTCGTCG", 12) == 0;
}

/*
 * SDM vol. 3C 26.3.1.2: the task that VM entry loads is busy. The processor
 * that QEMU emulates gives a guest no port by a permission bit map unless the
 * type is "available", which is what AMD's have there after a guest's own LTR.
 */
uint8_t
ulv_kvm_task_type(void)
{
    return ulv_kvm_is_emulated() ? TASK_AVAILABLE : TASK_BUSY;
}

ulv_status
ulv_kvm_set_system_registers(const struct vcpu *v, struct ulv_diag *diag)
{
    struct kvm_sregs s;

    if (ioctl(v->fd, KVM_GET_SREGS, &s) != 0)
        return ulv_kvm_error(diag, "KVM_GET_SREGS");
    s.cs = segment(SELECTOR_CODE3, 11, 3, true);
    s.ss = s.ds = s.es = s.fs = s.gs = segment(SELECTOR_DATA3, 3, 3, false);
    s.tr = (struct kvm_segment){ .base = TSS + v->idx * TSS_ROOM,
                                 .limit = 119,
                                 .selector = (uint16_t)(SELECTOR_TSS +
                                                        v->idx * 16),
                                 .type = ulv_kvm_task_type(),
                                 .present = 1 };
    s.ldt = (struct kvm_segment){ .unusable = 1 };
    s.gdt.base = GDT;
    s.gdt.limit = SELECTOR_TSS + VCPUS_MAX * 16 - 1;
    s.idt.base = IDT;
    s.idt.limit = 4095;
    s.cr0 = CR0;
    s.cr3 = PML4;
    s.cr4 = CR4;
    if (ulv_kvm_cpuid_xcr0(&v->cpuid) != 1)
        s.cr4 |= CR4_OSXSAVE;
    s.efer = EFER_LME | EFER_LMA | EFER_NXE;
    if (v->machine->cfg.interrupts != 0)
        ulv_kvm_interrupts_registers(&s);
    if (ioctl(v->fd, KVM_SET_SREGS, &s) != 0)
        return ulv_kvm_error(diag, "KVM_SET_SREGS");
    return ULV_OK;
}

ulv_status
ulv_kvm_set_cpuid(const struct vcpu *v, struct ulv_diag *diag)
{
    uint64_t xcr0 = ulv_kvm_cpuid_xcr0(&v->cpuid);
    const struct kvm_xcrs xcrs = { .nr_xcrs = 1,
                                   .xcrs = { { .value = xcr0 } } };

    if (ioctl(v->fd, KVM_SET_CPUID2, &v->cpuid) != 0)
        return ulv_kvm_error(diag, "KVM_SET_CPUID2");
    if (xcr0 != 1 && ioctl(v->fd, KVM_SET_XCRS, &xcrs) != 0)
        return ulv_kvm_error(diag, "KVM_SET_XCRS");
    return ULV_OK;
}

/* The mask inside KVM_RUN: the thread's own, with the kick let through. The
 * kernel's sigset has 8 bytes; api.rst 4.19. */
static ulv_status
set_run_mask(struct vcpu *v, const sigset_t *of_thread, struct ulv_diag *diag)
{
    struct {
        struct kvm_signal_mask head;
        uint8_t bits[8];
    } mask;
    sigset_t inside = *of_thread;

    (void)sigdelset(&inside, KICK_SIGNAL);
    mask.head.len = 8;
    memcpy(mask.head.sigset, &inside, 8);
    if (ioctl(v->fd, KVM_SET_SIGNAL_MASK, &mask) != 0)
        return ulv_kvm_error(diag, "KVM_SET_SIGNAL_MASK");
    v->run_mask = *of_thread;
    return ULV_OK;
}

/*
 * Interrupts are enabled, as for every program at level 3, also where nothing
 * interrupts the guest: a processor that Bochs emulates leaves a guest for the
 * host's interrupts only while it could have taken them itself.
 */
static ulv_status
set_start(struct vcpu *v, ulv_gpa entry, ulv_gpa stack, uint64_t argument,
          struct ulv_diag *diag)
{
    const struct kvm_regs regs = { .rip = entry.value,
                                   .rsp = stack.value - 8,
                                   .rdi = argument,
                                   .rflags = RFLAGS };
    ulv_status status = ulv_kvm_set_system_registers(v, diag);

    if (status == ULV_OK && v->machine->cfg.interrupts != 0)
        status = ulv_kvm_interrupts_reset(v, diag);
    if (status == ULV_OK && ioctl(v->fd, KVM_SET_REGS, &regs) != 0)
        status = ulv_kvm_error(diag, "KVM_SET_REGS");
    v->run->s.regs.regs = regs; /* for who asks before the first run */
    v->run->kvm_dirty_regs = 0;
    return status;
}

ulv_status
ulv_kvm_vcpu_make(struct machine *m, uint32_t idx, struct kvm_vcpu *ret,
                  struct ulv_diag *diag)
{
    void *run;

    if (idx == 0 && m->first.fd >= 0) {
        *ret = m->first;
        m->first = (struct kvm_vcpu){ .fd = -1 };
        return ULV_OK;
    }
    ret->fd = ioctl(m->vm_fd, KVM_CREATE_VCPU, (long)idx);
    if (ret->fd < 0)
        return ulv_kvm_error(diag, "KVM_CREATE_VCPU");
    run = mmap(NULL, (size_t)m->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
               ret->fd, 0);
    if (run == MAP_FAILED)
        return ulv_kvm_error(diag, "mmap of the vcpu");
    ret->run = run;
    return ULV_OK;
}

void
ulv_kvm_vcpu_unmake(const struct machine *m, const struct kvm_vcpu *vcpu)
{
    if (vcpu->run != NULL)
        (void)munmap(vcpu->run, (size_t)m->run_bytes);
    if (vcpu->fd >= 0)
        (void)close(vcpu->fd);
}

ulv_status
ulv_kvm_vcpu_init(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
                  ulv_gpa stack, uint64_t argument, struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    struct kvm_vcpu kvm = { .fd = -1 };
    ulv_status status = ULV_OK;
    sigset_t mask;
    int khz;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    v->machine = machine;
    v->made = true;
    v->idx = idx;
    v->fd = -1;
    if (v->machine->cfg.interrupts != 0)
        status = ulv_kvm_interrupts_chip(v->machine, diag);
    if (status != ULV_OK)
        return status;
    if (v->machine->thread != NULL)
        v->thread = &v->machine->thread[idx];
    status = ulv_kvm_vcpu_make(v->machine, idx, &kvm, diag);
    v->fd = kvm.fd;
    v->run = kvm.run;
    if (status != ULV_OK)
        return status;
    v->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
    ulv_kvm_cpuid_make(v->machine->host_cpuid, v->machine->cfg.cpu, idx,
                       v->machine->cfg.vcpu_count,
                       khz < 0 ? 0 : (uint32_t)khz, &v->cpuid);
    if (v->machine->cfg.interrupts != 0)
        ulv_kvm_interrupts_show(&v->cpuid);
    if (v->machine->cfg.kind == ULV_MACHINE_STOCK)
        ulv_kvm_cpuid_add_kernel(v->machine->host_cpuid, &v->cpuid);
    status = ulv_kvm_set_cpuid(v, diag);
    if (status == ULV_OK)
        status = set_run_mask(v, &mask, diag);
    if (status == ULV_OK && v->machine->cfg.kind == ULV_MACHINE_SDK)
        status = set_start(v, entry, stack, argument, diag);
    return status;
}

ulv_status
ulv_kvm_vcpu_start(void *vcpu, ulv_gpa entry, ulv_gpa stack, uint64_t argument)
{
    return set_start(vcpu, entry, stack, argument, NULL);
}

void
ulv_kvm_vcpu_fini(void *vcpu)
{
    struct vcpu *v = vcpu;

    if (!v->made)
        return;
    v->made = false;
    if (v->thread != NULL)
        ulv_kvm_thread_hold(v, true);
    if (v->has_timer)
        (void)timer_delete(v->timer);
    ulv_kvm_vcpu_unmake(v->machine, &(struct kvm_vcpu){ v->fd, v->run });
}

/* ---- run ----------------------------------------------------------------- */

/* Who is to be kicked, and a timer that does it when a budget is over. */
static bool
ensure_timer(struct vcpu *v, ulv_nsec budget_ns)
{
    struct sigevent event;
    pid_t self;

    if (v->thread_known && pthread_equal(v->owner, pthread_self()) &&
        (v->has_timer || budget_ns == ULV_FOREVER))
        return true;
    self = (pid_t)syscall(SYS_gettid);
    v->thread_id = self;
    v->owner = pthread_self();
    v->thread_known = true;
    if (v->has_timer)
        (void)timer_delete(v->timer);
    v->has_timer = false;
    if (budget_ns == ULV_FOREVER)
        return true;
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = KICK_SIGNAL;
    event._sigev_un._tid = self;
    v->has_timer = timer_create(CLOCK_MONOTONIC, &event, &v->timer) == 0;
    return v->has_timer;
}

static void
arm(const struct vcpu *v, ulv_nsec budget_ns)
{
    struct itimerspec when;

    if (!v->has_timer)
        return;
    memset(&when, 0, sizeof(when));
    when.it_value.tv_sec = (time_t)(budget_ns / 1000000000);
    when.it_value.tv_nsec = (long)(budget_ns % 1000000000);
    (void)timer_settime(v->timer, 0, &when, NULL);
}

/* No kick can come any more, and none is left. */
static void
leave(struct vcpu *v)
{
    const struct timespec now = { 0, 0 };
    sigset_t kick;

    arm(v, 0);
    if (__atomic_exchange_n(&v->running, RUN_OUT, __ATOMIC_ACQ_REL) ==
        RUN_SENDING) {
        while (__atomic_load_n(&v->running, __ATOMIC_ACQUIRE) != RUN_SENT)
            (void)syscall(SYS_sched_yield);
        __atomic_store_n(&v->running, RUN_OUT, __ATOMIC_RELEASE);
    }
    /* this run comes back: a kick has done its work */
    (void)__atomic_exchange_n(&v->kicked, 0, __ATOMIC_SEQ_CST);
    (void)sigemptyset(&kick);
    (void)sigaddset(&kick, KICK_SIGNAL);
    while (sigtimedwait(&kick, NULL, &now) > 0)
        continue;
}

/* Whether the guest called; a doorbell that KVM does not ring is a call. */
static bool
take_call(const struct kvm_run *run, struct ulv_exit_call *ret)
{
    const struct kvm_regs *regs = &run->s.regs.regs;

    if (run->exit_reason != KVM_EXIT_IO ||
        run->io.direction != KVM_EXIT_IO_OUT)
        return false;
    if (run->io.port == DOORBELL_PORT && run->io.size == 4) {
        uint32_t slot;

        memcpy(&slot, (const uint8_t *)run + run->io.data_offset, 4);
        memset(ret, 0, sizeof(*ret));
        ret->number = ULV_CALL_SIGNAL;
        ret->argument[0] = slot;
        return true;
    }
    if (run->io.port != GATE_PORT)
        return false;
    ret->number = regs->rdi;
    ret->argument[0] = regs->rsi;
    ret->argument[1] = regs->rdx;
    ret->argument[2] = regs->rcx;
    ret->argument[3] = regs->r8;
    return true;
}

/* A call that the monitor answers on the spot: the guest goes on at once. */
static bool
answer_at_once(struct vcpu *v)
{
    const struct ulv_machine_cfg *cfg = &v->machine->cfg;
    struct ulv_exit_call call;
    int64_t status;
    uint64_t value;

    if (v->thread == NULL && cfg->kind == ULV_MACHINE_STOCK)
        return ulv_kvm_stock_at_once(v);
    if (cfg->call == NULL || v->thread != NULL || !take_call(v->run, &call) ||
        !cfg->call(cfg->self, &call, &status, &value))
        return false;
    ulv_kvm_vcpu_answer(v, status, value);
    return true;
}

ulv_status
ulv_kvm_stay(struct vcpu *v, ulv_nsec budget_ns)
{
    const bool was_lost = v->lost;
    sigset_t kick, before;
    int result, code;

    v->lost = false;
    if (!ensure_timer(v, budget_ns))
        return ULV_E_HOST;
    (void)sigemptyset(&kick);
    (void)sigaddset(&kick, KICK_SIGNAL);
    (void)pthread_sigmask(SIG_BLOCK, &kick, &before);
    /* what the caller has blocked since must not end the run for ever */
    if (memcmp(&before, &v->run_mask, 8) != 0 &&
        set_run_mask(v, &before, NULL) != ULV_OK) {
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return ULV_E_HOST;
    }
    __atomic_store_n(&v->running, RUN_IN, __ATOMIC_SEQ_CST);
    /* pairs with kick: it sets kicked, then looks at running */
    v->run->immediate_exit =
        __atomic_exchange_n(&v->kicked, 0, __ATOMIC_SEQ_CST) != 0 ||
        budget_ns == 0;
    arm(v, budget_ns);
    do { /* a kick between two of them is pending, and ends the next */
        result = ioctl(v->fd, KVM_RUN, 0);
        code = errno;
    } while (result == 0 && answer_at_once(v));
    leave(v);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    v->halted = result != 0 && code == EINTR && ulv_kvm_stock_halted(v);
    if (result == 0 || v->halted)
        return ULV_OK;
    /* what a guest was about to touch was taken: now it finds that it was */
    if (code == EFAULT && !was_lost) {
        v->lost = true;
        return ULV_E_AGAIN;
    }
    return code == EINTR || code == EAGAIN ? ULV_E_AGAIN : ULV_E_HOST;
}

ulv_status
ulv_kvm_vcpu_run(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *out)
{
    struct vcpu *v = vcpu;
    struct kvm_run *run = v->run;
    ulv_status status;

    memset(out, 0, sizeof(*out));
    if (v->ended) {
        out->reason = ULV_EXIT_ENDED;
        out->u.fault.kind = ULV_FAULT_KILLED;
        return ULV_OK;
    }
    if (v->in_string) {
        ulv_kvm_stock_exit(v, out);
        return ULV_OK;
    }
    ulv_kvm_tell_bells(v->machine);
    status = v->thread != NULL ? ulv_kvm_thread_run(v)
                               : ulv_kvm_stay(v, budget_ns);
    if (v->machine->wants_spare)
        ulv_kvm_spare_want(v->machine);
    if (status == ULV_E_AGAIN || (status == ULV_OK && !v->halted &&
                                  run->exit_reason == KVM_EXIT_INTR)) {
        out->reason = ULV_EXIT_INTERRUPTED;
        return ULV_OK;
    }
    if (status != ULV_OK)
        return status;
    if (v->machine->cfg.kind == ULV_MACHINE_STOCK) {
        ulv_kvm_stock_exit(v, out);
    } else if (take_call(run, &out->u.call)) {
        out->reason = ULV_EXIT_CALL;
    } else if (ulv_kvm_is_exception(run)) {
        ulv_kvm_exception(v, out);
    } else if (run->exit_reason == KVM_EXIT_DEBUG) {
        ulv_kvm_debug_exit(v, out);
    } else {
        ulv_kvm_other_exit(v, out);
    }
    return ULV_OK;
}

void
ulv_kvm_vcpu_answer(void *vcpu, int64_t status, uint64_t value)
{
    struct vcpu *v = vcpu;
    struct kvm_run *run = v->run;

    if (v->machine->cfg.kind == ULV_MACHINE_STOCK) {
        ulv_kvm_stock_answer(v, value);
        return;
    }
    run->s.regs.regs.rax = (uint64_t)status;
    run->s.regs.regs.rdx = value;
    run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
}

void
ulv_kvm_vcpu_kick(void *vcpu)
{
    struct vcpu *v = vcpu;
    uint32_t in = RUN_IN;

    __atomic_store_n(&v->kicked, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_compare_exchange_n(&v->running, &in, RUN_SENDING, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    (void)syscall(SYS_tgkill, getpid(), v->thread_id, KICK_SIGNAL);
    __atomic_store_n(&v->running, RUN_SENT, __ATOMIC_RELEASE);
}

ulv_status
ulv_kvm_vcpu_registers(void *vcpu, struct ulv_registers *ret)
{
    ulv_kvm_take_registers(&((struct vcpu *)vcpu)->run->s.regs.regs, ret);
    return ULV_OK;
}

ulv_handle
ulv_kvm_vcpu_event(void *vcpu)
{
    const struct vcpu *v = vcpu;

    return v->thread == NULL ? ULV_NO_HANDLE : v->thread->event;
}
