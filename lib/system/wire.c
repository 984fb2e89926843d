/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/wire.h"

#include <ultravisor/abi/channel.h>

#include "base/base.h"

ulv_status
ulv_wire_init(struct wire *wire, const struct ulv_host *host, ulv_handle waits,
              struct heard *heard)
{
    const struct say_channel *say = &heard->say.u.channel;
    ulv_status status = ULV_E_PEER_PROTOCOL;
    void *p = NULL;

    memset(wire, 0, sizeof(*wire));
    if (heard->handle_count == 3)
        status = host->memory_map(host->self, heard->handle[0], 0, say->bytes,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status == ULV_OK) {
        status = host->watch(host->self, waits, heard->handle[1]);
        if (status != ULV_OK)
            host->memory_unmap(host->self, p, say->bytes);
    }
    if (status != ULV_OK)
        return status;
    wire->host = host;
    wire->waits = waits;
    wire->channel = say->channel;
    wire->device = say->device;
    wire->end = say->end;
    memcpy(wire->type, say->type, 16);
    wire->p = p;
    wire->bytes = say->bytes;
    host->handle_close(host->self, heard->handle[0]);
    wire->own_bell = heard->handle[1];
    wire->peer_bell = heard->handle[2];
    heard->handle_count = 0;
    return ULV_OK;
}

static void
rang(struct bell *bell)
{
    ULV_CONTAINER_OF(bell, struct wire, bell)->rang = true;
}

ulv_status
ulv_wire_listen(struct wire *wire, struct rung *rung, struct heard *heard)
{
    ulv_status status = ulv_wire_init(wire, rung->host, rung->waits, heard);

    if (status != ULV_OK || !ulv_rung_can_tell(rung))
        return status;
    wire->rung = rung;
    return ulv_rung_add(rung, &wire->bell, wire->own_bell, rang);
}

void
ulv_wire_fini(struct wire *wire)
{
    const struct ulv_host *host = wire->host;

    if (host == NULL)
        return;
    if (wire->rung != NULL)
        ulv_rung_remove(wire->rung, &wire->bell);
    host->unwatch(host->self, wire->waits, wire->own_bell);
    host->handle_close(host->self, wire->own_bell);
    host->handle_close(host->self, wire->peer_bell);
    host->memory_unmap(host->self, wire->p, wire->bytes);
    memset(wire, 0, sizeof(*wire));
}

bool
ulv_wire_take(struct wire *wire)
{
    if (wire->rung != NULL && ulv_rung_can_tell(wire->rung)) {
        if (!wire->rang)
            return false;
        wire->rang = false;
    }
    return wire->host->event_take(wire->host->self, wire->own_bell);
}

void
ulv_wire_ring(struct wire *wire)
{
    wire->host->event_signal(wire->host->self, wire->peer_bell);
}

bool
ulv_wire_is_cleared(const struct wire *wire)
{
    const struct ulv_channel_header *header = wire->p;

    /* pairs with the release in ulv_channel_format(); zeroes have no order */
    return __atomic_load_n(&header->magic, __ATOMIC_RELAXED) !=
           ULV_CHANNEL_MAGIC;
}
