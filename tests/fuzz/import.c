/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A database from a text of any bytes. What is believed fills a storage, whose
 * database keeps every invariant; written and read again it is the same, byte
 * by byte. What is refused leaves the storage empty, and says why.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/posix.h>

#include "base/base.h"
#include "database/journal.h"
#include "port/test/storage.h"

#include "fuzz.h"

struct written {
    char *p;
    size_t len;
};

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static ulv_status
append(void *opaque, const void *p, size_t len)
{
    struct written *w = opaque;

    w->p = realloc(w->p, w->len + len);
    require(w->p != NULL);
    memcpy(w->p + w->len, p, len);
    w->len += len;
    return ULV_OK;
}

/* The storage's database holds, and is written. */
static struct written
write_down(const struct ulv_test_storage *s)
{
    struct written w = { NULL, 0 };
    struct ulv_database *db;
    bool found;

    require(ulv_database_create(ulv_posix_host(), &db) == ULV_OK);
    require(ulv_journal_read(db, &s->storage, &found, NULL) == ULV_OK);
    require(found && ulv_database_check(db, NULL) == ULV_OK);
    ulv_database_destroy(db);
    require(ulv_posix_export(&s->storage, append, &w, NULL) == ULV_OK);
    return w;
}

static void
compare(const struct written *first)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_test_storage s;
    struct written again;

    ulv_test_storage_init(&s);
    require(ulv_posix_import(&s.storage, "again", first->p, first->len,
                             &diag) == ULV_OK);
    again = write_down(&s);
    require(again.len == first->len &&
            memcmp(again.p, first->p, first->len) == 0);
    ulv_test_storage_fini(&s);
    free(again.p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_test_storage s;
    struct written first;
    ulv_status status;

    ulv_test_storage_init(&s);
    status =
        ulv_posix_import(&s.storage, "input", (const char *)data, size, &diag);
    if (status == ULV_OK) {
        first = write_down(&s);
        compare(&first);
        free(first.p);
    } else {
        require(diag.status == status && diag.text[0] != '\0');
        require(status != ULV_E_INTERNAL);
        for (uint32_t i = 0; i < ULV_STORAGE_OBJECTS; i++)
            require(s.now[i].bytes == 0);
    }
    ulv_test_storage_fini(&s);
    return 0;
}
