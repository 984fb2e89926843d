/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The tiered page map of one pool of memory: a radix of 2^x-ary index pages.
 * An entry is the owner of a whole block of its tier, or an index page of the
 * tier below. Each index page counts its free pages and knows the largest tier
 * of which it has a whole block free, so that finding memory is a descent.
 *
 * Changes go through the caller's undo log; nothing merges before settle().
 */
#ifndef DATABASE_PAGE_MAP_H
#define DATABASE_PAGE_MAP_H

#include <ultravisor/sys/host.h>

/* x: an index page has 2^x entries; 9 makes tiers of 4 KiB, 2 MiB, 1 GiB, and
 * 10 of 4 KiB, 4 MiB, 4 GiB (the option page_map_order of the build). */
#ifndef ULV_PAGE_MAP_ORDER
#define ULV_PAGE_MAP_ORDER 9
#endif
#define ULV_PAGE_MAP_TIERS 4 /* index pages above a 4 KiB block */

/* Of these a pool consists. */
#define ULV_PAGE_MAP_BLOCK (UINT64_C(4096) << ULV_PAGE_MAP_ORDER)

/* Runs that are taken at once where memory is in small pieces. */
#define ULV_GATHER_RUNS (ULV_FAST_DATABASE ? 64u : 1u)

#define ULV_PAGE_FREE  UINT64_C(0)
#define ULV_PAGE_NEVER (UINT64_MAX >> 1) /* outside the pool */

/* What a map needs of its owner; touch and allocate belong to the undo log. */
struct ulv_page_map_memory {
    void *self;
    /* Zeroed, of an index page its header at least; gone again if the plan is
     * aborted. NULL: none. */
    void *(*allocate)(void *self, size_t bytes);
    /* Remember what stands there. false: no memory for that. */
    bool (*touch)(void *self, void *p, size_t bytes);
    /* For good, only in settle(). */
    void (*release)(void *self, void *p, size_t bytes);
};

#define ULV_INDEX_PAGE_HEADER UINT64_C(32)
#define ULV_INDEX_PAGE_BYTES                                                   \
    (ULV_INDEX_PAGE_HEADER + (UINT64_C(8) << ULV_PAGE_MAP_ORDER))
struct ulv_index_page;

struct ulv_page_map {
    const struct ulv_page_map_memory *memory;
    uint64_t base, bytes;
    uint32_t top; /* tier of the root: 1 .. ULV_PAGE_MAP_TIERS */
    uint64_t near; /* offset at which a small run was given back, or ended */
    bool settled;  /* what was set last needs no settle() */
    struct ulv_index_page *root;
};

/* base and bytes: multiples of a 2^x block of 4 KiB pages. NO_MEMORY, ARG. */
ulv_status ulv_page_map_init(struct ulv_page_map *map,
                             const struct ulv_page_map_memory *memory,
                             uint64_t base, uint64_t bytes);
/* So many bytes, which are more; what comes is free. NO_MEMORY, ARG. */
ulv_status ulv_page_map_grow(struct ulv_page_map *map, uint64_t bytes);
void ulv_page_map_fini(struct ulv_page_map *map);

/**
 * Give [address, address + bytes), all of which from has, to to.
 * Errors: DENIED (from does not have all of it), NO_MEMORY, ARG.
 */
ulv_status ulv_page_map_set(struct ulv_page_map *map, uint64_t address,
                            uint64_t bytes, uint64_t from, uint64_t to);

/**
 * The lowest free block of the largest tier that is not larger than bytes
 * rounded down to a tier, or of a smaller one if there is none; at most bytes
 * long. Neighbouring free blocks of the same index page are taken along. What
 * is smaller than a block of tier 2 is one run, as of ulv_page_map_find_run(),
 * where that needs no search among the holes.
 * Errors: NO_MEMORY (nothing is free).
 */
ulv_status ulv_page_map_find(const struct ulv_page_map *map, uint64_t bytes,
                             uint64_t *ret_address, uint64_t *ret_bytes);

struct ulv_page_run {
    uint64_t address, bytes;
};

/**
 * What ulv_page_map_find() finds, for owner. Where nothing but single pages is
 * free, further runs of the same index page are taken with it: up to bytes in
 * all, and room runs, ascending. All of it lies in one block of tier 2 then.
 * Errors: NO_MEMORY (nothing is free, or none for the undo log).
 */
ulv_status
ulv_page_map_take(struct ulv_page_map *map, uint64_t bytes, uint64_t owner,
                  struct ulv_page_run *run, uint32_t room, uint32_t *ret_count);

/**
 * A free run of bytes: where the last small one ended or came back, so that
 * small runs share a block; else the lowest whole free block of a tier that
 * holds it; else the first of the runs between what is taken.
 * Errors: NO_MEMORY (no such run).
 */
ulv_status ulv_page_map_find_run(const struct ulv_page_map *map,
                                 uint64_t bytes, uint64_t *ret_address);

uint64_t ulv_page_map_owner(const struct ulv_page_map *map, uint64_t address);
/* The same, and for how many bytes from there at least: to the end of a block,
 * which may be behind that of the map. */
uint64_t ulv_page_map_run(const struct ulv_page_map *map, uint64_t address,
                          uint64_t *ret_bytes);
/* Into the cache: a change of that page is about to come. */
void ulv_page_map_fetch(const struct ulv_page_map *map, uint64_t address);
uint64_t ulv_page_map_free_bytes(const struct ulv_page_map *map);

/* Merge what one owner has whole, over a range that was changed; what is not
 * in the map (any more) is left out. */
void ulv_page_map_settle(struct ulv_page_map *map, uint64_t address,
                         uint64_t bytes);

/**
 * Visit all of the map from scratch, in runs that one owner has.
 * Returns false if the counts or tiers of some index page are wrong; not all
 * was visited then.
 */
bool ulv_page_map_walk(const struct ulv_page_map *map,
                       void (*visit)(void *self, uint64_t address,
                                     uint64_t bytes, uint64_t owner),
                       void *self);

#endif
