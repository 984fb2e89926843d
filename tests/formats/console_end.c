/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The server of a console, made to be killed: test_console.py. What is typed is
 * in a file, what is said goes into one, each byte at its place in the stream.
 *
 * usage: console_end format CHANNEL
 *        console_end CHANNEL OWN-BELL PEER-BELL REGION TYPED SAID
 *
 * Ends with 100 when its client broke the protocol.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "io/console.h"

#include "bell.h"

#define RING_BYTES UINT64_C(16384)

static const uint8_t type[16] = ULV_CHANNEL_TYPE_CONSOLE;

struct program {
    int typed, said;
    uint64_t wanted;
    bool wants;
};

static ulv_status
sink(void *self, uint64_t offset, const void *bytes, size_t len)
{
    const struct program *program = self;

    if (pwrite(program->said, bytes, len, (off_t)offset) != (ssize_t)len)
        _exit(12);
    return ULV_OK;
}

static void
want(void *self, uint64_t offset)
{
    struct program *program = self;

    program->wanted = offset;
    program->wants = true;
}

/* Pieces of all sizes. */
static void
give(struct program *program, struct ulv_console_server *server, bool *ret_ring)
{
    uint8_t bytes[ULV_CONSOLE_INPUT_MAX];
    size_t most = 1 + (size_t)(program->wanted % sizeof(bytes));
    ssize_t len =
        pread(program->typed, bytes, most, (off_t)program->wanted);

    if (len < 0)
        _exit(13);
    program->wants = false;
    if (len > 0)
        ulv_console_server_input(server, program->wanted, bytes, (size_t)len,
                                 ret_ring);
}

static int
serve(struct ulv_console_server *server, int own, int peer)
{
    struct program *program = server->self;

    while (server->failed == ULV_OK) {
        bool rings = false;
        bool more = ulv_console_server_step(server, 8, &rings);

        if (program->wants) {
            give(program, server, &rings);
            more = true;
        }
        if (rings)
            ring(peer);
        if (!more && server->failed == ULV_OK)
            await(own);
    }
    return 100;
}

static void *
map(const char *file, uint64_t bytes)
{
    void *p;

    if (ftruncate(atoi(file), (off_t)bytes) != 0)
        _exit(1);
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(file), 0);
    if (p == MAP_FAILED)
        _exit(2);
    return p;
}

int
main(int argc, char **argv)
{
    struct ulv_channel_layout layout = { .id = 9, .ring_bytes = RING_BYTES };
    uint64_t bytes = ulv_channel_bytes(RING_BYTES, 0);
    struct program program = { .wants = false };
    struct ulv_console_server server = { .sink = sink,
                                         .want = want,
                                         .self = &program };
    int own, peer;

    memcpy(layout.type, type, sizeof(type));
    if (argc == 3)
        return ulv_channel_format(map(argv[2], bytes), &layout) == ULV_OK ? 0
                                                                          : 3;
    if (argc != 7)
        return 4;
    server.region = map(argv[4], 4096);
    program.typed = atoi(argv[5]);
    program.said = atoi(argv[6]);
    own = atoi(argv[2]);
    peer = atoi(argv[3]);
    if (ulv_console_server_start(&server, map(argv[1], bytes), bytes) !=
        ULV_OK)
        return 100;
    ring(peer); /* our predecessor may have died before it did */
    return serve(&server, own, peer);
}
