/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "call_world.h"

const uint32_t world_slot[CHANNELS] = { 0, 5, 31, ULV_SLOT_COUNT - 1 };

/* The backend's, which has nothing but a machine to know it by. */
static struct world *playing;
static struct ulv_machine_cfg machine;

static ulv_status
machine_init(void *at, const struct ulv_machine_cfg *cfg,
             struct ulv_diag *diag)
{
    machine = *cfg;
    machine.interrupts = playing->interrupts; /* whatever the view says */
    return ulv_backend_mock.machine_init(at, &machine, diag);
}

static void
answer(void *vcpu, int64_t status, uint64_t value)
{
    (void)vcpu;
    playing->answers++;
    playing->status = status;
    playing->value = value;
}

/* The guest calls once, by an exit or without one. */
static ulv_status
run(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *out)
{
    struct world *w = playing;
    int64_t status;
    uint64_t value;

    (void)budget_ns;
    memset(out, 0, sizeof(*out));
    out->reason = ULV_EXIT_INTERRUPTED;
    if (!w->asked)
        return ULV_OK;
    w->asked = false;
    if (w->at_once &&
        machine.call(machine.self, &w->call, &status, &value)) {
        answer(vcpu, status, value);
        return ULV_OK;
    }
    out->reason = ULV_EXIT_CALL;
    out->u.call = w->call;
    return ULV_OK;
}

static void
take_line(void *self, const char *text)
{
    struct world *w = self;

    w->lines++;
    ulv_string_copy(w->line, sizeof(w->line), text);
}

static void
take_back(void *self, uint64_t guest, uint64_t bytes)
{
    ((struct world *)self)->back += guest + bytes;
}

static void
take_released(void *self, ulv_id object)
{
    ((struct world *)self)->released += object;
}

static ulv_handle
make_memory(struct world *w, uint64_t bytes, void *ret)
{
    const struct ulv_host *host = &w->t.host;
    ulv_handle h;

    assert_int_equal(host->memory_create(host->self, "test", bytes, 0, &h),
                     ULV_OK);
    assert_int_equal(host->memory_map(host->self, h, 0, bytes,
                                      ULV_MAP_READ | ULV_MAP_WRITE, NULL, ret),
                     ULV_OK);
    return h;
}

static ulv_handle
make_bell(struct world *w, ulv_handle *kept)
{
    const struct ulv_host *host = &w->t.host;
    ulv_handle h;

    assert_int_equal(host->event_create(host->self, kept), ULV_OK);
    assert_int_equal(host->handle_duplicate(host->self, *kept, &h), ULV_OK);
    return h;
}

/* ---- the view, and what is handed over ----------------------------------- */

void
world_publish(struct world *w)
{
    struct ulv_view_partition partition = { .id = PARTITION,
                                            .intent = w->paused
                                                ? ULV_INTENT_PAUSED
                                                : ULV_INTENT_RUNNING,
                                            .capabilities = w->capabilities,
                                            .gate = ULV_GUEST_GATE,
                                            .view = VIEW };
    struct ulv_view_memory memory[PIECES];
    struct ulv_view_channel channel[CHANNELS];
    struct ulv_view_section section[] = {
        { ULV_VIEW_PARTITION, sizeof(partition), 1, &partition },
        { ULV_VIEW_MEMORY, sizeof(memory[0]), 0, memory },
        { ULV_VIEW_CHANNEL, sizeof(channel[0]), 0, channel },
    };

    memset(memory, 0, sizeof(memory));
    memset(channel, 0, sizeof(channel));
    for (uint32_t i = 0; i < PIECES; i++) {
        struct ulv_view_memory *to = &memory[section[1].record_count];

        if (!w->piece[i].listed)
            continue;
        to->guest_address = w->piece[i].guest;
        to->bytes = PIECE_BYTES;
        to->extent = w->piece[i].id;
        to->flags = w->piece[i].revoked ? ULV_VIEW_REVOKED : 0;
        section[1].record_count++;
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        struct ulv_view_channel *to = &channel[section[2].record_count];

        if (!w->channel[i].listed)
            continue;
        to->id = w->channel[i].id;
        to->bytes = CHANNEL_BYTES;
        to->slot = world_slot[i];
        to->guest_address = w->channel[i].guest;
        to->flags = w->channel[i].revoked ? ULV_VIEW_REVOKED : 0;
        section[2].record_count++;
    }
    /* the monitor, which reads nothing now, has waited for some of it */
    ulv_view_acknowledge(&w->publisher, w->published);
    assert_int_equal(ulv_view_prepare(&w->publisher, section,
                                      ULV_COUNT_OF(section), NULL),
                     ULV_OK);
    w->published = ulv_view_publish(&w->publisher);
}

uint8_t
world_byte(uint32_t piece, uint64_t at)
{
    return (uint8_t)(at * 7 + at / 256 + piece);
}

void
world_hand_piece(struct world *w, uint32_t i)
{
    const struct ulv_host *host = &w->t.host;
    ulv_handle h;

    if (w->memory[i] != NULL)
        host->memory_unmap(host->self, w->memory[i], PIECE_BYTES);
    h = make_memory(w, PIECE_BYTES, &w->memory[i]);
    for (uint64_t at = 0; at < PIECE_BYTES; at++)
        w->memory[i][at] = world_byte(i, at);
    assert_int_equal(ulv_monitor_take_extent(w->m, w->piece[i].id, h,
                                             PIECE_BYTES),
                     ULV_OK);
    w->piece[i].held = HANDED;
    w->look = true;
}

static void
close_bells(struct world *w, uint32_t i)
{
    const struct ulv_host *host = &w->t.host;

    if (w->own[i] == ULV_NO_HANDLE)
        return;
    host->handle_close(host->self, w->own[i]);
    host->handle_close(host->self, w->peer[i]);
    w->own[i] = w->peer[i] = ULV_NO_HANDLE;
}

void
world_hand_channel(struct world *w, uint32_t i)
{
    const struct ulv_host *host = &w->t.host;
    ulv_handle h, own, peer;
    void *p;

    close_bells(w, i);
    h = make_memory(w, CHANNEL_BYTES, &p);
    host->memory_unmap(host->self, p, CHANNEL_BYTES);
    own = make_bell(w, &w->own[i]);
    peer = make_bell(w, &w->peer[i]);
    assert_int_equal(ulv_monitor_take_channel(w->m, w->channel[i].id, h,
                                              CHANNEL_BYTES, own, peer),
                     ULV_OK);
    w->channel[i].held = HANDED;
    w->heard[i] = false;
    w->look = true;
}

void
world_renew_piece(struct world *w, uint32_t i)
{
    w->piece[i] = (struct thing){
        .id = w->next++,
        .guest = ULV_GUEST_RAM_BASE + i * PIECE_BYTES,
    };
}

void
world_renew_channel(struct world *w, uint32_t i)
{
    w->channel[i] = (struct thing){
        .id = w->next++,
        .guest = VIEW + (world_slot[i] + 1) * ULV_GUEST_SLOT_BYTES,
    };
}

/* ---- begin and end ------------------------------------------------------- */

static void
start(struct world *w)
{
    static const struct ulv_mock_step script[] = { { ULV_MOCK_SPIN, 0, 0,
                                                     { 0 } } };
    const struct ulv_host *host = &w->t.host;
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
    assert_int_equal(ulv_monitor_start(w->m, &from, NULL), ULV_OK);
    host->handle_close(host->self, from.image);
    w->start = w->credit_time = w->t.now;
    w->credit = 64;
    w->reading = w->followed = w->published;
    w->rights = w->capabilities;
    w->revoke_at = ULV_FOREVER;
    w->look = w->rang = false;
}

static void
make_monitor(struct world *w)
{
    struct ulv_monitor_cfg cfg = { .host = &w->t.host,
                                   .waits = w->waits,
                                   .backend = &w->backend,
                                   .partition = PARTITION,
                                   .log = take_line,
                                   .released = take_released,
                                   .given_back = take_back,
                                   .self = w };

    w->backend = ulv_backend_mock;
    w->backend.machine_init = machine_init;
    w->backend.vcpu_answer = answer;
    w->backend.vcpu_run = run;
    assert_int_equal(ulv_monitor_create(&cfg, &w->m), ULV_OK);
}

void
world_begin(struct world *w, uint64_t capabilities)
{
    world_begin_with(w, capabilities, false);
}

void
world_begin_with(struct world *w, uint64_t capabilities, bool interrupts)
{
    ulv_handle h;
    void *p;

    memset(w, 0, sizeof(*w));
    playing = w;
    w->interrupts = interrupts;
    ulv_test_host_init(&w->t);
    w->t.now = 123456789;
    w->capabilities = capabilities;
    w->next = 100;
    for (uint32_t i = 0; i < CHANNELS; i++)
        w->own[i] = w->peer[i] = ULV_NO_HANDLE;
    assert_int_equal(w->t.host.wait_create(w->t.host.self, &w->waits), ULV_OK);
    make_monitor(w);
    h = make_memory(w, ULV_VIEW_SEGMENT_BYTES, &w->segment);
    assert_int_equal(ulv_view_publisher_init(&w->publisher, w->segment,
                                             ULV_VIEW_SEGMENT_BYTES,
                                             ULV_VIEW_PART_MONITOR, PARTITION,
                                             1),
                     ULV_OK);
    assert_int_equal(ulv_monitor_take_view(w->m, ULV_VIEW_PART_MONITOR, h,
                                           ULV_VIEW_SEGMENT_BYTES),
                     ULV_OK);
    h = make_memory(w, 4096, &p);
    w->t.host.memory_unmap(w->t.host.self, p, 4096);
    assert_int_equal(ulv_monitor_take_view(w->m, ULV_VIEW_PART_GUEST, h, 4096),
                     ULV_OK);
    assert_int_equal(ulv_monitor_take_bell(w->m, make_bell(w, &w->bell)),
                     ULV_OK);
    for (uint32_t i = 0; i < 2; i++) {
        world_renew_piece(w, i);
        world_hand_piece(w, i);
        world_renew_channel(w, i);
        world_hand_channel(w, i);
        w->piece[i].listed = w->channel[i].listed = true;
        w->piece[i].held = w->channel[i].held = MAPPED;
    }
    world_publish(w);
    start(w);
}

void
world_end(struct world *w)
{
    const struct ulv_host *host = &w->t.host;

    ulv_monitor_destroy(w->m);
    host->memory_unmap(host->self, w->segment, ULV_VIEW_SEGMENT_BYTES);
    for (uint32_t i = 0; i < PIECES; i++) {
        if (w->memory[i] != NULL)
            host->memory_unmap(host->self, w->memory[i], PIECE_BYTES);
    }
    for (uint32_t i = 0; i < CHANNELS; i++)
        close_bells(w, i);
    host->handle_close(host->self, w->bell);
    host->handle_close(host->self, w->waits);
    assert_int_equal(ulv_test_host_live(&w->t), 0);
    assert_int_equal(ulv_test_host_fini(&w->t), 0);
}

uint32_t
world_step(struct world *w, ulv_nsec *ret_deadline)
{
    w->answers = 0;
    w->status = 0;
    w->value = 0;
    return ulv_monitor_step(w->m, MILLISECOND, ret_deadline);
}
