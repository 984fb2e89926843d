/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Opening a journal. Input byte 0: bit 0 = its checksums are made right first,
 * so that what lies behind them is reached; bytes 1 to 4: how long the
 * checkpoint is; then the checkpoint, then the segment. What is believed makes
 * a database that keeps every invariant, that can be opened again, and says the
 * same; what is refused is left as it was.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/abi/journal.h>
#include <ultravisor/posix.h>

#include "base/base.h"
#include "database/journal.h"
#include "port/test/storage.h"

#include "fuzz.h"

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
put_le32(uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < 4; i++)
        p[i] = (uint8_t)(n >> 8 * i);
}

/* Frames as long as they say they are. */
static void
make_right(uint8_t *p, size_t len, const uint8_t guid[16])
{
    size_t at = sizeof(struct ulv_journal_header);

    if (len < at)
        return;
    put_le32(p + 60, ulv_crc32c(0, p, 60));
    while (len - at >= sizeof(struct ulv_journal_frame)) {
        size_t bytes = sizeof(struct ulv_journal_frame) +
                       (size_t)ulv_get_le32(p + at + 4);

        if (bytes > len - at)
            return;
        put_le32(p + at + 28, 0);
        put_le32(p + at + 28,
                 ulv_crc32c(ulv_crc32c(0, guid, 16), p + at, bytes));
        at += bytes;
    }
}

static ulv_status
open_journal(const struct ulv_test_storage *s, struct ulv_database **ret_db,
             struct ulv_journal **ret)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;

    *ret = NULL;
    require(ulv_database_create(ulv_posix_host(), ret_db) == ULV_OK);
    status = ulv_journal_open(*ret_db, &s->storage, ret, &diag);
    require(status == ULV_OK || (diag.status == status && diag.text[0] != 0));
    require(status != ULV_E_INTERNAL);
    return status;
}

static uint32_t
sum(const struct ulv_database *db)
{
    static uint8_t records[65536];
    uint32_t crc = 0;

    for (uint32_t kind = 1; kind < ULV_QUERY_USAGE; kind++) {
        uint64_t after = 0;
        bool more = true;

        while (more) {
            uint32_t bytes, count;

            require(ulv_database_query(db, kind, after, records,
                                       sizeof(records), &bytes, &count,
                                       &more) == ULV_OK);
            crc = ulv_crc32c(crc, records, (size_t)bytes * count);
            if (count == 0)
                break;
            after = ulv_get_le64(records + (size_t)bytes * (count - 1));
        }
    }
    return crc;
}

static void
use(struct ulv_test_storage *s)
{
    struct ulv_test_bytes before = s->now[ULV_STORAGE_CHECKPOINT];
    uint32_t before_crc = ulv_crc32c(0, before.p, before.bytes);
    struct ulv_journal *j;
    struct ulv_database *db;
    uint32_t found;
    ulv_status status = open_journal(s, &db, &j);

    if (status == ULV_OK) {
        require(ulv_database_check(db, NULL) == ULV_OK);
        found = sum(db);
        ulv_journal_close(j);
        ulv_database_destroy(db);
        require(open_journal(s, &db, &j) == ULV_OK);
        require(sum(db) == found);
    } else {
        before = s->now[ULV_STORAGE_CHECKPOINT];
        require(ulv_crc32c(0, before.p, before.bytes) == before_crc);
    }
    ulv_journal_close(j);
    ulv_database_destroy(db);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ulv_test_storage s;
    uint8_t *copy;
    size_t first;

    if (size < 5 || ulv_get_le32(data + 1) > size - 5)
        return 0;
    first = ulv_get_le32(data + 1);
    copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data, size);
    if ((data[0] & 1) != 0 && first >= 32) {
        make_right(copy + 5, first, copy + 5 + 16);
        make_right(copy + 5 + first, size - 5 - first, copy + 5 + 16);
    }
    ulv_test_storage_init(&s);
    ulv_test_storage_set(&s, ULV_STORAGE_CHECKPOINT, copy + 5, first);
    ulv_test_storage_set(&s, ULV_STORAGE_SEGMENT + 1, copy + 5 + first,
                         size - 5 - first);
    use(&s);
    ulv_test_storage_fini(&s);
    free(copy);
    return 0;
}
