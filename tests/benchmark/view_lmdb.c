/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* LMDB: two values of 128 bytes in one transaction. */
#include "view.h"

#include <lmdb.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static MDB_env *environment;
static MDB_dbi database;
static MDB_txn *reading;

static void
open_database(void)
{
    MDB_txn *transaction;

    CHECK(mdb_env_create(&environment) == 0);
    /* a reader that is held up keeps what the writer would use again */
    CHECK(mdb_env_set_mapsize(environment, (size_t)1 << 30) == 0);
    CHECK(mdb_env_open(environment, path,
                       MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NOSYNC, 0600) == 0);
    CHECK(mdb_txn_begin(environment, NULL, 0, &transaction) == 0);
    CHECK(mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY, &database) == 0);
    CHECK(mdb_txn_commit(transaction) == 0);
}

static void
close_database(void)
{
    mdb_env_close(environment);
}

static void
commit(uint64_t value)
{
    uint64_t half[WORDS / 2];
    MDB_txn *transaction;

    for (uint32_t i = 0; i < WORDS / 2; i++)
        half[i] = value;
    CHECK(mdb_txn_begin(environment, NULL, 0, &transaction) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        MDB_val key = { sizeof(i), &i }, data = { sizeof(half), half };

        CHECK(mdb_put(transaction, database, &key, &data, 0) == 0);
    }
    CHECK(mdb_txn_commit(transaction) == 0);
}

static void
begin(void *shared)
{
    (void)shared;
    (void)snprintf(path, sizeof(path), "/dev/shm/ultravisor-view-%d",
                   (int)getpid());
    open_database();
    commit(0);
    close_database();
}

static void
end(void)
{
    char lock[80];

    (void)unlink(path);
    (void)snprintf(lock, sizeof(lock), "%s-lock", path);
    (void)unlink(lock);
}

static void
reader_begin(void)
{
    open_database();
    CHECK(mdb_txn_begin(environment, NULL, MDB_RDONLY, &reading) == 0);
    mdb_txn_reset(reading);
}

static void
reader_end(void)
{
    mdb_txn_abort(reading);
    close_database();
}

static uint64_t
read_both(uint64_t value[WORDS])
{
    CHECK(mdb_txn_renew(reading) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        MDB_val key = { sizeof(i), &i }, data;

        CHECK(mdb_get(reading, database, &key, &data) == 0);
        memcpy(value + i * WORDS / 2, data.mv_data, 4 * WORDS);
    }
    mdb_txn_reset(reading);
    return 0;
}

const struct contender contender_lmdb = {
    .name = "LMDB",
    .begin = begin,
    .end = end,
    .writer_begin = open_database,
    .writer_end = close_database,
    .reader_begin = reader_begin,
    .reader_end = reader_end,
    .commit = commit,
    .read = read_both,
};
