/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef MONITOR_MONITOR_PRIV_H
#define MONITOR_MONITOR_PRIV_H

#include "base/base.h"
#include "monitor/monitor.h"
#include "view/read.h"

/* Lines in the log a guest may have in a row, and how fast it earns more. */
#define LOG_BURST      64u
#define LOG_EARN_NS    UINT64_C(10000000) /* one line in 10 ms */
/* How often a guest that runs beside us is looked at for its silence. */
#define SILENCE_LOOK_NS UINT64_C(50000000)

struct extent {
    struct extent *next;
    ulv_id id;
    ulv_handle memory; /* closed once mapped */
    uint64_t bytes;
};

struct slot {
    ulv_id channel; /* 0: nothing handed over */
    ulv_handle memory, own_bell, peer_bell;
    uint64_t bytes;
    void *mapping; /* of all its bytes, for the backend */
    bool in_view; /* and so usable by the guest */
};

/* A piece of the guest's memory as the monitor has it mapped. */
struct region {
    uint64_t guest, bytes;
    uint8_t *p;
};

struct ulv_monitor {
    struct ulv_monitor_cfg cfg;
    struct ulv_view_reader view; /* the monitor's part */
    void *view_mapping, *guest_view_mapping;
    uint64_t view_bytes, guest_view_bytes;
    ulv_handle guest_view; /* closed once mapped */
    ulv_handle bell;
    uint64_t generation;
    struct ulv_view_partition partition;

    struct extent *extents;
    struct region *regions;
    uint32_t region_count, region_capacity;
    /* By order of arrival until start, by the view's slot from then on. */
    struct slot slot[ULV_SLOT_COUNT];
    uint32_t slot_count;

    void *machine, *vcpu;
    bool machine_made, vcpu_made, started;
    ulv_handle vcpu_event; /* watched; ULV_NO_HANDLE: none */

    bool waiting; /* in ULV_CALL_WAIT */
    ulv_nsec wait_deadline;
    uint64_t pending; /* doorbells not yet told to the guest */
    ulv_nsec start_time;
    ulv_nsec last_call, silence; /* ns run since the last call */
    bool called; /* in the stay under way, and answered there */
    uint32_t log_credit;
    ulv_nsec log_time;
    struct ulv_end end;
};

/* system_call.c */
void ulv_monitor_call(struct ulv_monitor *m, const struct ulv_exit_call *call);
/* For ulv_machine_cfg.call: those that need not end the stay. */
bool ulv_monitor_call_at_once(void *self, const struct ulv_exit_call *call,
                              int64_t *ret_status, uint64_t *ret_value);
void ulv_monitor_collect_bells(struct ulv_monitor *m);
/* fault end, in words */
void ulv_monitor_fault(struct ulv_monitor *m,
                       const struct ulv_exit_fault *fault);
/* Copy out of the guest's memory; false if any of it is not memory. */
bool ulv_monitor_copy_in(const struct ulv_monitor *m, uint64_t guest,
                         void *buf, uint64_t len);
/* image.c: map and load */
ulv_status ulv_monitor_map_all(struct ulv_monitor *m, struct ulv_diag *diag);
void ulv_monitor_close_memory(struct ulv_monitor *m);
ulv_status ulv_monitor_load(struct ulv_monitor *m, ulv_handle image,
                            uint64_t image_bytes, uint64_t *ret_entry,
                            struct ulv_diag *diag);

#endif
