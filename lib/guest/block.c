/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/guest.h>

#include "base/base.h"
#include "guest/guest_priv.h"

static const uint8_t type_block[16] = ULV_CHANNEL_TYPE_BLOCK;

static struct guest_channel channel;
static struct ulv_block_medium medium;
/* Ids asked for and not yet answered: any other answer is a repetition. */
static uint64_t open_id[ULV_BLOCK_IN_FLIGHT_MAX];
static bool open_used[ULV_BLOCK_IN_FLIGHT_MAX];

/* Take one record. EMPTY: none. AGAIN: one that is not for the caller. */
static ulv_status
take(struct guest_block_answer *ret)
{
    struct guest_record record;
    struct ulv_block_answer answer;
    ulv_status status = guest_channel_peek(&channel, &record);

    if (status != ULV_OK)
        return status;
    status = ULV_E_AGAIN;
    if (record.type == ULV_BLOCK_MEDIUM && record.len == sizeof(medium)) {
        memcpy(&medium, record.data, sizeof(medium));
    } else if (record.type == ULV_BLOCK_ANSWER &&
               record.len == sizeof(answer)) {
        memcpy(&answer, record.data, sizeof(answer));
        for (uint32_t i = 0; i < ULV_BLOCK_IN_FLIGHT_MAX; i++) {
            if (!open_used[i] || open_id[i] != answer.id ||
                answer.epoch != medium.epoch)
                continue;
            open_used[i] = false;
            ret->id = answer.id;
            ret->status = answer.status;
            ret->sector_count = answer.sector_count;
            status = ULV_OK;
            break;
        }
    }
    guest_channel_release(&channel);
    return status;
}

int32_t
guest_block_open(uint64_t *ret_sector_count)
{
    struct guest_block_answer answer;
    ulv_status status = ULV_E_AGAIN;

    if (!guest_channel_open(&channel, type_block, 0))
        return ULV_E_NOT_FOUND;
    while (medium.epoch == 0) {
        status = take(&answer);
        if (status == ULV_E_EMPTY)
            guest_channel_wait(&channel);
        else if (status != ULV_E_AGAIN && status != ULV_OK)
            return status;
    }
    *ret_sector_count = medium.sector_count;
    return ULV_OK;
}

uint8_t *
guest_block_area(uint64_t *ret_bytes)
{
    return guest_channel_area(&channel, ret_bytes);
}

bool
guest_block_ask(uint64_t id, const struct ulv_block_request *request)
{
    struct ulv_block_request copy = *request;
    uint32_t free = 0;
    void *record;

    copy.id = id;
    while (free < ULV_BLOCK_IN_FLIGHT_MAX && open_used[free])
        free++;
    if (free == ULV_BLOCK_IN_FLIGHT_MAX ||
        guest_channel_reserve(&channel, ULV_BLOCK_REQUEST, sizeof(copy),
                              &record) != ULV_OK)
        return false;
    memcpy(record, &copy, sizeof(copy));
    open_id[free] = id;
    open_used[free] = true;
    return true;
}

bool
guest_block_read(uint64_t id, uint64_t sector, uint32_t sector_count,
                 uint64_t area_offset)
{
    const struct ulv_block_request request = { .operation = ULV_BLOCK_READ,
                                               .sector = sector,
                                               .bulk_offset = area_offset,
                                               .sector_count = sector_count };

    return guest_block_ask(id, &request);
}

static bool server_sleeps;

bool
guest_block_show(void)
{
    if (ulv_ring_tx_submit(&line_of(&channel)->end.tx))
        server_sleeps = true;
    return server_sleeps;
}

void
guest_block_submit(void)
{
    if (guest_block_show())
        guest_signal(line_of(&channel)->slot);
    server_sleeps = false;
}

uint32_t
guest_block_epoch(void)
{
    return guest_channel_epoch(&channel);
}

int32_t
guest_block_wait(struct guest_block_answer *ret)
{
    for (;;) {
        ulv_status status = take(ret);

        if (status == ULV_E_EMPTY)
            guest_channel_wait(&channel);
        else if (status != ULV_E_AGAIN)
            return status;
    }
}

uint64_t
guest_block_server(uint32_t *ret_epoch)
{
    *ret_epoch = medium.epoch;
    return medium.server;
}

int32_t
guest_block_copy(uint64_t sector, uint32_t sector_count, void *to)
{
    struct guest_block_answer answer;
    uint64_t room;
    const uint8_t *area = guest_block_area(&room);
    uint8_t *out = to;

    room = ULV_MIN(room, ULV_BLOCK_REQUEST_BYTES_MAX) / ULV_BLOCK_SECTOR_BYTES;
    while (sector_count > 0) {
        uint32_t some = (uint32_t)ULV_MIN(room, sector_count);
        int32_t status;

        if (some == 0 || !guest_block_read(sector, sector, some, 0))
            return ULV_E_FULL;
        guest_block_submit();
        status = guest_block_wait(&answer);
        if (status == ULV_OK)
            status = answer.status;
        if (status != ULV_OK)
            return status;
        memcpy(out, area, (size_t)some * ULV_BLOCK_SECTOR_BYTES);
        out += (size_t)some * ULV_BLOCK_SECTOR_BYTES;
        sector += some;
        sector_count -= some;
    }
    return ULV_OK;
}

static void
finish(uint64_t id, int32_t status)
{
    struct guest_block_operation *operation =
        (struct guest_block_operation *)(uintptr_t)id;

    operation->status = status;
    operation->done(operation);
}

static void
answers(void *argument, uint32_t what)
{
    struct guest_block_answer answer;
    ulv_status status;

    (void)argument;
    if ((what & GUEST_READABLE) == 0)
        return;
    do {
        status = take(&answer);
        if (status == ULV_OK)
            finish(answer.id, answer.status);
    } while (status == ULV_OK || status == ULV_E_AGAIN);
    if (status == ULV_E_EMPTY)
        return;
    for (uint32_t i = 0; i < ULV_BLOCK_IN_FLIGHT_MAX; i++) {
        if (!open_used[i])
            continue;
        open_used[i] = false;
        finish(open_id[i], status);
    }
}

static struct guest_watch watch = { .channel = &channel, .run = answers };

void
guest_block_watch(struct guest_loop *loop)
{
    guest_loop_watch(loop, &watch);
}

bool
guest_block_start(struct guest_block_operation *operation, uint64_t sector,
                  uint32_t sector_count, uint64_t area_offset)
{
    operation->sector = sector;
    operation->sector_count = sector_count;
    operation->area_offset = area_offset;
    if (!guest_block_read((uint64_t)(uintptr_t)operation, sector, sector_count,
                          area_offset))
        return false;
    guest_block_submit();
    return true;
}
