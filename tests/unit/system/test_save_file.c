/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The stream of a saved partition: what is written is read back, whole. */
#include "../port/port_test.h"

#include <stdlib.h>

#include <ultravisor/posix.h>

#include "base/base.h"
#include "system/save_file.h"

#define PAGE      4096u
#define ROOM      65536u
#define NO_FAILURE UINT32_MAX

struct stream {
    uint8_t data[ROOM];
    size_t len;
    uint32_t writes, fail_at;
    uint8_t memory[4 * PAGE]; /* from 0x400000 */
    uint8_t content[2];
    uint32_t monitor_version; /* 0: the newest */
};

static ulv_status
write_some(void *opaque, const void *p, size_t len)
{
    struct stream *s = opaque;

    if (s->writes++ == s->fail_at)
        return ULV_E_MEDIUM;
    assert_true(len <= ROOM - s->len);
    memcpy(s->data + s->len, p, len);
    s->len += len;
    return ULV_OK;
}

static ulv_status
read_some(void *self, uint64_t offset, void *buf, size_t len)
{
    const struct stream *s = self;

    memcpy(buf, s->data + offset, len);
    return ULV_OK;
}

static ulv_status
take_memory(void *self, uint64_t guest, const uint8_t *bytes, uint64_t len,
            struct ulv_diag *diag)
{
    struct stream *s = self;

    (void)diag;
    memcpy(s->memory + (guest - 0x400000), bytes, len);
    return ULV_OK;
}

static ulv_status
take_content(void *self, const struct ulv_save_channel *channel,
             const struct ulv_save_content *where, const uint8_t *bytes,
             struct ulv_diag *diag)
{
    struct stream *s = self;

    (void)diag;
    assert_int_equal(channel->slot, 3);
    assert_int_equal(where->bytes, PAGE);
    s->content[where->place] = bytes[0];
    return ULV_OK;
}

/* A processor of the mock backend, as it was saved. */
static size_t
save_monitor(uint8_t *to, uint32_t version)
{
    const struct ulv_backend_ops *mock = ulv_backend_find("mock");
    struct ulv_save_monitor head = { .version = version,
                                     .processor_count = 1,
                                     .time = 77 };
    struct ulv_save_processor p = { .flags = ULV_SAVE_ON };
    const struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                         .vcpu_count = 1,
                                         .host = ulv_posix_host() };
    uint8_t *machine = calloc(1, mock->machine_bytes);
    uint8_t *vcpu = calloc(1, mock->vcpu_bytes);
    uint8_t state[256];
    size_t bytes = 0, own = version == 1 ? 40 : sizeof(p);

    assert_int_equal(mock->machine_init(machine, &cfg, NULL), ULV_OK);
    assert_int_equal(mock->vcpu_init(vcpu, machine, 0, (ulv_gpa){ 0x400000 },
                                     (ulv_gpa){ 0x500000 }, 0, NULL),
                     ULV_OK);
    assert_int_equal(mock->vcpu_save(vcpu, state, sizeof(state), &bytes, NULL),
                     ULV_OK);
    mock->vcpu_fini(vcpu);
    mock->machine_fini(machine);
    free(vcpu);
    free(machine);
    p.state_bytes = bytes;
    memcpy(to, &head, sizeof(head));
    memcpy(to + sizeof(head), &p, own);
    memcpy(to + sizeof(head) + own, state, bytes);
    return sizeof(head) + own + ulv_round_up(bytes, 8);
}

static ulv_status
write_all(struct stream *s)
{
    const struct ulv_sink sink = { sizeof(sink), 0, write_some, s };
    const struct ulv_save_partition partition = { .id = 9,
                                                  .name = "web",
                                                  .memory_bytes = 3 * PAGE,
                                                  .processor_count = 1,
                                                  .range_count = 1,
                                                  .channel_count = 1 };
    const struct ulv_save_channel channel = { .bytes = 3 * PAGE,
                                              .slot = 3,
                                              .served = 1 };
    const struct ulv_save_range range = { 0x400000, 3 * PAGE };
    const struct ulv_save_range piece = { 0x401000, PAGE };
    uint8_t page[PAGE], monitor[512] = { 0 };
    size_t monitor_bytes = save_monitor(
        monitor, s->monitor_version == 0 ? 2 : s->monitor_version);
    struct save_writer w;
    ulv_status status = ulv_save_begin(&w, &sink, "mock");

    memset(page, 'x', sizeof(page));
    if (status == ULV_OK)
        status = ulv_save_put(&w, ULV_SAVE_PARTITION, &partition,
                              sizeof(partition), NULL, 0);
    if (status == ULV_OK)
        status = ulv_save_put(&w, ULV_SAVE_LAYOUT, &range, sizeof(range), NULL,
                              0);
    for (int i = 0; i < 2 && status == ULV_OK; i++) {
        page[0] = (uint8_t)i; /* the second one counts */
        status = ulv_save_put(&w, ULV_SAVE_MEMORY, &piece, sizeof(piece), page,
                              sizeof(page));
    }
    if (status == ULV_OK)
        status = ulv_save_put(&w, ULV_SAVE_CHANNELS, &channel,
                              sizeof(channel), NULL, 0);
    for (uint32_t i = 0; i < 2 && status == ULV_OK; i++) {
        const struct ulv_save_content where = { 3, i, i == 0 ? PAGE : 0,
                                                PAGE };

        page[0] = (uint8_t)(10 + i);
        status = ulv_save_put(&w, ULV_SAVE_CONTENT, &where, sizeof(where),
                              page, sizeof(page));
    }
    if (status == ULV_OK)
        status = ulv_save_put(&w, ULV_SAVE_MONITOR, monitor, monitor_bytes,
                              NULL, 0);
    return status == ULV_OK ? ulv_save_finish(&w) : status;
}

static ulv_status
read_all(struct stream *s, struct save_file *f)
{
    const struct save_reader reader = { .host = ulv_posix_host(),
                                        .read = read_some,
                                        .self = s,
                                        .bytes = s->len,
                                        .backend = ulv_backend_find };
    struct ulv_diag diag = ULV_DIAG_INIT;
    const struct save_visitor visitor = { take_memory, take_content, s };
    ulv_status status = ulv_save_read(f, &reader, &visitor, &diag);

    assert_int_equal(diag.status, status);
    return status;
}

static void
test_system_save_file__is_read_back(void **state)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct save_file f;

    (void)state;
    s->fail_at = NO_FAILURE;
    assert_int_equal(write_all(s), ULV_OK);
    assert_int_equal(read_all(s, &f), ULV_OK);
    assert_string_equal(f.partition.name, "web");
    assert_int_equal(f.partition.id, 9);
    assert_int_equal(f.head.time, 77);
    assert_string_equal(f.backend->name, "mock");
    assert_int_equal(f.memory_bytes, 2 * PAGE);
    assert_int_equal(s->memory[0], 0);
    assert_int_equal(s->memory[PAGE], 1);
    assert_int_equal(s->memory[PAGE + 1], 'x');
    assert_int_equal(s->memory[2 * PAGE], 0);
    assert_int_equal(s->content[0], 10);
    assert_int_equal(s->content[1], 11);
    ulv_save_close(&f);
    free(s);
}

/* What was saved before there were interrupts. */
static void
test_system_save_file__older_versions(void **state)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct save_file f;
    uint32_t crc;

    (void)state;
    s->fail_at = NO_FAILURE;
    s->monitor_version = 1;
    assert_int_equal(write_all(s), ULV_OK);
    for (uint32_t version = 0; version < 4; version++) {
        memcpy(s->data + 8, &version, sizeof(version));
        crc = ulv_crc32c(0, s->data, 60);
        memcpy(s->data + 60, &crc, sizeof(crc));
        assert_int_equal(read_all(s, &f),
                         version == 1 || version == 2 ? ULV_OK : ULV_E_FORMAT);
        if (version == 1 || version == 2)
            ulv_save_close(&f);
    }
    free(s);
}

/* No byte of it can differ: each is under a checksum. */
static void
test_system_save_file__every_byte_counts(void **state)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct save_file f;
    size_t len;

    (void)state;
    s->fail_at = NO_FAILURE;
    assert_int_equal(write_all(s), ULV_OK);
    len = s->len;
    for (size_t at = 0; at < len; at += at > 800 && at + 800 < len ? 97 : 1) {
        s->data[at] ^= 0x10;
        assert_int_not_equal(read_all(s, &f), ULV_OK);
        s->data[at] ^= 0x10;
        s->len = at;
        assert_int_equal(read_all(s, &f), ULV_E_FORMAT);
        s->len = len;
    }
    assert_int_equal(read_all(s, &f), ULV_OK);
    ulv_save_close(&f);
    free(s);
}

static void
test_system_save_file__a_sink_that_fails(void **state)
{
    struct stream *s = calloc(1, sizeof(*s));
    uint32_t writes;

    (void)state;
    s->fail_at = NO_FAILURE;
    assert_int_equal(write_all(s), ULV_OK);
    writes = s->writes;
    for (uint32_t i = 0; i < writes; i++) {
        memset(s, 0, sizeof(*s));
        s->fail_at = i;
        assert_int_equal(write_all(s), ULV_E_MEDIUM);
        assert_int_equal(s->writes, i + 1);
    }
    free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_save_file__is_read_back),
        cmocka_unit_test(test_system_save_file__older_versions),
        cmocka_unit_test(test_system_save_file__every_byte_counts),
        cmocka_unit_test(test_system_save_file__a_sink_that_fails),
    };

    return cmocka_run_group_tests_name("system-save_file", tests, NULL, NULL);
}
