/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random system calls, each register of each random or close to an edge, while
 * the view, memory, channels, rights, bells and time change; the monitor beside
 * the model of call_model.h. Argument: how many calls.
 *
 * Each guest is played from a seed of its own. One that fails is printed with
 * its last calls; ULV_SEED=that seed plays it again, alone.
 */
#include "call_model.h"

#include <stdlib.h>

#define CALLS_A_GUEST 3000u
#define SHOWN         8u /* calls before the one that failed */

static uint64_t calls = 3000, seed, guest_seed, done;
static uint64_t storm; /* the call that this guest makes over and over; or 0 */
static bool alone;
static struct ulv_exit_call shown[SHOWN];

static uint64_t
random64(void)
{
    /* splitmix64: any seed will do */
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t
below(uint64_t n)
{
    return random64() % n;
}

/* ---- calls --------------------------------------------------------------- */

static const uint64_t known[] = {
    ULV_CALL_ACCEPT,  ULV_CALL_RELEASE, ULV_CALL_SIGNAL,   ULV_CALL_WAIT,
    ULV_CALL_ATTACH,  ULV_CALL_DETACH,  ULV_CALL_FAILED,   ULV_CALL_DISCOVER,
    ULV_CALL_LOG,     ULV_CALL_YIELD,   ULV_CALL_TIME,     ULV_CALL_LOG,
    ULV_CALL_ACCEPT,  ULV_CALL_RELEASE, ULV_CALL_DETACH,   ULV_CALL_SIGNAL,
    ULV_CALL_START,   ULV_CALL_PARK,    ULV_CALL_WAKE,
    /* the last three end the guest */
    ULV_CALL_FAULT,   ULV_CALL_STOP,    ULV_CALL_RESET,
};

static uint64_t
random_number(void)
{
    uint64_t number = known[below(ULV_COUNT_OF(known) - 3)];

    if (storm != 0 && below(4) != 0)
        return storm;
    switch (below(10)) {
    case 0:
        return number ^ UINT64_C(1) << below(64);
    case 1:
        return below(0x1000);
    case 2:
        return random64() >> below(64);
    case 3:
        return below(64) != 0 ? ULV_CALL_FAULT
                              : known[ULV_COUNT_OF(known) - 1 - below(3)];
    default:
        return number;
    }
}

/* An address at which something begins or ends, or may. */
static uint64_t
random_place(void)
{
    switch (below(8)) {
    case 0:
        return ULV_GUEST_GATE + below(2) * 4096;
    case 1:
        return VIEW + below(2) * 4096;
    case 2: /* a channel */
        return VIEW + (below(ULV_SLOT_COUNT) + 1) * ULV_GUEST_SLOT_BYTES +
               below(2) * CHANNEL_BYTES;
    case 3: /* not canonical, or wrapping */
        return UINT64_C(1) << (46 + below(18));
    case 4:
        return 0;
    default:
        return ULV_GUEST_RAM_BASE + below(PIECES + 1) * PIECE_BYTES;
    }
}

static uint64_t
random_argument(const struct world *w)
{
    switch (below(8)) {
    case 0:
        return random64();
    case 1:
        return random64() >> below(64);
    case 2:
        return random_place() + below(ULV_CALL_TEXT_MAX * 2) -
               ULV_CALL_TEXT_MAX;
    case 3:
        return random_place();
    case 4:
        return world_slot[below(CHANNELS)] +
               (below(4) == 0 ? below(3) - 1 : 0);
    case 5: /* a length, and slots */
        return below(ULV_CALL_TEXT_MAX + 2);
    case 6:
        return w->t.now - w->start + below(3) - 1;
    default:
        return UINT64_MAX - below(ULV_CALL_TEXT_MAX);
    }
}

/* Arguments as an honest guest has them, and then no further. */
static void
make_plausible(struct ulv_exit_call *call)
{
    uint64_t place =
        ULV_GUEST_RAM_BASE + below(PIECES) * PIECE_BYTES + below(PIECE_BYTES);

    switch (call->number) {
    case ULV_CALL_LOG:
        call->argument[0] = place;
        call->argument[1] = below(ULV_CALL_TEXT_MAX + 2);
        break;
    case ULV_CALL_FAULT: /* mostly: none that ends the guest */
        call->argument[2] |= below(32) != 0 ? 256 : 0;
        break;
    case ULV_CALL_ACCEPT:
    case ULV_CALL_RELEASE:
        call->argument[0] = place - place % PIECE_BYTES;
        break;
    case ULV_CALL_START:
    case ULV_CALL_WAKE:
        call->argument[0] = below(2);
        break;
    default:
        call->argument[0] = world_slot[below(CHANNELS)];
    }
}

static struct ulv_exit_call
random_call(const struct world *w)
{
    struct ulv_exit_call call = { .number = random_number() };

    for (uint32_t i = 0; i < 4; i++)
        call.argument[i] = random_argument(w);
    if (below(2) == 0)
        make_plausible(&call);
    return call;
}

/* ---- everything else that happens ---------------------------------------- */

/* Something is handed over, listed, revoked, taken off the list, renewed. */
static void
change(struct world *w, bool is_piece, uint32_t i)
{
    struct thing *thing = is_piece ? &w->piece[i] : &w->channel[i];

    if (thing->id == 0 || (!thing->listed && thing->held == NOT_HELD)) {
        if (is_piece)
            world_renew_piece(w, i);
        else
            world_renew_channel(w, i);
    }
    if (thing->held == NOT_HELD && !thing->revoked && below(2) == 0) {
        if (is_piece)
            world_hand_piece(w, i);
        else
            world_hand_channel(w, i);
    } else if (!thing->listed) {
        thing->listed = true;
    } else if (!thing->revoked && below(4) != 0) {
        /* the first piece stays: it has the code */
        thing->revoked = !is_piece || i != 0;
    } else if (thing->revoked && thing->held != HANDED) {
        thing->listed = false;
    }
}

static void
change_view(struct world *w)
{
    bool is_piece = below(2) == 0;

    change(w, is_piece, (uint32_t)below(is_piece ? PIECES : CHANNELS));
    if (below(4) == 0)
        w->capabilities ^= UINT64_C(1) << below(8);
    if (below(16) == 0)
        w->capabilities = ~ULV_CAP_STOCK;
    world_publish(w);
    if (below(8) == 0)
        return; /* the bell is late */
    w->t.host.event_signal(w->t.host.self, w->bell);
    w->rang = true;
}

static void
ring(struct world *w)
{
    uint32_t i = (uint32_t)below(CHANNELS);

    if (w->own[i] == ULV_NO_HANDLE)
        return;
    w->t.host.event_signal(w->t.host.self, w->own[i]);
    w->heard[i] = true;
}

static void
happen(struct world *w)
{
    if (storm != 0 && below(16) != 0)
        return;
    switch (below(16)) {
    case 0:
        change_view(w);
        break;
    case 1:
        ring(w);
        break;
    case 2:
        w->t.now += below(16) == 0 ? ULV_REVOKE_GRACE
                                   : below(30) * MILLISECOND;
        break;
    case 3:
        w->t.now += below(1000);
        break;
    default:
        break;
    }
}

/* ---- beside the model ---------------------------------------------------- */

static void
show(const struct world *w)
{
    print_message("the guest of ULV_SEED=%llu, its call %llu, the last ones:\n",
                  (unsigned long long)guest_seed, (unsigned long long)done);
    for (uint64_t i = 0; i < SHOWN; i++) {
        const struct ulv_exit_call *call = &shown[(done + 1 + i) % SHOWN];

        print_message("%llx(%llx, %llx, %llx, %llx)\n",
                      (unsigned long long)call->number,
                      (unsigned long long)call->argument[0],
                      (unsigned long long)call->argument[1],
                      (unsigned long long)call->argument[2],
                      (unsigned long long)call->argument[3]);
    }
    print_message("rights %llx, view %llu, answered %lld %llx\n",
                  (unsigned long long)w->rights,
                  (unsigned long long)w->published, (long long)w->status,
                  (unsigned long long)w->value);
}

static void
check(const struct world *w, bool right, const char *what)
{
    if (right)
        return;
    show(w);
    fail_msg("%s", what);
}

#define CHECK(w, condition) check(w, condition, #condition)

static void
check_effects(struct world *w, uint32_t rung)
{
    CHECK(w, w->t.misuse == 0);
    CHECK(w, w->lines == w->expected_lines);
    CHECK(w, strcmp(w->line, w->expected_line) == 0);
    CHECK(w, w->released == w->expected_released);
    CHECK(w, w->back == w->expected_back);
    CHECK(w, ulv_monitor_generation(w->m) == w->followed);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        if (w->peer[i] != ULV_NO_HANDLE)
            CHECK(w, w->t.host.event_take(w->t.host.self, w->peer[i]) ==
                         (rung == i + 1));
    }
}

/* The guest sleeps until something happens that it is to hear of. */
static void
sleep_and_wake(struct world *w, ulv_nsec deadline)
{
    ulv_nsec until = 0, look;

    for (uint32_t turn = 0;; turn++) {
        uint32_t result = world_step(w, &until);

        model_follow(w, false);
        model_collect(w);
        check_effects(w, 0);
        if (w->pending != 0 || w->t.now >= deadline)
            break;
        look = w->look ? w->t.now : w->revoke_at;
        CHECK(w, result == ULV_MONITOR_WAITING && w->answers == 0);
        CHECK(w, until == (look < deadline ? look : deadline));
        if (turn > 20 && deadline != ULV_FOREVER) {
            w->t.now = deadline;
        } else if (turn > 40) {
            w->t.host.event_signal(w->t.host.self, w->bell);
            w->rang = true;
            world_publish(w);
        } else {
            happen(w);
        }
    }
    CHECK(w, w->answers == 1 && w->value == w->pending);
    CHECK(w, w->status == (w->pending != 0 ? ULV_OK : ULV_E_TIMEOUT));
    w->pending = 0;
}

/* What must have come up, each often, or the calls are not random enough. */
#define ENDED  1
#define WAITED 2

static struct {
    uint64_t number;
    int64_t status;
    uint64_t count;
} outcomes[] = {
    { ULV_CALL_STOP, ENDED, 0 },
    { ULV_CALL_RESET, ENDED, 0 },
    { ULV_CALL_FAULT, ENDED, 0 },
    { ULV_CALL_FAULT, ULV_E_ARG, 0 },
    { ULV_CALL_ACCEPT, ULV_OK, 0 },
    { ULV_CALL_ACCEPT, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_ACCEPT, ULV_E_EXISTS, 0 },
    { ULV_CALL_RELEASE, ULV_OK, 0 },
    { ULV_CALL_RELEASE, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_SIGNAL, ULV_OK, 0 },
    { ULV_CALL_SIGNAL, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_SIGNAL, ULV_E_DENIED, 0 },
    { ULV_CALL_WAIT, ULV_OK, 0 },
    { ULV_CALL_WAIT, ULV_E_TIMEOUT, 0 },
    { ULV_CALL_WAIT, WAITED, 0 },
    { ULV_CALL_ATTACH, ULV_OK, 0 },
    { ULV_CALL_ATTACH, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_DETACH, ULV_OK, 0 },
    { ULV_CALL_DETACH, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_FAILED, ULV_OK, 0 },
    { ULV_CALL_FAILED, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_FAILED, ULV_E_AGAIN, 0 },
    { ULV_CALL_DISCOVER, ULV_OK, 0 },
    { ULV_CALL_LOG, ULV_OK, 0 },
    { ULV_CALL_LOG, ULV_E_ARG, 0 },
    { ULV_CALL_LOG, ULV_E_AGAIN, 0 },
    { ULV_CALL_YIELD, ULV_OK, 0 },
    { ULV_CALL_START, ULV_E_EXISTS, 0 },
    { ULV_CALL_START, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_PARK, ULV_E_STATE, 0 },
    { ULV_CALL_WAKE, ULV_OK, 0 },
    { ULV_CALL_WAKE, ULV_E_NOT_FOUND, 0 },
    { ULV_CALL_TIME, ULV_OK, 0 },
    { ULV_CALL_TIME, ULV_E_DENIED, 0 },
};

static void
count_outcome(uint64_t number, const struct expected *e)
{
    int64_t status = e->waits ? WAITED : e->status;

    if (e->end != ULV_END_REASON_NONE)
        status = ENDED;
    for (size_t i = 0; i < ULV_COUNT_OF(outcomes); i++) {
        if (outcomes[i].number == number && outcomes[i].status == status)
            outcomes[i].count++;
    }
}

static void
check_outcomes(void)
{
    for (size_t i = 0; i < ULV_COUNT_OF(outcomes); i++) {
        if (outcomes[i].count < 1 + done / 100000)
            fail_msg("call %llx had status %lld %llu times only",
                     (unsigned long long)outcomes[i].number,
                     (long long)outcomes[i].status,
                     (unsigned long long)outcomes[i].count);
    }
}

/* Returns whether the guest goes on. */
static bool
one_call(struct world *w)
{
    struct expected e;
    ulv_nsec deadline;
    uint32_t result;

    happen(w);
    w->call = random_call(w);
    shown[done % SHOWN] = w->call;
    w->asked = true;
    w->at_once = below(2) == 0;
    result = world_step(w, &deadline);
    model_follow(w, false);
    e = model_call(w, &w->call);
    count_outcome(w->call.number, &e);
    CHECK(w, !w->asked);
    CHECK(w, ulv_monitor_end(w->m)->reason == e.end);
    if (e.end != ULV_END_REASON_NONE) {
        CHECK(w, result == ULV_MONITOR_ENDED && w->answers == 0);
        CHECK(w, ulv_monitor_end(w->m)->code == w->call.argument[0]);
        return false;
    }
    if (e.waits) {
        CHECK(w, w->answers == 0);
        sleep_and_wake(w, e.deadline);
        return true;
    }
    CHECK(w, result == ULV_MONITOR_BUSY && w->answers == 1);
    CHECK(w, w->status == e.status && w->value == e.value);
    check_effects(w, e.rung);
    return true;
}

/* Nobody but the guest itself has written to its memory. */
static void
check_memory(struct world *w)
{
    for (uint32_t i = 0; i < PIECES; i++) {
        for (uint64_t at = 0x400; w->memory[i] != NULL && at < PIECE_BYTES;
             at++)
            CHECK(w, w->memory[i][at] == world_byte(i, at));
    }
}

static void
test_random_calls__each_as_the_model_says(void **state)
{
    static struct world w;
    uint64_t guests = 0;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    do {
        guest_seed = seed;
        storm = 0;
        if (below(3) == 0)
            storm = known[below(ULV_COUNT_OF(known) - 3)];
        world_begin(&w, (below(4) == 0 ? random64() : UINT64_MAX) &
                            ~ULV_CAP_STOCK);
        for (uint32_t i = 0; i < CALLS_A_GUEST; i++) {
            done++;
            if (!one_call(&w))
                break;
        }
        check_memory(&w);
        world_end(&w);
        guests++;
    } while (!alone && done < calls);
    if (!alone)
        check_outcomes();
    print_message("# %llu calls of %llu guests\n", (unsigned long long)done,
                  (unsigned long long)guests);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_calls__each_as_the_model_says),
    };
    const char *text = getenv("ULV_SEED");

    if (argc > 1)
        calls = strtoull(argv[1], NULL, 0);
    alone = text != NULL;
    seed = alone ? strtoull(text, NULL, 0) : UINT64_C(20240229);
    return cmocka_run_group_tests_name("random_calls", tests, NULL, NULL);
}
