/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef MONITOR_MONITOR_PRIV_H
#define MONITOR_MONITOR_PRIV_H

#include "base/base.h"
#include "monitor/monitor.h"
#include "monitor/trace.h"
#include "view/read.h"

/* How long one of several processors that share our thread runs at a time. */
#define SLICE_NS UINT64_C(500000)
/* How often a guest that runs beside us is looked at for its silence. */
#define SILENCE_LOOK_NS UINT64_C(50000000)

/* Memory that was handed over. */
#define EXTENT_HANDED  0u /* the view does not list it yet */
#define EXTENT_OFFERED 1u /* it does; the guest has not accepted it */
#define EXTENT_MAPPED  2u
#define EXTENT_GIVEN   3u /* back by the guest; the view still lists it */

struct extent {
    ulv_id id;
    uint64_t guest, bytes;
    ulv_handle memory; /* closed once mapped */
    uint8_t *p;        /* MAPPED: where we have it */
    uint32_t state;
    uint64_t listed; /* by the view of that generation */
    ulv_nsec revoke_at; /* the guest may keep it until then; 0: for good */
};

/* A channel: one that was handed over and is in no slot yet, or a slot. */
struct slot {
    struct slot *next; /* handed over */
    ulv_id channel;    /* slot: 0 = none */
    ulv_handle memory, own_bell, peer_bell;
    uint64_t guest, bytes;
    void *mapping; /* of all its bytes, for the backend */
    bool in_view;  /* and so usable by the guest */
    bool refused;  /* it could not be mapped */
    uint32_t target; /* processor, of one that interrupts */
    uint64_t listed;
    ulv_nsec revoke_at;
};

struct processor {
    void *vcpu;
    bool made;
    bool on;    /* started: 0 from the beginning, others by ULV_CALL_START */
    bool idle;  /* runs beside us and had no exit yet, in this step */
    bool waiting; /* in ULV_CALL_WAIT */
    bool asleep;  /* waiting, in the backend: an interrupt ends that */
    bool handles; /* it has a handler */
    bool interrupted; /* by us, since it last waited */
    bool called; /* in the stay under way, and answered there */
    ulv_handle event; /* watched; ULV_NO_HANDLE: it runs in our thread */
    ulv_nsec wait_deadline;
    uint64_t slots;  /* that interrupt it */
    uint64_t woken; /* ULV_WAIT_*_MASK it was not yet told of */
    ulv_nsec last_call, silence; /* ns run since the last call */
    uint64_t quanta;     /* in which it may run: the view's */
    ulv_nsec yielded;    /* until then it has given its turn up */
    bool held;           /* does not run, wherever it is let run otherwise */
    bool halted;         /* by a debugger, while others run */
    ulv_nsec held_since;
};

struct stock;

struct ulv_monitor {
    struct ulv_monitor_cfg cfg;
    struct stock *stock; /* of a stock guest, or NULL */
    struct ulv_view_reader view; /* the monitor's part */
    void *view_mapping, *guest_view_mapping;
    uint64_t view_bytes, guest_view_bytes;
    ulv_handle guest_view; /* closed once mapped */
    ulv_handle bell;
    uint64_t generation; /* of which all is as the view says */
    uint64_t reading;    /* that is being followed */
    bool look;           /* at the view again: something was handed over */
    ulv_nsec revoke_at;  /* when the next grace ends; ULV_FOREVER: none */
    struct ulv_view_partition partition;

    struct extent *extents;
    uint32_t extent_count, extent_capacity;
    struct slot *handed;
    struct slot slot[ULV_SLOT_COUNT]; /* as the view numbers them */

    void *machine;
    bool machine_made, started;
    struct processor *processor;
    uint32_t processor_count;
    uint32_t turn; /* whose it is, of those that run in our thread */
    struct processor *current; /* that has called */

    bool paused;
    bool debug;  /* the machine is made to be debugged */
    bool halted; /* by a debugger, all of it */
    bool told;   /* that it is, and why: stop */
    struct ulv_monitor_stop stop;
    /* NULL until there is a debugger: an exit DEBUG */
    void (*on_debug)(struct ulv_monitor *m, struct processor *p,
                     const struct ulv_exit_debug *exit);
    uint64_t pending; /* doorbells not yet told to the guest */
    uint64_t interrupting; /* slots of which nobody waits for the doorbell */
    ulv_nsec start_time;
    ulv_nsec time_before; /* of the guest's clock: before it was restored */
    uint32_t credit; /* limited calls that it may make now */
    ulv_nsec credit_time;
    ulv_nsec used; /* by processors that are no more */
    struct ulv_end end;
    struct ulv_trace *trace; /* or NULL */
};

/* What a call comes back with, and whether it comes back now. */
struct answer {
    int64_t status;
    uint64_t value;
    bool later; /* ULV_CALL_WAIT sleeps; STOP and its like never return */
};

/* In the way of every call, also where the code is made small. */
#define IN_THE_WAY static inline __attribute__((always_inline))

/* 0 in an image of which no backend interrupts its guests: then nothing of
 * interrupt.c is left in it, and no such partition is started. */
#ifndef ULV_MONITOR_INTERRUPTS
#define ULV_MONITOR_INTERRUPTS 1
#endif

IN_THE_WAY bool
interrupts(const struct ulv_monitor *m)
{
    return ULV_MONITOR_INTERRUPTS && m->interrupting != 0;
}

IN_THE_WAY bool
has_handler(const struct processor *p)
{
    return ULV_MONITOR_INTERRUPTS && p->handles;
}

IN_THE_WAY bool
is_asleep(const struct processor *p)
{
    return ULV_MONITOR_INTERRUPTS && p->asleep;
}

/* monitor.c: all but what runs, and what it needs to be let run */
ulv_status ulv_monitor_ready(struct ulv_monitor *m, struct ulv_diag *diag);
ulv_status ulv_monitor_go(struct ulv_monitor *m, uint64_t entry,
                          struct ulv_diag *diag);
void ulv_monitor_close(const struct ulv_monitor *m, ulv_handle *h);
void ulv_monitor_close_watched(const struct ulv_monitor *m, ulv_handle *h);
/* The guest must be gone before what it had mapped is. */
void ulv_monitor_end_machine(struct ulv_monitor *m);
void ulv_monitor_trace(const struct ulv_monitor *m, uint32_t kind,
                       uint64_t number, uint64_t argument, int64_t result);

IN_THE_WAY void
trace(const struct ulv_monitor *m, uint32_t kind, uint64_t number,
      uint64_t argument, int64_t result)
{
    if (m->trace != NULL)
        ulv_monitor_trace(m, kind, number, argument, result);
}

/* system_call.c */
void ulv_monitor_call(struct ulv_monitor *m, const struct ulv_exit_call *call);
/* For ulv_machine_cfg.call: those that need not end the stay. */
bool ulv_monitor_call_at_once(void *self, const struct ulv_exit_call *call,
                              int64_t *ret_status, uint64_t *ret_value);
void ulv_monitor_collect_bells(struct ulv_monitor *m);
/* Whether the guest may make another call that is limited; takes it. */
bool ulv_monitor_take_credit(struct ulv_monitor *m);
/* A time on the guest's clock as one on the host's; ULV_FOREVER: never. */
ulv_nsec ulv_monitor_host_time(const struct ulv_monitor *m, uint64_t time);
/* fault end, in words */
void ulv_monitor_fault(struct ulv_monitor *m,
                       const struct ulv_exit_fault *fault);
/* Copy out of the guest's memory; false if any of it is not memory. */
bool ulv_monitor_copy_in(const struct ulv_monitor *m, uint64_t guest,
                         void *buf, uint64_t len);
/* run.c: the view changed, something was handed over, or a grace is over;
 * now: look in any case, the guest may have seen what we have not. */
void ulv_monitor_follow_view(struct ulv_monitor *m, bool now);
/* schedule.c: whether the map lets it run; until: when that changes. */
bool ulv_monitor_in_turn(const struct processor *p, ulv_nsec now,
                         ulv_nsec *ret_until);
/* It gives up the rest of its quantum, where there is a map. */
void ulv_monitor_yield(struct ulv_monitor *m, struct processor *p);
/* Keep it from running, or let it; its silence does not count meanwhile. */
void ulv_monitor_hold(struct ulv_monitor *m, struct processor *p, bool hold);
/* What the view says; false: it must be read anew. */
bool ulv_monitor_read_quanta(struct ulv_monitor *m);
/* run.c: of a guest that is paused; what its processors have called for is
 * answered, and nothing is under way. */
void ulv_monitor_settle(struct ulv_monitor *m);
/* follow.c: make it so as the view says. AGAIN: something is still to come, or
 * the guest may keep for a while what it loses; BUSY: the publisher was faster,
 * read anew. starting: all at once. */
ulv_status ulv_monitor_follow(struct ulv_monitor *m, bool starting,
                              struct ulv_diag *diag);
void ulv_monitor_follow_fini(struct ulv_monitor *m);
ulv_status ulv_monitor_accept(struct ulv_monitor *m, uint64_t guest,
                              uint64_t *ret_bytes);
ulv_status ulv_monitor_release(struct ulv_monitor *m, uint64_t guest,
                               uint64_t *ret_bytes);
/* Its right to signal has changed. */
void ulv_monitor_set_doorbells(const struct ulv_monitor *m);
/* The guest gives up a channel; nothing happens to one that it may keep. */
void ulv_monitor_detach(struct ulv_monitor *m, uint32_t slot);
/* End of the memory that begins at ULV_GUEST_RAM_BASE and has no hole. */
uint64_t ulv_monitor_ram_end(const struct ulv_monitor *m);
/* Where a guest address is mapped, and for how many bytes; NULL: nowhere. */
uint8_t *ulv_monitor_memory_at(const struct ulv_monitor *m, uint64_t guest,
                               uint64_t *ret_bytes);
/* interrupt.c: what has rung of slots that interrupt is injected */
void ulv_monitor_interrupt(struct ulv_monitor *m);
/* From now on the bell of that slot interrupts p, which has a handler. */
void ulv_monitor_begin_interrupt(struct ulv_monitor *m, struct processor *p,
                                 uint32_t slot);
/* A slot that interrupts goes. */
void ulv_monitor_end_interrupt(struct ulv_monitor *m, uint32_t slot);
/* Of a processor that has called: nothing interrupts it any more. */
void ulv_monitor_end_interrupts(struct ulv_monitor *m, struct processor *p);
void ulv_monitor_call_handler(struct ulv_monitor *m, const uint64_t argument[4],
                              struct answer *a);
void ulv_monitor_call_interrupts(struct ulv_monitor *m,
                                 const uint64_t argument[4], struct answer *a);
/* Of one with a handler that would wait: whether it may; then it may sleep. */
bool ulv_monitor_may_wait(struct ulv_monitor *m, struct processor *p);
/* Of one that is asleep: whether an interrupt has ended its wait. wake: it is
 * not asleep any more, and if nothing has, is to be answered. */
bool ulv_monitor_is_up(struct ulv_monitor *m, struct processor *p, bool wake);
/* stock.c: of a stock guest. Room for its state; whether the backend can. */
ulv_status ulv_stock_make(struct ulv_monitor *m, struct ulv_diag *diag);
void ulv_stock_fini(struct ulv_monitor *m);
/* In place of loading an image of the SDK. */
ulv_status ulv_stock_start(struct ulv_monitor *m,
                           const struct ulv_monitor_image *image,
                           struct ulv_diag *diag);
/* For the backend: an access, answered on the spot; self: the monitor. */
bool ulv_stock_io(void *self, const struct ulv_exit_io *io,
                  uint64_t *ret_value);
/* ULV_EXIT_IO, ULV_EXIT_HALTED */
void ulv_stock_exit(struct ulv_monitor *m, const struct ulv_exit *out);
/* Before it runs, and after its end: what it said goes out. */
void ulv_stock_step(struct ulv_monitor *m);

static inline bool
is_stock(const struct ulv_monitor *m)
{
    return ULV_STOCK_KERNELS && m->stock != NULL;
}

/* image.c: for the loader, which reads it; self: what to read */
struct image_source {
    const struct ulv_host *host;
    ulv_handle medium;
};
ulv_status ulv_monitor_read_image(void *self, uint64_t offset, void *buf,
                                  size_t len);
ulv_status ulv_monitor_load(struct ulv_monitor *m,
                            const struct ulv_monitor_image *image,
                            uint64_t *ret_entry, struct ulv_diag *diag);

#endif
