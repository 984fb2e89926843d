/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Objects under numbers, beside a list of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "system/id_index.h"

#define OBJECTS 300u
#define NUMBERS 40u /* so that many are had by several */

struct object {
    struct id_entry entry;
    uint32_t since; /* when it came; 0: it is not there */
};

static void
test_system_id_index__each_number_is_found(void **state)
{
    static struct id_index index;
    static struct id_entry entry[5000];

    (void)state;
    for (uint32_t i = 0; i < ULV_COUNT_OF(entry); i++)
        ulv_id_index_add(&index, &entry[i], UINT64_C(4) * i);
    for (uint32_t i = 0; i < ULV_COUNT_OF(entry); i++) {
        assert_ptr_equal(ulv_id_index_find(&index, UINT64_C(4) * i),
                         &entry[i]);
        assert_null(ulv_id_index_next(&entry[i]));
        assert_null(ulv_id_index_find(&index, UINT64_C(4) * i + 1));
    }
    /* objects come in steps: no chain is much longer than the others */
    for (uint32_t i = 0; i < ID_INDEX_BUCKETS; i++) {
        uint32_t length = 0;

        for (const struct id_entry *e = index.bucket[i]; e != NULL;
             e = e->next)
            length++;
        assert_in_range(length, 0, 16);
    }
    for (uint32_t i = 0; i < ULV_COUNT_OF(entry); i++) {
        ulv_id_index_remove(&index, &entry[i]);
        ulv_id_index_remove(&index, &entry[i]);
    }
    for (uint32_t i = 0; i < ID_INDEX_BUCKETS; i++)
        assert_null(index.bucket[i]);
}

/* Those of a number, the newest first, are what the list has of it. */
static void
check(const struct id_index *index, const struct object *object)
{
    for (ulv_id id = 0; id < NUMBERS; id++) {
        uint32_t before = UINT32_MAX, count = 0;

        for (const struct id_entry *e = ulv_id_index_find(index, id);
             e != NULL; e = ulv_id_index_next(e)) {
            const struct object *o =
                (const struct object *)(const void *)e;

            assert_true(e->id == id && o->since != 0 && o->since < before);
            before = o->since;
            count++;
        }
        for (uint32_t i = 0; i < OBJECTS; i++)
            count -= object[i].since != 0 && object[i].entry.id == id;
        assert_int_equal(count, 0);
    }
}

static void
test_system_id_index__what_comes_moves_and_goes(void **state)
{
    static struct id_index index;
    static struct object object[OBJECTS];
    uint64_t seed = 1;

    (void)state;
    for (uint32_t turn = 1; turn <= 4000; turn++) {
        struct object *o;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        o = &object[(seed >> 33) % OBJECTS];
        if ((seed >> 20) % 3 == 0) {
            ulv_id_index_remove(&index, &o->entry);
            o->since = 0;
        } else {
            ulv_id_index_add(&index, &o->entry, (seed >> 50) % NUMBERS);
            o->since = turn;
        }
        if (turn % 50 == 0)
            check(&index, object);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_id_index__each_number_is_found),
        cmocka_unit_test(test_system_id_index__what_comes_moves_and_goes),
    };

    return cmocka_run_group_tests_name("id_index", tests, NULL, NULL);
}
