/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Virtual processors in threads of their own. Such a thread does nothing but
 * stay in the guest; what a stay brought is taken, and answered, by the thread
 * that owns the machine, which the thread's event wakes.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/kvm/kvm_priv.h"

#define STACK_BYTES ((size_t)262144)
/* How often a stock guest, which sleeps in KVM, is looked at: for ever? */
#define HALTED_LOOK_NS UINT64_C(500000000)

/* Under the lock. */
static void
set_state(struct thread *t, uint32_t state)
{
    t->state = state;
    (void)pthread_cond_broadcast(&t->changed);
}

/* Under the lock. */
static void
wait_while(struct thread *t, uint32_t state)
{
    while (t->state == state)
        (void)pthread_cond_wait(&t->changed, &t->lock);
}

static void
confine(struct thread *t)
{
    ulv_status status = ULV_OK;

    if (t->cfg->confine != NULL)
        status = t->cfg->confine(t->cfg->self);
    (void)pthread_mutex_lock(&t->lock);
    t->status = status;
    if (t->state == THREAD_RUN)
        set_state(t, THREAD_IDLE);
    (void)pthread_mutex_unlock(&t->lock);
}

static void *
run(void *argument)
{
    struct thread *t = argument;
    const uint64_t one = 1;

    (void)pthread_mutex_lock(&t->lock);
    wait_while(t, THREAD_CONFINE);
    (void)pthread_mutex_unlock(&t->lock);
    confine(t);
    (void)pthread_mutex_lock(&t->lock);
    while (t->state != THREAD_END) {
        ulv_status status;

        if (t->state != THREAD_RUN) {
            (void)pthread_cond_wait(&t->changed, &t->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&t->lock);
        status = ulv_kvm_stay(t->vcpu, t->cfg->kind == ULV_MACHINE_STOCK
                                           ? HALTED_LOOK_NS
                                           : ULV_FOREVER);
        (void)pthread_mutex_lock(&t->lock);
        t->status = status;
        if (t->state == THREAD_RUN)
            set_state(t, THREAD_DONE);
        (void)write(t->event, &one, sizeof(one));
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

int
ulv_kvm_thread_begin(pthread_t *ret, void *(*function)(void *), void *argument)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int code;

    /* signals are the program's own threads' */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_attr_init(&attributes);
    if (code == 0) {
        (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
        code = pthread_create(ret, &attributes, function, argument);
        (void)pthread_attr_destroy(&attributes);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static ulv_status
make(struct thread *t, const struct ulv_machine_cfg *cfg,
     struct ulv_diag *diag)
{
    int code;

    t->cfg = cfg;
    t->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->event < 0)
        return ulv_kvm_error(diag, "eventfd");
    code = ulv_kvm_thread_begin(&t->id, run, t);
    t->made = code == 0;
    if (code != 0)
        return ulv_fail(diag, ULV_E_NO_MEMORY, cfg->partition,
                        (uint64_t)code, 0,
                        "a thread for a processor could not be made");
    return ULV_OK;
}

/* All at a time: once one is confined, no more can be made. */
static ulv_status
confine_all(struct machine *m, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < m->cfg.vcpu_count; i++) {
        struct thread *t = &m->thread[i];

        (void)pthread_mutex_lock(&t->lock);
        set_state(t, THREAD_RUN);
        wait_while(t, THREAD_RUN);
        if (t->status != ULV_OK)
            status = t->status;
        (void)pthread_mutex_unlock(&t->lock);
    }
    if (status != ULV_OK)
        return ulv_fail(diag, status, m->cfg.partition, 0, 0,
                        "a processor's thread could not enter its sandbox");
    return ULV_OK;
}

ulv_status
ulv_kvm_threads_make(struct machine *m, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    ulv_status status = ULV_OK;

    m->thread = host->alloc(host->self,
                            m->cfg.vcpu_count * sizeof(*m->thread), 16);
    if (m->thread == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition,
                        m->cfg.vcpu_count, 0, "no memory for threads");
    for (uint32_t i = 0; i < m->cfg.vcpu_count; i++) {
        struct thread *t = &m->thread[i];

        t->event = -1;
        (void)pthread_mutex_init(&t->lock, NULL);
        (void)pthread_cond_init(&t->changed, NULL);
    }
    for (uint32_t i = 0; i < m->cfg.vcpu_count && status == ULV_OK; i++)
        status = make(&m->thread[i], &m->cfg, diag);
    if (status == ULV_OK)
        status = confine_all(m, diag);
    return status;
}

void
ulv_kvm_threads_end(struct machine *m)
{
    const struct ulv_host *host = m->cfg.host;

    if (m->thread == NULL)
        return;
    for (uint32_t i = 0; i < m->cfg.vcpu_count; i++) {
        struct thread *t = &m->thread[i];

        (void)pthread_mutex_lock(&t->lock);
        set_state(t, THREAD_END);
        (void)pthread_mutex_unlock(&t->lock);
        if (t->made)
            (void)pthread_join(t->id, NULL);
        (void)pthread_cond_destroy(&t->changed);
        (void)pthread_mutex_destroy(&t->lock);
        if (t->event >= 0)
            (void)close(t->event);
    }
    host->free(host->self, m->thread, m->cfg.vcpu_count * sizeof(*m->thread));
    m->thread = NULL;
}

/* Under the lock: whether a stay is over; it is taken. */
static bool
take(struct thread *t, ulv_status *status)
{
    uint64_t count;

    if (t->state != THREAD_DONE)
        return false;
    (void)read(t->event, &count, sizeof(count));
    *status = t->status;
    t->state = THREAD_IDLE;
    return true;
}

ulv_status
ulv_kvm_thread_run(struct vcpu *v)
{
    struct thread *t = v->thread;
    ulv_status status = ULV_E_AGAIN;

    (void)pthread_mutex_lock(&t->lock);
    /* a stay that brought nothing goes on, unless it is held */
    if ((!take(t, &status) || status == ULV_E_AGAIN) && !t->held &&
        t->state == THREAD_IDLE) {
        t->vcpu = v;
        set_state(t, THREAD_RUN);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return status;
}

void
ulv_kvm_thread_hold(struct vcpu *v, bool hold)
{
    struct thread *t = v->thread;

    (void)pthread_mutex_lock(&t->lock);
    t->held = hold;
    if (hold && t->state == THREAD_RUN) {
        ulv_kvm_vcpu_kick(v);
        wait_while(t, THREAD_RUN);
    }
    (void)pthread_mutex_unlock(&t->lock);
}
