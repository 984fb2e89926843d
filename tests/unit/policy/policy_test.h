/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of this folder share: a small host to decide about. */
#ifndef POLICY_TEST_H
#define POLICY_TEST_H

#include "../port/port_test.h"

#include <stdlib.h>

#include <ultravisor/sys/host.h>

#include "policy/policy.h"

#define IO_A  UINT64_C(10)
#define IO_B  UINT64_C(11)
#define GUEST UINT64_C(20) /* 256 MiB, 2 processors */
#define FRESH UINT64_C(30) /* created by the transaction itself */

/* SplitMix64: the same numbers from the same seed. */
static inline uint64_t
random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A host with two I/O partitions, a guest and two nodes. */
struct world {
    struct ulv_policy policy;
    struct ulv_partition_record partitions[10];
    struct ulv_memory_record nodes[4];
    struct ulv_device_record devices[4];
    struct ulv_policy_home homes[12];
    struct ulv_channel_record channels[8];
    struct ulv_processor_record processors[8];
    struct ulv_policy_seat seats[8];
    struct ulv_policy_tag tags[8];
    struct ulv_policy_facts facts;
    struct ulv_policy_reasons reasons;
    struct ulv_diag diag;
    uint32_t line_count;
    char lines[8][256];
    struct ulv_policy_decision said; /* the last that was made */
    uint32_t refused_count;
    struct ulv_policy_decision refused; /* and the last that was refused */
};

static inline void
world_note(void *self, const struct ulv_policy_decision *decision)
{
    struct world *w = self;
    const char *line = decision->text;

    assert_true(memchr(line, 0, sizeof(decision->text)) != NULL);
    assert_true(memchr(decision->rule, 0, sizeof(decision->rule)) != NULL);
    assert_true(decision->kind >= ULV_DECISION_NODE &&
                decision->kind <= ULV_DECISION_RESERVED);
    if ((decision->flags & ULV_DECISION_REFUSED) != 0) {
        w->refused_count++;
        w->refused = *decision;
        return;
    }
    w->said = *decision;
    assert_true(w->line_count < ULV_COUNT_OF(w->lines));
    ulv_string_copy(w->lines[w->line_count++], sizeof(w->lines[0]), line);
}

static inline struct ulv_partition_record *
world_partition(struct world *w, ulv_id id, uint32_t kind, const char *name)
{
    struct ulv_partition_record *p =
        &w->partitions[w->facts.partition_count++];

    p->id = id;
    p->kind = kind;
    p->state = ULV_STATE_RUNNING;
    ulv_string_copy(p->name, sizeof(p->name), name);
    return p;
}

static inline void
world_begin(struct world *w)
{
    struct ulv_partition_record *p;

    memset(w, 0, sizeof(*w));
    w->diag.size = sizeof(w->diag);
    ulv_policy_default(&w->policy);
    w->facts.partitions = w->partitions;
    w->facts.nodes = w->nodes;
    w->facts.devices = w->devices;
    w->facts.homes = w->homes;
    w->facts.channels = w->channels;
    w->facts.processors = w->processors;
    w->facts.seats = w->seats;
    w->facts.tags = w->tags;
    w->reasons.add = world_note;
    w->reasons.self = w;
    (void)world_partition(w, IO_A, ULV_PARTITION_IO, "io-a");
    (void)world_partition(w, IO_B, ULV_PARTITION_IO, "io-b");
    p = world_partition(w, GUEST, ULV_PARTITION_GUEST, "web");
    p->memory_bytes = ULV_MIB(256);
    p->processor_count = 2;
    w->facts.node_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        w->nodes[i].id = 40 + i;
        w->nodes[i].node = i;
        w->nodes[i].bytes = ULV_GIB(4);
        w->nodes[i].free_bytes = ULV_MIB(512) * (i + 1);
    }
}

/* Decide about a copy that ends where it has to; the copy is written back. */
static inline ulv_status
world_decide(struct world *w, struct ulv_operation *operations, uint32_t count)
{
    size_t bytes = count * sizeof(*operations);
    struct ulv_operation *copy = malloc(bytes == 0 ? 1 : bytes);
    ulv_status status;

    assert_non_null(copy);
    memcpy(copy, operations, bytes);
    w->line_count = 0;
    w->refused_count = 0;
    memset(&w->diag, 0, sizeof(w->diag));
    w->diag.size = sizeof(w->diag);
    status = ulv_policy_decide(&w->policy, &w->facts, copy, count, &w->reasons,
                               &w->diag);
    memcpy(operations, copy, bytes);
    free(copy);
    if (status != ULV_OK) {
        /* what is refused is explained: once, by the same words */
        assert_int_equal(w->diag.status, status);
        assert_int_equal(w->refused_count, 1);
        assert_string_equal(w->refused.text, w->diag.text);
        assert_true(w->refused.value == w->diag.value &&
                    w->refused.bound == w->diag.bound &&
                    w->refused.object == w->diag.object);
    } else {
        assert_int_equal(w->refused_count, 0);
    }
    return status;
}

static inline struct ulv_operation
op_create(ulv_id id, const char *name)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };

    o.u.create_partition.id = id;
    o.u.create_partition.kind = ULV_PARTITION_GUEST;
    ulv_string_copy(o.u.create_partition.name, 32, name);
    return o;
}

static inline struct ulv_operation
op_memory(ulv_id partition, uint64_t bytes, uint32_t node)
{
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_MEMORY };

    o.u.assign_memory.partition = partition;
    o.u.assign_memory.bytes = bytes;
    o.u.assign_memory.node = node;
    return o;
}

static inline struct ulv_operation
op_processors(ulv_id partition, uint32_t count)
{
    struct ulv_operation o = { .kind = ULV_OP_ASSIGN_PROCESSORS };

    o.u.assign_processors.partition = partition;
    o.u.assign_processors.count = count;
    return o;
}

static inline struct ulv_operation
op_offer(const char *name, ulv_id primary, ulv_id standby)
{
    struct ulv_operation o = { .kind = ULV_OP_OFFER };

    o.u.offer.id = 50;
    o.u.offer.primary = primary;
    o.u.offer.standby = standby;
    o.u.offer.kind = ULV_DEVICE_BLOCK;
    ulv_string_copy(o.u.offer.name, 32, name);
    return o;
}

#endif
