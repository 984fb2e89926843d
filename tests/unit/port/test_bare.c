/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The parts of the bare port that need no bare machine: what it believes of
 * loaders and firmware, its heap and its frames. They take physical for virtual
 * addresses, so buffers lie below 4 GiB here.
 */
#include "port_test.h"

#include <sys/mman.h>

#include "port/bare/bare_priv.h"

#define ROOM  ULV_MIB(16)
#define PAGES 64

static uint32_t lines;
static ulv_nsec clock_now;

/* what is left out: serial.c and clock.c */
ulv_nsec
bare_now(void *self)
{
    (void)self;
    return clock_now += 1000;
}

static void
count_line(void *self, uint32_t level, const char *text)
{
    (void)self;
    (void)level;
    (void)text;
    lines++;
}

static uint64_t
next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Room below 4 GiB, aligned to 2 MiB, zeroed; the same each time. */
static uint8_t *
room(void)
{
    static uint8_t *p;

    if (p == NULL) {
        p = mmap(NULL, ROOM + BARE_LARGE_PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        assert_ptr_not_equal(p, MAP_FAILED);
        p += ulv_round_up((uintptr_t)p, BARE_LARGE_PAGE) - (uintptr_t)p;
    }
    memset(p, 0, ROOM);
    return p;
}

static uint64_t
address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* ---- ranges -------------------------------------------------------------- */

static void
compare(const struct ulv_bare *b, const uint32_t *types)
{
    uint32_t page = 0;

    for (uint32_t i = 0; i < b->range_count; i++) {
        const struct ulv_bare_range *range = &b->ranges[i];

        for (; page < range->start / BARE_PAGE; page++)
            assert_int_equal(types[page], 0);
        assert_int_not_equal(range->bytes, 0);
        for (; page < (range->start + range->bytes) / BARE_PAGE; page++)
            assert_int_equal(types[page], range->type);
        /* neighbours of one type are one range */
        assert_false(i > 0 && range[-1].type == range->type &&
                     range[-1].start + range[-1].bytes == range->start);
    }
    for (; page < PAGES; page++)
        assert_int_equal(types[page], 0);
}

static void
test_port_bare__ranges_cover_one_another(void **state)
{
    uint64_t seed = 1;

    (void)state;
    print_message("# seed %u\n", (unsigned)seed);
    for (uint32_t round = 0; round < 200; round++) {
        struct ulv_bare b = {.range_count = 0};
        uint32_t types[PAGES] = {0};

        for (uint32_t n = 0; n < 40; n++) {
            uint64_t start = next_random(&seed) % PAGES;
            uint64_t pages = 1 + next_random(&seed) % (PAGES - start);
            uint32_t type = 1 + (uint32_t)(next_random(&seed) % 4);

            assert_int_equal(
                bare_ranges_set(&b, start * BARE_PAGE, pages * BARE_PAGE, type),
                ULV_OK);
            for (uint64_t i = start; i < start + pages; i++)
                types[i] = type;
            compare(&b, types);
        }
    }
}

static void
test_port_bare__ranges_are_bounded(void **state)
{
    struct ulv_bare b = {.range_count = 0};
    ulv_status status = ULV_OK;
    uint64_t n = 0;

    (void)state;
    for (; status == ULV_OK; n++)
        status = bare_ranges_set(&b, n * 2 * BARE_PAGE, BARE_PAGE,
                                 ULV_BARE_RANGE_RAM);
    assert_int_equal(status, ULV_E_LIMIT);
    assert_in_range(n, ULV_BARE_RANGES_MAX - 2, ULV_BARE_RANGES_MAX + 1);
}

struct entry {
    uint64_t start, bytes;
    uint32_t type, attributes;
};

static ulv_status
ranges_of(struct ulv_bare *b, const struct entry *entries, uint32_t count)
{
    struct ulv_bare_boot boot = {
        .magic = ULV_BARE_BOOT_MAGIC,
        .map = address_of(entries),
        .map_entries = count,
        .map_stride = sizeof(*entries),
        .image_start = ULV_MIB(1),
        .image_bytes = 8192,
        .module_count = 1,
        .modules = {{ULV_MIB(2) + 5, 10, ULV_BARE_RANGE_MODULE, 0}}};

    memset(b, 0, sizeof(*b));
    return bare_ranges_init(b, &boot);
}

static void
test_port_bare__map_of_the_bios(void **state)
{
    const struct entry entries[] = {
        {ULV_MIB(3) - 1, 4098, 2, 1},         /* over RAM: three pages */
        {0, 0x9fc00, 1, 1},                   /* loses its partial page */
        {ULV_MIB(1), ULV_MIB(7) + 100, 1, 1}, /* loses its partial page */
        {ULV_MIB(4), 4096, 77, 1},            /* a type nobody knows */
        {ULV_MIB(5), 0, 2, 1},                /* nothing */
        {UINT64_MAX - 4095, 8192, 2, 1}};     /* wraps, and is no RAM */
    struct ulv_bare b;

    (void)state;
    assert_int_equal(ranges_of(&b, entries, ULV_COUNT_OF(entries)), ULV_OK);
    assert_true(bare_ranges_are(&b, 0, 0x9f000, ULV_BARE_RANGE_LOW));
    assert_false(bare_ranges_are(&b, 0, 0xa0000, ULV_BARE_RANGE_LOW));
    assert_true(bare_ranges_are(&b, ULV_MIB(1), 8192, ULV_BARE_RANGE_IMAGE));
    assert_true(bare_ranges_are(&b, ULV_MIB(2), 4096, ULV_BARE_RANGE_MODULE));
    assert_true(
        bare_ranges_are(&b, ULV_MIB(3) - 4096, 12288, ULV_BARE_RANGE_RESERVED));
    assert_true(bare_ranges_are(&b, ULV_MIB(4), 4096, ULV_BARE_RANGE_RESERVED));
    assert_int_equal(bare_ranges_end(&b), ULV_MIB(8));
    assert_int_equal(bare_ranges_find(&b, ULV_MIB(3) - 4096, 4096, 4096),
                     ULV_MIB(3) + 8192);
    assert_int_equal(bare_ranges_find(&b, 0, ULV_MIB(8), 4096), BARE_NONE);
}

/* Where rounding or adding wraps: RAM of less than a page at the end of all
 * addresses is none, and what is reserved up to there is reserved. */
static void
test_port_bare__map_to_the_end_of_addresses(void **state)
{
    const uint64_t from = ULV_MIB(6), last = UINT64_MAX - 4095;
    const struct entry ends[] = {{last + 1, 1, 1, 1},
                                 {last + 1, 4094, 1, 1},
                                 {UINT64_MAX - 1, 1, 1, 1},
                                 {from, last - from, 2, 1},
                                 {from, last - from + 1, 2, 1},
                                 {from, UINT64_MAX - from, 2, 1},
                                 {from, 0 - from, 2, 1},
                                 {from, UINT64_MAX, 2, 1}};
    struct ulv_bare b;

    (void)state;
    for (uint32_t i = 0; i < ULV_COUNT_OF(ends); i++) {
        const struct entry map[] = {{ULV_MIB(1), ULV_MIB(7), 1, 1}, ends[i]};

        assert_int_equal(ranges_of(&b, map, 2), ULV_OK);
        assert_true(bare_ranges_are(&b, ULV_MIB(3), from - ULV_MIB(3),
                                    ULV_BARE_RANGE_RAM));
        assert_int_equal(bare_ranges_end(&b),
                         ends[i].type == 1 ? ULV_MIB(8) : from);
        assert_int_equal(b.ranges[0].start, ULV_MIB(1));
    }
}

static void
test_port_bare__maps_that_cannot_be(void **state)
{
    const struct entry wraps[] = {{0, ULV_MIB(8), 1, 0},
                                  {UINT64_MAX - 4095, 8192, 1, 0}};
    const struct entry no_image[] = {{0, 0x9f000, 1, 0},
                                     {ULV_MIB(2), ULV_MIB(8), 1, 0}};
    struct ulv_bare b;

    (void)state;
    assert_int_equal(ranges_of(&b, wraps, 2), ULV_E_FORMAT);
    assert_int_equal(ranges_of(&b, no_image, 2), ULV_E_FORMAT);
    assert_int_equal(ranges_of(&b, no_image, 0), ULV_E_FORMAT);
    assert_int_equal(ranges_of(&b, no_image, 100000), ULV_E_FORMAT);
}

/* ---- Multiboot2 ---------------------------------------------------------- */

#define MULTIBOOT2 UINT32_C(0x36d76289)

static const uint32_t information[] = {112,        0, /* bytes of all */
                                       3,          18,     0x200000,
                                       0x201000,   0x0061, 0, /* a module */
                                       14,         28,     0x20445352,
                                       0x20525450, 0,      0,
                                       0,          0, /* ACPI root, version 0 */
                                       6,          40,     24,
                                       0,          0,      0,
                                       0x100000,   0,      1,
                                       0, /* a map with one entry */
                                       0,          8};

static ulv_status
boot_of(const uint32_t *words, uint32_t count, struct ulv_bare_boot *boot)
{
    /* up to the end of the room: a read beyond it is a fault, most likely */
    uint8_t *p = room() + ROOM - 128;

    memcpy(p, words, count * sizeof(*words));
    return bare_boot_record(MULTIBOOT2, (uint32_t)address_of(p), boot);
}

static void
test_port_bare__multiboot2(void **state)
{
    struct ulv_bare_boot boot;

    (void)state;
    assert_int_equal(sizeof(information), 112);
    assert_int_equal(boot_of(information, 28, &boot), ULV_OK);
    assert_int_equal(boot.entry, ULV_BARE_ENTRY_MULTIBOOT2);
    assert_int_equal(boot.map_entries, 1);
    assert_int_equal(boot.map_stride, 24);
    assert_int_equal(boot.root_bytes, 20);
    assert_int_equal(boot.module_count, 1);
    assert_int_equal(boot.modules[0].start, 0x200000);
    assert_int_equal(boot.modules[0].bytes, 0x1000);
}

/* Each word in turn replaced by values that go wrong: nothing is read beyond
 * the end (the address sanitizer does not see it; a fault would). */
static void
test_port_bare__multiboot2_that_is_broken(void **state)
{
    static const uint32_t bad[] = {0, 1, 7, 8, 9, 0x7fffffff, 0xffffffff};
    struct ulv_bare_boot boot;
    uint32_t words[28];

    (void)state;
    for (uint32_t i = 0; i < 28; i++) {
        for (uint32_t n = 0; n < ULV_COUNT_OF(bad); n++) {
            ulv_status status;

            memcpy(words, information, sizeof(words));
            words[i] = bad[n];
            status = boot_of(words, 28, &boot);
            assert_true(status == ULV_OK || status == ULV_E_FORMAT);
            if (status == ULV_OK)
                assert_int_not_equal(boot.map_entries, 0);
        }
    }
    memcpy(words, information, sizeof(words));
    words[17] = 7; /* the map's length is less than its header */
    assert_int_equal(boot_of(words, 28, &boot), ULV_E_FORMAT);
    memcpy(words, information, sizeof(words));
    words[0] = 104; /* no last tag */
    assert_int_equal(boot_of(words, 28, &boot), ULV_E_FORMAT);
    assert_int_equal(bare_boot_record(1, 2, &boot), ULV_E_FORMAT);
}

/* ---- heap ---------------------------------------------------------------- */

#define BLOCKS 100

static void
test_port_bare__heap(void **state)
{
    struct ulv_bare b = {.range_count = 0};
    uint8_t *p[BLOCKS] = {NULL};
    size_t bytes[BLOCKS] = {0};
    uint64_t seed = 2;

    (void)state;
    print_message("# seed %u\n", (unsigned)seed);
    bare_heap_init(&b, address_of(room()), ULV_MIB(4));
    for (uint32_t n = 0; n < 20000; n++) {
        uint32_t i = (uint32_t)(next_random(&seed) % BLOCKS);
        size_t align = (size_t)1 << next_random(&seed) % 13;

        if (p[i] != NULL) {
            /* nobody else has written it since */
            for (size_t at = 0; at < bytes[i]; at++)
                assert_int_equal(p[i][at], i);
            bare_free(&b, p[i], bytes[i]);
            p[i] = NULL;
            continue;
        }
        bytes[i] = next_random(&seed) % 3000;
        p[i] = bare_alloc(&b, bytes[i], align);
        assert_non_null(p[i]);
        assert_int_equal(address_of(p[i]) % align, 0);
        for (size_t at = 0; at < bytes[i]; at++)
            assert_int_equal(p[i][at], 0);
        memset(p[i], (int)i, bytes[i]);
    }
    for (uint32_t i = 0; i < BLOCKS; i++)
        bare_free(&b, p[i], bytes[i]);
    assert_int_equal(b.heap_free, ULV_MIB(4));
    p[0] = bare_alloc(&b, ULV_MIB(4), 1);
    assert_non_null(p[0]); /* in one piece again */
    assert_null(bare_alloc(&b, 1, 1));
    assert_int_equal(b.misuse, 0);
}

static void
test_port_bare__heap_sees_misuse(void **state)
{
    struct ulv_bare b = {.host.log = count_line};
    uint8_t *p, *q;

    (void)state;
    bare_heap_init(&b, address_of(room()), ULV_MIB(1));
    p = bare_alloc(&b, 64, 16);
    q = bare_alloc(&b, 64, 16);
    assert_ptr_equal(q, p + 64);
    lines = 0;
    bare_free(&b, p + 8, 16);          /* not aligned */
    bare_free(&b, p - 16, 16);         /* before it all */
    bare_free(&b, q, 80);              /* into what is free */
    bare_free(&b, p + ULV_MIB(1), 16); /* behind it all */
    bare_free(&b, p, SIZE_MAX);
    assert_int_equal(b.misuse, 5);
    assert_int_equal(lines, 1);
    bare_free(&b, p, 64);
    bare_free(&b, p, 64); /* twice */
    assert_int_equal(b.misuse, 6);
    bare_free(&b, NULL, 64);
    bare_free(&b, q, 64);
    assert_int_equal(b.heap_free, ULV_MIB(1));
    assert_null(bare_alloc(&b, 16, 3));
    assert_null(bare_alloc(&b, SIZE_MAX, 16));
    assert_null(bare_alloc(&b, SIZE_MAX - 20, 4096));
    assert_null(bare_alloc(&b, 16, (size_t)1 << 63));
}

/* ---- memory objects ------------------------------------------------------ */

/* A heap of 2 MiB, and frames in two pieces with a hole between. */
static uint64_t
host_init(struct ulv_bare *b)
{
    uint64_t start = address_of(room());

    memset(b, 0, sizeof(*b));
    b->host.self = b;
    b->host.log = count_line;
    b->host.alloc = bare_alloc;
    b->host.free = bare_free;
    bare_memory_members(&b->host);
    assert_int_equal(bare_ranges_set(b, start, ULV_MIB(2), ULV_BARE_RANGE_HEAP),
                     ULV_OK);
    assert_int_equal(
        bare_ranges_set(b, start + ULV_MIB(2), ULV_MIB(14), ULV_BARE_RANGE_RAM),
        ULV_OK);
    assert_int_equal(bare_ranges_set(b, start + ULV_MIB(7), ULV_MIB(1),
                                     ULV_BARE_RANGE_RESERVED),
                     ULV_OK);
    bare_heap_init(b, start, ULV_MIB(2));
    assert_int_equal(bare_frames_init(b), ULV_OK);
    assert_int_equal(bare_object_init(b), ULV_OK);
    assert_int_equal(b->frames_free, ULV_MIB(13));
    return start;
}

#define OBJECTS 60

static void
test_port_bare__frames(void **state)
{
    struct ulv_bare b;
    uint64_t start = host_init(&b), seed = 3, before = b.heap_free;
    ulv_handle h[OBJECTS];
    void *p[OBJECTS] = {NULL};
    uint64_t bytes[OBJECTS] = {0};

    (void)state;
    print_message("# seed %u\n", (unsigned)seed);
    for (uint32_t n = 0; n < 3000; n++) {
        uint32_t i = (uint32_t)(next_random(&seed) % OBJECTS);
        uint64_t at = start + next_random(&seed) % (ROOM / 4096) * 4096;
        ulv_status status;

        if (p[i] != NULL) {
            assert_int_equal(*(uint32_t *)p[i], i + 1);
            b.host.handle_close(&b, h[i]);
            b.host.memory_unmap(&b, p[i], bytes[i]);
            p[i] = NULL;
            continue;
        }
        bytes[i] = (1 + next_random(&seed) % 100) * 4096;
        if (n % 16 == 0)
            bytes[i] = BARE_LARGE_PAGE;
        status = n % 2 == 0 ? b.host.memory_create(&b, "x", bytes[i], 0, &h[i])
                            : b.host.memory_at(&b, at, bytes[i], &h[i]);
        if (status != ULV_OK) {
            assert_true(n % 2 == 0
                            ? status == ULV_E_NO_MEMORY
                            : status == ULV_E_EXISTS || status == ULV_E_DENIED);
            continue;
        }
        assert_int_equal(b.host.memory_map(&b, h[i], 0, bytes[i],
                                           ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                           &p[i]),
                         ULV_OK);
        for (uint64_t byte = 0; byte < bytes[i]; byte += 8)
            assert_int_equal(*(uint64_t *)((char *)p[i] + byte), 0);
        assert_true(bare_ranges_are(
            &b, address_of(p[i]), bytes[i],
            n % 2 == 1 ? ULV_BARE_RANGE_RAM : ULV_BARE_RANGE_HEAP));
        if (n % 2 == 1)
            assert_int_equal(address_of(p[i]), at);
        else if (bytes[i] == BARE_LARGE_PAGE)
            assert_int_equal(address_of(p[i]) % BARE_LARGE_PAGE, 0);
        memset(p[i], 0xff, bytes[i]);
        *(uint32_t *)p[i] = i + 1;
    }
    for (uint32_t i = 0; i < OBJECTS; i++) {
        if (p[i] != NULL) {
            b.host.memory_unmap(&b, p[i], bytes[i]);
            b.host.handle_close(&b, h[i]);
        }
    }
    assert_int_equal(b.frames_free, ULV_MIB(13));
    assert_int_equal(b.heap_free, before);
    assert_int_equal(b.objects.live_handles, 0);
    assert_int_equal(b.misuse, 0);
    assert_null(b.runs->next->next); /* two runs, as it began */
}

static void
test_port_bare__memory_is_refused(void **state)
{
    struct ulv_bare b;
    uint64_t start = host_init(&b), memory = start + ULV_MIB(2);
    ulv_handle h = 0, reader = 0;
    void *p = NULL;

    (void)state;
    assert_int_equal(b.host.memory_at(&b, memory, 0, &h), ULV_E_ARG);
    assert_int_equal(b.host.memory_at(&b, memory + 1, 4096, &h), ULV_E_ARG);
    assert_int_equal(b.host.memory_at(&b, start, 4096, &h), ULV_E_DENIED);
    assert_int_equal(b.host.memory_at(&b, memory - 4096, 8192, &h),
                     ULV_E_DENIED);
    assert_int_equal(b.host.memory_at(&b, memory, UINT64_MAX - 4095, &h),
                     ULV_E_DENIED);
    assert_int_equal(b.host.memory_at(&b, UINT64_MAX - 4095, 4096, &h),
                     ULV_E_DENIED);
    assert_int_equal(b.host.memory_at(&b, memory + 4096, 4096, &h), ULV_OK);
    assert_int_equal(b.host.memory_at(&b, memory, 8192, &reader), ULV_E_EXISTS);
    assert_int_equal(b.host.memory_read_only(&b, h, &reader), ULV_OK);
    assert_int_equal(b.host.memory_map(&b, reader, 0, 4096, 3, NULL, &p),
                     ULV_E_DENIED);
    assert_int_equal(b.host.memory_discard(&b, reader, 0, 4096), ULV_E_DENIED);
    assert_int_equal(b.host.memory_map(&b, h, 0, 8192, 3, NULL, &p), ULV_E_ARG);
    assert_int_equal(b.host.memory_map(&b, h, 0, 4096, 3, &b, &p), ULV_E_ARG);
    assert_int_equal(b.host.memory_seal(&b, h, ULV_SEAL_WRITE), ULV_OK);
    assert_int_equal(b.host.memory_map(&b, h, 0, 4096, 3, NULL, &p),
                     ULV_E_DENIED);
    assert_int_equal(b.misuse, 0);
    b.host.memory_unmap(&b, room(), 4096); /* never mapped */
    assert_int_equal(b.misuse, 1);
}

static void
test_port_bare__handles_have_generations(void **state)
{
    struct ulv_bare b;
    ulv_handle first = 0, other = 0;
    uint32_t n = 0;

    (void)state;
    host_init(&b);
    assert_int_equal(b.host.event_create(&b, &first), ULV_OK);
    assert_int_not_equal(first, 0);
    b.host.handle_close(&b, first);
    /* round once: the slot is another's */
    while (n++ < ULV_OBJECT_SLOTS) {
        assert_int_equal(b.host.event_create(&b, &other), ULV_OK);
        assert_int_not_equal(other, first);
    }
    assert_int_equal(b.host.event_create(&b, &other), ULV_E_LIMIT);
    assert_int_equal(b.misuse, 0);
    b.host.event_signal(&b, first);
    b.host.handle_close(&b, first);
    assert_int_equal(b.misuse, 2);
    assert_int_equal(b.host.handle_duplicate(&b, INT64_MAX, &other), ULV_E_ARG);
    assert_int_equal(b.host.handle_duplicate(&b, -5, &other), ULV_E_ARG);
}

/* ---- ACPI ---------------------------------------------------------------- */

static void
sum(uint8_t *p, uint32_t bytes, uint32_t at)
{
    uint8_t total = 0;

    p[at] = 0;
    for (uint32_t i = 0; i < bytes; i++)
        total = (uint8_t)(total + p[i]);
    p[at] = (uint8_t)-total;
}

static void
table(uint8_t *p, const char *signature, uint32_t bytes)
{
    memcpy(p, signature, 4);
    memcpy(p + 4, &bytes, 4);
    sum(p, bytes, 9);
}

/* Four entries: the third is not enabled, the fourth stands twice. */
static const uint8_t entries[] = {
    0, 8, 0, 200, 1, 0, 0, 0,   9, 16, 0, 0, 0x2c, 1, 0, 0,   1, 0, 0, 0,
    0, 0, 0, 0,   0, 8, 1, 201, 0, 0,  0, 0, 0,    8, 2, 200, 1, 0, 0, 0};
#define MADT_BYTES (44 + (uint32_t)sizeof(entries))

/* Root pointer, root table and MADT; what the root pointer is worth. */
static bool
acpi_init(struct ulv_bare *b, uint8_t *p)
{
    uint32_t root = (uint32_t)address_of(p + 4096);
    uint32_t madt = (uint32_t)address_of(p + 8192);

    memset(b, 0, sizeof(*b));
    memset(p, 0, ULV_MIB(1));
    bare_heap_init(b, address_of(p + ULV_MIB(1)), ULV_MIB(1));
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 16, &root, 4);
    sum(p, 20, 8);
    memcpy(p + 4096 + 36, &madt, 4);
    table(p + 4096, "RSDT", 40);
    memcpy(p + 8192 + 44, entries, sizeof(entries));
    table(p + 8192, "APIC", MADT_BYTES);
    return bare_acpi_root(b, p, 20);
}

static uint32_t
processors(struct ulv_bare *b)
{
    assert_int_equal(bare_processors_init(b), ULV_OK);
    for (uint32_t i = 1; i < b->processor_count; i++)
        assert_true(b->processors[i - 1].number < b->processors[i].number);
    return b->processor_count;
}

static void
test_port_bare__processors(void **state)
{
    struct ulv_bare b;
    uint8_t *p = room();
    uint32_t found = 0;

    (void)state;
    assert_true(acpi_init(&b, p));
    assert_in_range(processors(&b), 2, 3); /* this one may be among them */
    for (uint32_t i = 0; i < b.processor_count; i++) {
        assert_int_not_equal(b.processors[i].number, 201);
        found += b.processors[i].number == 200 || b.processors[i].number == 300;
    }
    assert_int_equal(found, 2);
}

/* A number that means all of them is no processor's; with others it is. */
static void
test_port_bare__processors_of_no_number(void **state)
{
    static const struct {
        uint32_t at;
        uint8_t bytes[4];
        uint32_t count, number;
    } numbers[] = {{3, {255}, 1, 0},
                   {12, {255, 255, 255, 255}, 1, 0},
                   {12, {255, 0, 0, 0}, 2, 255},
                   {12, {254, 255, 255, 255}, 2, 0xfffffffe}};
    struct ulv_bare b;
    uint8_t *p = room();

    (void)state;
    for (uint32_t i = 0; i < ULV_COUNT_OF(numbers); i++) {
        uint32_t length = numbers[i].at == 3 ? 8 : 24, found = 0;

        assert_true(acpi_init(&b, p));
        memcpy(p + 8192 + 44 + numbers[i].at, numbers[i].bytes,
               numbers[i].at == 3 ? 1 : 4);
        /* the first entry of the table is a processor where the second is */
        if (length == 24)
            p[8192 + 44 + 4] = 0;
        table(p + 8192, "APIC", 44 + length);
        assert_int_equal(processors(&b), numbers[i].count);
        for (uint32_t n = 0; n < b.processor_count; n++)
            found += b.processors[n].number == numbers[i].number;
        assert_true(numbers[i].count == 1 || found == 1);
    }
}

/* Whatever a table says, this processor is found, and nothing is read that
 * the table does not have. */
static void
test_port_bare__tables_that_are_broken(void **state)
{
    static const uint8_t bad[] = {0, 1, 2, 3, 7, 9, 0x7f, 0xff};
    struct ulv_bare b;
    uint8_t *p = room();

    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(acpi_init(&b, p));
        p[i] ^= 1; /* the checksum is wrong */
        assert_false(bare_acpi_root(&b, p, 20));
    }
    assert_true(acpi_init(&b, p));
    assert_false(bare_acpi_root(&b, p, 19));
    for (uint32_t i = 0; i < MADT_BYTES; i++) {
        assert_true(acpi_init(&b, p));
        p[8192 + i] ^= 1;
        assert_int_equal(processors(&b), 1);
    }
    for (uint32_t i = 0; i < sizeof(entries); i++) {
        for (uint32_t n = 0; n < ULV_COUNT_OF(bad); n++) {
            assert_true(acpi_init(&b, p));
            p[8192 + 44 + i] = bad[n];
            table(p + 8192, "APIC", MADT_BYTES);
            assert_in_range(processors(&b), 1, 6);
        }
    }
    for (uint32_t bytes = 0; bytes < MADT_BYTES; bytes++) {
        assert_true(acpi_init(&b, p));
        memcpy(p + 8192 + 4, &bytes, 4);
        sum(p + 8192, ULV_MAX(bytes, 36), 9);
        assert_in_range(processors(&b), 1, 4);
    }
}

static void
test_port_bare__root_tables_that_are_broken(void **state)
{
    static const uint32_t bad[] = {0, 4095, 0xffffffff, 0xffffffdd};
    struct ulv_bare b;
    uint8_t *p = room();

    (void)state;
    for (uint32_t n = 0; n < ULV_COUNT_OF(bad); n++) {
        assert_true(acpi_init(&b, p));
        memcpy(p + 4096 + 36, &bad[n], 4);
        table(p + 4096, "RSDT", 40);
        assert_int_equal(processors(&b), 1);
        assert_int_equal(bare_acpi_keep(&b), ULV_OK);
        assert_true(acpi_init(&b, p));
        memcpy(p + 4096 + 4, &bad[n], 4); /* its length */
        assert_int_equal(processors(&b), 1);
    }
    assert_true(acpi_init(&b, p));
    table(p + 4096, "XSDT", 40);
    assert_int_equal(processors(&b), 1);
    assert_true(acpi_init(&b, p));
    assert_int_equal(
        bare_ranges_set(&b, address_of(p), ULV_MIB(1), ULV_BARE_RANGE_RAM),
        ULV_OK);
    assert_int_equal(bare_acpi_keep(&b), ULV_OK);
    assert_true(
        bare_ranges_are(&b, address_of(p) + 4096, 8192, ULV_BARE_RANGE_ACPI));
    assert_int_equal(b.range_count, 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_bare__ranges_cover_one_another),
        cmocka_unit_test(test_port_bare__ranges_are_bounded),
        cmocka_unit_test(test_port_bare__map_of_the_bios),
        cmocka_unit_test(test_port_bare__map_to_the_end_of_addresses),
        cmocka_unit_test(test_port_bare__maps_that_cannot_be),
        cmocka_unit_test(test_port_bare__multiboot2),
        cmocka_unit_test(test_port_bare__multiboot2_that_is_broken),
        cmocka_unit_test(test_port_bare__heap),
        cmocka_unit_test(test_port_bare__heap_sees_misuse),
        cmocka_unit_test(test_port_bare__frames),
        cmocka_unit_test(test_port_bare__memory_is_refused),
        cmocka_unit_test(test_port_bare__handles_have_generations),
        cmocka_unit_test(test_port_bare__processors),
        cmocka_unit_test(test_port_bare__processors_of_no_number),
        cmocka_unit_test(test_port_bare__tables_that_are_broken),
        cmocka_unit_test(test_port_bare__root_tables_that_are_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
