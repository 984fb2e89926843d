/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the hostile guest of the process backend (attack.c) is told to do: one
 * attack a life. It finds this at the address it is started with.
 */
#ifndef TESTS_BACKEND_ATTACK_H
#define TESTS_BACKEND_ATTACK_H

#include <stdint.h>

#define ATTACK_PLACE UINT64_C(0x580000) /* in RAM, above the code */
#define ATTACK_TEXT  UINT64_C(0x581000) /* a path, for system calls */

enum {
    ATTACK_NONE,  /* calls, counting: a neighbour */
    ATTACK_CALL,  /* a system call: way, number, six arguments */
    ATTACK_READ,  /* a byte at an address */
    ATTACK_WRITE, /* a byte at an address */
    ATTACK_JUMP,  /* to an address, with rax and six arguments */
    ATTACK_STATE, /* the processor's state of that number, then ud2 */
    ATTACK_FILL,  /* [from, to) with ones, then ud2 */
    ATTACK_FORGE, /* a fault record that is none, and count on */
    ATTACK_FLOOD  /* calls that wait for no answer, with any words */
};

/* ways into the kernel */
enum { WAY_SYSCALL, WAY_INT80, WAY_SYSENTER, WAY_X32, WAY_COUNT };

enum {
    STATE_NO_STACK,
    STATE_WILD_STACK,
    STATE_THEIR_STACK, /* that of the signals: an address in it */
    STATE_FLAGS,       /* AC, DF */
    STATE_BASES,       /* FS and GS */
    STATE_KEYS,        /* PKRU, where there is one */
    STATE_32_BIT,
    STATE_32_BIT_CALL, /* int $0x80 from there */
    STATE_STEP,        /* TF */
    STATE_COUNT
};

struct attack {
    uint64_t kind;
    uint64_t value[9];
    uint64_t result;  /* of a system call that came back */
    uint64_t counter; /* of FORGE */
};

/* numbers of its calls through the gate */
#define ATTACK_SURVIVED 0x5afe
#define ATTACK_COUNTED  0xc0
#define ATTACK_FLOODED  0xf100d

#endif
