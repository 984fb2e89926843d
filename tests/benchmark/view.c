/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading 256 bytes beside a writer on another processor: the library's view
 * beside its peers, in turns. The mean is of reads one after the other; what
 * one in a thousand exceeds is of reads timed one by one, less what a clock
 * costs. Argument: rounds (5).
 */
#include "view.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <signal.h>
#include <x86intrin.h>

#include "median.h"

#define READS     2000000u
#define TIMED     200000u
#define READ_TIME 0.1 /* [s] a sample takes at most */

static const struct contender *const contenders[] = {
    &contender_view,
    &contender_seqlock,
#ifdef HAVE_URCU
    &contender_urcu,
#endif
#ifdef HAVE_LMDB
    &contender_lmdb,
#endif
};
#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

/* Commits a second; 0: none, UINT64_MAX: as many as it can. */
static const uint64_t rates[] = { 0, 10000, 100000, 1000000, 2200000,
                                  UINT64_MAX };
#define RATES      (sizeof(rates) / sizeof(rates[0]))
#define ROUNDS_MAX 101

struct sample {
    double mean, tail; /* [ns] of a read; one in a thousand is slower */
    double commits;    /* a second */
    double again;      /* a read */
};

/* What the writer is told and tells, away from all else. */
struct meeting {
    _Alignas(64) uint32_t ready, stop;
    _Alignas(64) uint64_t commits;
};

static struct meeting *meeting;
static uint8_t *shared;
static double ticks_a_second;
static size_t cpus[2];

static void
bind_to(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void
find_cpus(void)
{
    cpu_set_t set;
    size_t found = 0;

    CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
        if (CPU_ISSET(cpu, &set))
            cpus[found++] = cpu;
    }
    if (found < 2) {
        printf("# skipped: it takes two processors\n");
        exit(77);
    }
}

static void
measure_ticks(void)
{
    const struct timespec tenth = { 0, 100000000 };
    struct timespec begin, end;
    uint64_t ticks;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &begin) == 0);
    ticks = __rdtsc();
    CHECK(nanosleep(&tenth, NULL) == 0);
    ticks = __rdtsc() - ticks;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &end) == 0);
    ticks_a_second = (double)ticks /
                     ((double)(end.tv_sec - begin.tv_sec) +
                      (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
}

/* ---- the writer ---------------------------------------------------------- */

struct writing {
    const struct contender *contender;
    uint64_t rate;
};

static void *
write_on(void *opaque)
{
    const struct writing *w = opaque;
    double pause = w->rate == UINT64_MAX ? 0
                                         : ticks_a_second / (double)w->rate;
    double next;
    uint64_t value = 0;

    bind_to(cpus[1]);
    w->contender->writer_begin();
    __atomic_store_n(&meeting->ready, 1, __ATOMIC_RELEASE);
    next = (double)__rdtsc();
    while (__atomic_load_n(&meeting->stop, __ATOMIC_ACQUIRE) == 0) {
        if ((double)__rdtsc() < next)
            continue;
        next += pause;
        w->contender->commit(++value);
        __atomic_store_n(&meeting->commits, value, __ATOMIC_RELAXED);
    }
    w->contender->writer_end();
    return NULL;
}

/* ---- the reader ---------------------------------------------------------- */

/* A read, whose words must all be of one commit. */
static inline uint64_t
read_once(const struct contender *c, uint64_t *agrees)
{
    uint64_t value[WORDS];
    uint64_t again = c->read(value);

    *agrees |= (value[0] ^ value[WORDS / 2]) | (value[0] ^ value[WORDS - 1]);
    return again;
}

static double
tail_of_reads(const struct contender *c, uint64_t *agrees)
{
    static double took[TIMED];
    const uint64_t end =
        __rdtsc() + (uint64_t)(2 * READ_TIME * ticks_a_second);
    uint64_t clock = UINT64_MAX;
    uint32_t count = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t begin = __rdtsc(), ticks = __rdtsc() - begin;

        clock = ticks < clock ? ticks : clock;
    }
    while (count < TIMED && __rdtsc() < end) {
        uint64_t begin = __rdtsc();

        (void)read_once(c, agrees);
        took[count++] = (double)(__rdtsc() - begin - clock);
    }
    qsort(took, count, sizeof(took[0]), compare_values);
    return took[count - 1 - count / 1000] * 1e9 / ticks_a_second;
}

static struct sample
read_on(const struct contender *c)
{
    const uint64_t begin = __rdtsc();
    const uint64_t end = begin + (uint64_t)(READ_TIME * ticks_a_second);
    uint64_t first = __atomic_load_n(&meeting->commits, __ATOMIC_RELAXED);
    uint64_t agrees = 0, again = 0, now = begin, reads = 0;
    struct sample s;
    double seconds;

    while (reads < READS && now < end) {
        for (uint32_t i = 0; i < 1000; i++)
            again += read_once(c, &agrees);
        reads += 1000;
        now = __rdtsc();
    }
    seconds = (double)(now - begin) / ticks_a_second;
    s.mean = seconds * 1e9 / (double)reads;
    s.commits = (double)(__atomic_load_n(&meeting->commits,
                                         __ATOMIC_RELAXED) - first) / seconds;
    s.again = (double)again / (double)reads;
    s.tail = tail_of_reads(c, &agrees);
    if (agrees != 0) {
        fprintf(stderr, "%s: half a commit was seen\n", c->name);
        exit(1);
    }
    return s;
}

static struct sample
take_sample(const struct contender *c, uint64_t rate)
{
    struct writing writing = { c, rate };
    struct sample s;
    pthread_t thread;
    pid_t child = 0;

    memset(shared, 0, SHARED_BYTES);
    memset(meeting, 0, sizeof(*meeting));
    c->begin(shared);
    if (rate != 0 && c->one_process) {
        CHECK(pthread_create(&thread, NULL, write_on, &writing) == 0);
    } else if (rate != 0) {
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            (void)write_on(&writing);
            _exit(0);
        }
    }
    c->reader_begin();
    while (rate != 0 &&
           __atomic_load_n(&meeting->ready, __ATOMIC_ACQUIRE) == 0)
        sched_yield();
    s = read_on(c);
    c->reader_end();
    __atomic_store_n(&meeting->stop, 1, __ATOMIC_RELEASE);
    if (rate != 0 && c->one_process)
        CHECK(pthread_join(thread, NULL) == 0);
    else if (rate != 0)
        CHECK(waitpid(child, NULL, 0) == child);
    c->end();
    return s;
}

/* ---- what came of it ----------------------------------------------------- */

static struct sample samples[CONTENDERS][RATES][ROUNDS_MAX];

static double
median_of(const struct sample *s, uint32_t rounds, size_t field)
{
    double value[ROUNDS_MAX];

    for (uint32_t i = 0; i < rounds; i++)
        memcpy(&value[i], (const uint8_t *)&s[i] + field, sizeof(double));
    return median(value, rounds);
}
#define MEDIAN(c, r, field)                                                    \
    median_of(samples[c][r], rounds, offsetof(struct sample, field))

static void
print(uint32_t rounds)
{
    printf("reading 256 bytes, %u rounds, medians\n", rounds);
    printf("%-14s %10s %12s %9s %8s %8s %9s %9s\n", "", "wanted/s",
           "commits/s", "mean ns", "of idle", "seqlock", "p99.9 ns", "again");
    for (size_t c = 0; c < CONTENDERS; c++) {
        for (size_t r = 0; r < RATES; r++) {
            char wanted[24] = "all";

            if (rates[r] != UINT64_MAX)
                (void)snprintf(wanted, sizeof(wanted), "%llu",
                               (unsigned long long)rates[r]);
            printf("%-14s %10s %12.0f %9.1f %8.2f %8.2f %9.0f %9.2g\n",
                   contenders[c]->name, wanted, MEDIAN(c, r, commits),
                   MEDIAN(c, r, mean),
                   MEDIAN(c, r, mean) / MEDIAN(c, 0, mean),
                   MEDIAN(c, r, mean) / MEDIAN(1, 0, mean), MEDIAN(c, r, tail),
                   MEDIAN(c, r, again));
        }
    }
}

int
main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 5;

    CHECK(rounds > 0 && rounds <= ROUNDS_MAX);
    find_cpus();
    measure_ticks();
    shared = mmap(NULL, SHARED_BYTES + 4096, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    meeting = (void *)(shared + SHARED_BYTES);
    bind_to(cpus[0]);
    for (uint32_t i = 0; i < rounds; i++) {
        for (size_t r = 0; r < RATES; r++) {
            for (size_t c = 0; c < CONTENDERS; c++)
                samples[c][r][i] = take_sample(contenders[c], rates[r]);
        }
    }
    print(rounds);
    return 0;
}
