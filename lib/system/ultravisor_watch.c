/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What clients of the ultravisor can watch and read: what its transactions
 * change, and cursors. */
#include "base/base.h"
#include "database/observe.h"
#include "system/ultravisor.h"

ulv_status
ulv_ultravisor_observe(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;
    ulv_status status;

    r->changes = host->alloc(host->self, sizeof(*r->changes), 8);
    if (r->changes == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_changes_init(r->changes, host, ulv_database_revision(r->db));
    if (status == ULV_OK)
        status = ulv_database_observe(r->db, r->changes);
    r->sessions.server.changes = r->changes;
    return status;
}

void
ulv_ultravisor_unobserve(struct ultravisor_role *r)
{
    const struct ulv_host *host = r->role.host;

    if (r->changes == NULL)
        return;
    /* the database may outlive the role */
    ulv_database_unobserve(r->db);
    ulv_changes_fini(r->changes);
    host->free(host->self, r->changes, sizeof(*r->changes));
    r->changes = NULL;
}

void
ulv_ultravisor_on_cursor(void *self, struct ulv_command_session *session,
                         const struct ulv_message_cursor *asked)
{
    struct ultravisor_role *r = self;
    struct ulv_message_cursor_answer header = { .cursor = asked->cursor };
    uint8_t *records = (uint8_t *)r->views.picture; /* scratch */
    struct ulv_cursor_page page = { .more = false };

    if (asked->what == ULV_CURSOR_OPEN)
        header.status = ulv_database_cursor_open(
            r->db, session->client, asked->kinds, asked->partition,
            &header.cursor);
    if (header.status == ULV_OK && asked->what == ULV_CURSOR_CLOSE) {
        ulv_database_cursor_close(r->db, session->client, asked->cursor);
    } else if (header.status == ULV_OK) {
        ulv_ultravisor_look_at_channels(r);
        header.status = ulv_database_cursor_next(
            r->db, session->client, header.cursor, records,
            ULV_COMMAND_MESSAGE_MAX - sizeof(header), &page);
    }
    header.kind = page.kind;
    header.record_bytes = page.record_bytes;
    header.record_count = page.record_count;
    header.revision = page.revision;
    if (!page.more)
        header.cursor = 0;
    ulv_command_answer_cursor(session, &header, records);
}
