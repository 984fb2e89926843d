/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/guest.h>

#include "base/base.h"
#include "guest/guest_priv.h"

static const uint8_t type_block[16] = ULV_CHANNEL_TYPE_BLOCK;

static struct guest_channel channel;
static struct ulv_block_medium medium;
/* Asked for and not yet answered; any other answer is a repetition. A number
 * never comes twice: a repeated answer is not taken for that of a request that
 * has the caller's same id. */
static struct {
    uint64_t number, id;
    bool used;
} asked[ULV_BLOCK_IN_FLIGHT_MAX];
static uint64_t last_number;

/* The caller's request that an answer is for. */
static bool
find_asked(const struct ulv_block_answer *answer,
           struct guest_block_answer *ret)
{
    for (uint32_t i = 0; i < ULV_BLOCK_IN_FLIGHT_MAX; i++) {
        if (!asked[i].used || asked[i].number != answer->id ||
            answer->epoch != medium.epoch)
            continue;
        asked[i].used = false;
        ret->id = asked[i].id;
        ret->status = answer->status;
        ret->sector_count = answer->sector_count;
        return true;
    }
    return false;
}

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
        if (find_asked(&answer, ret))
            status = ULV_OK;
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

    copy.id = last_number + 1;
    while (free < ULV_BLOCK_IN_FLIGHT_MAX && asked[free].used)
        free++;
    if (free == ULV_BLOCK_IN_FLIGHT_MAX ||
        guest_channel_reserve(&channel, ULV_BLOCK_REQUEST, sizeof(copy),
                              &record) != ULV_OK)
        return false;
    memcpy(record, &copy, sizeof(copy));
    last_number++;
    asked[free].number = copy.id;
    asked[free].id = id;
    asked[free].used = true;
    return true;
}

/* To or from the area. */
static bool
ask_to_move(uint64_t id, uint32_t operation, uint64_t sector,
            uint32_t sector_count, uint64_t area_offset)
{
    const struct ulv_block_request request = { .operation = operation,
                                               .sector = sector,
                                               .bulk_offset = area_offset,
                                               .sector_count = sector_count };

    return guest_block_ask(id, &request);
}

bool
guest_block_read(uint64_t id, uint64_t sector, uint32_t sector_count,
                 uint64_t area_offset)
{
    return ask_to_move(id, ULV_BLOCK_READ, sector, sector_count, area_offset);
}

bool
guest_block_write(uint64_t id, uint64_t sector, uint32_t sector_count,
                  uint64_t area_offset)
{
    return ask_to_move(id, ULV_BLOCK_WRITE, sector, sector_count, area_offset);
}

bool
guest_block_flush(uint64_t id)
{
    const struct ulv_block_request request = { .operation = ULV_BLOCK_FLUSH };

    return guest_block_ask(id, &request);
}

bool
guest_block_is_read_only(void)
{
    return (medium.flags & ULV_BLOCK_READ_ONLY) != 0;
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

/* The one request that is open: let it be seen, wait for it. */
static int32_t
carry_out(bool was_asked)
{
    struct guest_block_answer answer;
    int32_t status;

    if (!was_asked)
        return ULV_E_FULL;
    guest_block_submit();
    status = guest_block_wait(&answer);
    return status == ULV_OK ? answer.status : status;
}

/* How many sectors one request can have, of which the area has room. */
static uint32_t
sectors_at_once(uint32_t sector_count)
{
    uint64_t room;

    (void)guest_block_area(&room);
    room = ULV_MIN(room, ULV_BLOCK_REQUEST_BYTES_MAX) / ULV_BLOCK_SECTOR_BYTES;
    return (uint32_t)ULV_MIN(room, sector_count);
}

int32_t
guest_block_copy(uint64_t sector, uint32_t sector_count, void *to)
{
    uint64_t room;
    const uint8_t *area = guest_block_area(&room);
    uint8_t *out = to;

    while (sector_count > 0) {
        uint32_t some = sectors_at_once(sector_count);
        int32_t status =
            carry_out(some > 0 && guest_block_read(sector, sector, some, 0));

        if (status != ULV_OK)
            return status;
        memcpy(out, area, (size_t)some * ULV_BLOCK_SECTOR_BYTES);
        out += (size_t)some * ULV_BLOCK_SECTOR_BYTES;
        sector += some;
        sector_count -= some;
    }
    return ULV_OK;
}

int32_t
guest_block_store(uint64_t sector, uint32_t sector_count, const void *from)
{
    uint64_t room;
    uint8_t *area = guest_block_area(&room);
    const uint8_t *in = from;

    while (sector_count > 0) {
        uint32_t some = sectors_at_once(sector_count);
        int32_t status;

        memcpy(area, in, (size_t)some * ULV_BLOCK_SECTOR_BYTES);
        status =
            carry_out(some > 0 && guest_block_write(sector, sector, some, 0));
        if (status != ULV_OK)
            return status;
        in += (size_t)some * ULV_BLOCK_SECTOR_BYTES;
        sector += some;
        sector_count -= some;
    }
    return ULV_OK;
}

int32_t
guest_block_sync(void)
{
    return carry_out(guest_block_flush(0));
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
        if (!asked[i].used)
            continue;
        asked[i].used = false;
        finish(asked[i].id, status);
    }
}

static struct guest_watch watch = { .channel = &channel, .run = answers };

void
guest_block_watch(struct guest_loop *loop)
{
    guest_loop_watch(loop, &watch);
}

static uint64_t
begin(struct guest_block_operation *operation, uint64_t sector,
      uint32_t sector_count, uint64_t area_offset)
{
    operation->sector = sector;
    operation->sector_count = sector_count;
    operation->area_offset = area_offset;
    return (uint64_t)(uintptr_t)operation;
}

static bool
submit(bool was_asked)
{
    if (was_asked)
        guest_block_submit();
    return was_asked;
}

bool
guest_block_start(struct guest_block_operation *operation, uint64_t sector,
                  uint32_t sector_count, uint64_t area_offset)
{
    uint64_t id = begin(operation, sector, sector_count, area_offset);

    return submit(guest_block_read(id, sector, sector_count, area_offset));
}

bool
guest_block_start_write(struct guest_block_operation *operation,
                        uint64_t sector, uint32_t sector_count,
                        uint64_t area_offset)
{
    uint64_t id = begin(operation, sector, sector_count, area_offset);

    return submit(guest_block_write(id, sector, sector_count, area_offset));
}

bool
guest_block_start_flush(struct guest_block_operation *operation)
{
    return submit(guest_block_flush(begin(operation, 0, 0, 0)));
}
