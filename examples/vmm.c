/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A custom VMM with its own event loop: runs a guest on a disk, prints what it
 * says. The library works only while ulv_system_step() is called.
 *
 * usage: vmm [--processes] GUEST.elf DISK
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ultravisor/ultravisor.h>

_Noreturn static void
die(const char *what, const struct ulv_diag *diag)
{
    fprintf(stderr, "vmm: %s: %s\n", what, diag->text);
    exit(1);
}

static ulv_id
assign(ulv_system *system, const char *path, struct ulv_diag *diag)
{
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id web = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    /* 0, 0: the command partition decides who serves first, and says why */
    ulv_id disk = ulv_transaction_offer(t, 0, 0, ULV_SOURCE_PATH(path));

    ulv_transaction_memory(t, web, ULV_MIB(8), ULV_ANY_NODE);
    ulv_transaction_processors(t, web, 1, ULV_SHARED);
    ulv_transaction_console(t, web, 0, 0);
    ulv_transaction_attach(t, web, disk, ULV_DISK_READ_ONLY);
    if (ulv_transaction_commit(t, diag) != ULV_OK) /* all of it, or none */
        die("commit", diag);
    return web;
}

static void
print_events(ulv_system *system)
{
    struct ulv_event event = ULV_EVENT_INIT;

    while (ulv_event_next(system, &event) == ULV_OK) {
        if (event.kind == ULV_EVENT_CONSOLE)
            printf("%s", event.data);
        else if (event.kind == ULV_EVENT_DECISION ||
                 event.kind == ULV_EVENT_ENDED)
            printf("[%s]\n", event.data);
    }
}

int
main(int argc, char **argv)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_image image;
    struct ulv_end end;
    ulv_system *system;
    ulv_status status;
    ulv_id web;

    if (argc == 4 && strcmp(argv[1], "--processes") == 0) {
        opts.placement = ULV_PLACEMENT_PROCESSES; /* each role in its own */
        argc--;
        argv++;
    }
    if (argc != 3)
        return fprintf(stderr, "usage: vmm [--processes] GUEST.elf DISK\n"), 2;
    opts.launcher_program = getenv("ULTRAVISOR_LAUNCHER"); /* or installed */
    if (ulv_system_create(ulv_posix_host(), &opts, &system, &diag) != ULV_OK)
        die("create", &diag);
    web = assign(system, argv[2], &diag);
    image = (struct ulv_image){ .kernel = ULV_SOURCE_PATH(argv[1]) };
    if (ulv_partition_start(system, web, &image, &diag) != ULV_OK)
        die("start", &diag);

    /* The loop is ours: other descriptors would stand beside this one. */
    for (;;) {
        struct pollfd fd = { .fd = ulv_posix_fd(system), .events = POLLIN };

        status = ulv_partition_wait(system, web, &end, 0, &diag);
        if (status != ULV_E_TIMEOUT)
            break;
        if (ulv_system_step(system, 0) != ULV_OK) /* nothing to do now */
            (void)poll(&fd, 1, -1);
        print_events(system);
    }
    if (status != ULV_OK)
        die("wait", &diag);
    print_events(system);
    ulv_system_destroy(system);
    return end.reason == ULV_END_REASON_STOP ? (int)end.code : 1;
}
