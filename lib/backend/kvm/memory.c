/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A guest's memory: regions that are mapped into address space of ours which a
 * few slots show to KVM, and mapped over again to take them away. No slot
 * changes while a guest runs, but for the ones that it grows into.
 * doc/kvm-backend.md
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "backend/kvm/kvm_priv.h"

/* Where some KVMs have a slot of their own beside an APIC in the kernel. */
#define APIC_PAGE UINT64_C(0xfee00000)

/* ---- slots --------------------------------------------------------------- */

static bool
set_slot(const struct machine *m, uint32_t idx)
{
    const struct slot *s = &m->slot[idx];
    struct kvm_userspace_memory_region region = {
        .slot = idx,
        .flags = m->tracks ? KVM_MEM_LOG_DIRTY_PAGES : 0,
        .guest_phys_addr = s->physical,
        .memory_size = s->bytes,
        .userspace_addr = (uint64_t)(uintptr_t)s->host,
    };

    return ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

/* Address space for a slot, and before it; there is nothing in it. It begins
 * where a large page can, as the chunks of the guest do. */
static bool
reserve(struct slot *s, uint64_t before)
{
    s->reserved_bytes = before + s->bytes + LARGE;
    s->reserved = mmap(NULL, s->reserved_bytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->reserved == MAP_FAILED)
        return false;
    s->host = s->reserved;
    s->host += ulv_round_up((uintptr_t)s->reserved + before, LARGE) -
               (uintptr_t)s->reserved;
    return true;
}

static uint64_t
slots_end(const struct machine *m)
{
    const struct slot *last = &m->slot[m->slot_count - 1];

    return last->physical + last->bytes;
}

/* Physical memory up to end. */
static bool
cover(struct machine *m, uint64_t end)
{
    while (slots_end(m) < end) {
        struct slot *s = &m->slot[m->slot_count];

        s->physical = slots_end(m);
        s->bytes = ulv_kvm_slot_bytes(s->physical, end);
        if (m->cfg.interrupts != 0)
            s->bytes = ULV_MIN(s->bytes, APIC_PAGE - s->physical);
        if (!reserve(s, 0))
            return false;
        if (!set_slot(m, m->slot_count)) {
            int code = errno;

            (void)munmap(s->reserved, s->reserved_bytes);
            errno = code;
            return false;
        }
        m->slot_count++;
    }
    return true;
}

bool
ulv_kvm_forget(const struct machine *m)
{
    struct kvm_userspace_memory_region region = {
        .slot = SLOTS_MAX,
        .guest_phys_addr = ADDRESS_MAX,
        .memory_size = PAGE,
        .userspace_addr = (uint64_t)(uintptr_t)m->low,
    };
    bool is_there =
        ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;

    region.memory_size = 0;
    return is_there &&
           ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

/* The first slot: our books before it, our low memory at its beginning. Of
 * both, only what is touched is there: no large pages. */
ulv_status
ulv_kvm_memory_init(struct machine *m, struct ulv_diag *diag)
{
    const uint64_t before = ulv_round_up(sizeof(*m->chunks), PAGE);
    struct slot *s = &m->slot[0];
    void *p;

    s->bytes = SLOT_MIN;
    if (!reserve(s, before))
        return ulv_kvm_error(diag, "address space for the guest's memory");
    m->slot_count = 1;
    p = mmap(s->host - before, before + LOW_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED)
        return ulv_kvm_error(diag, "page tables");
    (void)madvise(p, before + LOW_BYTES, MADV_NOHUGEPAGE);
    m->chunks = p;
    m->low = s->host;
    ulv_kvm_chunks_init(m->chunks, LOW_BYTES);
    ulv_kvm_low_init(m);
    if (!set_slot(m, 0))
        return ulv_kvm_error(diag, "KVM_SET_USER_MEMORY_REGION");
    return ULV_OK;
}

void
ulv_kvm_memory_fini(struct machine *m)
{
    const struct ulv_host *host = m->cfg.host;

    for (uint32_t i = 0; i < m->slot_count; i++)
        (void)munmap(m->slot[i].reserved, m->slot[i].reserved_bytes);
    host->free(host->self, m->regions.region,
               m->regions_room * sizeof(*m->regions.region));
    host->free(host->self, m->log, m->log_bytes);
}

/* ---- regions ------------------------------------------------------------- */

/* What lies in one piece, here and there. */
struct piece {
    uint64_t physical, bytes;
    uint32_t slot;
    uint8_t *host;
};

static struct piece
piece_at(const struct machine *m, uint64_t guest, uint64_t bytes)
{
    const struct slot *s = m->slot;
    struct piece piece;

    piece.bytes =
        ulv_kvm_chunks_run(m->chunks, guest, bytes, &piece.physical);
    while (piece.physical - s->physical >= s->bytes)
        s++;
    piece.bytes = ULV_MIN(piece.bytes, s->physical + s->bytes - piece.physical);
    piece.slot = (uint32_t)(s - m->slot);
    piece.host = s->host + (piece.physical - s->physical);
    return piece;
}

/* In one step each: at no time is the address space anybody's. KVM hears of it
 * and drops its own tables of what was there, and what processors know. */
static bool
hide(const struct machine *m, uint64_t guest, uint64_t bytes)
{
    bool done = true;

    while (bytes > 0) {
        const struct piece piece = piece_at(m, guest, bytes);

        if (mmap(piece.host, piece.bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                 0) == MAP_FAILED)
            done = false;
        guest += piece.bytes;
        bytes -= piece.bytes;
    }
    return done;
}

static ulv_status
show(const struct machine *m, uint64_t guest, uint64_t bytes, int memory,
     uint64_t offset, uint32_t access)
{
    const int protection =
        PROT_READ | ((access & ULV_GUEST_WRITE) != 0 ? PROT_WRITE : 0);

    for (uint64_t at = 0; at < bytes;) {
        const struct piece piece = piece_at(m, guest + at, bytes - at);

        if (mmap(piece.host, piece.bytes, protection, MAP_SHARED | MAP_FIXED,
                 memory, (off_t)(offset + at)) == MAP_FAILED) {
            ulv_status status = ulv_kvm_error(NULL, "");

            (void)hide(m, guest, at);
            return status;
        }
        at += piece.bytes;
    }
    return ULV_OK;
}

static ulv_status
map_pages(struct machine *m, uint64_t guest, uint64_t bytes, uint32_t access)
{
    ulv_status status = ULV_OK;

    for (uint64_t at = 0; at < bytes && status == ULV_OK;) {
        const struct piece piece = piece_at(m, guest + at, bytes - at);

        status = ulv_kvm_page_map(m, guest + at, piece.physical, piece.bytes,
                                  access);
        at += piece.bytes;
    }
    if (status != ULV_OK)
        ulv_kvm_page_unmap(m, guest, bytes);
    return status;
}

static ulv_status
make_room(struct machine *m)
{
    const struct ulv_host *host = m->cfg.host;
    struct ulv_regions *r = &m->regions;
    uint32_t more = 2 * m->regions_room + 8;
    struct ulv_region *region;

    if (r->count < m->regions_room)
        return ULV_OK;
    region = host->alloc(host->self, more * sizeof(*region), 8);
    if (region == NULL)
        return ULV_E_NO_MEMORY;
    if (r->count != 0)
        memcpy(region, r->region, r->count * sizeof(*region));
    host->free(host->self, r->region, m->regions_room * sizeof(*region));
    r->region = region;
    m->regions_room = more;
    return ULV_OK;
}

ulv_status
ulv_kvm_map(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
            uint64_t offset, void *p, uint32_t access)
{
    struct machine *m = machine;
    ulv_status status;
    uint64_t end;

    if (m->cfg.kind == ULV_MACHINE_STOCK)
        return ulv_kvm_stock_map(m, guest.value, bytes, p, access);
    status = ulv_regions_check(&m->regions, guest.value, bytes);
    if (status == ULV_OK)
        status = make_room(m);
    if (status != ULV_OK)
        return status;
    end = ulv_kvm_chunks_take(m->chunks, guest.value, bytes);
    if (m->cfg.interrupts != 0 && end > APIC_PAGE)
        status = ULV_E_LIMIT;
    else if (!cover(m, end))
        status = ulv_kvm_error(NULL, "");
    if (status == ULV_OK)
        status = show(m, guest.value, bytes, (int)memory, offset, access);
    if (status == ULV_OK) {
        status = map_pages(m, guest.value, bytes, access);
        if (status == ULV_E_NO_MEMORY && ulv_kvm_page_recover(m))
            status = map_pages(m, guest.value, bytes, access);
        if (status != ULV_OK)
            (void)hide(m, guest.value, bytes);
    }
    if (status == ULV_OK)
        (void)ulv_regions_add(&m->regions, guest.value, bytes, p, access);
    else
        ulv_kvm_chunks_give(m->chunks, guest.value, bytes);
    return status;
}

/* The page tables first: what a processor forgets it does not learn again. */
ulv_status
ulv_kvm_unmap(void *machine, ulv_gpa guest, uint64_t bytes)
{
    struct machine *m = machine;
    struct ulv_region *r = ulv_regions_find(&m->regions, guest.value, bytes);

    if (m->cfg.kind == ULV_MACHINE_STOCK)
        return ulv_kvm_stock_unmap(m, guest.value, bytes);
    if (r == NULL)
        return ULV_E_NOT_FOUND;
    ulv_kvm_page_unmap(m, r->guest, r->bytes);
    if (!hide(m, r->guest, r->bytes))
        return ulv_kvm_error(NULL, "");
    ulv_kvm_chunks_give(m->chunks, r->guest, r->bytes);
    ulv_regions_remove(&m->regions, r);
    return ULV_OK;
}

/* ---- which pages are written --------------------------------------------- */

static bool
has_log(struct machine *m, uint64_t bytes)
{
    const struct ulv_host *host = m->cfg.host;

    if (bytes <= m->log_bytes)
        return true;
    host->free(host->self, m->log, m->log_bytes);
    m->log = host->alloc(host->self, bytes, 8);
    m->log_bytes = m->log == NULL ? 0 : bytes;
    return m->log != NULL;
}

ulv_status
ulv_kvm_track(void *machine, bool on)
{
    struct machine *m = machine;

    if (on && !m->can_track)
        return ULV_E_UNSUPPORTED;
    m->tracks = on;
    for (uint32_t i = 0; i < m->slot_count; i++) {
        if (!set_slot(m, i))
            return ulv_kvm_error(NULL, "");
    }
    return ULV_OK;
}

/* Bits [first, first + count) of from, ORed into to from bit at. */
static uint64_t
take_bits(const uint64_t *from, uint64_t first, uint64_t count, uint64_t *to,
          uint64_t at)
{
    uint64_t any = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t bit = from[(first + i) / 64] >> (first + i) % 64 & 1;

        to[(at + i) / 64] |= bit << (at + i) % 64;
        any |= bit;
    }
    return any;
}

/*
 * KVM api.rst 4.8, 4.117: a slot's log is read whole, and cleared where it is
 * told of. What was told of others stays: a range to clear has whole words.
 */
static ulv_status
collect_piece(struct machine *m, const struct piece *piece, uint64_t *bitmap,
              uint64_t at)
{
    const struct slot *s = &m->slot[piece->slot];
    const uint64_t first = (piece->physical - s->physical) / PAGE;
    const uint64_t count = piece->bytes / PAGE;
    const uint64_t begin = ulv_round_down(first, 64);
    const uint64_t end = ulv_round_up(first + count, 64);
    struct kvm_dirty_log log = { .slot = piece->slot };
    struct kvm_clear_dirty_log clear = { .slot = piece->slot,
                                         .first_page = begin,
                                         .num_pages =
                                             (uint32_t)(end - begin) };

    if (!has_log(m, s->bytes / PAGE / 8))
        return ULV_E_NO_MEMORY;
    log.dirty_bitmap = m->log;
    clear.dirty_bitmap = m->log + begin / 64;
    if (ioctl(m->vm_fd, KVM_GET_DIRTY_LOG, &log) != 0)
        return ulv_kvm_error(NULL, "");
    m->log[begin / 64] &= ~UINT64_C(0) << first % 64;
    m->log[end / 64 - 1] &= ~UINT64_C(0) >> (end - first - count);
    if (take_bits(m->log, first, count, bitmap, at) == 0)
        return ULV_OK;
    return ioctl(m->vm_fd, KVM_CLEAR_DIRTY_LOG, &clear) == 0
               ? ULV_OK
               : ulv_kvm_error(NULL, "");
}

ulv_status
ulv_kvm_collect(void *machine, ulv_gpa guest, uint64_t bytes, uint64_t *bitmap)
{
    struct machine *m = machine;
    const struct ulv_region *r =
        ulv_regions_find(&m->regions, guest.value, bytes);
    ulv_status status = ULV_OK;

    if (r == NULL)
        return ULV_E_NOT_FOUND;
    if (!m->tracks)
        return ULV_E_STATE;
    memset(bitmap, 0, (bytes / PAGE + 63) / 64 * sizeof(*bitmap));
    if ((r->access & ULV_GUEST_WRITE) == 0)
        return ULV_OK;
    for (uint64_t at = 0; at < bytes && status == ULV_OK;) {
        const struct piece piece = piece_at(m, r->guest + at, bytes - at);

        status = collect_piece(m, &piece, bitmap, at / PAGE);
        at += piece.bytes;
    }
    return status;
}
