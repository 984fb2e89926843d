/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the loader hands over, and the map of memory made of it. */
#include "port/bare/bare_priv.h"

/* Multiboot2 specification 2.0, 3.6 */
#define MULTIBOOT2_MAGIC     UINT32_C(0x36d76289)
#define MULTIBOOT2_BYTES_MAX UINT32_C(0x100000)
#define TAG_END              0
#define TAG_MODULE           3
#define TAG_MAP              6
#define TAG_ROOT_OLD         14
#define TAG_ROOT_NEW         15

/* base, length, type: the smallest entry of a map */
#define ENTRY_BYTES 20
#define ENTRIES_MAX 512
#define LOW_BYTES   UINT64_C(0x100000)
/* of the last page, which no range of ours has */
#define LAST_PAGE   (UINT64_MAX - (BARE_PAGE - 1))

static void
take_module(struct ulv_bare_boot *boot, const uint8_t *tag)
{
    struct ulv_bare_range *module;
    uint32_t start = ulv_get_le32(tag + 8);
    uint32_t end = ulv_get_le32(tag + 12);

    if (boot->module_count == ULV_BARE_MODULES_MAX || end <= start)
        return;
    module = &boot->modules[boot->module_count++];
    module->start = start;
    module->bytes = end - start;
    module->type = ULV_BARE_RANGE_MODULE;
}

static void
take_tag(struct ulv_bare_boot *boot, const uint8_t *tag, uint32_t bytes)
{
    uint32_t type = ulv_get_le32(tag);

    if (type == TAG_MODULE && bytes >= 16) {
        take_module(boot, tag);
    } else if (type == TAG_MAP && bytes >= 16) {
        boot->map = (uint64_t)(uintptr_t)tag + 16;
        boot->map_stride = ulv_get_le32(tag + 8);
        if (boot->map_stride >= ENTRY_BYTES)
            boot->map_entries = (bytes - 16) / boot->map_stride;
    } else if (type == TAG_ROOT_NEW ||
               (type == TAG_ROOT_OLD && boot->root_bytes == 0)) {
        boot->root_bytes = (uint32_t)ULV_MIN(bytes - 8, sizeof(boot->root));
        memcpy(boot->root, tag + 8, boot->root_bytes);
    }
}

static ulv_status
take_multiboot2(struct ulv_bare_boot *boot, uint32_t information)
{
    const uint8_t *p = bare_at(information);
    uint32_t total = ulv_get_le32(p), at = 8;

    if (total > MULTIBOOT2_BYTES_MAX)
        return ULV_E_FORMAT;
    while (at + 8 <= total) {
        uint32_t bytes = ulv_get_le32(p + at + 4);

        if (bytes < 8 || bytes > total - at)
            return ULV_E_FORMAT;
        if (ulv_get_le32(p + at) == TAG_END)
            return boot->map_entries == 0 ? ULV_E_FORMAT : ULV_OK;
        take_tag(boot, p + at, bytes);
        at += (uint32_t)ulv_round_up(bytes, 8);
    }
    return ULV_E_FORMAT;
}

ulv_status
bare_boot_record(uint32_t magic, uint32_t information,
                 struct ulv_bare_boot *boot)
{
    memset(boot, 0, sizeof(*boot));
    boot->magic = ULV_BARE_BOOT_MAGIC;
    if (magic == MULTIBOOT2_MAGIC) {
        boot->entry = ULV_BARE_ENTRY_MULTIBOOT2;
        return take_multiboot2(boot, information);
    }
    if (magic == BARE_ROM_MAGIC) {
        const struct bare_rom_record *record = bare_at(information);

        boot->entry = record->entry;
        boot->map = (uint64_t)information + sizeof(*record);
        boot->map_entries = record->entries;
        boot->map_stride = record->stride;
        return ULV_OK;
    }
    return ULV_E_FORMAT;
}

/* Append, or grow the last range if this one goes on where it ends. */
static ulv_status
append(struct ulv_bare *b, uint64_t start, uint64_t end, uint32_t type)
{
    struct ulv_bare_range *last = &b->ranges[b->range_count];

    if (start >= end)
        return ULV_OK;
    if (b->range_count > 0 && last[-1].type == type &&
        last[-1].start + last[-1].bytes == start) {
        last[-1].bytes += end - start;
        return ULV_OK;
    }
    if (b->range_count == ULV_BARE_RANGES_MAX)
        return ULV_E_LIMIT;
    *last = (struct ulv_bare_range){start, end - start, type, 0};
    b->range_count++;
    return ULV_OK;
}

ulv_status
bare_ranges_set(struct ulv_bare *b, uint64_t start, uint64_t bytes,
                uint32_t type)
{
    uint32_t count = b->range_count, i = 0;
    uint64_t end = start + bytes;
    struct ulv_bare_range old = {.bytes = 0};
    ulv_status status = ULV_OK;

    /* In place: what was there moves to the end of the array, and comes back
     * one by one; two ranges at most become of one. */
    if (count + 2 > ULV_BARE_RANGES_MAX)
        return ULV_E_LIMIT;
    memmove(&b->ranges[ULV_BARE_RANGES_MAX - count], b->ranges,
            count * sizeof(b->ranges[0]));
    b->range_count = 0;
    for (; i < count && status == ULV_OK; i++) {
        old = b->ranges[ULV_BARE_RANGES_MAX - count + i];
        if (old.start + old.bytes > start)
            break;
        status = append(b, old.start, old.start + old.bytes, old.type);
    }
    if (i < count && old.start < start)
        status = append(b, old.start, start, old.type);
    if (status == ULV_OK)
        status = append(b, start, end, type);
    for (; i < count && status == ULV_OK; i++) {
        old = b->ranges[ULV_BARE_RANGES_MAX - count + i];
        if (old.start + old.bytes > end)
            status = append(b, ULV_MAX(old.start, end), old.start + old.bytes,
                            old.type);
    }
    return status;
}

/* One entry as whole pages: RAM loses a partial page, the rest gains one. */
static ulv_status
set_entry(struct ulv_bare *b, const uint8_t *entry, bool is_ram)
{
    uint64_t start = ulv_get_le64(entry);
    uint64_t bytes = ulv_get_le64(entry + 8);
    uint32_t type = ulv_get_le32(entry + 16);
    uint64_t end;

    if ((type == ULV_BARE_RANGE_RAM) != is_ram || bytes == 0)
        return ULV_OK;
    if (!ulv_add_u64(start, bytes, &end)) {
        if (is_ram)
            return ULV_E_FORMAT;
        end = UINT64_MAX;
    }
    if (type == 0 || type > ULV_BARE_RANGE_BAD)
        type = ULV_BARE_RANGE_RESERVED;
    if (is_ram) {
        start = ulv_round_up(ULV_MIN(start, LAST_PAGE), BARE_PAGE);
        end = ulv_round_down(end, BARE_PAGE);
    } else {
        start = ulv_round_down(start, BARE_PAGE);
        end = ulv_round_up(ULV_MIN(end, LAST_PAGE), BARE_PAGE);
    }
    return start < end ? bare_ranges_set(b, start, end - start, type) : ULV_OK;
}

/* RAM first: where entries overlap, it is not RAM. */
static ulv_status
set_entries(struct ulv_bare *b, const struct ulv_bare_boot *boot)
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < boot->map_entries; i++) {
            const uint8_t *entry =
                bare_at(boot->map + (uint64_t)i * boot->map_stride);
            ulv_status status = set_entry(b, entry, pass == 0);

            if (status != ULV_OK)
                return status;
        }
    }
    return ULV_OK;
}

/* RAM below 1 MiB stays with the firmware and the start of processors. */
static ulv_status
set_low(struct ulv_bare *b)
{
    for (uint32_t i = 0; i < b->range_count; i++) {
        struct ulv_bare_range *range = &b->ranges[i];
        uint64_t bytes;
        ulv_status status;

        if (range->start >= LOW_BYTES || range->type != ULV_BARE_RANGE_RAM)
            continue;
        bytes = ULV_MIN(range->bytes, LOW_BYTES - range->start);
        status = bare_ranges_set(b, range->start, bytes, ULV_BARE_RANGE_LOW);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

ulv_status
bare_ranges_init(struct ulv_bare *b, const struct ulv_bare_boot *boot)
{
    ulv_status status;

    if (boot->map_entries == 0 || boot->map_entries > ENTRIES_MAX ||
        boot->map_stride < ENTRY_BYTES ||
        boot->module_count > ULV_BARE_MODULES_MAX)
        return ULV_E_FORMAT;
    status = set_entries(b, boot);
    if (status == ULV_OK)
        status = set_low(b);
    if (status != ULV_OK)
        return status;
    if (!bare_ranges_are(b, boot->image_start, boot->image_bytes,
                         ULV_BARE_RANGE_RAM))
        return ULV_E_FORMAT;
    for (uint32_t i = 0; i < boot->module_count; i++) {
        uint64_t start = ulv_round_down(boot->modules[i].start, BARE_PAGE);
        uint64_t end = ulv_round_up(
            boot->modules[i].start + boot->modules[i].bytes, BARE_PAGE);

        status = bare_ranges_set(b, start, end - start, ULV_BARE_RANGE_MODULE);
        if (status != ULV_OK)
            return status;
    }
    return bare_ranges_set(b, boot->image_start, boot->image_bytes,
                           ULV_BARE_RANGE_IMAGE);
}

bool
bare_ranges_are(const struct ulv_bare *b, uint64_t start, uint64_t bytes,
                uint32_t type)
{
    for (uint32_t i = 0; i < b->range_count; i++) {
        const struct ulv_bare_range *range = &b->ranges[i];

        if (range->type == type && start >= range->start &&
            ulv_range_inside(start - range->start, bytes, range->bytes))
            return true;
    }
    return false;
}

uint64_t
bare_ranges_find(const struct ulv_bare *b, uint64_t low, uint64_t bytes,
                 uint64_t align)
{
    for (uint32_t i = 0; i < b->range_count; i++) {
        const struct ulv_bare_range *range = &b->ranges[i];
        uint64_t start = ulv_round_up(ULV_MAX(range->start, low), align);

        if (range->type == ULV_BARE_RANGE_RAM && start >= range->start &&
            ulv_range_inside(start - range->start, bytes, range->bytes))
            return start;
    }
    return BARE_NONE;
}

uint64_t
bare_ranges_end(const struct ulv_bare *b)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < b->range_count; i++) {
        if (b->ranges[i].type == ULV_BARE_RANGE_RAM)
            end = b->ranges[i].start + b->ranges[i].bytes;
    }
    return end;
}

void
ulv_bare_ranges(const struct ulv_bare *b, struct ulv_bare_range *ret,
                uint32_t capacity, uint32_t *ret_count)
{
    *ret_count = b->range_count;
    memcpy(ret, b->ranges,
           ULV_MIN(capacity, b->range_count) * sizeof(b->ranges[0]));
}

const char *
ulv_bare_range_name(uint32_t type)
{
    static const char *const names[] = {[ULV_BARE_RANGE_RAM] = "RAM",
                                        [ULV_BARE_RANGE_RESERVED] = "reserved",
                                        [ULV_BARE_RANGE_ACPI] = "ACPI tables",
                                        [ULV_BARE_RANGE_NVS] = "ACPI NVS",
                                        [ULV_BARE_RANGE_BAD] = "bad",
                                        [ULV_BARE_RANGE_LOW] = "low",
                                        [ULV_BARE_RANGE_IMAGE] = "image",
                                        [ULV_BARE_RANGE_HEAP] = "heap",
                                        [ULV_BARE_RANGE_MODULE] = "module",
                                        [ULV_BARE_RANGE_UNREACHABLE] =
                                            "unreachable"};

    return type < ULV_COUNT_OF(names) && names[type] != NULL ? names[type]
                                                             : "unknown";
}
