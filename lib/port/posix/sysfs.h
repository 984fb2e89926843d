/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Files of text that the kernel makes: of sysfs, in a folder that is open
 * because a path there goes over many others; and of proc.
 */
#ifndef PORT_POSIX_SYSFS_H
#define PORT_POSIX_SYSFS_H

#include <dirent.h>

#include "port/posix/posix.h"

#define ULV_SYSFS_PATH_BYTES 512

struct ulv_sysfs_folder {
    char path[ULV_SYSFS_PATH_BYTES];
    int fd;       /* -1: it is not there, nor is any file of it */
    DIR *entries; /* over fd, once listed */
};

/* Open the folder root/name. Errors: HOST. */
ulv_status ulv_sysfs_open(struct ulv_sysfs_folder *ret, const char *root,
                          const char *name, struct ulv_diag *diag);
void ulv_sysfs_close(struct ulv_sysfs_folder *folder);

/* What is in it, sorted, once; ulv_sysfs_free_names() gives them back. Errors:
 * LIMIT (more than 4096), NO_MEMORY, HOST. */
ulv_status ulv_sysfs_list(struct ulv_sysfs_folder *folder, char ***ret_names,
                          uint32_t *ret_count, struct ulv_diag *diag);
void ulv_sysfs_free_names(char **names, uint32_t count);

/* A whole file of it, zero at its end. Errors: NOT_FOUND, quietly; FORMAT (it
 * is longer than that), HOST. */
ulv_status ulv_sysfs_read(const struct ulv_sysfs_folder *folder,
                          const char *file, char *buf, size_t size,
                          struct ulv_diag *diag);
/* Where a link of it leads. Errors: NOT_FOUND, quietly; HOST. */
ulv_status ulv_sysfs_read_link(const struct ulv_sysfs_folder *folder,
                               const char *file, char *buf, size_t size,
                               struct ulv_diag *diag);
bool ulv_sysfs_has(const struct ulv_sysfs_folder *folder, const char *file);

/* FORMAT: a file of it is not what is wanted. */
ulv_status ulv_sysfs_malformed(const struct ulv_sysfs_folder *folder,
                               const char *file, const char *wanted,
                               struct ulv_diag *diag);

/* The file root/name of proc, as ulv_sysfs_read() does. */
ulv_status ulv_proc_read(const char *root, const char *name, char *buf,
                         size_t size, struct ulv_diag *diag);

#endif
