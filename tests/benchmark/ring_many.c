/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One consumer that serves many channels, their producers another process: what
 * a record costs when all are busy, and what it costs to find the one of them
 * that is. Argument: rounds (5), of which the median is told.
 */
#include "ring.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "channel/ring_fast.h"
#include "median.h"

#define MANY       10000u
#define RING_BYTES UINT64_C(4096)
#define WAY        (RING_BYTES + 4096)
#define LEN        56u
#define TURN       8u /* records of a channel before the next has its turn */
#define RECORDS    2000000u
#define ROUNDS_MAX 64u

static const uint32_t counts[] = {1, 10, 1000, MANY};

/* In shared memory. */
struct meeting {
    _Alignas(64) uint64_t asked; /* samples begun */
    uint64_t channels, turn;
    _Alignas(64) uint64_t done; /* samples the producer has left off */
    _Alignas(64) uint64_t seen; /* records the consumer has taken */
};

static struct meeting *meeting;
static uint8_t *ways;
static struct ulv_ring_tx tx[MANY];
static struct ulv_ring_rx rx[MANY];

static double
nanoseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Records for one channel after the other, as many as its turn. */
static void
produce(uint64_t channels, uint64_t turn)
{
    for (uint64_t n = 0, c = 0; n < RECORDS; c = (c + 1) % channels) {
        for (uint64_t i = 0; i < turn && n < RECORDS; i++, n++) {
            void *slot;

            while (ulv_ring_tx_reserve_fast(&tx[c], 1, LEN, &slot) != ULV_OK)
                relax();
            fill(slot, n, LEN);
        }
        (void)ulv_ring_tx_publish(&tx[c]); /* nobody sleeps here */
        while (turn == 1 &&
               __atomic_load_n(&meeting->seen, __ATOMIC_ACQUIRE) < n)
            relax();
    }
}

static void
consume(uint64_t channels, uint64_t turn)
{
    struct ulv_ring_record record;

    for (uint64_t n = 0, c = 0; n < RECORDS; c = (c + 1) % channels) {
        for (uint64_t i = 0;
             i < TURN && ulv_ring_rx_peek_fast(&rx[c], &record) == ULV_OK;
             i++, n++) {
            uint64_t first = *(const uint64_t *)record.data;

            must_agree(differs(record.data, first, LEN));
            (void)ulv_ring_rx_pass(&rx[c]);
        }
        if (turn == 1)
            __atomic_store_n(&meeting->seen, n, __ATOMIC_RELEASE);
    }
}

static void
be_producer(void)
{
    for (uint64_t sample = 1;; sample++) {
        while (__atomic_load_n(&meeting->asked, __ATOMIC_ACQUIRE) != sample)
            sched_yield();
        produce(meeting->channels, meeting->turn);
        __atomic_store_n(&meeting->done, sample, __ATOMIC_RELEASE);
    }
}

static double
take_sample(uint64_t channels, uint64_t turn)
{
    double begin = nanoseconds(), took;

    meeting->channels = channels;
    meeting->turn = turn;
    meeting->seen = 0;
    __atomic_store_n(&meeting->asked, meeting->asked + 1, __ATOMIC_RELEASE);
    consume(channels, turn);
    took = nanoseconds() - begin;
    while (__atomic_load_n(&meeting->done, __ATOMIC_ACQUIRE) != meeting->asked)
        sched_yield();
    return took / RECORDS;
}

static void
tell(uint64_t channels, uint64_t turn, uint32_t rounds, const char *what)
{
    double cost[ROUNDS_MAX], middle;

    for (uint32_t i = 0; i < rounds; i++)
        cost[i] = take_sample(channels, turn);
    middle = median(cost, rounds);
    printf("%6llu channels, %s: %8.1f ns a record (%.1f .. %.1f)\n",
           (unsigned long long)channels, what, middle, cost[0],
           cost[rounds - 1]);
}

static void
bind_to(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

int
main(int argc, char **argv)
{
    const uint32_t asked = argc > 1 ? (uint32_t)atoi(argv[1]) : 5;
    const uint32_t rounds = asked == 0          ? 1
                            : asked > ROUNDS_MAX ? ROUNDS_MAX
                                                 : asked;
    pid_t producer;

    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        printf("it takes two processors, and there is one\n");
        return 77;
    }
    ways = mmap(NULL, MANY * WAY + 4096, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK((void *)ways != MAP_FAILED);
    meeting = (void *)(ways + MANY * WAY);
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t *way = ways + i * WAY;

        CHECK(ulv_ring_tx_init(&tx[i], (void *)way, way + 4096, RING_BYTES) ==
              ULV_OK);
        CHECK(ulv_ring_rx_init(&rx[i], (void *)way, way + 4096, RING_BYTES) ==
              ULV_OK);
    }
    producer = fork();
    CHECK(producer >= 0);
    if (producer == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        bind_to(1);
        be_producer();
    }
    bind_to(0);
    for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        tell(counts[i], TURN, rounds, "all busy, 8 records a turn");
    for (uint32_t i = 0; i < 3; i++) /* the last takes too long to be told */
        tell(counts[i], 1, 1, "one busy at a time, found by looking");
    CHECK(kill(producer, SIGKILL) == 0);
    CHECK(waitpid(producer, NULL, 0) == producer);
    return 0;
}
