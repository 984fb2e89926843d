/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "call_model.h"

#define BURST   64u /* calls that are limited, in a row */
#define EARN_NS (10 * MILLISECOND) /* until another one is earned */

/* ---- the view ------------------------------------------------------------ */

static bool
grace_is_over(struct world *w, struct thing *thing)
{
    if (thing->revoke_at == 0)
        thing->revoke_at = w->t.now + ULV_REVOKE_GRACE;
    if (w->t.now >= thing->revoke_at)
        return true;
    if (thing->revoke_at < w->revoke_at)
        w->revoke_at = thing->revoke_at;
    return false;
}

static void
let_go(struct world *w, struct thing *thing)
{
    thing->held = NOT_HELD;
    thing->revoke_at = 0;
    w->expected_released += thing->id;
}

/* Whether all is as the view says of that thing; first: the state in which
 * what is handed over begins. */
static bool
follow_one(struct world *w, struct thing *thing, enum held first)
{
    bool in_use = thing->held == MAPPED;

    if (!thing->listed) {
        if (thing->held != NOT_HELD && thing->held != HANDED)
            let_go(w, thing);
        return true;
    }
    if (thing->held == NOT_HELD)
        return thing->revoked;
    if (thing->revoked) {
        if (in_use && !grace_is_over(w, thing))
            return false;
        let_go(w, thing);
        return true;
    }
    if (thing->held == HANDED)
        thing->held = first;
    return true;
}

void
model_follow(struct world *w, bool now)
{
    bool done = true;

    if (!now && !w->rang && !w->look && w->t.now < w->revoke_at)
        return;
    w->rang = w->look = false;
    if (w->published != w->reading)
        w->pending |= ULV_WAIT_VIEW_MASK;
    w->reading = w->published;
    w->rights = w->capabilities;
    w->revoke_at = ULV_FOREVER;
    for (uint32_t i = 0; i < PIECES; i++)
        done = follow_one(w, &w->piece[i], OFFERED) && done;
    for (uint32_t i = 0; i < CHANNELS; i++)
        done = follow_one(w, &w->channel[i], MAPPED) && done;
    if (done && w->followed != w->reading) {
        w->followed = w->reading;
        w->pending |= ULV_WAIT_VIEW_MASK;
    }
}

/* ---- the calls ----------------------------------------------------------- */

static uint64_t
capability_of(uint64_t number)
{
    switch (number) {
    case ULV_CALL_STOP:
    case ULV_CALL_RESET:
    case ULV_CALL_FAULT:
        return ULV_CAP_PARTITION;
    case ULV_CALL_ACCEPT:
    case ULV_CALL_RELEASE:
        return ULV_CAP_MEMORY;
    case ULV_CALL_SIGNAL:
    case ULV_CALL_WAIT:
    case ULV_CALL_ATTACH:
    case ULV_CALL_DETACH:
    case ULV_CALL_FAILED:
        return ULV_CAP_CHANNEL;
    case ULV_CALL_DISCOVER:
    case ULV_CALL_LOG:
        return ULV_CAP_QUERY;
    case ULV_CALL_YIELD:
    case ULV_CALL_START:
    case ULV_CALL_PARK:
    case ULV_CALL_WAKE:
        return ULV_CAP_YIELD;
    case ULV_CALL_TIME:
        return ULV_CAP_TIME;
    case ULV_CALL_HANDLER:
    case ULV_CALL_INTERRUPTS:
        return ULV_CAP_INTERRUPT;
    default:
        return 0;
    }
}

/* The byte of the guest's memory there; NULL: there is none. */
static const uint8_t *
byte_at(const struct world *w, uint64_t address)
{
    for (uint32_t i = 0; i < PIECES; i++) {
        const struct thing *piece = &w->piece[i];

        if (piece->held == MAPPED && address >= piece->guest &&
            address < piece->guest + PIECE_BYTES)
            return &w->memory[i][address - piece->guest];
    }
    return NULL;
}

static bool
read_text(const struct world *w, uint64_t address, uint64_t bytes, char *text)
{
    if (bytes > ULV_CALL_TEXT_MAX)
        return false;
    for (uint64_t i = 0; i < bytes; i++) {
        const uint8_t *byte = byte_at(w, address + i);

        if (byte == NULL)
            return false;
        text[i] = *byte >= ' ' && *byte <= '~' ? (char)*byte : '.';
    }
    text[bytes] = '\0';
    return true;
}

static bool
take_credit(struct world *w)
{
    uint64_t earned = (w->t.now - w->credit_time) / EARN_NS;

    if (earned > 0) {
        w->credit = earned > BURST - w->credit ? BURST
                                               : w->credit + (uint32_t)earned;
        w->credit_time = w->t.now;
    }
    if (w->credit == 0)
        return false;
    w->credit--;
    return true;
}

static void
expect_line(struct world *w, const char *text)
{
    w->expected_lines++;
    ulv_string_copy(w->expected_line, sizeof(w->expected_line), text);
}

static void
call_log(struct world *w, const uint64_t *argument, struct expected *e)
{
    char text[ULV_CALL_TEXT_MAX + 1];

    if (!read_text(w, argument[0], argument[1], text))
        e->status = ULV_E_ARG;
    else if (!take_credit(w))
        e->status = ULV_E_AGAIN;
    else
        expect_line(w, text);
}

/* NULL: no such slot, or nothing is in it. */
static struct thing *
channel_in(struct world *w, uint64_t slot)
{
    for (uint32_t i = 0; i < CHANNELS; i++) {
        if (world_slot[i] == slot && w->channel[i].held == MAPPED)
            return &w->channel[i];
    }
    return NULL;
}

static void
call_channel(struct world *w, const struct ulv_exit_call *call,
             struct expected *e)
{
    struct thing *channel;
    char text[96];
    struct ulv_text line;

    if (call->number == ULV_CALL_DETACH)
        model_follow(w, true);
    channel = channel_in(w, call->argument[0]);
    if (channel == NULL) {
        e->status = ULV_E_NOT_FOUND;
    } else if (call->number == ULV_CALL_SIGNAL) {
        e->rung = (uint32_t)(channel - w->channel) + 1;
    } else if (call->number == ULV_CALL_DETACH && channel->revoke_at != 0) {
        let_go(w, channel);
        w->look = true;
    } else if (call->number == ULV_CALL_FAILED && !take_credit(w)) {
        e->status = ULV_E_AGAIN;
    } else if (call->number == ULV_CALL_FAILED) {
        ulv_text_init(&line, text, sizeof(text));
        ulv_text_format(&line, "channel %u: the guest gave it up, status %i",
                        channel->id, (int64_t)call->argument[1]);
        expect_line(w, text);
    }
}

void
model_collect(struct world *w)
{
    for (uint32_t i = 0; i < CHANNELS; i++) {
        if (w->channel[i].held != MAPPED || !w->heard[i])
            continue;
        w->pending |= UINT64_C(1) << world_slot[i];
        w->heard[i] = false;
    }
}

static void
call_wait(struct world *w, uint64_t until, struct expected *e)
{
    model_collect(w);
    e->value = w->pending;
    w->pending = 0;
    if (e->value != 0)
        return;
    e->deadline = until >= UINT64_MAX - w->start ? ULV_FOREVER
                                                 : until + w->start;
    e->waits = w->t.now < e->deadline;
    if (!e->waits)
        e->status = ULV_E_TIMEOUT;
}

static void
call_memory(struct world *w, const struct ulv_exit_call *call,
            struct expected *e)
{
    struct thing *piece = NULL;
    bool accept = call->number == ULV_CALL_ACCEPT;

    model_follow(w, true);
    for (uint32_t i = 0; i < PIECES; i++) {
        struct thing *p = &w->piece[i];

        if ((p->held == OFFERED || p->held == MAPPED) &&
            p->guest == call->argument[0])
            piece = p;
    }
    if (piece == NULL) {
        e->status = ULV_E_NOT_FOUND;
        return;
    }
    if (accept && piece->held == MAPPED) {
        e->status = ULV_E_EXISTS;
        return;
    }
    if (!accept && piece->revoke_at == 0 && !take_credit(w)) {
        e->status = ULV_E_AGAIN;
        return;
    }
    e->value = PIECE_BYTES;
    if (accept) {
        piece->held = MAPPED;
    } else if (piece->revoke_at != 0) {
        let_go(w, piece);
        w->look = true;
    } else {
        piece->held = GIVEN;
        w->expected_back += piece->guest + PIECE_BYTES;
    }
}

static void
call_end(struct world *w, const struct ulv_exit_call *call, struct expected *e)
{
    char text[ULV_CALL_TEXT_MAX + 1];

    if (call->number == ULV_CALL_STOP)
        e->end = ULV_END_REASON_STOP;
    else if (call->number == ULV_CALL_RESET)
        e->end = ULV_END_REASON_RESET;
    else if (read_text(w, call->argument[1], call->argument[2], text))
        e->end = ULV_END_REASON_FAULT;
    else
        e->status = ULV_E_ARG;
}

/* Of a partition with one processor. */
static void
call_processor(struct world *w, const struct ulv_exit_call *call,
               struct expected *e)
{
    bool first = call->argument[0] == 0;

    switch (call->number) {
    case ULV_CALL_START:
        e->status = first ? ULV_E_EXISTS : ULV_E_NOT_FOUND;
        break;
    case ULV_CALL_PARK:
        e->status = ULV_E_STATE;
        break;
    case ULV_CALL_WAKE:
        e->status = first ? ULV_OK : ULV_E_NOT_FOUND;
        w->pending |= first ? ULV_WAIT_WAKE_MASK : 0;
        break;
    default: /* YIELD */
        break;
    }
}

struct expected
model_call(struct world *w, const struct ulv_exit_call *call)
{
    struct expected e = { .status = ULV_OK };
    uint64_t capability = capability_of(call->number);

    if (capability == 0)
        e.status = ULV_E_UNSUPPORTED;
    else if ((w->rights & capability) == 0)
        e.status = ULV_E_DENIED;
    else if (capability == ULV_CAP_PARTITION)
        call_end(w, call, &e);
    else if (capability == ULV_CAP_MEMORY)
        call_memory(w, call, &e);
    else if (call->number == ULV_CALL_WAIT)
        call_wait(w, call->argument[0], &e);
    else if (capability == ULV_CAP_CHANNEL)
        call_channel(w, call, &e);
    else if (capability == ULV_CAP_YIELD)
        call_processor(w, call, &e);
    else if (capability == ULV_CAP_INTERRUPT)
        e.status = ULV_E_STATE; /* the machine has none */
    else if (call->number == ULV_CALL_DISCOVER)
        e.value = VIEW;
    else if (call->number == ULV_CALL_LOG)
        call_log(w, call->argument, &e);
    else if (call->number == ULV_CALL_TIME)
        e.value = w->t.now - w->start;
    return e;
}
