/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Shares a table over a channel of type "table", each entry a number twice. The
 * server end leads: it writes 1 to LAST, each after the other end has written
 * what came before it, and then the state OVER. The client end follows: what
 * the other wrote to an entry it writes to its own. Exit code 0 when all was
 * as it must be.
 */
#include <ultravisor/guest.h>
#include <ultravisor/table.h>

#define ENTRIES UINT32_C(8)
#define LAST    UINT64_C(1000)
#define OVER    9u

struct number {
    uint64_t n, again;
};

static const uint8_t type[16] = "table";
static struct guest_channel channel;
static struct ulv_table_writer mine;
static struct ulv_table_reader other;

static void
ring(void)
{
    if (ulv_table_is_awaited(&other))
        guest_signal(guest_channel_slot(&channel));
}

static bool
write(uint64_t n)
{
    const struct number number = { n, n };

    if (ulv_table_put(&mine, (uint32_t)(n % ENTRIES), &number) != ULV_OK)
        return false;
    ring();
    return true;
}

/* Whether the other has written n; *ret_over: it will write nothing more. */
static bool
is_there(uint64_t n, bool *ret_over)
{
    struct number number = { 0, 0 };

    if (ulv_table_refresh(&other, NULL) != ULV_OK)
        return false;
    *ret_over = ulv_table_state(&other) == OVER;
    if (ulv_table_read(&other, (uint32_t)(n % ENTRIES), &number,
                       sizeof(number), NULL) != ULV_OK)
        return false;
    if (number.n != number.again)
        guest_fault(1, "half a value");
    return number.n == n;
}

/* false: it is over. */
static bool
await(uint64_t n)
{
    bool over = false;

    while (!is_there(n, &over) && !over) {
        ulv_table_await(&mine, true);
        if (!is_there(n, &over) && !over)
            guest_wait();
        ulv_table_await(&mine, false);
    }
    return !over;
}

static int
follow(void)
{
    uint64_t n = 1;

    while (await(n)) {
        if (!write(n++))
            return 4;
    }
    return n == LAST + 1 ? 0 : 5;
}

static int
lead(void)
{
    for (uint64_t n = 1; n <= LAST; n++) {
        if (!write(n) || !await(n))
            return 6;
    }
    ulv_table_set_state(&mine, OVER);
    ring();
    return 0;
}

int
guest_main(void)
{
    struct ulv_view_channel found;
    uint64_t bytes;
    void *section;

    if (!guest_channel_find(type, 0, &found) ||
        guest_channel_attach(&channel, &found) != 0)
        return 1;
    section = guest_channel_section(&channel, true, &bytes);
    if (ulv_table_take(&mine, section, bytes, ENTRIES,
                       sizeof(struct number)) != ULV_OK)
        return 2;
    section = guest_channel_section(&channel, false, &bytes);
    ulv_table_reader_init(&other, section, bytes);
    ring(); /* it may wait for somebody to be there */
    return found.end == ULV_END_SERVER ? lead() : follow();
}
