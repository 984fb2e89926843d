/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The caller's half of a bulk area, and lists of pieces of either half. */
#include <ultravisor/abi/channel.h>
#include <ultravisor/bulk.h>

#include "base/base.h"

#define PAGE UINT64_C(4096)

static uint64_t
half_of(uint64_t area_bytes)
{
    return ulv_round_down(area_bytes / 2, PAGE);
}

static uint64_t
pages_of(uint64_t bytes)
{
    return bytes / PAGE + (bytes % PAGE != 0);
}

size_t
ulv_bulk_account_bytes(uint64_t area_bytes)
{
    return (size_t)ulv_round_up(half_of(area_bytes) / PAGE, 64) / 8;
}

ulv_status
ulv_bulk_init(struct ulv_bulk *bulk, void *area, uint64_t area_bytes,
              uint32_t end, void *account)
{
    const uint64_t half = half_of(area_bytes);

    if (end > ULV_END_CLIENT)
        return ULV_E_ARG;
    *bulk = (struct ulv_bulk){ .area = area,
                               .bytes = 2 * half,
                               .own_offset = end * half,
                               .taken = account,
                               .page_count = half / PAGE,
                               .free_count = half / PAGE };
    memset(account, 0, ulv_bulk_account_bytes(area_bytes));
    return ULV_OK;
}

uint64_t
ulv_bulk_free_bytes(const struct ulv_bulk *bulk)
{
    return bulk->free_count * PAGE;
}

/* ---- pages of the own half ----------------------------------------------- */

static bool
is_taken(const struct ulv_bulk *bulk, uint64_t page)
{
    return (bulk->taken[page / 64] >> page % 64 & 1) != 0;
}

/* The first page from there on that is taken, or free; page_count: none. */
static uint64_t
next_page(const struct ulv_bulk *bulk, uint64_t page, bool taken)
{
    while (page < bulk->page_count) {
        uint64_t word = bulk->taken[page / 64];
        uint64_t left = (taken ? word : ~word) >> page % 64;

        if (left != 0)
            return ULV_MIN(page + (uint64_t)__builtin_ctzll(left),
                           bulk->page_count);
        page = (page / 64 + 1) * 64;
    }
    return bulk->page_count;
}

static void
mark(struct ulv_bulk *bulk, const struct ulv_bulk_piece *piece, bool taken)
{
    uint64_t first = (piece->offset - bulk->own_offset) / PAGE;
    uint64_t count = pages_of(piece->bytes);

    for (uint64_t page = first; page < first + count; page++) {
        if (taken)
            bulk->taken[page / 64] |= UINT64_C(1) << page % 64;
        else
            bulk->taken[page / 64] &= ~(UINT64_C(1) << page % 64);
    }
    bulk->free_count += taken ? 0 - count : count;
}

/* Adds the runs of least .. most free pages, until there is enough; returns the
 * bytes that are still to be found. */
static uint64_t
gather(const struct ulv_bulk *bulk, uint64_t left, uint64_t least,
       uint64_t most, struct ulv_bulk_list *list)
{
    uint64_t first, at = 0;

    while (left > 0 && list->count < ULV_BULK_PIECES_MAX &&
           (first = next_page(bulk, at, false)) < bulk->page_count) {
        struct ulv_bulk_piece *piece = &list->piece[list->count];

        at = next_page(bulk, first, true);
        if (at - first < least || at - first > most)
            continue;
        piece->offset = bulk->own_offset + first * PAGE;
        piece->bytes = ULV_MIN((at - first) * PAGE, left);
        left -= piece->bytes;
        list->count++;
    }
    return left;
}

ulv_status
ulv_bulk_take(struct ulv_bulk *bulk, uint64_t bytes,
              struct ulv_bulk_list *ret_list)
{
    const uint64_t pages = pages_of(bytes);
    uint64_t most = UINT64_MAX, left = bytes;

    *ret_list = (struct ulv_bulk_list){ 0 };
    if (bytes == 0)
        return ULV_E_ARG;
    if (pages > bulk->page_count)
        return ULV_E_LIMIT;
    if (pages > bulk->free_count)
        return ULV_E_FULL;
    for (uint64_t least = pages; left > 0 && least > 0; least /= 2) {
        left = gather(bulk, left, least, most, ret_list);
        most = least - 1;
    }
    if (left > 0) {
        *ret_list = (struct ulv_bulk_list){ 0 };
        return ULV_E_FULL;
    }
    for (uint32_t i = 0; i < ret_list->count; i++)
        mark(bulk, &ret_list->piece[i], true);
    ret_list->flags = ULV_BULK_WRITABLE;
    ret_list->bytes = bytes;
    return ULV_OK;
}

static bool
is_own(const struct ulv_bulk *bulk, const struct ulv_bulk_piece *piece)
{
    const uint64_t offset = piece->offset - bulk->own_offset;

    if (piece->bytes == 0 || offset % PAGE != 0 ||
        !ulv_range_inside(offset, piece->bytes, bulk->page_count * PAGE))
        return false;
    for (uint64_t i = 0; i < pages_of(piece->bytes); i++) {
        if (!is_taken(bulk, offset / PAGE + i))
            return false;
    }
    return true;
}

ulv_status
ulv_bulk_give_back(struct ulv_bulk *bulk, const struct ulv_bulk_list *list)
{
    uint32_t i = 0;

    if (list->count > ULV_BULK_PIECES_MAX)
        return ULV_E_ARG;
    for (; i < list->count && is_own(bulk, &list->piece[i]); i++)
        mark(bulk, &list->piece[i], false);
    if (i == list->count)
        return ULV_OK;
    while (i-- > 0)
        mark(bulk, &list->piece[i], true);
    return ULV_E_ARG;
}

/* ---- records ------------------------------------------------------------- */

size_t
ulv_bulk_record_bytes(const struct ulv_bulk_list *list)
{
    return sizeof(struct ulv_bulk_head) +
           list->count * sizeof(struct ulv_bulk_piece);
}

ulv_status
ulv_bulk_put(const struct ulv_bulk_list *list, uint64_t id, uint32_t flags,
             void *payload, size_t bytes)
{
    const struct ulv_bulk_head head = { .id = id,
                                        .count = list->count,
                                        .flags = flags };

    if ((flags & ~ULV_BULK_WRITABLE) != 0)
        return ULV_E_ARG;
    if (list->count > ULV_BULK_PIECES_MAX ||
        bytes < ulv_bulk_record_bytes(list))
        return ULV_E_LIMIT;
    memcpy(payload, &head, sizeof(head));
    memcpy((uint8_t *)payload + sizeof(head), list->piece,
           list->count * sizeof(list->piece[0]));
    return ULV_OK;
}

/* All of the list but its pieces. */
static ulv_status
get_head(const void *payload, size_t bytes, struct ulv_bulk_list *list)
{
    struct ulv_bulk_head head;

    *list = (struct ulv_bulk_list){ 0 };
    if (bytes < sizeof(head))
        return ULV_E_PEER_LENGTH;
    memcpy(&head, payload, sizeof(head));
    if (head.count > ULV_BULK_PIECES_MAX ||
        (head.flags & ~ULV_BULK_WRITABLE) != 0)
        return ULV_E_PEER_PROTOCOL;
    list->count = head.count;
    list->flags = head.flags;
    list->id = head.id;
    return bytes < ulv_bulk_record_bytes(list) ? ULV_E_PEER_LENGTH : ULV_OK;
}

/* Whether all lie in the peer's half; their sum is taken. */
static bool
are_peers(const struct ulv_bulk *bulk, struct ulv_bulk_list *list)
{
    const uint64_t half = bulk->page_count * PAGE;
    const uint64_t begin = bulk->own_offset == 0 ? half : 0;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct ulv_bulk_piece *piece = &list->piece[i];

        if (piece->bytes == 0 || piece->offset < begin ||
            !ulv_range_inside(piece->offset - begin, piece->bytes, half))
            return false;
        list->bytes += piece->bytes;
    }
    return true;
}

ulv_status
ulv_bulk_get(const struct ulv_bulk *bulk, const void *payload, size_t bytes,
             struct ulv_bulk_list *ret_list, struct ulv_bytes *ret_message)
{
    ulv_status status = get_head(payload, bytes, ret_list);

    if (status == ULV_OK) {
        memcpy(ret_list->piece,
               (const uint8_t *)payload + sizeof(struct ulv_bulk_head),
               ret_list->count * sizeof(ret_list->piece[0]));
        if (!are_peers(bulk, ret_list))
            status = ULV_E_PEER_PROTOCOL;
    }
    if (status != ULV_OK) {
        *ret_list = (struct ulv_bulk_list){ 0 };
        return status;
    }
    if (ret_message != NULL) {
        ret_message->p = (const uint8_t *)payload +
                         ulv_bulk_record_bytes(ret_list);
        ret_message->len = bytes - ulv_bulk_record_bytes(ret_list);
    }
    return ULV_OK;
}

/* ---- what lies in the pieces --------------------------------------------- */

void *
ulv_bulk_at(const struct ulv_bulk *bulk, const struct ulv_bulk_list *list,
            uint32_t idx)
{
    const struct ulv_bulk_piece *piece = &list->piece[idx];

    return ulv_range_inside(piece->offset, piece->bytes, bulk->bytes)
               ? bulk->area + piece->offset
               : NULL;
}

/* Calls for each stretch of [offset, offset + bytes) of the row; data is the
 * caller's buffer, which is read or written. */
static ulv_status
copy_row(const struct ulv_bulk *bulk, const struct ulv_bulk_list *list,
         uint64_t offset, uint8_t *data, size_t bytes, bool out)
{
    if (!ulv_range_inside(offset, bytes, list->bytes))
        return ULV_E_LIMIT;
    for (uint32_t i = 0; i < list->count && bytes > 0; i++) {
        const uint64_t length = list->piece[i].bytes;
        uint8_t *at = ulv_bulk_at(bulk, list, i);
        size_t some;

        if (offset >= length) {
            offset -= length;
            continue;
        }
        if (at == NULL)
            return ULV_E_LIMIT;
        some = (size_t)ULV_MIN(length - offset, bytes);
        if (out)
            memcpy(data, at + offset, some);
        else
            memcpy(at + offset, data, some);
        data += some;
        bytes -= some;
        offset = 0;
    }
    return ULV_OK;
}

ulv_status
ulv_bulk_read(const struct ulv_bulk *bulk, const struct ulv_bulk_list *list,
              uint64_t offset, void *to, size_t bytes)
{
    return copy_row(bulk, list, offset, to, bytes, true);
}

ulv_status
ulv_bulk_write(const struct ulv_bulk *bulk, const struct ulv_bulk_list *list,
               uint64_t offset, const void *from, size_t bytes)
{
    if ((list->flags & ULV_BULK_WRITABLE) == 0)
        return ULV_E_DENIED;
    /* only read */
    return copy_row(bulk, list, offset, (uint8_t *)(uintptr_t)from, bytes,
                    false);
}
