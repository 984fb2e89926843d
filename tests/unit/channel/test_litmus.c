/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Two processes, a ring each way, every byte checked; both use all forms of
 * each step at random, and sleep on doorbells at random. A wake-up that is lost
 * lets the test hang until it is stopped; each sleep is rung for at most once,
 * and nobody who did not ask. Arguments: records each way, seed.
 */
#include "../port/port_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <signal.h>

#include "channel/ring_fast.h"

#define RING UINT64_C(4096)

static uint64_t records = 100000, seed;

/* One direction. */
struct way {
    struct ulv_ring_control control;
    _Alignas(64) uint8_t data[RING];
};

/* What one side did. */
struct side {
    _Alignas(64) uint64_t asked, rang;
};

struct place {
    struct way way[2];
    struct side side[2];
};

struct end {
    struct ulv_ring_tx tx;
    struct ulv_ring_rx rx;
    struct side *side;
    int own_bell, peer_bell;
    uint64_t seed;
    uint64_t sent, received; /* [records] */
};

static void
must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "# %s\n", what);
    _exit(9);
}

static uint32_t
draw(struct end *end)
{
    end->seed = end->seed * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)(end->seed >> 33);
}

static void
ring_if(struct end *end, bool wanted)
{
    const uint64_t one = 1;

    if (!wanted)
        return;
    end->side->rang++;
    must(write(end->peer_bell, &one, sizeof(one)) == sizeof(one), "write");
}

/* The length and the bytes of record n follow from n. */
static uint32_t
length_of(uint64_t n)
{
    uint32_t mixed = (uint32_t)(n * 2654435761u >> 7);

    return n % 16 == 0 ? mixed % (uint32_t)(RING / 4 - 7) : mixed % 128;
}

static bool
send_one(struct end *end)
{
    uint32_t what = draw(end) % 8;
    void *slot;
    ulv_status status = ulv_ring_tx_reserve_fast(&end->tx, (uint32_t)end->sent,
                                                 length_of(end->sent), &slot);

    must(status == ULV_OK || status == ULV_E_FULL, "reserve");
    if (status == ULV_OK)
        memset(slot, (int)(end->sent & 0xff), length_of(end->sent));
    end->sent += status == ULV_OK;
    if (what < 2)
        ring_if(end, ulv_ring_tx_submit(&end->tx));
    else if (what < 6)
        ring_if(end, ulv_ring_tx_publish(&end->tx));
    return status == ULV_OK;
}

static bool
receive_one(struct end *end)
{
    struct ulv_ring_record record;
    ulv_status status = ulv_ring_rx_peek_fast(&end->rx, &record);
    uint32_t n = (uint32_t)end->received, wrong = 0;

    if (status == ULV_E_EMPTY)
        return false;
    must(status == ULV_OK, "peek");
    must(record.type == n && record.len == length_of(end->received),
         "another record than was sent");
    for (uint32_t i = 0; i < record.len; i++)
        wrong |= ((const uint8_t *)record.data)[i] ^ (n & 0xff);
    must(wrong == 0, "other bytes than were sent");
    end->received++;
    if (draw(end) % 4 == 0)
        ring_if(end, ulv_ring_rx_release(&end->rx));
    else
        ring_if(end, ulv_ring_rx_pass(&end->rx));
    return true;
}

/* Nothing to do: sleep, if both ways say so. */
static void
rest(struct end *end)
{
    uint64_t count;
    bool stay;

    ring_if(end, ulv_ring_tx_submit(&end->tx));
    ring_if(end, ulv_ring_rx_release(&end->rx));
    if (draw(end) % 4 != 0)
        return; /* look again */
    end->side->asked += 2;
    stay = end->sent < records &&
           ulv_ring_tx_wait(&end->tx, length_of(end->sent));
    stay |= ulv_ring_rx_wait(&end->rx);
    if (!stay && end->received < records)
        must(read(end->own_bell, &count, sizeof(count)) == sizeof(count),
             "read");
}

static void
run_side(struct place *place, int which, const int bell[2])
{
    struct end end = { .side = &place->side[which],
                       .own_bell = bell[which],
                       .peer_bell = bell[1 - which],
                       .seed = seed + (uint64_t)which };
    struct way *out = &place->way[which], *in = &place->way[1 - which];

    must(ulv_ring_tx_init(&end.tx, &out->control, out->data, RING) == ULV_OK &&
             ulv_ring_rx_init(&end.rx, &in->control, in->data, RING) == ULV_OK,
         "init");
    while (end.sent < records || end.received < records) {
        bool busy = end.sent < records && draw(&end) % 2 == 0 &&
                    send_one(&end);

        busy |= end.received < records && receive_one(&end);
        if (!busy)
            rest(&end);
    }
    ring_if(&end, ulv_ring_tx_submit(&end.tx));
    ring_if(&end, ulv_ring_rx_release(&end.rx));
}

static void
test_channel_litmus__two_processes(void **state)
{
    const pid_t parent = getpid();
    struct place *place =
        mmap(NULL, sizeof(*place), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int bell[2], status;
    pid_t child;

    (void)state;
    print_message("# %llu records each way, seed %llu\n",
                  (unsigned long long)records, (unsigned long long)seed);
    assert_true(place != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        bell[i] = eventfd(0, EFD_CLOEXEC);
        assert_true(bell[i] >= 0);
    }
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            run_side(place, 1, bell);
        _exit(0);
    }
    run_side(place, 0, bell);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        const struct side *side = &place->side[i];

        print_message("# side %d asked %llu times, was rung %llu times\n", i,
                      (unsigned long long)side->asked,
                      (unsigned long long)place->side[1 - i].rang);
        assert_true(place->side[1 - i].rang <= side->asked);
        close(bell[i]);
    }
    (void)munmap(place, sizeof(*place));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_litmus__two_processes),
    };

    if (argc > 1)
        records = strtoull(argv[1], NULL, 0);
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
    return cmocka_run_group_tests_name("channel-litmus", tests, NULL, NULL);
}
