/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Scatter-gather over a channel: data lies in the bulk area, which both ends
 * have mapped, and records only name its pieces. Each end hands out pages of
 * its own half; what it lent comes back when the peer says that it is done.
 * doc/formats/bulk.md is the format.
 *
 * For programs (ulv_channel_area()) and guests (guest_channel_area()):
 * freestanding, calls nobody. Nothing of what the peer wrote is believed: an
 * end's own account is in its own memory, and pieces are copied before they are
 * checked. Bytes in the area are the peer's to change at any time.
 *
 *     struct ulv_bulk_list list;
 *
 *     ulv_bulk_take(&bulk, 300000, &list);         // pages, from fragments
 *     ulv_bulk_write(&bulk, &list, 0, image, 300000);
 *     ulv_bulk_put(&list, id, 0, slot, slot_bytes); // into a record
 *     ...                                           // the peer is done with id
 *     ulv_bulk_give_back(&bulk, &list);
 */
#ifndef ULTRAVISOR_BULK_H
#define ULTRAVISOR_BULK_H

#include <ultravisor/abi/bulk.h>
#include <ultravisor/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One end's use of a bulk area; no field is to be touched. */
struct ulv_bulk {
    uint8_t *area;
    uint64_t bytes;       /* of both halves that are used */
    uint64_t own_offset;  /* of this end's half */
    uint64_t *taken;      /* a bit a page of that half */
    uint64_t page_count;  /* of that half */
    uint64_t free_count;
};

/* Pieces that belong together, in their order: of an own half, or a peer's. */
struct ulv_bulk_list {
    uint32_t count;
    uint32_t flags; /* ULV_BULK_*: an own list is WRITABLE */
    uint64_t id;    /* of a list that was received, else 0 */
    uint64_t bytes; /* of all pieces */
    struct ulv_bulk_piece piece[ULV_BULK_PIECES_MAX];
};

/**
 * How much memory ulv_bulk_init() needs for an end's account of its half.
 *
 * @param area_bytes  of the bulk area
 *
 * Returns bytes, a multiple of 8.
 * Context: any
 * Since:   0.1
 */
ULV_API size_t ulv_bulk_account_bytes(uint64_t area_bytes);

/**
 * Begin to use a bulk area: all pages of the own half are free. After a
 * predecessor died that is so when the peer has let go of what it had.
 *
 * @param bulk        filled
 * @param area        mapped as long as it is used
 * @param area_bytes  of it; less than two pages: there is nothing to take
 * @param end         ULV_END_*: server or client of the channel
 * @param account     ulv_bulk_account_bytes(area_bytes) of memory that no peer
 *                    reaches, a multiple of 8; used as long as bulk is
 *
 * Errors:  ULV_E_ARG  the end is neither
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_bulk_init(struct ulv_bulk *bulk, void *area,
                                 uint64_t area_bytes, uint32_t end,
                                 void *account);

/**
 * Take free pages of the own half, in one piece if there is one, else in large
 * ones before small ones; the last has only the bytes that are left. All or
 * nothing.
 *
 * @param bulk      an end
 * @param bytes     from 1
 * @param ret_list  the pieces, in the order of the data; on errors none
 *
 * Errors:  ULV_E_ARG    no bytes
 *          ULV_E_LIMIT  more than the half has; nothing that comes back helps
 *          ULV_E_FULL   so much is not free, or in too many pieces; later it
 *                       may be
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_bulk_take(struct ulv_bulk *bulk, uint64_t bytes,
                                 struct ulv_bulk_list *ret_list);

/**
 * Make pages free again that were taken: when the peer is done with them, or
 * never heard of them.
 *
 * @param bulk  an end
 * @param list  as ulv_bulk_take() made it
 *
 * Errors:  ULV_E_ARG  a piece that was not taken, or not like that; nothing of
 *                     the list is given back
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_bulk_give_back(struct ulv_bulk *bulk,
                                      const struct ulv_bulk_list *list);

/**
 * How much ulv_bulk_take() could still hand out.
 *
 * @param bulk  an end
 *
 * Returns bytes, a multiple of ULV_BULK_PAGE_BYTES.
 * Context: owner
 * Since:   0.1
 */
ULV_API uint64_t ulv_bulk_free_bytes(const struct ulv_bulk *bulk);

/**
 * How long the payload of a record with these pieces is, without a message.
 *
 * @param list  pieces
 *
 * Returns bytes, a multiple of 16, at most 1040.
 * Context: any
 * Since:   0.1
 */
ULV_API size_t ulv_bulk_record_bytes(const struct ulv_bulk_list *list);

/**
 * Write the pieces of a list to the payload of a record; the message is the
 * caller's, behind them.
 *
 * @param list     pieces that were taken
 * @param id       what the peer is to say when it is done
 * @param flags    ULV_BULK_*
 * @param payload  a multiple of 8
 * @param bytes    of it, with the message
 *
 * Errors:  ULV_E_LIMIT  the pieces do not fit
 *          ULV_E_ARG    flags that there are not
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_bulk_put(const struct ulv_bulk_list *list, uint64_t id,
                                uint32_t flags, void *payload, size_t bytes);

/**
 * Read the pieces of a record that the peer sent: copied once, then checked.
 *
 * @param bulk         an end
 * @param payload      of the record
 * @param bytes        of it
 * @param ret_list     the pieces, all in the peer's half; on errors none
 * @param ret_message  NULL, or what follows them; in place
 *
 * Errors:  ULV_E_PEER_LENGTH    the payload is shorter than it says
 *          ULV_E_PEER_PROTOCOL  too many pieces, flags that there are not, or a
 *                               piece that is empty or not in the peer's half
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_bulk_get(const struct ulv_bulk *bulk,
                                const void *payload, size_t bytes,
                                struct ulv_bulk_list *ret_list,
                                struct ulv_bytes *ret_message);

/**
 * Where a piece lies, for who works in place.
 *
 * @param bulk   an end
 * @param list   of ulv_bulk_take() or ulv_bulk_get()
 * @param idx    less than the list's count
 *
 * Returns its first byte, or NULL if it is not in the area.
 * Context: owner
 * Since:   0.1
 */
ULV_API void *ulv_bulk_at(const struct ulv_bulk *bulk,
                          const struct ulv_bulk_list *list, uint32_t idx);

/**
 * Copy bytes out of the pieces of a list, as if they lay in a row.
 *
 * @param bulk    an end
 * @param list    of ulv_bulk_take() or ulv_bulk_get()
 * @param offset  in the row
 * @param to      room for bytes
 * @param bytes   how many
 *
 * Errors:  ULV_E_LIMIT  the row ends before; nothing is copied
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_bulk_read(const struct ulv_bulk *bulk,
                                 const struct ulv_bulk_list *list,
                                 uint64_t offset, void *to, size_t bytes);

/**
 * Copy bytes into the pieces of a list, as if they lay in a row: an own list,
 * or one of the peer's that is ULV_BULK_WRITABLE.
 *
 * @param bulk    an end
 * @param list    of ulv_bulk_take() or ulv_bulk_get()
 * @param offset  in the row
 * @param from    bytes
 * @param bytes   how many
 *
 * Errors:  ULV_E_LIMIT   the row ends before; nothing is copied
 *          ULV_E_DENIED  the peer's, and not to be written
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_bulk_write(const struct ulv_bulk *bulk,
                                  const struct ulv_bulk_list *list,
                                  uint64_t offset, const void *from,
                                  size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
