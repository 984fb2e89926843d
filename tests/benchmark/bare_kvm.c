/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "bare_kvm.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "median.h"

#define BYTES ULV_MIB(2)

double
seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/*
 * 0: out %al,$0x10; jmp 0.  0x100: BATCH times out %eax,$0x20; then as at 0.
 * 0x200: 1: mov $0xa01,%edi; out %al,$0x10; jmp 1b
 */
static void
write_code(uint8_t *at)
{
    static const uint8_t exits[] = { 0xe6, 0x10, 0xeb, 0xfc };
    uint8_t bells[] = { 0xb9, 0, 0, 0, 0, 0x31, 0xc0, 0xe7, 0x20,
                        0xff, 0xc9, 0x75, 0xfa, 0xe6, 0x10, 0xeb, 0xef };
    static const uint8_t calls[] = { 0xbf, 0x01, 0x0a, 0x00, 0x00,
                                     0xe6, 0x10, 0xeb, 0xf7 };
    const uint32_t count = BATCH;

    memcpy(&bells[1], &count, 4);
    memcpy(at, exits, sizeof(exits));
    memcpy(at + 0x100, bells, sizeof(bells));
    memcpy(at + 0x200, calls, sizeof(calls));
}

static struct kvm_segment
segment(uint8_t type, uint16_t selector, uint8_t l)
{
    return (struct kvm_segment){ .limit = 0xffffffff,
                                 .selector = selector,
                                 .type = type,
                                 .present = 1,
                                 .dpl = 3,
                                 .db = (uint8_t)!l,
                                 .s = 1,
                                 .l = l,
                                 .g = 1 };
}

/* Small pages, and a TSS whose bit map has ports 0 to 127. */
static void
contain(const struct bare *b, struct kvm_sregs *s, struct kvm_regs *regs)
{
    uint64_t *const directory = (uint64_t *)(void *)(b->p + 0x3000);
    uint64_t *const table = (uint64_t *)(void *)(b->p + 0x4000);
    const uint16_t ports = 104;

    for (uint64_t i = 0; i < 512; i++)
        table[i] = i << 12 | 7;
    directory[0] = 0x4007;
    memcpy(b->p + 0x5000 + 102, &ports, sizeof(ports));
    s->tr = (struct kvm_segment){
        .base = 0x5000, .limit = 119, .selector = 0x28, .type = 11, .present = 1
    };
    regs->rflags = 0x202;
}

static void
start(const struct bare *b, uint64_t rip)
{
    struct kvm_sregs s;
    struct kvm_regs regs = { .rip = rip, .rflags = 0x3002 };

    CHECK(ioctl(b->vcpu, KVM_GET_SREGS, &s) == 0);
    s.cs = segment(11, 0x23, 1);
    s.ss = s.ds = s.es = segment(3, 0x1b, 0);
    s.cr0 = 0x80010033;
    s.cr3 = 0x1000;
    s.cr4 = 0x620;
    s.efer = 0xd00;
    if (rip == BARE_CALLS) {
        contain(b, &s, &regs);
        b->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    }
    CHECK(ioctl(b->vcpu, KVM_SET_SREGS, &s) == 0);
    CHECK(ioctl(b->vcpu, KVM_SET_REGS, &regs) == 0);
}

void
bare_begin(struct bare *b, uint64_t rip)
{
    struct kvm_userspace_memory_region region = { .memory_size = BYTES };
    struct kvm_ioeventfd event = { .datamatch = 0,
                                   .addr = 0x20,
                                   .len = 4,
                                   .flags = KVM_IOEVENTFD_FLAG_PIO |
                                            KVM_IOEVENTFD_FLAG_DATAMATCH };
    uint64_t *tables;
    void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    b->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    CHECK(b->kvm >= 0 && p != MAP_FAILED);
    b->p = p;
    tables = (uint64_t *)(void *)(b->p + 0x1000);
    tables[0] = 0x2007;
    tables[512] = 0x3007;
    tables[1024] = 0x87; /* 2 MiB at 0 */
    write_code(b->p + 0x8000);
    b->vm = ioctl(b->kvm, KVM_CREATE_VM, 0);
    region.userspace_addr = (uint64_t)(uintptr_t)b->p;
    CHECK(ioctl(b->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0);
    b->vcpu = ioctl(b->vm, KVM_CREATE_VCPU, 0);
    b->run_bytes = (size_t)ioctl(b->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    p = mmap(NULL, b->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->vcpu,
             0);
    CHECK(p != MAP_FAILED);
    b->run = p;
    event.fd = b->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (rip == BARE_BELLS)
        CHECK(ioctl(b->vm, KVM_IOEVENTFD, &event) == 0);
    start(b, rip);
}

void
bare_show_processor(const struct bare *b)
{
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[128];
    } cpuid;

    if (cpuid.head.nent == 0) {
        cpuid.head.nent = ULV_COUNT_OF(cpuid.entry);
        CHECK(ioctl(b->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0);
    }
    CHECK(ioctl(b->vcpu, KVM_SET_CPUID2, &cpuid) == 0);
}

void
bare_fill(const struct bare *b)
{
    CHECK(madvise(b->p, ULV_MIB(1), MADV_POPULATE_WRITE) == 0);
}

void
bare_end(struct bare *b)
{
    (void)munmap(b->run, b->run_bytes);
    (void)close(b->vcpu);
    (void)close(b->vm);
    (void)close(b->kvm);
    (void)close(b->bell);
    (void)munmap(b->p, BYTES);
}

double
bare_exits(const struct bare *b, uint32_t count)
{
    double begin = seconds();

    for (uint32_t i = 0; i < count; i++)
        CHECK(ioctl(b->vcpu, KVM_RUN, 0) == 0 &&
              b->run->exit_reason == KVM_EXIT_IO);
    return seconds() - begin;
}

double
bare_calls(const struct bare *b, uint32_t count)
{
    struct kvm_regs *const regs = &b->run->s.regs.regs;
    double begin = seconds();

    for (uint32_t i = 0; i < count; i++) {
        CHECK(ioctl(b->vcpu, KVM_RUN, 0) == 0 &&
              b->run->exit_reason == KVM_EXIT_IO && regs->rdi == 0xa01);
        regs->rax = regs->rdx = 0;
        b->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    }
    return seconds() - begin;
}

/* ---- figures ------------------------------------------------------------- */

/* value * scale is what is shown, in unit */
static void
report_pairs(const char *what, double *bare, double *ours, uint32_t rounds,
             double scale, const char *unit)
{
    double *ratio = calloc(rounds, sizeof(*ratio));

    CHECK(ratio != NULL);
    for (uint32_t i = 0; i < rounds; i++)
        ratio[i] = ours[i] / bare[i];
    printf("%-34s bare %6.2f %s, ours %6.2f %s, ratio %.3f ", what,
           median(bare, rounds) * scale, unit, median(ours, rounds) * scale,
           unit, median(ratio, rounds));
    printf("(%.3f .. %.3f)\n", ratio[rounds / 10],
           ratio[rounds - 1 - rounds / 10]);
    free(ratio);
}

void
report(const char *what, double *bare, double *ours, uint32_t rounds,
       uint32_t units)
{
    report_pairs(what, bare, ours, rounds, 1e6 / units, "us");
}

void
report_memory(const char *what, double *bare, double *ours, uint32_t rounds)
{
    report_pairs(what, bare, ours, rounds, 1, "KiB");
}
