/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Lends pieces of the bulk area over a channel of type "bulk". The server end
 * leads: records FROM and INTO name pieces with the same id, in this order; the
 * client end copies what lies in the first to the second with all bits turned,
 * and answers DONE with the id. OVER ends it. Exit code 0 when all was as it
 * must be, 7 when the peer named what it must not.
 */
#include <ultravisor/bulk.h>
#include <ultravisor/guest.h>

#define FROM 1u
#define INTO 2u
#define DONE 3u
#define OVER 4u

#define ROUNDS 200u
#define LARGEST 100000u

static const uint8_t type[16] = "bulk";
static struct guest_channel channel;
static struct ulv_bulk bulk;
static uint64_t account[4096];
static uint8_t data[LARGEST], found[LARGEST];

static int32_t
lend(const struct ulv_bulk_list *list, uint64_t id, uint32_t record,
     uint32_t flags)
{
    const size_t bytes = ulv_bulk_record_bytes(list);
    void *payload;
    int32_t status;

    while ((status = guest_channel_reserve(&channel, record, (uint32_t)bytes,
                                           &payload)) == ULV_E_FULL)
        guest_wait();
    if (status == 0)
        status = ulv_bulk_put(list, id, flags, payload, bytes);
    guest_channel_submit(&channel);
    return status;
}

static bool
is_done(uint64_t id)
{
    uint64_t said = 0;
    uint32_t record = 0, len = 0;

    return guest_channel_receive(&channel, &record, &said, sizeof(said), &len,
                                 UINT64_MAX) == 0 &&
           record == DONE && len == sizeof(said) && said == id;
}

static bool
turned(const struct ulv_bulk_list *into, uint64_t bytes)
{
    if (ulv_bulk_read(&bulk, into, 0, found, bytes) != ULV_OK)
        return false;
    for (uint64_t i = 0; i < bytes; i++) {
        if ((found[i] ^ data[i]) != 0xff)
            return false;
    }
    return true;
}

static int
lead_once(uint64_t id)
{
    const uint64_t bytes = id * 7919 % LARGEST + 1;
    struct ulv_bulk_list from, into;

    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * id >> 3);
    if (ulv_bulk_take(&bulk, bytes, &from) != ULV_OK ||
        ulv_bulk_take(&bulk, bytes, &into) != ULV_OK ||
        ulv_bulk_write(&bulk, &from, 0, data, bytes) != ULV_OK)
        return 3;
    if (lend(&from, id, FROM, 0) != 0 ||
        lend(&into, id, INTO, ULV_BULK_WRITABLE) != 0 || !is_done(id))
        return 4;
    if (!turned(&into, bytes))
        return 5;
    return ulv_bulk_give_back(&bulk, &from) == ULV_OK &&
                   ulv_bulk_give_back(&bulk, &into) == ULV_OK
               ? 0
               : 6;
}

static int
lead(void)
{
    int code = 0;

    for (uint64_t id = 1; id <= ROUNDS && code == 0; id++)
        code = lead_once(id);
    (void)guest_channel_send(&channel, OVER, NULL, 0);
    return code;
}

static int
copy(const struct ulv_bulk_list *from, const struct ulv_bulk_list *into)
{
    uint64_t bytes = from->bytes;

    if (from->id != into->id || bytes > LARGEST || into->bytes != bytes ||
        ulv_bulk_read(&bulk, from, 0, data, bytes) != ULV_OK)
        return 8;
    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)~data[i];
    if (ulv_bulk_write(&bulk, into, 0, data, bytes) != ULV_OK)
        return 9;
    return guest_channel_send(&channel, DONE, &from->id, sizeof(from->id));
}

static int
follow(void)
{
    static struct ulv_bulk_list list[2];
    struct guest_record record;
    int32_t status;

    for (;;) {
        guest_channel_wait(&channel);
        status = guest_channel_peek(&channel, &record);
        if (status == ULV_E_EMPTY)
            continue;
        if (status != 0)
            return 10;
        if (record.type == OVER)
            return 0;
        if (record.type != FROM && record.type != INTO)
            return 11;
        status = ulv_bulk_get(&bulk, record.data, record.len,
                              &list[record.type - FROM], NULL);
        if (status != 0) {
            guest_channel_fail(&channel, status);
            return 7;
        }
        guest_channel_release(&channel);
        if (record.type == INTO && (status = copy(&list[0], &list[1])) != 0)
            return status;
    }
}

int
guest_main(void)
{
    struct ulv_view_channel it;
    uint64_t bytes;
    uint8_t *area;

    if (!guest_channel_find(type, 0, &it) ||
        guest_channel_attach(&channel, &it) != 0)
        return 1;
    area = guest_channel_area(&channel, &bytes);
    if (area == NULL || ulv_bulk_account_bytes(bytes) > sizeof(account) ||
        ulv_bulk_init(&bulk, area, bytes, it.end, account) != ULV_OK)
        return 2;
    return it.end == ULV_END_SERVER ? lead() : follow();
}
