/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A storage in a directory, and a journal in it: what is refused, in words, and
 * a disk that is full. */
#include "../database/journal_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ultravisor/posix.h>

static char folder[64], path[128];

static void
make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/ulv-storage-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static const char *
file(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void
write_file(const char *name, const void *p, size_t len)
{
    int fd = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, len), len);
    assert_int_equal(close(fd), 0);
}

static void
remove_folder(void)
{
    static const char *const names[] = { "checkpoint", "next", "segment-0",
                                         "segment-1", "letter" };

    for (size_t i = 0; i < ULV_COUNT_OF(names); i++)
        (void)unlink(file(names[i]));
    assert_int_equal(rmdir(folder), 0);
}

static ulv_status
open_folder(struct ulv_storage **ret, struct ulv_diag *diag)
{
    *diag = (struct ulv_diag)ULV_DIAG_INIT;
    return ulv_posix_storage_open(folder, ret, diag);
}

/* The storage is opened, and a journal refused in words; nothing changes. */
static void
expect_refusal(const char *words)
{
    struct ulv_storage *storage;
    struct ulv_diag diag;
    struct again a;

    assert_int_equal(open_folder(&storage, &diag), ULV_OK);
    assert_int_equal(open_again(&a, storage), ULV_E_FORMAT);
    print_message("# %s\n", a.diag.text);
    assert_non_null(strstr(a.diag.text, words));
    close_again(&a);
    storage->close(storage->self);
}

/* One with a few revisions in its segment. */
static void
make_journal(void)
{
    static struct model m;
    struct ulv_storage *storage;
    struct ulv_diag diag;

    make_folder();
    assert_int_equal(open_folder(&storage, &diag), ULV_OK);
    begin_journaled(&m, storage);
    for (uint64_t i = 0; i < 4; i++)
        model_create(&m, i);
    end_journaled(&m);
    storage->close(storage->self);
}

static void
test_port_storage__keeps_a_journal(void **state)
{
    static struct model m;
    struct ulv_storage *storage;
    struct ulv_diag diag;
    struct said said;
    struct again a;
    struct stat status;

    (void)state;
    make_folder();
    assert_int_equal(open_folder(&storage, &diag), ULV_OK);
    begin_journaled(&m, storage);
    for (uint32_t i = 0; i < 200; i++) {
        model_step(&m);
        if (i % 50 == 49)
            assert_int_equal(ulv_journal_checkpoint(m.journal, &diag), ULV_OK);
    }
    said = say_all(m.db);
    end_journaled(&m);
    storage->close(storage->self);
    assert_int_equal(stat(file("checkpoint"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(open_folder(&storage, &diag), ULV_OK);
    assert_int_equal(open_again(&a, storage), ULV_OK);
    assert_true(says(a.db, &said));
    close_again(&a);
    storage->close(storage->self);
    free(said.p);
    remove_folder();
}

static void
test_port_storage__refuses_a_wrong_directory(void **state)
{
    struct ulv_storage *storage, *other;
    struct ulv_diag diag = ULV_DIAG_INIT;

    (void)state;
    assert_int_equal(
        ulv_posix_storage_open("/nonexistent/x", &storage, &diag),
        ULV_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "/nonexistent/x"));
    assert_int_equal(ulv_posix_storage_open("/etc/passwd", &storage, &diag),
                     ULV_E_ARG);
    assert_non_null(strstr(diag.text, "not a directory"));
    make_folder();
    write_file("letter", "dear", 4);
    assert_int_equal(open_folder(&storage, &diag), ULV_E_ARG);
    assert_non_null(strstr(diag.text, "letter"));
    assert_int_equal(unlink(file("letter")), 0);
    assert_int_equal(open_folder(&storage, &diag), ULV_OK);
    assert_int_equal(open_folder(&other, &diag), ULV_E_BUSY);
    assert_non_null(strstr(diag.text, "another program"));
    storage->close(storage->self);
    remove_folder();
}

static void
test_port_storage__refuses_garbage(void **state)
{
    static const char garbage[300] = "It is a truth universally acknowledged";
    uint8_t header[64];
    int fd;

    (void)state;
    make_folder();
    write_file("checkpoint", garbage, sizeof(garbage));
    expect_refusal("no journal");
    write_file("checkpoint", garbage, 3);
    expect_refusal("too short");
    assert_int_equal(unlink(file("checkpoint")), 0);
    write_file("segment-1", garbage, sizeof(garbage));
    expect_refusal("checkpoint is missing");
    remove_folder();

    make_journal();
    write_file("segment-1", garbage, sizeof(garbage));
    expect_refusal("no journal");
    assert_int_equal(unlink(file("segment-1")), 0);
    expect_refusal("too short");
    remove_folder();

    make_journal(); /* and of a later version */
    fd = open(file("checkpoint"), O_RDWR);
    assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
    header[8] = 99;
    assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
    assert_int_equal(close(fd), 0);
    expect_refusal("of version 99, this library knows 3");
    remove_folder();
}

static size_t
read_file(const char *name, uint8_t *buf, size_t size)
{
    int fd = open(file(name), O_RDONLY);
    ssize_t len = read(fd, buf, size);

    assert_true(fd >= 0 && len >= 0);
    assert_int_equal(close(fd), 0);
    return (size_t)len;
}

static void
test_port_storage__tells_where_it_is_damaged(void **state)
{
    static uint8_t segment[65536], checkpoint[65536], now[65536];
    size_t segment_len, checkpoint_len;

    (void)state;
    make_journal();
    segment_len = read_file("segment-1", segment, sizeof(segment));
    checkpoint_len = read_file("checkpoint", checkpoint, sizeof(checkpoint));
    segment[64 + 40] ^= 1; /* in the first of several frames */
    write_file("segment-1", segment, segment_len);
    expect_refusal("segment is damaged at byte");
    assert_int_equal(read_file("segment-1", now, sizeof(now)), segment_len);
    assert_memory_equal(now, segment, segment_len);
    segment[64 + 40] ^= 1;
    write_file("segment-1", segment, segment_len);
    checkpoint[checkpoint_len - 1] ^= 1;
    write_file("checkpoint", checkpoint, checkpoint_len);
    expect_refusal("checkpoint is damaged at byte 64");
    assert_int_equal(read_file("checkpoint", now, sizeof(now)),
                     checkpoint_len);
    assert_memory_equal(now, checkpoint, checkpoint_len);
    remove_folder();
}

/* Files can be so long and no longer: what a full disk answers, too. */
static void
limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = ULV_MIN(bytes, limit.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
test_port_storage__full_works_again(void **state)
{
    static struct model m;
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    struct ulv_request request = { .operations = &o, .operation_count = 1 };
    struct ulv_storage *storage;
    struct ulv_diag diag;
    struct ulv_plan *plan;
    uint64_t revision;
    uint32_t idx;
    ulv_status status = ULV_OK;

    (void)state;
    make_folder();
    assert_int_equal(open_folder(&storage, &diag), ULV_OK);
    begin_journaled(&m, storage);
    o.u.set_state.partition = m.io[0];
    o.u.set_state.state = ULV_STATE_RUNNING;
    (void)signal(SIGXFSZ, SIG_IGN);
    limit_files(4096);
    while (status == ULV_OK) {
        revision = ulv_database_revision(m.db);
        status = ulv_journal_prepare(m.journal, &request, &plan, &idx, &diag);
        assert_int_equal(status, ULV_OK);
        assert_int_equal(
            ulv_journal_hold(m.journal, plan, NULL, &m.revision, NULL),
            ULV_OK);
        status = ulv_journal_sync(m.journal, &diag);
    }
    assert_int_equal(status, ULV_E_NO_MEMORY);
    print_message("# %s\n", diag.text);
    assert_int_equal(ulv_database_revision(m.db), revision);
    m.revision = revision;
    limit_files(RLIM_INFINITY);
    assert_int_equal(commit(&m, &o, 1), ULV_OK);
    end_journaled(&m);
    storage->close(storage->self);
    remove_folder();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_storage__keeps_a_journal),
        cmocka_unit_test(test_port_storage__refuses_a_wrong_directory),
        cmocka_unit_test(test_port_storage__refuses_garbage),
        cmocka_unit_test(test_port_storage__tells_where_it_is_damaged),
        cmocka_unit_test(test_port_storage__full_works_again),
    };

    return cmocka_run_group_tests_name("port-storage", tests, NULL, NULL);
}
