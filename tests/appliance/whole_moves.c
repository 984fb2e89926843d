/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What guests have changes while they run: memory goes to and fro between two
 * of them, which fill it with their own pattern and end by a fault if they see
 * anybody else's. Then both are paused and go on.
 */
#include <ultravisor/abi/command.h>

#include "base/base.h"
#include "whole.h"

#define PIECE  UINT64_C(16384)
#define PIECES 4u /* each guest gets so many */
#define MOVES  24u

static struct ulv_extent_record records[64];

/* The nth piece that does not drain; false: there are fewer. */
static bool
find_piece(ulv_system *system, ulv_id guest, uint32_t nth,
           struct ulv_extent_record *ret)
{
    uint32_t count;

    if (ulv_system_query(system, ULV_QUERY_EXTENTS, 0, records,
                         sizeof(records), &count) != ULV_OK)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (records[i].partition != guest || records[i].bytes != PIECE ||
            records[i].flags != 0 || nth-- > 0)
            continue;
        *ret = records[i];
        return true;
    }
    return false;
}

static bool
give(ulv_system *system, const ulv_id guest[2], struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < 2 * PIECES; i++) {
        ulv_transaction *t = ulv_transaction_begin(system);

        ulv_transaction_memory(t, guest[i % 2], PIECE, ULV_ANY_NODE);
        if (ulv_transaction_commit(t, diag) != ULV_OK)
            return false;
    }
    return true;
}

static bool
move(ulv_system *system, const ulv_id guest[2], struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < MOVES; i++) {
        uint32_t from = i / 3 % 2;
        struct ulv_extent_record piece;
        ulv_transaction *t;

        if (!find_piece(system, guest[from], i % 3, &piece))
            continue;
        t = ulv_transaction_begin(system);
        ulv_transaction_move(t, guest[from], (ulv_gpa){ piece.guest_address },
                             PIECE, guest[1 - from]);
        if (ulv_transaction_commit(t, diag) != ULV_OK)
            return false;
        if (i % 4 == 3 && ulv_wait_settled(system, ulv_system_revision(system),
                                           ULV_FOREVER, diag) != ULV_OK)
            return false;
    }
    return ulv_wait_settled(system, ulv_system_revision(system), ULV_FOREVER,
                            diag) == ULV_OK;
}

/* Each piece has its owner's pattern, as tests/guests/memory_guard.c makes it;
 * the last ones are accepted soon. */
static bool
is_filled(ulv_system *system, ulv_id guest, struct ulv_diag *diag)
{
    struct ulv_extent_record piece;
    uint64_t word = 0;

    for (uint32_t n = 0; find_piece(system, guest, n, &piece); n++) {
        uint64_t want = (guest << 32 | 0x5a5a) ^ piece.guest_address;

        for (uint32_t tries = 0; tries < 1000; tries++) {
            if (ulv_partition_read(system, guest,
                                   (ulv_gpa){ piece.guest_address }, &word,
                                   sizeof(word), diag) != ULV_OK)
                return false;
            if (word == want)
                break;
            (void)ulv_system_step(system, ulv_system_now(system) + 1000000);
        }
        if (word != want) {
            (void)ulv_fail(diag, ULV_E_INTERNAL, guest, word, want,
                           "memory at %x holds %x", piece.guest_address, word);
            return false;
        }
    }
    return true;
}

bool
whole_moves(ulv_system *system, const ulv_id guest[2], struct ulv_diag *diag)
{
    struct ulv_partition_record p;
    uint32_t count;

    if (!give(system, guest, diag) || !move(system, guest, diag))
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        if (!is_filled(system, guest[i], diag) ||
            ulv_partition_pause(system, guest[i], diag) != ULV_OK ||
            ulv_partition_resume(system, guest[i], diag) != ULV_OK ||
            ulv_system_query(system, ULV_QUERY_PARTITIONS, guest[i] - 1, &p,
                             sizeof(p), &count) != ULV_OK ||
            count != 1)
            return false;
        whole_say("moves: guest %u, state %u", p.id, (uint64_t)p.state);
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (ulv_partition_stop(system, guest[i], diag) != ULV_OK)
            return false;
    }
    whole_say("moves: %u pieces of memory were moved", (uint64_t)MOVES);
    return true;
}
