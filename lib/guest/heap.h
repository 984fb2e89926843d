/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The allocator behind guest_alloc(), over areas that it is given: blocks with
 * their sizes at both neighbours, free ones in lists by power of two.
 *
 * For one processor. No system call, no other memory: tested on the host.
 */
#ifndef GUEST_HEAP_H
#define GUEST_HEAP_H

#include <ultravisor/guest.h>

#define HEAP_ALIGN 16u
#define HEAP_BINS  40u

struct heap_area {
    struct heap_area *next;
    uint64_t bytes;   /* from here to its end */
    uint64_t extent;  /* the record of the view it came from; 0: it stays */
    uint64_t used;    /* blocks handed out */
    bool closed;      /* nothing more is handed out of it */
    uint8_t rsvd_[31];
};

struct heap_block;

struct heap {
    struct heap_area *areas;
    struct heap_block *bin[HEAP_BINS];
    uint64_t used_bytes, used_count, refused;
};

/* Hand out of memory from now on. false: too small to be of use, or larger
 * than a block's size can be. */
bool heap_add(struct heap *heap, void *p, uint64_t bytes, uint64_t extent);
/* Take an area that is all free out again. */
void heap_remove(struct heap *heap, struct heap_area *area);
/* Hand nothing more out of an area, to see it become free. */
void heap_close(struct heap *heap, struct heap_area *area);
/* NULL: none free, or an alignment that is no power of two. */
void *heap_alloc(struct heap *heap, uint64_t bytes, uint64_t align);
/* NULL, or what is wrong: nothing was freed. *ret_area: where it lay. */
const char *heap_free(struct heap *heap, void *p, struct heap_area **ret_area);
/* Bytes that were asked for; 0: p was not handed out. */
uint64_t heap_size(const struct heap *heap, const void *p);
/* NULL, or what is wrong with some block; looks at all. */
const char *heap_check(const struct heap *heap);
void heap_count(const struct heap *heap, struct guest_memory *ret);

#endif
