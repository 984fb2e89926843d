/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The process backend against native code that wants out. Arguments: the
 * launcher, the guest's image, as whom (own, user: an ordinary one, bare: an
 * ordinary one on a kernel without namespaces and Landlock), how much (fast,
 * ci, long).
 */
#include "contain.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ultravisor/posix.h>

#define NUMBERS   601
#define NOBODY    65534
#define ALL_NAMES UINT64_C(0x7e020000) /* of unshare(2) */
#define ONE       (GATE_COPY + GATE_ONE)
#define TAKEN     (CALL_PAGE + CALL_TAKEN)

static uint32_t attacks;

/* One attack, and now and then a look at the neighbour. */
static void
attack(struct life *life, const struct attack *attack)
{
    life_of(life, attack);
    if (++attacks % 64 == 0)
        neighbour_counts();
}

static void
assert_record(const struct life *life, uint32_t kind, uint32_t vector,
              const char *code)
{
    const struct ulv_exit_fault *fault = &life->out.u.fault;

    assert_int_equal(life->out.reason, ULV_EXIT_FAULT);
    assert_int_equal(fault->kind, kind);
    assert_int_equal(fault->vector, vector);
    assert_true(fault->instruction_bytes >= 2);
    assert_memory_equal(fault->instruction, code, 2);
}

/* ---- system calls -------------------------------------------------------- */

/* Kernels since 6.14 let these two through every filter, for their own code;
 * from anywhere else they do nothing. */
static bool
is_kernels_own(uint64_t way, uint64_t number)
{
    return way == WAY_SYSCALL && (number == 335 || number == 336);
}

static void
assert_refused(const struct life *life, uint64_t way, uint64_t number)
{
    const struct ulv_exit_fault *fault = &life->out.u.fault;

    if (life->out.reason == ULV_EXIT_CALL && is_kernels_own(way, number)) {
        int64_t result;

        memcpy(&result, life->p + (ATTACK_PLACE - RAM) +
                            offsetof(struct attack, result), 8);
        assert_true(result == -ENXIO || result == -ENOSYS);
        return;
    }
    assert_int_equal(life->out.reason, ULV_EXIT_FAULT);
    if (way == WAY_SYSENTER)
        return; /* of its own architecture, or no instruction at all */
    if (way == WAY_INT80 && fault->vector == 13) { /* no 32-bit programs */
        assert_record(life, ULV_FAULT_PROTECTION, 13, "\xcd\x80");
        return;
    }
    if (is_kernels_own(way, number) && fault->vector == SIGILL) {
        assert_record(life, ULV_FAULT_INSTRUCTION, SIGILL, "\x0f\x05");
        return;
    }
    assert_record(life, ULV_FAULT_INSTRUCTION, SIGSYS,
                  way == WAY_INT80 ? "\xcd\x80" : "\x0f\x05");
    assert_int_equal(fault->address, fault->registers.rip);
    assert_int_equal(fault->error_code & UINT32_MAX,
                     number | (way == WAY_X32 ? 0x40000000U : 0));
    assert_int_equal(fault->error_code >> 32,
                     way == WAY_INT80 ? 0x40000003U : 0xc000003eU);
}

static void
system_call(uint64_t way, uint64_t number, const uint64_t a[6])
{
    struct attack call = { .kind = ATTACK_CALL, .value = { way, number } };
    struct life life;

    memcpy(call.value + 2, a, 6 * sizeof(a[0]));
    life_begin(&life, &call);
    life_run(&life, 6000);
    assert_refused(&life, way, number);
    life_end(&life);
    if (++attacks % 64 == 0)
        neighbour_counts();
}

/* What calls of many kinds would take. */
static void
plausible(uint32_t shape, uint64_t a[6])
{
    const uint64_t own = (uint64_t)getpid();
    const uint64_t shapes[][6] = {
        { FD_CALL, RAM + 0x100000, 8, 0, 0, 0 },
        { FD_ANSWER, ONE, 8, 0, 0, 0 },
        { ATTACK_TEXT, O_CREAT | O_RDWR, 0666, 0, 0, 0 },
        { own, SIGKILL, 0, 0, 0, 0 },
        { UINT64_MAX, SIGKILL, own, 0, 0, 0 },
        { RAM, BYTES, 7, 0x32, UINT64_MAX, 0 },
        { SIGCHLD, 0, 0, 0, 0, 0 },
        { 0, 0, 0, 0, 0, 0 },
    };

    memcpy(a, shapes[shape % ULV_COUNT_OF(shapes)], sizeof(shapes[0]));
}

static void
test_contain__every_system_call(void **state)
{
    pid_t children[4];

    (void)state;
    for (uint32_t n = 0; n < NUMBERS; n += contain.stride) {
        for (uint32_t way = 0; way < WAY_COUNT; way++) {
            uint64_t a[6];

            for (int i = 0; i < 6; i++)
                a[i] = random_next();
            system_call(way, n, a);
            plausible(n + way, a);
            system_call(way, n, a);
        }
    }
    assert_int_equal(children_of(getpid(), children, 4), 1);
    assert_int_not_equal(access("/tmp/ulv-escaped", F_OK), 0);
}

/* Numbers of <asm/unistd_64.h>, and arguments with which they would work. */
struct call_row {
    uint64_t number;
    uint64_t a[6];
};

static const struct call_row near_misses[] = {
    /* the two calls that are left, in all that is fixed of them */
    { 0, { FD_CALL, TAKEN, 8 } },
    { 0, { FD_ANSWER, TAKEN, 16 } },
    { 0, { FD_ANSWER, TAKEN + 8, 8 } },
    { 0, { FD_ANSWER, RAM, 8 } },
    { 0, { FD_ANSWER, TAKEN | UINT64_C(1) << 63, 8 } },
    { 0, { FD_ANSWER, TAKEN, 8 | UINT64_C(1) << 32 } },
    { 0, { FD_ANSWER | UINT64_C(1) << 32, TAKEN, 8 } },
    { 0, { 0, TAKEN, 8 } },
    { 1, { FD_ANSWER, ONE, 8 } },
    { 1, { FD_CALL, ONE, 9 } },
    { 1, { FD_CALL, ONE - 8, 8 } },
    { 1, { FD_CALL, TAKEN, 8 } },
    { 1, { FD_CALL, ONE ^ UINT64_C(1) << 32, 8 } },
    { 1, { FD_CALL, ONE, 8 | UINT64_C(1) << 63 } },
    { 1, { FD_CALL | UINT64_C(1) << 32, ONE, 8 } },
    { 1, { 1, ATTACK_TEXT, 8 } },
    { 1, { 2, ONE, 8 } },
};

static const struct call_row ways_out[] = {
    { 9, { 0, 4096, 7, 0x22, UINT64_MAX } },      /* mmap */
    { 10, { LAUNCHER_START, 0x4000, 7 } },        /* mprotect */
    { 10, { GATE, 4096, 7 } },
    { 11, { LAUNCHER_START, 0x4000 } },           /* munmap */
    { 25, { RAM, 4096, BYTES, 1 } },              /* mremap */
    { 13, { SIGSYS, ATTACK_TEXT, 0, 8 } },        /* rt_sigaction */
    { 14, { 2, ATTACK_TEXT, 0, 8 } },             /* rt_sigprocmask */
    { 15, { 0 } },                                /* rt_sigreturn */
    { 28, { RAM, BYTES, 9 } },                    /* madvise: remove */
    { 33, { FD_CALL, FD_ANSWER } },               /* dup2 */
    { 41, { 1, 1, 0 } },                          /* socket */
    { 41, { 16, 3, 0 } },
    { 56, { SIGCHLD } },                          /* clone */
    { 56, { 0x10f00, RAM + BYTES } },             /* a thread */
    { 57, { 0 } },                                /* fork */
    { 58, { 0 } },                                /* vfork */
    { 59, { ATTACK_TEXT } },                      /* execve */
    { 60, { 0 } },                                /* exit */
    { 72, { FD_ANSWER, 4, 04000 } },              /* fcntl: not to block */
    { 101, { 0 } },                               /* ptrace: traced by parent */
    { 109, { 0, 0 } },                            /* setpgid */
    { 154, { 1, ATTACK_TEXT, 16 } },              /* modify_ldt */
    { 157, { PR_SET_PDEATHSIG, 0 } },             /* prctl */
    { 157, { PR_SET_DUMPABLE, 1 } },
    { 157, { PR_SET_SECCOMP, 1 } },
    { 158, { 0x1002, RAM } },                     /* arch_prctl */
    { 160, { 6, ATTACK_TEXT } },                  /* setrlimit */
    { 202, { RAM, 0, 0 } },                       /* futex */
    { 219, { 0 } },                               /* restart_syscall */
    { 222, { 0, 0, ATTACK_PLACE } },              /* timer_create */
    { 231, { 0 } },                               /* exit_group */
    { 272, { ALL_NAMES } },                       /* unshare */
    { 298, { ATTACK_TEXT, 0, UINT64_MAX } },      /* perf_event_open */
    { 311, { 1, ATTACK_TEXT, 1, RAM, 1 } },       /* process_vm_writev */
    { 317, { 1, 0, ATTACK_TEXT } },               /* seccomp */
    { 319, { ATTACK_TEXT } },                     /* memfd_create */
    { 322, { UINT64_MAX, ATTACK_TEXT } },         /* execveat */
    { 323, { 1 } },                               /* userfaultfd */
    { 329, { RAM, 4096, 7, UINT64_MAX } },        /* pkey_mprotect */
    { 425, { 8, ATTACK_PLACE } },                 /* io_uring_setup */
    { 434, { 1, 0 } },                            /* pidfd_open */
    { 435, { ATTACK_PLACE, 88 } },                /* clone3 */
    { 436, { 0, UINT32_MAX, 0 } },                /* close_range */
};

static void
test_contain__calls_that_would_help(void **state)
{
    const uint64_t own = (uint64_t)getpid();
    const struct call_row at_us[] = {
        { 62, { own, SIGKILL } },            /* kill */
        { 62, { UINT64_MAX, SIGKILL } },     /* everybody */
        { 62, { 0, SIGKILL } },
        { 200, { own, SIGKILL } },           /* tkill */
        { 234, { own, own, SIGKILL } },      /* tgkill */
        { 129, { own, SIGKILL, RAM } },      /* rt_sigqueueinfo */
        { 101, { 16, own } },                /* ptrace */
        { 310, { own, RAM, 1, RAM + 64, 1 } }, /* process_vm_readv */
        { 434, { own } },                    /* pidfd_open */
        { 302, { own, 7, RAM } },            /* prlimit64 */
    };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(near_misses); i++)
        system_call(WAY_SYSCALL, near_misses[i].number, near_misses[i].a);
    for (size_t i = 0; i < ULV_COUNT_OF(ways_out); i++)
        system_call(WAY_SYSCALL, ways_out[i].number, ways_out[i].a);
    for (size_t i = 0; i < ULV_COUNT_OF(at_us); i++)
        system_call(WAY_SYSCALL, at_us[i].number, at_us[i].a);
    neighbour_counts();
}

/* ---- memory -------------------------------------------------------------- */

static void
touch(uint64_t at)
{
    for (uint32_t write = 0; write < 2; write++) {
        const struct attack row = {
            .kind = write != 0 ? ATTACK_WRITE : ATTACK_READ, .value = { at }
        };
        struct life life;

        attack(&life, &row);
        if (is_guests(at, write != 0)) {
            assert_int_equal(life.out.reason, ULV_EXIT_CALL);
            continue;
        }
        assert_int_equal(life.out.reason, ULV_EXIT_FAULT);
        assert_true(life.out.u.fault.instruction_bytes > 2);
        if (life.out.u.fault.kind == ULV_FAULT_PROTECTION)
            continue; /* no canonical address */
        assert_int_equal(life.out.u.fault.kind,
                         write != 0 ? ULV_FAULT_WRITE : ULV_FAULT_READ);
        assert_int_equal(life.out.u.fault.address, at);
    }
}

/* Our memory is not there, nor anything of the kernel's. */
static void
test_contain__every_address(void **state)
{
    const uint64_t ours = (uint64_t)(uintptr_t)&ours;
    const uint64_t at[] = {
        0, 4095, 65536, GATE - 1, GATE, GATE + 4096, RAM - 1, RAM,
        RAM + BYTES - 1, RAM + BYTES, LAUNCHER_START - 1, LAUNCHER_START,
        contain.text, contain.text_end - 1, contain.writable,
        contain.writable_end - 1, contain.writable_end, CALL_PAGE - 1,
        CALL_PAGE, GATE_COPY, GATE_COPY + GATE_ONE, GATE_COPY + 4096,
        TABLE_PLACE, TABLE_PLACE + 4096, LAUNCHER_END, ours,
        (uint64_t)(uintptr_t)&contain, (uint64_t)(uintptr_t)contain.launcher,
        (uint64_t)(uintptr_t)contain.neighbour.p,
        (uint64_t)(uintptr_t)contain.neighbour.vcpu,
        (uint64_t)(uintptr_t)touch, (uint64_t)(uintptr_t)getenv("PATH"),
        getauxval(AT_SYSINFO_EHDR), getauxval(AT_SYSINFO_EHDR) - 4096,
        0x7ffffffde000, 0x7fffffffefff, 0x7ffffffff000, 0x800000000000,
        UINT64_C(0xffff800000000000), UINT64_C(0xffffffff81000000),
        UINT64_C(0xffffffffff600000), UINT64_MAX,
    };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(at); i++)
        touch(at[i]);
    for (uint32_t i = 0; i < 1200 / contain.stride; i++)
        touch(random_next() >> (i % 2 == 0 ? 17 : i % 48 + 16));
    neighbour_counts();
}

/* The kernel's page of calls at a fixed place: time, and the processor. */
static void
test_contain__calls_of_the_vsyscall_page(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        const struct attack jump = {
            .kind = ATTACK_JUMP,
            .value = { UINT64_C(0xffffffffff600000) + i * 0x400, 0, RAM, RAM }
        };
        struct life life;

        attack(&life, &jump);
        assert_int_equal(life.out.reason, ULV_EXIT_FAULT);
        print_message("# vsyscall %u: %s, vector %u\n", (uint32_t)i,
                      ulv_fault_text(life.out.u.fault.kind),
                      life.out.u.fault.vector);
    }
}

/* ---- what is left of the launcher ---------------------------------------- */

/* Every byte of it as an instruction, with what exit, mmap and a kill of
 * everybody would take in the registers. A jump that gets through to reading
 * waits, like a guest that does so. */
static void
test_contain__jumps_into_the_launcher(void **state)
{
    static const uint64_t registers[][6] = {
        { 231, 0, 0, 0, 0, 0 },
        { 9, 0, 4096, 7, 0x22, UINT64_MAX },
        { 62, UINT64_MAX, SIGKILL, 0, 0, 0 },
    };
    uint32_t i = 0, reasons[4] = { 0, 0, 0, 0 };

    (void)state;
    for (uint64_t at = contain.text; at < contain.text_end;
         at += contain.stride) {
        struct attack jump = { .kind = ATTACK_JUMP, .value = { at } };
        struct life life;

        memcpy(jump.value + 1, registers[i++ % 3], sizeof(registers[0]));
        life_begin(&life, &jump);
        life_run(&life, 3);
        life_end(&life);
        assert_in_range(life.out.reason, 0, 3);
        reasons[life.out.reason]++;
        if (life.out.reason == ULV_EXIT_ENDED)
            assert_int_equal(life.out.u.fault.kind, ULV_FAULT_TRIPLE);
        if (life.out.reason == ULV_EXIT_CALL &&
            life.out.u.call.number == ATTACK_SURVIVED)
            continue; /* a ret */
    }
    print_message("# jumps: %u wait, %u call, %u fault, %u end without a "
                  "record\n", reasons[0], reasons[1], reasons[2], reasons[3]);
    neighbour_counts();
}

/* Whatever it does to its process, its end is recorded. */
static void
test_contain__a_record_in_every_state(void **state)
{
    const struct attack fill = { .kind = ATTACK_FILL,
                                 .value = { contain.writable,
                                            contain.writable_end } };
    struct life life;

    (void)state;
    attack(&life, &fill);
    assert_record(&life, ULV_FAULT_INSTRUCTION, 6, "\x0f\x0b");
    for (uint64_t at = contain.writable; at < contain.writable_end; at += 512) {
        const struct attack row = { .kind = ATTACK_STATE,
                                    .value = { STATE_THEIR_STACK, at } };

        attack(&life, &row);
        assert_record(&life, ULV_FAULT_INSTRUCTION, 6, "\x0f\x0b");
    }
    for (uint64_t i = 0; i < STATE_COUNT; i++) {
        const struct attack row = {
            .kind = ATTACK_STATE, .value = { i, contain.writable_end - 4096 }
        };

        attack(&life, &row);
        if (i == STATE_KEYS && life.out.reason == ULV_EXIT_ENDED) {
            print_message("# this kernel leaves a guest the keys of its "
                          "memory: %s, signal %u\n",
                          ulv_fault_text(life.out.u.fault.kind),
                          life.out.u.fault.vector);
            assert_int_equal(life.out.u.fault.kind, ULV_FAULT_TRIPLE);
            continue;
        }
        assert_int_equal(life.out.reason, ULV_EXIT_FAULT);
        if (i == STATE_32_BIT && life.out.u.fault.vector == 13) {
            print_message("# this machine runs no code of 32 bits\n");
            assert_record(&life, ULV_FAULT_PROTECTION, 13, "\x48\xcb");
            continue;
        }
        if (i == STATE_WILD_STACK || i == STATE_STEP ||
            i == STATE_32_BIT_CALL)
            continue; /* no ud2 */
        assert_record(&life, ULV_FAULT_INSTRUCTION, 6,
                      life.out.u.fault.instruction[1] == 0x01 ? "\x0f\x01"
                                                              : "\x0f\x0b");
    }
    neighbour_counts();
}

/* ---- lies ---------------------------------------------------------------- */

static uint64_t
counter_of(const struct life *life)
{
    return __atomic_load_n(
        (const uint64_t *)(const void *)(life->p + (ATTACK_PLACE - RAM) +
                                         offsetof(struct attack, counter)),
        __ATOMIC_RELAXED);
}

/* What says that it has faulted is ended, whatever it does. */
static void
test_contain__a_forged_fault_ends_it(void **state)
{
    const struct attack forge = { .kind = ATTACK_FORGE };
    struct life life;
    struct pollfd gone;
    uint64_t count;

    (void)state;
    life_begin(&life, &forge);
    life_run(&life, 6000);
    assert_int_equal(life.out.reason, ULV_EXIT_FAULT);
    gone = (struct pollfd){ .fd = (int)contain.ops->vcpu_event(life.vcpu),
                            .events = POLLIN };
    assert_int_equal(poll(&gone, 1, 60000), 1); /* the end of its process */
    count = counter_of(&life);
    neighbour_counts();
    assert_int_equal(counter_of(&life), count);
    life_run(&life, 1);
    assert_int_equal(life.out.reason, ULV_EXIT_ENDED);
    life_end(&life);
}

static void
test_contain__a_flood_of_calls(void **state)
{
    const struct attack flood = { .kind = ATTACK_FLOOD,
                                  .value = { random_next() } };
    struct life life;

    (void)state;
    life_begin(&life, &flood);
    for (uint32_t i = 0; i < 2000; i++) {
        life_run(&life, 6000);
        if (life.out.reason == ULV_EXIT_FAULT) {
            /* what it wrote happened to be the number of a fault */
            break;
        }
        assert_int_equal(life.out.reason, ULV_EXIT_CALL);
        if (i % 2 == 0)
            contain.ops->vcpu_answer(life.vcpu, 0, i);
        if (i % 64 == 0)
            neighbour_counts();
    }
    life_end(&life);
}

/* ---- what the kernel says of a guest ------------------------------------- */

static void
test_contain__what_the_kernel_says(void **state)
{
    pid_t children[4];

    (void)state;
    print_message("# %s, user %u\n", contain.version, getuid());
    assert_int_equal(children_of(getpid(), children, 4), 1);
    assert_confined(children[0]);
}

/* What a program may have set for those it starts: page 0 mapped, everything
 * executable, another order of addresses. */
static void
test_contain__an_odd_personality(void **state)
{
    const struct attack peace = { .kind = ATTACK_NONE };
    int before = personality(ADDR_NO_RANDOMIZE | MMAP_PAGE_ZERO |
                             READ_IMPLIES_EXEC | ADDR_COMPAT_LAYOUT);
    pid_t children[4];
    uint32_t count;
    struct life life;

    (void)state;
    assert_true(before >= 0);
    life_begin(&life, &peace);
    assert_true(personality((unsigned long)before) >= 0);
    count = children_of(getpid(), children, 4);
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < count && getuid() == 0; i++)
        assert_maps(children[i]);
    life_run(&life, 6000);
    assert_int_equal(life.out.reason, ULV_EXIT_CALL);
    life_end(&life);
}

/* ---- ends ---------------------------------------------------------------- */

static uint64_t
resident(void)
{
    uint64_t size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
    (void)fclose(file);
    return pages * 4096;
}

/* Guests that end in every way, one after the other. */
static void
test_contain__lives_leave_nothing(void **state)
{
    const struct attack rows[] = {
        { .kind = ATTACK_NONE },
        { .kind = ATTACK_READ, .value = { 0 } },
        { .kind = ATTACK_FORGE },
        { .kind = ATTACK_CALL, .value = { WAY_SYSCALL, 57 } },
    };
    uint32_t descriptors = entries_of("/proc/self/fd");
    uint64_t before = 0;
    pid_t children[4];

    (void)state;
    for (uint32_t i = 0; i < contain.lives; i++) {
        struct life life;

        if (i == 20) /* what the C library keeps is there */
            before = resident();
        life_of(&life, &rows[i % ULV_COUNT_OF(rows)]);
        assert_in_range(life.out.reason, ULV_EXIT_CALL, ULV_EXIT_FAULT);
    }
    assert_int_equal(entries_of("/proc/self/fd"), descriptors);
    assert_int_equal(children_of(getpid(), children, 4), 1);
    assert_in_range(resident(), 0, before + 65536);
    neighbour_counts();
}

/* What somebody else sends is told from what the guest did. */
static void
test_contain__signals_from_outside(void **state)
{
    static const int signals[] = { SIGKILL, SIGSEGV, SIGSYS };
    const struct attack flood = { .kind = ATTACK_FLOOD };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(signals); i++) {
        pid_t children[4], neighbour;
        struct life life;

        assert_int_equal(children_of(getpid(), &neighbour, 1), 1);
        life_begin(&life, &flood);
        assert_int_equal(children_of(getpid(), children, 4), 2);
        assert_int_equal(
            kill(children[children[0] == neighbour ? 1 : 0], signals[i]), 0);
        do {
            life_run(&life, 6000);
        } while (life.out.reason == ULV_EXIT_CALL);
        assert_int_equal(life.out.reason, signals[i] == SIGKILL
                                              ? ULV_EXIT_ENDED
                                              : ULV_EXIT_FAULT);
        assert_int_equal(life.out.u.fault.kind, ULV_FAULT_KILLED);
        assert_int_equal(life.out.u.fault.vector, signals[i]);
        life_end(&life);
    }
    neighbour_counts();
}

/* A program that is killed takes its guests along, also one that spins. */
static void
test_contain__dies_with_its_program(void **state)
{
    const struct attack flood = { .kind = ATTACK_FLOOD };
    int ready[2], pidfd;
    struct pollfd gone;
    struct life life;
    pid_t program, guest;
    char c;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    program = fork();
    assert_true(program >= 0);
    if (program == 0) {
        life_begin(&life, &flood);
        life_run(&life, 6000);
        (void)!write(ready[1], "r", 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(children_of(program, &guest, 1), 1);
    pidfd = (int)syscall(SYS_pidfd_open, guest, 0);
    assert_true(pidfd >= 0);
    assert_int_equal(kill(program, SIGKILL), 0);
    assert_int_equal(waitpid(program, NULL, 0), program);
    gone = (struct pollfd){ .fd = pidfd, .events = POLLIN };
    assert_int_equal(poll(&gone, 1, 60000), 1);
    (void)close(pidfd);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* ---- as whom ------------------------------------------------------------- */

/* A path that an ordinary user can execute, wherever the build is. */
static char *
copy_launcher(const char *path)
{
    static char copy[64];
    char buffer[65536];
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = memfd_create("launcher", MFD_CLOEXEC);
    ssize_t bytes = read(from, buffer, sizeof(buffer));

    if (from < 0 || to < 0 || bytes <= 0 ||
        write(to, buffer, (size_t)bytes) != bytes)
        return NULL;
    (void)snprintf(copy, sizeof(copy), "/proc/self/fd/%d", to);
    (void)close(from);
    from = open(copy, O_RDONLY | O_CLOEXEC); /* none that is written to runs */
    (void)close(to);
    to = fcntl(from, F_DUPFD_CLOEXEC, 200);
    (void)close(from);
    (void)snprintf(copy, sizeof(copy), "/proc/self/fd/%d", to);
    return to < 0 ? NULL : copy;
}

static bool
become_ordinary(void)
{
    if (getuid() != 0)
        return true;
    return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
           setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
           prctl(PR_SET_DUMPABLE, 1) == 0;
}

/* A kernel that has neither namespaces for us nor Landlock. */
static bool
refuse_namespaces(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { ULV_COUNT_OF(filter), filter };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool
begin_as(const char *who)
{
    if (strcmp(who, "own") == 0)
        return true;
    return become_ordinary() &&
           (strcmp(who, "bare") != 0 || refuse_namespaces());
}

static void
set_size(const char *size)
{
    bool fast = strcmp(size, "fast") == 0;

    contain.stride = fast ? 37 : 1;
    contain.lives = strcmp(size, "long") == 0 ? 1000 : fast ? 50 : 200;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contain__what_the_kernel_says),
        cmocka_unit_test(test_contain__an_odd_personality),
        cmocka_unit_test(test_contain__every_system_call),
        cmocka_unit_test(test_contain__calls_that_would_help),
        cmocka_unit_test(test_contain__every_address),
        cmocka_unit_test(test_contain__calls_of_the_vsyscall_page),
        cmocka_unit_test(test_contain__jumps_into_the_launcher),
        cmocka_unit_test(test_contain__a_record_in_every_state),
        cmocka_unit_test(test_contain__a_forged_fault_ends_it),
        cmocka_unit_test(test_contain__a_flood_of_calls),
        cmocka_unit_test(test_contain__lives_leave_nothing),
        cmocka_unit_test(test_contain__signals_from_outside),
        cmocka_unit_test(test_contain__dies_with_its_program),
    };
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (argc != 5)
        return 2;
    argv[1] = copy_launcher(argv[1]);
    if (argv[1] == NULL || !begin_as(argv[3]))
        return 2;
    contain.ops = ulv_backend_find("process");
    if (contain.ops->probe(ulv_posix_host(), &caps, &diag) != ULV_OK) {
        print_message("1..0 # SKIP %s\n", diag.text);
        return 0;
    }
    memcpy(contain.version, caps.version, sizeof(contain.version));
    contain.namespaces = strstr(caps.version, ", namespaces") != NULL;
    set_size(argv[4]);
    contain.launcher = argv[1];
    contain.image = argv[2];
    return cmocka_run_group_tests_name("contain", tests, contain_begin,
                                       contain_end);
}
