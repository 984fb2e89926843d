/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A payload that names pieces, as a hostile peer may send it. Input: one byte,
 * which end reads it and how many pages the area has; the payload. What was
 * believed lies in the peer's half, and can be read and written.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/bulk.h>

#include "fuzz.h"

#define PAGE UINT64_C(4096)

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
use(const struct ulv_bulk *bulk, const struct ulv_bulk_list *list,
    const uint8_t *peer, uint64_t half)
{
    static uint8_t row[64];
    uint64_t sum = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        const uint8_t *at = ulv_bulk_at(bulk, list, i);

        require(at >= peer && list->piece[i].bytes <= half &&
                at + list->piece[i].bytes <= peer + half);
        sum += list->piece[i].bytes;
    }
    require(sum == list->bytes);
    for (uint64_t at = 0; at < sum; at += sum / 8 + 1) {
        size_t bytes = sum - at < sizeof(row) ? sum - at : sizeof(row);

        require(ulv_bulk_read(bulk, list, at, row, bytes) == ULV_OK);
        require(ulv_bulk_write(bulk, list, at, row, bytes) ==
                ((list->flags & ULV_BULK_WRITABLE) != 0 ? ULV_OK
                                                        : ULV_E_DENIED));
    }
    require(ulv_bulk_read(bulk, list, sum, row, 1) == ULV_E_LIMIT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t first = size == 0 ? 0 : data[0];
    uint32_t end = first % 2;
    uint64_t area_bytes = (first / 2 % 8) * PAGE, half = area_bytes / 2;
    uint64_t account = 0;
    uint8_t *area = calloc(1, area_bytes + 1), *payload;
    struct ulv_bulk_list list;
    struct ulv_bytes message;
    struct ulv_bulk bulk;
    ulv_status status;

    half -= half % PAGE;
    size -= size == 0 ? 0 : 1;
    /* exactly so many: the sanitizer sees what is behind them */
    payload = malloc(size == 0 ? 1 : size);
    require(area != NULL && payload != NULL);
    if (size != 0)
        memcpy(payload, data + 1, size);
    require(ulv_bulk_init(&bulk, area, area_bytes, end, &account) == ULV_OK);
    status = ulv_bulk_get(&bulk, payload, size, &list, &message);
    require(status == ULV_OK || status == ULV_E_PEER_LENGTH ||
            status == ULV_E_PEER_PROTOCOL);
    if (status == ULV_OK) {
        require(ulv_bulk_record_bytes(&list) + message.len == size);
        use(&bulk, &list, area + (1 - end) * half, half);
    }
    require(status == ULV_OK || list.count == 0);
    require(ulv_bulk_give_back(&bulk, &list) ==
            (list.count == 0 ? ULV_OK : ULV_E_ARG));
    free(area);
    free(payload);
    return 0;
}
