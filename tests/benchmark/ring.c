/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Messages between two processes on two processors: the library's ring beside
 * its peers, in turns. How long a cache line takes there and back is measured
 * around each sample, because where the processors lie decides the rest: only
 * samples taken at the same distance are compared. Arguments: rounds (30), and
 * the number of the one case to measure (all).
 */
#include "ring.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <signal.h>

#include "median.h"

#define CONTENDERS_MAX 8
#define DISTANCES      3
#define LINE_ROUNDS    2000u
#define WAYS_AT        4096u

static const struct contender *const contenders[] = {
    &contender_ours,   &contender_copied,
#ifdef HAVE_DPDK
    &contender_dpdk,
#endif
    &contender_floor,  &contender_pipe,  &contender_packets,
    &contender_stream, &contender_event,
};
#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

/* Where the two processes meet; each word on a line of its own. */
struct meeting {
    _Alignas(64) uint64_t line;  /* goes back and forth */
    _Alignas(64) uint64_t asked; /* by the receiver: samples begun */
    uint64_t contender, what, count, one_cpu;
    _Alignas(64) uint64_t ready; /* the sender: samples it began */
    _Alignas(64) uint64_t done;  /* and those it left off */
    _Alignas(64) uint64_t doorbells;
};

struct sample {
    double cost; /* of a message [ns] */
    uint32_t distance;
};

struct run {
    enum ring_case what;
    const char *name;
    uint64_t count;
    bool one_cpu;
};

static const struct run runs[] = {
    {SINGLE, "64 bytes, one at a time", 400000, false},
    {BURSTS, "64 bytes, 32 at a time", 800000, false},
    {PAGES, "4 KiB", 40000, false},
    {ROUND, "64 bytes there and back, looking", 50000, false},
    {BLOCKING, "there and back, asleep, one processor", 2000, true},
    {BLOCKING, "there and back, asleep, two processors", 500, false},
};
#define RUNS (sizeof(runs) / sizeof(runs[0]))

static const struct {
    const char *name;
    double below; /* [ns] */
} distances[DISTANCES] = {
    {"one core", 95},
    {"near", 200},
    {"far", 1e9},
};

static struct place place;
static struct meeting *meeting;
static size_t cpus[2];

static double
nanoseconds(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void
bind_to(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

/* ---- how far the processors are apart ------------------------------------ */

static void
pass_line(uint64_t first)
{
    for (uint64_t i = first; i < 2 * LINE_ROUNDS; i += 2) {
        while (__atomic_load_n(&meeting->line, __ATOMIC_ACQUIRE) != i)
            relax();
        __atomic_store_n(&meeting->line, i + 1, __ATOMIC_RELEASE);
    }
}

/* ---- one sample ---------------------------------------------------------- */

static void
be_sender(void)
{
    for (uint64_t sample = 1;; sample++) {
        const struct contender *c;

        while (__atomic_load_n(&meeting->asked, __ATOMIC_ACQUIRE) != sample)
            sched_yield();
        bind_to(cpus[meeting->one_cpu == 0]);
        __atomic_store_n(&meeting->ready, sample, __ATOMIC_RELEASE);
        if (meeting->contender == CONTENDERS) {
            pass_line(1);
        } else {
            c = contenders[meeting->contender];
            c->send[meeting->what](&place, meeting->count);
        }
        __atomic_store_n(&meeting->done, sample, __ATOMIC_RELEASE);
    }
}

/* Until the sender has come as far with this sample. */
static void
await_sender(const uint64_t *where)
{
    const double far_too_long = nanoseconds() + 60e9;

    while (__atomic_load_n(where, __ATOMIC_ACQUIRE) != meeting->asked) {
        CHECK(nanoseconds() < far_too_long);
        sched_yield();
    }
}

/* [ns], of the whole */
static double
take_sample(size_t contender, const struct run *run)
{
    double begin, took;

    meeting->contender = contender;
    meeting->one_cpu = run != NULL && run->one_cpu;
    if (run != NULL) {
        meeting->what = run->what;
        meeting->count = run->count;
        contenders[contender]->begin(&place, run->what);
    }
    meeting->line = 0;
    __atomic_store_n(&meeting->asked, meeting->asked + 1, __ATOMIC_RELEASE);
    await_sender(&meeting->ready);
    begin = nanoseconds();
    if (run == NULL)
        pass_line(0);
    else
        contenders[contender]->receive[run->what](&place, run->count);
    took = nanoseconds() - begin;
    await_sender(&meeting->done);
    return took;
}

static double
measure_line(void)
{
    return take_sample(CONTENDERS, NULL) / LINE_ROUNDS;
}

static uint32_t
distance_of(double line)
{
    uint32_t i = 0;

    while (line >= distances[i].below)
        i++;
    return i;
}

/* ---- what is told -------------------------------------------------------- */

/* The costs at one distance; returns how many. */
static size_t
costs_at(const struct sample *samples, uint32_t rounds, uint32_t distance,
         double *ret)
{
    size_t count = 0;

    for (uint32_t i = 0; i < rounds; i++) {
        if (samples[i].distance == distance)
            ret[count++] = samples[i].cost;
    }
    return count;
}

static void
tell_distance(const struct run *run, const struct sample *samples,
              uint32_t rounds, uint32_t distance, double *costs)
{
    size_t count = costs_at(samples, rounds, distance, costs);
    const double ours = count < 3 ? 0 : median(costs, count);

    if (ours == 0)
        return; /* too few to say anything */
    printf("%s; processors: %s\n", run->name, distances[distance].name);
    for (size_t c = 0; c < CONTENDERS; c++) {
        double cost;

        if (contenders[c]->send[run->what] == NULL)
            continue;
        count = costs_at(samples + c * rounds, rounds, distance, costs);
        if (count < 3)
            continue;
        cost = median(costs, count);
        printf("  %-20s %9.1f ns (%.1f .. %.1f) %8.3f M/s  ours x %.2f\n",
               contenders[c]->name, cost, costs[count / 10],
               costs[count - 1 - count / 10], 1e3 / cost, cost / ours);
    }
}

static void
compare_all(const struct run *run, uint32_t rounds)
{
    struct sample *samples =
        calloc(CONTENDERS * (size_t)rounds, sizeof(*samples));
    double *costs = calloc(CONTENDERS * (size_t)rounds, sizeof(*costs));
    double *lines = calloc(CONTENDERS * (size_t)rounds, sizeof(*lines));
    size_t count = 0;

    CHECK(samples != NULL && costs != NULL && lines != NULL);
    meeting->doorbells = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        double before = measure_line();

        for (size_t c = 0; c < CONTENDERS; c++) {
            struct sample *sample = &samples[c * rounds + i];
            double after;

            sample->distance = DISTANCES;
            if (contenders[c]->send[run->what] == NULL)
                continue;
            sample->cost = take_sample(c, run) / (double)run->count;
            after = measure_line();
            lines[count++] = after;
            if (distance_of(before) == distance_of(after))
                sample->distance = distance_of(after);
            before = after;
        }
    }
    for (uint32_t distance = 0; distance < DISTANCES; distance++)
        tell_distance(run, samples, rounds, distance, costs);
    printf("  a line there and back: %.0f ns (%.0f .. %.0f); our doorbells: "
           "%llu in %llu messages\n",
           median(lines, count), lines[count / 10],
           lines[count - 1 - count / 10],
           (unsigned long long)meeting->doorbells,
           (unsigned long long)(rounds * run->count));
    free(samples);
    free(costs);
    free(lines);
}

/* ---- and where it happens ------------------------------------------------ */

static bool
choose_cpus(void)
{
    cpu_set_t set;
    uint32_t found = 0;

    CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
    for (size_t i = 0; i < CPU_SETSIZE && found < 2; i++) {
        if (CPU_ISSET(i, &set))
            cpus[found++] = i;
    }
    return found == 2;
}

static void
make_place(void)
{
    uint8_t *p = mmap(NULL, WAYS_AT + 2 * WAY_BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    CHECK(p != MAP_FAILED);
    meeting = (void *)p;
    place.doorbells = &meeting->doorbells;
    for (int i = 0; i < 2; i++) {
        place.way[i] = p + WAYS_AT + (uint64_t)i * WAY_BYTES;
        place.bell[i] = eventfd(0, EFD_CLOEXEC);
        CHECK(place.bell[i] >= 0);
    }
    CHECK(pipe2(place.pipe, O_CLOEXEC) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, place.pair) ==
          0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, place.stream) ==
          0);
}

int
main(int argc, char **argv)
{
    const uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 30;
    const pid_t parent = getpid();
    pid_t sender;

    if (!choose_cpus()) {
        printf("it takes two processors, and there is one\n");
        return 77;
    }
    make_place();
    sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent);
        be_sender();
    }
    bind_to(cpus[0]);
    for (size_t i = 0; i < RUNS; i++) {
        if (argc > 2 && (size_t)atoi(argv[2]) != i)
            continue;
        for (size_t c = 0; c < CONTENDERS; c++) { /* everything is touched */
            if (contenders[c]->send[runs[i].what] != NULL)
                (void)take_sample(c, &runs[i]);
        }
        compare_all(&runs[i], rounds);
    }
    CHECK(kill(sender, SIGKILL) == 0);
    CHECK(waitpid(sender, NULL, 0) == sender);
    return 0;
}
