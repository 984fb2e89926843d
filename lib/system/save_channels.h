/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What lies in a guest's channels, saved and restored: for system/save.c. Its
 * servers are made to stand still; afterwards each takes its channel up where
 * the rings and the takeover region say, as the successor of a dead one does.
 */
#ifndef SYSTEM_SAVE_CHANNELS_H
#define SYSTEM_SAVE_CHANNELS_H

#include "system/save_file.h"
#include "system/shape.h"

/* Errors: BUSY (a channel in use that nobody serves, or whose server does not
 * stand still). In any case they are to be let go afterwards. */
ulv_status ulv_save_hold_channels(ulv_system *system, const struct shape *s,
                                  struct ulv_diag *diag);
void ulv_save_let_channels(ulv_system *system, const struct shape *s);

/* All content of those that are served. */
ulv_status ulv_save_put_channels(ulv_system *system, const struct shape *s,
                                 struct save_writer *w,
                                 struct ulv_diag *diag);

/* Empty them, write what was saved, and then the state of the guest's ends. */
ulv_status ulv_save_clear_channels(ulv_system *system, const struct shape *s,
                                   struct ulv_diag *diag);
ulv_status ulv_save_write_content(ulv_system *system, const struct shape *s,
                                  const struct ulv_save_channel *channel,
                                  const struct ulv_save_content *where,
                                  const uint8_t *bytes, struct ulv_diag *diag);
ulv_status ulv_save_write_ends(ulv_system *system, const struct shape *s,
                               const struct save_file *f,
                               struct ulv_diag *diag);

#endif
