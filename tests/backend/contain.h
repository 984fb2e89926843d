/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Hostile lives: what the tests of the process backend's containment share. */
#ifndef TESTS_BACKEND_CONTAIN_H
#define TESTS_BACKEND_CONTAIN_H

#include "../unit/port/port_test.h"
#include "attack.h"
#include "guests.h"

#include <sys/types.h>

#include "backend/process/table.h"

#define SECOND UINT64_C(1000000000)

/* One machine, and its guest while it lives. */
struct life {
    void *machine, *vcpu;
    ulv_handle memory;
    uint8_t *p; /* its RAM */
    struct ulv_exit out;
};

/* What the arguments of the program say. */
struct contain {
    const struct ulv_backend_ops *ops;
    const char *launcher, *image; /* paths: and of attack.c */
    char version[32];
    uint32_t stride; /* of system calls and jumps: each so many is tried */
    uint32_t lives;  /* one after the other, of the test of what stays */
    bool namespaces;
    uint64_t text, text_end;         /* the launcher's code */
    uint64_t writable, writable_end; /* and data */
    struct life neighbour;
    uint64_t count; /* calls of the neighbour */
};

extern struct contain contain;

/* The launcher, the guest's image, and a neighbour that counts. */
int contain_begin(void **state);
int contain_end(void **state);

void life_begin(struct life *life, const struct attack *attack);
void life_end(struct life *life);
/* One run after the other until an exit; at most so many of 10 ms. */
void life_run(struct life *life, uint32_t runs);
/* A whole life; what it ended with stays in out. */
void life_of(struct life *life, const struct attack *attack);

/* The neighbour's next call is the one after its last; its RAM is its own. */
void neighbour_counts(void);

/* Processes whose parent is that one, at most so many. */
uint32_t children_of(pid_t parent, pid_t *ret, uint32_t max);
uint64_t random_next(void);

/* Whether a guest has a byte there, to write if so asked. */
bool is_guests(uint64_t at, bool write);
uint32_t entries_of(const char *path); /* without those that begin with . */
/* No right, no limit, no descriptor, no memory, no name of the host's. */
void assert_confined(pid_t pid);
/* Every line of /proc/PID/maps is of the guest or of the launcher. */
void assert_maps(pid_t pid);

#endif
