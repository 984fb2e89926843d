/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port_test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/posix/link.h"
#include "port/posix/spawn.h"

static const char *role_program;

static const struct ulv_host *
host(void)
{
    return ulv_posix_host();
}

struct role {
    struct ulv_posix_process process;
    struct ulv_link *link;
};

static void
start(struct role *role, const char *what)
{
    const char *arguments[] = {"role", what, NULL};
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_handle peer = ULV_NO_HANDLE;

    assert_int_equal(ulv_posix_link_create(host(), &role->link, &peer), ULV_OK);
    if (ulv_posix_process_start(role_program, arguments, peer, &role->process,
                                &diag) != ULV_OK)
        fail_msg("%s", diag.text);
    host()->handle_close(NULL, peer);
}

/* Wait until a handle is readable: at most 20 seconds, then it is broken. */
static void
await(ulv_handle h)
{
    struct pollfd wanted = {.fd = (int)h, .events = POLLIN};

    assert_int_equal(poll(&wanted, 1, 20000), 1);
}

static struct ulv_posix_end
finish(struct role *role)
{
    struct ulv_posix_end end = {0, 0};

    await(role->process.handle);
    assert_int_equal(ulv_posix_process_reap(&role->process, &end), ULV_OK);
    assert_int_equal(role->process.handle, ULV_NO_HANDLE);
    role->link->ops->close(role->link);
    return end;
}

static void
test_port_process__handles_reach_another_process(void **state)
{
    static char buf[ULV_LINK_MESSAGE_MAX];
    ulv_handle sent[2], came[ULV_LINK_HANDLES_MAX];
    uint32_t count = 7;
    struct role role;
    size_t len = 0;
    void *p = NULL;

    (void)state;
    start(&role, "echo");
    assert_int_equal(host()->memory_create(NULL, "m", 4096, 0, &sent[0]),
                     ULV_OK);
    assert_int_equal(host()->event_create(NULL, &sent[1]), ULV_OK);
    assert_int_equal(
        host()->memory_map(NULL, sent[0], 0, 4096, ULV_MAP_READ, NULL, &p),
        ULV_OK);
    assert_int_equal(role.link->ops->send(role.link, "go", 2, sent, 2), ULV_OK);
    await(role.link->readable);
    assert_int_equal(
        role.link->ops->receive(role.link, buf, &len, came, &count), ULV_OK);
    assert_int_equal(len, 4);
    assert_int_equal(count, 0);
    assert_memory_equal(buf, "done", 4);
    assert_string_equal(p, "written by the role");
    assert_true(host()->event_take(NULL, sent[1]));
    assert_int_equal(finish(&role).exit_code, 0);
    host()->memory_unmap(NULL, p, 4096);
    host()->handle_close(NULL, sent[0]);
    host()->handle_close(NULL, sent[1]);
}

static void
test_port_process__holds_four_descriptors(void **state)
{
    struct role role;
    /* One that its opener forgot to close on exec. */
    int leaked = open("/dev/null", O_RDONLY);
    int high = fcntl(leaked, F_DUPFD, 200);

    (void)state;
    start(&role, "descriptors");
    assert_int_equal(finish(&role).exit_code, 4);
    close(high);
    close(leaked);
}

static void
test_port_process__starts_fresh(void **state)
{
    struct role role;
    sigset_t blocked, old;

    (void)state;
    setenv("SECRET", "x", 1);
    unsetenv("LD_LIBRARY_PATH");
    unsetenv("ASAN_OPTIONS");
    unsetenv("LSAN_OPTIONS");
    unsetenv("TSAN_OPTIONS");
    unsetenv("UBSAN_OPTIONS");
    start(&role, "environment");
    assert_int_equal(finish(&role).exit_code, 0);
    setenv("UBSAN_OPTIONS", "print_stacktrace=1", 1);
    start(&role, "environment");
    assert_int_equal(finish(&role).exit_code, 1);

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    start(&role, "signals");
    sigprocmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(finish(&role).exit_code, 0);
}

static void
test_port_process__kill(void **state)
{
    static char buf[ULV_LINK_MESSAGE_MAX];
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    struct ulv_posix_end end = {0, 0};
    uint32_t count = 0;
    struct role role;
    size_t len = 0;

    (void)state;
    start(&role, "wait");
    await(role.link->readable);
    assert_int_equal(
        role.link->ops->receive(role.link, buf, &len, handles, &count), ULV_OK);
    assert_int_equal(ulv_posix_process_reap(&role.process, &end), ULV_E_AGAIN);
    ulv_posix_process_kill(&role.process);
    await(role.link->readable);
    assert_int_equal(
        role.link->ops->receive(role.link, buf, &len, handles, &count),
        ULV_E_PEER_GONE);
    end = finish(&role);
    assert_int_equal(end.signal, SIGKILL);
    assert_int_equal(end.exit_code, -1);
    /* Void: nothing happens. */
    ulv_posix_process_kill(&role.process);
}

/* In a child of ours: start a role and die; its pid goes through a pipe. */
static void
orphan(int out)
{
    static char buf[ULV_LINK_MESSAGE_MAX];
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    uint32_t count = 0;
    struct role role;
    size_t len = 0;

    start(&role, "wait");
    await(role.link->readable);
    if (role.link->ops->receive(role.link, buf, &len, handles, &count) !=
        ULV_OK)
        _exit(1);
    if (write(out, &role.process.pid, sizeof(role.process.pid)) < 0)
        _exit(2);
    kill(getpid(), SIGKILL);
}

static void
test_port_process__dies_with_its_parent(void **state)
{
    int fds[2], status = 0;
    int32_t pid = 0;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0)
        orphan(fds[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
    /* Gone, or a zombie that init has not reaped: both end a kill(0) loop
     * only if we look at the state. */
    for (int i = 0; i < 2000; i++) {
        char path[64], line[256] = "";
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY);
        if (fd < 0)
            break;
        assert_true(read(fd, line, sizeof(line) - 1) >= 0);
        close(fd);
        if (strstr(line, ") Z ") != NULL || line[0] == '\0')
            break;
        assert_true(i < 1999);
        usleep(10000);
    }
    close(fds[0]);
    close(fds[1]);
}

static void
test_port_process__start_says_why_not(void **state)
{
    static const struct {
        const char *program;
        ulv_status status;
    } cases[] = {
        {"/nonexistent/role", ULV_E_NOT_FOUND},
        {"/etc/passwd", ULV_E_DENIED},
    };
    const char *arguments[] = {"role", NULL};
    ulv_handle event = ULV_NO_HANDLE;

    (void)state;
    assert_int_equal(host()->event_create(NULL, &event), ULV_OK);
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        struct ulv_posix_process process = {.handle = ULV_NO_HANDLE};
        struct ulv_diag diag = ULV_DIAG_INIT;

        assert_int_equal(ulv_posix_process_start(cases[i].program, arguments,
                                                 event, &process, &diag),
                         cases[i].status);
        assert_non_null(strstr(diag.text, cases[i].program));
        assert_int_equal(process.handle, ULV_NO_HANDLE);
    }
    host()->handle_close(NULL, event);
}

static void
test_port_process__role_without_a_link_says_so(void **state)
{
    const char *arguments[] = {"role", "echo", NULL};
    struct ulv_posix_process process = {.handle = ULV_NO_HANDLE};
    struct ulv_posix_end end = {0, 0};
    ulv_handle event = ULV_NO_HANDLE;

    (void)state;
    assert_int_equal(host()->event_create(NULL, &event), ULV_OK);
    assert_int_equal(
        ulv_posix_process_start(role_program, arguments, event, &process, NULL),
        ULV_OK);
    await(process.handle);
    assert_int_equal(ulv_posix_process_reap(&process, &end), ULV_OK);
    assert_int_equal(end.exit_code, 31);
    host()->handle_close(NULL, event);
}

int
main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_process__handles_reach_another_process),
        cmocka_unit_test(test_port_process__holds_four_descriptors),
        cmocka_unit_test(test_port_process__starts_fresh),
        cmocka_unit_test(test_port_process__kill),
        cmocka_unit_test(test_port_process__dies_with_its_parent),
        cmocka_unit_test(test_port_process__start_says_why_not),
        cmocka_unit_test(test_port_process__role_without_a_link_says_so),
    };

    if (count != 2) {
        print_error("usage: test_port_process ROLE_PROGRAM\n");
        return 2;
    }
    role_program = arguments[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
