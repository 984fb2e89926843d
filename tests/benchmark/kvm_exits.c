/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What an exit and a doorbell cost on the kvm backend, beside a bare loop over
 * KVM_RUN that does nothing else, and a call beside a bare loop over a guest
 * that is contained as ours is, which reads what the call says and answers:
 * batches that take turns, the ratio of each pair. Argument: rounds (default
 * 40).
 */
#include <string.h>
#include <sys/eventfd.h>

#include <ultravisor/posix.h>
#include <ultravisor/sys/backend.h>

#include "backend/kvm/kvm.h"
#include "bare_kvm.h"
#include "base/base.h"

#define RAM   ULV_MIB(4)
#define BYTES ULV_MIB(2)
#define GATE  UINT64_C(0x3ff000)

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

int
main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 40;
    double *bare = calloc(rounds, sizeof(*bare));
    double *ours = calloc(rounds, sizeof(*ours));
    struct bare b, bells, answers;
    struct ours calls = { 0 }, rings = { 0 };
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (ulv_backend_kvm.probe(ulv_posix_host(), &caps, &diag) != ULV_OK) {
        printf("skipped: %s\n", diag.text);
        return 77;
    }
    bare_begin(&b, BARE_EXITS);
    bare_begin(&bells, BARE_BELLS);
    bare_begin(&answers, BARE_CALLS);
    ours_begin(&calls, 0, ULV_NO_HANDLE);
    ours_begin(&rings, 0x100, bell);
    for (uint32_t i = 0; i < rounds; i++) {
        bare[i] = bare_exits(&b, BATCH + 1);
        ours[i] = ours_run(&calls, BATCH);
    }
    report("call, answered on the spot", bare, ours, rounds, BATCH);
    for (uint32_t i = 0; i < rounds; i++) {
        bare[i] = bare_calls(&answers, BATCH + 1);
        ours[i] = ours_run(&calls, BATCH);
    }
    report("the same, beside one that answers", bare, ours, rounds, BATCH);
    for (uint32_t i = 0; i < rounds; i++) {
        bare[i] = bare_exits(&b, BATCH);
        ours[i] = ours_exits(&calls, BATCH);
    }
    report("call, out to the caller", bare, ours, rounds, BATCH);
    for (uint32_t i = 0; i < rounds; i++) {
        bare[i] = bare_exits(&bells, 1); /* after BATCH doorbells */
        ours[i] = ours_run(&rings, 0);
    }
    report("doorbell by ioeventfd", bare, ours, rounds, BATCH);
    return 0;
}
