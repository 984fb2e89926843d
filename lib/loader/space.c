/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What lies where in guest memory, and what there is room for. */
#include "loader/loader_priv.h"

struct span {
    uint64_t base, end;
};

/* ---- regions ------------------------------------------------------------- */

/* Index of the first region that ends behind an address. */
static uint32_t
region_at(const struct ulv_loader_request *request, uint64_t guest)
{
    uint32_t low = 0, high = request->region_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct ulv_loader_region *r = &request->regions[middle];

        if (r->guest + r->bytes > guest)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint8_t *
ulv_loader_at(const struct ulv_loader_request *request, uint64_t guest,
              uint64_t *ret_bytes)
{
    uint32_t i = region_at(request, guest);
    const struct ulv_loader_region *r = &request->regions[i];

    if (i == request->region_count || guest < r->guest)
        return NULL;
    *ret_bytes = r->bytes - (guest - r->guest);
    return r->p + (guest - r->guest);
}

void
ulv_loader_put(const struct ulv_loader_plan *plan, uint64_t guest,
               const void *from, uint64_t bytes)
{
    const uint8_t *next = from;

    while (bytes > 0) {
        uint64_t some = 0;
        uint8_t *p = ulv_loader_at(plan->request, guest, &some);

        if (p == NULL)
            return;
        some = ULV_MIN(some, bytes);
        memcpy(p, next, (size_t)some);
        next += some;
        guest += some;
        bytes -= some;
    }
}

/* The whole hole with the first byte of [guest, guest + bytes) that is no
 * memory; false: all of it is. */
static bool
find_hole(const struct ulv_loader_request *request, uint64_t guest,
          uint64_t bytes, struct span *ret)
{
    uint32_t i = region_at(request, guest);
    uint64_t at = guest;

    while (at - guest < bytes) {
        const struct ulv_loader_region *r = &request->regions[i];

        if (i == request->region_count || r->guest > at) {
            ret->base = i == 0 ? 0 : r[-1].guest + r[-1].bytes;
            ret->end = i == request->region_count ? UINT64_MAX : r->guest;
            return true;
        }
        at = r->guest + r->bytes;
        i++;
    }
    return false;
}

/* The memory without a hole that has an address, or the last before it, or the
 * first of all. */
static struct span
run_near(const struct ulv_loader_request *request, uint64_t guest)
{
    const struct ulv_loader_region *r = request->regions;
    uint32_t i = region_at(request, guest), last;
    struct span run;

    if (i == request->region_count || (r[i].guest > guest && i > 0))
        i--;
    for (last = i; last + 1 < request->region_count &&
                   r[last].guest + r[last].bytes == r[last + 1].guest;)
        last++;
    while (i > 0 && r[i - 1].guest + r[i - 1].bytes == r[i].guest)
        i--;
    run.base = r[i].guest;
    run.end = r[last].guest + r[last].bytes;
    return run;
}

/* ---- the request --------------------------------------------------------- */

static ulv_status
check_region(const struct ulv_loader_request *request, uint32_t i,
             struct ulv_diag *diag)
{
    const struct ulv_loader_region *r = &request->regions[i];
    uint64_t end;

    if (r->bytes == 0 || r->p == NULL)
        return ulv_fail(diag, ULV_E_ARG, 0, i, 0,
                        "memory region %u, at %x, is empty or not mapped",
                        (uint64_t)i, r->guest);
    if (!ulv_add_u64(r->guest, r->bytes, &end))
        return ulv_fail(diag, ULV_E_ARG, 0, r->guest, UINT64_MAX - r->bytes,
                        "memory region %u, at %x, %u bytes, wraps around",
                        (uint64_t)i, r->guest, r->bytes);
    if (i > 0 && r->guest < r[-1].guest + r[-1].bytes)
        return ulv_fail(diag, ULV_E_ARG, 0, r->guest,
                        r[-1].guest + r[-1].bytes,
                        "memory region %u begins at %x, before %x where the "
                        "one before it ends",
                        (uint64_t)i, r->guest, r[-1].guest + r[-1].bytes);
    return ULV_OK;
}

ulv_status
ulv_loader_check_request(const struct ulv_loader_request *request,
                         struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    if (request->kind > ULV_LOADER_FLAT)
        return ulv_fail(diag, ULV_E_ARG, 0, request->kind, ULV_LOADER_FLAT,
                        "image kind %u, the last is %u",
                        (uint64_t)request->kind, (uint64_t)ULV_LOADER_FLAT);
    if (request->image.read == NULL)
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0, "there is no image");
    if (request->region_count == 0)
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 1, "there is no guest memory");
    for (uint32_t i = 0; i < request->region_count && status == ULV_OK; i++)
        status = check_region(request, i, diag);
    for (uint32_t i = 0; i < request->reserved_count && status == ULV_OK;
         i++) {
        const struct ulv_loader_range *r = &request->reserved[i];
        uint64_t end;

        if (r->name == NULL)
            return ulv_fail(diag, ULV_E_ARG, 0, i, 0,
                            "reserved range %u has no name", (uint64_t)i);
        if (!ulv_add_u64(r->guest, r->bytes, &end))
            return ulv_fail(diag, ULV_E_ARG, 0, r->guest,
                            UINT64_MAX - r->bytes,
                            "%s at %x, %u bytes, wraps around", r->name,
                            r->guest, r->bytes);
    }
    if (status == ULV_OK && request->initrd.read != NULL &&
        request->initrd.bytes == 0)
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 1, "the initrd is empty");
    return status;
}

/* ---- pieces -------------------------------------------------------------- */

static void
name_piece(const struct ulv_loader_plan *plan,
           const struct ulv_loader_piece *piece, char name[32])
{
    static const char *const names[] = {
        [ULV_PIECE_IMAGE] = "the kernel",
        [ULV_PIECE_INITRD] = "the initrd",
        [ULV_PIECE_CMDLINE] = "the command line",
        [ULV_PIECE_ZERO_PAGE] = "the boot parameters",
        [ULV_PIECE_START_INFO] = "the start info",
        [ULV_PIECE_PAGE_TABLES] = "the page tables",
        [ULV_PIECE_GDT] = "the GDT",
    };
    struct ulv_text text;

    ulv_text_init(&text, name, 32);
    if (piece->fill == ULV_PIECE_IMAGE && plan->kind == ULV_LOADER_FLAT)
        ulv_text_string(&text, "the flat image");
    else if (piece->fill == ULV_PIECE_IMAGE &&
             plan->kind != ULV_LOADER_BZIMAGE)
        ulv_text_format(&text, "segment %u", (uint64_t)piece->number);
    else
        ulv_text_string(&text, names[piece->fill]);
}

static ulv_status
check_memory(const struct ulv_loader_plan *plan,
             const struct ulv_loader_piece *piece, const char *name,
             ulv_status status, struct ulv_diag *diag)
{
    struct span hole, run;
    uint64_t end = piece->guest + piece->bytes;
    bool before;

    if (!find_hole(plan->request, piece->guest, piece->bytes, &hole))
        return ULV_OK;
    run = run_near(plan->request, piece->guest);
    before = piece->guest < run.base;
    return ulv_fail(diag, status, 0, before ? piece->guest : end,
                    before ? run.base : run.end,
                    "%s: from %x to %x, outside the memory from %x to %x",
                    name, piece->guest, end, run.base, run.end);
}

ulv_status
ulv_loader_claim(struct ulv_loader_plan *plan,
                 const struct ulv_loader_piece *piece, ulv_status status,
                 struct ulv_diag *diag)
{
    const struct ulv_loader_request *request = plan->request;
    uint64_t end;
    char name[32], other_name[32];
    ulv_status inside;

    name_piece(plan, piece, name);
    if (!ulv_add_u64(piece->guest, piece->bytes, &end))
        return ulv_fail(diag, status, 0, piece->guest,
                        UINT64_MAX - piece->bytes,
                        "%s: at %x, %u bytes, wraps around", name,
                        piece->guest, piece->bytes);
    for (uint32_t i = 0; i < request->reserved_count; i++) {
        const struct ulv_loader_range *r = &request->reserved[i];

        if (ulv_ranges_overlap(piece->guest, piece->bytes, r->guest, r->bytes))
            return ulv_fail(diag, status, 0, piece->guest, r->guest,
                            "%s: at %x, %u bytes, overlaps %s at %x", name,
                            piece->guest, piece->bytes, r->name, r->guest);
    }
    inside = check_memory(plan, piece, name, status, diag);
    if (inside != ULV_OK)
        return inside;
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct ulv_loader_piece *other = &plan->piece[i];

        if (!ulv_ranges_overlap(piece->guest, piece->bytes, other->guest,
                                other->bytes))
            continue;
        name_piece(plan, other, other_name);
        return ulv_fail(diag, status, 0, piece->guest, other->guest,
                        "%s: at %x, %u bytes, overlaps %s at %x", name,
                        piece->guest, piece->bytes, other_name, other->guest);
    }
    if (plan->piece_count == ULV_LOADER_PIECES_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, 0, ULV_LOADER_PIECES_MAX + 1,
                        ULV_LOADER_PIECES_MAX, "%s is one piece too many",
                        name);
    plan->piece[plan->piece_count++] = *piece;
    return ULV_OK;
}

/* Something that [guest, guest + bytes) meets; false: nothing. */
static bool
find_obstacle(const struct ulv_loader_plan *plan, uint64_t guest,
              uint64_t bytes, struct span *ret)
{
    const struct ulv_loader_request *request = plan->request;

    if (find_hole(request, guest, bytes, ret))
        return true;
    if (ulv_ranges_overlap(guest, bytes, HOLE_BASE, HOLE_END - HOLE_BASE)) {
        *ret = (struct span){ HOLE_BASE, HOLE_END };
        return true;
    }
    for (uint32_t i = 0; i < request->reserved_count; i++) {
        const struct ulv_loader_range *r = &request->reserved[i];

        if (ulv_ranges_overlap(guest, bytes, r->guest, r->bytes)) {
            *ret = (struct span){ r->guest, r->guest + r->bytes };
            return true;
        }
    }
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct ulv_loader_piece *p = &plan->piece[i];

        if (ulv_ranges_overlap(guest, bytes, p->guest, p->bytes)) {
            *ret = (struct span){ p->guest, p->guest + p->bytes };
            return true;
        }
    }
    return false;
}

/* Each step leaves one obstacle behind, or reaches the other end. The bounds
 * are at most 4 GiB and align at most 2 GiB, so no sum wraps. */
static bool
find_room(const struct ulv_loader_plan *plan, uint64_t bytes,
          const struct place *place, uint64_t *ret)
{
    struct span obstacle;
    uint64_t at;

    if (bytes > place->high)
        return false;
    at = place->from_top ? ulv_round_down(place->high - bytes, place->align)
                         : ulv_round_up(place->low, place->align);
    while (at >= place->low && at <= place->high - bytes) {
        if (!find_obstacle(plan, at, bytes, &obstacle)) {
            *ret = at;
            return true;
        }
        if (place->from_top) {
            if (obstacle.base < bytes)
                return false;
            at = ulv_round_down(obstacle.base - bytes, place->align);
        } else {
            if (obstacle.end > place->high)
                return false;
            at = ulv_round_up(obstacle.end, place->align);
        }
    }
    return false;
}

ulv_status
ulv_loader_place(struct ulv_loader_plan *plan, struct ulv_loader_piece piece,
                 const struct place *place, uint64_t *ret_guest,
                 struct ulv_diag *diag)
{
    const struct ulv_loader_request *request = plan->request;
    const struct ulv_loader_region *last =
        &request->regions[request->region_count - 1];
    uint64_t high = ULV_MIN(place->high, last->guest + last->bytes);
    char name[32];

    if (!find_room(plan, piece.bytes, place, &piece.guest)) {
        name_piece(plan, &piece, name);
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, piece.bytes, high,
                        "%s: no room for %u bytes between %x and %x", name,
                        piece.bytes, place->low, high);
    }
    *ret_guest = piece.guest;
    return ulv_loader_claim(plan, &piece, ULV_E_NO_MEMORY, diag);
}

ulv_status
ulv_loader_place_low(struct ulv_loader_plan *plan, uint32_t fill,
                     uint64_t bytes, uint64_t *ret_guest,
                     struct ulv_diag *diag)
{
    const struct place place = { LOW_BASE, FOUR_GIB, PAGE_BYTES, false };
    struct ulv_loader_piece piece = { .fill = fill,
                                      .bytes = bytes,
                                      .written = bytes };

    return ulv_loader_place(plan, piece, &place, ret_guest, diag);
}

ulv_status
ulv_loader_place_initrd(struct ulv_loader_plan *plan, uint64_t high,
                        uint64_t *ret_guest, struct ulv_diag *diag)
{
    const struct ulv_loader_source *initrd = &plan->request->initrd;
    const struct place place = { HOLE_END, ULV_MIN(high, FOUR_GIB),
                                 PAGE_BYTES, true };
    struct ulv_loader_piece piece = { .fill = ULV_PIECE_INITRD,
                                      .bytes = initrd->bytes,
                                      .source_bytes = initrd->bytes,
                                      .written = initrd->bytes };

    *ret_guest = 0;
    if (initrd->read == NULL)
        return ULV_OK;
    return ulv_loader_place(plan, piece, &place, ret_guest, diag);
}

ulv_status
ulv_loader_place_cmdline(struct ulv_loader_plan *plan, uint64_t max,
                         uint64_t *ret_guest, struct ulv_diag *diag)
{
    const char *cmdline = plan->request->cmdline;
    uint64_t len;

    *ret_guest = 0;
    if (cmdline == NULL)
        return ULV_OK;
    max = ULV_MIN(max, ULV_LOADER_CMDLINE_MAX);
    len = ulv_string_length(cmdline, (size_t)max + 1);
    if (len > max)
        return ulv_fail(diag, ULV_E_ARG, 0, len, max,
                        "the command line is longer than the %u bytes that "
                        "the kernel takes",
                        max);
    return ulv_loader_place_low(plan, ULV_PIECE_CMDLINE, len + 1, ret_guest,
                                diag);
}

const struct ulv_loader_piece *
ulv_loader_find(const struct ulv_loader_plan *plan, uint32_t fill)
{
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        if (plan->piece[i].fill == fill)
            return &plan->piece[i];
    }
    return NULL;
}

/* ---- the memory map ------------------------------------------------------ */

/* What is at an address (0: nothing), and up to where. */
static uint32_t
type_at(const struct ulv_loader_request *request, uint64_t at,
        uint64_t *ret_end)
{
    uint32_t i = region_at(request, at), type = 0;
    uint64_t end = UINT64_MAX;

    if (i < request->region_count) {
        const struct ulv_loader_region *r = &request->regions[i];

        type = r->guest <= at ? E820_RAM : 0;
        end = type != 0 ? r->guest + r->bytes : r->guest;
    }
    for (uint32_t k = 0; k < request->reserved_count; k++) {
        const struct ulv_loader_range *r = &request->reserved[k];

        if (r->guest > at) {
            end = ULV_MIN(end, r->guest);
        } else if (at - r->guest < r->bytes) {
            type = E820_RESERVED;
            end = ULV_MIN(end, r->guest + r->bytes);
        }
    }
    *ret_end = end;
    return type;
}

bool
ulv_loader_map_next(const struct ulv_loader_request *request, uint64_t *at,
                    struct map_entry *ret)
{
    uint64_t end = *at, next;

    ret->type = 0;
    while (ret->type == 0 && end != UINT64_MAX) {
        ret->base = end;
        ret->type = type_at(request, ret->base, &end);
    }
    if (ret->type == 0)
        return false;
    while (end != UINT64_MAX && type_at(request, end, &next) == ret->type)
        end = next;
    ret->bytes = end - ret->base;
    *at = end;
    return true;
}

ulv_status
ulv_loader_count_map(struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    struct map_entry entry;
    uint64_t at = 0;

    plan->map_entries = 0;
    while (ulv_loader_map_next(plan->request, &at, &entry)) {
        if (plan->map_entries == ULV_LOADER_MAP_MAX)
            return ulv_fail(diag, ULV_E_LIMIT, 0, ULV_LOADER_MAP_MAX + 1,
                            ULV_LOADER_MAP_MAX,
                            "the memory map has more than %u entries",
                            (uint64_t)ULV_LOADER_MAP_MAX);
        plan->map_entries++;
    }
    return ULV_OK;
}
