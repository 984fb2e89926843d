/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The monitor's role: what role_monitor.c and role_state.c share. The latter
 * is hooked in where guests can be saved, so that a program which never saves
 * one does not contain it.
 */
#ifndef SYSTEM_ROLE_MONITOR_H
#define SYSTEM_ROLE_MONITOR_H

#include "monitor/monitor.h"
#include "system/role.h"

struct monitor_role {
    struct role role;
    struct ulv_monitor *monitor;
    uint64_t acknowledged; /* view generation */
    bool started, reported;
    char launcher[256];
    const char *backend; /* its name */
    bool beside;         /* its guests use time that is not ours */
    ulv_nsec used, used_at;
    uint64_t debug_number; /* of the last SAY_DEBUG */
};

/* How a start, or a restore, came out. */
void ulv_role_monitor_started(struct monitor_role *r, ulv_status status,
                              struct ulv_diag *diag);

/* For role.hear_state: SAY_SAVE and SAY_RESTORE. */
ulv_status ulv_role_state_hear(struct role *role, struct heard *heard);

/* For role.debug: SAY_DEBUG and SAY_STOPPED (role_debug.c). */
extern const struct role_debug ulv_role_debug;

#endif
