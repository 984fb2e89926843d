/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A host for tests: everything in the heap, a clock that moves only when
 * told, every failure on request, every leak counted.
 *
 *     struct ulv_test_host t;
 *     ulv_test_host_init(&t);
 *     for (uint64_t n = 1;; n++) {
 *         ulv_test_host_fail_at(&t, n);
 *         status = scenario(&t.host);
 *         assert_int_equal(ulv_test_host_live(&t), 0);
 *         if (!ulv_test_host_failed(&t))
 *             break;
 *     }
 *     assert_int_equal(status, ULV_OK);
 *     ulv_test_host_fini(&t);
 *
 * Not thread-safe; a test steps all roles in one thread.
 */
#ifndef PORT_TEST_TEST_H
#define PORT_TEST_TEST_H

#include <ultravisor/sys/objects.h>

#define ULV_TEST_MEDIA_MAX   8

/* A medium that ULV_SOURCE_PATH(name) finds. bytes stay the caller's. */
struct ulv_test_medium {
    const char *name;
    const void *p;
    uint64_t bytes;
};

struct ulv_test_host {
    struct ulv_host host; /* pass &t.host */
    struct ulv_objects objects;

    ulv_nsec now;          /* the clock; set or add at will */
    uint64_t random;       /* state of entropy: same seed, same bytes */
    uint64_t calls;        /* fallible calls since fail_at */
    uint64_t fail_at;      /* that one fails; 0: none does */
    uint64_t misuse;       /* wrong size in free, stale handle, double close */
    uint64_t live_bytes;   /* of allocations */
    uint64_t live_blocks;  /* allocations */
    uint64_t signals;      /* event_signal calls */
    uint32_t log_lines;    /* lines logged */
    char last_line[192];   /* the last of them */
    const char *misuse_text; /* the first misuse, in words */

    /* Faults of media: a read that touches a byte of [medium_error_offset,
     * + medium_error_bytes) fails with MEDIUM; reads end at
     * medium_end_offset although medium_bytes says more; opens fail while
     * medium_open_status is not ULV_OK. */
    uint64_t medium_error_offset, medium_error_bytes;
    uint64_t medium_end_offset; /* UINT64_MAX: at the real end */
    ulv_status medium_open_status;

    /* Memory with addresses of its own: ulv_test_host_frames(). */
    uint8_t *frames;
    uint64_t frames_base, frames_bytes;

    struct ulv_test_medium media[ULV_TEST_MEDIA_MAX];
    uint32_t media_count;

    /* what the members of host call in turn */
    ulv_status (*medium_open)(void *self, const struct ulv_source *source,
                              uint32_t flags, ulv_handle *ret,
                              struct ulv_diag *diag);
    ulv_status (*medium_read)(void *self, ulv_handle medium, uint64_t offset,
                              void *buf, size_t len, size_t *ret_len);
    void (*event_signal)(void *self, ulv_handle event);
};

/* Aborts the test program if the heap is exhausted. */
void ulv_test_host_init(struct ulv_test_host *t);
/* Frees what is left; returns live + misuse as they were: 0 is right. */
uint64_t ulv_test_host_fini(struct ulv_test_host *t);

/* Let the n-th fallible call from now fail (1 is the next), 0 none: alloc,
 * memory_create, memory_map, memory_seal, memory_read_only, event_create,
 * wait_create, watch, handle_duplicate, fence_create, fence_open and
 * medium_open count; a link sends by alloc and handle_duplicate. */
void ulv_test_host_fail_at(struct ulv_test_host *t, uint64_t n);
/* Whether that call has been reached. */
bool ulv_test_host_failed(const struct ulv_test_host *t);
/* Allocations + handles + maps that are open now. */
uint64_t ulv_test_host_live(const struct ulv_test_host *t);
/* Make the host one that is given all memory of a machine: bytes from base on
 * are usable, the 2 MiB before them are its own. */
void ulv_test_host_frames(struct ulv_test_host *t, uint64_t base,
                          uint64_t bytes);
/* Make a medium known by name; memory stays the caller's. */
void ulv_test_host_medium(struct ulv_test_host *t, const char *name,
                          const void *p, uint64_t bytes);

#endif
