/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fills a disk, many writes at once, and flushes it; then reads it and
 * compares. Each sector holds the number of the round and its own. A round is
 * one more than that of sector 0: each start of this guest finds what the last
 * one has left. A server that dies is followed by the other one, which carries
 * out again what was not answered.
 *
 *   disk <sectors>, round <n>
 *   filled
 *   checked                       exit code 0
 *   read-only                     exit code 1
 *   sector <n> is not of round <m> exit code 2
 */
#include <ultravisor/guest.h>

#define PIECES        8u  /* under way at once */
#define PIECE_SECTORS 16u /* 8 KiB */
#define PIECE_BYTES   ((size_t)PIECE_SECTORS * ULV_BLOCK_SECTOR_BYTES)

struct stamp {
    uint64_t round, sector;
};

static struct guest_loop loop;
static struct guest_block_operation operation[PIECES], flush;
static uint64_t sectors, next, done; /* of this pass */
static uint64_t round_number;
static bool checking;
static uint8_t *area;

static uint32_t
sectors_at(uint64_t sector)
{
    uint64_t left = sectors - sector;

    return (uint32_t)(left < PIECE_SECTORS ? left : PIECE_SECTORS);
}

static struct stamp *
stamp_at(uint64_t area_offset, uint32_t idx)
{
    return (struct stamp *)(void *)(area + area_offset +
                                    (size_t)idx * ULV_BLOCK_SECTOR_BYTES);
}

static void
start(struct guest_block_operation *o)
{
    const uint64_t offset = (uint64_t)(o - operation) * PIECE_BYTES;
    uint32_t count;
    bool started;

    if (next >= sectors)
        return;
    count = sectors_at(next);
    for (uint32_t i = 0; i < count && !checking; i++)
        *stamp_at(offset, i) = (struct stamp){ round_number, next + i };
    started = checking ? guest_block_start(o, next, count, offset)
                       : guest_block_start_write(o, next, count, offset);
    if (!started)
        guest_fault(1, "a request that has room cannot be started");
    next += count;
}

static void
start_all(void)
{
    next = done = 0;
    for (uint32_t i = 0; i < PIECES; i++)
        start(&operation[i]);
}

static bool
is_right(const struct guest_block_operation *o)
{
    for (uint32_t i = 0; i < o->sector_count; i++) {
        const struct stamp *stamp = stamp_at(o->area_offset, i);

        if (stamp->round == round_number && stamp->sector == o->sector + i)
            continue;
        guest_print("sector %lu is not of round %lu\n", o->sector + i,
                    round_number);
        guest_loop_stop(&loop, 2);
        return false;
    }
    return true;
}

static bool
failed(const struct guest_block_operation *o)
{
    if (o->status != 0) {
        guest_print("error at sector %lu: status %d\n", o->sector, o->status);
        guest_loop_stop(&loop, 3);
    }
    return o->status != 0;
}

static void
is_flushed(struct guest_block_operation *o)
{
    if (failed(o))
        return;
    guest_print("filled\n");
    checking = true;
    start_all();
}

static void
is_done(struct guest_block_operation *o)
{
    if (failed(o) || (checking && !is_right(o)))
        return;
    done += o->sector_count;
    start(o);
    if (done < sectors)
        return;
    if (checking) {
        guest_print("checked\n");
        guest_loop_stop(&loop, 0);
    } else if (!guest_block_start_flush(&flush)) {
        guest_fault(1, "a flush that has room cannot be started");
    }
}

/* One more than what sector 0 says, which may be anything. */
static bool
find_round(void)
{
    uint64_t bytes;

    area = guest_block_area(&bytes);
    if (bytes < PIECES * PIECE_BYTES)
        guest_fault(2, "too little room to write");
    if (guest_block_copy(0, 1, area) != 0)
        return false;
    round_number = stamp_at(0, 0)->round + 1;
    return true;
}

int
guest_main(void)
{
    if (!guest_console_open())
        guest_fault(3, "no console");
    if (guest_block_open(&sectors) != 0 || sectors == 0 || !find_round()) {
        guest_print("no disk\n");
        return 3;
    }
    if (guest_block_is_read_only()) {
        guest_print("read-only\n");
        return guest_block_store(0, 1, area) == ULV_E_DENIED ? 1 : 4;
    }
    guest_print("disk %lu, round %lu\n", sectors, round_number);
    guest_loop_init(&loop);
    guest_block_watch(&loop);
    for (uint32_t i = 0; i < PIECES; i++)
        operation[i].done = is_done;
    flush.done = is_flushed;
    start_all();
    return guest_loop_run(&loop);
}
