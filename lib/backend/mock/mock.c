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
    struct ulv_region region[ULV_REGIONS_MAX];
    const struct ulv_host *host;
    bool interrupts;
    struct rule rule[ULV_MOCK_RULES];
};

#define STATE_MAGIC UINT64_C(0x6574617473636f6d)

/* Where a vcpu is. */
struct place {
    uint64_t at; /* guest address of the next step */
    uint64_t loop_at, loops; /* of the REPEAT under way */
    int64_t answer;
    ulv_nsec run_until; /* of the RUN under way; 0: none */
};

/* What is saved of a vcpu; of one without interrupts the rest is 0. */
struct state {
    uint64_t magic;
    uint64_t interrupts; /* 1: its machine has them */
    struct place now, before;
    uint64_t handler, pending;
    uint64_t vector; /* that is handled, and 1; 0: none */
};

struct vcpu {
    struct machine *machine;
    struct place now;
    bool ended;
    uint64_t handler; /* guest address of its first step; 0: none */
    uint64_t pending; /* a bit a vector */
    bool handles;     /* vector, and goes on where it was */
    uint32_t vector;
    struct place before;
    struct ulv_debug debug;
    uint32_t due; /* ULV_DEBUG_*: to be told when it is run again; 0: nothing */
    uint64_t due_address;
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
    ret_caps->can_interrupt = 1;
    ret_caps->debug = ULV_DEBUG_CAN_READ | ULV_DEBUG_CAN_SET |
                      ULV_DEBUG_CAN_BREAK | ULV_DEBUG_CAN_STEP |
                      ULV_DEBUG_CAN_WATCH;
    ulv_string_copy(ret_caps->version, sizeof(ret_caps->version), "script");
    return ULV_OK;
}

static ulv_status
mock_machine_init(void *machine, const struct ulv_machine_cfg *cfg,
                  struct ulv_diag *diag)
{
    struct machine *m = machine;

    m->host = cfg->host;
    m->interrupts = cfg->interrupts != 0;
    ulv_regions_init(&m->regions, ULV_GUEST_RAM_BASE, ADDRESS_MAX, m->region,
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
    v->now.at = entry.value;
    return ULV_OK;
}

static ulv_status
mock_vcpu_start(void *vcpu, ulv_gpa entry, ulv_gpa stack, uint64_t argument)
{
    struct vcpu *v = vcpu;

    (void)stack;
    (void)argument;
    *v = (struct vcpu){ .machine = v->machine, .now = { .at = entry.value } };
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
    out->u.fault.registers.rip = v->now.at;
}

static void
repeat(struct vcpu *v, const struct ulv_mock_step *step)
{
    if (v->now.loop_at != v->now.at) {
        v->now.loop_at = v->now.at;
        v->now.loops = step->argument[0];
    }
    if (v->now.loops == 0) {
        v->now.loop_at = 0;
        return;
    }
    v->now.loops--;
    v->now.at -= (step->number + 1) * sizeof(*step);
}

/* Returns whether its time is over. */
static bool
run(struct vcpu *v, const struct ulv_mock_step *step, ulv_nsec budget)
{
    const struct ulv_host *host = v->machine->host;
    ulv_nsec now = host->now(host->self);

    if (v->now.run_until == 0)
        v->now.run_until = now + ULV_MIN(step->number, ULV_FOREVER - now);
    if (v->now.run_until > now)
        spend(v->machine, ULV_MIN(v->now.run_until - now, budget));
    if (v->now.run_until > host->now(host->self))
        return false;
    v->now.run_until = 0;
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

/* ---- interrupts ---------------------------------------------------------- */

static ulv_status
mock_vcpu_handler(void *vcpu, ulv_gpa entry, ulv_gpa stack)
{
    struct vcpu *v = vcpu;

    (void)stack;
    if (!v->machine->interrupts)
        return ULV_E_STATE;
    if (entry.value >= ADDRESS_MAX)
        return ULV_E_ARG;
    v->handler = entry.value;
    return ULV_OK;
}

static ulv_status
mock_vcpu_inject(void *vcpu, uint32_t vector)
{
    struct vcpu *v = vcpu;

    if (!v->machine->interrupts)
        return ULV_E_STATE;
    if (vector >= ULV_VECTOR_COUNT)
        return ULV_E_ARG;
    if (v->handler == 0)
        return ULV_E_STATE;
    /* any thread: pairs with interrupt() and withdraw */
    (void)__atomic_or_fetch(&v->pending, UINT64_C(1) << vector,
                            __ATOMIC_ACQ_REL);
    return ULV_OK;
}

static bool
mock_vcpu_withdraw(void *vcpu, uint32_t vector)
{
    struct vcpu *v = vcpu;
    uint64_t bit = vector < ULV_VECTOR_COUNT ? UINT64_C(1) << vector : 0;

    /* pairs with inject */
    return (__atomic_fetch_and(&v->pending, ~bit, __ATOMIC_ACQ_REL) & bit) !=
           0;
}

/* The lowest that is pending, unless one is being handled. */
static void
interrupt(struct vcpu *v)
{
    /* pairs with inject; nobody else takes one away */
    uint64_t pending = __atomic_load_n(&v->pending, __ATOMIC_ACQUIRE);

    if (v->handles || pending == 0)
        return;
    v->vector = (uint32_t)__builtin_ctzll(pending);
    (void)mock_vcpu_withdraw(v, v->vector);
    v->handles = true;
    v->before = v->now;
    v->now = (struct place){ .at = v->handler };
}

/* Returns whether the vcpu comes back: there was no handler to leave. */
static bool
resume(struct vcpu *v, struct ulv_exit *out)
{
    if (!v->handles) {
        fault(v, out, ULV_FAULT_INSTRUCTION, v->now.at);
        return true;
    }
    v->now = v->before;
    v->handles = false;
    return false;
}

static void
call(struct vcpu *v, const struct ulv_mock_step *step, struct ulv_exit *out)
{
    out->reason = ULV_EXIT_CALL;
    out->u.call.number = step->number;
    memcpy(out->u.call.argument, step->argument, sizeof(step->argument));
    if (step->kind == ULV_MOCK_VECTOR)
        out->u.call.argument[0] = v->vector;
    v->now.at += sizeof(*step);
}

/* ---- a debugger ---------------------------------------------------------- */

#define INT3 0xccu /* as the first byte of a step */

static bool
stand(struct vcpu *v, struct ulv_exit *out, uint32_t cause, uint64_t address)
{
    memset(out, 0, sizeof(*out));
    out->reason = ULV_EXIT_DEBUG;
    out->u.debug.cause = cause;
    out->u.debug.address = address;
    v->due = 0;
    v->debug.step = 0;
    return true;
}

static const struct ulv_debug_point *
point_at(const struct vcpu *v, bool execute, uint64_t address, uint64_t bytes)
{
    for (uint32_t i = 0; i < v->debug.point_count; i++) {
        const struct ulv_debug_point *p = &v->debug.point[i];

        if ((p->type == ULV_DEBUG_EXECUTE) == execute &&
            ulv_ranges_overlap(p->address, p->bytes, address, bytes))
            return p;
    }
    return NULL;
}

/* Whether it stands before this step. */
static bool
stands_before(struct vcpu *v, const struct ulv_mock_step *step,
              struct ulv_exit *out)
{
    const struct ulv_debug_point *p;

    if (v->debug.on == 0)
        return false;
    if ((step->kind & 0xff) == INT3)
        return stand(v, out, ULV_DEBUG_INT3, 0);
    p = point_at(v, true, v->now.at, 1);
    return p != NULL && stand(v, out, p->type, p->address);
}

/* What the debugger is to hear of a step that was just carried out. */
static void
note_step(struct vcpu *v, const struct ulv_mock_step *step)
{
    const struct ulv_debug_point *p = NULL;

    if (v->debug.on == 0)
        return;
    if (step->kind == ULV_MOCK_STORE)
        p = point_at(v, false, step->argument[0], 8);
    if (p != NULL) {
        v->due = p->type;
        v->due_address = p->address;
    } else if (v->debug.step != 0) {
        v->due = ULV_DEBUG_STEP;
        v->due_address = 0;
    }
}

static ulv_status
mock_vcpu_registers(void *vcpu, struct ulv_registers *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->rip = ((const struct vcpu *)vcpu)->now.at;
    return ULV_OK;
}

static ulv_status
mock_vcpu_set_registers(void *vcpu, const struct ulv_registers *registers)
{
    struct vcpu *v = vcpu;

    v->now.at = registers->rip;
    v->now.loop_at = 0;
    v->now.run_until = 0;
    return ULV_OK;
}

static ulv_status
mock_vcpu_debug(void *vcpu, const struct ulv_debug *debug)
{
    struct vcpu *v = vcpu;

    if (debug->point_count > ULV_DEBUG_POINTS_MAX)
        return ULV_E_LIMIT;
    for (uint32_t i = 0; i < debug->point_count; i++) {
        const struct ulv_debug_point *p = &debug->point[i];

        if (p->type < ULV_DEBUG_EXECUTE || p->type > ULV_DEBUG_ACCESS ||
            p->bytes > 8 || !ulv_is_power_of_two(p->bytes) ||
            p->address % p->bytes != 0 ||
            (p->type == ULV_DEBUG_EXECUTE && p->bytes != 1))
            return ULV_E_ARG;
    }
    v->debug = *debug;
    v->due = 0;
    return ULV_OK;
}

/* ---- steps --------------------------------------------------------------- */

/* false: there is none, which is a fault. */
static bool
fetch(struct vcpu *v, struct ulv_mock_step *ret, struct ulv_exit *out)
{
    const uint8_t *at = ulv_regions_at(&v->machine->regions, v->now.at,
                                       sizeof(*ret), ULV_GUEST_EXECUTE);

    if (at == NULL)
        fault(v, out, ULV_FAULT_EXECUTE, v->now.at);
    else
        memcpy(ret, at, sizeof(*ret));
    return at != NULL;
}

/* Carry out one step. Returns whether the vcpu comes back. */
static bool
one_step(struct vcpu *v, ulv_nsec budget, struct ulv_exit *out)
{
    struct ulv_mock_step step;
    const struct ulv_regions *r = &v->machine->regions;

    if (!fetch(v, &step, out) || stands_before(v, &step, out))
        return true;
    note_step(v, &step);
    switch (step.kind) {
    case ULV_MOCK_CALL:
    case ULV_MOCK_VECTOR:
        call(v, &step, out);
        return true;
    case ULV_MOCK_RESUME:
        return resume(v, out);
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
        if (v->now.answer == (int64_t)step.argument[0])
            break;
        fault(v, out, ULV_FAULT_REPORTED, (uint64_t)v->now.answer);
        return true;
    default:
        v->ended = true;
        out->reason = ULV_EXIT_ENDED;
        out->u.fault.kind = ULV_FAULT_KILLED;
        return true;
    }
    v->now.at += sizeof(step);
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
        if (v->due != 0)
            return (void)stand(v, out, v->due, v->due_address), ULV_OK;
        interrupt(v);
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
    ((struct vcpu *)vcpu)->now.answer = status;
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
    struct state state = { .magic = STATE_MAGIC,
                           .interrupts = v->machine->interrupts,
                           .now = v->now,
                           .before = v->before,
                           .handler = v->handler,
                           .pending = v->pending,
                           .vector = v->handles ? v->vector + 1 : 0 };

    state.now.run_until = state.before.run_until = 0; /* of another clock */
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
        if (s.magic == STATE_MAGIC && s.interrupts <= 1 &&
            s.handler < ADDRESS_MAX && s.vector <= ULV_VECTOR_COUNT &&
            s.pending >> ULV_VECTOR_COUNT == 0 &&
            (s.handler != 0 || s.pending == 0) &&
            (s.interrupts != 0 || (s.handler | s.vector) == 0))
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
    if ((s.interrupts != 0) != v->machine->interrupts)
        return ulv_fail(diag, ULV_E_CONFLICT, 0, s.interrupts,
                        v->machine->interrupts,
                        "only one of the two machines has interrupts");
    v->now = s.now;
    v->before = s.before;
    v->handler = s.handler;
    v->pending = s.pending;
    v->handles = s.vector != 0;
    v->vector = (uint32_t)(s.vector - (s.vector != 0));
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
    .vcpu_registers = mock_vcpu_registers,
    .vcpu_set_registers = mock_vcpu_set_registers,
    .vcpu_debug = mock_vcpu_debug,
    .vcpu_save = mock_vcpu_save,
    .vcpu_restore = mock_vcpu_restore,
    .state_check = mock_state_check,
    .vcpu_handler = mock_vcpu_handler,
    .vcpu_inject = mock_vcpu_inject,
    .vcpu_withdraw = mock_vcpu_withdraw,
};
