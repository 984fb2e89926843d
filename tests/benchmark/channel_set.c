/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One record comes over one of many channels, the others are idle: what it
 * costs to find and take it, by ulv_channel_wait_any(), which is given all of
 * them, and by ulv_channel_set_wait(). The peers are played by this program, in
 * place of guests that do not run. Argument: records of a sample (20000).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "system/system_priv.h"

#define MANY       10000u
#define A_GUEST    60u /* channels of one: it has 64 slots */
#define RING_BYTES UINT64_C(4096)
#define LOOKS      20000000u /* of wait_any, in a sample */

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);   \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

static const uint32_t counts[] = { 1, 10, 1000, MANY };
static const struct ulv_guid type = { "one of many" };

static ulv_system *sys;
static ulv_channel *own[MANY];
static struct ulv_channel_end peer[MANY];
static struct ulv_channel_awaited awaited[MANY];
static ulv_channel_set *set;

static void
create(uint32_t count)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    static const char text[] = "{\"guests\": 1000}";
    static struct ulv_policy policy;

    CHECK(ulv_policy_compile("many", text, sizeof(text) - 1, &policy, &diag) ==
          ULV_OK);
    opts.backend = "mock";
    opts.placement = ULV_PLACEMENT_IN_PROCESS;
    opts.memory = ulv_round_up(ULV_MIB(64) + count * ULV_KIB(20), ULV_MIB(2));
    opts.policy = &policy;
    opts.policy_bytes = sizeof(policy);
    if (ulv_system_create(ulv_posix_host(), &opts, &sys, &diag) != ULV_OK)
        CHECK(fprintf(stderr, "%s\n", diag.text) < 0);
}

/* A guest with its channels, of the smallest size. */
static void
add_guest(ulv_id *ret, uint32_t count)
{
    ulv_transaction *t = ulv_transaction_begin(sys);
    struct ulv_diag diag = ULV_DIAG_INIT;
    static uint32_t number;
    char name[16];
    ulv_id guest;

    (void)snprintf(name, sizeof(name), "guest-%u", number++);
    guest = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    for (uint32_t i = 0; i < count; i++) {
        struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_CONNECT);

        CHECK(o != NULL);
        ret[i] = o->u.connect.channel = ulv_transaction_new_id(t);
        o->u.connect.server = sys->keeper.boot;
        o->u.connect.client = guest;
        o->u.connect.ring_bytes = RING_BYTES;
        memcpy(o->u.connect.type, &type, 16);
    }
    if (ulv_transaction_commit(t, &diag) != ULV_OK)
        CHECK(fprintf(stderr, "%s\n", diag.text) < 0);
}

static void
open_both(ulv_id id, uint32_t i)
{
    const struct ulv_host *host = sys->host;
    struct keeper_channel *c = ulv_keeper_channel(&sys->keeper, id);
    struct ulv_diag diag = ULV_DIAG_INIT;
    void *p;

    if (ulv_channel_open(sys, id, &own[i], &diag) != ULV_OK)
        CHECK(fprintf(stderr, "%s\n", diag.text) < 0);
    CHECK(host->memory_map(host->self, c->memory, 0, c->bytes,
                           ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) == ULV_OK);
    CHECK(ulv_channel_attach(&peer[i], p, c->bytes, ULV_END_CLIENT, c->type) ==
          ULV_OK);
    awaited[i].channel = own[i];
    awaited[i].wanted = ULV_CHANNEL_DATA;
}

static void
send_from_peer(uint32_t i, uint64_t n)
{
    void *slot;

    CHECK(ulv_ring_tx_reserve(&peer[i].tx, 1, 56, &slot) == ULV_OK);
    memset(slot, 0, 56);
    memcpy(slot, &n, sizeof(n));
    if (ulv_ring_tx_submit(&peer[i].tx))
        sys->host->event_signal(sys->host->self, own[i]->wire.own_bell);
}

static void
take(ulv_channel *channel, uint64_t n)
{
    struct ulv_bytes data;
    uint32_t kind;

    CHECK(ulv_channel_look(channel, &kind, &data) == ULV_OK);
    CHECK(data.len == 56 && memcmp(data.p, &n, sizeof(n)) == 0);
    ulv_channel_release(channel);
}

static void
wait_for_any(uint32_t count, uint64_t n)
{
    uint32_t i = 0;

    CHECK(ulv_channel_wait_any(awaited, count, ULV_FOREVER) == ULV_OK);
    while (awaited[i].status != ULV_OK)
        i++;
    take(awaited[i].channel, n);
}

static void
wait_for_set(uint32_t count, uint64_t n)
{
    struct ulv_channel_awaited ready;
    size_t found;

    (void)count;
    CHECK(ulv_channel_set_wait(set, &ready, 1, &found, ULV_FOREVER) == ULV_OK);
    take(ready.channel, n);
}

/* Of a record [ns]. */
static double
sample(uint32_t count, uint32_t records, void (*wait)(uint32_t, uint64_t))
{
    ulv_nsec begin = ulv_system_now(sys);

    for (uint64_t n = 0; n < records; n++) {
        send_from_peer((uint32_t)(n * 7919 % count), n);
        wait(count, n);
    }
    return (double)(ulv_system_now(sys) - begin) / records;
}

static void
measure(uint32_t count, uint32_t records)
{
    static ulv_id id[MANY];
    const uint32_t fewer =
        ULV_MAX(20u, ULV_MIN(records, LOOKS / (count * 8u)));
    double any, of_set;

    create(count);
    for (uint32_t done = 0; done < count; done += A_GUEST)
        add_guest(&id[done], ULV_MIN(A_GUEST, count - done));
    for (uint32_t i = 0; i < count; i++)
        open_both(id[i], i);
    any = sample(count, fewer, wait_for_any);
    CHECK(ulv_channel_set_create(sys, &set) == ULV_OK);
    for (uint32_t i = 0; i < count; i++)
        CHECK(ulv_channel_set_add(set, own[i], ULV_CHANNEL_DATA, 0) == ULV_OK);
    (void)sample(count, ULV_MIN(records, 100u), wait_for_set);
    of_set = sample(count, records, wait_for_set);
    printf("%6u channels: %10.0f ns a record by wait_any, %8.0f ns by a set\n",
           count, any, of_set);
    ulv_channel_set_destroy(set);
    for (uint32_t i = 0; i < count; i++)
        sys->host->memory_unmap(sys->host->self, peer[i].header,
                                peer[i].bytes);
    ulv_system_destroy(sys);
}

int
main(int argc, char **argv)
{
    const uint32_t records = argc > 1 ? (uint32_t)atoi(argv[1]) : 20000;
    struct rlimit limit = { 131072, 131072 };

    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        limit.rlim_cur = limit.rlim_max;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    for (uint32_t i = 0; i < ULV_COUNT_OF(counts); i++) {
        /* memory and four doorbells each */
        if (counts[i] * UINT64_C(6) > limit.rlim_cur)
            printf("%6u channels: more descriptors than the %llu there may "
                   "be\n",
                   counts[i], (unsigned long long)limit.rlim_cur);
        else
            measure(counts[i], records);
    }
    return 0;
}
