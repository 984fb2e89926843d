/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "port/posix/platform.h"
#include "port/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "port/posix/discover.h"

#define READY_MAX 64u /* told at a time */
#define NS_PER_SECOND UINT64_C(1000000000)

int
ulv_posix_descriptor(ulv_handle h)
{
    return h < 0 || h > INT_MAX ? -1 : (int)h;
}

ulv_status
ulv_posix_status(int code)
{
    switch (code) {
    case ENOMEM:
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return ULV_E_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return ULV_E_LIMIT;
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
        return ULV_E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ULV_E_DENIED;
    case EINVAL:
    case EBADF:
    case ENOTSOCK:
        return ULV_E_ARG;
    case EEXIST:
        return ULV_E_EXISTS;
    case EBUSY:
        return ULV_E_BUSY;
    case EAGAIN:
        return ULV_E_AGAIN;
    case EPIPE:
    case ECONNRESET:
        return ULV_E_PEER_GONE;
    case ENOSYS:
    case EOPNOTSUPP:
        return ULV_E_UNSUPPORTED;
    default:
        return ULV_E_HOST;
    }
}

ulv_status
ulv_posix_fail(struct ulv_diag *diag, int code, const char *what,
               uint64_t value, uint64_t bound)
{
    ulv_status status = ulv_posix_status(code);

    ulv_fail(diag, status, 0, value, bound, "%s: %s", what, strerror(code));
    if (diag != NULL)
        diag->os_code = code;
    return status;
}

ulv_status
ulv_posix_reopen(ulv_handle h, int flags, ulv_handle *ret)
{
    char path[40];
    struct ulv_text text;
    int fd;

    if (ulv_posix_descriptor(h) < 0)
        return ULV_E_ARG;
    ulv_text_init(&text, path, sizeof(path));
    ulv_text_format(&text, "/proc/self/fd/%u", (uint64_t)h);
    fd = open(path, flags | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && access("/proc/self/fd", F_OK) != 0)
        return ULV_E_UNSUPPORTED;
    if (fd < 0)
        return errno == ENOENT ? ULV_E_ARG : ulv_posix_status(errno);
    *ret = fd;
    return ULV_OK;
}

/* Of objects this large most is never touched, as of a buffer for the longest
 * message: they get pages of their own, which are zeroes and cost nothing until
 * they are used. A sanitizer is to see beyond their ends. */
#ifdef ULV_SANITIZED
#define PAGES_FROM SIZE_MAX
#else
#define PAGES_FROM ((size_t)32768)
#endif
#define PAGE_BYTES UINT64_C(4096)

static bool
has_own_pages(size_t bytes)
{
    return bytes >= PAGES_FROM;
}

static void *
alloc_pages(size_t bytes, size_t align)
{
    void *at = NULL, *p;

    if (bytes > SIZE_MAX - (PAGE_BYTES - 1) ||
        (align > PAGE_BYTES &&
         ulv_posix_memory_reserve(NULL, ulv_round_up(bytes, PAGE_BYTES), align,
                                  &at) != ULV_OK))
        return NULL;
    p = mmap(at, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | (at == NULL ? 0 : MAP_FIXED), -1, 0);
    if (p != MAP_FAILED)
        return p;
    ulv_posix_memory_unmap(NULL, at, bytes);
    return NULL;
}

static void *
posix_alloc(void *self, size_t bytes, size_t align)
{
    void *p;

    (void)self;
    if (has_own_pages(bytes))
        return alloc_pages(bytes, align);
    if (align <= _Alignof(max_align_t))
        return calloc(1, bytes == 0 ? 1 : bytes);
    if (posix_memalign(&p, align, bytes) != 0)
        return NULL;
    memset(p, 0, bytes);
    return p;
}

static void
posix_free(void *self, void *p, size_t bytes)
{
    (void)self;
    if (p != NULL && has_own_pages(bytes))
        munmap(p, bytes);
    else
        free(p);
}

static ulv_nsec
posix_now(void *self)
{
    struct timespec t = {0, 0};

    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static void
posix_entropy(void *self, void *buf, size_t bytes)
{
    char *at = buf;
    ssize_t got;

    (void)self;
    while (bytes > 0) {
        /* Linux 3.17 and later: fails by a signal only. */
        got = getrandom(at, bytes, 0);
        if (got > 0) {
            at += got;
            bytes -= (size_t)got;
        }
    }
}

static ulv_status
posix_event_create(void *self, ulv_handle *ret)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    (void)self;
    if (fd < 0)
        return ulv_posix_status(errno);
    *ret = fd;
    return ULV_OK;
}

static void
posix_event_signal(void *self, ulv_handle event)
{
    uint64_t one = 1;
    ssize_t put;

    (void)self;
    do {
        put = write(ulv_posix_descriptor(event), &one, sizeof(one));
    } while (put < 0 && errno == EINTR);
    /* EAGAIN: the counter is full, so the event is signalled already. */
}

static bool
posix_event_take(void *self, ulv_handle event)
{
    uint64_t count = 0;
    struct iovec part = {&count, sizeof(count)};
    int fd = ulv_posix_descriptor(event);
    ssize_t got;

    (void)self;
    do {
        /* Whoever shares the event can make it blocking behind our back:
         * this read does not block even then. */
        got = preadv2(fd, &part, 1, -1, RWF_NOWAIT);
        if (got < 0 && errno == EOPNOTSUPP)
            got = read(fd, &count, sizeof(count));
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(count);
}

/*
 * Duplicates are the same descriptor, which is closed as often as it was made:
 * with all roles in one process a channel has eight ends of bells, and a
 * partition two dozen descriptors otherwise.
 */
static struct {
    pthread_mutex_t lock;
    uint32_t *extra; /* duplicates that are open, by descriptor */
    size_t count;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Under the lock: room to count the duplicates of fd. */
static bool
make_room(size_t fd)
{
    size_t count = fd < 64 ? 64 : 2 * fd;
    uint32_t *extra;

    if (fd < shared.count)
        return true;
    extra = realloc(shared.extra, count * sizeof(*extra));
    if (extra == NULL)
        return false;
    memset(extra + shared.count, 0, (count - shared.count) * sizeof(*extra));
    shared.extra = extra;
    shared.count = count;
    return true;
}

static ulv_status
posix_handle_duplicate(void *self, ulv_handle h, ulv_handle *ret)
{
    int fd = ulv_posix_descriptor(h);
    ulv_status status = ULV_E_NO_MEMORY;

    (void)self;
    if (fd < 0 || fcntl(fd, F_GETFD) < 0)
        return ulv_posix_status(EBADF);
    (void)pthread_mutex_lock(&shared.lock);
    if (make_room((size_t)fd)) {
        shared.extra[fd]++;
        *ret = fd;
        status = ULV_OK;
    }
    (void)pthread_mutex_unlock(&shared.lock);
    return status;
}

void
ulv_posix_handle_close(void *self, ulv_handle h)
{
    int fd = ulv_posix_descriptor(h);
    bool last = fd >= 0;

    (void)self;
    (void)pthread_mutex_lock(&shared.lock);
    if (last && (size_t)fd < shared.count && shared.extra[fd] != 0) {
        shared.extra[fd]--;
        last = false;
    }
    (void)pthread_mutex_unlock(&shared.lock);
    if (last)
        (void)close(fd);
}

static ulv_status
posix_wait_create(void *self, ulv_handle *ret)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    (void)self;
    if (fd < 0)
        return ulv_posix_status(errno);
    *ret = fd;
    return ULV_OK;
}

static ulv_status
posix_watch(void *self, ulv_handle set, ulv_handle h)
{
    struct epoll_event event = {.events = EPOLLIN};

    (void)self;
    event.data.u64 = (uint64_t)h;
    if (epoll_ctl(ulv_posix_descriptor(set), EPOLL_CTL_ADD,
                  ulv_posix_descriptor(h), &event) == 0)
        return ULV_OK;
    if (errno == EPERM || errno == ELOOP)
        return ULV_E_ARG;
    return errno == ENOSPC ? ULV_E_LIMIT : ulv_posix_status(errno);
}

static void
posix_unwatch(void *self, ulv_handle set, ulv_handle h)
{
    (void)self;
    epoll_ctl(ulv_posix_descriptor(set), EPOLL_CTL_DEL, ulv_posix_descriptor(h),
              NULL);
}

/* The same in milliseconds, for kernels before 5.11: never too early. */
static int
wait_in_milliseconds(int set, const struct timespec *left,
                     struct epoll_event *event)
{
    int64_t milliseconds;

    if (left == NULL)
        return epoll_wait(set, event, 1, -1);
    if (left->tv_sec > INT_MAX / 1000 - 1)
        return epoll_wait(set, event, 1, INT_MAX);
    milliseconds = left->tv_sec * 1000 + (left->tv_nsec + 999999) / 1000000;
    return epoll_wait(set, event, 1, (int)milliseconds);
}

static ulv_status
posix_wait(void *self, ulv_handle set, ulv_nsec deadline)
{
    ulv_nsec now = posix_now(self);
    ulv_nsec nanoseconds = deadline > now ? deadline - now : 0;
    struct timespec left = {(time_t)(nanoseconds / NS_PER_SECOND),
                            (long)(nanoseconds % NS_PER_SECOND)};
    struct timespec *timeout = deadline == ULV_FOREVER ? NULL : &left;
    struct epoll_event event;
    int fd = ulv_posix_descriptor(set);
    int ready = epoll_pwait2(fd, &event, 1, timeout, NULL);

    if (ready < 0 && errno == ENOSYS)
        ready = wait_in_milliseconds(fd, timeout, &event);
    if (ready < 0 && errno != EINTR)
        return ulv_posix_status(errno);
    return ready == 0 ? ULV_E_TIMEOUT : ULV_OK;
}

static uint32_t
posix_ready(void *self, ulv_handle set, ulv_handle *ret, uint32_t capacity)
{
    struct epoll_event event[READY_MAX];
    int count = epoll_wait(ulv_posix_descriptor(set), event,
                           (int)ULV_MIN(capacity, READY_MAX), 0);

    (void)self;
    for (int i = 0; i < count; i++)
        ret[i] = (ulv_handle)event[i].data.u64;
    return count < 0 ? 0 : (uint32_t)count;
}

static ulv_status
posix_alarm_create(void *self, ulv_handle *ret)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    (void)self;
    if (fd < 0)
        return ulv_posix_status(errno);
    *ret = fd;
    return ULV_OK;
}

static void
posix_alarm_set(void *self, ulv_handle alarm, ulv_nsec when)
{
    struct itimerspec at = { .it_interval = { 0, 0 } };

    (void)self;
    if (when != ULV_FOREVER) {
        /* all zero would be never */
        when = when == 0 ? 1 : when;
        at.it_value.tv_sec = (time_t)(when / NS_PER_SECOND);
        at.it_value.tv_nsec = (long)(when % NS_PER_SECOND);
    }
    (void)timerfd_settime(ulv_posix_descriptor(alarm), TFD_TIMER_ABSTIME, &at,
                          NULL);
}

static const struct ulv_posix_roots machine_roots = {
    .sys = "/sys",
    .proc = "/proc",
};

static ulv_status
posix_processors(void *self, struct ulv_host_processor *ret, uint32_t capacity,
                 uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    return ulv_posix_find_processors(&machine_roots, ret, capacity, ret_count,
                                     diag);
}

static ulv_status
posix_nodes(void *self, struct ulv_host_node *ret, uint32_t capacity,
            uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    return ulv_posix_find_nodes(&machine_roots, ret, capacity, ret_count, diag);
}

static ulv_status
posix_devices(void *self, struct ulv_host_device *ret, uint32_t capacity,
              uint32_t *ret_count, struct ulv_diag *diag)
{
    (void)self;
    return ulv_posix_find_devices(&machine_roots, ret, capacity, ret_count,
                                  diag);
}

static const struct ulv_host posix_host = {
    .size = sizeof(struct ulv_host),
    .alloc = posix_alloc,
    .free = posix_free,
    .now = posix_now,
    .entropy = posix_entropy,
    .memory_create = ulv_posix_memory_create,
    .memory_map = ulv_posix_memory_map,
    .memory_unmap = ulv_posix_memory_unmap,
    .memory_unmap_at = ulv_posix_memory_unmap_at,
    .memory_reserve = ulv_posix_memory_reserve,
    .memory_seal = ulv_posix_memory_seal,
    .memory_read_only = ulv_posix_memory_read_only,
    .memory_discard = ulv_posix_memory_discard,
    .memory_bytes = ulv_posix_memory_bytes,
    .event_create = posix_event_create,
    .event_signal = posix_event_signal,
    .event_take = posix_event_take,
    .handle_duplicate = posix_handle_duplicate,
    .handle_close = ulv_posix_handle_close,
    .wait_create = posix_wait_create,
    .watch = posix_watch,
    .unwatch = posix_unwatch,
    .wait = posix_wait,
    .ready = posix_ready,
    .medium_open = ulv_posix_medium_open,
    .medium_bytes = ulv_posix_medium_bytes,
    .medium_read = ulv_posix_medium_read,
    .medium_lock = ulv_posix_medium_lock,
    .fence_create = ulv_posix_fence_create,
    .fence_open = ulv_posix_fence_open,
    .fence_try_take = ulv_posix_fence_try_take,
    .processors = posix_processors,
    .nodes = posix_nodes,
    .platform = &ulv_posix_platform,
    .alarm_create = posix_alarm_create,
    .alarm_set = posix_alarm_set,
    .memory_back = ulv_posix_memory_back,
    .devices = posix_devices,
    .medium_write = ulv_posix_medium_write,
    .medium_sync = ulv_posix_medium_sync,
};

const struct ulv_host *
ulv_posix_host(void)
{
    return &posix_host;
}
