/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a monitor knows of its guest, as bytes, and back. Memory and channels
 * are the keeper's to save. doc/formats/save.md, section MONITOR.
 */
#include <ultravisor/abi/save.h>

#include "monitor/monitor_priv.h"

#define VERSION 2u
#define PAGE    UINT64_C(4096)

/* In version 1. */
#define PROCESSOR_BYTES_1 offsetof(struct ulv_save_processor, slots)

/* ---- save ---------------------------------------------------------------- */

static ulv_status
check_memory(const struct ulv_monitor *m, struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < m->extent_count; i++) {
        const struct extent *e = &m->extents[i];

        if (e->state != EXTENT_MAPPED || e->revoke_at != 0)
            return ulv_fail(diag, ULV_E_BUSY, e->id, e->guest, e->bytes,
                            "memory %u at %x is being given or taken: the "
                            "guest has to accept it or let go of it",
                            e->id, e->guest);
    }
    return ULV_OK;
}

/* Nothing may be on its way from or to the guest. */
static ulv_status
check_stands(const struct ulv_monitor *m, struct ulv_diag *diag)
{
    ulv_status status;

    if (!m->started || !m->paused)
        return ulv_fail(diag, ULV_E_STATE, m->cfg.partition, m->paused, 1,
                        "the partition is not paused");
    if (m->cfg.backend->vcpu_save == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, m->cfg.partition, 0, 0,
                        "the %s backend cannot save a guest",
                        m->cfg.backend->name);
    status = check_memory(m, diag);
    if (status != ULV_OK)
        return status;
    if (m->handed != NULL)
        return ulv_fail(diag, ULV_E_BUSY, m->handed->channel, 0, 0,
                        "channel %u is being given to the guest",
                        m->handed->channel);
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        if (m->slot[i].revoke_at != 0)
            return ulv_fail(diag, ULV_E_BUSY, m->slot[i].channel, i, 0,
                            "channel %u is being taken from the guest",
                            m->slot[i].channel);
    }
    return ULV_OK;
}

static uint64_t
guest_time(const struct ulv_monitor *m, ulv_nsec time)
{
    return time == ULV_FOREVER ? ULV_FOREVER
                               : time - m->start_time + m->time_before;
}

/* A processor that sleeps in the backend is woken for as long as it is saved:
 * it waits, and is to be answered. Returns whether it slept. */
static bool
wake_to_save(struct ulv_monitor *m, struct processor *p)
{
    return is_asleep(p) && !ulv_monitor_is_up(m, p, true);
}

/* A handler that ran meanwhile ends the wait. */
static void
let_sleep(struct ulv_monitor *m, struct processor *p)
{
    p->asleep = m->cfg.backend->vcpu_sleep(p->vcpu, true);
    p->interrupted = !p->asleep;
}

static ulv_status
save_processor(struct ulv_monitor *m, uint32_t number, uint8_t *to,
               uint64_t room, uint64_t *ret_bytes, struct ulv_diag *diag)
{
    struct processor *p = &m->processor[number];
    struct ulv_save_processor head = { .number = number,
                                       .woken = p->woken,
                                       .silence = p->silence,
                                       .slots = p->slots };
    size_t bytes = 0;
    bool slept;
    ulv_status status;

    if (room < sizeof(head))
        return ulv_fail(diag, ULV_E_LIMIT, m->cfg.partition, room,
                        sizeof(head),
                        "no room for what is to be saved of processor %u",
                        (uint64_t)number);
    slept = wake_to_save(m, p);
    if (p->handles)
        head.flags |= ULV_SAVE_HANDLES;
    if (p->on)
        head.flags |= ULV_SAVE_ON;
    if (p->waiting) {
        head.flags |= ULV_SAVE_WAITING;
        head.deadline = guest_time(m, p->wait_deadline);
    }
    status = m->cfg.backend->vcpu_save(p->vcpu, to + sizeof(head),
                                       room - sizeof(head), &bytes, diag);
    if (slept)
        let_sleep(m, p);
    if (status != ULV_OK)
        return status;
    head.state_bytes = bytes;
    memcpy(to, &head, sizeof(head));
    *ret_bytes = sizeof(head) + ulv_round_up(bytes, 8);
    return ULV_OK;
}

static ulv_status
check_kind(const struct ulv_monitor *m, struct ulv_diag *diag)
{
    if (!is_stock(m))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, m->cfg.partition, 0, 0,
                    "a partition that runs a stock kernel cannot be saved");
}

ulv_status
ulv_monitor_save(struct ulv_monitor *m, void *to, uint64_t room,
                 uint64_t *ret_bytes, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    struct ulv_save_monitor head = { .version = VERSION,
                                     .processor_count = m->processor_count,
                                     .gate = m->partition.gate,
                                     .view = m->partition.view,
                                     .view_bytes = m->guest_view_bytes };
    uint64_t at = sizeof(head);
    ulv_status status = check_stands(m, diag);

    if (status == ULV_OK)
        status = check_kind(m, diag);
    if (status != ULV_OK)
        return status;
    ulv_monitor_settle(m);
    if (m->end.reason != ULV_END_REASON_NONE)
        return ulv_fail(diag, ULV_E_STATE, m->cfg.partition, m->end.reason, 0,
                        "the guest has ended: %s", m->end.text);
    ulv_monitor_collect_bells(m);
    head.pending = m->pending;
    head.time = guest_time(m, host->now(host->self));
    if (room < at)
        return ulv_fail(diag, ULV_E_LIMIT, m->cfg.partition, room, at,
                        "no room for what is to be saved of the monitor");
    memset(to, 0, (size_t)room);
    memcpy(to, &head, sizeof(head));
    for (uint32_t i = 0; i < m->processor_count && status == ULV_OK; i++) {
        uint64_t bytes = 0;

        status = save_processor(m, i, (uint8_t *)to + at, room - at, &bytes,
                                diag);
        at += bytes;
    }
    *ret_bytes = at;
    return status;
}

/* ---- what is written meanwhile ------------------------------------------- */

ulv_status
ulv_monitor_track(struct ulv_monitor *m, bool on, struct ulv_diag *diag)
{
    ulv_status status = check_kind(m, diag);

    if (status != ULV_OK)
        return status;
    status = ULV_E_UNSUPPORTED;
    if (m->cfg.backend->track != NULL)
        status = m->cfg.backend->track(m->machine, on);
    if (status != ULV_OK)
        return ulv_fail(diag, status, m->cfg.partition, on, 0,
                        "the %s backend cannot tell what a guest writes",
                        m->cfg.backend->name);
    return ULV_OK;
}

/* Pages of memory below an extent's. */
static uint64_t
pages_below(const struct ulv_monitor *m, uint64_t guest)
{
    uint64_t pages = 0;

    for (uint32_t i = 0; i < m->extent_count; i++) {
        if (m->extents[i].guest < guest)
            pages += m->extents[i].bytes / PAGE;
    }
    return pages;
}

/* Bits [0, count) of from are set in to from bit at on. */
static void
add_bits(uint64_t *to, uint64_t at, const uint64_t *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (at % 64 == 0 && i % 64 == 0 && i + 64 <= count) {
            to[at / 64] |= from[i / 64];
            at += 64;
            i += 63;
            continue;
        }
        to[at / 64] |= (from[i / 64] >> i % 64 & 1) << at % 64;
        at++;
    }
}

static ulv_status
collect_extent(struct ulv_monitor *m, const struct extent *e, uint64_t *bitmap,
               uint64_t room, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    uint64_t pages = e->bytes / PAGE, at = pages_below(m, e->guest);
    size_t bytes = (size_t)((pages + 63) / 64 * 8);
    uint64_t *found;
    ulv_status status;

    if (at + pages > room * 8)
        return ulv_fail(diag, ULV_E_LIMIT, e->id, room * 8, at + pages,
                        "no room to tell of memory %u", e->id);
    found = host->alloc(host->self, bytes, 8);
    if (found == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, e->id, bytes, 0,
                        "no memory to collect what was written");
    status = m->cfg.backend->collect(m->machine, (ulv_gpa){ e->guest },
                                     e->bytes, found);
    if (status == ULV_OK)
        add_bits(bitmap, at, found, pages);
    else
        (void)ulv_fail(diag, status, e->id, e->guest, e->bytes,
                       "what was written to memory %u cannot be told", e->id);
    host->free(host->self, found, bytes);
    return status;
}

ulv_status
ulv_monitor_written(struct ulv_monitor *m, uint64_t *bitmap, uint64_t room,
                    struct ulv_diag *diag)
{
    ulv_status status = check_memory(m, diag);

    if (status != ULV_OK)
        return status;
    if (m->cfg.backend->collect == NULL)
        return ulv_monitor_track(m, false, diag);
    memset(bitmap, 0, (size_t)room);
    for (uint32_t i = 0; i < m->extent_count && status == ULV_OK; i++)
        status = collect_extent(m, &m->extents[i], bitmap, room, diag);
    return status;
}

/* ---- take apart ---------------------------------------------------------- */

static ulv_status
cannot_be(struct ulv_diag *diag, const char *what, uint64_t value,
          uint64_t bound)
{
    return ulv_fail(diag, ULV_E_FORMAT, 0, value, bound,
                    "the saved monitor cannot be: %s is %u, bound %u", what,
                    value, bound);
}

/* Which slots interrupt a processor. */
static ulv_status
check_slots(const struct ulv_save_processor *p, struct ulv_diag *diag)
{
    const uint64_t all = (UINT64_C(1) << ULV_SLOT_COUNT) - 1;

    if ((p->flags & ULV_SAVE_HANDLES) == 0 && p->slots != 0)
        return cannot_be(diag, "its slots without a handler", p->slots, 0);
    return p->slots <= all
               ? ULV_OK
               : cannot_be(diag, "the mask of its slots", p->slots, all);
}

/* The nth processor; *at moves behind it. */
static ulv_status
take_processor(const uint8_t *from, uint64_t bytes, uint32_t number,
               uint64_t *at, struct ulv_save_processor *ret,
               const uint8_t **ret_state, struct ulv_diag *diag)
{
    const uint32_t flags =
        ULV_SAVE_ON | ULV_SAVE_WAITING | ULV_SAVE_HANDLES;
    struct ulv_save_monitor head;
    uint64_t own;

    memcpy(&head, from, sizeof(head));
    own = head.version == 1 ? PROCESSOR_BYTES_1 : sizeof(*ret);
    memset(ret, 0, sizeof(*ret));
    if (bytes - *at < own)
        return cannot_be(diag, "its size", bytes, *at + own);
    memcpy(ret, from + *at, (size_t)own);
    *at += own;
    if (ret->number != number)
        return cannot_be(diag, "the number of a processor", ret->number,
                         number);
    if ((ret->flags & ~flags) != 0 ||
        (ret->flags & ULV_SAVE_ON) < (number == 0))
        return cannot_be(diag, "the flags of a processor", ret->flags, flags);
    if (ret->state_bytes > bytes - *at ||
        ulv_round_up(ret->state_bytes, 8) > bytes - *at)
        return cannot_be(diag, "the size of a processor", ret->state_bytes,
                         bytes - *at);
    *ret_state = from + *at;
    *at += ulv_round_up(ret->state_bytes, 8);
    return check_slots(ret, diag);
}

ulv_status
ulv_monitor_saved_check(const struct ulv_host *host,
                        const struct ulv_backend_ops *backend,
                        const void *from, uint64_t bytes,
                        struct ulv_save_monitor *ret, struct ulv_diag *diag)
{
    uint64_t at = sizeof(*ret);
    ulv_status status = ULV_OK;

    if (backend->state_check == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                        "the %s backend cannot restore a guest",
                        backend->name);
    if (bytes < sizeof(*ret))
        return cannot_be(diag, "its size", bytes, sizeof(*ret));
    memcpy(ret, from, sizeof(*ret));
    if (ret->version == 0 || ret->version > VERSION)
        return cannot_be(diag, "its version", ret->version, VERSION);
    if (ret->processor_count == 0)
        return cannot_be(diag, "its count of processors", 0, 1);
    for (uint32_t i = 0; i < ret->processor_count && status == ULV_OK; i++) {
        struct ulv_save_processor p = { 0 };
        const uint8_t *state = NULL;

        status = take_processor(from, bytes, i, &at, &p, &state, diag);
        if (status == ULV_OK)
            status = backend->state_check(host, state, (size_t)p.state_bytes,
                                          diag);
    }
    if (status == ULV_OK && at != bytes)
        return cannot_be(diag, "its size", bytes, at);
    return status;
}

/* ---- restore ------------------------------------------------------------- */

static ulv_status
check_fits(const struct ulv_monitor *m, const struct ulv_save_monitor *saved,
           struct ulv_diag *diag)
{
    if (saved->processor_count != m->processor_count)
        return ulv_fail(diag, ULV_E_CONFLICT, m->cfg.partition,
                        m->processor_count, saved->processor_count,
                        "%u processors were saved, the partition has %u",
                        (uint64_t)saved->processor_count,
                        (uint64_t)m->processor_count);
    if (saved->gate != m->partition.gate || saved->view != m->partition.view ||
        saved->view_bytes != m->guest_view_bytes)
        return ulv_fail(diag, ULV_E_CONFLICT, m->cfg.partition,
                        m->partition.view, saved->view,
                        "the saved guest knows its view at %x and the gate at "
                        "%x, this one has them at %x and %x",
                        saved->view, saved->gate, m->partition.view,
                        m->partition.gate);
    return ULV_OK;
}

/* Slots are in the view, and of one processor each. */
static ulv_status
restore_slots(struct ulv_monitor *m, struct processor *p, uint64_t slots,
              struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        if ((slots >> i & 1) == 0)
            continue;
        if (!m->slot[i].in_view || (m->interrupting >> i & 1) != 0)
            return ulv_fail(diag, ULV_E_CONFLICT, m->cfg.partition, i,
                            m->interrupting,
                            "slot %u, which interrupted the saved guest, has "
                            "no channel, or interrupts another processor",
                            (uint64_t)i);
        ulv_monitor_begin_interrupt(m, p, i);
    }
    return ULV_OK;
}

/* The file may say so of a guest that never could have one. */
static ulv_status
check_handler(const struct ulv_monitor *m,
              const struct ulv_save_processor *from, struct ulv_diag *diag)
{
    if ((from->flags & ULV_SAVE_HANDLES) == 0 ||
        ((m->partition.capabilities & ULV_CAP_INTERRUPT) != 0 &&
         m->cfg.backend->vcpu_handler != NULL))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_CONFLICT, m->cfg.partition, from->number,
                    m->partition.capabilities,
                    "processor %u was saved with a handler of interrupts, "
                    "which this partition cannot have",
                    (uint64_t)from->number);
}

static ulv_status
restore_processor(struct ulv_monitor *m, const struct ulv_save_processor *from,
                  const uint8_t *state, struct ulv_diag *diag)
{
    struct processor *p = &m->processor[from->number];
    ulv_status status = check_handler(m, from, diag);

    if (status != ULV_OK)
        return status;
    p->on = (from->flags & ULV_SAVE_ON) != 0;
    p->waiting = (from->flags & ULV_SAVE_WAITING) != 0;
    p->wait_deadline = ulv_monitor_host_time(m, from->deadline);
    /* it has another view than it knows */
    p->woken = (from->woken & ULV_WAIT_WAKE_MASK) | ULV_WAIT_VIEW_MASK;
    p->silence = from->silence;
    p->last_call = m->start_time;
    status = m->cfg.backend->vcpu_restore(p->vcpu, state,
                                          (size_t)from->state_bytes, diag);
    if (status != ULV_OK || !ULV_MONITOR_INTERRUPTS)
        return status;
    p->handles = (from->flags & ULV_SAVE_HANDLES) != 0;
    return restore_slots(m, p, from->slots, diag);
}

ulv_status
ulv_monitor_restore(struct ulv_monitor *m, const void *from, uint64_t bytes,
                    struct ulv_diag *diag)
{
    struct ulv_save_monitor head;
    uint64_t at = sizeof(head);
    ulv_status status = ulv_monitor_saved_check(
        m->cfg.host, m->cfg.backend, from, bytes, &head, diag);

    if (status == ULV_OK)
        status = ulv_monitor_ready(m, diag);
    if (status == ULV_OK)
        status = check_fits(m, &head, diag);
    if (status == ULV_OK)
        status = ulv_monitor_go(m, ULV_GUEST_RAM_BASE, diag);
    if (status != ULV_OK)
        return status;
    m->time_before = head.time;
    m->pending = head.pending & ((UINT64_C(1) << ULV_SLOT_COUNT) - 1);
    for (uint32_t i = 0; i < m->processor_count && status == ULV_OK; i++) {
        struct ulv_save_processor p = { 0 };
        const uint8_t *state = NULL;

        status = take_processor(from, bytes, i, &at, &p, &state, diag);
        if (status == ULV_OK)
            status = restore_processor(m, &p, state, diag);
    }
    if (status == ULV_OK && interrupts(m))
        ulv_monitor_interrupt(m);
    return status;
}
