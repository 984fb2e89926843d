/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The small types that every other header uses: ids, addresses, time, byte
 * ranges, names of kinds, and the diagnostic that explains a failure.
 *
 * For everybody who includes libultravisor. Nothing here has behaviour, but the
 * words for a status.
 */
#ifndef ULTRAVISOR_TYPES_H
#define ULTRAVISOR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ultravisor/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define ULV_API __attribute__((visibility("default")))
#else
#define ULV_API
#endif

#define ULV_KIB(n) ((uint64_t)(n) << 10)
#define ULV_MIB(n) ((uint64_t)(n) << 20)
#define ULV_GIB(n) ((uint64_t)(n) << 30)

/* Id of any object of the database. Never reused. 0 names nothing. */
typedef uint64_t ulv_id;

/* Nanoseconds on the host's monotonic clock, or a duration. */
typedef uint64_t ulv_nsec;

/* A deadline that never comes. */
#define ULV_FOREVER UINT64_MAX

/* Guest-physical byte address; a struct, so that it cannot be dereferenced. */
typedef struct ulv_gpa {
    uint64_t value;
} ulv_gpa;

/* A borrowed range of bytes; each use says how long it stays valid. */
struct ulv_bytes {
    const void *p;
    size_t len; /* [bytes] */
};

/* RFC 4122 identifier, the 16 bytes in the order they are written down. */
struct ulv_guid {
    uint8_t bytes[16];
};

/* What kind of partition (doc/architecture.md, "Partitions"). */
#define ULV_PARTITION_GUEST      UINT32_C(0)
#define ULV_PARTITION_BOOT       UINT32_C(8)
#define ULV_PARTITION_IDLE       UINT32_C(9)
#define ULV_PARTITION_ULTRAVISOR UINT32_C(10)
#define ULV_PARTITION_COMMAND    UINT32_C(16)
#define ULV_PARTITION_IO         UINT32_C(17)
#define ULV_PARTITION_OPERATIONS UINT32_C(19)

/* Names are UTF-8, at most 31 bytes and a terminating zero. */
#define ULV_NAME_MAX 31

/*
 * Why a call failed. Optional everywhere: pass NULL if not interested. The
 * caller owns it; the callee fills it only on failure. Initialise with
 * ULV_DIAG_INIT.
 */
struct ulv_diag {
    uint32_t size;     /* sizeof(struct ulv_diag) at compile time */
    ulv_status status; /* what the call returned */
    uint32_t site;     /* stable number of the check that failed, or 0 */
    int32_t os_code;   /* the host's own code (errno), for logs only */
    ulv_id object;     /* the object concerned, or 0 */
    uint64_t value;    /* the offending value */
    uint64_t bound;    /* the bound it broke */
    char text[192];    /* one line, no trailing period */
};

#define ULV_DIAG_INIT                                                          \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_diag), 0, 0, 0, 0, 0, 0,                   \
        {                                                                      \
            0                                                                  \
        }                                                                      \
    }

/**
 * What a status means, in a few words: "no such object".
 *
 * Returns a constant; "done" for ULV_OK, "unknown status" for what is none.
 *
 * Context: any
 */
ULV_API const char *ulv_status_text(ulv_status status);

/**
 * The name of a status: "ULV_E_NOT_FOUND".
 *
 * Returns a constant; "unknown status" for what is none.
 *
 * Context: any
 */
ULV_API const char *ulv_status_name(ulv_status status);

/**
 * Who acts on a status: one of ULV_CLASS_*; 0 for ULV_OK and for what is none.
 *
 * Context: any
 */
ULV_API uint32_t ulv_status_class(ulv_status status);

/* Where the bytes of an image or a medium come from. */
#define ULV_SOURCE_KIND_NONE   UINT32_C(0)
#define ULV_SOURCE_KIND_PATH   UINT32_C(1)
#define ULV_SOURCE_KIND_HANDLE UINT32_C(2)
#define ULV_SOURCE_KIND_MEMORY UINT32_C(3)
#define ULV_SOURCE_KIND_READ   UINT32_C(4)

/*
 * Read len bytes at offset into buf; returns ULV_OK and the count in *ret_len,
 * which is shorter only at the end. Context: serial.
 */
typedef ulv_status (*ulv_source_read_fn)(void *opaque, uint64_t offset,
                                         void *buf, size_t len,
                                         size_t *ret_len);

/* A source is borrowed for the call it is passed to, unless that call says
 * otherwise. Use the ULV_SOURCE_* initialisers. */
struct ulv_source {
    uint32_t kind; /* ULV_SOURCE_KIND_* */
    uint32_t rsvd_;
    const char *path;         /* PATH */
    int64_t handle;           /* HANDLE: a descriptor of the host */
    const void *memory;       /* MEMORY */
    uint64_t bytes;           /* MEMORY, READ: length [bytes] */
    ulv_source_read_fn read;  /* READ */
    void *opaque;             /* READ: passed to read */
};

#ifdef __cplusplus
#define ULV_SOURCE_LITERAL_ ulv_source
#else
#define ULV_SOURCE_LITERAL_ (struct ulv_source)
#endif
#define ULV_SOURCE_PATH(p)                                                     \
    (ULV_SOURCE_LITERAL_{ ULV_SOURCE_KIND_PATH, 0, (p), -1, NULL, 0, NULL,     \
                          NULL })
#define ULV_SOURCE_HANDLE(h)                                                   \
    (ULV_SOURCE_LITERAL_{ ULV_SOURCE_KIND_HANDLE, 0, NULL, (h), NULL, 0, NULL, \
                          NULL })
#define ULV_SOURCE_MEMORY(p, n)                                                \
    (ULV_SOURCE_LITERAL_{ ULV_SOURCE_KIND_MEMORY, 0, NULL, -1, (p), (n), NULL, \
                          NULL })
#define ULV_SOURCE_READ(f, o, n)                                               \
    (ULV_SOURCE_LITERAL_{ ULV_SOURCE_KIND_READ, 0, NULL, -1, NULL, (n), (f),   \
                          (o) })

#ifdef __cplusplus
}
#endif

#endif
