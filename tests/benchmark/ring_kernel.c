/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the kernel carries: pipe, pairs of sockets, and a bare event. */
#include "ring.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static void
begin(struct place *place, enum ring_case what)
{
    (void)place;
    (void)what; /* whoever received took all that was sent */
}

static void
write_all(int fd, const void *p, size_t bytes)
{
    const uint8_t *from = p;

    for (size_t done = 0; done < bytes;) {
        const ssize_t some = write(fd, from + done, bytes - done);

        CHECK(some > 0);
        done += (size_t)some;
    }
}

static void
read_all(int fd, void *p, size_t bytes)
{
    uint8_t *to = p;

    for (size_t done = 0; done < bytes;) {
        const ssize_t some = read(fd, to + done, bytes - done);

        CHECK(some > 0);
        done += (size_t)some;
    }
}

static inline __attribute__((always_inline)) void
send_to(int fd, uint64_t count, uint32_t bytes)
{
    uint64_t message[PAGE_BYTES / 8];

    for (uint64_t n = 0; n < count; n++) {
        fill(message, n, bytes);
        write_all(fd, message, bytes);
    }
}

static inline __attribute__((always_inline)) void
receive_from(int fd, uint64_t count, uint32_t bytes)
{
    uint64_t message[PAGE_BYTES / 8];

    for (uint64_t n = 0; n < count; n++) {
        read_all(fd, message, bytes);
        must_agree(differs(message, n, bytes));
    }
}

#define ONE_WAY(name, fd, bytes)                                               \
    static void send_##name(struct place *place, uint64_t count)               \
    {                                                                          \
        send_to(place->fd[1], count, bytes);                                   \
    }                                                                          \
    static void receive_##name(struct place *place, uint64_t count)            \
    {                                                                          \
        receive_from(place->fd[0], count, bytes);                              \
    }

ONE_WAY(pipe_single, pipe, SLOT)
ONE_WAY(pipe_pages, pipe, PAGE_BYTES)
ONE_WAY(packet_single, pair, SLOT)
ONE_WAY(packet_pages, pair, PAGE_BYTES)
ONE_WAY(stream_single, stream, SLOT)
ONE_WAY(stream_pages, stream, PAGE_BYTES)

const struct contender contender_pipe = {
    .name = "pipe",
    .begin = begin,
    .send = {[SINGLE] = send_pipe_single, [PAGES] = send_pipe_pages},
    .receive = {[SINGLE] = receive_pipe_single, [PAGES] = receive_pipe_pages},
};

const struct contender contender_packets = {
    .name = "socketpair, packets",
    .begin = begin,
    .send = {[SINGLE] = send_packet_single, [PAGES] = send_packet_pages},
    .receive =
        {[SINGLE] = receive_packet_single, [PAGES] = receive_packet_pages},
};

const struct contender contender_stream = {
    .name = "socketpair, stream",
    .begin = begin,
    .send = {[SINGLE] = send_stream_single, [PAGES] = send_stream_pages},
    .receive =
        {[SINGLE] = receive_stream_single, [PAGES] = receive_stream_pages},
};

/* ---- a bare event: no message at all ------------------------------------- */

static void
send_event(struct place *place, uint64_t count)
{
    uint64_t value = 1;

    for (uint64_t n = 0; n < count; n++) {
        write_all(place->bell[0], &value, sizeof(value));
        read_all(place->bell[1], &value, sizeof(value));
    }
}

static void
receive_event(struct place *place, uint64_t count)
{
    uint64_t value = 1;

    for (uint64_t n = 0; n < count; n++) {
        read_all(place->bell[0], &value, sizeof(value));
        write_all(place->bell[1], &value, sizeof(value));
    }
}

const struct contender contender_event = {
    .name = "bare eventfd",
    .begin = begin,
    .send = {[BLOCKING] = send_event},
    .receive = {[BLOCKING] = receive_event},
};
