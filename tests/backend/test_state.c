/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Saving a processor and going on with it in another machine, on each backend
 * that can. What is read back may be anything.
 */
#include "../unit/port/port_test.h"
#include "guests.h"

#include <stdlib.h>

#include <ultravisor/posix.h>
#include <ultravisor/sys/backend.h>

#include "system/role.h"

#define MILLISECOND UINT64_C(1000000)
#define FLIPS       4000

/* mov $0x1111,%ebx; movabs $0x123456789abcdef,%r12; movq %r12,%xmm7; fldpi;
 * 1: inc %rbx; mov %rbx,0x400800; movq %xmm7,0x400808; fstl 0x400810; rdtsc;
 * mov %eax,0x400818; mov %edx,0x40081c; jmp 1b */
static const uint8_t counts[] = {
    0xbb, 0x11, 0x11, 0x00, 0x00, 0x49, 0xbc, 0xef, 0xcd, 0xab, 0x89, 0x67,
    0x45, 0x23, 0x01, 0x66, 0x49, 0x0f, 0x6e, 0xfc, 0xd9, 0xeb, 0x48, 0xff,
    0xc3, 0x48, 0x89, 0x1c, 0x25, 0x00, 0x08, 0x40, 0x00, 0x66, 0x0f, 0xd6,
    0x3c, 0x25, 0x08, 0x08, 0x40, 0x00, 0xdd, 0x14, 0x25, 0x10, 0x08, 0x40,
    0x00, 0x0f, 0x31, 0x89, 0x04, 0x25, 0x18, 0x08, 0x40, 0x00, 0x89, 0x14,
    0x25, 0x1c, 0x08, 0x40, 0x00, 0xeb, 0xd3,
};

/* 0: mov $0x401000,%rsi; 1: mov (%rsi),%rax; test %rax,%rax; jz 2f;
 * incb (%rax); add $8,%rsi; jmp 1b; 2: mov $GATE,%rax; mov $0x1122,%edi;
 * call *%rax; jmp 0b: writes where the list says, then calls. */
static const uint8_t writes[] = {
    0x48, 0xc7, 0xc6, 0x00, 0x10, 0x40, 0x00, 0x48, 0x8b, 0x06, 0x48, 0x85,
    0xc0, 0x74, 0x08, 0xfe, 0x00, 0x48, 0x83, 0xc6, 0x08, 0xeb, 0xf0, 0x48,
    0xc7, 0xc0, 0x00, 0xf0, 0x3f, 0x00, 0xbf, 0x22, 0x11, 0x00, 0x00, 0xff,
    0xd0, 0xeb, 0xd9,
};
#define PAGES (BYTES / 4096)
#define READ  UINT64_C(3) /* pages that are only read: they may be told of */
#define ROUNDS 40

struct words {
    uint64_t count, pattern;
    double pi;
    uint64_t tsc;
};

struct machine {
    const struct ulv_backend_ops *ops;
    const struct ulv_host *host;
    ulv_handle memory;
    uint8_t *p;
    void *machine, *vcpu;
};

static const struct ulv_backend_ops *backends[4];
static struct ulv_backend_caps caps[4];
static uint32_t backend_count;

/* With the memory of another, or with code. */
static void
begin(struct machine *m, const struct ulv_backend_ops *ops,
      const void *memory, size_t bytes)
{
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = 1,
                                   .gate = GATE };
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
    memcpy(m->p, memory, bytes);
    assert_int_equal(ops->machine_init(m->machine, &cfg, NULL), ULV_OK);
    assert_int_equal(ops->map(m->machine, (ulv_gpa){ RAM }, BYTES, m->memory,
                              0, m->p, ULV_GUEST_WRITE | ULV_GUEST_EXECUTE),
                     ULV_OK);
    assert_int_equal(ops->vcpu_init(m->vcpu, m->machine, 0, (ulv_gpa){ RAM },
                                    (ulv_gpa){ RAM + BYTES }, 77, NULL),
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
        assert_int_equal(m->ops->vcpu_run(m->vcpu, 1000 * MILLISECOND, out),
                         ULV_OK);
        if (out->reason != ULV_EXIT_INTERRUPTED)
            return;
    }
    fail_msg("no exit");
}

static struct words
words_of(const struct machine *m)
{
    struct words w;

    memcpy(&w, m->p + 0x800, sizeof(w));
    return w;
}

/* Until the guest has counted on; gives up after a while. */
static void
run_on(struct machine *m)
{
    uint64_t count = words_of(m).count;

    for (int i = 0; i < 1000 && words_of(m).count == count; i++) {
        struct ulv_exit out;

        assert_int_equal(m->ops->vcpu_run(m->vcpu, 5 * MILLISECOND, &out),
                         ULV_OK);
        assert_int_equal(out.reason, ULV_EXIT_INTERRUPTED);
    }
    assert_true(words_of(m).count > count);
}

static size_t
save(struct machine *m, uint32_t b, uint8_t **ret)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    size_t bytes = 0;

    *ret = malloc(caps[b].state_bytes_max);
    assert_non_null(*ret);
    assert_int_equal(m->ops->vcpu_save(m->vcpu, *ret,
                                       caps[b].state_bytes_max - 1, &bytes,
                                       &diag),
                     ULV_E_LIMIT);
    assert_int_equal(m->ops->vcpu_save(m->vcpu, *ret, caps[b].state_bytes_max,
                                       &bytes, &diag),
                     ULV_OK);
    assert_true(bytes > 0 && bytes <= caps[b].state_bytes_max);
    if (m->ops->state_check(m->host, *ret, bytes, &diag) != ULV_OK)
        fail_msg("%s", diag.text);
    return bytes;
}

/* A call that waits for its answer gets it in the other machine; so it does in
 * the first one, which goes on. */
static void
test_state__a_call_is_answered_afterwards(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m[2];
        struct ulv_exit out;
        uint8_t *saved;
        size_t bytes;

        begin(&m[0], backends[b], calls, sizeof(calls));
        run(&m[0], &out);
        m[0].ops->vcpu_answer(m[0].vcpu, -5, 55);
        run(&m[0], &out);
        bytes = save(&m[0], b, &saved);
        begin(&m[1], backends[b], m[0].p, BYTES);
        assert_int_equal(m[1].ops->vcpu_restore(m[1].vcpu, saved, bytes, NULL),
                         ULV_OK);
        for (int64_t i = 0; i < 2; i++) {
            uint64_t seen[3];

            m[i].ops->vcpu_answer(m[i].vcpu, -7 - i, (uint64_t)(70 + i));
            run(&m[i], &out);
            assert_int_equal(out.reason, ULV_EXIT_CALL);
            assert_int_equal(out.u.call.number, 0x1122);
            memcpy(seen, m[i].p + 0x800, sizeof(seen));
            assert_int_equal(seen[0], -7 - i);
            assert_int_equal(seen[1], 70 + i);
            assert_int_equal(seen[2], 6);
            end(&m[i]);
        }
        free(saved);
    }
}

/* Of an answer that was given and not yet seen nothing is lost either. */
static void
test_state__an_answer_is_kept(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m[2];
        struct ulv_exit out;
        uint64_t seen[3];
        uint8_t *saved;
        size_t bytes;

        begin(&m[0], backends[b], calls, sizeof(calls));
        run(&m[0], &out);
        m[0].ops->vcpu_answer(m[0].vcpu, -5, 55);
        bytes = save(&m[0], b, &saved);
        begin(&m[1], backends[b], m[0].p, BYTES);
        assert_int_equal(m[1].ops->vcpu_restore(m[1].vcpu, saved, bytes, NULL),
                         ULV_OK);
        run(&m[1], &out);
        memcpy(seen, m[1].p + 0x800, sizeof(seen));
        assert_int_equal(seen[0], -5);
        assert_int_equal(seen[1], 55);
        end(&m[0]);
        end(&m[1]);
        free(saved);
    }
}

/* Registers of all kinds, in the middle of a run, over several machines. */
static void
test_state__counts_on(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m[2];
        struct words before, after;
        uint8_t *saved;
        size_t bytes;

        begin(&m[0], backends[b], counts, sizeof(counts));
        run_on(&m[0]);
        for (uint32_t i = 0; i < 5; i++) {
            struct machine *from = &m[i % 2], *to = &m[1 - i % 2];

            bytes = save(from, b, &saved);
            before = words_of(from);
            begin(to, backends[b], from->p, BYTES);
            end(from);
            assert_int_equal(to->ops->vcpu_restore(to->vcpu, saved, bytes,
                                                   NULL),
                             ULV_OK);
            free(saved);
            run_on(to);
            after = words_of(to);
            assert_true(after.count > before.count && before.count > 0x1111);
            assert_int_equal(after.pattern, UINT64_C(0x0123456789abcdef));
            assert_memory_equal(&after.pi, &before.pi, 8);
            assert_true(after.pi > 3.14 && after.pi < 3.15);
            assert_true(after.tsc > before.tsc);
        }
        end(&m[1]);
    }
}

/* A feature that the guest was shown and this host does not have. */
static void
test_state__refuses_features_that_are_not_here(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct ulv_diag diag = ULV_DIAG_INIT;
        struct machine m;
        uint8_t *saved;
        uint32_t all = UINT32_MAX, function;
        size_t bytes, at = 200; /* of the first CPUID leaf */

        if (strcmp(backends[b]->name, "kvm") != 0)
            continue;
        begin(&m, backends[b], counts, sizeof(counts));
        run_on(&m);
        bytes = save(&m, b, &saved);
        for (function = 0; function != 1; at += 40)
            memcpy(&function, saved + at, 4);
        memcpy(saved + at - 40 + 20, &all, 4); /* ecx */
        assert_int_equal(m.ops->state_check(m.host, saved, bytes, &diag),
                         ULV_E_UNSUPPORTED);
        assert_non_null(strstr(diag.text, "CPUID 0x1.0 ecx"));
        free(saved);
        end(&m);
    }
}

/* What is not a saved processor is refused or, where it could be one, runs in
 * a machine like any other; nothing else happens. */
static void
test_state__refuses_what_cannot_be(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        struct ulv_diag diag = ULV_DIAG_INIT;
        struct machine m;
        uint8_t *saved;
        size_t bytes;
        uint32_t refused = 0;

        begin(&m, backends[b], counts, sizeof(counts));
        run_on(&m);
        bytes = save(&m, b, &saved);
        for (size_t len = 0; len < bytes; len += 97)
            assert_int_equal(m.ops->state_check(m.host, saved, len, &diag),
                             ULV_E_FORMAT);
        srand(7);
        print_message("# seed 7\n");
        for (int i = 0; i < FLIPS; i++) {
            size_t at = (size_t)(i < FLIPS / 2 ? rand() % 256 : rand()) % bytes;
            uint8_t was = saved[at];
            ulv_status status;

            saved[at] ^= (uint8_t)(1 << rand() % 8);
            status = m.ops->state_check(m.host, saved, bytes, &diag);
            if (status != ULV_OK) {
                assert_true(status == ULV_E_FORMAT ||
                            status == ULV_E_UNSUPPORTED);
                assert_true(diag.text[0] != '\0');
                refused++;
            }
            saved[at] = was;
        }
        assert_true(refused > 0);
        assert_int_equal(m.ops->state_check(m.host, saved, bytes, &diag),
                         ULV_OK);
        free(saved);
        end(&m);
    }
}

/* Write to some pages; what is said to be written is that, and the stack. */
static void
write_some(struct machine *m, uint32_t round)
{
    uint64_t list[PAGES + 1], expected[PAGES / 64] = { 0 };
    uint64_t found[PAGES / 64];
    struct ulv_exit out;
    uint32_t count = 0;

    for (uint32_t page = 2; page < PAGES; page++) {
        if (rand() % 64 >= (int)round)
            continue;
        list[count++] = RAM + page * 4096 + (uint32_t)rand() % 4096;
        expected[page / 64] |= UINT64_C(1) << page % 64;
    }
    list[count] = 0;
    expected[PAGES / 64 - 1] |= UINT64_C(1) << 63; /* call */
    memcpy(m->p + 4096, list, (count + 1) * sizeof(list[0]));
    if (round != 0) /* what waits for its answer goes on */
        m->ops->vcpu_answer(m->vcpu, 0, 0);
    run(m, &out);
    assert_int_equal(out.reason, ULV_EXIT_CALL);
    assert_int_equal(m->ops->collect(m->machine, (ulv_gpa){ RAM }, BYTES,
                                     found),
                     ULV_OK);
    found[0] &= ~READ;
    assert_memory_equal(found, expected, sizeof(found));
    /* told once */
    assert_int_equal(m->ops->collect(m->machine, (ulv_gpa){ RAM }, BYTES,
                                     found),
                     ULV_OK);
    memset(expected, 0, sizeof(expected));
    found[0] &= ~READ;
    assert_memory_equal(found, expected, sizeof(found));
}

static void
test_state__written_pages_are_told_exactly(void **state)
{
    (void)state;
    srand(11);
    print_message("# seed 11\n");
    for (uint32_t b = 0; b < backend_count; b++) {
        struct machine m;
        uint64_t found[PAGES / 64];

        if (caps[b].can_track == 0)
            continue;
        begin(&m, backends[b], writes, sizeof(writes));
        assert_int_equal(m.ops->collect(m.machine, (ulv_gpa){ RAM }, BYTES,
                                        found),
                         ULV_E_STATE);
        assert_int_equal(m.ops->track(m.machine, true), ULV_OK);
        assert_int_equal(m.ops->collect(m.machine, (ulv_gpa){ RAM }, 4096,
                                        found),
                         ULV_E_NOT_FOUND);
        for (uint32_t round = 0; round < ROUNDS; round++)
            write_some(&m, round);
        assert_int_equal(m.ops->track(m.machine, false), ULV_OK);
        assert_int_equal(m.ops->collect(m.machine, (ulv_gpa){ RAM }, BYTES,
                                        found),
                         ULV_E_STATE);
        end(&m);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state__written_pages_are_told_exactly),
        cmocka_unit_test(test_state__a_call_is_answered_afterwards),
        cmocka_unit_test(test_state__an_answer_is_kept),
        cmocka_unit_test(test_state__counts_on),
        cmocka_unit_test(test_state__refuses_features_that_are_not_here),
        cmocka_unit_test(test_state__refuses_what_cannot_be),
    };
    struct ulv_diag diag = ULV_DIAG_INIT;

    for (uint32_t i = 0; ulv_backend_at(i) != NULL; i++) {
        const struct ulv_backend_ops *ops = ulv_backend_at(i);

        if (strcmp(ops->name, "mock") == 0)
            continue; /* runs no code */
        if (ops->probe(ulv_posix_host(), &caps[backend_count], &diag) !=
            ULV_OK)
            print_message("# %s is left out: %s\n", ops->name, diag.text);
        else if (caps[backend_count].can_save == 0)
            print_message("# %s cannot save\n", ops->name);
        else
            backends[backend_count++] = ops;
    }
    if (backend_count == 0) {
        print_message("1..0 # SKIP no backend can save here\n");
        return 0;
    }
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
