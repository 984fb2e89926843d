/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The backend interface: how a monitor runs a guest. A backend maps what it
 * is told to map, runs virtual processors, and says why they came back. It
 * decides nothing and believes nobody: the monitor checks the frame table and
 * the view before it calls map.
 *
 * For authors of backends; lib/backend/mock is the smallest complete one, and
 * every backend passes the kit of <ultravisor/sys/conformance.h>.
 *
 * One machine = one partition. All calls on a machine and on its vcpus come
 * from the thread that owns it, except vcpu_kick and vcpu_inject (any thread).
 */
#ifndef ULTRAVISOR_SYS_BACKEND_H
#define ULTRAVISOR_SYS_BACKEND_H

#include <ultravisor/abi/system_call.h>
#include <ultravisor/sys/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/* map: what the guest may do there (reading is implied) */
#define ULV_GUEST_WRITE   UINT32_C(1)
#define ULV_GUEST_EXECUTE UINT32_C(2)

struct ulv_backend_caps {
    uint32_t size;
    uint32_t vcpus_max;         /* per machine */
    uint64_t guest_address_max; /* highest mappable byte + 1 */
    uint32_t regions_max;       /* how many map calls may stand at once */
    uint32_t can_save_registers; /* vcpu_registers works (0 or 1) */
    uint32_t can_remap; /* map and unmap work after the first run (0 or 1) */
    uint32_t can_thread; /* ulv_machine_cfg.threads is heeded (0 or 1) */
    uint32_t can_save;   /* vcpu_save and what belongs to it work (0 or 1) */
    uint32_t state_bytes_max; /* of what vcpu_save writes */
    uint32_t can_track; /* track and collect work (0 or 1) */
    uint32_t can_interrupt; /* ulv_machine_cfg.interrupts is heeded (0 or 1) */
    uint32_t debug;     /* ULV_DEBUG_CAN_*: what a debugger may ask for */
    uint32_t can_stock; /* ULV_MACHINE_STOCK, and what belongs to it (0 or 1) */
    char version[32];           /* "KVM API 12", "seccomp", ... */
};

/* ulv_backend_caps.debug: of a vcpu that is held, or does not run. */
#define ULV_DEBUG_CAN_READ  UINT32_C(1)  /* vcpu_registers */
#define ULV_DEBUG_CAN_SET   UINT32_C(2)  /* vcpu_set_registers */
#define ULV_DEBUG_CAN_BREAK UINT32_C(4)  /* an int3 is an exit */
#define ULV_DEBUG_CAN_STEP  UINT32_C(8)  /* one instruction */
#define ULV_DEBUG_CAN_WATCH UINT32_C(16) /* points of the processor's */
/* all that, of a machine whose cfg.debug is 1 only */
#define ULV_DEBUG_FROM_START UINT32_C(32)

/* A call through the gate: registers as in abi/system_call.h. */
struct ulv_exit_call {
    uint64_t number;
    uint64_t argument[4];
};

/* An access of a stock guest to a port, or to an address where it has no
 * memory. vcpu_answer's value is what it reads; of a write it means nothing. */
#define ULV_IO_PORT   UINT32_C(0)
#define ULV_IO_MEMORY UINT32_C(1)

struct ulv_exit_io {
    uint32_t space; /* ULV_IO_* */
    uint32_t bytes; /* 1, 2, 4 or, of memory, 8 */
    uint32_t write; /* 1: it writes value */
    uint32_t rsvd_;
    uint64_t address, value;
};

/* What guests see and may use of the host's processor. doc/processor.md */
#define ULV_CPU_BASELINE UINT32_C(0) /* x86-64-v2 */
#define ULV_CPU_V3       UINT32_C(1) /* x86-64-v3: AVX2 */
#define ULV_CPU_HOST     UINT32_C(2) /* all that the backend can pass on */

/* What a machine runs. */
#define ULV_MACHINE_SDK   UINT32_C(0) /* a guest of the SDK: CPL3, a gate */
#define ULV_MACHINE_STOCK UINT32_C(1) /* a kernel: CPL0, interrupt controllers
                                         and a timer of its own, no gate */

struct ulv_machine_cfg {
    uint32_t size;
    uint32_t vcpu_count; /* 1 .. caps.vcpus_max */
    /* 1: vcpus run beside the caller, each in a thread of the backend's, as
     * soon as vcpu_run lets them; vcpu_event tells when one has an exit */
    uint32_t threads;
    uint32_t cpu; /* ULV_CPU_*; a backend may know fewer, and show less */
    uint32_t kind; /* ULV_MACHINE_*; STOCK only where caps.can_stock is 1 */
    uint32_t rsvd_;
    const struct ulv_host *host;
    ulv_id partition;  /* for names and diagnostics */
    uint64_t gate;     /* SDK: guest address of the gate page, from the view;
                          ARG unless it is a page below ULV_GUEST_RAM_BASE */
    /* process backend: path of the launcher, NULL = the installed one */
    const char *launcher;
    /* NULL, or: answer a call on the spot. A backend that can go on without
     * leaving vcpu_run asks it first, on the same thread; false: the call is
     * an exit like any other. Going on counts against the budget. Not asked
     * where there are threads. */
    bool (*call)(void *self, const struct ulv_exit_call *call,
                 int64_t *ret_status, uint64_t *ret_value);
    /* The same for accesses of a stock guest; *ret_value: what it reads. */
    bool (*io)(void *self, const struct ulv_exit_io *io, uint64_t *ret_value);
    /* NULL, or: called first in each thread that the backend makes. */
    ulv_status (*confine)(void *self);
    void *self; /* passed to all of them */
    /* 1: vcpus can be interrupted, by vcpu_handler and what follows it; 0:
     * those functions answer STATE. A backend that cannot do it refuses the
     * machine, in words. */
    uint32_t interrupts;
    uint32_t debug; /* 1: vcpu_debug may be called; it may cost the guest some
                       of what keeps it apart from the host */
    /* NULL, or what spare_init has made: machine_init takes of it what it can
     * use */
    void *spare;
};

/* How the first processor enters a stock guest. */
#define ULV_ENTRY_USER      UINT32_C(1) /* 64-bit, CPL3: the SDK's */
#define ULV_ENTRY_LONG      UINT32_C(2) /* 64-bit, CPL0, identity-mapped */
#define ULV_ENTRY_PROTECTED UINT32_C(3) /* 32-bit, CPL0, flat segments, no
                                           paging */

struct ulv_entry {
    uint32_t size;
    uint32_t mode; /* ULV_ENTRY_LONG or PROTECTED */
    uint64_t rip, rbx, rsi, rdi; /* the other general registers are 0 */
    /* LONG: cr3, and a GDT with code at selector 0x10 and data at 0x18 */
    uint64_t page_tables, gdt;
    uint32_t gdt_bytes;
    uint32_t rsvd_;
};

/* Vectors of a vcpu: 0 .. ULV_VECTOR_COUNT - 1; that of a doorbell is its
 * slot. */
#define ULV_VECTOR_COUNT ULV_SLOT_COUNT

/* Why vcpu_run came back. */
#define ULV_EXIT_INTERRUPTED UINT32_C(0) /* budget or kick; nothing happened */
#define ULV_EXIT_CALL        UINT32_C(1) /* the guest called through the gate */
#define ULV_EXIT_FAULT       UINT32_C(2) /* the guest did what it may not */
#define ULV_EXIT_ENDED       UINT32_C(3) /* the guest was killed or crashed */
#define ULV_EXIT_DEBUG       UINT32_C(4) /* what vcpu_debug asked for */
#define ULV_EXIT_IO          UINT32_C(5) /* stock: it waits for vcpu_answer */
#define ULV_EXIT_HALTED      UINT32_C(6) /* stock: it waits for an interrupt,
                                            and lets none in: for ever */

/* What of it: of DEBUG, and the types of a point. */
#define ULV_DEBUG_STEP    UINT32_C(1) /* an instruction was carried out */
#define ULV_DEBUG_INT3    UINT32_C(2) /* rip is that of the int3 */
#define ULV_DEBUG_EXECUTE UINT32_C(3) /* about to, at a point */
#define ULV_DEBUG_WRITE   UINT32_C(4) /* it has written there */
#define ULV_DEBUG_ACCESS  UINT32_C(5) /* it has read or written there */

#define ULV_DEBUG_POINTS_MAX 4u

struct ulv_debug_point {
    uint64_t address; /* a multiple of bytes */
    uint32_t type;    /* ULV_DEBUG_EXECUTE, WRITE, ACCESS */
    uint32_t bytes;   /* 1, 2, 4 or 8; of EXECUTE 1 */
};

/* What is to be an exit from now on. */
struct ulv_debug {
    uint32_t on;   /* 0: nothing; otherwise an int3 is */
    uint32_t step; /* 1: the next instruction is */
    uint32_t point_count, rsvd_;
    struct ulv_debug_point point[ULV_DEBUG_POINTS_MAX];
};

/* Kinds of fault; the words are in ulv_fault_text(). */
#define ULV_FAULT_NONE        UINT32_C(0)
#define ULV_FAULT_READ        UINT32_C(1) /* no memory there */
#define ULV_FAULT_WRITE       UINT32_C(2) /* no memory there, or read-only */
#define ULV_FAULT_EXECUTE     UINT32_C(3)
#define ULV_FAULT_INSTRUCTION UINT32_C(4) /* undefined or not allowed */
#define ULV_FAULT_PROTECTION  UINT32_C(5) /* general protection, alignment */
#define ULV_FAULT_ARITHMETIC  UINT32_C(6)
#define ULV_FAULT_PORT        UINT32_C(7)
#define ULV_FAULT_TRIPLE      UINT32_C(8) /* the exception path failed too */
#define ULV_FAULT_KILLED      UINT32_C(9) /* ended from outside */
#define ULV_FAULT_BACKEND     UINT32_C(10) /* the backend could not go on */
#define ULV_FAULT_RUNAWAY     UINT32_C(11) /* no system call within the limit */
#define ULV_FAULT_REPORTED    UINT32_C(12) /* the guest reported it itself */
#define ULV_FAULT_UNRESPONSIVE UINT32_C(13) /* the monitor did not answer */
#define ULV_FAULT_MONITOR     UINT32_C(14) /* the monitor itself died */
#define ULV_FAULT_EMULATION UINT32_C(15) /* the host could not carry it out */

struct ulv_registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags;
};

struct ulv_exit_fault {
    uint32_t kind; /* ULV_FAULT_* */
    uint32_t vector; /* x86 exception vector, or the host signal, or 0 */
    uint64_t address; /* guest address touched, where known */
    uint64_t error_code;
    uint32_t instruction_bytes; /* how many of instruction[] are valid */
    uint8_t instruction[15];
    uint8_t rsvd_;
    struct ulv_registers registers;
};

struct ulv_exit_debug {
    uint32_t cause; /* ULV_DEBUG_* */
    uint32_t rsvd_;
    uint64_t address; /* of a point */
};

struct ulv_exit {
    uint32_t reason; /* ULV_EXIT_* */
    uint32_t rsvd_;
    union {
        struct ulv_exit_call call;
        struct ulv_exit_fault fault; /* FAULT and ENDED */
        struct ulv_exit_debug debug;
        struct ulv_exit_io io;
    } u;
};

/* ulv_backend_ops.flags */
#define ULV_BACKEND_STARTS_LATE UINT32_C(1) /* see machine_init */

struct ulv_backend_ops {
    uint32_t size;  /* sizeof at the backend's compile time */
    uint32_t flags; /* ULV_BACKEND_* */
    const char *name; /* "kvm" */
    size_t machine_bytes, vcpu_bytes; /* the monitor allocates and zeroes */

    /* Required. Any thread, before anything else. No side effects: nothing
     * stays open. Fails with UNSUPPORTED, DENIED or HOST and a diag text that
     * says why in words ("/dev/kvm: permission denied"). */
    ulv_status (*probe)(const struct ulv_host *host,
                        struct ulv_backend_caps *ret_caps,
                        struct ulv_diag *diag);

    /* Required. On failure machine_fini is still called. A backend opens here
     * what it needs, and starts its threads; with ULV_BACKEND_STARTS_LATE it
     * may do so in vcpu_init too. Afterwards the process may be confined to
     * the system calls listed for the backend
     * (lib/port/posix/sandbox_rules.c). */
    ulv_status (*machine_init)(void *machine,
                               const struct ulv_machine_cfg *cfg,
                               struct ulv_diag *diag);
    /* Required. Safe on a machine that is zeroed or half initialised; vcpus
     * are finished before. Leaves nothing behind. */
    void (*machine_fini)(void *machine);

    /* Required. Back [guest, guest + bytes) by memory at offset; p is where
     * the monitor has mapped the same bytes; memory is borrowed for the call,
     * p until unmap. Multiples of 4096 (ARG); regions never overlap, nor do
     * they begin below ULV_GUEST_RAM_BASE, which is the backend's, or those of
     * a stock guest lie in ULV_STOCK_HOLE (EXISTS).
     * LIMIT: regions_max or guest_address_max. May be called before the first
     * run and between runs. */
    ulv_status (*map)(void *machine, ulv_gpa guest, uint64_t bytes,
                      ulv_handle memory, uint64_t offset, void *p,
                      uint32_t access);
    /* Required. The same range as one earlier map. After it returns no vcpu
     * of the machine can reach those bytes. UNSUPPORTED: the backend cannot
     * take memory away from a running guest. */
    ulv_status (*unmap)(void *machine, ulv_gpa guest, uint64_t bytes);

    /* Optional. From now on ULV_CALL_SIGNAL of slot rings bell, which stays
     * open until another is set or the machine is finished, without an exit,
     * and answers 0; ULV_NO_HANDLE: it is an exit again. Such calls do not end
     * the guest's silence. LIMIT: no more of them. */
    ulv_status (*doorbell)(void *machine, uint32_t slot, ulv_handle bell);

    /* Required. After all that must be there at the start is mapped; idx from
     * 0 up. The vcpu starts at entry with the argument in rdi and rsp = stack
     * - 8 (as after a call), CPL3, 64-bit. */
    ulv_status (*vcpu_init)(void *vcpu, void *machine, uint32_t idx,
                            ulv_gpa entry, ulv_gpa stack, uint64_t argument,
                            struct ulv_diag *diag);
    void (*vcpu_fini)(void *vcpu);
    /* Needed where vcpus_max > 1: a vcpu that does not run is as if vcpu_init
     * had been told these. */
    ulv_status (*vcpu_start)(void *vcpu, ulv_gpa entry, ulv_gpa stack,
                             uint64_t argument);

    /* Required. Run until an exit, a kick, or budget_ns (0: only look whether
     * an exit is there; one that runs beside the caller is let run, and only
     * looked at whatever the budget). Returns ULV_OK with *ret_exit filled, or
     * HOST. After a FAULT or ENDED every further run is ENDED. */
    ulv_status (*vcpu_run)(void *vcpu, ulv_nsec budget_ns,
                           struct ulv_exit *ret_exit);
    /* Required. Answer the ULV_EXIT_CALL just returned: rax, rdx; or the
     * ULV_EXIT_IO: value. Takes effect when the vcpu runs again. */
    void (*vcpu_answer)(void *vcpu, int64_t status, uint64_t value);
    /* Required. Make the vcpu_run in progress come back soon, or, if there is
     * none, the next one at once. Context: any. */
    void (*vcpu_kick)(void *vcpu);
    /* Needed where vcpu_event is: stop a guest that runs beside us where it
     * stands, and let it go on. After hold(true) returns it does not run. */
    void (*vcpu_hold)(void *vcpu, bool hold);
    /* Optional. Registers of a vcpu that is not running. */
    ulv_status (*vcpu_registers)(void *vcpu, struct ulv_registers *ret);
    /* Optional. A handle that is readable when vcpu_run(0) would return an
     * exit: a vcpu that runs beside us. ULV_NO_HANDLE otherwise. */
    ulv_handle (*vcpu_event)(void *vcpu);

    /* Optional, all three or none. Write what a vcpu is into buf: registers,
     * extended state, its clock; not its memory. It does not run, has no exit
     * that was not taken, and goes on as if nothing had been. A call that was
     * not answered is answered after a restore too. Of a machine with
     * interrupts its handler, what that has interrupted, and the vectors that
     * are pending are saved as well, no bells; it does not sleep. LIMIT:
     * capacity is less than state_bytes_max; STATE: it is about to fault, and
     * is to be let. */
    ulv_status (*vcpu_save)(void *vcpu, void *buf, size_t capacity,
                            size_t *ret_bytes, struct ulv_diag *diag);
    /* After vcpu_init and before the first run: the vcpu is as the one that
     * was saved. The bytes may be anybody's: what a guest could not have made
     * is refused. FORMAT: no state of this backend, or of a version it does
     * not know; UNSUPPORTED: this host's processor cannot go on with it;
     * CONFLICT: of its machine and the one that was saved only one has
     * interrupts. After a failure the vcpu is only to be finished. */
    ulv_status (*vcpu_restore)(void *vcpu, const void *state, size_t bytes,
                               struct ulv_diag *diag);
    /* What vcpu_restore would say to it on this host, as far as that can be
     * told without a vcpu. Any thread; no side effects. */
    ulv_status (*state_check)(const struct ulv_host *host, const void *state,
                              size_t bytes, struct ulv_diag *diag);
    /* Optional. Processor time [ns] that the vcpu has used in a process of its
     * own; NULL: its time is that of the caller's process. Valid from
     * vcpu_init to vcpu_fini, and never less than before. */
    ulv_nsec (*vcpu_time)(void *vcpu);

    /* Optional, both or neither. Keep account from now on of the pages that
     * the guest writes, or stop that. Vcpus may run. */
    ulv_status (*track)(void *machine, bool on);
    /* The pages of one earlier map that the guest has written since track, or
     * since the last collect: bit i is set for page i, and for none that it
     * did not touch; one that it only read may be told of. What a vcpu writes
     * while this runs is told of now or the next time. bitmap has a bit a
     * page, rounded up to 64. NOT_FOUND; STATE: nothing is tracked. */
    ulv_status (*collect)(void *machine, ulv_gpa guest, uint64_t bytes,
                          uint64_t *bitmap);

    /* Needed where can_interrupt is, as the next two. Of a vcpu that is not
     * running: from now on a vector that is pending brings it to entry, between
     * two of its instructions and at CPL3, with the vector in rdi, rsp = stack
     * - 8, rflags clear but for what is always set, and every other register
     * as it was. There it is masked, until it calls the gate with
     * ULV_CALL_RESUME, which the backend takes itself: it goes on where it was
     * interrupted, with rip, rsp, rflags, rdi, and what else the handler has
     * left in registers. Of several vectors that are pending, any is first. A
     * RESUME of a vcpu that is not in its handler is a FAULT (INSTRUCTION).
     * What the backend needs for all this is not in the guest's memory: stack
     * may be anything, and entry, too (ARG: not below guest_address_max). An
     * entry of 0: there is no handler, and nothing may be pending. vcpu_init
     * and vcpu_start leave a vcpu without one, and nothing pending. */
    ulv_status (*vcpu_handler)(void *vcpu, ulv_gpa entry, ulv_gpa stack);
    /* A vector is pending, once however often it was before it is delivered.
     * It is not lost while the vcpu is held, stays in its handler, or does not
     * run; one that runs is interrupted without further ado. Vcpus may run.
     * ARG: no such vector; STATE: no handler. */
    ulv_status (*vcpu_inject)(void *vcpu, uint32_t vector);
    /* Of a vcpu that is not running: a vector that is pending is so no more.
     * Returns whether it was; one that is on its way is delivered still. */
    bool (*vcpu_withdraw)(void *vcpu, uint32_t vector);
    /* Optional. From now on each signal of bell injects the vector, without
     * the caller: also while the vcpu runs, and whoever runs it. One that was
     * signalled before does so now. bell stays open until it is bound no more;
     * who else hears it meanwhile may hear nothing. ULV_NO_HANDLE: no more;
     * what was signalled until then is pending, the rest is in the bell. A
     * vector has one bell, of one vcpu: STATE, it has one; or no handler. ARG
     * as inject. LIMIT: no more of them. Vcpus may run. */
    ulv_status (*vcpu_bind)(void *vcpu, uint32_t vector, ulv_handle bell);
    /* Needed where vcpu_event and vcpu_bind are. true: the vcpu, of which a
     * call was just returned, sleeps, unless a vector was delivered since its
     * last sleep. A vcpu that sleeps is let run as any other (vcpu_run), and
     * stands still until a vector is delivered; then it goes on by itself, its
     * call answered ULV_OK, 0, and its handler is first. false: it is woken,
     * to be answered. Returns whether it sleeps, or did until now. */
    bool (*vcpu_sleep)(void *vcpu, bool sleep);
    /* With vcpu_sleep. Whether it sleeps still. Vcpus may run. */
    bool (*vcpu_sleeps)(void *vcpu);

    /* Optional: caps.debug says what works. Of a vcpu that is held, or does
     * not run, and has not ended.
     * It goes on with these; of rflags what a guest may change. Errors: STATE,
     * while it is on its way into a handler, or out of one. */
    ulv_status (*vcpu_set_registers)(void *vcpu,
                                     const struct ulv_registers *registers);
    /* In place of what was asked for before; borrowed for the call. After an
     * exit DEBUG it stands there, and goes on when it runs again: an int3 or a
     * point EXECUTE that is still there is met again. A step is asked for anew
     * each time; one that calls is over when the call is answered. UNSUPPORTED:
     * caps.debug lacks that; LIMIT: more points than the processor has; ARG: it
     * has none of that shape. */
    ulv_status (*vcpu_debug)(void *vcpu, const struct ulv_debug *debug);
    /* Optional, both or neither: caps.can_stock. After vcpu_init of a stock
     * guest's vcpu 0, whose entry, stack and argument mean nothing, and before
     * the first run: it begins there. */
    ulv_status (*vcpu_enter)(void *vcpu, const struct ulv_entry *entry,
                             struct ulv_diag *diag);
    /* Set the level of a stock guest's interrupt line, by its ISA number. */
    ulv_status (*line)(void *machine, uint32_t line, bool high);

    /* Optional, all or none. A spare is what a machine begins with, made before
     * one is asked for, by a thread of the backend's: machine_init takes less
     * time then. spare is spare_bytes of zeroes; spare_init has the first made
     * and does not wait for it (NO_MEMORY: no thread). Machines of any thread
     * may have the same spare in their cfg; it outlives them. One that cannot
     * be made is no error: the machine is made without. spare_fini leaves
     * nothing behind; after a spare_init that failed it is not called. */
    size_t spare_bytes;
    ulv_status (*spare_init)(void *spare, const struct ulv_host *host);
    void (*spare_fini)(void *spare);
};

/*
 * The backends of a program, in the order in which they are tried: NULL past
 * the end, or if none has that name. The library defines both; a program that
 * links the core alone (firmware) defines them itself.
 */
const struct ulv_backend_ops *ulv_backend_at(uint32_t idx);
const struct ulv_backend_ops *ulv_backend_find(const char *name);

/**
 * The words for a ULV_FAULT_* kind; "unknown fault" for anything else.
 *
 * Context: any
 */
ULV_API const char *ulv_fault_text(uint32_t kind);

#ifdef __cplusplus
}
#endif

#endif
