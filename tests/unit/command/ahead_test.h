/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A server whose handlers note what they are asked, and its clients, which are
 * the library's own and ring when they are asked to: nobody looks otherwise.
 */
#ifndef AHEAD_TEST_H
#define AHEAD_TEST_H

#include "command_test.h"

#include "command/client.h"
#include "command/server.h"
#include "database/changes.h"
#include "port/test/test.h"

#define RING ULV_COMMAND_RING_BYTES

struct peer {
    struct ulv_command_session session;
    struct ulv_command_client client;
    uint8_t *p;
    uint32_t answered; /* transactions */
};

struct service {
    struct ulv_test_host t;
    struct ulv_command_server server;
    struct peer *peers;
    uint32_t peer_count;
    uint32_t transactions, queries, rings, broken;
    uint32_t budget; /* transactions that may still be begun */
    struct ulv_command_session *held; /* under way, if hold */
    bool hold;
    uint64_t deadline; /* of the last transaction begun */
    uint64_t revision;
    struct ulv_changes changes;
};

static inline void
on_hello(void *self, struct ulv_command_session *session)
{
    (void)self;
    ulv_command_answer_hello(session, ULV_OK, 4711, 12);
}

static inline void
answer(struct service *s, struct ulv_command_session *session)
{
    struct ulv_message_transaction_answer done = { .revision = ++s->revision };

    ulv_command_answer_transaction(session, &done);
}

static inline void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *request)
{
    struct service *s = self;

    s->transactions++;
    s->budget--;
    s->deadline = request->u.transaction->deadline;
    if (s->hold)
        s->held = session;
    else
        answer(s, session);
}

static inline void
on_query(void *self, struct ulv_command_session *session,
         const struct ulv_message_query *query)
{
    struct ulv_message_query_answer header = { .kind = query->kind };
    struct service *s = self;

    s->queries++;
    ulv_command_answer_query(session, &header, NULL);
}

static inline bool
on_ready(void *self)
{
    const struct service *s = self;

    return s->budget > 0 && s->held == NULL;
}

static inline void
on_ring(struct ulv_command_session *session)
{
    struct service *s = session->server->self;

    s->rings++;
}

static inline void
on_broken(struct ulv_command_session *session)
{
    struct service *s = session->server->self;

    s->broken++;
}

/* Another revision: a partition of that number changes, and two records of
 * partition 1, the last of which is the log's. */
static inline void
change(struct service *s, uint64_t revision)
{
    struct ulv_change c = { .revision = revision,
                            .object = 7 * revision,
                            .partition = { revision },
                            .kind = ULV_QUERY_PARTITIONS,
                            .change = ULV_CHANGE_CHANGED };

    ulv_changes_add(&s->changes, &c);
    c.partition[0] = 1;
    c.kind = ULV_QUERY_EXTENTS;
    ulv_changes_add(&s->changes, &c);
    c.kind = ULV_QUERY_LOG;
    ulv_changes_add(&s->changes, &c);
    ulv_changes_show(&s->changes, revision);
}

static const struct ulv_command_handlers handlers = {
    .hello = on_hello,
    .transaction = on_transaction,
    .query = on_query,
    .ready = on_ready,
    .ring = on_ring,
    .broken = on_broken,
};

static inline struct service *
begin(uint32_t count)
{
    const uint64_t bytes = ulv_channel_bytes(RING, 0);
    struct service *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    ulv_test_host_init(&s->t);
    s->server.host = &s->t.host;
    s->server.handlers = &handlers;
    s->server.self = s;
    s->server.changes = &s->changes;
    assert_int_equal(ulv_changes_init(&s->changes, &s->t.host, 100), ULV_OK);
    s->budget = UINT32_MAX;
    s->peer_count = count;
    s->peers = calloc(count, sizeof(*s->peers));
    assert_non_null(s->peers);
    for (uint32_t i = 0; i < count; i++) {
        struct peer *peer = &s->peers[i];
        bool ring;

        peer->p = channel_make(RING);
        assert_int_equal(ulv_command_session_init(&peer->session, &s->server,
                                                  peer->p, bytes),
                         ULV_OK);
        assert_int_equal(ulv_command_client_init(&peer->client, &s->t.host,
                                                 peer->p, bytes),
                         ULV_OK);
        assert_int_equal(ulv_command_send_hello(&peer->client, &ring), ULV_OK);
    }
    return s;
}

static inline void
end(struct service *s)
{
    for (uint32_t i = 0; i < s->peer_count; i++) {
        ulv_command_client_fini(&s->peers[i].client);
        ulv_command_session_fini(&s->peers[i].session);
        channel_drop(s->peers[i].p, RING);
    }
    ulv_changes_fini(&s->changes);
    assert_int_equal(ulv_test_host_fini(&s->t), 0);
    free(s->peers);
    free(s);
}

static inline void
step(struct service *s)
{
    for (uint32_t n = 0; ulv_command_server_step(&s->server) ||
                         !ulv_command_server_sleep(&s->server);
         n++)
        assert_true(n < 100000);
}

/* The client rings when it is asked to, and nobody looks otherwise. */
static inline void
heed(struct peer *peer, bool ring)
{
    if (ring)
        ulv_command_session_wake(&peer->session);
}

/* Its number. */
static inline uint64_t
ask(struct peer *peer, uint64_t deadline)
{
    const struct ulv_command_transaction t = { .deadline = deadline };
    bool ring = false;

    assert_int_equal(ulv_command_send_transaction(&peer->client, &t, &ring),
                     ULV_OK);
    heed(peer, ring);
    return peer->client.next_request - 1;
}

static inline uint64_t
cancel(struct peer *peer, uint64_t target)
{
    bool ring = false;

    assert_int_equal(ulv_command_send_cancel(&peer->client, target, &ring),
                     ULV_OK);
    heed(peer, ring);
    return peer->client.next_request - 1;
}

static inline const struct ulv_message *
take(struct peer *peer, uint32_t kind, uint64_t request)
{
    const struct ulv_message *m = NULL;
    bool ring = false;

    assert_int_equal(ulv_command_receive(&peer->client, &m, &ring), ULV_OK);
    heed(peer, ring);
    assert_int_equal(m->kind, kind);
    assert_int_equal(m->request, request);
    return m;
}

static inline int32_t
take_status(struct peer *peer, uint32_t kind, uint64_t request)
{
    /* all answers have it there */
    return ((const struct ulv_message_hello_answer *)(const void *)take(
                peer, kind | ULV_MESSAGE_ANSWER, request))
        ->status;
}

static inline void
take_nothing(struct peer *peer)
{
    const struct ulv_message *m;
    bool ring = false;

    assert_int_equal(ulv_command_receive(&peer->client, &m, &ring),
                     ULV_E_EMPTY);
}

static inline struct service *
begin_one(void)
{
    struct service *s = begin(1);

    step(s);
    assert_int_equal(take_status(&s->peers[0], ULV_MESSAGE_HELLO, 1), ULV_OK);
    return s;
}

/* The one under way is done, and whatever follows. */
static inline void
let_go(struct service *s)
{
    struct ulv_command_session *held = s->held;

    assert_non_null(held);
    s->held = NULL;
    answer(s, held);
    step(s);
}

#define MANY 300u

/* Take what has come; how many transactions of it. */
static inline uint32_t
drain(struct peer *peer)
{
    const struct ulv_message *m;
    uint32_t count = 0;
    bool ring = false;

    while (ulv_command_receive(&peer->client, &m, &ring) == ULV_OK)
        count += m->kind == (ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER);
    heed(peer, ring);
    peer->answered += count;
    return count;
}

/* Keep that many under way. */
static inline void
fill(struct peer *peer, uint32_t count)
{
    const struct ulv_command_transaction t = { .deadline = 0 };
    bool ring = false;

    while (peer->client.next_request - 2 - peer->answered < count &&
           ulv_command_send_transaction(&peer->client, &t, &ring) == ULV_OK)
        ;
    heed(peer, ring);
}

#endif
