/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef BACKEND_VTX_VTX_PRIV_H
#define BACKEND_VTX_VTX_PRIV_H

#include "backend/vtx/exit.h"
#include "backend/vtx/guest.h"
#include "backend/vtx/vmx.h"
#include <ultravisor/sys/vtx.h>

#include "monitor/regions.h"

#define TABLES_MAX  4096u /* of extended page tables, a machine */

/* A step that went wrong; ULV_OK: none did. */
struct failure {
    ulv_status status;
    const char *step;
    uint32_t outcome; /* VMX_* */
    uint32_t error;   /* VM-instruction error */
};

/* A processor in VMX operation. */
struct root {
    const struct ulv_host *host;
    void *vmxon; /* a page */
    uint32_t machines;
    struct vcpu *current;   /* whose VMCS is loaded */
    uint64_t cr0, cr4, efer; /* as they were */
};

struct machine {
    bool made, stale; /* stale: translations have to go before an entry */
    struct ulv_machine_cfg cfg;
    struct ulv_vtx_capabilities capabilities;
    struct ulv_vtx_controls controls;
    struct ulv_vtx_ept ept;
    struct ulv_vtx_identity identity;
    struct root *root;
    void *gate; /* a page */
    struct ulv_regions regions;
    struct ulv_region region[ULV_REGIONS_MAX];
};

struct vcpu {
    bool made, ended, launched;
    uint32_t kicked;
    uint32_t raise; /* vector of an event of the host that ended the stay */
    struct machine *machine;
    void *vmcs; /* a page */
    uint64_t vmcs_physical;
    /* rip, rsp and rflags are in the VMCS until the guest has ended */
    struct ulv_registers registers;
    /* how fast the time stamp counts; 0: not known yet, and since when */
    uint64_t ticks_a_microsecond, first_time;
    uint64_t timer_of_slice; /* of a whole one, once the speed is known */
    uint64_t timer; /* in the VMCS, where an exit leaves it; 0: none yet */
    ulv_nsec first_now;
};

/* probe.c. Why this program cannot run guests, or OK and *ret. */
ulv_status ulv_vtx_processor(const struct ulv_host *host,
                             struct ulv_vtx_capabilities *ret,
                             struct ulv_diag *diag);

/* root.c. The first machine begins VMX operation, the last ends it. Errors:
 * HOST (with a diag that says what stands in the way), NO_MEMORY. */
ulv_status ulv_vtx_root_enter(struct machine *m, struct ulv_diag *diag);
void ulv_vtx_root_leave(struct machine *m);
/* Each keeps the first failure, and does nothing after one. */
void ulv_vtx_note_failure(struct failure *failure, const char *step,
                          uint32_t outcome);
static inline void
ulv_vtx_note(struct failure *failure, const char *step, uint32_t outcome)
{
    if (outcome != VMX_DONE)
        ulv_vtx_note_failure(failure, step, outcome);
}
void ulv_vtx_write(struct failure *failure, uint64_t field, uint64_t value);
void ulv_vtx_fields_of_host(struct failure *failure, const struct root *root);
/* Load the VMCS unless it is, and drop translations that are stale. */
void ulv_vtx_make_current(struct failure *failure, struct vcpu *v);
/* The failure in words, for a diag or the log. */
void ulv_vtx_failure_text(const struct failure *failure,
                          struct ulv_text *text);

/* vcpu.c */
ulv_status ulv_vtx_vcpu_init(void *vcpu, void *machine, uint32_t idx,
                             ulv_gpa entry, ulv_gpa stack, uint64_t argument,
                             struct ulv_diag *diag);
void ulv_vtx_vcpu_fini(void *vcpu);
ulv_status ulv_vtx_vcpu_run(void *vcpu, ulv_nsec budget_ns,
                            struct ulv_exit *out);
void ulv_vtx_vcpu_answer(void *vcpu, int64_t status, uint64_t value);
void ulv_vtx_vcpu_kick(void *vcpu);
ulv_status ulv_vtx_vcpu_registers(void *vcpu, struct ulv_registers *ret);

#endif
