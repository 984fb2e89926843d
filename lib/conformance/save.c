/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Processors that go on elsewhere, and pages that were written. */
#include "conformance/conformance_priv.h"

#define MOVES      50u
#define PAGES      70u /* more than a word of bits */
#define BITS_BYTES 16u

static const struct setup plain;

bool
ulv_kit_make_state(struct kit *k, struct state *ret)
{
    uint64_t room = ulv_round_up(k->caps.state_bytes_max, PAGE);
    struct memory *m = ulv_kit_spare(k, 0, room + PAGE);

    if (m == NULL)
        return false;
    ret->bytes = m->p;
    ret->room = k->caps.state_bytes_max;
    ret->used = 0;
    return true;
}

bool
ulv_kit_save_to(struct stage *s, struct state *to)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;

    to->used = SIZE_MAX;
    status = s->kit->ops->vcpu_save(s->vcpu[0], to->bytes, to->room, &to->used,
                                    &diag);
    if (status != ULV_OK)
        return ulv_kit_fail(s->kit, "vcpu_save: %s %s",
                            ulv_status_name(status), diag.text);
    return (to->used > 0 && to->used <= to->room) ||
           ulv_kit_fail(s->kit, "vcpu_save wrote %u bytes, of %u",
                        (uint64_t)to->used, (uint64_t)to->room);
}

struct stage *
ulv_kit_move(struct stage *from, const struct guest *guest,
             const struct setup *setup, const struct state *state)
{
    struct kit *k = from->kit;
    struct stage *to = &k->stage[from == &k->stage[0] ? 1 : 0];
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;

    if (!ulv_kit_machine(to, guest, setup))
        return NULL;
    memcpy(to->ram.p, from->ram.p, to->ram.bytes);
    ulv_kit_end(from);
    /* an argument that the restored one must not see */
    if (!ulv_kit_vcpu(to, 0, ~ARGUMENT))
        return NULL;
    status = k->ops->state_check(&k->host.host, state->bytes, state->used,
                                 &diag);
    if (status == ULV_OK)
        status = k->ops->vcpu_restore(to->vcpu[0], state->bytes, state->used,
                                      &diag);
    if (status == ULV_OK)
        return to;
    (void)ulv_kit_fail(k, "what vcpu_save wrote is refused: %s %s",
                       ulv_status_name(status), diag.text);
    return NULL;
}

static void
test_anywhere(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_count);
    struct state state;
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_make_state(k, &state))
        return;
    for (uint32_t i = 0; i < MOVES; i++) {
        if (!ulv_kit_run_a_little(s) || !ulv_kit_save_to(s, &state))
            return;
        s = ulv_kit_move(s, &ulv_kit_count, &plain, &state);
        if (s == NULL)
            return;
    }
    ulv_kit_set_word(s, STOP, 1);
    if (!ulv_kit_run_call(s, 0, COUNT_NUMBER, &out))
        return;
    REQUIRE(k, out.u.call.argument[0] == ulv_kit_word(s, RESULT),
            "the guest counted %u, and %u is in its memory",
            out.u.call.argument[0], ulv_kit_word(s, RESULT));
}

/* Saved between a call and its answer. */
static void
test_at_a_call(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct state state;
    struct ulv_exit out;

    if (s == NULL || !ulv_kit_make_state(k, &state))
        return;
    for (uint64_t n = ARGUMENT; n < ARGUMENT + 20; n++) {
        if (!ulv_kit_run_call(s, 0, ECHO_NUMBER, &out))
            return;
        REQUIRE(k, out.u.call.argument[0] == n, "call %u, not %u",
                out.u.call.argument[0], n);
        if (!ulv_kit_save_to(s, &state))
            return;
        s = ulv_kit_move(s, &ulv_kit_echo, &plain, &state);
        if (s == NULL)
            return;
        ulv_kit_answer(s, 0, -(int64_t)n, 3 * n + 1);
    }
}

/* Who is saved goes on as if nothing had been. */
static void
test_goes_on(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct state state;

    if (s == NULL || !ulv_kit_make_state(k, &state))
        return;
    for (uint64_t n = ARGUMENT; n < ARGUMENT + 50; n++) {
        if (!ulv_kit_save_to(s, &state) || !ulv_kit_run_echo(s, 0, n))
            return;
    }
}

static void
test_room(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct state state;
    size_t used = 0;

    if (s == NULL || !ulv_kit_make_state(k, &state) ||
        !ulv_kit_save_to(s, &state))
        return;
    for (size_t room = 0; room < state.used; room += state.used / 7 + 1) {
        ulv_status status;

        memset(state.bytes, 0xee, state.room + 1);
        status = k->ops->vcpu_save(s->vcpu[0], state.bytes, room, &used, NULL);
        REQUIRE(k, status == ULV_E_LIMIT, "vcpu_save into %u bytes: %s",
                (uint64_t)room, ulv_status_name(status));
        REQUIRE(k, state.bytes[room] == 0xee,
                "vcpu_save wrote behind its %u bytes", (uint64_t)room);
    }
    (void)ulv_kit_run_echo(s, 0, ARGUMENT);
}

/* A new processor each time: after a failure it is only to be finished. */
static bool
is_refused(struct kit *k, const struct state *state, size_t bytes)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status checked, restored;

    if (s == NULL)
        return false;
    checked = k->ops->state_check(&k->host.host, state->bytes, bytes, &diag);
    restored = k->ops->vcpu_restore(s->vcpu[0], state->bytes, bytes, &diag);
    if (restored == ULV_OK || diag.text[0] == '\0')
        return ulv_kit_fail(k, "%u bytes, of %u that were saved: %s",
                            (uint64_t)bytes, (uint64_t)state->used,
                            ulv_status_name(restored));
    return checked == ULV_OK || checked == restored ||
           ulv_kit_fail(k, "%u bytes: state_check says %s, vcpu_restore %s",
                        (uint64_t)bytes, ulv_status_name(checked),
                        ulv_status_name(restored));
}

static void
test_refused(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_echo);
    struct state state;

    if (s == NULL || !ulv_kit_make_state(k, &state) ||
        !ulv_kit_save_to(s, &state))
        return;
    for (size_t bytes = 0; bytes < state.used; bytes += state.used / 13 + 1) {
        if (!is_refused(k, &state, bytes))
            return;
    }
    if (!is_refused(k, &state, state.used - 1) ||
        !is_refused(k, &state, state.used + 1))
        return;
    state.bytes[0] ^= 0x55; /* another kind, or length */
    if (!is_refused(k, &state, state.used))
        return;
    for (size_t i = 0; i < state.used; i++)
        state.bytes[i] = (uint8_t)ulv_kit_random(k);
    (void)is_refused(k, &state, state.used);
}

static const struct test_case cases[] = {
    { "saved anywhere, a guest goes on elsewhere", test_anywhere,
      NEEDS_CODE | NEEDS_SAVE },
    { "saved at a call, it is answered elsewhere", test_at_a_call,
      NEEDS_CODE | NEEDS_SAVE },
    { "who was saved goes on", test_goes_on, NEEDS_CODE | NEEDS_SAVE },
    { "too little room to be saved", test_room, NEEDS_CODE | NEEDS_SAVE },
    { "what was not saved is not restored", test_refused,
      NEEDS_CODE | NEEDS_SAVE },
};

const struct case_list ulv_kit_save = { ULV_CONFORMANCE_SAVE, cases,
                                        ULV_COUNT_OF(cases) };

/* ---- pages that were written --------------------------------------------- */

/* A guest that runs errands in PAGES pages of its own. */
static struct stage *
begin_tracked(struct kit *k)
{
    struct memory *m = ulv_kit_spare(k, 1, PAGES * PAGE);
    struct stage *s = &k->stage[0];
    struct ulv_exit out;

    if (m == NULL || !ulv_kit_machine(s, &ulv_kit_errands,
                                      &(struct setup){ 0 }))
        return NULL;
    if (ulv_kit_map(s, OTHER, m, ULV_GUEST_WRITE) != ULV_OK) {
        (void)ulv_kit_fail(k, "map failed");
        return NULL;
    }
    return ulv_kit_vcpu(s, 0, 0) &&
                   ulv_kit_run_call(s, 0, ERRAND_NUMBER, &out)
               ? s
               : NULL;
}

static bool
track(struct stage *s, bool on)
{
    ulv_status status = s->kit->ops->track(s->machine, on);

    return status == ULV_OK || ulv_kit_fail(s->kit, "track: %s",
                                            ulv_status_name(status));
}

/* Exactly these two are written; what bitmap had before does not count. */
static bool
collects(struct stage *s, uint64_t low, uint64_t high)
{
    uint64_t bits[BITS_BYTES / 8 + 1] = { UINT64_MAX, UINT64_MAX, 99 };
    ulv_status status = s->kit->ops->collect(s->machine, (ulv_gpa){ OTHER },
                                             PAGES * PAGE, bits);

    if (status != ULV_OK)
        return ulv_kit_fail(s->kit, "collect: %s", ulv_status_name(status));
    if (bits[0] != low || bits[1] != high)
        return ulv_kit_fail(s->kit, "written pages %x %x, not %x %x", bits[0],
                            bits[1], low, high);
    return bits[2] == 99 || ulv_kit_fail(s->kit, "a bit for pages that the "
                                                 "region does not have");
}

static bool
writes(struct stage *s, uint64_t page)
{
    struct ulv_exit out;

    return ulv_kit_errand(s, ERRAND_ADD, OTHER + page * PAGE + 8 * page,
                          &out) &&
           (out.reason == ULV_EXIT_CALL ||
            ulv_kit_fail(s->kit, "page %u cannot be written", page));
}

static void
test_written(struct kit *k)
{
    struct stage *s = begin_tracked(k);

    if (s == NULL || !writes(s, 3) || !track(s, true) || !collects(s, 0, 0))
        return;
    for (uint64_t i = 0; i < 5; i++) {
        if (!writes(s, i) || !writes(s, 7) || !writes(s, 63) ||
            !writes(s, 64) || !writes(s, 69) ||
            !collects(s, UINT64_C(1) << i | 1 << 7 | UINT64_C(1) << 63, 0x21) ||
            !collects(s, 0, 0))
            return;
    }
    /* off, and on: what came before is not told of */
    if (!writes(s, 9) || !track(s, false) || !writes(s, 10) ||
        !track(s, true) || !collects(s, 0, 0) || !writes(s, 11))
        return;
    (void)collects(s, 1 << 11, 0);
}

static void
test_untracked(struct kit *k)
{
    struct stage *s = begin_tracked(k);
    uint64_t bits[BITS_BYTES / 8];
    ulv_status status;

    for (uint32_t i = 0; s != NULL && i < 2; i++) {
        status = k->ops->collect(s->machine, (ulv_gpa){ OTHER }, PAGES * PAGE,
                                 bits);
        REQUIRE(k, status == ULV_E_STATE, "collect untracked: %s",
                ulv_status_name(status));
        if (!track(s, true))
            return;
        status = k->ops->collect(s->machine, (ulv_gpa){ OTHER }, PAGE, bits);
        REQUIRE(k, status == ULV_E_NOT_FOUND, "collect of half a region: %s",
                ulv_status_name(status));
        status = k->ops->collect(s->machine, (ulv_gpa){ NOWHERE }, PAGE, bits);
        REQUIRE(k, status == ULV_E_NOT_FOUND, "collect of no region: %s",
                ulv_status_name(status));
        if (!track(s, false))
            return;
    }
}

/* Nothing is lost between two looks at a guest that writes without end. */
static void
test_under_way(struct kit *k)
{
    struct stage *s = ulv_kit_begin(k, &ulv_kit_count);
    uint64_t bits[RAM_BYTES / PAGE / 64];

    if (s == NULL || !track(s, true))
        return;
    for (uint32_t i = 0; i < 200; i++) {
        ulv_status status;

        if (!ulv_kit_run_a_little(s))
            return;
        status = k->ops->collect(s->machine, (ulv_gpa){ RAM }, RAM_BYTES,
                                 bits);
        REQUIRE(k, status == ULV_OK, "collect: %s", ulv_status_name(status));
        REQUIRE(k, (bits[0] & UINT64_C(1) << RESULT / PAGE) != 0,
                "turn %u: the guest has counted in a page that it is said not "
                "to have written", (uint64_t)i);
    }
}

static const struct test_case track_cases[] = {
    { "pages that were written are told of", test_written,
      NEEDS_CODE | NEEDS_TRACK },
    { "what is not tracked is not told of", test_untracked,
      NEEDS_CODE | NEEDS_TRACK },
    { "no write is lost under a guest that writes", test_under_way,
      NEEDS_CODE | NEEDS_TRACK },
};

const struct case_list ulv_kit_track = { ULV_CONFORMANCE_TRACK, track_cases,
                                         ULV_COUNT_OF(track_cases) };
