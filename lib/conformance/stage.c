/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Memory, machines and their processors, and running them. */
#include "conformance/conformance_priv.h"

#define TURN   (100 * MILLISECOND) /* between two looks at the clock */
#define LITTLE (MILLISECOND / 10)

/* ---- memory -------------------------------------------------------------- */

static ulv_status
make_object(const struct ulv_host *host, uint64_t bytes, uint32_t flags,
            struct memory *ret)
{
    void *p = NULL;
    ulv_status status = host->memory_create(host->self, "conformance", bytes,
                                            flags, &ret->handle);

    if (status != ULV_OK)
        return status;
    status = host->memory_map(host->self, ret->handle, 0, bytes,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status != ULV_OK)
        host->handle_close(host->self, ret->handle);
    ret->p = p;
    return status;
}

/* Of the kit's own host: what a backend holds is not counted with it. */
ulv_status
ulv_kit_memory_make(const struct kit *k, uint64_t bytes, uint32_t flags,
                    struct memory *ret)
{
    const struct ulv_host *host = k->real;
    ulv_status status = ULV_OK;

    memset(ret, 0, sizeof(*ret));
    ret->handle = ULV_NO_HANDLE;
    if (host->memory_create != NULL) {
        status = make_object(host, bytes, flags, ret);
    } else {
        ret->p = host->alloc(host->self, bytes,
                             bytes >= ULV_MIB(2) ? ULV_MIB(2) : PAGE);
        status = ret->p != NULL ? ULV_OK : ULV_E_NO_MEMORY;
    }
    ret->bytes = status == ULV_OK ? bytes : 0;
    return status;
}

void
ulv_kit_memory_drop(const struct kit *k, struct memory *memory)
{
    const struct ulv_host *host = k->real;

    if (memory->bytes == 0)
        return;
    if (host->memory_create != NULL) {
        host->memory_unmap(host->self, memory->p, memory->bytes);
        host->handle_close(host->self, memory->handle);
    } else {
        host->free(host->self, memory->p, memory->bytes);
    }
    memset(memory, 0, sizeof(*memory));
}

struct memory *
ulv_kit_spare(struct kit *k, uint32_t idx, uint64_t bytes)
{
    struct memory *memory = &k->spare[idx];
    ulv_status status = ulv_kit_memory_make(k, bytes, 0, memory);

    if (status == ULV_OK)
        return memory;
    (void)ulv_kit_fail(k, "the host has no %z of memory: %s", bytes,
                       ulv_status_name(status));
    return NULL;
}

uint64_t
ulv_kit_word(const struct stage *s, uint64_t offset)
{
    /* pairs with the guest's own stores: each is one instruction */
    return __atomic_load_n((uint64_t *)(void *)(s->ram.p + offset),
                           __ATOMIC_ACQUIRE);
}

void
ulv_kit_set_word(struct stage *s, uint64_t offset, uint64_t value)
{
    /* pairs with the guest's own loads */
    __atomic_store_n((uint64_t *)(void *)(s->ram.p + offset), value,
                     __ATOMIC_RELEASE);
}

/* ---- machines ------------------------------------------------------------ */

static void
put_guest(struct stage *s, const struct guest *guest)
{
    const void *from = guest->code;
    size_t bytes = (size_t)(guest->code_end - guest->code);

    if (s->kit->opts->guest_code == ULV_CONFORMANCE_STEPS) {
        from = guest->steps;
        bytes = guest->step_count * sizeof(*guest->steps);
    }
    memset(s->ram.p, 0, s->ram.bytes);
    memcpy(s->ram.p, from, bytes);
}

ulv_status
ulv_kit_map(struct stage *s, uint64_t guest, const struct memory *memory,
            uint32_t access)
{
    return s->kit->ops->map(s->machine, (ulv_gpa){ guest }, memory->bytes,
                            memory->handle, 0, memory->p, access);
}

ulv_status
ulv_kit_try_machine(struct stage *s, const struct guest *guest,
                    const struct setup *setup, struct ulv_diag *diag)
{
    const struct kit *k = s->kit;
    struct ulv_machine_cfg cfg = {
        .size = sizeof(cfg),
        .vcpu_count = setup->vcpu_count != 0 ? setup->vcpu_count : 1,
        .threads = setup->threads,
        .interrupts = setup->interrupts,
        .host = &k->host.host,
        .partition = 7,
        .gate = setup->gate != 0 ? setup->gate : ULV_GUEST_GATE,
        .launcher = k->opts->launcher,
        .call = setup->call,
        .debug = setup->debug,
        .spare = setup->spare,
        .self = setup->self,
    };
    ulv_status status;

    memset(s->machine, 0, k->ops->machine_bytes);
    for (uint32_t i = 0; i < VCPUS; i++)
        memset(s->vcpu[i], 0, k->ops->vcpu_bytes);
    s->vcpu_count = cfg.vcpu_count;
    put_guest(s, guest);
    s->machine_made = true;
    status = k->ops->machine_init(s->machine, &cfg, diag);
    if (status == ULV_OK)
        status = ulv_kit_map(s, RAM, &s->ram, READ_WRITE_EXECUTE);
    return status;
}

static void
watch(struct stage *s, uint32_t idx)
{
    const struct ulv_host *host = s->kit->real;

    if (s->kit->ops->vcpu_event != NULL)
        s->event[idx] = s->kit->ops->vcpu_event(s->vcpu[idx]);
    if (s->event[idx] == ULV_NO_HANDLE || host->wait_create == NULL)
        return;
    if (s->set == ULV_NO_HANDLE &&
        host->wait_create(host->self, &s->set) != ULV_OK)
        s->set = ULV_NO_HANDLE;
    if (s->set != ULV_NO_HANDLE)
        (void)host->watch(host->self, s->set, s->event[idx]);
}

ulv_status
ulv_kit_try_vcpu(struct stage *s, uint32_t idx, uint64_t argument,
                 struct ulv_diag *diag)
{
    ulv_status status;

    s->vcpu_made[idx] = true;
    status = s->kit->ops->vcpu_init(
        s->vcpu[idx], s->machine, idx, (ulv_gpa){ RAM },
        (ulv_gpa){ RAM + RAM_BYTES - idx * PAGE }, argument, diag);
    if (status == ULV_OK)
        watch(s, idx);
    return status;
}

bool
ulv_kit_machine(struct stage *s, const struct guest *guest,
                const struct setup *setup)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status = ulv_kit_try_machine(s, guest, setup, &diag);

    return status == ULV_OK ||
           ulv_kit_fail(s->kit, "a machine cannot be made: %s %s",
                        ulv_status_name(status), diag.text);
}

bool
ulv_kit_vcpu(struct stage *s, uint32_t idx, uint64_t argument)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status = ulv_kit_try_vcpu(s, idx, argument, &diag);

    return status == ULV_OK ||
           ulv_kit_fail(s->kit, "processor %u cannot be made: %s %s",
                        (uint64_t)idx, ulv_status_name(status), diag.text);
}

struct stage *
ulv_kit_begin_with(struct kit *k, const struct guest *guest, uint64_t argument)
{
    struct stage *s = &k->stage[0];

    ulv_kit_end(s);
    if (!ulv_kit_machine(s, guest, &(struct setup){ 0 }) ||
        !ulv_kit_vcpu(s, 0, argument))
        return NULL;
    return s;
}

struct stage *
ulv_kit_begin(struct kit *k, const struct guest *guest)
{
    return ulv_kit_begin_with(k, guest, ARGUMENT);
}

void
ulv_kit_end(struct stage *s)
{
    const struct ulv_host *host = s->kit->real;

    for (uint32_t i = 0; i < VCPUS; i++) {
        if (s->set != ULV_NO_HANDLE && s->event[i] != ULV_NO_HANDLE)
            host->unwatch(host->self, s->set, s->event[i]);
        s->event[i] = ULV_NO_HANDLE;
        if (s->vcpu_made[i])
            s->kit->ops->vcpu_fini(s->vcpu[i]);
        s->vcpu_made[i] = false;
    }
    if (s->machine_made)
        s->kit->ops->machine_fini(s->machine);
    s->machine_made = false;
    if (s->set != ULV_NO_HANDLE)
        host->handle_close(host->self, s->set);
    s->set = ULV_NO_HANDLE;
}

/* ---- run ----------------------------------------------------------------- */

bool
ulv_kit_run_once(struct stage *s, uint32_t idx, ulv_nsec budget_ns,
                 struct ulv_exit *ret)
{
    ulv_status status;

    memset(ret, 0xee, sizeof(*ret)); /* it is filled, not added to */
    status = s->kit->ops->vcpu_run(s->vcpu[idx], budget_ns, ret);
    if (status != ULV_OK)
        return ulv_kit_fail(s->kit, "vcpu_run said %s",
                            ulv_status_name(status));
    if (ret->reason > ULV_EXIT_DEBUG)
        return ulv_kit_fail(s->kit, "exit reason %u, which there is not",
                            (uint64_t)ret->reason);
    return true;
}

bool
ulv_kit_run(struct stage *s, uint32_t idx, struct ulv_exit *ret)
{
    const struct ulv_host *host = s->kit->real;
    const struct kit *k = s->kit;
    ulv_nsec start = host->now(host->self);
    ulv_nsec turn = ULV_MIN(k->patience, TURN);

    do {
        if (!ulv_kit_run_once(s, idx, turn, ret))
            return false;
        if (ret->reason != ULV_EXIT_INTERRUPTED)
            return true;
        /* one that runs beside us was only looked at */
        if (s->set != ULV_NO_HANDLE)
            (void)host->wait(host->self, s->set, host->now(host->self) + turn);
    } while (host->now(host->self) - start < k->patience);
    return ulv_kit_fail(s->kit, "no exit within %u ms",
                        k->patience / MILLISECOND);
}

bool
ulv_kit_run_a_little(struct stage *s)
{
    uint64_t was = ulv_kit_word(s, RESULT);
    ulv_nsec longest = LITTLE;
    struct ulv_exit out;

    do {
        if (longest >= s->kit->patience)
            return ulv_kit_fail(s->kit, "the guest stays where it is");
        if (!ulv_kit_run_once(s, 0, ulv_kit_random(s->kit) % longest, &out))
            return false;
        if (out.reason != ULV_EXIT_INTERRUPTED)
            return ulv_kit_fail(s->kit,
                                "exit reason %u; the guest says that its "
                                "registers are not as they were",
                                (uint64_t)out.reason);
        longest += longest / 4;
    } while (ulv_kit_word(s, RESULT) == was);
    return true;
}

void
ulv_kit_answer(struct stage *s, uint32_t idx, int64_t status, uint64_t value)
{
    s->kit->ops->vcpu_answer(s->vcpu[idx], status, value);
}

static bool
fail_exit(struct stage *s, const struct ulv_exit *out, const char *expected)
{
    static const char *const reasons[] = { "an interruption", "a call",
                                           "a fault", "the end" };
    const struct ulv_exit_fault *fault = &out->u.fault;

    if (out->reason == ULV_EXIT_FAULT)
        return ulv_kit_fail(s->kit, "%s expected, not %s (%s at %x, rip %x)",
                            expected, reasons[out->reason],
                            ulv_fault_text(fault->kind), fault->address,
                            fault->registers.rip);
    return ulv_kit_fail(s->kit, "%s expected, not %s", expected,
                        reasons[out->reason]);
}

bool
ulv_kit_run_call(struct stage *s, uint32_t idx, uint64_t number,
                 struct ulv_exit *ret)
{
    if (!ulv_kit_run(s, idx, ret))
        return false;
    if (ret->reason != ULV_EXIT_CALL)
        return fail_exit(s, ret, "a call");
    return ret->u.call.number == number ||
           ulv_kit_fail(s->kit, "call number %x, not %x", ret->u.call.number,
                        number);
}

static bool
is_ended(struct stage *s, uint32_t idx)
{
    struct ulv_exit out;

    for (int i = 0; i < 3; i++) {
        if (!ulv_kit_run(s, idx, &out))
            return false;
        if (out.reason != ULV_EXIT_ENDED)
            return fail_exit(s, &out, "after a fault the end");
    }
    return true;
}

bool
ulv_kit_run_fault(struct stage *s, uint32_t idx, uint32_t kind,
                  uint64_t address, struct ulv_exit *ret)
{
    const struct ulv_exit_fault *fault = &ret->u.fault;

    if (!ulv_kit_run(s, idx, ret))
        return false;
    if (ret->reason != ULV_EXIT_FAULT)
        return fail_exit(s, ret, "a fault");
    if (fault->kind != kind)
        return ulv_kit_fail(s->kit, "%s (%u at %x), not %s (%u)",
                            ulv_fault_text(fault->kind), (uint64_t)fault->kind,
                            fault->address, ulv_fault_text(kind),
                            (uint64_t)kind);
    if (address != ANYWHERE && fault->address != address)
        return ulv_kit_fail(s->kit, "%s at %x, not at %x",
                            ulv_fault_text(kind), fault->address, address);
    return is_ended(s, idx);
}

bool
ulv_kit_run_echo(struct stage *s, uint32_t idx, uint64_t n)
{
    const uint64_t expected[4] = { n, ~n, 3 * n, n };
    struct ulv_exit out;

    if (!ulv_kit_run_call(s, idx, ECHO_NUMBER, &out))
        return false;
    for (uint32_t i = 0; i < 4; i++) {
        if (out.u.call.argument[i] != expected[i])
            return ulv_kit_fail(s->kit, "call %u: argument %u is %x, not %x",
                                n, (uint64_t)i, out.u.call.argument[i],
                                expected[i]);
    }
    ulv_kit_answer(s, idx, -(int64_t)n, 3 * n + 1);
    return true;
}

/* ---- errands ------------------------------------------------------------- */

bool
ulv_kit_errand(struct stage *s, int64_t what, uint64_t where,
               struct ulv_exit *ret)
{
    ulv_kit_answer(s, 0, what, where);
    if (!ulv_kit_run(s, 0, ret))
        return false;
    if (ret->reason == ULV_EXIT_CALL && ret->u.call.number != ERRAND_NUMBER)
        return ulv_kit_fail(s->kit, "call number %x, not %x",
                            ret->u.call.number, ERRAND_NUMBER);
    return true;
}

bool
ulv_kit_errand_reads(struct stage *s, uint64_t where, uint64_t expected)
{
    struct ulv_exit out;

    if (!ulv_kit_errand(s, ERRAND_READ, where, &out))
        return false;
    if (out.reason != ULV_EXIT_CALL)
        return fail_exit(s, &out, "a read");
    return out.u.call.argument[0] == expected ||
           ulv_kit_fail(s->kit, "the guest reads %x at %x, not %x",
                        out.u.call.argument[0], where, expected);
}
