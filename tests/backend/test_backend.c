/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What every backend that runs real code has to do, on each that can be used
 * here. Guests are a few bytes of x86. Arguments: the launcher; the one backend
 * that is to be there, or none for all that are.
 */
#include "../unit/port/port_test.h"
#include "guests.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <ultravisor/posix.h>
#include <ultravisor/sys/backend.h>

#include "system/role.h"

#define SECOND UINT64_C(1000000000)

struct machine {
    const struct ulv_backend_ops *ops;
    const struct ulv_host *host;
    ulv_handle memory;
    uint8_t *p;
    void *machine, *vcpu;
};

static const char *launcher;
static const struct ulv_backend_ops *backends[4];
static uint32_t backend_count;

static void
begin(struct machine *m, const struct ulv_backend_ops *ops,
      const void *code, size_t bytes)
{
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = 1,
                                   .gate = GATE,
                                   .launcher = launcher };
    struct ulv_diag diag = ULV_DIAG_INIT;
    void *p;

    m->ops = ops;
    m->host = cfg.host = ulv_posix_host();
    m->machine = calloc(1, ops->machine_bytes);
    m->vcpu = calloc(1, ops->vcpu_bytes);
    assert_int_equal(m->host->memory_create(NULL, "ram", BYTES, 0, &m->memory),
                     ULV_OK);
    assert_int_equal(m->host->memory_map(NULL, m->memory, 0, BYTES,
                                         ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                         &p),
                     ULV_OK);
    m->p = p;
    memcpy(m->p, code, bytes);
    assert_int_equal(ops->machine_init(m->machine, &cfg, &diag), ULV_OK);
    assert_int_equal(ops->map(m->machine, (ulv_gpa){ RAM }, BYTES, m->memory,
                              0, m->p, ULV_GUEST_WRITE | ULV_GUEST_EXECUTE),
                     ULV_OK);
    assert_int_equal(ops->map(m->machine, (ulv_gpa){ RAM + 4096 }, 4096,
                              m->memory, 0, m->p, 0),
                     ULV_E_EXISTS);
    assert_int_equal(ops->map(m->machine, (ulv_gpa){ RAM + 1 }, 4096,
                              m->memory, 0, m->p, 0),
                     ULV_E_ARG);
    assert_int_equal(ops->vcpu_init(m->vcpu, m->machine, 0, (ulv_gpa){ RAM },
                                    (ulv_gpa){ RAM + BYTES }, 77, &diag),
                     ULV_OK);
}

static void
end(struct machine *m)
{
    m->ops->vcpu_fini(m->vcpu);
    m->ops->machine_fini(m->machine);
    m->host->memory_unmap(NULL, m->p, BYTES);
    m->host->handle_close(NULL, m->memory);
    free(m->machine);
    free(m->vcpu);
}

/* Until something but an interruption; gives up after a minute. */
static void
run(struct machine *m, struct ulv_exit *out)
{
    for (int i = 0; i < 60; i++) {
        assert_int_equal(m->ops->vcpu_run(m->vcpu, SECOND, out), ULV_OK);
        if (out->reason != ULV_EXIT_INTERRUPTED)
            return;
    }
    fail_msg("no exit");
}

static void
test_backend__calls(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;
        uint64_t seen[3];

        begin(&m, backends[b], calls, sizeof(calls));
        run(&m, &out);
        assert_int_equal(out.reason, ULV_EXIT_CALL);
        assert_int_equal(out.u.call.number, 0x1122);
        assert_int_equal(out.u.call.argument[0], 77); /* the start's */
        assert_int_equal(out.u.call.argument[1], 3);
        assert_int_equal(out.u.call.argument[2], 4);
        assert_int_equal(out.u.call.argument[3], 5);
        for (uint64_t n = 0; n < 200; n++) {
            m.ops->vcpu_answer(m.vcpu, -(int64_t)n, n * 3);
            run(&m, &out);
            memcpy(seen, m.p + 0x800, sizeof(seen));
            assert_int_equal(seen[0], -(int64_t)n);
            assert_int_equal(seen[1], n * 3);
            assert_int_equal(seen[2], 6);
        }
        end(&m);
    }
}

static void
test_backend__faults(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        for (size_t i = 0; i < ULV_COUNT_OF(faults); i++) {
            const struct fault_row *row = &faults[i];
            struct machine m;
            struct ulv_exit out;

            begin(&m, backends[b], row->code, sizeof(row->code));
            run(&m, &out);
            if (out.reason != ULV_EXIT_FAULT || out.u.fault.kind != row->kind)
                print_message("%s on %s\n", row->what, backends[b]->name);
            assert_int_equal(out.reason, ULV_EXIT_FAULT);
            assert_int_equal(out.u.fault.kind, row->kind);
            if (row->address != ANYWHERE)
                assert_int_equal(out.u.fault.address, row->address);
            if (row->kind != ULV_FAULT_EXECUTE &&
                row->address == out.u.fault.registers.rip) {
                assert_true(out.u.fault.instruction_bytes > 2);
                assert_memory_equal(out.u.fault.instruction,
                                    row->code + (row->address - RAM) %
                                                    sizeof(row->code),
                                    2);
            }
            /* it is over: every further run says so */
            run(&m, &out);
            assert_int_equal(out.reason, ULV_EXIT_ENDED);
            end(&m);
        }
    }
}

static void
test_backend__budget_interrupts(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;

        begin(&m, backends[b], loop, sizeof(loop));
        for (int i = 0; i < 20; i++) {
            assert_int_equal(m.ops->vcpu_run(m.vcpu, 1000000, &out), ULV_OK);
            assert_int_equal(out.reason, ULV_EXIT_INTERRUPTED);
        }
        end(&m);
    }
}

static void *
kick(void *vcpu_of)
{
    struct machine *m = vcpu_of;

    m->ops->vcpu_kick(m->vcpu);
    return NULL;
}

/* The budget is an hour: only the kick can bring it back. */
static void
test_backend__kick_from_another_thread(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;
        pthread_t thread;

        begin(&m, backends[b], loop, sizeof(loop));
        for (int i = 0; i < 20; i++) {
            assert_int_equal(pthread_create(&thread, NULL, kick, &m), 0);
            assert_int_equal(m.ops->vcpu_run(m.vcpu, 3600 * SECOND, &out),
                             ULV_OK);
            assert_int_equal(out.reason, ULV_EXIT_INTERRUPTED);
            assert_int_equal(pthread_join(thread, NULL), 0);
        }
        end(&m);
    }
}

/* A kick that finds no run counts for the next one, and for that one only. */
static void
test_backend__kick_before_a_run(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;

        begin(&m, backends[b], calls, sizeof(calls));
        m.ops->vcpu_kick(m.vcpu);
        m.ops->vcpu_kick(m.vcpu);
        assert_int_equal(m.ops->vcpu_run(m.vcpu, 3600 * SECOND, &out), ULV_OK);
        if (out.reason == ULV_EXIT_INTERRUPTED)
            assert_int_equal(m.ops->vcpu_run(m.vcpu, 3600 * SECOND, &out),
                             ULV_OK);
        assert_int_equal(out.reason, ULV_EXIT_CALL);
        end(&m);
    }
}

/* A signal that the caller blocks after the start, and that is pending, does
 * not end every run. */
static void
test_backend__a_blocked_signal_is_not_taken(void **state)
{
    sigset_t blocked, before;

    (void)state;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGUSR1);
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;

        begin(&m, backends[b], calls, sizeof(calls));
        assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
        assert_int_equal(raise(SIGUSR1), 0);
        run(&m, &out);
        assert_int_equal(out.reason, ULV_EXIT_CALL);
        assert_int_equal(sigwaitinfo(&blocked, NULL), SIGUSR1);
        assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
        end(&m);
    }
}

static void
test_backend__registers(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;
        struct ulv_registers registers;

        if (backends[b]->vcpu_registers == NULL)
            continue;
        begin(&m, backends[b], calls, sizeof(calls));
        assert_int_equal(m.ops->vcpu_registers(m.vcpu, &registers), ULV_OK);
        assert_int_equal(registers.rip, RAM);
        assert_int_equal(registers.rsp, RAM + BYTES - 8);
        assert_int_equal(registers.rdi, 77);
        run(&m, &out);
        assert_int_equal(m.ops->vcpu_registers(m.vcpu, &registers), ULV_OK);
        assert_int_equal(registers.rdi, 0x1122);
        assert_int_equal(registers.rbx, 6);
        end(&m);
    }
}

static void *
make_machine(const struct ulv_backend_ops *ops, uint64_t gate,
             ulv_status *ret_status, struct ulv_diag *diag)
{
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = 1,
                                   .host = ulv_posix_host(),
                                   .gate = gate,
                                   .launcher = launcher };
    void *machine = calloc(1, ops->machine_bytes);

    *ret_status = ops->machine_init(machine, &cfg, diag);
    return machine;
}

/* Regions come and go in thousands of places, small ones and large ones over
 * one another: nothing is used up, and the last one is there. */
static void
test_backend__maps_and_unmaps(void **state)
{
    const uint32_t access = ULV_GUEST_WRITE | ULV_GUEST_EXECUTE;

    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        const struct ulv_backend_ops *ops = backends[b];
        const struct ulv_host *host = ulv_posix_host();
        ulv_status status;
        void *machine = make_machine(ops, GATE, &status, NULL);
        ulv_handle memory;
        void *p;

        assert_int_equal(status, ULV_OK);
        assert_int_equal(host->memory_create(NULL, "ram", BYTES, 0, &memory),
                         ULV_OK);
        assert_int_equal(host->memory_map(NULL, memory, 0, BYTES,
                                          ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                          &p),
                         ULV_OK);
        for (uint64_t i = 0; i < 3000; i++) {
            /* another gigabyte every time; small, then large at one place */
            ulv_gpa at = { RAM + (i / 2 % 60) * ULV_GIB(1) };
            uint64_t bytes = i % 2 == 0 ? 4096 : BYTES;

            assert_int_equal(ops->map(machine, at, bytes, memory, 0, p,
                                      access), ULV_OK);
            assert_int_equal(ops->unmap(machine, at, bytes), ULV_OK);
            assert_int_equal(ops->unmap(machine, at, bytes), ULV_E_NOT_FOUND);
        }
        ops->machine_fini(machine);
        host->memory_unmap(NULL, p, BYTES);
        host->handle_close(NULL, memory);
        free(machine);
    }
}

/* What a backend keeps for itself, and what is no gate. */
static void
test_backend__refuses(void **state)
{
    static const uint64_t no_gates[] = { 0, GATE + 1, RAM, RAM - 1,
                                         UINT64_MAX - 4095 };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;
    uint8_t p[1];

    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        const struct ulv_backend_ops *ops = backends[b];
        void *machine = make_machine(ops, GATE, &status, &diag);

        assert_int_equal(status, ULV_OK);
        for (uint64_t low = 0; low < RAM; low += 4096 * 255)
            assert_int_equal(ops->map(machine, (ulv_gpa){ low }, 4096,
                                      ULV_NO_HANDLE, 0, p, 0),
                             ULV_E_EXISTS);
        assert_int_equal(ops->map(machine, (ulv_gpa){ RAM }, 0, ULV_NO_HANDLE,
                                  0, p, 0),
                         ULV_E_ARG);
        assert_int_equal(ops->map(machine, (ulv_gpa){ UINT64_MAX - 4095 },
                                  8192, ULV_NO_HANDLE, 0, p, 0),
                         ULV_E_ARG);
        assert_int_equal(ops->map(machine, (ulv_gpa){ UINT64_C(1) << 62 },
                                  4096, ULV_NO_HANDLE, 0, p, 0),
                         ULV_E_LIMIT);
        ops->machine_fini(machine);
        free(machine);
        for (size_t i = 0; i < ULV_COUNT_OF(no_gates); i++) {
            machine = make_machine(ops, no_gates[i], &status, &diag);
            assert_int_equal(status, ULV_E_ARG);
            assert_int_equal(diag.value, no_gates[i]);
            ops->machine_fini(machine);
            free(machine);
        }
    }
}

/* Under a limit of descriptors that only just suffices. */
static void
test_backend__few_descriptors(void **state)
{
    struct rlimit before, few;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 32;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;

        begin(&m, backends[b], calls, sizeof(calls));
        run(&m, &out);
        assert_int_equal(out.reason, ULV_EXIT_CALL);
        end(&m);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static uint32_t
count_entries(const char *path)
{
    DIR *folder = opendir(path);
    uint32_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static void
test_backend__leaves_nothing_behind(void **state)
{
    uint32_t descriptors = count_entries("/proc/self/fd");
    uint32_t threads = count_entries("/proc/self/task");

    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        for (int i = 0; i < 100; i++) {
            struct machine m;
            struct ulv_exit out;

            begin(&m, backends[b], calls, sizeof(calls));
            if (i % 2 == 0)
                run(&m, &out);
            end(&m);
        }
    }
    assert_int_equal(count_entries("/proc/self/fd"), descriptors);
    assert_int_equal(count_entries("/proc/self/task"), threads);
}

/*
 * mov $GATE,%ebx; 1: mov $ULV_CALL_SIGNAL,%edi; mov $5,%esi; call *%rbx;
 * mov %rax,0x400800; mov %rdx,0x400808; mov $ULV_CALL_YIELD,%edi; call *%rbx;
 * jmp 1b
 */
static const uint8_t rings[] = {
    0xbb, 0x00, 0xf0, 0x3f, 0x00, 0xbf, 0x01, 0x05, 0x00, 0x00, 0xbe, 0x05,
    0x00, 0x00, 0x00, 0xff, 0xd3, 0x48, 0x89, 0x04, 0x25, 0x00, 0x08, 0x40,
    0x00, 0x48, 0x89, 0x14, 0x25, 0x08, 0x08, 0x40, 0x00, 0xbf, 0x01, 0x08,
    0x00, 0x00, 0xff, 0xd3, 0xeb, 0xdb,
};

static uint64_t
word_at(const struct machine *m, size_t offset)
{
    uint64_t word;

    memcpy(&word, m->p + offset, sizeof(word));
    return word;
}

/* A doorbell rings without an exit while it is set; otherwise it is a call
 * like any other, and its answer arrives. */
static void
test_backend__doorbells(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        struct ulv_exit out;
        ulv_handle bell;

        begin(&m, backends[b], rings, sizeof(rings));
        run(&m, &out);
        assert_int_equal(out.u.call.number, ULV_CALL_SIGNAL);
        assert_int_equal(out.u.call.argument[0], 5);
        m.ops->vcpu_answer(m.vcpu, ULV_E_NOT_FOUND, 0);
        run(&m, &out);
        assert_int_equal(out.u.call.number, ULV_CALL_YIELD);
        assert_int_equal((int64_t)word_at(&m, 0x800), ULV_E_NOT_FOUND);
        assert_int_equal(word_at(&m, 0x808), 0);
        if (m.ops->doorbell == NULL) {
            print_message("# %s rings no doorbells by itself\n", m.ops->name);
            end(&m);
            continue;
        }
        assert_int_equal(m.host->event_create(m.host->self, &bell), ULV_OK);
        assert_int_equal(m.ops->doorbell(m.machine, ULV_SLOT_COUNT, bell),
                         ULV_E_ARG);
        assert_int_equal(m.ops->doorbell(m.machine, 5, bell), ULV_OK);
        assert_int_equal(m.ops->doorbell(m.machine, 5, bell), ULV_OK);
        for (int i = 0; i < 3; i++) {
            m.ops->vcpu_answer(m.vcpu, 0, 0);
            run(&m, &out);
            assert_int_equal(out.u.call.number, ULV_CALL_YIELD);
            assert_true(m.host->event_take(m.host->self, bell));
            assert_int_equal(word_at(&m, 0x800), 0);
            assert_int_equal(word_at(&m, 0x808), 0);
        }
        assert_int_equal(m.ops->doorbell(m.machine, 5, ULV_NO_HANDLE), ULV_OK);
        m.ops->vcpu_answer(m.vcpu, 0, 0);
        run(&m, &out);
        assert_int_equal(out.u.call.number, ULV_CALL_SIGNAL);
        assert_false(m.host->event_take(m.host->self, bell));
        m.host->handle_close(m.host->self, bell);
        end(&m);
    }
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend__calls),
        cmocka_unit_test(test_backend__doorbells),
        cmocka_unit_test(test_backend__faults),
        cmocka_unit_test(test_backend__budget_interrupts),
        cmocka_unit_test(test_backend__kick_from_another_thread),
        cmocka_unit_test(test_backend__kick_before_a_run),
        cmocka_unit_test(test_backend__a_blocked_signal_is_not_taken),
        cmocka_unit_test(test_backend__registers),
        cmocka_unit_test(test_backend__maps_and_unmaps),
        cmocka_unit_test(test_backend__refuses),
        cmocka_unit_test(test_backend__few_descriptors),
        cmocka_unit_test(test_backend__leaves_nothing_behind),
    };
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;
    const char *only;

    if (argc != 2 && argc != 3)
        return 2;
    launcher = argv[1];
    only = argc == 3 ? argv[2] : NULL;
    for (uint32_t i = 0; ulv_backend_at(i) != NULL; i++) {
        const struct ulv_backend_ops *ops = ulv_backend_at(i);

        if (strcmp(ops->name, "mock") == 0 ||
            (only != NULL && strcmp(ops->name, only) != 0))
            continue; /* mock runs no code */
        if (ops->probe(ulv_posix_host(), &caps, &diag) == ULV_OK)
            backends[backend_count++] = ops;
        else
            print_message("# %s is left out: %s\n", ops->name, diag.text);
    }
    if (backend_count == 0 && only != NULL)
        return 1;
    if (backend_count == 0) {
        print_message("1..0 # SKIP no backend can run code here\n");
        return 0;
    }
    return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
