/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The database from JSON. The outer object and its arrays are walked here, and
 * each record is read by itself, so that memory depends on the records and not
 * on the text, and every refusal names a line.
 */
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <ultravisor/posix.h>

#include "base/base.h"
#include "port/posix/records.h"

#define NAME_BYTES 40 /* of a text's name or a key, in a diagnostic */

struct text {
    char name[NAME_BYTES + 1];
    const char *p;
    size_t len, at;
    size_t counted; /* lines before this are in line */
    uint32_t line;
    uint32_t begun; /* where the record that is taken begins; 0: none is */
    struct ulv_import_record *records;
    uint32_t count, room;
    struct block *blocks; /* what the records point into */
    uint64_t revision;
    uint32_t seen; /* bits: members of the whole that were there */
    struct ulv_diag *diag;
};

/* Records, as many as fit. */
struct block {
    struct block *next;
    size_t used;
    uint64_t bytes[8192];
};

#define SEEN_FORMAT   (UINT32_C(1) << 29)
#define SEEN_VERSION  (UINT32_C(1) << 30)
#define SEEN_REVISION (UINT32_C(1) << 31)

/* The line that the next byte is in. */
static uint32_t
line_of(struct text *t)
{
    while (t->counted < t->at)
        t->line += t->p[t->counted++] == '\n';
    return t->line;
}

static ulv_status
refuse(struct text *t, uint64_t object, uint64_t value, uint64_t bound,
       const char *where, const char *what)
{
    char key[NAME_BYTES + 1];

    ulv_string_copy(key, sizeof(key), where);
    return ulv_fail(t->diag, ULV_E_FORMAT, object, value, bound,
                    "%s:%u: %s: %s; nothing was changed", t->name,
                    (uint64_t)(t->begun != 0 ? t->begun : line_of(t)), key,
                    what);
}

static ulv_status
no_memory(struct text *t)
{
    return ulv_fail(t->diag, ULV_E_NO_MEMORY, 0, t->len, 0, "%s: no memory",
                    t->name);
}

/* ---- walking ------------------------------------------------------------- */

static void
skip_space(struct text *t)
{
    while (t->at < t->len && strchr(" \t\r\n", t->p[t->at]) != NULL &&
           t->p[t->at] != '\0')
        t->at++;
}

/* Whether that is what comes next; then it is behind. */
static bool
take(struct text *t, char c)
{
    skip_space(t);
    if (t->at == t->len || t->p[t->at] != c)
        return false;
    t->at++;
    return true;
}

/* One value of any type. */
static ulv_status
take_value(struct text *t, json_t **ret)
{
    json_error_t error;
    uint64_t line;

    skip_space(t);
    line = line_of(t);
    *ret = json_loadb(t->p + t->at, t->len - t->at,
                      JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK |
                          JSON_REJECT_DUPLICATES,
                      &error);
    if (*ret != NULL) {
        t->at += (size_t)error.position;
        return ULV_OK;
    }
    if (json_error_code(&error) == json_error_out_of_memory)
        return no_memory(t);
    line += error.line > 1 ? (uint64_t)error.line - 1 : 0;
    return ulv_fail(t->diag, ULV_E_FORMAT, 0, line, 0,
                    "%s:%u: %s; nothing was changed", t->name, line,
                    error.text);
}

/* ---- fields -------------------------------------------------------------- */

/* The number that a text of digits is. */
static bool
read_digits(const char *text, uint64_t *ret)
{
    *ret = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || !ulv_multiply_u64(*ret, 10, ret) ||
            !ulv_add_u64(*ret, (uint64_t)(*text - '0'), ret))
            return false;
    }
    return true;
}

/* As export.c writes it. */
static bool
read_number(const json_t *value, uint64_t *ret)
{
    if (json_is_null(value)) {
        *ret = UINT64_MAX;
        return true;
    }
    if (json_is_string(value))
        return read_digits(json_string_value(value), ret);
    *ret = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static ulv_status
put_number(struct text *t, const struct record_field *f, const json_t *value,
           uint64_t id, uint8_t *to)
{
    uint64_t number;
    uint32_t small;

    if (!read_number(value, &number))
        return refuse(t, id, 0, 0, f->name, "a whole number wanted");
    if (f->type == FIELD_U64) {
        memcpy(to, &number, sizeof(number));
        return ULV_OK;
    }
    small = (uint32_t)number;
    if (number > UINT32_MAX)
        return refuse(t, id, number, UINT32_MAX, f->name,
                      "a number above 4294967295");
    memcpy(to, &small, sizeof(small));
    return ULV_OK;
}

static ulv_status
put_numbers(struct text *t, const struct record_field *f, const json_t *value,
            uint64_t id, uint8_t *to)
{
    const size_t bytes = f->type == FIELD_U32 ? 4 : 8;
    ulv_status status = ULV_OK;

    if (f->count == 1)
        return put_number(t, f, value, id, to);
    if (!json_is_array(value) || json_array_size(value) != f->count)
        return refuse(t, id, json_array_size(value), f->count, f->name,
                      "an array of another length wanted");
    for (uint32_t i = 0; i < f->count && status == ULV_OK; i++)
        status = put_number(t, f, json_array_get(value, i), id, to + i * bytes);
    return status;
}

static ulv_status
put_text(struct text *t, const struct record_field *f, const json_t *value,
         uint64_t id, uint8_t *to)
{
    const size_t len = json_string_length(value);

    if (!json_is_string(value))
        return refuse(t, id, 0, 0, f->name, "a text wanted");
    if (len >= f->count)
        return refuse(t, id, len, f->count - 1, f->name,
                      "a text that is too long");
    memcpy(to, json_string_value(value), len);
    return ULV_OK;
}

static int
digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

static ulv_status
put_bytes(struct text *t, const struct record_field *f, const json_t *value,
          uint64_t id, uint8_t *to)
{
    const char *text = json_string_value(value);

    if (text == NULL || json_string_length(value) != 2 * (size_t)f->count)
        return refuse(t, id, json_string_length(value), 2 * f->count, f->name,
                      "two hexadecimal digits a byte wanted");
    for (uint32_t i = 0; i < f->count; i++) {
        const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return refuse(t, id, i, f->count, f->name,
                          "hexadecimal digits wanted");
        to[i] = (uint8_t)(high << 4 | low);
    }
    return ULV_OK;
}

/* Every field is there; members that are none are passed over. */
static ulv_status
put_record(struct text *t, const struct record_kind *kind, const json_t *object,
           uint8_t *to)
{
    uint64_t id = 0;
    ulv_status status = ULV_OK;

    if (!json_is_object(object))
        return refuse(t, 0, 0, 0, kind->name, "an object wanted");
    (void)read_number(json_object_get(object, "id"), &id);
    for (size_t i = 0; i < kind->field_count && status == ULV_OK; i++) {
        const struct record_field *f = &kind->fields[i];
        const json_t *value = json_object_get(object, f->name);

        if (value == NULL)
            return refuse(t, id, 0, 0, f->name, "this member is missing");
        if (f->type == FIELD_CHAR)
            status = put_text(t, f, value, id, to + f->offset);
        else if (f->type == FIELD_U8)
            status = put_bytes(t, f, value, id, to + f->offset);
        else
            status = put_numbers(t, f, value, id, to + f->offset);
    }
    return status;
}

/* ---- records ------------------------------------------------------------- */

/* Zeroes, aligned to 8; NULL: no memory. */
static void *
make_room(struct text *t, size_t bytes)
{
    struct block *b = t->blocks;

    if (b == NULL || sizeof(b->bytes) - b->used < bytes) {
        b = calloc(1, sizeof(*b));
        if (b == NULL)
            return NULL;
        b->next = t->blocks;
        t->blocks = b;
    }
    b->used += bytes;
    return (uint8_t *)b->bytes + b->used - bytes;
}

static struct ulv_import_record *
add_record(struct text *t, uint32_t kind)
{
    struct ulv_import_record *r;

    if (t->count == t->room) {
        const uint32_t room = t->room * 2 + 256;
        void *more = realloc(t->records, room * sizeof(*t->records));

        if (more == NULL)
            return NULL;
        t->records = more;
        t->room = room;
    }
    r = &t->records[t->count];
    r->record = make_room(t, record_kinds[kind].bytes);
    r->kind = kind;
    r->line = line_of(t);
    return r->record == NULL ? NULL : r;
}

static ulv_status
take_record(struct text *t, uint32_t kind)
{
    struct ulv_import_record *r;
    json_t *object;
    ulv_status status;

    skip_space(t);
    r = add_record(t, kind);
    if (r == NULL)
        return no_memory(t);
    status = take_value(t, &object);
    if (status != ULV_OK)
        return status;
    t->begun = r->line;
    status = put_record(t, &record_kinds[kind], object,
                        (uint8_t *)(uintptr_t)r->record);
    t->begun = 0;
    json_decref(object);
    t->count++;
    return status;
}

static ulv_status
take_records(struct text *t, uint32_t kind)
{
    const char *name = record_kinds[kind].name;

    if (!take(t, '['))
        return refuse(t, 0, 0, 0, name, "an array wanted");
    if (take(t, ']'))
        return ULV_OK;
    do {
        ulv_status status = take_record(t, kind);

        if (status != ULV_OK)
            return status;
    } while (take(t, ','));
    return take(t, ']') ? ULV_OK
                        : refuse(t, 0, 0, 0, name,
                                 "a comma or the end of the array wanted");
}

/* ---- the whole ----------------------------------------------------------- */

/* That member, which is there once. */
static ulv_status
see(struct text *t, const char *name, uint32_t member)
{
    if ((t->seen & member) != 0)
        return refuse(t, 0, 0, 0, name, "it is there twice");
    t->seen |= member;
    return ULV_OK;
}

static uint32_t
member_of(const char *name)
{
    if (strcmp(name, "format") == 0)
        return SEEN_FORMAT;
    if (strcmp(name, "version") == 0)
        return SEEN_VERSION;
    return strcmp(name, "revision") == 0 ? SEEN_REVISION : 0;
}

/* Of the members that are no records. */
static ulv_status
use_member(struct text *t, const char *name, const json_t *value)
{
    const uint32_t member = member_of(name);
    const ulv_status status = see(t, name, member);
    uint64_t number = 0;
    const char *text = json_string_value(value);

    if (status != ULV_OK)
        return status;
    if (member == SEEN_FORMAT) {
        if (text == NULL || strcmp(text, ULV_RECORDS_FORMAT) != 0)
            return refuse(t, 0, 0, 0, name,
                          "\"" ULV_RECORDS_FORMAT "\" wanted");
    } else if (member == SEEN_VERSION) {
        if (!read_number(value, &number) || number != ULV_RECORDS_VERSION)
            return refuse(t, 0, number, ULV_RECORDS_VERSION, name,
                          "another version of the format than 3, or none");
    } else if (member == SEEN_REVISION) {
        if (!read_number(value, &t->revision))
            return refuse(t, 0, 0, 0, name, "a whole number wanted");
    }
    return ULV_OK;
}

static uint32_t
find_kind(const char *name)
{
    uint32_t kind = ULV_COUNT_OF(record_kinds) - 1;

    while (kind > 0 && (!ulv_record_is_kept(kind) ||
                        strcmp(record_kinds[kind].name, name) != 0))
        kind--;
    return kind;
}

static ulv_status
take_member(struct text *t, const char *name)
{
    const uint32_t kind = find_kind(name);
    json_t *value;
    ulv_status status;

    if (!take(t, ':'))
        return refuse(t, 0, 0, 0, name, "a colon wanted");
    if (kind != 0) {
        status = see(t, name, UINT32_C(1) << kind);
        return status == ULV_OK ? take_records(t, kind) : status;
    }
    status = take_value(t, &value);
    if (status != ULV_OK)
        return status;
    status = use_member(t, name, value);
    json_decref(value);
    return status;
}

static ulv_status
take_key_and_value(struct text *t)
{
    json_t *key;
    ulv_status status = take_value(t, &key);

    if (status != ULV_OK)
        return status;
    status = json_is_string(key) ? take_member(t, json_string_value(key))
                                 : refuse(t, 0, 0, 0, "the database",
                                          "the name of a member wanted");
    json_decref(key);
    return status;
}

/* All members that there have to be. */
static ulv_status
check_seen(struct text *t)
{
    uint32_t wanted = SEEN_FORMAT | SEEN_VERSION | SEEN_REVISION;

    for (uint32_t kind = 1; kind < ULV_COUNT_OF(record_kinds); kind++) {
        if (ulv_record_is_kept(kind))
            wanted |= UINT32_C(1) << kind;
    }
    for (uint32_t kind = 1; kind < ULV_COUNT_OF(record_kinds); kind++) {
        if ((wanted & ~t->seen & UINT32_C(1) << kind) != 0)
            return refuse(t, 0, 0, 0, record_kinds[kind].name,
                          "this member is missing");
    }
    return (wanted & ~t->seen) == 0
               ? ULV_OK
               : refuse(t, 0, 0, 0, "the database",
                        "format, version and revision wanted");
}

static ulv_status
take_whole(struct text *t)
{
    if (!take(t, '{'))
        return refuse(t, 0, 0, 0, "the database", "an object wanted");
    do {
        ulv_status status = take_key_and_value(t);

        if (status != ULV_OK)
            return status;
    } while (take(t, ','));
    if (!take(t, '}'))
        return refuse(t, 0, 0, 0, "the database",
                      "a comma or the end of the object wanted");
    skip_space(t);
    return t->at == t->len ? check_seen(t)
                           : refuse(t, 0, 0, 0, "the database",
                                    "something is behind its end");
}

ulv_status
ulv_posix_import(const struct ulv_storage *storage, const char *name,
                 const char *text, size_t len, struct ulv_diag *diag)
{
    struct text t = { .p = text, .len = len, .line = 1, .diag = diag };
    struct ulv_import import = { .size = sizeof(import), .name = t.name };
    ulv_status status;

    ulv_string_copy(t.name, sizeof(t.name), name);
    if (len > INT_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, 0, len, INT_MAX,
                        "%s: %u bytes, at most %u", t.name, (uint64_t)len,
                        (uint64_t)INT_MAX);
    status = take_whole(&t);
    import.revision = t.revision;
    import.records = t.records;
    import.count = t.count;
    if (status == ULV_OK)
        status = ulv_storage_fill(ulv_posix_host(), storage, &import, diag);
    while (t.blocks != NULL) {
        struct block *b = t.blocks;

        t.blocks = b->next;
        free(b);
    }
    free(t.records);
    return status;
}
