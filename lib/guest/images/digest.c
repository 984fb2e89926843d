/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The digest guest: reads all of its disk, hashes it, says so on its console.
 *   medium <sectors> from <server> epoch <n>
 *   progress <sectors done> <sectors>
 *   sha256 <hex>      exit code 0
 *   error ...         exit code 1
 */
#include <ultravisor/guest.h>

#define CHUNK_SECTORS_MAX 128u /* 64 KiB */
#define CHUNK_SECTORS_MIN 8u
#define CHUNKS            128u /* or more, so that a small disk has a middle */
#define IN_FLIGHT         32u
#define LINES             20u /* of progress */
#define HOLD_NS           UINT64_C(300000000)
#define REST_NS           UINT64_C(5000000)

/* The disk, cut into pieces that are read at once. */
static uint64_t sectors, chunks, chunk;
static uint64_t hashed; /* sectors */
static bool held; /* half way; see hold() */
static bool arrived[IN_FLIGHT];

static uint32_t
chunk_sectors(uint64_t idx)
{
    uint64_t left = sectors - idx * chunk;

    return (uint32_t)(left < chunk ? left : chunk);
}

static uint64_t
area_offset(uint64_t idx)
{
    return idx % IN_FLIGHT * chunk * ULV_BLOCK_SECTOR_BYTES;
}

static void
say_progress(void)
{
    static uint64_t said;

    if (!held && 2 * hashed >= sectors)
        return; /* half is said when the next reads are open */
    if (hashed == sectors || hashed >= said + sectors / LINES) {
        said = hashed;
        guest_print("progress %lu %lu\n", hashed, sectors);
    }
}

/*
 * Half way: a batch of reads lies in the ring, half is said, and the server is
 * not rung until somebody else serves, or HOLD_NS are over. Whoever wants to
 * see a take-over of open reads has the time to cause one, however small the
 * disk.
 */
static void
hold(void)
{
    uint64_t until = guest_time() + HOLD_NS;
    uint32_t epoch = guest_block_epoch();

    held = true;
    (void)guest_block_show();
    say_progress();
    while (guest_block_epoch() == epoch && guest_wait_until(until))
        continue;
}

/* Long enough for a server without work to go to sleep. */
static void
rest(void)
{
    uint64_t until = guest_time() + REST_NS;

    while (guest_time() < until)
        (void)guest_wait_until(until);
}

static void
ask(uint64_t *next, uint64_t done)
{
    bool half = !held && 2 * done >= chunks;

    if (half && *next != done)
        return; /* first let the answers come that are under way */
    if (half)
        rest();
    while (*next < chunks && *next < done + IN_FLIGHT &&
           guest_block_read(*next, *next * chunk, chunk_sectors(*next),
                            area_offset(*next)))
        (*next)++;
    if (half)
        hold();
    guest_block_submit();
}

static void
say_server(void)
{
    static uint32_t said;
    uint32_t epoch;
    uint64_t server = guest_block_server(&epoch);

    if (epoch == said)
        return;
    said = epoch;
    guest_print("medium %lu from %lu epoch %u\n", sectors, server,
                epoch);
}

static int
hash_disk(struct guest_sha256 *hash, const uint8_t *area)
{
    uint64_t next = 0, done = 0;

    while (done < chunks) {
        struct guest_block_answer answer;
        int32_t status;

        ask(&next, done);
        status = guest_block_wait(&answer);
        if (status == 0)
            status = answer.status;
        if (status != 0) {
            guest_print("error reading at sector %lu: status %d\n",
                        answer.id * chunk, status);
            return 1;
        }
        say_server();
        arrived[answer.id % IN_FLIGHT] = true;
        for (; done < next && arrived[done % IN_FLIGHT]; done++) {
            guest_sha256_add(hash, area + area_offset(done),
                             chunk_sectors(done) *
                                 (size_t)ULV_BLOCK_SECTOR_BYTES);
            arrived[done % IN_FLIGHT] = false;
            hashed += chunk_sectors(done);
            say_progress();
        }
    }
    return 0;
}

static bool
cut(void)
{
    uint64_t bytes;

    (void)guest_block_area(&bytes);
    chunk = sectors / CHUNKS;
    if (chunk < CHUNK_SECTORS_MIN)
        chunk = CHUNK_SECTORS_MIN;
    if (chunk > CHUNK_SECTORS_MAX)
        chunk = CHUNK_SECTORS_MAX;
    chunks = (sectors + chunk - 1) / chunk;
    return bytes >= IN_FLIGHT * chunk * ULV_BLOCK_SECTOR_BYTES;
}

int
guest_main(void)
{
    static const char digit[] = "0123456789abcdef";
    struct guest_sha256 hash;
    uint8_t digest[32];
    char hex[65] = { 0 };
    uint64_t bytes;
    const uint8_t *area;

    if (!guest_console_open())
        guest_fault(1, "no console");
    if (guest_block_open(&sectors) != 0) {
        guest_print("error: no disk\n");
        return 1;
    }
    say_server();
    area = guest_block_area(&bytes);
    if (!cut()) {
        guest_print("error: area of %lu bytes\n", bytes);
        return 1;
    }
    guest_sha256_init(&hash);
    if (hash_disk(&hash, area) != 0)
        return 1;
    guest_sha256_end(&hash, digest);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digit[digest[i] >> 4];
        hex[2 * i + 1] = digit[digest[i] & 15];
    }
    guest_print("sha256 %s\n", hex);
    return 0;
}
