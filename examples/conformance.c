/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Does a backend do what the library expects of one? Runs the conformance kit
 * and prints TAP. Installed as ultravisor-conformance for the library's own
 * backends; with -DBACKEND=my_backend_ops it is a program for yours.
 *
 * usage: conformance [BACKEND] [--case NAME] [--group NAME] [--repeats N]
 *                    [--seed N] [--patience SECONDS] [--launcher PATH]
 *
 * ULTRAVISOR_LAUNCHER names the launcher too, where it is not installed. The
 * exit status is 0 if no case failed, 1 if one did or the kit could not run, 2
 * for arguments that cannot be; a backend that cannot be used here is skipped.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ultravisor/sys/conformance.h>
#include <ultravisor/ultravisor.h>

#ifdef BACKEND
extern const struct ulv_backend_ops BACKEND;
#endif

struct thread {
    pthread_t id;
    void (*function)(void *argument);
    void *argument;
};

static void *
run_thread(void *thread)
{
    struct thread *t = thread;

    t->function(t->argument);
    return NULL;
}

static bool
start_thread(void *self, void (*function)(void *argument), void *argument,
             void **ret_thread)
{
    struct thread *t = malloc(sizeof(*t));

    (void)self;
    if (t == NULL)
        return false;
    t->function = function;
    t->argument = argument;
    *ret_thread = t;
    if (pthread_create(&t->id, NULL, run_thread, t) == 0)
        return true;
    free(t);
    return false;
}

static void
join_thread(void *self, void *thread)
{
    struct thread *t = thread;

    (void)self;
    (void)pthread_join(t->id, NULL);
    free(t);
}

static int64_t
count_entries(const char *path)
{
    DIR *folder = opendir(path);
    int64_t count = -1;

    if (folder == NULL)
        return -1;
    for (count = 0; readdir(folder) != NULL; count++)
        continue;
    (void)closedir(folder);
    return count;
}

/* proc(5): the second number of statm is what is resident [pages]. */
static int64_t
resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = -1;

    if (file == NULL)
        return -1;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = -1;
    (void)fclose(file);
    return pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
}

/* proc(5): the parent is the second thing behind the name in parentheses. */
static bool
is_child(const char *number)
{
    char path[64], line[512], *behind;
    int parent = -1;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", number);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    if (fgets(line, sizeof(line), file) != NULL &&
        (behind = strrchr(line, ')')) != NULL &&
        sscanf(behind, ") %*c %d", &parent) != 1)
        parent = -1;
    (void)fclose(file);
    return parent == (int)getpid();
}

static int64_t
count_children(void)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    int64_t count = 0;

    if (folder == NULL)
        return -1;
    while ((entry = readdir(folder)) != NULL)
        count += is_child(entry->d_name);
    (void)closedir(folder);
    return count;
}

static void
get_usage(void *self, struct ulv_conformance_usage *ret)
{
    (void)self;
    ret->handles = count_entries("/proc/self/fd");
    ret->threads = count_entries("/proc/self/task");
    ret->processes = count_children();
    ret->bytes = resident_bytes();
}

static void
print_result(void *self, const struct ulv_conformance_result *result)
{
    (void)self;
    if (result->reason[0] != '\0')
        printf("# %s\n", result->reason);
    printf("%s %u - %s: %s%s\n",
           result->result == ULV_CONFORMANCE_FAILED ? "not ok" : "ok",
           result->number, result->group, result->name,
           result->result == ULV_CONFORMANCE_SKIPPED ? " # SKIP" : "");
    (void)fflush(stdout);
}

/* The bit of a group; 0: there is none of that name. */
static uint32_t
find_group(const char *name)
{
    for (uint32_t i = 0; ulv_conformance_group(i) != NULL; i++) {
        if (strcmp(ulv_conformance_group(i), name) == 0)
            return UINT32_C(1) << i;
    }
    return 0;
}

static const struct ulv_backend_ops *
find_backend(const char *name)
{
#ifdef BACKEND
    return strcmp(name, BACKEND.name) == 0 ? &BACKEND : NULL;
#else
    return ulv_backend_find(name);
#endif
}

/* Whether all of it was understood. */
static bool
take_arguments(int argc, char **argv, struct ulv_conformance_opts *opts)
{
#ifdef BACKEND
    opts->backend = &BACKEND;
#endif
    for (int i = 1; i < argc; i++) {
        const char *value = argv[i + 1]; /* NULL behind the last one */

        if (argv[i][0] != '-') {
            opts->backend = find_backend(argv[i]);
            if (opts->backend == NULL)
                return fprintf(stderr, "no backend %s\n", argv[i]), false;
            continue;
        }
        if (value == NULL)
            return fprintf(stderr, "%s what?\n", argv[i]), false;
        i++;
        if (strcmp(argv[i - 1], "--case") == 0)
            opts->only = value;
        else if (strcmp(argv[i - 1], "--group") == 0 && find_group(value) != 0)
            opts->groups |= find_group(value);
        else if (strcmp(argv[i - 1], "--repeats") == 0)
            opts->repeats = (uint32_t)strtoul(value, NULL, 0);
        else if (strcmp(argv[i - 1], "--seed") == 0)
            opts->seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i - 1], "--patience") == 0)
            opts->patience = strtoull(value, NULL, 0) * 1000000000;
        else if (strcmp(argv[i - 1], "--launcher") == 0)
            opts->launcher = value;
        else
            return fprintf(stderr, "%s %s?\n", argv[i - 1], value), false;
    }
    return opts->backend != NULL;
}

int
main(int argc, char **argv)
{
    struct ulv_conformance_opts opts = ULV_CONFORMANCE_OPTS_INIT;
    struct ulv_conformance_counts counts;
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;

    opts.host = ulv_posix_host();
    opts.launcher = getenv("ULTRAVISOR_LAUNCHER"); /* or installed */
    opts.report = print_result;
    opts.thread_start = start_thread;
    opts.thread_join = join_thread;
    opts.usage = get_usage;
    if (!take_arguments(argc, argv, &opts))
        return fprintf(stderr, "usage: conformance [BACKEND] [OPTION VALUE]..."
                               "\n"), 2;
    if (strcmp(opts.backend->name, "mock") == 0)
        opts.guest_code = ULV_CONFORMANCE_STEPS;
    if (opts.backend->probe(opts.host, &caps, &diag) != ULV_OK)
        return printf("1..0 # SKIP %s: %s\n", opts.backend->name, diag.text),
               0;
    printf("# %s (%s), seed %llu\n", opts.backend->name, caps.version,
           (unsigned long long)opts.seed);
    if (ulv_conformance_run(&opts, &counts, &diag) != ULV_OK)
        return fprintf(stderr, "%s: %s\n", opts.backend->name, diag.text), 1;
    printf("1..%u\n# %u passed, %u failed, %u skipped\n", counts.cases,
           counts.passed, counts.failed, counts.skipped);
    return counts.failed == 0 ? 0 : 1;
}
