/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the program types is kept here until a server has it in the ring.
 * Servers ask, piece by piece, by how far the takeover region says that the
 * stream has come; so one that takes over, or that begins anew, is given what
 * its predecessor had not noted, and nothing twice.
 *
 * At most one request of a server is under way, so one of the run before, heard
 * when a guest was started again, asks for 0, which is right, or for more than
 * was sent since.
 */
#include <ultravisor/abi/console.h>

#include "base/base.h"
#include "system/keeper.h"

static void
give(struct keeper *k, const struct keeper_channel *c, struct keeper_input *in)
{
    struct keeper_partition *server = ulv_keeper_partition(k, c->server);
    struct say say = { .kind = SAY_INPUT };

    if (!in->wanted || in->count == 0 || server == NULL || !server->alive)
        return;
    in->wanted = false;
    say.u.console.channel = c->id;
    say.u.console.offset = in->offset;
    say.tail_bytes = ULV_MIN(in->count, ULV_CONSOLE_INPUT_MAX);
    in->sent = ULV_MAX(in->sent, say.tail_bytes);
    ulv_post_tell(&server->post, &say, in->bytes, NULL, 0);
}

ulv_status
ulv_keeper_input_type(struct keeper *k, struct keeper_channel *c,
                      const uint8_t *bytes, size_t len, size_t *ret_taken)
{
    struct keeper_input *in = &c->input;

    *ret_taken = 0;
    if (in->bytes == NULL)
        in->bytes = k->host->alloc(k->host->self, ULV_CONSOLE_INPUT_KEPT, 8);
    if (in->bytes == NULL)
        return ULV_E_NO_MEMORY;
    *ret_taken =
        ULV_MIN(len, (size_t)(ULV_CONSOLE_INPUT_KEPT - in->count));
    in->refused = *ret_taken < len;
    if (*ret_taken == 0)
        return len == 0 ? ULV_OK : ULV_E_AGAIN;
    memcpy(in->bytes + in->count, bytes, *ret_taken);
    in->count += (uint32_t)*ret_taken;
    give(k, c, in);
    return ULV_OK;
}

static void
tell_room(struct keeper *k, const struct keeper_channel *c,
          struct keeper_input *in)
{
    if (!in->refused || in->count > ULV_CONSOLE_INPUT_KEPT / 2)
        return;
    in->refused = false;
    ulv_keeper_tell(k, ULV_EVENT_CONSOLE_ROOM, c->client,
                    ULV_CONSOLE_INPUT_KEPT - in->count,
                    "the console takes input again");
}

static void
wanted(struct keeper *k, const struct keeper_channel *c,
       struct keeper_input *in, uint64_t offset)
{
    uint64_t taken = offset - in->offset;

    if (taken > in->sent)
        return;
    in->offset += taken;
    in->count -= (uint32_t)taken;
    in->sent -= (uint32_t)taken;
    if (taken != 0)
        memmove(in->bytes, in->bytes + taken, in->count);
    in->wanted = true;
    tell_room(k, c, in);
    give(k, c, in);
}

/* An heir sees in its view that it serves before the keeper is told: what it
 * asks until then waits, for it does not ask twice. */
void
ulv_keeper_input_wanted(struct keeper *k, const struct keeper_partition *from,
                        const struct say_console *say)
{
    struct keeper_channel *c = ulv_keeper_channel(k, say->channel);
    const struct keeper_device *d;

    if (c == NULL)
        return;
    d = ulv_keeper_device(k, c->device);
    if (c->server == from->id) {
        wanted(k, c, &c->input, say->offset);
    } else if (d != NULL && d->standby == from->id) {
        c->input.heir_wants = true;
        c->input.heir_offset = say->offset;
    }
}

void
ulv_keeper_input_rehomed(struct keeper *k, struct keeper_channel *c)
{
    struct keeper_input *in = &c->input;

    if (in->heir_wants)
        wanted(k, c, in, in->heir_offset);
    in->heir_wants = false;
}

void
ulv_keeper_input_reset(struct keeper *k, struct keeper_channel *c,
                       uint64_t offset)
{
    struct keeper_input *in = &c->input;

    in->offset = offset;
    in->count = in->sent = 0;
    in->wanted = in->heir_wants = false;
    tell_room(k, c, in);
}

void
ulv_keeper_input_drop(const struct keeper *k, struct keeper_channel *c)
{
    if (c->input.bytes != NULL)
        k->host->free(k->host->self, c->input.bytes, ULV_CONSOLE_INPUT_KEPT);
}
