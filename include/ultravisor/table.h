/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A shared table: each who takes part writes the entries of one section and
 * reads those of the others, at any time, without locks and without waiting.
 * Which memory that is, is said elsewhere: the two sections of a channel
 * (ulv_channel_section(), guest_channel_section()), or whatever else is mapped
 * by several. doc/formats/table.md is the format.
 *
 * For programs and guests: freestanding, calls nobody. A reader believes
 * nothing of what it finds; a writer that dies leaves whole values.
 */
#ifndef ULTRAVISOR_TABLE_H
#define ULTRAVISOR_TABLE_H

#include <ultravisor/abi/table.h>
#include <ultravisor/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's own section; no field is to be touched. */
struct ulv_table_writer {
    struct ulv_table_section *section;
    uint64_t changes;
    uint32_t entry_count, entry_bytes;
};

/* Somebody else's; no field is to be touched. */
struct ulv_table_reader {
    const struct ulv_table_section *section;
    uint64_t bytes;
    uint64_t epoch; /* of the writer that the last refresh saw; 0: none */
    uint32_t entry_count, entry_bytes;
};

/**
 * Take a section over, to write it. One that has this shape keeps its values:
 * they are a predecessor's. Any other is emptied.
 *
 * @param writer       filled
 * @param section      a multiple of 64, mapped as long as the writer is used
 * @param bytes        of the section
 * @param entry_count  from 1
 * @param entry_bytes  of each value; a multiple of 8, at most
 *                     ULV_TABLE_ENTRY_BYTES_MAX
 *
 * Errors:  ULV_E_ARG    no section can be like that
 *          ULV_E_LIMIT  so many entries do not fit the section
 * Context: owner
 * Since:   0.1
 */
ULV_API ulv_status ulv_table_take(struct ulv_table_writer *writer,
                                  void *section, uint64_t bytes,
                                  uint32_t entry_count, uint32_t entry_bytes);

/**
 * Replace the value of an entry; readers see the old one or the new one. Then
 * ring those whose ulv_table_is_awaited() says so.
 *
 * @param writer  of the section
 * @param idx     of the entry, from 0
 * @param value   as many bytes as an entry has
 *
 * Errors:  ULV_E_NOT_FOUND  no such entry
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API ulv_status ulv_table_put(struct ulv_table_writer *writer, uint32_t idx,
                                 const void *value);

/**
 * Say how the writer is; what that means is for those who take part. Then ring
 * as after ulv_table_put().
 *
 * @param writer  of the section
 * @param state   0 is that of a section that was emptied
 *
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API void ulv_table_set_state(struct ulv_table_writer *writer,
                                 uint32_t state);

/**
 * Ask the others to ring, or not to any more; then look once more, and only
 * then sleep.
 *
 * @param writer  of the section whose owner wants to be rung
 * @param awaits  whether it does
 *
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API void ulv_table_await(struct ulv_table_writer *writer, bool awaits);

/**
 * Begin to read a section; nothing is looked at yet.
 *
 * @param reader   filled
 * @param section  a multiple of 64, mapped as long as the reader is used; may
 *                 be read-only
 * @param bytes    of the section
 *
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API void ulv_table_reader_init(struct ulv_table_reader *reader,
                                   const void *section, uint64_t bytes);

/**
 * Look who writes the section, and whether anything has changed.
 *
 * @param reader       of the section
 * @param ret_changes  NULL, or how many entries were ever written
 *
 * Errors:  ULV_E_AGAIN   nobody writes it yet, or it is being emptied
 *          ULV_E_FORMAT  what it says cannot be
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API ulv_status ulv_table_refresh(struct ulv_table_reader *reader,
                                     uint64_t *ret_changes);

/**
 * Copy the newest value of an entry.
 *
 * @param reader        of the section, refreshed
 * @param idx           of the entry, from 0
 * @param ret           bytes of them
 * @param bytes         what an entry is expected to have
 * @param ret_sequence  NULL, or how often the entry was written
 *
 * Errors:  ULV_E_NOT_FOUND  no such entry, or it was never written
 *          ULV_E_AGAIN      the writer was faster: read it again; or it is
 *                           another writer now: refresh first
 *          ULV_E_FORMAT     its entries have another size
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API ulv_status ulv_table_read(const struct ulv_table_reader *reader,
                                  uint32_t idx, void *ret, size_t bytes,
                                  uint64_t *ret_sequence);

/**
 * What the writer says of itself.
 *
 * @param reader  of the section
 *
 * Returns what ulv_table_set_state() was told, or anything that a writer put
 * in its place.
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API uint32_t ulv_table_state(const struct ulv_table_reader *reader);

/**
 * Whether the owner of the section is to be rung, after a change of ours.
 *
 * @param reader  of the section
 *
 * Context: owner, exit
 * Since:   0.1
 */
ULV_API bool ulv_table_is_awaited(const struct ulv_table_reader *reader);

#ifdef __cplusplus
}
#endif

#endif
