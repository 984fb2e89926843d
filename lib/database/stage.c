/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Records on their way into a database, found by their ids. */
#include "database/journal_priv.h"

#define BUCKETS_MIN 1024u

static struct staged **
find_bucket(const struct stage *stage, ulv_id id)
{
    return &stage->bucket[id & (stage->bucket_count - 1)];
}

static void
free_staged(const struct stage *stage, struct staged *s)
{
    const struct ulv_host *host = stage->host;

    host->free(host->self, s, sizeof(*s) + s->bytes);
}

/* Where that one is linked; NULL: it is not there. */
static struct staged **
find_place(const struct stage *stage, ulv_id id)
{
    struct staged **at;

    if (stage->bucket_count == 0)
        return NULL;
    at = find_bucket(stage, id);
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return *at == NULL ? NULL : at;
}

struct staged *
ulv_stage_find(const struct stage *stage, ulv_id id)
{
    struct staged **at = find_place(stage, id);

    return at == NULL ? NULL : *at;
}

void
ulv_stage_remove(struct stage *stage, ulv_id id)
{
    struct staged **at = find_place(stage, id), *s;

    if (at == NULL)
        return;
    s = *at;
    *at = s->next;
    free_staged(stage, s);
    stage->count--;
}

static ulv_status
grow_stage(struct stage *stage)
{
    const struct ulv_host *host = stage->host;
    const uint32_t old_count = stage->bucket_count;
    struct staged **old = stage->bucket;

    if (stage->count < old_count)
        return ULV_OK;
    stage->bucket_count = ULV_MAX(2 * old_count, BUCKETS_MIN);
    stage->bucket = host->alloc(
        host->self, stage->bucket_count * sizeof(*stage->bucket), 8);
    if (stage->bucket == NULL) {
        stage->bucket = old;
        stage->bucket_count = old_count;
        return ULV_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct staged *s = old[i], **to = find_bucket(stage, s->id);

            old[i] = s->next;
            s->next = *to;
            *to = s;
        }
    }
    host->free(host->self, old, old_count * sizeof(*old));
    return ULV_OK;
}

struct staged *
ulv_stage_put(struct stage *stage, uint32_t kind, const void *p, uint32_t bytes)
{
    const struct ulv_host *host = stage->host;
    struct staged *s = host->alloc(host->self, sizeof(*s) + bytes, 8), **at;

    if (s == NULL || grow_stage(stage) != ULV_OK) {
        host->free(host->self, s, sizeof(*s) + bytes);
        return NULL;
    }
    memcpy(&s->id, p, sizeof(s->id));
    s->kind = kind;
    s->bytes = bytes;
    memcpy(s + 1, p, bytes);
    ulv_stage_remove(stage, s->id);
    at = find_bucket(stage, s->id);
    s->next = *at;
    *at = s;
    stage->count++;
    return s;
}

void
ulv_stage_fini(struct stage *stage)
{
    const struct ulv_host *host = stage->host;

    for (uint32_t i = 0; i < stage->bucket_count; i++) {
        while (stage->bucket[i] != NULL) {
            struct staged *s = stage->bucket[i];

            stage->bucket[i] = s->next;
            free_staged(stage, s);
        }
    }
    host->free(host->self, stage->bucket,
               stage->bucket_count * sizeof(*stage->bucket));
    stage->bucket = NULL;
    stage->bucket_count = 0;
}
