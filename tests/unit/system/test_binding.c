/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Where the keeper puts processes, what it says when the platform does not let
 * it, and what it tells of the time they used.
 */
#include "../port/port_test.h"

#include "port/test/test.h"
#include "system/keeper.h"
#include "system/link.h"

/* What the platform was asked last. */
static struct {
    int64_t number;
    struct ulv_processor_set set;
    bool others;
    uint32_t calls;
    ulv_status answer;
    ulv_nsec time;
} asked;

static ulv_status
bind(void *self, int64_t number, const struct ulv_processor_set *set,
     bool others, struct ulv_diag *diag)
{
    (void)self;
    asked.number = number;
    asked.set = *set;
    asked.others = others;
    asked.calls++;
    if (asked.answer == ULV_OK)
        return ULV_OK;
    return ulv_fail(diag, asked.answer, 0, 0, 0, "not permitted");
}

static ulv_status
time_of(void *self, int64_t number, ulv_nsec *ret)
{
    (void)self;
    (void)number;
    *ret = asked.time;
    return ULV_OK;
}

static const struct ulv_platform platform = {
    .size = sizeof(struct ulv_platform),
    .process_bind = bind,
    .process_time = time_of,
};

struct fixture {
    struct ulv_test_host t;
    struct keeper keeper;
    struct keeper_partition *io, *one, *two;
    uint32_t lines;
    char line[192];
};

static void
note(void *self, uint32_t event, ulv_id partition, uint64_t value,
     const void *data, size_t bytes)
{
    struct fixture *f = self;

    (void)partition;
    (void)value;
    f->lines += event == ULV_EVENT_LOG;
    memcpy(f->line, data, ULV_MIN(bytes, sizeof(f->line) - 1));
}

static void
begin(struct fixture *f, bool processes)
{
    memset(f, 0, sizeof(*f));
    memset(&asked, 0, sizeof(asked));
    ulv_test_host_init(&f->t);
    assert_int_equal(ulv_keeper_init(&f->keeper, &f->t.host, ULV_NO_HANDLE),
                     ULV_OK);
    f->keeper.tell = note;
    f->keeper.self = f;
    f->keeper.platform = &platform;
    f->keeper.processes = processes;
    f->io = ulv_keeper_partition_add(&f->keeper, 7, ULV_PARTITION_IO, "io");
    f->one =
        ulv_keeper_partition_add(&f->keeper, 8, ULV_PARTITION_GUEST, "one");
    f->two =
        ulv_keeper_partition_add(&f->keeper, 9, ULV_PARTITION_GUEST, "two");
    assert_true(f->io != NULL && f->one != NULL && f->two != NULL);
    f->io->number = 70;
    f->one->number = 80;
    f->two->number = 90;
    f->io->alive = true;
}

static void
end(struct fixture *f)
{
    f->io->alive = false;
    ulv_keeper_fini(&f->keeper);
    assert_int_equal(ulv_test_host_fini(&f->t), 0);
}

static void
give(struct fixture *f, const struct keeper_partition *p, uint32_t number,
     uint32_t mode, uint32_t quanta)
{
    const struct ulv_effect_processor e = { p->id, number, mode, quanta, 0 };

    ulv_keeper_processor(&f->keeper, &e);
}

static void
test_system_binding__processes_are_put_in_their_place(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, true);
    ulv_keeper_bind(&f.keeper, f.io); /* nobody has anything: nothing to do */
    assert_int_equal(asked.calls, 0);
    give(&f, f.one, 3, ULV_PROCESSOR_SHARED, 10);
    give(&f, f.one, 65, ULV_PROCESSOR_SHARED, 0);
    assert_int_equal(asked.calls, 0);
    ulv_keeper_bind(&f.keeper, f.one);
    assert_int_equal(asked.number, 80);
    assert_false(asked.others);
    assert_true(asked.set.bits[0] == 8 && asked.set.bits[1] == 2);
    /* roles leave what is dedicated, and come back */
    give(&f, f.two, 66, ULV_PROCESSOR_DEDICATED, 0);
    assert_int_equal(asked.number, 70);
    assert_true(asked.others);
    assert_true(asked.set.bits[0] == 0 && asked.set.bits[1] == 4);
    ulv_keeper_give_back(&f.keeper, &f.two->processors.set);
    assert_int_equal(asked.number, 70);
    assert_true(asked.others && asked.set.bits[1] == 0);
    /* numbers beyond the set, and partitions that are not there */
    give(&f, f.one, 1024, ULV_PROCESSOR_SHARED, 1);
    give(&f, f.one, UINT32_MAX, ULV_PROCESSOR_DEDICATED, 1);
    f.one->id = 99;
    ulv_keeper_enter_partition(&f.keeper, f.one);
    give(&f, &(struct keeper_partition){ .id = 8 }, 5,
         ULV_PROCESSOR_DEDICATED, 1);
    assert_int_equal(asked.calls, 3);
    assert_int_equal(f.lines, 0);
    end(&f);
}

static void
test_system_binding__what_degrades_is_said(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, true);
    asked.answer = ULV_E_DENIED;
    give(&f, f.one, 3, ULV_PROCESSOR_SHARED, 10);
    ulv_keeper_bind(&f.keeper, f.one);
    assert_string_equal(f.one->degraded, "not permitted");
    assert_string_equal(f.line, "one: not permitted");
    asked.answer = ULV_OK;
    ulv_keeper_bind(&f.keeper, f.one);
    assert_string_equal(f.one->degraded, "");
    assert_int_equal(f.lines, 1);
    end(&f);
    /* in one thread: only who was promised something is told */
    begin(&f, false);
    give(&f, f.one, 3, ULV_PROCESSOR_SHARED, 0);
    give(&f, f.two, 3, ULV_PROCESSOR_SHARED, 1);
    ulv_keeper_bind(&f.keeper, f.one);
    assert_int_equal(f.lines, 0);
    ulv_keeper_bind(&f.keeper, f.two);
    assert_int_equal(f.lines, 1);
    assert_int_equal(asked.calls, 0);
    assert_non_null(strstr(f.two->degraded, "share the caller's thread"));
    end(&f);
}

static void
test_system_binding__time_is_told_once(void **state)
{
    struct ulv_link *near, *far;
    struct fixture f;
    struct post post;
    struct heard heard;
    ulv_handle waits;

    (void)state;
    begin(&f, true);
    assert_int_equal(f.t.host.wait_create(f.t.host.self, &waits), ULV_OK);
    assert_int_equal(ulv_link_create(&f.t.host, &near, &far), ULV_OK);
    assert_int_equal(ulv_post_init(&f.io->post, &f.t.host, waits, near),
                     ULV_OK);
    assert_int_equal(ulv_post_init(&post, &f.t.host, waits, far), ULV_OK);
    f.keeper.ultravisor = f.io; /* who is told */
    f.one->process = 5;
    asked.time = 1000;
    f.one->used = 7; /* a guest's beside it */
    ulv_keeper_account(&f.keeper, f.one);
    asked.time = 1500;
    ulv_keeper_account(&f.keeper, f.one);
    ulv_keeper_account(&f.keeper, f.one); /* nothing since */
    assert_int_equal(ulv_post_receive(&post, &heard), ULV_OK);
    assert_int_equal(heard.say.kind, SAY_USED);
    assert_int_equal(heard.say.u.used.partition, 8);
    assert_int_equal(heard.say.u.used.time, 1007);
    assert_int_equal(ulv_post_receive(&post, &heard), ULV_OK);
    assert_int_equal(heard.say.u.used.time, 500);
    assert_int_equal(ulv_post_receive(&post, &heard), ULV_E_AGAIN);
    f.one->process = ULV_NO_HANDLE;
    ulv_post_fini(&post);
    ulv_post_fini(&f.io->post);
    f.t.host.handle_close(f.t.host.self, waits);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_system_binding__processes_are_put_in_their_place),
        cmocka_unit_test(test_system_binding__what_degrades_is_said),
        cmocka_unit_test(test_system_binding__time_is_told_once),
    };

    return cmocka_run_group_tests_name("binding", tests, NULL, NULL);
}
