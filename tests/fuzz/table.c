/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A whole section of a table as a hostile writer may leave it. Input: four
 * bytes of sizes, then the section's bytes, at most SECTION; what is left over
 * are steps of three bytes, among them the writer's: a byte anywhere. Whatever
 * lies there, a reader reads inside of it; and whoever takes it over finds
 * again what he puts.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/table.h>

#include "fuzz.h"

#define SECTION 1024u

static uint8_t value[ULV_TABLE_ENTRY_BYTES_MAX];

static void
require(bool holds)
{
    if (!holds)
        abort();
}

/* What a refresh believed lies in the section. */
static void
refresh(struct ulv_table_reader *reader)
{
    uint64_t changes;
    ulv_status status = ulv_table_refresh(reader, &changes);

    require(status == ULV_OK || status == ULV_E_AGAIN ||
            status == ULV_E_FORMAT);
    require((status == ULV_OK) == (reader->entry_count != 0));
    if (status == ULV_OK)
        require(sizeof(struct ulv_table_section) +
                    (uint64_t)reader->entry_count * ULV_TABLE_COPIES *
                        reader->entry_bytes <=
                reader->bytes);
}

static void
read_one(const struct ulv_table_reader *reader, uint32_t idx)
{
    uint64_t sequence = 0;
    ulv_status status = ulv_table_read(reader, idx, value,
                                       reader->entry_bytes, &sequence);

    require(status == ULV_OK || status == ULV_E_AGAIN ||
            status == ULV_E_NOT_FOUND);
    require(status != ULV_OK || (idx < reader->entry_count && sequence != 0));
}

static void
take_over(uint8_t *section, uint64_t bytes, uint32_t count, uint32_t entry)
{
    struct ulv_table_writer writer;
    struct ulv_table_reader reader;
    ulv_status status = ulv_table_take(&writer, section, bytes, count, entry);

    require(status == ULV_OK || status == ULV_E_ARG || status == ULV_E_LIMIT);
    if (status != ULV_OK)
        return;
    ulv_table_reader_init(&reader, section, bytes);
    require(ulv_table_refresh(&reader, NULL) == ULV_OK);
    memset(value, 0x5a, entry);
    require(ulv_table_put(&writer, count, value) == ULV_E_NOT_FOUND);
    require(ulv_table_put(&writer, count - 1, value) == ULV_OK);
    memset(value, 0, entry);
    status = ulv_table_read(&reader, count - 1, value, entry, NULL);
    /* the number that was found may have been the last there is */
    require(status == ULV_OK || status == ULV_E_NOT_FOUND);
    for (uint32_t i = 0; i < entry && status == ULV_OK; i++)
        require(value[i] == 0x5a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sizes[4] = { 0 }, *section;
    struct ulv_table_reader reader;
    uint64_t bytes;

    for (size_t i = 0; i < 4 && size > 0; i++, size--)
        sizes[i] = *data++;
    bytes = (sizes[0] | (uint64_t)sizes[1] << 8) % SECTION;
    /* exactly so many: the sanitizer sees what is behind them */
    section = aligned_alloc(64, bytes == 0 ? 64 : (bytes + 63) / 64 * 64);
    require(section != NULL);
    memset(section, 0, (size_t)bytes);
    if (size > bytes) {
        memcpy(section, data, (size_t)bytes);
        data += bytes;
        size -= (size_t)bytes;
    } else {
        if (size != 0)
            memcpy(section, data, size);
        size = 0;
    }
    ulv_table_reader_init(&reader, section, bytes);
    refresh(&reader);
    (void)ulv_table_state(&reader);
    (void)ulv_table_is_awaited(&reader);
    for (uint32_t i = 0; i <= reader.entry_count; i++)
        read_one(&reader, i);
    for (; size >= 3; data += 3, size -= 3) {
        if (data[0] % 4 == 0)
            refresh(&reader);
        else if (data[0] % 4 == 1)
            read_one(&reader, data[1]);
        else if (bytes != 0)
            section[(data[0] / 4 + data[1] * 64u) % bytes] = data[2];
    }
    take_over(section, bytes, sizes[2], sizes[3] * 8u);
    free(section);
    return 0;
}
