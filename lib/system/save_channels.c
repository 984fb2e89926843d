/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/save_channels.h"

#include <ultravisor/abi/block.h>

#include "base/base.h"
#include "system/save_memory.h"

#define PAGE UINT64_C(4096)

/* ---- servers ------------------------------------------------------------- */

static void
tell_server(ulv_system *system, const struct keeper_channel *c, uint32_t kind)
{
    struct keeper_partition *server =
        ulv_keeper_partition(&system->keeper, c->server);
    struct say say = { .kind = kind };

    say.u.object = c->id;
    if (server != NULL && server->alive)
        ulv_post_tell(&server->post, &say, NULL, NULL, 0);
}

/* self: the shape. A server that is dead holds nothing. */
static bool
all_held(ulv_system *system, void *self)
{
    const struct shape *s = self;

    for (uint32_t i = 0; i < s->channel_count; i++) {
        const struct keeper_channel *c =
            ulv_keeper_channel(&system->keeper, s->ids[i]);

        if (s->channels[i].served != 0 && c != NULL && !c->held)
            return false;
    }
    return true;
}

ulv_status
ulv_save_hold_channels(ulv_system *system, const struct shape *s,
                       struct ulv_diag *diag)
{
    struct shape *self = (struct shape *)(uintptr_t)s; /* as it came */
    ulv_nsec deadline =
        ulv_system_now(system) + system->keeper.settle_limit;
    ulv_status status;

    for (uint32_t i = 0; i < s->channel_count; i++) {
        struct keeper_channel *c =
            ulv_keeper_channel(&system->keeper, s->ids[i]);

        if (s->channels[i].served == 0 &&
            s->channels[i].state != ULV_END_DETACHED)
            return ulv_fail(diag, ULV_E_BUSY, s->ids[i],
                            s->channels[i].state, ULV_END_DETACHED,
                            "channel %u in slot %u is in use, and no I/O "
                            "partition serves it: the guest has to close it",
                            s->ids[i], (uint64_t)s->channels[i].slot);
        if (s->channels[i].served == 0 || c == NULL)
            continue;
        c->held = false;
        tell_server(system, c, SAY_HOLD);
    }
    status = ulv_system_run_until(system, all_held, self, deadline);
    if (status != ULV_OK)
        return ulv_fail(diag, ULV_E_BUSY, s->partition.id,
                        system->keeper.settle_limit, 0,
                        "a server of the guest's channels does not stand "
                        "still: %s",
                        ulv_status_text(status));
    return ULV_OK;
}

void
ulv_save_let_channels(ulv_system *system, const struct shape *s)
{
    for (uint32_t i = 0; i < s->channel_count; i++) {
        struct keeper_channel *c =
            ulv_keeper_channel(&system->keeper, s->ids[i]);

        if (c == NULL || s->channels[i].served == 0)
            continue;
        c->held = false;
        tell_server(system, c, SAY_LET);
    }
}

/* ---- content ------------------------------------------------------------- */

/* The memory that a place of a channel is, mapped whole. */
static ulv_status
map_place(ulv_system *system, ulv_id id, uint32_t place, uint8_t **ret,
          uint64_t *ret_bytes)
{
    const struct ulv_host *host = system->host;
    const struct keeper_channel *c = ulv_keeper_channel(&system->keeper, id);
    const struct keeper_device *d =
        c == NULL ? NULL : ulv_keeper_device(&system->keeper, c->device);
    ulv_handle memory;
    ulv_status status;
    void *p;

    if (c == NULL || d == NULL)
        return ULV_E_NOT_FOUND;
    memory = place == 0 ? c->memory : d->takeover;
    *ret_bytes = place == 0 ? c->bytes : PAGE;
    status = host->memory_map(host->self, memory, 0, *ret_bytes,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status == ULV_OK)
        *ret = p;
    return status;
}

static ulv_status
put_pages(struct save_writer *w, uint32_t slot, uint32_t place,
          const uint8_t *p, uint64_t from, uint64_t bytes)
{
    ulv_status status = ULV_OK;

    for (uint64_t at = from; at < bytes && status == ULV_OK;) {
        struct ulv_save_content where = { slot, place, at, 0 };

        while (at < bytes && where.bytes < SAVE_CHUNK_MAX &&
               !ulv_save_is_zero(p + at)) {
            where.bytes += PAGE;
            at += PAGE;
        }
        if (where.bytes == 0)
            at += PAGE;
        else
            status = ulv_save_put(w, ULV_SAVE_CONTENT, &where, sizeof(where),
                                  p + where.offset, (size_t)where.bytes);
    }
    return status;
}

ulv_status
ulv_save_put_channels(ulv_system *system, const struct shape *s,
                      struct save_writer *w, struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;

    for (uint32_t i = 0; i < s->channel_count * 2; i++) {
        uint32_t place = i % 2;
        uint64_t bytes;
        uint8_t *p;
        ulv_status status;

        if (s->channels[i / 2].served == 0)
            continue;
        status = map_place(system, s->ids[i / 2], place, &p, &bytes);
        if (status != ULV_OK)
            return ulv_fail(diag, status, s->ids[i / 2], 0, 0,
                            "channel %u could not be mapped", s->ids[i / 2]);
        /* the header is the ultravisor's, and is made anew */
        status = put_pages(w, s->channels[i / 2].slot, place, p,
                           place == 0 ? PAGE : 0, bytes);
        host->memory_unmap(host->self, p, bytes);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

/* What of a region was its guest's: the device is another now. */
static void
write_region(struct ulv_takeover_region *region,
             const struct ulv_takeover_region *saved)
{
    region->console_offset = saved->console_offset;
    region->input_offset = saved->input_offset;
    memcpy(region->slot, saved->slot, sizeof(region->slot));
}

ulv_status
ulv_save_clear_channels(ulv_system *system, const struct shape *s,
                        struct ulv_diag *diag)
{
    static const struct ulv_takeover_region none;
    const struct ulv_host *host = system->host;

    for (uint32_t i = 0; i < s->channel_count * 2; i++) {
        uint32_t place = i % 2;
        uint64_t bytes;
        uint8_t *p;
        ulv_status status;

        if (s->channels[i / 2].served == 0)
            continue;
        status = map_place(system, s->ids[i / 2], place, &p, &bytes);
        if (status != ULV_OK)
            return ulv_fail(diag, status, s->ids[i / 2], 0, 0,
                            "channel %u could not be mapped", s->ids[i / 2]);
        if (place == 0)
            memset(p + PAGE, 0, bytes - PAGE);
        else
            write_region((void *)p, &none);
        host->memory_unmap(host->self, p, bytes);
    }
    return ULV_OK;
}

static uint32_t
index_of(const struct shape *s, uint32_t slot)
{
    uint32_t i = 0;

    while (i < s->channel_count && s->channels[i].slot != slot)
        i++;
    return i;
}

ulv_status
ulv_save_write_content(ulv_system *system, const struct shape *s,
                       const struct ulv_save_channel *channel,
                       const struct ulv_save_content *where,
                       const uint8_t *bytes, struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    uint32_t i = index_of(s, channel->slot);
    struct keeper_channel *c;
    struct ulv_takeover_region saved;
    uint64_t room;
    uint8_t *p;
    ulv_status status = ULV_E_NOT_FOUND;

    if (i < s->channel_count)
        status = map_place(system, s->ids[i], where->place, &p, &room);
    if (status == ULV_OK &&
        !ulv_range_inside(where->offset, where->bytes, room)) {
        host->memory_unmap(host->self, p, room);
        status = ULV_E_LIMIT;
    }
    if (status != ULV_OK)
        return ulv_fail(diag, status, s->partition.id, where->slot, 0,
                        "the channel in slot %u could not be written",
                        (uint64_t)where->slot);
    if (where->place == 0) {
        memcpy(p + where->offset, bytes, (size_t)where->bytes);
    } else {
        memcpy(&saved, bytes, sizeof(saved));
        write_region((void *)p, &saved);
        c = ulv_keeper_channel(&system->keeper, s->ids[i]);
        c->console_offset = saved.console_offset;
        ulv_keeper_input_reset(&system->keeper, c, saved.input_offset);
    }
    host->memory_unmap(host->self, p, room);
    return ULV_OK;
}

ulv_status
ulv_save_write_ends(ulv_system *system, const struct shape *s,
                    const struct save_file *f, struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;

    for (uint32_t i = 0; i < f->partition.channel_count; i++) {
        const struct ulv_save_channel *c = &f->channels[i];
        struct ulv_end_line *line;
        uint64_t bytes;
        uint8_t *p;
        ulv_status status;

        if (c->served == 0)
            continue;
        status = map_place(system, s->ids[i], 0, &p, &bytes);
        if (status != ULV_OK)
            return ulv_fail(diag, status, s->ids[i], c->slot, 0,
                            "channel %u could not be mapped", s->ids[i]);
        line = &((struct ulv_channel_header *)(void *)p)->end[c->end];
        line->epoch = c->epoch;
        line->features = c->features;
        __atomic_store_n(&line->state, c->state, __ATOMIC_RELEASE);
        host->memory_unmap(host->self, p, bytes);
    }
    return ULV_OK;
}
