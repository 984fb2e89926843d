/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Where a guest's memory lies in KVM's, beside a model of each page; and how
 * large slots are. */
#include "../unit/port/port_test.h"

#include <stdlib.h>

#include "backend/kvm/chunks.h"
#include "base/base.h"

#define PAGE    UINT64_C(4096)
#define LOW     UINT64_C(0x400000)
#define REGIONS 64u

static uint64_t seed = 1;

static uint64_t
random_below(uint64_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % bound;
}

struct region {
    uint64_t guest, bytes;
};

static bool
is_free(const struct region *region, uint64_t guest, uint64_t bytes)
{
    for (uint32_t i = 0; i < REGIONS; i++) {
        if (region[i].bytes != 0 &&
            ulv_ranges_overlap(region[i].guest, region[i].bytes, guest, bytes))
            return false;
    }
    return true;
}

/* Each lies where no other does, at the same place in a large page. */
static void
each_page(const struct chunks *c, const struct region *r, uint8_t *owner,
          uint8_t number)
{
    for (uint64_t at = 0; at < r->bytes;) {
        uint64_t physical;
        uint64_t run = ulv_kvm_chunks_run(c, r->guest + at, r->bytes - at,
                                          &physical);

        assert_true(run != 0 && run <= r->bytes - at && run % PAGE == 0);
        assert_int_equal(physical % CHUNK, (r->guest + at) % CHUNK);
        assert_true(physical >= LOW && physical + run <= ADDRESS_MAX);
        for (uint64_t i = 0; i < run; i += PAGE, at += PAGE, physical += PAGE) {
            assert_int_equal(owner[physical / PAGE], 0);
            owner[physical / PAGE] = number;
        }
    }
}

/* No page lies where another does, in any order of coming and going. */
static void
test_chunks__no_two_pages_share_a_place(void **state)
{
    struct region region[REGIONS] = { { 0 } };
    struct chunks *c = calloc(1, sizeof(*c));
    uint8_t *owner = malloc(ADDRESS_MAX / PAGE);
    uint64_t highest = 0;

    (void)state;
    assert_non_null(c);
    assert_non_null(owner);
    ulv_kvm_chunks_init(c, LOW);
    for (uint32_t turn = 0; turn < 400; turn++) {
        struct region *r = &region[random_below(REGIONS)];

        if (r->bytes != 0) {
            ulv_kvm_chunks_give(c, r->guest, r->bytes);
            r->bytes = 0;
        } else {
            uint64_t bytes =
                (1 + random_below(turn % 2 == 0 ? 8 : 4000)) * PAGE;
            uint64_t guest =
                LOW + random_below(turn % 3 == 0 ? 2000 : 0xf00000) * PAGE;
            uint64_t end;

            if (!is_free(region, guest, bytes))
                continue;
            end = ulv_kvm_chunks_take(c, guest, bytes);
            highest = ULV_MAX(highest, end);
            *r = (struct region){ guest, bytes };
        }
        memset(owner, 0, highest / PAGE);
        for (uint32_t i = 0; i < REGIONS; i++)
            each_page(c, &region[i], owner, (uint8_t)(i + 1));
    }
    for (uint32_t i = 0; i < REGIONS; i++) {
        if (region[i].bytes != 0)
            ulv_kvm_chunks_give(c, region[i].guest, region[i].bytes);
    }
    assert_int_equal(c->lowest, LOW / CHUNK);
    for (uint32_t i = 0; i < CHUNKS; i++)
        assert_int_equal(c->at[i].place | c->at[i].regions, 0);
    /* at most as many places as were used at a time: 64 of 9 chunks */
    assert_true(highest <= LOW + REGIONS * 9 * CHUNK);
    free(owner);
    free(c);
}

/* All that a guest can have, at once; from both ends. */
static void
test_chunks__the_whole_address_space(void **state)
{
    struct chunks *c = calloc(1, sizeof(*c));
    uint64_t physical;

    (void)state;
    assert_non_null(c);
    ulv_kvm_chunks_init(c, LOW);
    assert_int_equal(ulv_kvm_chunks_take(c, ADDRESS_MAX - PAGE, PAGE),
                     LOW + CHUNK);
    assert_int_equal(ulv_kvm_chunks_take(c, LOW, ADDRESS_MAX - LOW - PAGE),
                     ADDRESS_MAX);
    assert_int_equal(
        ulv_kvm_chunks_run(c, LOW, ADDRESS_MAX - LOW - CHUNK, &physical),
        ADDRESS_MAX - LOW - CHUNK);
    assert_int_equal(physical, LOW + CHUNK);
    assert_int_equal(
        ulv_kvm_chunks_run(c, ADDRESS_MAX - CHUNK, CHUNK, &physical), CHUNK);
    assert_int_equal(physical, LOW);
    free(c);
}

/* One or two for what is there at the start; few, however it grows. */
static void
test_chunks__slots(void **state)
{
    static const struct {
        uint64_t start, end, bytes;
    } rows[] = {
        { 0, LOW, SLOT_MIN },
        { SLOT_MIN, SLOT_MIN + 1, SLOT_MIN },
        { SLOT_MIN, LOW + ULV_GIB(1), ULV_GIB(1) },
        { SLOT_MIN, ULV_GIB(9), SLOT_MAX },
        { ULV_GIB(1), ULV_GIB(1) + 1, ULV_GIB(1) },
        { ULV_GIB(8), ULV_GIB(8) + 1, SLOT_MAX },
    };
    uint32_t count = 0;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++)
        assert_int_equal(ulv_kvm_slot_bytes(rows[i].start, rows[i].end),
                         rows[i].bytes);
    for (uint64_t end = 0; end < ADDRESS_MAX; count++) {
        uint64_t bytes = ulv_kvm_slot_bytes(end, end + 1);

        assert_true(bytes >= SLOT_MIN && bytes % CHUNK == 0);
        end += bytes;
    }
    assert_true(count <= SLOTS_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks__no_two_pages_share_a_place),
        cmocka_unit_test(test_chunks__the_whole_address_space),
        cmocka_unit_test(test_chunks__slots),
    };

    return cmocka_run_group_tests_name("chunks", tests, NULL, NULL);
}
