/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The ping guest: sends 10 000 records over a channel of type ECHO, each with
 * a length and content of its own, and compares what comes back; then tells
 * the other side to stop. Exit code 0: all came back as they were sent, once,
 * in order.
 */
#include <ultravisor/guest.h>

#define RECORDS   10000u
#define BYTES_MAX 600u

static struct guest_channel channel;

static uint32_t
length_of(uint32_t n)
{
    return n * 37u % BYTES_MAX;
}

/* Byte i of record n. */
static uint8_t
byte_of(uint32_t n, uint32_t i)
{
    return (uint8_t)(n * 131u + i * 7u + (n >> 8));
}

/* ULV_E_FULL: no room, read first. */
static int32_t
send(uint32_t n)
{
    uint32_t len = length_of(n);
    void *slot;
    int32_t status = guest_channel_reserve(&channel, n + 1, len, &slot);

    if (status != 0)
        return status;
    for (uint32_t i = 0; i < len; i++)
        ((uint8_t *)slot)[i] = byte_of(n, i);
    guest_channel_submit(&channel);
    return 0;
}

static bool
is_right(uint32_t n, const struct guest_record *record)
{
    const uint8_t *data = record->data;

    if (record->type != n + 1 || record->len != length_of(n))
        return false;
    for (uint32_t i = 0; i < record->len; i++) {
        if (data[i] != byte_of(n, i))
            return false;
    }
    return true;
}

/* Returns how many came back right. */
static uint32_t
exchange(void)
{
    uint32_t sent = 0, right = 0;
    struct guest_record record;

    while (right < RECORDS) {
        int32_t status;

        while (sent < RECORDS && send(sent) == 0)
            sent++;
        status = guest_channel_peek(&channel, &record);
        if (status == ULV_E_EMPTY) {
            guest_channel_wait(&channel);
            continue;
        }
        if (status != 0 || !is_right(right, &record))
            break;
        guest_channel_release(&channel);
        right++;
    }
    return right;
}

int
guest_main(void)
{
    static const uint8_t type_echo[16] = "ultravisor echo";
    uint32_t right;

    (void)guest_console_open();
    if (!guest_channel_open(&channel, type_echo, 0))
        return 1;
    right = exchange();
    guest_print("%u of %u messages came back as they were sent\n",
                right, RECORDS);
    if (guest_channel_send(&channel, 0, "", 0) != 0 || right != RECORDS)
        return 2;
    guest_channel_close(&channel);
    return 0;
}
