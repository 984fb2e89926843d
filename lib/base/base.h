/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What every folder of lib/ shares: diagnostics, checked arithmetic, bounded
 * strings, little-endian access, CRC-32C, GUIDs, alignment. Uses nothing but
 * the four memory functions of base/libc.h.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <ultravisor/types.h>

#include <stdarg.h>

#include "base/libc.h"

#define ULV_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ULV_CONTAINER_OF(p, type, member)                                      \
    ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define ULV_MIN(a, b) ((a) < (b) ? (a) : (b))
#define ULV_MAX(a, b) ((a) > (b) ? (a) : (b))
/* A function that is seldom called: what it needs is not in the way of its
 * callers. Where code is to be small, compilers decide. */
#ifdef __OPTIMIZE_SIZE__
#define ULV_SELDOM
#else
#define ULV_SELDOM __attribute__((noinline))
#endif

/* ---- checked arithmetic: false, and *ret untouched, on overflow ---------- */
bool ulv_add_u64(uint64_t a, uint64_t b, uint64_t *ret);
bool ulv_multiply_u64(uint64_t a, uint64_t b, uint64_t *ret);
/* [offset, offset + bytes) lies inside [0, limit) */
bool ulv_range_inside(uint64_t offset, uint64_t bytes, uint64_t limit);
/* [a, a + a_bytes) and [b, b + b_bytes) share a byte; neither wraps */
bool ulv_ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b,
                        uint64_t b_bytes);
bool ulv_is_power_of_two(uint64_t n);
/* align is a power of two; round_up returns 0 on overflow of a non-zero n */
uint64_t ulv_round_down(uint64_t n, uint64_t align);
uint64_t ulv_round_up(uint64_t n, uint64_t align);

/* ---- strings: always terminated, never beyond size ----------------------- */
size_t ulv_string_length(const char *s, size_t limit);
bool ulv_string_equal(const char *a, const char *b, size_t limit);
void ulv_string_copy(char *to, size_t size, const char *from);

/*
 * A line of text built piece by piece into a caller's buffer; what does not
 * fit is cut. Our own in place of snprintf, which freestanding code lacks.
 */
struct ulv_text {
    char *buf;
    size_t size; /* of buf, with the zero */
    size_t len;  /* without the zero */
};
void ulv_text_init(struct ulv_text *t, char *buf, size_t size);
void ulv_text_string(struct ulv_text *t, const char *s);
void ulv_text_bytes(struct ulv_text *t, const char *s, size_t len);
void ulv_text_decimal(struct ulv_text *t, uint64_t n);
void ulv_text_hex(struct ulv_text *t, uint64_t n); /* with 0x */
void ulv_text_size(struct ulv_text *t, uint64_t bytes); /* "192 MiB" */
/*
 * format: %s string, %u uint64_t, %x uint64_t as 0x hex, %z uint64_t bytes as
 * a size, %i int64_t, %% percent. Every number argument is passed as
 * (uint64_t) or (int64_t). Not public: no variadic function is.
 */
void ulv_text_format(struct ulv_text *t, const char *format, ...);
void ulv_text_arguments(struct ulv_text *t, const char *format,
                        va_list arguments);

/* ---- diagnostics --------------------------------------------------------- */
/*
 * Fill *diag (unless NULL) and return status, so that a check reads
 *     return ulv_fail(diag, ULV_E_ARG, id, value, bound, "text", ...);
 * text: as ulv_text_format.
 */
ulv_status ulv_fail(struct ulv_diag *diag, ulv_status status, ulv_id object,
                    uint64_t value, uint64_t bound, const char *text, ...);

/* ---- data ---------------------------------------------------------------- */
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), start with crc = 0. */
uint32_t ulv_crc32c(uint32_t crc, const void *p, size_t len);
/* Whether an ultravisor that died is started again, whether stock kernels are
 * started at all, whether channels are in sets and have bulk areas, whether
 * transactions have more operations than a message, whether consoles have
 * input, and whether devices are looked for: there is no room for what that
 * takes in an image of a bare machine. */
#ifndef ULV_RESTARTS
#define ULV_RESTARTS true
#endif
#ifndef ULV_SPARE_MACHINES
#define ULV_SPARE_MACHINES true
#endif
#ifndef ULV_CHANNEL_SETS
#define ULV_CHANNEL_SETS true
#endif
#ifndef ULV_MEDIA_WRITES
#define ULV_MEDIA_WRITES true
#endif
#ifndef ULV_LARGE_TRANSACTIONS
#define ULV_LARGE_TRANSACTIONS true
#endif
#ifndef ULV_CONSOLE_TYPING
#define ULV_CONSOLE_TYPING true
#endif
#ifndef ULV_REQUEST_GROUPS
#define ULV_REQUEST_GROUPS true
#endif
/* Roles may have processes of their own. */
#ifndef ULV_ROLE_PROCESSES
#define ULV_ROLE_PROCESSES true
#endif
#ifndef ULV_BULK_AREAS
#define ULV_BULK_AREAS true
#endif
/* Views are written by what changes of them, not whole. */
#ifndef ULV_VIEW_UPDATES
#define ULV_VIEW_UPDATES true
#endif
/* What the keeper has is found by indexes, not from a list's beginning. */
#ifndef ULV_KEEPER_INDEXES
#define ULV_KEEPER_INDEXES true
#endif
/* The database takes shorter ways where there are some, for more code. */
#ifndef ULV_FAST_DATABASE
#define ULV_FAST_DATABASE true
#endif
#ifndef ULV_DEVICES
#define ULV_DEVICES true
#endif
#ifndef ULV_STOCK_KERNELS
#define ULV_STOCK_KERNELS true
#endif

bool ulv_guid_equal(const uint8_t a[16], const uint8_t b[16]);
uint16_t ulv_get_le16(const void *p);
uint32_t ulv_get_le32(const void *p);
uint64_t ulv_get_le64(const void *p);

#endif
