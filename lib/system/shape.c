/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/shape.h"

#include "base/base.h"
#include "view/read.h"

#define TRIES 64u

static ulv_status
add_range(struct shape *s, uint64_t guest, uint64_t bytes)
{
    const struct ulv_host *host = s->host;
    struct ulv_save_range *last =
        s->range_count == 0 ? NULL : &s->ranges[s->range_count - 1];

    s->memory_bytes += bytes;
    if (last != NULL && last->guest_address + last->bytes == guest) {
        last->bytes += bytes;
        return ULV_OK;
    }
    if (s->range_count == s->range_capacity) {
        uint32_t more = s->range_capacity * 2 + 8;
        struct ulv_save_range *ranges =
            host->alloc(host->self, more * sizeof(*ranges), 8);

        if (ranges == NULL)
            return ULV_E_NO_MEMORY;
        if (s->range_count != 0)
            memcpy(ranges, s->ranges, s->range_count * sizeof(*ranges));
        host->free(host->self, s->ranges,
                   s->range_capacity * sizeof(*s->ranges));
        s->ranges = ranges;
        s->range_capacity = more;
    }
    s->ranges[s->range_count++] = (struct ulv_save_range){ guest, bytes };
    return ULV_OK;
}

static ulv_status
revoked(struct ulv_diag *diag, const char *what, ulv_id id)
{
    return ulv_fail(diag, ULV_E_BUSY, id, 0, 0,
                    "%s %u is being taken from the guest", what, id);
}

static ulv_status
read_memory(struct shape *s, struct ulv_view_reader *view,
            struct ulv_diag *diag)
{
    for (uint32_t i = 0;; i++) {
        struct ulv_view_memory m;
        ulv_status status =
            ulv_view_read(view, ULV_VIEW_MEMORY, i, &m, sizeof(m));

        if (status != ULV_OK)
            return status == ULV_E_NOT_FOUND ? ULV_OK : status;
        if ((m.flags & ULV_VIEW_REVOKED) != 0)
            return revoked(diag, "memory", m.extent);
        status = add_range(s, m.guest_address, m.bytes);
        if (status != ULV_OK)
            return status;
    }
}

static ulv_status
read_processors(struct shape *s, struct ulv_view_reader *view)
{
    struct ulv_view_processor p;
    ulv_status status;

    do
        status = ulv_view_read(view, ULV_VIEW_PROCESSOR, s->processor_count,
                               &p, sizeof(p));
    while (status == ULV_OK && ++s->processor_count != 0);
    s->processor_count = ULV_MAX(s->processor_count, 1U);
    return status == ULV_E_NOT_FOUND ? ULV_OK : status;
}

/* In ascending order of slots. */
static void
add_channel(struct shape *s, const struct ulv_save_channel *c, ulv_id id)
{
    uint32_t at = s->channel_count++;

    while (at > 0 && s->channels[at - 1].slot > c->slot) {
        s->channels[at] = s->channels[at - 1];
        s->ids[at] = s->ids[at - 1];
        at--;
    }
    s->channels[at] = *c;
    s->ids[at] = id;
}

/* Served by an I/O partition: then what lies in it can be saved. */
static ulv_status
look_at_channel(const struct shape *s, const struct keeper *k,
                const struct keeper_channel *kept, struct ulv_save_channel *c)
{
    const struct ulv_host *host = s->host;
    const struct keeper_partition *server =
        ulv_keeper_partition(k, kept->server);
    const struct keeper_device *d = ulv_keeper_device(k, kept->device);
    struct ulv_channel_header *h;
    void *p;
    ulv_status status = host->memory_map(host->self, kept->memory, 0,
                                         sizeof(*h), ULV_MAP_READ, NULL, &p);

    if (status != ULV_OK)
        return status;
    h = p;
    c->ring_bytes = kept->ring_bytes;
    c->bulk_bytes = kept->bulk_bytes;
    c->state = __atomic_load_n(&h->end[c->end & 1].state, __ATOMIC_ACQUIRE);
    c->epoch = h->end[c->end & 1].epoch;
    c->features = h->end[c->end & 1].features;
    host->memory_unmap(host->self, p, sizeof(*h));
    if (d != NULL && server != NULL && server->kind == ULV_PARTITION_IO &&
        c->end == ULV_END_CLIENT) {
        c->served = 1;
        c->medium_bytes = d->bytes;
    }
    return ULV_OK;
}

static ulv_status
read_channels(struct shape *s, const struct keeper *k,
              struct ulv_view_reader *view, struct ulv_diag *diag)
{
    for (uint32_t i = 0;; i++) {
        struct ulv_view_channel from;
        struct ulv_save_channel c;
        const struct keeper_channel *kept;
        ulv_status status = ulv_view_read(view, ULV_VIEW_CHANNEL, i, &from,
                                          sizeof(from));

        if (status != ULV_OK)
            return status == ULV_E_NOT_FOUND ? ULV_OK : status;
        kept = ulv_keeper_channel(k, from.id);
        if (kept == NULL || (from.flags & ULV_VIEW_REVOKED) != 0)
            return revoked(diag, "channel", from.id);
        if (s->channel_count == ULV_SLOT_COUNT)
            return ULV_E_LIMIT;
        memset(&c, 0, sizeof(c));
        memcpy(c.type, from.type, sizeof(c.type));
        c.bytes = from.bytes;
        c.slot = from.slot;
        c.end = from.end;
        status = look_at_channel(s, k, kept, &c);
        if (status != ULV_OK)
            return status;
        add_channel(s, &c, from.id);
    }
}

static void
forget(struct shape *s)
{
    s->memory_bytes = 0;
    s->range_count = s->processor_count = s->channel_count = 0;
}

/* All of one generation; read anew where the publisher was faster. */
static ulv_status
read_all(struct shape *s, const struct keeper *k, struct ulv_view_reader *view,
         struct ulv_diag *diag)
{
    ulv_status status = ULV_E_AGAIN;

    for (uint32_t i = 0; i < TRIES && status == ULV_E_AGAIN; i++) {
        uint64_t generation;

        forget(s);
        status = ulv_view_refresh(view, &generation);
        if (status == ULV_OK)
            status = ulv_view_partition_read(view, &s->partition);
        if (status == ULV_OK)
            status = read_memory(s, view, diag);
        if (status == ULV_OK)
            status = read_processors(s, view);
        if (status == ULV_OK)
            status = read_channels(s, k, view, diag);
    }
    return status;
}

ulv_status
ulv_shape_take(struct shape *s, ulv_system *system,
               const struct keeper_partition *p, struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    const struct keeper_view *from = &p->view[ULV_VIEW_PART_MONITOR];
    struct ulv_view_reader view;
    void *segment;
    ulv_status status;

    memset(s, 0, sizeof(*s));
    s->host = host;
    s->view_bytes = p->view[ULV_VIEW_PART_GUEST].bytes;
    status = host->memory_map(host->self, from->segment, 0, from->bytes,
                              ULV_MAP_READ, NULL, &segment);
    if (status == ULV_OK) {
        ulv_view_reader_init(&view, segment, from->bytes);
        status = read_all(s, &system->keeper, &view, diag);
        host->memory_unmap(host->self, segment, from->bytes);
    }
    if (status == ULV_OK)
        return ULV_OK;
    ulv_shape_close(s);
    if (status != ULV_E_BUSY)
        return ulv_fail(diag, status, p->id, 0, 0,
                        "the view of %s cannot be read: %s", p->name,
                        ulv_status_text(status));
    return status;
}

void
ulv_shape_close(struct shape *s)
{
    s->host->free(s->host->self, s->ranges,
                  s->range_capacity * sizeof(*s->ranges));
    s->ranges = NULL;
    s->range_capacity = 0;
}
