/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Source: Linux Documentation/ABI/stable/sysfs-devices-system-cpu,
 *         Documentation/ABI/stable/sysfs-devices-node, proc(5) "meminfo"
 */
#include "port/posix/discover.h"

#include <sched.h>
#include <string.h>

#include <ultravisor/abi/command.h>

#include "port/posix/sysfs.h"

#define NUMBERS_MAX 8192u /* processors or nodes: what Linux can have */
#define FILE_BYTES  65536
#define NAME_BYTES  64 /* of a file, in the folder that has them all */

static const char system_folder[] = "devices/system";

/* A set of processor or node numbers. */
struct numbers {
    uint64_t words[NUMBERS_MAX / 64];
};

static bool
has(const struct numbers *set, uint32_t n)
{
    return (set->words[n / 64] >> n % 64 & 1) != 0;
}

/* The first of it from n on; NUMBERS_MAX: there is none. */
static uint32_t
next_of(const struct numbers *set, uint32_t n)
{
    while (n < NUMBERS_MAX && !has(set, n))
        n = set->words[n / 64] >> n % 64 == 0 ? (n / 64 + 1) * 64 : n + 1;
    return n;
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
read_list(const struct ulv_sysfs_folder *folder, const char *file,
          struct numbers *ret, struct ulv_diag *diag)
{
    char buf[FILE_BYTES];
    ulv_status status = ulv_sysfs_read(folder, file, buf, sizeof(buf), diag);

    if (status != ULV_OK)
        return status;
    if (!parse_list(buf, ret))
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, NUMBERS_MAX - 1,
                        "%s/%s: not a list of numbers up to %u", folder->path,
                        file, (uint64_t)NUMBERS_MAX - 1);
    return ULV_OK;
}

/* Of a processor or a node. */
static void
make_name(char name[NAME_BYTES], const char *folder, uint64_t number,
          const char *file)
{
    struct ulv_text text;

    ulv_text_init(&text, name, NAME_BYTES);
    ulv_text_format(&text, "%s%u/%s", folder, number, file);
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
usable(const struct ulv_sysfs_folder *folder, bool every, struct numbers *ret,
       struct ulv_diag *diag)
{
    struct numbers allowed;
    ulv_status status;

    get_affinity(&allowed);
    status = read_list(folder, "cpu/online", ret, diag);
    if (status == ULV_E_NOT_FOUND) {
        *ret = allowed;
        return ULV_OK;
    }
    if (status != ULV_OK)
        return status;
    for (size_t i = 0; i < ULV_COUNT_OF(ret->words); i++) {
        if (!every)
            ret->words[i] &= allowed.words[i];
    }
    return ULV_OK;
}

/* -1 is what a machine without packages says. */
static ulv_status
read_package(const struct ulv_sysfs_folder *folder, const char *file,
             uint32_t *ret, struct ulv_diag *diag)
{
    char buf[64];
    const char *at = buf;
    uint64_t n = 0;
    ulv_status status = ulv_sysfs_read(folder, file, buf, sizeof(buf), diag);

    if (status == ULV_E_NOT_FOUND || (status == ULV_OK && buf[0] == '-')) {
        *ret = 0;
        return ULV_OK;
    }
    if (status != ULV_OK)
        return status;
    if (!ulv_posix_parse_number(&at, &n) || n > UINT32_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, n, UINT32_MAX,
                        "%s/%s: not a number up to %u", folder->path, file,
                        (uint64_t)UINT32_MAX);
    *ret = (uint32_t)n;
    return ULV_OK;
}

/* Package, core and thread. core_id repeats on some machines (dies); the
 * lowest number among its threads names a core without doubt. */
static ulv_status
read_processor(const struct ulv_sysfs_folder *folder, uint32_t number,
               struct ulv_host_processor *ret, struct ulv_diag *diag)
{
    char name[NAME_BYTES];
    struct numbers threads;
    ulv_status status;

    memset(ret, 0, sizeof(*ret));
    ret->number = number;
    ret->core = number;
    make_name(name, "cpu/cpu", number, "topology/physical_package_id");
    status = read_package(folder, name, &ret->package, diag);
    if (status != ULV_OK)
        return status;
    make_name(name, "cpu/cpu", number, "topology/thread_siblings_list");
    status = read_list(folder, name, &threads, diag);
    if (status == ULV_E_NOT_FOUND)
        return ULV_OK;
    if (status != ULV_OK)
        return status;
    for (uint32_t n = next_of(&threads, 0); n < number;
         n = next_of(&threads, n + 1)) {
        ret->core = ULV_MIN(ret->core, n);
        ret->thread++;
    }
    return ULV_OK;
}

/* Online nodes; NOT_FOUND without any. */
static ulv_status
online_nodes(const struct ulv_sysfs_folder *folder, struct numbers *ret,
             struct ulv_diag *diag)
{
    return read_list(folder, "node/online", ret, diag);
}

/* The only one that is online, or ULV_NODE_ANY. */
static uint32_t
only_one(const struct numbers *nodes)
{
    const uint32_t first = next_of(nodes, 0);

    return first < NUMBERS_MAX && next_of(nodes, first + 1) == NUMBERS_MAX
               ? first
               : ULV_NODE_ANY;
}

static ulv_status
assign_node(const struct ulv_sysfs_folder *folder, uint32_t node,
            struct ulv_host_processor *processors, uint32_t count,
            struct ulv_diag *diag)
{
    struct numbers members;
    char name[NAME_BYTES];
    ulv_status status;

    make_name(name, "node/node", node, "cpulist");
    status = read_list(folder, name, &members, diag);
    if (status != ULV_OK)
        return status == ULV_E_NOT_FOUND ? ULV_OK : status;
    for (uint32_t i = 0; i < count; i++) {
        if (has(&members, processors[i].number))
            processors[i].node = node;
    }
    return ULV_OK;
}

static ulv_status
assign_nodes(const struct ulv_sysfs_folder *folder,
             struct ulv_host_processor *processors, uint32_t count,
             struct ulv_diag *diag)
{
    struct numbers nodes;
    ulv_status status = online_nodes(folder, &nodes, diag);

    if (status != ULV_OK)
        return status == ULV_E_NOT_FOUND ? ULV_OK : status;
    if (only_one(&nodes) != ULV_NODE_ANY) {
        for (uint32_t i = 0; i < count; i++)
            processors[i].node = only_one(&nodes);
        return ULV_OK;
    }
    for (uint32_t node = next_of(&nodes, 0);
         status == ULV_OK && node < NUMBERS_MAX;
         node = next_of(&nodes, node + 1))
        status = assign_node(folder, node, processors, count, diag);
    return status;
}

static ulv_status
find_processors(const struct ulv_sysfs_folder *folder, bool every,
                struct ulv_host_processor *ret, uint32_t capacity,
                uint32_t *ret_count, struct ulv_diag *diag)
{
    struct numbers found;
    uint32_t count = 0;
    ulv_status status = usable(folder, every, &found, diag);

    if (status != ULV_OK)
        return status;
    for (uint32_t n = next_of(&found, 0); status == ULV_OK && n < NUMBERS_MAX;
         n = next_of(&found, n + 1)) {
        if (count < capacity)
            status = read_processor(folder, n, &ret[count], diag);
        count++;
    }
    if (status != ULV_OK)
        return status;
    if (count == 0)
        return ulv_fail(diag, ULV_E_HOST, 0, 0, 1,
                        "processors: none is online and allowed to us");
    *ret_count = count;
    return assign_nodes(folder, ret, ULV_MIN(count, capacity), diag);
}

ulv_status
ulv_posix_find_processors(const struct ulv_posix_roots *roots,
                          struct ulv_host_processor *ret, uint32_t capacity,
                          uint32_t *ret_count, struct ulv_diag *diag)
{
    struct ulv_sysfs_folder folder;
    ulv_status status =
        ulv_sysfs_open(&folder, roots->sys, system_folder, diag);

    if (status == ULV_OK)
        status = find_processors(&folder, roots->every_processor, ret, capacity,
                                 ret_count, diag);
    ulv_sysfs_close(&folder);
    return status;
}

/* ---- memory -------------------------------------------------------------- */

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
    char buf[FILE_BYTES];
    ulv_status status =
        ulv_proc_read(roots->proc, "meminfo", buf, sizeof(buf), diag);

    if (status == ULV_E_NOT_FOUND)
        return ulv_fail(diag, ULV_E_HOST, 0, 0, 0,
                        "%s/meminfo: not there; is /proc mounted?",
                        roots->proc);
    if (status != ULV_OK)
        return status;
    memset(ret, 0, sizeof(*ret));
    ret->total_bytes = meminfo_bytes(buf, "MemTotal:");
    ret->free_bytes = meminfo_bytes(buf, "MemAvailable:");
    if (ret->free_bytes == 0)
        ret->free_bytes = meminfo_bytes(buf, "MemFree:");
    if (ret->total_bytes == 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 1, "%s/meminfo: no MemTotal",
                        roots->proc);
    return ULV_OK;
}

static ulv_status
read_node(const struct ulv_sysfs_folder *folder, uint32_t number,
          struct ulv_host_node *ret, struct ulv_diag *diag)
{
    char name[NAME_BYTES], buf[FILE_BYTES];
    ulv_status status;

    make_name(name, "node/node", number, "meminfo");
    status = ulv_sysfs_read(folder, name, buf, sizeof(buf), diag);
    if (status == ULV_E_NOT_FOUND)
        return ulv_fail(diag, ULV_E_FORMAT, 0, number, 0, "%s/%s: not there",
                        folder->path, name);
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

static ulv_status
find_nodes(const struct ulv_posix_roots *roots,
           const struct ulv_sysfs_folder *folder, struct ulv_host_node *ret,
           uint32_t capacity, uint32_t *ret_count, struct ulv_diag *diag)
{
    struct numbers nodes;
    uint32_t count = 0;
    ulv_status status = online_nodes(folder, &nodes, diag);

    if (status == ULV_E_NOT_FOUND) {
        *ret_count = 1;
        return capacity == 0 ? ULV_OK : whole_machine(roots, ret, diag);
    }
    if (status != ULV_OK)
        return status;
    for (uint32_t n = next_of(&nodes, 0); status == ULV_OK && n < NUMBERS_MAX;
         n = next_of(&nodes, n + 1)) {
        if (count < capacity)
            status = read_node(folder, n, &ret[count], diag);
        count++;
    }
    if (status != ULV_OK)
        return status;
    if (count == 0)
        return ulv_fail(diag, ULV_E_HOST, 0, 0, 1, "nodes: none is online");
    *ret_count = count;
    return ULV_OK;
}

ulv_status
ulv_posix_find_nodes(const struct ulv_posix_roots *roots,
                     struct ulv_host_node *ret, uint32_t capacity,
                     uint32_t *ret_count, struct ulv_diag *diag)
{
    struct ulv_sysfs_folder folder;
    ulv_status status =
        ulv_sysfs_open(&folder, roots->sys, system_folder, diag);

    if (status == ULV_OK)
        status = find_nodes(roots, &folder, ret, capacity, ret_count, diag);
    ulv_sysfs_close(&folder);
    return status;
}

ulv_status
ulv_posix_only_node(const struct ulv_posix_roots *roots, uint32_t *ret,
                    struct ulv_diag *diag)
{
    struct ulv_sysfs_folder folder;
    struct numbers nodes;
    ulv_status status =
        ulv_sysfs_open(&folder, roots->sys, system_folder, diag);

    *ret = ULV_NODE_ANY;
    if (status == ULV_OK)
        status = online_nodes(&folder, &nodes, diag);
    ulv_sysfs_close(&folder);
    if (status == ULV_OK)
        *ret = only_one(&nodes);
    return status == ULV_E_NOT_FOUND ? ULV_OK : status;
}
