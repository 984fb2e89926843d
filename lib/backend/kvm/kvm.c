/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Probe, machines, doorbells. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/kvm/kvm_priv.h"

ulv_status
ulv_kvm_error(struct ulv_diag *diag, const char *what)
{
    int code = errno;
    ulv_status status = ULV_E_HOST;

    if (code == EACCES || code == EPERM)
        status = ULV_E_DENIED;
    else if (code == ENOENT || code == ENODEV || code == ENXIO)
        status = ULV_E_UNSUPPORTED;
    else if (code == ENOMEM || code == EMFILE || code == ENFILE)
        status = ULV_E_NO_MEMORY;
    status = ulv_fail(diag, status, 0, (uint64_t)code, 0, "%s: %s", what,
                      strerror(code));
    if (diag != NULL)
        diag->os_code = code;
    return status;
}

static const struct {
    long number;
    const char *name;
} needed[] = {
    { KVM_CAP_USER_MEMORY, "user memory" },
    { KVM_CAP_READONLY_MEM, "read-only memory" },
    { KVM_CAP_SYNC_REGS, "register sharing" },
    { KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
    { KVM_CAP_IOEVENTFD, "doorbells (ioeventfd)" },
};

static ulv_status
check_capabilities(int fd, struct ulv_diag *diag)
{
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);

    if (version != KVM_API_VERSION)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, (uint64_t)version,
                        KVM_API_VERSION, "/dev/kvm: API version %u, not %u",
                        (uint64_t)version, (uint64_t)KVM_API_VERSION);
    for (size_t i = 0; i < ULV_COUNT_OF(needed); i++) {
        if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].number) <= 0)
            return ulv_fail(diag, ULV_E_UNSUPPORTED, 0,
                            (uint64_t)needed[i].number, 0,
                            "/dev/kvm lacks %s", needed[i].name);
    }
    return ULV_OK;
}

static const long for_saving[] = { KVM_CAP_XSAVE, KVM_CAP_XCRS,
                                   KVM_CAP_VCPU_EVENTS,
                                   KVM_CAP_GET_TSC_KHZ };

static const long for_tracking[] = { KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };

bool
ulv_kvm_has_all(int kvm_fd, const long *capability, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, capability[i]) <= 0)
            return false;
    }
    return true;
}

static ulv_status
open_kvm(int *ret, struct ulv_diag *diag)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    ulv_status status;

    if (fd < 0)
        return ulv_kvm_error(diag, "/dev/kvm");
    status = check_capabilities(fd, diag);
    if (status != ULV_OK) {
        (void)close(fd);
        return status;
    }
    *ret = fd;
    return ULV_OK;
}

static ulv_status
kvm_probe(const struct ulv_host *host, struct ulv_backend_caps *ret_caps,
          struct ulv_diag *diag)
{
    int fd = -1;
    ulv_status status = open_kvm(&fd, diag);

    (void)host;
    memset(ret_caps, 0, sizeof(*ret_caps));
    if (status != ULV_OK)
        return status;
    ret_caps->size = sizeof(*ret_caps);
    ret_caps->vcpus_max = VCPUS_MAX;
    ret_caps->can_thread = 1;
    ret_caps->guest_address_max = ADDRESS_MAX;
    ret_caps->regions_max = REGIONS_MAX;
    ret_caps->can_save_registers = 1;
    ret_caps->can_remap = 1;
    ret_caps->can_save =
        ulv_kvm_has_all(fd, for_saving, ULV_COUNT_OF(for_saving));
    ret_caps->state_bytes_max = STATE_BYTES_MAX;
    ret_caps->can_track = ulv_kvm_has_all(fd, for_tracking, 1);
    ret_caps->can_interrupt = ulv_kvm_interrupts_can(fd);
    if (ulv_kvm_has_all(fd, &(const long){ KVM_CAP_SET_GUEST_DEBUG }, 1))
        ret_caps->debug = ulv_kvm_debug_caps();
    ret_caps->can_stock =
        ulv_kvm_has_all(fd, ulv_kvm_for_stock, ULV_COUNT_OF(ulv_kvm_for_stock));
    ulv_string_copy(ret_caps->version, sizeof(ret_caps->version),
                    "KVM API 12");
    (void)close(fd);
    return ULV_OK;
}

const struct cpuid *
ulv_kvm_cpuid(int kvm_fd)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct cpuid cpuid; /* of the machine: it does not change */
    struct cpuid *ret = &cpuid;

    (void)pthread_mutex_lock(&lock);
    if (cpuid.head.nent == 0) {
        cpuid.head.nent = ULV_COUNT_OF(cpuid.entry);
        if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) != 0) {
            cpuid.head.nent = 0;
            ret = NULL;
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return ret;
}

/* ---- doorbells ----------------------------------------------------------- */

/* KVM api.rst 4.59: a write of that value to that port adds 1 to the event. */
static bool
set_bell(const struct machine *m, uint32_t slot, int fd, uint32_t flags)
{
    struct kvm_ioeventfd event = {
        .datamatch = slot,
        .addr = DOORBELL_PORT,
        .len = 4,
        .fd = fd,
        .flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH | flags,
    };

    return ioctl(m->vm_fd, KVM_IOEVENTFD, &event) == 0;
}

static ulv_status
kvm_doorbell(void *machine, uint32_t slot, ulv_handle bell)
{
    struct machine *m = machine;

    if (slot >= ULV_SLOT_COUNT)
        return ULV_E_ARG;
    if (m->bell[slot] >= 0 && m->bells_told)
        (void)set_bell(m, slot, m->bell[slot], KVM_IOEVENTFD_FLAG_DEASSIGN);
    m->bell[slot] = -1;
    if (bell == ULV_NO_HANDLE)
        return ULV_OK;
    if (m->bells_told && !set_bell(m, slot, (int)bell, 0))
        return ULV_E_LIMIT;
    m->bell[slot] = (int)bell;
    return ULV_OK;
}

/* All at a time, after the memory that is there at the start: a memory slot
 * that is set after a bell waits for a grace period of the kernel. Without KVM
 * a bell is an exit. */
void
ulv_kvm_tell_bells(struct machine *m)
{
    if (m->bells_told)
        return;
    m->bells_told = true;
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        if (m->bell[i] >= 0 && !set_bell(m, i, m->bell[i], 0))
            m->bell[i] = -1;
    }
}

/* ---- machines ------------------------------------------------------------ */

static ulv_status
create_vm(struct machine *m, struct ulv_diag *diag)
{
    struct kvm_enable_cap apart = {
        .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
        .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
    };
    ulv_status status = ULV_OK;
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return ulv_kvm_error(diag, "/dev/kvm");
    m->run_bytes = ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    m->host_cpuid = ulv_kvm_cpuid(fd);
    if (m->run_bytes > 0 && m->host_cpuid != NULL)
        m->vm_fd = ioctl(fd, KVM_CREATE_VM, 0);
    if (m->vm_fd < 0)
        status = ulv_kvm_error(diag, "KVM_CREATE_VM");
    else
        m->can_track = ioctl(m->vm_fd, KVM_ENABLE_CAP, &apart) == 0;
    if (status == ULV_OK && m->cfg.interrupts != 0)
        status = ulv_kvm_interrupts_init(m, fd, diag);
    (void)close(fd);
    return status;
}

/* All but its threads. */
ulv_status
ulv_kvm_machine_make(struct machine *m, const struct ulv_machine_cfg *cfg,
                     struct ulv_diag *diag)
{
    const bool stock = cfg->kind == ULV_MACHINE_STOCK;
    ulv_status status;

    m->made = true;
    m->cfg = *cfg;
    m->first.fd = -1;
    ulv_regions_init(&m->regions, LOW_BYTES, ADDRESS_MAX, NULL, REGIONS_MAX);
    m->vm_fd = -1;
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++)
        m->bell[i] = -1;
    if (cfg->vcpu_count == 0 || cfg->vcpu_count > VCPUS_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, cfg->partition, cfg->vcpu_count,
                        VCPUS_MAX,
                        "the kvm backend has 1 to %u processors, not %u",
                        (uint64_t)VCPUS_MAX, (uint64_t)cfg->vcpu_count);
    if (!stock && (cfg->gate % PAGE != 0 || cfg->gate < TABLES_END ||
                   cfg->gate >= LOW_BYTES))
        return ulv_fail(diag, ULV_E_ARG, cfg->partition, cfg->gate, LOW_BYTES,
                        "a gate page below 4 MiB is needed, not %x",
                        cfg->gate);
    status = create_vm(m, diag);
    if (status == ULV_OK)
        status = stock ? ulv_kvm_stock_init(m, diag)
                       : ulv_kvm_memory_init(m, diag);
    return status;
}

static ulv_status
kvm_machine_init(void *machine, const struct ulv_machine_cfg *cfg,
                 struct ulv_diag *diag)
{
    struct machine *m = machine;
    ulv_status status = ULV_OK;

    if (!ulv_kvm_spare_take(m, cfg))
        status = ulv_kvm_machine_make(m, cfg, diag);
    if (status == ULV_OK && cfg->threads != 0)
        status = ulv_kvm_threads_make(m, diag);
    return status;
}

void
ulv_kvm_machine_fini(void *machine)
{
    struct machine *m = machine;

    if (!m->made)
        return;
    m->made = false;
    ulv_kvm_threads_end(m);
    ulv_kvm_stock_fini(m);
    ulv_kvm_vcpu_unmake(m, &m->first);
    if (m->vm_fd >= 0)
        (void)close(m->vm_fd);
    ulv_kvm_memory_fini(m);
}

static void
kvm_vcpu_hold(void *vcpu, bool hold)
{
    struct vcpu *v = vcpu;

    if (v->thread != NULL)
        ulv_kvm_thread_hold(v, hold);
}

const struct ulv_backend_ops ulv_backend_kvm = {
    .size = sizeof(struct ulv_backend_ops),
    .name = "kvm",
    .machine_bytes = sizeof(struct machine),
    .vcpu_bytes = sizeof(struct vcpu),
    .probe = kvm_probe,
    .machine_init = kvm_machine_init,
    .machine_fini = ulv_kvm_machine_fini,
    .map = ulv_kvm_map,
    .unmap = ulv_kvm_unmap,
    .doorbell = kvm_doorbell,
    .vcpu_init = ulv_kvm_vcpu_init,
    .vcpu_fini = ulv_kvm_vcpu_fini,
    .vcpu_start = ulv_kvm_vcpu_start,
    .vcpu_run = ulv_kvm_vcpu_run,
    .vcpu_answer = ulv_kvm_vcpu_answer,
    .vcpu_kick = ulv_kvm_vcpu_kick,
    .vcpu_hold = kvm_vcpu_hold,
    .vcpu_registers = ulv_kvm_vcpu_registers,
    .vcpu_event = ulv_kvm_vcpu_event,
    .vcpu_save = ulv_kvm_vcpu_save,
    .vcpu_restore = ulv_kvm_vcpu_restore,
    .state_check = ulv_kvm_state_check,
    .vcpu_set_registers = ulv_kvm_vcpu_set_registers,
    .vcpu_debug = ulv_kvm_vcpu_debug,
    .track = ulv_kvm_track,
    .collect = ulv_kvm_collect,
    .vcpu_handler = ulv_kvm_vcpu_handler,
    .vcpu_inject = ulv_kvm_vcpu_inject,
    .vcpu_withdraw = ulv_kvm_vcpu_withdraw,
    .vcpu_bind = ulv_kvm_vcpu_bind,
    .vcpu_sleep = ulv_kvm_vcpu_sleep,
    .vcpu_sleeps = ulv_kvm_vcpu_sleeps,
    .vcpu_enter = ulv_kvm_stock_enter,
    .line = ulv_kvm_stock_line,
    .spare_bytes = sizeof(struct spare),
    .spare_init = ulv_kvm_spare_init,
    .spare_fini = ulv_kvm_spare_fini,
};
