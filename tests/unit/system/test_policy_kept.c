/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A policy that is put in force where there is a storage: which of two a next
 * system finds, whatever fails and wherever the machine ends. */
#include "../port/port_test.h"

#include <stdlib.h>

#include <ultravisor/ultravisor.h>

#include "base/base.h"
#include "port/test/storage.h"
#include "port/test/test.h"
#include "system/system_priv.h"

static ulv_status
processors(void *self, struct ulv_host_processor *ret, uint32_t capacity,
           uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    (void)diag;
    (void)capacity;
    memset(&ret[0], 0, sizeof(ret[0]));
    *ret_count = 1;
    return ULV_OK;
}

static ulv_status
nodes(void *self, struct ulv_host_node *ret, uint32_t capacity,
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

struct life {
    struct ulv_test_host t;
    ulv_system *system;
    struct ulv_diag diag;
};

static ulv_status
begin(struct life *l, struct ulv_test_storage *s,
      const struct ulv_policy *policy)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;

    memset(l, 0, sizeof(*l));
    l->diag = (struct ulv_diag)ULV_DIAG_INIT;
    ulv_test_host_init(&l->t);
    l->t.host.processors = processors;
    l->t.host.nodes = nodes;
    opts.backend = "mock";
    opts.memory = ULV_MIB(16);
    opts.storage = &s->storage;
    opts.policy = policy;
    opts.policy_bytes = sizeof(*policy);
    return ulv_system_create(&l->t.host, &opts, &l->system, &l->diag);
}

static void
end(struct life *l)
{
    ulv_system_destroy(l->system);
    assert_int_equal(ulv_test_host_fini(&l->t), 0);
}

/* How many guests the policy allows that judges requests. */
static uint32_t
judged_by(struct life *l)
{
    ulv_transaction *t = ulv_transaction_begin(l->system);

    for (int i = 0; i < 100; i++)
        (void)ulv_transaction_partition(t, "x", ULV_PARTITION_GUEST);
    ulv_transaction_dry_run(t);
    assert_int_equal(ulv_transaction_commit(t, &l->diag), ULV_E_POLICY);
    assert_int_equal(ulv_policy_in_force(l->system)->guests, l->diag.bound);
    return (uint32_t)l->diag.bound;
}

static void
make(struct ulv_policy *p, uint32_t guests)
{
    ulv_policy_default(p);
    p->guests = guests;
}

static void
test_system_policy_kept__the_next_system_has_it(void **state)
{
    static struct ulv_policy p;
    struct ulv_test_storage s;
    struct life l;

    (void)state;
    ulv_test_storage_init(&s);
    assert_int_equal(begin(&l, &s, NULL), ULV_OK);
    assert_int_equal(judged_by(&l), 64);
    for (uint32_t guests = 7; guests < 10; guests++) {
        make(&p, guests);
        assert_int_equal(ulv_policy_replace(l.system, &p, sizeof(p), 0, NULL,
                                            &l.diag),
                         ULV_OK);
        assert_int_equal(judged_by(&l), guests);
    }
    end(&l);
    ulv_test_storage_crash(&s);
    assert_int_equal(begin(&l, &s, NULL), ULV_OK);
    assert_int_equal(judged_by(&l), 9);
    end(&l);
    /* who brings one has that */
    make(&p, 3);
    assert_int_equal(begin(&l, &s, &p), ULV_OK);
    assert_int_equal(judged_by(&l), 3);
    end(&l);
    assert_int_equal(begin(&l, &s, NULL), ULV_OK);
    assert_int_equal(judged_by(&l), 9);
    end(&l);
    ulv_test_storage_fini(&s);
}

/* Each call of the storage fails in each way, and the machine ends or not: what
 * was acknowledged is there, what failed has left the old one in force. */
static void
test_system_policy_kept__whatever_fails(void **state)
{
    static struct ulv_policy p;
    uint32_t failed = 0;

    (void)state;
    for (uint32_t n = 1; n <= 6; n++) {
        for (uint32_t how = 0; how < ULV_TEST_STORAGE_HOWS; how++) {
            struct ulv_test_storage s;
            struct life l;
            ulv_status status;
            uint32_t found;

            ulv_test_storage_init(&s);
            assert_int_equal(begin(&l, &s, NULL), ULV_OK);
            make(&p, 8);
            assert_int_equal(ulv_policy_replace(l.system, &p, sizeof(p), 0,
                                                NULL, &l.diag),
                             ULV_OK);
            make(&p, 9);
            ulv_test_storage_fail_at(&s, n, how);
            status = ulv_policy_replace(l.system, &p, sizeof(p), 0, NULL,
                                        &l.diag);
            ulv_test_storage_fail_at(&s, 0, 0);
            assert_int_equal(judged_by(&l), status == ULV_OK ? 9 : 8);
            failed += status != ULV_OK;
            end(&l);
            ulv_test_storage_crash(&s);
            assert_int_equal(begin(&l, &s, NULL), ULV_OK);
            found = judged_by(&l);
            /* a replacement that failed may have been done */
            assert_true(found == (status == ULV_OK ? 9u : 8u) ||
                        (status != ULV_OK && how == ULV_TEST_STORAGE_DONE));
            end(&l);
            ulv_test_storage_fini(&s);
        }
    }
    assert_true(failed >= 5 * 3); /* five calls */
}

/* Bytes that are no policy: refused, with what is wrong; nothing is changed. */
static void
test_system_policy_kept__damage(void **state)
{
    static struct ulv_policy p;
    struct ulv_test_storage s;
    struct life l;
    uint8_t *bytes;
    uint64_t len;

    (void)state;
    ulv_test_storage_init(&s);
    assert_int_equal(begin(&l, &s, NULL), ULV_OK);
    make(&p, 8);
    assert_int_equal(
        ulv_policy_replace(l.system, &p, sizeof(p), 0, NULL, &l.diag), ULV_OK);
    end(&l);
    len = s.now[ULV_STORAGE_POLICY].bytes;
    assert_int_equal(len, sizeof(struct ulv_policy_stored) + sizeof(p));
    bytes = malloc(len + 1);
    memcpy(bytes, s.now[ULV_STORAGE_POLICY].p, len);
    bytes[len] = 0;
    for (uint64_t at = 0; at < len; at += at < 40 ? 1 : 997) {
        bytes[at] ^= 0x10;
        ulv_test_storage_set(&s, ULV_STORAGE_POLICY, bytes, len);
        assert_int_equal(begin(&l, &s, NULL), ULV_E_FORMAT);
        assert_non_null(strstr(l.diag.text, "policy"));
        bytes[at] ^= 0x10;
        end(&l);
    }
    ulv_test_storage_set(&s, ULV_STORAGE_POLICY, bytes, len - 1);
    assert_int_equal(begin(&l, &s, NULL), ULV_E_FORMAT);
    end(&l);
    ulv_test_storage_set(&s, ULV_STORAGE_POLICY, bytes, len + 1);
    assert_int_equal(begin(&l, &s, NULL), ULV_E_FORMAT);
    end(&l);
    ulv_test_storage_set(&s, ULV_STORAGE_POLICY, bytes, len);
    assert_int_equal(begin(&l, &s, NULL), ULV_OK);
    assert_int_equal(judged_by(&l), 8);
    end(&l);
    free(bytes);
    ulv_test_storage_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_policy_kept__the_next_system_has_it),
        cmocka_unit_test(test_system_policy_kept__whatever_fails),
        cmocka_unit_test(test_system_policy_kept__damage),
    };

    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
