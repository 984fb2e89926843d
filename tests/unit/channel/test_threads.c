/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One ring, a producer and a consumer in two threads, in the fast forms. The
 * thread sanitizer sees a record that is read before it is published or written
 * over before it is released. A lost doorbell lets the test hang until it is
 * stopped.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "channel/ring_fast.h"

#define RING_BYTES 4096
#define RECORDS    20000u
#define BATCH      7u /* records that may be submitted at once */

struct pair {
    struct ulv_ring_control control;
    _Alignas(8) uint8_t data[RING_BYTES];
    bool doorbells; /* or both sides poll */
    int tx_bell, rx_bell;
    uint64_t sleeps;   /* of the consumer */
    const char *wrong; /* what the consumer found */
};

/* Record n: its length and each of its bytes follow from n. */
static uint32_t
length_of(uint32_t n)
{
    return n * 2654435761u % (uint32_t)(ulv_ring_record_max(RING_BYTES) + 1);
}

static void
ring_bell(int bell)
{
    uint64_t one = 1;

    if (write(bell, &one, sizeof(one)) != sizeof(one))
        _exit(9);
}

static void
await_bell(const struct pair *pair, int bell)
{
    uint64_t count;

    if (!pair->doorbells)
        sched_yield();
    else if (read(bell, &count, sizeof(count)) != sizeof(count))
        _exit(9);
}

static void
submit(struct pair *pair, struct ulv_ring_tx *tx)
{
    if (ulv_ring_tx_submit(tx) && pair->doorbells)
        ring_bell(pair->rx_bell);
}

static void *
produce(void *opaque)
{
    struct pair *pair = opaque;
    struct ulv_ring_tx tx;
    void *slot;

    ulv_ring_tx_init(&tx, &pair->control, pair->data, RING_BYTES);
    for (uint32_t n = 0; n < RECORDS; n++) {
        uint32_t len = length_of(n);

        while (ulv_ring_tx_reserve_fast(&tx, n, len, &slot) == ULV_E_FULL) {
            submit(pair, &tx);
            if (!pair->doorbells || !ulv_ring_tx_wait(&tx, len))
                await_bell(pair, pair->tx_bell);
        }
        memset(slot, (int)n & 0xff, len);
        if (n % BATCH == 0 && ulv_ring_tx_publish(&tx) && pair->doorbells)
            ring_bell(pair->rx_bell);
    }
    submit(pair, &tx);
    return NULL;
}

static const char *
check_record(const struct ulv_ring_record *record, uint32_t n)
{
    const uint8_t *data = record->data;

    if (record->type != n)
        return "a record out of order";
    if (record->len != length_of(n))
        return "a record of another length";
    for (uint32_t i = 0; i < record->len; i++) {
        if (data[i] != (n & 0xff))
            return "a record with other bytes";
    }
    return NULL;
}

static void
consume(struct pair *pair)
{
    struct ulv_ring_rx rx;
    struct ulv_ring_record record;

    ulv_ring_rx_init(&rx, &pair->control, pair->data, RING_BYTES);
    for (uint32_t n = 0; n < RECORDS; n++) {
        while (ulv_ring_rx_peek_fast(&rx, &record) == ULV_E_EMPTY) {
            if (ulv_ring_rx_release(&rx) && pair->doorbells)
                ring_bell(pair->tx_bell);
            if (!pair->doorbells || !ulv_ring_rx_wait(&rx)) {
                pair->sleeps++;
                await_bell(pair, pair->rx_bell);
            }
        }
        if (pair->wrong == NULL)
            pair->wrong = rx.closed != ULV_OK ? "the ring was closed"
                                              : check_record(&record, n);
        if (rx.closed != ULV_OK)
            _exit(9); /* the producer would wait for ever */
        if (ulv_ring_rx_pass(&rx) && pair->doorbells)
            ring_bell(pair->tx_bell);
    }
}

static void
run_pair(bool doorbells)
{
    static struct pair pair;
    pthread_t producer;

    memset(&pair, 0, sizeof(pair));
    pair.doorbells = doorbells;
    pair.tx_bell = eventfd(0, EFD_CLOEXEC);
    pair.rx_bell = eventfd(0, EFD_CLOEXEC);
    assert_true(pair.tx_bell >= 0 && pair.rx_bell >= 0);
    assert_int_equal(pthread_create(&producer, NULL, produce, &pair), 0);
    consume(&pair);
    pthread_join(producer, NULL);
    close(pair.tx_bell);
    close(pair.rx_bell);
    print_message("# %u records, the consumer found nothing %llu times\n",
                  RECORDS, (unsigned long long)pair.sleeps);
    if (pair.wrong != NULL)
        fail_msg("%s", pair.wrong);
}

static void
test_channel_threads__polling(void **state)
{
    (void)state;
    run_pair(false);
}

static void
test_channel_threads__doorbells(void **state)
{
    (void)state;
    run_pair(true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_threads__polling),
        cmocka_unit_test(test_channel_threads__doorbells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
