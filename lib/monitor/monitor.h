/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The monitor of one guest partition: maps what the partition's view says and
 * what it was handed, switches context, answers system calls, contains, and
 * reports. It decides nothing.
 *
 * For lib/system, which hands it what the keeper gave and carries its reports.
 * One thread owns a monitor.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include <ultravisor/abi/system_call.h>
#include <ultravisor/abi/view.h>
#include <ultravisor/partition.h>
#include <ultravisor/sys/backend.h>

struct ulv_monitor;
struct ulv_save_monitor;

struct ulv_monitor_cfg {
    const struct ulv_host *host;
    ulv_handle waits; /* the set in which it watches what wakes the guest */
    const struct ulv_backend_ops *backend;
    ulv_id partition;
    const char *launcher; /* process backend; borrowed */
    /* A line of text from the guest; self is passed back. */
    void (*log)(void *self, const char *text);
    /* NULL, or: called once, when the backend has nothing to open and nobody
     * to start any more, before the guest's first instruction. */
    ulv_status (*confine)(void *self);
    /* NULL, or: called in each thread of the backend's that runs one of its
     * processors, before it does. Context: any. */
    ulv_status (*confine_thread)(void *self);
    /* Guests of so many processors or more have a thread for each, where the
     * backend can do that, and those that can be interrupted; 0: none has. */
    uint32_t threads_from;
    /* The guest cannot reach this extent or channel any more, nor can we. */
    void (*released)(void *self, ulv_id object);
    /* The guest gave memory back that it was to keep. */
    void (*given_back)(void *self, uint64_t guest, uint64_t bytes);
    void *self;
    void *spare; /* ulv_machine_cfg.spare */
};

/* Errors: NO_MEMORY. Context: serial. */
ulv_status ulv_monitor_create(const struct ulv_monitor_cfg *cfg,
                              struct ulv_monitor **ret);
/* Ends the guest if it runs; NULL is allowed. */
void ulv_monitor_destroy(struct ulv_monitor *m);

/*
 * What the keeper hands over, before the start or later. Each takes the
 * handles, also on failure. Memory and channels are used as the view lists
 * them, whichever comes first.
 * Errors: EXISTS, LIMIT, NO_MEMORY, HOST.
 */
ulv_status ulv_monitor_take_view(struct ulv_monitor *m, uint32_t part,
                                 ulv_handle segment, uint64_t bytes);
/* Where to write the trace: ULV_TRACE_BYTES. */
ulv_status ulv_monitor_take_trace(struct ulv_monitor *m, ulv_handle memory);
ulv_status ulv_monitor_take_bell(struct ulv_monitor *m, ulv_handle bell);
ulv_status ulv_monitor_take_extent(struct ulv_monitor *m, ulv_id extent,
                                   ulv_handle memory, uint64_t bytes);
ulv_status ulv_monitor_take_channel(struct ulv_monitor *m, ulv_id channel,
                                    ulv_handle memory, uint64_t bytes,
                                    ulv_handle own_bell,
                                    ulv_handle peer_bell);

/* What to start. The handles stay the caller's. */
struct ulv_monitor_image {
    ulv_handle image;
    uint64_t bytes;
    ulv_handle initrd; /* of a stock kernel, or ULV_NO_HANDLE */
    uint64_t initrd_bytes;
    const char *cmdline; /* the same, or NULL */
};

/**
 * Map everything the view says, load the image, ready the processor.
 * Errors: FORMAT (the image; diag names the place), DENIED (the view names
 * something that was not handed over), STATE, MEDIUM, UNSUPPORTED, and the
 * backend's.
 */
ulv_status ulv_monitor_start(struct ulv_monitor *m,
                             const struct ulv_monitor_image *image,
                             struct ulv_diag *diag);

/**
 * Write what the monitor knows of its guest, which is paused and stays so.
 * room: ULV_MONITOR_SAVED_BYTES and, for each processor, the backend's
 * state_bytes_max and ULV_MONITOR_SAVED_BYTES.
 * Errors: STATE (not paused, ended, about to fault), BUSY (memory or a channel
 * is on its way), UNSUPPORTED, LIMIT, and the backend's.
 */
#define ULV_MONITOR_SAVED_BYTES UINT64_C(64)
ulv_status ulv_monitor_save(struct ulv_monitor *m, void *to, uint64_t room,
                            uint64_t *ret_bytes, struct ulv_diag *diag);
/* Keep account of the pages that the guest writes, or no more. */
ulv_status ulv_monitor_track(struct ulv_monitor *m, bool on,
                             struct ulv_diag *diag);
/* Those written since, or since the last time: a bit a page, in ascending order
 * of all memory that the guest has. Errors: BUSY, LIMIT, UNSUPPORTED. */
ulv_status ulv_monitor_written(struct ulv_monitor *m, uint64_t *bitmap,
                               uint64_t room, struct ulv_diag *diag);
/* Whether such bytes, which may be anybody's, can be restored on this host, as
 * far as that can be told without a guest. */
ulv_status ulv_monitor_saved_check(const struct ulv_host *host,
                                   const struct ulv_backend_ops *backend,
                                   const void *from, uint64_t bytes,
                                   struct ulv_save_monitor *ret,
                                   struct ulv_diag *diag);
/**
 * In place of a start: the guest, whose memory is there, goes on where it was
 * saved. Errors: CONFLICT (it is another guest's), and those of start.
 */
ulv_status ulv_monitor_restore(struct ulv_monitor *m, const void *from,
                               uint64_t bytes, struct ulv_diag *diag);

/*
 * Debugging (debug.c). A guest that is halted keeps its state, like one that is
 * paused; its view is followed meanwhile.
 */
/* Before its start: its machine can be debugged; hold: it is halted before its
 * first instruction. */
void ulv_monitor_debug(struct ulv_monitor *m, bool hold);
/* Halt every processor. */
void ulv_monitor_halt(struct ulv_monitor *m);

struct ulv_monitor_stop {
    uint32_t processor;
    uint32_t cause;   /* ULV_DEBUG_*; 0: it was asked to */
    uint64_t address; /* of a point */
};
/* true once for each time that it was halted. */
bool ulv_monitor_halted(struct ulv_monitor *m, struct ulv_monitor_stop *ret);
/* Processors that the guest has started, a bit each; of 64 at most. */
uint64_t ulv_monitor_processors(const struct ulv_monitor *m);
/* Of one that is halted. Errors: UNSUPPORTED, STATE, and the backend's. */
ulv_status ulv_monitor_registers(struct ulv_monitor *m, uint32_t processor,
                                 struct ulv_registers *ret);
ulv_status ulv_monitor_set_registers(struct ulv_monitor *m, uint32_t processor,
                                     const struct ulv_registers *registers);
/* Those of run go on, one instruction those of step; the others stay. Errors:
 * the backend's: then it stays halted, and is so anew. */
ulv_status ulv_monitor_go_on(struct ulv_monitor *m, uint64_t run, uint64_t step,
                             const struct ulv_debug *debug);
/* As if it had never been debugged. */
void ulv_monitor_let(struct ulv_monitor *m);

/* What came of a step. */
#define ULV_MONITOR_BUSY    0u /* step again at once */
#define ULV_MONITOR_WAITING 1u /* step when a watched handle is ready, or at
                                  *ret_deadline */
#define ULV_MONITOR_ENDED   2u /* ulv_monitor_end() says why */

/**
 * Run the guest for budget_ns at most, answer what it asks.
 * Context: the owner's thread; blocks no longer than the budget.
 */
uint32_t ulv_monitor_step(struct ulv_monitor *m, ulv_nsec budget_ns,
                          ulv_nsec *ret_deadline);

/* End the guest from outside: reason KILLED. */
void ulv_monitor_kill(struct ulv_monitor *m);

/* Borrowed, valid as long as the monitor; reason NONE while it runs. */
const struct ulv_end *ulv_monitor_end(const struct ulv_monitor *m);

/* Processor time [ns] that the guest has used in processes of its own: 0 where
 * it runs in ours. */
ulv_nsec ulv_monitor_used(struct ulv_monitor *m);

/* The view generation of which everything is done, for the acknowledgement. */
uint64_t ulv_monitor_generation(const struct ulv_monitor *m);

#endif
