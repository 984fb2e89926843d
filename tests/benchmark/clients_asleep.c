/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Durable transactions through a whole system, one process a role, of 1 and of
 * 16 clients, each of which asks for its next when the last was answered;
 * beside as many appends of one frame, each with fdatasync, in turns with them.
 * Once with clients in threads of their own that sleep until they are
 * answered, as programs do, and once with all in the thread of the steps, which
 * looks for answers and never sleeps. Arguments: ultravisor-role, rounds
 * (default 20).
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ultravisor/client.h>
#include <ultravisor/posix.h>
#include <ultravisor/ultravisor.h>

#include "bare_kvm.h"
#include "base/base.h"

#define CLIENTS     16u
#define ROUND       64u /* transactions a round, of all clients */
#define FRAME_BYTES 400u /* about what one of them takes in the journal */

struct asking {
    pthread_t thread;
    ulv_handle admission;
    ulv_client *client;
    ulv_id own;
    uint32_t left; /* of this round */
    uint64_t request, revision; /* that was asked, and answered, last */
};

struct bench {
    ulv_system *system;
    struct asking asking[CLIENTS];
    atomic_uint busy; /* threads that are not done */
};

static void
ask(struct asking *a, const struct ulv_operation *o)
{
    const struct ulv_client_transaction t = { .operation_count = 1,
                                              .operations = o };

    CHECK(ulv_client_transact(a->client, &t, &a->request) == ULV_OK);
}

static void
ask_label(struct asking *a)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_LABEL };

    o.u.set_label.object = a->own;
    memcpy(o.u.set_label.key, "turn", 5);
    (void)snprintf(o.u.set_label.value, sizeof(o.u.set_label.value), "%u",
                   a->left);
    ask(a, &o);
}

static bool
answered(struct asking *a)
{
    struct ulv_client_answer answer = { .size = sizeof(answer) };
    ulv_status status = ulv_client_receive(a->client, &answer);

    if (status == ULV_E_EMPTY)
        return false;
    CHECK(status == ULV_OK && answer.status == ULV_OK &&
          answer.request == a->request);
    a->revision = answer.revision;
    return true;
}

/* ---- clients ------------------------------------------------------------- */

static void *
open_one(void *self)
{
    struct asking *a = self;
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };

    CHECK(ulv_client_open(ulv_posix_host(), a->admission, ULV_FOREVER,
                          &a->client, NULL) == ULV_OK);
    a->own = ulv_client_id(a->client);
    o.u.create_partition.id = a->own;
    (void)snprintf(o.u.create_partition.name,
                   sizeof(o.u.create_partition.name), "p%llu",
                   (unsigned long long)a->own);
    ask(a, &o);
    while (!answered(a))
        CHECK(ulv_client_wait(a->client, ULV_FOREVER) == ULV_OK);
    return NULL;
}

static void *
ask_asleep(void *self)
{
    struct asking *a = self;

    while (a->left > 0) {
        ask_label(a);
        while (!answered(a))
            CHECK(ulv_client_wait(a->client, ULV_FOREVER) == ULV_OK);
        a->left--;
    }
    return NULL;
}

struct running {
    struct bench *b;
    struct asking *a;
    void *(*f)(void *self);
};

static void *
run_one(void *self)
{
    struct running *running = self;

    (void)running->f(running->a);
    atomic_fetch_sub(&running->b->busy, 1);
    return NULL;
}

static void
run_threads(struct bench *b, uint32_t count, void *(*f)(void *self))
{
    struct running running[CLIENTS];

    atomic_store(&b->busy, count);
    for (uint32_t i = 0; i < count; i++) {
        running[i] = (struct running){ b, &b->asking[i], f };
        CHECK(pthread_create(&b->asking[i].thread, NULL, run_one,
                             &running[i]) == 0);
    }
    while (atomic_load(&b->busy) != 0)
        (void)ulv_system_step(b->system, ulv_system_now(b->system) + 2000000);
    for (uint32_t i = 0; i < count; i++)
        CHECK(pthread_join(b->asking[i].thread, NULL) == 0);
}

static void
run_polled(struct bench *b, uint32_t count)
{
    uint32_t busy = count;

    for (uint32_t i = 0; i < count; i++)
        ask_label(&b->asking[i]);
    while (busy > 0) {
        (void)ulv_system_step(b->system, 0);
        for (uint32_t i = 0; i < count; i++) {
            struct asking *a = &b->asking[i];

            if (a->left == 0 || !answered(a))
                continue;
            if (--a->left > 0)
                ask_label(a);
            else
                busy--;
        }
    }
}

/* ---- rounds -------------------------------------------------------------- */

static double
append(int file)
{
    static const uint8_t frame[FRAME_BYTES];
    double begin = seconds();

    for (uint32_t i = 0; i < ROUND; i++) {
        CHECK(write(file, frame, sizeof(frame)) == (ssize_t)sizeof(frame));
        CHECK(fdatasync(file) == 0);
    }
    return seconds() - begin;
}

/* Nobody else commits anything. */
static uint64_t
newest(const struct bench *b)
{
    uint64_t revision = 0;

    for (uint32_t i = 0; i < CLIENTS; i++)
        revision = ULV_MAX(revision, b->asking[i].revision);
    return revision;
}

static void
compare_with(struct bench *b, int file, uint32_t count, bool asleep,
             uint32_t rounds)
{
    double *floor = calloc(rounds, sizeof(*floor));
    double *ours = calloc(rounds, sizeof(*ours));
    uint64_t revision = newest(b);
    char what[64];

    CHECK(floor != NULL && ours != NULL);
    for (uint32_t r = 0; r < rounds; r++) {
        double begin;

        floor[r] = append(file);
        for (uint32_t i = 0; i < count; i++)
            b->asking[i].left = ROUND / count;
        begin = seconds();
        if (asleep)
            run_threads(b, count, ask_asleep);
        else
            run_polled(b, count);
        ours[r] = seconds() - begin;
    }
    (void)snprintf(what, sizeof(what), "%u %s, %.1f a sync", count,
                   asleep ? "asleep" : "polled",
                   (double)(ROUND * rounds) / (double)(newest(b) - revision));
    report(what, floor, ours, rounds, ROUND);
    free(floor);
    free(ours);
}

static void
begin(struct bench *b, const char *directory, const char *role)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_storage *storage = NULL;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_id channel;

    CHECK(ulv_posix_storage_open(directory, &storage, &diag) == ULV_OK);
    opts.backend = "process";
    opts.memory = ULV_MIB(32);
    opts.placement = ULV_PLACEMENT_PROCESSES;
    opts.role_program = role;
    opts.storage = storage;
    if (ulv_system_create(ulv_posix_host(), &opts, &b->system, &diag) !=
        ULV_OK) {
        fprintf(stderr, "%s\n", diag.text);
        exit(1);
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        CHECK(ulv_client_admit(b->system, &channel, &b->asking[i].admission,
                               NULL) == ULV_OK);
    run_threads(b, CLIENTS, open_one);
}

int
main(int argc, char **argv)
{
    const uint32_t rounds =
        argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 20;
    const char *where = getenv("ULTRAVISOR_STORAGE");
    char directory[4096], path[4200], command[4300];
    static struct bench b;
    int file;

    CHECK(argc > 1);
    (void)snprintf(directory, sizeof(directory), "%s/clients-XXXXXX",
                   where != NULL ? where : "/tmp");
    CHECK(mkdtemp(directory) != NULL);
    (void)snprintf(path, sizeof(path), "%s/journal", directory);
    CHECK(mkdir(path, 0700) == 0);
    begin(&b, path, argv[1]);
    (void)snprintf(path, sizeof(path), "%s/appends", directory);
    file = open(path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    for (uint32_t asleep = 0; asleep < 2; asleep++) {
        compare_with(&b, file, 1, asleep != 0, rounds);
        compare_with(&b, file, CLIENTS, asleep != 0, rounds);
    }
    close(file);
    for (uint32_t i = 0; i < CLIENTS; i++)
        ulv_client_close(b.asking[i].client);
    ulv_system_destroy(b.system);
    (void)snprintf(command, sizeof(command), "rm -r %s", directory);
    CHECK(system(command) == 0);
    return 0;
}
