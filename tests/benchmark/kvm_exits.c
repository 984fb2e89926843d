/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What an exit and a doorbell cost on the kvm backend, beside a bare loop over
 * KVM_RUN that does nothing else: batches that take turns, the ratio of each
 * pair. Argument: rounds (default 40).
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <ultravisor/posix.h>
#include <ultravisor/sys/backend.h>

#include "backend/kvm/kvm.h"
#include "base/base.h"

#define BATCH 500u
#define RAM   ULV_MIB(4)
#define BYTES ULV_MIB(2)
#define GATE  UINT64_C(0x3ff000)

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            perror(#what);                                                     \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

static double
seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- the bare machine: 2 MiB at 0, CPL3, IOPL 3 -------------------------- */

struct bare {
    int vm, vcpu, bell;
    struct kvm_run *run;
    uint8_t *p;
};

/* 0: out %al,$0x10; jmp 0.  0x100: BATCH times out %eax,$0x20; then as at 0 */
static void
write_code(uint8_t *at)
{
    static const uint8_t exits[] = { 0xe6, 0x10, 0xeb, 0xfc };
    uint8_t bells[] = { 0xb9, 0, 0, 0, 0, 0x31, 0xc0, 0xe7, 0x20,
                        0xff, 0xc9, 0x75, 0xfa, 0xe6, 0x10, 0xeb, 0xef };
    const uint32_t count = BATCH;

    memcpy(&bells[1], &count, 4);
    memcpy(at, exits, sizeof(exits));
    memcpy(at + 0x100, bells, sizeof(bells));
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

static void
bare_start(const struct bare *b, uint64_t rip)
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
    CHECK(ioctl(b->vcpu, KVM_SET_SREGS, &s) == 0);
    CHECK(ioctl(b->vcpu, KVM_SET_REGS, &regs) == 0);
}

static void
bare_begin(struct bare *b)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    struct kvm_userspace_memory_region region = { .memory_size = BYTES };
    struct kvm_ioeventfd event = { .datamatch = 0,
                                   .addr = 0x20,
                                   .len = 4,
                                   .flags = KVM_IOEVENTFD_FLAG_PIO |
                                            KVM_IOEVENTFD_FLAG_DATAMATCH };
    uint64_t *tables;
    void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(kvm >= 0 && p != MAP_FAILED);
    b->p = p;
    tables = (uint64_t *)(void *)(b->p + 0x1000);
    tables[0] = 0x2007;
    tables[512] = 0x3007;
    tables[1024] = 0x87; /* 2 MiB at 0 */
    write_code(b->p + 0x8000);
    b->vm = ioctl(kvm, KVM_CREATE_VM, 0);
    region.userspace_addr = (uint64_t)(uintptr_t)b->p;
    CHECK(ioctl(b->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0);
    b->vcpu = ioctl(b->vm, KVM_CREATE_VCPU, 0);
    p = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
             PROT_READ | PROT_WRITE, MAP_SHARED, b->vcpu, 0);
    CHECK(p != MAP_FAILED);
    b->run = p;
    event.fd = b->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(ioctl(b->vm, KVM_IOEVENTFD, &event) == 0);
    bare_start(b, 0x8000);
}

/* count exits, each at one port. */
static double
bare_exits(const struct bare *b, uint32_t count)
{
    double begin = seconds();

    for (uint32_t i = 0; i < count; i++)
        CHECK(ioctl(b->vcpu, KVM_RUN, 0) == 0 &&
              b->run->exit_reason == KVM_EXIT_IO);
    return seconds() - begin;
}

/* ---- the backend --------------------------------------------------------- */

struct ours {
    void *machine, *vcpu;
    uint8_t *p;
    uint32_t left;
};

/* The first BATCH calls are answered on the spot. */
static bool
answer(void *self, const struct ulv_exit_call *call, int64_t *ret_status,
       uint64_t *ret_value)
{
    struct ours *o = self;

    (void)call;
    *ret_status = 0;
    *ret_value = 0;
    return o->left-- > 0;
}

/*
 * mov $GATE,%ebx; 1: mov $ULV_CALL_TIME,%edi; call *%rbx; jmp 1b
 * at 0x100: mov $GATE,%ebx; 1: mov $BATCH,%ebp; 2: mov $ULV_CALL_SIGNAL,%edi;
 * xor %esi,%esi; call *%rbx; dec %ebp; jne 2b; mov $ULV_CALL_YIELD,%edi;
 * call *%rbx; jmp 1b
 */
static void
write_calls(uint8_t *at)
{
    static const uint8_t exits[] = { 0xbb, 0x00, 0xf0, 0x3f, 0x00, 0xbf, 0x01,
                                     0x0a, 0x00, 0x00, 0xff, 0xd3, 0xeb, 0xf7 };
    uint8_t bells[] = { 0xbb, 0x00, 0xf0, 0x3f, 0x00, 0xbd, 0,    0,    0,
                        0,    0xbf, 0x01, 0x05, 0x00, 0x00, 0x31, 0xf6, 0xff,
                        0xd3, 0xff, 0xcd, 0x75, 0xf3, 0xbf, 0x01, 0x08, 0x00,
                        0x00, 0xff, 0xd3, 0xeb, 0xe5 };
    const uint32_t count = BATCH;

    memcpy(&bells[6], &count, 4);
    memcpy(at, exits, sizeof(exits));
    memcpy(at + 0x100, bells, sizeof(bells));
}

static void
ours_begin(struct ours *o, uint64_t entry, ulv_handle bell)
{
    const struct ulv_backend_ops *ops = &ulv_backend_kvm;
    const struct ulv_host *host = ulv_posix_host();
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = 1,
                                   .host = host,
                                   .gate = GATE,
                                   .call = answer,
                                   .self = o };
    ulv_handle memory;
    void *p;

    o->machine = calloc(1, ops->machine_bytes);
    o->vcpu = calloc(1, ops->vcpu_bytes);
    CHECK(host->memory_create(host->self, "ram", BYTES, 0, &memory) == ULV_OK);
    CHECK(host->memory_map(host->self, memory, 0, BYTES,
                           ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) == ULV_OK);
    o->p = p;
    write_calls(o->p);
    CHECK(ops->machine_init(o->machine, &cfg, NULL) == ULV_OK);
    CHECK(ops->map(o->machine, (ulv_gpa){ RAM }, BYTES, memory, 0, p,
                   ULV_GUEST_WRITE | ULV_GUEST_EXECUTE) == ULV_OK);
    if (bell != ULV_NO_HANDLE)
        CHECK(ops->doorbell(o->machine, 0, bell) == ULV_OK);
    CHECK(ops->vcpu_init(o->vcpu, o->machine, 0, (ulv_gpa){ RAM + entry },
                         (ulv_gpa){ RAM + BYTES }, 0, NULL) == ULV_OK);
}

/* Until a call that is not answered on the spot. */
static double
ours_run(struct ours *o, uint32_t at_once)
{
    const struct ulv_backend_ops *ops = &ulv_backend_kvm;
    struct ulv_exit out = { 0 };
    double begin = seconds();

    o->left = at_once;
    do
        CHECK(ops->vcpu_run(o->vcpu, 1000000000, &out) == ULV_OK);
    while (out.reason == ULV_EXIT_INTERRUPTED);
    CHECK(out.reason == ULV_EXIT_CALL);
    ops->vcpu_answer(o->vcpu, 0, 0);
    return seconds() - begin;
}

/* One exit at a time, out to the caller and back. */
static double
ours_exits(struct ours *o, uint32_t count)
{
    double sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += ours_run(o, 0);
    return sum;
}

/* ---- figures ------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
report(const char *what, double *bare, double *ours, uint32_t rounds)
{
    double *ratio = calloc(rounds, sizeof(*ratio));

    for (uint32_t i = 0; i < rounds; i++)
        ratio[i] = ours[i] / bare[i];
    qsort(ratio, rounds, sizeof(*ratio), compare);
    qsort(bare, rounds, sizeof(*bare), compare);
    qsort(ours, rounds, sizeof(*ours), compare);
    printf("%-34s bare %6.2f us, ours %6.2f us, ratio %.3f (%.3f .. %.3f)\n",
           what, bare[rounds / 2] / BATCH * 1e6,
           ours[rounds / 2] / BATCH * 1e6, ratio[rounds / 2],
           ratio[rounds / 10], ratio[rounds - 1 - rounds / 10]);
    free(ratio);
}

int
main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 40;
    double *bare = calloc(rounds, sizeof(*bare));
    double *ours = calloc(rounds, sizeof(*ours));
    struct bare b, bells;
    struct ours calls = { 0 }, rings = { 0 };
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (ulv_backend_kvm.probe(ulv_posix_host(), &caps, &diag) != ULV_OK) {
        printf("skipped: %s\n", diag.text);
        return 77;
    }
    bare_begin(&b);
    bare_begin(&bells);
    bare_start(&bells, 0x8100);
    ours_begin(&calls, 0, ULV_NO_HANDLE);
    ours_begin(&rings, 0x100, bell);
    for (uint32_t i = 0; i < rounds; i++) {
        bare[i] = bare_exits(&b, BATCH + 1);
        ours[i] = ours_run(&calls, BATCH);
    }
    report("call, answered on the spot", bare, ours, rounds);
    for (uint32_t i = 0; i < rounds; i++) {
        bare[i] = bare_exits(&b, BATCH);
        ours[i] = ours_exits(&calls, BATCH);
    }
    report("call, out to the caller", bare, ours, rounds);
    for (uint32_t i = 0; i < rounds; i++) {
        bare[i] = bare_exits(&bells, 1); /* after BATCH doorbells */
        ours[i] = ours_run(&rings, 0);
    }
    report("doorbell by ioeventfd", bare, ours, rounds);
    return 0;
}
