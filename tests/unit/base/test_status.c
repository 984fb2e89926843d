/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

#define LOWEST (-1000) /* far below every code */

static bool
is_known(ulv_status status)
{
    return strcmp(ulv_status_name(status), "unknown status") != 0;
}

static void
test_base_status__each_has_name_text_and_class(void **state)
{
    unsigned known = 0;

    (void)state;
    for (ulv_status status = -1; status >= LOWEST; status--) {
        const char *name = ulv_status_name(status);
        const char *text = ulv_status_text(status);
        uint32_t class = ulv_status_class(status);

        assert_non_null(name);
        assert_non_null(text);
        if (!is_known(status)) {
            assert_string_equal(text, "unknown status");
            assert_int_equal(class, 0);
            continue;
        }
        known++;
        assert_memory_equal(name, "ULV_E_", 6);
        assert_true(strlen(name) > 6);
        assert_true(strlen(text) > 0);
        assert_true(text[strlen(text) - 1] != '.');
        assert_true(class >= ULV_CLASS_EXPECTED && class <= ULV_CLASS_INTERNAL);
    }
    assert_true(known > 20);
}

static void
test_base_status__names_and_texts_are_unique(void **state)
{
    (void)state;
    for (ulv_status a = -1; a >= LOWEST; a--) {
        for (ulv_status b = a - 1; is_known(a) && b >= LOWEST; b--) {
            if (!is_known(b))
                continue;
            assert_string_not_equal(ulv_status_name(a), ulv_status_name(b));
            assert_string_not_equal(ulv_status_text(a), ulv_status_text(b));
        }
    }
}

static void
test_base_status__success_and_nonsense(void **state)
{
    (void)state;
    assert_int_equal(ULV_OK, 0);
    assert_string_equal(ulv_status_name(ULV_OK), "ULV_OK");
    assert_string_equal(ulv_status_text(ULV_OK), "done");
    assert_int_equal(ulv_status_class(ULV_OK), 0);
    assert_string_equal(ulv_status_text(1), "unknown status");
    assert_string_equal(ulv_status_text(INT32_MIN), "unknown status");
    assert_int_equal(ulv_status_class(INT32_MAX), 0);
}

/* Codes are eternal: this list only ever grows. */
static void
test_base_status__codes_never_change(void **state)
{
    static const struct {
        const char *name;
        ulv_status status, code;
        uint32_t class;
    } rows[] = {
#define ROW(name, code, class) {#name, name, code, class}
        ROW(ULV_E_NOT_FOUND, -1, ULV_CLASS_EXPECTED),
        ROW(ULV_E_EXISTS, -2, ULV_CLASS_EXPECTED),
        ROW(ULV_E_AGAIN, -3, ULV_CLASS_EXPECTED),
        ROW(ULV_E_FULL, -4, ULV_CLASS_EXPECTED),
        ROW(ULV_E_EMPTY, -5, ULV_CLASS_EXPECTED),
        ROW(ULV_E_CONFLICT, -6, ULV_CLASS_EXPECTED),
        ROW(ULV_E_ENDED, -7, ULV_CLASS_EXPECTED),
        ROW(ULV_E_TIMEOUT, -8, ULV_CLASS_EXPECTED),
        ROW(ULV_E_ARG, -20, ULV_CLASS_CALLER),
        ROW(ULV_E_STATE, -21, ULV_CLASS_CALLER),
        ROW(ULV_E_BUSY, -22, ULV_CLASS_CALLER),
        ROW(ULV_E_DENIED, -23, ULV_CLASS_CALLER),
        ROW(ULV_E_PEER_LENGTH, -40, ULV_CLASS_PEER),
        ROW(ULV_E_PEER_INDEX, -41, ULV_CLASS_PEER),
        ROW(ULV_E_PEER_PROTOCOL, -42, ULV_CLASS_PEER),
        ROW(ULV_E_PEER_GONE, -43, ULV_CLASS_PEER),
        ROW(ULV_E_NO_MEMORY, -60, ULV_CLASS_LIMIT),
        ROW(ULV_E_LIMIT, -61, ULV_CLASS_LIMIT),
        ROW(ULV_E_QUOTA, -62, ULV_CLASS_LIMIT),
        ROW(ULV_E_EXPIRED, -63, ULV_CLASS_LIMIT),
        ROW(ULV_E_POLICY, -64, ULV_CLASS_LIMIT),
        ROW(ULV_E_UNSUPPORTED, -80, ULV_CLASS_HOST),
        ROW(ULV_E_HOST, -81, ULV_CLASS_HOST),
        ROW(ULV_E_MEDIUM, -82, ULV_CLASS_HOST),
        ROW(ULV_E_FORMAT, -83, ULV_CLASS_HOST),
        ROW(ULV_E_INTERNAL, -100, ULV_CLASS_INTERNAL),
#undef ROW
    };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        assert_int_equal(rows[i].status, rows[i].code);
        assert_string_equal(ulv_status_name(rows[i].status), rows[i].name);
        assert_int_equal(ulv_status_class(rows[i].status), rows[i].class);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_status__each_has_name_text_and_class),
        cmocka_unit_test(test_base_status__names_and_texts_are_unique),
        cmocka_unit_test(test_base_status__success_and_nonsense),
        cmocka_unit_test(test_base_status__codes_never_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
