/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A channel between a guest and this program: records go there and come back
 * through memory that both share, with nobody in between.
 *
 * usage: channel ECHO.elf
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ultravisor/ultravisor.h>

#define RECORDS 1000u

static const struct ulv_guid type_echo = { "ultravisor echo" };

_Noreturn static void
die(const char *what, const struct ulv_diag *diag)
{
    fprintf(stderr, "channel: %s: %s\n", what, diag->text);
    exit(1);
}

/* The n-th record: its bytes and how many. */
static size_t
make_record(uint32_t n, uint8_t bytes[2048])
{
    size_t len = n * 37u % 2048;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(n + i);
    return len;
}

static int
is_right(uint32_t n, uint32_t type, const struct ulv_bytes *data)
{
    uint8_t bytes[2048];
    size_t len = make_record(n, bytes);

    return type == n + 1 && data->len == len &&
           memcmp(data->p, bytes, len) == 0;
}

/* Send and receive them all; returns how many came back right. */
static uint32_t
exchange(ulv_channel *channel)
{
    uint32_t sent = 0, received = 0, type, wanted;
    ulv_status status = ULV_OK;
    struct ulv_bytes data;
    uint8_t bytes[2048];

    while (received < RECORDS && status == ULV_OK) {
        while (sent < RECORDS &&
               ulv_channel_send(channel, sent + 1, bytes,
                                make_record(sent, bytes)) == ULV_OK)
            sent++;
        while (ulv_channel_peek(channel, &type, &data) == ULV_OK) {
            if (!is_right(received, type, &data))
                return received;
            ulv_channel_release(channel);
            received++;
        }
        /* the guest runs meanwhile; PEER_GONE, if it has ended */
        wanted = sent < RECORDS ? ULV_CHANNEL_DATA | ULV_CHANNEL_ROOM
                                : ULV_CHANNEL_DATA;
        if (received < RECORDS)
            status = ulv_channel_wait(channel, wanted, sizeof(bytes),
                                      ULV_FOREVER);
    }
    return received;
}

int
main(int argc, char **argv)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_image image = { .kernel = ULV_SOURCE_PATH(argv[1]) };
    struct ulv_end end;
    ulv_channel *channel;
    ulv_system *system;
    ulv_transaction *t;
    ulv_id echo, line;
    uint32_t right;

    if (argc != 2)
        return fprintf(stderr, "usage: channel ECHO.elf\n"), 2;
    opts.launcher_program = getenv("ULTRAVISOR_LAUNCHER"); /* or installed */
    if (ulv_system_create(ulv_posix_host(), &opts, &system, &diag) != ULV_OK)
        die("create", &diag);
    t = ulv_transaction_begin(system);
    echo = ulv_transaction_partition(t, "echo", ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, echo, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, echo, 1, ULV_SHARED);
    line = ulv_transaction_connect(t, echo, ULV_SELF, &type_echo);
    if (ulv_transaction_commit(t, &diag) != ULV_OK)
        die("commit", &diag);
    if (ulv_partition_start(system, echo, &image, &diag) != ULV_OK ||
        ulv_channel_open(system, line, &channel, &diag) != ULV_OK)
        die("start", &diag);
    right = exchange(channel);
    printf("%u of %u records came back as they were sent\n", right, RECORDS);
    (void)ulv_channel_send(channel, 0, "", 0);
    if (right != RECORDS) /* who knows what it is doing, if it runs at all */
        (void)ulv_partition_stop(system, echo, NULL);
    if (ulv_partition_wait(system, echo, &end, ULV_FOREVER, &diag) != ULV_OK)
        die("wait", &diag);
    printf("echo: %s\n", end.text);
    ulv_channel_close(channel);
    ulv_system_destroy(system);
    return right == RECORDS && end.code == 0 ? 0 : 1;
}
