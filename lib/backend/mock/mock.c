/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/mock/mock.h"

#include "base/base.h"
#include "monitor/regions.h"

#define PAGE        UINT64_C(4096)
#define ADDRESS_MAX (UINT64_C(1) << 46)
#define VCPUS_MAX   64u
#define STEPS_A_RUN 4096u /* so that a script that loops comes back */

/* A call that is to be late, or to fail. */
struct rule {
    bool waits;
    uint64_t call, skip;
    ulv_nsec late;
    int32_t status;
};

struct machine {
    struct ulv_regions regions;
    const struct ulv_host *host;
    struct rule rule[ULV_MOCK_RULES];
};

#define STATE_MAGIC UINT64_C(0x6574617473636f6d)

/* What is saved of a vcpu. */
struct state {
    uint64_t magic;
    uint64_t at, loop_at, loops;
    int64_t answer;
};

struct vcpu {
    struct machine *machine;
    uint64_t at; /* guest address of the next step */
    uint64_t loop_at, loops; /* of the REPEAT under way */
    int64_t answer;
    ulv_nsec run_until; /* of the RUN under way; 0: none */
    bool ended;
};

/* Time that the host's clock would not know of. */
static void
spend(const struct machine *m, ulv_nsec ns)
{
    const struct ulv_host *host = m->host;

    if (host->size >= sizeof(*host) && host->spend != NULL)
        host->spend(host->self, ns);
}

/* What the rules make of a call; ULV_OK: it is as it is. */
static ulv_status
judge(struct machine *m, uint64_t call)
{
    for (uint32_t i = 0; i < ULV_MOCK_RULES; i++) {
        struct rule *rule = &m->rule[i];

        if (!rule->waits || rule->call != call || rule->skip-- > 0)
            continue;
        rule->waits = false;
        spend(m, rule->late);
        return rule->status;
    }
    return ULV_OK;
}

static ulv_status
mock_probe(const struct ulv_host *host, struct ulv_backend_caps *ret_caps,
           struct ulv_diag *diag)
{
    (void)host;
    (void)diag;
    memset(ret_caps, 0, sizeof(*ret_caps));
    ret_caps->size = sizeof(*ret_caps);
    ret_caps->vcpus_max = VCPUS_MAX;
    ret_caps->guest_address_max = ADDRESS_MAX;
    ret_caps->regions_max = ULV_REGIONS_MAX;
    ret_caps->can_remap = 1;
    ret_caps->can_save = 1;
    ret_caps->state_bytes_max = sizeof(struct state);
    ulv_string_copy(ret_caps->version, sizeof(ret_caps->version), "script");
    return ULV_OK;
}

static ulv_status
mock_machine_init(void *machine, const struct ulv_machine_cfg *cfg,
                  struct ulv_diag *diag)
{
    struct machine *m = machine;

    m->host = cfg->host;
    ulv_regions_init(&m->regions, ULV_GUEST_RAM_BASE, ADDRESS_MAX,
                     ULV_REGIONS_MAX);
    if (cfg->vcpu_count == 0 || cfg->vcpu_count > VCPUS_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, cfg->partition, cfg->vcpu_count,
                        VCPUS_MAX,
                        "the mock backend has 1 to %u processors, not %u",
                        (uint64_t)VCPUS_MAX, (uint64_t)cfg->vcpu_count);
    if (cfg->gate % PAGE != 0 || cfg->gate >= ULV_GUEST_RAM_BASE)
        return ulv_fail(diag, ULV_E_ARG, cfg->partition, cfg->gate,
                        ULV_GUEST_RAM_BASE,
                        "a gate page below %x is needed, not %x",
                        ULV_GUEST_RAM_BASE, cfg->gate);
    return ULV_OK;
}

static void
mock_machine_fini(void *machine)
{
    (void)machine;
}

static ulv_status
mock_map(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
         uint64_t offset, void *p, uint32_t access)
{
    struct machine *m = machine;
    ulv_status status;

    (void)memory;
    (void)offset;
    status = ulv_regions_check(&m->regions, guest.value, bytes);
    if (status == ULV_OK)
        status = judge(m, ULV_MOCK_ON_MAP);
    if (status == ULV_OK)
        (void)ulv_regions_add(&m->regions, guest.value, bytes, p, access);
    return status;
}

static ulv_status
mock_unmap(void *machine, ulv_gpa guest, uint64_t bytes)
{
    struct machine *m = machine;
    struct ulv_region *region =
        ulv_regions_find(&m->regions, guest.value, bytes);
    ulv_status status;

    if (region == NULL)
        return ULV_E_NOT_FOUND;
    status = judge(m, ULV_MOCK_ON_UNMAP);
    if (status != ULV_OK)
        return status;
    ulv_regions_remove(&m->regions, region);
    return ULV_OK;
}

static ulv_status
mock_vcpu_init(void *vcpu, void *machine, uint32_t idx, ulv_gpa entry,
               ulv_gpa stack, uint64_t argument, struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;

    (void)idx;
    (void)stack;
    (void)argument;
    (void)diag;
    v->machine = machine;
    v->at = entry.value;
    return ULV_OK;
}

static ulv_status
mock_vcpu_start(void *vcpu, ulv_gpa entry, ulv_gpa stack, uint64_t argument)
{
    struct vcpu *v = vcpu;

    (void)stack;
    (void)argument;
    v->at = entry.value;
    v->loop_at = 0;
    v->run_until = 0;
    return ULV_OK;
}

static void
mock_vcpu_fini(void *vcpu)
{
    (void)vcpu;
}

static void
fault(struct vcpu *v, struct ulv_exit *out, uint32_t kind, uint64_t address)
{
    v->ended = true;
    out->reason = ULV_EXIT_FAULT;
    out->u.fault.kind = kind;
    out->u.fault.address = address;
    out->u.fault.registers.rip = v->at;
}

static void
repeat(struct vcpu *v, const struct ulv_mock_step *step)
{
    if (v->loop_at != v->at) {
        v->loop_at = v->at;
        v->loops = step->argument[0];
    }
    if (v->loops == 0) {
        v->loop_at = 0;
        return;
    }
    v->loops--;
    v->at -= (step->number + 1) * sizeof(*step);
}

/* Returns whether its time is over. */
static bool
run(struct vcpu *v, const struct ulv_mock_step *step, ulv_nsec budget)
{
    const struct ulv_host *host = v->machine->host;
    ulv_nsec now = host->now(host->self);

    if (v->run_until == 0)
        v->run_until = now + ULV_MIN(step->number, ULV_FOREVER - now);
    if (v->run_until > now)
        spend(v->machine, ULV_MIN(v->run_until - now, budget));
    if (v->run_until > host->now(host->self))
        return false;
    v->run_until = 0;
    return true;
}

static bool
add_rule(struct machine *m, const struct ulv_mock_step *step)
{
    uint32_t i = 0;

    while (i < ULV_MOCK_RULES && m->rule[i].waits)
        i++;
    if (i == ULV_MOCK_RULES)
        return false;
    m->rule[i].waits = true;
    m->rule[i].call = step->number;
    m->rule[i].skip = step->argument[0];
    m->rule[i].late = step->argument[1];
    m->rule[i].status = (int32_t)(int64_t)step->argument[2];
    return true;
}

static bool
store(const struct ulv_regions *r, const struct ulv_mock_step *step)
{
    uint8_t *to = ulv_regions_at(r, step->argument[0], 8, ULV_GUEST_WRITE);

    if (to != NULL)
        memcpy(to, &step->argument[1], 8);
    return to != NULL;
}

/* Carry out one step. Returns whether the vcpu comes back. */
static bool
one_step(struct vcpu *v, ulv_nsec budget, struct ulv_exit *out)
{
    struct ulv_mock_step step;
    const struct ulv_regions *r = &v->machine->regions;
    const uint8_t *at =
        ulv_regions_at(r, v->at, sizeof(step), ULV_GUEST_EXECUTE);

    if (at == NULL) {
        fault(v, out, ULV_FAULT_EXECUTE, v->at);
        return true;
    }
    memcpy(&step, at, sizeof(step));
    switch (step.kind) {
    case ULV_MOCK_CALL:
        out->reason = ULV_EXIT_CALL;
        out->u.call.number = step.number;
        memcpy(out->u.call.argument, step.argument, sizeof(step.argument));
        v->at += sizeof(step);
        return true;
    case ULV_MOCK_FAULT:
        fault(v, out, (uint32_t)step.number, step.argument[0]);
        return true;
    case ULV_MOCK_SPIN:
        spend(v->machine, budget);
        out->reason = ULV_EXIT_INTERRUPTED;
        return true;
    case ULV_MOCK_RUN:
        if (run(v, &step, budget))
            break;
        out->reason = ULV_EXIT_INTERRUPTED;
        return true;
    case ULV_MOCK_HANG:
        spend(v->machine, step.number);
        break;
    case ULV_MOCK_RULE:
        if (add_rule(v->machine, &step))
            break;
        fault(v, out, ULV_FAULT_REPORTED, (uint64_t)(int64_t)ULV_E_LIMIT);
        return true;
    case ULV_MOCK_REPEAT:
        repeat(v, &step);
        break;
    case ULV_MOCK_STORE:
        if (store(r, &step))
            break;
        fault(v, out, ULV_FAULT_WRITE, step.argument[0]);
        return true;
    case ULV_MOCK_EXPECT:
        if (v->answer == (int64_t)step.argument[0])
            break;
        fault(v, out, ULV_FAULT_REPORTED, (uint64_t)v->answer);
        return true;
    default:
        v->ended = true;
        out->reason = ULV_EXIT_ENDED;
        out->u.fault.kind = ULV_FAULT_KILLED;
        return true;
    }
    v->at += sizeof(step);
    return false;
}

static ulv_status
mock_vcpu_run(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *out)
{
    struct vcpu *v = vcpu;

    memset(out, 0, sizeof(*out));
    if (v->ended) {
        out->reason = ULV_EXIT_ENDED;
        out->u.fault.kind = ULV_FAULT_KILLED;
        return ULV_OK;
    }
    for (uint32_t i = 0; i < STEPS_A_RUN && budget_ns != 0; i++) {
        if (one_step(v, budget_ns, out))
            return ULV_OK;
    }
    out->reason = ULV_EXIT_INTERRUPTED;
    return ULV_OK;
}

static void
mock_vcpu_answer(void *vcpu, int64_t status, uint64_t value)
{
    (void)value;
    ((struct vcpu *)vcpu)->answer = status;
}

static void
mock_vcpu_kick(void *vcpu)
{
    (void)vcpu; /* a run never lasts */
}

static ulv_status
mock_vcpu_save(void *vcpu, void *buf, size_t capacity, size_t *ret_bytes,
               struct ulv_diag *diag)
{
    const struct vcpu *v = vcpu;
    const struct state state = { STATE_MAGIC, v->at, v->loop_at, v->loops,
                                 v->answer };

    if (capacity < sizeof(state))
        return ulv_fail(diag, ULV_E_LIMIT, 0, capacity, sizeof(state),
                        "a saved processor has %u bytes, there is room for %u",
                        (uint64_t)sizeof(state), (uint64_t)capacity);
    memcpy(buf, &state, sizeof(state));
    *ret_bytes = sizeof(state);
    return ULV_OK;
}

static ulv_status
mock_state_check(const struct ulv_host *host, const void *state, size_t bytes,
                 struct ulv_diag *diag)
{
    struct state s;

    (void)host;
    if (bytes == sizeof(s)) {
        memcpy(&s, state, sizeof(s));
        if (s.magic == STATE_MAGIC)
            return ULV_OK;
    }
    return ulv_fail(diag, ULV_E_FORMAT, 0, bytes, sizeof(s),
                    "%u bytes are no processor of the mock backend",
                    (uint64_t)bytes);
}

static ulv_status
mock_vcpu_restore(void *vcpu, const void *state, size_t bytes,
                  struct ulv_diag *diag)
{
    struct vcpu *v = vcpu;
    struct state s;
    ulv_status status = mock_state_check(NULL, state, bytes, diag);

    if (status != ULV_OK)
        return status;
    memcpy(&s, state, sizeof(s));
    v->at = s.at;
    v->loop_at = s.loop_at;
    v->loops = s.loops;
    v->answer = s.answer;
    return ULV_OK;
}

const struct ulv_backend_ops ulv_backend_mock = {
    .size = sizeof(struct ulv_backend_ops),
    .name = "mock",
    .machine_bytes = sizeof(struct machine),
    .vcpu_bytes = sizeof(struct vcpu),
    .probe = mock_probe,
    .machine_init = mock_machine_init,
    .machine_fini = mock_machine_fini,
    .map = mock_map,
    .unmap = mock_unmap,
    .vcpu_init = mock_vcpu_init,
    .vcpu_fini = mock_vcpu_fini,
    .vcpu_start = mock_vcpu_start,
    .vcpu_run = mock_vcpu_run,
    .vcpu_answer = mock_vcpu_answer,
    .vcpu_kick = mock_vcpu_kick,
    .vcpu_save = mock_vcpu_save,
    .vcpu_restore = mock_vcpu_restore,
    .state_check = mock_state_check,
};
