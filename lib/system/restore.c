/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Going on with a saved partition. It is read whole and checked before anything
 * is changed, then once more while it is carried over.
 */
#include <ultravisor/save.h>

#include "base/base.h"
#include "system/role_monitor.h"
#include "system/save_channels.h"
#include "system/save_memory.h"

#define PAGE UINT64_C(4096)

/* ---- read ---------------------------------------------------------------- */

struct medium {
    const struct ulv_host *host;
    ulv_handle handle;
    struct save_reader reader;
};

static ulv_status
read_medium(void *self, uint64_t offset, void *buf, size_t len)
{
    const struct medium *m = self;
    size_t done = 0;
    ulv_status status = m->host->medium_read(m->host->self, m->handle, offset,
                                             buf, len, &done);

    if (status != ULV_OK)
        return status;
    return done == len ? ULV_OK : ULV_E_MEDIUM;
}

static ulv_status
open_medium(struct medium *m, const struct ulv_host *host,
            const struct ulv_source *source, struct ulv_diag *diag)
{
    ulv_status status = host->medium_open(
        host->self, source, ULV_MEDIUM_READ_ONLY | ULV_MEDIUM_ANY_SIZE,
        &m->handle, diag);

    if (status != ULV_OK)
        return status;
    m->host = host;
    m->reader = (struct save_reader){ .host = host,
                                      .read = read_medium,
                                      .self = m,
                                      .backend = ulv_backend_find };
    status = host->medium_bytes(host->self, m->handle, &m->reader.bytes);
    if (status == ULV_OK)
        return ULV_OK;
    host->handle_close(host->self, m->handle);
    return ulv_fail(diag, status, 0, 0, 0,
                    "the size of the saved partition is not known");
}

ulv_status
ulv_saved_read(const struct ulv_host *host, const struct ulv_source *source,
               struct ulv_saved *ret, struct ulv_diag *diag)
{
    struct medium m;
    struct save_file f;
    ulv_status status;

    if (ret->size < sizeof(*ret))
        return ulv_fail(diag, ULV_E_ARG, 0, ret->size, sizeof(*ret),
                        "room of %u bytes, this library writes %u",
                        (uint64_t)ret->size, (uint64_t)sizeof(*ret));
    status = open_medium(&m, host, source, diag);
    if (status != ULV_OK)
        return status;
    status = ulv_save_read(&f, &m.reader, NULL, diag);
    host->handle_close(host->self, m.handle);
    if (status != ULV_OK)
        return status;
    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    ret->processor_count = f.partition.processor_count;
    ret->channel_count = f.partition.channel_count;
    ret->memory_bytes = f.partition.memory_bytes;
    ret->time = f.head.time;
    memcpy(ret->name, f.partition.name, sizeof(ret->name));
    ulv_string_copy(ret->backend, sizeof(ret->backend), f.backend->name);
    ulv_save_close(&f);
    return ULV_OK;
}

/* ---- restore ------------------------------------------------------------- */

static ulv_status
unfit(struct ulv_diag *diag, const struct keeper_partition *p,
      const char *what, uint64_t has, uint64_t saved)
{
    return ulv_fail(diag, ULV_E_CONFLICT, p->id, has, saved,
                    "%s does not fit what was saved: %s %x, saved %x", p->name,
                    what, has, saved);
}

static ulv_status
fits_layout(const struct keeper_partition *p, const struct shape *s,
            const struct save_file *f, struct ulv_diag *diag)
{
    if (s->memory_bytes != f->partition.memory_bytes)
        return ulv_fail(diag, ULV_E_CONFLICT, p->id, s->memory_bytes,
                        f->partition.memory_bytes,
                        "%s does not fit what was saved: it has %z of memory, "
                        "saved are %z",
                        p->name, s->memory_bytes, f->partition.memory_bytes);
    if (s->range_count != f->partition.range_count)
        return unfit(diag, p, "ranges of memory", s->range_count,
                     f->partition.range_count);
    for (uint32_t i = 0; i < s->range_count; i++) {
        if (s->ranges[i].guest_address != f->ranges[i].guest_address)
            return unfit(diag, p, "memory at", s->ranges[i].guest_address,
                         f->ranges[i].guest_address);
        if (s->ranges[i].bytes != f->ranges[i].bytes)
            return unfit(diag, p, "bytes of memory in a range",
                         s->ranges[i].bytes, f->ranges[i].bytes);
    }
    return ULV_OK;
}

static ulv_status
fits_channels(const struct keeper_partition *p, const struct shape *s,
              const struct save_file *f, struct ulv_diag *diag)
{
    if (s->channel_count != f->partition.channel_count)
        return unfit(diag, p, "channels:", s->channel_count,
                     f->partition.channel_count);
    for (uint32_t i = 0; i < s->channel_count; i++) {
        const struct ulv_save_channel *has = &s->channels[i];
        const struct ulv_save_channel *had = &f->channels[i];

        if (has->slot != had->slot)
            return unfit(diag, p, "a channel in slot", has->slot, had->slot);
        if (!ulv_guid_equal(has->type, had->type) || has->end != had->end)
            return ulv_fail(diag, ULV_E_CONFLICT, p->id, has->slot, 0,
                            "%s does not fit what was saved: the channel in "
                            "slot %u is of another kind",
                            p->name, (uint64_t)has->slot);
        if (has->bytes != had->bytes || has->ring_bytes != had->ring_bytes ||
            has->bulk_bytes != had->bulk_bytes)
            return unfit(diag, p, "bytes of a channel", has->bytes,
                         had->bytes);
        if (has->served != had->served ||
            has->medium_bytes != had->medium_bytes)
            return unfit(diag, p, "bytes of a disk", has->medium_bytes,
                         had->medium_bytes);
    }
    return ULV_OK;
}

/* Its servers would go on with what the last run began. */
static ulv_status
check_unused(const struct keeper *k, const struct keeper_partition *p,
             struct ulv_diag *diag)
{
    const struct keeper_channel *c = NULL;

    while ((c = ulv_keeper_channel_of(k, p->id, c)) != NULL) {
        if (c->dirty)
            return ulv_fail(diag, ULV_E_STATE, p->id, c->id, 0,
                            "%s ran before, and channel %u is as that run left "
                            "it: destroy it and make it anew",
                            p->name, c->id);
    }
    return ULV_OK;
}

static ulv_status
fits(ulv_system *system, const struct keeper_partition *p,
     const struct shape *s, const struct save_file *f, struct ulv_diag *diag)
{
    ulv_status status;

    if (!ulv_string_equal(f->backend->name, system->backend, 16))
        return ulv_fail(diag, ULV_E_UNSUPPORTED, p->id, 0, 0,
                        "saved by the backend %s, guests here run on %s",
                        f->backend->name, system->backend);
    status = check_unused(&system->keeper, p, diag);
    if (status == ULV_OK)
        status = fits_layout(p, s, f, diag);
    if (status == ULV_OK)
        status = fits_channels(p, s, f, diag);
    if (status != ULV_OK)
        return status;
    if (s->processor_count != f->partition.processor_count)
        return unfit(diag, p, "processors:", s->processor_count,
                     f->partition.processor_count);
    if (((s->partition.capabilities & ULV_CAP_INTERRUPT) != 0) !=
        ((f->partition.flags & ULV_SAVE_INTERRUPTS) != 0))
        return unfit(diag, p, "interrupts (0 or 1):",
                     (s->partition.capabilities & ULV_CAP_INTERRUPT) != 0,
                     f->partition.flags & ULV_SAVE_INTERRUPTS);
    if (s->partition.gate != f->head.gate)
        return unfit(diag, p, "its gate at", s->partition.gate, f->head.gate);
    if (s->partition.view != f->head.view ||
        s->view_bytes != f->head.view_bytes)
        return unfit(diag, p, "its view at", s->partition.view, f->head.view);
    return ULV_OK;
}

/* Only what is not zero is saved. */
static ulv_status
clear_memory(ulv_system *system, ulv_id id)
{
    const struct ulv_host *host = system->host;
    const struct keeper_extent *e = NULL;

    while ((e = ulv_keeper_extent_of(&system->keeper, id, e)) != NULL) {
        uint8_t *bytes;
        void *p;
        ulv_status status;

        status = host->memory_map(host->self, e->memory, 0, e->bytes,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
        if (status != ULV_OK)
            return status;
        bytes = p;
        for (uint64_t at = 0; at < e->bytes; at += PAGE) {
            if (!ulv_save_is_zero(bytes + at))
                memset(bytes + at, 0, PAGE);
        }
        host->memory_unmap(host->self, p, e->bytes);
    }
    return ULV_OK;
}

struct target {
    ulv_system *system;
    ulv_id partition;
    const struct shape *shape;
};

static ulv_status
write_memory(void *self, uint64_t guest, const uint8_t *bytes, uint64_t len,
             struct ulv_diag *diag)
{
    const struct target *t = self;

    return ulv_partition_write(t->system, t->partition, (ulv_gpa){ guest },
                               bytes, (size_t)len, diag);
}

static ulv_status
write_content(void *self, const struct ulv_save_channel *channel,
              const struct ulv_save_content *where, const uint8_t *bytes,
              struct ulv_diag *diag)
{
    const struct target *t = self;

    return ulv_save_write_content(t->system, t->shape, channel, where, bytes,
                                  diag);
}

/* The monitor's part under a number, for the order that starts it. */
static ulv_status
add_source(ulv_system *system, ulv_id id, const struct save_file *f)
{
    const struct ulv_host *host = system->host;
    struct keeper *k = &system->keeper;
    struct keeper_source *s = host->alloc(host->self, sizeof(*s), 8);
    uint64_t room = ulv_round_up(f->monitor_bytes, PAGE);
    void *p;
    ulv_status status;

    if (s == NULL)
        return ULV_E_NO_MEMORY;
    s->id = id;
    s->medium[0] = s->medium[1] = ULV_NO_HANDLE;
    s->bytes = f->monitor_bytes;
    s->restore = true;
    s->next = k->sources;
    k->sources = s;
    status = host->memory_create(host->self, "ulv-save", room, 0,
                                 &s->medium[0]);
    if (status == ULV_OK)
        status = host->memory_map(host->self, s->medium[0], 0, room,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status != ULV_OK) {
        ulv_keeper_source_drop(k, id);
        return status;
    }
    memcpy(p, f->monitor, (size_t)f->monitor_bytes);
    host->memory_unmap(host->self, p, room);
    return ULV_OK;
}

/* Memory and channels; the monitor's part becomes a source. */
static ulv_status
write_all(ulv_system *system, ulv_id partition, const struct medium *m,
          const struct shape *shape, uint32_t headers_crc, ulv_id source,
          struct ulv_diag *diag)
{
    struct target target = { system, partition, shape };
    const struct save_visitor visitor = { write_memory, write_content,
                                          &target };
    struct save_file f;
    ulv_status status = clear_memory(system, partition);

    if (status != ULV_OK)
        return ulv_fail(diag, status, partition, 0, 0,
                        "the partition's memory could not be mapped");
    status = ulv_save_clear_channels(system, shape, diag);
    if (status == ULV_OK)
        status = ulv_save_read(&f, &m->reader, &visitor, diag);
    if (status != ULV_OK)
        return status;
    if (f.headers_crc != headers_crc)
        status = ulv_fail(diag, ULV_E_FORMAT, partition, f.headers_crc,
                          headers_crc,
                          "the saved partition was changed while it was read");
    else if ((status = add_source(system, source, &f)) != ULV_OK)
        (void)ulv_fail(diag, status, partition, f.monitor_bytes, 0,
                       "no memory for the saved monitor");
    if (status == ULV_OK)
        status = ulv_save_write_ends(system, shape, &f, diag);
    ulv_save_close(&f);
    return status;
}

/* From here on the partition is changed. Servers stand still meanwhile, and
 * then take up the channels as a successor does. */
static ulv_status
carry_over(ulv_system *system, ulv_id partition, const struct medium *m,
           const struct shape *shape, uint32_t headers_crc, ulv_id source,
           struct ulv_diag *diag)
{
    struct keeper_partition *p;
    ulv_status status = ulv_save_hold_channels(system, shape, diag);

    if (status == ULV_OK) {
        status = write_all(system, partition, m, shape, headers_crc, source,
                           diag);
        system->keeper.hear_state = ulv_role_state_hear;
        if (status == ULV_OK)
            status = ulv_system_start_from(system, partition, source, diag);
        p = ulv_keeper_partition(&system->keeper, partition);
        if (status != ULV_OK && p != NULL) {
            p->ran = true; /* it is not as a new one is */
            ulv_keeper_again_dirty(&system->keeper, p);
        }
        ulv_keeper_source_drop(&system->keeper, source);
    }
    ulv_save_let_channels(system, shape);
    return status;
}

/* Read it once, hold it against the partition. */
static ulv_status
check_file(ulv_system *system, const struct keeper_partition *p,
           const struct medium *m, const struct shape *shape,
           uint32_t *ret_headers_crc, struct ulv_diag *diag)
{
    struct save_file f;
    ulv_status status = ulv_save_read(&f, &m->reader, NULL, diag);

    if (status != ULV_OK)
        return status;
    status = fits(system, p, shape, &f, diag);
    *ret_headers_crc = f.headers_crc;
    ulv_save_close(&f);
    return status;
}

/* The answer to a transaction may be here before the keeper has heard of it. */
static bool
is_committed(ulv_system *system, void *self)
{
    const struct keeper_partition *p =
        ulv_keeper_partition(&system->keeper, *(const ulv_id *)self);

    return p == NULL || p->committed;
}

ulv_status
ulv_partition_restore(ulv_system *system, ulv_id partition,
                      const struct ulv_source *source, struct ulv_diag *diag)
{
    const struct keeper_partition *p;
    struct ulv_diag why = ULV_DIAG_INIT;
    struct medium m;
    struct shape shape;
    uint32_t headers_crc = 0;
    ulv_id id;
    ulv_status status;

    if (ulv_system_startable(system, partition, &status, diag) == NULL)
        return status;
    id = ulv_system_new_id(system, &why);
    (void)ulv_system_run_until(system, is_committed, &partition,
                               ulv_system_now(system) +
                                   system->keeper.settle_limit);
    p = ulv_system_guest(system, partition, diag); /* a step lies between */
    if (id == 0 && diag != NULL)
        *diag = why;
    if (id == 0 || p == NULL)
        return id == 0 ? why.status : ULV_E_NOT_FOUND;
    status = open_medium(&m, system->host, source, diag);
    if (status != ULV_OK)
        return status;
    status = ulv_shape_take(&shape, system, p, diag);
    if (status == ULV_OK) {
        status = check_file(system, p, &m, &shape, &headers_crc, diag);
        if (status == ULV_OK)
            status = carry_over(system, partition, &m, &shape, headers_crc,
                                id, diag);
        ulv_shape_close(&shape);
    }
    system->host->handle_close(system->host->self, m.handle);
    return status;
}
