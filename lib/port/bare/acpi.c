/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The processors, from the ACPI tables. The firmware is believed no further
 * than lengths and checksums hold. ACPI: Advanced Configuration and Power
 * Interface Specification 6.4.
 */
#include "port/bare/bare_priv.h"

/* 5.2.5.3 root pointer */
#define ROOT_BYTES_OLD      20
#define ROOT_BYTES_NEW      36
#define ROOT_RSDT           16
#define ROOT_LENGTH         20
#define ROOT_XSDT           24
/* 5.2.6 header of each table */
#define HEADER_BYTES        36
#define TABLE_LENGTH        4
#define TABLE_MAX           UINT32_C(0x100000)
#define TABLES_MAX          256
/* all that the entry code mapped */
#define ADDRESS_MAX         UINT64_C(0x100000000)
/* 5.2.12 MADT */
#define MADT_ENTRIES        44
#define MADT_LOCAL          0 /* 5.2.12.2 */
#define MADT_X2             9 /* 5.2.12.12 */
#define MADT_ENABLED        1
/* all processors, not one: SDM 3A 10.6.2.1, 10.12.9 */
#define LOCAL_EVERYBODY     0xff
#define X2_EVERYBODY        UINT32_C(0xffffffff)
#define PROCESSORS_MAX      1024
/* where 5.2.5.1 says to look */
#define EBDA_SEGMENT        UINT64_C(0x40e)
#define BIOS_START          UINT64_C(0xe0000)
#define BIOS_BYTES          UINT64_C(0x20000)
#define SEARCH_STRIDE       16
/* SDM 2A CPUID */
#define LEAF_TOPOLOGY       UINT32_C(0xb)
#define TOPOLOGY_THREAD     1
#define TOPOLOGY_CORE       2
#define TOPOLOGY_LEVELS_MAX 8

static bool
sums_to_zero(const uint8_t *p, uint32_t bytes)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

bool
bare_acpi_root(struct ulv_bare *b, const uint8_t *p, uint32_t bytes)
{
    if (bytes < ROOT_BYTES_OLD || memcmp(p, "RSD PTR ", 8) != 0 ||
        !sums_to_zero(p, ROOT_BYTES_OLD))
        return false;
    if (bytes >= ROOT_BYTES_NEW && p[15] >= 2 &&
        ulv_get_le32(p + ROOT_LENGTH) == ROOT_BYTES_NEW &&
        sums_to_zero(p, ROOT_BYTES_NEW) && ulv_get_le64(p + ROOT_XSDT) != 0) {
        b->root_table = ulv_get_le64(p + ROOT_XSDT);
        b->root_is_wide = true;
        return true;
    }
    b->root_table = ulv_get_le32(p + ROOT_RSDT);
    return b->root_table != 0;
}

static bool
search(struct ulv_bare *b, uint64_t start, uint64_t bytes)
{
    for (uint64_t at = 0; at + ROOT_BYTES_NEW <= bytes; at += SEARCH_STRIDE) {
        if (bare_acpi_root(b, bare_at(start + at), ROOT_BYTES_NEW))
            return true;
    }
    return false;
}

/* A table at an address, or NULL where none can be. */
static const uint8_t *
table_at(uint64_t address, uint32_t *ret_bytes)
{
    const uint8_t *p = bare_at(address);
    uint32_t bytes;

    if (address < BARE_PAGE ||
        !ulv_range_inside(address, HEADER_BYTES, ADDRESS_MAX))
        return NULL;
    bytes = ulv_get_le32(p + TABLE_LENGTH);
    if (bytes < HEADER_BYTES || bytes > TABLE_MAX ||
        !ulv_range_inside(address, bytes, ADDRESS_MAX) ||
        !sums_to_zero(p, bytes))
        return NULL;
    *ret_bytes = bytes;
    return p;
}

void
bare_acpi_init(struct ulv_bare *b, const struct ulv_bare_boot *boot)
{
    uint64_t ebda;

    if (bare_acpi_root(b, boot->root, boot->root_bytes))
        return;
    ebda = (uint64_t)ulv_get_le16(bare_at(EBDA_SEGMENT)) << 4;
    if (ebda >= 0x80000 && ebda < 0xa0000 && search(b, ebda, 1024))
        return;
    (void)search(b, BIOS_START, BIOS_BYTES);
}

/* The table that entry i of the root table names, or NULL. */
static const uint8_t *
table_of(const struct ulv_bare *b, uint32_t i, uint32_t *ret_bytes)
{
    const uint8_t *entry =
        (const uint8_t *)bare_at(b->root_table) + HEADER_BYTES;

    return table_at(b->root_is_wide ? ulv_get_le64(entry + 8ul * i)
                                    : ulv_get_le32(entry + 4ul * i),
                    ret_bytes);
}

/* Entries of the root table; *ret_bytes: its own length. */
static uint32_t
count_tables(const struct ulv_bare *b, uint32_t *ret_bytes)
{
    const uint8_t *root = table_at(b->root_table, ret_bytes);

    if (root == NULL || memcmp(root, b->root_is_wide ? "XSDT" : "RSDT", 4) != 0)
        return 0;
    return ULV_MIN((*ret_bytes - HEADER_BYTES) / (b->root_is_wide ? 8 : 4),
                   TABLES_MAX);
}

const uint8_t *
bare_acpi_table(const struct ulv_bare *b, const char signature[4],
                uint32_t *ret_bytes)
{
    uint32_t bytes, count = count_tables(b, &bytes);

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *table = table_of(b, i, ret_bytes);

        if (table != NULL && memcmp(table, signature, 4) == 0)
            return table;
    }
    return NULL;
}

/* Where these bytes lie in RAM, their pages are ACPI's. */
static ulv_status
keep(struct ulv_bare *b, uint64_t address, uint32_t bytes)
{
    uint64_t start = ulv_round_down(address, BARE_PAGE);
    uint64_t end = ulv_round_up(address + bytes, BARE_PAGE);

    if (!bare_ranges_are(b, start, end - start, ULV_BARE_RANGE_RAM))
        return ULV_OK;
    return bare_ranges_set(b, start, end - start, ULV_BARE_RANGE_ACPI);
}

ulv_status
bare_acpi_keep(struct ulv_bare *b)
{
    uint32_t bytes = 0, count = count_tables(b, &bytes);
    ulv_status status = count == 0 ? ULV_OK : keep(b, b->root_table, bytes);

    for (uint32_t i = 0; i < count && status == ULV_OK; i++) {
        const uint8_t *table = table_of(b, i, &bytes);

        if (table != NULL)
            status = keep(b, (uint64_t)(uintptr_t)table, bytes);
    }
    return status;
}

/* ---- processors ---------------------------------------------------------- */

uint32_t
bare_processor_number(void)
{
    /* SDM 2A CPUID: leaf 0BH has all 32 bits, leaf 1 the lowest 8 */
    if (cpu_id(0, 0).eax >= LEAF_TOPOLOGY &&
        cpu_id(LEAF_TOPOLOGY, 0).ebx != 0)
        return cpu_id(LEAF_TOPOLOGY, 0).edx;
    return cpu_id(1, 0).ebx >> 24;
}

/* Where a processor sits: its number cut as leaf 0BH says (SDM 2A CPUID). All
 * processors of a machine are taken to be cut alike. */
static void
place(struct ulv_host_processor *processor)
{
    uint32_t thread_bits = 0, core_bits = 31;

    if (cpu_id(0, 0).eax >= LEAF_TOPOLOGY) {
        for (uint32_t level = 0; level < TOPOLOGY_LEVELS_MAX; level++) {
            struct cpu_identity id = cpu_id(LEAF_TOPOLOGY, level);
            uint32_t kind = id.ecx >> 8 & 0xff, bits = id.eax & 31;

            if (kind == TOPOLOGY_THREAD)
                thread_bits = bits;
            else if (kind == TOPOLOGY_CORE)
                core_bits = bits;
            else
                break;
        }
    }
    processor->package = processor->number >> core_bits;
    processor->core = processor->number >> thread_bits;
    processor->thread = processor->number & ((1u << thread_bits) - 1);
}

/* In order of number; a number that stands twice is taken once. */
static void
add_processor(struct ulv_bare *b, uint32_t number)
{
    uint32_t at = b->processor_count;

    while (at > 0 && b->processors[at - 1].number > number)
        at--;
    if ((at > 0 && b->processors[at - 1].number == number) ||
        b->processor_count == PROCESSORS_MAX)
        return;
    memmove(&b->processors[at + 1], &b->processors[at],
            (b->processor_count - at) * sizeof(b->processors[0]));
    b->processors[at] = (struct ulv_host_processor){.number = number};
    place(&b->processors[at]);
    b->processor_count++;
}

ulv_status
bare_processors_init(struct ulv_bare *b)
{
    uint32_t bytes = 0;
    const uint8_t *madt = bare_acpi_table(b, "APIC", &bytes);

    b->processors =
        bare_alloc(b, PROCESSORS_MAX * sizeof(b->processors[0]), 16);
    if (b->processors == NULL)
        return ULV_E_NO_MEMORY;
    add_processor(b, bare_processor_number());
    for (uint32_t at = MADT_ENTRIES; madt != NULL && at + 2 <= bytes;) {
        const uint8_t *entry = madt + at;

        if (entry[1] < 2 || entry[1] > bytes - at)
            break;
        if (entry[0] == MADT_LOCAL && entry[1] >= 8 &&
            entry[3] != LOCAL_EVERYBODY &&
            (ulv_get_le32(entry + 4) & MADT_ENABLED) != 0)
            add_processor(b, entry[3]);
        if (entry[0] == MADT_X2 && entry[1] >= 16 &&
            ulv_get_le32(entry + 4) != X2_EVERYBODY &&
            (ulv_get_le32(entry + 8) & MADT_ENABLED) != 0)
            add_processor(b, ulv_get_le32(entry + 4));
        at += entry[1];
    }
    return ULV_OK;
}
