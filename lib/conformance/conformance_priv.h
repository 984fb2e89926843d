/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the groups of the conformance kit share: a stage, which is a machine
 * with memory and processors, guests to put on it, and ways to fail.
 *
 * A case is a function that returns as soon as something does not hold; what
 * it made on its stages is finished afterwards.
 */
#ifndef CONFORMANCE_CONFORMANCE_PRIV_H
#define CONFORMANCE_CONFORMANCE_PRIV_H

#include <ultravisor/sys/conformance.h>
#include <ultravisor/sys/mock.h>

#include "base/base.h"

#define PAGE      UINT64_C(4096)
#define RAM       ULV_GUEST_RAM_BASE
#define RAM_BYTES ULV_MIB(2)
#define OTHER     UINT64_C(0x20000000) /* guest address of further regions */
#define NOWHERE   UINT64_C(0x10000000) /* guest address of none */
#define ANYWHERE  UINT64_MAX
#define ARGUMENT  UINT64_C(77) /* what a guest finds in rdi */
#define READ_WRITE_EXECUTE (ULV_GUEST_WRITE | ULV_GUEST_EXECUTE)

/* In a guest's memory; guests.S has the same numbers. */
#define RESULT UINT64_C(0x8000)
#define STOP   (RESULT + 0x100) /* not 0: say what you have, and end */
#define VALUE  (RESULT + 0x108)

#define STAGES      2u
#define VCPUS       4u
#define SPARES      3u
#define MILLISECOND UINT64_C(1000000)

/* ---- guests -------------------------------------------------------------- */

/* The same guest in both kinds of code; one that cannot be has no bytes. */
struct guest {
    const uint8_t *code, *code_end;
    const struct ulv_mock_step *steps;
    size_t step_count;
};

/* Calls with a pattern in each register, and stores what comes back. */
extern const struct guest ulv_kit_calls;
#define CALLS_NUMBER UINT64_C(0x1111222233334444)
/* Calls with n, ~n, 3n, n; ends with ud2 unless told -n, 3n + 1. */
extern const struct guest ulv_kit_echo;
#define ECHO_NUMBER UINT64_C(0x0e0e)
/* Counts in every register and in four words, and looks that it is right. */
extern const struct guest ulv_kit_count;
#define COUNT_NUMBER UINT64_C(0x0c0c)
/* Fills and searches a mebibyte by one instruction each, and counts. */
extern const struct guest ulv_kit_strings;
/* Does what it is told: the answer to a call is one of these and an address. */
extern const struct guest ulv_kit_errands;
#define ERRAND_NUMBER  UINT64_C(0x0d0d)
#define ERRAND_READ    1 /* eight bytes; argument 0 of the next call */
#define ERRAND_WRITE   2 /* eight bytes: VALUE */
#define ERRAND_EXECUTE 3 /* call it */
/* 1, in one instruction. Where nothing is, a processor calls that a write, and
 * QEMU's a read. */
#define ERRAND_ADD     4
/* Counts at the address in rdi, without end, and only writes there. */
extern const struct guest ulv_kit_writer;
/* Goes nowhere. */
extern const struct guest ulv_kit_spin;
/* Rings the doorbell of slot 5, stores the answer, yields. */
extern const struct guest ulv_kit_rings;
#define RINGS_SLOT 5u
/* Takes PAIR_TURNS turns with another processor, then calls. */
extern const struct guest ulv_kit_pair;
#define PAIR_NUMBER UINT64_C(0x0f0f)
#define PAIR_TURNS  UINT64_C(500)
/* A pattern in each register, then ud2. */
extern const struct guest ulv_kit_registers;
#define REGISTER_PATTERN UINT64_C(0x0101010101010101) /* times 1 .. 15 */

/* Counts, in the block that its argument names, and looks that its registers
 * are as they were; calls with COUNT_NUMBER while STOP is set. Its handler
 * calls twice, with the vector, while BLOCK_CALLS is set. */
extern const struct guest ulv_kit_interrupts;
#define HANDLER_NUMBER UINT64_C(0x0a0a) /* at the begin of a handler */
#define HANDLED_NUMBER UINT64_C(0x0b0b) /* and at its end */
#define OTHER_NUMBER   UINT64_C(0x0f0a) /* of another handler */
#define INTERRUPTS_CODE       UINT64_C(0x200) /* where the handlers are */
#define INTERRUPTS_OTHER_CODE UINT64_C(0x300)
#define INTERRUPTS_STEP       2u
#define INTERRUPTS_OTHER_STEP 5u
/* Offsets in its memory, for a processor. */
#define BLOCK_OF(idx)    (UINT64_C(0x9000) + (idx) * UINT64_C(0x400))
#define BLOCK_STATUS     8 /* the last answer */
#define BLOCK_VALUE      16
#define BLOCK_TOTAL      32 /* of interrupts */
#define BLOCK_CALLS      48
#define BLOCK_VECTOR(n)  (64 + (n) * UINT64_C(8)) /* how often it came */
/* Ends a handler in which it is not. */
extern const struct guest ulv_kit_resumes;

/* ---- the kit ------------------------------------------------------------- */

/* The host that the backend is given: the caller's, counted. */
struct kit_host {
    struct ulv_host host;
    const struct ulv_host *real;
    uint64_t acquired; /* how often something was asked for */
    uint64_t fail_at;  /* the one of these that is refused; 0: none */
    int64_t bytes, handles; /* held now */
};

/* Memory that can be mapped into a guest. */
struct memory {
    ulv_handle handle;
    uint8_t *p;
    uint64_t bytes;
};

struct kit;

struct stage {
    struct kit *kit;
    void *machine, *vcpu[VCPUS];
    bool machine_made, vcpu_made[VCPUS];
    uint32_t vcpu_count;
    ulv_handle event[VCPUS]; /* of a vcpu that runs beside us */
    ulv_handle set;          /* watches them */
    struct memory ram;
};

struct kit {
    const struct ulv_conformance_opts *opts;
    /* the backend's, and NULL where its table ends before ours */
    struct ulv_backend_ops table;
    const struct ulv_backend_ops *ops;
    const struct ulv_host *real;
    struct kit_host host;
    struct ulv_backend_caps caps;
    uint64_t repeats, random;
    ulv_nsec patience;
    struct stage stage[STAGES];
    struct memory spare[SPARES]; /* of the case */
    uint32_t result;
    char reason[192];
};

/* What a case needs; without it, it is skipped. */
#define NEEDS_CODE      UINT32_C(1)
#define NEEDS_REMAP     UINT32_C(2)
#define NEEDS_REGISTERS UINT32_C(4)
#define NEEDS_THREAD    UINT32_C(8)
#define NEEDS_DOORBELL  UINT32_C(16)
#define NEEDS_VCPUS     UINT32_C(32)
#define NEEDS_BESIDE    UINT32_C(64)
#define NEEDS_THREADED  UINT32_C(128)
#define NEEDS_USAGE     UINT32_C(256)
#define NEEDS_START     UINT32_C(512)
#define NEEDS_SAVE      UINT32_C(1024)
#define NEEDS_TRACK     UINT32_C(2048)
#define NEEDS_TIME      UINT32_C(4096)
#define NEEDS_INTERRUPT UINT32_C(8192)
#define NEEDS_BIND      UINT32_C(16384)
#define NEEDS_SLEEP     UINT32_C(32768)
#define NEEDS_LOOK      UINT32_C(65536)
#define NEEDS_SET       UINT32_C(131072)
#define NEEDS_BREAK     UINT32_C(262144)
#define NEEDS_STEP      UINT32_C(524288)
#define NEEDS_WATCH     UINT32_C(1048576)
#define NEEDS_SPARE     UINT32_C(2097152)

struct test_case {
    const char *name;
    void (*run)(struct kit *k);
    uint32_t needs;
};

struct case_list {
    uint32_t group;
    const struct test_case *cases;
    size_t count;
};

extern const struct case_list ulv_kit_lifecycle, ulv_kit_memory,
    ulv_kit_remapping, ulv_kit_call_cases, ulv_kit_faults, ulv_kit_budget,
    ulv_kit_kicks, ulv_kit_pause, ulv_kit_register_cases, ulv_kit_hold,
    ulv_kit_doorbells, ulv_kit_save, ulv_kit_track, ulv_kit_debug,
    ulv_kit_processors, ulv_kit_exhaustion, ulv_kit_churn,
    ulv_kit_interrupt_cases, ulv_kit_save_interrupts, ulv_kit_bells;

/* ---- conformance.c ------------------------------------------------------- */

/* Only the first failure of a case is kept. As ulv_text_format. Returns
 * false. */
bool ulv_kit_fail(struct kit *k, const char *format, ...);
/* There is no way to try it here; a failure counts more. */
void ulv_kit_skip(struct kit *k, const char *reason);
uint64_t ulv_kit_random(struct kit *k);
/* By how much ulv_kit_echo counts on: 1, or 0 where it is made of steps. */
uint64_t ulv_kit_pace(const struct kit *k);

#define REQUIRE(k, holds, ...)                                                 \
    do {                                                                       \
        if (!(holds)) {                                                        \
            (void)ulv_kit_fail((k), __VA_ARGS__);                              \
            return;                                                            \
        }                                                                      \
    } while (0)

/* ---- host.c -------------------------------------------------------------- */

void ulv_kit_host_init(struct kit_host *h, const struct ulv_host *real);

/* ---- stage.c ------------------------------------------------------------- */

/* Zeroed. On failure nothing is held, and the status says why. */
ulv_status ulv_kit_memory_make(const struct kit *k, uint64_t bytes,
                               uint32_t flags, struct memory *ret);
void ulv_kit_memory_drop(const struct kit *k, struct memory *memory);
/* Until the end of the case; NULL, and it has failed. */
struct memory *ulv_kit_spare(struct kit *k, uint32_t idx, uint64_t bytes);

/* How a machine is made; zeroes are good. */
struct setup {
    uint32_t vcpu_count; /* 0: 1 */
    uint32_t threads;
    uint32_t interrupts;
    uint64_t gate; /* 0: ULV_GUEST_GATE */
    uint32_t debug;
    void *spare;
    bool (*call)(void *self, const struct ulv_exit_call *call,
                 int64_t *ret_status, uint64_t *ret_value);
    void *self;
};

/* A machine with the guest in its memory, without processors. The status is
 * the backend's. */
ulv_status ulv_kit_try_machine(struct stage *s, const struct guest *guest,
                               const struct setup *setup,
                               struct ulv_diag *diag);
ulv_status ulv_kit_try_vcpu(struct stage *s, uint32_t idx, uint64_t argument,
                            struct ulv_diag *diag);
/* Both, or the case has failed. */
bool ulv_kit_machine(struct stage *s, const struct guest *guest,
                     const struct setup *setup);
bool ulv_kit_vcpu(struct stage *s, uint32_t idx, uint64_t argument);
/* Stage 0, with one processor; NULL: the case has failed. */
struct stage *ulv_kit_begin(struct kit *k, const struct guest *guest);
struct stage *ulv_kit_begin_with(struct kit *k, const struct guest *guest,
                                 uint64_t argument);
/* Also of what was never begun. */
void ulv_kit_end(struct stage *s);

ulv_status ulv_kit_map(struct stage *s, uint64_t guest,
                       const struct memory *memory, uint32_t access);
uint64_t ulv_kit_word(const struct stage *s, uint64_t offset);
void ulv_kit_set_word(struct stage *s, uint64_t offset, uint64_t value);
void ulv_kit_answer(struct stage *s, uint32_t idx, int64_t status,
                    uint64_t value);
/* Once; fails unless the backend says ULV_OK. */
bool ulv_kit_run_once(struct stage *s, uint32_t idx, ulv_nsec budget_ns,
                      struct ulv_exit *ret);
/* Until an exit. */
bool ulv_kit_run(struct stage *s, uint32_t idx, struct ulv_exit *ret);
/* Processor 0 of a guest that counts in RESULT: interrupted where nobody chose,
 * behind at least one count more. */
bool ulv_kit_run_a_little(struct stage *s);
bool ulv_kit_run_call(struct stage *s, uint32_t idx, uint64_t number,
                      struct ulv_exit *ret);
/* address: or ANYWHERE. The vcpu is looked at once more: it has ended. */
bool ulv_kit_run_fault(struct stage *s, uint32_t idx, uint32_t kind,
                       uint64_t address, struct ulv_exit *ret);
/* Runs ulv_kit_echo until its next call, sees that it is that of n, and
 * answers it. */
bool ulv_kit_run_echo(struct stage *s, uint32_t idx, uint64_t n);

/* Of ulv_kit_errands, which has called: what, where; until it calls again, or
 * faults. */
bool ulv_kit_errand(struct stage *s, int64_t what, uint64_t where,
                    struct ulv_exit *ret);
bool ulv_kit_errand_reads(struct stage *s, uint64_t where, uint64_t expected);

/* ---- interrupts.c -------------------------------------------------------- */

/* save.c: what a processor was saved as; of the case, in its first spare. */
struct state {
    uint8_t *bytes;
    size_t room, used;
};
bool ulv_kit_make_state(struct kit *k, struct state *ret);
bool ulv_kit_save_to(struct stage *s, struct state *to);
/* On the other stage, with the same memory; the first one is finished. NULL:
 * the case has failed. */
struct stage *ulv_kit_move(struct stage *from, const struct guest *guest,
                           const struct setup *setup,
                           const struct state *state);

/* Stage 0 with ulv_kit_interrupts on each processor, and its handler. */
struct stage *ulv_kit_begin_interrupts(struct kit *k, uint32_t vcpu_count,
                                       uint32_t threads);
/* The same of one processor, whose guest and handlers call. */
struct stage *ulv_kit_begin_handlers(struct kit *k);
bool ulv_kit_inject(struct stage *s, uint32_t idx, uint32_t vector);
/* Where a handler of ulv_kit_interrupts begins. */
uint64_t ulv_kit_handler_at(const struct kit *k, uint64_t code, uint64_t step);
bool ulv_kit_set_handler(struct stage *s, uint32_t idx, uint64_t entry,
                         uint64_t stack);
/* The handler is entered, and left; of one vector, and the guest goes on. */
bool ulv_kit_handles(struct stage *s, uint32_t idx, uint64_t *ret_vector);
bool ulv_kit_handles_only(struct stage *s, uint32_t idx, uint64_t vector);
/* Whether it refuses vectors, as one without a handler. */
bool ulv_kit_refuses_without(struct kit *k, void *vcpu, const char *why);
/* Run until what is pending has come: the guest calls, and again. */
bool ulv_kit_drain(struct stage *s, uint32_t idx);
/* A call, answered at once. */
bool ulv_kit_take_call(struct stage *s, uint32_t idx, uint64_t number,
                   struct ulv_exit *ret);
/* How often the handlers of processor idx ran. */
uint64_t ulv_kit_interrupt_count(const struct stage *s, uint32_t idx);
/* Fails unless the status is the one that is expected. */
bool ulv_kit_refuses(struct kit *k, const char *what, ulv_status status,
                     ulv_status expected);

#endif
