/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Waiting for the caller's own ends of channels: look, ask, sleep.
 *
 * Invariant: before the system waits, every end that is waited for has asked
 * its peer to ring, after which it was looked at once more; and the peer has
 * been rung for all that was published and passed. While it only looks, it asks
 * for nothing, so two that are busy ring no doorbell.
 */
#include "system/channel_wait.h"

#include "base/base.h"

#define LOOKS 16u /* between two looks at the clock */

/* Why nothing will come any more, or ULV_OK. */
static ulv_status
why_never(const ulv_channel *channel)
{
    const struct keeper *k = &channel->system->keeper;
    const struct keeper_channel *c =
        ulv_keeper_channel(k, channel->wire.channel);
    const struct keeper_partition *p = NULL;

    if (c != NULL)
        p = ulv_keeper_partition(k,
                                 c->server == k->boot ? c->client : c->server);
    if (p == NULL || p->state == ULV_STATE_STOPPED ||
        p->state == ULV_STATE_FAULTED)
        return ULV_E_PEER_GONE;
    switch (ulv_channel_peer_state(&channel->end)) {
    case ULV_END_FAILED:
        return ULV_E_PEER_PROTOCOL;
    case ULV_END_REVOKED:
        return ULV_E_PEER_GONE;
    default:
        return ULV_OK;
    }
}

void
ulv_awaited_look(struct ulv_channel_awaited *w)
{
    struct ulv_channel_end *end = &w->channel->end;
    struct ulv_ring_record record;

    w->ready = 0;
    w->status = ULV_E_AGAIN;
    if (ulv_system_channel_is_gone(w->channel)) {
        w->status = ULV_E_PEER_GONE;
        return;
    }
    if ((w->wanted & ULV_CHANNEL_DATA) != 0 &&
        ulv_ring_rx_peek(&end->rx, &record) == ULV_OK)
        w->ready |= ULV_CHANNEL_DATA;
    if (end->rx.closed != ULV_OK || end->tx.closed != ULV_OK)
        w->status = end->rx.closed != ULV_OK ? end->rx.closed : end->tx.closed;
    else if ((w->wanted & ULV_CHANNEL_ROOM) != 0 &&
             ulv_ring_tx_has_room(&end->tx, w->room))
        w->ready |= ULV_CHANNEL_ROOM;
    if (w->ready != 0)
        w->status = ULV_OK;
}

static bool
look_at_all(struct ulv_channel_awaited *all, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        ulv_awaited_look(&all[i]);
        any |= all[i].status != ULV_E_AGAIN;
    }
    return any;
}

void
ulv_awaited_submit(ulv_channel *channel)
{
    struct ulv_ring_rx *rx = &channel->end.rx;
    uint64_t peeked = rx->peeked;

    ulv_channel_submit(channel);
    rx->peeked = 0; /* what is being looked at stays */
    ulv_channel_release(channel);
    rx->peeked = peeked;
}

bool
ulv_awaited_ask(struct ulv_channel_awaited *w)
{
    struct ulv_channel_end *end = &w->channel->end;
    bool any = false;

    if ((w->wanted & ULV_CHANNEL_DATA) != 0)
        any |= ulv_ring_rx_wait(&end->rx);
    if ((w->wanted & ULV_CHANNEL_ROOM) != 0)
        any |= ulv_ring_tx_wait(&end->tx, w->room);
    return any;
}

bool
ulv_awaited_is_over(struct ulv_channel_awaited *w)
{
    ulv_status why = why_never(w->channel);

    if (why == ULV_OK)
        return false;
    ulv_awaited_look(w); /* its last words may have come since */
    if (w->status == ULV_E_AGAIN)
        w->status = why;
    return true;
}

ulv_nsec
ulv_awaited_look_until(ulv_system *system, ulv_nsec deadline)
{
    if (!system->keeper.processes)
        return 0; /* the peers run in our step */
    return ULV_MIN(ulv_system_now(system) + ulv_spin_bound(&system->spin),
                   deadline);
}

/* Ask for each of them. Whether of one something is there after all, or never
 * will be. */
static bool
ask_all(struct ulv_channel_awaited *all, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < count; i++)
        any |= ulv_awaited_is_over(&all[i]);
    for (size_t i = 0; i < count && !any; i++)
        any = ulv_awaited_ask(&all[i]);
    return any;
}

static bool
spin(ulv_system *system, struct ulv_channel_awaited *all, size_t count,
     ulv_nsec until)
{
    do {
        for (uint32_t i = 0; i < LOOKS; i++) {
            if (look_at_all(all, count))
                return true;
            ulv_awaited_relax();
        }
    } while (ulv_system_now(system) < until);
    return false;
}

static ulv_status
sleep_until(ulv_system *system, struct ulv_channel_awaited *all, size_t count,
            ulv_nsec deadline)
{
    for (;;) {
        ulv_status status;

        if (ask_all(all, count))
            break;
        status = ulv_system_step(system, deadline);
        if (look_at_all(all, count))
            return ULV_OK;
        if (status != ULV_OK)
            return status;
        if (deadline != ULV_FOREVER && ulv_system_now(system) >= deadline)
            return ULV_E_TIMEOUT;
    }
    /* those that were not looked at yet, or just now have something */
    for (size_t i = 0; i < count; i++) {
        if (all[i].status == ULV_E_AGAIN)
            ulv_awaited_look(&all[i]);
    }
    return ULV_OK;
}

static bool
look_for_a_while(ulv_system *system, struct ulv_channel_awaited *all,
                 size_t count, ulv_nsec deadline)
{
    ulv_nsec until = ulv_awaited_look_until(system, deadline);
    bool found;

    if (until == 0)
        return false;
    found = spin(system, all, count, until);
    ulv_spin_learn(&system->spin, found);
    return found;
}

ulv_status
ulv_channel_wait_any(struct ulv_channel_awaited *all, size_t count,
                     ulv_nsec deadline)
{
    ulv_system *system;
    bool found;

    if (count == 0)
        return ULV_E_ARG;
    system = all[0].channel->system;
    for (size_t i = 0; i < count; i++)
        ulv_awaited_submit(all[i].channel);
    if (look_at_all(all, count))
        return ULV_OK;
    found = look_for_a_while(system, all, count, deadline);
    for (size_t i = 0; i < count; i++) {
        all[i].channel->count.waits++;
        all[i].channel->count.spins += found;
    }
    return found ? ULV_OK : sleep_until(system, all, count, deadline);
}

ulv_status
ulv_channel_wait(ulv_channel *channel, uint32_t wanted, size_t room,
                 ulv_nsec deadline)
{
    struct ulv_channel_awaited w = { .channel = channel, .wanted = wanted };
    ulv_status status;

    if (room > UINT32_MAX)
        return ULV_E_LIMIT;
    w.room = (uint32_t)room;
    status = ulv_channel_wait_any(&w, 1, deadline);
    return status == ULV_OK ? w.status : status;
}
