/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The first process of a stock Linux in a partition, linked without shared
 * libraries: says what it sees of its memory and of its processor, then ends
 * the machine as the command line asks: "end=reboot", "end=poweroff", or by
 * its own end, upon which Linux panics.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

/* The lines of a file that begin with one of the words. */
static void
show(const char *path, const char *const *words)
{
    char line[4096];
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        printf("no %s\n", path);
        return;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        for (size_t i = 0; words[i] != NULL; i++) {
            if (strncmp(line, words[i], strlen(words[i])) == 0)
                printf("init: %s", line);
        }
    }
    (void)fclose(file);
}

int
main(void)
{
    static const char *const memory[] = {"MemTotal", NULL};
    static const char *const processor[] = {"processor", "vendor_id", "flags",
                                            NULL};
    char words[1024] = "";
    FILE *file;

    (void)mount("proc", "/proc", "proc", 0, NULL);
    show("/proc/meminfo", memory);
    show("/proc/cpuinfo", processor);
    file = fopen("/proc/cmdline", "re");
    if (file != NULL && fgets(words, sizeof(words), file) != NULL)
        printf("init: words %s", words);
    printf("init: SUCCESS\n");
    (void)fflush(stdout);
    (void)tcdrain(STDOUT_FILENO);
    if (strstr(words, "end=reboot") != NULL)
        (void)reboot(RB_AUTOBOOT);
    if (strstr(words, "end=poweroff") != NULL)
        (void)reboot(RB_POWER_OFF);
    return 3;
}
