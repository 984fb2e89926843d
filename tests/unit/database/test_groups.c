/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random transactions, valid and not, that are held in groups: each is checked
 * against those before it, and then all of them stay or all of them go, beside
 * the model; every invariant is checked after each. Argument: how many groups
 * (default 500); ULV_SEED sets the seed.
 */
#include "model.h"

#include <stdlib.h>

#include "database/journal_priv.h"

#define GROUP_MAX 12u
/* Ids that a group may use: it cannot take a lease of more. */
#define IDS_MAX (GROUP_MAX * 8u)

static uint64_t groups = 500, seed = 1;

/* A group has as many ids as it may need. */
static void
lease(struct model *m)
{
    const uint64_t used = m->next % ULV_ID_LEASE_COUNT;

    if (used == 0 || used > ULV_ID_LEASE_COUNT - IDS_MAX)
        assert_int_equal(ulv_database_lease(m->db, &m->next), ULV_OK);
}

/* Returns how many transactions there are in it. */
static uint64_t
hold_some(struct model *m)
{
    const uint64_t begun = m->revision;
    const uint64_t steps = 1 + model_random(GROUP_MAX);

    m->hold = ulv_database_hold;
    for (uint64_t i = 0; i < steps && !ulv_database_group_must_end(m->db);
         i++)
        model_step(m);
    m->hold = NULL;
    return m->revision - begun;
}

/* Nothing of it ever was, and the model is as it was. */
static void
undo(struct model *m, const struct model *before, const uint8_t *everything,
     size_t len)
{
    static uint8_t after[EVERYTHING_MAX];
    struct ulv_test_host t;

    ulv_database_undo_held(m->db);
    assert_int_equal(model_everything(m->db, after, sizeof(after)), len);
    assert_memory_equal(after, everything, len);
    t = m->t; /* it knows what is allocated now */
    *m = *before;
    m->t = t;
}

static void
test_database_groups__stay_or_go_whole(void **state)
{
    static uint8_t everything[EVERYTHING_MAX];
    static struct model m, before;
    uint64_t kept = 0, undone = 0;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    begin(&m);
    model_seed = seed;
    for (uint64_t n = 0; n < groups; n++) {
        size_t len;
        uint64_t held;

        lease(&m);
        before = m;
        len = model_everything(m.db, everything, sizeof(everything));
        held = hold_some(&m);
        if (model_random(3) == 0) {
            undo(&m, &before, everything, len);
            undone += held;
        } else {
            ulv_database_keep_held(m.db);
            kept += held;
        }
        assert_int_equal(ulv_database_revision(m.db), m.revision);
        assert_int_equal(ulv_database_check(m.db, NULL), ULV_OK);
        model_compare(&m);
    }
    print_message("# %llu transactions stayed, %llu went\n",
                  (unsigned long long)kept, (unsigned long long)undone);
    assert_true(kept > groups && undone > groups / 3);
    end(&m);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_groups__stay_or_go_whole),
    };

    if (argc > 1)
        groups = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
