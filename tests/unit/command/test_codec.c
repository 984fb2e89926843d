/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Messages byte by byte: those of doc/formats/command.md are understood, all
 * others are refused, and nothing is read beyond them.
 */
#include "command_test.h"

/* Offsets as the document has them. */
#define AT_BYTES        0
#define AT_KIND         4
#define AT_VERSION      6
#define AT_REQUEST      8
#define AT_OPTIONS      16
#define AT_PRECONDITION 20
#define AT_OPERATION    24
#define AT_MORE         28
#define AT_DEADLINE     32
#define AT_TAIL         40

static void
put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void
put_header(uint8_t *bytes, size_t len, uint64_t kind)
{
    put(bytes + AT_BYTES, len, 4);
    put(bytes + AT_KIND, kind, 2);
    put(bytes + AT_VERSION, 1, 2);
    put(bytes + AT_REQUEST, UINT64_C(0x1122334455667788), 8);
}

static size_t
transaction_len(uint32_t preconditions, uint32_t operations)
{
    return AT_TAIL + 16 * (size_t)preconditions + 96 * (size_t)operations;
}

/* A right one, in memory that ends where it does. */
static uint8_t *
make_transaction(uint32_t preconditions, uint32_t operations)
{
    size_t len = transaction_len(preconditions, operations);
    uint8_t *bytes = calloc(1, len), *at;

    assert_non_null(bytes);
    put_header(bytes, len, ULV_MESSAGE_TRANSACTION);
    put(bytes + AT_PRECONDITION, preconditions, 4);
    put(bytes + AT_OPERATION, operations, 4);
    put(bytes + AT_DEADLINE, 1000000, 8);
    at = bytes + AT_TAIL;
    for (uint32_t i = 0; i < preconditions; i++, at += 16) {
        put(at, 100 + i, 8);
        put(at + 8, 200 + i, 8);
    }
    for (uint32_t i = 0; i < operations; i++, at += 96) {
        put(at, 1 + i % 14, 4);
        put(at + 8, 300 + i, 8);
    }
    return bytes;
}

/* Decode a copy that has exactly len bytes. */
static ulv_status
decode_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    struct ulv_command_request request;
    ulv_status status;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    status = ulv_command_decode(copy, len, &request);
    assert_memory_equal(copy, bytes, len);
    free(copy);
    return status;
}

static ulv_status
decode_answer_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    ulv_status status;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    status = ulv_command_decode_answer(copy, len);
    free(copy);
    return status;
}

static void
test_command_decode__understands_each_request(void **state)
{
    uint64_t words[4] = { 0 };
    uint8_t *bytes = (uint8_t *)words;
    struct ulv_command_request r;

    (void)state;
    put_header(bytes, 32, 1);
    put(bytes + 16, 0x1f, 8);
    assert_int_equal(ulv_command_decode(bytes, 32, &r), ULV_OK);
    assert_int_equal(r.kind, ULV_MESSAGE_HELLO);
    assert_int_equal(r.request, UINT64_C(0x1122334455667788));
    assert_int_equal(r.u.hello->session[0], 0x1f);
    put_header(bytes, 32, 3);
    put(bytes + 16, 6, 4);
    put(bytes + 20, 0, 4);
    put(bytes + 24, 77, 8);
    assert_int_equal(ulv_command_decode(bytes, 32, &r), ULV_OK);
    assert_int_equal(r.kind, ULV_MESSAGE_QUERY);
    assert_int_equal(r.u.query->kind, ULV_QUERY_LOG);
    assert_int_equal(r.u.query->after, 77);
    put(bytes + 20, 1, 4);
    assert_int_equal(decode_copy(bytes, 32), ULV_E_PEER_PROTOCOL);
}

static void
test_command_decode__finds_every_operation(void **state)
{
    static const uint32_t counts[][2] = {
        { 0, 0 }, { 1, 0 }, { 0, 1 }, { 3, 5 },
        { ULV_PRECONDITION_COUNT_MAX, ULV_OPERATION_MESSAGE_MAX },
    };

    (void)state;
    for (size_t n = 0; n < ULV_COUNT_OF(counts); n++) {
        size_t len = transaction_len(counts[n][0], counts[n][1]);
        uint8_t *bytes = make_transaction(counts[n][0], counts[n][1]);
        struct ulv_command_request r;

        put(bytes + AT_OPTIONS, n & 1, 4);
        assert_int_equal(ulv_command_decode(bytes, len, &r), ULV_OK);
        assert_int_equal(r.u.transaction->options, n & 1);
        assert_int_equal(r.u.transaction->deadline, 1000000);
        assert_int_equal(r.u.transaction->precondition_count, counts[n][0]);
        assert_int_equal(r.u.transaction->operation_count, counts[n][1]);
        for (uint32_t i = 0; i < counts[n][0]; i++) {
            assert_int_equal(r.preconditions[i].object, 100 + i);
            assert_int_equal(r.preconditions[i].version, 200 + i);
        }
        for (uint32_t i = 0; i < counts[n][1]; i++) {
            assert_int_equal(r.operations[i].kind, 1 + i % 14);
            assert_int_equal(r.operations[i].u.words[0], 300 + i);
        }
        free(bytes);
    }
    assert_int_equal(transaction_len(ULV_PRECONDITION_COUNT_MAX,
                                     ULV_OPERATION_MESSAGE_MAX),
                     ULV_COMMAND_MESSAGE_MAX);
    assert_true(ULV_COMMAND_MESSAGE_MAX <=
                ulv_ring_record_max(ULV_COMMAND_RING_BYTES));
}

static void
test_command_decode__finds_more_operations(void **state)
{
    uint64_t words[3 + 2 * 12] = { 0 };
    uint8_t *bytes = (uint8_t *)words;
    const size_t len = sizeof(words);
    struct ulv_command_request r;

    (void)state;
    put_header(bytes, len, ULV_MESSAGE_OPERATIONS);
    put(bytes + 16, 2, 4);
    put(bytes + 24, 3, 4);
    put(bytes + 24 + 96 + 8, 77, 8);
    assert_int_equal(ulv_command_decode(bytes, len, &r), ULV_OK);
    assert_int_equal(r.u.operations->operation_count, 2);
    assert_int_equal(r.operations[0].kind, 3);
    assert_int_equal(r.operations[1].u.words[0], 77);
    put(bytes + 16, 3, 4);
    assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
    put(bytes + 16, 2, 4);
    put(bytes + 20, 1, 4);
    assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_PROTOCOL);
    put(bytes + 20, 0, 4);
    put(bytes + 24 + 96 + 4, 1, 4);
    assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_PROTOCOL);
}

static void
test_command_decode__refuses_every_other_length(void **state)
{
    static const uint64_t kinds[] = { 1, 3, 2 };

    (void)state;
    for (size_t k = 0; k < ULV_COUNT_OF(kinds); k++) {
        size_t right = kinds[k] == 2 ? transaction_len(1, 2) : 32;
        uint8_t bytes[512] = { 0 }, *t = make_transaction(1, 2);

        if (kinds[k] == 2)
            memcpy(bytes, t, right);
        free(t);
        put_header(bytes, right, kinds[k]);
        assert_int_equal(decode_copy(bytes, right), ULV_OK);
        for (size_t len = 0; len < sizeof(bytes); len++) {
            if (len == right)
                continue;
            /* the header says one length, the record another */
            put(bytes, right, 4);
            assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
            /* they agree, but no such message is that long */
            put(bytes, len, 4);
            assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
        }
    }
}

static void
test_command_decode__refuses_counts_that_lie(void **state)
{
    static const uint64_t lies[] = {
        0, 2, 64, 65, 128, 129, 0x7fffffff, 0x80000000, 0xffffffff,
        /* times 16 or 96 these are 0 in 32 bits */
        0x10000000, 0x08000000, 0x10000001, 0xf0000001,
    };
    uint8_t *bytes = make_transaction(1, 1);
    size_t len = transaction_len(1, 1);

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(lies); i++) {
        put(bytes + AT_PRECONDITION, lies[i], 4);
        assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
        put(bytes + AT_OPERATION, lies[i], 4);
        assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
        put(bytes + AT_PRECONDITION, 1, 4);
        assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
        put(bytes + AT_OPERATION, 1, 4);
    }
    assert_int_equal(decode_copy(bytes, len), ULV_OK);
    free(bytes);
    /* one too many, and as long as it says */
    bytes = make_transaction(ULV_PRECONDITION_COUNT_MAX + 1, 0);
    len = transaction_len(ULV_PRECONDITION_COUNT_MAX + 1, 0);
    assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
    free(bytes);
    bytes = make_transaction(0, ULV_OPERATION_MESSAGE_MAX + 1);
    len = transaction_len(0, ULV_OPERATION_MESSAGE_MAX + 1);
    assert_int_equal(decode_copy(bytes, len), ULV_E_PEER_LENGTH);
    free(bytes);
}

/* What a flipped bit of make_transaction(1, 2) makes of it. */
static ulv_status
verdict(size_t at, uint32_t bit)
{
    size_t operation = (at - AT_TAIL - 16) % 96;

    if (at < AT_KIND)
        return ULV_E_PEER_LENGTH;
    if (at == AT_KIND && ((2 ^ 1u << bit) == ULV_MESSAGE_QUERY ||
                          (2 ^ 1u << bit) == ULV_MESSAGE_CURSOR))
        return ULV_E_PEER_LENGTH; /* too long for one */
    if (at < AT_REQUEST)
        return ULV_E_PEER_PROTOCOL;
    if (at < AT_OPTIONS || (at == AT_OPTIONS && bit <= 1))
        return ULV_OK;
    if (at < AT_PRECONDITION)
        return ULV_E_PEER_PROTOCOL;
    if (at < AT_MORE)
        return ULV_E_PEER_LENGTH;
    if (at < AT_MORE + 1 || (at == AT_MORE + 1 && bit < 4))
        return ULV_OK; /* up to 4095 may follow */
    if (at < AT_DEADLINE)
        return ULV_E_PEER_PROTOCOL;
    if (at < AT_TAIL + 16)
        return ULV_OK;
    return operation >= 4 && operation < 8 ? ULV_E_PEER_PROTOCOL : ULV_OK;
}

static void
test_command_decode__judges_every_flipped_bit(void **state)
{
    size_t len = transaction_len(1, 2);
    uint8_t *bytes = make_transaction(1, 2);

    (void)state;
    for (size_t at = 0; at < len; at++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            bytes[at] = (uint8_t)(bytes[at] ^ 1u << bit);
            assert_int_equal(decode_copy(bytes, len), verdict(at, bit));
            bytes[at] = (uint8_t)(bytes[at] ^ 1u << bit);
        }
    }
    assert_int_equal(decode_copy(bytes, len), ULV_OK);
    free(bytes);
}

static void
test_command_decode__takes_every_kind_or_none(void **state)
{
    uint8_t bytes[32] = { 0 };

    (void)state;
    for (uint64_t kind = 0; kind < 65536; kind++) {
        ulv_status expected = ULV_E_PEER_PROTOCOL;

        put_header(bytes, sizeof(bytes), kind);
        if (kind == ULV_MESSAGE_HELLO || kind == ULV_MESSAGE_QUERY)
            expected = ULV_OK;
        if (kind == ULV_MESSAGE_TRANSACTION || kind == ULV_MESSAGE_CANCEL ||
            kind == ULV_MESSAGE_WATCH || kind == ULV_MESSAGE_CURSOR ||
            kind == ULV_MESSAGE_OPERATIONS)
            expected = ULV_E_PEER_LENGTH;
        assert_int_equal(decode_copy(bytes, sizeof(bytes)), expected);
    }
}

/* Random bytes, the more of a right header the more often. */
static size_t
scramble(uint64_t *seed, uint64_t words[128])
{
    uint8_t *bytes = (uint8_t *)words;
    size_t len = random_next(seed) % 1024;
    uint64_t dice = random_next(seed);

    for (size_t i = 0; i < 128; i++)
        words[i] = random_next(seed) & random_next(seed) & random_next(seed);
    if (dice % 8 != 0)
        put(bytes + AT_BYTES, len, 4);
    if (dice % 7 != 0)
        put(bytes + AT_VERSION, 1, 2);
    if (dice % 5 != 0)
        put(bytes + AT_KIND, 1 + dice % 3, 2);
    if (dice % 4 != 0)
        put(bytes + AT_KIND + 1, dice >> 32 & 1, 1);
    if (dice % 3 != 0) {
        put(bytes + AT_PRECONDITION, dice >> 40 & 3, 4);
        put(bytes + AT_OPERATION, dice >> 44 & 7, 4);
    }
    return len;
}

static void
test_command_decode__survives_random_bytes(void **state)
{
    uint64_t seed = 20240117, words[128];
    uint32_t refused = 0;

    (void)state;
    for (uint32_t n = 0; n < 100000; n++) {
        size_t len = scramble(&seed, words);
        struct ulv_command_request r;
        ulv_status status;

        refused += decode_copy((const uint8_t *)words, len) != ULV_OK;
        refused += decode_answer_copy((const uint8_t *)words, len) != ULV_OK;
        status = ulv_command_decode(words, len, &r);
        if (status == ULV_OK && r.kind == ULV_MESSAGE_TRANSACTION)
            assert_ptr_equal(r.operations + r.u.transaction->operation_count,
                             (const uint8_t *)words + len);
        else if (status != ULV_OK)
            assert_true(status == ULV_E_PEER_LENGTH ||
                        status == ULV_E_PEER_PROTOCOL);
    }
    assert_true(refused > 100000);
}

static void
test_command_decode_answer__knows_each_kind(void **state)
{
    static const struct {
        uint64_t kind;
        size_t least;
    } answers[] = { { 0x101, 40 }, { 0x102, 248 }, { 0x103, 48 },
                    { 0x104, 24 }, { 0x105, 32 },  { 0x106, 48 },
                    { 0x205, 88 } };
    uint8_t bytes[256] = { 0 };

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(answers); i++) {
        size_t least = answers[i].least;

        put_header(bytes, least, answers[i].kind);
        assert_int_equal(decode_answer_copy(bytes, least), ULV_OK);
        for (size_t len = 0; len < least; len++) {
            assert_int_equal(decode_answer_copy(bytes, len),
                             ULV_E_PEER_LENGTH);
            put(bytes, len, 4);
            assert_int_equal(decode_answer_copy(bytes, len),
                             ULV_E_PEER_LENGTH);
            put(bytes, least, 4);
        }
    }
    for (uint64_t kind = 0; kind < 65536; kind++) {
        ulv_status expected = ULV_E_PEER_PROTOCOL;

        put_header(bytes, 248, kind);
        for (size_t i = 0; i < ULV_COUNT_OF(answers); i++) {
            if (answers[i].kind == kind)
                expected =
                    answers[i].least == 248 ? ULV_OK : ULV_E_PEER_LENGTH;
        }
        assert_int_equal(decode_answer_copy(bytes, 248), expected);
    }
}

static void
test_command_decode_answer__refuses_other_versions(void **state)
{
    uint8_t bytes[40] = { 0 };

    (void)state;
    for (uint64_t version = 0; version < 65536; version++) {
        put_header(bytes, sizeof(bytes), 0x101);
        put(bytes + AT_VERSION, version, 2);
        assert_int_equal(decode_answer_copy(bytes, sizeof(bytes)),
                         version == 1 ? ULV_OK : ULV_E_PEER_PROTOCOL);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_decode__understands_each_request),
        cmocka_unit_test(test_command_decode__finds_every_operation),
        cmocka_unit_test(test_command_decode__finds_more_operations),
        cmocka_unit_test(test_command_decode__refuses_every_other_length),
        cmocka_unit_test(test_command_decode__refuses_counts_that_lie),
        cmocka_unit_test(test_command_decode__judges_every_flipped_bit),
        cmocka_unit_test(test_command_decode__takes_every_kind_or_none),
        cmocka_unit_test(test_command_decode__survives_random_bytes),
        cmocka_unit_test(test_command_decode_answer__knows_each_kind),
        cmocka_unit_test(test_command_decode_answer__refuses_other_versions),
    };

    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
