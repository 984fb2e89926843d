/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Model-specific registers of a guest on KVM. All are denied by a filter here,
 * which makes each access that KVM gets to see an exit of its own: from CPL3 it
 * sees none, the processor has refused it. At CPL0 it would: that the filter
 * tells of it is tried too.
 */
#include "../unit/port/port_test.h"
#include "guests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <ultravisor/posix.h>

#include "backend/kvm/kvm_priv.h"

#define SECOND UINT64_C(1000000000)

struct fixture {
    struct machine machine;
    struct vcpu vcpu;
    ulv_handle memory;
    uint8_t *p;
};

/* KVM api.rst 4.97, 7.21; the APIC's are not for a filter. */
static int
deny_all(const struct machine *m)
{
    static uint8_t none[8];
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = { KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN |
                  KVM_MSR_EXIT_REASON_INVAL },
    };
    struct kvm_msr_filter filter = {
        .flags = KVM_MSR_FILTER_DEFAULT_DENY,
        .ranges = { { .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                      .nmsrs = 64,
                      .base = 0x10,
                      .bitmap = none } },
    };

    if (ioctl(m->vm_fd, KVM_ENABLE_CAP, &cap) != 0)
        return -1;
    return ioctl(m->vm_fd, KVM_X86_SET_MSR_FILTER, &filter);
}

static void
begin(struct fixture *f)
{
    const struct ulv_host *host = ulv_posix_host();
    const struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                         .vcpu_count = 1,
                                         .host = host,
                                         .gate = GATE };
    const struct ulv_backend_ops *ops = &ulv_backend_kvm;
    void *p;

    memset(f, 0, sizeof(*f));
    assert_int_equal(host->memory_create(NULL, "ram", BYTES, 0, &f->memory),
                     ULV_OK);
    assert_int_equal(host->memory_map(NULL, f->memory, 0, BYTES,
                                      ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p),
                     ULV_OK);
    f->p = p;
    assert_int_equal(ops->machine_init(&f->machine, &cfg, NULL), ULV_OK);
    assert_int_equal(ops->map(&f->machine, (ulv_gpa){ RAM }, BYTES, f->memory,
                              0, f->p, ULV_GUEST_WRITE | ULV_GUEST_EXECUTE),
                     ULV_OK);
    assert_int_equal(ops->vcpu_init(&f->vcpu, &f->machine, 0, (ulv_gpa){ RAM },
                                    (ulv_gpa){ RAM + BYTES }, 0, NULL),
                     ULV_OK);
}

static void
end(struct fixture *f)
{
    const struct ulv_host *host = ulv_posix_host();

    ulv_backend_kvm.vcpu_fini(&f->vcpu);
    ulv_backend_kvm.machine_fini(&f->machine);
    host->memory_unmap(NULL, f->p, BYTES);
    host->handle_close(NULL, f->memory);
}

/* mov $msr,%ecx; rdmsr or wrmsr, of zeroes; from the start, at level 3. */
static void
write_code(struct fixture *f, uint32_t msr, bool writes)
{
    const uint8_t code[] = { 0xb9, (uint8_t)msr, (uint8_t)(msr >> 8),
                             (uint8_t)(msr >> 16), (uint8_t)(msr >> 24),
                             0x0f, writes ? 0x30 : 0x32 };

    memcpy(f->p, code, sizeof(code));
    f->vcpu.ended = false;
    assert_int_equal(ulv_kvm_vcpu_start(&f->vcpu, (ulv_gpa){ RAM },
                                        (ulv_gpa){ RAM + BYTES }, 0),
                     ULV_OK);
}

static void
run(struct fixture *f, struct ulv_exit *out)
{
    do
        assert_int_equal(ulv_kvm_vcpu_run(&f->vcpu, SECOND, out), ULV_OK);
    while (out->reason == ULV_EXIT_INTERRUPTED);
    assert_int_equal(out->reason, ULV_EXIT_FAULT);
}

static void
is_refused(struct fixture *f, uint32_t msr)
{
    for (int writes = 0; writes < 2; writes++) {
        struct ulv_exit out;

        write_code(f, msr, writes != 0);
        run(f, &out);
        if (out.u.fault.kind != ULV_FAULT_INSTRUCTION)
            print_message("# MSR %x, write %d: %s, %llu\n", msr, writes,
                          ulv_fault_text(out.u.fault.kind),
                          (unsigned long long)out.u.fault.error_code);
        assert_int_equal(out.u.fault.kind, ULV_FAULT_INSTRUCTION);
        assert_int_equal(out.u.fault.registers.rip, RAM + 5);
    }
}

/* SDM vol. 4, tables 2-2 (architectural); APM vol. 2, appendix A; hypervisors'
 * own. */
static const uint32_t ranges[][2] = {
    { 0x00000000, 0x000001ff }, { 0x00000200, 0x00000491 },
    { 0x000004c1, 0x000004c8 }, { 0x00000500, 0x00000587 },
    { 0x000006a0, 0x000006e0 }, { 0x00000770, 0x00000777 },
    { 0x00000800, 0x000008ff }, { 0x00000c80, 0x00000d93 },
    { 0x00001400, 0x00001406 }, { 0x00001900, 0x00001903 },
    { 0x40000000, 0x40000120 }, { 0x4b564d00, 0x4b564d11 },
    { 0xc0000080, 0xc0000104 }, { 0xc0010000, 0xc0010074 },
    { 0xc0010111, 0xc0010140 }, { 0xc0011000, 0xc0011042 },
};

static void
test_msr__none_is_reached(void **state)
{
    struct fixture *f = *state;
    uint32_t count = 0;

    for (size_t i = 0; i < ULV_COUNT_OF(ranges); i++) {
        for (uint32_t msr = ranges[i][0]; msr <= ranges[i][1]; msr++, count++)
            is_refused(f, msr);
    }
    print_message("# %u registers\n", count);
}

/* What the guest would have to be: then KVM is asked, and the filter tells. */
static void
test_msr__one_that_is_reached_is_told_of(void **state)
{
    struct fixture *f = *state;
    struct kvm_sregs s;
    struct ulv_exit out;

    write_code(f, 0x174, false);
    assert_int_equal(ioctl(f->vcpu.fd, KVM_GET_SREGS, &s), 0);
    s.cs.selector = SELECTOR_CODE0;
    s.ss.selector = SELECTOR_DATA0;
    s.cs.dpl = s.ss.dpl = 0;
    s.tr.type = ulv_kvm_task_type();
    assert_int_equal(ioctl(f->vcpu.fd, KVM_SET_SREGS, &s), 0);
    run(f, &out);
    assert_int_equal(out.u.fault.kind, ULV_FAULT_BACKEND);
    assert_int_equal(out.u.fault.error_code, KVM_EXIT_X86_RDMSR);
}

/* NULL, or why not. */
static const char *
lacks(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int can;

    if (fd < 0)
        return strerror(errno);
    can = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER);
    (void)close(fd);
    return can > 0 ? NULL : "it has no filter of MSRs";
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    begin(f);
    assert_int_equal(deny_all(&f->machine), 0);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    end(*state);
    free(*state);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msr__none_is_reached),
        cmocka_unit_test(test_msr__one_that_is_reached_is_told_of),
    };

    if (lacks() != NULL) {
        print_message("1..0 # SKIP /dev/kvm: %s\n", lacks());
        return 0;
    }
    return cmocka_run_group_tests_name("msr", tests, setup, teardown);
}
