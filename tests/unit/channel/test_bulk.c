/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Pieces of a bulk area: the account of the own half, records of both ends, and
 * what a hostile peer can write into one. */
#include "../port/port_test.h"

#include <stdlib.h>

#include <ultravisor/abi/channel.h>
#include <ultravisor/bulk.h>

#include "base/base.h"

#define PAGE  UINT64_C(4096)
#define PAGES UINT64_C(200) /* of a half */
#define AREA  (2 * PAGES * PAGE)

struct fixture {
    uint8_t *area;
    uint64_t account[2][4];
    struct ulv_bulk end[2];
};

static void
begin(struct fixture *f)
{
    f->area = calloc(1, AREA);
    assert_non_null(f->area);
    assert_int_equal(ulv_bulk_account_bytes(AREA), sizeof(f->account[0]));
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(ulv_bulk_init(&f->end[i], f->area, AREA, i,
                                       f->account[i]),
                         ULV_OK);
}

static void
takes(struct ulv_bulk *bulk, uint64_t bytes, struct ulv_bulk_list *ret)
{
    assert_int_equal(ulv_bulk_take(bulk, bytes, ret), ULV_OK);
    assert_int_equal(ret->bytes, bytes);
}

static void
gives_back(struct ulv_bulk *bulk, const struct ulv_bulk_list *list)
{
    assert_int_equal(ulv_bulk_give_back(bulk, list), ULV_OK);
}

/* So many free pages: only each that is a multiple of step stays free. */
static void
fragment(struct ulv_bulk *bulk, uint64_t step, uint64_t count)
{
    struct ulv_bulk_list page[PAGES];

    for (uint64_t i = 0; i < count; i++)
        takes(bulk, PAGE, &page[i]);
    for (uint64_t i = 0; i < count; i += step)
        gives_back(bulk, &page[i]);
}

/* ---- the account --------------------------------------------------------- */

static void
test_channel_bulk__takes_and_gives_back(void **state)
{
    struct fixture f;
    struct ulv_bulk_list all, none;

    (void)state;
    begin(&f);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(ulv_bulk_free_bytes(&f.end[i]), PAGES * PAGE);
        takes(&f.end[i], PAGES * PAGE - 1, &all);
        assert_int_equal(all.count, 1);
        assert_int_equal(all.piece[0].offset, i * PAGES * PAGE);
        assert_int_equal(all.piece[0].bytes, PAGES * PAGE - 1);
        assert_int_equal(ulv_bulk_free_bytes(&f.end[i]), 0);
        assert_int_equal(ulv_bulk_take(&f.end[i], 1, &none), ULV_E_FULL);
        gives_back(&f.end[i], &all);
        assert_int_equal(ulv_bulk_free_bytes(&f.end[i]), PAGES * PAGE);
    }
    free(f.area);
}

static void
test_channel_bulk__gathers_fragments(void **state)
{
    struct fixture f;
    struct ulv_bulk_list list, quarter[4];

    (void)state;
    begin(&f);
    fragment(&f.end[1], 2, PAGES);
    takes(&f.end[1], 63 * PAGE + 1, &list);
    assert_int_equal(list.count, 64);
    assert_int_equal(list.piece[63].bytes, 1);
    for (uint32_t i = 1; i < 64; i++)
        assert_int_equal(list.piece[i].offset,
                         list.piece[i - 1].offset + 2 * PAGE);
    gives_back(&f.end[1], &list);
    assert_int_equal(ulv_bulk_take(&f.end[1], 65 * PAGE, &list), ULV_E_FULL);
    assert_int_equal(list.count, 0);
    assert_int_equal(ulv_bulk_free_bytes(&f.end[1]), PAGES / 2 * PAGE);
    free(f.area);

    /* large ones before small ones, wherever they lie */
    begin(&f);
    for (uint32_t i = 0; i < 4; i++)
        takes(&f.end[0], PAGES / 4 * PAGE, &quarter[i]);
    gives_back(&f.end[0], &quarter[0]);
    fragment(&f.end[0], 2, PAGES / 4);
    gives_back(&f.end[0], &quarter[2]);
    takes(&f.end[0], (PAGES / 4 + 1) * PAGE, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.piece[0].offset + list.piece[1].offset,
                     quarter[2].piece[0].offset);
    free(f.area);
}

static void
test_channel_bulk__refuses(void **state)
{
    struct fixture f;
    struct ulv_bulk_list list, other;
    struct ulv_bulk small;

    (void)state;
    begin(&f);
    assert_int_equal(ulv_bulk_init(&small, f.area, AREA, 2, f.account[0]),
                     ULV_E_ARG);
    assert_int_equal(ulv_bulk_account_bytes(2 * PAGE - 1), 0);
    assert_int_equal(ulv_bulk_init(&small, f.area, 2 * PAGE - 1, 0, NULL),
                     ULV_OK);
    assert_int_equal(ulv_bulk_take(&small, 1, &list), ULV_E_LIMIT);
    assert_int_equal(ulv_bulk_take(&f.end[0], 0, &list), ULV_E_ARG);
    assert_int_equal(ulv_bulk_take(&f.end[0], PAGES * PAGE + 1, &list),
                     ULV_E_LIMIT);
    assert_int_equal(ulv_bulk_take(&f.end[0], UINT64_MAX, &list),
                     ULV_E_LIMIT);
    takes(&f.end[0], PAGE, &other);
    assert_int_equal(ulv_bulk_take(&f.end[0], PAGES * PAGE, &list),
                     ULV_E_FULL);
    free(f.area);
}

static void
refused_back(struct ulv_bulk *bulk, struct ulv_bulk_list list, uint32_t idx,
             uint64_t offset, uint64_t bytes)
{
    uint64_t before = ulv_bulk_free_bytes(bulk);

    list.piece[idx].offset = offset;
    list.piece[idx].bytes = bytes;
    assert_int_equal(ulv_bulk_give_back(bulk, &list), ULV_E_ARG);
    assert_int_equal(ulv_bulk_free_bytes(bulk), before);
}

static void
test_channel_bulk__gives_back_what_was_taken_only(void **state)
{
    struct fixture f;
    struct ulv_bulk *bulk = &f.end[1];
    struct ulv_bulk_list list;
    const uint64_t half = PAGES * PAGE;

    (void)state;
    begin(&f);
    fragment(bulk, 2, PAGES);
    takes(bulk, 2 * PAGE, &list);
    refused_back(bulk, list, 1, list.piece[0].offset, PAGE); /* twice */
    refused_back(bulk, list, 1, list.piece[1].offset, 0);
    refused_back(bulk, list, 1, list.piece[1].offset + 8, PAGE - 8);
    refused_back(bulk, list, 1, 0, PAGE); /* the peer's */
    refused_back(bulk, list, 1, half - PAGE, 2 * PAGE);
    refused_back(bulk, list, 1, 2 * half - PAGE, 2 * PAGE);
    refused_back(bulk, list, 1, 2 * half, PAGE);
    refused_back(bulk, list, 1, 0 - PAGE, 2 * PAGE);
    refused_back(bulk, list, 1, half, UINT64_MAX);
    refused_back(bulk, list, 1, half + 4 * PAGE, PAGE); /* free */
    list.count = ULV_BULK_PIECES_MAX + 1;
    assert_int_equal(ulv_bulk_give_back(bulk, &list), ULV_E_ARG);
    list.count = 2;
    gives_back(bulk, &list);
    assert_int_equal(ulv_bulk_give_back(bulk, &list), ULV_E_ARG);
    free(f.area);
}

/* Beside a byte a page: no page is handed out twice, none is lost. */
static void
test_channel_bulk__random(void **state)
{
    enum { LISTS = 24 };
    struct fixture f;
    struct ulv_bulk_list list[LISTS];
    bool used[LISTS] = { false };
    uint8_t taken[PAGES] = { 0 };
    uint64_t free_pages = PAGES, gathered = 0;

    (void)state;
    begin(&f);
    srandom(7);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t at = (uint32_t)random() % LISTS;
        struct ulv_bulk_list *l = &list[at];
        uint64_t bytes = (uint64_t)random() % (20 * PAGE) + 1;
        uint64_t pages = (bytes + PAGE - 1) / PAGE;
        ulv_status status;

        if (used[at]) {
            gives_back(&f.end[1], l);
        } else {
            status = ulv_bulk_take(&f.end[1], bytes, l);
            assert_int_equal(status, pages > free_pages ? ULV_E_FULL : ULV_OK);
            if (status != ULV_OK)
                continue;
            gathered += l->count > 1;
        }
        for (uint32_t i = 0; i < l->count; i++) {
            uint64_t first = l->piece[i].offset / PAGE - PAGES;
            uint64_t count = (l->piece[i].bytes + PAGE - 1) / PAGE;

            assert_true(i == l->count - 1 || l->piece[i].bytes % PAGE == 0);
            for (uint64_t page = first; page < first + count; page++) {
                assert_int_equal(taken[page], used[at]);
                taken[page] = !used[at];
            }
            free_pages += used[at] ? count : 0 - count;
        }
        used[at] = !used[at];
        assert_int_equal(ulv_bulk_free_bytes(&f.end[1]), free_pages * PAGE);
    }
    assert_true(gathered > 100);
    free(f.area);
}

/* ---- records ------------------------------------------------------------- */

#define ROOM (sizeof(struct ulv_bulk_head) + 65 * sizeof(struct ulv_bulk_piece))

static void
test_channel_bulk__the_peer_reads_and_writes(void **state)
{
    struct fixture f;
    struct ulv_bulk_list mine, theirs;
    struct ulv_bytes message;
    uint8_t payload[ROOM], data[5 * PAGE], found[5 * PAGE];
    size_t bytes;

    (void)state;
    begin(&f);
    fragment(&f.end[0], 3, PAGES);
    takes(&f.end[0], 4 * PAGE + 100, &mine);
    assert_int_equal(mine.count, 5);
    for (size_t i = 0; i < mine.bytes; i++)
        data[i] = (uint8_t)random();
    assert_int_equal(ulv_bulk_write(&f.end[0], &mine, 0, data, mine.bytes),
                     ULV_OK);
    bytes = ulv_bulk_record_bytes(&mine);
    assert_int_equal(bytes, 16 + 5 * 16);
    memcpy(payload + bytes, "message", 7);
    assert_int_equal(ulv_bulk_put(&mine, 77, 0, payload, bytes - 1),
                     ULV_E_LIMIT);
    assert_int_equal(ulv_bulk_put(&mine, 77, 2, payload, bytes), ULV_E_ARG);
    assert_int_equal(ulv_bulk_put(&mine, 77, 0, payload, bytes + 7), ULV_OK);
    assert_int_equal(
        ulv_bulk_get(&f.end[1], payload, bytes + 7, &theirs, &message),
        ULV_OK);
    assert_int_equal(theirs.id, 77);
    assert_int_equal(theirs.bytes, mine.bytes);
    assert_int_equal(message.len, 7);
    assert_memory_equal(message.p, "message", 7);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t at = (uint64_t)random() % (mine.bytes + 1);
        size_t len = (size_t)random() % (mine.bytes - at + 1);

        assert_int_equal(ulv_bulk_read(&f.end[1], &theirs, at, found, len),
                         ULV_OK);
        assert_memory_equal(found, data + at, len);
    }
    assert_int_equal(
        ulv_bulk_read(&f.end[1], &theirs, 1, found, mine.bytes), ULV_E_LIMIT);
    assert_ptr_equal(ulv_bulk_at(&f.end[1], &theirs, 4),
                     f.area + mine.piece[4].offset);
    assert_int_equal(ulv_bulk_write(&f.end[1], &theirs, 0, data, 1),
                     ULV_E_DENIED);

    assert_int_equal(
        ulv_bulk_put(&mine, 78, ULV_BULK_WRITABLE, payload, bytes), ULV_OK);
    assert_int_equal(ulv_bulk_get(&f.end[1], payload, bytes, &theirs, NULL),
                     ULV_OK);
    for (size_t i = 0; i < 3000; i++)
        data[i + 3000] = (uint8_t)~data[i + 3000];
    assert_int_equal(
        ulv_bulk_write(&f.end[1], &theirs, 3000, data + 3000, 3000), ULV_OK);
    assert_int_equal(
        ulv_bulk_write(&f.end[1], &theirs, mine.bytes, data, 1), ULV_E_LIMIT);
    assert_int_equal(ulv_bulk_read(&f.end[0], &mine, 0, found, mine.bytes),
                     ULV_OK);
    assert_memory_equal(found, data, mine.bytes);
    free(f.area);
}

static void
gets(const struct fixture *f, const uint8_t *payload, size_t bytes,
     ulv_status expected)
{
    struct ulv_bulk_list list;
    uint8_t *exact = malloc(bytes + 1); /* the sanitizer sees what is behind */

    assert_non_null(exact);
    memcpy(exact, payload, bytes);
    assert_int_equal(ulv_bulk_get(&f->end[1], exact, bytes, &list, NULL),
                     expected);
    assert_true(expected == ULV_OK || (list.count == 0 && list.bytes == 0));
    free(exact);
}

static void
test_channel_bulk__a_hostile_peer(void **state)
{
    const uint64_t half = PAGES * PAGE;
    const struct {
        uint64_t offset, bytes;
        ulv_status expected;
    } piece[] = {
        { 0, half, ULV_OK },
        { 1, 1, ULV_OK }, /* pages are the sender's own matter */
        { half - 1, 1, ULV_OK },
        { 0, 0, ULV_E_PEER_PROTOCOL },
        { 0, half + 1, ULV_E_PEER_PROTOCOL },
        { half - 1, 2, ULV_E_PEER_PROTOCOL },
        { half, 1, ULV_E_PEER_PROTOCOL }, /* what is the receiver's */
        { 2 * half, 1, ULV_E_PEER_PROTOCOL },
        { UINT64_MAX, 2, ULV_E_PEER_PROTOCOL },
        { 1, UINT64_MAX, ULV_E_PEER_PROTOCOL },
    };
    uint8_t payload[ROOM] = { 0 };
    struct ulv_bulk_head head = { .id = 1 };
    struct ulv_bulk_list list;
    struct fixture f;

    (void)state;
    begin(&f);
    for (uint32_t i = 0; i < ULV_COUNT_OF(piece); i++) {
        head.count = 1;
        memcpy(payload, &head, 16);
        memcpy(payload + 16, &piece[i].offset, 8);
        memcpy(payload + 24, &piece[i].bytes, 8);
        gets(&f, payload, 32, piece[i].expected);
        gets(&f, payload, 31, ULV_E_PEER_LENGTH);
    }
    gets(&f, payload, 15, ULV_E_PEER_LENGTH);
    gets(&f, payload, 0, ULV_E_PEER_LENGTH);
    head.count = 65;
    memcpy(payload, &head, 16);
    gets(&f, payload, sizeof(payload), ULV_E_PEER_PROTOCOL);
    head.count = UINT32_MAX;
    memcpy(payload, &head, 16);
    gets(&f, payload, sizeof(payload), ULV_E_PEER_PROTOCOL);
    head.count = 0;
    head.flags = 2;
    memcpy(payload, &head, 16);
    gets(&f, payload, 16, ULV_E_PEER_PROTOCOL);
    head.flags = 0;
    memcpy(payload, &head, 16);
    gets(&f, payload, 16, ULV_OK);
    /* the server's half is the first one, the client's the second */
    head.count = 1;
    memcpy(payload, &head, 16);
    memcpy(payload + 16, &half, 8);
    memcpy(payload + 24, &half, 8);
    assert_int_equal(ulv_bulk_get(&f.end[0], payload, 32, &list, NULL),
                     ULV_OK);
    free(f.area);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_bulk__takes_and_gives_back),
        cmocka_unit_test(test_channel_bulk__gathers_fragments),
        cmocka_unit_test(test_channel_bulk__refuses),
        cmocka_unit_test(test_channel_bulk__gives_back_what_was_taken_only),
        cmocka_unit_test(test_channel_bulk__random),
        cmocka_unit_test(test_channel_bulk__the_peer_reads_and_writes),
        cmocka_unit_test(test_channel_bulk__a_hostile_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
