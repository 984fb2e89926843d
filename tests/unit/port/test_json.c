/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port_test.h"

#include "port/posix/json.h"

struct sample {
    uint64_t count;
    uint64_t memory;
    bool strict;
    char name[9];
    const json_t *list;
    const json_t *object;
};

static const struct ulv_json_key keys[] = {
    {"count", ULV_JSON_NUMBER, true, offsetof(struct sample, count), 1, 64},
    {"memory", ULV_JSON_SIZE, false, offsetof(struct sample, memory), 4096,
     ULV_GIB(4)},
    {"strict", ULV_JSON_BOOLEAN, false, offsetof(struct sample, strict), 0, 0},
    {"name", ULV_JSON_STRING, false, offsetof(struct sample, name), 1, 8},
    {"list", ULV_JSON_LIST, false, offsetof(struct sample, list), 0, 2},
    {"object", ULV_JSON_OBJECT, false, offsetof(struct sample, object), 0, 0},
};

static ulv_status
read_text(const char *text, struct sample *ret, struct ulv_diag *diag)
{
    json_t *root = NULL;
    ulv_status status =
        ulv_json_parse("p.json", text, strlen(text), &root, diag);

    if (status == ULV_OK)
        status =
            ulv_json_read(root, "p.json", keys, ULV_COUNT_OF(keys), ret, diag);
    json_decref(root);
    return status;
}

static void
test_port_json__fills_members(void **state)
{
    static const char text[] =
        "{\"count\": 3, \"memory\": \"256M\", \"strict\": true,\n"
        " \"name\": \"12345678\", \"list\": [1, 2], \"object\": {}}";
    struct sample s = {0};

    (void)state;
    assert_int_equal(read_text(text, &s, NULL), ULV_OK);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.memory, ULV_MIB(256));
    assert_true(s.strict);
    assert_string_equal(s.name, "12345678");
    assert_non_null(s.list);
    assert_non_null(s.object);

    /* What is not there stays as it was. */
    s.memory = 5;
    assert_int_equal(read_text("{\"count\": 64}", &s, NULL), ULV_OK);
    assert_int_equal(s.count, 64);
    assert_int_equal(s.memory, 5);
}

static void
test_port_json__refuses_with_the_reason(void **state)
{
    static const struct {
        const char *text;
        ulv_status status;
        const char *says;
    } cases[] = {
        {"{\n \"count\": 3,\n \"memory\": }", ULV_E_FORMAT, "p.json:3:"},
        {"{\"count\": 3", ULV_E_FORMAT, "p.json:1:"},
        {"", ULV_E_FORMAT, "p.json:1:"},
        {"{\"count\": 1, \"count\": 2}", ULV_E_FORMAT, "p.json:1:"},
        {"{\"count\": 99999999999999999999}", ULV_E_FORMAT, "p.json:1:"},
        {"[1]", ULV_E_FORMAT, "an object wanted"},
        {"{}", ULV_E_FORMAT, "key \"count\" is missing"},
        {"{\"count\": 1, \"cuont\": 2}", ULV_E_FORMAT, "unknown key \"cuont\""},
        {"{\"count\": \"3\"}", ULV_E_FORMAT, "count: a whole number wanted"},
        {"{\"count\": 3.5}", ULV_E_FORMAT, "count: a whole number wanted"},
        {"{\"count\": null}", ULV_E_FORMAT, "count: a whole number wanted"},
        {"{\"count\": 0}", ULV_E_LIMIT, "count: 0, at least 1"},
        {"{\"count\": -7}", ULV_E_LIMIT, "count: -7, at least 1"},
        {"{\"count\": 65}", ULV_E_LIMIT, "count: 65, at most 64"},
        {"{\"count\": 1, \"memory\": \"1K\"}", ULV_E_LIMIT,
         "memory: 1024, at least 4096"},
        {"{\"count\": 1, \"memory\": \"8GiB\"}", ULV_E_LIMIT,
         "memory: 8589934592, at most 4294967296"},
        {"{\"count\": 1, \"memory\": \"1MB\"}", ULV_E_FORMAT,
         "\"1MB\" is not a size"},
        {"{\"count\": 1, \"memory\": true}", ULV_E_FORMAT, "a size"},
        {"{\"count\": 1, \"strict\": 1}", ULV_E_FORMAT,
         "strict: true or false wanted"},
        {"{\"count\": 1, \"name\": \"123456789\"}", ULV_E_LIMIT,
         "name: 9 bytes, at most 8"},
        {"{\"count\": 1, \"name\": \"\"}", ULV_E_LIMIT,
         "name: 0 bytes, at least 1"},
        {"{\"count\": 1, \"name\": 5}", ULV_E_FORMAT, "name: a string"},
        {"{\"count\": 1, \"list\": {}}", ULV_E_FORMAT, "list: a list wanted"},
        {"{\"count\": 1, \"list\": [1, 2, 3]}", ULV_E_LIMIT,
         "list: 3 entries, at most 2"},
        {"{\"count\": 1, \"object\": []}", ULV_E_FORMAT,
         "object: an object wanted"},
    };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;
        struct sample s = {0};
        ulv_status status = read_text(cases[i].text, &s, &diag);

        if (status != cases[i].status ||
            strstr(diag.text, cases[i].says) == NULL)
            fail_msg("%s: %d, %s", cases[i].text, (int)status, diag.text);
    }
}

static void
test_port_json__line_and_column(void **state)
{
    static const char text[] = "{\n  \"count\": 3,\n  \"memory\": ?\n}";
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct sample s = {0};

    (void)state;
    assert_int_equal(read_text(text, &s, &diag), ULV_E_FORMAT);
    assert_memory_equal(diag.text, "p.json:3:13: ", 13);
    assert_int_equal(diag.value, 3);
}

static void
test_port_json__sizes(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t bytes;
    } cases[] = {
        {"0", true, 0},
        {"4096", true, 4096},
        {"2K", true, 2048},
        {"2KiB", true, 2048},
        {"256M", true, ULV_MIB(256)},
        {"1GiB", true, ULV_GIB(1)},
        {"3T", true, ULV_GIB(3072)},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"16777216T", false, 0},
        {"", false, 0},
        {"M", false, 0},
        {"-1", false, 0},
        {" 1", false, 0},
        {"1 M", false, 0},
        {"1MB", false, 0},
        {"1Mi", false, 0},
        {"1MiBs", false, 0},
        {"1m", false, 0},
        {"1.5G", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        uint64_t bytes = 77;

        if (ulv_json_parse_size(cases[i].text, &bytes) != cases[i].good)
            fail_msg("%s", cases[i].text);
        assert_int_equal(bytes, cases[i].good ? cases[i].bytes : 77);
    }
}

static void
test_port_json__long_text_is_refused_unread(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    json_t *root = NULL;

    (void)state;
    assert_int_equal(
        ulv_json_parse("p.json", "{}", ULV_JSON_TEXT_MAX + 1, &root, &diag),
        ULV_E_LIMIT);
    assert_int_equal(diag.bound, ULV_JSON_TEXT_MAX);
    assert_null(root);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_json__fills_members),
        cmocka_unit_test(test_port_json__refuses_with_the_reason),
        cmocka_unit_test(test_port_json__line_and_column),
        cmocka_unit_test(test_port_json__sizes),
        cmocka_unit_test(test_port_json__long_text_is_refused_unread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
