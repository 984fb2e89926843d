/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A monitor on a test host, and beside it what the text of abi/system_call.h
 * says that it holds: memory and channels in each state, rights, bells, time.
 * For tests of system calls; call_model.h says what each call must answer.
 */
#ifndef TESTS_UNIT_MONITOR_CALL_WORLD_H
#define TESTS_UNIT_MONITOR_CALL_WORLD_H

#include "../port/port_test.h"

#include "../system/mock_image.h"
#include "monitor/monitor.h"
#include "port/test/test.h"
#include "view/publish.h"

#define PARTITION     7u
#define PIECES        5u
#define PIECE_BYTES   UINT64_C(0x2000)
#define CHANNELS      4u
#define CHANNEL_BYTES UINT64_C(0x2000)
#define VIEW          ULV_GUEST_WINDOW
#define MILLISECOND   UINT64_C(1000000)

/* Memory and channels: what the monitor has of them. */
enum held { NOT_HELD, HANDED, OFFERED, MAPPED, GIVEN };

struct thing {
    ulv_id id; /* 0: there is none */
    uint64_t guest;
    bool listed, revoked; /* in the view that is published */
    enum held held;
    ulv_nsec revoke_at; /* 0: not noticed yet */
};

struct world {
    struct ulv_test_host t;
    struct ulv_backend_ops backend;
    struct ulv_view_publisher publisher;
    struct ulv_monitor *m;
    ulv_handle waits, bell, own[CHANNELS], peer[CHANNELS];
    void *segment;
    uint8_t *memory[PIECES]; /* of the pieces, as they are handed over */

    /* the view that is published */
    struct thing piece[PIECES], channel[CHANNELS];
    uint64_t capabilities, published;
    bool paused;
    ulv_id next;

    /* what the monitor must know and hold */
    bool look, rang;
    ulv_nsec start, revoke_at;
    uint64_t followed, reading, rights, pending;
    bool heard[CHANNELS]; /* its bell has rung */
    uint32_t credit;
    ulv_nsec credit_time;

    /* what it did, and what it must have done */
    uint32_t lines, expected_lines;
    char line[256], expected_line[256];
    uint64_t released, expected_released; /* sums of ids and addresses */
    uint64_t back, expected_back;

    bool interrupts; /* the machine has them */

    /* the call under way, and its answer */
    struct ulv_exit_call call;
    bool asked, at_once;
    uint32_t answers;
    int64_t status;
    uint64_t value;
};

/* The slot of each channel. */
extern const uint32_t world_slot[CHANNELS];

/* Two pieces of memory are mapped and two channels are there; the rest comes
 * and goes. */
void world_begin(struct world *w, uint64_t capabilities);
void world_begin_with(struct world *w, uint64_t capabilities, bool interrupts);
void world_end(struct world *w);

/* Each changes the view or what is held; nothing is followed yet. */
void world_publish(struct world *w);
void world_hand_piece(struct world *w, uint32_t i);
void world_hand_channel(struct world *w, uint32_t i);
/* A new thing takes the place of one that is gone. */
void world_renew_piece(struct world *w, uint32_t i);
void world_renew_channel(struct world *w, uint32_t i);

/* What a piece of memory is filled with when it is handed over. */
uint8_t world_byte(uint32_t piece, uint64_t at);
/* One step of the monitor; the guest calls first if w->asked is set. */
uint32_t world_step(struct world *w, ulv_nsec *ret_deadline);

#endif
