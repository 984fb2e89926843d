/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/views.h"

#include "base/base.h"
#include "view/publish.h"

struct published {
    struct published *next;          /* of its bucket */
    struct published *next_prepared; /* or NULL */
    ulv_id partition;
    uint32_t part;
    struct ulv_view_publisher publisher;
    void *segment;
    uint64_t bytes;
    ulv_handle bell; /* part MONITOR only */
};

ulv_status
ulv_views_init(struct views *v, const struct ulv_host *host)
{
    v->host = host;
    v->picture = host->alloc(host->self, sizeof(*v->picture), 8);
    if (v->picture == NULL)
        return ULV_E_NO_MEMORY;
    ulv_picture_init(v->picture);
    return ULV_OK;
}

static struct published *
find_view(const struct views *views, ulv_id partition, uint32_t part)
{
    struct published *v = views->bucket[partition % VIEW_BUCKETS];

    while (v != NULL && (v->partition != partition || v->part != part))
        v = v->next;
    return v;
}

ulv_status
ulv_views_take(struct views *views, const struct heard *heard)
{
    const struct ulv_host *host = views->host;
    const struct say_view *say = &heard->say.u.view;
    struct published *v = host->alloc(host->self, sizeof(*v), 8);
    struct published **bucket;
    ulv_status status;

    if (v == NULL)
        return ULV_E_NO_MEMORY;
    status = host->memory_map(host->self, heard->handle[0], 0, say->bytes,
                              ULV_MAP_READ | ULV_MAP_WRITE | ULV_MAP_SPARSE,
                              NULL, &v->segment);
    if (status == ULV_OK && host->memory_back != NULL) {
        status = host->memory_back(host->self, v->segment,
                                   ULV_VIEW_BACK_PAGES * ULV_VIEW_PAGE_BYTES);
        if (status != ULV_OK)
            host->memory_unmap(host->self, v->segment, say->bytes);
    }
    if (status != ULV_OK) {
        host->free(host->self, v, sizeof(*v));
        return status;
    }
    v->bytes = say->bytes;
    v->partition = say->partition;
    v->part = say->part;
    v->bell = ULV_NO_HANDLE;
    bucket = &views->bucket[v->partition % VIEW_BUCKETS];
    v->next = *bucket;
    *bucket = v;
    views->count++;
    status = ulv_view_publisher_init(&v->publisher, v->segment, say->bytes,
                                     say->part, say->partition, say->epoch);
    if (status == ULV_OK)
        status = ulv_view_publisher_succeed(&v->publisher, say->generation);
    if (status == ULV_OK && host->memory_back != NULL)
        ulv_view_publisher_lazy(&v->publisher, host);
    return status;
}

ulv_status
ulv_views_take_bell(struct views *views, struct heard *heard)
{
    struct published *v = find_view(views, heard->say.u.view.partition,
                                    ULV_VIEW_PART_MONITOR);

    if (v == NULL || v->bell != ULV_NO_HANDLE)
        return ULV_OK; /* our own view's doorbell */
    v->bell = heard->handle[0];
    heard->handle_count = 0;
    return ULV_OK;
}

static void
drop(struct views *views, struct published **at, ulv_id partition)
{
    const struct ulv_host *host = views->host;

    while (*at != NULL) {
        struct published *v = *at;

        if (partition != 0 && v->partition != partition) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        views->count--;
        host->memory_unmap(host->self, v->segment, v->bytes);
        if (v->bell != ULV_NO_HANDLE)
            host->handle_close(host->self, v->bell);
        host->free(host->self, v, sizeof(*v));
    }
}

void
ulv_views_drop(struct views *views, ulv_id partition)
{
    drop(views, &views->bucket[partition % VIEW_BUCKETS], partition);
}

void
ulv_views_fini(struct views *v)
{
    if (v->host == NULL)
        return;
    for (uint32_t i = 0; i < VIEW_BUCKETS; i++)
        drop(v, &v->bucket[i], 0);
    v->host->free(v->host->self, v->picture, sizeof(*v->picture));
}

/* What was prepared for a transaction that is given up is never shown. */
void
ulv_views_forget(struct views *views)
{
    views->prepared = NULL;
}

/* The picture, as it is; NULL: it has no such part. */
static ulv_status
prepare_one(struct views *views, struct published *v, struct ulv_diag *diag)
{
    ulv_status status;

    if (v == NULL)
        return ULV_OK;
    status =
        ulv_view_prepare(&v->publisher, views->picture->section, 5, diag);
    if (status == ULV_OK) {
        v->next_prepared = views->prepared;
        views->prepared = v;
    }
    return status;
}

/* Both parts are of one picture. */
static ulv_status
prepare_both(struct views *views, ulv_id partition, struct ulv_database *db,
             struct ulv_diag *diag)
{
    struct published *monitor =
        find_view(views, partition, ULV_VIEW_PART_MONITOR);
    struct published *guest = find_view(views, partition, ULV_VIEW_PART_GUEST);
    uint64_t revision = UINT64_MAX; /* that both show */
    ulv_status status;

    if (monitor == NULL && guest == NULL)
        return ULV_OK;
    if (monitor != NULL)
        revision = monitor->publisher.revision;
    if (guest != NULL)
        revision = ULV_MIN(revision, guest->publisher.revision);
    status = ulv_picture_take(views->picture, db, partition, revision, diag);
    if (status == ULV_E_NOT_FOUND)
        return ULV_OK; /* this transaction destroys it */
    if (status == ULV_OK)
        status = prepare_one(views, monitor, diag);
    if (status != ULV_OK || guest == NULL)
        return status;
    ulv_picture_blank(views->picture);
    return prepare_one(views, guest, diag);
}

ulv_status
ulv_views_prepare(struct views *views, struct ulv_database *db,
                  const struct ulv_plan *plan, struct ulv_diag *diag)
{
    uint32_t count;
    const ulv_id *touched = ulv_plan_touched(plan, &count);
    ulv_status status = ULV_OK;

    views->revision = ulv_database_revision(db) + 1;
    for (uint32_t i = 0; i < count && status == ULV_OK; i++)
        status = prepare_both(views, touched[i], db, diag);
    if (status != ULV_OK)
        ulv_views_forget(views);
    return status;
}

ulv_status
ulv_views_prepare_all(struct views *views, struct ulv_database *db,
                      struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    views->revision = 0; /* that of no plan which is kept */
    for (uint32_t i = 0; i < VIEW_BUCKETS; i++) {
        for (struct published *v = views->bucket[i];
             v != NULL && status == ULV_OK; v = v->next) {
            if (v->part == ULV_VIEW_PART_MONITOR ||
                find_view(views, v->partition, ULV_VIEW_PART_MONITOR) == NULL)
                status = prepare_both(views, v->partition, db, diag);
        }
    }
    if (status != ULV_OK)
        ulv_views_forget(views);
    return status;
}

/* There is no monitor, or the role follows no view, or it is dead. */
static bool
has_no_reader(const struct ulv_database *db, ulv_id id)
{
    struct ulv_partition_record p;

    if (ulv_database_find(db, ULV_QUERY_PARTITIONS, id, &p) != ULV_OK)
        return true;
    if (p.kind == ULV_PARTITION_GUEST)
        return p.state != ULV_STATE_STARTING && p.state != ULV_STATE_RUNNING;
    return p.kind != ULV_PARTITION_IO || p.state == ULV_STATE_LOST;
}

/* One part of every view that was prepared. */
static void
publish_part(struct views *views, const struct ulv_database *db, uint32_t part,
             struct say_generation *ret, uint32_t *ret_count)
{
    for (struct published *v = views->prepared; v != NULL;
         v = v->next_prepared) {
        uint64_t generation;
        bool unread;

        if (v->part != part)
            continue;
        unread = has_no_reader(db, v->partition);
        generation = ulv_view_publish(&v->publisher);
        v->publisher.revision = views->revision;
        if (unread)
            ulv_view_acknowledge(&v->publisher, generation);
        if (part != ULV_VIEW_PART_MONITOR)
            continue;
        ret[*ret_count].partition = v->partition;
        ret[(*ret_count)++].generation = unread ? 0 : generation;
    }
}

/* The monitor's part first: what the guest acts upon, its monitor can see. */
uint32_t
ulv_views_publish(struct views *views, const struct ulv_database *db,
                  struct say_generation *ret)
{
    const struct ulv_host *host = views->host;
    uint32_t count = 0;

    publish_part(views, db, ULV_VIEW_PART_MONITOR, ret, &count);
    publish_part(views, db, ULV_VIEW_PART_GUEST, ret, &count);
    for (struct published *v = views->prepared; v != NULL;
         v = v->next_prepared) {
        if (v->bell != ULV_NO_HANDLE)
            host->event_signal(host->self, v->bell);
    }
    views->prepared = NULL;
    return count;
}

void
ulv_views_followed(struct views *views, ulv_id partition, uint64_t generation)
{
    for (uint32_t part = 0; part < 2; part++) {
        struct published *v = find_view(views, partition, part);

        if (v != NULL)
            ulv_view_acknowledge(&v->publisher, generation);
    }
}
