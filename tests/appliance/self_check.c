/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An image that boots on a bare machine, says what is there and tries what
 * the host offers. tests/appliance boots it in an emulator.
 */
#include <ultravisor/sys/bare.h>

#include "line.h"

#define PROCESSORS_MAX 64
#define LARGE          ULV_MIB(2)

static void
print_memory(const struct ulv_bare *bare)
{
    const struct ulv_host *host = &bare->host;
    struct ulv_bare_range ranges[ULV_BARE_RANGES_MAX];
    struct ulv_host_node node;
    struct line l = {.len = 0};
    uint32_t count;

    ulv_bare_ranges(bare, ranges, ULV_BARE_RANGES_MAX, &count);
    for (uint32_t i = 0; i < count; i++) {
        line_word(&l, "memory ");
        line_number(&l, ranges[i].start, 16);
        line_word(&l, " ");
        line_number(&l, ranges[i].bytes >> 10, 10);
        line_word(&l, " KiB ");
        line_word(&l, ulv_bare_range_name(ranges[i].type));
        line_end(&l, host, ULV_LOG_INFO);
    }
    (void)host->nodes(host->self, &node, 1, &count, NULL);
    line_word(&l, "node 0: ");
    line_number(&l, node.free_bytes >> 10, 10);
    line_word(&l, " KiB free of ");
    line_number(&l, node.total_bytes >> 10, 10);
    line_end(&l, host, ULV_LOG_INFO);
}

static bool
print_processors(struct ulv_bare *bare)
{
    const struct ulv_host *host = &bare->host;
    struct ulv_host_processor found[PROCESSORS_MAX];
    struct line l = {.len = 0};
    uint32_t count, parked;

    (void)host->processors(host->self, found, PROCESSORS_MAX, &count, NULL);
    for (uint32_t i = 0; i < count && i < PROCESSORS_MAX; i++) {
        line_word(&l, "processor ");
        line_number(&l, found[i].number, 10);
        line_word(&l, " package ");
        line_number(&l, found[i].package, 10);
        line_word(&l, " core ");
        line_number(&l, found[i].core, 10);
        line_word(&l, " thread ");
        line_number(&l, found[i].thread, 10);
        line_end(&l, host, ULV_LOG_INFO);
    }
    if (ulv_bare_park_processors(bare, &parked) != ULV_OK)
        return false;
    line_word(&l, "processors ");
    line_number(&l, count, 10);
    line_word(&l, " parked ");
    line_number(&l, parked, 10);
    line_end(&l, host, ULV_LOG_INFO);
    return parked == count - 1;
}

static uint64_t
free_bytes(const struct ulv_host *host)
{
    struct ulv_host_node node = {.free_bytes = 0};
    uint32_t count;

    (void)host->nodes(host->self, &node, 1, &count, NULL);
    return node.free_bytes;
}

static bool
check_heap(const struct ulv_host *host)
{
    static const size_t aligns[] = {1, 16, 64, 4096, LARGE};
    uint8_t *p[sizeof(aligns) / sizeof(aligns[0])];
    uint32_t count = sizeof(aligns) / sizeof(aligns[0]);
    bool right = true;

    for (uint32_t i = 0; i < count; i++) {
        p[i] = host->alloc(host->self, 100 + i, aligns[i]);
        if (p[i] == NULL)
            return false;
        right = right && (uintptr_t)p[i] % aligns[i] == 0 && p[i][0] == 0 &&
                p[i][99 + i] == 0;
        p[i][0] = p[i][99 + i] = 0xff;
    }
    for (uint32_t i = 0; i < count; i++)
        host->free(host->self, p[i], 100 + i);
    /* whole again: what was freed is found, and reads as zeroes */
    p[0] = host->alloc(host->self, 100, 1);
    right = right && p[0] != NULL && p[0][0] == 0 && p[0][99] == 0;
    host->free(host->self, p[0], 100);
    return right && host->alloc(host->self, SIZE_MAX, 1) == NULL;
}

/* An object through a writable and a read-only handle. */
static bool
check_rights(const struct ulv_host *host, ulv_handle memory)
{
    ulv_handle reader;
    void *p;
    bool right;

    if (host->memory_read_only(host->self, memory, &reader) != ULV_OK)
        return false;
    right = host->memory_map(host->self, reader, 0, 4096,
                             ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                             &p) == ULV_E_DENIED &&
            host->memory_map(host->self, reader, 0, 4096, ULV_MAP_READ, NULL,
                             &p) == ULV_OK;
    if (right)
        host->memory_unmap(host->self, p, 4096);
    host->handle_close(host->self, reader);
    return right;
}

/* The first range that a database may grant. */
static uint64_t
first_frames(const struct ulv_host *host)
{
    struct ulv_host_frames ranges[64];
    uint32_t count;

    if (host->frames(host->self, ranges, 64, &count) != ULV_OK || count > 64)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].usable != 0)
            return ranges[i].base;
    }
    return 0;
}

/* Exactly those frames, once, zeroed. */
static bool
check_frames(const struct ulv_host *host)
{
    uint64_t before = free_bytes(host), base = first_frames(host);
    ulv_handle memory, again;
    void *p;
    bool right;

    if (base == 0 || base % LARGE != 0 ||
        host->memory_at(host->self, base, LARGE, &memory) != ULV_OK ||
        host->memory_map(host->self, memory, 0, LARGE,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) != ULV_OK)
        return false;
    right =
        host->physical(host->self, p) == base && *(uint64_t *)p == 0 &&
        free_bytes(host) == before - LARGE &&
        host->memory_at(host->self, base, 4096, &again) == ULV_E_EXISTS &&
        host->memory_at(host->self, 0x100000, 4096, &again) == ULV_E_DENIED &&
        host->memory_at(host->self, 0, 4096, &again) == ULV_E_DENIED;
    *(uint64_t *)p = 1;
    host->handle_close(host->self, memory); /* the map still holds it */
    right = right && free_bytes(host) == before - LARGE;
    host->memory_unmap(host->self, p, LARGE);
    right = right && free_bytes(host) == before;
    if (host->memory_at(host->self, base, 8192, &again) != ULV_OK ||
        host->memory_map(host->self, again, 0, 8192, ULV_MAP_READ, NULL, &p) !=
            ULV_OK)
        return false;
    right = right && *(uint64_t *)p == 0;
    host->memory_unmap(host->self, p, 8192);
    host->handle_close(host->self, again);
    return right && free_bytes(host) == before;
}

static bool
check_memory(const struct ulv_host *host)
{
    uint64_t before = free_bytes(host);
    ulv_handle small, large;
    void *p;
    bool right;

    if (host->memory_create(host->self, "small", 4096, 0, &small) != ULV_OK ||
        host->memory_create(host->self, "large", LARGE, 0, &large) != ULV_OK ||
        host->memory_map(host->self, large, 0, LARGE,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) != ULV_OK)
        return false;
    right = host->physical(host->self, p) % LARGE == 0 &&
            *(uint64_t *)p == 0 && check_rights(host, small) &&
            free_bytes(host) == before; /* of the heap, not of the frames */
    *(uint64_t *)p = 1;
    host->handle_close(host->self, large);
    right = right && *(uint64_t *)p == 1;
    host->memory_unmap(host->self, p, LARGE);
    host->handle_close(host->self, small);
    return right;
}

/* The highest page there is: it is mapped, and zeroed. */
static bool
check_last_page(const struct ulv_bare *bare)
{
    const struct ulv_host *host = &bare->host;
    struct ulv_bare_range ranges[ULV_BARE_RANGES_MAX];
    uint64_t last = 0, physical;
    uint32_t count;
    ulv_handle memory;
    void *p;

    ulv_bare_ranges(bare, ranges, ULV_BARE_RANGES_MAX, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].type == ULV_BARE_RANGE_RAM)
            last = ranges[i].start + ranges[i].bytes - 4096;
    }
    if (host->memory_at(host->self, last, 8192, &memory) != ULV_E_DENIED ||
        host->memory_at(host->self, last, 4096, &memory) != ULV_OK ||
        host->memory_map(host->self, memory, 0, 4096, ULV_MAP_READ, NULL, &p) !=
            ULV_OK)
        return false;
    physical = host->physical(host->self, p);
    host->memory_unmap(host->self, p, 4096);
    host->handle_close(host->self, memory);
    return physical == last;
}

static bool
check_waiting(const struct ulv_host *host)
{
    ulv_handle event, set, outer;
    ulv_nsec start;
    bool right;

    if (host->event_create(host->self, &event) != ULV_OK ||
        host->wait_create(host->self, &set) != ULV_OK ||
        host->wait_create(host->self, &outer) != ULV_OK ||
        host->watch(host->self, set, event) != ULV_OK ||
        host->watch(host->self, outer, set) != ULV_OK)
        return false;
    start = host->now(host->self);
    right = host->watch(host->self, set, event) == ULV_E_EXISTS &&
            host->wait(host->self, outer, start + 1000000) == ULV_E_TIMEOUT &&
            host->now(host->self) >= start + 1000000;
    host->event_signal(host->self, event);
    right = right && host->wait(host->self, outer, ULV_FOREVER) == ULV_OK &&
            host->event_take(host->self, event) &&
            !host->event_take(host->self, event) &&
            host->wait(host->self, outer, 0) == ULV_E_TIMEOUT;
    host->unwatch(host->self, outer, set);
    host->unwatch(host->self, set, event);
    host->handle_close(host->self, outer);
    host->handle_close(host->self, set);
    host->handle_close(host->self, event);
    return right;
}

static bool
check_media(const struct ulv_host *host)
{
    static const char sector[512] = "a medium";
    struct ulv_source source = ULV_SOURCE_MEMORY(sector, sizeof(sector));
    ulv_handle medium, fence, one, two;
    uint64_t bytes = 0;
    char buf[8];
    size_t len = 0;
    bool right;

    if (host->medium_open(host->self, &source, ULV_MEDIUM_READ_ONLY, &medium,
                          NULL) != ULV_OK ||
        host->fence_create(host->self, &fence) != ULV_OK ||
        host->fence_open(host->self, fence, &one) != ULV_OK ||
        host->fence_open(host->self, fence, &two) != ULV_OK)
        return false;
    right = host->medium_bytes(host->self, medium, &bytes) == ULV_OK &&
            bytes == sizeof(sector) &&
            host->medium_read(host->self, medium, 2, buf, sizeof(buf), &len) ==
                ULV_OK &&
            len == sizeof(buf) && buf[0] == 'm' && buf[5] == 'm' &&
            host->fence_try_take(host->self, one) == ULV_OK &&
            host->fence_try_take(host->self, two) == ULV_E_AGAIN;
    host->handle_close(host->self, one);
    right = right && host->fence_try_take(host->self, two) == ULV_OK;
    host->handle_close(host->self, two);
    host->handle_close(host->self, fence);
    host->handle_close(host->self, medium);
    return right;
}

static bool
check(const struct ulv_host *host)
{
    static const struct {
        const char *name;
        bool (*run)(const struct ulv_host *host);
    } checks[] = {{"heap", check_heap},
                  {"memory", check_memory},
                  {"frames", check_frames},
                  {"waiting", check_waiting},
                  {"media", check_media}};
    struct line l = {.len = 0};
    bool right = true;

    for (uint32_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        bool passed = checks[i].run(host);

        line_word(&l, "check ");
        line_word(&l, checks[i].name);
        line_word(&l, passed ? ": ok" : ": failed");
        line_end(&l, host, passed ? ULV_LOG_INFO : ULV_LOG_ERROR);
        right = right && passed;
    }
    return right;
}

bool
ulv_bare_main(const struct ulv_bare_boot *boot)
{
    static const char *const entries[] = {"?", "Multiboot2", "option ROM, E820",
                                          "option ROM, CMOS"};
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_bare bare;
    struct line l = {.len = 0};
    ulv_status status = ulv_bare_host_init(&bare, boot, &diag);
    const struct ulv_host *host = &bare.host;
    bool right;

    if (status != ULV_OK) {
        host->log(host->self, ULV_LOG_ERROR, diag.text);
        return false;
    }
    line_word(&l, "entered by ");
    line_word(&l, entries[boot->entry & 3]);
    line_end(&l, host, ULV_LOG_INFO);
    print_memory(&bare);
    right = print_processors(&bare);
    right = check(host) && check_last_page(&bare) && bare.misuse == 0 &&
            bare.objects.live_handles == 0 && right;
    if (right)
        host->log(host->self, ULV_LOG_INFO, "ready");
    return right;
}
