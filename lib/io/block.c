/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A request lives in the ring until it is recorded in a slot of the takeover
 * region (TAKEN), then in the slot until its answer is in the ring (FREE). At
 * no point is it in neither, so a successor that drives the TAKEN slots and
 * then reads on in the ring misses nothing; at two points it is in both. One
 * that is recorded and not yet taken out of the ring is driven once; an answer
 * that is there twice the client drops by its id. Once an answer may have been
 * seen (DONE), neither the medium nor the bulk area is touched for it again.
 *
 * Requests are carried out one after the other: when a flush is, all writes
 * that were answered before it was asked for are with the host.
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
                                       .flags = ULV_MEDIA_WRITES &&
                                                        server->writable
                                                    ? 0
                                                    : ULV_BLOCK_READ_ONLY,
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

    if (ULV_MEDIA_WRITES && request->operation == ULV_BLOCK_FLUSH)
        return request->sector == 0 && request->bulk_offset == 0 &&
                       request->sector_count == 0
                   ? ULV_OK
                   : ULV_E_ARG;
    if (ULV_MEDIA_WRITES && request->operation == ULV_BLOCK_WRITE &&
        !server->writable)
        return ULV_E_DENIED;
    if (request->operation > (ULV_MEDIA_WRITES ? ULV_BLOCK_WRITE
                                               : ULV_BLOCK_READ))
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

/* A host says once that writes were lost, and takes them for written then: what
 * was lost stays lost, whoever serves, and however often it is asked. */
static ulv_status
flush(const struct ulv_block_server *server)
{
    const struct ulv_host *host = server->host;
    ulv_status status = ULV_E_MEDIUM;

    if (server->region->flush_failed != 0)
        return status;
    status = host->medium_sync(host->self, server->medium);
    if (status != ULV_OK)
        server->region->flush_failed = 1;
    return status;
}

/* A request that was checked: between the bulk area and the medium. */
static ulv_status
move(const struct ulv_block_server *server,
     const struct ulv_block_request *request, size_t bytes, size_t *ret_done)
{
    const struct ulv_host *host = server->host;
    const uint64_t offset = request->sector * ULV_BLOCK_SECTOR_BYTES;
    uint8_t *at = server->end.bulk + request->bulk_offset;

    if (ULV_MEDIA_WRITES && request->operation == ULV_BLOCK_FLUSH)
        return server->writable ? flush(server) : ULV_OK;
    if (ULV_MEDIA_WRITES && request->operation == ULV_BLOCK_WRITE)
        return host->medium_write(host->self, server->medium, offset, at,
                                  bytes, ret_done);
    return host->medium_read(host->self, server->medium, offset, at, bytes,
                             ret_done);
}

static struct ulv_block_answer
carry_out(struct ulv_block_server *server,
          const struct ulv_block_request *request)
{
    struct ulv_block_answer answer = { .id = request->id,
                                       .epoch = server->epoch };
    size_t bytes = (size_t)request->sector_count * ULV_BLOCK_SECTOR_BYTES;
    size_t done = 0;

    answer.status = check_request(server, request);
    if (answer.status != ULV_OK)
        return answer;
    answer.status = move(server, request, bytes, &done);
    if (answer.status != ULV_OK || done < bytes) /* it shrank, or is full */
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
drive(struct ulv_block_server *server, uint32_t idx,
      const struct ulv_block_request *request)
{
    struct ulv_takeover_slot *slot = &server->region->slot[idx];

    server->waiting = carry_out(server, request);
    server->waiting_slot = idx;
    server->has_waiting = true;
    if (!ULV_MEDIA_WRITES)
        return; /* of a medium that is only read all can be done again */
    server->took_long = request->operation != ULV_BLOCK_READ;
    slot->status = server->waiting.status;
    slot->sector_count = server->waiting.sector_count;
    /* pairs with a successor's look at it: it is carried out, and so stays */
    __atomic_store_n(&slot->state, ULV_TAKEOVER_DONE, __ATOMIC_RELEASE);
}

/* What a predecessor carried out, and may have answered. */
static void
answer_again(struct ulv_block_server *server, uint32_t idx)
{
    const struct ulv_takeover_slot *slot = &server->region->slot[idx];

    server->waiting =
        (struct ulv_block_answer){ .id = slot->request.id,
                                   .epoch = server->epoch,
                                   .status = slot->status,
                                   .sector_count = slot->sector_count };
    server->waiting_slot = idx;
    server->has_waiting = true;
}

/* ---- where requests come from -------------------------------------------- */

static bool
is_busy(uint32_t state)
{
    return state == ULV_TAKEOVER_TAKEN ||
           (ULV_MEDIA_WRITES && state == ULV_TAKEOVER_DONE);
}

/* A predecessor that died between recording a request and releasing it left it
 * in the ring too: by the time that one came, its bulk area could be another's.
 */
static void
drop_recorded(struct ulv_block_server *server,
              const struct ulv_block_request *request, bool *ret_ring)
{
    struct ulv_ring_record record;

    if (ulv_ring_rx_peek(&server->end.rx, &record) != ULV_OK ||
        record.type != ULV_BLOCK_REQUEST || record.len != sizeof(*request) ||
        memcmp(record.data, request, sizeof(*request)) != 0)
        return;
    if (ulv_ring_rx_release(&server->end.rx))
        *ret_ring = true;
    server->found -= server->found != 0;
}

/* The next slot that a predecessor left TAKEN or DONE. */
static bool
redrive_one(struct ulv_block_server *server, bool *ret_ring)
{
    while (server->redrive_next < ULV_BLOCK_IN_FLIGHT_MAX) {
        uint32_t i = server->redrive_next++;
        struct ulv_takeover_slot *slot = &server->region->slot[i];
        uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
        struct ulv_block_request request;

        if (!is_busy(state))
            continue;
        memcpy(&request, &slot->request, sizeof(request));
        server->region->redriven_count++;
        server->redriven++;
        if (ULV_MEDIA_WRITES)
            drop_recorded(server, &request, ret_ring);
        if (ULV_MEDIA_WRITES && state == ULV_TAKEOVER_DONE)
            answer_again(server, i);
        else
            drive(server, i, &request);
        return true;
    }
    return false;
}

static uint32_t
free_slot(const struct ulv_block_server *server)
{
    for (uint32_t i = 0; i < ULV_BLOCK_IN_FLIGHT_MAX; i++) {
        if (!is_busy(server->region->slot[i].state))
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
        if (!server->has_waiting && !redrive_one(server, ret_ring) &&
            !take_one(server, ret_ring))
            return server->failed == ULV_OK &&
                   ulv_ring_rx_wait(&server->end.rx);
        if (!send_waiting(server, ret_ring))
            return false;
        if (ULV_MEDIA_WRITES && server->took_long)
            break; /* others may have said something meanwhile */
    }
    return server->failed == ULV_OK;
}
