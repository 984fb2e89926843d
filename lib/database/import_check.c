/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What operations see to and a journal of ours therefore has, but a text of
 * anybody's may not: how many there are of a kind, one partition of each role,
 * channels that somebody could have asked for, memory on its way to a guest.
 */
#include <ultravisor/abi/channel.h>

#include "database/import_priv.h"

#define REVISION_MAX (ULV_REVISION_MAX / 2) /* there are others to come */

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;
static const uint8_t type_policy[16] = ULV_CHANNEL_TYPE_POLICY;

/* ---- how many ------------------------------------------------------------ */

/* So that none takes time by the square of what a text may hold. */
static const uint32_t count_max[KIND_COUNT] = {
    [ULV_QUERY_ZONES] = ULV_DB_ZONES_MAX,
    [ULV_QUERY_RANGES] = ULV_DB_RANGES_MAX,
    [ULV_QUERY_RETIRED] = ULV_DB_RETIRED_MAX,
};

static ulv_status
check_revision(const struct importing *w)
{
    const struct ulv_import *import = w->import;

    if (import->revision > REVISION_MAX)
        return ulv_fail(w->diag, ULV_E_FORMAT, 0, import->revision,
                        REVISION_MAX,
                        "%s: revision %u, at most %u; nothing was changed",
                        import->name, import->revision, REVISION_MAX);
    if (import->revision == 0 && import->count != 0)
        return ulv_fail(w->diag, ULV_E_FORMAT, 0, 0, 1,
                        "%s: %u records of revision 0, which has none; "
                        "nothing was changed",
                        import->name, (uint64_t)import->count);
    return ULV_OK;
}

ulv_status
ulv_import_count(struct importing *w)
{
    ulv_status status = check_revision(w);

    for (uint32_t i = 0; i < w->import->count && status == ULV_OK; i++) {
        const struct ulv_import_record *in = &w->import->records[i];

        if (in->kind >= KIND_COUNT)
            return ulv_import_wrong(w, in, in->kind, KIND_COUNT - 1,
                                    "a record of a kind that is not imported");
        w->of[in->kind]++;
        if (count_max[in->kind] != 0 && w->of[in->kind] > count_max[in->kind])
            status = ulv_import_wrong(w, in, w->of[in->kind],
                                      count_max[in->kind],
                                      "more of its kind than there may be");
    }
    w->shares_left = w->of[ULV_QUERY_SHARES];
    return status;
}

/* ---- roles --------------------------------------------------------------- */

static const struct {
    uint32_t kind;
    const char *name;
} roles[] = {
    { ULV_PARTITION_IDLE, "idle" },
    { ULV_PARTITION_BOOT, "boot" },
    { ULV_PARTITION_ULTRAVISOR, "ultravisor" },
    { ULV_PARTITION_OPERATIONS, "operations" },
    { ULV_PARTITION_COMMAND, "command" },
};

/* Exactly one partition of that kind. */
static ulv_status
check_role(const struct importing *w, uint32_t kind, const char *name)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < w->import->count; i++) {
        const struct ulv_import_record *in = &w->import->records[i];
        const struct ulv_partition_record *p = in->record;

        if (in->kind == ULV_QUERY_PARTITIONS && p->kind == kind && ++count > 1)
            return ulv_import_wrong(w, in, kind, 1,
                                    "a second partition of its kind");
    }
    if (count == 0)
        return ulv_fail(w->diag, ULV_E_FORMAT, 0, 0, 1,
                        "%s: there is no %s partition, which is one of kind "
                        "%u; nothing was changed",
                        w->import->name, name, (uint64_t)kind);
    return ULV_OK;
}

/* ---- channels ------------------------------------------------------------ */

static bool
is_role(const struct partition *p)
{
    return p->kind != ULV_PARTITION_GUEST && p->kind != ULV_PARTITION_BOOT;
}

/* Those that the first transaction makes, and those for programs. */
static bool
is_between_roles(const struct partition *server,
                 const struct partition *client, const uint8_t type[16])
{
    static const struct {
        uint32_t server, client;
        const uint8_t *type;
    } known[] = {
        { ULV_PARTITION_OPERATIONS, ULV_PARTITION_COMMAND, type_policy },
        { ULV_PARTITION_ULTRAVISOR, ULV_PARTITION_COMMAND, type_command },
        { ULV_PARTITION_COMMAND, ULV_PARTITION_BOOT, type_command },
    };

    for (uint32_t i = 0; i < ULV_COUNT_OF(known); i++) {
        if (server->kind == known[i].server &&
            client->kind == known[i].client &&
            ulv_guid_equal(type, known[i].type))
            return true;
    }
    return false;
}

static ulv_status
check_channel(const struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_channel_record *c = in->record;
    const struct partition *server = find_partition(w->db, c->server);
    const struct partition *client = find_partition(w->db, c->client);
    const uint64_t ring_bytes = c->ring_bytes;

    if (c->device != 0)
        return ULV_OK;
    if ((is_role(server) || is_role(client)) &&
        !is_between_roles(server, client, c->type))
        return ulv_import_wrong(w, in, is_role(server) ? c->server : c->client,
                                0, "an end of a channel that is a role");
    if (c->bytes > ULV_GUEST_SLOT_BYTES)
        return ulv_import_wrong(w, in, c->bytes, ULV_GUEST_SLOT_BYTES,
                                "a channel that no guest has room for");
    if (!ulv_is_power_of_two(ring_bytes) || ring_bytes < 4096 ||
        ring_bytes > ULV_MIB(16))
        return ulv_import_wrong(w, in, ring_bytes, ULV_MIB(16),
                                "a ring that is no power of two from 4096 to "
                                "16 MiB");
    return ULV_OK;
}

/* ---- memory -------------------------------------------------------------- */

/* An heir that is gone gets nothing. */
static ulv_status
check_extent(const struct importing *w, const struct ulv_import_record *in)
{
    const struct ulv_extent_record *e = in->record;
    const struct partition *heir = find_partition(w->db, e->heir);

    if (heir != NULL &&
        (heir->kind != ULV_PARTITION_GUEST || e->heir == e->partition))
        return ulv_import_wrong(w, in, e->heir, 0,
                                "the heir of its memory is no other guest");
    return ULV_OK;
}

/* ---- all ----------------------------------------------------------------- */

ulv_status
ulv_import_check_records(const struct importing *w)
{
    const struct ulv_import *import = w->import;
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < ULV_COUNT_OF(roles) && import->count != 0 &&
                         status == ULV_OK;
         i++)
        status = check_role(w, roles[i].kind, roles[i].name);
    for (uint32_t i = 0; i < import->count && status == ULV_OK; i++) {
        const struct ulv_import_record *in = &import->records[i];

        if (in->kind == ULV_QUERY_CHANNELS)
            status = check_channel(w, in);
        if (in->kind == ULV_QUERY_EXTENTS)
            status = check_extent(w, in);
    }
    return status;
}

ulv_status
ulv_import_check_all(const struct importing *w)
{
    struct ulv_diag found = ULV_DIAG_INIT;
    const ulv_status status = ulv_database_check(w->db, &found);
    const struct staged *s = ulv_stage_find(&w->stage, found.object);

    if (status == ULV_OK)
        return ULV_OK;
    return ulv_fail(w->diag, ULV_E_FORMAT, found.object, found.value,
                    found.bound, "%s:%u: %s; nothing was changed",
                    w->import->name, (uint64_t)(s == NULL ? 0 : s->line),
                    found.text);
}
