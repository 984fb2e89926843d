/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A processor under a debugger: KVM takes its debug exceptions and int3 for us,
 * and keeps the debug registers and TF from the guest's eyes.
 *
 * Source: api.rst, 4.87 KVM_SET_GUEST_DEBUG; SDM vol. 3B 18.2
 */
#include <cpuid.h>
#include <string.h>
#include <sys/ioctl.h>

#include "backend/kvm/kvm_priv.h"

#define VECTOR_STEP 1u
#define VECTOR_INT3 3u
/* CF PF AF ZF SF DF OF AC ID: what a guest may change by itself */
#define FLAGS_OF_GUEST UINT64_C(0x240cd5)
#define FLAGS_FIXED    UINT64_C(2)
#define FLAGS_IF       UINT64_C(0x200) /* clear in a handler, and stays so */

#define DR6_POINTS UINT64_C(15)
#define DR7_FIXED  UINT64_C(0x400)

/* SDM vol. 2A CPUID; AMD APM vol. 3 E.4.2: VMX or SVM. Without either KVM runs
 * guests by software. */
static bool
has_virtualization(void)
{
    uint32_t a, b, c = 0, d;

    __cpuid(1, a, b, c, d);
    if ((c & UINT32_C(1) << 5) != 0)
        return true;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 &&
           (c & UINT32_C(1) << 2) != 0;
}

/* Neither the processor that QEMU emulates nor a KVM in software heeds the
 * debug registers of a guest. */
static bool
heeds_points(void)
{
    return !ulv_kvm_is_emulated() && has_virtualization();
}

uint32_t
ulv_kvm_debug_caps(void)
{
    return ULV_DEBUG_CAN_READ | ULV_DEBUG_CAN_SET | ULV_DEBUG_CAN_BREAK |
           ULV_DEBUG_CAN_STEP |
           (heeds_points() ? ULV_DEBUG_CAN_WATCH : 0);
}

/* On the way into a handler, or out of it, it is not the guest's own: what is
 * put there would run at CPL0. */
static bool
is_guests(const struct vcpu *v)
{
    struct kvm_sregs s;

    return v->machine->cfg.interrupts == 0 ||
           (ioctl(v->fd, KVM_GET_SREGS, &s) == 0 && s.cs.dpl == 3);
}

ulv_status
ulv_kvm_vcpu_set_registers(void *vcpu, const struct ulv_registers *from)
{
    struct vcpu *v = vcpu;
    struct kvm_run *run = v->run;
    struct kvm_regs *to = &run->s.regs.regs;

    if (!is_guests(v))
        return ULV_E_STATE;
    *to = (struct kvm_regs){ .rax = from->rax,
                             .rbx = from->rbx,
                             .rcx = from->rcx,
                             .rdx = from->rdx,
                             .rsi = from->rsi,
                             .rdi = from->rdi,
                             .rsp = from->rsp,
                             .rbp = from->rbp,
                             .r8 = from->r8,
                             .r9 = from->r9,
                             .r10 = from->r10,
                             .r11 = from->r11,
                             .r12 = from->r12,
                             .r13 = from->r13,
                             .r14 = from->r14,
                             .r15 = from->r15,
                             .rip = from->rip,
                             .rflags = (from->rflags & FLAGS_OF_GUEST) |
                                       (to->rflags & FLAGS_IF) |
                                       FLAGS_FIXED };
    run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    return ULV_OK;
}

/* Its four bits of DR7: LEN, R/W; SDM 18.2.4. */
static uint64_t
control_of(const struct ulv_debug_point *point)
{
    uint64_t kind = point->type == ULV_DEBUG_EXECUTE ? 0
                    : point->type == ULV_DEBUG_WRITE ? 1
                                                     : 3;
    uint64_t len = point->bytes == 8 ? 2 : point->bytes - UINT64_C(1);

    return len << 2 | kind;
}

static bool
is_right(const struct ulv_debug_point *point)
{
    return point->type >= ULV_DEBUG_EXECUTE &&
           point->type <= ULV_DEBUG_ACCESS && point->bytes != 0 &&
           point->bytes <= 8 && ulv_is_power_of_two(point->bytes) &&
           point->address % point->bytes == 0 &&
           (point->type != ULV_DEBUG_EXECUTE || point->bytes == 1);
}

static ulv_status
check_points(const struct ulv_debug *debug)
{
    if (debug->point_count != 0 && !heeds_points())
        return ULV_E_UNSUPPORTED;
    if (debug->point_count > ULV_DEBUG_POINTS_MAX)
        return ULV_E_LIMIT;
    for (uint32_t i = 0; i < debug->point_count; i++) {
        if (!is_right(&debug->point[i]))
            return ULV_E_ARG;
    }
    return ULV_OK;
}

/* KVM steps from where its own copy of the registers stands: it is to have
 * what was changed in ours. */
static bool
flush_registers(struct vcpu *v)
{
    if (v->run->kvm_dirty_regs == 0)
        return true;
    v->run->kvm_dirty_regs = 0;
    return ioctl(v->fd, KVM_SET_REGS, &v->run->s.regs.regs) == 0;
}

ulv_status
ulv_kvm_vcpu_debug(void *vcpu, const struct ulv_debug *debug)
{
    struct vcpu *v = vcpu;
    struct kvm_guest_debug ask;
    ulv_status status = check_points(debug);

    if (status != ULV_OK)
        return status;
    memset(&ask, 0, sizeof(ask));
    if (debug->on != 0)
        ask.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
    if (debug->on != 0 && debug->step != 0)
        ask.control |= KVM_GUESTDBG_SINGLESTEP;
    if (debug->on != 0 && debug->point_count != 0) {
        ask.control |= KVM_GUESTDBG_USE_HW_BP;
        ask.arch.debugreg[7] = DR7_FIXED;
    }
    for (uint32_t i = 0; i < debug->point_count; i++) {
        ask.arch.debugreg[i] = debug->point[i].address;
        ask.arch.debugreg[7] |= UINT64_C(2) << i * 2 |
                                control_of(&debug->point[i]) << (16 + i * 4);
    }
    if (!flush_registers(v) || ioctl(v->fd, KVM_SET_GUEST_DEBUG, &ask) != 0)
        return ULV_E_HOST;
    v->debug = *debug;
    return ULV_OK;
}

static void
end_step(struct vcpu *v)
{
    if (v->debug.step == 0)
        return;
    v->debug.step = 0;
    (void)ulv_kvm_vcpu_debug(v, &v->debug);
}

void
ulv_kvm_debug_exit(struct vcpu *v, struct ulv_exit *out)
{
    const struct kvm_debug_exit_arch *arch = &v->run->debug.arch;
    uint64_t points = arch->dr6 & DR6_POINTS;
    uint32_t at = points == 0 ? 0 : (uint32_t)__builtin_ctzll(points);

    out->reason = ULV_EXIT_DEBUG;
    if (arch->exception == VECTOR_INT3) {
        out->u.debug.cause = ULV_DEBUG_INT3;
    } else if (points != 0 && at < v->debug.point_count) {
        out->u.debug.cause = v->debug.point[at].type;
        out->u.debug.address = v->debug.point[at].address;
    } else {
        out->u.debug.cause = ULV_DEBUG_STEP;
    }
    end_step(v);
}

/* The processor that QEMU emulates gives an int3 to the guest, not to KVM, and
 * a KVM in software the end of a step. The guest is put back where it was. */
bool
ulv_kvm_debug_exception(struct vcpu *v, uint32_t vector,
                        const uint64_t frame[6], struct ulv_exit *out)
{
    struct kvm_regs *regs = &v->run->s.regs.regs;
    bool is_int3 = vector == VECTOR_INT3 && v->debug.on != 0;
    bool is_step = vector == VECTOR_STEP && v->debug.step != 0;

    if ((!is_int3 && !is_step) ||
        ulv_kvm_set_system_registers(v, NULL) != ULV_OK)
        return false;
    memset(out, 0, sizeof(*out));
    out->reason = ULV_EXIT_DEBUG;
    out->u.debug.cause = is_int3 ? ULV_DEBUG_INT3 : ULV_DEBUG_STEP;
    regs->rip = frame[1] - (is_int3 ? 1 : 0);
    regs->rflags = (frame[3] & (FLAGS_OF_GUEST | FLAGS_IF)) | FLAGS_FIXED;
    regs->rsp = frame[4];
    v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    end_step(v);
    return true;
}
