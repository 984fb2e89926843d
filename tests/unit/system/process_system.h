/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A system whose guests are processes, and such guests; where there can be none
 * the test skips, and says why. */
#ifndef TEST_PROCESS_SYSTEM_H
#define TEST_PROCESS_SYSTEM_H

#include "../port/port_test.h"

#include <ultravisor/ultravisor.h>

static inline void
skip_without_processes(void)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    const char *name = NULL;
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; status != ULV_E_NOT_FOUND; i++) {
        status = ulv_backend_probe(ulv_posix_host(), i, &name, &diag);
        if (status == ULV_OK && strcmp(name, "process") == 0)
            return;
        if (status != ULV_E_NOT_FOUND && strcmp(name, "process") == 0)
            break;
    }
    print_message("# no guests as processes here: %s\n",
                  status == ULV_E_NOT_FOUND ? "not built" : diag.text);
    skip();
}

static inline ulv_system *
process_system(const char *launcher, const char *role_program,
               uint32_t placement)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system;

    skip_without_processes();
    opts.backend = "process";
    opts.placement = placement;
    opts.launcher_program = launcher;
    opts.role_program = role_program;
    if (ulv_system_create(ulv_posix_host(), &opts, &system, &diag) != ULV_OK)
        fail_msg("%s", diag.text);
    return system;
}

static inline ulv_id
add_guest(ulv_transaction *t, const char *name)
{
    ulv_id id = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);

    ulv_transaction_memory(t, id, ULV_MIB(4), ULV_ANY_NODE);
    ulv_transaction_processors(t, id, 1, ULV_SHARED);
    return id;
}

static inline void
start_guest(ulv_system *system, ulv_id guest, const char *image_path)
{
    struct ulv_image image = { .kernel = ULV_SOURCE_PATH(image_path) };

    assert_int_equal(ulv_partition_start(system, guest, &image, NULL), ULV_OK);
}

static inline void
ends_with(ulv_system *system, ulv_id guest, uint64_t code)
{
    struct ulv_end over;

    assert_int_equal(
        ulv_partition_wait(system, guest, &over, ULV_FOREVER, NULL), ULV_OK);
    assert_int_equal(over.reason, ULV_END_REASON_STOP);
    assert_int_equal(over.code, code);
}

#endif
