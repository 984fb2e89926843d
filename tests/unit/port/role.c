/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The program that test_process starts. Its first argument says what it does
 * with the link at descriptor 3.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ultravisor/posix.h>

#include "port/posix/link.h"
#include "port/posix/spawn.h"

/* Wait for a message; 0, or an exit code. */
static int
receive(struct ulv_link *link, char *buf, ulv_handle *handles, uint32_t *count)
{
    const struct ulv_host *host = ulv_posix_host();
    ulv_handle set = ULV_NO_HANDLE;
    ulv_status status;
    size_t len = 0;

    if (host->wait_create(NULL, &set) != ULV_OK ||
        host->watch(NULL, set, link->readable) != ULV_OK)
        return 20;
    do {
        host->wait(NULL, set, ULV_FOREVER);
        status = link->ops->receive(link, buf, &len, handles, count);
    } while (status == ULV_E_AGAIN);
    host->handle_close(NULL, set);
    return status == ULV_OK ? 0 : 21;
}

/* Write into the memory that came, ring the event that came, answer. */
static int
echo(struct ulv_link *link)
{
    static char buf[ULV_LINK_MESSAGE_MAX];
    const struct ulv_host *host = ulv_posix_host();
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    uint32_t count = 0;
    void *p = NULL;
    int code = receive(link, buf, handles, &count);

    if (code != 0)
        return code;
    if (count != 2)
        return 22;
    if (host->memory_map(NULL, handles[0], 0, 4096,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) != ULV_OK)
        return 23;
    strcpy(p, "written by the role");
    host->event_signal(NULL, handles[1]);
    return link->ops->send(link, "done", 4, NULL, 0) == ULV_OK ? 0 : 24;
}

/* Open descriptors, without the one that counts them. */
static int
count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = -1;

    if (dir == NULL)
        return 99;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.')
            count++;
    }
    closedir(dir);
    return count;
}

static int
count_environment(void)
{
    int count = 0;

    while (environ[count] != NULL)
        count++;
    return count;
}

static int
act(const char *what, struct ulv_link *link, int descriptors)
{
    sigset_t blocked;

    if (strcmp(what, "echo") == 0)
        return echo(link);
    if (strcmp(what, "descriptors") == 0)
        return descriptors;
    if (strcmp(what, "environment") == 0)
        return count_environment();
    if (strcmp(what, "signals") == 0) {
        sigprocmask(SIG_BLOCK, NULL, &blocked);
        return sigismember(&blocked, SIGUSR1);
    }
    if (strcmp(what, "wait") == 0) {
        link->ops->send(link, "up", 2, NULL, 0);
        for (;;)
            pause();
    }
    return 32;
}

int
main(int count, char **arguments)
{
    int descriptors = count_descriptors();
    struct ulv_link *link = NULL;
    ulv_status status = ulv_posix_role_begin(ulv_posix_host(), &link);
    int code;

    if (status != ULV_OK)
        return status == ULV_E_ENDED ? 30 : 31;
    code = act(count > 1 ? arguments[1] : "", link, descriptors);
    link->ops->close(link);
    return code;
}
