/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A request lives in the ring until it is recorded in a slot of the takeover
 * region (TAKEN), then in the slot until its answer is in the ring (FREE). At
 * no point is it in neither, so a successor that drives the TAKEN slots and
 * then reads on in the ring misses nothing; at two points it is in both, so
 * the client may see one answer twice and drops the second by its id.
 */
#include "io/block.h"

#include "base/base.h"

/* A request as it lies in the ring. */
#define REQUEST_RECORD_BYTES                                                   \
    (sizeof(struct ulv_record) + sizeof(struct ulv_block_request))

static const uint8_t type_block[16] = ULV_CHANNEL_TYPE_BLOCK;

void
ulv_takeover_init(struct ulv_takeover_region *region, uint64_t device)
{
    region->device = device;
    __atomic_store_n(&region->magic, ULV_TAKEOVER_MAGIC, __ATOMIC_RELEASE);
}

static ulv_status
say_medium(struct ulv_block_server *server)
{
    struct ulv_block_medium medium = { .sector_count = server->sector_count,
                                       .epoch = server->epoch,
                                       .flags = ULV_BLOCK_READ_ONLY,
                                       .server = server->partition };
    void *slot;
    ulv_status status = ulv_ring_tx_reserve(&server->end.tx, ULV_BLOCK_MEDIUM,
                                            sizeof(medium), &slot);

    if (status != ULV_OK)
        return status;
    memcpy(slot, &medium, sizeof(medium));
    return ULV_OK;
}

ulv_status
ulv_block_server_start(struct ulv_block_server *server, void *p,
                       uint64_t bytes, uint64_t device)
{
    const struct ulv_takeover_region *region = server->region;
    ulv_status status = ulv_channel_attach(&server->end, p, bytes,
                                           ULV_END_SERVER, type_block);

    if (status != ULV_OK)
        return status;
    if (__atomic_load_n(&region->magic, __ATOMIC_ACQUIRE) !=
            ULV_TAKEOVER_MAGIC ||
        region->device != device)
        return ULV_E_FORMAT;
    /* A ring full of answers has room again once the client reads them: what
     * MEDIUM has to come before is only what we send ourselves. */
    server->found = (server->end.rx.tail_seen - server->end.rx.cursor) /
                    REQUEST_RECORD_BYTES;
    status = say_medium(server);
    return status == ULV_E_FULL ? ULV_E_AGAIN : status;
}

/* ---- one request --------------------------------------------------------- */

static ulv_status
check_request(const struct ulv_block_server *server,
              const struct ulv_block_request *request)
{
    uint64_t bytes = (uint64_t)request->sector_count * ULV_BLOCK_SECTOR_BYTES;

    if (request->operation != ULV_BLOCK_READ)
        return ULV_E_UNSUPPORTED;
    if (request->sector_count == 0 || bytes > ULV_BLOCK_REQUEST_BYTES_MAX ||
        !ulv_range_inside(request->sector, request->sector_count,
                          server->sector_count) ||
        request->bulk_offset % ULV_BLOCK_SECTOR_BYTES != 0 ||
        !ulv_range_inside(request->bulk_offset, bytes,
                          server->end.bulk_bytes))
        return ULV_E_ARG;
    return ULV_OK;
}

static struct ulv_block_answer
carry_out(struct ulv_block_server *server,
          const struct ulv_block_request *request)
{
    const struct ulv_host *host = server->host;
    struct ulv_block_answer answer = { .id = request->id,
                                       .epoch = server->epoch };
    size_t bytes = (size_t)request->sector_count * ULV_BLOCK_SECTOR_BYTES;
    size_t done = 0;

    answer.status = check_request(server, request);
    if (answer.status != ULV_OK)
        return answer;
    answer.status = host->medium_read(
        host->self, server->medium, request->sector * ULV_BLOCK_SECTOR_BYTES,
        server->end.bulk + request->bulk_offset, bytes, &done);
    if (answer.status == ULV_OK && done < bytes)
        answer.status = ULV_E_MEDIUM; /* it shrank since it was offered */
    if (answer.status != ULV_OK)
        answer.status = ULV_E_MEDIUM;
    answer.sector_count = (uint32_t)(done / ULV_BLOCK_SECTOR_BYTES);
    return answer;
}

/* Put the waiting answer into the ring; false: no room yet. */
static bool
send_waiting(struct ulv_block_server *server, bool *ret_ring)
{
    struct ulv_takeover_slot *slot =
        &server->region->slot[server->waiting_slot];
    void *p;
    ulv_status status = ulv_ring_tx_reserve(
        &server->end.tx, ULV_BLOCK_ANSWER, sizeof(server->waiting), &p);

    if (status == ULV_E_FULL)
        return ulv_ring_tx_wait(&server->end.tx, sizeof(server->waiting)) &&
               send_waiting(server, ret_ring);
    if (status != ULV_OK) {
        server->failed = status;
        return false;
    }
    memcpy(p, &server->waiting, sizeof(server->waiting));
    server->has_waiting = false;
    server->region->answered_count++;
    /* FREE only after the answer shows: submit is a release store before. */
    if (ulv_ring_tx_submit(&server->end.tx))
        *ret_ring = true;
    __atomic_store_n(&slot->state, ULV_TAKEOVER_FREE, __ATOMIC_RELEASE);
    return true;
}

static void
drive(struct ulv_block_server *server, uint32_t slot,
      const struct ulv_block_request *request)
{
    server->waiting = carry_out(server, request);
    server->waiting_slot = slot;
    server->has_waiting = true;
}

/* ---- where requests come from -------------------------------------------- */

/* The next slot that a predecessor left TAKEN. */
static bool
redrive_one(struct ulv_block_server *server)
{
    while (server->redrive_next < ULV_BLOCK_IN_FLIGHT_MAX) {
        uint32_t i = server->redrive_next++;
        struct ulv_takeover_slot *slot = &server->region->slot[i];
        struct ulv_block_request request;

        if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) !=
            ULV_TAKEOVER_TAKEN)
            continue;
        memcpy(&request, &slot->request, sizeof(request));
        server->region->redriven_count++;
        server->redriven++;
        drive(server, i, &request);
        return true;
    }
    return false;
}

static uint32_t
free_slot(const struct ulv_block_server *server)
{
    for (uint32_t i = 0; i < ULV_BLOCK_IN_FLIGHT_MAX; i++) {
        if (server->region->slot[i].state != ULV_TAKEOVER_TAKEN)
            return i;
    }
    return ULV_BLOCK_IN_FLIGHT_MAX;
}

/* The next request of the ring: copied once, recorded, then released. */
static bool
take_one(struct ulv_block_server *server, bool *ret_ring)
{
    struct ulv_block_request request;
    struct ulv_ring_record record;
    uint32_t i = free_slot(server);
    ulv_status status = ulv_ring_rx_peek(&server->end.rx, &record);

    if (status == ULV_E_EMPTY)
        return false;
    if (status == ULV_OK && (record.type != ULV_BLOCK_REQUEST ||
                             record.len != sizeof(request)))
        status = ULV_E_PEER_PROTOCOL;
    if (status != ULV_OK || i == ULV_BLOCK_IN_FLIGHT_MAX) {
        server->failed = status != ULV_OK ? status : ULV_E_INTERNAL;
        return false;
    }
    memcpy(&request, record.data, sizeof(request));
    server->region->slot[i].request = request;
    __atomic_store_n(&server->region->slot[i].state, ULV_TAKEOVER_TAKEN,
                     __ATOMIC_RELEASE);
    if (ulv_ring_rx_release(&server->end.rx))
        *ret_ring = true;
    drive(server, i, &request);
    return true;
}

bool
ulv_block_server_step(struct ulv_block_server *server, uint32_t turn,
                      bool *ret_ring)
{
    /* MEDIUM, if nothing else was sent since. */
    if (server->failed == ULV_OK && ulv_ring_tx_submit(&server->end.tx))
        *ret_ring = true;
    while (server->failed == ULV_OK && turn-- > 0) {
        if (!server->has_waiting && !redrive_one(server) &&
            !take_one(server, ret_ring))
            return server->failed == ULV_OK &&
                   ulv_ring_rx_wait(&server->end.rx);
        if (!send_waiting(server, ret_ring))
            return false;
    }
    return server->failed == ULV_OK;
}
