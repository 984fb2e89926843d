/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A process that commits in a loop is killed at any moment, again and again. It
 * says through a pipe what it is about to make durable and what it has
 * acknowledged; what is found afterwards is one or the other.
 *
 * Argument: how many kills (default 10); ULV_SEED sets the seed.
 */
#include "../database/journal_test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ultravisor/posix.h>

#include "database/database_priv.h"

static uint64_t kills = 10, seed = 1;

#define GUESTS 12u

struct word {
    uint64_t revision;
    uint32_t crc; /* of all that the database says then */
    uint32_t acknowledged;
};

static uint64_t
random_below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

/* ---- the child ------ */

struct child {
    struct ulv_storage *storage;
    struct ulv_database *db;
    struct ulv_journal *journal;
    ulv_id next;
    int pipe;
};

static void
must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "# child: %s\n", what);
    _exit(1);
}

static void
say(const struct child *c, bool acknowledged)
{
    struct said said = say_all(c->db);
    struct word word = { ulv_database_revision(c->db),
                         ulv_crc32c(0, said.p, said.bytes), acknowledged };

    free(said.p);
    must(write(c->pipe, &word, sizeof(word)) == sizeof(word), "pipe");
}

static void
make_durable(struct child *c)
{
    say(c, false);
    must(ulv_journal_sync(c->journal, NULL) == ULV_OK, "sync");
    say(c, true);
}

static ulv_id
fresh_id(struct child *c)
{
    if (c->next % ULV_ID_LEASE_COUNT == 0)
        must(ulv_journal_lease(c->journal, &c->next, NULL) == ULV_OK, "lease");
    return c->next++;
}

static void
hold(struct child *c, const struct ulv_operation *o, uint32_t count)
{
    struct ulv_request request = { .operations = o, .operation_count = count };
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_plan *plan;
    uint64_t revision;
    uint32_t idx;
    ulv_status status =
        ulv_journal_prepare(c->journal, &request, &plan, &idx, &diag);

    if (status == ULV_E_AGAIN) {
        make_durable(c);
        status =
            ulv_journal_prepare(c->journal, &request, &plan, &idx, &diag);
    }
    must(status == ULV_OK, diag.text);
    must(ulv_journal_hold(c->journal, plan, NULL, &revision, NULL) == ULV_OK,
         "hold");
}

static void
create_guest(struct child *c, uint64_t number)
{
    struct ulv_operation o[2];

    memset(o, 0, sizeof(o));
    o[0] = create(fresh_id(c), ULV_PARTITION_GUEST, number);
    o[1].kind = ULV_OP_ASSIGN_MEMORY;
    o[1].u.assign_memory.partition = o[0].u.create_partition.id;
    o[1].u.assign_memory.bytes = 4096 * (1 + random_below(300));
    o[1].u.assign_memory.node = ULV_NODE_ANY;
    hold(c, o, 2);
}

static void
commit_some(struct child *c)
{
    for (uint64_t i = 1 + random_below(4); i > 0; i--) {
        const uint64_t number = random_below(GUESTS);
        struct ulv_operation o = create(1, ULV_PARTITION_GUEST, number);
        const struct partition *p =
            ulv_db_find_name(c->db, o.u.create_partition.name);

        if (p == NULL) {
            create_guest(c, number);
            continue;
        }
        memset(&o, 0, sizeof(o));
        o.kind = ULV_OP_DESTROY_PARTITION;
        o.u.destroy_partition.id = p->r.id;
        hold(c, &o, 1);
    }
    make_durable(c);
}

static void
add_memory(struct child *c)
{
    struct ulv_operation o = { .kind = ULV_OP_ADD_MEMORY };

    o.u.add_memory.id = fresh_id(c);
    o.u.add_memory.bytes = POOL;
    hold(c, &o, 1);
    make_durable(c);
}

static void
live(const char *folder, int pipe)
{
    struct child c = { .pipe = pipe };
    struct ulv_diag diag = ULV_DIAG_INIT;

    must(ulv_posix_storage_open(folder, &c.storage, &diag) == ULV_OK,
         diag.text);
    must(ulv_database_create(ulv_posix_host(), &c.db) == ULV_OK, "database");
    must(ulv_journal_open(c.db, c.storage, &c.journal, &diag) == ULV_OK,
         diag.text);
    if (c.db->first[ULV_QUERY_MEMORY] == NULL)
        add_memory(&c);
    for (uint64_t n = 1;; n++) {
        commit_some(&c);
        if (n % 16 == 0)
            must(ulv_journal_checkpoint(c.journal, NULL) == ULV_OK,
                 "checkpoint");
    }
}

/* ---- the parent ------ */

/* Everything the child said until it died; it is killed when it has said so
 * many words. */
static void
hear(int pipe, pid_t child, uint64_t words, struct word *acknowledged,
     struct word *asked)
{
    struct word word;
    ssize_t len;

    for (;; words -= words > 0) {
        if (words == 0)
            (void)kill(child, SIGKILL);
        len = read(pipe, &word, sizeof(word));
        if (len < 0 && errno == EINTR)
            continue;
        if (len != sizeof(word))
            return;
        if (word.acknowledged)
            *acknowledged = word;
        *asked = word;
    }
}

static void
expect(const char *folder, const struct word *acknowledged,
       const struct word *asked)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_storage *storage;
    struct again a;
    struct said said;
    struct word found;

    assert_int_equal(ulv_posix_storage_open(folder, &storage, &diag), ULV_OK);
    if (open_again(&a, storage) != ULV_OK) {
        print_message("# %s\n", a.diag.text);
        fail();
    }
    said = say_all(a.db);
    found.revision = ulv_database_revision(a.db);
    found.crc = ulv_crc32c(0, said.p, said.bytes);
    if (found.revision == asked->revision) {
        assert_int_equal(found.crc, asked->crc);
    } else {
        assert_int_equal(found.revision, acknowledged->revision);
        assert_int_equal(found.crc, acknowledged->crc);
    }
    free(said.p);
    close_again(&a);
    storage->close(storage->self);
}

/* Returns the revision that was acknowledged last. */
static void
kill_one(const char *folder, struct word *acknowledged)
{
    struct word asked = *acknowledged;
    const uint64_t words = 1 + random_below(64);
    int end[2], status;
    pid_t child;

    assert_int_equal(pipe(end), 0);
    (void)random_below(2); /* the child's own numbers */
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(end[0]);
        live(folder, end[1]);
    }
    close(end[1]);
    hear(end[0], child, words, acknowledged, &asked);
    close(end[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect(folder, acknowledged, &asked);
    *acknowledged = asked;
}

static void
test_port_storage__outlasts_kills(void **state)
{
    char folder[] = "/tmp/ulv-kill-XXXXXX", command[64];
    struct word acknowledged = { 0, 0, 0 };
    struct ulv_database *db;
    struct said said;

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(ulv_database_create(ulv_posix_host(), &db), ULV_OK);
    said = say_all(db);
    acknowledged.crc = ulv_crc32c(0, said.p, said.bytes);
    free(said.p);
    ulv_database_destroy(db);
    for (uint64_t n = 0; n < kills; n++)
        kill_one(folder, &acknowledged);
    print_message("# %llu kills, revision %llu\n", (unsigned long long)kills,
                  (unsigned long long)acknowledged.revision);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_storage__outlasts_kills),
    };

    if (argc > 1)
        kills = strtoull(argv[1], NULL, 10);
    if (getenv("ULV_SEED") != NULL)
        seed = strtoull(getenv("ULV_SEED"), NULL, 10);
    return cmocka_run_group_tests_name("port-storage-kill", tests, NULL, NULL);
}
