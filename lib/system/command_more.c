/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What rules of a policy add to the command role. Facts that a policy does not
 * look at are not asked for. Another policy is looked at like a request: by
 * facts of one moment, between two requests; it is in force for the next, or
 * not at all.
 */
#include "system/role_command.h"

#include "base/base.h"

#define HOMES_MAX (FACTS_MAX * 4u)

struct review {
    struct ulv_policy_offer offer;
    struct ulv_policy_reviewed head;
    struct ulv_policy_finding finding[ULV_POLICY_FINDINGS_MAX];
};

/* ---- decisions ----------------------------------------------------------- */

void
ulv_command_say(void *self, const struct ulv_policy_decision *decision)
{
    struct command_role *r = self;
    struct say say = { .kind = SAY_DECISION };
    struct ulv_policy_decision copy = *decision;
    const struct ulv_command_session *asking;

    if ((r->transaction.options & ULV_TRANSACTION_DRY_RUN) != 0)
        copy.flags |= ULV_DECISION_DRY_RUN;
    if (r->more.spread && copy.operation_idx < ULV_OPERATION_COUNT_MAX)
        copy.operation_idx = r->more.origin[copy.operation_idx];
    asking = ulv_command_group_asking(r, &copy.operation_idx);
    copy.request = asking == NULL ? 0 : asking->request;
    say.tail_bytes = sizeof(copy);
    ulv_post_tell(&r->role.post, &say, &copy, NULL, 0);
}

/* A rule compares each operation with each, for each that it is about. */
#define RULED_MAX UINT32_C(512)

/* ---- facts --------------------------------------------------------------- */

static const struct ulv_policy *
judged_by(const struct command_role *r)
{
    return r->more.review != NULL ? &r->more.review->offer.policy : &r->policy;
}

uint32_t
ulv_command_more_next(const struct command_role *r, uint32_t kind)
{
    static const struct {
        uint32_t kind, needed;
    } order[] = {
        { ULV_QUERY_EXTENTS, ULV_POLICY_NEEDS_HOMES },
        { ULV_QUERY_CHANNELS, ULV_POLICY_NEEDS_CHANNELS },
        { ULV_QUERY_PROCESSORS, ULV_POLICY_NEEDS_PROCESSORS },
        { ULV_QUERY_ZONES, ULV_POLICY_NEEDS_TAGS },
        { ULV_QUERY_LABELS, ULV_POLICY_NEEDS_TAGS },
    };
    uint32_t needs = ulv_policy_needs(judged_by(r));
    bool behind = kind == 0;

    for (size_t i = 0; i < ULV_COUNT_OF(order); i++) {
        if (behind && (needs & order[i].needed) != 0)
            return order[i].kind;
        behind |= order[i].kind == kind;
    }
    return 0;
}

/* The place of a guest's memory on a node, or of what is not there yet. */
static struct ulv_policy_home *
find_home(struct ulv_policy_home *table, uint32_t capacity, ulv_id partition,
          uint32_t node)
{
    uint64_t hash = (partition * UINT64_C(0x9e3779b97f4a7c15)) ^
                    (node * UINT64_C(0xc2b2ae3d27d4eb4f));
    uint32_t at = (uint32_t)(hash >> 32) & (capacity - 1);

    while (table[at].partition != 0 &&
           (table[at].partition != partition || table[at].node != node))
        at = (at + 1) & (capacity - 1);
    return &table[at];
}

/* A table twice as large. */
static ulv_status
grow_homes(struct command_role *r)
{
    const struct ulv_host *host = r->role.host;
    struct records *homes = &r->more.homes;
    uint32_t capacity = homes->capacity == 0 ? 256 : homes->capacity * 2;
    struct ulv_policy_home *from = homes->all, *table;

    if (r->more.home_count >= HOMES_MAX)
        return ULV_E_LIMIT;
    table = host->alloc(host->self, capacity * sizeof(*table), 8);
    if (table == NULL)
        return ULV_E_NO_MEMORY;
    for (uint32_t i = 0; i < homes->capacity; i++) {
        if (from[i].partition != 0)
            *find_home(table, capacity, from[i].partition, from[i].node) =
                from[i];
    }
    ulv_command_drop_records(r, homes, sizeof(*table));
    homes->all = table;
    homes->capacity = capacity;
    return ULV_OK;
}

static ulv_status
add_home(struct command_role *r, const struct ulv_extent_record *extent)
{
    struct ulv_policy_home *home;
    ulv_status status = ULV_OK;

    if (extent->partition == 0)
        return ULV_OK;
    if (r->more.home_count * 2 >= r->more.homes.capacity)
        status = grow_homes(r);
    if (status != ULV_OK)
        return status;
    home = find_home(r->more.homes.all, r->more.homes.capacity,
                     extent->partition, extent->node);
    r->more.home_count += home->partition == 0;
    home->partition = extent->partition;
    home->node = extent->node;
    if (!ulv_add_u64(home->bytes, extent->bytes, &home->bytes))
        home->bytes = UINT64_MAX;
    r->facts.homes = r->more.homes.all;
    r->facts.home_count = r->more.homes.capacity;
    return ULV_OK;
}

static ulv_status
take_extents(struct command_role *r,
             const struct ulv_message_query_answer *answer)
{
    const struct ulv_extent_record *extents = (const void *)(answer + 1);
    ulv_status status = ULV_OK;

    if (answer->record_bytes != sizeof(*extents) && answer->record_count != 0)
        return ULV_E_PEER_PROTOCOL;
    if (r->facts.home_count == 0 && r->more.homes.all != NULL) {
        memset(r->more.homes.all, 0,
               r->more.homes.capacity * sizeof(struct ulv_policy_home));
        r->more.home_count = 0;
    }
    for (uint32_t i = 0; i < answer->record_count && status == ULV_OK; i++)
        status = add_home(r, &extents[i]);
    return status;
}

/* Who has a processor for himself sits on it. */
static ulv_status
take_processors(struct command_role *r,
                const struct ulv_message_query_answer *answer)
{
    struct ulv_policy_facts *facts = &r->facts;
    uint32_t first = facts->processor_count;
    ulv_status status = ulv_command_take_facts(
        r, answer, &r->more.processors, sizeof(struct ulv_processor_record),
        &facts->processor_count);

    facts->processors = r->more.processors.all;
    for (; first < facts->processor_count && status == ULV_OK; first++) {
        struct ulv_policy_seat *seats;

        status = ulv_command_reserve(r, &r->more.seats, sizeof(*seats),
                                     facts->seat_count, 1);
        if (status != ULV_OK)
            return status;
        seats = r->more.seats.all;
        seats[facts->seat_count].partition = facts->processors[first].owner;
        seats[facts->seat_count++].processor = facts->processors[first].id;
    }
    facts->seats = r->more.seats.all;
    return status;
}

static ulv_status
add_tag(struct command_role *r, ulv_id object, uint32_t kind,
        const char *parts[2])
{
    struct ulv_policy_tag *tag;
    struct ulv_text line;
    ulv_status status =
        ulv_command_reserve(r, &r->more.tags, sizeof(*tag),
                            r->facts.tag_count, 1);

    if (status != ULV_OK)
        return status;
    r->facts.tags = r->more.tags.all;
    tag = (struct ulv_policy_tag *)r->more.tags.all + r->facts.tag_count++;
    memset(tag, 0, sizeof(*tag));
    tag->object = object;
    tag->kind = kind;
    ulv_text_init(&line, tag->text, sizeof(tag->text));
    ulv_text_format(&line, "%s%s%s", parts[0], parts[1][0] == '\0' ? "" : "=",
                    parts[1]);
    return ULV_OK;
}

static ulv_status
take_zones(struct command_role *r,
           const struct ulv_message_query_answer *answer)
{
    const struct ulv_zone_record *zones = (const void *)(answer + 1);
    ulv_status status = ULV_OK;

    if (answer->record_bytes != sizeof(*zones) && answer->record_count != 0)
        return ULV_E_PEER_PROTOCOL;
    for (uint32_t i = 0; i < answer->record_count && status == ULV_OK; i++) {
        struct ulv_zone_record zone = zones[i];
        const char *name[2] = { zone.name, "" }, *policy[2] = { zone.policy,
                                                                "" };

        zone.name[sizeof(zone.name) - 1] = '\0';
        zone.policy[sizeof(zone.policy) - 1] = '\0';
        status = add_tag(r, zone.id, ULV_POLICY_OF_ZONE, name);
        if (status == ULV_OK && zone.policy[0] != '\0')
            status = add_tag(r, zone.id, ULV_POLICY_OF_POLICY, policy);
    }
    return status;
}

/* By their objects' ids: a heap, so that nothing makes it slow. */
static void
sort_tags(struct ulv_policy_tag *tags, uint32_t count)
{
    for (uint32_t end = count, first = count / 2; end > 1;) {
        struct ulv_policy_tag moved;
        uint32_t at, child;

        if (first > 0) {
            moved = tags[--first];
        } else {
            moved = tags[--end];
            tags[end] = tags[0];
        }
        for (at = first; (child = 2 * at + 1) < end; at = child) {
            child += child + 1 < end &&
                     tags[child + 1].object > tags[child].object;
            if (tags[child].object <= moved.object)
                break;
            tags[at] = tags[child];
        }
        tags[at] = moved;
    }
}

static ulv_status
take_labels(struct command_role *r,
            const struct ulv_message_query_answer *answer)
{
    const struct ulv_label_record *labels = (const void *)(answer + 1);
    ulv_status status = ULV_OK;

    if (answer->record_bytes != sizeof(*labels) && answer->record_count != 0)
        return ULV_E_PEER_PROTOCOL;
    for (uint32_t i = 0; i < answer->record_count && status == ULV_OK; i++) {
        struct ulv_label_record label = labels[i];
        const char *text[2] = { label.key, label.value };

        label.key[sizeof(label.key) - 1] = '\0';
        label.value[sizeof(label.value) - 1] = '\0';
        status = add_tag(r, label.object, ULV_POLICY_OF_LABEL, text);
    }
    return status;
}

ulv_status
ulv_command_more_take(struct command_role *r,
                      const struct ulv_message_query_answer *answer)
{
    ulv_status status;

    switch (answer->kind) {
    case ULV_QUERY_EXTENTS:
        return take_extents(r, answer);
    case ULV_QUERY_CHANNELS:
        status = ulv_command_take_facts(r, answer, &r->more.channels,
                                        sizeof(struct ulv_channel_record),
                                        &r->facts.channel_count);
        r->facts.channels = r->more.channels.all;
        return status;
    case ULV_QUERY_ZONES:
    case ULV_QUERY_LABELS:
        status = answer->kind == ULV_QUERY_ZONES ? take_zones(r, answer)
                                                 : take_labels(r, answer);
        /* either may end last */
        if (status == ULV_OK && answer->more == 0)
            sort_tags(r->more.tags.all, r->facts.tag_count);
        return status;
    default:
        return take_processors(r, answer);
    }
}

/* ---- several processors in one operation --------------------------------- */

static bool
is_to_spread(const struct ulv_operation *o)
{
    return o->kind == ULV_OP_ASSIGN_PROCESSORS &&
           o->u.assign_processors.count > 1 &&
           o->u.assign_processors.processor == 0;
}

/* Where rules place processors each is an operation of its own. */
ulv_status
ulv_command_more_begin(struct command_role *r, struct ulv_diag *diag)
{
    const uint32_t needs = ulv_policy_needs(&r->policy);
    uint32_t old = r->transaction.operation_count, count = 0;

    r->more.spread = false;
    if (needs != 0 && old > RULED_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, 0, old, RULED_MAX,
                        "%u operations, at most %u where rules of the policy "
                        "look at all of them",
                        (uint64_t)old, (uint64_t)RULED_MAX);
    if ((needs & ULV_POLICY_NEEDS_PROCESSORS) == 0)
        return ULV_OK;
    for (uint32_t i = 0; i < old; i++) {
        const struct ulv_operation *o = &r->operations[i];

        count += is_to_spread(o) ? ULV_MIN(o->u.assign_processors.count,
                                           RULED_MAX + 1)
                                 : 1;
    }
    if (count > RULED_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, 0, count, RULED_MAX,
                        "a processor each these are %u operations, at most %u",
                        (uint64_t)count, (uint64_t)RULED_MAX);
    r->transaction.operation_count = count;
    r->more.spread = true;
    for (uint32_t i = old; i-- > 0;) {
        struct ulv_operation o = r->operations[i];
        uint32_t some = 1;

        if (is_to_spread(&o)) {
            some = o.u.assign_processors.count;
            o.u.assign_processors.count = 1;
        }
        for (; some > 0; some--) {
            r->operations[--count] = o;
            r->more.origin[count] = (uint16_t)i;
        }
    }
    return ULV_OK;
}

void
ulv_command_more_origin(const struct command_role *r,
                        struct ulv_message_transaction_answer *answer)
{
    if (r->more.spread && answer->operation_idx < ULV_OPERATION_COUNT_MAX)
        answer->operation_idx = r->more.origin[answer->operation_idx];
}

/* ---- another policy ------------------------------------------------------ */

static void
add_finding(void *self, const struct ulv_policy_decision *decision)
{
    struct review *review = self;
    struct ulv_policy_finding *finding = &review->finding[review->head.told];

    if (review->head.told == ULV_POLICY_FINDINGS_MAX)
        return;
    review->head.told++;
    finding->object = decision->object;
    finding->value = decision->value;
    finding->bound = decision->bound;
    finding->kind = decision->kind;
    memcpy(finding->rule, decision->rule, sizeof(finding->rule));
    memcpy(finding->text, decision->text, sizeof(finding->text));
}

static void
answer_review(struct command_role *r, const struct ulv_policy_reviewed *head)
{
    uint32_t bytes = (uint32_t)sizeof(*head) +
                     head->told * (uint32_t)sizeof(struct ulv_policy_finding);
    void *slot;

    if (ulv_ring_tx_reserve(&r->policy_end.tx, ULV_POLICY_REVIEWED, bytes,
                            &slot) != ULV_OK)
        return;
    memcpy(slot, head, bytes);
    if (ulv_ring_tx_submit(&r->policy_end.tx))
        ulv_wire_ring(&r->policy_wire);
}

static void
end_review(struct command_role *r)
{
    const struct ulv_host *host = r->role.host;
    struct review *review = r->more.review;

    r->more.review = NULL;
    r->state = STATE_IDLE;
    answer_review(r, &review->head);
    host->free(host->self, review, sizeof(*review));
}

bool
ulv_command_more_failed(struct command_role *r, const struct ulv_diag *diag)
{
    struct review *review = r->more.review;

    if (review == NULL)
        return false;
    review->head.status = diag->status;
    ulv_string_copy(review->head.text, sizeof(review->head.text), diag->text);
    end_review(r);
    return true;
}

bool
ulv_command_more_review(struct command_role *r)
{
    struct review *review = r->more.review;
    const struct ulv_policy_reasons findings = { add_finding, review };
    uint32_t flags;

    if (review == NULL)
        return false;
    flags = review->offer.flags;
    review->head.revision = r->revision;
    review->head.count =
        ulv_policy_review(&review->offer.policy, &r->facts, &findings);
    if ((flags & ULV_POLICY_PREVIEW) == 0 &&
        ((flags & ULV_POLICY_UNLESS_REFUSED) == 0 ||
         review->head.count == 0)) {
        r->policy = review->offer.policy;
        review->head.in_force = 1;
    }
    end_review(r);
    return true;
}

static void
begin_review(struct command_role *r, const struct ulv_ring_record *record)
{
    const struct ulv_host *host = r->role.host;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct review *review = host->alloc(host->self, sizeof(*review), 8);
    ulv_status status = ULV_OK;

    if (review == NULL) {
        struct ulv_policy_reviewed head = { .status = ULV_E_NO_MEMORY };

        head.number = ulv_get_le64(record->data);
        answer_review(r, &head);
        return;
    }
    memcpy(&review->offer, record->data, sizeof(review->offer));
    review->head.number = review->offer.number;
    r->more.review = review;
    r->asking = NULL;
    status = ulv_policy_check(&review->offer.policy,
                              sizeof(review->offer.policy), &diag);
    if (status != ULV_OK || r->above_lost) {
        if (status == ULV_OK)
            (void)ulv_fail(&diag, ULV_E_PEER_GONE, 0, 0, 0,
                           "the ultravisor partition does not answer");
        (void)ulv_command_more_failed(r, &diag);
        return;
    }
    ulv_command_look(r);
}

void
ulv_command_more_step(struct command_role *r)
{
    struct ulv_ring_record record;
    ulv_status status;

    (void)ulv_wire_take(&r->policy_wire);
    /* until operations was asked to ring, or there is something to do */
    while (r->state == STATE_IDLE && r->has_client &&
           !ulv_command_is_scattering(&r->client)) {
        status = ulv_ring_rx_peek(&r->policy_end.rx, &record);
        if (status == ULV_E_EMPTY && ulv_ring_rx_wait(&r->policy_end.rx))
            status = ulv_ring_rx_peek(&r->policy_end.rx, &record);
        if (status != ULV_OK)
            return; /* what is in force stays */
        if (record.type == ULV_POLICY_OFFER &&
            record.len == sizeof(struct ulv_policy_offer))
            begin_review(r, &record);
        (void)ulv_ring_rx_release(&r->policy_end.rx);
    }
}

void
ulv_command_more_drop(struct command_role *r)
{
    const struct ulv_host *host = r->role.host;
    struct command_more *more = &r->more;

    ulv_command_drop_records(r, &more->homes, sizeof(struct ulv_policy_home));
    ulv_command_drop_records(r, &more->channels,
                             sizeof(struct ulv_channel_record));
    ulv_command_drop_records(r, &more->processors,
                             sizeof(struct ulv_processor_record));
    ulv_command_drop_records(r, &more->seats, sizeof(struct ulv_policy_seat));
    ulv_command_drop_records(r, &more->tags, sizeof(struct ulv_policy_tag));
    host->free(host->self, more->review, sizeof(*more->review));
}
