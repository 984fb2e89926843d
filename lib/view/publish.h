/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Publishing one part of one partition's view into a segment that the
 * ultravisor alone can write.
 *
 * For the ultravisor role. Prepare may fail, publish cannot.
 */
#ifndef VIEW_PUBLISH_H
#define VIEW_PUBLISH_H

#include <ultravisor/abi/view.h>
#include <ultravisor/sys/host.h>

#include "base/base.h"

/* Pages of the largest segment: enough for the copies of a picture that fills
 * a directory. Where segments are not lazy they have SEGMENT_BYTES, enough for
 * a few hundred runs of memory. What needs more gets LIMIT. */
#ifndef ULV_VIEW_PAGES_MAX
#define ULV_VIEW_PAGES_MAX 1024u
#endif
#define ULV_VIEW_SEGMENT_BYTES     UINT64_C(262144)
#define ULV_VIEW_SEGMENT_BYTES_MAX                                             \
    ((uint64_t)ULV_VIEW_PAGES_MAX * ULV_VIEW_PAGE_BYTES)

/* Pages of a lazy segment that are made sure of at a time. */
#define ULV_VIEW_BACK_PAGES 4u

/* All records of one kind, in order; kinds ascend. So many of the first are the
 * same as the newest generation shows: what stands in their place here is not
 * looked at. UINT32_MAX: all, and there are as many, so that record_count is
 * not looked at either. */
struct ulv_view_section {
    uint32_t kind, record_bytes, record_count;
    const void *records;
    uint32_t same;
};

static inline bool
ulv_view_all_same(uint32_t same)
{
    return ULV_VIEW_UPDATES && same == UINT32_MAX;
}

/* Of a picture whose kinds are all small, for each: how many records there
 * are, and where. */
#define ULV_VIEW_PLACES 5u
struct ulv_view_place {
    uint32_t count, offset;
};

/* What of a directory's page is kept track of as one. */
#define ULV_VIEW_LINE_BYTES 64u
/* Generations of which is known what they changed: somewhat more than pass
 * until a page is used again, where the monitor keeps up. */
#define ULV_VIEW_CHANGES 16u

/* What a directory says. */
struct ulv_view_listing {
    uint32_t directory; /* page index; 0: none */
    uint32_t entry_count;
    bool has_pages; /* some of the entries are on others */
    bool is_shown;  /* of next: all but the directory is as newest */
    uint32_t place_count; /* 0: not all kinds are small */
    struct ulv_view_place place[ULV_VIEW_PLACES];
    struct ulv_view_entry entry[ULV_VIEW_ENTRIES_MAX];
};

struct ulv_view_publisher {
    uint8_t *segment;
    const struct ulv_host *host; /* of a lazy segment, or NULL */
    uint32_t pages;
    uint32_t backed; /* pages that are there */
    uint32_t used;   /* pages that ever were; the others are as they came */
    bool lacks_memory; /* for more of them, at the last prepare */
    uint64_t generation, acknowledged;
    uint64_t revision; /* for the caller: of what the newest is the picture */
    /* Bit n: line n of the directory is not as in the generation before. Of
     * the one that leaves this when divided by their number. */
    uint64_t changed[ULV_VIEW_CHANGES];
    uint64_t recent; /* what one of them has, and perhaps one before */
    /* last generation each page is reachable in; 0: free since ever */
    uint64_t last_used[ULV_VIEW_PAGES_MAX];
    struct ulv_view_listing newest, next; /* published; prepared */
};

/* segment: zeroed, ULV_VIEW_SEGMENT_BYTES or more, in whole groups of
 * ULV_VIEW_BACK_PAGES, up to its maximum. Errors: ARG. */
ulv_status ulv_view_publisher_init(struct ulv_view_publisher *publisher,
                                   void *segment, uint64_t bytes,
                                   uint32_t part, uint64_t partition,
                                   uint64_t epoch);
/* The chain is the successor of one that came to this generation: it goes on
 * from there, so that no page of either is taken for one of the other. Before
 * the first prepare. Errors: ARG (no generation can be that high). */
ulv_status ulv_view_publisher_succeed(struct ulv_view_publisher *publisher,
                                      uint64_t generation);
/* The segment is lazy: its first ULV_VIEW_BACK_PAGES are there, further ones
 * are had from host->memory_back as they come to be used. */
void ulv_view_publisher_lazy(struct ulv_view_publisher *publisher,
                             const struct ulv_host *host);
/**
 * Write the pages that changed for the next generation; nobody can see them.
 * The kinds are the same each time.
 * Errors: LIMIT (the segment cannot hold it beside what readers may be in),
 * NO_MEMORY (of a lazy one).
 */
ulv_status ulv_view_prepare(struct ulv_view_publisher *publisher,
                            const struct ulv_view_section *sections,
                            uint32_t count, struct ulv_diag *diag);
/* Show what was prepared; returns its generation. */
uint64_t ulv_view_publish(struct ulv_view_publisher *publisher);
/* The monitor follows this generation now. */
void ulv_view_acknowledge(struct ulv_view_publisher *publisher,
                          uint64_t generation);

#endif
