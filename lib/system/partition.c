/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/base.h"
#include "monitor/trace.h"
#include "system/system_priv.h"

struct keeper_partition *
ulv_system_guest(ulv_system *system, ulv_id id, struct ulv_diag *diag)
{
    struct keeper_partition *p = ulv_keeper_partition(&system->keeper, id);

    if (p != NULL && p->kind == ULV_PARTITION_GUEST)
        return p;
    (void)ulv_fail(diag, ULV_E_NOT_FOUND, id, 0, 0,
                   "there is no guest partition %u", id);
    return NULL;
}

/* Ask for an intent as a transaction of its own. */
static ulv_status
set_intent(ulv_system *system, ulv_id partition, uint32_t intent,
           ulv_id image, struct ulv_diag *diag)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_INTENT };

    o.u.set_intent.partition = partition;
    o.u.set_intent.intent = intent;
    o.u.set_intent.image = image;
    return ulv_system_ask(system, 0, &o, 1, diag);
}

/* self: the partition's id. One that is gone is waited for no longer. */
static bool
has_left_start(ulv_system *system, void *self)
{
    const struct keeper_partition *p =
        ulv_keeper_partition(&system->keeper, *(const ulv_id *)self);

    return p == NULL || (p->state != ULV_STATE_STARTING &&
                         p->state != ULV_STATE_DEFINED);
}

static bool
has_ended(ulv_system *system, void *self)
{
    const struct keeper_partition *p =
        ulv_keeper_partition(&system->keeper, *(const ulv_id *)self);

    return p == NULL || p->state == ULV_STATE_STOPPED ||
           p->state == ULV_STATE_FAULTED;
}

ulv_status
ulv_system_start_from(ulv_system *system, ulv_id partition, ulv_id source,
                      struct ulv_diag *diag)
{
    struct keeper_partition *p = ulv_system_guest(system, partition, diag);
    uint32_t before;
    ulv_status status;

    if (p == NULL)
        return ULV_E_NOT_FOUND;
    before = p->state;
    p->state = ULV_STATE_DEFINED;
    memset(&p->start_diag, 0, sizeof(p->start_diag));
    status = set_intent(system, partition, ULV_INTENT_RUNNING, source, diag);
    if (status == ULV_OK)
        status =
            ulv_system_run_until(system, has_left_start, &partition,
                                 ULV_FOREVER);
    p = ulv_system_guest(system, partition, diag);
    if (p == NULL)
        return ULV_E_NOT_FOUND;
    if (status != ULV_OK && p->state == ULV_STATE_DEFINED)
        p->state = before; /* refused: how the last run ended stays */
    if (status != ULV_OK)
        return status;
    if (p->start_diag.status != ULV_OK && diag != NULL)
        *diag = p->start_diag;
    return p->start_diag.status;
}

struct keeper_partition *
ulv_system_startable(ulv_system *system, ulv_id partition, ulv_status *status,
                     struct ulv_diag *diag)
{
    struct keeper_partition *p = ulv_system_guest(system, partition, diag);

    *status = ULV_E_NOT_FOUND;
    if (p == NULL || (!p->alive && p->ending == ENDING_NO))
        return p;
    *status = ulv_fail(diag, ULV_E_STATE, partition, p->state, 0,
                       "%s runs already", p->name);
    return NULL;
}

ulv_status
ulv_partition_start(ulv_system *system, ulv_id partition,
                    const struct ulv_image *image, struct ulv_diag *diag)
{
    struct ulv_diag why = ULV_DIAG_INIT;
    const struct keeper_partition *p;
    uint64_t bytes;
    ulv_id id;
    ulv_status status;

    if (ulv_system_startable(system, partition, &status, diag) == NULL)
        return status;
    id = ulv_system_new_id(system, &why);
    if (id == 0) {
        if (diag != NULL)
            *diag = why;
        return why.status;
    }
    status = ulv_keeper_source_add(
        &system->keeper, id, &image->kernel, 1,
        ULV_MEDIUM_READ_ONLY | ULV_MEDIUM_ANY_SIZE, &bytes, diag);
    if (status != ULV_OK)
        return status;
    if (ULV_STOCK_KERNELS)
        status = ulv_keeper_source_boot(&system->keeper, id, &image->initrd,
                                        image->cmdline, diag);
    else if (image->cmdline != NULL || image->initrd.kind != 0)
        status = ULV_E_UNSUPPORTED;
    if (status == ULV_OK)
        status = ulv_system_start_from(system, partition, id, diag);
    p = ulv_keeper_partition(&system->keeper, partition);
    /* one that may be started again needs it until it has ended */
    if (p == NULL || p->restarts == 0 || p->image != id ||
        (!p->alive && p->ending == ENDING_NO))
        ulv_keeper_source_drop(&system->keeper, id);
    return status;
}

ulv_status
ulv_partition_stop(ulv_system *system, ulv_id partition, struct ulv_diag *diag)
{
    struct keeper_partition *p = ulv_system_guest(system, partition, diag);
    ulv_status status;

    if (p == NULL)
        return ULV_E_NOT_FOUND;
    if (!p->alive)
        return ulv_fail(diag, ULV_E_STATE, partition, p->state, 0,
                        "%s does not run", p->name);
    status = set_intent(system, partition, ULV_INTENT_STOPPED, 0, diag);
    if (status == ULV_OK)
        status = ulv_system_run_until(system, has_ended, &partition,
                                      ULV_FOREVER);
    return status;
}

static ulv_status
pause_or_resume(ulv_system *system, ulv_id partition, uint32_t intent,
                struct ulv_diag *diag)
{
    struct keeper_partition *p = ulv_system_guest(system, partition, diag);
    ulv_status status;

    if (p == NULL)
        return ULV_E_NOT_FOUND;
    if (!p->alive)
        return ulv_fail(diag, ULV_E_STATE, partition, p->state, 0,
                        "%s does not run", p->name);
    status = set_intent(system, partition, intent, 0, diag);
    if (status != ULV_OK)
        return status;
    return ulv_wait_settled(system, system->revision, ULV_FOREVER, diag);
}

ulv_status
ulv_partition_pause(ulv_system *system, ulv_id partition,
                    struct ulv_diag *diag)
{
    return pause_or_resume(system, partition, ULV_INTENT_PAUSED, diag);
}

ulv_status
ulv_partition_resume(ulv_system *system, ulv_id partition,
                     struct ulv_diag *diag)
{
    return pause_or_resume(system, partition, ULV_INTENT_RUNNING, diag);
}

ulv_status
ulv_partition_wait(ulv_system *system, ulv_id partition,
                   struct ulv_end *ret_end, ulv_nsec deadline,
                   struct ulv_diag *diag)
{
    struct keeper_partition *p = ulv_system_guest(system, partition, diag);
    ulv_status status;

    if (p == NULL)
        return ULV_E_NOT_FOUND;
    if (p->state == ULV_STATE_DEFINED)
        return ulv_fail(diag, ULV_E_STATE, partition, p->state, 0,
                        "%s was never started", p->name);
    status = ulv_system_run_until(system, has_ended, &partition, deadline);
    p = ulv_system_guest(system, partition, diag);
    if (p == NULL)
        return ULV_E_NOT_FOUND;
    if (status != ULV_OK)
        return ulv_fail(diag, status, partition, 0, 0, "%s: %s", p->name,
                        ulv_status_text(status));
    *ret_end = p->end;
    return ULV_OK;
}

/* ---- memory -------------------------------------------------------------- */

static const struct keeper_extent *
extent_at(const ulv_system *system, ulv_id partition, uint64_t address)
{
    const struct keeper_extent *e = NULL;

    do
        e = ulv_keeper_extent_of(&system->keeper, partition, e);
    while (e != NULL && address - e->guest_address >= e->bytes);
    return e;
}

/* Map the pages around, copy, unmap. */
static ulv_status
copy_some(ulv_system *system, const struct keeper_extent *e, uint64_t offset,
          uint8_t *buf, size_t len, bool write)
{
    const struct ulv_host *host = system->host;
    uint64_t page = ulv_round_down(offset, 4096);
    uint64_t bytes = ulv_round_up(offset + len, 4096) - page;
    void *p;
    ulv_status status = host->memory_map(
        host->self, e->memory, page, bytes,
        ULV_MAP_READ | (write ? ULV_MAP_WRITE : 0), NULL, &p);

    if (status != ULV_OK)
        return status;
    if (write)
        memcpy((uint8_t *)p + (offset - page), buf, len);
    else
        memcpy(buf, (uint8_t *)p + (offset - page), len);
    host->memory_unmap(host->self, p, bytes);
    return ULV_OK;
}

static ulv_status
copy_all(ulv_system *system, ulv_id partition, uint64_t address, uint8_t *buf,
         size_t len, bool write, struct ulv_diag *diag)
{
    if (ulv_system_guest(system, partition, diag) == NULL)
        return ULV_E_NOT_FOUND;
    /* All of it lies in memory before any of it is written. */
    for (uint64_t at = address, left = len; left > 0;) {
        const struct keeper_extent *e = extent_at(system, partition, at);
        uint64_t some;

        if (e == NULL)
            return ulv_fail(diag, ULV_E_ARG, partition, at, 0,
                            "address %x is not memory of partition %u", at,
                            partition);
        some = ULV_MIN(left, e->bytes - (at - e->guest_address));
        at += some;
        left -= some;
    }
    while (len > 0) {
        const struct keeper_extent *e = extent_at(system, partition, address);
        uint64_t offset = address - e->guest_address;
        size_t some = (size_t)ULV_MIN((uint64_t)len, e->bytes - offset);
        ulv_status status = copy_some(system, e, offset, buf, some, write);

        if (status != ULV_OK)
            return ulv_fail(diag, status, partition, address, 0,
                            "memory at %x could not be mapped", address);
        buf += some;
        address += some;
        len -= some;
    }
    return ULV_OK;
}

ulv_status
ulv_partition_read(ulv_system *system, ulv_id partition, ulv_gpa address,
                   void *buf, size_t len, struct ulv_diag *diag)
{
    return copy_all(system, partition, address.value, buf, len, false, diag);
}

ulv_status
ulv_partition_write(ulv_system *system, ulv_id partition, ulv_gpa address,
                    const void *buf, size_t len, struct ulv_diag *diag)
{
    return copy_all(system, partition, address.value,
                    (uint8_t *)(uintptr_t)buf, len, true, diag);
}

ulv_status
ulv_partition_trace(ulv_system *system, ulv_id partition, uint64_t after,
                    struct ulv_trace_record *buf, uint32_t room,
                    uint32_t *ret_count, struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    const struct keeper_partition *p =
        ulv_system_guest(system, partition, diag);
    ulv_status status;
    void *trace;

    *ret_count = 0;
    if (p == NULL)
        return ULV_E_NOT_FOUND;
    if (p->trace == ULV_NO_HANDLE)
        return ulv_fail(diag, ULV_E_STATE, partition, p->state, 0,
                        "%s was never started, or has no trace", p->name);
    status = host->memory_map(host->self, p->trace, 0, ULV_TRACE_BYTES,
                              ULV_MAP_READ, NULL, &trace);
    if (status != ULV_OK)
        return ulv_fail(diag, status, partition, ULV_TRACE_BYTES, 0,
                        "the trace of %s could not be mapped", p->name);
    *ret_count = ulv_trace_read(trace, after, buf, room);
    host->memory_unmap(host->self, trace, ULV_TRACE_BYTES);
    return ULV_OK;
}

/* ---- queries ------------------------------------------------------------- */

static const uint32_t record_bytes[] = {
    [ULV_QUERY_PARTITIONS] = sizeof(struct ulv_partition_record),
    [ULV_QUERY_CHANNELS] = sizeof(struct ulv_channel_record),
    [ULV_QUERY_DEVICES] = sizeof(struct ulv_device_record),
    [ULV_QUERY_PROCESSORS] = sizeof(struct ulv_processor_record),
    [ULV_QUERY_MEMORY] = sizeof(struct ulv_memory_record),
    [ULV_QUERY_LOG] = sizeof(struct ulv_log_record),
    [ULV_QUERY_EXTENTS] = sizeof(struct ulv_extent_record),
    [ULV_QUERY_USAGE] = sizeof(struct ulv_usage_record),
    [ULV_QUERY_ZONES] = sizeof(struct ulv_zone_record),
    [ULV_QUERY_LABELS] = sizeof(struct ulv_label_record),
    [ULV_QUERY_QUOTAS] = sizeof(struct ulv_quota_record),
    [ULV_QUERY_RANGES] = sizeof(struct ulv_range_record),
    [ULV_QUERY_HARDWARE] = sizeof(struct ulv_hardware_record),
    [ULV_QUERY_RETIRED] = sizeof(struct ulv_retired_record),
    [ULV_QUERY_SHARES] = sizeof(struct ulv_share_record),
};

uint32_t
ulv_system_record_bytes(uint32_t kind)
{
    return kind < ULV_COUNT_OF(record_bytes) ? record_bytes[kind] : 0;
}

/* One message's worth. *ret_more: ask again after *after. */
static ulv_status
query_some(ulv_system *system, uint32_t kind, ulv_id *after, uint8_t *buf,
           uint32_t room, uint32_t *ret_some, bool *ret_more)
{
    const struct ulv_message *m;
    const struct ulv_message_query_answer *answer;
    bool ring = false;
    ulv_status status =
        ulv_command_send_query(&system->client, kind, *after, &ring);

    status = ulv_system_await(system, status, ring, &m, NULL);
    if (status != ULV_OK)
        return status;
    answer = (const void *)m;
    if (answer->status != ULV_OK)
        return answer->status;
    if (answer->record_bytes != record_bytes[kind])
        return ULV_E_PEER_PROTOCOL;
    *ret_some = ULV_MIN(answer->record_count, room);
    memcpy(buf, answer + 1, (size_t)*ret_some * record_bytes[kind]);
    if (*ret_some > 0)
        *after = ulv_get_le64(buf + (size_t)(*ret_some - 1) *
                                        record_bytes[kind]);
    *ret_more = answer->more != 0 && *ret_some > 0;
    return ULV_OK;
}

ulv_status
ulv_system_query(ulv_system *system, uint32_t kind, ulv_id after, void *buf,
                 size_t bytes, uint32_t *ret_count)
{
    uint8_t *to = buf;
    uint32_t room;
    bool more = true;

    *ret_count = 0;
    if (kind == 0 || kind >= ULV_COUNT_OF(record_bytes) ||
        bytes < record_bytes[kind])
        return ULV_E_ARG;
    for (struct keeper_partition *p = system->keeper.partitions;
         p != NULL && kind == ULV_QUERY_USAGE; p = p->next)
        ulv_keeper_account(&system->keeper, p);
    room = (uint32_t)(bytes / record_bytes[kind]);
    while (more && *ret_count < room) {
        uint32_t some = 0;
        ulv_status status = query_some(system, kind, &after, to,
                                       room - *ret_count, &some, &more);

        if (status != ULV_OK)
            return status;
        to += (size_t)some * record_bytes[kind];
        *ret_count += some;
    }
    return ULV_OK;
}

ulv_status
ulv_partition_usage(ulv_system *system, ulv_id partition,
                    struct ulv_usage *ret)
{
    const struct keeper_partition *p;
    struct ulv_usage_record record;
    uint32_t count;
    ulv_status status;

    if (ret->size < sizeof(*ret))
        return ULV_E_ARG;
    if (partition == 0)
        return ULV_E_NOT_FOUND;
    status = ulv_system_query(system, ULV_QUERY_USAGE, partition - 1, &record,
                              sizeof(record), &count);
    if (status == ULV_OK && (count == 0 || record.id != partition))
        status = ULV_E_NOT_FOUND;
    if (status != ULV_OK)
        return status;
    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    ret->quanta = record.quanta;
    ret->dedicated = record.dedicated;
    ret->used = record.used;
    ret->elapsed = record.elapsed;
    p = ulv_keeper_partition(&system->keeper, partition);
    if (p != NULL)
        ulv_string_copy(ret->degraded, sizeof(ret->degraded), p->degraded);
    return ULV_OK;
}
