/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random states of a database with a journal, for a reader in another
 * language: for each, to standard output, the four objects of the journal (the
 * length in 8 bytes, then that) and what queries say (kind, bytes of a record,
 * count, in 4 each, then the records; kind 0 ends it). Argument: how many
 * states (default 100); ULV_SEED sets the seed.
 */
#include "../unit/database/journal_test.h"

#include <stdio.h>

#define OF_ONE_DATABASE 200u

static void
put(const void *p, size_t len)
{
    assert_int_equal(fwrite(p, 1, len, stdout), len);
}

static void
put_storage(const struct ulv_test_storage *s)
{
    for (uint32_t i = 0; i < ULV_STORAGE_POLICY; i++) {
        put(&s->now[i].bytes, 8);
        put(s->now[i].p, s->now[i].bytes);
    }
}

static void
put_records(const struct ulv_database *db)
{
    static uint8_t buf[EVERYTHING_MAX];
    uint32_t head[3] = { 0 };

    for (uint32_t kind = 1; kind <= ULV_QUERY_RETIRED; kind++) {
        bool more;

        if (kind == ULV_QUERY_USAGE)
            continue;
        head[0] = kind;
        assert_int_equal(ulv_database_query(db, kind, 0, buf, sizeof(buf),
                                            &head[1], &head[2], &more),
                         ULV_OK);
        assert_false(more);
        put(head, sizeof(head));
        put(buf, (size_t)head[1] * head[2]);
    }
    memset(head, 0, sizeof(head));
    put(head, sizeof(head));
}

static void
one_database(uint32_t states)
{
    static struct ulv_test_storage s;
    static struct model m;

    ulv_test_storage_init(&s);
    begin_journaled(&m, &s.storage);
    for (uint32_t n = 0; n < states; n++) {
        model_step(&m);
        if (model_random(9) == 0)
            assert_int_equal(ulv_journal_checkpoint(m.journal, NULL), ULV_OK);
        put_storage(&s);
        put_records(m.db);
    }
    end_journaled(&m);
    ulv_test_storage_fini(&s);
}

int
main(int argc, char **argv)
{
    uint32_t states =
        argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;

    if (getenv("ULV_SEED") != NULL)
        model_seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    while (states > 0) {
        uint32_t some = ULV_MIN(states, OF_ONE_DATABASE);

        one_database(some);
        states -= some;
    }
    return 0;
}
