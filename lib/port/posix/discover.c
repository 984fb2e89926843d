/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Source: Linux Documentation/ABI/stable/sysfs-devices-system-cpu,
 *         Documentation/ABI/stable/sysfs-devices-node, proc(5) "meminfo"
 */
#include "port/posix/discover.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define NUMBERS_MAX 8192 /* processors or nodes: what Linux can have */
#define FILE_BYTES  65536
#define PATH_BYTES  512

/* A set of processor or node numbers. */
struct numbers {
    uint64_t words[NUMBERS_MAX / 64];
};

static bool
has(const struct numbers *set, uint32_t n)
{
    return (set->words[n / 64] >> n % 64 & 1) != 0;
}

ulv_status
ulv_posix_read_text_at(int folder, const char *file, const char *path,
                       char *buf, size_t size, struct ulv_diag *diag)
{
    int fd = openat(folder, file, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = 1;
    int code;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return ULV_E_NOT_FOUND;
    if (fd < 0)
        return ulv_posix_fail(diag, errno, path, 0, 0);
    while (got != 0 && len < size - 1) {
        got = read(fd, buf + len, size - 1 - len);
        if (got < 0 && errno != EINTR)
            break;
        if (got > 0)
            len += (size_t)got;
    }
    code = errno;
    close(fd);
    if (got < 0)
        return ulv_posix_fail(diag, code, path, 0, 0);
    buf[len] = '\0';
    if (got != 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, len, size - 1,
                        "%s: more than %u bytes", path, (uint64_t)size - 1);
    return ULV_OK;
}

ulv_status
ulv_posix_read_text(const char *path, char *buf, size_t size,
                    struct ulv_diag *diag)
{
    return ulv_posix_read_text_at(AT_FDCWD, path, path, buf, size, diag);
}

bool
ulv_posix_parse_number(const char **at, uint64_t *ret)
{
    uint64_t n = 0;

    if (**at < '0' || **at > '9')
        return false;
    while (**at >= '0' && **at <= '9') {
        if (!ulv_multiply_u64(n, 10, &n) ||
            !ulv_add_u64(n, (uint64_t)(**at - '0'), &n))
            return false;
        (*at)++;
    }
    *ret = n;
    return true;
}

/* "0-3,8,10-11\n", or nothing but the newline. */
static bool
parse_list(const char *at, struct numbers *ret)
{
    uint64_t first, last;

    memset(ret, 0, sizeof(*ret));
    while (*at != '\0' && *at != '\n') {
        if (!ulv_posix_parse_number(&at, &first))
            return false;
        last = first;
        if (*at == '-') {
            at++;
            if (!ulv_posix_parse_number(&at, &last))
                return false;
        }
        if (first > last || last >= NUMBERS_MAX)
            return false;
        for (; first <= last; first++)
            ret->words[first / 64] |= UINT64_C(1) << first % 64;
        if (*at == ',')
            at++;
        else if (*at != '\0' && *at != '\n')
            return false;
    }
    return true;
}

static ulv_status
read_list(const char *path, struct numbers *ret, struct ulv_diag *diag)
{
    char buf[FILE_BYTES];
    ulv_status status = ulv_posix_read_text(path, buf, sizeof(buf), diag);

    if (status != ULV_OK)
        return status;
    if (!parse_list(buf, ret))
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, NUMBERS_MAX - 1,
                        "%s: not a list of numbers up to %u", path,
                        (uint64_t)NUMBERS_MAX - 1);
    return ULV_OK;
}

static void
make_path(char path[PATH_BYTES], const char *root, const char *folder,
          uint64_t number, const char *file)
{
    struct ulv_text text;

    ulv_text_init(&text, path, PATH_BYTES);
    ulv_text_format(&text, "%s/devices/system/%s%u/%s", root, folder, number,
                    file);
}

static void
get_affinity(struct numbers *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (sched_getaffinity(0, sizeof(*ret), (cpu_set_t *)(void *)ret) != 0)
        memset(ret, 0xff, sizeof(*ret));
}

/* What may be used: online, and allowed to this thread. */
static ulv_status
usable(const struct ulv_posix_roots *roots, struct numbers *ret,
       struct ulv_diag *diag)
{
    char path[PATH_BYTES];
    struct numbers allowed;
    struct ulv_text text;
    ulv_status status;

    get_affinity(&allowed);
    ulv_text_init(&text, path, sizeof(path));
    ulv_text_format(&text, "%s/devices/system/cpu/online", roots->sys);
    status = read_list(path, ret, diag);
    if (status == ULV_E_NOT_FOUND) {
        *ret = allowed;
        return ULV_OK;
    }
    if (status != ULV_OK)
        return status;
    for (size_t i = 0; i < ULV_COUNT_OF(ret->words); i++) {
        if (!roots->every_processor)
            ret->words[i] &= allowed.words[i];
    }
    return ULV_OK;
}

/* -1 is what a machine without packages says. */
static ulv_status
read_package(const char *path, uint32_t *ret, struct ulv_diag *diag)
{
    char buf[64];
    const char *at = buf;
    uint64_t n = 0;
    ulv_status status = ulv_posix_read_text(path, buf, sizeof(buf), diag);

    if (status == ULV_E_NOT_FOUND || (status == ULV_OK && buf[0] == '-')) {
        *ret = 0;
        return ULV_OK;
    }
    if (status != ULV_OK)
        return status;
    if (!ulv_posix_parse_number(&at, &n) || n > UINT32_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, n, UINT32_MAX,
                        "%s: not a number up to %u", path,
                        (uint64_t)UINT32_MAX);
    *ret = (uint32_t)n;
    return ULV_OK;
}

/* Package, core and thread. core_id repeats on some machines (dies); the
 * lowest number among its threads names a core without doubt. */
static ulv_status
read_processor(const struct ulv_posix_roots *roots, uint32_t number,
               struct ulv_host_processor *ret, struct ulv_diag *diag)
{
    char path[PATH_BYTES];
    struct numbers threads;
    ulv_status status;

    memset(ret, 0, sizeof(*ret));
    ret->number = number;
    ret->core = number;
    make_path(path, roots->sys, "cpu/cpu", number,
              "topology/physical_package_id");
    status = read_package(path, &ret->package, diag);
    if (status != ULV_OK)
        return status;
    make_path(path, roots->sys, "cpu/cpu", number,
              "topology/thread_siblings_list");
    status = read_list(path, &threads, diag);
    if (status == ULV_E_NOT_FOUND)
        return ULV_OK;
    if (status != ULV_OK)
        return status;
    for (uint32_t n = number; n-- > 0;) {
        if (has(&threads, n)) {
            ret->core = n;
            ret->thread++;
        }
    }
    return ULV_OK;
}

/* Online nodes; NOT_FOUND without any. */
static ulv_status
online_nodes(const struct ulv_posix_roots *roots, struct numbers *ret,
             struct ulv_diag *diag)
{
    char path[PATH_BYTES];
    struct ulv_text text;

    ulv_text_init(&text, path, sizeof(path));
    ulv_text_format(&text, "%s/devices/system/node/online", roots->sys);
    return read_list(path, ret, diag);
}

static ulv_status
assign_nodes(const struct ulv_posix_roots *roots,
             struct ulv_host_processor *processors, uint32_t count,
             struct ulv_diag *diag)
{
    struct numbers nodes, members;
    char path[PATH_BYTES];
    ulv_status status = online_nodes(roots, &nodes, diag);

    if (status != ULV_OK)
        return status == ULV_E_NOT_FOUND ? ULV_OK : status;
    for (uint32_t node = 0; node < NUMBERS_MAX; node++) {
        if (!has(&nodes, node))
            continue;
        make_path(path, roots->sys, "node/node", node, "cpulist");
        status = read_list(path, &members, diag);
        if (status == ULV_E_NOT_FOUND)
            continue;
        if (status != ULV_OK)
            return status;
        for (uint32_t i = 0; i < count; i++) {
            if (has(&members, processors[i].number))
                processors[i].node = node;
        }
    }
    return ULV_OK;
}

ulv_status
ulv_posix_find_processors(const struct ulv_posix_roots *roots,
                          struct ulv_host_processor *ret, uint32_t capacity,
                          uint32_t *ret_count, struct ulv_diag *diag)
{
    struct numbers found;
    uint32_t count = 0;
    ulv_status status = usable(roots, &found, diag);

    for (uint32_t n = 0; status == ULV_OK && n < NUMBERS_MAX; n++) {
        if (!has(&found, n))
            continue;
        if (count < capacity)
            status = read_processor(roots, n, &ret[count], diag);
        count++;
    }
    if (status != ULV_OK)
        return status;
    if (count == 0)
        return ulv_fail(diag, ULV_E_HOST, 0, 0, 1,
                        "processors: none is online and allowed to us");
    *ret_count = count;
    return assign_nodes(roots, ret, ULV_MIN(count, capacity), diag);
}

/* The value of "name:   123 kB", wherever it stands, in bytes; 0 without. */
static uint64_t
meminfo_bytes(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    uint64_t kibibytes, bytes;

    if (at == NULL)
        return 0;
    at += strlen(name);
    while (*at == ' ' || *at == '\t')
        at++;
    if (!ulv_posix_parse_number(&at, &kibibytes) ||
        !ulv_multiply_u64(kibibytes, 1024, &bytes))
        return 0;
    return bytes;
}

static ulv_status
whole_machine(const struct ulv_posix_roots *roots, struct ulv_host_node *ret,
              struct ulv_diag *diag)
{
    char path[PATH_BYTES], buf[FILE_BYTES];
    struct ulv_text text;
    ulv_status status;

    ulv_text_init(&text, path, sizeof(path));
    ulv_text_format(&text, "%s/meminfo", roots->proc);
    status = ulv_posix_read_text(path, buf, sizeof(buf), diag);
    if (status == ULV_E_NOT_FOUND)
        return ulv_fail(diag, ULV_E_HOST, 0, 0, 0,
                        "%s: not there; is /proc mounted?", path);
    if (status != ULV_OK)
        return status;
    memset(ret, 0, sizeof(*ret));
    ret->total_bytes = meminfo_bytes(buf, "MemTotal:");
    ret->free_bytes = meminfo_bytes(buf, "MemAvailable:");
    if (ret->free_bytes == 0)
        ret->free_bytes = meminfo_bytes(buf, "MemFree:");
    if (ret->total_bytes == 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 1, "%s: no MemTotal", path);
    return ULV_OK;
}

static ulv_status
read_node(const struct ulv_posix_roots *roots, uint32_t number,
          struct ulv_host_node *ret, struct ulv_diag *diag)
{
    char path[PATH_BYTES], buf[FILE_BYTES];
    ulv_status status;

    make_path(path, roots->sys, "node/node", number, "meminfo");
    status = ulv_posix_read_text(path, buf, sizeof(buf), diag);
    if (status == ULV_E_NOT_FOUND)
        return ulv_fail(diag, ULV_E_FORMAT, 0, number, 0, "%s: not there",
                        path);
    if (status != ULV_OK)
        return status;
    memset(ret, 0, sizeof(*ret));
    ret->number = number;
    ret->total_bytes = meminfo_bytes(buf, "MemTotal:");
    /* Clean file pages that nobody used of late can be had too. */
    ret->free_bytes =
        meminfo_bytes(buf, "MemFree:") + meminfo_bytes(buf, "Inactive(file):");
    ret->free_bytes = ULV_MIN(ret->free_bytes, ret->total_bytes);
    return ULV_OK;
}

ulv_status
ulv_posix_find_nodes(const struct ulv_posix_roots *roots,
                     struct ulv_host_node *ret, uint32_t capacity,
                     uint32_t *ret_count, struct ulv_diag *diag)
{
    struct numbers nodes;
    uint32_t count = 0;
    ulv_status status = online_nodes(roots, &nodes, diag);

    if (status == ULV_E_NOT_FOUND) {
        *ret_count = 1;
        return capacity == 0 ? ULV_OK : whole_machine(roots, ret, diag);
    }
    for (uint32_t n = 0; status == ULV_OK && n < NUMBERS_MAX; n++) {
        if (!has(&nodes, n))
            continue;
        if (count < capacity)
            status = read_node(roots, n, &ret[count], diag);
        count++;
    }
    if (status != ULV_OK)
        return status;
    if (count == 0)
        return ulv_fail(diag, ULV_E_HOST, 0, 0, 1, "nodes: none is online");
    *ret_count = count;
    return ULV_OK;
}
