/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of the journal share: a model whose database has a journal in
 * a storage of the test port, and a database that is opened again. */
#ifndef DATABASE_JOURNAL_TEST_H
#define DATABASE_JOURNAL_TEST_H

#include <stdlib.h>

#include "model.h"
#include "port/test/storage.h"

/* A database as it is found again. */
struct again {
    struct ulv_test_host t;
    struct ulv_database *db;
    struct ulv_journal *journal;
    struct ulv_diag diag;
    ulv_status status;
};

static inline ulv_status
open_again(struct again *a, const struct ulv_storage *storage)
{
    memset(a, 0, sizeof(*a));
    ulv_test_host_init(&a->t);
    a->diag = (struct ulv_diag)ULV_DIAG_INIT;
    assert_int_equal(ulv_database_create(&a->t.host, &a->db), ULV_OK);
    a->status = ulv_journal_open(a->db, storage, &a->journal, &a->diag);
    if (a->status != ULV_OK) {
        assert_int_equal(a->diag.status, a->status);
        assert_true(a->diag.text[0] != '\0');
    } else if (ulv_database_check(a->db, &a->diag) != ULV_OK) {
        print_message("# %s\n", a->diag.text);
        fail();
    }
    return a->status;
}

static inline void
close_again(struct again *a)
{
    ulv_journal_close(a->journal);
    ulv_database_destroy(a->db);
    assert_int_equal(ulv_test_host_fini(&a->t), 0);
}

/* What a database says, kept. */
struct said {
    uint8_t *p;
    size_t bytes;
};

static inline struct said
say_all(const struct ulv_database *db)
{
    static uint8_t all[EVERYTHING_MAX];
    struct said said = { NULL, model_everything(db, all, sizeof(all)) };

    said.p = malloc(said.bytes + 1);
    assert_non_null(said.p);
    memcpy(said.p, all, said.bytes);
    return said;
}

static inline bool
says(const struct ulv_database *db, const struct said *said)
{
    struct said now = say_all(db);
    bool equal = now.bytes == said->bytes &&
                 memcmp(now.p, said->p, now.bytes) == 0;

    free(now.p);
    return equal;
}

/* A model whose database was empty when its journal was opened. */
static inline void
begin_journaled(struct model *m, const struct ulv_storage *storage)
{
    begin_with(m, storage);
    assert_non_null(m->journal);
}

static inline void
end_journaled(struct model *m)
{
    ulv_journal_close(m->journal);
    m->journal = NULL;
    end(m);
}

#endif
