/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The segment may change under us and may hold anything: a page is copied out
 * word by word, and believed only if its generation is the same before and
 * after (V1, V2 with the publisher's stores in publish.c) and its checksum
 * holds. A page lives for at least ULV_VIEW_COPIES generations, so a reader
 * that is not lapped reads undisturbed.
 */
#include "view/read.h"

#include "base/base.h"

#define HEADER sizeof(struct ulv_view_page)
#define ROOM   (ULV_VIEW_PAGE_BYTES - HEADER)

static uint64_t
load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

void
ulv_view_reader_init(struct ulv_view_reader *reader, const void *segment,
                     uint64_t bytes)
{
    memset(reader, 0, sizeof(*reader));
    reader->segment = segment;
    reader->bytes = bytes;
}

ulv_status
ulv_view_refresh(struct ulv_view_reader *reader, uint64_t *ret_generation)
{
    const struct ulv_view_root *root = (const void *)reader->segment;
    uint64_t word;

    if (reader->bytes < 2 * ULV_VIEW_PAGE_BYTES)
        return ULV_E_FORMAT;
    word = load(&root->root); /* V0: pairs with the publisher's last store */
    if (word == 0)
        return ULV_E_AGAIN;
    if (load(&root->magic) != ULV_VIEW_MAGIC ||
        __atomic_load_n(&root->version, __ATOMIC_RELAXED) != ULV_VIEW_VERSION)
        return ULV_E_FORMAT;
    reader->generation = word >> 16;
    reader->directory = (uint32_t)(word & 0xffff);
    *ret_generation = reader->generation;
    return ULV_OK;
}

static ulv_status
copy_words(struct ulv_view_reader *reader, struct ulv_view_copy *copy,
           uint32_t idx, uint64_t generation)
{
    const uint64_t *shared =
        (const void *)(reader->segment + (uint64_t)idx * ULV_VIEW_PAGE_BYTES);

    if (load(&shared[0]) != generation) { /* V1 */
        reader->retries++;
        return ULV_E_AGAIN;
    }
    for (size_t i = 0; i < ULV_COUNT_OF(copy->page); i++)
        copy->page[i] = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* V2 */
    if (__atomic_load_n(&shared[0], __ATOMIC_RELAXED) != generation) {
        reader->retries++;
        return ULV_E_AGAIN;
    }
    return ULV_OK;
}

/* Copy page idx out, unless it was just that; generation is the one it must
 * have been written for. */
static ulv_status
copy_page(struct ulv_view_reader *reader, struct ulv_view_copy *copy,
          uint32_t idx, uint64_t generation, struct ulv_view_page *ret_header)
{
    ulv_status status;

    if (idx == 0 || idx >= reader->bytes / ULV_VIEW_PAGE_BYTES ||
        generation == 0)
        return ULV_E_FORMAT;
    memcpy(ret_header, copy->page, sizeof(*ret_header));
    if (copy->idx == idx && copy->generation == generation)
        return ULV_OK;
    copy->generation = 0;
    status = copy_words(reader, copy, idx, generation);
    if (status != ULV_OK)
        return status;
    memcpy(ret_header, copy->page, sizeof(*ret_header));
    if (ret_header->record_bytes == 0 || ret_header->record_bytes > ROOM ||
        ret_header->record_count > ROOM / ret_header->record_bytes ||
        ret_header->crc !=
            ulv_crc32c(0, (const uint8_t *)copy->page + HEADER,
                       ret_header->record_count * ret_header->record_bytes))
        return ULV_E_FORMAT;
    copy->idx = idx;
    copy->generation = generation;
    return ULV_OK;
}

/* The directory's entry for page page_idx of a kind. */
static ulv_status
find_entry(struct ulv_view_reader *reader, uint32_t kind, uint32_t page_idx,
           struct ulv_view_entry *ret)
{
    struct ulv_view_page header;
    ulv_status status = copy_page(reader, &reader->index, reader->directory,
                                  reader->generation, &header);

    if (status != ULV_OK)
        return status;
    if (header.kind != ULV_VIEW_DIRECTORY ||
        header.record_bytes != sizeof(*ret))
        return ULV_E_FORMAT;
    for (uint32_t i = 0; i < header.record_count; i++) {
        memcpy(ret,
               (const uint8_t *)reader->index.page + HEADER +
                   i * sizeof(*ret),
               sizeof(*ret));
        if (ret->kind == kind && ret->idx == page_idx)
            return ULV_OK;
    }
    return ULV_E_NOT_FOUND;
}

ulv_status
ulv_view_read(struct ulv_view_reader *reader, uint32_t kind, uint32_t idx,
              void *ret, size_t bytes)
{
    uint32_t a_page = (uint32_t)(ROOM / bytes);
    struct ulv_view_entry entry;
    struct ulv_view_page header;
    ulv_status status = find_entry(reader, kind, idx / a_page, &entry);

    if (status != ULV_OK)
        return status;
    if (entry.generation > reader->generation)
        return ULV_E_FORMAT;
    status = copy_page(reader, &reader->records, entry.page, entry.generation,
                       &header);
    if (status != ULV_OK)
        return status;
    if (header.kind != kind || header.record_bytes != bytes)
        return ULV_E_FORMAT;
    if (idx % a_page >= header.record_count)
        return ULV_E_NOT_FOUND;
    memcpy(ret,
           (const uint8_t *)reader->records.page + HEADER +
               idx % a_page * bytes,
           bytes);
    return ULV_OK;
}

ulv_status
ulv_view_partition_read(struct ulv_view_reader *reader,
                        struct ulv_view_partition *ret)
{
    ulv_status status =
        ulv_view_read(reader, ULV_VIEW_PARTITION, 0, ret, sizeof(*ret));

    if (status == ULV_OK)
        ret->name[sizeof(ret->name) - 1] = '\0';
    return status;
}
