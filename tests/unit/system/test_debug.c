/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A debugger of the test's at the socket of a stub, which says a few packets to
 * a guest of each backend, in this process and one process a role.
 * Arguments: launcher, ultravisor-role, counter.elf; the one backend that is to
 * be there, or none for all that are.
 */
#include "../port/port_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ultravisor/ultravisor.h>

#include "mock_image.h"

#define COUNT_AT (ULV_GUEST_RAM_BASE + 0x100000)

static const char *launcher, *role_program, *counter, *only;

struct fixture {
    ulv_system *system;
    ulv_id web;
    const char *backend;
    uint64_t entry;
    char folder[40], path[64];
    struct mock_image steps;
    struct ulv_image image;
    int fd; /* of the debugger */
    char said[16384];
    size_t len;
};

static uint64_t
entry_of(const char *path)
{
    Elf64_Ehdr header;
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    assert_int_equal(fread(&header, sizeof(header), 1, file), 1);
    (void)fclose(file);
    return header.e_entry;
}

static void
begin(struct fixture *f, const char *backend, uint32_t placement)
{
    /* a script that stores, and stores again, without end */
    static const struct ulv_mock_step steps[] = {
        { .kind = ULV_MOCK_STORE, .argument = { COUNT_AT, 1 } },
        { .kind = ULV_MOCK_STORE, .argument = { COUNT_AT, 2 } },
        { .kind = ULV_MOCK_REPEAT, .number = 2, .argument = { UINT64_MAX } },
    };
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t;

    memset(f, 0, sizeof(*f));
    f->backend = backend;
    f->fd = -1;
    opts.backend = backend;
    opts.placement = placement;
    opts.role_program = role_program;
    opts.memory = ULV_MIB(32);
    opts.settle_limit = UINT64_C(60000000000);
    opts.launcher_program = launcher;
    if (ulv_system_create(ulv_posix_host(), &opts, &f->system, &diag) !=
        ULV_OK)
        fail_msg("%s: %s", backend, diag.text);
    t = ulv_transaction_begin(f->system);
    f->web = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, f->web, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, f->web, 1, ULV_SHARED);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    strcpy(f->folder, "/tmp/ulv-debug-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
    if (strcmp(backend, "mock") == 0) {
        mock_image_init(&f->steps, steps, 3);
        f->image.kernel = ULV_SOURCE_MEMORY(&f->steps, sizeof(f->steps));
        f->entry = ULV_GUEST_RAM_BASE;
    } else {
        f->image.kernel = ULV_SOURCE_PATH(counter);
        f->entry = entry_of(counter);
    }
}

static void
end(struct fixture *f)
{
    if (f->fd >= 0)
        (void)close(f->fd);
    ulv_system_destroy(f->system);
    assert_int_equal(access(f->path, F_OK), -1); /* the stub's to remove */
    assert_int_equal(rmdir(f->folder), 0);
}

static void
debug_and_start(struct fixture *f, uint32_t flags)
{
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (ulv_posix_debug(f->system, f->web, f->path, flags, &diag) != ULV_OK)
        fail_msg("%s: %s", f->backend, diag.text);
    if (ulv_partition_start(f->system, f->web, &f->image, &diag) != ULV_OK)
        fail_msg("%s: %s", f->backend, diag.text);
}

/* ---- the debugger -------------------------------------------------------- */

static int
connect_to(const struct fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, f->path);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address,
                             sizeof(address)),
                     0);
    return fd;
}

static void
step(struct fixture *f)
{
    (void)ulv_system_step(f->system,
                          ulv_system_now(f->system) + 10000000);
}

/* Until there is a packet, or the end; its text. */
static const char *
hear(struct fixture *f)
{
    for (;;) {
        char *end = memchr(f->said, '#', f->len);
        ssize_t got;

        if (end != NULL && f->len >= (size_t)(end - f->said) + 3) {
            char *begin = memchr(f->said, '$', f->len);

            assert_non_null(begin);
            *end = '\0';
            return begin + 1;
        }
        got = recv(f->fd, f->said + f->len, sizeof(f->said) - f->len, 0);
        if (got == 0)
            return NULL;
        if (got > 0)
            f->len += (size_t)got;
        else
            assert_int_equal(errno, EAGAIN);
        step(f);
    }
}

static const char *
ask(struct fixture *f, const char *text)
{
    char packet[256];
    uint8_t sum = 0;
    int len;

    for (const char *p = text; *p != '\0'; p++)
        sum = (uint8_t)(sum + (uint8_t)*p);
    len = snprintf(packet, sizeof(packet), "+$%s#%02x", text, sum);
    f->len = 0;
    assert_int_equal(send(f->fd, packet, (size_t)len, 0), len);
    return hear(f);
}

static uint64_t
rip(struct fixture *f)
{
    const char *text = ask(f, "p10");
    uint64_t value = 0;

    assert_int_equal(strlen(text), 16);
    for (int i = 7; i >= 0; i--) {
        unsigned byte;

        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        value = value << 8 | byte;
    }
    return value;
}

static uint64_t
count(struct fixture *f)
{
    uint64_t value = 0;

    assert_int_equal(ulv_partition_read(f->system, f->web,
                                        (ulv_gpa){ COUNT_AT }, &value,
                                        sizeof(value), NULL),
                     ULV_OK);
    return value;
}

/* It runs: it counts on, however long that takes. */
static void
expect_running(struct fixture *f)
{
    uint64_t before = count(f);

    while (count(f) == before) /* a script has two values */
        step(f);
}

/* ---- cases: of a backend, in a placement --------------------------------- */

static void
break_at_entry(struct fixture *f)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "Z0,%llx,1",
                   (unsigned long long)f->entry);
    assert_string_equal(ask(f, text), "OK");
    assert_string_equal(ask(f, "c"), "T05thread:1;swbreak:;");
    assert_true(rip(f) == f->entry);
    text[0] = 'z';
    assert_string_equal(ask(f, text), "OK");
}

static void
held_from_the_start(struct fixture *f)
{
    char text[64];

    debug_and_start(f, ULV_DEBUG_HOLD);
    for (int i = 0; i < 5; i++)
        step(f);
    assert_int_equal(count(f), 0);
    f->fd = connect_to(f);
    assert_string_equal(ask(f, "?"), "T02thread:1;");
    assert_true(rip(f) == f->entry);
    break_at_entry(f);
    assert_string_equal(ask(f, "s"), "T05thread:1;");
    assert_true(rip(f) != f->entry);
    (void)snprintf(text, sizeof(text), "P10=%02x%02x%02x0000000000",
                   (unsigned)(f->entry & 255),
                   (unsigned)(f->entry >> 8 & 255),
                   (unsigned)(f->entry >> 16 & 255));
    assert_string_equal(ask(f, text), "OK");
    break_at_entry(f);
    assert_string_equal(ask(f, "D"), "OK");
    f->len = 0;
    assert_null(hear(f));
    expect_running(f);
}

/* The first thing it does at all. */
static void
stepped_from_the_start(struct fixture *f)
{
    debug_and_start(f, ULV_DEBUG_HOLD);
    f->fd = connect_to(f);
    assert_string_equal(ask(f, "?"), "T02thread:1;");
    assert_string_equal(ask(f, "s"), "T05thread:1;");
    assert_true(rip(f) != f->entry);
    assert_string_equal(ask(f, "D"), "OK");
    f->len = 0;
    assert_null(hear(f));
    expect_running(f);
}

static void
halted_while_it_runs(struct fixture *f)
{
    uint64_t before;
    int second;
    char byte;

    debug_and_start(f, 0);
    expect_running(f);
    f->fd = connect_to(f);
    assert_string_equal(ask(f, "?"), "T02thread:1;");
    before = count(f);
    second = connect_to(f); /* it is turned away */
    while (recv(second, &byte, 1, 0) < 0)
        step(f);
    (void)close(second);
    /* what changes settles meanwhile */
    assert_int_equal(ulv_partition_pause(f->system, f->web, NULL), ULV_OK);
    assert_int_equal(ulv_partition_resume(f->system, f->web, NULL), ULV_OK);
    assert_int_equal(count(f), before);
    /* it has only its word that it goes on */
    assert_int_equal(send(f->fd, "$c#63", 5, 0), 5);
    expect_running(f);
}

static void
interrupted(struct fixture *f)
{
    uint64_t before;

    debug_and_start(f, 0);
    f->fd = connect_to(f);
    assert_string_equal(ask(f, "?"), "T02thread:1;");
    f->len = 0;
    assert_int_equal(send(f->fd, "$c#63", 5, 0), 5);
    expect_running(f);
    assert_int_equal(send(f->fd, "\x03", 1, 0), 1);
    assert_string_equal(hear(f), "T02thread:1;");
    (void)close(f->fd); /* without a word: it goes on */
    f->fd = -1;
    expect_running(f);
    for (int i = 0; i < 30; i++) { /* who does not wait until it stands */
        f->fd = connect_to(f);
        for (int n = 0; n < i % 3; n++)
            step(f);
        (void)close(f->fd);
    }
    f->fd = connect_to(f); /* and another one can come */
    assert_string_equal(ask(f, "?"), "T02thread:1;");
    before = count(f);
    for (int n = 0; n < 5; n++)
        step(f);
    assert_int_equal(count(f), before);
    assert_null(ask(f, "k"));
    while (ulv_partition_wait(f->system, f->web, &(struct ulv_end){ 0 }, 0,
                              NULL) == ULV_E_TIMEOUT)
        step(f);
}

/* Whatever is said, the guest goes on afterwards. */
static void
garbage(struct fixture *f)
{
    uint64_t seed = 7;
    char bytes[512];

    debug_and_start(f, 0);
    for (int i = 0; i < 60; i++) {
        f->fd = connect_to(f);
        for (size_t n = 0; n < sizeof(bytes); n++) {
            static const char some[] =
                "$#+-\x03}:,;0123456789abcdefgGmMXpPzZvT";

            seed = seed * UINT64_C(6364136223846793005) + 1;
            bytes[n] = i % 2 == 0 ? (char)(seed >> 56)
                                  : some[(seed >> 56) % (sizeof(some) - 1)];
        }
        for (int n = 0; n < 20; n++) {
            if (send(f->fd, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
                break;
            step(f);
        }
        (void)close(f->fd);
        f->fd = -1;
        step(f);
    }
    expect_running(f);
}

static void
paths(struct fixture *f)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct stat found;
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(ulv_posix_debug(f->system, f->web, f->path, 0, &diag),
                     ULV_E_EXISTS);
    assert_int_equal(stat(f->path, &found), 0);
    assert_true(S_ISREG(found.st_mode)); /* it is not ours to remove */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(ulv_posix_debug(f->system, f->web, f->path, 2, &diag),
                     ULV_E_ARG);
    assert_int_equal(stat(f->path, &found), -1);
    assert_int_equal(ulv_posix_debug(f->system, f->web, f->path, 0, &diag),
                     ULV_OK);
    assert_int_equal(stat(f->path, &found), 0);
    assert_true(S_ISSOCK(found.st_mode));
    assert_int_equal(found.st_mode & 0777, 0600);
    assert_int_equal(ulv_posix_debug(f->system, f->web, "/tmp/x", 0, &diag),
                     ULV_E_EXISTS);
    assert_int_equal(ulv_debug_stop(f->system, f->web), ULV_OK);
    assert_int_equal(ulv_debug_stop(f->system, f->web), ULV_E_NOT_FOUND);
    assert_int_equal(stat(f->path, &found), -1);
    assert_int_equal(ulv_posix_debug(f->system, f->web + 1000, f->path, 0,
                                     &diag),
                     ULV_E_NOT_FOUND);
}

/* ---- on each backend ----------------------------------------------------- */

static void
run_on(const char *name, void (*run)(struct fixture *f))
{
    static const uint32_t placements[] = { ULV_PLACEMENT_IN_PROCESS,
                                           ULV_PLACEMENT_PROCESSES };
    /* the sandbox of a role has no rules for the mock backend */
    size_t count = strcmp(name, "mock") == 0 ? 1 : 2;

    for (size_t i = 0; i < count; i++) {
        static struct fixture f;

        begin(&f, name, placements[i]);
        run(&f);
        end(&f);
    }
}

static void
run_case(void **state)
{
    void (*run)(struct fixture *f);
    uint32_t tried = 0;

    memcpy(&run, state, sizeof(run));
    for (uint32_t i = 0; ulv_backend_at(i) != NULL; i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;
        const char *name;

        if (ulv_backend_probe(ulv_posix_host(), i, &name, &diag) != ULV_OK) {
            print_message("# %s: %s\n", name, diag.text);
        } else if (only == NULL || strcmp(only, name) == 0) {
            tried++;
            run_on(name, run);
        }
    }
    assert_true(tried != 0);
}

static void
run_case_but_in_bochs(void **state)
{
    skip_in_bochs("a step to a page that is not mapped yet never ends");
    run_case(state);
}

#define CASE(function)                                                         \
    {                                                                          \
        "test_system_debug__" #function, run_case, NULL, NULL,                 \
            (void *)(uintptr_t)function                                        \
    }

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(held_from_the_start), CASE(halted_while_it_runs),
        CASE(interrupted),         CASE(garbage),
        CASE(paths),
        { "test_system_debug__stepped_from_the_start", run_case_but_in_bochs,
          NULL, NULL, (void *)(uintptr_t)stepped_from_the_start },
    };

    if (argc < 4)
        return 99;
    launcher = argv[1];
    role_program = argv[2];
    counter = argv[3];
    only = argc > 4 ? argv[4] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
