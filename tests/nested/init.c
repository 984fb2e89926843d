/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The first process of a Linux that does nothing but run tests: linked without
 * shared libraries. Does what /jobs says, a line at a time; words stand between
 * blanks:
 *
 *   module FILE [OPTION]   load a module
 *   setenv NAME VALUE      for the programs that follow
 *   run NAME FILE WORD...  a program: its output is the console's
 *
 * and says so: "# init: begin NAME", "# init: end NAME STATUS", "# init: done".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define WORDS_MAX 32

static void
complain(const char *what)
{
    printf("# init: %s: %s\n", what, strerror(errno));
}

static void
mount_all(void)
{
    static const char *const rows[][2] = {
        {"proc", "/proc"},
        {"sysfs", "/sys"},
        {"devtmpfs", "/dev"},
        {"tmpfs", "/tmp"},
        {"cgroup2", "/sys/fs/cgroup"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (mount(rows[i][0], rows[i][1], rows[i][0], 0, NULL) != 0)
            complain(rows[i][1]);
    }
}

static void
load_module(const char *path, const char *option)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || syscall(SYS_finit_module, fd, option, 0) != 0)
        complain(path);
    if (fd >= 0)
        (void)close(fd);
}

/* Whatever else ends meanwhile was left to us by somebody who died. */
static void
run(const char *name, char **argv)
{
    int status = 0;
    pid_t child, ended;

    printf("# init: begin %s\n", name);
    child = fork();
    if (child == 0) {
        (void)execv(argv[0], argv);
        complain(argv[0]);
        _exit(127);
    }
    do
        ended = waitpid(-1, &status, 0);
    while (ended != child && (ended > 0 || errno == EINTR));
    if (WIFSIGNALED(status))
        printf("# init: end %s signal %d\n", name, WTERMSIG(status));
    else
        printf("# init: end %s status %d\n", name, WEXITSTATUS(status));
}

static void
carry_out(char *line)
{
    char *word[WORDS_MAX + 1] = {NULL};
    size_t count = 0;
    char *rest = NULL;

    for (char *at = strtok_r(line, " \n", &rest);
         at != NULL && count < WORDS_MAX; at = strtok_r(NULL, " \n", &rest))
        word[count++] = at;
    if ((count == 2 || count == 3) && strcmp(word[0], "module") == 0)
        load_module(word[1], count == 3 ? word[2] : "");
    else if (count == 3 && strcmp(word[0], "setenv") == 0)
        (void)setenv(word[1], word[2], 1);
    else if (count >= 3 && strcmp(word[0], "run") == 0)
        run(word[1], word + 2);
    else
        printf("# init: what is \"%s\"?\n", count == 0 ? "" : word[0]);
}

int
main(void)
{
    char line[1024];
    FILE *jobs;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    printf("# init: here\n");
    mount_all();
    jobs = fopen("/jobs", "re");
    if (jobs == NULL)
        complain("/jobs");
    while (jobs != NULL && fgets(line, sizeof(line), jobs) != NULL)
        carry_out(line);
    printf("# init: done\n");
    sync();
    (void)tcdrain(STDOUT_FILENO);
    (void)reboot(RB_AUTOBOOT);
    return 0;
}
