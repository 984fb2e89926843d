/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An end of a bulk area whose other end is of another make: test_bulk.py.
 * Payloads come and go by standard input and output, each behind its length
 * (4 bytes).
 *
 * usage: bulk_end lend FD BYTES ROWS
 *        bulk_end borrow FD BYTES
 *
 * The lender (server) fills rows of many sizes, two of one size at a time: the
 * borrower (client) copies the first to the second with all bits turned, and
 * says the id. A borrower answers what it does not believe with the status, and
 * ends at the end of its input. Exits with 0 if all was as it must be.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ultravisor/abi/channel.h>
#include <ultravisor/bulk.h>

#define LARGEST 100000u

static struct ulv_bulk bulk;
static uint64_t account[64];
static uint8_t data[LARGEST], found[LARGEST], payload[4096];

static bool
get(uint32_t *ret_bytes)
{
    return read(0, ret_bytes, 4) == 4 && *ret_bytes <= sizeof(payload) &&
           read(0, payload, *ret_bytes) == (ssize_t)*ret_bytes;
}

static bool
put(const void *what, uint32_t bytes)
{
    return write(1, &bytes, 4) == 4 && write(1, what, bytes) == (ssize_t)bytes;
}

static bool
lend(const struct ulv_bulk_list *list, uint64_t id, uint32_t flags)
{
    return ulv_bulk_put(list, id, flags, payload, sizeof(payload)) == ULV_OK &&
           put(payload, (uint32_t)ulv_bulk_record_bytes(list));
}

static int
lend_once(uint64_t id)
{
    const uint64_t bytes = id * 7919 % LARGEST + 1;
    struct ulv_bulk_list from, into;
    uint32_t len;

    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * id >> 3);
    if (ulv_bulk_take(&bulk, bytes, &from) != ULV_OK ||
        ulv_bulk_take(&bulk, bytes, &into) != ULV_OK ||
        ulv_bulk_write(&bulk, &from, 0, data, bytes) != ULV_OK ||
        !lend(&from, id, 0) || !lend(&into, id, ULV_BULK_WRITABLE))
        return 4;
    if (!get(&len) || len != 8 || memcmp(payload, &id, 8) != 0 ||
        ulv_bulk_read(&bulk, &into, 0, found, bytes) != ULV_OK)
        return 5;
    for (uint64_t i = 0; i < bytes; i++) {
        if ((found[i] ^ data[i]) != 0xff)
            return 6;
    }
    return ulv_bulk_give_back(&bulk, &from) == ULV_OK &&
                   ulv_bulk_give_back(&bulk, &into) == ULV_OK
               ? 0
               : 7;
}

static int
borrow(void)
{
    struct ulv_bulk_list list[2];
    uint32_t bytes, at = 0;

    while (get(&bytes)) {
        int32_t status = ulv_bulk_get(&bulk, payload, bytes, &list[at], NULL);

        if (status != ULV_OK) {
            if (!put(&status, 4))
                return 8;
            at = 0;
            continue;
        }
        at = 1 - at;
        if (at == 1)
            continue;
        if (list[0].bytes > LARGEST || list[1].bytes != list[0].bytes ||
            ulv_bulk_read(&bulk, &list[0], 0, data, list[0].bytes) != ULV_OK)
            return 9;
        for (uint64_t i = 0; i < list[0].bytes; i++)
            data[i] = (uint8_t)~data[i];
        if (ulv_bulk_write(&bulk, &list[1], 0, data, list[0].bytes) !=
                ULV_OK ||
            !put(&list[0].id, 8))
            return 10;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    bool lends = argc == 5 && strcmp(argv[1], "lend") == 0;
    uint64_t bytes;
    void *area;
    int code = 0;

    if (!lends && (argc != 4 || strcmp(argv[1], "borrow") != 0))
        return 1;
    bytes = strtoull(argv[3], NULL, 10);
    area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                atoi(argv[2]), 0);
    if (area == MAP_FAILED ||
        ulv_bulk_account_bytes(bytes) > sizeof(account) ||
        ulv_bulk_init(&bulk, area, bytes,
                      lends ? ULV_END_SERVER : ULV_END_CLIENT,
                      account) != ULV_OK)
        return 2;
    if (!lends)
        return borrow();
    for (uint64_t id = 1; id <= strtoull(argv[4], NULL, 10) && code == 0; id++)
        code = lend_once(id);
    return code;
}
