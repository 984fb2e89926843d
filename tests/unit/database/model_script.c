/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Random transactions as a script: run, and shrunk when they fail. */
#include "model.h"

typedef void after_step(struct model *m);

void
model_run(const struct script *script, after_step *after, uint64_t *begun)
{
    static struct model m;

    begin(&m);
    for (size_t i = 0; i < script->count; i++) {
        /* read when this process has ended, by waitpid() in script_fails() */
        __atomic_store_n(begun, i + 1, __ATOMIC_RELAXED);
        model_seed = script->step[i];
        model_step(&m);
        if (after != NULL)
            after(&m);
        model_compare(&m);
    }
    end(&m);
}

struct run {
    after_step *after;
};

static void
run_all(void *self, const struct script *script, uint64_t *begun)
{
    model_run(script, ((struct run *)self)->after, begun);
}

static bool
fails(void *self, const struct script *script)
{
    const struct script_run run = { run_all, self };
    uint64_t begun;

    return script_fails(&run, script, &begun);
}

/* Only the last of them, if those are enough: a long run has many. */
static void
keep_last(struct run *run, struct script *script)
{
    for (size_t some = 64; some < script->count; some *= 4) {
        const struct script last = { script->step + script->count - some,
                                     some };

        if (!fails(run, &last))
            continue;
        memmove(script->step, last.step, some * sizeof(*script->step));
        script->count = some;
        return;
    }
}

uint64_t
model_shrink(struct script *script, after_step *after)
{
    struct run run = { after };
    const struct shrinker shrinker = { &run, fails };

    keep_last(&run, script);
    return shrink(&shrinker, script);
}
