/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Following the view: what it lists and was handed over is mapped, what it
 * revokes is unmapped. A guest that runs is asked politely: it sees the mark in
 * its view and may give the thing up; when the grace is over it is taken.
 *
 * What the view says and what is handed over arrive by different ways, in any
 * order; each arrival looks at all of it again.
 */
#include "monitor/monitor_priv.h"

#define ACCESS_ALL (ULV_GUEST_WRITE | ULV_GUEST_EXECUTE)

/* The backend could not take it away: then the guest cannot go on. */
static void
cannot_unmap(struct ulv_monitor *m, ulv_id object)
{
    struct ulv_exit_fault fault = { .kind = ULV_FAULT_BACKEND };
    struct ulv_text line;

    ulv_monitor_fault(m, &fault);
    ulv_text_init(&line, m->end.text, sizeof(m->end.text));
    ulv_text_format(&line,
                    "the %s backend cannot take memory %u from a guest that "
                    "runs",
                    m->cfg.backend->name, object);
}

/* ---- memory -------------------------------------------------------------- */

uint8_t *
ulv_monitor_memory_at(const struct ulv_monitor *m, uint64_t guest,
                      uint64_t *ret_bytes)
{
    for (uint32_t i = 0; i < m->extent_count; i++) {
        const struct extent *e = &m->extents[i];

        if (e->state == EXTENT_MAPPED && guest - e->guest < e->bytes) {
            *ret_bytes = e->bytes - (guest - e->guest);
            return e->p + (guest - e->guest);
        }
    }
    *ret_bytes = 0;
    return NULL;
}

uint64_t
ulv_monitor_ram_end(const struct ulv_monitor *m)
{
    uint64_t end = ULV_GUEST_RAM_BASE, bytes;

    while (ulv_monitor_memory_at(m, end, &bytes) != NULL)
        end += bytes;
    return end;
}

ulv_status
ulv_monitor_take_extent(struct ulv_monitor *m, ulv_id id, ulv_handle memory,
                        uint64_t bytes)
{
    const struct ulv_host *host = m->cfg.host;
    struct extent *extent;

    if (m->extent_count == m->extent_capacity) {
        uint32_t more = m->extent_capacity * 2 + 8;
        struct extent *extents =
            host->alloc(host->self, more * sizeof(*extents), 8);

        if (extents == NULL) {
            host->handle_close(host->self, memory);
            return ULV_E_NO_MEMORY;
        }
        if (m->extent_count != 0)
            memcpy(extents, m->extents, m->extent_count * sizeof(*extents));
        host->free(host->self, m->extents,
                   m->extent_capacity * sizeof(*extents));
        m->extents = extents;
        m->extent_capacity = more;
    }
    extent = &m->extents[m->extent_count++];
    memset(extent, 0, sizeof(*extent));
    extent->id = id;
    extent->memory = memory;
    extent->bytes = bytes;
    m->look = true;
    return ULV_OK;
}

/* Extents are listed in the order, or against the order, in which they were
 * handed over: look on from the last one found. */
static struct extent *
find_extent(struct ulv_monitor *m, ulv_id id, uint32_t *near)
{
    for (uint32_t i = 0; i < m->extent_count; i++) {
        uint32_t up = (*near + i) % m->extent_count;
        uint32_t down = (*near + m->extent_count - i) % m->extent_count;

        if (m->extents[up].id == id || m->extents[down].id == id) {
            *near = m->extents[up].id == id ? up : down;
            return &m->extents[*near];
        }
    }
    return NULL;
}

static ulv_status
map_extent(struct ulv_monitor *m, struct extent *e)
{
    const struct ulv_host *host = m->cfg.host;
    void *p;
    ulv_status status =
        host->memory_map(host->self, e->memory, 0, e->bytes,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);

    if (status != ULV_OK)
        return status;
    status = m->cfg.backend->map(m->machine, (ulv_gpa){ e->guest }, e->bytes,
                                 e->memory, 0, p, ACCESS_ALL);
    if (status != ULV_OK) {
        host->memory_unmap(host->self, p, e->bytes);
        return status;
    }
    ulv_monitor_close(m, &e->memory);
    e->p = p;
    e->state = EXTENT_MAPPED;
    return ULV_OK;
}

static bool
unmap_extent(struct ulv_monitor *m, struct extent *e)
{
    const struct ulv_host *host = m->cfg.host;

    if (e->state != EXTENT_MAPPED)
        return true;
    if (m->cfg.backend->unmap(m->machine, (ulv_gpa){ e->guest }, e->bytes) !=
        ULV_OK) {
        cannot_unmap(m, e->id);
        return false;
    }
    host->memory_unmap(host->self, e->p, e->bytes);
    e->p = NULL;
    return true;
}

/* It is nobody's here any more. The last one takes its place. */
static void
let_go(struct ulv_monitor *m, struct extent *e)
{
    ulv_id id = e->id;

    if (!unmap_extent(m, e))
        return;
    ulv_monitor_close(m, &e->memory);
    *e = m->extents[--m->extent_count];
    m->cfg.released(m->cfg.self, id);
}

/* How long the guest may keep what it has mapped; true: the time is over. */
static bool
grace_is_over(struct ulv_monitor *m, ulv_nsec *revoke_at)
{
    ulv_nsec now = m->cfg.host->now(m->cfg.host->self);

    if (*revoke_at == 0)
        *revoke_at = now + ULV_REVOKE_GRACE;
    if (now >= *revoke_at)
        return true;
    m->revoke_at = ULV_MIN(m->revoke_at, *revoke_at);
    return false;
}

static ulv_status
follow_extent(struct ulv_monitor *m, const struct ulv_view_memory *memory,
              bool starting, uint32_t *near)
{
    struct extent *e = find_extent(m, memory->extent, near);

    if ((memory->flags & ULV_VIEW_REVOKED) != 0) {
        if (e == NULL)
            return ULV_OK;
        e->listed = m->reading;
        if (e->state == EXTENT_MAPPED && !grace_is_over(m, &e->revoke_at))
            return ULV_E_AGAIN;
        let_go(m, e);
        return ULV_OK;
    }
    if (e == NULL || e->bytes != memory->bytes)
        return ULV_E_AGAIN; /* not handed over yet */
    e->listed = m->reading;
    if (e->state != EXTENT_HANDED)
        return ULV_OK;
    e->guest = memory->guest_address;
    if (starting)
        return map_extent(m, e);
    e->state = EXTENT_OFFERED;
    return ULV_OK;
}

/* All records of a section, and whether all is done that they ask for. */
static ulv_status
follow_memory(struct ulv_monitor *m, bool starting, struct ulv_diag *diag)
{
    ulv_status result = ULV_OK;
    uint32_t near = 0;

    for (uint32_t i = 0;; i++) {
        struct ulv_view_memory memory;
        ulv_status status = ulv_view_read(&m->view, ULV_VIEW_MEMORY, i,
                                          &memory, sizeof(memory));

        if (status == ULV_E_NOT_FOUND)
            break;
        if (status != ULV_OK)
            return status == ULV_E_AGAIN ? ULV_E_BUSY : status;
        status = follow_extent(m, &memory, starting, &near);
        if (status == ULV_OK)
            continue;
        result = status;
        if (!starting)
            continue;
        if (status == ULV_E_AGAIN)
            return ulv_fail(diag, ULV_E_DENIED, memory.extent, 0, 0,
                            "the view names memory %u, which was not handed "
                            "over",
                            memory.extent);
        return ulv_fail(diag, status, memory.extent, memory.guest_address, 0,
                        "the %s backend cannot map %z at %x",
                        m->cfg.backend->name, memory.bytes,
                        memory.guest_address);
    }
    for (uint32_t i = m->extent_count; i-- > 0;) {
        if (m->extents[i].state != EXTENT_HANDED &&
            m->extents[i].listed != m->reading)
            let_go(m, &m->extents[i]);
    }
    return result;
}

static struct extent *
extent_that_begins(struct ulv_monitor *m, uint64_t guest)
{
    for (uint32_t i = 0; i < m->extent_count; i++) {
        if (m->extents[i].guest == guest &&
            (m->extents[i].state == EXTENT_OFFERED ||
             m->extents[i].state == EXTENT_MAPPED))
            return &m->extents[i];
    }
    return NULL;
}

ulv_status
ulv_monitor_accept(struct ulv_monitor *m, uint64_t guest, uint64_t *ret_bytes)
{
    struct extent *e = extent_that_begins(m, guest);

    if (e == NULL)
        return ULV_E_NOT_FOUND;
    if (e->state == EXTENT_MAPPED)
        return ULV_E_EXISTS;
    *ret_bytes = e->bytes;
    return map_extent(m, e);
}

ulv_status
ulv_monitor_release(struct ulv_monitor *m, uint64_t guest, uint64_t *ret_bytes)
{
    struct extent *e = extent_that_begins(m, guest);

    if (e == NULL)
        return ULV_E_NOT_FOUND;
    if (e->revoke_at == 0 && !ulv_monitor_take_credit(m))
        return ULV_E_AGAIN;
    *ret_bytes = e->bytes;
    if (e->revoke_at != 0) {
        let_go(m, e);
        m->look = true; /* that may have been all that was awaited */
        return ULV_OK;
    }
    if (!unmap_extent(m, e))
        return ULV_E_UNSUPPORTED;
    ulv_monitor_close(m, &e->memory);
    e->state = EXTENT_GIVEN;
    m->cfg.given_back(m->cfg.self, guest, e->bytes);
    return ULV_OK;
}

/* ---- channels ------------------------------------------------------------ */

/* The guest rings its peer without an exit, as long as it may signal. */
static void
set_doorbell(const struct ulv_monitor *m, uint32_t idx)
{
    const struct slot *slot = &m->slot[idx];
    bool may = slot->in_view &&
               (m->partition.capabilities & ULV_CAP_CHANNEL) != 0;

    if (m->cfg.backend->doorbell != NULL)
        (void)m->cfg.backend->doorbell(
            m->machine, idx, may ? slot->peer_bell : ULV_NO_HANDLE);
}

void
ulv_monitor_set_doorbells(const struct ulv_monitor *m)
{
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++)
        set_doorbell(m, i);
}

static void
empty_slot(struct ulv_monitor *m, struct slot *slot)
{
    const struct ulv_host *host = m->cfg.host;

    if (slot->mapping != NULL)
        host->memory_unmap(host->self, slot->mapping, slot->bytes);
    ulv_monitor_close(m, &slot->memory);
    ulv_monitor_close_watched(m, &slot->own_bell);
    ulv_monitor_close(m, &slot->peer_bell);
    memset(slot, 0, sizeof(*slot));
    slot->memory = slot->own_bell = slot->peer_bell = ULV_NO_HANDLE;
}

ulv_status
ulv_monitor_take_channel(struct ulv_monitor *m, ulv_id channel,
                         ulv_handle memory, uint64_t bytes,
                         ulv_handle own_bell, ulv_handle peer_bell)
{
    const struct ulv_host *host = m->cfg.host;
    struct slot *slot = host->alloc(host->self, sizeof(*slot), 8);
    ulv_status status = ULV_E_NO_MEMORY;

    if (slot != NULL)
        status = host->watch(host->self, m->cfg.waits, own_bell);
    if (status != ULV_OK) {
        host->free(host->self, slot, slot == NULL ? 0 : sizeof(*slot));
        host->handle_close(host->self, memory);
        host->handle_close(host->self, own_bell);
        host->handle_close(host->self, peer_bell);
        return status;
    }
    slot->channel = channel;
    slot->memory = memory;
    slot->bytes = bytes;
    slot->own_bell = own_bell;
    slot->peer_bell = peer_bell;
    slot->next = m->handed;
    m->handed = slot;
    m->look = true;
    return ULV_OK;
}

static void
drop_handed(struct ulv_monitor *m, struct slot **at)
{
    struct slot *slot = *at;

    *at = slot->next;
    empty_slot(m, slot);
    m->cfg.host->free(m->cfg.host->self, slot, sizeof(*slot));
}

static bool
let_go_slot(struct ulv_monitor *m, struct slot *slot)
{
    uint32_t number = (uint32_t)(slot - m->slot);
    ulv_id id = slot->channel;

    if (!is_stock(m) &&
        m->cfg.backend->unmap(m->machine, (ulv_gpa){ slot->guest },
                              slot->bytes) != ULV_OK) {
        cannot_unmap(m, id);
        return false;
    }
    slot->in_view = false;
    set_doorbell(m, number);
    if (interrupts(m) && (m->interrupting >> number & 1) != 0)
        ulv_monitor_end_interrupt(m, number);
    empty_slot(m, slot);
    m->cfg.released(m->cfg.self, id);
    return true;
}

static struct slot **
find_handed(struct ulv_monitor *m, ulv_id channel)
{
    struct slot **at = &m->handed;

    while (*at != NULL && (*at)->channel != channel)
        at = &(*at)->next;
    return at;
}

/* What was handed over goes into the slot that the view names. */
static ulv_status
map_channel(struct ulv_monitor *m, const struct ulv_view_channel *channel,
            struct slot **at)
{
    const struct ulv_host *host = m->cfg.host;
    struct slot *from = *at, *slot = &m->slot[channel->slot];
    void *p;
    ulv_status status =
        host->memory_map(host->self, from->memory, 0, from->bytes,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);

    /* a stock guest knows nothing of channels: they are the monitor's */
    if (status == ULV_OK && !is_stock(m)) {
        status = m->cfg.backend->map(m->machine,
                                     (ulv_gpa){ channel->guest_address },
                                     from->bytes, from->memory, 0, p,
                                     ULV_GUEST_WRITE);
        if (status != ULV_OK)
            host->memory_unmap(host->self, p, from->bytes);
    }
    if (status != ULV_OK)
        return status;
    ulv_monitor_close(m, &from->memory);
    *at = from->next;
    *slot = *from;
    host->free(host->self, from, sizeof(*from));
    slot->next = NULL;
    slot->guest = channel->guest_address;
    slot->mapping = p;
    slot->in_view = true;
    set_doorbell(m, channel->slot);
    return ULV_OK;
}

static ulv_status
follow_channel(struct ulv_monitor *m, const struct ulv_view_channel *channel,
               bool starting)
{
    struct slot *slot = &m->slot[channel->slot % ULV_SLOT_COUNT];
    struct slot **at = find_handed(m, channel->id);
    ulv_status status;

    if (channel->slot >= ULV_SLOT_COUNT)
        return ULV_E_FORMAT;
    if (slot->channel == channel->id) {
        slot->listed = m->reading;
        if ((channel->flags & ULV_VIEW_REVOKED) == 0)
            return ULV_OK;
        if (!grace_is_over(m, &slot->revoke_at))
            return ULV_E_AGAIN;
        (void)let_go_slot(m, slot);
        return ULV_OK;
    }
    if (*at == NULL)
        return (channel->flags & ULV_VIEW_REVOKED) != 0 ? ULV_OK
                                                        : ULV_E_AGAIN;
    (*at)->listed = m->reading;
    if ((channel->flags & ULV_VIEW_REVOKED) != 0) {
        drop_handed(m, at);
        m->cfg.released(m->cfg.self, channel->id);
        return ULV_OK;
    }
    if ((*at)->refused)
        return ULV_OK;
    if ((*at)->bytes != channel->bytes || slot->in_view)
        return ULV_E_AGAIN;
    status = map_channel(m, channel, at);
    if (status != ULV_OK && !starting) {
        char text[96];
        struct ulv_text line;

        ulv_text_init(&line, text, sizeof(text));
        ulv_text_format(&line, "channel %u could not be mapped: %s",
                        channel->id, ulv_status_text(status));
        (*at)->refused = true;
        m->cfg.log(m->cfg.self, text);
        return ULV_OK;
    }
    return status;
}

static ulv_status
follow_channels(struct ulv_monitor *m, bool starting, struct ulv_diag *diag)
{
    ulv_status result = ULV_OK;

    for (uint32_t i = 0;; i++) {
        struct ulv_view_channel channel;
        ulv_status status = ulv_view_read(&m->view, ULV_VIEW_CHANNEL, i,
                                          &channel, sizeof(channel));

        if (status == ULV_E_NOT_FOUND)
            break;
        if (status != ULV_OK)
            return status == ULV_E_AGAIN ? ULV_E_BUSY : status;
        status = follow_channel(m, &channel, starting);
        if (status == ULV_OK)
            continue;
        result = status;
        if (starting && status == ULV_E_AGAIN)
            return ulv_fail(diag, ULV_E_DENIED, channel.id, 0, 0,
                            "the view names channel %u, which was not handed "
                            "over",
                            channel.id);
        if (starting)
            return ulv_fail(diag, status, channel.id, channel.guest_address,
                            0, "channel %u could not be mapped at %x",
                            channel.id, channel.guest_address);
    }
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        if (m->slot[i].in_view && m->slot[i].listed != m->reading)
            (void)let_go_slot(m, &m->slot[i]);
    }
    return result;
}

void
ulv_monitor_detach(struct ulv_monitor *m, uint32_t slot)
{
    if (m->slot[slot].revoke_at != 0 && let_go_slot(m, &m->slot[slot]))
        m->look = true;
}

/* ---- both ---------------------------------------------------------------- */

ulv_status
ulv_monitor_follow(struct ulv_monitor *m, bool starting, struct ulv_diag *diag)
{
    ulv_status memory, channels = ULV_OK;

    m->look = false;
    m->revoke_at = ULV_FOREVER;
    memory = follow_memory(m, starting, diag);
    if (memory == ULV_OK || memory == ULV_E_AGAIN)
        channels = follow_channels(m, starting, diag);
    return memory != ULV_OK ? memory : channels;
}

void
ulv_monitor_follow_fini(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    for (uint32_t i = 0; i < m->extent_count; i++) {
        struct extent *e = &m->extents[i];

        if (e->state == EXTENT_MAPPED)
            host->memory_unmap(host->self, e->p, e->bytes);
        ulv_monitor_close(m, &e->memory);
    }
    host->free(host->self, m->extents,
               m->extent_capacity * sizeof(*m->extents));
    while (m->handed != NULL)
        drop_handed(m, &m->handed);
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++)
        empty_slot(m, &m->slot[i]);
}
