/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A whole view as nobody may leave it, and its reader. A publisher writes three
 * generations; the input is steps of four bytes: one that changes a word of a
 * page, or reads. Whatever lies there, a reader reads inside of the segment,
 * and what it shows of records that nobody touched is what was published.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "view/publish.h"
#include "view/read_fast.h"

#include "fuzz.h"

#define RECORDS 150u /* more than a page of them */

static struct ulv_view_memory memory[RECORDS];
static struct ulv_view_publisher publisher;

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
publish(uint64_t mark)
{
    struct ulv_view_partition partition = { .id = 7, .intent = 1 };
    const struct ulv_view_section section[2] = {
        { ULV_VIEW_PARTITION, sizeof(partition), 1, &partition },
        { ULV_VIEW_MEMORY, sizeof(memory[0]), RECORDS, memory },
    };

    for (uint32_t i = 0; i < RECORDS; i++)
        memory[i].guest_address = mark + i;
    require(ulv_view_prepare(&publisher, section, 2, NULL) == ULV_OK);
    (void)ulv_view_publish(&publisher);
}

static bool
is_known(ulv_status status)
{
    return status == ULV_OK || status == ULV_E_AGAIN ||
           status == ULV_E_NOT_FOUND || status == ULV_E_FORMAT;
}

/* What was found, and is believed until the root word changes. */
static void
require_inside(const struct ulv_view_reader *reader)
{
    const struct ulv_view_entry *e = &reader->entry;

    require(reader->entry_root == 0 ||
            (e->page != 0 && e->page < reader->bytes / ULV_VIEW_PAGE_BYTES &&
             e->offset % 8 == 0 && e->record_bytes % 8 == 0 &&
             e->offset + (uint64_t)e->count * e->record_bytes <=
                 ULV_VIEW_PAGE_BYTES));
}

/* Of either kind, or another; by each way of reading. */
static void
read_one(struct ulv_view_reader *reader, const uint8_t step[4])
{
    static uint8_t record[ULV_VIEW_PAGE_BYTES];
    const uint32_t kind = step[1] % 8, idx = step[2];
    const size_t bytes = (step[3] % 64 + 1) * 8u;
    uint64_t generation;

    switch (step[0] >> 4 & 3) {
    case 0:
        require(is_known(ulv_view_refresh(reader, &generation)));
        break;
    case 1:
        require(is_known(ulv_view_read(reader, kind, idx, record, bytes)));
        break;
    case 2:
        require(is_known(ulv_view_read(reader, ULV_VIEW_MEMORY, idx, record,
                                       sizeof(memory[0]))));
        break;
    default:
        require(is_known(ulv_view_read_fast(reader, ULV_VIEW_MEMORY, idx,
                                            record, sizeof(memory[0]))));
        break;
    }
    require_inside(reader);
}

/* A byte, or all of a word: what is near the begin of a page decides most. */
static void
change(uint8_t *segment, const uint8_t step[4])
{
    uint8_t *page = segment + step[1] % 16 * (size_t)ULV_VIEW_PAGE_BYTES;

    if ((step[0] & 4) == 0)
        page[step[2]] = step[3];
    else
        memset(page + (step[2] & ~7u), step[3], 8);
}

static void
reads_all(const uint8_t *segment, uint64_t bytes, uint64_t mark)
{
    struct ulv_view_reader reader;
    struct ulv_view_memory record;
    uint64_t generation;

    ulv_view_reader_init(&reader, segment, bytes);
    require(ulv_view_refresh(&reader, &generation) == ULV_OK);
    for (uint32_t i = 0; i < RECORDS; i++) {
        require(ulv_view_read(&reader, ULV_VIEW_MEMORY, i, &record,
                              sizeof(record)) == ULV_OK);
        require(record.guest_address == mark + i);
    }
    require(ulv_view_read(&reader, ULV_VIEW_MEMORY, RECORDS, &record,
                          sizeof(record)) == ULV_E_NOT_FOUND);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t bytes = ULV_VIEW_SEGMENT_BYTES;
    uint8_t *segment = calloc(1, bytes); /* the sanitizer sees its ends */
    struct ulv_view_reader reader;

    require(segment != NULL);
    require(ulv_view_publisher_init(&publisher, segment, bytes, 0, 7, 1) ==
            ULV_OK);
    for (uint64_t mark = 1; mark <= 3; mark++)
        publish(mark * 1000);
    reads_all(segment, bytes, 3000);
    ulv_view_reader_init(&reader, segment, bytes);
    for (; size >= 4; data += 4, size -= 4) {
        if (data[0] % 4 == 0)
            change(segment, data);
        else
            read_one(&reader, data);
    }
    free(segment);
    return 0;
}
