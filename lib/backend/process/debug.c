/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Debugging a guest without ptrace(2), which neither the guest's process nor
 * the monitor's sandbox allows: SIGTRAP, sent by us or raised by an int3 or a
 * step, brings the guest into a handler of the launcher's. It writes the
 * registers to the call page, says so, waits, and returns with those that lie
 * there then.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend/process/process_priv.h"
#include "base/base.h"
#include "monitor/exception.h"

/* How long a guest that is asked to stop may take to do so: one that does not
 * want to is only held. */
#define STOP_NS  UINT64_C(500000000)
#define ENTRY_NS UINT64_C(20000000000)

#define VECTOR_DEBUG   1u
#define VECTOR_INT3    3u
#define TRAP_FLAG      UINT64_C(0x100)
/* CF PF AF ZF SF DF OF AC ID: what a guest may change by itself */
#define FLAGS_OF_GUEST UINT64_C(0x240cd5)
#define FLAGS_FIXED    UINT64_C(0x202)

static ulv_nsec
now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (ulv_nsec)t.tv_sec * 1000000000 + (ulv_nsec)t.tv_nsec;
}

/* What it says when it stops is its own; it is copied once. */
static bool
take_stop(struct vcpu *v, uint64_t count, struct call_page *page)
{
    ulv_process_copy_page(v->machine->page, page);
    if (page->stopped == 0) {
        v->call_waits = true;
        return false;
    }
    __atomic_store_n(&v->machine->page->stopped, 0, __ATOMIC_RELAXED);
    v->call_waits |= count > 1;
    v->stopped = true;
    memcpy(&v->registers, page->registers, sizeof(v->registers));
    v->registers.rflags &= ~TRAP_FLAG;
    if (page->code > 0 && page->trap == VECTOR_INT3 && v->breaks)
        v->registers.rip--; /* it stands at the int3, and meets it again */
    return true;
}

static bool
await_stop(struct vcpu *v, ulv_nsec limit)
{
    struct pollfd fds[2] = { { .fd = v->machine->call_fd, .events = POLLIN },
                            { .fd = v->pidfd, .events = POLLIN } };
    const ulv_nsec end = now() + limit;
    struct call_page page;
    uint64_t count;

    while (!v->stopped) {
        ulv_nsec at = now(), left = at < end ? end - at : 0;
        const struct timespec wait = { (time_t)(left / 1000000000),
                                      (long)(left % 1000000000)};
        int n = ppoll(fds, 2, &wait, NULL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || (fds[0].revents & POLLIN) == 0 ||
            read(v->machine->call_fd, &count, 8) != 8)
            return false;
        (void)take_stop(v, count, &page);
    }
    return true;
}

ulv_status
ulv_process_await_entry(struct vcpu *v, struct ulv_diag *diag)
{
    const uint64_t one = 1;

    if (write(v->machine->answer_fd, &one, 8) != 8)
        return ulv_process_error(diag, "eventfd");
    if (!await_stop(v, ENTRY_NS))
        return ulv_fail(diag, ULV_E_HOST, v->machine->cfg.partition, 0, 0,
                        "the guest's process did not come to its entry");
    v->call_waits = false;
    return ULV_OK;
}

/* What brought it there, or that it is the guest's own fault. */
bool
ulv_process_stopped(struct vcpu *v, uint64_t count, struct ulv_exit *out)
{
    struct call_page page;

    if (v->stopped || !take_stop(v, count, &page)) {
        v->call_waits = false; /* who asks takes it */
        return false;
    }
    if (page.code <= 0) { /* a signal: it was asked to, and came late */
        if (!v->held)
            ulv_process_go_on(v);
        return true;
    }
    out->reason = ULV_EXIT_DEBUG;
    if (page.trap == VECTOR_INT3 && v->breaks) {
        out->u.debug.cause = ULV_DEBUG_INT3;
    } else if (page.trap == VECTOR_DEBUG && v->steps) {
        out->u.debug.cause = ULV_DEBUG_STEP;
    } else {
        ulv_process_take_fault(v, &page, out);
    }
    v->steps = false;
    return true;
}

void
ulv_process_go_on(struct vcpu *v)
{
    const uint64_t one = 1;

    if (v->steps)
        v->registers.rflags |= TRAP_FLAG;
    memcpy(v->machine->page->registers, &v->registers, sizeof(v->registers));
    v->stopped = false;
    (void)!write(v->machine->debug_fd, &one, 8);
}

/* It is held, or in its handler. It is let run as far as that; then it is held
 * again. */
ulv_status
ulv_process_registers(void *vcpu, struct ulv_registers *ret)
{
    struct vcpu *v = vcpu;

    if (v->machine->debug_fd < 0)
        return ULV_E_UNSUPPORTED;
    if (v->ended)
        return ULV_E_STATE;
    if (!v->stopped) {
        (void)syscall(SYS_pidfd_send_signal, v->pidfd, SIGTRAP, NULL, 0);
        ulv_process_hold(v, false);
        (void)await_stop(v, STOP_NS);
        ulv_process_hold(v, true);
        v->held = true;
    }
    *ret = v->registers;
    return v->stopped ? ULV_OK : ULV_E_HOST;
}

ulv_status
ulv_process_set_registers(void *vcpu, const struct ulv_registers *registers)
{
    struct vcpu *v = vcpu;

    if (v->machine->debug_fd < 0)
        return ULV_E_UNSUPPORTED;
    if (!v->stopped || v->ended)
        return ULV_E_STATE;
    v->registers = *registers;
    v->registers.rflags = (registers->rflags & FLAGS_OF_GUEST) | FLAGS_FIXED;
    return ULV_OK;
}

ulv_status
ulv_process_debug(void *vcpu, const struct ulv_debug *debug)
{
    struct vcpu *v = vcpu;

    if (debug->on != 0 && v->machine->debug_fd < 0)
        return ULV_E_UNSUPPORTED;
    if (debug->point_count != 0)
        return ULV_E_UNSUPPORTED;
    if (debug->step != 0 && !v->stopped)
        return ULV_E_STATE;
    v->breaks = debug->on != 0;
    v->steps = debug->on != 0 && debug->step != 0;
    return ULV_OK;
}
