/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a command costs between two processes on two processors, from request to
 * committed answer: a client, and a server with the resource database, which
 * checks a transaction, commits it and publishes the views it touches. What the
 * keeper makes of one (memory, channels) is not part of it. With 1, 10, 1000
 * and 10000 sessions, whose doorbells are eventfds; beside the round trip of a
 * bare ring and of eventfd in the same run, and how long a cache line takes
 * there and back. Argument: rounds (5).
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ultravisor/abi/system_call.h>
#include <ultravisor/posix.h>

#include "base/base.h"
#include "command/client.h"
#include "command/server.h"
#include "database/database.h"
#include "ring.h"
#include "system/picture.h"
#include "system/rung.h"
#include "view/publish.h"

#define SESSIONS_MAX 10000u
#define GUESTS       10u
#define DEPTH        64u /* requests under way of a session */

/* In memory of both; each word on a line of its own. */
struct shared {
    _Alignas(64) uint64_t line;
    _Alignas(64) uint64_t go;   /* tasks given to the server */
    uint64_t what, count;       /* the last of them */
    _Alignas(64) uint64_t done; /* and begun by it */
    _Alignas(64) uint64_t bells;
    _Alignas(64) uint64_t revision;
    struct place place;
};

/* what the server is to do */
enum { LINE, SERVE, FLOOR, EVENT, QUIT };

static struct shared *shared;
static uint8_t *channels;
static uint64_t channel_bytes;
static ulv_handle bells[SESSIONS_MAX];
static uint32_t bell_count;

static uint8_t *
channel_at(uint32_t i)
{
    return channels + i * channel_bytes;
}

static double
nanoseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

/* ---- the server ---------------------------------------------------------- */

struct session {
    struct ulv_command_session command;
    struct bell bell;
};

struct server {
    struct ulv_command_server command;
    struct session session[SESSIONS_MAX];
    struct rung rung;
    struct ulv_database *db;
    struct picture picture;
    ulv_id first; /* guest */
    struct ulv_view_publisher view[GUESTS][2];
};

static void
on_hello(void *self, struct ulv_command_session *session)
{
    struct server *s = self;

    ulv_command_answer_hello(session, ULV_OK, s->first, 0);
}

static bool
prepare_views(struct server *s, const struct ulv_plan *plan)
{
    uint32_t count;
    const ulv_id *touched = ulv_plan_touched(plan, &count);

    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = touched[i] - s->first;

        if (at >= GUESTS)
            continue;
        if (ulv_picture_take(&s->picture, s->db, touched[i],
                             s->view[at][0].revision, NULL) != ULV_OK)
            return false;
        for (uint32_t part = 0; part < 2; part++) {
            if (part == ULV_VIEW_PART_GUEST)
                ulv_picture_blank(&s->picture);
            if (ulv_view_prepare(&s->view[at][part], s->picture.section, 5,
                                 NULL) != ULV_OK)
                return false;
        }
    }
    return true;
}

static void
publish_views(struct server *s, const ulv_id *touched, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = touched[i] - s->first;

        for (uint32_t part = 0; part < 2 && at < GUESTS; part++) {
            ulv_view_acknowledge(&s->view[at][part],
                                 ulv_view_publish(&s->view[at][part]));
            s->view[at][part].revision = ulv_database_revision(s->db);
        }
    }
}

static void
carry_out(struct server *s, const struct ulv_request *request,
          struct ulv_message_transaction_answer *answer)
{
    struct ulv_plan *plan;
    ulv_id touched[16];
    uint32_t count;
    const ulv_id *ids;

    answer->status = ulv_database_prepare(s->db, request, &plan,
                                          &answer->operation_idx, NULL);
    if (answer->status != ULV_OK)
        return;
    ids = ulv_plan_touched(plan, &count);
    CHECK(count <= ULV_COUNT_OF(touched) && prepare_views(s, plan));
    memcpy(touched, ids, count * sizeof(*ids));
    answer->revision = ulv_database_commit(s->db, plan);
    publish_views(s, touched, count);
}

static void
on_transaction(void *self, struct ulv_command_session *session,
               const struct ulv_command_request *from)
{
    struct ulv_request request = {
        .session = session->number,
        .request = from->request,
        .precondition_count = from->u.transaction->precondition_count,
        .operation_count = from->u.transaction->operation_count,
        .preconditions = from->preconditions,
        .operations = from->operations,
    };
    struct ulv_message_transaction_answer answer = { .status = ULV_OK };

    carry_out(self, &request, &answer);
    ulv_command_answer_transaction(session, &answer);
}

static bool
on_ready(void *self)
{
    (void)self;
    return true;
}

static void
on_ring(struct ulv_command_session *session)
{
    (void)session;
    shared->bells++;
}

static void
on_broken(struct ulv_command_session *session)
{
    fprintf(stderr, "a client was disconnected: %s\n",
            ulv_status_text(session->failed));
    exit(1);
}

static const struct ulv_command_handlers handlers = {
    .hello = on_hello,
    .transaction = on_transaction,
    .ready = on_ready,
    .ring = on_ring,
    .broken = on_broken,
};

static void
commit(struct server *s, const struct ulv_operation *o, uint32_t count)
{
    const struct ulv_request request = { .operations = o,
                                         .operation_count = count };
    struct ulv_message_transaction_answer answer = { .status = ULV_OK };

    carry_out(s, &request, &answer);
    CHECK(answer.status == ULV_OK);
}

static struct ulv_operation
create(ulv_id id, uint32_t kind)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };

    o.u.create_partition.id = id;
    o.u.create_partition.kind = kind;
    snprintf(o.u.create_partition.name, 32, "p%llu", (unsigned long long)id);
    return o;
}

static struct server *
make_server(void)
{
    struct server *s = calloc(1, sizeof(*s));
    struct ulv_operation o[2] = { { 0 } };

    CHECK(s != NULL);
    CHECK(ulv_database_create(ulv_posix_host(), &s->db) == ULV_OK);
    ulv_picture_init(&s->picture);
    CHECK(ulv_database_lease(s->db, &s->first) == ULV_OK);
    s->first += 2;
    o[0] = create(s->first - 2, ULV_PARTITION_ULTRAVISOR);
    o[1].kind = ULV_OP_ADD_MEMORY;
    o[1].u.add_memory.id = s->first - 1;
    o[1].u.add_memory.bytes = ULV_GIB(1);
    commit(s, o, 2);
    for (uint32_t i = 0; i < GUESTS; i++) {
        for (uint32_t part = 0; part < 2; part++)
            CHECK(ulv_view_publisher_init(&s->view[i][part],
                                          calloc(1, ULV_VIEW_SEGMENT_BYTES),
                                          ULV_VIEW_SEGMENT_BYTES, part,
                                          s->first + i, 1) == ULV_OK);
        o[0] = create(s->first + i, ULV_PARTITION_GUEST);
        commit(s, o, 1);
    }
    s->command.host = ulv_posix_host();
    s->command.handlers = &handlers;
    s->command.self = s;
    return s;
}

static void
rang(struct bell *bell)
{
    struct session *session = ULV_CONTAINER_OF(bell, struct session, bell);

    (void)ulv_posix_host()->event_take(NULL, bell->handle);
    ulv_command_session_wake(&session->command);
}

static void
begin_sessions(struct server *s, uint64_t count)
{
    const struct ulv_host *host = ulv_posix_host();

    s->rung.host = host;
    CHECK(host->wait_create(host->self, &s->rung.waits) == ULV_OK);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(host->watch(host->self, s->rung.waits, bells[i]) == ULV_OK);
        CHECK(ulv_rung_add(&s->rung, &s->session[i].bell, bells[i], rang) ==
              ULV_OK);
        CHECK(ulv_command_session_init(&s->session[i].command, &s->command,
                                       channel_at(i),
                                       channel_bytes) == ULV_OK);
    }
}

/* Serve that many sessions until there is another task. */
static void
serve(struct server *s, uint64_t task, uint64_t count)
{
    const struct ulv_host *host = ulv_posix_host();

    begin_sessions(s, count);
    __atomic_store_n(&shared->done, task, __ATOMIC_RELEASE);
    while (__atomic_load_n(&shared->go, __ATOMIC_RELAXED) == task) {
        if (s->command.looked_at_count < count)
            (void)ulv_rung_look(&s->rung);
        (void)ulv_command_server_step(&s->command);
    }
    shared->revision = ulv_database_revision(s->db);
    for (uint32_t i = 0; i < count; i++) {
        ulv_command_session_fini(&s->session[i].command);
        ulv_rung_remove(&s->rung, &s->session[i].bell);
    }
    ulv_rung_fini(&s->rung);
    host->handle_close(host->self, s->rung.waits);
}

static void
return_line(uint64_t count)
{
    for (uint64_t n = 0; n < count; n++) {
        while (__atomic_load_n(&shared->line, __ATOMIC_ACQUIRE) != 2 * n + 1)
            relax();
        __atomic_store_n(&shared->line, 2 * n + 2, __ATOMIC_RELEASE);
    }
}

static void
run_server(void)
{
    struct server *s = make_server();

    pin(1);
    for (uint64_t task = 1;; task++) {
        uint64_t what, count;

        while (__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE) != task)
            relax();
        what = shared->what;
        count = shared->count;
        if (what == SERVE) {
            serve(s, task, count);
            continue;
        }
        __atomic_store_n(&shared->done, task, __ATOMIC_RELEASE);
        if (what == LINE)
            return_line(count);
        else if (what == FLOOR)
            contender_floor.receive[ROUND](&shared->place, count);
        else if (what == EVENT)
            contender_event.receive[BLOCKING](&shared->place, count);
        else
            exit(0);
    }
}

/* ---- the client ---------------------------------------------------------- */

static struct ulv_command_client client[SESSIONS_MAX];
static ulv_id first_guest;
static uint64_t rings; /* of clients */

static void
order(uint64_t what, uint64_t count)
{
    uint64_t task = shared->go + 1;

    shared->what = what;
    shared->count = count;
    __atomic_store_n(&shared->go, task, __ATOMIC_RELEASE);
    while (__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE) != task)
        relax();
}

static void
ring_server(const struct ulv_command_client *c, bool ring)
{
    if (!ring)
        return;
    rings++;
    ulv_posix_host()->event_signal(NULL, bells[c - client]);
}

static void
ask(struct ulv_command_client *c)
{
    struct ulv_operation o = { .kind = ULV_OP_SET_STATE };
    const struct ulv_command_transaction t = { .operations = &o,
                                               .operation_count = 1 };
    bool ring = false;

    o.u.set_state.partition = first_guest + c->next_request % GUESTS;
    o.u.set_state.state = ULV_STATE_DEFINED;
    CHECK(ulv_command_send_transaction(c, &t, &ring) == ULV_OK);
    ring_server(c, ring);
}

/* Look without end; nobody is asked to ring. */
static const struct ulv_message *
hear(struct ulv_command_client *c)
{
    const struct ulv_message *m;
    struct ulv_ring_record record;
    bool ring = false;

    while (ulv_ring_rx_peek(&c->end.rx, &record) == ULV_E_EMPTY)
        relax();
    CHECK(ulv_command_receive(c, &m, &ring) == ULV_OK);
    ring_server(c, ring);
    return m;
}

static void
hear_done(struct ulv_command_client *c)
{
    const struct ulv_message_transaction_answer *a = (const void *)hear(c);

    if (a->status != ULV_OK) {
        fprintf(stderr, "refused: %s\n", ulv_status_text(a->status));
        exit(1);
    }
}

static void
connect_all(uint32_t count)
{
    static const uint8_t type[16] = ULV_CHANNEL_TYPE_COMMAND;
    struct ulv_channel_layout layout = { .ring_bytes =
                                             ULV_COMMAND_RING_BYTES };
    bool ring = false;

    memcpy(layout.type, type, sizeof(type));
    for (uint32_t i = 0; i < count; i++) {
        layout.id = i + 1;
        memset(channel_at(i), 0, 8192);
        CHECK(ulv_channel_format(channel_at(i), &layout) == ULV_OK);
    }
    order(SERVE, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct ulv_message_hello_answer *hello;

        CHECK(ulv_command_client_init(&client[i], ulv_posix_host(),
                                      channel_at(i), channel_bytes) == ULV_OK);
        CHECK(ulv_command_send_hello(&client[i], &ring) == ULV_OK);
        ring_server(&client[i], ring);
        hello = (const void *)hear(&client[i]);
        first_guest = hello->lease_first;
    }
}

static double
measure_line(void)
{
    const uint64_t count = 20000;
    double begun;

    shared->line = 0;
    order(LINE, count);
    begun = nanoseconds();
    for (uint64_t n = 0; n < count; n++) {
        __atomic_store_n(&shared->line, 2 * n + 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&shared->line, __ATOMIC_ACQUIRE) != 2 * n + 2)
            relax();
    }
    return (nanoseconds() - begun) / (double)count;
}

static double
measure_peer(const struct contender *c, uint64_t task, enum ring_case what,
             uint64_t count)
{
    double begun;

    c->begin(&shared->place, what);
    order(task, count);
    begun = nanoseconds();
    c->send[what](&shared->place, count);
    return (nanoseconds() - begun) / (double)count;
}

/* One request at a time, on the first of so many sessions. */
static double
measure_round(uint64_t count)
{
    double begun;

    for (uint64_t n = 0; n < count / 10; n++) {
        ask(&client[0]);
        hear_done(&client[0]);
    }
    begun = nanoseconds();
    for (uint64_t n = 0; n < count; n++) {
        ask(&client[0]);
        hear_done(&client[0]);
    }
    return (nanoseconds() - begun) / (double)count;
}

/* depth requests under way of each of so many sessions. */
static double
measure_pipeline(uint32_t sessions, uint32_t depth, uint64_t count)
{
    uint64_t rounds = count / ((uint64_t)sessions * depth) + 1;
    double begun;

    for (uint32_t i = 0; i < sessions; i++) {
        for (uint32_t n = 0; n < depth; n++)
            ask(&client[i]);
    }
    begun = nanoseconds();
    for (uint64_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < sessions; i++) {
            for (uint32_t n = 0; n < depth; n++) {
                hear_done(&client[i]);
                ask(&client[i]);
            }
        }
    }
    begun = nanoseconds() - begun;
    for (uint32_t i = 0; i < sessions; i++) {
        for (uint32_t n = 0; n < depth; n++)
            hear_done(&client[i]);
    }
    return begun / (double)(rounds * sessions * depth);
}

static void
measure(uint32_t sessions)
{
    double line[2], round, pipeline;

    connect_all(sessions);
    round = measure_round(sessions > 100 ? 20000 : 100000);
    pipeline = measure_pipeline(sessions, sessions > 100 ? 4 : DEPTH, 400000);
    for (uint32_t i = 0; i < sessions; i++)
        ulv_command_client_fini(&client[i]);
    line[0] = measure_line();
    line[1] = measure_line();
    printf("%5u sessions: round trip %6.0f ns (%s), pipelined %5.2f M/s "
           "(%s); line %.0f, %.0f ns\n",
           sessions, round, sessions == 1 ? "<= 1500" : "one asks",
           1e3 / pipeline, sessions == 1 ? ">= 1.00" : "all ask", line[0],
           line[1]);
}

/* As many as this program may open. */
static void
make_bells(void)
{
    const struct ulv_host *host = ulv_posix_host();
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    while (bell_count < SESSIONS_MAX &&
           host->event_create(host->self, &bells[bell_count]) == ULV_OK)
        bell_count++;
    if (bell_count < SESSIONS_MAX)
        printf("%u sessions at most: no more files may be open\n",
               bell_count -= 16);
}

static void
make_shared(void)
{
    const int access = PROT_READ | PROT_WRITE;

    channel_bytes = ulv_channel_bytes(ULV_COMMAND_RING_BYTES, 0);
    channels = mmap(NULL, SESSIONS_MAX * channel_bytes, access,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    shared = mmap(NULL, sizeof(*shared), access, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    CHECK(channels != MAP_FAILED && shared != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        shared->place.way[i] = mmap(NULL, WAY_BYTES, access,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(shared->place.way[i] != MAP_FAILED);
        shared->place.bell[i] = eventfd(0, 0);
        CHECK(shared->place.bell[i] >= 0);
    }
    shared->place.doorbells = &shared->bells;
}

int
main(int argc, char **argv)
{
    const uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 5;
    static const uint32_t sessions[] = { 1, 10, 1000, SESSIONS_MAX };
    pid_t server;

    make_shared();
    make_bells();
    server = fork();
    CHECK(server >= 0);
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_server();
    }
    pin(0);
    for (uint32_t n = 0; n < rounds; n++) {
        double line = measure_line();

        printf("line %.0f ns, floor ring round trip %.0f ns, eventfd %.0f ns\n",
               line, measure_peer(&contender_floor, FLOOR, ROUND, 100000),
               measure_peer(&contender_event, EVENT, BLOCKING, 2000));
        for (size_t i = 0; i < ULV_COUNT_OF(sessions); i++) {
            if (sessions[i] <= bell_count)
                measure(sessions[i]);
        }
        fflush(stdout);
    }
    printf("%llu doorbells, %llu of clients, %llu commits; xenstored is not "
           "beside them: Debian's (4.17) dies of its first request where "
           "there is no Xen\n",
           (unsigned long long)shared->bells, (unsigned long long)rings,
           (unsigned long long)shared->revision);
    order(QUIT, 0);
    CHECK(waitpid(server, NULL, 0) == server);
    return 0;
}
