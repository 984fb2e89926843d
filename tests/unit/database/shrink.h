/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Steps that make a test fail, made fewer (delta debugging), and kept as a
 * script that replays. A step is the seed of all that it does, so that it is
 * the same step without those before it.
 */
#ifndef DATABASE_SHRINK_H
#define DATABASE_SHRINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script {
    uint64_t *step;
    size_t count;
};

/* What makes a script fail, or not. */
struct shrinker {
    void *self;
    bool (*fails)(void *self, const struct script *script);
};

/* The seed of a run's n-th step; never 0. */
uint64_t script_step(uint64_t seed, uint64_t n);

/* A script that fails becomes one that fails still, and does not without any
 * one of its steps; or, when 8 times its steps and so many more were replayed
 * for that, one with fewer. Returns how many were tried. */
#define SHRINK_STEPS 200000u
uint64_t shrink(const struct shrinker *shrinker, struct script *script);

/* As text, a line each. What cannot be written or read ends the program. */
void script_write(const struct script *script, const char *path,
                  const char *title);
void script_read(struct script *ret, const char *path);
void script_fini(struct script *script);

/* Whether run(self, script) ends badly in a process of its own; *ret_begun: how
 * many steps it had said that it began. */
struct script_run {
    void (*run)(void *self, const struct script *script, uint64_t *begun);
    void *self;
};
bool script_fails(const struct script_run *run, const struct script *script,
                  uint64_t *ret_begun);

#endif
