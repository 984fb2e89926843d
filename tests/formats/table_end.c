/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Writes a section of a table, or reads one that another make writes:
 * test_table.py. Each value is one number over and over.
 *
 * usage: table_end write FD BYTES ENTRIES ENTRY-BYTES PUTS
 *        table_end read FD BYTES LAST
 *
 * The writer puts 1, 2, ... in turn into all entries. The reader ends when
 * entry 0 says LAST. Exits with 0 if all was as it must be.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <ultravisor/table.h>

static uint64_t value[ULV_TABLE_ENTRY_BYTES_MAX / 8];

static int
write_all(void *section, char **argument)
{
    uint32_t count = (uint32_t)atoi(argument[1]);
    uint32_t bytes = (uint32_t)atoi(argument[2]);
    uint64_t puts = strtoull(argument[3], NULL, 10);
    struct ulv_table_writer writer;

    if (ulv_table_take(&writer, section, strtoull(argument[0], NULL, 10),
                       count, bytes) != ULV_OK)
        return 4;
    for (uint64_t n = 1; n <= puts; n++) {
        for (uint32_t i = 0; i < bytes / 8; i++)
            value[i] = n;
        if (ulv_table_put(&writer, (uint32_t)(n % count), value) != ULV_OK)
            return 5;
    }
    return 0;
}

static int
read_all(const void *section, char **argument)
{
    uint64_t last = strtoull(argument[1], NULL, 10), seen = 0;
    struct ulv_table_reader reader;

    ulv_table_reader_init(&reader, section, strtoull(argument[0], NULL, 10));
    while (seen != last) {
        ulv_status status = ulv_table_refresh(&reader, NULL);

        if (status == ULV_OK)
            status = ulv_table_read(&reader, 0, value, reader.entry_bytes,
                                    NULL);
        if (status == ULV_E_AGAIN || status == ULV_E_NOT_FOUND)
            continue;
        if (status != ULV_OK)
            return 6;
        for (uint32_t i = 0; i < reader.entry_bytes / 8; i++) {
            if (value[i] != value[0])
                return 7;
        }
        if (value[0] < seen)
            return 8;
        seen = value[0];
    }
    return 0;
}

int
main(int argc, char **argv)
{
    bool writes = argc == 7 && strcmp(argv[1], "write") == 0;
    void *p;

    if (!writes && (argc != 5 || strcmp(argv[1], "read") != 0))
        return 1;
    p = mmap(NULL, strtoull(argv[3], NULL, 10),
             writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
             atoi(argv[2]), 0);
    if (p == MAP_FAILED)
        return 2;
    return writes ? write_all(p, argv + 3) : read_all(p, argv + 3);
}
