/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vtx_test.h"

#include <string.h>

#define FIELD(name) offsetof(struct ulv_vtx_capabilities, name)

static uint32_t
missing(const struct ulv_vtx_capabilities *c, char *buf, size_t size)
{
    struct ulv_text text;

    ulv_text_init(&text, buf, size);
    return ulv_vtx_capabilities_missing(c, &text);
}

static void
test_backend_vtx_capabilities__a_good_processor(void **state)
{
    char buf[256];

    (void)state;
    assert_int_equal(missing(&good_processor, buf, sizeof(buf)), 0);
    assert_string_equal(buf, "");
}

/* One bit taken away is one complaint that names it. */
static const struct {
    size_t field;
    uint32_t bit;
    const char *text;
} rows[] = {
    { FIELD(pin), 32, "IA32_VMX_PINBASED_CTLS bit 32" },
    { FIELD(pin), 35, "IA32_VMX_PINBASED_CTLS bit 35" },
    { FIELD(pin), 38, "no VMX-preemption timer (IA32_VMX_PINBASED_CTLS bit 38"
                      " is 0)" },
    { FIELD(primary), 39, "IA32_VMX_PROCBASED_CTLS bit 39" },
    { FIELD(primary), 56, "IA32_VMX_PROCBASED_CTLS bit 56" },
    { FIELD(primary), 63, "IA32_VMX_PROCBASED_CTLS bit 63" },
    { FIELD(secondary), 33,
      "this processor has no EPT (IA32_VMX_PROCBASED_CTLS2 bit 33 is 0)" },
    { FIELD(secondary), 39, "no unrestricted guest" },
    { FIELD(exit), 41, "IA32_VMX_EXIT_CTLS bit 41" },
    { FIELD(exit), 53, "IA32_VMX_EXIT_CTLS bit 53" },
    { FIELD(entry), 41, "IA32_VMX_ENTRY_CTLS bit 41" },
    { FIELD(entry), 47, "IA32_VMX_ENTRY_CTLS bit 47" },
    { FIELD(ept_vpid), 6, "no EPT of 4 levels" },
    { FIELD(ept_vpid), 14, "no EPT in write-back memory" },
    { FIELD(ept_vpid), 16, "no EPT pages of 2 MiB" },
    { FIELD(ept_vpid), 20, "no INVEPT (IA32_VMX_EPT_VPID_CAP bit 20 is 0)" },
    { FIELD(ept_vpid), 25, "no INVEPT of a single context" },
    { FIELD(basic), 52, "write-back memory (IA32_VMX_BASIC is 0xca04" },
};

static void
test_backend_vtx_capabilities__each_bit_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        struct ulv_vtx_capabilities c = good_processor;
        uint64_t value;
        char buf[256];

        memcpy(&value, (char *)&c + rows[i].field, sizeof(value));
        assert_true((value & BIT(rows[i].bit)) != 0);
        value &= ~BIT(rows[i].bit);
        memcpy((char *)&c + rows[i].field, &value, sizeof(value));
        assert_int_equal(missing(&c, buf, sizeof(buf)), 1);
        if (strstr(buf, rows[i].text) == NULL)
            fail_msg("%s is not in: %s", rows[i].text, buf);
    }
}

/* What the backend does without. */
static void
test_backend_vtx_capabilities__optional(void **state)
{
    struct ulv_vtx_capabilities c = good_processor;
    char buf[256];

    (void)state;
    c.secondary &= ~BIT(32 + SECONDARY_VPID);
    c.ept_vpid = BIT(6) | BIT(14) | BIT(16) | BIT(20) | BIT(25);
    c.basic &= ~BASIC_TRUE;
    assert_int_equal(missing(&c, buf, sizeof(buf)), 0);
}

static void
test_backend_vtx_capabilities__everything_is_told_at_once(void **state)
{
    struct ulv_vtx_capabilities c = { .cpuid_1_ecx = 1u << 5,
                                      .feature_control = 1 };
    char buf[2048], small[16];

    (void)state;
    assert_int_equal(missing(&c, buf, sizeof(buf)), 19);
    assert_non_null(strstr(buf, "locked VMX off"));
    assert_non_null(strstr(buf, "; this processor has no EPT (IA32"));
    assert_non_null(strstr(buf, "; no unrestricted guest"));
    /* cut, and counted all the same */
    assert_int_equal(missing(&c, small, sizeof(small)), 19);
    assert_int_equal(strlen(small), 15);
    c.cpuid_1_ecx = 0;
    assert_int_equal(missing(&c, buf, sizeof(buf)), 1);
    assert_string_equal(
        buf, "this processor has no VMX (CPUID.1:ECX bit 5 is 0)");
}

static const struct {
    uint64_t value;
    uint32_t missing;
    bool open;
} feature_controls[] = {
    { 0, 0, true },  { 1, 1, false }, { 2, 0, true },  { 3, 1, false },
    { 4, 0, true },  { 5, 0, false }, { 7, 0, false }, { 0xff00, 0, true },
};

static void
test_backend_vtx_capabilities__feature_control(void **state)
{
    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(feature_controls); i++) {
        struct ulv_vtx_capabilities c = good_processor;
        char buf[256];

        c.feature_control = feature_controls[i].value;
        assert_int_equal(missing(&c, buf, sizeof(buf)),
                         feature_controls[i].missing);
        assert_int_equal(ulv_vtx_feature_control_open(&c),
                         feature_controls[i].open);
    }
}

static void
test_backend_vtx_capabilities__narrow_addresses(void **state)
{
    struct ulv_vtx_capabilities c = good_processor;
    char buf[256];

    (void)state;
    c.basic |= BASIC_NARROW;
    assert_int_equal(missing(&c, buf, sizeof(buf)), 1);
    assert_non_null(strstr(buf, "below 4 GiB"));
    assert_int_equal(ulv_vtx_guest_address_max(&c), UINT64_C(1) << 36);
    c.physical_bits = 32;
    assert_int_equal(ulv_vtx_guest_address_max(&c), UINT64_C(1) << 32);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_vtx_capabilities__a_good_processor),
        cmocka_unit_test(test_backend_vtx_capabilities__each_bit_is_named),
        cmocka_unit_test(test_backend_vtx_capabilities__optional),
        cmocka_unit_test(
            test_backend_vtx_capabilities__everything_is_told_at_once),
        cmocka_unit_test(test_backend_vtx_capabilities__feature_control),
        cmocka_unit_test(test_backend_vtx_capabilities__narrow_addresses),
    };

    return cmocka_run_group_tests_name("backend_vtx-capabilities", tests, NULL,
                                       NULL);
}
