/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the cases of the VT-x backend share: a host, one machine with one
 * processor and 2 MiB of memory, made anew for each guest.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "../backend/guests.h"
#include "backend/vtx/architecture.h"
#include "backend/vtx/vtx_priv.h"
#include "port/bare/bare_priv.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

struct test_case {
    const char *name;
    void (*run)(void);
};

struct case_list {
    const struct test_case *cases;
    size_t count;
};

struct fault_list {
    const struct fault_row *rows;
    size_t count;
};

extern const struct case_list memory_cases, time_cases, hostile_cases;
extern const struct fault_list hostile_faults;

/* ---- backend.c ----------------------------------------------------------- */

extern struct ulv_bare bare;
extern const struct ulv_backend_ops *const ops;
extern uint8_t *ram; /* of the guest */
extern void *machine, *vcpu;

/* One line, as ulv_text_format. */
void say(const char *format, ...);
/* The case under way fails unless this holds. */
void check(bool holds, const char *what, uint64_t value);
void check_fault(const struct ulv_exit *out, uint32_t kind, uint64_t address);

ulv_status try_begin(const void *code, size_t bytes, struct ulv_diag *diag);
void begin(const void *code, size_t bytes);
void end(void);
/* Until there is something to tell. */
void run(struct ulv_exit *out);
/* Into the VMCS, behind the backend's back. */
void write_field(uint64_t field, uint64_t value);

/* A guest of backend_guests.S. */
#define GUEST(name) extern const uint8_t name[], name##_end[]
#define BEGIN(name) begin(name, (size_t)(name##_end - name))

#endif
