/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The rules that every plan keeps to, whatever the image was, from scratch: for
 * unit tests and fuzzers. Each returns NULL, or what is broken.
 */
#ifndef PLAN_RULES_H
#define PLAN_RULES_H

#include <string.h>

#include "loader/loader.h"

#define UNTOUCHED 0xa5

static inline bool
is_apart(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a_bytes == 0 || b_bytes == 0 || a + a_bytes <= b || b + b_bytes <= a;
}

static inline bool
is_memory(const struct ulv_loader_request *request, uint64_t guest,
          uint64_t bytes)
{
    for (uint32_t i = 0; i < request->region_count && bytes > 0; i++) {
        const struct ulv_loader_region *r = &request->regions[i];

        if (guest >= r->guest && guest < r->guest + r->bytes) {
            uint64_t some = r->guest + r->bytes - guest;

            some = some < bytes ? some : bytes;
            guest += some;
            bytes -= some;
        }
    }
    return bytes == 0;
}

static inline const char *
piece_defect(const struct ulv_loader_plan *plan, uint32_t i)
{
    const struct ulv_loader_request *request = plan->request;
    const struct ulv_loader_piece *p = &plan->piece[i];
    uint64_t limit = p->fill == ULV_PIECE_IMAGE    ? request->image.bytes
                     : p->fill == ULV_PIECE_INITRD ? request->initrd.bytes
                                                   : 0;

    if (p->bytes == 0 || p->guest + p->bytes < p->guest)
        return "a piece is empty or wraps";
    if (!is_memory(request, p->guest, p->bytes))
        return "a piece is not memory";
    if (p->written > p->bytes || p->source_bytes > p->written)
        return "a piece has more than it has room for";
    if (p->source_bytes > limit || p->offset > limit - p->source_bytes)
        return "a piece has more than its source";
    for (uint32_t k = 0; k < i; k++) {
        if (!is_apart(p->guest, p->bytes, plan->piece[k].guest,
                      plan->piece[k].bytes))
            return "two pieces overlap";
    }
    for (uint32_t k = 0; k < request->reserved_count; k++) {
        if (!is_apart(p->guest, p->bytes, request->reserved[k].guest,
                      request->reserved[k].bytes))
            return "a piece is in a reserved range";
    }
    if (p->fill != ULV_PIECE_IMAGE &&
        (p->guest < 4096 || p->guest + p->bytes > UINT64_C(1) << 32 ||
         !is_apart(p->guest, p->bytes, 0xa0000, 0x60000)))
        return "a piece is where a kernel does not want it";
    return NULL;
}

/* Where pieces of a kind are; count of them. */
static inline uint32_t
pieces_of(const struct ulv_loader_plan *plan, uint32_t fill, uint64_t *ret)
{
    uint32_t count = 0;

    *ret = 0;
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        if (plan->piece[i].fill == fill) {
            *ret = plan->piece[i].guest;
            count++;
        }
    }
    return count;
}

static inline const char *
kernel_defect(const struct ulv_loader_plan *plan)
{
    bool bzimage = plan->kind == ULV_LOADER_BZIMAGE;
    bool pvh = plan->kind == ULV_LOADER_PVH, kernel = bzimage || pvh;
    const struct ulv_loader_request *request = plan->request;
    uint64_t at;

    if (pieces_of(plan, ULV_PIECE_ZERO_PAGE, &at) != bzimage || plan->rsi != at)
        return "rsi is not the boot parameters";
    if (pieces_of(plan, ULV_PIECE_START_INFO, &at) != pvh || plan->rbx != at)
        return "rbx is not the start info";
    if (pieces_of(plan, ULV_PIECE_GDT, &at) != bzimage || plan->gdt != at)
        return "the GDT is not the GDT";
    if (pieces_of(plan, ULV_PIECE_PAGE_TABLES, &at) != bzimage ||
        plan->page_tables != at)
        return "cr3 is not the page tables";
    if (pieces_of(plan, ULV_PIECE_INITRD, &at) !=
        (kernel && request->initrd.read != NULL))
        return "not the initrd that was asked for";
    if (pieces_of(plan, ULV_PIECE_CMDLINE, &at) !=
        (kernel && request->cmdline != NULL))
        return "not the command line that was asked for";
    if (plan->mode != (bzimage         ? ULV_ENTRY_LONG
                       : pvh           ? ULV_ENTRY_PROTECTED
                       : plan->kind == ULV_LOADER_SDK ? ULV_ENTRY_USER
                                                      : request->flat_mode))
        return "the entry mode is another";
    return plan->map_entries > ULV_LOADER_MAP_MAX ? "the map is too long"
                                                  : NULL;
}

static inline const char *
plan_defect(const struct ulv_loader_plan *plan)
{
    const char *defect = NULL;
    bool entry = false;

    if (plan->piece_count == 0 || plan->piece_count > ULV_LOADER_PIECES_MAX)
        return "the number of pieces cannot be";
    for (uint32_t i = 0; i < plan->piece_count && defect == NULL; i++) {
        const struct ulv_loader_piece *p = &plan->piece[i];

        defect = piece_defect(plan, i);
        entry |= p->fill == ULV_PIECE_IMAGE && (p->flags & 1) != 0 &&
                 plan->entry >= p->guest && plan->entry - p->guest < p->bytes;
    }
    if (defect == NULL && !entry)
        return "the entry is in no code";
    return defect != NULL ? defect : kernel_defect(plan);
}

static inline void
forget_memory(const struct ulv_loader_request *request)
{
    for (uint32_t i = 0; i < request->region_count; i++)
        memset(request->regions[i].p, UNTOUCHED,
               (size_t)request->regions[i].bytes);
}

/* What of the pieces is written at a guest address and behind it. */
static inline uint64_t
written_at(const struct ulv_loader_plan *plan, uint64_t guest)
{
    for (uint32_t k = 0; k < plan->piece_count; k++) {
        const struct ulv_loader_piece *p = &plan->piece[k];

        if (guest >= p->guest && guest - p->guest < p->written)
            return p->written - (guest - p->guest);
    }
    return 0;
}

/* Whether what a plan does not write is as it was. */
static inline const char *
write_defect(const struct ulv_loader_plan *plan)
{
    const struct ulv_loader_request *request = plan->request;

    for (uint32_t i = 0; i < request->region_count; i++) {
        const struct ulv_loader_region *r = &request->regions[i];
        uint64_t at = 0;

        while (at < r->bytes) {
            uint64_t ours =
                r->p[at] == UNTOUCHED ? 1 : written_at(plan, r->guest + at);

            if (ours == 0)
                return "a byte outside the pieces was written";
            at += ours;
        }
    }
    return NULL;
}

#endif
