/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Sends requests in which each field is out of its range. */
#include <ultravisor/guest.h>

static const struct ulv_block_request bad[] = {
    { .operation = 7, .sector_count = 1 },
    { .sector_count = 0 },
    { .sector_count = UINT32_MAX },
    { .sector = UINT64_MAX, .sector_count = 1 },
    { .sector = UINT64_MAX - 1, .sector_count = 2048 },
    { .sector_count = 1, .bulk_offset = UINT64_MAX - 511 },
    { .sector_count = 1, .bulk_offset = 1 },
    { .sector_count = 2048, .bulk_offset = 4193792 },
};

/* Exit code: how many were answered with an error. */
int
guest_main(void)
{
    struct guest_block_answer answer;
    uint64_t sectors;
    int refused = 0;

    if (guest_block_open(&sectors) != 0)
        return 100;
    for (uint64_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (!guest_block_ask(i, &bad[i]))
            return 101;
        guest_block_submit();
        if (guest_block_wait(&answer) != 0)
            return 102;
        refused += answer.status < 0 ? 1 : 0;
    }
    return refused;
}
