/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Watching through all that lies between the caller and the database: what is
 * heard, what a caller who does not listen costs, and what is lost.
 */
#include "../port/port_test.h"

#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "database/changes.h"
#include "port/test/test.h"
#include "small_host.h"

static void
next(ulv_system *system, ulv_watch *watch, struct ulv_watch_event *event)
{
    ulv_status status = ulv_watch_next(watch, event);

    for (uint32_t n = 0; status == ULV_E_AGAIN && n < 1000; n++) {
        (void)ulv_system_step(system, 0);
        status = ulv_watch_next(watch, event);
    }
    assert_int_equal(status, ULV_OK);
}

static void
no_next(ulv_system *system, ulv_watch *watch)
{
    struct ulv_watch_event event = ULV_WATCH_EVENT_INIT;

    for (uint32_t n = 0; n < 10; n++) {
        assert_int_equal(ulv_watch_next(watch, &event), ULV_E_AGAIN);
        (void)ulv_system_step(system, 0);
    }
}

static ulv_id
make(ulv_system *system, const char *name)
{
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id id = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    struct ulv_diag diag = ULV_DIAG_INIT;

    ulv_transaction_memory(t, id, ULV_MIB(2), ULV_ANY_NODE);
    if (ulv_transaction_commit(t, &diag) != ULV_OK) {
        print_message("# %s\n", diag.text);
        fail();
    }
    return id;
}

static void
destroy(ulv_system *system, ulv_id id)
{
    ulv_transaction *t = ulv_transaction_begin(system);

    ulv_transaction_destroy(t, id);
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
}

static void
test_system_watch__hears_what_was_asked_for(void **state)
{
    struct ulv_test_host t;
    ulv_system *system = small_system(&t);
    struct ulv_watch_opts opts = ULV_WATCH_OPTS_INIT;
    struct ulv_watch_event event = ULV_WATCH_EVENT_INIT;
    ulv_watch *all, *extents, *one, *again;
    ulv_id web, mail;
    uint64_t before;

    (void)state;
    assert_int_equal(ulv_watch_open(system, NULL, &all, NULL), ULV_OK);
    opts.kinds = ULV_WATCH_KIND(ULV_QUERY_EXTENTS);
    assert_int_equal(ulv_watch_open(system, &opts, &extents, NULL), ULV_OK);
    web = make(system, "web");
    before = ulv_system_revision(system);
    /* of what was: the partition, its memory, and the transaction */
    next(system, all, &event);
    assert_int_equal(event.change.object, web);
    assert_int_equal(event.change.kind, ULV_QUERY_PARTITIONS);
    assert_int_equal(event.change.change, ULV_CHANGE_MADE);
    assert_int_equal(event.change.partition[0], web);
    assert_int_equal(event.change.revision, before);
    assert_int_equal(event.more, 1);
    next(system, all, &event);
    assert_int_equal(event.change.kind, ULV_QUERY_EXTENTS);
    next(system, all, &event);
    assert_int_equal(event.change.kind, ULV_QUERY_LOG);
    assert_int_equal(event.change.object, before);
    assert_int_equal(event.sequence, 3);
    assert_int_equal(event.more, 0);
    no_next(system, all);
    next(system, extents, &event);
    assert_int_equal(event.change.partition[0], web);
    assert_int_equal(event.sequence, 1);
    no_next(system, extents);
    opts.kinds = 0;
    opts.partition = mail = make(system, "mail");
    assert_int_equal(ulv_watch_open(system, &opts, &one, NULL), ULV_OK);
    destroy(system, web);
    destroy(system, mail);
    for (uint32_t i = 0; i < 2; i++) { /* the extent, the partition */
        next(system, one, &event);
        assert_int_equal(event.change.change, ULV_CHANGE_REMOVED);
        assert_int_equal(event.change.partition[0], mail);
    }
    no_next(system, one);
    /* from where another ended: the same once more */
    opts.partition = 0;
    opts.kinds = ULV_WATCH_KIND(ULV_QUERY_LOG);
    opts.after = before;
    assert_int_equal(ulv_watch_open(system, &opts, &again, NULL), ULV_OK);
    for (uint32_t i = 1; i <= 3; i++) {
        next(system, again, &event);
        assert_int_equal(event.change.revision, before + i);
    }
    ulv_watch_close(all);
    ulv_watch_close(NULL);
    small_system_end(system, &t); /* closes the others */
}

/* Through the copy that the command partition keeps, too: now, and again. */
static void
test_system_watch__by_label(void **state)
{
    struct ulv_test_host t;
    ulv_system *system = small_system(&t);
    struct ulv_watch_opts opts = ULV_WATCH_OPTS_INIT;
    struct ulv_watch_event event = ULV_WATCH_EVENT_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_watch *watch[3];
    ulv_transaction *transaction;
    uint64_t before;
    ulv_id web;

    (void)state;
    opts.label = "tier";
    assert_int_equal(ulv_watch_open(system, &opts, &watch[0], NULL), ULV_OK);
    opts.label_value = "web";
    assert_int_equal(ulv_watch_open(system, &opts, &watch[1], NULL), ULV_OK);
    opts.label_value = "db";
    assert_int_equal(ulv_watch_open(system, &opts, &watch[2], NULL), ULV_OK);
    (void)make(system, "mail"); /* has none */
    web = make(system, "web");
    before = ulv_system_revision(system);
    transaction = ulv_transaction_begin(system);
    ulv_transaction_label(transaction, web, "tier", "web");
    assert_int_equal(ulv_transaction_commit(transaction, NULL), ULV_OK);
    destroy(system, web);
    opts.label_value = "web";
    opts.after = before;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 2; i++) {
            next(system, watch[i], &event);
            assert_int_equal(event.change.kind, ULV_QUERY_LABELS);
            assert_int_equal(event.change.change, ULV_CHANGE_MADE);
            assert_int_equal(event.sequence, 1);
            for (uint32_t gone = 0; gone < 3; gone++) {
                next(system, watch[i], &event);
                assert_int_equal(event.change.change, ULV_CHANGE_REMOVED);
                assert_int_equal(event.change.revision, before + 2);
            }
            no_next(system, watch[i]);
            ulv_watch_close(watch[i]);
            assert_int_equal(ulv_watch_open(system, &opts, &watch[i], NULL),
                             ULV_OK);
        }
        no_next(system, watch[2]);
    }
    opts.label = NULL;
    assert_int_equal(ulv_watch_open(system, &opts, &watch[0], &diag),
                     ULV_E_ARG);
    assert_non_null(strstr(diag.text, "not its key"));
    opts.label = "a key of 16 byte";
    assert_int_equal(ulv_watch_open(system, &opts, &watch[0], &diag),
                     ULV_E_ARG);
    assert_int_equal(diag.bound, 15);
    small_system_end(system, &t);
}

static void
test_system_watch__says_what_it_cannot(void **state)
{
    struct ulv_test_host t;
    ulv_system *system = small_system(&t);
    struct ulv_watch_opts opts = ULV_WATCH_OPTS_INIT;
    struct ulv_watch_event event = ULV_WATCH_EVENT_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_watch *watch, *first = NULL;
    ulv_id command;

    (void)state;
    opts.after = 1000000;
    assert_int_equal(ulv_watch_open(system, &opts, &watch, &diag), ULV_E_ARG);
    assert_int_equal(diag.value, 1000000);
    assert_null(watch);
    opts.after = ULV_WATCH_FROM_NOW;
    opts.size--;
    assert_int_equal(ulv_watch_open(system, &opts, &watch, &diag), ULV_E_ARG);
    opts.size++;
    for (uint32_t i = 0; i < ULV_WATCHES_MAX; i++) {
        assert_int_equal(ulv_watch_open(system, &opts, &watch, &diag), ULV_OK);
        first = i == 0 ? watch : first;
    }
    assert_int_equal(ulv_watch_open(system, &opts, &watch, &diag),
                     ULV_E_LIMIT);
    assert_int_equal(diag.bound, ULV_WATCHES_MAX);
    ulv_watch_close(first); /* makes room */
    assert_int_equal(ulv_watch_open(system, &opts, &watch, &diag), ULV_OK);
    event.size--;
    assert_int_equal(ulv_watch_next(watch, &event), ULV_E_ARG);
    event.size++;
    assert_int_equal(ulv_system_find(system, "command", &command), ULV_OK);
    assert_int_equal(ulv_system_kill(system, command, NULL), ULV_OK);
    assert_int_equal(ulv_watch_next(watch, &event), ULV_E_PEER_GONE);
    small_system_end(system, &t);
}

/* Partitions, in one transaction made, in another destroyed. */
static void
make_many(ulv_system *system)
{
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id id[60];
    char name[3] = "aa";

    for (uint32_t i = 0; i < ULV_COUNT_OF(id); i++) {
        name[0] = (char)('a' + i / 10);
        name[1] = (char)('a' + i % 10);
        id[i] = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    }
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    t = ulv_transaction_begin(system);
    for (uint32_t i = 0; i < ULV_COUNT_OF(id); i++)
        ulv_transaction_destroy(t, id[i]);
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
}

/* Nobody listens; then all is there, or said to be lost, without a gap. */
static void
catch_up(ulv_system *system, ulv_watch *watch, uint64_t from, bool may_lose)
{
    const uint64_t newest = ulv_system_revision(system);
    struct ulv_watch_event event = ULV_WATCH_EVENT_INIT;
    uint64_t sequence = 0, revision = from;

    while (revision < newest || event.more) {
        bool more = event.more != 0;

        next(system, watch, &event);
        assert_int_equal(event.sequence, ++sequence);
        if (event.change.change == ULV_CHANGE_LOST)
            assert_true(may_lose && event.change.revision > revision);
        else
            assert_int_equal(event.change.revision, revision + (more ? 0 : 1));
        revision = event.change.revision;
    }
    assert_int_equal(revision, newest);
    no_next(system, watch);
}

static void
test_system_watch__waits_for_who_is_slow(void **state)
{
    struct ulv_test_host t;
    ulv_system *system = small_system(&t);
    ulv_watch *watch, *late;
    uint64_t from;

    (void)state;
    assert_int_equal(ulv_watch_open(system, NULL, &watch, NULL), ULV_OK);
    destroy(system, make(system, "first"));
    from = ulv_system_revision(system) - 2;
    assert_int_equal(ulv_watch_open(system, NULL, &late, NULL), ULV_OK);
    for (uint32_t i = 0; i < 20; i++) /* some 2400 changes */
        make_many(system);
    catch_up(system, watch, from, false);
    catch_up(system, late, from + 2, false);
    small_system_end(system, &t);
}

static void
test_system_watch__says_what_is_lost(void **state)
{
    struct ulv_test_host t;
    ulv_system *system = small_system(&t);
    struct ulv_watch_opts opts = ULV_WATCH_OPTS_INIT;
    ulv_watch *watch;
    uint64_t from;

    (void)state;
    destroy(system, make(system, "first"));
    opts.after = from = ulv_system_revision(system);
    assert_int_equal(ulv_watch_open(system, &opts, &watch, NULL), ULV_OK);
    for (uint32_t i = 0; i < 5 * ULV_CHANGES_COUNT / (2 * 120); i++)
        make_many(system);
    catch_up(system, watch, from, true);
    small_system_end(system, &t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_watch__hears_what_was_asked_for),
        cmocka_unit_test(test_system_watch__by_label),
        cmocka_unit_test(test_system_watch__says_what_it_cannot),
        cmocka_unit_test(test_system_watch__waits_for_who_is_slow),
        cmocka_unit_test(test_system_watch__by_label),
        cmocka_unit_test(test_system_watch__says_what_is_lost),
    };

    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
