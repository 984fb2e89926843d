/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/posix/json.h"

#include <string.h>

#define SHOWN_BYTES 40 /* of a name or value from the text, in a diagnostic */

/* What the text holds may be long: the start of it. */
struct shown {
    char text[SHOWN_BYTES + 1];
};

static struct shown
show(const char *text)
{
    struct shown s;

    ulv_string_copy(s.text, sizeof(s.text), text);
    return s;
}

ulv_status
ulv_json_parse(const char *name, const char *text, size_t len, json_t **ret,
               struct ulv_diag *diag)
{
    json_error_t error;
    json_t *root;
    uint64_t line;

    if (len > ULV_JSON_TEXT_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, 0, len, ULV_JSON_TEXT_MAX,
                        "%s: %u bytes, at most %z", name, (uint64_t)len,
                        ULV_JSON_TEXT_MAX);
    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (root != NULL) {
        *ret = root;
        return ULV_OK;
    }
    if (json_error_code(&error) == json_error_out_of_memory)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, len, 0, "%s: no memory",
                        name);
    line = error.line > 0 ? (uint64_t)error.line : 1;
    return ulv_fail(diag, ULV_E_FORMAT, 0, line, 0, "%s:%u:%u: %s", name, line,
                    (uint64_t)(error.column > 0 ? error.column : 1),
                    error.text);
}

/* The power of 1024 of a unit, or -1. */
static int
unit_power(const char *unit)
{
    static const char letters[] = "KMGT";
    const char *at;

    if (unit[0] == '\0')
        return 0;
    at = strchr(letters, unit[0]);
    if (at == NULL || (unit[1] != '\0' && strcmp(unit + 1, "iB") != 0))
        return -1;
    return (int)(at - letters) + 1;
}

bool
ulv_json_parse_size(const char *text, uint64_t *ret)
{
    uint64_t n = 0;
    int power;

    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (!ulv_multiply_u64(n, 10, &n) ||
            !ulv_add_u64(n, (uint64_t)(*text - '0'), &n))
            return false;
    }
    power = unit_power(text);
    if (power < 0)
        return false;
    for (; power > 0; power--) {
        if (!ulv_multiply_u64(n, 1024, &n))
            return false;
    }
    *ret = n;
    return true;
}

static const char *
kind_words(uint32_t kind)
{
    static const char *const words[] = {
        "nothing",       "a whole number", "a size (4096, \"256M\", \"1GiB\")",
        "true or false", "a string",       "a list",
        "an object",
    };

    return words[kind];
}

static ulv_status
wrong_type(const struct ulv_json_key *key, const char *where,
           struct ulv_diag *diag)
{
    return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0, "%s: %s: %s wanted", where,
                    key->name, kind_words(key->kind));
}

static ulv_status
check_bounds(const struct ulv_json_key *key, const char *where, uint64_t value,
             const char *unit, struct ulv_diag *diag)
{
    bool low = value < key->minimum;

    if (!low && value <= key->maximum)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_LIMIT, 0, value,
                    low ? key->minimum : key->maximum, "%s: %s: %u%s, %s %u",
                    where, key->name, value, unit, low ? "at least" : "at most",
                    low ? key->minimum : key->maximum);
}

/* A number, or the number that a size in words is. */
static ulv_status
read_number(const struct ulv_json_key *key, const json_t *value,
            const char *where, uint64_t *ret, struct ulv_diag *diag)
{
    bool words = key->kind == ULV_JSON_SIZE && json_is_string(value);
    struct shown shown;
    ulv_status status;
    uint64_t n = 0;

    if (words && !ulv_json_parse_size(json_string_value(value), &n)) {
        shown = show(json_string_value(value));
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0, "%s: %s: \"%s\" is not %s",
                        where, key->name, shown.text,
                        kind_words(ULV_JSON_SIZE));
    }
    if (!words && !json_is_integer(value))
        return wrong_type(key, where, diag);
    if (!words && json_integer_value(value) < 0)
        return ulv_fail(diag, ULV_E_LIMIT, 0,
                        (uint64_t)json_integer_value(value), key->minimum,
                        "%s: %s: %i, at least %u", where, key->name,
                        (int64_t)json_integer_value(value), key->minimum);
    if (!words)
        n = (uint64_t)json_integer_value(value);
    status = check_bounds(key, where, n, "", diag);
    if (status == ULV_OK)
        *ret = n;
    return status;
}

static ulv_status
read_string(const struct ulv_json_key *key, const json_t *value,
            const char *where, char *ret, struct ulv_diag *diag)
{
    ulv_status status;
    size_t len;

    if (!json_is_string(value))
        return wrong_type(key, where, diag);
    len = json_string_length(value);
    status = check_bounds(key, where, len, " bytes", diag);
    if (status != ULV_OK)
        return status;
    memcpy(ret, json_string_value(value), len);
    ret[len] = '\0';
    return ULV_OK;
}

static ulv_status
read_value(const struct ulv_json_key *key, const json_t *value,
           const char *where, void *ret, struct ulv_diag *diag)
{
    void *member = (char *)ret + key->offset;
    bool fits;
    ulv_status status;

    switch (key->kind) {
    case ULV_JSON_NUMBER:
    case ULV_JSON_SIZE:
        return read_number(key, value, where, member, diag);
    case ULV_JSON_STRING:
        return read_string(key, value, where, member, diag);
    case ULV_JSON_BOOLEAN:
        if (!json_is_boolean(value))
            return wrong_type(key, where, diag);
        *(bool *)member = json_is_true(value);
        return ULV_OK;
    default:
        fits = key->kind == ULV_JSON_LIST ? json_is_array(value)
                                          : json_is_object(value);
        if (!fits)
            return wrong_type(key, where, diag);
        status = key->kind == ULV_JSON_LIST
                     ? check_bounds(key, where, json_array_size(value),
                                    " entries", diag)
                     : ULV_OK;
        if (status == ULV_OK)
            *(const json_t **)member = value;
        return status;
    }
}

static ulv_status
refuse_unknown(const json_t *object, const char *where,
               const struct ulv_json_key *keys, size_t key_count,
               struct ulv_diag *diag)
{
    /* Iteration does not change the object, whatever its type says. */
    json_t *whole = (json_t *)(uintptr_t)object;
    struct shown shown;
    const char *name;
    json_t *value;

    json_object_foreach(whole, name, value)
    {
        size_t i = 0;

        while (i < key_count && strcmp(keys[i].name, name) != 0)
            i++;
        if (i < key_count)
            continue;
        shown = show(name);
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0, "%s: unknown key \"%s\"",
                        where, shown.text);
    }
    return ULV_OK;
}

ulv_status
ulv_json_read(const json_t *object, const char *where,
              const struct ulv_json_key *keys, size_t key_count, void *ret,
              struct ulv_diag *diag)
{
    ulv_status status;

    if (!json_is_object(object))
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0, "%s: an object wanted",
                        where);
    status = refuse_unknown(object, where, keys, key_count, diag);
    for (size_t i = 0; status == ULV_OK && i < key_count; i++) {
        const json_t *value = json_object_get(object, keys[i].name);

        if (value != NULL)
            status = read_value(&keys[i], value, where, ret, diag);
        else if (keys[i].required)
            status = ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                              "%s: key \"%s\" is missing", where, keys[i].name);
    }
    return status;
}
