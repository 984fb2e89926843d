/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* liburcu's kind with the cheapest readers: they say when they hold nothing. */
#include "view.h"

#include <string.h>
#include <urcu-qsbr.h>

#define BUFFERS 64u
#define HALF    32u

static uint64_t (*buffer)[WORDS];
static uint64_t *newest;
static uint64_t commits;

/* Half of the buffers are written while readers may be in those of the other
 * half, and before they are written again nobody is in them any more. */
static void
commit(uint64_t value)
{
    uint64_t *next = buffer[commits % BUFFERS];

    if (commits++ % HALF == 0)
        synchronize_rcu();
    fill(next, value);
    rcu_assign_pointer(newest, next);
}

static void
begin(void *shared)
{
    buffer = shared;
    commits = 0;
    commit(0);
}

static void
nothing(void)
{
}

static uint64_t
read_newest(uint64_t value[WORDS])
{
    memcpy(value, rcu_dereference(newest), 8 * WORDS);
    rcu_quiescent_state();
    return 0;
}

const struct contender contender_urcu = {
    .name = "liburcu-qsbr",
    .one_process = true,
    .begin = begin,
    .end = nothing,
    .writer_begin = nothing,
    .writer_end = nothing,
    .reader_begin = rcu_register_thread,
    .reader_end = rcu_unregister_thread,
    .commit = commit,
    .read = read_newest,
};
