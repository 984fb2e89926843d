/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Watching the resource database: each record that a transaction makes, changes
 * or removes, told in order, by kind of record, by partition and by label.
 *
 *     struct ulv_watch_opts opts = ULV_WATCH_OPTS_INIT;
 *
 *     opts.kinds = ULV_WATCH_KIND(ULV_QUERY_EXTENTS);
 *     opts.partition = web;
 *     ulv_watch_open(system, &opts, &watch, &diag);
 *     while (ulv_watch_next(watch, &event) == ULV_E_AGAIN)
 *         ulv_system_step(system, ULV_FOREVER);
 *
 * For programs that mirror the database or wait for something in it. An event
 * says which record, and not what is in it now: ulv_system_query() does. Nobody
 * waits for a watch that is slow: the ultravisor remembers its last changes;
 * who falls behind that is told so, reads anew, and is told on from there.
 */
#ifndef ULTRAVISOR_WATCH_H
#define ULTRAVISOR_WATCH_H

#include <ultravisor/abi/command.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ulv_watch ulv_watch;

#define ULV_WATCH_KIND(query) (UINT32_C(1) << (query))

struct ulv_watch_opts {
    uint32_t size;
    uint32_t kinds;     /* of records: ULV_WATCH_KIND() | ...; 0: all */
    uint64_t after;     /* revisions above this, or ULV_WATCH_FROM_NOW */
    ulv_id partition;   /* what it has, had or is; 0: of all */
    /* What has a label, or is of a partition that has it: before a change or
     * after it, not now. Whoever gets or loses it is told with that. */
    const char *label;       /* its key, at most 15 bytes; NULL: of all */
    const char *label_value; /* at most 47 bytes; NULL: any */
};

#define ULV_WATCH_OPTS_INIT                                                    \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_watch_opts), 0, ULV_WATCH_FROM_NOW, 0, 0, \
            0                                                                  \
    }

struct ulv_watch_event {
    uint32_t size;
    uint32_t more;     /* 1: the next is of the same revision */
    uint64_t sequence; /* of this watch: gap-free, from 1 */
    /* ULV_CHANGE_LOST: all up to its revision may have been missed, read
     * anew; what comes next is of a later one. */
    struct ulv_change change;
};

#define ULV_WATCH_EVENT_INIT                                                   \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_watch_event), 0, 0,                        \
        {                                                                      \
            0, 0, { 0, 0, 0, 0 }, 0, 0                                         \
        }                                                                      \
    }

/**
 * Begin to watch.
 *
 * To go on where another watch ended, after is the last revision that it has
 * told all of. To mirror: open from now, then query.
 *
 * @param system  a system
 * @param opts    NULL: everything, from now
 * @param ret     the watch; ulv_watch_close() ends it
 * @param diag    NULL or where the failure is explained
 *
 * Errors:  ULV_E_ARG        after is above the newest revision; a key or value
 *                           that no label has; or size
 *          ULV_E_LIMIT      ULV_WATCHES_MAX are open
 *          ULV_E_NO_MEMORY, ULV_E_PEER_GONE, ULV_E_UNSUPPORTED (on a bare
 *          machine)
 * Context: serial; steps the system until the answer is there
 * Since:   0.1
 */
ULV_API ulv_status ulv_watch_open(ulv_system *system,
                                  const struct ulv_watch_opts *opts,
                                  ulv_watch **ret, struct ulv_diag *diag);

/**
 * The next event.
 *
 * @param watch  a watch
 * @param ret    filled; ret->size as initialised by ULV_WATCH_EVENT_INIT
 *
 * Errors:  ULV_E_AGAIN      none is there: ulv_system_step()
 *          ULV_E_PEER_GONE  none will come: the command partition is dead
 *          ULV_E_ARG        ret->size
 *          ULV_E_PEER_PROTOCOL, ULV_E_PEER_INDEX, ULV_E_PEER_LENGTH  what the
 *                           command partition says is no event
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_watch_next(ulv_watch *watch,
                                  struct ulv_watch_event *ret);

/**
 * Watch no more. A system that is destroyed closes what is open.
 *
 * @param watch  NULL is allowed
 *
 * Context: serial
 * Since:   0.1
 */
ULV_API void ulv_watch_close(ulv_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
