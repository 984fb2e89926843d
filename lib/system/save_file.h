/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The stream of a saved partition: written section by section, read whole and
 * checked before anything of it is used. abi/save.h is the format.
 *
 * For system/save.c, and for the fuzzer of the reader.
 */
#ifndef SYSTEM_SAVE_FILE_H
#define SYSTEM_SAVE_FILE_H

#include <ultravisor/save.h>
#include <ultravisor/sys/backend.h>

/* Bounds of a file that is believed. */
#define SAVE_CHUNK_MAX    ULV_MIB(1) /* of memory in a section */
#define SAVE_RANGES_MAX   16384u
#define SAVE_CHANNELS_MAX 64u
#define SAVE_MONITOR_MAX  ULV_MIB(4)

/* ---- write --------------------------------------------------------------- */

struct save_writer {
    const struct ulv_sink *sink;
    uint32_t number;      /* of the next section */
    uint32_t headers_crc; /* of those written */
    uint64_t memory_bytes;
};

ulv_status ulv_save_begin(struct save_writer *w, const struct ulv_sink *sink,
                          const char *backend);
/* A section of one or two pieces; together a multiple of 8 bytes. */
ulv_status ulv_save_put(struct save_writer *w, uint32_t kind, const void *p,
                        size_t bytes, const void *more, size_t more_bytes);
ulv_status ulv_save_finish(struct save_writer *w);

/* ---- read ---------------------------------------------------------------- */

struct save_reader {
    const struct ulv_host *host;
    /* Exactly len bytes. */
    ulv_status (*read)(void *self, uint64_t offset, void *buf, size_t len);
    void *self;
    uint64_t bytes; /* of the file */
    /* What is known of each backend; NULL: there is none of that name. */
    const struct ulv_backend_ops *(*backend)(const char *name);
};

/* A file that was read and can be believed. */
struct save_file {
    const struct ulv_host *host;
    const struct ulv_backend_ops *backend;
    struct ulv_save_partition partition;
    struct ulv_save_range *ranges;
    struct ulv_save_channel *channels;
    struct ulv_save_monitor head;
    uint8_t *monitor; /* with head */
    uint64_t monitor_bytes;
    uint8_t *chunk; /* SAVE_CHUNK_MAX and what says where it belongs */
    uint64_t at;    /* of the next section */
    uint32_t number, last_kind;
    uint32_t headers_crc;
    uint64_t memory_bytes;
};

/* Who is told of what is read; bytes are borrowed. */
struct save_visitor {
    ulv_status (*memory)(void *self, uint64_t guest, const uint8_t *bytes,
                         uint64_t len, struct ulv_diag *diag);
    ulv_status (*content)(void *self, const struct ulv_save_channel *channel,
                          const struct ulv_save_content *where,
                          const uint8_t *bytes, struct ulv_diag *diag);
    void *self;
};

/**
 * Read all of it and check all of it. The visitor is told of each piece of
 * memory and of each channel's content, after layout and channels are known;
 * NULL: nobody is. On failure nothing is left.
 * Errors: FORMAT, UNSUPPORTED, NO_MEMORY, those of read and of the visitor.
 */
ulv_status ulv_save_read(struct save_file *f, const struct save_reader *reader,
                         const struct save_visitor *visitor,
                         struct ulv_diag *diag);
void ulv_save_close(struct save_file *f);

#endif
