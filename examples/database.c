/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Only the database: a program that tracks who has what and runs no guest. The
 * mock backend needs no virtualization; all roles are in this process.
 */
#include <stdio.h>

#include <ultravisor/ultravisor.h>

/* Ask for a partition with so much memory; say what came of it. */
static ulv_status
ask(ulv_system *system, const char *name, uint64_t bytes)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id id = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    ulv_status status;

    ulv_transaction_memory(t, id, bytes, ULV_ANY_NODE);
    ulv_transaction_processors(t, id, 1, ULV_SHARED);
    status = ulv_transaction_commit(t, &diag);
    if (status == ULV_OK)
        printf("%s: partition %llu\n", name, (unsigned long long)id);
    else
        printf("refused (%s): %s; value %llu, bound %llu\n",
               ulv_status_name(status), diag.text,
               (unsigned long long)diag.value,
               (unsigned long long)diag.bound);
    return status;
}

int
main(void)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_partition_record record[32];
    ulv_system *system;
    uint32_t count = 0;
    int wrong = 0;

    opts.backend = "mock";
    opts.memory = ULV_MIB(64);
    if (ulv_system_create(ulv_posix_host(), &opts, &system, &diag) != ULV_OK)
        return fprintf(stderr, "%s\n", diag.text), 1;
    wrong += ask(system, "one", ULV_MIB(16)) != ULV_OK;
    wrong += ask(system, "one", ULV_MIB(16)) != ULV_E_EXISTS;
    wrong += ask(system, "two", ULV_MIB(512)) != ULV_E_NO_MEMORY;
    wrong += ask(system, "three", ULV_GIB(512)) != ULV_E_POLICY;
    if (ulv_system_query(system, ULV_QUERY_PARTITIONS, 0, record,
                         sizeof(record), &count) != ULV_OK)
        wrong++;
    for (uint32_t i = 0; i < count; i++)
        printf("%8llu  %-12s %6llu MiB\n", (unsigned long long)record[i].id,
               record[i].name,
               (unsigned long long)(record[i].memory_bytes >> 20));
    ulv_system_destroy(system);
    return wrong;
}
