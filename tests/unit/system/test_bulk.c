/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pieces of a bulk area lent to a guest, and by a guest to another: bulk.c says
 * what they do. Arguments: launcher, ultravisor-role, bulk.elf.
 */
#include "process_system.h"

#include <stdlib.h>

#include <ultravisor/ultravisor.h>

#define FROM 1u
#define INTO 2u
#define DONE 3u
#define OVER 4u

#define BULK_BYTES ULV_MIB(1)
#define DATA_BYTES 300000u

static const char *launcher, *role_program, *image_path;
static const struct ulv_guid type_bulk = { "bulk" };

/* ---- the program leads --------------------------------------------------- */

struct lender {
    ulv_system *system;
    ulv_id guest, id;
    ulv_channel *channel;
    struct ulv_bulk bulk;
    void *account;
};

static void
begin(struct lender *l, uint32_t placement)
{
    ulv_transaction *t;
    uint64_t bytes;
    void *area;

    l->system = process_system(launcher, role_program, placement);
    t = ulv_transaction_begin(l->system);
    l->guest = add_guest(t, "borrower");
    l->id = ulv_transaction_connect_sized(t, l->guest, ULV_SELF, &type_bulk,
                                          4 * 4096, BULK_BYTES);
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    assert_int_equal(ulv_channel_open(l->system, l->id, &l->channel, NULL),
                     ULV_OK);
    area = ulv_channel_area(l->channel, &bytes);
    assert_non_null(area);
    assert_int_equal(bytes, BULK_BYTES);
    l->account = malloc(ulv_bulk_account_bytes(bytes));
    assert_int_equal(
        ulv_bulk_init(&l->bulk, area, bytes, ULV_END_SERVER, l->account),
        ULV_OK);
    start_guest(l->system, l->guest, image_path);
}

static void
end(struct lender *l)
{
    ulv_channel_close(l->channel);
    ulv_system_destroy(l->system);
    free(l->account);
}

static void
lend(struct lender *l, const struct ulv_bulk_list *list, uint32_t record,
     uint32_t flags)
{
    const size_t bytes = ulv_bulk_record_bytes(list);
    void *payload;

    assert_int_equal(
        ulv_channel_reserve(l->channel, record, bytes, &payload), ULV_OK);
    assert_int_equal(ulv_bulk_put(list, 5, flags, payload, bytes), ULV_OK);
    ulv_channel_submit(l->channel);
}

static void
wait_done(struct lender *l)
{
    struct ulv_bytes got;
    uint32_t record;
    uint64_t id = 5;

    assert_int_equal(
        ulv_channel_wait(l->channel, ULV_CHANNEL_DATA, 0, ULV_FOREVER),
        ULV_OK);
    assert_int_equal(ulv_channel_peek(l->channel, &record, &got), ULV_OK);
    assert_int_equal(record, DONE);
    assert_int_equal(got.len, sizeof(id));
    assert_memory_equal(got.p, &id, sizeof(id));
    ulv_channel_release(l->channel);
}

/* In many pieces: only every third page of the first 90 is free. */
static void
fragment(struct ulv_bulk *bulk, struct ulv_bulk_list page[90],
         struct ulv_bulk_list *rest)
{
    for (uint32_t i = 0; i < 90; i++)
        assert_int_equal(ulv_bulk_take(bulk, 4096, &page[i]), ULV_OK);
    assert_int_equal(ulv_bulk_take(bulk, ulv_bulk_free_bytes(bulk), rest),
                     ULV_OK);
    for (uint32_t i = 0; i < 90; i += 3)
        assert_int_equal(ulv_bulk_give_back(bulk, &page[i]), ULV_OK);
}

static void
with_a_guest(uint32_t placement)
{
    static uint8_t data[DATA_BYTES], found[DATA_BYTES];
    struct ulv_bulk_list page[90], rest, from, into;
    struct lender l;
    uint64_t bytes = 1;

    begin(&l, placement);
    fragment(&l.bulk, page, &rest);
    assert_int_equal(ulv_bulk_take(&l.bulk, 15 * 4096 - 9, &from), ULV_OK);
    assert_int_equal(ulv_bulk_take(&l.bulk, 15 * 4096 - 9, &into), ULV_OK);
    assert_int_equal(from.count, 15);
    for (size_t i = 0; i < from.bytes; i++)
        data[i] = (uint8_t)random();
    assert_int_equal(ulv_bulk_write(&l.bulk, &from, 0, data, from.bytes),
                     ULV_OK);
    for (uint32_t i = 0; i < 50; i++) {
        lend(&l, &from, FROM, 0);
        lend(&l, &into, INTO, ULV_BULK_WRITABLE);
        wait_done(&l);
        assert_int_equal(
            ulv_bulk_read(&l.bulk, &into, 0, found, into.bytes), ULV_OK);
        for (size_t j = 0; j < into.bytes; j++)
            assert_int_equal(found[j] ^ data[j], 0xff);
    }
    assert_int_equal(ulv_channel_send(l.channel, OVER, NULL, 0), ULV_OK);
    ends_with(l.system, l.guest, 0);
    /* what was lent comes back with whoever is gone */
    assert_int_equal(ulv_bulk_give_back(&l.bulk, &from), ULV_OK);
    assert_int_equal(ulv_bulk_give_back(&l.bulk, &into), ULV_OK);

    {
        ulv_transaction *t = ulv_transaction_begin(l.system);

        ulv_transaction_revoke(t, l.id);
        assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    }
    while (ulv_channel_area(l.channel, &bytes) != NULL)
        assert_int_equal(ulv_system_step(l.system, ULV_FOREVER), ULV_OK);
    assert_int_equal(bytes, 0);
    end(&l);
}

static void
test_system_bulk__with_a_guest_in_process(void **state)
{
    (void)state;
    with_a_guest(ULV_PLACEMENT_IN_PROCESS);
}

static void
test_system_bulk__with_a_guest_in_processes(void **state)
{
    (void)state;
    with_a_guest(ULV_PLACEMENT_PROCESSES);
}

/* The program names what is the guest's own, and what is nobody's. */
static void
test_system_bulk__a_hostile_program(void **state)
{
    const struct ulv_bulk_piece bad[] = { { BULK_BYTES / 2, 1 },
                                          { BULK_BYTES, 4096 },
                                          { 0, BULK_BYTES } };

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct ulv_bulk_list list = { .count = 1, .piece = { bad[i] } };
        struct lender l;

        begin(&l, ULV_PLACEMENT_IN_PROCESS);
        lend(&l, &list, FROM, 0);
        ends_with(l.system, l.guest, 7);
        assert_int_equal(ulv_channel_peer(l.channel), ULV_END_FAILED);
        end(&l);
    }
}

static void
test_system_bulk__between_two_guests(void **state)
{
    ulv_system *system =
        process_system(launcher, role_program, ULV_PLACEMENT_IN_PROCESS);
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id leader = add_guest(t, "leader");
    ulv_id follower = add_guest(t, "follower");

    (void)state;
    ulv_transaction_connect_sized(t, follower, leader, &type_bulk,
                                  ULV_MIB(16), ULV_BULK_BYTES_MAX);
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    start_guest(system, leader, image_path);
    start_guest(system, follower, image_path);
    ends_with(system, leader, 0);
    ends_with(system, follower, 0);
    ulv_system_destroy(system);
}

/* ---- sizes --------------------------------------------------------------- */

static ulv_status
connects(ulv_system *system, uint64_t ring_bytes, uint64_t bulk_bytes,
         struct ulv_diag *diag)
{
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id guest = add_guest(t, "guest");

    ulv_transaction_connect_sized(t, guest, ULV_SELF, &type_bulk, ring_bytes,
                                  bulk_bytes);
    return ulv_transaction_commit(t, diag);
}

static void
test_system_bulk__sizes_that_cannot_be(void **state)
{
    ulv_system *system =
        process_system(launcher, role_program, ULV_PLACEMENT_IN_PROCESS);
    struct ulv_diag diag;

    (void)state;
    assert_int_equal(connects(system, 4096, 4095, &diag), ULV_E_ARG);
    assert_int_equal(diag.value, 4095);
    assert_int_equal(diag.bound, ULV_BULK_BYTES_MAX);
    assert_int_equal(
        connects(system, 4096, ULV_BULK_BYTES_MAX + 4096, &diag), ULV_E_ARG);
    assert_int_equal(connects(system, 4096, UINT64_MAX, &diag), ULV_E_ARG);
    assert_int_equal(connects(system, 2048, 0, &diag), ULV_E_ARG);
    assert_int_equal(connects(system, 12288, 0, &diag), ULV_E_ARG);
    assert_int_equal(connects(system, ULV_MIB(32), 0, &diag), ULV_E_ARG);
    assert_int_equal(connects(system, ULV_MIB(1), 8192, &diag), ULV_OK);
    ulv_system_destroy(system);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_bulk__with_a_guest_in_process),
        cmocka_unit_test(test_system_bulk__with_a_guest_in_processes),
        cmocka_unit_test(test_system_bulk__a_hostile_program),
        cmocka_unit_test(test_system_bulk__between_two_guests),
        cmocka_unit_test(test_system_bulk__sizes_that_cannot_be),
    };

    if (argc != 4)
        return 1;
    launcher = argv[1];
    role_program = argv[2];
    image_path = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
