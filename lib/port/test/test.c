/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/test/test.h"

#include <stdlib.h>

#include "base/base.h"
#include "port/test/object.h"

#define GUARD UINT64_C(0x756c747261766973)

/* In front of each allocation, at the end of its alignment. */
struct block {
    void *whole; /* what the heap gave */
    uint64_t bytes;
    uint64_t guard;
};

void
ulv_test_misuse(struct ulv_test_host *t, const char *text)
{
    if (t->misuse++ == 0)
        t->misuse_text = text;
}

bool
ulv_test_fails(struct ulv_test_host *t)
{
    t->calls++;
    return t->calls == t->fail_at;
}

static void *
test_alloc(void *self, size_t bytes, size_t align)
{
    struct ulv_test_host *t = self;
    uint64_t room, start;
    struct block *block;
    char *whole;

    if (!ulv_is_power_of_two(align)) {
        ulv_test_misuse(t, "alloc: align is no power of two");
        return NULL;
    }
    align = ULV_MAX(align, _Alignof(struct block));
    if (ulv_test_fails(t) ||
        !ulv_add_u64(bytes, align + sizeof(struct block), &room))
        return NULL;
    whole = calloc(1, room);
    if (whole == NULL)
        return NULL;
    start =
        ulv_round_up((uint64_t)(uintptr_t)whole + sizeof(struct block), align) -
        (uint64_t)(uintptr_t)whole;
    block = (struct block *)(void *)(whole + start - sizeof(struct block));
    *block = (struct block){whole, bytes, GUARD};
    t->live_blocks++;
    t->live_bytes += bytes;
    return whole + start;
}

static void
test_free(void *self, void *p, size_t bytes)
{
    struct ulv_test_host *t = self;
    struct block *block;

    if (p == NULL)
        return;
    block = (struct block *)(void *)((char *)p - sizeof(struct block));
    if (block->guard != GUARD) {
        ulv_test_misuse(t, "free: not an allocation, or freed before");
        return;
    }
    if (block->bytes != bytes)
        ulv_test_misuse(t, "free: not the size that was allocated");
    t->live_blocks--;
    t->live_bytes -= block->bytes;
    block->guard = 0;
    free(block->whole);
}

static ulv_nsec
test_now(void *self)
{
    struct ulv_test_host *t = self;

    return t->now;
}

/* SplitMix64 (Steele, Lea, Flood, 2014): the same bytes from the same seed. */
static void
test_entropy(void *self, void *buf, size_t bytes)
{
    struct ulv_test_host *t = self;
    uint8_t *at = buf;

    for (size_t i = 0; i < bytes; i++) {
        uint64_t z = t->random += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        at[i] = (uint8_t)(z ^ z >> 31);
    }
}

static void
test_log(void *self, uint32_t level, const char *text)
{
    struct ulv_test_host *t = self;

    (void)level;
    t->log_lines++;
    ulv_string_copy(t->last_line, sizeof(t->last_line), text);
}

void
ulv_test_host_init(struct ulv_test_host *t)
{
    memset(t, 0, sizeof(*t));
    t->now = 1;
    t->medium_end_offset = UINT64_MAX;
    t->host.size = sizeof(t->host);
    t->host.self = t;
    t->host.alloc = test_alloc;
    t->host.free = test_free;
    t->host.now = test_now;
    t->host.entropy = test_entropy;
    t->host.log = test_log;
    ulv_test_object_init(t);
    ulv_test_medium_init(t);
}

uint64_t
ulv_test_host_fini(struct ulv_test_host *t)
{
    uint64_t wrong = ulv_test_host_live(t) + t->misuse;

    ulv_objects_fini(&t->objects);
    free(t->objects.slots);
    t->objects.slots = NULL;
    free(t->frames);
    t->frames = NULL;
    return wrong;
}

void
ulv_test_host_fail_at(struct ulv_test_host *t, uint64_t n)
{
    t->calls = 0;
    t->fail_at = n;
}

bool
ulv_test_host_failed(const struct ulv_test_host *t)
{
    return t->fail_at != 0 && t->calls >= t->fail_at;
}

uint64_t
ulv_test_host_live(const struct ulv_test_host *t)
{
    return t->live_blocks + t->objects.live_handles + t->objects.live_maps;
}

void
ulv_test_host_medium(struct ulv_test_host *t, const char *name, const void *p,
                     uint64_t bytes)
{
    if (t->media_count == ULV_TEST_MEDIA_MAX)
        abort();
    t->media[t->media_count++] = (struct ulv_test_medium){name, p, bytes};
}
