/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A spare machine: what takes KVM longest of a start, the machine and its first
 * processor, is made by a thread that does nothing else, before it is asked
 * for.
 *
 * 1. init: the thread makes one. A machine takes it, or waits until it is made.
 *    No other is made: most programs run one guest.
 * 2. The second machine finds none and makes its own. Once its guest has run,
 *    the thread makes one, and another when each that follows has: not while
 *    a guest starts, for what two threads do to one address space holds up
 *    both.
 * 3. It fails (no descriptors, no memory): the machine that wanted it makes its
 *    own, and says why it could not, if so.
 * 4. fini while it makes one: waits for that, and closes it.
 *
 * The machine is moved to who takes it: nothing in it points to itself.
 */
#include "backend/kvm/kvm_priv.h"

static void
make(struct spare *s)
{
    struct machine *m = &s->machine;

    memset(m, 0, sizeof(*m));
    s->there = ulv_kvm_machine_make(m, &s->cfg, NULL) == ULV_OK &&
               ulv_kvm_vcpu_make(m, 0, &m->first, NULL) == ULV_OK;
    if (!s->there)
        ulv_kvm_machine_fini(m);
}

/* The thread. */
static void *
keep(void *argument)
{
    struct spare *s = argument;

    (void)pthread_mutex_lock(&s->lock);
    while (s->state != SPARE_END) {
        if (s->state != SPARE_WANTED) {
            (void)pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&s->lock);
        make(s);
        (void)pthread_mutex_lock(&s->lock);
        if (s->state == SPARE_WANTED)
            s->state = SPARE_DONE;
        (void)pthread_cond_broadcast(&s->changed);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

ulv_status
ulv_kvm_spare_init(void *spare, const struct ulv_host *host)
{
    struct spare *s = spare;

    s->cfg = (struct ulv_machine_cfg){ .size = sizeof(s->cfg),
                                       .vcpu_count = 1,
                                       .host = host,
                                       .gate = ULV_GUEST_GATE };
    s->state = SPARE_WANTED;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    if (ulv_kvm_thread_begin(&s->thread, keep, s) == 0)
        return ULV_OK;
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    return ULV_E_NO_MEMORY;
}

static void
set_state(struct spare *s, uint32_t state)
{
    s->state = state;
    (void)pthread_cond_broadcast(&s->changed);
}

void
ulv_kvm_spare_fini(void *spare)
{
    struct spare *s = spare;

    (void)pthread_mutex_lock(&s->lock);
    set_state(s, SPARE_END);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    if (s->there)
        ulv_kvm_machine_fini(&s->machine);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
}

bool
ulv_kvm_spare_take(struct machine *m, const struct ulv_machine_cfg *cfg)
{
    struct spare *s = cfg->spare;
    bool there;

    if (s == NULL || cfg->kind != s->cfg.kind || cfg->gate != s->cfg.gate ||
        cfg->interrupts != 0)
        return false;
    (void)pthread_mutex_lock(&s->lock);
    while (s->state == SPARE_WANTED)
        (void)pthread_cond_wait(&s->changed, &s->lock);
    there = s->there;
    s->there = false;
    if (there)
        *m = s->machine;
    set_state(s, SPARE_GONE);
    m->wants_spare = s->asked;
    s->asked = true;
    (void)pthread_mutex_unlock(&s->lock);
    if (there)
        m->cfg = *cfg;
    return there;
}

void
ulv_kvm_spare_want(struct machine *m)
{
    struct spare *s = m->cfg.spare;

    m->wants_spare = false;
    (void)pthread_mutex_lock(&s->lock);
    if (s->state == SPARE_GONE)
        set_state(s, SPARE_WANTED);
    (void)pthread_mutex_unlock(&s->lock);
}
