/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Each system call from a guest that means harm, on the mock backend: the right
 * status, and nothing else has changed: no bell rung, no line logged, no byte
 * of the guest's memory, nothing allocated.
 */
#include "../port/port_test.h"

#include "../system/mock_image.h"
#include "monitor/monitor.h"
#include "port/test/test.h"
#include "view/publish.h"

#define EXTENT_BYTES  UINT64_C(0x10000)
#define RAM_END       (ULV_GUEST_RAM_BASE + 2 * EXTENT_BYTES)
#define CHANNEL_BYTES UINT64_C(0x2000)
#define VIEW          ULV_GUEST_WINDOW
#define START         UINT64_C(1000000) /* ns, of the guest */
#define CHANNELS      3u
#define MILLISECOND   UINT64_C(1000000)

static const uint32_t slots[CHANNELS] = { 0, 5, ULV_SLOT_COUNT - 1 };

struct fixture {
    struct ulv_test_host t;
    struct ulv_backend_ops backend;
    struct ulv_view_publisher publisher;
    struct ulv_monitor *m;
    ulv_handle waits, bell, own[CHANNELS], peer[CHANNELS];
    void *segment;
    uint8_t *memory[2]; /* the two extents; the code begins the first */
    uint32_t lines;     /* logged */
    uint64_t back, back_bytes; /* memory that was given back */
    char line[256];
};

/* What the backend was last answered, and whether the guest may go on. */
static struct {
    uint32_t count;
    int64_t status;
    uint64_t value;
    bool ran;
} answer;

static void
record_answer(void *vcpu, int64_t status, uint64_t value)
{
    answer.count++;
    answer.status = status;
    answer.value = value;
    ulv_backend_mock.vcpu_answer(vcpu, status, value);
}

/* One exit a step. */
static ulv_status
run_once(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *out)
{
    if (!answer.ran) {
        answer.ran = true;
        return ulv_backend_mock.vcpu_run(vcpu, budget_ns, out);
    }
    memset(out, 0, sizeof(*out));
    out->reason = ULV_EXIT_INTERRUPTED;
    return ULV_OK;
}

static void
take_line(void *self, const char *text)
{
    struct fixture *f = self;

    f->lines++;
    ulv_string_copy(f->line, sizeof(f->line), text);
}

static void
take_back(void *self, uint64_t guest, uint64_t bytes)
{
    struct fixture *f = self;

    f->back = guest;
    f->back_bytes += bytes;
}

static ulv_handle
make_memory(struct fixture *f, uint64_t bytes, void *ret)
{
    const struct ulv_host *host = &f->t.host;
    ulv_handle h;

    assert_int_equal(host->memory_create(host->self, "test", bytes, 0, &h),
                     ULV_OK);
    assert_int_equal(host->memory_map(host->self, h, 0, bytes,
                                      ULV_MAP_READ | ULV_MAP_WRITE, NULL, ret),
                     ULV_OK);
    return h;
}

/* An event: one handle is kept, the other one returned. */
static ulv_handle
make_bell(struct fixture *f, ulv_handle *kept)
{
    const struct ulv_host *host = &f->t.host;
    ulv_handle h;

    assert_int_equal(host->event_create(host->self, kept), ULV_OK);
    assert_int_equal(host->handle_duplicate(host->self, *kept, &h), ULV_OK);
    return h;
}

static void
publish(struct fixture *f, uint64_t capabilities)
{
    struct ulv_view_partition partition = { .id = 7,
                                            .intent = ULV_INTENT_RUNNING,
                                            .capabilities = capabilities,
                                            .gate = ULV_GUEST_GATE,
                                            .view = VIEW };
    struct ulv_view_memory memory[2];
    struct ulv_view_channel channel[CHANNELS];
    struct ulv_view_section section[] = {
        { ULV_VIEW_PARTITION, sizeof(partition), 1, &partition },
        { ULV_VIEW_MEMORY, sizeof(memory[0]), 2, memory },
        { ULV_VIEW_CHANNEL, sizeof(channel[0]), CHANNELS, channel },
    };

    memset(memory, 0, sizeof(memory));
    memset(channel, 0, sizeof(channel));
    for (uint32_t i = 0; i < 2; i++) {
        memory[i].guest_address = ULV_GUEST_RAM_BASE + i * EXTENT_BYTES;
        memory[i].bytes = EXTENT_BYTES;
        memory[i].extent = 11 + i;
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        channel[i].id = 21 + i;
        channel[i].bytes = CHANNEL_BYTES;
        channel[i].slot = slots[i];
        channel[i].guest_address =
            VIEW + (slots[i] + 1) * ULV_GUEST_SLOT_BYTES;
    }
    assert_int_equal(ulv_view_prepare(&f->publisher, section,
                                      ULV_COUNT_OF(section), NULL),
                     ULV_OK);
    (void)ulv_view_publish(&f->publisher);
}

static void
hand_over(struct fixture *f)
{
    const struct ulv_host *host = &f->t.host;
    ulv_handle h, own, peer;
    void *p;

    h = make_memory(f, ULV_VIEW_SEGMENT_BYTES, &p);
    host->memory_unmap(host->self, p, ULV_VIEW_SEGMENT_BYTES);
    assert_int_equal(ulv_monitor_take_view(f->m, ULV_VIEW_PART_GUEST, h,
                                           ULV_VIEW_SEGMENT_BYTES),
                     ULV_OK);
    assert_int_equal(ulv_monitor_take_bell(f->m, make_bell(f, &f->bell)),
                     ULV_OK);
    for (uint32_t i = 0; i < 2; i++) {
        h = make_memory(f, EXTENT_BYTES, &f->memory[i]);
        assert_int_equal(ulv_monitor_take_extent(f->m, 11 + i, h,
                                                 EXTENT_BYTES),
                         ULV_OK);
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        h = make_memory(f, CHANNEL_BYTES, &p);
        host->memory_unmap(host->self, p, CHANNEL_BYTES);
        own = make_bell(f, &f->own[i]);
        peer = make_bell(f, &f->peer[i]);
        assert_int_equal(ulv_monitor_take_channel(f->m, 21 + i, h,
                                                  CHANNEL_BYTES, own, peer),
                         ULV_OK);
    }
}

static void
start(struct fixture *f)
{
    /* a call that the test fills in, again and again */
    static const struct ulv_mock_step script[] = {
        { .kind = ULV_MOCK_CALL },
        { .kind = ULV_MOCK_REPEAT, .number = 1, .argument = { UINT64_MAX } },
    };
    const struct ulv_host *host = &f->t.host;
    struct mock_image image;
    struct ulv_source source = ULV_SOURCE_MEMORY(&image, sizeof(image));
    struct ulv_monitor_image from = { .bytes = sizeof(image),
                                      .initrd = ULV_NO_HANDLE };

    mock_image_init(&image, script, ULV_COUNT_OF(script));
    assert_int_equal(host->medium_open(host->self, &source,
                                       ULV_MEDIUM_READ_ONLY |
                                           ULV_MEDIUM_ANY_SIZE,
                                       &from.image, NULL),
                     ULV_OK);
    assert_int_equal(ulv_monitor_start(f->m, &from, NULL), ULV_OK);
    host->handle_close(host->self, from.image);
}

static void
begin(struct fixture *f, uint64_t capabilities)
{
    struct ulv_monitor_cfg cfg = { .backend = &f->backend,
                                   .partition = 7,
                                   .log = take_line,
                                   .given_back = take_back,
                                   .self = f };
    ulv_handle h;

    memset(f, 0, sizeof(*f));
    ulv_test_host_init(&f->t);
    f->t.now = START;
    f->backend = ulv_backend_mock;
    f->backend.vcpu_answer = record_answer;
    f->backend.vcpu_run = run_once;
    cfg.host = &f->t.host;
    assert_int_equal(f->t.host.wait_create(f->t.host.self, &f->waits), ULV_OK);
    cfg.waits = f->waits;
    assert_int_equal(ulv_monitor_create(&cfg, &f->m), ULV_OK);
    h = make_memory(f, ULV_VIEW_SEGMENT_BYTES, &f->segment);
    assert_int_equal(ulv_view_publisher_init(&f->publisher, f->segment,
                                             ULV_VIEW_SEGMENT_BYTES,
                                             ULV_VIEW_PART_MONITOR, 7, 1),
                     ULV_OK);
    publish(f, capabilities);
    assert_int_equal(ulv_monitor_take_view(f->m, ULV_VIEW_PART_MONITOR, h,
                                           ULV_VIEW_SEGMENT_BYTES),
                     ULV_OK);
    hand_over(f);
    start(f);
}

static void
end(struct fixture *f)
{
    const struct ulv_host *host = &f->t.host;

    ulv_monitor_destroy(f->m);
    host->memory_unmap(host->self, f->segment, ULV_VIEW_SEGMENT_BYTES);
    for (uint32_t i = 0; i < 2; i++)
        host->memory_unmap(host->self, f->memory[i], EXTENT_BYTES);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        host->handle_close(host->self, f->own[i]);
        host->handle_close(host->self, f->peer[i]);
    }
    host->handle_close(host->self, f->bell);
    host->handle_close(host->self, f->waits);
    assert_int_equal(ulv_test_host_live(&f->t), 0);
    assert_int_equal(ulv_test_host_fini(&f->t), 0);
}

struct call {
    uint64_t number, argument[4];
};

/* The guest calls once. Returns what the step does, and keeps the answer. */
static uint32_t
step(struct fixture *f, const struct call *call)
{
    struct ulv_mock_step *code = (void *)f->memory[0];
    ulv_nsec deadline = 0;

    code->number = call->number;
    memcpy(code->argument, call->argument, sizeof(code->argument));
    memset(&answer, 0, sizeof(answer));
    return ulv_monitor_step(f->m, MILLISECOND, &deadline);
}

static int64_t
ask(struct fixture *f, const struct call *call)
{
    assert_int_equal(step(f, call), ULV_MONITOR_BUSY);
    assert_int_equal(answer.count, 1);
    assert_int_equal(ulv_monitor_end(f->m)->reason, ULV_END_REASON_NONE);
    return answer.status;
}

static bool
rung(struct fixture *f, ulv_handle bell)
{
    return f->t.host.event_take(f->t.host.self, bell);
}

/* The call is refused, and that is all. */
static void
refused(struct fixture *f, const struct call *call, ulv_status expected)
{
    static uint8_t memory[2][EXTENT_BYTES];
    uint64_t signals = f->t.signals, live = ulv_test_host_live(&f->t);
    uint64_t calls = f->t.calls, generation = ulv_monitor_generation(f->m);
    uint32_t lines = f->lines;
    int64_t status;

    memcpy(memory[0], f->memory[0], EXTENT_BYTES);
    memcpy(memory[1], f->memory[1], EXTENT_BYTES);
    status = ask(f, call);
    if (status != expected)
        print_message("call %llx(%llx, %llx, %llx): %s\n",
                      (unsigned long long)call->number,
                      (unsigned long long)call->argument[0],
                      (unsigned long long)call->argument[1],
                      (unsigned long long)call->argument[2],
                      ulv_status_name((ulv_status)status));
    assert_int_equal(status, expected);
    assert_int_equal(answer.value, 0);
    assert_int_equal(f->t.signals, signals);
    assert_int_equal(f->t.calls, calls);
    assert_int_equal(f->t.misuse, 0);
    assert_int_equal(f->lines, lines);
    assert_int_equal(ulv_test_host_live(&f->t), live);
    assert_int_equal(ulv_monitor_generation(f->m), generation);
    for (uint32_t i = 0; i < CHANNELS; i++)
        assert_false(rung(f, f->own[i]) || rung(f, f->peer[i]));
    /* the call itself is the guest's own doing */
    assert_memory_equal(memory[0] + sizeof(struct ulv_mock_step),
                        f->memory[0] + sizeof(struct ulv_mock_step),
                        EXTENT_BYTES - sizeof(struct ulv_mock_step));
    assert_memory_equal(memory[1], f->memory[1], EXTENT_BYTES);
}

static void
test_monitor_call__unknown_numbers(void **state)
{
    static const uint64_t far[] = {
        0x10201,           0x80000201,        UINT64_C(0x100000201),
        UINT64_C(0x100000501), UINT64_C(0x8000000000000201),
        0x0102,            0x0207,            UINT32_MAX,
        INT64_MAX,         UINT64_MAX,        0xffffffffffff0201,
    };
    static const uint64_t known[] = { 0x0201, 0x0202, 0x0203, 0x0401, 0x0402,
                                      0x0501, 0x0502, 0x0503, 0x0504, 0x0505,
                                      0x0701, 0x0702, 0x0801, 0x0802,
                                      0x0803, 0x0804, 0x0901, 0x0902,
                                      0x0a01 };
    struct fixture f;
    struct call call = { .argument = { 0 } };
    size_t next = 0;

    (void)state;
    begin(&f, ~ULV_CAP_STOCK);
    for (call.number = 0; call.number < 0x1000; call.number++) {
        if (next < ULV_COUNT_OF(known) && call.number == known[next])
            next++;
        else
            refused(&f, &call, ULV_E_UNSUPPORTED);
    }
    assert_int_equal(next, ULV_COUNT_OF(known));
    for (size_t i = 0; i < ULV_COUNT_OF(far); i++) {
        call.number = far[i];
        refused(&f, &call, ULV_E_UNSUPPORTED);
    }
    end(&f);
}

static void
test_monitor_call__slots_that_are_not_there(void **state)
{
    static const uint64_t numbers[] = { ULV_CALL_SIGNAL, ULV_CALL_ATTACH,
                                        ULV_CALL_DETACH, ULV_CALL_FAILED };
    static const uint64_t far[] = { ULV_SLOT_COUNT, ULV_SLOT_COUNT + 1, 255,
                                    UINT32_MAX, UINT64_C(0x100000000),
                                    UINT64_C(0x100000005), INT64_MAX,
                                    UINT64_C(1) << 63, UINT64_MAX };
    struct fixture f;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    for (size_t n = 0; n < ULV_COUNT_OF(numbers); n++) {
        struct call call = { .number = numbers[n] };

        for (uint64_t slot = 0; slot < ULV_SLOT_COUNT; slot++) {
            call.argument[0] = slot;
            if (slot != slots[0] && slot != slots[1] && slot != slots[2])
                refused(&f, &call, ULV_E_NOT_FOUND);
        }
        for (size_t i = 0; i < ULV_COUNT_OF(far); i++) {
            call.argument[0] = far[i];
            refused(&f, &call, ULV_E_NOT_FOUND);
        }
    }
    end(&f);
}

static void
test_monitor_call__signal_rings_one_bell(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        struct call call = { ULV_CALL_SIGNAL, { slots[i], UINT64_MAX } };

        assert_int_equal(ask(&f, &call), ULV_OK);
        for (uint32_t k = 0; k < CHANNELS; k++) {
            assert_int_equal(rung(&f, f.peer[k]), k == i);
            assert_false(rung(&f, f.own[k]));
        }
        call.number = i % 2 == 0 ? ULV_CALL_ATTACH : ULV_CALL_DETACH;
        refused(&f, &call, ULV_OK);
    }
    end(&f);
}

static void
test_monitor_call__text_that_is_not_there(void **state)
{
    static const struct {
        uint64_t address, bytes;
    } wrong[] = {
        { 0, 1 },
        { ULV_GUEST_RAM_BASE, ULV_CALL_TEXT_MAX + 1 },
        { ULV_GUEST_RAM_BASE, UINT64_C(0x100000001) },
        { ULV_GUEST_RAM_BASE, UINT64_MAX },
        { ULV_GUEST_RAM_BASE - 1, 1 },
        { ULV_GUEST_RAM_BASE - 1, 2 },
        { ULV_GUEST_RAM_BASE - ULV_CALL_TEXT_MAX, ULV_CALL_TEXT_MAX },
        { RAM_END, 1 },
        { RAM_END - 1, 2 },
        { RAM_END - ULV_CALL_TEXT_MAX + 1, ULV_CALL_TEXT_MAX },
        { ULV_GUEST_GATE, 16 },
        { VIEW, 16 },
        { VIEW + ULV_GUEST_SLOT_BYTES, 16 },
        { UINT64_MAX, 1 },
        { UINT64_MAX, 2 },
        { UINT64_MAX - 100, 160 },
        { INT64_MAX, 160 },
        { 0, UINT64_MAX },
        { 0, ULV_CALL_TEXT_MAX + 1 },
        { UINT64_C(1) << 63 | ULV_GUEST_RAM_BASE, 8 },
    };
    struct fixture f;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    for (size_t i = 0; i < ULV_COUNT_OF(wrong); i++) {
        struct call log = { ULV_CALL_LOG,
                            { wrong[i].address, wrong[i].bytes } };
        struct call fault = { ULV_CALL_FAULT,
                              { 1, wrong[i].address, wrong[i].bytes } };

        refused(&f, &log, ULV_E_ARG);
        refused(&f, &fault, ULV_E_ARG);
    }
    end(&f);
}

/* Text to the last byte, over two extents, and with any bytes. */
static void
test_monitor_call__text_that_is_there(void **state)
{
    struct fixture f;
    struct call call = { .number = ULV_CALL_LOG };
    char expected[ULV_CALL_TEXT_MAX + 1];

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    memset(f.memory[1] + EXTENT_BYTES - ULV_CALL_TEXT_MAX, 'z',
           ULV_CALL_TEXT_MAX);
    memset(expected, 'z', ULV_CALL_TEXT_MAX);
    expected[ULV_CALL_TEXT_MAX] = '\0';
    call.argument[0] = RAM_END - ULV_CALL_TEXT_MAX;
    call.argument[1] = ULV_CALL_TEXT_MAX;
    assert_int_equal(ask(&f, &call), ULV_OK);
    assert_string_equal(f.line, expected);
    memcpy(f.memory[0] + EXTENT_BYTES - 6, "over t", 6);
    memcpy(f.memory[1], "wo\n\033[2J\0\177\377", 10);
    call.argument[0] = ULV_GUEST_RAM_BASE + EXTENT_BYTES - 6;
    call.argument[1] = 16;
    assert_int_equal(ask(&f, &call), ULV_OK);
    assert_string_equal(f.line, "over two..[2J...");
    call.argument[0] = 0; /* of no bytes nothing is read */
    call.argument[1] = 0;
    assert_int_equal(ask(&f, &call), ULV_OK);
    assert_string_equal(f.line, "");
    assert_int_equal(f.lines, 3);
    end(&f);
}

/* Every right that is missing takes away its calls and no other. */
static void
test_monitor_call__missing_capabilities(void **state)
{
    static const struct {
        uint64_t number, capability;
    } calls[] = {
        { ULV_CALL_STOP, ULV_CAP_PARTITION },
        { ULV_CALL_RESET, ULV_CAP_PARTITION },
        { ULV_CALL_FAULT, ULV_CAP_PARTITION },
        { ULV_CALL_SIGNAL, ULV_CAP_CHANNEL },
        { ULV_CALL_WAIT, ULV_CAP_CHANNEL },
        { ULV_CALL_ATTACH, ULV_CAP_CHANNEL },
        { ULV_CALL_DETACH, ULV_CAP_CHANNEL },
        { ULV_CALL_FAILED, ULV_CAP_CHANNEL },
        { ULV_CALL_DISCOVER, ULV_CAP_QUERY },
        { ULV_CALL_LOG, ULV_CAP_QUERY },
        { ULV_CALL_YIELD, ULV_CAP_YIELD },
        { ULV_CALL_TIME, ULV_CAP_TIME },
        { ULV_CALL_ACCEPT, ULV_CAP_MEMORY },
        { ULV_CALL_RELEASE, ULV_CAP_MEMORY },
    };
    struct fixture f;

    (void)state;
    for (uint64_t capability = 1; capability <= ULV_CAP_MEMORY;
         capability <<= 1) {
        begin(&f, ~(capability | ULV_CAP_STOCK));
        for (size_t i = 0; i < ULV_COUNT_OF(calls); i++) {
            struct call call = { .number = calls[i].number };

            if (calls[i].capability == capability)
                refused(&f, &call, ULV_E_DENIED);
            else if (calls[i].capability == ULV_CAP_MEMORY)
                refused(&f, &call, ULV_E_NOT_FOUND);
            else if (calls[i].capability != ULV_CAP_PARTITION &&
                     calls[i].number != ULV_CALL_WAIT)
                assert_int_equal(ask(&f, &call), ULV_OK);
            (void)rung(&f, f.peer[0]);
        }
        end(&f);
    }
    begin(&f, ~(ULV_CAP_GUEST | ULV_CAP_STOCK));
    for (size_t i = 0; i < ULV_COUNT_OF(calls); i++) {
        struct call call = { .number = calls[i].number };

        refused(&f, &call, ULV_E_DENIED);
    }
    end(&f);
}

/* A right that is taken away while the guest runs is gone with the bell. */
static void
test_monitor_call__capability_is_taken_away(void **state)
{
    const struct call time = { .number = ULV_CALL_TIME };
    const struct call wait = { ULV_CALL_WAIT, { UINT64_MAX } };
    struct fixture f;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    assert_int_equal(ask(&f, &time), ULV_OK);
    publish(&f, ULV_CAP_GUEST & ~ULV_CAP_TIME);
    f.t.host.event_signal(f.t.host.self, f.bell);
    assert_int_equal(ask(&f, &time), ULV_E_DENIED);
    assert_int_equal(ulv_monitor_generation(f.m), 2);
    refused(&f, &time, ULV_E_DENIED);
    assert_int_equal(ask(&f, &wait), ULV_OK);
    assert_int_equal(answer.value, ULV_WAIT_VIEW_MASK);
    end(&f);
}

static void
test_monitor_call__stop_reset_fault(void **state)
{
    struct fixture f;
    const struct ulv_end *why;
    struct call call = { ULV_CALL_STOP, { UINT64_MAX } };

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        begin(&f, ULV_CAP_GUEST);
        memset(f.memory[1], 'y', ULV_CALL_TEXT_MAX);
        call.argument[1] = ULV_GUEST_RAM_BASE + EXTENT_BYTES;
        call.argument[2] = ULV_CALL_TEXT_MAX;
        call.number = ULV_CALL_STOP + i;
        assert_int_equal(step(&f, &call), ULV_MONITOR_ENDED);
        assert_int_equal(answer.count, 0); /* it does not return */
        why = ulv_monitor_end(f.m);
        assert_int_equal(why->reason, ULV_END_REASON_STOP + i);
        assert_int_equal(why->code, UINT64_MAX);
        assert_non_null(memchr(why->text, '\0', sizeof(why->text)));
        assert_non_null(strstr(why->text, "18446744073709551615"));
        if (call.number == ULV_CALL_FAULT) {
            assert_int_equal(why->fault.kind, ULV_FAULT_REPORTED);
            assert_non_null(strstr(why->text, ": yyy"));
        }
        ulv_monitor_kill(f.m); /* it has ended already */
        assert_int_equal(step(&f, &call), ULV_MONITOR_ENDED);
        assert_int_equal(why->reason, ULV_END_REASON_STOP + i);
        end(&f);
    }
}

/* The guest waits; returns until when. */
static ulv_nsec
wait_until(struct fixture *f, uint64_t deadline)
{
    const struct call call = { ULV_CALL_WAIT, { deadline } };
    ulv_nsec until = 0;

    assert_int_equal(step(f, &call), ULV_MONITOR_WAITING);
    assert_int_equal(answer.count, 0);
    assert_int_equal(ulv_monitor_step(f->m, MILLISECOND, &until),
                     ULV_MONITOR_WAITING);
    assert_int_equal(answer.count, 0);
    return until;
}

static void
test_monitor_call__wait(void **state)
{
    const struct call now = { ULV_CALL_WAIT, { 0 } };
    struct fixture f;
    ulv_nsec until;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    assert_int_equal(ask(&f, &now), ULV_E_TIMEOUT);
    assert_int_equal(wait_until(&f, 500), START + 500);
    f.t.now = START + 499;
    assert_int_equal(ulv_monitor_step(f.m, 1, &until), ULV_MONITOR_WAITING);
    f.t.now = START + 500;
    assert_int_equal(ulv_monitor_step(f.m, 1, &until), ULV_MONITOR_BUSY);
    assert_int_equal(answer.status, ULV_E_TIMEOUT);
    /* deadlines that do not fit the host's clock never come */
    for (uint64_t i = 0; i <= START; i += START / 2) {
        assert_int_equal(wait_until(&f, UINT64_MAX - i), ULV_FOREVER);
        f.t.now = UINT64_MAX - MILLISECOND - 1;
        assert_int_equal(ulv_monitor_step(f.m, 1, &until),
                         ULV_MONITOR_WAITING);
        f.t.now = START + 500;
        f.t.host.event_signal(f.t.host.self, f.own[2]);
        assert_int_equal(ulv_monitor_step(f.m, 1, &until), ULV_MONITOR_BUSY);
        assert_int_equal(answer.status, ULV_OK);
        assert_int_equal(answer.value, UINT64_C(1) << slots[2]);
    }
    /* what rang before is told at once, each bell once */
    f.t.host.event_signal(f.t.host.self, f.own[0]);
    f.t.host.event_signal(f.t.host.self, f.own[1]);
    f.t.host.event_signal(f.t.host.self, f.own[1]);
    assert_int_equal(ask(&f, &now), ULV_OK);
    assert_int_equal(answer.value, UINT64_C(1) << slots[0] |
                                       UINT64_C(1) << slots[1]);
    assert_int_equal(ask(&f, &now), ULV_E_TIMEOUT);
    end(&f);
}

static void
test_monitor_call__values(void **state)
{
    const struct call time = { ULV_CALL_TIME, { UINT64_MAX } };
    const struct call discover = { ULV_CALL_DISCOVER, { UINT64_MAX } };
    const struct call yield = { ULV_CALL_YIELD, { UINT64_MAX } };
    struct fixture f;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    assert_int_equal(ask(&f, &time), ULV_OK);
    assert_int_equal(answer.value, 0);
    f.t.now += 12345;
    assert_int_equal(ask(&f, &time), ULV_OK);
    assert_int_equal(answer.value, 12345);
    assert_int_equal(ask(&f, &discover), ULV_OK);
    assert_int_equal(answer.value, VIEW);
    refused(&f, &yield, ULV_OK);
    end(&f);
}

/* A guest that calls as often as it can fills nobody's log. */
static void
test_monitor_call__no_flood_of_lines(void **state)
{
    static const struct call calls[] = {
        { ULV_CALL_LOG, { ULV_GUEST_RAM_BASE, 1 } },
        { ULV_CALL_FAILED, { 5, UINT64_MAX } },
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(calls); i++) {
        begin(&f, ULV_CAP_GUEST);
        for (uint32_t n = 0; n < 1000; n++) {
            int64_t status = ask(&f, &calls[i]);

            assert_int_equal(status, n >= 64 ? ULV_E_AGAIN : ULV_OK);
        }
        assert_int_equal(f.lines, 64);
        f.t.now += 10 * MILLISECOND - 1;
        (void)ask(&f, &calls[i]);
        assert_int_equal(f.lines, 64);
        f.t.now += 1;
        (void)ask(&f, &calls[i]);
        (void)ask(&f, &calls[i]);
        assert_int_equal(f.lines, 65);
        f.t.now += ULV_FOREVER / 4; /* a long silence earns no more */
        for (uint32_t n = 0; n < 1000; n++)
            (void)ask(&f, &calls[i]);
        assert_int_equal(f.lines, 65 + 64);
        end(&f);
    }
}

static void
test_monitor_call__failed_names_the_channel(void **state)
{
    const struct call call = { ULV_CALL_FAILED, { 5, (uint64_t)INT64_MIN } };
    struct fixture f;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    assert_int_equal(ask(&f, &call), ULV_OK);
    assert_int_equal(f.lines, 1);
    assert_non_null(strstr(f.line, "channel 22"));
    assert_non_null(strstr(f.line, "-9223372036854775808"));
    end(&f);
}

/* Only the address of a piece of memory names it, and only once. */
static void
test_monitor_call__memory_is_given_back_once(void **state)
{
    static const uint64_t wrong[] = {
        0, 1, ULV_GUEST_RAM_BASE + 1, ULV_GUEST_RAM_BASE + 4096,
        RAM_END, RAM_END - 1, ULV_GUEST_GATE, VIEW, UINT64_MAX,
        UINT64_C(1) << 63,
    };
    const uint64_t second = ULV_GUEST_RAM_BASE + EXTENT_BYTES;
    struct call accept = { .number = ULV_CALL_ACCEPT };
    struct call release = { .number = ULV_CALL_RELEASE };
    struct call text = { ULV_CALL_LOG, { second, 8 } };
    struct fixture f;

    (void)state;
    begin(&f, ~ULV_CAP_STOCK);
    for (size_t i = 0; i < ULV_COUNT_OF(wrong); i++) {
        accept.argument[0] = release.argument[0] = wrong[i];
        refused(&f, &accept, ULV_E_NOT_FOUND);
        refused(&f, &release, ULV_E_NOT_FOUND);
    }
    accept.argument[0] = release.argument[0] = second;
    refused(&f, &accept, ULV_E_EXISTS);
    assert_int_equal(ask(&f, &text), ULV_OK);
    assert_int_equal(ask(&f, &release), ULV_OK);
    assert_int_equal(answer.value, EXTENT_BYTES);
    assert_int_equal(f.back, second);
    assert_int_equal(f.back_bytes, EXTENT_BYTES);
    /* it is gone, and stays so */
    refused(&f, &text, ULV_E_ARG);
    refused(&f, &release, ULV_E_NOT_FOUND);
    refused(&f, &accept, ULV_E_NOT_FOUND);
    assert_int_equal(f.back_bytes, EXTENT_BYTES);
    end(&f);
}

/* What makes others work is limited together with the lines of the log. */
static void
test_monitor_call__no_flood_of_memory(void **state)
{
    const struct call line = { ULV_CALL_LOG, { ULV_GUEST_RAM_BASE, 1 } };
    const struct call release = { ULV_CALL_RELEASE,
                                  { ULV_GUEST_RAM_BASE + EXTENT_BYTES } };
    struct fixture f;

    (void)state;
    begin(&f, ULV_CAP_GUEST);
    for (uint32_t i = 0; i < ULV_CALL_BURST; i++)
        assert_int_equal(ask(&f, &line), ULV_OK);
    refused(&f, &release, ULV_E_AGAIN);
    assert_int_equal(f.back_bytes, 0);
    f.t.now += ULV_CALL_EARN_NS;
    assert_int_equal(ask(&f, &release), ULV_OK);
    assert_int_equal(f.back_bytes, EXTENT_BYTES);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_call__unknown_numbers),
        cmocka_unit_test(test_monitor_call__slots_that_are_not_there),
        cmocka_unit_test(test_monitor_call__signal_rings_one_bell),
        cmocka_unit_test(test_monitor_call__text_that_is_not_there),
        cmocka_unit_test(test_monitor_call__text_that_is_there),
        cmocka_unit_test(test_monitor_call__missing_capabilities),
        cmocka_unit_test(test_monitor_call__capability_is_taken_away),
        cmocka_unit_test(test_monitor_call__stop_reset_fault),
        cmocka_unit_test(test_monitor_call__wait),
        cmocka_unit_test(test_monitor_call__values),
        cmocka_unit_test(test_monitor_call__memory_is_given_back_once),
        cmocka_unit_test(test_monitor_call__no_flood_of_lines),
        cmocka_unit_test(test_monitor_call__no_flood_of_memory),
        cmocka_unit_test(test_monitor_call__failed_names_the_channel),
    };

    return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
