/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Another program asks the system: a process that has nothing of ours but the
 * descriptor that admits it. What it asks and how it is answered, how it is put
 * out, and what is left of it when it is killed.
 * Arguments: launcher, ultravisor-role.
 */
#include "process_system.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ultravisor/abi/admission.h>
#include <ultravisor/ultravisor.h>

#define MANY 50u /* transactions under way */

static const char *launcher, *role_program;

/* ---- the other program --------------------------------------------------- */

/* Nothing asserts in the other process. */
#define NEED(holds)                                                            \
    do {                                                                       \
        if (!(holds)) {                                                        \
            fprintf(stderr, "# line %d: %s\n", __LINE__, #holds);              \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

static struct ulv_client_answer
next_answer(ulv_client *client)
{
    struct ulv_client_answer answer = { .size = sizeof(answer) };
    ulv_status status;

    while ((status = ulv_client_receive(client, &answer)) == ULV_E_EMPTY)
        NEED(ulv_client_wait(client, ULV_FOREVER) == ULV_OK);
    NEED(status == ULV_OK);
    return answer;
}

static uint64_t
create(ulv_client *client, uint64_t n, uint32_t options, uint64_t deadline)
{
    struct ulv_operation o = { .kind = ULV_OP_CREATE_PARTITION };
    const struct ulv_client_transaction t = { .options = options,
                                              .operations = &o,
                                              .operation_count = 1,
                                              .deadline = deadline };
    uint64_t request = 0;

    o.u.create_partition.id = ulv_client_id(client);
    o.u.create_partition.kind = ULV_PARTITION_GUEST;
    snprintf(o.u.create_partition.name, 32, "of-client-%llu",
             (unsigned long long)n);
    NEED(o.u.create_partition.id != 0);
    NEED(ulv_client_transact(client, &t, &request) == ULV_OK);
    return request;
}

static void
ask_many(ulv_client *client)
{
    uint64_t first = 0, revision = 0;

    for (uint64_t n = 0; n < MANY; n++) {
        uint64_t request = create(client, n, 0, 0);

        first = n == 0 ? request : first;
    }
    for (uint64_t n = 0; n < MANY; n++) {
        struct ulv_client_answer answer = next_answer(client);

        if (answer.status != ULV_OK)
            fprintf(stderr, "# %s\n", answer.diag.text);
        NEED(answer.request == first + n); /* in order, each once */
        NEED(answer.kind == ULV_MESSAGE_TRANSACTION);
        NEED(answer.status == ULV_OK && answer.revision > revision);
        revision = answer.revision;
    }
    NEED(create(client, MANY, ULV_TRANSACTION_DRY_RUN, 0) != 0);
    NEED(next_answer(client).status == ULV_OK);
}

static void
ask_wrongly(ulv_client *client)
{
    struct ulv_operation o = { .kind = ULV_OP_ADD_MEMORY };
    const struct ulv_client_transaction t = { .operations = &o,
                                              .operation_count = 1 };
    struct ulv_client_answer answer = { .size = 1 };
    uint64_t request;

    NEED(ulv_client_receive(client, &answer) == ULV_E_ARG);
    (void)create(client, 0, 0, 0); /* the name is taken */
    answer = next_answer(client);
    NEED(answer.status == ULV_E_EXISTS && answer.operation_idx == 0);
    NEED(answer.diag.status == ULV_E_EXISTS && answer.diag.text[0] != '\0');
    o.u.words[0] = ulv_client_id(client);
    NEED(ulv_client_transact(client, &t, &request) == ULV_OK);
    NEED(next_answer(client).status == ULV_E_POLICY);
}

/* As many operations as there may be go out while it waits. */
static void
ask_largely(ulv_client *client)
{
    static struct ulv_operation o[ULV_OPERATION_COUNT_MAX + 1];
    struct ulv_client_transaction t = { .options = ULV_TRANSACTION_DRY_RUN,
                                        .operations = o,
                                        .operation_count =
                                            ULV_OPERATION_COUNT_MAX };
    struct ulv_client_answer answer;
    uint64_t request, other;

    o[0].kind = ULV_OP_CREATE_PARTITION;
    o[0].u.create_partition.id = ulv_client_id(client);
    o[0].u.create_partition.kind = ULV_PARTITION_GUEST;
    memcpy(o[0].u.create_partition.name, "large", 6);
    for (uint32_t i = 1; i <= ULV_OPERATION_COUNT_MAX; i++) {
        o[i].kind = ULV_OP_SET_LABEL;
        o[i].u.set_label.object = o[0].u.create_partition.id;
        memcpy(o[i].u.set_label.key, "key", 4);
        o[i].u.set_label.value[0] = (char)('0' + i % 10);
    }
    NEED(ulv_client_transact(client, &t, &request) == ULV_OK);
    NEED(ulv_client_query(client, 1, 0, &other) == ULV_E_FULL);
    answer = next_answer(client);
    NEED(answer.status == ULV_OK && answer.request == request);
    memset(o[ULV_OPERATION_COUNT_MAX - 1].u.set_label.key, 0, 16);
    NEED(ulv_client_transact(client, &t, &request) == ULV_OK);
    answer = next_answer(client);
    NEED(answer.status == ULV_E_ARG && answer.request == request);
    NEED(answer.operation_idx == ULV_OPERATION_COUNT_MAX - 1);
    t.operation_count++;
    NEED(ulv_client_transact(client, &t, &request) == ULV_E_LIMIT);
}

static void
ask_records(ulv_client *client)
{
    uint64_t request, after = 0;
    struct ulv_client_answer answer;
    uint32_t count = 0;

    do {
        struct ulv_partition_record p;

        NEED(ulv_client_query(client, ULV_QUERY_PARTITIONS, after, &request) ==
             ULV_OK);
        answer = next_answer(client);
        NEED(answer.status == ULV_OK && answer.request == request);
        NEED(answer.record_bytes == sizeof(p) && answer.record_count > 0);
        for (uint32_t i = 0; i < answer.record_count; i++) {
            memcpy(&p, (const uint8_t *)answer.records + i * sizeof(p),
                   sizeof(p));
            count += strncmp(p.name, "of-client-", 10) == 0;
            after = p.id;
        }
    } while (answer.more != 0);
    NEED(count == MANY);
}

/* Behind the first that is begun all are too late; none waits for ever. */
static void
ask_in_time(ulv_client *client)
{
    uint32_t late = 0;

    for (uint32_t n = 0; n < 20; n++)
        (void)create(client, 1000 + n, ULV_TRANSACTION_DRY_RUN, 1);
    for (uint32_t n = 0; n < 20; n++) {
        struct ulv_client_answer answer = next_answer(client);

        NEED(answer.status == ULV_OK || answer.status == ULV_E_TIMEOUT);
        late += answer.status == ULV_E_TIMEOUT;
    }
    NEED(late > 0);
}

/* It is taken back, or was begun: what is said of both agrees. */
static void
ask_back(ulv_client *client)
{
    uint64_t target = 0, request;
    ulv_status of_target = ULV_E_AGAIN, of_cancel = ULV_E_AGAIN;

    for (uint32_t n = 0; n < 10; n++)
        target = create(client, 2000 + n, ULV_TRANSACTION_DRY_RUN, 0);
    NEED(ulv_client_cancel(client, target, &request) == ULV_OK);
    for (uint32_t n = 0; n < 11; n++) {
        struct ulv_client_answer answer = next_answer(client);

        if (answer.request == target)
            of_target = answer.status;
        else if (answer.request == request)
            of_cancel = answer.status;
        else
            NEED(answer.status == ULV_OK);
    }
    NEED((of_target == ULV_E_CANCELED && of_cancel == ULV_OK) ||
         (of_target == ULV_OK && of_cancel == ULV_E_NOT_FOUND));
}

/* Until somebody puts us out. */
static void
be_put_out(ulv_client *client)
{
    struct ulv_client_answer answer = { .size = sizeof(answer) };
    uint64_t request;
    ulv_status status;

    while ((status = ulv_client_receive(client, &answer)) == ULV_E_EMPTY)
        NEED(ulv_client_wait(client, ULV_FOREVER) == ULV_OK);
    NEED(status == ULV_E_PEER_GONE);
    NEED(ulv_client_wait(client, ULV_FOREVER) == ULV_OK);
    NEED(ulv_client_receive(client, &answer) == ULV_E_PEER_GONE);
    (void)ulv_client_query(client, ULV_QUERY_PARTITIONS, 0, &request);
    NEED(ulv_client_receive(client, &answer) == ULV_E_PEER_GONE);
}

static void
be_client(ulv_handle admission, int told)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_client *client;

    NEED(ulv_client_open(ulv_posix_host(), admission, ULV_FOREVER, &client,
                         &diag) == ULV_OK);
    ask_many(client);
    ask_wrongly(client);
    ask_largely(client);
    ask_records(client);
    ask_in_time(client);
    ask_back(client);
    NEED(write(told, "r", 1) == 1);
    be_put_out(client);
    ulv_client_close(client);
    _exit(0);
}

/* Asks without end. */
static void
be_flooding(ulv_handle admission)
{
    struct ulv_client_answer answer = { .size = sizeof(answer) };
    uint64_t request;
    ulv_client *client;

    if (ulv_client_open(ulv_posix_host(), admission, ULV_FOREVER, &client,
                        NULL) != ULV_OK)
        _exit(1);
    for (;;) {
        while (ulv_client_query(client, ULV_QUERY_PARTITIONS, 0, &request) ==
               ULV_OK)
            continue;
        (void)ulv_client_wait(client, ULV_FOREVER);
        while (ulv_client_receive(client, &answer) == ULV_OK)
            continue;
    }
}

/* ---- the program that has the system ------------------------------------- */

static pid_t
start(ulv_system *system, ulv_id *ret_channel, void (*run)(ulv_handle, int),
      int told)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_handle admission;
    pid_t pid;

    assert_int_equal(
        ulv_client_admit(system, ret_channel, &admission, &diag), ULV_OK);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run(admission, told);
    (void)close((int)admission);
    return pid;
}

static void
step(ulv_system *system)
{
    (void)ulv_system_step(system, ulv_system_now(system) + 1000000);
}

struct pool {
    uint64_t channels, free_bytes;
};

static struct pool
look(ulv_system *system)
{
    struct ulv_channel_record channels[64];
    struct ulv_memory_record nodes[16];
    struct pool pool = { 0 };
    uint32_t count;

    assert_int_equal(ulv_system_query(system, ULV_QUERY_CHANNELS, 0, channels,
                                      sizeof(channels), &count),
                     ULV_OK);
    pool.channels = count;
    assert_int_equal(ulv_system_query(system, ULV_QUERY_MEMORY, 0, nodes,
                                      sizeof(nodes), &count),
                     ULV_OK);
    for (uint32_t i = 0; i < count; i++)
        pool.free_bytes += nodes[i].free_bytes;
    return pool;
}

static void
await_pool(ulv_system *system, const struct pool *want)
{
    struct pool now = look(system);

    while (now.channels != want->channels) {
        step(system);
        now = look(system);
    }
    assert_int_equal(now.free_bytes, want->free_bytes);
}

static void
check_client(uint32_t placement)
{
    ulv_system *system = process_system(launcher, role_program, placement);
    const struct pool before = look(system);
    ulv_transaction *t;
    ulv_id channel;
    int told[2], code;
    pid_t pid;
    char byte;

    assert_int_equal(pipe(told), 0);
    pid = start(system, &channel, be_client, told[1]);
    (void)close(told[1]);
    for (;;) {
        fd_set set;
        struct timeval none = { 0 };

        FD_ZERO(&set);
        FD_SET(told[0], &set);
        if (select(told[0] + 1, &set, NULL, NULL, &none) == 1)
            break;
        step(system);
    }
    if (read(told[0], &byte, 1) == 1) {
        t = ulv_transaction_begin(system);
        ulv_transaction_revoke(t, channel);
        assert_int_equal(ulv_transaction_commit(t, NULL), ULV_OK);
    }
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_int_equal(code, 0);
    assert_int_equal(look(system).channels, before.channels);
    (void)close(told[0]);
    ulv_system_destroy(system);
}

static void
flood(ulv_handle admission, int told)
{
    (void)told;
    be_flooding(admission);
}

static void
check_kills(uint32_t placement)
{
    ulv_system *system = process_system(launcher, role_program, placement);
    const struct pool before = look(system);
    uint32_t seed = (uint32_t)getpid();

    print_message("# seed %u\n", seed);
    for (uint32_t round = 0; round < 10; round++) {
        ulv_id channel;
        pid_t pid = start(system, &channel, flood, -1);

        seed = seed * 1103515245 + 12345;
        for (uint32_t n = seed >> 16 & 63; n > 0; n--)
            step(system);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        await_pool(system, &before);
    }
    ulv_system_destroy(system);
}

static void
test_system_client__asks_in_process(void **state)
{
    (void)state;
    check_client(ULV_PLACEMENT_IN_PROCESS);
}

static void
test_system_client__asks_in_processes(void **state)
{
    (void)state;
    check_client(ULV_PLACEMENT_PROCESSES);
}

static void
test_system_client__is_killed_in_process(void **state)
{
    (void)state;
    check_kills(ULV_PLACEMENT_IN_PROCESS);
}

static void
test_system_client__is_killed_in_processes(void **state)
{
    (void)state;
    check_kills(ULV_PLACEMENT_PROCESSES);
}

/* ---- what is no admission ------------------------------------------------ */

static ulv_status
open_message(const void *bytes, size_t len)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_client *client;
    ulv_status status;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    if (len != 0)
        assert_int_equal(send(fds[1], bytes, len, 0), len);
    status = ulv_client_open(ulv_posix_host(), fds[0], 0, &client, &diag);
    assert_null(client);
    assert_int_equal(diag.status, status);
    assert_string_not_equal(diag.text, "");
    (void)close(fds[1]);
    return status;
}

static void
test_system_client__is_not_admitted(void **state)
{
    static const struct ulv_guid type = { "something else" };
    struct ulv_admission admission = { .magic = ULV_ADMISSION_MAGIC,
                                       .version = ULV_ADMISSION_VERSION,
                                       .end = ULV_END_CLIENT };
    ulv_system *system =
        process_system(launcher, role_program, ULV_PLACEMENT_IN_PROCESS);
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t = ulv_transaction_begin(system);
    ulv_id guest, channel;
    ulv_handle handed, twice;
    ulv_channel *open;
    ulv_client *client;

    (void)state;
    assert_int_equal(open_message(NULL, 0), ULV_E_ARG);
    assert_int_equal(open_message("garbage", 7), ULV_E_PEER_PROTOCOL);
    assert_int_equal(open_message(&admission, sizeof(admission)),
                     ULV_E_PEER_PROTOCOL); /* with nothing beside it */
    assert_int_equal(
        ulv_client_open(ulv_posix_host(), dup(1), 0, &client, &diag),
        ULV_E_ARG);
    /* an end that is handed out is nobody else's, and no command channel */
    guest = ulv_transaction_partition(t, "guest", ULV_PARTITION_GUEST);
    channel = ulv_transaction_connect(t, guest, ULV_SELF, &type);
    assert_int_equal(ulv_transaction_commit(t, &diag), ULV_OK);
    assert_int_equal(ulv_channel_hand_out(system, 1, &handed, &diag),
                     ULV_E_NOT_FOUND);
    assert_int_equal(ulv_channel_hand_out(system, channel, &handed, &diag),
                     ULV_OK);
    assert_int_equal(ulv_channel_hand_out(system, channel, &twice, &diag),
                     ULV_E_BUSY);
    assert_int_equal(ulv_channel_open(system, channel, &open, &diag),
                     ULV_E_BUSY);
    assert_int_equal(
        ulv_client_open(ulv_posix_host(), handed, 0, &client, &diag),
        ULV_E_PEER_PROTOCOL);
    /* who was handed it is gone: it can be opened here */
    while (ulv_channel_open(system, channel, &open, &diag) == ULV_E_BUSY)
        step(system);
    ulv_channel_close(open);
    ulv_system_destroy(system);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_client__asks_in_process),
        cmocka_unit_test(test_system_client__asks_in_processes),
        cmocka_unit_test(test_system_client__is_killed_in_process),
        cmocka_unit_test(test_system_client__is_killed_in_processes),
        cmocka_unit_test(test_system_client__is_not_admitted),
    };

    if (argc != 3)
        return fprintf(stderr, "usage: test LAUNCHER ROLE\n"), 2;
    launcher = argv[1];
    role_program = argv[2];
    return cmocka_run_group_tests_name("system-client", tests, NULL, NULL);
}
