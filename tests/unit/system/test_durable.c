/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A system whose database is in a storage: what a second one finds, with the
 * machine, the storage and the memory as they were and not. */
#include "../port/port_test.h"

#include <stdio.h>

#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "mock_image.h"
#include "port/test/storage.h"
#include "port/test/test.h"
#include "system/system_priv.h"

static uint32_t processor_count;

static ulv_status
processors(void *self, struct ulv_host_processor *ret, uint32_t capacity,
           uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    for (uint32_t i = 0; i < processor_count && i < capacity; i++) {
        memset(&ret[i], 0, sizeof(ret[i]));
        ret[i].number = ret[i].core = i;
    }
    *ret_count = processor_count;
    return ULV_OK;
}

static ulv_status
one_node(void *self, struct ulv_host_node *ret, uint32_t capacity,
         uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    (void)capacity;
    memset(&ret[0], 0, sizeof(ret[0]));
    ret[0].total_bytes = ret[0].free_bytes = ULV_MIB(64);
    *ret_count = 1;
    return ULV_OK;
}

struct life {
    struct ulv_test_host t;
    struct ulv_test_storage *s;
    ulv_system *system;
    struct ulv_diag diag;
};

static ulv_status
begin(struct life *l, struct ulv_test_storage *s, uint64_t memory)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;

    memset(l, 0, sizeof(*l));
    l->diag = (struct ulv_diag)ULV_DIAG_INIT;
    ulv_test_host_init(&l->t);
    l->t.host.processors = processors;
    l->t.host.nodes = one_node;
    opts.backend = "mock";
    opts.memory = memory;
    opts.storage = s == NULL ? NULL : &s->storage;
    if (ulv_system_create(&l->t.host, &opts, &l->system, &l->diag) != ULV_OK)
        print_message("# %s\n", l->diag.text);
    return l->diag.status;
}

static void
end(struct life *l)
{
    ulv_system_destroy(l->system);
    assert_int_equal(ulv_test_host_fini(&l->t), 0);
}

/* A guest with a console, a disk and two processors. */
static ulv_id
make_guest(struct life *l, const char *name)
{
    static const uint8_t sectors[4096];
    ulv_transaction *t = ulv_transaction_begin(l->system);
    ulv_id guest = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    ulv_id disk = ulv_transaction_offer(
        t, 0, 0, ULV_SOURCE_MEMORY(sectors, sizeof(sectors)));

    ulv_transaction_memory(t, guest, ULV_MIB(2), ULV_ANY_NODE);
    ulv_transaction_processors(t, guest, 1, ULV_SHARED);
    ulv_transaction_console(t, guest, 0, 0);
    ulv_transaction_attach(t, guest, disk, ULV_DISK_READ_ONLY);
    assert_int_equal(ulv_transaction_commit(t, &l->diag), ULV_OK);
    return guest;
}

static void
destroy_guest(struct life *l, ulv_id guest)
{
    ulv_transaction *t = ulv_transaction_begin(l->system);

    ulv_transaction_destroy(t, guest);
    assert_int_equal(ulv_transaction_commit(t, &l->diag), ULV_OK);
}

static struct ulv_partition_record
record_of(struct life *l, ulv_id id)
{
    struct ulv_partition_record p;
    uint32_t count;

    assert_int_equal(ulv_system_query(l->system, ULV_QUERY_PARTITIONS, id - 1,
                                      &p, sizeof(p), &count),
                     ULV_OK);
    assert_int_equal(count, 1);
    assert_int_equal(p.id, id);
    return p;
}

static uint64_t
start_and_wait(struct life *l, ulv_id guest)
{
    static const struct ulv_mock_step script[] = {
        { .kind = ULV_MOCK_CALL, .number = ULV_CALL_STOP, .argument = { 42 } },
    };
    struct mock_image image;
    struct ulv_image start;
    struct ulv_end how = { 0 };

    mock_image_init(&image, script, ULV_COUNT_OF(script));
    memset(&start, 0, sizeof(start));
    start.kernel = ULV_SOURCE_MEMORY(&image, sizeof(image));
    assert_int_equal(
        ulv_partition_start(l->system, guest, &start, &l->diag), ULV_OK);
    assert_int_equal(ulv_partition_wait(l->system, guest, &how,
                                        ulv_system_now(l->system) + 1000000000,
                                        &l->diag),
                     ULV_OK);
    return how.code;
}

static void
test_system_durable__says_what_it_is(void **state)
{
    struct ulv_test_storage s;
    struct life l;

    (void)state;
    processor_count = 2;
    ulv_test_storage_init(&s);
    assert_int_equal(begin(&l, NULL, ULV_MIB(32)), ULV_OK);
    assert_string_equal(ulv_system_durability(l.system), "none");
    end(&l);
    assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_OK);
    assert_string_equal(ulv_system_durability(l.system), "storage");
    end(&l);
    ulv_test_storage_fini(&s);
}

/* Lives of one machine, the power lost after each. */
static void
test_system_durable__guests_are_found_again(void **state)
{
    struct ulv_test_storage s;
    struct life l;
    struct ulv_partition_record before, after;
    ulv_id web, other, found;

    (void)state;
    processor_count = 2;
    ulv_test_storage_init(&s);
    assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_OK);
    web = make_guest(&l, "web");
    other = make_guest(&l, "other");
    assert_int_equal(start_and_wait(&l, web), 42);
    destroy_guest(&l, other);
    before = record_of(&l, web);
    end(&l);
    for (uint32_t n = 0; n < 3; n++) {
        ulv_test_storage_crash(&s);
        assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_OK);
        assert_int_equal(ulv_system_find(l.system, "web", &found), ULV_OK);
        assert_int_equal(found, web);
        assert_int_equal(ulv_system_find(l.system, "other", &found),
                         ULV_E_NOT_FOUND);
        after = record_of(&l, web);
        assert_true(after.version > before.version);
        assert_int_equal(after.memory_bytes, before.memory_bytes);
        assert_int_equal(after.processor_count, 1);
        assert_int_equal(after.channel_count, 0);
        assert_int_equal(after.state, ULV_STATE_STOPPED);
        assert_int_equal(start_and_wait(&l, web), 42);
        assert_true(make_guest(&l, "more") > other);
        assert_int_equal(ulv_system_find(l.system, "more", &found), ULV_OK);
        destroy_guest(&l, found);
        before = after;
        end(&l);
    }
    ulv_test_storage_fini(&s);
}

static void
test_system_durable__another_machine_is_refused(void **state)
{
    struct ulv_test_storage s;
    struct life l;

    (void)state;
    processor_count = 2;
    ulv_test_storage_init(&s);
    assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_OK);
    (void)make_guest(&l, "web");
    end(&l);
    assert_int_equal(begin(&l, &s, ULV_MIB(16)), ULV_E_STATE);
    assert_non_null(strstr(l.diag.text, "ask for the same memory"));
    end(&l);
    for (processor_count = 1; processor_count <= 2; processor_count++) {
        struct ulv_processor_record p[3];
        uint32_t count = ULV_COUNT_OF(p);

        assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_OK);
        assert_int_equal(ulv_system_query(l.system, ULV_QUERY_PROCESSORS, 0, p,
                                          sizeof(p), &count),
                         ULV_OK);
        assert_int_equal(count, 2);
        assert_int_equal(p[1].retired,
                         processor_count == 1 ? ULV_RETIRED_OFFLINE : 0);
        end(&l);
    }
    ulv_test_storage_set(&s, ULV_STORAGE_CHECKPOINT, "garbage", 7);
    assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_E_FORMAT);
    end(&l);
    ulv_test_storage_fini(&s);
}

/* A commit that cannot be written fails with that error, and nothing of it is
 * there; the next one that can is. */
static void
test_system_durable__a_storage_that_fails_fails_the_commit(void **state)
{
    struct ulv_test_storage s;
    struct life l;
    ulv_transaction *t;
    ulv_id found;

    (void)state;
    processor_count = 2;
    ulv_test_storage_init(&s);
    assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_OK);
    ulv_test_storage_fail_at(&s, 1, ULV_TEST_STORAGE_FAIL);
    s.stays = true;
    for (uint32_t i = 0; i < 3; i++) {
        t = ulv_transaction_begin(l.system);
        (void)ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
        assert_int_equal(ulv_transaction_commit(t, &l.diag), ULV_E_MEDIUM);
        assert_non_null(strstr(l.diag.text, "of the storage fails"));
        assert_int_equal(ulv_system_find(l.system, "web", &found),
                         ULV_E_NOT_FOUND);
    }
    s.stays = false;
    s.fail_at = 0;
    (void)make_guest(&l, "web");
    end(&l);
    ulv_test_storage_crash(&s);
    assert_int_equal(begin(&l, &s, ULV_MIB(32)), ULV_OK);
    assert_int_equal(ulv_system_find(l.system, "web", &found), ULV_OK);
    end(&l);
    ulv_test_storage_fini(&s);
}

/* More than a database has, of which the first are known, and that is said. */
static void
test_system_durable__says_what_is_not_known(void **state)
{
    struct ulv_event event = { .size = sizeof(event) };
    uint32_t said = 0;
    struct life l;

    (void)state;
    processor_count = 300;
    assert_int_equal(begin(&l, NULL, ULV_MIB(32)), ULV_OK);
    while (ulv_event_next(l.system, &event) == ULV_OK) {
        static const char line[] = "processors: 256 of 300 are known";

        if (event.kind == ULV_EVENT_LOG && event.bytes >= sizeof(line) - 1 &&
            memcmp(event.data, line, sizeof(line) - 1) == 0)
            said++;
    }
    assert_int_equal(said, 1);
    end(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_durable__says_what_it_is),
        cmocka_unit_test(test_system_durable__guests_are_found_again),
        cmocka_unit_test(test_system_durable__says_what_is_not_known),
        cmocka_unit_test(test_system_durable__another_machine_is_refused),
        cmocka_unit_test(
            test_system_durable__a_storage_that_fails_fails_the_commit),
    };

    return cmocka_run_group_tests_name("system-durable", tests, NULL, NULL);
}
