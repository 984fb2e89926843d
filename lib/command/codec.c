/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "command/codec.h"

#include "base/base.h"

static ulv_status
decode_transaction(const void *bytes, size_t len,
                   struct ulv_command_request *ret)
{
    const struct ulv_message_transaction *t = bytes;
    const uint8_t *at = (const uint8_t *)bytes + sizeof(*t);

    if (len < sizeof(*t))
        return ULV_E_PEER_LENGTH;
    if (t->precondition_count > ULV_PRECONDITION_COUNT_MAX ||
        t->operation_count > ULV_OPERATION_COUNT_MAX ||
        len != sizeof(*t) +
                   t->precondition_count * sizeof(struct ulv_precondition) +
                   t->operation_count * sizeof(struct ulv_operation))
        return ULV_E_PEER_LENGTH;
    if (t->rsvd_ != 0 || (t->options & ~ULV_TRANSACTION_DRY_RUN) != 0)
        return ULV_E_PEER_PROTOCOL;
    ret->u.transaction = t;
    ret->preconditions = (const void *)at;
    ret->operations =
        (const void *)(at + t->precondition_count *
                                sizeof(struct ulv_precondition));
    for (uint32_t i = 0; i < t->operation_count; i++) {
        if (ret->operations[i].rsvd_ != 0)
            return ULV_E_PEER_PROTOCOL;
    }
    return ULV_OK;
}

ulv_status
ulv_command_decode(const void *bytes, size_t len,
                   struct ulv_command_request *ret)
{
    const struct ulv_message *m = bytes;

    memset(ret, 0, sizeof(*ret));
    if (len < sizeof(*m) || m->bytes != len)
        return ULV_E_PEER_LENGTH;
    if (m->version != ULV_COMMAND_VERSION)
        return ULV_E_PEER_PROTOCOL;
    ret->kind = m->kind;
    ret->request = m->request;
    switch (m->kind) {
    case ULV_MESSAGE_HELLO:
        ret->u.hello = bytes;
        return len == sizeof(*ret->u.hello) ? ULV_OK : ULV_E_PEER_LENGTH;
    case ULV_MESSAGE_QUERY:
        ret->u.query = bytes;
        if (len != sizeof(*ret->u.query))
            return ULV_E_PEER_LENGTH;
        return ret->u.query->rsvd_ == 0 ? ULV_OK : ULV_E_PEER_PROTOCOL;
    case ULV_MESSAGE_TRANSACTION:
        return decode_transaction(bytes, len, ret);
    default:
        return ULV_E_PEER_PROTOCOL;
    }
}

ulv_status
ulv_command_decode_answer(const void *bytes, size_t len,
                          struct ulv_message *ret)
{
    size_t least;

    if (len < sizeof(*ret))
        return ULV_E_PEER_LENGTH;
    memcpy(ret, bytes, sizeof(*ret));
    if (ret->bytes != len)
        return ULV_E_PEER_LENGTH;
    if (ret->version != ULV_COMMAND_VERSION)
        return ULV_E_PEER_PROTOCOL;
    switch (ret->kind) {
    case ULV_MESSAGE_HELLO | ULV_MESSAGE_ANSWER:
        least = sizeof(struct ulv_message_hello_answer);
        break;
    case ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER:
        least = sizeof(struct ulv_message_transaction_answer);
        break;
    case ULV_MESSAGE_QUERY | ULV_MESSAGE_ANSWER:
        least = sizeof(struct ulv_message_query_answer);
        break;
    default:
        return ULV_E_PEER_PROTOCOL;
    }
    if (len < least)
        return ULV_E_PEER_LENGTH;
    if (ret->kind == (ULV_MESSAGE_TRANSACTION | ULV_MESSAGE_ANSWER)) {
        const struct ulv_message_transaction_answer *answer = bytes;

        if (ulv_string_length(answer->text, sizeof(answer->text)) ==
            sizeof(answer->text))
            return ULV_E_PEER_PROTOCOL;
    }
    return ULV_OK;
}
