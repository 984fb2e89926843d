/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The echo guest: sends back every record of a channel of type ECHO, until one
 * of type 0 comes. Exit code 0.
 */
#include <ultravisor/guest.h>

#include "channel/channel.h"
#include "guest/guest_priv.h"

static const uint8_t type_echo[16] = "ultravisor echo";

static struct ulv_channel_end end;
static uint32_t slot;

/* Send one record; waits while the other side does not read. */
static bool
send(const struct ulv_ring_record *record)
{
    void *to;
    ulv_status status;

    do {
        status =
            ulv_ring_tx_reserve(&end.tx, record->type, record->len, &to);
        if (status == ULV_E_FULL && !ulv_ring_tx_wait(&end.tx, record->len))
            guest_wait();
    } while (status == ULV_E_FULL);
    if (status != ULV_OK)
        return false;
    for (uint32_t i = 0; i < record->len; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)record->data)[i];
    if (ulv_ring_tx_submit(&end.tx))
        guest_signal(slot);
    return true;
}

int
guest_main(void)
{
    struct ulv_ring_record record;

    if (!guest_channel_open(&end, type_echo, 0, &slot))
        return 1;
    for (;;) {
        ulv_status status = ulv_ring_rx_peek(&end.rx, &record);

        if (status == ULV_E_EMPTY) {
            if (!ulv_ring_rx_wait(&end.rx))
                guest_wait();
            continue;
        }
        if (status != ULV_OK)
            return 2;
        if (record.type == 0)
            return 0;
        if (!send(&record))
            return 3;
        if (ulv_ring_rx_release(&end.rx))
            guest_signal(slot);
    }
}
