/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A target of the test's for the debugger's stub, which is checked at every
 * step: a page of memory, two processors, a count of what was asked.
 */
#ifndef TESTS_DEBUG_STUB_TARGET_H
#define TESTS_DEBUG_STUB_TARGET_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "debug/stub.h"

#define MEMORY_AT    UINT64_C(0x400000)
#define MEMORY_BYTES 4096u

struct target {
    struct ulv_stub_target ops;
    struct ulv_stub stub;
    uint32_t abilities;
    uint8_t memory[MEMORY_BYTES];
    struct ulv_registers registers[2];
    bool runs, unknown, refuses;
    uint64_t run, step; /* of the last go */
    uint32_t stops, kills, watches;
};

static inline uint32_t
target_abilities(void *self)
{
    return ((struct target *)self)->abilities;
}

static inline const char *
target_lacks(void *self, uint32_t ability)
{
    (void)self;
    (void)ability;
    return "it cannot";
}

/* Nothing is asked of a target that runs. */
static inline struct target *
standing(void *self)
{
    struct target *t = self;

    if (t->runs)
        abort();
    return t;
}

static inline uint64_t
target_processors(void *self)
{
    (void)standing(self);
    return 3;
}

static inline bool
target_registers(void *self, uint32_t processor, struct ulv_registers *ret)
{
    struct target *t = standing(self);

    if (processor >= 2 || t->unknown)
        return false;
    *ret = t->registers[processor];
    return true;
}

static inline bool
target_set_registers(void *self, uint32_t processor,
                     const struct ulv_registers *to)
{
    struct target *t = standing(self);

    if (processor >= 2 || t->refuses)
        return false;
    t->registers[processor] = *to;
    return true;
}

static inline size_t
target_read(void *self, uint64_t address, void *buf, size_t len)
{
    struct target *t = self; /* also as the stub goes */
    uint64_t at = address - MEMORY_AT;

    if (at >= MEMORY_BYTES)
        return 0;
    len = ULV_MIN(len, (size_t)(MEMORY_BYTES - at));
    memcpy(buf, t->memory + at, len);
    return len;
}

static inline bool
target_write(void *self, uint64_t address, const void *buf, size_t len)
{
    struct target *t = self;
    uint64_t at = address - MEMORY_AT;

    if (at >= MEMORY_BYTES || len > MEMORY_BYTES - at)
        return false;
    memcpy(t->memory + at, buf, len);
    return true;
}

static inline bool
target_watch(void *self, uint32_t type, uint64_t address, uint32_t bytes,
             bool set)
{
    struct target *t = standing(self);

    (void)address;
    if ((type != 1 && type != 2 && type != 4) || bytes > 8)
        abort();
    t->watches += set ? 1 : 0;
    return !t->refuses;
}

static inline const char *
target_go(void *self, uint64_t run, uint64_t step)
{
    struct target *t = standing(self);

    if ((run & step) != 0 || ((run | step) & ~UINT64_C(3)) != 0)
        abort();
    if (t->refuses)
        return "it does not want to";
    t->run = run;
    t->step = step;
    t->runs = true;
    return NULL;
}

static inline void
target_stop(void *self)
{
    struct target *t = self;

    if (!t->runs)
        abort();
    t->stops++;
}

static inline void
target_kill(void *self)
{
    standing(self)->kills++;
}

static inline void
target_describe(void *self, char *buf, size_t bytes)
{
    (void)standing(self);
    ulv_string_copy(buf, bytes, "it stands");
}

/* It runs, until target_stand(). */
static inline void
target_init(struct target *t)
{
    memset(t, 0, sizeof(*t));
    t->ops = (struct ulv_stub_target){.self = t,
                                      .abilities = target_abilities,
                                      .lacks = target_lacks,
                                      .processors = target_processors,
                                      .registers = target_registers,
                                      .set_registers = target_set_registers,
                                      .read = target_read,
                                      .write = target_write,
                                      .watch = target_watch,
                                      .go = target_go,
                                      .stop = target_stop,
                                      .kill = target_kill,
                                      .describe = target_describe};
    t->abilities = ULV_STUB_CAN_SET | ULV_STUB_CAN_BREAK | ULV_STUB_CAN_STEP |
                   ULV_STUB_CAN_WATCH;
    for (uint32_t i = 0; i < MEMORY_BYTES; i++)
        t->memory[i] = (uint8_t)(i * 7 + 1);
    t->registers[0].rax = UINT64_C(0x1122334455667788);
    t->registers[0].rip = MEMORY_AT;
    t->registers[0].rflags = 0x202;
    t->registers[1].rip = MEMORY_AT + 16;
    t->runs = true;
    ulv_stub_init(&t->stub, &t->ops);
}

static inline void
target_stand(struct target *t, const struct ulv_stub_stop *why)
{
    t->runs = false;
    ulv_stub_stopped(&t->stub, why);
}

#endif
