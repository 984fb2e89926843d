/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Media (files, block devices, and copies in memory of what is neither) and
 * fences (locks of open file descriptions).
 */
#include "port/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR_BYTES 512
#define NAME_BYTES   96 /* of a path, in a diagnostic: the end of it */
#define COPY_BYTES   65536

/* What to call a source in a diagnostic. */
static const char *
source_name(const struct ulv_source *source)
{
    size_t len;

    switch (source->kind) {
    case ULV_SOURCE_KIND_PATH:
        len = ulv_string_length(source->path, 4096);
        return len < NAME_BYTES ? source->path
                                : source->path + len - (NAME_BYTES - 1);
    case ULV_SOURCE_KIND_HANDLE:
        return "descriptor";
    case ULV_SOURCE_KIND_MEMORY:
        return "memory";
    default:
        return "callback";
    }
}

/* Size of an open medium, and whether it can be one. */
static ulv_status
medium_size(int fd, const char *name, uint64_t *ret, struct ulv_diag *diag)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return ulv_posix_fail(diag, errno, name, 0, 0);
    if (S_ISDIR(status.st_mode))
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0,
                        "%s: a directory, not a file or block device", name);
    if (S_ISREG(status.st_mode)) {
        *ret = (uint64_t)status.st_size;
        return ULV_OK;
    }
    if (!S_ISBLK(status.st_mode))
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0,
                        "%s: neither a file nor a block device", name);
    if (ioctl(fd, BLKGETSIZE64, ret) != 0)
        return ulv_posix_fail(diag, errno, name, 0, 0);
    return ULV_OK;
}

static ulv_status
check_size(int fd, uint32_t flags, const char *name, struct ulv_diag *diag)
{
    uint64_t bytes = 0;
    ulv_status status = medium_size(fd, name, &bytes, diag);

    if (status != ULV_OK)
        return status;
    if (bytes == 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, SECTOR_BYTES,
                        "%s: empty, at least one sector of %u bytes wanted",
                        name, (uint64_t)SECTOR_BYTES);
    if ((flags & ULV_MEDIUM_ANY_SIZE) == 0 && bytes % SECTOR_BYTES != 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, bytes, SECTOR_BYTES,
                        "%s: %u bytes, not a multiple of %u (%u too many)",
                        name, bytes, (uint64_t)SECTOR_BYTES,
                        bytes % SECTOR_BYTES);
    return ULV_OK;
}

static int
write_all(int fd, const char *p, size_t len)
{
    ssize_t put;

    while (len > 0) {
        put = write(fd, p, len);
        if (put < 0 && errno != EINTR)
            return -1;
        if (put > 0) {
            p += put;
            len -= (size_t)put;
        }
    }
    return 0;
}

/* Append what a source's read function gives to fd. */
static ulv_status
copy_callback(int fd, const struct ulv_source *source, struct ulv_diag *diag)
{
    char buf[COPY_BYTES];
    uint64_t offset = 0;

    while (offset < source->bytes) {
        size_t want = (size_t)ULV_MIN(source->bytes - offset, sizeof(buf));
        size_t got = 0;
        ulv_status status =
            source->read(source->opaque, offset, buf, want, &got);

        if (status != ULV_OK)
            return ulv_fail(diag, status, 0, offset, source->bytes,
                            "callback: failed at byte %u of %u", offset,
                            source->bytes);
        if (got != want)
            return ulv_fail(diag, ULV_E_MEDIUM, 0, offset + got, source->bytes,
                            "callback: %u bytes at %u, %u wanted",
                            (uint64_t)got, offset, (uint64_t)want);
        if (write_all(fd, buf, got) != 0)
            return ulv_posix_fail(diag, errno, "copy of a medium", offset,
                                  source->bytes);
        offset += got;
    }
    return ULV_OK;
}

/* A private copy that nobody can change: MEMORY and READ. */
static ulv_status
open_copy(const struct ulv_source *source, int *ret, struct ulv_diag *diag)
{
    int fd = memfd_create("medium", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ulv_status status = ULV_OK;

    if (fd < 0)
        return ulv_posix_fail(diag, errno, "copy of a medium", 0, 0);
    if (source->kind == ULV_SOURCE_KIND_READ)
        status = copy_callback(fd, source, diag);
    else if (write_all(fd, source->memory, source->bytes) != 0)
        status =
            ulv_posix_fail(diag, errno, "copy of a medium", 0, source->bytes);
    if (status == ULV_OK &&
        fcntl(fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        status = ulv_posix_fail(diag, errno, "copy of a medium", 0, 0);
    if (status == ULV_OK)
        *ret = fd;
    else
        close(fd);
    return status;
}

/* A description of our own, if the file can be opened again: a lock, the access
 * and O_APPEND belong to one, and duplicates share it. */
static int
open_handle(ulv_handle handle, bool read_only)
{
    const int fd = ulv_posix_descriptor(handle);
    const int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
    ulv_handle own;

    if ((mode == O_RDWR || (mode == O_RDONLY && read_only)) &&
        ulv_posix_reopen(handle,
                         (read_only ? O_RDONLY : O_RDWR) | O_NOCTTY |
                             O_NONBLOCK,
                         &own) == ULV_OK)
        return ulv_posix_descriptor(own);
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static ulv_status
open_source(const struct ulv_source *source, uint32_t flags, int *ret,
            struct ulv_diag *diag)
{
    bool read_only = (flags & ULV_MEDIUM_READ_ONLY) != 0;

    switch (source->kind) {
    case ULV_SOURCE_KIND_PATH:
        if (source->path == NULL)
            return ulv_fail(diag, ULV_E_ARG, 0, 0, 0, "medium: path is NULL");
        /* Without O_NONBLOCK a FIFO would make us wait for its writer. */
        *ret = open(source->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                                      O_NOCTTY | O_NONBLOCK);
        break;
    case ULV_SOURCE_KIND_HANDLE:
        *ret = open_handle(source->handle, read_only);
        break;
    case ULV_SOURCE_KIND_MEMORY:
    case ULV_SOURCE_KIND_READ:
        if (!read_only)
            return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                            "%s: a copy is served, read-only only",
                            source_name(source));
        return open_copy(source, ret, diag);
    default:
        return ulv_fail(diag, ULV_E_ARG, 0, source->kind, ULV_SOURCE_KIND_READ,
                        "medium: source of kind %u", (uint64_t)source->kind);
    }
    if (*ret >= 0)
        return ULV_OK;
    /* Opening a directory for writing: say so in our words, not EISDIR's. */
    if (errno == EISDIR)
        return ulv_fail(diag, ULV_E_ARG, 0, 0, 0,
                        "%s: a directory, not a file or block device",
                        source_name(source));
    return ulv_posix_fail(diag, errno, source_name(source), 0, 0);
}

/* A duplicate has the access mode of its original. */
static ulv_status
check_access(int fd, uint32_t flags, const char *name, struct ulv_diag *diag)
{
    const int all = fcntl(fd, F_GETFL), mode = all & O_ACCMODE;

    if ((flags & ULV_MEDIUM_READ_ONLY) == 0 && (all & O_APPEND) != 0)
        return ulv_fail(diag, ULV_E_DENIED, 0, 0, 0,
                        "%s: opened for appending", name);
    if (mode == O_WRONLY ||
        ((flags & ULV_MEDIUM_READ_ONLY) == 0 && mode == O_RDONLY))
        return ulv_fail(diag, ULV_E_DENIED, 0, 0, 0, "%s: opened for %s only",
                        name, mode == O_WRONLY ? "writing" : "reading");
    return ULV_OK;
}

ulv_status
ulv_posix_medium_open(void *self, const struct ulv_source *source,
                      uint32_t flags, ulv_handle *ret, struct ulv_diag *diag)
{
    const char *name;
    ulv_status status;
    int fd = -1;

    (void)self;
    if ((flags & ~ULV_MEDIUM_FLAGS) != 0)
        return ulv_fail(diag, ULV_E_ARG, 0, flags, ULV_MEDIUM_FLAGS,
                        "medium: flags %x, %x known", (uint64_t)flags,
                        (uint64_t)ULV_MEDIUM_FLAGS);
    status = open_source(source, flags, &fd, diag);
    if (status != ULV_OK)
        return status;
    name = source_name(source);
    status = check_size(fd, flags, name, diag);
    if (status == ULV_OK)
        status = check_access(fd, flags, name, diag);
    if (status != ULV_OK) {
        close(fd);
        return status;
    }
    *ret = fd;
    return ULV_OK;
}

ulv_status
ulv_posix_medium_bytes(void *self, ulv_handle medium, uint64_t *ret)
{
    (void)self;
    return medium_size(ulv_posix_descriptor(medium), "medium", ret, NULL);
}

ulv_status
ulv_posix_medium_read(void *self, ulv_handle medium, uint64_t offset, void *buf,
                      size_t len, size_t *ret_len)
{
    int fd = ulv_posix_descriptor(medium);
    size_t done = 0;
    ssize_t got;

    (void)self;
    if (!ulv_range_inside(offset, len, INT64_MAX))
        return ULV_E_ARG;
    while (done < len) {
        got = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EBADF ? ULV_E_ARG : ULV_E_MEDIUM;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *ret_len = done;
    return ULV_OK;
}

ulv_status
ulv_posix_medium_write(void *self, ulv_handle medium, uint64_t offset,
                       const void *buf, size_t len, size_t *ret_len)
{
    int fd = ulv_posix_descriptor(medium);
    size_t done = 0;
    ssize_t put;

    (void)self;
    if (!ulv_range_inside(offset, len, INT64_MAX))
        return ULV_E_ARG;
    while (done < len) {
        put = pwrite(fd, (const char *)buf + done, len - done,
                     (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno != ENOSPC)
            return errno == EBADF ? ULV_E_ARG : ULV_E_MEDIUM;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    *ret_len = done;
    return ULV_OK;
}

ulv_status
ulv_posix_medium_sync(void *self, ulv_handle medium)
{
    (void)self;
    if (fdatasync(ulv_posix_descriptor(medium)) == 0)
        return ULV_OK;
    return errno == EBADF ? ULV_E_ARG : ULV_E_MEDIUM;
}

ulv_status
ulv_posix_medium_lock(void *self, ulv_handle medium)
{
    int fd = ulv_posix_descriptor(medium);
    int mode = fcntl(fd, F_GETFL);

    (void)self;
    if (mode < 0)
        return ulv_posix_status(errno);
    mode = (mode & O_ACCMODE) == O_RDONLY ? LOCK_SH : LOCK_EX;
    if (flock(fd, mode | LOCK_NB) == 0)
        return ULV_OK;
    return errno == EWOULDBLOCK ? ULV_E_BUSY : ulv_posix_status(errno);
}

/* A lock belongs to an open file description. The first, which the keeper
 * holds, never locks; each opening is a description of its own. */
ulv_status
ulv_posix_fence_create(void *self, ulv_handle *ret)
{
    int fd = memfd_create("fence", MFD_CLOEXEC);

    (void)self;
    if (fd < 0)
        return ulv_posix_status(errno);
    *ret = fd;
    return ULV_OK;
}

ulv_status
ulv_posix_fence_open(void *self, ulv_handle fence, ulv_handle *ret)
{
    (void)self;
    return ulv_posix_reopen(fence, O_RDONLY, ret);
}

ulv_status
ulv_posix_fence_try_take(void *self, ulv_handle fence)
{
    (void)self;
    if (flock(ulv_posix_descriptor(fence), LOCK_EX | LOCK_NB) == 0)
        return ULV_OK;
    return errno == EWOULDBLOCK ? ULV_E_AGAIN : ulv_posix_status(errno);
}
