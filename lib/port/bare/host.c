/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The host of a bare machine, put together. */
#include "port/bare/bare_priv.h"

/* The heap, which memory objects of the host's own come from too: an eighth of
 * what there is, within bounds. */
#define HEAP_SHARE     8
#define HEAP_MIN       ULV_MIB(4)
#define HEAP_MAX       ULV_MIB(128)
#define MAPPED_AT_BOOT ULV_GIB(4)

static void
bare_log(void *self, uint32_t level, const char *text)
{
    static const char *const words[] = {"error: %s", "warning: %s", "%s",
                                        "debug: %s"};
    char line[256];
    struct ulv_text t;

    (void)self;
    ulv_text_init(&t, line, sizeof(line));
    ulv_text_format(&t, words[ULV_MIN(level, ULV_LOG_DEBUG)], text);
    bare_serial_line(line);
}

static ulv_status
bare_processors(void *self, struct ulv_host_processor *ret, uint32_t capacity,
                uint32_t *ret_count, struct ulv_diag *diag)
{
    const struct ulv_bare *b = self;

    (void)diag;
    *ret_count = b->processor_count;
    memcpy(ret, b->processors,
           ULV_MIN(capacity, b->processor_count) * sizeof(*ret));
    return ULV_OK;
}

static ulv_status
bare_nodes(void *self, struct ulv_host_node *ret, uint32_t capacity,
           uint32_t *ret_count, struct ulv_diag *diag)
{
    const struct ulv_bare *b = self;

    (void)diag;
    *ret_count = 1;
    if (capacity > 0)
        *ret = (struct ulv_host_node){.number = 0,
                                      .total_bytes = b->frames_bytes,
                                      .free_bytes = b->frames_free};
    return ULV_OK;
}

static uint64_t
bytes_of_ram(const struct ulv_bare *b)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < b->range_count; i++) {
        if (b->ranges[i].type == ULV_BARE_RANGE_RAM)
            sum += b->ranges[i].bytes;
    }
    return sum;
}

/* Behind the image, so that the rest is in one piece. */
static ulv_status
heap_init(struct ulv_bare *b, const struct ulv_bare_boot *boot,
          struct ulv_diag *diag)
{
    uint64_t bytes = ulv_round_down(
        ULV_MIN(ULV_MAX(bytes_of_ram(b) / HEAP_SHARE, HEAP_MIN), HEAP_MAX),
        BARE_LARGE_PAGE);
    uint64_t low = boot->image_start + boot->image_bytes;
    uint64_t start = bare_ranges_find(b, low, bytes, BARE_PAGE);
    ulv_status status;

    if (start == BARE_NONE || start + bytes > MAPPED_AT_BOOT)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, bytes_of_ram(b), bytes,
                        "no %z of RAM in one piece for the heap", bytes);
    /* up to the next large page, if that is RAM too */
    low = ulv_round_up(start + bytes, BARE_LARGE_PAGE);
    if (bare_ranges_are(b, start, low - start, ULV_BARE_RANGE_RAM))
        bytes = low - start;
    status = bare_ranges_set(b, start, bytes, ULV_BARE_RANGE_HEAP);
    if (status == ULV_OK)
        bare_heap_init(b, start, bytes);
    return status;
}

/* The others are parked. */
static void **
bare_processor_slot(void *self)
{
    return &((struct ulv_bare *)self)->slot_of_backend;
}

static void
set_members(struct ulv_bare *b)
{
    b->host.size = sizeof(b->host);
    b->host.self = b;
    b->host.alloc = bare_alloc;
    b->host.free = bare_free;
    b->host.now = bare_now;
    b->host.log = bare_log;
    b->host.processors = bare_processors;
    b->host.nodes = bare_nodes;
    b->host.processor_slot = bare_processor_slot;
    bare_memory_members(&b->host);
}

ulv_status
ulv_bare_host_init(struct ulv_bare *b, const struct ulv_bare_boot *boot,
                   struct ulv_diag *diag)
{
    ulv_status status;

    memset(b, 0, sizeof(*b));
    set_members(b);
    if (boot->magic != ULV_BARE_BOOT_MAGIC)
        return ulv_fail(diag, ULV_E_ARG, 0, boot->magic, ULV_BARE_BOOT_MAGIC,
                        "not a boot record");
    status = bare_ranges_init(b, boot);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, boot->map_entries, ULV_BARE_RANGES_MAX,
                        "the memory map of %u entries cannot be",
                        (uint64_t)boot->map_entries);
    bare_acpi_init(b, boot);
    status = bare_acpi_keep(b);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, b->range_count, ULV_BARE_RANGES_MAX,
                        "too many ranges of memory");
    status = heap_init(b, boot, diag);
    if (status != ULV_OK)
        return status;
    status = bare_clock_init(b);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, b->ticks_per_second, 0,
                        "the interval timer does not measure the processor");
    status = bare_paging_init(b);
    if (status == ULV_OK)
        status = bare_frames_init(b);
    if (status == ULV_OK)
        status = bare_processors_init(b);
    if (status == ULV_OK)
        status = bare_object_init(b);
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, b->heap_free, b->heap_bytes,
                        "the heap is too small: %z", b->heap_bytes);
    return ULV_OK;
}
