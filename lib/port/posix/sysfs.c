/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Source: Linux Documentation/filesystems/sysfs.rst (show() gives a whole
 *         file, up to a page), fs/kernfs/file.c (a longer one, as a list of
 *         processors can be, comes in pages), Documentation/filesystems/
 *         seq_file.rst (what proc has of many entries comes in pieces)
 */
#include "port/posix/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX  4096u
#define PAGE_BYTES 4096

static void
join(char path[ULV_SYSFS_PATH_BYTES], const char *folder, const char *file)
{
    struct ulv_text text;

    ulv_text_init(&text, path, ULV_SYSFS_PATH_BYTES);
    ulv_text_format(&text, "%s/%s", folder, file);
}

/* ---- folders ------------------------------------------------------------- */

ulv_status
ulv_sysfs_open(struct ulv_sysfs_folder *ret, const char *root, const char *name,
               struct ulv_diag *diag)
{
    join(ret->path, root, name);
    ret->entries = NULL;
    ret->fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret->fd < 0 && errno != ENOENT)
        return ulv_posix_fail(diag, errno, ret->path, 0, 0);
    return ULV_OK;
}

void
ulv_sysfs_close(struct ulv_sysfs_folder *folder)
{
    if (folder->entries != NULL)
        (void)closedir(folder->entries);
    else if (folder->fd >= 0)
        (void)close(folder->fd);
    folder->entries = NULL;
    folder->fd = -1;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
ulv_sysfs_free_names(char **names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Up to NAMES_MAX of them. */
static ulv_status
take_names(struct ulv_sysfs_folder *folder, char **names, uint32_t *count,
           struct ulv_diag *diag)
{
    const struct dirent *entry;

    for (errno = 0; (entry = readdir(folder->entries)) != NULL; errno = 0) {
        if (entry->d_name[0] == '.')
            continue;
        if (*count == NAMES_MAX)
            return ulv_fail(diag, ULV_E_LIMIT, 0, NAMES_MAX + 1, NAMES_MAX,
                            "%s: more than %u entries", folder->path,
                            (uint64_t)NAMES_MAX);
        names[*count] = strdup(entry->d_name);
        if (names[*count] == NULL)
            return ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0, "%s: no memory",
                            folder->path);
        (*count)++;
    }
    return errno == 0 ? ULV_OK
                      : ulv_posix_fail(diag, errno, folder->path, 0, 0);
}

ulv_status
ulv_sysfs_list(struct ulv_sysfs_folder *folder, char ***ret_names,
               uint32_t *ret_count, struct ulv_diag *diag)
{
    char **names;
    uint32_t count = 0;
    ulv_status status;

    *ret_names = NULL;
    *ret_count = 0;
    if (folder->fd < 0)
        return ULV_OK;
    folder->entries = fdopendir(folder->fd);
    if (folder->entries == NULL)
        return ulv_posix_fail(diag, errno, folder->path, 0, 0);
    names = malloc(NAMES_MAX * sizeof(*names));
    if (names == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, 0, 0, "%s: no memory",
                        folder->path);
    status = take_names(folder, names, &count, diag);
    if (status != ULV_OK) {
        ulv_sysfs_free_names(names, count);
        return status;
    }
    qsort(names, count, sizeof(*names), by_name);
    *ret_names = names;
    *ret_count = count;
    return ULV_OK;
}

/* ---- files --------------------------------------------------------------- */

/* An error number. in_pages: what is read that is no whole page is the last.
 * *ret_fits: it ended before the place of the zero. */
static int
read_to_end(int fd, bool in_pages, char *buf, size_t size, bool *ret_fits)
{
    size_t len = 0;
    ssize_t got = 1;

    while (got != 0 && len < size) {
        got = read(fd, buf + len, size - len);
        if (got < 0 && errno != EINTR)
            return errno;
        if (got > 0)
            len += (size_t)got;
        if (in_pages && got > 0 && got % PAGE_BYTES != 0)
            break;
    }
    *ret_fits = len < size;
    buf[*ret_fits ? len : 0] = '\0';
    return 0;
}

/* Of the folder that at is, or of one that is not open. */
static ulv_status
read_file(int at, const char *folder, const char *file, char *buf, size_t size,
          struct ulv_diag *diag)
{
    const bool in_sysfs = at != AT_FDCWD;
    char path[ULV_SYSFS_PATH_BYTES];
    bool fits = true;
    int fd, code;

    if (!in_sysfs)
        join(path, folder, file);
    fd = openat(at, in_sysfs ? file : path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return ULV_E_NOT_FOUND;
    code = fd < 0 ? errno : read_to_end(fd, in_sysfs, buf, size, &fits);
    if (fd >= 0)
        (void)close(fd);
    if (code == 0 && fits)
        return ULV_OK;
    join(path, folder, file);
    if (code != 0)
        return ulv_posix_fail(diag, code, path, 0, 0);
    return ulv_fail(diag, ULV_E_FORMAT, 0, size, size - 1,
                    "%s: more than %u bytes", path, (uint64_t)size - 1);
}

ulv_status
ulv_sysfs_read(const struct ulv_sysfs_folder *folder, const char *file,
               char *buf, size_t size, struct ulv_diag *diag)
{
    if (folder->fd < 0)
        return ULV_E_NOT_FOUND;
    return read_file(folder->fd, folder->path, file, buf, size, diag);
}

ulv_status
ulv_proc_read(const char *root, const char *name, char *buf, size_t size,
              struct ulv_diag *diag)
{
    return read_file(AT_FDCWD, root, name, buf, size, diag);
}

ulv_status
ulv_sysfs_read_link(const struct ulv_sysfs_folder *folder, const char *file,
                    char *buf, size_t size, struct ulv_diag *diag)
{
    const ssize_t len =
        folder->fd < 0 ? 0 : readlinkat(folder->fd, file, buf, size - 1);
    const int code = errno;
    char path[ULV_SYSFS_PATH_BYTES];

    if (folder->fd < 0 || (len < 0 && code == ENOENT))
        return ULV_E_NOT_FOUND;
    if (len < 0) {
        join(path, folder->path, file);
        return ulv_posix_fail(diag, code, path, 0, 0);
    }
    buf[len] = '\0';
    return ULV_OK;
}

bool
ulv_sysfs_has(const struct ulv_sysfs_folder *folder, const char *file)
{
    return folder->fd >= 0 && faccessat(folder->fd, file, F_OK, 0) == 0;
}

ulv_status
ulv_sysfs_malformed(const struct ulv_sysfs_folder *folder, const char *file,
                    const char *wanted, struct ulv_diag *diag)
{
    char path[ULV_SYSFS_PATH_BYTES];

    join(path, folder->path, file);
    return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0, "%s: not %s", path, wanted);
}
