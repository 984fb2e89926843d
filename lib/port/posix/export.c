/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The database as JSON, by the description of its records: each field of a
 * record is a member of its name. Records come from one cursor and go out as
 * they come, so that memory does not depend on how many there are.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <ultravisor/cursor.h>
#include <ultravisor/export.h>
#include <ultravisor/posix.h>

#include "base/base.h"
#include "port/posix/records.h"

#define ROOM 65536u

struct export {
    ulv_export_fn write;
    void *opaque;
    ulv_status status; /* of the first write that failed */
    uint32_t kind;     /* whose records are being written; 0: none */
    bool begun;
    bool first; /* of its kind */
    size_t used;
    char buffer[ROOM];
};

static void
flush(struct export *e)
{
    if (e->status == ULV_OK && e->used != 0)
        e->status = e->write(e->opaque, e->buffer, e->used);
    e->used = 0;
}

static void
put(struct export *e, const char *text)
{
    const size_t len = strlen(text);

    if (ROOM - e->used < len)
        flush(e);
    memcpy(e->buffer + e->used, text, len);
    e->used += len;
}

/* ---- values -------------------------------------------------------------- */

/* As JSON has it; what is no UTF-8 becomes question marks. */
static void
put_text(struct export *e, const char *text, size_t room)
{
    const size_t len = ulv_string_length(text, room);
    char plain[128], quoted[1024];
    json_t *value = json_stringn(text, len);
    size_t size;

    for (size_t i = 0; value == NULL && i < len && i < sizeof(plain); i++)
        plain[i] = (uint8_t)text[i] < 0x80 ? text[i] : '?';
    if (value == NULL)
        value = json_stringn(plain, ULV_MIN(len, sizeof(plain)));
    size = json_dumpb(value, quoted, sizeof(quoted) - 1,
                      JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(value);
    if (size == 0 || size >= sizeof(quoted)) {
        e->status = ULV_E_NO_MEMORY;
        return;
    }
    quoted[size] = '\0';
    put(e, quoted);
}

/* A number that readers of signed ones cannot have is a text; all bits set,
 * which says that there is none, is null. */
static void
put_number(struct export *e, uint64_t number)
{
    struct ulv_text text;
    char digits[32];

    ulv_text_init(&text, digits, sizeof(digits));
    if (number == UINT64_MAX)
        ulv_text_string(&text, "null");
    else if (number > INT64_MAX)
        ulv_text_format(&text, "\"%u\"", number);
    else
        ulv_text_decimal(&text, number);
    put(e, digits);
}

static void
put_bytes(struct export *e, const uint8_t *p, uint32_t count)
{
    static const char digit[] = "0123456789abcdef";
    char text[3] = { 0 };

    put(e, "\"");
    for (uint32_t i = 0; i < count; i++) {
        text[0] = digit[p[i] >> 4];
        text[1] = digit[p[i] & 15];
        put(e, text);
    }
    put(e, "\"");
}

static void
put_numbers(struct export *e, const struct record_field *f, const uint8_t *p)
{
    if (f->count > 1)
        put(e, "[");
    for (uint32_t i = 0; i < f->count; i++) {
        if (i > 0)
            put(e, ", ");
        put_number(e, f->type == FIELD_U32 ? ulv_get_le32(p + 4 * i)
                                           : ulv_get_le64(p + 8 * i));
    }
    if (f->count > 1)
        put(e, "]");
}

static void
put_record(struct export *e, const struct record_kind *kind, const uint8_t *p)
{
    put(e, e->first ? "\n  {" : ",\n  {");
    e->first = false;
    for (size_t i = 0; i < kind->field_count; i++) {
        const struct record_field *f = &kind->fields[i];

        put(e, i == 0 ? "\"" : ", \"");
        put(e, f->name);
        put(e, "\": ");
        if (f->type == FIELD_CHAR)
            put_text(e, (const char *)p + f->offset, f->count);
        else if (f->type == FIELD_U8)
            put_bytes(e, p + f->offset, f->count);
        else
            put_numbers(e, f, p + f->offset);
    }
    put(e, "}");
}

/* ---- the whole ----------------------------------------------------------- */

/* Go on to a kind; those between have no records. 0: the end. */
static void
begin_kind(struct export *e, uint32_t kind)
{
    uint32_t last = kind == 0 ? ULV_COUNT_OF(record_kinds) - 1 : kind;

    while (e->kind < last) {
        if (ulv_record_is_kept(e->kind))
            put(e, e->first ? "]" : "\n ]");
        e->kind++;
        if (!ulv_record_is_kept(e->kind))
            continue;
        put(e, ",\n \"");
        put(e, record_kinds[e->kind].name);
        put(e, "\": [");
        e->first = true;
    }
    if (kind == 0)
        put(e, e->first ? "]" : "\n ]");
}

/* The next of them; none: the end. */
static ulv_status
put_records(void *opaque, const struct ulv_cursor_records *page)
{
    struct export *e = opaque;
    const uint8_t *p = page->records;

    if (!e->begun) {
        put(e, "{\n \"format\": \"" ULV_RECORDS_FORMAT "\",\n \"version\": ");
        put_number(e, ULV_RECORDS_VERSION);
        put(e, ",\n \"revision\": ");
        put_number(e, page->revision);
        e->begun = true;
    }
    if (page->count != 0)
        begin_kind(e, page->kind);
    for (uint32_t i = 0; i < page->count; i++)
        put_record(e, &record_kinds[page->kind],
                   p + (size_t)i * record_kinds[page->kind].bytes);
    if (page->count == 0) {
        begin_kind(e, 0);
        put(e, "\n}\n");
        flush(e);
    }
    return e->status;
}

static struct export *
begin(ulv_export_fn write, void *opaque, struct ulv_diag *diag)
{
    struct export *e = calloc(1, sizeof(*e));

    if (e == NULL) {
        (void)ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*e), 0,
                       "no memory to write the database");
        return NULL;
    }
    e->write = write;
    e->opaque = opaque;
    return e;
}

static ulv_status
end(struct export *e, ulv_status status, struct ulv_diag *diag)
{
    if (status != ULV_OK && e->status != ULV_OK)
        (void)ulv_fail(diag, status, 0, 0, 0,
                       "the database could not be written: %s",
                       ulv_status_text(status));
    free(e);
    return status;
}

static uint32_t
all_kinds(void)
{
    uint32_t kinds = 0;

    for (uint32_t kind = 1; kind < ULV_COUNT_OF(record_kinds); kind++) {
        if (ulv_record_is_kept(kind))
            kinds |= ULV_CURSOR_KIND(kind);
    }
    return kinds;
}

ulv_status
ulv_system_export(ulv_system *system, ulv_export_fn write, void *opaque,
                  struct ulv_diag *diag)
{
    struct ulv_cursor_records page = ULV_CURSOR_RECORDS_INIT;
    struct export *e = begin(write, opaque, diag);
    ulv_cursor *cursor;
    ulv_status status;

    if (e == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_cursor_open(system, all_kinds(), 0, &cursor, diag);
    do {
        if (status == ULV_OK)
            status = ulv_cursor_next(cursor, &page, diag);
        if (status == ULV_OK)
            status = put_records(e, &page);
    } while (status == ULV_OK && page.count != 0);
    ulv_cursor_close(cursor);
    return end(e, status, diag);
}

ulv_status
ulv_posix_export(const struct ulv_storage *storage, ulv_export_fn write,
                 void *opaque, struct ulv_diag *diag)
{
    struct export *e = begin(write, opaque, diag);

    if (e == NULL)
        return ULV_E_NO_MEMORY;
    return end(
        e, ulv_storage_read(ulv_posix_host(), storage, put_records, e, diag),
        diag);
}
