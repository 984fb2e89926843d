/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What backends have to do in a process that is not as others: on each that
 * runs code here. What they have to do everywhere is in lib/conformance.
 * Arguments: the launcher; the one backend that is to be there, or none for all
 * that are.
 */
#include "../unit/port/port_test.h"
#include "guests.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <ultravisor/posix.h>

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

static uint64_t
word_at(const struct machine *m, size_t offset)
{
    uint64_t word;

    memcpy(&word, m->p + offset, sizeof(word));
    return word;
}

#define SHOWN UINT64_C(0x10000000)

/*
 * mov SHOWN,%rax; mov %rax,0x400800; mov $GATE,%ebx; mov $ULV_CALL_YIELD,%edi;
 * call *%rbx; jmp to the beginning
 */
static const uint8_t reads[] = {
    0x48, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x10, 0x48, 0x89,
    0x04, 0x25, 0x00, 0x08, 0x40, 0x00, 0xbb, 0x00, 0xf0, 0x3f,
    0x00, 0xbf, 0x01, 0x08, 0x00, 0x00, 0xff, 0xd3, 0xeb, 0xe2,
};
/* mov %al,SHOWN */
static const uint8_t writes[] = {0x88, 0x04, 0x25, 0x00, 0x00, 0x00, 0x10};

/* The guest sees words of three pages, one after the other at one place. */
static void
show_three(struct machine *m, ulv_handle memory, uint8_t *p)
{
    struct ulv_exit out;

    for (uint64_t i = 0; i < 3; i++) {
        const uint64_t word = 0x1234 + i;

        memcpy(p + i * 4096, &word, sizeof(word));
        assert_int_equal(m->ops->map(m->machine, (ulv_gpa){SHOWN}, 4096, memory,
                                     i * 4096, p + i * 4096, 0),
                         ULV_OK);
        /* further ones are there too, wherever a backend keeps them */
        assert_int_equal(m->ops->map(m->machine, (ulv_gpa){2 * SHOWN}, 8192,
                                     memory, 0, p, 0),
                         ULV_OK);
        run(m, &out);
        assert_int_equal(out.reason, ULV_EXIT_CALL);
        assert_int_equal(word_at(m, 0x800), word);
        m->ops->vcpu_answer(m->vcpu, 0, 0);
        assert_int_equal(m->ops->unmap(m->machine, (ulv_gpa){2 * SHOWN}, 8192),
                         ULV_OK);
        assert_int_equal(m->ops->unmap(m->machine, (ulv_gpa){SHOWN}, 4096),
                         ULV_OK);
    }
    run(m, &out);
    assert_int_equal(out.reason, ULV_EXIT_FAULT);
    assert_int_equal(out.u.fault.kind, ULV_FAULT_READ);
    assert_int_equal(out.u.fault.address, SHOWN);
}

static void
write_shown(struct machine *m, ulv_handle memory, uint8_t *p)
{
    struct ulv_exit out;

    assert_int_equal(
        m->ops->map(m->machine, (ulv_gpa){SHOWN}, 4096, memory, 0, p, 0),
        ULV_OK);
    p[0] = 7;
    run(m, &out);
    assert_int_equal(out.reason, ULV_EXIT_FAULT);
    assert_int_equal(out.u.fault.kind, ULV_FAULT_WRITE);
    assert_int_equal(out.u.fault.address, SHOWN);
    assert_int_equal(p[0], 7);
}

/* Memory that a guest may only read, while it runs. */
static void
test_backend__read_only_memory(void **state)
{
    const struct ulv_host *host = ulv_posix_host();

    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct ulv_backend_caps caps;
        struct machine m;
        ulv_handle memory;
        void *p;

        assert_int_equal(backends[b]->probe(host, &caps, NULL), ULV_OK);
        if (caps.can_remap == 0)
            continue;
        assert_int_equal(host->memory_create(NULL, "shown", 12288, 0, &memory),
                         ULV_OK);
        assert_int_equal(host->memory_map(NULL, memory, 0, 12288,
                                          ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                                          &p),
                         ULV_OK);
        begin(&m, backends[b], reads, sizeof(reads));
        show_three(&m, memory, p);
        end(&m);
        begin(&m, backends[b], writes, sizeof(writes));
        write_shown(&m, memory, p);
        end(&m);
        host->memory_unmap(NULL, p, 12288);
        host->handle_close(NULL, memory);
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

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend__read_only_memory),
        cmocka_unit_test(test_backend__a_blocked_signal_is_not_taken),
        cmocka_unit_test(test_backend__few_descriptors),
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
