/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/save_memory.h"

#include "base/base.h"

#define PAGE UINT64_C(4096)

ulv_status
ulv_save_memory_init(struct save_memory *m, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->system->host;

    m->copy = host->alloc(host->self, SAVE_CHUNK_MAX, 8);
    if (m->copy == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->partition, SAVE_CHUNK_MAX,
                        0, "no memory to save partition %u", m->partition);
    return ULV_OK;
}

void
ulv_save_memory_fini(struct save_memory *m)
{
    const struct ulv_host *host = m->system->host;

    host->free(host->self, m->copy, SAVE_CHUNK_MAX);
}

bool
ulv_save_is_zero(const uint8_t *page)
{
    const uint64_t *word = (const void *)page;
    uint64_t any = 0;

    for (size_t i = 0; i < PAGE / 8; i++)
        any |= word[i];
    return any == 0;
}

/* Copied first: it may change under us. */
static ulv_status
copy_piece(struct save_memory *m, uint64_t guest, uint64_t bytes,
           struct ulv_diag *diag)
{
    if (m->step)
        (void)ulv_system_step(m->system, 0);
    return ulv_partition_read(m->system, m->partition, (ulv_gpa){ guest },
                              m->copy, (size_t)bytes, diag);
}

static ulv_status
put_copied(struct save_memory *m, uint64_t guest, uint64_t bytes)
{
    ulv_status status = ULV_OK;

    for (uint64_t at = 0; at < bytes && status == ULV_OK;) {
        struct ulv_save_range piece = { guest + at, 0 };
        const uint8_t *p = m->copy + at;

        while (at < bytes && !ulv_save_is_zero(m->copy + at)) {
            piece.bytes += PAGE;
            at += PAGE;
        }
        if (piece.bytes == 0)
            at += PAGE;
        else
            status = ulv_save_put(m->writer, ULV_SAVE_MEMORY, &piece,
                                  sizeof(piece), p, (size_t)piece.bytes);
    }
    return status;
}

ulv_status
ulv_save_put_memory(struct save_memory *m, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < m->shape->range_count; i++) {
        const struct ulv_save_range *r = &m->shape->ranges[i];

        for (uint64_t at = 0; at < r->bytes && status == ULV_OK;) {
            uint64_t some = ULV_MIN(SAVE_CHUNK_MAX, r->bytes - at);

            status = copy_piece(m, r->guest_address + at, some, diag);
            if (status == ULV_OK)
                status = put_copied(m, r->guest_address + at, some);
            at += some;
        }
    }
    return status;
}

static bool
is_set(const uint64_t *bitmap, uint64_t page)
{
    return (bitmap[page / 64] >> page % 64 & 1) != 0;
}

/* Also pages that are zero now: they may not have been before. */
static ulv_status
put_run(struct save_memory *m, uint64_t guest, uint64_t bytes,
        struct ulv_diag *diag)
{
    const struct ulv_save_range piece = { guest, bytes };
    ulv_status status = copy_piece(m, guest, bytes, diag);

    if (status != ULV_OK)
        return status;
    return ulv_save_put(m->writer, ULV_SAVE_MEMORY, &piece, sizeof(piece),
                        m->copy, (size_t)bytes);
}

ulv_status
ulv_save_put_written(struct save_memory *m, const uint64_t *bitmap,
                     struct ulv_diag *diag)
{
    uint64_t first = 0; /* bit of the range's first page */
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < m->shape->range_count; i++) {
        const struct ulv_save_range *r = &m->shape->ranges[i];
        uint64_t pages = r->bytes / PAGE;

        for (uint64_t at = 0; at < pages && status == ULV_OK;) {
            uint64_t start = at;

            while (at < pages && is_set(bitmap, first + at) &&
                   (at - start) * PAGE < SAVE_CHUNK_MAX)
                at++;
            if (at == start)
                at++;
            else
                status = put_run(m, r->guest_address + start * PAGE,
                                 (at - start) * PAGE, diag);
        }
        first += pages;
    }
    return status;
}
