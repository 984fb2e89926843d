/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "shrink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
require(bool what, const char *text)
{
    if (what)
        return;
    fprintf(stderr, "%s: %s\n", text, strerror(errno));
    exit(1);
}

uint64_t
script_step(uint64_t seed, uint64_t n)
{
    uint64_t x = seed + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x == 0 ? 1 : x;
}

/* ---- fewer steps --------------------------------------------------------- */

/* Without those from first to first + some. */
static bool
fails_without(const struct shrinker *shrinker, const struct script *script,
              size_t first, size_t some, struct script *less)
{
    less->count = script->count - some;
    memcpy(less->step, script->step, first * sizeof(*less->step));
    memcpy(less->step + first, script->step + first + some,
           (less->count - first) * sizeof(*less->step));
    return shrinker->fails(shrinker->self, less);
}

uint64_t
shrink(const struct shrinker *shrinker, struct script *script)
{
    struct script less = { .step = calloc(script->count + 1,
                                          sizeof(*less.step)) };
    const uint64_t enough = SHRINK_STEPS + 8 * script->count;
    size_t some = (script->count + 1) / 2;
    uint64_t tried = 0, replayed = 0;

    require(less.step != NULL, "memory");
    while (some > 0 && script->count > 0 && replayed < enough) {
        bool fewer = false;

        /* from the end: what failed is there */
        for (size_t end = script->count; end > 0 && replayed < enough;) {
            const size_t first = end > some ? end - some : 0;

            tried++;
            replayed += script->count - (end - first);
            if (fails_without(shrinker, script, first, end - first, &less)) {
                memcpy(script->step, less.step,
                       less.count * sizeof(*less.step));
                script->count = less.count;
                fewer = true;
            }
            end = first;
        }
        if (!fewer || some > 1)
            some /= 2;
    }
    free(less.step);
    return tried;
}

/* ---- in a process of its own --------------------------------------------- */

static void
run_alone(const struct script_run *run, const struct script *script,
          uint64_t *begun)
{
    const struct rlimit no_core = { 0, 0 };
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)dup2(nowhere, STDOUT_FILENO);
    (void)dup2(nowhere, STDERR_FILENO);
    /* an assertion of CMocka's is not to go on in the parent's test */
    (void)setenv("CMOCKA_TEST_ABORT", "1", 1);
    run->run(run->self, script, begun);
    _exit(0);
}

bool
script_fails(const struct script_run *run, const struct script *script,
             uint64_t *ret_begun)
{
    uint64_t *begun = mmap(NULL, sizeof(*begun), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    pid_t child;

    require(begun != MAP_FAILED, "memory");
    (void)fflush(NULL);
    child = fork();
    require(child >= 0, "fork");
    if (child == 0)
        run_alone(run, script, begun);
    require(waitpid(child, &status, 0) == child, "wait");
    *ret_begun = *begun;
    (void)munmap(begun, sizeof(*begun));
    return status != 0;
}

/* ---- as text ------------------------------------------------------------- */

void
script_write(const struct script *script, const char *path, const char *title)
{
    FILE *f = fopen(path, "we");

    require(f != NULL, path);
    fprintf(f, "# %s\n", title);
    for (size_t i = 0; i < script->count; i++)
        fprintf(f, "%" PRIx64 "\n", script->step[i]);
    require(fclose(f) == 0, path);
}

void
script_read(struct script *ret, const char *path)
{
    size_t capacity = 0;
    char line[128];
    FILE *f = fopen(path, "re");

    require(f != NULL, path);
    memset(ret, 0, sizeof(*ret));
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] == '#')
            continue;
        if (ret->count == capacity) {
            capacity = 2 * capacity + 64;
            ret->step = realloc(ret->step, capacity * sizeof(*ret->step));
            require(ret->step != NULL, "memory");
        }
        ret->step[ret->count++] = strtoull(line, NULL, 16);
    }
    (void)fclose(f);
}

void
script_fini(struct script *script)
{
    free(script->step);
    memset(script, 0, sizeof(*script));
}
