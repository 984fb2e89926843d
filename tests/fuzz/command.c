/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The command protocol. Input: records, each a byte that says how it is made
 * right first (1: its length, 2: its version), two bytes of length, and the
 * message. Each is decoded as a request and as an answer, and goes to a server
 * and to a client. What is believed lies inside the message and keeps to the
 * bounds; server and client survive; what was begun is answered once.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/posix.h>

#include "base/base.h"
#include "command/client.h"
#include "command/server.h"
#include "database/changes.h"

#include "fuzz.h"

#define RING ULV_COMMAND_RING_BYTES

static void
require(bool holds)
{
    if (!holds)
        abort();
}

struct server {
    struct ulv_command_server command;
    struct ulv_command_session session;
    uint64_t revision;
    struct ulv_changes changes;
    uint32_t begun, broken;
};

static void
on_hello(void *self, struct ulv_command_session *session)
{
    ((struct server *)self)->begun++;
    ulv_command_answer_hello(session, ULV_OK, 1, 1);
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *request)
{
    struct server *s = self;
    struct ulv_message_transaction_answer answer = { .revision = 1 };

    require(request->u.transaction->more == 0 &&
            request->u.transaction->operation_count <=
                ULV_OPERATION_COUNT_MAX);
    for (uint32_t i = 0; i < request->u.transaction->operation_count; i++)
        answer.value += request->operations[i].u.words[10];
    s->begun++;
    for (uint32_t i = 0; i < 3; i++)
        ulv_changes_add(&s->changes,
                        &(struct ulv_change){ .revision = s->begun,
                                              .object = i,
                                              .kind = i,
                                              .change = ULV_CHANGE_MADE });
    ulv_changes_show(&s->changes, s->begun);
    s->revision++;
    ulv_command_answer_transaction(session, &answer);
}

static void
on_query(void *self, struct ulv_command_session *session,
         const struct ulv_message_query *query)
{
    struct ulv_message_query_answer answer = { .kind = query->kind };

    ((struct server *)self)->begun++;
    ulv_command_answer_query(session, &answer, NULL);
}

/* Every third time not, so that some is read ahead. */
static bool
on_ready(void *self)
{
    return ((struct server *)self)->revision++ % 3 != 0;
}

static void
on_ring(struct ulv_command_session *session)
{
    (void)session;
}

static void
on_broken(struct ulv_command_session *session)
{
    ((struct server *)session->server->self)->broken++;
}

static const struct ulv_command_handlers handlers = {
    .hello = on_hello,
    .transaction = on_transaction,
    .query = on_query,
    .ready = on_ready,
    .ring = on_ring,
    .broken = on_broken,
};

static void *
make_channel(void)
{
    static const uint8_t type[16] = ULV_CHANNEL_TYPE_COMMAND;
    struct ulv_channel_layout layout = { .id = 1, .ring_bytes = RING };
    void *p = aligned_alloc(4096, ulv_channel_bytes(RING, 0));

    require(p != NULL);
    memset(p, 0, 8192);
    memcpy(layout.type, type, sizeof(type));
    require(ulv_channel_format(p, &layout) == ULV_OK);
    return p;
}

static void
decode(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1); /* its end is where the message's is */
    struct ulv_command_request r;

    require(copy != NULL);
    memcpy(copy, bytes, len);
    if (ulv_command_decode(copy, len, &r) == ULV_OK) {
        require(ulv_command_decode_answer(copy, len) != ULV_OK);
        if (r.kind == ULV_MESSAGE_TRANSACTION)
            require((const uint8_t *)(r.operations +
                                      r.u.transaction->operation_count) ==
                    copy + len);
        if (r.kind == ULV_MESSAGE_OPERATIONS)
            require((const uint8_t *)(r.operations +
                                      r.u.operations->operation_count) ==
                    copy + len);
    }
    free(copy);
}

static void
put(struct ulv_ring_tx *tx, const uint8_t *bytes, size_t len)
{
    uint16_t kind = len < 6 ? 1 : ulv_get_le16(bytes + 4);
    void *slot;

    if (ulv_ring_tx_reserve(tx, kind, (uint32_t)len, &slot) != ULV_OK)
        return;
    memcpy(slot, bytes, len);
    (void)ulv_ring_tx_submit(tx);
}

/* The next record of the input; false: there is none. */
static bool
next_record(const uint8_t **data, size_t *size, uint8_t *message, size_t *len)
{
    const uint8_t *at = *data;

    if (*size < 3)
        return false;
    *len = ULV_MIN((size_t)ulv_get_le16(at + 1), *size - 3);
    memcpy(message, at + 3, *len);
    if ((at[0] & 1) != 0 && *len >= 4)
        memcpy(message, &(uint32_t){ (uint32_t)*len }, 4);
    if ((at[0] & 2) != 0 && *len >= 8)
        memcpy(message + 6, &(uint16_t){ ULV_COMMAND_VERSION }, 2);
    *data += 3 + *len;
    *size -= 3 + *len;
    return true;
}

static void
drain(struct ulv_command_client *client)
{
    const struct ulv_message *m;
    bool ring = false;

    while (ulv_command_receive(client, &m, &ring) == ULV_OK)
        require(m->bytes >= sizeof(*m) && m->bytes <= ULV_COMMAND_MESSAGE_MAX);
}

/* The same records from a client to the server, and from a server to a
 * client that watches. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t type[16] = ULV_CHANNEL_TYPE_COMMAND;
    static uint8_t message[UINT16_MAX];
    const uint64_t bytes = ulv_channel_bytes(RING, 0);
    struct server *s = calloc(1, sizeof(*s));
    struct ulv_command_client near, far;
    struct ulv_channel_end answers;
    void *p[2] = { make_channel(), make_channel() };
    const struct ulv_command_watching all = { .after = 0 };
    bool ring = false;
    size_t len;

    require(s != NULL);
    require(ulv_changes_init(&s->changes, ulv_posix_host(), 0) == ULV_OK);
    s->command.changes = &s->changes;
    s->command.host = ulv_posix_host();
    s->command.handlers = &handlers;
    s->command.self = s;
    require(ulv_command_session_init(&s->session, &s->command, p[0], bytes) ==
                ULV_OK &&
            ulv_command_client_init(&near, s->command.host, p[0], bytes) ==
                ULV_OK &&
            ulv_command_client_init(&far, s->command.host, p[1], bytes) ==
                ULV_OK &&
            ulv_channel_attach(&answers, p[1], bytes, ULV_END_SERVER, type) ==
                ULV_OK);
    require(ulv_command_send_hello(&near, &ring) == ULV_OK &&
            ulv_command_send_watch(&far, &all, &ring) == ULV_OK);
    while (next_record(&data, &size, message, &len)) {
        decode(message, len);
        put(&near.end.tx, message, len);
        put(&answers.tx, message, len);
        ulv_command_server_wake_all(&s->command);
        (void)ulv_command_server_step(&s->command);
        drain(&far);
    }
    for (uint32_t n = 0; n < 100; n++) {
        ulv_command_server_wake_all(&s->command);
        (void)ulv_command_server_step(&s->command);
        drain(&near);
    }
    require(s->broken == (s->session.failed != ULV_OK) && !s->session.busy);
    ulv_command_session_fini(&s->session);
    require(s->command.large_bytes == 0);
    ulv_changes_fini(&s->changes);
    ulv_command_client_fini(&near);
    ulv_command_client_fini(&far);
    free(p[0]);
    free(p[1]);
    free(s);
    return 0;
}
