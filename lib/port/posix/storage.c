/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A storage in a directory: a file an object. A file is durable when it and the
 * directory it stands in have been synced; one that was renamed, when the
 * directory has.
 */
#include "port/posix/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 96 /* of a path, in a diagnostic: the end of it */

static const char *const object_name[ULV_STORAGE_OBJECTS] = {
    [ULV_STORAGE_CHECKPOINT] = "checkpoint",
    [ULV_STORAGE_NEXT] = "next",
    [ULV_STORAGE_SEGMENT] = "segment-0",
    [ULV_STORAGE_SEGMENT + 1] = "segment-1",
    [ULV_STORAGE_POLICY] = "policy",
    [ULV_STORAGE_POLICY_NEXT] = "policy-next",
};

struct directory {
    struct ulv_storage storage;
    int fd;                          /* of the directory: locked */
    int object[ULV_STORAGE_OBJECTS]; /* -1: not there, or not opened yet */
};

static ulv_status
fail(struct ulv_diag *diag, uint32_t object)
{
    return ulv_posix_fail(diag, errno, object_name[object], object, 0);
}

/* Objects that are not there are made when something is written to them. */
static ulv_status
open_object(struct directory *d, uint32_t object, bool make, int *ret,
            struct ulv_diag *diag)
{
    if (d->object[object] < 0)
        d->object[object] =
            openat(d->fd, object_name[object],
                   O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
                       (make ? O_CREAT : 0),
                   0600);
    *ret = d->object[object];
    if (*ret >= 0 || (!make && errno == ENOENT))
        return ULV_OK;
    return fail(diag, object);
}

static ulv_status
directory_bytes(void *self, uint32_t object, uint64_t *ret,
                struct ulv_diag *diag)
{
    struct stat status;
    int fd;
    ulv_status opened = open_object(self, object, false, &fd, diag);

    *ret = 0;
    if (opened != ULV_OK || fd < 0)
        return opened;
    if (fstat(fd, &status) != 0)
        return fail(diag, object);
    if (!S_ISREG(status.st_mode))
        return ulv_fail(diag, ULV_E_ARG, object, status.st_mode, 0,
                        "%s: not a file", object_name[object]);
    *ret = (uint64_t)status.st_size;
    return ULV_OK;
}

static ulv_status
directory_read(void *self, uint32_t object, uint64_t offset, void *buf,
               size_t len, struct ulv_diag *diag)
{
    size_t done = 0;
    int fd;
    ulv_status status = open_object(self, object, false, &fd, diag);

    while (status == ULV_OK && done < len) {
        ssize_t got =
            pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            return ulv_fail(diag, ULV_E_MEDIUM, object, offset + done, len,
                            "%s ends at byte %u: somebody else writes to it",
                            object_name[object], offset + done);
        if (got < 0)
            return fail(diag, object);
        done += (size_t)got;
    }
    return status;
}

static ulv_status
directory_append(void *self, uint32_t object, const void *p, size_t len,
                 struct ulv_diag *diag)
{
    const char *at = p;
    int fd;
    ulv_status status = open_object(self, object, true, &fd, diag);

    while (status == ULV_OK && len > 0) {
        ssize_t put = write(fd, at, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail(diag, object);
        at += put;
        len -= (size_t)put;
    }
    return status;
}

static ulv_status
directory_sync(void *self, uint32_t object, struct ulv_diag *diag)
{
    int fd;
    ulv_status status = open_object(self, object, true, &fd, diag);

    if (status == ULV_OK && fdatasync(fd) != 0)
        return fail(diag, object);
    return status;
}

static ulv_status
directory_truncate(void *self, uint32_t object, uint64_t bytes,
                   struct ulv_diag *diag)
{
    int fd;
    ulv_status status = open_object(self, object, true, &fd, diag);

    if (status == ULV_OK && ftruncate(fd, (off_t)bytes) != 0)
        return fail(diag, object);
    return status;
}

static void
forget_object(struct directory *d, uint32_t object)
{
    if (d->object[object] >= 0)
        close(d->object[object]);
    d->object[object] = -1;
}

/* This also makes the names of the segments durable, which were made before the
 * first checkpoint that names one. */
static ulv_status
directory_replace(void *self, uint32_t from, uint32_t to,
                  struct ulv_diag *diag)
{
    struct directory *d = self;

    forget_object(d, from);
    forget_object(d, to);
    if (renameat(d->fd, object_name[from], d->fd, object_name[to]) != 0)
        return fail(diag, from);
    return fsync(d->fd) == 0 ? ULV_OK : fail(diag, to);
}

static void
directory_close(void *self)
{
    struct directory *d = self;

    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        forget_object(d, i);
    close(d->fd);
    free(d);
}

static bool
is_ours(const char *name)
{
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++) {
        if (ulv_string_equal(name, object_name[i], NAME_BYTES))
            return true;
    }
    return ulv_string_equal(name, ".", 2) || ulv_string_equal(name, "..", 3) ||
           ulv_string_equal(name, "lost+found", 11);
}

/* A journal is not begun among other files: that directory is meant for
 * something else. */
static ulv_status
check_content(struct directory *d, const char *name, struct ulv_diag *diag)
{
    int copy = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    ulv_status status = ULV_OK;

    if (list == NULL) {
        status = ulv_posix_fail(diag, errno, name, 0, 0);
        if (copy >= 0)
            close(copy);
        return status;
    }
    while (status == ULV_OK && (entry = readdir(list)) != NULL) {
        if (!is_ours(entry->d_name))
            status = ulv_fail(diag, ULV_E_ARG, 0, 0, 0,
                              "%s has %s in it, which is no part of a journal",
                              name, entry->d_name);
    }
    closedir(list);
    return status;
}

static ulv_status
open_directory(struct directory *d, const char *path, struct ulv_diag *diag)
{
    const size_t len = ulv_string_length(path, 4096);
    const char *name =
        len < NAME_BYTES ? path : path + len - (NAME_BYTES - 1);

    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0 && errno == ENOTDIR)
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0, "%s: not a directory", name);
    if (d->fd < 0)
        return ulv_posix_fail(diag, errno, name, 0, 0);
    if (flock(d->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? ulv_fail(diag, ULV_E_BUSY, 0, 0, 0,
                              "%s: another program has its journal there",
                              name)
                   : ulv_posix_fail(diag, errno, name, 0, 0);
    return check_content(d, name, diag);
}

ulv_status
ulv_posix_storage_open(const char *directory, struct ulv_storage **ret_storage,
                       struct ulv_diag *diag)
{
    struct directory *d = calloc(1, sizeof(*d));
    ulv_status status;

    if (d == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0, "out of memory");
    for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
        d->object[i] = -1;
    d->storage = (struct ulv_storage){
        .size = sizeof(d->storage),
        .self = d,
        .bytes = directory_bytes,
        .read = directory_read,
        .append = directory_append,
        .sync = directory_sync,
        .truncate = directory_truncate,
        .replace = directory_replace,
        .close = directory_close,
    };
    status = open_directory(d, directory, diag);
    if (status != ULV_OK) {
        if (d->fd >= 0)
            close(d->fd);
        free(d);
        return status;
    }
    *ret_storage = &d->storage;
    return ULV_OK;
}
