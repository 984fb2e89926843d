/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The floor that a system call is measured against: a guest that does nothing
 * but VMCALL, and a host that does nothing but step over it. The entry and
 * exit code, with all registers saved, is the backend's.
 */
#include "backend/vtx/architecture.h"
#include "backend/vtx/vtx_priv.h"
#include "base/base.h"
#include "whole.h"

#define CALLS 2000u
#define RAM   UINT64_C(0x400000)
#define GATE  UINT64_C(0x3ff000)

/* vmcall; jmp to it */
static const uint8_t code[] = { 0x0f, 0x01, 0xc1, 0xeb, 0xfb };

static struct machine machine;
static struct vcpu vcpu;

static uint64_t
count(void)
{
    uint64_t before = cpu_time();
    uint32_t i = 0;

    while (i < CALLS) {
        if (ulv_vtx_enter(&vcpu.registers, vcpu.launched) != VMX_DONE ||
            vmx_read(FIELD_REASON) != REASON_VMCALL)
            return 0;
        vcpu.launched = true;
        (void)vmx_write(FIELD_GUEST_RIP, vmx_read(FIELD_GUEST_RIP) + 3);
        i++;
    }
    return (cpu_time() - before) / CALLS;
}

uint64_t
whole_bare_loop(const struct ulv_host *host)
{
    const struct ulv_backend_ops *ops = &ulv_backend_vtx;
    const struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                         .vcpu_count = 1,
                                         .host = host,
                                         .gate = GATE };
    struct failure failure = { .status = ULV_OK };
    uint8_t *p = host->alloc(host->self, ULV_VTX_PAGE, ULV_VTX_PAGE);
    uint64_t ticks = 0;

    if (p == NULL || ops->machine_init(&machine, &cfg, NULL) != ULV_OK)
        return 0;
    memcpy(p, code, sizeof(code));
    if (ops->map(&machine, (ulv_gpa){ RAM }, ULV_VTX_PAGE, ULV_NO_HANDLE, 0, p,
                 ULV_GUEST_EXECUTE) == ULV_OK &&
        ops->vcpu_init(&vcpu, &machine, 0, (ulv_gpa){ RAM },
                       (ulv_gpa){ RAM + 4096 }, 0, NULL) == ULV_OK) {
        ulv_vtx_make_current(&failure, &vcpu);
        (void)vmx_write(FIELD_TIMER, UINT32_MAX);
        ticks = count();
    }
    ops->vcpu_fini(&vcpu);
    ops->machine_fini(&machine);
    host->free(host->self, p, ULV_VTX_PAGE);
    return ticks;
}
