/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A saved partition as a file: written under another name beside it, brought
 * to the medium, then renamed. Whoever looks finds the file that was there
 * before, or the new one, whole.
 *
 * Source: rename(2), fsync(2)
 */
#include "port/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ultravisor/posix.h>
#include <ultravisor/save.h>

#define PATH_ROOM    4096
#define BUFFER_BYTES 65536

struct file {
    int fd;
    int code; /* errno of the write that failed, or 0 */
    size_t used;
    char buffer[BUFFER_BYTES]; /* headers are small */
};

static ulv_status
write_out(struct file *f, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t put = write(f->fd, p, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            f->code = errno;
            return ulv_posix_status(f->code);
        }
        p += put;
        len -= (size_t)put;
    }
    return ULV_OK;
}

static ulv_status
flush(struct file *f)
{
    size_t used = f->used;

    f->used = 0;
    return write_out(f, f->buffer, used);
}

static ulv_status
put(void *opaque, const void *p, size_t len)
{
    struct file *f = opaque;
    ulv_status status = ULV_OK;

    if (len > sizeof(f->buffer) - f->used)
        status = flush(f);
    if (status != ULV_OK)
        return status;
    if (len > sizeof(f->buffer))
        return write_out(f, p, len);
    memcpy(f->buffer + f->used, p, len);
    f->used += len;
    return ULV_OK;
}

/* The new name in the folder is on the medium too. */
static int
sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    int fd, result;

    if (slash != NULL)
        slash[slash == path ? 1 : 0] = '\0';
    fd = open(slash == NULL ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    (void)close(fd);
    return result;
}

static ulv_status
finish(struct file *f, const char *name, const char *path,
       struct ulv_diag *diag)
{
    ulv_status status = flush(f);
    char folder[PATH_ROOM];

    ulv_string_copy(folder, sizeof(folder), path);
    if (status != ULV_OK)
        return ulv_posix_fail(diag, f->code, path, 0, 0);
    if (fsync(f->fd) != 0 || rename(name, path) != 0)
        return ulv_posix_fail(diag, errno, path, 0, 0);
    if (sync_folder(folder) != 0)
        return ulv_posix_fail(diag, errno, folder, 0, 0);
    return ULV_OK;
}

ulv_status
ulv_posix_save(ulv_system *system, ulv_id partition, const char *path,
               uint32_t rounds, struct ulv_diag *diag)
{
    char name[PATH_ROOM];
    struct ulv_text text;
    struct file *f;
    struct ulv_sink sink = { .size = sizeof(sink), .write = put };
    ulv_status status;

    ulv_text_init(&text, name, sizeof(name));
    ulv_text_format(&text, "%s.XXXXXX", path);
    if (text.len == sizeof(name) - 1)
        return ulv_posix_fail(diag, ENAMETOOLONG, "path", 0, PATH_ROOM);
    f = calloc(1, sizeof(*f));
    if (f == NULL)
        return ulv_posix_fail(diag, ENOMEM, path, 0, 0);
    f->fd = mkostemp(name, O_CLOEXEC);
    if (f->fd < 0) {
        status = ulv_posix_fail(diag, errno, path, 0, 0);
        free(f);
        return status;
    }
    sink.opaque = f;
    status = ulv_partition_save(system, partition, &sink, rounds, diag);
    if (status != ULV_OK && f->code != 0)
        status = ulv_posix_fail(diag, f->code, path, 0, 0);
    if (status == ULV_OK)
        status = finish(f, name, path, diag);
    if (status != ULV_OK)
        (void)unlink(name);
    (void)close(f->fd);
    free(f);
    return status;
}
