/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What every backend that runs real code has to do, on each that can be used
 * here. Guests are a few bytes of x86. Argument: the launcher.
 */
#include "../unit/port/port_test.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>

#include <ultravisor/posix.h>
#include <ultravisor/sys/backend.h>

#include "backend/process/process.h"
#include "system/role.h"

#define RAM    ULV_MIB(4)
#define BYTES  ULV_MIB(2)
#define GATE   UINT64_C(0x3ff000)
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

/* mov $GATE,%rax; mov %rdi,%rsi; mov $0x1122,%edi; mov $3,%edx; mov $4,%ecx;
 * mov $5,%r8d; mov $6,%ebx; call *%rax; mov %rax,0x400800; mov %rdx,0x400808;
 * mov %rbx,0x400810; jmp to the beginning */
static const uint8_t calls[] = {
    0x48, 0xc7, 0xc0, 0x00, 0xf0, 0x3f, 0x00, 0x48, 0x89, 0xfe, 0xbf, 0x22,
    0x11, 0x00, 0x00, 0xba, 0x03, 0x00, 0x00, 0x00, 0xb9, 0x04, 0x00, 0x00,
    0x00, 0x41, 0xb8, 0x05, 0x00, 0x00, 0x00, 0xbb, 0x06, 0x00, 0x00, 0x00,
    0xff, 0xd0, 0x48, 0x89, 0x04, 0x25, 0x00, 0x08, 0x40, 0x00, 0x48, 0x89,
    0x14, 0x25, 0x08, 0x08, 0x40, 0x00, 0x48, 0x89, 0x1c, 0x25, 0x10, 0x08,
    0x40, 0x00, 0xeb, 0xc0,
};

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

struct fault_row {
    const char *what;
    uint8_t code[12];
    uint32_t kind;
    uint64_t address;
};

static const struct fault_row faults[] = {
    { "ud2", { 0x0f, 0x0b }, ULV_FAULT_INSTRUCTION, RAM },
    { "cli", { 0xfa }, ULV_FAULT_PROTECTION, RAM },
    { "hlt", { 0xf4 }, ULV_FAULT_PROTECTION, RAM },
    { "out", { 0xe6, 0x80 }, ULV_FAULT_PROTECTION, RAM },
    { "read nothing", { 0x8a, 0x04, 0x25, 0, 0, 0, 0x10 }, ULV_FAULT_READ,
      0x10000000 },
    { "write nothing", { 0x88, 0x04, 0x25, 0, 0, 0, 0x10 }, ULV_FAULT_WRITE,
      0x10000000 },
    { "jump to nothing", { 0xb8, 0, 0, 0, 0x10, 0xff, 0xe0 },
      ULV_FAULT_EXECUTE, 0x10000000 },
    { "divide", { 0x31, 0xc9, 0xf7, 0xf1 }, ULV_FAULT_ARITHMETIC, RAM + 2 },
    { "write the gate", { 0x88, 0x04, 0x25, 0, 0xf0, 0x3f, 0 },
      ULV_FAULT_WRITE, GATE },
};

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

static const uint8_t loop[] = { 0xeb, 0xfe };

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

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend__calls),
        cmocka_unit_test(test_backend__faults),
        cmocka_unit_test(test_backend__budget_interrupts),
        cmocka_unit_test(test_backend__kick_from_another_thread),
        cmocka_unit_test(test_backend__leaves_nothing_behind),
    };
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (argc != 2)
        return 2;
    launcher = argv[1];
    for (uint32_t i = 0; ulv_backend_at(i) != NULL; i++) {
        const struct ulv_backend_ops *ops = ulv_backend_at(i);

        if (strcmp(ops->name, "mock") == 0)
            continue; /* runs no code */
        if (ops->probe(ulv_posix_host(), &caps, &diag) == ULV_OK)
            backends[backend_count++] = ops;
        else
            print_message("# %s is left out: %s\n", ops->name, diag.text);
    }
    return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
