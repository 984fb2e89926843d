/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The digest guest: reads all of its disk, hashes it, says so on its console.
 *   medium <sectors> from <server> epoch <n>
 *   progress <sectors done> <sectors>
 *   sha256 <hex>      exit code 0
 *   error ...         exit code 1
 */
#include <ultravisor/guest.h>

#define CHUNK_SECTORS 128u /* 64 KiB */
#define CHUNK_BYTES   (CHUNK_SECTORS * ULV_BLOCK_SECTOR_BYTES)
#define IN_FLIGHT     32u
#define LINES         20u /* of progress */

static bool arrived[IN_FLIGHT];

static uint32_t
chunk_sectors(uint64_t chunk, uint64_t sectors)
{
    uint64_t left = sectors - chunk * CHUNK_SECTORS;

    return left < CHUNK_SECTORS ? (uint32_t)left : CHUNK_SECTORS;
}

static void
ask(uint64_t *next, uint64_t done, uint64_t chunks, uint64_t sectors)
{
    while (*next < chunks && *next < done + IN_FLIGHT &&
           guest_block_read(*next, *next * CHUNK_SECTORS,
                            chunk_sectors(*next, sectors),
                            *next % IN_FLIGHT * CHUNK_BYTES))
        (*next)++;
    guest_block_submit();
}

static void
say_server(uint64_t sectors)
{
    static uint32_t said;
    uint32_t epoch;
    uint64_t server = guest_block_server(&epoch);

    if (epoch == said)
        return;
    said = epoch;
    guest_print("medium %u from %u epoch %u\n", sectors, server,
                (uint64_t)epoch);
}

static void
say_progress(uint64_t done, uint64_t sectors)
{
    static uint64_t said;

    if (done == sectors || done >= said + sectors / LINES) {
        said = done;
        guest_print("progress %u %u\n", done, sectors);
    }
}

static int
hash_disk(struct guest_sha256 *hash, const uint8_t *area, uint64_t sectors)
{
    uint64_t chunks = (sectors + CHUNK_SECTORS - 1) / CHUNK_SECTORS;
    uint64_t next = 0, done = 0, hashed = 0;

    while (done < chunks) {
        struct guest_block_answer answer;
        int32_t status;

        ask(&next, done, chunks, sectors);
        status = guest_block_wait(&answer);
        if (status == 0)
            status = answer.status;
        if (status != 0) {
            guest_print("error reading at sector %u: status %i\n",
                        answer.id * CHUNK_SECTORS, (int64_t)status);
            return 1;
        }
        say_server(sectors);
        arrived[answer.id % IN_FLIGHT] = true;
        for (; done < next && arrived[done % IN_FLIGHT]; done++) {
            uint32_t some = chunk_sectors(done, sectors);

            guest_sha256_add(hash, area + done % IN_FLIGHT * CHUNK_BYTES,
                             some * (size_t)ULV_BLOCK_SECTOR_BYTES);
            arrived[done % IN_FLIGHT] = false;
            hashed += some;
            say_progress(hashed, sectors);
        }
    }
    return 0;
}

int
guest_main(void)
{
    static const char digit[] = "0123456789abcdef";
    struct guest_sha256 hash;
    uint8_t digest[32];
    char hex[65] = { 0 };
    uint64_t sectors, bytes;
    const uint8_t *area;

    if (!guest_console_open())
        guest_fault(1, "no console");
    if (guest_block_open(&sectors) != 0) {
        guest_print("error: no disk\n");
        return 1;
    }
    say_server(sectors);
    area = guest_block_area(&bytes);
    if (bytes < IN_FLIGHT * CHUNK_BYTES) {
        guest_print("error: area of %u bytes\n", bytes);
        return 1;
    }
    guest_sha256_init(&hash);
    if (hash_disk(&hash, area, sectors) != 0)
        return 1;
    guest_sha256_end(&hash, digest);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digit[digest[i] >> 4];
        hex[2 * i + 1] = digit[digest[i] & 15];
    }
    guest_print("sha256 %s\n", hex);
    return 0;
}
