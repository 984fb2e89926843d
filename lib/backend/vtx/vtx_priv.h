/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef BACKEND_VTX_VTX_PRIV_H
#define BACKEND_VTX_VTX_PRIV_H

#include "backend/vtx/exit.h"
#include "backend/vtx/guest.h"
#include "backend/vtx/vmx.h"
#include <ultravisor/sys/vtx.h>

#define REGIONS_MAX 256u
#define TABLES_MAX  4096u /* of extended page tables, a machine */

struct region {
    uint64_t guest, bytes;
    uint8_t *p;
};

struct machine {
    bool made;
    struct ulv_machine_cfg cfg;
    struct ulv_vtx_capabilities capabilities;
    struct ulv_vtx_controls controls;
    struct ulv_vtx_ept ept;
    struct ulv_vtx_identity identity;
    void *vmxon, *gate; /* a page each */
    struct region region[REGIONS_MAX];
    uint32_t region_count;
};

struct vcpu {
    bool made, ended, resume;
    uint32_t kicked;
    struct machine *machine;
    void *vmcs; /* a page */
    struct ulv_registers registers;
    /* when it was made, to learn how fast the time stamp counts */
    uint64_t first_time;
    ulv_nsec first_now;
};

/* Between VMXON and VMXOFF, on one processor. */
struct stay {
    const struct machine *machine;
    uint64_t cr0, cr4, flags; /* as they were */
    uint64_t efer;
    struct ulv_vtx_descriptor gdt, idt;
    ulv_status status; /* of the first step that failed; what it was: */
    const char *step;
    uint32_t outcome; /* VMX_* */
    uint32_t error;   /* VM-instruction error */
};

/* probe.c. Why this program cannot run guests, or OK and *ret. */
ulv_status ulv_vtx_processor(const struct ulv_host *host,
                             struct ulv_vtx_capabilities *ret,
                             struct ulv_diag *diag);

/* stay.c. Interrupts are off from begin to end, which follows in any case;
 * between them the VMCS is the current one. */
ulv_status ulv_vtx_stay_begin(struct stay *stay, const struct vcpu *v);
void ulv_vtx_stay_end(struct stay *stay, const struct vcpu *v);
/* Both keep the first failure in stay. */
void ulv_vtx_stay_write(struct stay *stay, uint64_t field, uint64_t value);
void ulv_vtx_stay_fields_of_host(struct stay *stay);
void ulv_vtx_stay_failed(struct stay *stay, const char *step,
                         uint32_t outcome);
/* The failure in words, for a diag or the log. */
void ulv_vtx_stay_text(const struct stay *stay, struct ulv_text *text);

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
