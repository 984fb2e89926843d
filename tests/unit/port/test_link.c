/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The same behaviour of the link in process and of the one over a socket;
 * then what only a hostile peer does. */
#include "port_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/posix/link.h"
#include "port/test/test.h"
#include "system/link.h"

struct fixture {
    const char *name;
    const struct ulv_host *host;
    struct ulv_test_host test;
    struct ulv_link *a, *b;
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    char buf[ULV_LINK_MESSAGE_MAX];
    size_t len;
    uint32_t count;
};

/* Descriptors of this process, without the one that counts them. */
static int
open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = -1;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.')
            count++;
    }
    closedir(dir);
    return count;
}

static void
begin(struct fixture *f, bool in_process)
{
    ulv_handle peer = ULV_NO_HANDLE;

    memset(f, 0, sizeof(*f));
    if (in_process) {
        f->name = "in process";
        ulv_test_host_init(&f->test);
        f->host = &f->test.host;
        assert_int_equal(ulv_link_create(f->host, &f->a, &f->b), ULV_OK);
        return;
    }
    f->name = "socket";
    f->host = ulv_posix_host();
    assert_int_equal(ulv_posix_link_create(f->host, &f->a, &peer), ULV_OK);
    assert_int_equal(ulv_posix_link_open(f->host, peer, &f->b), ULV_OK);
}

static void
end(struct fixture *f)
{
    if (f->a != NULL)
        f->a->ops->close(f->a);
    if (f->b != NULL)
        f->b->ops->close(f->b);
    if (f->host == &f->test.host)
        assert_int_equal(ulv_test_host_fini(&f->test), 0);
}

static ulv_status
receive(struct fixture *f, struct ulv_link *link)
{
    return link->ops->receive(link, f->buf, &f->len, f->handles, &f->count);
}

static ulv_status
send_text(struct ulv_link *link, const char *text)
{
    return link->ops->send(link, text, strlen(text), NULL, 0);
}

typedef void (*case_fn)(struct fixture *f);

static void
messages_keep_their_order_and_size(struct fixture *f)
{
    static char big[ULV_LINK_MESSAGE_MAX + 1];

    assert_int_equal(receive(f, f->b), ULV_E_AGAIN);
    memset(big, 'x', sizeof(big));
    assert_int_equal(send_text(f->a, "one"), ULV_OK);
    assert_int_equal(f->a->ops->send(f->a, big, ULV_LINK_MESSAGE_MAX, NULL, 0),
                     ULV_OK);
    assert_int_equal(send_text(f->b, "back"), ULV_OK);
    assert_int_equal(receive(f, f->b), ULV_OK);
    assert_int_equal(f->len, 3);
    assert_int_equal(f->count, 0);
    assert_memory_equal(f->buf, "one", 3);
    assert_int_equal(receive(f, f->b), ULV_OK);
    assert_int_equal(f->len, ULV_LINK_MESSAGE_MAX);
    assert_memory_equal(f->buf, big, ULV_LINK_MESSAGE_MAX);
    assert_int_equal(receive(f, f->b), ULV_E_AGAIN);
    assert_int_equal(receive(f, f->a), ULV_OK);
    assert_memory_equal(f->buf, "back", 4);
}

static void
bounds_are_refused(struct fixture *f)
{
    static char big[ULV_LINK_MESSAGE_MAX + 1];
    static ulv_handle many[ULV_LINK_HANDLES_MAX + 1];

    assert_int_equal(f->a->ops->send(f->a, big, sizeof(big), NULL, 0),
                     ULV_E_LIMIT);
    assert_int_equal(f->a->ops->send(f->a, big, 0, NULL, 0), ULV_E_LIMIT);
    assert_int_equal(
        f->a->ops->send(f->a, big, 1, many, ULV_LINK_HANDLES_MAX + 1),
        ULV_E_LIMIT);
    assert_int_equal(receive(f, f->b), ULV_E_AGAIN);
}

static void
handles_are_duplicated(struct fixture *f)
{
    ulv_handle events[ULV_LINK_HANDLES_MAX];

    for (size_t i = 0; i < ULV_LINK_HANDLES_MAX; i++)
        assert_int_equal(f->host->event_create(f->host->self, &events[i]),
                         ULV_OK);
    assert_int_equal(
        f->a->ops->send(f->a, "h", 1, events, ULV_LINK_HANDLES_MAX), ULV_OK);
    for (size_t i = 0; i < ULV_LINK_HANDLES_MAX; i++) {
        f->host->event_signal(f->host->self, events[i]);
        f->host->handle_close(f->host->self, events[i]);
    }
    assert_int_equal(receive(f, f->b), ULV_OK);
    assert_int_equal(f->count, ULV_LINK_HANDLES_MAX);
    for (size_t i = 0; i < ULV_LINK_HANDLES_MAX; i++) {
        assert_true(f->host->event_take(f->host->self, f->handles[i]));
        f->host->handle_close(f->host->self, f->handles[i]);
    }
}

static void
full_then_room_again(struct fixture *f)
{
    uint32_t sent = 0;
    ulv_status status;

    while ((status = send_text(f->a, "fill")) == ULV_OK && sent < 100000)
        sent++;
    assert_int_equal(status, ULV_E_FULL);
    assert_true(sent >= 8);
    for (uint32_t i = 0; i < sent; i++)
        assert_int_equal(receive(f, f->b), ULV_OK);
    assert_int_equal(receive(f, f->b), ULV_E_AGAIN);
    assert_int_equal(send_text(f->a, "fill"), ULV_OK);
    assert_int_equal(receive(f, f->b), ULV_OK);
}

static void
what_was_sent_arrives_after_close(struct fixture *f)
{
    /* Unread messages at the closing end too: a socket then says reset. */
    assert_int_equal(send_text(f->b, "unread"), ULV_OK);
    assert_int_equal(send_text(f->a, "last words"), ULV_OK);
    f->a->ops->close(f->a);
    f->a = NULL;
    assert_int_equal(receive(f, f->b), ULV_OK);
    assert_memory_equal(f->buf, "last words", 10);
    assert_int_equal(receive(f, f->b), ULV_E_PEER_GONE);
    assert_int_equal(receive(f, f->b), ULV_E_PEER_GONE);
    assert_int_equal(send_text(f->b, "x"), ULV_E_PEER_GONE);
}

static void
handles_in_unread_messages_are_closed(struct fixture *f)
{
    ulv_handle event = ULV_NO_HANDLE;

    assert_int_equal(f->host->event_create(f->host->self, &event), ULV_OK);
    assert_int_equal(f->a->ops->send(f->a, "h", 1, &event, 1), ULV_OK);
    assert_int_equal(f->b->ops->send(f->b, "h", 1, &event, 1), ULV_OK);
    f->host->handle_close(f->host->self, event);
}

static void
readable_wakes(struct fixture *f)
{
    const struct ulv_host *host = f->host;
    ulv_handle set = ULV_NO_HANDLE;

    assert_int_equal(host->wait_create(host->self, &set), ULV_OK);
    assert_int_equal(host->watch(host->self, set, f->b->readable), ULV_OK);
    assert_int_equal(host->wait(host->self, set, 0), ULV_E_TIMEOUT);
    assert_int_equal(send_text(f->a, "1"), ULV_OK);
    assert_int_equal(send_text(f->a, "2"), ULV_OK);
    assert_int_equal(host->wait(host->self, set, 0), ULV_OK);
    assert_int_equal(receive(f, f->b), ULV_OK);
    assert_int_equal(host->wait(host->self, set, 0), ULV_OK);
    assert_int_equal(receive(f, f->b), ULV_OK);
    assert_int_equal(host->wait(host->self, set, 0), ULV_E_TIMEOUT);
    f->a->ops->close(f->a);
    f->a = NULL;
    assert_int_equal(host->wait(host->self, set, 0), ULV_OK);
    assert_int_equal(receive(f, f->b), ULV_E_PEER_GONE);
    assert_int_equal(host->wait(host->self, set, 0), ULV_OK);
    host->unwatch(host->self, set, f->b->readable);
    host->handle_close(host->self, set);
}

static void
test_port_link__both_kinds_behave_alike(void **state)
{
    static const case_fn cases[] = {
        messages_keep_their_order_and_size,
        bounds_are_refused,
        handles_are_duplicated,
        full_then_room_again,
        what_was_sent_arrives_after_close,
        handles_in_unread_messages_are_closed,
        readable_wakes,
    };
    static struct fixture f;
    int before = open_descriptors();

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        for (int in_process = 0; in_process < 2; in_process++) {
            begin(&f, in_process != 0);
            cases[i](&f);
            end(&f);
            assert_int_equal(open_descriptors(), before);
        }
    }
}

/* One exchange with handles; OK, or the first failure. */
static ulv_status
exchange(const struct ulv_host *host)
{
    static char buf[ULV_LINK_MESSAGE_MAX];
    ulv_handle handles[ULV_LINK_HANDLES_MAX];
    struct ulv_link *a = NULL, *b = NULL;
    ulv_handle events[2];
    uint32_t count = 0;
    size_t len = 0;
    ulv_status status = host->event_create(host->self, &events[0]);

    if (status != ULV_OK)
        return status;
    events[1] = events[0];
    status = ulv_link_create(host, &a, &b);
    if (status == ULV_OK) {
        status = a->ops->send(a, "m", 1, events, 2);
        if (status == ULV_OK)
            status = b->ops->receive(b, buf, &len, handles, &count);
        while (count > 0)
            host->handle_close(host->self, handles[--count]);
        a->ops->close(a);
        b->ops->close(b);
    }
    host->handle_close(host->self, events[0]);
    return status;
}

static void
test_port_link__failure_at_every_point_leaks_nothing(void **state)
{
    struct ulv_test_host t;
    ulv_status status = ULV_OK;
    uint64_t n = 0;

    (void)state;
    ulv_test_host_init(&t);
    do {
        ulv_test_host_fail_at(&t, ++n);
        status = exchange(&t.host);
        assert_int_equal(ulv_test_host_live(&t), 0);
        assert_true((status == ULV_OK) == !ulv_test_host_failed(&t));
    } while (ulv_test_host_failed(&t));
    /* Two events of the link, one of ours, pair, message, two duplicates. */
    assert_int_equal(n, 8);
    assert_int_equal(ulv_test_host_fini(&t), 0);
}

static void
test_port_link__a_stale_handle_is_refused_and_nothing_is_sent(void **state)
{
    static struct fixture f;
    ulv_handle handles[2] = {ULV_NO_HANDLE, ULV_NO_HANDLE};

    (void)state;
    begin(&f, false);
    assert_int_equal(f.host->event_create(NULL, &handles[0]), ULV_OK);
    handles[1] = 100000;
    assert_int_equal(f.a->ops->send(f.a, "h", 1, handles, 2), ULV_E_ARG);
    assert_int_equal(receive(&f, f.b), ULV_E_AGAIN);
    f.host->handle_close(NULL, handles[0]);
    end(&f);
}

/* ---- a peer that does not use our code ------------------------------------
 */
static void
send_raw(int fd, size_t len, uint32_t descriptors)
{
    static char buf[ULV_LINK_MESSAGE_MAX + 4096];
    static char control[CMSG_SPACE(253 * sizeof(int))];
    struct iovec part = {buf, len};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *rights;

    if (descriptors > 0) {
        memset(control, 0, sizeof(control));
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
        rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        /* Descriptor 0, over and over. */
    }
    assert_int_equal(sendmsg(fd, &header, MSG_DONTWAIT), len);
}

static void
test_port_link__hostile_packets(void **state)
{
    static const struct {
        const char *why;
        size_t len;
        uint32_t descriptors;
        ulv_status status;
    } cases[] = {
        {"as long as may be", ULV_LINK_MESSAGE_MAX, 64, ULV_OK},
        {"one byte too long", ULV_LINK_MESSAGE_MAX + 1, 0, ULV_E_PEER_LENGTH},
        {"too long, with descriptors", ULV_LINK_MESSAGE_MAX + 1, 64,
         ULV_E_PEER_LENGTH},
        {"a descriptor too many", 1, 65, ULV_E_PEER_LENGTH},
        {"as many descriptors as Linux sends", 1, 253, ULV_E_PEER_LENGTH},
        {"empty", 0, 0, ULV_E_PEER_GONE},
        {"empty, with descriptors", 0, 2, ULV_E_PEER_LENGTH},
    };
    static struct fixture f;
    ulv_handle peer = ULV_NO_HANDLE;
    int before = open_descriptors();

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(cases); i++) {
        memset(&f, 0, sizeof(f));
        assert_int_equal(ulv_posix_link_create(ulv_posix_host(), &f.a, &peer),
                         ULV_OK);
        send_raw((int)peer, cases[i].len, cases[i].descriptors);
        if (receive(&f, f.a) != cases[i].status)
            fail_msg("%s", cases[i].why);
        while (f.count > 0)
            close((int)f.handles[--f.count]);
        f.a->ops->close(f.a);
        close((int)peer);
        assert_int_equal(open_descriptors(), before);
    }
}

static void
test_port_link__open_wants_a_packet_socket(void **state)
{
    struct ulv_link *link = NULL;
    ulv_handle event = ULV_NO_HANDLE;
    int fds[2];

    (void)state;
    assert_int_equal(ulv_posix_host()->event_create(NULL, &event), ULV_OK);
    assert_int_equal(ulv_posix_link_open(ulv_posix_host(), event, &link),
                     ULV_E_ARG);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(ulv_posix_link_open(ulv_posix_host(), fds[0], &link),
                     ULV_E_ARG);
    close(fds[0]);
    close(fds[1]);
    ulv_posix_host()->handle_close(NULL, event);
}

static void
test_port_link__near_messages_are_taken_where_they_are(void **state)
{
    struct fixture f;
    const void *first, *second;

    (void)state;
    begin(&f, false);
    assert_false(ulv_link_is_near(f.a));
    end(&f);
    begin(&f, true);
    assert_true(ulv_link_is_near(f.a) && ulv_link_is_near(f.b));
    assert_int_equal(ulv_link_take(f.b, &first, &f.len, f.handles, &f.count),
                     ULV_E_AGAIN);
    assert_int_equal(send_text(f.a, "one"), ULV_OK);
    assert_int_equal(send_text(f.a, "second"), ULV_OK);
    assert_int_equal(ulv_link_take(f.b, &first, &f.len, f.handles, &f.count),
                     ULV_OK);
    assert_int_equal(f.len, 3);
    assert_memory_equal(first, "one", 3);
    assert_int_equal(ulv_link_take(f.b, &second, &f.len, f.handles, &f.count),
                     ULV_OK);
    assert_int_equal(f.len, 6);
    /* it stays while the other end goes, and goes with its own */
    f.a->ops->close(f.a);
    f.a = NULL;
    assert_int_equal(ulv_link_take(f.b, &first, &f.len, f.handles, &f.count),
                     ULV_E_PEER_GONE);
    assert_memory_equal(second, "second", 6);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_link__both_kinds_behave_alike),
        cmocka_unit_test(
            test_port_link__near_messages_are_taken_where_they_are),
        cmocka_unit_test(test_port_link__failure_at_every_point_leaks_nothing),
        cmocka_unit_test(
            test_port_link__a_stale_handle_is_refused_and_nothing_is_sent),
        cmocka_unit_test(test_port_link__hostile_packets),
        cmocka_unit_test(test_port_link__open_wants_a_packet_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
