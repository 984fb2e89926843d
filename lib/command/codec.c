/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "command/codec.h"

#include "base/base.h"

/* A word in which these bits have to be zero: all, where a field is reserved;
 * those of the last byte, where a text ends. Places are in words. */
struct message_bits {
    uint32_t zero, at;
};

/* Elements behind the message, and the word that counts them. */
struct message_tail {
    uint16_t count_max;
    uint8_t count_at; /* 0: there are none */
    uint8_t bytes;    /* of each; 0: as the word bytes_at says */
    uint8_t bytes_at;
    uint8_t zero_at; /* a word of each; 0: nothing is reserved */
};

struct message_shape {
    uint16_t kind, bytes;
    struct message_bits bits[2];
    struct message_tail tail[2];
};

#include "command_table.h"

static ulv_status
check_shape(const struct message_shape *shape, const uint32_t *words,
            uint64_t len)
{
    uint64_t at = shape->bytes;

    if (len < at)
        return ULV_E_PEER_LENGTH;
    for (const struct message_tail *t = shape->tail;
         t < shape->tail + 2 && t->count_at != 0; t++) {
        uint64_t count = words[t->count_at], each = t->bytes;

        if (each == 0)
            each = words[t->bytes_at];
        if (count > t->count_max || count * each > len - at)
            return ULV_E_PEER_LENGTH;
        for (; count > 0; count--, at += each) {
            if (t->zero_at != 0 && words[at / 4 + t->zero_at] != 0)
                return ULV_E_PEER_PROTOCOL;
        }
    }
    if (at != len)
        return ULV_E_PEER_LENGTH;
    for (uint32_t i = 0; i < 2; i++) {
        if ((words[shape->bits[i].at] & shape->bits[i].zero) != 0)
            return ULV_E_PEER_PROTOCOL;
    }
    return ULV_OK;
}

static ulv_status
check(const void *bytes, size_t len, bool from_server)
{
    const struct ulv_message *m = bytes;

    if (len < sizeof(*m) || m->bytes != len)
        return ULV_E_PEER_LENGTH;
    if (m->version != ULV_COMMAND_VERSION ||
        (m->kind >= ULV_MESSAGE_ANSWER) != from_server)
        return ULV_E_PEER_PROTOCOL;
    for (size_t i = 0; i < ULV_COUNT_OF(message_shapes); i++) {
        if (message_shapes[i].kind == m->kind)
            return check_shape(&message_shapes[i], bytes, len);
    }
    return ULV_E_PEER_PROTOCOL;
}

void
ulv_command_describe(const struct ulv_message *m,
                     struct ulv_command_request *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->kind = m->kind;
    ret->request = m->request;
    ret->u.message = m;
    if (m->kind == ULV_MESSAGE_TRANSACTION) {
        ret->preconditions = (const void *)(ret->u.transaction + 1);
        ret->operations =
            (const void *)(ret->preconditions +
                           ret->u.transaction->precondition_count);
    } else if (ULV_LARGE_TRANSACTIONS && m->kind == ULV_MESSAGE_OPERATIONS) {
        ret->operations = (const void *)(ret->u.operations + 1);
    }
}

ulv_status
ulv_command_decode(const void *bytes, size_t len,
                   struct ulv_command_request *ret)
{
    ulv_status status = check(bytes, len, false);

    if (status == ULV_OK)
        ulv_command_describe(bytes, ret);
    return status;
}

ulv_status
ulv_command_decode_answer(const void *bytes, size_t len)
{
    return check(bytes, len, true);
}
