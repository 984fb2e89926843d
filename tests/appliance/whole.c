/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The whole on a bare machine, with everybody against it: while two guests
 * talk, an ultravisor that has gone wrong (wrong_ultravisor.c) orders what
 * cannot be, and hostile guests end one after the other; the two go on. Last,
 * what a system call costs. test_whole.py reads what is said.
 */
#include <ultravisor/abi/policy.h>
#include <ultravisor/sys/bare.h>
#include <ultravisor/sys/vtx.h>
#include <ultravisor/ultravisor.h>

#include "../../examples/appliance/appliance.h"
#include "base/base.h"
#include "policy/policy.h"
#include "system/system_priv.h"
#include "whole.h"

static struct ulv_bare bare;
static ulv_system *whole;

const struct ulv_backend_ops *
ulv_backend_at(uint32_t idx)
{
    return idx == 0 ? &ulv_backend_vtx : NULL;
}

const struct ulv_backend_ops *
ulv_backend_find(const char *name)
{
    (void)name;
    return &ulv_backend_vtx;
}

#define GUEST(name) extern const uint8_t embedded_##name[],                    \
    embedded_##name##_end[];
GUEST(control_register)
GUEST(count_calls)
GUEST(divide)
GUEST(jump_nowhere)
GUEST(many_calls)
GUEST(memory_guard)
GUEST(msr)
GUEST(never_yields)
GUEST(port)
GUEST(privileged)
GUEST(read_nothing)
GUEST(undefined)
GUEST(write_past_memory)
GUEST(write_view)
#undef GUEST

#define GUEST(name) { #name, embedded_##name, embedded_##name##_end }
static const struct guest {
    const char *name;
    const uint8_t *p, *end;
} hostile[] = {
    GUEST(control_register), GUEST(divide),     GUEST(jump_nowhere),
    GUEST(many_calls),       GUEST(msr),        GUEST(never_yields),
    GUEST(port),             GUEST(privileged), GUEST(read_nothing),
    GUEST(undefined),        GUEST(write_view), GUEST(write_past_memory),
};
static const struct guest ping = GUEST(ping), echo = GUEST(echo),
                          count_calls = GUEST(count_calls),
                          memory_guard = GUEST(memory_guard);

void
whole_say(const char *format, ...)
{
    char buf[160];
    struct ulv_text text;
    va_list arguments;

    ulv_text_init(&text, buf, sizeof(buf));
    va_start(arguments, format);
    ulv_text_arguments(&text, format, arguments);
    va_end(arguments);
    bare.host.log(bare.host.self, ULV_LOG_INFO, buf);
}

static bool
say_failed(const char *what, const struct ulv_diag *diag)
{
    whole_say("failed: %s: %s", what, diag->text);
    return false;
}

/* ---- guests -------------------------------------------------------------- */

/* A partition with a console; with a peer, a channel to it. */
static bool
make(const struct guest *guest, ulv_id peer, ulv_id *ret)
{
    static const struct ulv_guid type_echo = { "ultravisor echo" };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t = ulv_transaction_begin(whole);

    *ret = ulv_transaction_partition(t, guest->name, ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, *ret, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, *ret, 1, ULV_SHARED);
    if (peer == 0)
        ulv_transaction_console(t, *ret, 0, 0);
    else
        ulv_transaction_connect(t, peer, *ret, &type_echo);
    if (ulv_transaction_commit(t, &diag) != ULV_OK)
        return say_failed(guest->name, &diag);
    return true;
}

static bool
start(const struct guest *guest, ulv_id id)
{
    const struct ulv_image image = { .kernel = ULV_SOURCE_MEMORY(
                                         guest->p,
                                         (size_t)(guest->end - guest->p)) };
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (ulv_partition_start(whole, id, &image, &diag) != ULV_OK)
        return say_failed(guest->name, &diag);
    return true;
}

static bool
await(const struct guest *guest, ulv_id id)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_end end;
    ulv_status status;

    do {
        status = ulv_partition_wait(whole, id, &end,
                                    ulv_system_now(whole) + 1000000000, &diag);
        appliance_print_events(whole, &bare.host);
    } while (status == ULV_E_TIMEOUT);
    if (status != ULV_OK)
        return say_failed(guest->name, &diag);
    whole_say("end %s %u %u %s", guest->name, (uint64_t)end.reason, end.code,
              end.text);
    appliance_print_end(&end, &bare.host);
    return true;
}

static bool
destroy(const struct guest *guest, ulv_id id)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t = ulv_transaction_begin(whole);

    ulv_transaction_destroy(t, id);
    if (ulv_transaction_commit(t, &diag) != ULV_OK)
        return say_failed(guest->name, &diag);
    return true;
}

static bool
run(const struct guest *guest)
{
    ulv_id id;

    return make(guest, 0, &id) && start(guest, id) && await(guest, id) &&
           destroy(guest, id);
}

static bool
run_moves(void)
{
    static const char *const names[2] = { "left", "right" };
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct guest guest = memory_guard;
    ulv_id id[2];

    for (uint32_t i = 0; i < 2; i++) {
        guest.name = names[i];
        if (!make(&guest, 0, &id[i]) || !start(&guest, id[i]))
            return false;
    }
    if (!whole_moves(whole, id, &diag))
        return say_failed("moves", &diag);
    return destroy(&guest, id[0]) && destroy(&guest, id[1]);
}

/* ---- an ultravisor gone wrong -------------------------------------------- */

/* Frames that it must not give: another's, root memory, the frame table. */
static bool
wrong_orders(ulv_id owner)
{
    const struct keeper *k = &whole->keeper;
    const struct keeper_extent *e = k->extents;
    const struct ulv_host *host = &bare.host;
    const uint64_t page = ~UINT64_C(4095);

    while (e != NULL && e->partition != owner)
        e = e->next;
    if (e == NULL)
        return false;
    wrong.frame[0] = e->frame;
    wrong.frame[1] = host->physical(host->self, &bare) & page;
    wrong.frame[2] = host->physical(host->self, k->frames.run) & page;
    wrong.orders = WRONG_ORDERS;
    while (wrong.answers < WRONG_ORDERS) {
        (void)ulv_system_step(whole, ulv_system_now(whole) + 1000000);
        appliance_print_events(whole, host);
    }
    return true;
}

/* ---- all of it ----------------------------------------------------------- */

static bool
create(void)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    static struct ulv_policy policy;

    ulv_policy_default(&policy);
    policy.silence_limit = 500000000; /* ns */
    opts.policy = &policy;
    opts.policy_bytes = sizeof(policy);
    if (ulv_system_create(&bare.host, &opts, &whole, &diag) != ULV_OK)
        return say_failed("create", &diag);
    return true;
}

bool
ulv_bare_main(const struct ulv_bare_boot *boot)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id talker, answerer;
    bool well;

    if (ulv_bare_host_init(&bare, boot, &diag) != ULV_OK)
        return say_failed("host", &diag);
    whole_say("%u ticks the bare loop", whole_bare_loop(&bare.host));
    well = create() && make(&ping, 0, &talker) &&
           make(&echo, talker, &answerer) && start(&echo, answerer) &&
           start(&ping, talker) && wrong_orders(answerer);
    for (size_t i = 0; well && i < ULV_COUNT_OF(hostile); i++)
        well = run(&hostile[i]);
    well = well && await(&ping, talker) && await(&echo, answerer) &&
           destroy(&ping, talker) && destroy(&echo, answerer) &&
           run(&count_calls) && run_moves();
    ulv_system_destroy(whole);
    whole_say("%u handles, %u misuses, VMX %s",
              (uint64_t)bare.objects.live_handles, bare.misuse,
              bare.slot_of_backend == NULL ? "off" : "on");
    return well && bare.objects.live_handles == 0 && bare.misuse == 0 &&
           bare.slot_of_backend == NULL;
}
