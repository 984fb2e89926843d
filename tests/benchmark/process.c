/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A program that starts, runs a guest to its end and ends: how long it takes
 * from its start to the guest's exit, and until the guest's machine is gone and
 * the program knows it, and its memory, beside a bare KVM machine in a program
 * of its own, whose memory is lazy, or filled as ours is by default; and beside
 * kvmtool, where there is one.
 * Arguments:
 * hello.elf, never_yields.elf, ultravisor-role, rounds (default 20).
 */
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ultravisor/posix.h>
#include <ultravisor/ultravisor.h>

#include "backend/kvm/kvm.h"
#include "bare_kvm.h"
#include "base/base.h"

extern char **environ;

/* What a program says of itself. */
struct life {
    double exit;    /* of the guest, its last [s of the clock] */
    double gone;    /* its machine, and the host knows */
    double peak;    /* most memory that was resident [KiB] */
    double monitor; /* the same of the guest's monitor, or 0 */
};

/* proc(5), /proc/pid/status */
static double
peak_of(int64_t process)
{
    char path[64], line[128];
    unsigned long kib = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%lld/status", (long long)process);
    file = fopen(path, "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    }
    (void)fclose(file);
    CHECK(kib != 0);
    return (double)kib;
}

/* ---- lives --------------------------------------------------------------- */

static void
live_bare(struct life *life, bool shows_processor, bool fill)
{
    struct bare b;

    bare_begin(&b, BARE_EXITS);
    if (fill)
        bare_fill(&b);
    if (shows_processor)
        bare_show_processor(&b);
    (void)bare_exits(&b, 1);
    life->exit = seconds();
    bare_end(&b);
    life->gone = seconds();
}

static ulv_system *
create(uint32_t placement, bool lazy, const char *role)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;

    opts.backend = "kvm";
    opts.memory = ULV_MIB(16);
    opts.placement = placement;
    opts.lazy_memory = lazy;
    opts.role_program = role;
    if (ulv_system_create(ulv_posix_host(), &opts, &system, &diag) == ULV_OK)
        return system;
    fprintf(stderr, "%s\n", diag.text);
    exit(1);
}

static ulv_id
start(ulv_system *system, const char *guest)
{
    ulv_transaction *t = ulv_transaction_begin(system);
    const ulv_id id = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    struct ulv_image image;

    memset(&image, 0, sizeof(image));
    image.kernel = ULV_SOURCE_PATH(guest);
    ulv_transaction_memory(t, id, ULV_MIB(1), ULV_ANY_NODE);
    ulv_transaction_processors(t, id, 1, ULV_SHARED);
    CHECK(ulv_transaction_commit(t, NULL) == ULV_OK);
    CHECK(ulv_partition_start(system, id, &image, NULL) == ULV_OK);
    return id;
}

/* When a guest made its one call: of the clock [s]. */
static double
time_of_call(ulv_system *system, ulv_id id)
{
    struct ulv_trace_record record;
    uint32_t count;

    CHECK(ulv_partition_trace(system, id, 0, &record, 1, &count, NULL) ==
              ULV_OK &&
          count == 1);
    return seconds() - (double)(ulv_system_now(system) - record.time) * 1e-9;
}

static void
live(struct life *life, uint32_t placement, bool lazy, const char *guest,
     const char *role)
{
    ulv_system *system = create(placement, lazy, role);
    const ulv_id id = start(system, guest);
    struct ulv_end end;

    CHECK(ulv_partition_wait(system, id, &end, ULV_FOREVER, NULL) == ULV_OK);
    CHECK(end.reason == ULV_END_REASON_STOP);
    life->gone = seconds();
    life->exit = time_of_call(system, id);
    ulv_system_destroy(system);
}

/* The monitor of a guest that has run for a while. */
static void
look_at_monitor(struct life *life, const char *guest, const char *role)
{
    ulv_system *system = create(ULV_PLACEMENT_PROCESSES, false, role);
    const ulv_id id = start(system, guest);
    const double begin = seconds();
    struct ulv_role monitor = {0};

    while (seconds() < begin + 0.1)
        (void)ulv_system_step(system, ulv_system_now(system) + 10000000);
    for (uint32_t i = 0; monitor.partition != id; i++)
        CHECK(ulv_system_role(system, i, &monitor) == ULV_OK);
    CHECK(monitor.process != 0);
    life->monitor = peak_of(monitor.process);
    ulv_system_destroy(system);
}

static void
carry_out(char **argv)
{
    struct life life = {0};
    const char *what = argv[1];

    if (strcmp(what, "bare") == 0)
        live_bare(&life, false, false);
    else if (strcmp(what, "bare-cpuid") == 0)
        live_bare(&life, true, false);
    else if (strcmp(what, "bare-full") == 0)
        live_bare(&life, false, true);
    else if (strcmp(what, "inside") == 0)
        live(&life, ULV_PLACEMENT_IN_PROCESS, false, argv[2], NULL);
    else if (strcmp(what, "inside-lazy") == 0)
        live(&life, ULV_PLACEMENT_IN_PROCESS, true, argv[2], NULL);
    else if (strcmp(what, "apart") == 0)
        live(&life, ULV_PLACEMENT_PROCESSES, false, argv[2], argv[3]);
    else
        look_at_monitor(&life, argv[2], argv[3]);
    life.peak = peak_of(getpid());
    CHECK(write(STDOUT_FILENO, &life, sizeof(life)) == sizeof(life));
}

/* Whether that is what a life is called, and not the path of a guest. */
static bool
is_life(const char *what)
{
    static const char *const names[] = {"bare",   "bare-cpuid",  "bare-full",
                                        "inside", "inside-lazy", "apart",
                                        "monitor"};

    for (size_t i = 0; i < ULV_COUNT_OF(names); i++) {
        if (strcmp(what, names[i]) == 0)
            return true;
    }
    return false;
}

/* ---- and whoever watches them -------------------------------------------- */

/* A life, its times from the program's start. */
static void
watch(const char *program, const char *what, const char *guest,
      const char *role, struct life *ret)
{
    char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)what,
                          (char *)(uintptr_t)guest, (char *)(uintptr_t)role,
                          NULL};
    posix_spawn_file_actions_t actions;
    int end[2], status = 0;
    double begin;
    pid_t child;

    CHECK(pipe(end) == 0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, end[1], 1) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, end[0]) == 0);
    begin = seconds();
    CHECK(posix_spawn(&child, program, &actions, NULL, argv, environ) == 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    CHECK(close(end[1]) == 0);
    CHECK(read(end[0], ret, sizeof(*ret)) == sizeof(*ret));
    CHECK(close(end[0]) == 0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    ret->exit -= begin;
    ret->gone -= begin;
}

struct comparison {
    const char *peer, *what, *name;
};

static void
compare_lives(const char *program, const struct comparison *c, char **argv,
              uint32_t rounds)
{
    double *column = calloc(6 * (size_t)rounds, sizeof(*column));
    double *bare = column, *ours = column + rounds;
    double *bare_peak = ours + rounds, *peak = bare_peak + rounds;
    double *bare_gone = peak + rounds, *gone = bare_gone + rounds;
    const bool times = strcmp(c->what, "monitor") != 0;
    struct life life;
    char title[64];

    CHECK(column != NULL);
    for (uint32_t i = 0; i < rounds; i++) {
        watch(program, c->peer, NULL, NULL, &life);
        bare[i] = life.exit;
        bare_gone[i] = life.gone;
        bare_peak[i] = life.peak;
        watch(program, c->what, argv[times ? 1 : 2], argv[3], &life);
        ours[i] = life.exit;
        gone[i] = life.gone;
        peak[i] = times ? life.peak : life.monitor;
    }
    (void)snprintf(title, sizeof(title), "start to guest's exit, %s", c->name);
    if (times)
        report(title, bare, ours, rounds, 1);
    (void)snprintf(title, sizeof(title), "start to its machine gone, %s",
                   c->name);
    if (times)
        report(title, bare_gone, gone, rounds, 1);
    (void)snprintf(title, sizeof(title), "peak memory, %s", c->name);
    report_memory(title, bare_peak, peak, rounds);
    free(column);
}

/* ---- kvmtool ------------------------------------------------------------- */

/* A flat image: mov $0xfe,%al; out %al,$0x64 (reset); jmp to the beginning. */
static const uint8_t resets[] = {0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfa};

/* Seconds from its start to its end, which prints much; 0: it failed. */
static double
live_kvmtool(const char *program, const char *image)
{
    const char *const argv[] = {program, "run", "-k", image,       "-m", "64",
                                "-c",    "1",   "-n", "mode=none", NULL};
    posix_spawn_file_actions_t actions;
    const double begin = seconds();
    int status = -1;
    pid_t child;

    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    for (int fd = 0; fd < 3; fd++)
        CHECK(posix_spawn_file_actions_addopen(&actions, fd, "/dev/null",
                                               O_RDWR, 0) == 0);
    if (posix_spawnp(&child, program, &actions, NULL, (char **)(uintptr_t)argv,
                     environ) == 0)
        CHECK(waitpid(child, &status, 0) == child);
    (void)posix_spawn_file_actions_destroy(&actions);
    return status == 0 ? seconds() - begin : 0;
}

/* Whichever name it was installed by; NULL: it says why there is none. */
static const char *
find_kvmtool(const char *image)
{
    static const char *const names[] = {"lkvm", "kvmtool"};

    for (size_t i = 0; i < ULV_COUNT_OF(names); i++) {
        if (live_kvmtool(names[i], image) != 0)
            return names[i];
    }
    printf("kvmtool is left out: neither lkvm nor kvmtool ran a guest\n");
    return NULL;
}

static void
compare_kvmtool(const char *program, uint32_t rounds)
{
    char path[] = "/tmp/ultravisor-benchmark-XXXXXX";
    double *bare = calloc(2 * (size_t)rounds, sizeof(*bare));
    const int fd = mkstemp(path);
    const char *kvmtool;
    struct life life;

    CHECK(bare != NULL && fd >= 0);
    CHECK(write(fd, resets, sizeof(resets)) == sizeof(resets));
    CHECK(close(fd) == 0);
    kvmtool = find_kvmtool(path);
    for (uint32_t i = 0; i < rounds && kvmtool != NULL; i++) {
        watch(program, "bare", NULL, NULL, &life);
        bare[i] = life.gone;
        bare[rounds + i] = live_kvmtool(kvmtool, path);
    }
    if (kvmtool != NULL)
        report("start to its end, kvmtool for ours", bare, bare + rounds,
               rounds, 1);
    (void)unlink(path);
    free(bare);
}

int
main(int argc, char **argv)
{
    static const struct comparison comparisons[] = {
        { "bare", "bare-cpuid", "bare with CPUID" },
        { "bare", "bare-full", "bare, filled" },
        { "bare", "inside-lazy", "in process, lazy both" },
        { "bare-full", "inside", "in process, filled both" },
        { "bare", "inside", "in process, filled ours" },
        { "bare", "apart", "the keeper" },
        { "bare", "monitor", "a monitor" },
    };
    const char *const program = "/proc/self/exe";
    uint32_t rounds = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 20;
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;

    CHECK(argc > 1);
    if (is_life(argv[1])) {
        carry_out(argv);
        return 0;
    }
    CHECK(argc >= 4);
    if (ulv_backend_kvm.probe(ulv_posix_host(), &caps, &diag) != ULV_OK) {
        printf("skipped: %s\n", diag.text);
        return 77;
    }
    for (size_t i = 0; i < ULV_COUNT_OF(comparisons); i++)
        compare_lives(program, &comparisons[i], argv, rounds);
    compare_kvmtool(program, rounds);
    return 0;
}
