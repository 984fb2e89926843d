/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Saving a partition. The keeper holds the memory and writes it; its monitor
 * writes what it knows, processors included, into memory that the keeper made
 * for it. A partition that shall run meanwhile is copied, then what it wrote,
 * until that is little; for the rest it is paused.
 */
#include <ultravisor/save.h>

#include "base/base.h"
#include "monitor/monitor.h"
#include "system/role_monitor.h"
#include "system/save_channels.h"
#include "system/save_memory.h"

#define PAGE UINT64_C(4096)

/* So few pages that were written are left for the pause. */
#define FEW_PAGES 64u

/* One saving. */
struct saving {
    ulv_system *system;
    ulv_id id;
    const struct ulv_sink *sink;
    struct shape shape;
    struct save_writer writer;
    struct save_memory memory;
    /* of a partition that runs meanwhile */
    ulv_handle pages; /* a bitmap, for its monitor to write */
    uint64_t *left;   /* the same: written, and not yet saved */
    uint64_t left_bytes;
};

/* ---- the monitor --------------------------------------------------------- */

/* What a monitor needs at most, in whole pages; 0: its backend cannot. */
static uint64_t
monitor_room(ulv_system *system)
{
    const struct ulv_backend_ops *backend = ulv_backend_find(system->backend);
    struct ulv_backend_caps caps;

    if (backend == NULL ||
        backend->probe(system->host, &caps, NULL) != ULV_OK ||
        caps.can_save == 0)
        return 0;
    return ulv_round_up(ULV_MONITOR_SAVED_BYTES +
                            (uint64_t)caps.vcpus_max *
                                (ULV_MONITOR_SAVED_BYTES +
                                 caps.state_bytes_max),
                        PAGE);
}

static bool
was_saved(ulv_system *system, void *self)
{
    const struct keeper_partition *p =
        ulv_keeper_partition(&system->keeper, *(const ulv_id *)self);

    return p == NULL || p->save == NULL || p->save->done || !p->alive;
}

/* Ask the monitor for something, SAY_SAVE_*, with memory to write to. */
static ulv_status
ask_monitor(struct saving *s, uint32_t what, ulv_handle memory, uint64_t room,
            uint64_t *ret_bytes, struct ulv_diag *diag)
{
    ulv_system *system = s->system;
    struct keeper_partition *p = ulv_keeper_partition(&system->keeper, s->id);
    struct keeper_save answer = { .diag = ULV_DIAG_INIT };
    struct say say = { .kind = SAY_SAVE };
    ulv_status status = ULV_E_STATE;

    say.u.view.part = what;
    say.u.view.bytes = room;
    system->keeper.hear_state = ulv_role_state_hear;
    if (p != NULL && p->alive) {
        if (p->role != NULL)
            p->role->hear_state = ulv_role_state_hear;
        p->save = &answer;
        status = ulv_post_send(&p->post, &say, NULL, &memory, 1);
        if (status == ULV_OK)
            status = ulv_system_run_until(system, was_saved, &s->id,
                                          ULV_FOREVER);
    }
    p = ulv_keeper_partition(&system->keeper, s->id);
    if (p != NULL)
        p->save = NULL;
    if (status == ULV_OK && !answer.done)
        status = ULV_E_STATE;
    if (status != ULV_OK)
        return ulv_fail(diag, status, s->id, what, 0,
                        "partition %u has ended, or could not be asked, while "
                        "it was saved: %s",
                        s->id, ulv_status_text(status));
    if (answer.diag.status != ULV_OK && diag != NULL)
        *diag = answer.diag;
    *ret_bytes = answer.bytes;
    return answer.diag.status;
}

static ulv_status
put_monitor(struct saving *s, struct ulv_diag *diag)
{
    const struct ulv_host *host = s->system->host;
    uint64_t room = monitor_room(s->system), bytes = 0;
    ulv_handle memory;
    void *p = NULL;
    ulv_status status =
        host->memory_create(host->self, "ulv-save", room, 0, &memory);

    if (status != ULV_OK)
        return ulv_fail(diag, status, s->id, room, 0,
                        "no memory for what is saved of a monitor");
    status = ask_monitor(s, SAVE_STATE, memory, room, &bytes, diag);
    if (status == ULV_OK)
        status = host->memory_map(host->self, memory, 0, room, ULV_MAP_READ,
                                  NULL, &p);
    if (status == ULV_OK && (bytes == 0 || bytes > room || bytes % 8 != 0))
        status = ulv_fail(diag, ULV_E_PEER_LENGTH, s->id, bytes, room,
                          "the monitor says that it saved %u bytes of %u",
                          bytes, room);
    if (status == ULV_OK)
        status = ulv_save_put(&s->writer, ULV_SAVE_MONITOR, p, (size_t)bytes,
                              NULL, 0);
    if (p != NULL)
        host->memory_unmap(host->self, p, room);
    host->handle_close(host->self, memory);
    return status;
}

/* ---- what is written meanwhile ------------------------------------------- */

static ulv_status
begin_tracking(struct saving *s, struct ulv_diag *diag)
{
    const struct ulv_host *host = s->system->host;
    uint64_t unused;
    ulv_status status;

    s->left_bytes =
        ulv_round_up(s->shape.memory_bytes / PAGE / 8 + 8, PAGE);
    s->left = host->alloc(host->self, (size_t)s->left_bytes, 8);
    status = host->memory_create(host->self, "ulv-save", s->left_bytes, 0,
                                 &s->pages);
    if (s->left == NULL || status != ULV_OK)
        return ulv_fail(diag, ULV_E_NO_MEMORY, s->id, s->left_bytes, 0,
                        "no memory to note which pages are written");
    return ask_monitor(s, SAVE_TRACK, s->pages, s->left_bytes, &unused, diag);
}

static void
end_tracking(struct saving *s)
{
    const struct ulv_host *host = s->system->host;
    uint64_t unused;

    if (s->pages != ULV_NO_HANDLE) {
        (void)ask_monitor(s, SAVE_UNTRACK, s->pages, s->left_bytes, &unused,
                          NULL);
        host->handle_close(host->self, s->pages);
    }
    host->free(host->self, s->left, (size_t)s->left_bytes);
}

/* What was written since the last time is added to what is left. */
static ulv_status
add_written(struct saving *s, uint64_t *ret_pages, struct ulv_diag *diag)
{
    const struct ulv_host *host = s->system->host;
    const uint64_t *word;
    uint64_t unused;
    void *p;
    ulv_status status = ask_monitor(s, SAVE_WRITTEN, s->pages, s->left_bytes,
                                    &unused, diag);

    if (status != ULV_OK)
        return status;
    status = host->memory_map(host->self, s->pages, 0, s->left_bytes,
                              ULV_MAP_READ, NULL, &p);
    if (status != ULV_OK)
        return status;
    word = p;
    *ret_pages = 0;
    for (uint64_t i = 0; i < s->left_bytes / 8; i++) {
        s->left[i] |= word[i];
        for (uint64_t bits = s->left[i]; bits != 0; bits &= bits - 1)
            ++*ret_pages;
    }
    host->memory_unmap(host->self, p, s->left_bytes);
    return ULV_OK;
}

static ulv_status
put_left(struct saving *s, struct ulv_diag *diag)
{
    ulv_status status = ulv_save_put_written(&s->memory, s->left, diag);

    memset(s->left, 0, (size_t)s->left_bytes);
    return status;
}

/* ---- what is written in what order --------------------------------------- */

static uint32_t
shape_flags(const struct shape *s)
{
    return (s->partition.capabilities & ULV_CAP_INTERRUPT) != 0
               ? ULV_SAVE_INTERRUPTS
               : 0;
}

static ulv_status
put_head(struct saving *s, const char *name)
{
    const struct shape *shape = &s->shape;
    struct ulv_save_partition head = {
        .id = s->id,
        .memory_bytes = shape->memory_bytes,
        .processor_count = shape->processor_count,
        .range_count = shape->range_count,
        .channel_count = shape->channel_count,
        .flags = shape_flags(shape),
    };
    ulv_status status =
        ulv_save_begin(&s->writer, s->sink, s->system->backend);

    ulv_string_copy(head.name, sizeof(head.name), name);
    if (status == ULV_OK)
        status = ulv_save_put(&s->writer, ULV_SAVE_PARTITION, &head,
                              sizeof(head), NULL, 0);
    if (status == ULV_OK)
        status = ulv_save_put(&s->writer, ULV_SAVE_LAYOUT, shape->ranges,
                              shape->range_count * sizeof(*shape->ranges),
                              NULL, 0);
    return status;
}

/* What is left when the memory is written, of a partition that is paused. */
static ulv_status
put_rest(struct saving *s, const struct shape *now, struct ulv_diag *diag)
{
    ulv_status status = ulv_save_put(
        &s->writer, ULV_SAVE_CHANNELS, now->channels,
        now->channel_count * sizeof(*now->channels), NULL, 0);

    if (status == ULV_OK)
        status = ulv_save_put_channels(s->system, now, &s->writer, diag);
    if (status == ULV_OK)
        status = put_monitor(s, diag);
    if (status == ULV_OK)
        status = ulv_save_finish(&s->writer);
    return status;
}

/* It has changed its shape since the saving began. */
static bool
is_another(const struct shape *a, const struct shape *b)
{
    return a->range_count != b->range_count ||
           a->channel_count != b->channel_count ||
           a->processor_count != b->processor_count ||
           memcmp(a->ranges, b->ranges, a->range_count * sizeof(*a->ranges)) !=
               0;
}

/* It is paused, and stays so meanwhile. */
static ulv_status
put_paused(struct saving *s, struct ulv_diag *diag)
{
    const struct keeper_partition *p =
        ulv_system_guest(s->system, s->id, diag);
    uint64_t pages;
    struct shape now;
    ulv_status status;

    if (p == NULL)
        return ULV_E_NOT_FOUND;
    status = ulv_shape_take(&now, s->system, p, diag);
    if (status != ULV_OK)
        return status;
    if (is_another(&now, &s->shape))
        status = ulv_fail(diag, ULV_E_BUSY, s->id, now.memory_bytes,
                          s->shape.memory_bytes,
                          "what the partition has was changed while it was "
                          "saved");
    if (status == ULV_OK)
        status = ulv_save_hold_channels(s->system, &now, diag);
    s->memory.step = false;
    if (status == ULV_OK && s->left != NULL) {
        status = add_written(s, &pages, diag);
        if (status == ULV_OK)
            status = put_left(s, diag);
    } else if (status == ULV_OK) {
        status = ulv_save_put_memory(&s->memory, diag);
    }
    if (status == ULV_OK)
        status = put_rest(s, &now, diag);
    ulv_save_let_channels(s->system, &now);
    ulv_shape_close(&now);
    return status;
}

/* Its memory, while it runs. */
static ulv_status
put_running(struct saving *s, uint32_t rounds, struct ulv_diag *diag)
{
    ulv_status status = begin_tracking(s, diag);
    uint64_t before = UINT64_MAX;

    s->memory.step = true;
    if (status == ULV_OK)
        status = ulv_save_put_memory(&s->memory, diag);
    for (uint32_t i = 0; i < rounds && status == ULV_OK; i++) {
        uint64_t pages = 0;

        status = add_written(s, &pages, diag);
        /* a guest that writes as fast as we do is not caught up with */
        if (status != ULV_OK || pages <= FEW_PAGES || pages > before / 2)
            break;
        before = pages;
        status = put_left(s, diag);
    }
    return status;
}

/* ---- save ---------------------------------------------------------------- */

static ulv_status
check_savable(ulv_system *system, const struct keeper_partition *p,
              const struct ulv_sink *sink, struct ulv_diag *diag)
{
    if (sink->size < sizeof(*sink) || sink->write == NULL)
        return ulv_fail(diag, ULV_E_ARG, p->id, sink->size, sizeof(*sink),
                        "a sink of %u bytes, this library knows %u",
                        (uint64_t)sink->size, (uint64_t)sizeof(*sink));
    if (!p->alive || p->state != ULV_STATE_RUNNING)
        return ulv_fail(diag, ULV_E_STATE, p->id, p->state, ULV_STATE_RUNNING,
                        "%s does not run", p->name);
    if (monitor_room(system) == 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, p->id, 0, 0,
                        "the %s backend cannot save a guest", system->backend);
    return ULV_OK;
}

/* Pause it where it is not, write, let it go on. */
static ulv_status
save(struct saving *s, const char *name, uint32_t rounds,
     struct ulv_diag *diag)
{
    bool pause = s->shape.partition.intent != ULV_INTENT_PAUSED, paused = false;
    ulv_status status = put_head(s, name), resumed = ULV_OK;

    if (status == ULV_OK && pause && rounds != 0)
        status = put_running(s, rounds, diag);
    if (status == ULV_OK && pause) {
        status = ulv_partition_pause(s->system, s->id, diag);
        paused = status == ULV_OK;
    }
    if (status == ULV_OK)
        status = put_paused(s, diag);
    if (paused)
        resumed = ulv_partition_resume(s->system, s->id,
                                       status == ULV_OK ? diag : NULL);
    return status == ULV_OK ? resumed : status;
}

ulv_status
ulv_partition_save(ulv_system *system, ulv_id partition,
                   const struct ulv_sink *sink, uint32_t rounds,
                   struct ulv_diag *diag)
{
    const struct keeper_partition *p =
        ulv_system_guest(system, partition, diag);
    struct ulv_diag why = ULV_DIAG_INIT;
    struct saving s = { .system = system,
                        .id = partition,
                        .sink = sink,
                        .pages = ULV_NO_HANDLE };
    char name[ULV_NAME_MAX + 1];
    ulv_status status;

    if (p == NULL)
        return ULV_E_NOT_FOUND;
    ulv_string_copy(name, sizeof(name), p->name);
    status = check_savable(system, p, sink, diag);
    if (status == ULV_OK)
        status = ulv_shape_take(&s.shape, system, p, diag);
    if (status != ULV_OK)
        return status;
    s.memory = (struct save_memory){ .system = system,
                                     .partition = partition,
                                     .shape = &s.shape,
                                     .writer = &s.writer };
    status = ulv_save_memory_init(&s.memory, &why);
    if (status == ULV_OK)
        status = save(&s, name, rounds, &why);
    end_tracking(&s);
    ulv_save_memory_fini(&s.memory);
    ulv_shape_close(&s.shape);
    if (status != ULV_OK && why.status != status)
        (void)ulv_fail(&why, status, partition, s.writer.number, 0,
                       "partition %u could not be saved, at section %u: %s",
                       partition, (uint64_t)s.writer.number,
                       ulv_status_text(status));
    if (status != ULV_OK && diag != NULL)
        *diag = why;
    return status;
}
