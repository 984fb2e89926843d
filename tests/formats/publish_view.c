/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Publishes both parts of a view into two files that the caller gives it,
 * beside readers of another make: test_view.py. All records of generation n
 * say n.
 *
 * usage: publish_view FD-OF-MONITOR-PART FD-OF-GUEST-PART COMMITS
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "view/publish.h"

#define MEMORY 220u /* records at most: three pages */

static ulv_status
commit(struct ulv_view_publisher *publisher, uint32_t part, uint64_t mark)
{
    static struct ulv_view_memory memory[MEMORY];
    struct ulv_view_partition partition = { .id = 7,
                                            .silence_limit = mark,
                                            .name = "read from outside" };
    struct ulv_view_section section[2] = {
        { ULV_VIEW_PARTITION, sizeof(partition), 1, &partition },
        { ULV_VIEW_MEMORY, sizeof(memory[0]),
          1 + (uint32_t)(mark * 37 % MEMORY), memory },
    };
    ulv_status status;

    for (uint32_t i = 0; i < section[1].record_count; i++) {
        memory[i].guest_address = mark;
        memory[i].frame = part == ULV_VIEW_PART_MONITOR ? mark + i : 0;
        memory[i].bytes = i;
    }
    status = ulv_view_prepare(publisher, section, 2, NULL);
    if (status == ULV_OK)
        ulv_view_acknowledge(publisher, ulv_view_publish(publisher));
    return status;
}

int
main(int argc, char **argv)
{
    static struct ulv_view_publisher publisher[2];
    uint64_t commits = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;

    for (uint32_t part = 0; part < 2 && commits != 0; part++) {
        void *p = mmap(NULL, ULV_VIEW_SEGMENT_BYTES, PROT_READ | PROT_WRITE,
                       MAP_SHARED, atoi(argv[1 + part]), 0);

        if (p == MAP_FAILED ||
            ulv_view_publisher_init(&publisher[part], p,
                                    ULV_VIEW_SEGMENT_BYTES, part, 7,
                                    1) != ULV_OK)
            return 2;
    }
    for (uint64_t mark = 1; mark <= commits; mark++) {
        for (uint32_t part = 0; part < 2; part++) {
            if (commit(&publisher[part], part, mark) != ULV_OK)
                return 3;
        }
        if (mark % 3 == 0) /* now fast, now slow */
            usleep((useconds_t)(mark % 7) * 1000);
    }
    return commits == 0 ? 1 : 0;
}
