/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The way of debuggers to a stub: a Unix socket that listens. */
#include "port/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ultravisor/debug.h>

struct listener {
    int fd;
    bool named; /* path is ours to remove, while it is this file */
    struct stat file;
    struct sockaddr_un address;
};

static ulv_status
accept_one(void *self, ulv_handle *ret)
{
    const struct listener *l = self;
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    *ret = fd;
    return fd < 0 ? ULV_E_AGAIN : ULV_OK;
}

/* Bytes moved, or -1 and errno. */
static ulv_status
moved(ssize_t count, size_t *ret_len)
{
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? ULV_E_AGAIN
                                                 : ULV_E_PEER_GONE;
    *ret_len = (size_t)count;
    return ULV_OK;
}

static ulv_status
receive(void *self, ulv_handle connection, void *buf, size_t len,
        size_t *ret_len)
{
    ssize_t got = recv(ulv_posix_descriptor(connection), buf, len, 0);

    (void)self;
    return got == 0 ? ULV_E_PEER_GONE : moved(got, ret_len);
}

static ulv_status
send_some(void *self, ulv_handle connection, const void *buf, size_t len,
          size_t *ret_len)
{
    (void)self;
    return moved(send(ulv_posix_descriptor(connection), buf, len, MSG_NOSIGNAL),
                 ret_len);
}

static void
disconnect(void *self, ulv_handle connection)
{
    (void)self;
    (void)close(ulv_posix_descriptor(connection));
}

static void
close_listener(void *self)
{
    struct listener *l = self;
    struct stat now;

    if (l->fd >= 0)
        (void)close(l->fd);
    if (l->named && lstat(l->address.sun_path, &now) == 0 &&
        now.st_dev == l->file.st_dev && now.st_ino == l->file.st_ino)
        (void)unlink(l->address.sun_path);
    free(l);
}

/* Nobody but the owner may connect from the first moment on: the socket has
 * its mode before it listens. */
static int
listen_at(struct listener *l, const char *path)
{
    size_t len = strlen(path);

    errno = ENAMETOOLONG;
    if (len == 0 || len >= sizeof(l->address.sun_path))
        return -1;
    l->address.sun_family = AF_UNIX;
    memcpy(l->address.sun_path, path, len);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0 || fchmod(l->fd, 0600) != 0 ||
        bind(l->fd, (const struct sockaddr *)&l->address, sizeof(l->address)) !=
            0) {
        errno = errno == EADDRINUSE ? EEXIST : errno;
        return -1;
    }
    l->named = lstat(path, &l->file) == 0;
    if (chmod(path, 0600) != 0)
        return -1;
    return listen(l->fd, 4);
}

/* One that was made by somebody else; ours is a copy. */
static int
take(struct listener *l, int fd)
{
    int listens = 0, flags;
    socklen_t len = sizeof(listens);

    l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (l->fd < 0 ||
        getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0)
        return -1;
    flags = fcntl(l->fd, F_GETFL);
    errno = EINVAL;
    return listens == 0 ? -1 : fcntl(l->fd, F_SETFL, flags | O_NONBLOCK);
}

static ulv_status
start(ulv_system *system, ulv_id partition, const char *path, int fd,
      uint32_t flags, struct ulv_diag *diag)
{
    struct listener *l = calloc(1, sizeof(*l));
    struct ulv_debug_port port = { .size = sizeof(port),
                                  .self = l,
                                  .accept = accept_one,
                                  .receive = receive,
                                  .send = send_some,
                                  .disconnect = disconnect,
                                  .close = close_listener};
    const char *what = path != NULL ? path : "the socket for debuggers";
    ulv_status status = ULV_OK;

    if (l == NULL)
        return ulv_posix_fail(diag, ENOMEM, what, 0, 0);
    l->fd = -1;
    if ((path != NULL ? listen_at(l, path) : take(l, fd)) != 0)
        status = ulv_posix_fail(diag, errno, what, 0,
                                sizeof(l->address.sun_path) - 1);
    port.listener = l->fd;
    if (status == ULV_OK)
        status = ulv_debug_start(system, partition, &port, flags, diag);
    if (status != ULV_OK)
        close_listener(l);
    return status;
}

ulv_status
ulv_posix_debug(ulv_system *system, ulv_id partition, const char *path,
                uint32_t flags, struct ulv_diag *diag)
{
    return start(system, partition, path, -1, flags, diag);
}

ulv_status
ulv_posix_debug_listening(ulv_system *system, ulv_id partition, int fd,
                          uint32_t flags, struct ulv_diag *diag)
{
    return start(system, partition, NULL, fd, flags, diag);
}
