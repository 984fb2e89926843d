/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A program that was handed an end of a channel has left. */
#include "base/base.h"
#include "system/ultravisor.h"

static const uint8_t type_command[16] = ULV_CHANNEL_TYPE_COMMAND;

/* Nobody can be given a command channel a second time: it goes. */
ulv_status
ulv_ultravisor_note_left(struct ultravisor_role *r,
                         const struct say_channel *say)
{
    struct header *h = r->headers;
    struct ulv_channel_record c;
    struct errand *e;

    while (h != NULL && h->channel != say->channel)
        h = h->next;
    if (h == NULL || say->end > ULV_END_CLIENT ||
        ulv_database_find(r->db, ULV_QUERY_CHANNELS, say->channel, &c) !=
            ULV_OK)
        return ULV_OK; /* it is gone already */
    ulv_ultravisor_mark_left(r, h, say->end);
    if (!ulv_guid_equal(c.type, type_command))
        return ULV_OK;
    e = ulv_ultravisor_new_errand(r, 1);
    if (e == NULL)
        return ULV_E_NO_MEMORY;
    e->quiet = true; /* it may be revoked before */
    e->operations[0].kind = ULV_OP_REVOKE;
    e->operations[0].u.revoke.channel = say->channel;
    return ULV_OK;
}
