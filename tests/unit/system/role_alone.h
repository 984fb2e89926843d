/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One role by itself: the test has the keeper's end of its link, and the peer's
 * end of a channel that it was handed.
 */
#ifndef TESTS_UNIT_SYSTEM_ROLE_ALONE_H
#define TESTS_UNIT_SYSTEM_ROLE_ALONE_H

#include "../port/port_test.h"

#include <ultravisor/abi/policy.h>
#include <ultravisor/abi/system_call.h>

#include "command/client.h"
#include "database/database.h"
#include "port/test/test.h"
#include "system/link.h"
#include "system/role.h"

/* A channel between the role and the test. */
struct alone_channel {
    ulv_id id;
    void *p;
    uint64_t bytes;
    ulv_handle memory, bell[2]; /* the role's end, ours */
};

struct alone {
    struct ulv_test_host t;
    ulv_handle waits;
    struct role *role;
    struct post keeper; /* the keeper's end of the link */
    ulv_status ended;   /* what the role's step returned last */

    ulv_id lease; /* READY's */
    struct ulv_diag booted;
    uint32_t refuse; /* an order with such an effect is refused */
    uint32_t orders, committed, aborted, effects[16];
    uint32_t noted; /* states */
    uint32_t faults, rings;
    char fault[192]; /* the last */
    uint32_t answers; /* to MACHINE, and the last */
    struct say_scanned scanned;
};

static inline void
alone_begin(struct alone *a, uint32_t kind, const void *tail, size_t len)
{
    struct say say = { .kind = SAY_CONFIGURE };
    struct ulv_link *near, *far;

    memset(a, 0, sizeof(*a));
    ulv_test_host_init(&a->t);
    assert_int_equal(a->t.host.wait_create(a->t.host.self, &a->waits), ULV_OK);
    assert_int_equal(ulv_link_create(&a->t.host, &near, &far), ULV_OK);
    assert_int_equal(ulv_post_init(&a->keeper, &a->t.host, a->waits, near),
                     ULV_OK);
    assert_int_equal(ulv_role_create(&a->t.host, a->waits, far, &a->role),
                     ULV_OK);
    say.tail_bytes = (uint32_t)len;
    say.u.configure.build = SAY_BUILD;
    say.u.configure.kind = kind;
    say.u.configure.partition = 7;
    memcpy(say.u.configure.name, "role", 5);
    assert_int_equal(ulv_post_send(&a->keeper, &say, tail, NULL, 0), ULV_OK);
}

static inline void
alone_end(struct alone *a)
{
    ulv_role_destroy(a->role);
    ulv_post_fini(&a->keeper);
    a->t.host.handle_close(a->t.host.self, a->waits);
    assert_int_equal(ulv_test_host_fini(&a->t), 0);
}

/* An order is done, or refused for one of its effects. */
static inline void
alone_order(struct alone *a, const struct heard *heard)
{
    struct say say = { .kind = SAY_ORDER_DONE };
    const struct ulv_effect *e = (const void *)heard->tail;
    const uint32_t count = heard->say.tail_bytes / (uint32_t)sizeof(*e);

    say.u.order_done.ticket = heard->say.u.order.ticket;
    for (uint32_t i = 0; i < count; i++) {
        struct ulv_effect copy;

        memcpy(&copy, &e[i], sizeof(copy));
        a->effects[copy.kind % 16]++;
        if (copy.kind == a->refuse)
            (void)ulv_fail(&say.u.order_done.diag, ULV_E_DENIED, 0, 0, 0,
                           "refused by the test");
    }
    if (heard->say.u.order.first + count < heard->say.u.order.effect_count)
        return; /* there is more of it */
    a->orders++;
    ulv_post_tell(&a->keeper, &say, NULL, NULL, 0);
}

static inline void
alone_hear(struct alone *a, const struct heard *heard)
{
    const struct say *say = &heard->say;

    switch (say->kind) {
    case SAY_READY:
        a->lease = say->u.ready.lease_first;
        break;
    case SAY_BOOTED:
        a->booted = say->u.order_done.diag;
        break;
    case SAY_ORDER:
        alone_order(a, heard);
        break;
    case SAY_COMMITTED:
        a->committed++;
        break;
    case SAY_ABORTED:
        a->aborted++;
        break;
    case SAY_RING:
        a->rings++;
        break;
    case SAY_SCANNED:
        a->answers++;
        a->scanned = say->u.scanned;
        break;
    case SAY_EVENT:
        if (say->u.event.kind == ULV_EVENT_FAULT) {
            a->faults++;
            memcpy(a->fault, say->u.event.text, sizeof(a->fault));
        }
        break;
    default:
        break;
    }
    for (uint32_t i = 0; i < heard->handle_count; i++)
        a->t.host.handle_close(a->t.host.self, heard->handle[i]);
}

/* Until nobody has anything to do, or the role has ended. */
static inline void
alone_run(struct alone *a)
{
    bool more = true;

    for (uint32_t turns = 0; more && a->ended == ULV_OK; turns++) {
        struct role_need need = { false, ULV_FOREVER };
        struct heard heard;

        assert_true(turns < 10000); /* or it loops */
        a->ended = ulv_role_step(&a->role, &need);
        more = need.again;
        while (ulv_post_receive(&a->keeper, &heard) == ULV_OK) {
            alone_hear(a, &heard);
            more = true;
        }
    }
}

/* Make a channel, and hand the role its end. */
static inline void
alone_channel(struct alone *a, ulv_id id, uint32_t end, const uint8_t type[16],
              struct alone_channel *c)
{
    const struct ulv_host *host = &a->t.host;
    struct ulv_channel_layout layout = { .id = id,
                                         .ring_bytes = ULV_POLICY_RING_BYTES };
    struct say say = { .kind = SAY_CHANNEL };
    ulv_handle handles[3];

    memcpy(layout.type, type, 16);
    c->id = id;
    c->bytes = ulv_channel_bytes(layout.ring_bytes, 0);
    assert_int_equal(host->memory_create(host->self, "channel", c->bytes, 0,
                                         &c->memory),
                     ULV_OK);
    assert_int_equal(host->memory_map(host->self, c->memory, 0, c->bytes,
                                      ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                      &c->p),
                     ULV_OK);
    assert_int_equal(ulv_channel_format(c->p, &layout), ULV_OK);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(host->event_create(host->self, &c->bell[i]), ULV_OK);
    handles[0] = c->memory;
    handles[1] = c->bell[0];
    handles[2] = c->bell[1];
    say.u.channel.channel = id;
    say.u.channel.bytes = c->bytes;
    say.u.channel.ring_bytes = layout.ring_bytes;
    say.u.channel.end = end;
    memcpy(say.u.channel.type, type, 16);
    assert_int_equal(ulv_post_send(&a->keeper, &say, NULL, handles, 3),
                     ULV_OK);
}

static inline void
alone_channel_end(struct alone *a, struct alone_channel *c)
{
    const struct ulv_host *host = &a->t.host;

    host->memory_unmap(host->self, c->p, c->bytes);
    host->handle_close(host->self, c->memory);
    for (uint32_t i = 0; i < 2; i++)
        host->handle_close(host->self, c->bell[i]);
}

static inline void
alone_ring(struct alone *a, struct alone_channel *c)
{
    a->t.host.event_signal(a->t.host.self, c->bell[0]);
}

/* A record from the peer's end of a channel; the role has had its turn. */
static inline void
alone_put(struct alone *a, struct ulv_channel_end *from,
          struct alone_channel *c, uint32_t type, const void *bytes,
          size_t len)
{
    void *slot;

    assert_int_equal(
        ulv_ring_tx_reserve(&from->tx, type, (uint32_t)len, &slot), ULV_OK);
    memcpy(slot, bytes, len);
    (void)ulv_ring_tx_submit(&from->tx);
    alone_ring(a, c);
    alone_run(a);
}

#endif
