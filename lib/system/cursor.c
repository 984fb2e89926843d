/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The caller's cursors: each answer is kept until the next is asked for. */
#include <ultravisor/cursor.h>

#include "base/base.h"
#include "system/system_priv.h"

struct ulv_cursor {
    ulv_system *system;
    uint64_t number; /* 0: it is at its end */
    bool held;       /* the answer is there, and was not told */
    uint64_t answer[ULV_COMMAND_MESSAGE_MAX / 8];
};

/* Ask, and keep the answer. */
static ulv_status
ask(struct ulv_cursor *c, const struct ulv_command_reading *reading,
    struct ulv_diag *diag)
{
    const struct ulv_message_cursor_answer *answer;
    const struct ulv_message *m = NULL;
    bool ring = false;
    ulv_status status =
        ulv_command_send_cursor(&c->system->client, reading, &ring);

    status = ulv_system_await(c->system, status, ring, &m, diag);
    if (status != ULV_OK)
        return status;
    answer = (const void *)m;
    c->number = answer->cursor;
    if (answer->status == ULV_E_EXPIRED)
        return ulv_fail(diag, answer->status, 0, reading->cursor, 0,
                        "the cursor is over: it was not used for too long, or "
                        "too much has changed");
    if (answer->status != ULV_OK)
        return ulv_fail(diag, answer->status, 0, reading->kinds, 0,
                        "the database cannot be read: %s",
                        ulv_status_text(answer->status));
    if (answer->record_count != 0 &&
        (answer->record_bytes == 0 ||
         answer->record_bytes != ulv_system_record_bytes(answer->kind)))
        return ulv_fail(diag, ULV_E_PEER_PROTOCOL, 0, answer->record_bytes,
                        ulv_system_record_bytes(answer->kind),
                        "records of kind %u of %u bytes",
                        (uint64_t)answer->kind,
                        (uint64_t)answer->record_bytes);
    memcpy(c->answer, answer, answer->m.bytes);
    c->held = true;
    return ULV_OK;
}

ulv_status
ulv_cursor_open(ulv_system *system, uint32_t kinds, ulv_id partition,
                ulv_cursor **ret, struct ulv_diag *diag)
{
    const struct ulv_command_reading reading = { .what = ULV_CURSOR_OPEN,
                                                 .kinds = kinds,
                                                 .partition = partition };
    const struct ulv_host *host = system->host;
    struct ulv_cursor *c = host->alloc(host->self, sizeof(*c), 8);
    ulv_status status;

    *ret = NULL;
    if (c == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*c), 0,
                        "no memory for a cursor");
    c->system = system;
    status = ask(c, &reading, diag);
    if (status != ULV_OK)
        ulv_cursor_close(c);
    else
        *ret = c;
    return status;
}

ulv_status
ulv_cursor_next(ulv_cursor *cursor, struct ulv_cursor_records *ret,
                struct ulv_diag *diag)
{
    const struct ulv_message_cursor_answer *answer =
        (const void *)cursor->answer;

    if (ret->size < sizeof(*ret))
        return ulv_fail(diag, ULV_E_ARG, 0, ret->size, sizeof(*ret),
                        "records of %u bytes, this library knows %u",
                        (uint64_t)ret->size, (uint64_t)sizeof(*ret));
    /* a piece may be empty, and not the last */
    while (cursor->number != 0 &&
           (!cursor->held || answer->record_count == 0)) {
        const struct ulv_command_reading reading = {
            .what = ULV_CURSOR_NEXT,
            .cursor = cursor->number,
        };
        ulv_status status = ask(cursor, &reading, diag);

        if (status != ULV_OK)
            return status;
    }
    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    ret->revision = answer->revision;
    ret->kind = answer->kind;
    ret->records = answer + 1;
    ret->count = cursor->held ? answer->record_count : 0;
    cursor->held = false;
    return ULV_OK;
}

void
ulv_cursor_close(ulv_cursor *cursor)
{
    const struct ulv_host *host;
    bool ring = false;

    if (cursor == NULL)
        return;
    host = cursor->system->host;
    if (cursor->number != 0) {
        const struct ulv_command_reading reading = {
            .what = ULV_CURSOR_CLOSE,
            .cursor = cursor->number,
        };

        (void)ulv_command_send_cursor(&cursor->system->client, &reading,
                                      &ring);
    }
    if (ring)
        ulv_wire_ring(&cursor->system->wire);
    host->free(host->self, cursor, sizeof(*cursor));
}
