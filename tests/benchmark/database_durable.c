/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a durable transaction costs, beside its floor (append as many bytes to a
 * file, fdatasync), LMDB and SQLite as they are when they lose nothing, all in
 * one directory and in turns; and of 16 clients whose transactions are synced
 * together, beside LMDB, which syncs each. Argument: the directory (default:
 * this one), which should lie on a disk.
 *
 * Our transaction has the 3 operations of the benchmark of the database, a
 * peer's reads 2 and writes 3 records of 64 bytes.
 */
#include "database.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ultravisor/posix.h>

#include "base/base.h"
#include "database/journal_priv.h"
#include "median.h"

#define GUESTS  16u
#define CLIENTS 16u
#define ROUNDS  9u
#define EACH    60u /* transactions of each in a round */
#define RECORDS 4096u

static char folder[512], path[600];

static const char *
file(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* ---- ours ---------------------------------------------------------------- */

struct guest {
    ulv_id id, channel; /* channel: 0: not there now */
    bool more;          /* has 4 KiB more */
};

struct ours {
    struct ulv_storage *storage;
    struct ulv_database *db;
    struct ulv_journal *journal;
    struct guest guest[GUESTS];
    ulv_id next;
    uint32_t turn;
};

static ulv_id
fresh_id(struct ours *o)
{
    if (o->next % ULV_ID_LEASE_COUNT == 0)
        CHECK(ulv_journal_lease(o->journal, &o->next, NULL) == ULV_OK);
    return o->next++;
}

static void
hold(struct ours *o, const struct ulv_operation *operation, uint32_t count)
{
    struct ulv_request request = { .operations = operation,
                                   .operation_count = count };
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_plan *plan;
    uint64_t revision;
    uint32_t idx;

    if (ulv_journal_prepare(o->journal, &request, &plan, &idx, &diag) !=
        ULV_OK) {
        fprintf(stderr, "operation %u: %s\n", idx, diag.text);
        exit(1);
    }
    CHECK(ulv_journal_hold(o->journal, plan, NULL, &revision, NULL) == ULV_OK);
}

static struct ulv_operation
create(ulv_id id, uint32_t kind)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };

    o.u.create_partition.id = id;
    o.u.create_partition.kind = kind;
    snprintf(o.u.create_partition.name, 32, "p%llu", (unsigned long long)id);
    return o;
}

static void
begin_ours(struct ours *o)
{
    struct ulv_operation operation[2 + GUESTS];

    memset(o, 0, sizeof(*o));
    memset(operation, 0, sizeof(operation));
    CHECK(mkdir(file("journal"), 0700) == 0);
    CHECK(ulv_posix_storage_open(path, &o->storage, NULL) == ULV_OK);
    CHECK(ulv_database_create(ulv_posix_host(), &o->db) == ULV_OK);
    CHECK(ulv_journal_open(o->db, o->storage, &o->journal, NULL) == ULV_OK);
    operation[0] = create(fresh_id(o), ULV_PARTITION_ULTRAVISOR);
    operation[1].kind = ULV_OP_ADD_MEMORY;
    operation[1].u.add_memory.id = fresh_id(o);
    operation[1].u.add_memory.bytes = ULV_GIB(1);
    for (uint32_t i = 0; i < GUESTS; i++) {
        o->guest[i].id = fresh_id(o);
        operation[2 + i] = create(o->guest[i].id, ULV_PARTITION_GUEST);
    }
    hold(o, operation, 2 + GUESTS);
    CHECK(ulv_journal_sync(o->journal, NULL) == ULV_OK);
}

static void
hold_next(struct ours *o)
{
    const uint32_t at = o->turn++ % GUESTS;
    struct guest *g = &o->guest[at];
    struct ulv_operation operation[3];

    memset(operation, 0, sizeof(operation));
    operation[0].kind = g->more ? ULV_OP_RELEASE_MEMORY : ULV_OP_ASSIGN_MEMORY;
    if (g->more) {
        operation[0].u.release_memory.partition = g->id;
        operation[0].u.release_memory.guest_address = ULV_GUEST_RAM_BASE;
        operation[0].u.release_memory.bytes = 4096;
    } else {
        operation[0].u.assign_memory.partition = g->id;
        operation[0].u.assign_memory.bytes = 4096;
        operation[0].u.assign_memory.node = ULV_NODE_ANY;
    }
    g->more = !g->more;
    operation[1].kind = g->channel != 0 ? ULV_OP_REVOKE : ULV_OP_CONNECT;
    if (g->channel != 0) {
        operation[1].u.revoke.channel = g->channel;
        g->channel = 0;
    } else {
        operation[1].u.connect.channel = g->channel = fresh_id(o);
        operation[1].u.connect.server = g->id;
        operation[1].u.connect.client = o->guest[(at + 1) % GUESTS].id;
        operation[1].u.connect.ring_bytes = 4096;
    }
    operation[2].kind = ULV_OP_SET_STATE;
    operation[2].u.set_state.partition = g->id;
    operation[2].u.set_state.state = ULV_STATE_DEFINED;
    hold(o, operation, 3);
}

static void
one_client(void *self)
{
    struct ours *o = self;

    hold_next(o);
    CHECK(ulv_journal_sync(o->journal, NULL) == ULV_OK);
}

/* What each of them has asked by the time the sync before is done. */
static void
many_clients(void *self)
{
    struct ours *o = self;

    for (uint32_t i = 0; i < CLIENTS; i++)
        hold_next(o);
    CHECK(ulv_journal_sync(o->journal, NULL) == ULV_OK);
}

static void
end_ours(struct ours *o)
{
    ulv_journal_close(o->journal);
    ulv_database_destroy(o->db);
    o->storage->close(o->storage->self);
}

/* ---- the floor ----------------------------------------------------------- */

struct append {
    int fd;
    size_t bytes;
    uint8_t what[65536];
};

static void
append_and_sync(void *self)
{
    struct append *a = self;

    CHECK(write(a->fd, a->what, a->bytes) == (ssize_t)a->bytes);
    CHECK(fdatasync(a->fd) == 0);
}

/* ---- LMDB and SQLite, losing nothing ------------------------------------- */

struct lmdb {
    MDB_env *env;
    MDB_dbi table;
    uint64_t seed;
};

static void
lmdb_put(struct lmdb *l, MDB_txn *txn, uint32_t key)
{
    uint8_t record[PEER_RECORD_BYTES];
    MDB_val k = { sizeof(key), &key }, v = { sizeof(record), record };

    memset(record, (int)(l->seed & 0xff), sizeof(record));
    CHECK(mdb_put(txn, l->table, &k, &v, 0) == 0);
}

static uint32_t
pick(uint64_t *seed)
{
    return (uint32_t)((next_random(seed) >> 16) % RECORDS);
}

static void
begin_lmdb(struct lmdb *l)
{
    MDB_txn *txn;

    l->seed = 88172645463325252u;
    CHECK(mkdir(file("lmdb"), 0700) == 0 && mdb_env_create(&l->env) == 0);
    CHECK(mdb_env_set_mapsize(l->env, (size_t)1 << 28) == 0);
    CHECK(mdb_env_open(l->env, path, 0, 0600) == 0);
    CHECK(mdb_txn_begin(l->env, NULL, 0, &txn) == 0);
    CHECK(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &l->table) == 0);
    for (uint32_t i = 0; i < RECORDS; i++)
        lmdb_put(l, txn, i);
    CHECK(mdb_txn_commit(txn) == 0);
}

static void
lmdb_transact(void *self)
{
    struct lmdb *l = self;
    MDB_txn *txn;

    CHECK(mdb_txn_begin(l->env, NULL, 0, &txn) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t key = pick(&l->seed);
        MDB_val k = { sizeof(key), &key }, v;

        CHECK(mdb_get(txn, l->table, &k, &v) == 0);
    }
    for (uint32_t i = 0; i < 3; i++)
        lmdb_put(l, txn, pick(&l->seed));
    CHECK(mdb_txn_commit(txn) == 0);
}

struct sqlite {
    sqlite3 *db;
    uint64_t seed;
};

static void
begin_sqlite(struct sqlite *s)
{
    s->seed = 88172645463325252u;
    CHECK(sqlite3_open(file("sqlite"), &s->db) == SQLITE_OK);
    CHECK(sqlite3_exec(s->db,
                       "pragma journal_mode=wal; pragma synchronous=full;"
                       "create table t (k integer primary key, v blob);"
                       "with recursive n(i) as (select 0 union all select "
                       "i + 1 from n where i < 4095) insert into t select i, "
                       "zeroblob(64) from n",
                       NULL, NULL, NULL) == SQLITE_OK);
}

static void
sqlite_transact(void *self)
{
    struct sqlite *s = self;
    char text[512];
    int len = snprintf(text, sizeof(text), "begin immediate;");

    for (uint32_t i = 0; i < 5; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len,
                        i < 2 ? "select v from t where k = %u;"
                              : "update t set v = randomblob(64) where k = %u;",
                        pick(&s->seed));
    snprintf(text + len, sizeof(text) - (size_t)len, "commit");
    CHECK(sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK);
}

/* ---- in turns ------------------------------------------------------------ */

struct runner {
    const char *name;
    void (*transact)(void *self);
    void *self;
    uint32_t count; /* transactions in one call */
    double each[ROUNDS]; /* [ns] */
};

static void
run_in_turns(struct runner *runner, uint32_t count)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < count; i++) {
            struct runner *r = &runner[i];
            double begun = nanoseconds();

            for (uint32_t n = 0; n < EACH; n++)
                r->transact(r->self);
            r->each[round] = (nanoseconds() - begun) / (EACH * r->count);
        }
    }
}

int
main(int argc, char **argv)
{
    static struct append append;
    static struct ours ours;
    struct lmdb lmdb;
    struct sqlite sqlite;
    char command[600];
    double cost[5];

    snprintf(folder, sizeof(folder), "%s/durable-XXXXXX",
             argc > 1 ? argv[1] : ".");
    CHECK(mkdtemp(folder) != NULL);
    begin_ours(&ours);
    begin_lmdb(&lmdb);
    begin_sqlite(&sqlite);
    for (uint32_t i = 0; i < 64; i++)
        one_client(&ours);
    append.bytes = (size_t)(ours.journal->bytes / ours.journal->sequence);
    append.fd = open(file("append"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    CHECK(append.fd >= 0);

    struct runner runner[] = {
        { "append and fdatasync", append_and_sync, &append, 1, { 0 } },
        { "one client", one_client, &ours, 1, { 0 } },
        { "16 clients", many_clients, &ours, CLIENTS, { 0 } },
        { "LMDB", lmdb_transact, &lmdb, 1, { 0 } },
        { "SQLite", sqlite_transact, &sqlite, 1, { 0 } },
    };
    run_in_turns(runner, ULV_COUNT_OF(runner));
    for (uint32_t i = 0; i < ULV_COUNT_OF(runner); i++) {
        cost[i] = median(runner[i].each, ROUNDS);
        printf("%s: %.1f us a durable transaction\n", runner[i].name,
               cost[i] / 1e3);
    }
    printf("%zu bytes a transaction; one client has %.2f of the floor's rate "
           "(>= 0.9), 16 clients %.1f times LMDB's (>= 10), %.1f times "
           "SQLite's\n",
           append.bytes, cost[0] / cost[1], cost[3] / cost[2],
           cost[4] / cost[2]);
    end_ours(&ours);
    mdb_env_close(lmdb.env);
    sqlite3_close(sqlite.db);
    close(append.fd);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) != 0;
}
