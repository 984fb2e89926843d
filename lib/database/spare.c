/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Memory of records and index pages that comes and goes with every other
 * transaction: a few of each size stay for the next.
 */
#include "database/database_priv.h"

void
ulv_db_init_spares(struct ulv_database *db)
{
    static const struct spares kinds[SPARE_KINDS] = {
        { .bytes = sizeof(struct extent), .cleared = sizeof(struct extent) },
        { .bytes = sizeof(struct channel), .cleared = sizeof(struct channel) },
        { .bytes = ULV_INDEX_PAGE_BYTES, .cleared = ULV_INDEX_PAGE_HEADER },
    };

    if (ULV_FAST_DATABASE)
        memcpy(db->spares, kinds, sizeof(kinds));
}

static struct spares *
spares_of(struct ulv_database *db, size_t bytes)
{
    for (uint32_t i = 0; ULV_FAST_DATABASE && i < SPARE_KINDS; i++) {
        if (db->spares[i].bytes == bytes)
            return &db->spares[i];
    }
    return NULL;
}

void *
ulv_db_take(struct ulv_database *db, size_t bytes)
{
    const struct ulv_host *host = db->host;
    struct spares *spares = spares_of(db, bytes);
    struct spare *spare;

    if (spares == NULL || spares->first == NULL)
        return host->alloc(host->self, bytes, 8);
    spare = spares->first;
    spares->first = spare->next;
    spares->count--;
    return memset(spare, 0, spares->cleared);
}

void
ulv_db_free(struct ulv_database *db, void *p, size_t bytes)
{
    const struct ulv_host *host = db->host;
    struct spares *spares = spares_of(db, bytes);
    struct spare *spare = p;

    /* A test that wants each memory to be its own gets that here, too. */
    if (spares == NULL || spares->count == SPARE_MAX || db->chunk_bytes == 0) {
        host->free(host->self, p, bytes);
        return;
    }
    spare->next = spares->first;
    spares->first = spare;
    spares->count++;
}

void
ulv_db_free_spares(struct ulv_database *db)
{
    const struct ulv_host *host = db->host;

    for (uint32_t i = 0; ULV_FAST_DATABASE && i < SPARE_KINDS; i++) {
        struct spares *spares = &db->spares[i];

        while (spares->first != NULL) {
            struct spare *spare = spares->first;

            spares->first = spare->next;
            host->free(host->self, spare, spares->bytes);
        }
    }
}
