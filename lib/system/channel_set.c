/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Waiting for a set of the caller's own ends, at a cost that does not grow with
 * those that are idle.
 *
 * Invariant: a member that is not hot has asked its peer to ring, after which
 * it was looked at once more, and all that was published or passed over it has
 * been submitted. What makes a member hot: that it is added or changed, its
 * doorbell (the keeper knows which rang), and whatever its user publishes or
 * passes. Members whose partition ends or whose channel is destroyed are rung
 * by nobody: the keeper counts those, and after each all are looked at.
 *
 * A wait looks at the hot ones only. Those that have something stay hot and go
 * behind the others; one that had nothing at the begin of two waits is asked
 * for and cools, as all that have nothing do before it sleeps. So a record
 * costs two looks in vain at most, and who is busy rings no doorbell.
 */
#include "base/base.h"
#include "system/channel_wait.h"

#define LOOKS        16u /* between two looks at the clock */
#define WAITS_A_STEP 16u /* so often the system is stepped at least */

struct member {
    struct ulv_channel_awaited awaited;
    ulv_channel_set *set;
    struct member *next, **at; /* of all */
    struct member *hot_next, **hot_at; /* hot_at NULL: it is not hot */
    bool in_vain; /* it was looked at when a wait began */
};

struct ulv_channel_set {
    ulv_system *system;
    struct member *all;
    struct member *hot, **hot_end;
    uint32_t waits;
    uint64_t ends; /* of the keeper's, as last seen */
};

/* ---- who is hot ---------------------------------------------------------- */

static void
cool(struct member *m)
{
    ulv_channel_set *set = m->set;

    if (m->hot_at == NULL)
        return;
    *m->hot_at = m->hot_next;
    if (m->hot_next != NULL)
        m->hot_next->hot_at = m->hot_at;
    else
        set->hot_end = m->hot_at;
    m->hot_at = NULL;
}

static void
heat(struct member *m)
{
    ulv_channel_set *set = m->set;

    if (m->hot_at != NULL)
        return;
    m->in_vain = false;
    m->hot_next = NULL;
    m->hot_at = set->hot_end;
    *set->hot_end = m;
    set->hot_end = &m->hot_next;
}

/* Those whose end nobody rings for may be any. */
static void
heat_ended(ulv_channel_set *set)
{
    uint64_t ends = set->system->keeper.ends;
    bool all = ends != set->ends ||
               !ulv_rung_can_tell(&set->system->keeper.rung);

    set->ends = ends;
    for (struct member *m = set->all; all && m != NULL; m = m->next)
        heat(m);
}

/* ---- members ------------------------------------------------------------- */

ulv_status
ulv_channel_set_create(ulv_system *system, ulv_channel_set **ret_set)
{
    const struct ulv_host *host = system->host;
    ulv_channel_set *set = host->alloc(host->self, sizeof(*set), 8);

    if (set == NULL)
        return ULV_E_NO_MEMORY;
    set->system = system;
    set->ends = system->keeper.ends;
    set->hot_end = &set->hot;
    *ret_set = set;
    return ULV_OK;
}

static void
remove_member(struct member *m)
{
    const struct ulv_host *host = m->set->system->host;

    cool(m);
    *m->at = m->next;
    if (m->next != NULL)
        m->next->at = m->at;
    m->awaited.channel->member = NULL;
    m->awaited.channel->news = NULL;
    host->free(host->self, m, sizeof(*m));
}

void
ulv_channel_set_destroy(ulv_channel_set *set)
{
    const struct ulv_host *host;

    if (set == NULL)
        return;
    host = set->system->host;
    while (set->all != NULL)
        remove_member(set->all);
    host->free(host->self, set, sizeof(*set));
}

/* Its doorbell rang, or its user did something; or it is being closed. */
static void
hear_news(ulv_channel *channel, bool closes)
{
    if (closes)
        remove_member(channel->member);
    else
        heat(channel->member);
}

static struct member *
new_member(ulv_channel_set *set, ulv_channel *channel)
{
    const struct ulv_host *host = set->system->host;
    struct member *m = host->alloc(host->self, sizeof(*m), 8);

    if (m == NULL)
        return NULL;
    m->awaited.channel = channel;
    m->set = set;
    m->next = set->all;
    m->at = &set->all;
    if (m->next != NULL)
        m->next->at = &m->next;
    set->all = m;
    channel->member = m;
    channel->news = hear_news;
    return m;
}

ulv_status
ulv_channel_set_add(ulv_channel_set *set, ulv_channel *channel,
                    uint32_t wanted, size_t room)
{
    struct member *m = channel->member;

    if (room > UINT32_MAX)
        return ULV_E_LIMIT;
    if (channel->system != set->system ||
        (wanted & ~(ULV_CHANNEL_DATA | ULV_CHANNEL_ROOM)) != 0)
        return ULV_E_ARG;
    if (m != NULL && m->set != set)
        return ULV_E_BUSY;
    if (m == NULL)
        m = new_member(set, channel);
    if (m == NULL)
        return ULV_E_NO_MEMORY;
    m->awaited.wanted = wanted;
    m->awaited.room = (uint32_t)room;
    heat(m);
    return ULV_OK;
}

void
ulv_channel_set_remove(ulv_channel_set *set, ulv_channel *channel)
{
    if (channel->member != NULL && channel->member->set == set)
        remove_member(channel->member);
}

/* ---- waiting ------------------------------------------------------------- */

/* What is told of the hot ones, and how much of it. */
struct told {
    struct ulv_channel_awaited *ret;
    size_t room, count;
};

static void
tell(struct told *told, struct member *m)
{
    told->ret[told->count++] = m->awaited;
    m->in_vain = false;
    cool(m);
    heat(m); /* behind those that were not told */
}

/* Tell of those that have something. Each is looked at once, also those that go
 * to the end of the list meanwhile: last is who stood there first. */
static bool
look_at_hot(ulv_channel_set *set, struct told *told)
{
    struct member *next, **last = set->hot_end;

    for (struct member *m = set->hot; m != NULL && told->count < told->room;
         m = next) {
        bool is_last = &m->hot_next == last;

        next = is_last ? NULL : m->hot_next;
        ulv_awaited_look(&m->awaited);
        if (m->awaited.status != ULV_E_AGAIN)
            tell(told, m);
    }
    return told->count != 0;
}

/* What had nothing just now, and when the wait before this one began. */
static void
cool_idle(ulv_channel_set *set, struct told *told)
{
    struct member *next;

    for (struct member *m = set->hot; m != NULL; m = next) {
        next = m->hot_next;
        if (m->awaited.status != ULV_E_AGAIN)
            return; /* those that have something stand behind the others */
        if (!m->in_vain)
            m->in_vain = true;
        else if (!ulv_awaited_is_over(&m->awaited)) {
            if (!ulv_awaited_ask(&m->awaited))
                cool(m);
        } else if (told->count < told->room) {
            tell(told, m);
        }
    }
}

static void
submit_hot(ulv_channel_set *set)
{
    for (struct member *m = set->hot; m != NULL; m = m->hot_next)
        ulv_awaited_submit(m->awaited.channel);
}

static void
count_wait(ulv_channel_set *set, bool spun)
{
    for (struct member *m = set->hot; m != NULL; m = m->hot_next) {
        m->awaited.channel->count.waits++;
        m->awaited.channel->count.spins += spun;
    }
}

static bool
look_for_a_while(ulv_channel_set *set, struct told *told, ulv_nsec deadline)
{
    ulv_system *system = set->system;
    ulv_nsec until = ulv_awaited_look_until(system, deadline);
    bool found = false;

    if (until == 0 || set->hot == NULL)
        return false;
    do {
        for (uint32_t i = 0; i < LOOKS && !found; i++) {
            found = look_at_hot(set, told);
            ulv_awaited_relax();
        }
    } while (!found && ulv_system_now(system) < until);
    ulv_spin_learn(&system->spin, found);
    return found;
}

/* Ask for all that are hot, and let them cool; or tell of one that has
 * something now, or never again. */
static bool
ask_hot(ulv_channel_set *set, struct told *told)
{
    struct member *next;

    for (struct member *m = set->hot; m != NULL; m = next) {
        next = m->hot_next;
        if (ulv_awaited_is_over(&m->awaited)) {
            tell(told, m);
            return true;
        }
        if (!ulv_awaited_ask(&m->awaited)) {
            cool(m);
            continue;
        }
        ulv_awaited_look(&m->awaited);
        if (m->awaited.status != ULV_E_AGAIN) {
            tell(told, m);
            return true;
        }
    }
    return false;
}

ulv_status
ulv_channel_set_wait(ulv_channel_set *set, struct ulv_channel_awaited *ret,
                     size_t room, size_t *ret_count, ulv_nsec deadline)
{
    struct told told = { ret, room, 0 };
    ulv_status status = ULV_OK;
    bool found;

    *ret_count = 0;
    if (room == 0)
        return ULV_E_ARG;
    if (++set->waits % WAITS_A_STEP == 0) /* who is cold rings in a step */
        (void)ulv_system_step(set->system, 0);
    heat_ended(set);
    submit_hot(set);
    found = look_at_hot(set, &told);
    if (found) {
        cool_idle(set, &told);
    } else {
        found = look_for_a_while(set, &told, deadline);
        count_wait(set, found);
    }
    while (!found) {
        found = ask_hot(set, &told);
        if (found)
            break;
        if (status == ULV_OK && deadline != ULV_FOREVER &&
            ulv_system_now(set->system) >= deadline)
            status = ULV_E_TIMEOUT;
        if (status != ULV_OK)
            break;
        status = ulv_system_step(set->system, deadline);
        heat_ended(set);
        found = look_at_hot(set, &told);
    }
    *ret_count = told.count;
    return found ? ULV_OK : status;
}
