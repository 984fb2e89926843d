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

/* ---- channels ------------------------------------------------------------ */

static void drop_header(struct ultravisor_role *r, ulv_id channel);

static void
set_end(struct ultravisor_role *r, struct header *h, uint32_t end,
        ulv_id partition)
{
    if (!ULV_KEEPER_INDEXES) {
        h->end[end].by_partition.id = partition;
        return;
    }
    h->end[end].header = h;
    ulv_id_index_add(&r->ends, &h->end[end].by_partition, partition);
}

/* The epoch stands in the header before any end hears of it. */
static void
set_epoch(struct ultravisor_role *r, struct header *h)
{
    struct ulv_channel_record c;

    if (ulv_database_find(r->db, ULV_QUERY_CHANNELS, h->channel, &c) != ULV_OK)
        return;
    ulv_channel_set_epoch(h->p, c.epoch);
    set_end(r, h, ULV_END_SERVER, c.server);
    set_end(r, h, ULV_END_CLIENT, c.client);
}

static ulv_status
format_channel(const struct ulv_host *host, const struct heard *heard)
{
    const struct say_channel *say = &heard->say.u.channel;
    struct ulv_channel_layout layout = { .id = say->channel,
                                         .ring_bytes = say->ring_bytes,
                                         .bulk_bytes = say->bulk_bytes };
    void *p;
    ulv_status status =
        host->memory_map(host->self, heard->handle[0], 0, say->bytes,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);

    if (status != ULV_OK)
        return status;
    memcpy(layout.type, say->type, 16);
    memcpy(layout.instance, say->instance, 16);
    status = ulv_channel_format(p, &layout);
    host->memory_unmap(host->self, p, say->bytes);
    return status;
}

/* Initialise all of a new one, then keep the header page only. One that is made
 * anew takes the place of what it was. */
static ulv_status
take_header(struct ultravisor_role *r, const struct heard *heard)
{
    const struct ulv_host *host = r->role.host;
    const struct say_channel *say = &heard->say.u.channel;
    struct header *header = host->alloc(host->self, sizeof(*header), 8);
    void *p;
    ulv_status status = ULV_OK;

    if (header == NULL)
        return ULV_E_NO_MEMORY;
    if (say->format == CHANNEL_NEW)
        status = format_channel(host, heard);
    if (status == ULV_OK)
        status = host->memory_map(host->self, heard->handle[0], 0, 4096,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status != ULV_OK) {
        host->free(host->self, header, sizeof(*header));
        return status;
    }
    drop_header(r, say->channel);
    header->channel = say->channel;
    header->p = p;
    header->next = r->headers;
    r->headers = header;
    set_epoch(r, header);
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
        for (uint32_t i = 0; ULV_KEEPER_INDEXES && i < 2; i++)
            ulv_id_index_remove(&r->ends, &header->end[i].by_partition);
        host->memory_unmap(host->self, header->p, 4096);
        host->free(host->self, header, sizeof(*header));
    }
}

static void
set_epochs(struct ultravisor_role *r, ulv_id device)
{
    for (struct header *h = r->headers; h != NULL; h = h->next) {
        struct ulv_channel_record c;

        if (ulv_database_find(r->db, ULV_QUERY_CHANNELS, h->channel, &c) ==
                ULV_OK &&
            c.device == device)
            set_epoch(r, h);
    }
}

void
ulv_ultravisor_mark_left(struct ultravisor_role *r, struct header *h,
                         uint32_t end)
{
    struct say say = { .kind = SAY_RING };

    ulv_channel_end_died(h->p, end);
    say.u.object = h->channel;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

static void
mark_if_dead(struct ultravisor_role *r, struct header *h, ulv_id dead)
{
    if (h->end[ULV_END_SERVER].by_partition.id == dead)
        ulv_ultravisor_mark_left(r, h, ULV_END_SERVER);
    else if (h->end[ULV_END_CLIENT].by_partition.id == dead)
        ulv_ultravisor_mark_left(r, h, ULV_END_CLIENT);
}

void
ulv_ultravisor_mark_dead(struct ultravisor_role *r, ulv_id dead)
{
    struct id_entry *entry;

    if (!ULV_KEEPER_INDEXES) {
        for (struct header *h = r->headers; h != NULL; h = h->next)
            mark_if_dead(r, h, dead);
        return;
    }
    for (entry = ulv_id_index_find(&r->ends, dead); entry != NULL;
         entry = ulv_id_index_next(entry))
        mark_if_dead(
            r,
            ULV_CONTAINER_OF(entry, struct header_end, by_partition)->header,
            dead);
}

bool
ulv_ultravisor_revoke(struct ultravisor_role *r, ulv_id channel)
{
    for (struct header *h = r->headers; h != NULL; h = h->next) {
        if (h->channel != channel)
            continue;
        ulv_channel_revoke(h->p);
        return true;
    }
    return false;
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

void
ulv_ultravisor_finish(struct ultravisor_role *r, const struct ulv_diag *diag,
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
        if (r->asking != NULL)
            ulv_command_answer_transaction(r->asking, &answer);
        return;
    }
    ulv_ultravisor_end_errand(r, errand, diag);
}

void
ulv_ultravisor_tell_keeper(struct ultravisor_role *r, uint32_t kind)
{
    struct say say = { .kind = kind };

    say.u.order.ticket = r->ticket;
    ulv_post_tell(&r->role.post, &say, NULL, NULL, 0);
}

/* With the guests that have to follow; more than fit are awaited all the same,
 * but not killed if they do not. */
void
ulv_ultravisor_tell_committed(struct ultravisor_role *r, uint64_t revision,
               const struct say_generation *follow, uint32_t count)
{
    struct say say = { .kind = SAY_COMMITTED };

    count = ULV_MIN(count, SAY_TAIL_MAX / (uint32_t)sizeof(*follow));
    say.u.order.ticket = r->ticket;
    say.u.order.revision = revision;
    if (ULV_RESTARTS) /* where there are processes: one message less */
        (void)ulv_settle_changed(&r->settle, ulv_database_revision(r->db),
                                 &say.u.order.settled);
    say.tail_bytes = count * (uint32_t)sizeof(*follow);
    ulv_post_tell(&r->role.post, &say, follow, NULL, 0);
}

void
ulv_ultravisor_tell_settled(struct ultravisor_role *r)
{
    struct say say = { .kind = SAY_SETTLED };

    if (ulv_settle_changed(&r->settle, ulv_database_revision(r->db),
                           &say.u.order.revision))
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
            ulv_views_drop(&r->views, effects[i].u.removal.id);
            ulv_settle_followed(&r->settle, effects[i].u.removal.id,
                                UINT64_MAX);
            break;
        case ULV_EFFECT_CHANNEL_DESTROY:
            /* the keeper rings its ends when it hears of the commit */
            (void)ulv_ultravisor_revoke(r, effects[i].u.removal.id);
            drop_header(r, effects[i].u.removal.id);
            break;
        case ULV_EFFECT_DRAIN: /* or it is memory */
            (void)ulv_ultravisor_revoke(r, effects[i].u.removal.id);
            ulv_settle_await(&r->settle, ulv_database_revision(r->db) + 1, 0,
                             0, effects[i].u.removal.id);
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
    ulv_ultravisor_finish(r, diag, UINT32_MAX, 0);
}

/* What has to happen before this revision is settled, or the one of the object
 * that the errand was for. */
static void
await_followers(struct ultravisor_role *r, uint64_t revision,
                const struct say_generation *follow, uint32_t count)
{
    uint64_t of_object = 0;

    if (r->errand != NULL)
        of_object = ulv_settle_object_gone(&r->settle, r->errand->settles);
    if (of_object != 0)
        revision = of_object;
    for (uint32_t i = 0; i < count; i++) {
        if (follow[i].generation == 0)
            ulv_settle_followed(&r->settle, follow[i].partition, UINT64_MAX);
        else
            ulv_settle_await(&r->settle, revision, follow[i].partition,
                             follow[i].generation, 0);
    }
}

static void
commit(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t effect_count, touched_count, count;
    const struct ulv_effect *effects =
        ulv_plan_effects(r->plan, &effect_count);
    struct say_generation *follow;
    uint64_t revision;

    (void)ulv_plan_touched(r->plan, &touched_count);
    follow = host->alloc(host->self, (touched_count + 1) * sizeof(*follow), 8);
    diag.status = ulv_settle_reserve(&r->settle, touched_count + effect_count);
    if (follow == NULL || diag.status != ULV_OK)
        diag.status = ulv_fail(&diag, ULV_E_NO_MEMORY, 0, touched_count, 0,
                               "no memory to follow the transaction");
    else
        diag.status = ulv_views_prepare(&r->views, r->db, r->plan, &diag);
    if (diag.status == ULV_OK)
        diag.status = ulv_ultravisor_write(r, &diag);
    if (diag.status == ULV_OK) {
        follow_effects(r, effects, effect_count);
        revision = ulv_database_commit(r->db, r->plan);
        count = ulv_views_publish(&r->views, r->db, follow);
        await_followers(r, revision, follow, count);
        ulv_ultravisor_tell_committed(r, revision, follow, count);
        ulv_ultravisor_finish(r, &diag, UINT32_MAX, revision);
        ulv_ultravisor_tell_settled(r);
    } else {
        ulv_ultravisor_tell_keeper(r, SAY_ABORTED);
        give_up(r, &diag);
    }
    host->free(host->self, follow, (touched_count + 1) * sizeof(*follow));
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
    say.u.order.revision = ulv_database_revision(r->db) + 1;
    for (uint32_t first = 0; first < count; first += some) {
        uint32_t part = ULV_MIN(some, count - first);
        struct ulv_diag diag = ULV_DIAG_INIT;

        say.u.order.first = first;
        say.tail_bytes = part * (uint32_t)sizeof(*effects);
        diag.status =
            ulv_post_send(&r->role.post, &say, &effects[first], NULL, 0);
        if (diag.status == ULV_OK)
            continue;
        ulv_ultravisor_tell_keeper(r, SAY_ABORTED);
        give_up(r, &diag);
        return;
    }
}

/* What the keeper would not take for an order is refused before it is one. */
static ulv_status
bound_plan(const struct ultravisor_role *r, struct ulv_diag *diag)
{
    uint32_t count;

    (void)ulv_plan_effects(r->plan, &count);
    if (count <= ORDER_EFFECTS_MAX)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_LIMIT, 0, count, ORDER_EFFECTS_MAX,
                    "it makes, moves or takes %u things, one transaction at "
                    "most %u",
                    (uint64_t)count, (uint64_t)ORDER_EFFECTS_MAX);
}

void
ulv_ultravisor_begin(struct ultravisor_role *r,
                     const struct ulv_request *request)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t operation_idx;

    operation_idx = UINT32_MAX;
    if ((request->options & ULV_TRANSACTION_CHECK) != 0)
        diag.status = ulv_ultravisor_check(r, &diag);
    if (diag.status == ULV_OK)
        diag.status =
            ulv_ultravisor_prepare(r, request, &operation_idx, &diag);
    if (diag.status != ULV_OK) {
        ulv_ultravisor_finish(r, &diag, operation_idx, 0);
        return;
    }
    diag.status = bound_plan(r, &diag);
    if (diag.status != ULV_OK) {
        give_up(r, &diag);
    } else if ((request->options & ULV_TRANSACTION_DRY_RUN) != 0) {
        ulv_database_abort(r->db, r->plan);
        ulv_ultravisor_finish(r, &diag, UINT32_MAX,
                              ulv_database_revision(r->db));
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
        if (ULV_RESTARTS && r->errand != NULL && r->errand->adopts)
            r->adopt(r);
        else
            commit(r);
        return;
    }
    give_up(r, &done->diag);
}

/* ---- role ---------------------------------------------------------------- */

static ulv_status
ultravisor_init(struct role *role, struct heard *configure)
{
    struct ultravisor_role *r = self_of(role);
    struct say say = { .kind = SAY_READY };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id lease_first = 0;
    ulv_status status;

    r->errands_end = &r->errands;
    r->settle.host = role->host;
    ulv_sessions_init(&r->sessions, role, &ulv_ultravisor_handlers, r);
    status = ulv_views_init(&r->views, role->host);
    if (status != ULV_OK)
        return status;
    diag.status = ulv_ultravisor_open(r, configure, &lease_first, &diag);
    if (diag.status == ULV_OK && ulv_ultravisor_observe(r) != ULV_OK)
        return ULV_E_NO_MEMORY;
    if (diag.status == ULV_OK) {
        say.u.ready.lease_first = lease_first;
        say.u.ready.revision = ulv_database_revision(r->db);
    } else { /* the keeper ends us, and knows why */
        say.kind = SAY_BOOTED;
        say.u.order_done.diag = diag;
    }
    return ulv_post_send(&role->post, &say, NULL, NULL, 0);
}

static void
ultravisor_fini(struct role *role)
{
    struct ultravisor_role *r = self_of(role);

    ulv_ultravisor_drop_errands(r);
    ulv_sessions_fini(&r->sessions);
    ulv_views_fini(&r->views);
    ulv_settle_fini(&r->settle);
    drop_header(r, 0);
    ulv_ultravisor_unobserve(r);
    if (role->drop == NULL)
        ulv_database_destroy(r->db);
}

static ulv_status
ultravisor_hear(struct role *role, struct heard *heard)
{
    struct ultravisor_role *r = self_of(role);

    switch (heard->say.kind) {
    case SAY_VIEW:
        return ulv_views_take(&r->views, heard);
    case SAY_BELL:
        return ulv_views_take_bell(&r->views, heard);
    case SAY_CHANNEL:
        return heard->say.u.channel.format != 0
                   ? take_header(r, heard)
                   : ulv_sessions_add(&r->sessions, heard);
    case SAY_CHANNEL_CLOSE:
        ulv_sessions_close(&r->sessions, heard->say.u.channel.channel,
                           &r->asking); /* what it asked for goes on */
        return ULV_OK;
    case SAY_BOOT:
        return ulv_ultravisor_boot(r, heard);
    case SAY_MACHINE:
        return ulv_ultravisor_hear_machine(r, heard);
    case SAY_ADOPT:
        return !ULV_RESTARTS || r->adopt == NULL
                   ? ULV_E_PEER_PROTOCOL
                   : ulv_ultravisor_adopt_all(r, &heard->say.u.adopt);
    case SAY_ORDER_DONE:
        order_done(r, &heard->say.u.order_done);
        return ULV_OK;
    case SAY_STATE:
        return ulv_ultravisor_note_state(r, &heard->say.u.state);
    case SAY_DIED:
        return ulv_ultravisor_note_death(r, heard->say.u.state.partition);
    case SAY_ACKNOWLEDGED:
        ulv_views_followed(&r->views, heard->say.u.generation.partition,
                           heard->say.u.generation.generation);
        ulv_settle_followed(&r->settle, heard->say.u.generation.partition,
                            heard->say.u.generation.generation);
        ulv_ultravisor_tell_settled(r);
        return ULV_OK;
    case SAY_DRAINED:
        return ulv_ultravisor_note_drained(r, heard->say.u.object);
    case SAY_LEFT:
        return ulv_ultravisor_note_left(r, &heard->say.u.channel);
    case SAY_RETURNED:
        return ulv_ultravisor_note_returned(r, &heard->say.u.returned);
    case SAY_USED:
        ulv_database_account(r->db, heard->say.u.used.partition,
                             heard->say.u.used.time);
        return ULV_OK;
    case SAY_PARTITION_GONE:
        ulv_views_drop(&r->views, heard->say.u.state.partition);
        return ULV_OK;
    default:
        return ULV_E_PEER_PROTOCOL;
    }
}

/* What the keeper does not know yet of the last transaction is not to be lost
 * when the next one is in the journal: by its number the keeper knows which of
 * its orders took effect. */
static bool
all_is_said(const struct ultravisor_role *r)
{
    return r->role.post.waiting_count == 0;
}

static void
ultravisor_step(struct role *role, struct role_need *need)
{
    struct ultravisor_role *r = self_of(role);

    while (r->plan == NULL && r->errands != NULL && all_is_said(r))
        ulv_ultravisor_run_errand(r);
    ulv_sessions_step(&r->sessions, need);
}

const struct role_ops ulv_role_ultravisor = {
    .bytes = sizeof(struct ultravisor_role),
    .init = ultravisor_init,
    .fini = ultravisor_fini,
    .hear = ultravisor_hear,
    .step = ultravisor_step,
};
