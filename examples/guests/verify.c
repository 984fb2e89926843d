/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Copies a disk into memory in pieces, many reads at once, reads it a second
 * time and compares; says how far it is by a timer and what was read at the
 * end. A reader that gets no answer for a while says so and goes on waiting:
 * the other I/O partition takes over.
 *
 *   disk <sectors>
 *   <pass> <per cent> %            now and then
 *   checked <sectors> sha256 <hex> exit code 0
 *   differs at sector <n>          exit code 1
 */
#include <ultravisor/guest.h>

#define PIECES        8u  /* under way at once */
#define PIECE_SECTORS 64u /* 32 KiB */
#define PIECE_BYTES   ((size_t)PIECE_SECTORS * ULV_BLOCK_SECTOR_BYTES)
#define BEAT_NS       UINT64_C(20000000)
#define SILENT_BEATS  50u

static struct guest_loop loop;
static struct guest_block_operation operation[PIECES];
static uint64_t sectors, next, done; /* of this pass */
static uint32_t pass;
static uint8_t *area;
static uint8_t **copy; /* one for each piece of the disk */
static bool has_changed; /* since the last beat */
static uint32_t silent;

static uint32_t
sectors_at(uint64_t sector)
{
    uint64_t left = sectors - sector;

    return (uint32_t)(left < PIECE_SECTORS ? left : PIECE_SECTORS);
}

static void
finish(void)
{
    static const char digit[] = "0123456789abcdef";
    struct guest_sha256 hash;
    uint8_t digest[32];
    char hex[65] = { 0 };

    guest_sha256_init(&hash);
    for (uint64_t at = 0; at < sectors; at += PIECE_SECTORS) {
        guest_sha256_add(&hash, copy[at / PIECE_SECTORS],
                         (size_t)sectors_at(at) * ULV_BLOCK_SECTOR_BYTES);
        guest_free(copy[at / PIECE_SECTORS]);
    }
    guest_free(copy);
    guest_memory_check();
    guest_sha256_end(&hash, digest);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digit[digest[i] >> 4];
        hex[2 * i + 1] = digit[digest[i] & 15];
    }
    guest_print("checked %lu sectors sha256 %s\n", sectors, hex);
    guest_loop_stop(&loop, 0);
}

static void
start(struct guest_block_operation *o)
{
    uint64_t slot = (uint64_t)(o - operation);

    if (next >= sectors)
        return;
    if (!guest_block_start(o, next, sectors_at(next), slot * PIECE_BYTES))
        guest_fault(1, "a read that has room cannot be started");
    next += o->sector_count;
}

static void
start_all(void)
{
    next = done = 0;
    for (uint32_t i = 0; i < PIECES; i++)
        start(&operation[i]);
}

/* The first pass keeps what it reads, the second one compares. */
static bool
take(const struct guest_block_operation *o)
{
    size_t bytes = (size_t)o->sector_count * ULV_BLOCK_SECTOR_BYTES;
    const uint8_t *from = area + o->area_offset;
    uint8_t **to = &copy[o->sector / PIECE_SECTORS];

    if (pass == 0)
        *to = guest_alloc(bytes);
    if (*to == NULL)
        guest_fault(2, "the disk does not fit this guest's memory");
    for (size_t i = 0; i < bytes; i++) {
        if (pass == 0)
            (*to)[i] = from[i];
        if ((*to)[i] != from[i])
            return false;
    }
    return true;
}

static void
has_read(struct guest_block_operation *o)
{
    has_changed = true;
    if (o->status != 0) {
        guest_print("error reading at sector %lu: status %d\n", o->sector,
                    o->status);
        guest_loop_stop(&loop, 2);
        return;
    }
    if (!take(o)) {
        guest_print("differs at sector %lu or after it\n", o->sector);
        guest_loop_stop(&loop, 1);
        return;
    }
    done += o->sector_count;
    start(o);
    if (done < sectors)
        return;
    guest_print("%s 100 %%\n", pass == 0 ? "copying" : "comparing");
    if (pass++ == 0)
        start_all();
    else
        finish();
}

static void
beat(void *argument)
{
    (void)argument;
    silent = has_changed ? 0 : silent + 1;
    if (has_changed)
        guest_print("%s %lu %%\n", pass == 0 ? "copying" : "comparing",
                    done * 100 / sectors);
    else if (silent % SILENT_BEATS == 0)
        guest_print("no answer since %lu ms\n", silent * BEAT_NS / 1000000);
    has_changed = false;
}

int
guest_main(void)
{
    static struct guest_timer timer = { .run = beat, .period = BEAT_NS };
    uint64_t room;
    size_t bytes;

    if (!guest_console_open())
        guest_fault(3, "no console");
    if (guest_block_open(&sectors) != 0 || sectors == 0) {
        guest_print("no disk\n");
        return 3;
    }
    guest_print("disk %lu\n", sectors);
    area = guest_block_area(&room);
    bytes = (sectors + PIECE_SECTORS - 1) / PIECE_SECTORS * sizeof(*copy);
    copy = guest_alloc(bytes);
    if (room < PIECES * PIECE_BYTES || copy == NULL)
        guest_fault(4, "too little room to read");
    guest_loop_init(&loop);
    guest_block_watch(&loop);
    guest_timer_set_in(&loop, &timer, BEAT_NS);
    for (uint32_t i = 0; i < PIECES; i++)
        operation[i].done = has_read;
    start_all();
    return guest_loop_run(&loop);
}
