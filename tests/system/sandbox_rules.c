/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Prints the sandboxes' rules, and the filter of each as the kernel gets it:
 *
 *     process NUMBER                        of this process
 *     rule WHO NUMBER TEST ARGUMENT VALUE CALL NAME-OF-VALUE
 *     filter WHO HEXADECIMAL
 */
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port/posix/sandbox.h"

static int
print_filter(uint32_t who)
{
    int code = 0, fd = memfd_create("filter", 0);
    void *filter = ulv_sandbox_filter(who, &code);
    uint8_t byte;

    if (filter == NULL || seccomp_export_bpf(filter, fd) != 0 ||
        lseek(fd, 0, SEEK_SET) != 0)
        return 1;
    (void)printf("filter %" PRIu32 " ", who);
    while (read(fd, &byte, 1) == 1)
        (void)printf("%02x", byte);
    (void)printf("\n");
    (void)close(fd);
    seccomp_release(filter);
    return 0;
}

int
main(void)
{
    size_t count;
    const struct ulv_sandbox_rule *rule = ulv_sandbox_rules(&count);

    (void)printf("process %d\n", (int)getpid());
    for (size_t i = 0; i < count; i++)
        (void)printf("rule %" PRIu32 " %" PRId32 " %d %" PRIu32 " %" PRIu64
                     " %s %s\n",
                     rule[i].who, rule[i].number, (int)rule[i].test,
                     rule[i].argument, rule[i].value, rule[i].call,
                     rule[i].value_name);
    for (uint32_t who = 1; (who & ULV_SANDBOX_EVERY) != 0; who <<= 1) {
        if (print_filter(who) != 0)
            return 1;
    }
    return 0;
}
