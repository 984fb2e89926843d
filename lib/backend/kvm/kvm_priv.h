/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef BACKEND_KVM_KVM_PRIV_H
#define BACKEND_KVM_KVM_PRIV_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <time.h>

#include "backend/kvm/kvm.h"
#include "backend/kvm/chunks.h"
#include "base/base.h"
#include "monitor/regions.h"

/*
 * Guest-physical memory below 4 MiB is the backend's own: supervisor-only but
 * for the gate page. Everything the processor needs to come back from a fault.
 */
#define LOW_BYTES   ULV_GUEST_RAM_BASE
#define PML4        UINT64_C(0x1000)
#define GDT         UINT64_C(0x2000)
#define TSS         UINT64_C(0x2800) /* TSS_ROOM a processor */
#define IDT         UINT64_C(0x3000)
#define STACK       UINT64_C(0x4000) /* of exceptions; STACK_ROOM each */
#define STUBS       UINT64_C(0x5000) /* STUB_BYTES a vector */
#define INTERRUPTS  UINT64_C(0x6000) /* interrupt.c; INTERRUPT_ROOM each */
#define TABLES      UINT64_C(0x7000) /* page tables from here */
#define TABLES_END  UINT64_C(0x3e0000)
#define PAGE        UINT64_C(4096)
#define LARGE       UINT64_C(0x200000)

#define VCPUS_MAX   16u
#define TSS_ROOM    UINT64_C(128)
#define STACK_ROOM  UINT64_C(256)
#define INTERRUPT_ROOM STACK_ROOM
#define STUB_BYTES  4u

#define REGIONS_MAX 16640u /* 16 384 extents, the view, channels */

/* The ports a guest may write: a call; the doorbell of a slot, 4 bytes, which
 * KVM rings by itself where it was told to. */
#define GATE_PORT     0x5a
#define DOORBELL_PORT 0x5c
/* That only what runs at CPL0 may write: an exception, with an APIC. */
#define FAULT_PORT    0x58

#define SELECTOR_CODE0 0x08
#define SELECTOR_DATA0 0x10
#define SELECTOR_DATA3 0x1b
#define SELECTOR_CODE3 0x23
#define SELECTOR_TSS   0x28 /* of processor 0; each 16 further */

/* What CPL3 can change of rflags, and bit 1; SDM vol. 1, 3.4.3. */
#define FLAGS_MASK UINT64_C(0x254dd7)
/* What is always set: bit 1, and IF; in a handler, bit 1. */
#define FLAGS_SET        UINT64_C(0x202)
#define FLAGS_SET_MASKED UINT64_C(2)

struct cpuid {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entry[128];
};

/* interrupt.c: what is saved of interrupts; doc/formats/save.md */
struct interrupted {
    uint64_t entry, stack; /* of the handler; entry 0: none */
    uint64_t pending;      /* vectors, a bit each */
    uint32_t active;       /* 1: it is in its handler, and goes on there: */
    uint32_t rsvd_;
    uint64_t rip, rflags, rsp, rdi;
};

/* state.c: what a saved processor has at most */
#define STATE_BYTES_MAX ((size_t)16384)

/* thread.c: a thread that runs one vcpu, and what it and the monitor's thread
 * tell one another under the lock. */
#define THREAD_CONFINE 0u /* not yet in its sandbox */
#define THREAD_IDLE    1u /* nothing to do: what came of the stay was taken */
#define THREAD_RUN     2u /* it runs the guest, or is about to */
#define THREAD_DONE    3u /* the stay is over: status */
#define THREAD_END     4u

struct thread {
    struct vcpu *vcpu; /* while it is in state RUN */
    const struct ulv_machine_cfg *cfg;
    pthread_t id;
    bool made, held;
    int event; /* readable in state DONE */
    uint32_t state;
    ulv_status status;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* memory.c: what KVM has at [physical, physical + bytes) */
struct slot {
    uint64_t physical, bytes;
    uint8_t *host; /* shows it: memory where there is some */
    void *reserved;
    uint64_t reserved_bytes;
};

/* vcpu.c: what KVM has of a vcpu */
struct kvm_vcpu {
    int fd;
    struct kvm_run *run;
};

struct machine {
    struct ulv_machine_cfg cfg;
    bool made;
    bool wants_spare;      /* once its guest has run */
    struct kvm_vcpu first; /* of a spare: vcpu 0, until somebody asks for it */
    struct thread *thread; /* one a vcpu, or NULL */
    int vm_fd;
    int run_bytes;
    const struct cpuid *host_cpuid; /* shared by all machines */
    uint8_t *low;        /* LOW_BYTES */
    uint64_t next_table; /* offset in low; never used from here on */
    uint64_t free_table; /* offset of the first of a list, or 0 */
    uint64_t left_table; /* of those that a processor may still walk */
    struct ulv_regions regions;
    uint32_t regions_room; /* how many regions.region has room for */
    struct chunks *chunks;
    struct slot slot[SLOTS_MAX];
    uint32_t slot_count;
    int bell[ULV_SLOT_COUNT]; /* eventfd that KVM rings, or -1 */
    bool bells_told; /* KVM knows of them */
    bool splits, has_chip;       /* cfg.interrupts: of which kind, and made */
    int bound[ULV_VECTOR_COUNT]; /* eventfd that KVM hears, or -1 */
    uint8_t route[ULV_VECTOR_COUNT]; /* the vcpu that a bell is for */
    bool can_track, tracks; /* which pages the guest writes */
    uint64_t *log; /* a slot's, as it was last read */
    uint64_t log_bytes;
    struct stock_region *stock; /* of a stock guest: STOCK_REGIONS, or NULL */
};

/* spare.c: what its thread and who takes the machine tell one another under the
 * lock. */
#define SPARE_WANTED 0u /* the thread makes it, or is about to */
#define SPARE_DONE   1u /* it is there, or cannot be had */
#define SPARE_GONE   2u
#define SPARE_END    3u

struct spare {
    struct ulv_machine_cfg cfg; /* of the machine */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t state; /* SPARE_* */
    bool there, asked; /* the machine; for one, once at least */
    struct machine machine;
};

/* Memory of a stock guest; its place here is the number of its slot. */
#define STOCK_REGIONS ULV_REGIONS_MAX
struct stock_region {
    uint64_t guest, bytes; /* 0: free */
};

struct vcpu {
    struct machine *machine;
    struct thread *thread; /* NULL: it runs in the caller's */
    uint32_t idx;
    struct cpuid cpuid; /* what it is shown */
    bool made, has_timer, thread_known;
    int fd;
    struct kvm_run *run;
    timer_t timer;
    pid_t thread_id; /* that is kicked, and the timer belongs to */
    pthread_t owner; /* the same */
    uint32_t running; /* RUN_*: hand-shake with kick */
    uint32_t kicked;
    sigset_t run_mask; /* the thread's mask that KVM_RUN was told of */
    bool ended;
    bool sleeps;       /* since it had so many interrupts */
    uint64_t slept_at;
    struct ulv_debug debug; /* what KVM was asked for */
    bool lost; /* its last stay ended for memory that is not there */
    /* of a stock guest */
    bool in_string;   /* more of a string access is to be told */
    bool halted;      /* for ever */
    uint32_t io_next; /* element of it that is being told, or is next */
};

/* kvm.c. Zeroed; afterwards, whatever is returned, it may be finished. */
ulv_status ulv_kvm_machine_make(struct machine *m,
                                const struct ulv_machine_cfg *cfg,
                                struct ulv_diag *diag);
void ulv_kvm_machine_fini(void *machine);

/* spare.c. Context of take: any */
ulv_status ulv_kvm_spare_init(void *spare, const struct ulv_host *host);
void ulv_kvm_spare_fini(void *spare);
/* false: there is none that serves, and none to be had. */
bool ulv_kvm_spare_take(struct machine *m, const struct ulv_machine_cfg *cfg);
/* Of one that wants it. */
void ulv_kvm_spare_want(struct machine *m);

/* kvm.c: before the first run */
void ulv_kvm_tell_bells(struct machine *m);
bool ulv_kvm_has_all(int kvm_fd, const long *capability, size_t count);

/* interrupt.c, of machines with cfg.interrupts */
bool ulv_kvm_interrupts_can(int kvm_fd);
ulv_status ulv_kvm_interrupts_init(struct machine *m, int kvm_fd,
                                   struct ulv_diag *diag);
/* Stubs, and what lies at the gate before it; returns its bytes. */
uint64_t ulv_kvm_interrupts_lay(struct machine *m);
/* Before the first vcpu. */
ulv_status ulv_kvm_interrupts_chip(struct machine *m, struct ulv_diag *diag);
void ulv_kvm_interrupts_show(struct cpuid *c);
void ulv_kvm_interrupts_registers(struct kvm_sregs *s);
ulv_status ulv_kvm_interrupts_reset(struct vcpu *v, struct ulv_diag *diag);
/* Whether a division there is the end of a handler. */
bool ulv_kvm_is_door(const struct machine *m, uint64_t rip);
/* What is on its way between the guest and its handler is undone, or carried
 * out, in the registers. STATE: it is about to fault. */
ulv_status ulv_kvm_interrupts_save(const struct vcpu *v, bool at_cpl3,
                                   struct kvm_regs *regs,
                                   struct interrupted *ret,
                                   struct ulv_diag *diag);
/* FORMAT: what a saved processor cannot have. */
ulv_status ulv_kvm_bad(struct ulv_diag *diag, const char *what, uint64_t value,
                       uint64_t bound);
ulv_status ulv_kvm_interrupts_check(const struct interrupted *from,
                                    struct ulv_diag *diag);
/* After a reset. */
ulv_status ulv_kvm_interrupts_restore(const struct vcpu *v,
                                      const struct interrupted *from,
                                      struct ulv_diag *diag);
ulv_status ulv_kvm_vcpu_handler(void *vcpu, ulv_gpa entry, ulv_gpa stack);
ulv_status ulv_kvm_vcpu_inject(void *vcpu, uint32_t vector);
bool ulv_kvm_vcpu_withdraw(void *vcpu, uint32_t vector);
ulv_status ulv_kvm_vcpu_bind(void *vcpu, uint32_t vector, ulv_handle bell);
bool ulv_kvm_vcpu_sleep(void *vcpu, bool sleep);
bool ulv_kvm_vcpu_sleeps(void *vcpu);

/* memory.c */
ulv_status ulv_kvm_memory_init(struct machine *m, struct ulv_diag *diag);
/* Also of what is half made. */
void ulv_kvm_memory_fini(struct machine *m);
ulv_status ulv_kvm_map(void *machine, ulv_gpa guest, uint64_t bytes,
                       ulv_handle memory, uint64_t offset, void *p,
                       uint32_t access);
ulv_status ulv_kvm_unmap(void *machine, ulv_gpa guest, uint64_t bytes);
ulv_status ulv_kvm_track(void *machine, bool on);
ulv_status ulv_kvm_collect(void *machine, ulv_gpa guest, uint64_t bytes,
                           uint64_t *bitmap);
/* All that a processor, or KVM, has made of the page tables: when a slot goes,
 * KVM makes everything anew. false: it may not have. */
bool ulv_kvm_forget(const struct machine *m);

/* paging.c */
void ulv_kvm_low_init(struct machine *m);
void ulv_kvm_set_gate(struct machine *m, uint64_t vector, uint64_t target,
                      uint64_t level, uint64_t stack);
/* Map what KVM has at physical, or unmap, in the page tables. Errors: NO_MEMORY
 * (of page tables). */
ulv_status ulv_kvm_page_map(struct machine *m, uint64_t guest,
                            uint64_t physical, uint64_t bytes,
                            uint32_t access);
void ulv_kvm_page_unmap(struct machine *m, uint64_t guest, uint64_t bytes);
/* Page tables that have become empty can be used again; false: none. */
bool ulv_kvm_page_recover(struct machine *m);

/* thread.c. As pthread_create(3); no signal of the program reaches it. */
int ulv_kvm_thread_begin(pthread_t *ret, void *(*function)(void *),
                         void *argument);
/* Errors: NO_MEMORY, and those of cfg.confine. */
ulv_status ulv_kvm_threads_make(struct machine *m, struct ulv_diag *diag);
void ulv_kvm_threads_end(struct machine *m);
/* AGAIN: the guest runs, or may not, and nothing came of it yet; otherwise as
 * ulv_kvm_stay(). */
ulv_status ulv_kvm_thread_run(struct vcpu *v);
/* Until it is let go: the guest does not run. */
void ulv_kvm_thread_hold(struct vcpu *v, bool hold);

/* vcpu.c */
/* One stay in the guest, in this thread, until an exit or a kick; budget_ns 0:
 * only look, ULV_FOREVER: no budget. AGAIN: nothing came of it. */
ulv_status ulv_kvm_stay(struct vcpu *v, ulv_nsec budget_ns);
/* On failure ret is as far as it came. */
ulv_status ulv_kvm_vcpu_make(struct machine *m, uint32_t idx,
                             struct kvm_vcpu *ret, struct ulv_diag *diag);
void ulv_kvm_vcpu_unmake(const struct machine *m, const struct kvm_vcpu *vcpu);
ulv_status ulv_kvm_vcpu_init(void *vcpu, void *machine, uint32_t idx,
                             ulv_gpa entry, ulv_gpa stack, uint64_t argument,
                             struct ulv_diag *diag);
/* By QEMU: it lacks some of what a processor does for its guests. */
bool ulv_kvm_is_emulated(void);
/* Of the task in TR, which has a guest's permissions for ports. */
uint8_t ulv_kvm_task_type(void);
void ulv_kvm_vcpu_fini(void *vcpu);
ulv_status ulv_kvm_vcpu_start(void *vcpu, ulv_gpa entry, ulv_gpa stack,
                              uint64_t argument);
ulv_handle ulv_kvm_vcpu_event(void *vcpu);
ulv_status ulv_kvm_vcpu_run(void *vcpu, ulv_nsec budget_ns,
                            struct ulv_exit *out);
void ulv_kvm_vcpu_answer(void *vcpu, int64_t status, uint64_t value);
void ulv_kvm_vcpu_kick(void *vcpu);
ulv_status ulv_kvm_vcpu_registers(void *vcpu, struct ulv_registers *ret);
/* What the host's processor can do, as KVM allows it: asked once a process.
 * NULL: errno says why not. */
const struct cpuid *ulv_kvm_cpuid(int kvm_fd);
/* cpuid.c: for processor idx of count, at a level ULV_CPU_* */
void ulv_kvm_cpuid_make(const struct cpuid *host, uint32_t level, uint32_t idx,
                        uint32_t count, uint32_t tsc_khz, struct cpuid *ret);
/* NULL: it has no such leaf. */
const struct kvm_cpuid_entry2 *ulv_kvm_cpuid_leaf(const struct cpuid *c,
                                                  uint32_t function,
                                                  uint32_t index);
/* The extended state that it promises. */
uint64_t ulv_kvm_cpuid_xcr0(const struct cpuid *c);
ulv_status ulv_kvm_error(struct ulv_diag *diag, const char *what);
/* Show it v->cpuid, and let it use the extended state that this promises. */
ulv_status ulv_kvm_set_cpuid(const struct vcpu *v, struct ulv_diag *diag);
/* All that is not a guest's to change. */
ulv_status ulv_kvm_set_system_registers(const struct vcpu *v,
                                        struct ulv_diag *diag);

/* Leaves and bits that a kernel needs, at any level: of a stock guest. */
void ulv_kvm_cpuid_add_kernel(const struct cpuid *host, struct cpuid *c);

/* stock.c: guests of kind ULV_MACHINE_STOCK; what KVM needs for them */
#define ULV_KVM_FOR_STOCK_COUNT 7
extern const long ulv_kvm_for_stock[ULV_KVM_FOR_STOCK_COUNT];
/* After the machine was made, before its first vcpu. */
ulv_status ulv_kvm_stock_init(struct machine *m, struct ulv_diag *diag);
void ulv_kvm_stock_fini(struct machine *m);
/* In place of the functions of the table. */
ulv_status ulv_kvm_stock_map(struct machine *m, uint64_t guest, uint64_t bytes,
                             const void *p, uint32_t access);
ulv_status ulv_kvm_stock_unmap(struct machine *m, uint64_t guest,
                               uint64_t bytes);
ulv_status ulv_kvm_stock_line(void *machine, uint32_t line, bool high);
ulv_status ulv_kvm_stock_enter(void *vcpu, const struct ulv_entry *entry,
                               struct ulv_diag *diag);
/* What an exit means; an access, answered; whether it was answered on the spot,
 * by cfg.io. */
void ulv_kvm_stock_exit(struct vcpu *v, struct ulv_exit *out);
void ulv_kvm_stock_answer(struct vcpu *v, uint64_t value);
bool ulv_kvm_stock_at_once(struct vcpu *v);
/* Whether it sleeps and lets no interrupt in. In the thread that ran it. */
bool ulv_kvm_stock_halted(const struct vcpu *v);

/* state.c */
ulv_status ulv_kvm_vcpu_save(void *vcpu, void *buf, size_t capacity,
                             size_t *ret_bytes, struct ulv_diag *diag);
ulv_status ulv_kvm_vcpu_restore(void *vcpu, const void *state, size_t bytes,
                                struct ulv_diag *diag);
ulv_status ulv_kvm_state_check(const struct ulv_host *host, const void *state,
                               size_t bytes, struct ulv_diag *diag);

/* debug.c */
uint32_t ulv_kvm_debug_caps(void);
ulv_status ulv_kvm_vcpu_set_registers(void *vcpu,
                                      const struct ulv_registers *from);
ulv_status ulv_kvm_vcpu_debug(void *vcpu, const struct ulv_debug *debug);
void ulv_kvm_debug_exit(struct vcpu *v, struct ulv_exit *out);
/* An exception that came to the guest, with its frame: whether it is what a
 * debugger asked for. */
bool ulv_kvm_debug_exception(struct vcpu *v, uint32_t vector,
                             const uint64_t frame[6], struct ulv_exit *out);

/* fault.c: what an exception that came to a stub, or another exit, means */
bool ulv_kvm_is_exception(const struct kvm_run *run);
void ulv_kvm_exception(struct vcpu *v, struct ulv_exit *out);
void ulv_kvm_other_exit(struct vcpu *v, struct ulv_exit *out);
void ulv_kvm_take_registers(const struct kvm_regs *from,
                            struct ulv_registers *to);

#endif
