/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* LMDB, SQLite and plain arrays: each does the same transaction. */
#include "database.h"

#include <lmdb.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
read_clock(clockid_t clock)
{
    struct timespec t;

    CHECK(clock_gettime(clock, &t) == 0);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double
nanoseconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double
processor_time(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t
next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static uint32_t
pick(uint64_t *seed, uint32_t records)
{
    return (uint32_t)((next_random(seed) >> 16) % records);
}

/* ---- arrays, a lock and an undo log -------------------------------------- */

struct floor_table {
    pthread_mutex_t lock;
    uint8_t undo[3][PEER_RECORD_BYTES];
    uint64_t sum;
    uint8_t record[][PEER_RECORD_BYTES];
};

static void *
floor_begin(uint32_t records)
{
    struct floor_table *f =
        calloc(1, sizeof(*f) + (size_t)records * PEER_RECORD_BYTES);

    CHECK(f != NULL && pthread_mutex_init(&f->lock, NULL) == 0);
    return f;
}

static void
floor_transact(void *self, uint64_t *seed, uint32_t records)
{
    struct floor_table *f = self;

    CHECK(pthread_mutex_lock(&f->lock) == 0);
    for (uint32_t i = 0; i < 2; i++)
        f->sum += f->record[pick(seed, records)][0];
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t *record = f->record[pick(seed, records)];

        memcpy(f->undo[i], record, PEER_RECORD_BYTES);
        memset(record, (int)(*seed & 0xff), PEER_RECORD_BYTES);
    }
    CHECK(pthread_mutex_unlock(&f->lock) == 0);
}

const struct peer peer_floor = { "arrays", floor_begin, floor_transact, free };

/* ---- LMDB, WRITEMAP and NOSYNC ------------------------------------------- */

struct lmdb {
    MDB_env *env;
    MDB_dbi table;
    char directory[32];
};

static void
lmdb_put(struct lmdb *l, MDB_txn *txn, uint32_t key, uint64_t what)
{
    uint8_t record[PEER_RECORD_BYTES];
    MDB_val k = { sizeof(key), &key }, v = { sizeof(record), record };

    memset(record, (int)(what & 0xff), sizeof(record));
    CHECK(mdb_put(txn, l->table, &k, &v, 0) == 0);
}

static void *
lmdb_begin(uint32_t records)
{
    struct lmdb *l = calloc(1, sizeof(*l));
    MDB_txn *txn;

    CHECK(l != NULL);
    memcpy(l->directory, "/dev/shm/lmdb-XXXXXX", 21);
    CHECK(mkdtemp(l->directory) != NULL && mdb_env_create(&l->env) == 0);
    CHECK(mdb_env_set_mapsize(l->env, (size_t)1 << 30) == 0);
    CHECK(mdb_env_open(l->env, l->directory, MDB_WRITEMAP | MDB_NOSYNC,
                       0600) == 0);
    CHECK(mdb_txn_begin(l->env, NULL, 0, &txn) == 0);
    CHECK(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &l->table) == 0);
    for (uint32_t i = 0; i < records; i++)
        lmdb_put(l, txn, i, i);
    CHECK(mdb_txn_commit(txn) == 0);
    return l;
}

static void
lmdb_transact(void *self, uint64_t *seed, uint32_t records)
{
    struct lmdb *l = self;
    MDB_txn *txn;

    CHECK(mdb_txn_begin(l->env, NULL, 0, &txn) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t key = pick(seed, records);
        MDB_val k = { sizeof(key), &key }, v;

        CHECK(mdb_get(txn, l->table, &k, &v) == 0);
    }
    for (uint32_t i = 0; i < 3; i++)
        lmdb_put(l, txn, pick(seed, records), *seed);
    CHECK(mdb_txn_commit(txn) == 0);
}

static void
lmdb_end(void *self)
{
    struct lmdb *l = self;
    char path[64];

    mdb_env_close(l->env);
    snprintf(path, sizeof(path), "%s/data.mdb", l->directory);
    CHECK(unlink(path) == 0);
    snprintf(path, sizeof(path), "%s/lock.mdb", l->directory);
    CHECK(unlink(path) == 0 && rmdir(l->directory) == 0);
    free(l);
}

const struct peer peer_lmdb = { "LMDB", lmdb_begin, lmdb_transact, lmdb_end };

/* ---- SQLite in memory ---------------------------------------------------- */

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *begin, *get, *put, *commit;
};

static sqlite3_stmt *
compile(sqlite3 *db, const char *text)
{
    sqlite3_stmt *s;

    CHECK(sqlite3_prepare_v2(db, text, -1, &s, NULL) == SQLITE_OK);
    return s;
}

static void
step(sqlite3_stmt *s, int expected)
{
    CHECK(sqlite3_step(s) == expected);
    CHECK(sqlite3_reset(s) == SQLITE_OK);
}

static void
sqlite_put(struct sqlite *s, uint32_t key, uint64_t what)
{
    uint8_t record[PEER_RECORD_BYTES];

    memset(record, (int)(what & 0xff), sizeof(record));
    CHECK(sqlite3_bind_int64(s->put, 1, key) == SQLITE_OK);
    CHECK(sqlite3_bind_blob(s->put, 2, record, sizeof(record),
                            SQLITE_TRANSIENT) == SQLITE_OK);
    step(s->put, SQLITE_DONE);
}

static void *
sqlite_begin(uint32_t records)
{
    struct sqlite *s = calloc(1, sizeof(*s));

    CHECK(s != NULL && sqlite3_open(":memory:", &s->db) == SQLITE_OK);
    CHECK(sqlite3_exec(s->db, "create table t (k integer primary key, v blob)",
                       NULL, NULL, NULL) == SQLITE_OK);
    s->begin = compile(s->db, "begin immediate");
    s->get = compile(s->db, "select v from t where k = ?1");
    s->put = compile(s->db, "insert or replace into t values (?1, ?2)");
    s->commit = compile(s->db, "commit");
    step(s->begin, SQLITE_DONE);
    for (uint32_t i = 0; i < records; i++)
        sqlite_put(s, i, i);
    step(s->commit, SQLITE_DONE);
    return s;
}

static void
sqlite_transact(void *self, uint64_t *seed, uint32_t records)
{
    struct sqlite *s = self;

    step(s->begin, SQLITE_DONE);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(sqlite3_bind_int64(s->get, 1, pick(seed, records)) == SQLITE_OK);
        step(s->get, SQLITE_ROW);
    }
    for (uint32_t i = 0; i < 3; i++)
        sqlite_put(s, pick(seed, records), *seed);
    step(s->commit, SQLITE_DONE);
}

static void
sqlite_end(void *self)
{
    struct sqlite *s = self;

    sqlite3_finalize(s->begin);
    sqlite3_finalize(s->get);
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->commit);
    CHECK(sqlite3_close(s->db) == SQLITE_OK);
    free(s);
}

const struct peer peer_sqlite = { "SQLite", sqlite_begin, sqlite_transact,
                                  sqlite_end };
