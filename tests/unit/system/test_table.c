/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A table shared with a guest, and by two guests: table.c says what they do.
 * Arguments: launcher, ultravisor-role, table.elf.
 */
#include "process_system.h"

#include <ultravisor/ultravisor.h>

#define ENTRIES UINT32_C(8)
#define LAST    UINT64_C(1000)
#define OVER    9u

struct number {
    uint64_t n, again;
};

static const char *launcher, *role_program, *image_path;
static const struct ulv_guid type_table = { "table" };

/* ---- the program leads --------------------------------------------------- */

struct table {
    ulv_system *system;
    ulv_channel *channel;
    struct ulv_table_writer mine;
    struct ulv_table_reader other;
};

static void
ring(struct table *t)
{
    if (ulv_table_is_awaited(&t->other))
        ulv_channel_ring(t->channel);
}

static bool
is_there(struct table *t, uint64_t n)
{
    struct number number = { 0, 0 };

    if (ulv_table_refresh(&t->other, NULL) != ULV_OK ||
        ulv_table_read(&t->other, (uint32_t)(n % ENTRIES), &number,
                       sizeof(number), NULL) != ULV_OK)
        return false;
    assert_int_equal(number.n, number.again);
    return number.n == n;
}

static void
await(struct table *t, uint64_t n)
{
    while (!is_there(t, n)) {
        ulv_table_await(&t->mine, true);
        if (!is_there(t, n))
            assert_int_equal(ulv_system_step(t->system, ULV_FOREVER), ULV_OK);
        ulv_table_await(&t->mine, false);
    }
}

static void
lead(struct table *t)
{
    for (uint64_t n = 1; n <= LAST; n++) {
        const struct number number = { n, n };

        assert_int_equal(
            ulv_table_put(&t->mine, (uint32_t)(n % ENTRIES), &number),
            ULV_OK);
        ring(t);
        await(t, n);
    }
    ulv_table_set_state(&t->mine, OVER);
    ring(t);
}

static void
with_a_guest(uint32_t placement)
{
    struct table table = {
        .system = process_system(launcher, role_program, placement) };
    ulv_transaction *t = ulv_transaction_begin(table.system);
    ulv_id guest = add_guest(t, "follower");
    ulv_id id = ulv_transaction_connect(t, guest, ULV_SELF, &type_table);
    uint64_t bytes;
    void *section;

    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    assert_int_equal(
        ulv_channel_open(table.system, id, &table.channel, NULL), ULV_OK);
    section = ulv_channel_section(table.channel, true, &bytes);
    assert_int_equal(ulv_table_take(&table.mine, section, bytes, ENTRIES,
                                    sizeof(struct number)),
                     ULV_OK);
    section = ulv_channel_section(table.channel, false, &bytes);
    ulv_table_reader_init(&table.other, section, bytes);
    start_guest(table.system, guest, image_path);
    lead(&table);
    ends_with(table.system, guest, 0);

    t = ulv_transaction_begin(table.system);
    ulv_transaction_revoke(t, id);
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    while (ulv_channel_section(table.channel, true, &bytes) != NULL)
        assert_int_equal(ulv_system_step(table.system, ULV_FOREVER), ULV_OK);
    assert_int_equal(bytes, 0);
    ulv_channel_ring(table.channel);
    ulv_channel_close(table.channel);
    ulv_system_destroy(table.system);
}

static void
test_system_table__with_a_guest_in_process(void **state)
{
    (void)state;
    with_a_guest(ULV_PLACEMENT_IN_PROCESS);
}

static void
test_system_table__with_a_guest_in_processes(void **state)
{
    (void)state;
    with_a_guest(ULV_PLACEMENT_PROCESSES);
}

static void
test_system_table__between_two_guests(void **state)
{
    ulv_system *system =
        process_system(launcher, role_program, ULV_PLACEMENT_IN_PROCESS);
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id leader = add_guest(t, "leader");
    ulv_id follower = add_guest(t, "follower");

    (void)state;
    ulv_transaction_connect(t, follower, leader, &type_table);
    assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    start_guest(system, leader, image_path);
    start_guest(system, follower, image_path);
    ends_with(system, leader, 0);
    ends_with(system, follower, 0);
    ulv_system_destroy(system);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_table__with_a_guest_in_process),
        cmocka_unit_test(test_system_table__with_a_guest_in_processes),
        cmocka_unit_test(test_system_table__between_two_guests),
    };

    if (argc != 4)
        return 1;
    launcher = argv[1];
    role_program = argv[2];
    image_path = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
