/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the files of this folder share. Every ulv_handle of this port is a
 * file descriptor with close-on-exec; errno is read here and in the hosted
 * backends only, and converted on the spot.
 */
#ifndef PORT_POSIX_POSIX_H
#define PORT_POSIX_POSIX_H

#include <ultravisor/posix.h>

#include "base/base.h"

/* The descriptor of a handle, or -1 (which every system call refuses). */
int ulv_posix_descriptor(ulv_handle h);

/* The status for an errno value; HOST for what has no closer one. */
ulv_status ulv_posix_status(int code);

/* Fill *diag with "what: words for the code" and return ulv_posix_status().
 * what is at most 120 bytes; value and bound go into the diagnostic. */
ulv_status ulv_posix_fail(struct ulv_diag *diag, int code, const char *what,
                          uint64_t value, uint64_t bound);

/* A new description of an open file through /proc/self/fd. flags as open(2).
 * UNSUPPORTED: /proc is not mounted. */
ulv_status ulv_posix_reopen(ulv_handle h, int flags, ulv_handle *ret);

/* The members of the host table; contracts in <ultravisor/sys/host.h>. */
ulv_status ulv_posix_memory_create(void *self, const char *name, uint64_t bytes,
                                   uint32_t flags, ulv_handle *ret);
ulv_status
ulv_posix_memory_map(void *self, ulv_handle memory, uint64_t offset,
                     uint64_t bytes, uint32_t protection, void *at, void **ret);
void ulv_posix_memory_unmap(void *self, void *p, uint64_t bytes);
void ulv_posix_memory_unmap_at(void *self, void *p, uint64_t bytes);
ulv_status ulv_posix_memory_reserve(void *self, uint64_t bytes, uint64_t align,
                                    void **ret);
ulv_status ulv_posix_memory_seal(void *self, ulv_handle memory, uint32_t seals);
ulv_status
ulv_posix_memory_read_only(void *self, ulv_handle memory, ulv_handle *ret);
ulv_status ulv_posix_memory_discard(void *self, ulv_handle memory,
                                    uint64_t offset, uint64_t bytes);
ulv_status ulv_posix_memory_back(void *self, void *p, uint64_t bytes);
ulv_status ulv_posix_memory_bytes(void *self, ulv_handle memory, uint64_t *ret);
ulv_status
ulv_posix_medium_open(void *self, const struct ulv_source *source,
                      uint32_t flags, ulv_handle *ret, struct ulv_diag *diag);
ulv_status ulv_posix_medium_bytes(void *self, ulv_handle medium, uint64_t *ret);
ulv_status ulv_posix_medium_read(void *self, ulv_handle medium, uint64_t offset,
                                 void *buf, size_t len, size_t *ret_len);
ulv_status ulv_posix_medium_write(void *self, ulv_handle medium,
                                  uint64_t offset, const void *buf, size_t len,
                                  size_t *ret_len);
ulv_status ulv_posix_medium_sync(void *self, ulv_handle medium);
ulv_status ulv_posix_medium_lock(void *self, ulv_handle medium);
ulv_status ulv_posix_fence_create(void *self, ulv_handle *ret);
ulv_status ulv_posix_fence_open(void *self, ulv_handle fence, ulv_handle *ret);
ulv_status ulv_posix_fence_try_take(void *self, ulv_handle fence);
void ulv_posix_handle_close(void *self, ulv_handle h);

#endif
