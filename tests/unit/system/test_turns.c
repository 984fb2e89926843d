/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Whose turn it is, of many partitions that come and go. */
#include "../port/port_test.h"

#include "port/test/test.h"
#include "system/keeper.h"

/* Those whose turn it is at a time, as bits; the others' soonest is *ret. */
static uint32_t
turns_at(const struct keeper *k, ulv_nsec now, ulv_nsec *ret)
{
    struct keeper_partition *p = NULL;
    uint32_t set = 0;

    *ret = ULV_FOREVER;
    while ((p = ulv_keeper_next_turn(k, p, now, ret)) != NULL) {
        assert_true((set >> p->id & 1) == 0);
        set |= UINT32_C(1) << p->id;
    }
    return set;
}

static struct keeper_partition *
add_waiting(struct keeper *k, ulv_id id, ulv_nsec deadline)
{
    struct keeper_partition *p =
        ulv_keeper_partition_add(k, id, ULV_PARTITION_GUEST, "web");

    assert_non_null(p);
    p->deadline = deadline;
    p->alive = true;
    ulv_keeper_set_turn(p);
    return p;
}

static uint32_t
no_news(void *self, ulv_handle set, ulv_handle *ret, uint32_t capacity)
{
    (void)self;
    (void)set;
    (void)ret;
    (void)capacity;
    return 0;
}

static void
test_system_turns__each_has_its_own(void **state)
{
    struct ulv_test_host t;
    struct keeper_partition *p[32];
    struct keeper k;
    ulv_nsec next;

    (void)state;
    ulv_test_host_init(&t);
    t.host.ready = no_news;
    memset(&k, 0, sizeof(k));
    assert_int_equal(ulv_keeper_init(&k, &t.host, ULV_NO_HANDLE), ULV_OK);
    for (uint32_t i = 0; i < 32; i++)
        p[i] = add_waiting(&k, i, 100 * (i + UINT64_C(1)));
    assert_int_equal(turns_at(&k, 99, &next), 0);
    assert_int_equal(next, 100);
    assert_int_equal(turns_at(&k, 300, &next), 7);
    assert_int_equal(next, 400);
    assert_int_equal(turns_at(&k, ULV_FOREVER - 1, &next), UINT32_MAX);
    p[20]->again = p[9]->reaping = true;
    p[0]->alive = false;
    for (uint32_t i = 0; i < 32; i++)
        ulv_keeper_set_turn(p[i]);
    assert_int_equal(turns_at(&k, 200, &next), 1u << 20 | 1u << 9 | 2);
    p[9]->alive = p[9]->reaping = false;
    /* whoever comes has the place of whoever has gone, and no turn of its */
    ulv_keeper_partition_remove(&k, p[20]);
    ulv_keeper_partition_remove(&k, p[1]);
    assert_int_equal(turns_at(&k, 300, &next), 1u << 9 | 4);
    p[1] = add_waiting(&k, 1, 5000);
    assert_int_equal(p[1]->turn, 1);
    assert_int_equal(turns_at(&k, 300, &next), 1u << 9 | 4);
    assert_int_equal(turns_at(&k, 5000, &next) >> 1 & 1, 1);
    for (uint32_t i = 0; i < 32; i++) {
        if (i != 20)
            p[i]->alive = false;
    }
    ulv_keeper_fini(&k);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_turns__each_has_its_own),
    };

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
