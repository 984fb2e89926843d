/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ultravisor partition: keeps the database, serves the command channel,
 * publishes views. Less privileged: it holds no memory but the views it writes
 * and the header pages of channels; what a transaction means for descriptors
 * it orders from the keeper.
 *
 * One transaction at a time: PREPARED in the database -> ORDERED from the
 * keeper -> views written -> committed, published, answered. A step that fails
 * undoes those before it. Changes that the ultravisor makes by itself (a
 * partition ended, a device moves to its standby) wait in a queue and go the
 * same way.
 */
#include "system/ultravisor.h"

#include "base/base.h"

static struct ultravisor_role *
self_of(struct role *role)
{
    return ULV_CONTAINER_OF(role, struct ultravisor_role, role);
}

/* ---- views --------------------------------------------------------------- */

static struct published *
find_view(const struct ultravisor_role *r, ulv_id partition, uint32_t part)
{
    struct published *v = r->views;

    while (v != NULL && (v->partition != partition || v->part != part))
        v = v->next;
    return v;
}

static ulv_status
take_view(struct ultravisor_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    const struct say_view *say = &heard->say.u.view;
    struct published *v = host->alloc(host->self, sizeof(*v), 8);
    ulv_status status;

    if (v == NULL)
        return ULV_E_NO_MEMORY;
    status = host->memory_map(host->self, heard->handle[0], 0, say->bytes,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL, &v->segment);
    if (status != ULV_OK) {
        host->free(host->self, v, sizeof(*v));
        return status;
    }
    v->partition = say->partition;
    v->part = say->part;
    v->bell = ULV_NO_HANDLE;
    v->next = r->views;
    r->views = v;
    return ulv_view_publisher_init(&v->publisher, v->segment, say->bytes,
                                   say->part, say->partition, 1);
}

static void
drop_views(struct ultravisor_role *r, ulv_id partition)
{
    const struct ulv_host *host = r->role.host;
    struct published **at = &r->views;

    while (*at != NULL) {
        struct published *v = *at;

        if (partition != 0 && v->partition != partition) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        host->memory_unmap(host->self, v->segment, ULV_VIEW_SEGMENT_BYTES);
        if (v->bell != ULV_NO_HANDLE)
            host->handle_close(host->self, v->bell);
        host->free(host->self, v, sizeof(*v));
    }
}

/* Nobody reads it: there is no monitor, or the role follows no view. */
static bool
has_no_reader(const struct ultravisor_role *r, ulv_id id)
{
    struct ulv_partition_record p;

    if (ulv_database_find(r->db, ULV_QUERY_PARTITIONS, id, &p) != ULV_OK)
        return true;
    if (p.kind == ULV_PARTITION_GUEST)
        return p.state != ULV_STATE_STARTING && p.state != ULV_STATE_RUNNING;
    return p.kind != ULV_PARTITION_IO;
}

static ulv_status
prepare_views(struct ultravisor_role *r, struct ulv_diag *diag)
{
    uint32_t count;
    const ulv_id *touched = ulv_plan_touched(r->plan, &count);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t part = 0; part < 2; part++) {
            struct published *v = find_view(r, touched[i], part);
            ulv_status status = ULV_OK;

            if (v == NULL)
                continue;
            status =
                ulv_picture_take(r->picture, r->db, touched[i], part, diag);
            if (status == ULV_E_NOT_FOUND)
                continue; /* this transaction destroys it */
            if (status == ULV_OK)
                status = ulv_view_prepare(&v->publisher, r->picture->section,
                                          5, diag);
            if (status != ULV_OK)
                return status;
            v->prepared = true;
        }
    }
    return ULV_OK;
}

/* What was prepared for a transaction that is given up is never shown. */
static void
forget_prepared(struct ultravisor_role *r)
{
    for (struct published *v = r->views; v != NULL; v = v->next)
        v->prepared = false;
}

static void
publish_views(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;

    for (struct published *v = r->views; v != NULL; v = v->next) {
        uint64_t generation;

        if (!v->prepared)
            continue;
        v->prepared = false;
        generation = ulv_view_publish(&v->publisher);
        if (has_no_reader(r, v->partition))
            ulv_view_acknowledge(&v->publisher, generation);
        if (v->bell != ULV_NO_HANDLE)
            host->event_signal(host->self, v->bell);
    }
}

/* ---- channels ------------------------------------------------------------ */

/* Initialise all of it, then keep the header page only. */
static ulv_status
format_channel(struct ultravisor_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    const struct say_channel *say = &heard->say.u.channel;
    struct ulv_channel_layout layout = { .id = say->channel,
                                         .ring_bytes = say->ring_bytes,
                                         .bulk_bytes = say->bulk_bytes };
    struct header *header = host->alloc(host->self, sizeof(*header), 8);
    void *p;
    ulv_status status = ULV_E_NO_MEMORY;

    if (header == NULL)
        return status;
    memcpy(layout.type, say->type, 16);
    memcpy(layout.instance, say->instance, 16);
    status = host->memory_map(host->self, heard->handle[0], 0, say->bytes,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status == ULV_OK) {
        status = ulv_channel_format(p, &layout);
        host->memory_unmap(host->self, p, say->bytes);
    }
    if (status == ULV_OK)
        status = host->memory_map(host->self, heard->handle[0], 0, 4096,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status != ULV_OK) {
        host->free(host->self, header, sizeof(*header));
        return status;
    }
    header->channel = say->channel;
    header->p = p;
    header->next = r->headers;
    r->headers = header;
    return ULV_OK;
}

static void
drop_header(struct ultravisor_role *r, ulv_id channel)
{
    const struct ulv_host *host = r->role.host;
    struct header **at = &r->headers;

    while (*at != NULL) {
        struct header *header = *at;

        if (channel != 0 && header->channel != channel) {
            at = &header->next;
            continue;
        }
        *at = header->next;
        host->memory_unmap(host->self, header->p, 4096);
        host->free(host->self, header, sizeof(*header));
    }
}

/* The epoch stands in the header before any end hears of it. */
static void
set_epochs(struct ultravisor_role *r, ulv_id device)
{
    for (struct header *h = r->headers; h != NULL; h = h->next) {
        struct ulv_channel_record c;

        if (ulv_database_find(r->db, ULV_QUERY_CHANNELS, h->channel, &c) ==
                ULV_OK &&
            c.device == device)
            ulv_channel_set_epoch(h->p, c.epoch);
    }
}

void
ulv_ultravisor_look_at_channels(struct ultravisor_role *r)
{
    for (struct header *h = r->headers; h != NULL; h = h->next) {
        uint32_t state[2];

        for (uint32_t end = 0; end < 2; end++)
            state[end] =
                __atomic_load_n(&h->p->end[end].state, __ATOMIC_RELAXED);
        ulv_database_channel_seen(r->db, h->channel, state);
    }
}

/* ---- one transaction ----------------------------------------------------- */

static void
finish(struct ultravisor_role *r, const struct ulv_diag *diag,
       uint32_t operation_idx, uint64_t revision)
{
    struct ulv_message_transaction_answer answer = {
        .status = diag->status,
        .operation_idx = operation_idx,
        .revision = revision,
        .object = diag->object,
        .value = diag->value,
        .bound = diag->bound,
    };
    struct errand *errand = r->errand;

    r->plan = NULL;
    r->errand = NULL;
    if (errand == NULL) {
        ulv_string_copy(answer.text, sizeof(answer.text), diag->text);
        ulv_command_answer_transaction(&r->session, &answer);
        return;
    }
    ulv_ultravisor_end_errand(r, errand, diag);
}

static void
tell_keeper(struct ultravisor_role *r, uint32_t kind, uint64_t revision)
{
    struct say say = { .kind = kind };

    say.u.order.ticket = r->ticket;
    say.u.order.revision = revision;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

/* What follows from the effects on our own side. */
static void
follow_effects(struct ultravisor_role *r, const struct ulv_effect *effects,
               uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        switch (effects[i].kind) {
        case ULV_EFFECT_PARTITION_DESTROY:
            drop_views(r, effects[i].u.removal.id);
            break;
        case ULV_EFFECT_CHANNEL_DESTROY:
            drop_header(r, effects[i].u.removal.id);
            break;
        case ULV_EFFECT_DEVICE_REHOME:
            set_epochs(r, effects[i].u.rehome.device);
            break;
        default:
            break;
        }
    }
}

/* Nothing of the plan takes effect: nor do its channels, whose headers were
 * mapped when the keeper made them. */
static void
give_up(struct ultravisor_role *r, const struct ulv_diag *diag)
{
    uint32_t count;
    const struct ulv_effect *effects = ulv_plan_effects(r->plan, &count);

    for (uint32_t i = 0; i < count; i++) {
        if (effects[i].kind == ULV_EFFECT_CHANNEL_CREATE)
            drop_header(r, effects[i].u.channel.id);
    }
    ulv_database_abort(r->db, r->plan);
    finish(r, diag, UINT32_MAX, 0);
}

static void
commit(struct ultravisor_role *r)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint64_t revision;
    uint32_t count;
    const struct ulv_effect *effects;

    diag.status = prepare_views(r, &diag);
    if (diag.status != ULV_OK) {
        forget_prepared(r);
        tell_keeper(r, SAY_ABORTED, 0);
        give_up(r, &diag);
        return;
    }
    effects = ulv_plan_effects(r->plan, &count);
    follow_effects(r, effects, count);
    revision = ulv_database_commit(r->db, r->plan);
    publish_views(r);
    tell_keeper(r, SAY_COMMITTED, revision);
    finish(r, &diag, UINT32_MAX, revision);
}

static void
order(struct ultravisor_role *r)
{
    uint32_t count;
    const struct ulv_effect *effects = ulv_plan_effects(r->plan, &count);
    const uint32_t some = SAY_TAIL_MAX / (uint32_t)sizeof(*effects);
    struct say say = { .kind = SAY_ORDER };

    r->ticket++;
    if (count == 0) {
        commit(r);
        return;
    }
    say.u.order.ticket = r->ticket;
    say.u.order.effect_count = count;
    for (uint32_t first = 0; first < count; first += some) {
        uint32_t part = ULV_MIN(some, count - first);
        struct ulv_diag diag = ULV_DIAG_INIT;

        say.u.order.first = first;
        say.tail_bytes = part * (uint32_t)sizeof(*effects);
        diag.status =
            ulv_post_send(&r->role.post, &say, &effects[first], NULL, 0);
        if (diag.status == ULV_OK)
            continue;
        tell_keeper(r, SAY_ABORTED, 0);
        give_up(r, &diag);
        return;
    }
}

void
ulv_ultravisor_begin(struct ultravisor_role *r,
                     const struct ulv_request *request)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t operation_idx;

    diag.status = ulv_database_prepare(r->db, request, &r->plan,
                                       &operation_idx, &diag);
    if (diag.status != ULV_OK) {
        finish(r, &diag, operation_idx, 0);
    } else if ((request->options & ULV_TRANSACTION_DRY_RUN) != 0) {
        ulv_database_abort(r->db, r->plan);
        finish(r, &diag, UINT32_MAX, ulv_database_revision(r->db));
    } else {
        order(r);
    }
}

static void
order_done(struct ultravisor_role *r, const struct say_order_done *done)
{
    if (r->plan == NULL || done->ticket != r->ticket)
        return;
    if (done->diag.status == ULV_OK) {
        commit(r);
        return;
    }
    give_up(r, &done->diag);
}

/* ---- role ---------------------------------------------------------------- */

static ulv_status
ultravisor_init(struct role *role, const struct heard *configure)
{
    struct ultravisor_role *r = self_of(role);
    struct say say = { .kind = SAY_READY };
    ulv_status status;

    (void)configure;
    r->errands_end = &r->errands;
    ulv_ultravisor_handlers(r);
    r->picture = role->host->alloc(role->host->self, sizeof(*r->picture), 8);
    if (r->picture == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_database_create(role->host, &r->db);
    if (status == ULV_OK)
        status = ulv_database_lease(r->db, &say.u.ready.lease_first);
    if (status != ULV_OK)
        return status;
    return ulv_post_send(&role->post, &say, NULL, NULL, 0);
}

static void
ultravisor_fini(struct role *role)
{
    struct ultravisor_role *r = self_of(role);
    const struct ulv_host *host = role->host;

    ulv_ultravisor_drop_errands(r);
    ulv_command_session_fini(&r->session);
    ulv_wire_fini(&r->wire);
    drop_views(r, 0);
    drop_header(r, 0);
    ulv_database_destroy(r->db);
    host->free(host->self, r->picture, sizeof(*r->picture));
}

static ulv_status
take_channel(struct ultravisor_role *r, struct heard *heard)
{
    ulv_status status;

    if (heard->say.u.channel.format != 0)
        return format_channel(r, heard);
    if (r->wire.host != NULL)
        return ULV_E_EXISTS;
    status = ulv_wire_init(&r->wire, r->role.host, r->role.waits, heard);
    if (status == ULV_OK)
        status = ulv_command_session_init(&r->session, r->role.host,
                                          &r->handlers, r->wire.p,
                                          r->wire.bytes);
    r->has_session = status == ULV_OK;
    return status;
}

static ulv_status
take_bell(struct ultravisor_role *r, struct heard *heard)
{
    struct published *v = find_view(r, heard->say.u.view.partition,
                                    ULV_VIEW_PART_MONITOR);

    if (v == NULL)
        return ULV_OK; /* our own view's doorbell */
    if (v->bell != ULV_NO_HANDLE)
        return ULV_OK;
    v->bell = heard->handle[0];
    heard->handle_count = 0;
    return ULV_OK;
}

static ulv_status
acknowledged(struct ultravisor_role *r, const struct say_generation *say)
{
    for (uint32_t part = 0; part < 2; part++) {
        struct published *v = find_view(r, say->partition, part);

        if (v != NULL)
            ulv_view_acknowledge(&v->publisher, say->generation);
    }
    return ULV_OK;
}

static ulv_status
ultravisor_hear(struct role *role, struct heard *heard)
{
    struct ultravisor_role *r = self_of(role);

    switch (heard->say.kind) {
    case SAY_VIEW:
        return take_view(r, heard);
    case SAY_BELL:
        return take_bell(r, heard);
    case SAY_CHANNEL:
        return take_channel(r, heard);
    case SAY_CHANNEL_CLOSE:
        return ULV_OK;
    case SAY_BOOT:
        return ulv_ultravisor_boot(r, heard);
    case SAY_ORDER_DONE:
        order_done(r, &heard->say.u.order_done);
        return ULV_OK;
    case SAY_STATE:
        return ulv_ultravisor_note_state(r, &heard->say.u.state);
    case SAY_DIED:
        return ulv_ultravisor_note_death(r, heard->say.u.state.partition);
    case SAY_ACKNOWLEDGED:
        return acknowledged(r, &heard->say.u.generation);
    case SAY_PARTITION_GONE:
        drop_views(r, heard->say.u.state.partition);
        return ULV_OK;
    default:
        return ULV_E_PEER_PROTOCOL;
    }
}

static void
ultravisor_step(struct role *role, struct role_need *need)
{
    struct ultravisor_role *r = self_of(role);
    bool ring = false;

    while (r->plan == NULL && r->errands != NULL)
        ulv_ultravisor_run_errand(r);
    if (!r->has_session)
        return;
    (void)ulv_wire_take(&r->wire);
    while (r->plan == NULL && ulv_command_session_step(&r->session, &ring))
        need->again = true;
    if (r->session.failed != ULV_OK && !r->failed_told) {
        r->failed_told = ring = true; /* it may wait for an answer */
        ulv_role_tell_broken(role, r->wire.channel, "the client",
                             r->session.failed);
    }
    if (ring)
        ulv_wire_ring(&r->wire);
}

const struct role_ops ulv_role_ultravisor = {
    .bytes = sizeof(struct ultravisor_role),
    .init = ultravisor_init,
    .fini = ultravisor_fini,
    .hear = ultravisor_hear,
    .step = ultravisor_step,
};
