/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The answers to a session's latest transactions, by number. A place is taken
 * before its transaction is begun, so that there is always memory for it.
 */
#include "command/ahead.h"

#include "base/base.h"

/* Where that one is remembered; NULL: no memory for it. */
static struct ulv_message_transaction_answer *
slot_of(struct ulv_command_session *session, uint64_t number)
{
    const struct ulv_host *host = session->server->host;
    uint64_t at = number % ULV_COMMAND_REMEMBERED;
    struct ulv_command_answers **answers =
        &session->remembered[at / ULV_COMMAND_ANSWERS];

    if (*answers == NULL)
        *answers = host->alloc(host->self, sizeof(**answers), 8);
    return *answers == NULL ? NULL
                            : &(*answers)->answer[at % ULV_COMMAND_ANSWERS];
}

void
ulv_command_remember(struct ulv_command_session *session,
                     const struct ulv_message_transaction_answer *answer)
{
    *slot_of(session, answer->m.request) = *answer;
}

void
ulv_command_forget(struct ulv_command_session *session)
{
    const struct ulv_host *host = session->server->host;

    for (size_t i = 0; i < ULV_COUNT_OF(session->remembered); i++) {
        host->free(host->self, session->remembered[i],
                   sizeof(*session->remembered[i]));
        session->remembered[i] = NULL;
    }
    session->newest = 0;
    ulv_command_ahead_unwatch(session);
}

bool
ulv_command_meet(struct ulv_command_session *session, const uint8_t client[16])
{
    bool other =
        !session->greeted || !ulv_guid_equal(session->client, client);

    /* a successor numbers from 1 again, and none of it is a retry */
    if (other)
        ulv_command_forget(session);
    memcpy(session->client, client, sizeof(session->client));
    return other;
}

ulv_status
ulv_command_recall(struct ulv_command_session *session, uint64_t number,
                   uint64_t revision, uint64_t newest)
{
    const struct ulv_message_transaction_answer answer = {
        .m.request = number,
        .operation_idx = UINT32_MAX,
        .revision = revision,
    };

    if (slot_of(session, number) == NULL)
        return ULV_E_NO_MEMORY;
    session->newest = ULV_MAX(session->newest, newest);
    ulv_command_remember(session, &answer);
    return ULV_OK;
}

ulv_status
ulv_command_find(struct ulv_command_session *session, uint64_t number)
{
    const struct ulv_message_transaction_answer *slot =
        slot_of(session, number);

    if (slot == NULL)
        return ULV_E_NO_MEMORY;
    if (number == 0)
        return ULV_E_EXPIRED;
    if (slot->m.request == number)
        return ULV_OK;
    return number > session->newest ||
                   session->newest - number < ULV_COMMAND_REMEMBERED
               ? ULV_E_NOT_FOUND
               : ULV_E_EXPIRED;
}

void
ulv_command_refuse(struct ulv_command_session *session, uint64_t number,
                   ulv_status status, bool remember)
{
    struct ulv_message_transaction_answer answer = {
        .m.request = number,
        .status = status,
        .operation_idx = UINT32_MAX,
        .value = number,
        .bound = session->newest,
    };

    ulv_string_copy(answer.text, sizeof(answer.text),
                    ulv_status_text(status));
    if (remember) {
        session->newest = ULV_MAX(session->newest, number);
        ulv_command_remember(session, &answer);
    }
    ulv_command_session_send(session, &answer);
}

bool
ulv_command_is_known(struct ulv_command_session *session, uint64_t number)
{
    ulv_status status = ulv_command_find(session, number);

    if (status == ULV_OK) {
        ulv_command_session_send(session, slot_of(session, number));
    } else if (status != ULV_E_NOT_FOUND) {
        ulv_command_refuse(session, number, status, false);
    } else {
        session->newest = ULV_MAX(session->newest, number);
        slot_of(session, number)->m.request = number; /* known from now on */
        return false;
    }
    return true;
}
