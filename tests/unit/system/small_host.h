/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A system on a host of the test port: two processors, 64 MiB, all in process,
 * the mock backend. */
#ifndef SYSTEM_SMALL_HOST_H
#define SYSTEM_SMALL_HOST_H

#include <ultravisor/system.h>

#include "port/test/test.h"

static inline ulv_status
two_processors(void *self, struct ulv_host_processor *ret, uint32_t capacity,
               uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    for (uint32_t i = 0; i < 2 && i < capacity; i++) {
        memset(&ret[i], 0, sizeof(ret[i]));
        ret[i].number = ret[i].core = i;
    }
    *ret_count = 2;
    return ULV_OK;
}

static inline ulv_status
one_node(void *self, struct ulv_host_node *ret, uint32_t capacity,
         uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    (void)capacity;
    memset(&ret[0], 0, sizeof(ret[0]));
    ret[0].total_bytes = ret[0].free_bytes = ULV_MIB(64);
    *ret_count = 1;
    return ULV_OK;
}

static inline ulv_system *
small_system(struct ulv_test_host *t)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    ulv_system *system;

    ulv_test_host_init(t);
    t->host.processors = two_processors;
    t->host.nodes = one_node;
    opts.backend = "mock";
    opts.memory = ULV_MIB(32);
    assert_int_equal(ulv_system_create(&t->host, &opts, &system, NULL),
                     ULV_OK);
    return system;
}

static inline void
small_system_end(ulv_system *system, struct ulv_test_host *t)
{
    ulv_system_destroy(system);
    assert_int_equal(ulv_test_host_live(t), 0);
    assert_int_equal(ulv_test_host_fini(t), 0);
}

#endif
