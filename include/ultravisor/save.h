/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Saving a partition, and going on with it later, in another process or after
 * the machine was off: its memory, its processors and its clock as one stream
 * of bytes, each part with a checksum (abi/save.h, doc/formats/save.md).
 *
 * For programs that use a system. A program on Linux writes files with
 * ulv_posix_save(); what is restored is a source like an image.
 */
#ifndef ULTRAVISOR_SAVE_H
#define ULTRAVISOR_SAVE_H

#include <ultravisor/abi/save.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a saved partition is written to, in order. Any status but ULV_OK ends
 * the saving. Context: serial; may block. */
struct ulv_sink {
    uint32_t size; /* sizeof(struct ulv_sink) */
    uint32_t rsvd_;
    ulv_status (*write)(void *opaque, const void *p, size_t len);
    void *opaque; /* passed to write */
};

/**
 * Write a partition that runs or is paused to a sink.
 *
 * It is paused while it is written, and then goes on unless it was paused
 * before: whoever wants to end it there pauses it, saves it and stops it. A
 * failure changes nothing: the partition goes on too, and what was written is
 * to be thrown away.
 *
 * With rounds its memory is written while it runs, then what it has written
 * meanwhile, at most so many times, until that is little or does not become
 * less; for the rest it is paused.
 * The system is stepped then; without rounds it is not, while memory is
 * written.
 *
 * @param system     a system
 * @param partition  a guest partition that runs
 * @param sink       borrowed for the call
 * @param rounds     0: pause it at once
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND, ULV_E_STATE (it does not run, or has just ended)
 *          ULV_E_UNSUPPORTED  its backend cannot save
 *          ULV_E_BUSY   it uses a channel that no I/O partition serves, or
 *                       memory or a channel is being given to it or taken
 *                       from it; diag names which
 *          ULV_E_NO_MEMORY, ULV_E_PEER_GONE, ULV_E_HOST
 *          and what the sink returned
 * Context: serial; steps the system, may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_save(ulv_system *system, ulv_id partition,
                                      const struct ulv_sink *sink,
                                      uint32_t rounds, struct ulv_diag *diag);

/**
 * In place of a start: go on where a partition was saved. Its clock
 * (ULV_CALL_TIME) goes on from the time it was saved at.
 *
 * The partition has as much memory at the same places, as many processors and
 * the same channels as the one that was saved had, in the same order; its name
 * and id may differ. What a disk holds is the caller's to keep. Requests that
 * were open are answered, a console goes on at its next byte.
 * All of what is read is checked first: when it is refused nothing is changed.
 *
 * @param system     a system
 * @param partition  a guest partition that does not run
 * @param source     borrowed for the call; read twice
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_FORMAT    not a saved partition, of an unknown version, cut
 *                          off or damaged; diag names the section
 *          ULV_E_CONFLICT  it does not fit the partition; diag says what was
 *                          saved and what the partition has
 *          ULV_E_UNSUPPORTED  it was run by another backend, or uses what this
 *                          host's processors lack
 *          and those of ulv_partition_start()
 * Context: serial; steps the system, may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_partition_restore(ulv_system *system, ulv_id partition,
                                         const struct ulv_source *source,
                                         struct ulv_diag *diag);

/* What a saved partition was: enough to make one that it fits. */
struct ulv_saved {
    uint32_t size; /* sizeof(struct ulv_saved) */
    uint32_t processor_count;
    uint32_t channel_count;
    uint32_t rsvd_;
    uint64_t memory_bytes;
    ulv_nsec time;    /* on its clock */
    char name[32];    /* zero-terminated, as is the next */
    char backend[16]; /* that ran it */
};

/**
 * Read a saved partition, check all of it, and say what it was.
 *
 * @param host    the host
 * @param source  borrowed for the call
 * @param ret     size is set by the caller; the rest is filled
 * @param diag    NULL or where the failure is explained
 *
 * Errors:  ULV_E_FORMAT, ULV_E_NOT_FOUND (no such file), ULV_E_MEDIUM,
 *          ULV_E_DENIED, ULV_E_NO_MEMORY, ULV_E_UNSUPPORTED (no such backend)
 * Context: serial; may block
 * Since:   0.1
 */
ULV_API ulv_status ulv_saved_read(const struct ulv_host *host,
                                  const struct ulv_source *source,
                                  struct ulv_saved *ret,
                                  struct ulv_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
