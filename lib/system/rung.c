/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/rung.h"

#include "base/base.h"

#define TURN     64u /* handles that are taken at a time */
#define ROOM_MIN 16u

/* Where the bell of a handle stands, or would. */
static struct bell **
find(const struct rung *rung, ulv_handle handle)
{
    const uint32_t mask = rung->room - 1;
    uint32_t at =
        (uint32_t)((uint64_t)handle * UINT64_C(0x9e3779b97f4a7c15) >> 32);

    while (rung->table[at & mask] != NULL &&
           rung->table[at & mask]->handle != handle)
        at++;
    return &rung->table[at & mask];
}

/* Anew, with room for one more. */
static ulv_status
grow(struct rung *rung)
{
    const struct ulv_host *host = rung->host;
    struct rung more = *rung;

    if (4 * (rung->count + 1) <= 3 * rung->room)
        return ULV_OK;
    more.room = ULV_MAX(2 * rung->room, ROOM_MIN);
    more.table =
        host->alloc(host->self, more.room * sizeof(struct bell *), 8);
    if (more.table == NULL)
        return ULV_E_NO_MEMORY;
    for (uint32_t i = 0; i < rung->room; i++) {
        if (rung->table[i] != NULL)
            *find(&more, rung->table[i]->handle) = rung->table[i];
    }
    host->free(host->self, rung->table, rung->room * sizeof(struct bell *));
    *rung = more;
    return ULV_OK;
}

ulv_status
ulv_rung_add(struct rung *rung, struct bell *bell, ulv_handle handle,
             void (*rang)(struct bell *bell))
{
    ulv_status status = grow(rung);

    if (status != ULV_OK)
        return status;
    bell->handle = handle;
    bell->rang = rang;
    *find(rung, handle) = bell;
    rung->count++;
    return ULV_OK;
}

void
ulv_rung_remove(struct rung *rung, struct bell *bell)
{
    const uint32_t mask = rung->room - 1;
    struct bell **at;

    if (bell->rang == NULL)
        return;
    at = find(rung, bell->handle);
    *at = NULL;
    rung->count--;
    /* those behind it may stand there only because it did */
    for (uint32_t i = (uint32_t)(at - rung->table) + 1;
         rung->table[i & mask] != NULL; i++) {
        struct bell *moved = rung->table[i & mask];

        rung->table[i & mask] = NULL;
        *find(rung, moved->handle) = moved;
    }
    bell->rang = NULL;
}

void
ulv_rung_fini(struct rung *rung)
{
    if (rung->host == NULL)
        return;
    rung->host->free(rung->host->self, rung->table,
                     rung->room * sizeof(struct bell *));
    rung->table = NULL;
    rung->room = rung->count = 0;
}

bool
ulv_rung_can_tell(const struct rung *rung)
{
    return rung->host->ready != NULL;
}

bool
ulv_rung_look(struct rung *rung)
{
    const struct ulv_host *host = rung->host;
    ulv_handle ready[TURN];
    uint32_t count;

    if (rung->count == 0 || !ulv_rung_can_tell(rung))
        return false;
    count = host->ready(host->self, rung->waits, ready, TURN);
    for (uint32_t i = 0; i < count; i++) {
        struct bell *bell = *find(rung, ready[i]);

        if (bell != NULL) /* or the handle is somebody else's */
            bell->rang(bell);
    }
    return count == TURN;
}
