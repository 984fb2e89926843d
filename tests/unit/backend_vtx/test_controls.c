/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vtx_test.h"

#include <string.h>

/* Every combination of one bit: must be 1, may be 1, wanted, refused. */
static void
test_backend_vtx_controls__one_bit(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t must = i & 1, may = i >> 1 & 1, ret = 77;
        uint32_t wanted = i >> 2 & 1, refused = i >> 3 & 1;
        bool bad = (wanted && !may) || (refused && must);
        ulv_status status;

        if ((must && !may) || (wanted && refused))
            continue; /* no processor, no caller says so */
        status = ulv_vtx_control("x", must << 7 | (uint64_t)may << 39,
                                 wanted << 7, refused << 7, &ret, NULL);
        assert_int_equal(status, bad ? ULV_E_UNSUPPORTED : ULV_OK);
        assert_int_equal(ret, bad ? 77 : (must | wanted) << 7);
    }
}

static void
test_backend_vtx_controls__the_bit_is_named(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint64_t wide = 0;
    uint32_t ret = 0;

    (void)state;
    assert_int_equal(ulv_vtx_control("pin-based", UINT64_C(0x3f) << 32, 0x41,
                                     0, &ret, &diag),
                     ULV_E_UNSUPPORTED);
    assert_string_equal(diag.text, "pin-based controls: bit 6 cannot be 1");
    assert_int_equal(ulv_vtx_control("exit", 0xffffffff80000000, 0, 1u << 31,
                                     &ret, &diag),
                     ULV_E_UNSUPPORTED);
    assert_string_equal(diag.text, "exit controls: bit 31 cannot be 0");
    assert_int_equal(ulv_vtx_fixed("CR4", 0x2000, 0x27ff, BIT(20), &wide,
                                   &diag),
                     ULV_E_UNSUPPORTED);
    assert_string_equal(diag.text, "CR4: bit 20 cannot be 1 in VMX operation");
    assert_int_equal(ulv_vtx_fixed("CR4", 0x2000, 0x27ff, 0x20, &wide, &diag),
                     ULV_OK);
    assert_int_equal(wide, 0x2020);
}

/* SDM vol. 3C 24.6 to 24.8; 26.2.1 (what an entry checks). */
static void
test_backend_vtx_controls__of_a_guest(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_vtx_controls c;

    (void)state;
    assert_int_equal(ulv_vtx_controls(&good_processor, &c, &diag), ULV_OK);
    assert_int_equal(c.pin, 0x16 | 0x49);
    assert_int_equal(c.primary & BIT(31), BIT(31));
    assert_int_equal(c.primary & BIT(24), BIT(24)); /* all I/O */
    assert_int_equal(c.primary & BIT(28), 0); /* no MSR bitmap: all of them */
    assert_int_equal(c.primary & BIT(3), 0); /* the time stamp is not moved */
    assert_int_equal(c.secondary, 2);
    assert_int_equal(c.exit & (BIT(9) | BIT(21)), BIT(9) | BIT(21));
    assert_int_equal(c.exit & BIT(15), 0); /* interrupts stay pending */
    assert_int_equal(c.entry & (BIT(9) | BIT(15)), BIT(9) | BIT(15));
    assert_int_equal(c.entry & BIT(10), 0); /* not SMM */
    /* PG PE NE WP; EM, TS and MP: no floating point, nor a wait for it; no
     * alignment checks */
    assert_int_equal(c.cr0, 0x8001003f);
    /* PAE VMXE and nothing else: no OSFXSR, no OSXSAVE, no PCE */
    assert_int_equal(c.cr4, 0x2020);
}

/* Whatever bit is taken away, either it is not needed or it is named. */
static void
test_backend_vtx_controls__every_bit_taken_away(void **state)
{
    uint32_t refused = 0;

    (void)state;
    for (uint32_t bit = 0; bit < 5 * 32; bit++) {
        struct ulv_vtx_capabilities c = good_processor;
        uint64_t *field[] = { &c.pin, &c.primary, &c.secondary, &c.exit,
                              &c.entry };
        uint64_t mask = BIT(32 + bit % 32) | BIT(bit % 32);
        struct ulv_diag diag = ULV_DIAG_INIT;
        struct ulv_vtx_controls ret;

        *field[bit / 32] &= ~mask;
        if (ulv_vtx_controls(&c, &ret, &diag) == ULV_OK)
            continue;
        refused++;
        assert_non_null(strstr(diag.text, "cannot be 1"));
    }
    assert_int_equal(refused, 3 + 7 + 1 + 3 + 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_vtx_controls__one_bit),
        cmocka_unit_test(test_backend_vtx_controls__the_bit_is_named),
        cmocka_unit_test(test_backend_vtx_controls__of_a_guest),
        cmocka_unit_test(test_backend_vtx_controls__every_bit_taken_away),
    };

    return cmocka_run_group_tests_name("backend_vtx-controls", tests, NULL,
                                       NULL);
}
