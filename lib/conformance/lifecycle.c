/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Probing, making and finishing machines. */
#include "conformance/conformance_priv.h"

static void
test_table(struct kit *k)
{
    const struct ulv_backend_ops *ops = k->ops;

    REQUIRE(k, ops->size > offsetof(struct ulv_backend_ops, vcpu_registers),
            "size is %u", (uint64_t)ops->size);
    REQUIRE(k, ops->name != NULL && ops->name[0] != '\0', "it has no name");
    REQUIRE(k, ops->machine_bytes > 0 && ops->vcpu_bytes > 0,
            "a machine of %u bytes, a processor of %u",
            (uint64_t)ops->machine_bytes, (uint64_t)ops->vcpu_bytes);
    REQUIRE(k,
            ops->probe != NULL && ops->machine_init != NULL &&
                ops->machine_fini != NULL && ops->map != NULL &&
                ops->unmap != NULL && ops->vcpu_init != NULL &&
                ops->vcpu_fini != NULL && ops->vcpu_run != NULL &&
                ops->vcpu_answer != NULL && ops->vcpu_kick != NULL,
            "a required function is NULL");
    REQUIRE(k, ops->vcpu_event == NULL || ops->vcpu_hold != NULL,
            "vcpu_event without vcpu_hold");
    REQUIRE(k, k->caps.can_save_registers == 0 || ops->vcpu_registers != NULL,
            "caps.can_save_registers without vcpu_registers");
    REQUIRE(k, k->caps.vcpus_max == 1 || ops->vcpu_start != NULL,
            "caps.vcpus_max is %u, without vcpu_start",
            (uint64_t)k->caps.vcpus_max);
    REQUIRE(k, k->caps.can_thread == 0 || ops->vcpu_event != NULL,
            "caps.can_thread without vcpu_event");
    REQUIRE(k,
            k->caps.can_save == 0 ||
                (ops->vcpu_save != NULL && ops->vcpu_restore != NULL &&
                 ops->state_check != NULL && k->caps.state_bytes_max > 0),
            "caps.can_save without the functions, or without state_bytes_max");
    REQUIRE(k,
            k->caps.can_track == 0 ||
                (ops->track != NULL && ops->collect != NULL),
            "caps.can_track without the functions");
    REQUIRE(k,
            k->caps.can_stock == 0 ||
                (ops->vcpu_enter != NULL && ops->line != NULL),
            "caps.can_stock without the functions");
    REQUIRE(k,
            (ops->spare_init == NULL) == (ops->spare_fini == NULL) &&
                (ops->spare_init == NULL) == (ops->spare_bytes == 0),
            "spare_bytes, spare_init and spare_fini: all or none");
}

static void
test_capabilities(struct kit *k)
{
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;

    memset(&caps, 0xee, sizeof(caps));
    status = k->ops->probe(&k->host.host, &caps, &diag);
    REQUIRE(k, status == ULV_OK, "the second probe said %s: %s",
            ulv_status_name(status), diag.text);
    REQUIRE(k, caps.size == sizeof(caps), "size is %u", (uint64_t)caps.size);
    REQUIRE(k, caps.vcpus_max >= 1, "vcpus_max is 0");
    REQUIRE(k, caps.regions_max >= 2, "regions_max is %u",
            (uint64_t)caps.regions_max);
    REQUIRE(k,
            caps.guest_address_max > ULV_GUEST_WINDOW &&
                caps.guest_address_max % PAGE == 0,
            "guest_address_max is %x, not whole pages up to the window of a "
            "guest at %x", caps.guest_address_max, ULV_GUEST_WINDOW);
    REQUIRE(k,
            (caps.can_save_registers | caps.can_remap | caps.can_thread |
             caps.can_save | caps.can_track | caps.can_stock) <= 1,
            "a capability is neither 0 nor 1");
    REQUIRE(k,
            caps.version[0] != '\0' &&
                ulv_string_length(caps.version, sizeof(caps.version)) <
                    sizeof(caps.version),
            "version is no text");
    REQUIRE(k, memcmp(&caps, &k->caps, sizeof(caps)) == 0,
            "two probes say two things");
}

/* Handles that the zeroes would be are not its own. */
static void
test_finish_nothing(struct kit *k)
{
    struct ulv_conformance_usage before = { 0 }, after = { 0 };

    if (k->opts->usage != NULL)
        k->opts->usage(k->opts->self, &before);
    memset(k->stage[0].machine, 0, k->ops->machine_bytes);
    k->ops->machine_fini(k->stage[0].machine);
    k->ops->machine_fini(k->stage[0].machine);
    if (k->opts->usage != NULL)
        k->opts->usage(k->opts->self, &after);
    REQUIRE(k, before.handles == after.handles, "handles: %i before, %i after",
            before.handles, after.handles);
}

static void
test_finish_early(struct kit *k)
{
    struct stage *s = &k->stage[0];

    if (!ulv_kit_machine(s, &ulv_kit_echo, &(struct setup){ 0 }))
        return;
    ulv_kit_end(s); /* no processor */
    if (!ulv_kit_machine(s, &ulv_kit_echo, &(struct setup){ 0 }) ||
        !ulv_kit_vcpu(s, 0, ARGUMENT))
        return;
    ulv_kit_end(s); /* never run */
    s = ulv_kit_begin(k, &ulv_kit_echo);
    if (s != NULL)
        (void)ulv_kit_run_echo(s, 0, ARGUMENT); /* and not once more */
}

static void
test_finish_running(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_spin);
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_run_once(s, 0, MILLISECOND, &out))
        return;
    REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED, "exit reason %u",
            (uint64_t)out.reason);
}

/* A processor that was started is told so by its guest alone. */
static void
test_two_machines(struct kit *k)
{
    const struct setup setup = { 0 };
    const uint64_t pace = ulv_kit_pace(k);

    for (uint32_t i = 0; i < 2; i++) {
        if (!ulv_kit_machine(&k->stage[i], &ulv_kit_echo, &setup) ||
            !ulv_kit_vcpu(&k->stage[i], 0, ARGUMENT + i * 1000 * pace))
            return;
    }
    for (uint64_t n = 0; n < 20; n++) {
        for (uint32_t i = 0; i < 2; i++) {
            if (!ulv_kit_run_echo(&k->stage[i], 0,
                                  ARGUMENT + (i * 1000 + n) * pace))
                return;
        }
    }
    ulv_kit_end(&k->stage[0]);
    (void)ulv_kit_run_echo(&k->stage[1], 0, ARGUMENT + 1020 * pace);
}

static void
test_gates(struct kit *k)
{
    static const uint64_t gates[] = { 1, ULV_GUEST_GATE + 1, RAM, RAM - 1,
                                      UINT64_MAX - PAGE + 1 };

    for (size_t i = 0; i < ULV_COUNT_OF(gates); i++) {
        const struct setup setup = { .gate = gates[i] };
        struct ulv_diag diag = ULV_DIAG_INIT;
        ulv_status status = ulv_kit_try_machine(&k->stage[0], &ulv_kit_echo,
                                                &setup, &diag);

        REQUIRE(k, status == ULV_E_ARG, "a gate at %x: %s, not ULV_E_ARG",
                gates[i], ulv_status_name(status));
        REQUIRE(k, diag.text[0] != '\0' && diag.value == gates[i],
                "a gate at %x is refused without a word that names it",
                gates[i]);
        ulv_kit_end(&k->stage[0]);
    }
}

static void
test_too_many_vcpus(struct kit *k)
{
    struct stage *s = &k->stage[0];
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .host = &k->host.host,
                                   .gate = ULV_GUEST_GATE,
                                   .launcher = k->opts->launcher };
    const uint32_t counts[] = { 0, k->caps.vcpus_max + 1, UINT32_MAX };

    for (size_t i = 0; i < ULV_COUNT_OF(counts); i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;
        ulv_status status;

        memset(s->machine, 0, k->ops->machine_bytes);
        cfg.vcpu_count = counts[i];
        s->machine_made = true;
        status = k->ops->machine_init(s->machine, &cfg, &diag);
        REQUIRE(k, status != ULV_OK, "a machine of %u processors is made",
                (uint64_t)counts[i]);
        REQUIRE(k, diag.text[0] != '\0',
                "%u processors are refused without a word",
                (uint64_t)counts[i]);
        ulv_kit_end(s);
    }
}

/* One after the other and two at a time, of each kind that there is, so that
 * the spare is there, is being made, serves, and does not. */
static void
use_spare(struct kit *k, void *spare)
{
    const uint64_t pace = ulv_kit_pace(k);

    for (uint64_t n = 0; n < 12; n++) {
        struct stage *s = &k->stage[n % 2];
        const struct setup setup = {
            .threads = n % 3 == 1 ? k->caps.can_thread : 0,
            .interrupts = n % 4 == 3 ? k->caps.can_interrupt : 0,
            .spare = spare,
        };

        ulv_kit_end(s);
        if (!ulv_kit_machine(s, &ulv_kit_echo, &setup) ||
            !ulv_kit_vcpu(s, 0, ARGUMENT + n * 1000 * pace))
            return;
        for (uint64_t i = 0; i < 3; i++) {
            if (!ulv_kit_run_echo(s, 0, ARGUMENT + (n * 1000 + i) * pace))
                return;
        }
    }
}

static void
test_spare(struct kit *k)
{
    const struct ulv_host *host = k->real;
    struct ulv_conformance_usage before = { 0 }, after = { 0 };
    void *spare = host->alloc(host->self, k->ops->spare_bytes, 64);

    REQUIRE(k, spare != NULL, "no memory");
    if (k->opts->usage != NULL)
        k->opts->usage(k->opts->self, &before);
    for (uint32_t uses = 0; uses < 3; uses++) { /* 1: it is made for nothing */
        memset(spare, 0, k->ops->spare_bytes);
        if (k->ops->spare_init(spare, &k->host.host) != ULV_OK) {
            (void)ulv_kit_fail(k, "a spare cannot be made");
            break;
        }
        if (uses != 1)
            use_spare(k, spare);
        ulv_kit_end(&k->stage[0]);
        ulv_kit_end(&k->stage[1]);
        k->ops->spare_fini(spare);
    }
    if (k->opts->usage != NULL)
        k->opts->usage(k->opts->self, &after);
    host->free(host->self, spare, k->ops->spare_bytes);
    REQUIRE(k, before.handles == after.handles, "handles: %i before, %i after",
            before.handles, after.handles);
}

static const struct test_case cases[] = {
    { "the table is whole", test_table, 0 },
    { "a probe says what can be", test_capabilities, 0 },
    { "what was never made is finished", test_finish_nothing, 0 },
    { "a machine is finished early", test_finish_early, 0 },
    { "a machine is finished while its guest runs", test_finish_running, 0 },
    { "two machines do not mix", test_two_machines, 0 },
    { "what is no gate is refused", test_gates, 0 },
    { "too many processors are refused", test_too_many_vcpus, 0 },
    { "machines begin with a spare", test_spare, NEEDS_SPARE },
};

const struct case_list ulv_kit_lifecycle = { ULV_CONFORMANCE_LIFECYCLE, cases,
                                             ULV_COUNT_OF(cases) };
