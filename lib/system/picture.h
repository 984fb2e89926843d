/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a partition's view shall say, taken from the database: the sections that
 * ulv_view_prepare() publishes.
 */
#ifndef SYSTEM_PICTURE_H
#define SYSTEM_PICTURE_H

#include "database/database.h"
#include "view/publish.h"

#define PICTURE_MEMORY_MAX     4096u
#define PICTURE_PROCESSORS_MAX 256u
#define PICTURE_CHANNELS_MAX   1024u
#define PICTURE_DEVICES_MAX    1024u

struct picture {
    struct ulv_view_partition partition;
    struct ulv_view_memory memory[PICTURE_MEMORY_MAX];
    struct ulv_view_processor processor[PICTURE_PROCESSORS_MAX];
    struct ulv_view_channel channel[PICTURE_CHANNELS_MAX];
    struct ulv_view_device device[PICTURE_DEVICES_MAX];
    struct ulv_view_section section[5];
};

/* Once, before it is taken. */
void ulv_picture_init(struct picture *picture);
/* What the monitor's part says. Records that are the same as at that revision
 * may be left out, by ulv_view_section.same; 0: none are known.
 * Errors: NOT_FOUND, LIMIT (more of a kind than a picture holds). */
ulv_status ulv_picture_take(struct picture *picture,
                            const struct ulv_database *db, ulv_id partition,
                            uint64_t revision, struct ulv_diag *diag);
/* Leave out what a guest has no business to know: the guest's part. */
void ulv_picture_blank(struct picture *picture);

#endif
