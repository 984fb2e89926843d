/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What can be seen of the backend in a program of an operating system. */
#include "vtx_test.h"

#include <string.h>

#include <ultravisor/sys/vtx.h>
#include "port/test/test.h"

static void
test_backend_vtx_vtx__is_refused_to_a_program(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_backend_caps caps;
    struct ulv_test_host t;

    (void)state;
    ulv_test_host_init(&t);
    assert_int_equal(ulv_backend_vtx.probe(&t.host, &caps, &diag),
                     ULV_E_UNSUPPORTED);
    assert_non_null(strstr(diag.text, "without an operating system"));
    assert_non_null(strstr(diag.text, "CPL3"));
    ulv_test_host_fini(&t);
}

static void
machine_is_refused(uint64_t gate, uint32_t vcpu_count, ulv_status status)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_test_host t;
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = vcpu_count,
                                   .gate = gate };
    void *machine = calloc(1, ulv_backend_vtx.machine_bytes);

    ulv_test_host_init(&t);
    cfg.host = &t.host;
    assert_non_null(machine);
    assert_int_equal(ulv_backend_vtx.machine_init(machine, &cfg, &diag),
                     status);
    assert_true(strlen(diag.text) > 0);
    ulv_backend_vtx.machine_fini(machine);
    ulv_backend_vtx.machine_fini(machine);
    assert_int_equal(ulv_test_host_live(&t), 0);
    ulv_test_host_fini(&t);
    free(machine);
}

static void
test_backend_vtx_vtx__machines_are_refused(void **state)
{
    (void)state;
    machine_is_refused(0x3ff000, 1, ULV_E_UNSUPPORTED);
    machine_is_refused(0x3ff000, 2, ULV_E_ARG);
    machine_is_refused(0x3ff001, 1, ULV_E_ARG);
    machine_is_refused(0x1ff000, 1, ULV_E_ARG);
    machine_is_refused(0x400000, 1, ULV_E_ARG);
}

/* fini of what was only zeroed */
static void
test_backend_vtx_vtx__zeroed_objects_end(void **state)
{
    void *machine = calloc(1, ulv_backend_vtx.machine_bytes);
    void *vcpu = calloc(1, ulv_backend_vtx.vcpu_bytes);

    (void)state;
    assert_non_null(machine);
    assert_non_null(vcpu);
    ulv_backend_vtx.vcpu_fini(vcpu);
    ulv_backend_vtx.machine_fini(machine);
    free(machine);
    free(vcpu);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_vtx_vtx__is_refused_to_a_program),
        cmocka_unit_test(test_backend_vtx_vtx__machines_are_refused),
        cmocka_unit_test(test_backend_vtx_vtx__zeroed_objects_end),
    };

    return cmocka_run_group_tests_name("backend_vtx-vtx", tests, NULL, NULL);
}
