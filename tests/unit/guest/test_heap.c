/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The allocator of guests against a model: a list of what is out. */
#include "../port/port_test.h"

#include <stdlib.h>
#include <time.h>

#include "guest/heap.h"

#define AREA_BYTES 65536u
#define AREAS      4u
#define OUT_MAX    200u
#define ROUNDS     100000u

static uint64_t seed;

static uint64_t
next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

struct out {
    uint8_t *p;
    uint64_t bytes;
    uint8_t fill;
};

static uint8_t *area[AREAS];
static struct heap heap;

static int
set_up(void **state)
{
    (void)state;
    memset(&heap, 0, sizeof(heap));
    for (uint32_t i = 0; i < AREAS; i++) {
        area[i] = malloc(AREA_BYTES);
        if (area[i] == NULL)
            return -1;
    }
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < AREAS; i++)
        free(area[i]);
    return 0;
}

static void
add_all(void)
{
    for (uint32_t i = 0; i < AREAS; i++)
        /* odd starts and ends too */
        assert_true(heap_add(&heap, area[i] + i, AREA_BYTES - 3 * i, i + 1));
}

static bool
is_inside(const struct out *o)
{
    for (uint32_t i = 0; i < AREAS; i++)
        if (o->p >= area[i] && o->p + o->bytes <= area[i] + AREA_BYTES)
            return true;
    return false;
}

static void
take_one(struct out *o)
{
    uint64_t align = UINT64_C(1) << next() % 13;

    o->bytes = next() % 4 == 0 ? next() % 9000 : next() % 200;
    o->p = heap_alloc(&heap, o->bytes, align);
    if (o->p == NULL)
        return;
    assert_int_equal((uintptr_t)o->p % align, 0);
    assert_int_equal((uintptr_t)o->p % HEAP_ALIGN, 0);
    assert_true(is_inside(o));
    assert_int_equal(heap_size(&heap, o->p), o->bytes);
    o->fill = (uint8_t)next();
    memset(o->p, o->fill, o->bytes);
}

static void
give_one(struct out *o)
{
    struct heap_area *from;

    for (uint64_t i = 0; i < o->bytes; i++)
        assert_int_equal(o->p[i], o->fill); /* nobody else had it */
    assert_null(heap_free(&heap, o->p, &from));
    assert_int_equal(heap_size(&heap, o->p), 0);
    o->p = NULL;
}

static void
test_guest_heap__as_the_model(void **state)
{
    struct out out[OUT_MAX] = { 0 };
    struct guest_memory empty, m;
    uint64_t count = 0, bytes = 0;

    (void)state;
    seed = (uint64_t)time(NULL) | 1;
    print_message("# seed %llu\n", (unsigned long long)seed);
    add_all();
    heap_count(&heap, &empty);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct out *o = &out[next() % OUT_MAX];

        if (o->p != NULL)
            give_one(o);
        else
            take_one(o);
        if (i % 64 == 0)
            assert_null(heap_check(&heap));
    }
    for (uint32_t i = 0; i < OUT_MAX; i++) {
        count += out[i].p != NULL;
        bytes += out[i].p != NULL ? out[i].bytes : 0;
    }
    heap_count(&heap, &m);
    assert_int_equal(m.used_count, count);
    assert_true(m.used_bytes >= bytes);
    assert_int_equal(m.used_bytes + m.free_bytes, empty.free_bytes);
    assert_true(m.refused_count > 0);
    for (uint32_t i = 0; i < OUT_MAX; i++)
        if (out[i].p != NULL)
            give_one(&out[i]);
    heap_count(&heap, &m);
    /* all of it in one piece again */
    assert_int_equal(m.free_bytes, empty.free_bytes);
    assert_int_equal(m.largest_free_bytes, empty.largest_free_bytes);
    assert_int_equal(m.used_bytes, 0);
}

static void
test_guest_heap__what_is_wrong(void **state)
{
    struct heap_area *from;
    uint8_t *p, *q;

    (void)state;
    add_all();
    p = heap_alloc(&heap, 100, 1);
    q = heap_alloc(&heap, 100, 1);
    p[100] = 0; /* one byte too many */
    assert_string_equal(heap_free(&heap, p, &from),
                        "overrun: bytes beyond its end were written");
    assert_string_equal(heap_check(&heap),
                        "overrun: bytes beyond its end were written");
    p[100] = 0xc5;
    assert_null(heap_free(&heap, p, &from));
    assert_string_equal(heap_free(&heap, p, &from), "freed twice");
    assert_non_null(heap_free(&heap, q + 16, &from));
    assert_non_null(heap_free(&heap, q + 1, &from));
    assert_string_equal(heap_free(&heap, &seed, &from),
                        "not memory of the heap");
    assert_null(heap_free(&heap, q, &from));
    assert_non_null(heap_free(&heap, q, &from)); /* merged, and still twice */
    p = heap_alloc(&heap, 64, 1);
    p[-1] ^= 1;
    assert_non_null(heap_free(&heap, p, &from));
    assert_non_null(heap_check(&heap));
    p[-1] ^= 1;
    assert_null(heap_free(&heap, p, &from));
    assert_null(heap_check(&heap));
}

static void
test_guest_heap__what_cannot_be(void **state)
{
    (void)state;
    assert_null(heap_alloc(&heap, 1, 1)); /* no area */
    assert_false(heap_add(&heap, area[0], 64, 1));
    add_all();
    assert_null(heap_alloc(&heap, AREA_BYTES, 16));
    assert_null(heap_alloc(&heap, UINT64_MAX, 16));
    assert_null(heap_alloc(&heap, UINT64_MAX - 20, 16));
    assert_null(heap_alloc(&heap, 1, 3));
    assert_null(heap_alloc(&heap, 1, 0));
    assert_null(heap_alloc(&heap, 1, UINT64_C(1) << 63));
}

static void
test_guest_heap__areas_come_and_go(void **state)
{
    struct guest_memory m;
    struct heap_area *first, *from;
    void *p, *q;

    (void)state;
    assert_true(heap_add(&heap, area[0], AREA_BYTES, 1));
    first = heap.areas;
    p = heap_alloc(&heap, 1000, 16);
    heap_close(&heap, first);
    assert_null(heap_alloc(&heap, 16, 16));
    assert_true(heap_add(&heap, area[1], AREA_BYTES, 2));
    q = heap_alloc(&heap, 1000, 16);
    assert_true((uint8_t *)q >= area[1] && (uint8_t *)q < area[1] + AREA_BYTES);
    assert_null(heap_free(&heap, p, &from));
    assert_ptr_equal(from, first);
    assert_int_equal(from->used, 0);
    heap_remove(&heap, first);
    memset(area[0], 0xee, AREA_BYTES); /* another's now */
    assert_null(heap_check(&heap));
    assert_null(heap_free(&heap, q, &from));
    heap_remove(&heap, from);
    heap_count(&heap, &m);
    assert_int_equal(m.area_count, 0);
    assert_null(heap_alloc(&heap, 1, 1));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_guest_heap__as_the_model),
        CASE(test_guest_heap__what_is_wrong),
        CASE(test_guest_heap__what_cannot_be),
        CASE(test_guest_heap__areas_come_and_go),
    };

    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
