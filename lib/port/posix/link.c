/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Source: unix(7), recvmsg(2), cmsg(3)
 */
#include "port/posix/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct posix_link {
    struct ulv_link link;
    const struct ulv_host *host;
};

/* Room for the descriptors of one message, aligned for a header. A multiple
 * of its alignment, so that not one descriptor more than that fits in. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(ULV_LINK_HANDLES_MAX * sizeof(int))];
};

static ulv_status
send_status(int code)
{
    switch (code) {
    case EAGAIN:
    case ENOBUFS:
    case ETOOMANYREFS:
        return ULV_E_FULL;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return ULV_E_PEER_GONE;
    case EMSGSIZE:
        return ULV_E_LIMIT;
    default:
        return ulv_posix_status(code);
    }
}

static void
put_handles(struct msghdr *header, union control *control,
            const ulv_handle *handles, uint32_t handle_count)
{
    struct cmsghdr *part;

    memset(control, 0, sizeof(*control));
    header->msg_control = control->bytes;
    header->msg_controllen = CMSG_SPACE(handle_count * sizeof(int));
    part = CMSG_FIRSTHDR(header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(handle_count * sizeof(int));
    for (uint32_t i = 0; i < handle_count; i++) {
        int fd = ulv_posix_descriptor(handles[i]);

        memcpy(CMSG_DATA(part) + i * sizeof(int), &fd, sizeof(fd));
    }
}

static ulv_status
posix_link_send(struct ulv_link *link, const void *message, size_t len,
                const ulv_handle *handles, uint32_t handle_count)
{
    /* sendmsg() only reads, but shares its structure with recvmsg(). */
    struct iovec part = {(void *)(uintptr_t)message, len};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    union control control;
    ssize_t put;

    if (len == 0 || len > ULV_LINK_MESSAGE_MAX ||
        handle_count > ULV_LINK_HANDLES_MAX)
        return ULV_E_LIMIT;
    if (handle_count > 0)
        put_handles(&header, &control, handles, handle_count);
    do {
        put = sendmsg(ulv_posix_descriptor(link->readable), &header,
                      MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    return put < 0 ? send_status(errno) : ULV_OK;
}

/* Take every descriptor that came, at most ULV_LINK_HANDLES_MAX. */
static uint32_t
take_handles(struct msghdr *header, ulv_handle *handles)
{
    uint32_t count = 0;

    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL;
         part = CMSG_NXTHDR(header, part)) {
        size_t fds = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < fds; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
            if (count < ULV_LINK_HANDLES_MAX)
                handles[count++] = fd;
            else
                close(fd);
        }
    }
    return count;
}

/* What is wrong with a message that arrived with these flags. */
static ulv_status
check_message(ssize_t got, int flags, uint32_t handle_count)
{
    if ((flags & MSG_TRUNC) != 0)
        return ULV_E_PEER_LENGTH;
    /* Too many came, or our own table of descriptors is full. */
    if ((flags & MSG_CTRUNC) != 0)
        return handle_count == ULV_LINK_HANDLES_MAX ? ULV_E_PEER_LENGTH
                                                    : ULV_E_HOST;
    /* An empty packet reads like the end; a peer of ours sends none. */
    if (got == 0)
        return handle_count == 0 ? ULV_E_PEER_GONE : ULV_E_PEER_LENGTH;
    return ULV_OK;
}

static ulv_status
posix_link_receive(struct ulv_link *link, void *buf, size_t *ret_len,
                   ulv_handle *handles, uint32_t *ret_handle_count)
{
    union control control;
    struct iovec part = {buf, ULV_LINK_MESSAGE_MAX};
    struct msghdr header;
    ulv_status status;
    uint32_t count;
    ssize_t got;

    do {
        header = (struct msghdr){.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        got = recvmsg(ulv_posix_descriptor(link->readable), &header,
                      MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        /* A peer that closed with our messages unread leaves one reset in
         * front of what it had sent before. */
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0)
        return ulv_posix_status(errno);
    count = take_handles(&header, handles);
    status = check_message(got, header.msg_flags, count);
    if (status != ULV_OK) {
        while (count > 0)
            close((int)handles[--count]);
        return status;
    }
    *ret_len = (size_t)got;
    *ret_handle_count = count;
    return ULV_OK;
}

static void
posix_link_close(struct ulv_link *link)
{
    struct posix_link *own = ULV_CONTAINER_OF(link, struct posix_link, link);

    ulv_posix_handle_close(NULL, link->readable);
    own->host->free(own->host->self, own, sizeof(*own));
}

static const struct ulv_link_ops posix_link_ops = {
    .send = posix_link_send,
    .receive = posix_link_receive,
    .close = posix_link_close,
};

static bool
is_link_socket(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           domain == AF_UNIX && type == SOCK_SEQPACKET;
}

ulv_status
ulv_posix_link_open(const struct ulv_host *host, ulv_handle socket,
                    struct ulv_link **ret)
{
    struct posix_link *own;

    if (!is_link_socket(ulv_posix_descriptor(socket)))
        return ULV_E_ARG;
    own = host->alloc(host->self, sizeof(*own), _Alignof(struct posix_link));
    if (own == NULL)
        return ULV_E_NO_MEMORY;
    own->link.ops = &posix_link_ops;
    own->link.readable = socket;
    own->host = host;
    *ret = &own->link;
    return ULV_OK;
}

ulv_status
ulv_posix_link_create(const struct ulv_host *host, struct ulv_link **ret,
                      ulv_handle *ret_peer)
{
    ulv_status status;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return ulv_posix_status(errno);
    status = ulv_posix_link_open(host, fds[0], ret);
    if (status != ULV_OK) {
        close(fds[0]);
        close(fds[1]);
        return status;
    }
    *ret_peer = fds[1];
    return ULV_OK;
}
