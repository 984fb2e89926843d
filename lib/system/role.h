/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A role: what an infrastructure partition or a monitor does, as an object
 * that is stepped. The same object in the caller's process and in a process of
 * its own; it knows nothing but its link to the keeper.
 */
#ifndef SYSTEM_ROLE_H
#define SYSTEM_ROLE_H

#include <ultravisor/event.h>

#include "system/post.h"
#include "system/rung.h"

struct durable;
struct role;
struct ulv_storage;

/* What a role's step left behind. */
struct role_need {
    bool again;        /* step again at once */
    ulv_nsec deadline; /* or at this time, or when a watched handle is ready */
};

struct role_ops {
    size_t bytes; /* of the role's object, which starts with struct role */
    /* After the first message; tail is the configuration's. */
    ulv_status (*init)(struct role *role, struct heard *configure);
    void (*fini)(struct role *role);
    /* A message from the keeper; the handles are the role's to keep or close:
     * it sets heard->handle_count to 0 if it took them. */
    ulv_status (*hear)(struct role *role, struct heard *heard);
    void (*step)(struct role *role, struct role_need *need);
};

struct role {
    const struct role_ops *ops;
    const struct ulv_host *host;
    ulv_handle waits; /* watch here what shall wake this role */
    struct post post;
    /* NULL, or: what is watched has its bells there, and the link this one;
     * each step begins with asking which rang. */
    struct rung *rung;
    struct bell bell;
    bool rang;
    ulv_id partition;
    uint32_t kind;
    bool processes;
    char name[ULV_NAME_MAX + 1];
    /* NULL, or: give up what the role will not need from here on. Called once,
     * when it has nothing to open and nobody to start any more, before it
     * takes anything from a guest. backend: of a monitor, otherwise NULL. */
    ulv_status (*confine)(struct role *role, const char *backend);
    /* The same for a thread that runs a processor. Context: any. */
    ulv_status (*confine_thread)(const struct role *role, const char *backend);
    /* NULL, or: of the ultravisor in this process, where its journal is. */
    const struct ulv_storage *storage;
    /* NULL, or: of the ultravisor, a database with a journal, and how it is
     * closed. */
    struct durable *durable;
    void (*drop)(struct durable *durable);
    /* NULL, or ulv_role_state_hear(): of a monitor whose guest can be saved. */
    ulv_status (*hear_state)(struct role *role, struct heard *heard);
    /* NULL, or &ulv_role_debug: of a monitor whose guest can be debugged. */
    const struct role_debug *debug;
    /* NULL, or: what the backend has ready for guests of this process. */
    void *spare;
};

struct role_debug {
    ulv_status (*hear)(struct role *role, const struct heard *heard);
    void (*step)(struct role *role); /* after each step of the monitor */
};

extern const struct role_ops ulv_role_ultravisor, ulv_role_operations,
    ulv_role_command, ulv_role_io, ulv_role_monitor;

/* Made as soon as there is a link; becomes what its first message says. Takes
 * the link over, also on failure. Errors: NO_MEMORY. */
ulv_status ulv_role_create(const struct ulv_host *host, ulv_handle waits,
                           struct ulv_link *link, struct role **ret);
/* Drop it as it stands; NULL is allowed. */
void ulv_role_destroy(struct role *role);

/* From init on: what does not ring is not looked at, where the host can tell.
 * The rung ends with the role. Errors: NO_MEMORY. */
ulv_status ulv_role_listen(struct role *role, struct rung *rung);

/* Errors: PEER_GONE (the keeper is gone: the role's work is over),
 * PEER_PROTOCOL. */
ulv_status ulv_role_step(struct role **role, struct role_need *need);

/* A message with an event for the caller's eyes. */
void ulv_role_tell(struct role *role, uint32_t event, ulv_id partition,
                   uint64_t value, const char *text);

/* The peer on a command channel broke the protocol and is heard no more. */
void ulv_role_tell_broken(struct role *role, ulv_id channel, const char *who,
                          ulv_status why);

#endif
