/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A guest's process as /proc has it; some of it only for a privileged user. */
#include "contain.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

bool
is_guests(uint64_t at, bool write)
{
    const uint64_t bounds[][3] = {
        { RAM, RAM + BYTES, 1 },
        { CALL_PAGE, CALL_PAGE + 4096, 1 },
        { contain.writable, contain.writable_end, 1 },
        { LAUNCHER_START, contain.writable, 0 },
        { GATE, GATE + 4096, 0 },
        { GATE_COPY, GATE_COPY + 4096, 0 },
    };

    for (size_t i = 0; i < ULV_COUNT_OF(bounds); i++) {
        if (at >= bounds[i][0] && at < bounds[i][1])
            return !write || bounds[i][2] != 0;
    }
    return false;
}

static bool
status_has(pid_t pid, const char *wanted)
{
    char path[64], line[256];
    FILE *file;
    bool found = false;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        found = found || strncmp(line, wanted, strlen(wanted)) == 0;
    (void)fclose(file);
    if (!found)
        print_message("# %s lacks %s\n", path, wanted);
    return found;
}

static void
assert_no_limits(pid_t pid)
{
    static const char *const names[] = {
        "Max file size",       "Max data size",         "Max stack size",
        "Max core file size",  "Max processes",         "Max open files",
        "Max locked memory",   "Max address space",     "Max file locks",
        "Max pending signals", "Max msgqueue size",
    };
    char path[64], line[256];
    uint32_t zeroes = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/limits", pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        for (size_t i = 0; i < ULV_COUNT_OF(names); i++) {
            uint64_t soft = 1, hard = 1;

            if (strncmp(line, names[i], strlen(names[i])) != 0)
                continue;
            assert_int_equal(sscanf(line + 26, "%lu %lu", &soft, &hard), 2);
            assert_int_equal(soft | hard, 0);
            zeroes++;
        }
    }
    (void)fclose(file);
    assert_int_equal(zeroes, ULV_COUNT_OF(names));
}

void
assert_maps(pid_t pid)
{
    char path[64], line[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        uint64_t from, to;
        char access[5];

        assert_int_equal(sscanf(line, "%lx-%lx %4s", &from, &to, access), 3);
        if (strstr(line, "[vsyscall]") != NULL)
            continue;
        if (strstr(line, "[v") != NULL) {
            print_message("# this kernel keeps %s", line);
            continue;
        }
        if (!is_guests(from, access[1] == 'w') ||
            !is_guests(to - 1, access[1] == 'w'))
            fail_msg("%s", line);
        if ((from == CALL_PAGE || from == GATE_COPY) && access[2] == 'x')
            fail_msg("%s", line);
    }
    (void)fclose(file);
}

uint32_t
entries_of(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    uint32_t count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static void
assert_descriptors(pid_t pid)
{
    char path[64], target[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    assert_int_equal(entries_of(path), 2);
    for (int fd = FD_CALL; fd <= FD_ANSWER; fd++) {
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
        memset(target, 0, sizeof(target));
        assert_true(readlink(path, target, sizeof(target) - 1) > 0);
        assert_string_equal(target, "anon_inode:[eventfd]");
    }
}

/* A program whose root was changed gets no user namespace, privileged or not;
 * a privileged one has the others without. */
static bool
has_user_namespaces(void)
{
    pid_t child = fork();
    int status = 1;

    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (status != 0)
        print_message("# the kernel gives no user namespace here\n");
    return status == 0;
}

static void
assert_namespaces(pid_t pid)
{
    static const char *const names[] = { "user", "pid", "net",   "ipc",
                                         "mnt",  "uts", "cgroup" };
    char path[64], theirs[64], ours[64];

    for (size_t i = has_user_namespaces() ? 0 : 1; i < ULV_COUNT_OF(names);
         i++) {
        memset(theirs, 0, sizeof(theirs));
        memset(ours, 0, sizeof(ours));
        (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, names[i]);
        assert_true(readlink(path, theirs, sizeof(theirs) - 1) > 0);
        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
        assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
        if (contain.namespaces)
            assert_string_not_equal(theirs, ours);
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/root", pid);
    if (contain.namespaces)
        assert_int_equal(entries_of(path), 0);
}

void
assert_confined(pid_t pid)
{
    char path[64];

    assert_true(status_has(pid, "NoNewPrivs:\t1"));
    assert_true(status_has(pid, "Seccomp:\t2"));
    assert_true(status_has(pid, "Threads:\t1"));
    assert_true(status_has(pid, "CapInh:\t0000000000000000"));
    assert_true(status_has(pid, "CapPrm:\t0000000000000000"));
    assert_true(status_has(pid, "CapEff:\t0000000000000000"));
    assert_true(status_has(pid, "Uid:\t65534\t65534\t65534\t65534") ||
                getuid() != 0);
    assert_no_limits(pid);
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    if (getuid() != 0) { /* not even for who started it */
        assert_int_equal(open(path, O_RDONLY), -1);
        return;
    }
    assert_maps(pid);
    assert_descriptors(pid);
    assert_namespaces(pid);
}
