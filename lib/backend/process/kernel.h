/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The system calls that the launcher makes, without a C library.
 * Source: <asm/unistd_64.h>, section 2 of the manual
 */
#ifndef BACKEND_PROCESS_KERNEL_H
#define BACKEND_PROCESS_KERNEL_H

#include <stdint.h>

#define SYS_READ           0
#define SYS_WRITE          1
#define SYS_CLOSE          3
#define SYS_POLL           7
#define SYS_MMAP           9
#define SYS_MUNMAP         11
#define SYS_RT_SIGACTION   13
#define SYS_RT_SIGRETURN   15
#define SYS_CLONE          56
#define SYS_CHDIR          80
#define SYS_SETSID         112
#define SYS_SETGROUPS      116
#define SYS_SETRESUID      117
#define SYS_SETRESGID      119
#define SYS_CAPSET         126
#define SYS_SIGALTSTACK    131
#define SYS_PIVOT_ROOT     155
#define SYS_PRCTL          157
#define SYS_SETRLIMIT      160
#define SYS_MOUNT          165
#define SYS_UMOUNT2        166
#define SYS_EXIT_GROUP     231
#define SYS_UNSHARE        272
#define SYS_SECCOMP        317
#define SYS_CLOSE_RANGE    436
#define SYS_LANDLOCK_CREATE_RULESET 444
#define SYS_LANDLOCK_RESTRICT_SELF  446

#define EPERM_NUMBER 1
#define ESRCH_NUMBER 3

static inline long
call6(long number, const uint64_t a[6])
{
    register uint64_t r10 __asm__("r10") = a[3];
    register uint64_t r8 __asm__("r8") = a[4];
    register uint64_t r9 __asm__("r9") = a[5];
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long
call3(long number, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t arguments[6] = { a, b, c, 0, 0, 0 };

    return call6(number, arguments);
}

static inline uint64_t
address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

#endif
