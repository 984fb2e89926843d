/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A failing run is shrunk to what makes it fail: shown with a bug that is put
 * into the database on purpose. */
#include "model.h"

#include <stdlib.h>
#include <unistd.h>

#include "database/database_priv.h"

#define STEPS 800u

static void
make_script(struct script *ret, size_t count)
{
    ret->step = calloc(count, sizeof(*ret->step));
    assert_non_null(ret->step);
    ret->count = count;
    for (size_t i = 0; i < count; i++)
        ret->step[i] = script_step(7, i);
}

/* ---- shrinking itself ------ */

/* It fails with the 5th, the 70th and the last step, in that order. */
static bool
needs_three(void *self, const struct script *script)
{
    const size_t needed[] = { 5, 70, STEPS - 1 };
    size_t found = 0;

    ++*(uint64_t *)self;
    for (size_t i = 0; i < script->count && found < 3; i++)
        found += script->step[i] == script_step(7, needed[found]) ? 1 : 0;
    return found == 3;
}

static void
test_database_shrink__leaves_what_it_takes(void **state)
{
    uint64_t asked = 0, tried;
    const struct shrinker shrinker = { &asked, needs_three };
    struct script script;

    (void)state;
    make_script(&script, STEPS);
    tried = shrink(&shrinker, &script);
    assert_int_equal(tried, asked);
    assert_int_equal(script.count, 3);
    assert_int_equal(script.step[0], script_step(7, 5));
    assert_int_equal(script.step[1], script_step(7, 70));
    assert_int_equal(script.step[2], script_step(7, STEPS - 1));
    assert_true(asked < STEPS); /* far from one by one */
    script_fini(&script);
}

static bool
always(void *self, const struct script *script)
{
    (void)self;
    (void)script;
    return true;
}

static void
test_database_shrink__comes_to_nothing_if_nothing_is_needed(void **state)
{
    const struct shrinker shrinker = { NULL, always };
    struct script script;

    (void)state;
    make_script(&script, 17);
    (void)shrink(&shrinker, &script);
    assert_int_equal(script.count, 0);
    script_fini(&script);
}

/* ---- a bug ------ */

/* A guest that has memory and a label counts a page too many. */
static void
miscount(struct model *m)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct partition *p =
            (void *)ulv_db_find(m->db, m->p[i].id, ULV_QUERY_PARTITIONS);

        if (m->p[i].id != 0 && p->extents != NULL && p->r.labels != NULL)
            p->ram_bytes += 4096;
    }
}

struct run {
    void (*after)(struct model *m);
};

static void
run_all(void *self, const struct script *script, uint64_t *begun)
{
    model_run(script, ((struct run *)self)->after, begun);
}

static bool
fails(void (*after)(struct model *m), const struct script *script,
      uint64_t *ret_begun)
{
    struct run run = { after };
    const struct script_run script_run = { run_all, &run };

    return script_fails(&script_run, script, ret_begun);
}

/* A guest is made, gets memory, gets a label: no step can be left out. */
static void
test_database_shrink__finds_the_steps_to_a_bug(void **state)
{
    char path[] = "/tmp/ulv-shrink-XXXXXX";
    struct script script, read;
    uint64_t begun;
    const int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    make_script(&script, STEPS);
    assert_true(fails(miscount, &script, &begun));
    script.count = begun;
    print_message("# %llu steps, %llu tries\n", (unsigned long long)begun,
                  (unsigned long long)model_shrink(&script, miscount));
    assert_int_equal(script.count, 3);
    script_write(&script, path, "a bug");
    script_read(&read, path);
    assert_int_equal(read.count, 3);
    assert_true(fails(miscount, &read, &begun));
    assert_int_equal(begun, 3);
    assert_false(fails(NULL, &read, &begun));
    script_fini(&read);
    script_fini(&script);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_database_shrink__leaves_what_it_takes),
        cmocka_unit_test(
            test_database_shrink__comes_to_nothing_if_nothing_is_needed),
        cmocka_unit_test(test_database_shrink__finds_the_steps_to_a_bug),
    };

    return cmocka_run_group_tests_name("database-shrink", tests, NULL, NULL);
}
