/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci (numa_node, physfn),
 *         drivers/pci/pci-driver.c (pci_uevent: PCI_CLASS, PCI_ID),
 *         drivers/base/core.c (dev_uevent: DRIVER),
 *         Documentation/ABI/stable/sysfs-block (size, dev),
 *         drivers/net/tun.c (tun_flags)
 */
#include "port/posix/discover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ultravisor/abi/command.h>

#define NAMES_MAX    4096u
#define PATH_BYTES   512
#define LINK_BYTES   1024
#define EVENT_BYTES  4096
#define SECTOR_BYTES 512u
/* Of a list that is longer each disk is looked at by itself. */
#define PARTITIONS_BYTES 16384

struct search {
    const struct ulv_posix_roots *roots;
    struct ulv_host_device *ret;
    uint32_t capacity, count;
    struct ulv_diag *diag;
};

static const char pci_folder[] = "bus/pci/devices";

static void
make_path(char path[PATH_BYTES], const struct search *s, const char *folder,
          const char *name, const char *file)
{
    struct ulv_text text;

    ulv_text_init(&text, path, PATH_BYTES);
    ulv_text_format(&text, "%s/%s/%s/%s", s->roots->sys, folder, name, file);
}

static ulv_status
malformed(const struct search *s, const char *path, const char *wanted)
{
    return ulv_fail(s->diag, ULV_E_FORMAT, 0, 0, 0, "%s: not %s", path, wanted);
}

/* ---- numbers and names --------------------------------------------------- */

/* Up to so many hexadecimal digits at *at, of which ten is that letter; moves
 * it behind them. */
static bool
parse_hex(const char **at, char ten, uint32_t digits_max, uint64_t *ret)
{
    uint32_t digits = 0;

    *ret = 0;
    for (; digits < digits_max; digits++, (*at)++) {
        const char c = **at;

        if (c >= '0' && c <= '9')
            *ret = *ret * 16 + (uint64_t)(c - '0');
        else if (c >= ten && c < ten + 6)
            *ret = *ret * 16 + (uint64_t)(c - ten + 10);
        else
            break;
    }
    return digits != 0;
}

bool
ulv_posix_parse_address(const char *name, uint64_t *ret)
{
    uint64_t domain, bus, slot, function;

    if (!parse_hex(&name, 'a', 8, &domain) || *name++ != ':' ||
        !parse_hex(&name, 'a', 2, &bus) || *name++ != ':' ||
        !parse_hex(&name, 'a', 2, &slot) || slot > 31 || *name++ != '.' ||
        !parse_hex(&name, 'a', 1, &function) || function > 7 || *name != '\0')
        return false;
    if (ret != NULL)
        *ret = domain << 16 | bus << 8 | slot << 3 | function;
    return true;
}

bool
ulv_posix_is_name(const char *name, size_t room)
{
    const size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)name[i] <= 0x20 || name[i] == 0x7f)
            return false;
    }
    return len != 0 && len < room;
}

/* ---- the folder of a PCI function ---------------------------------------- */

/* Open, because a path there goes over a link and many folders. */
struct function {
    const struct search *s;
    const char *name;
    int fd;
};

static ulv_status
open_function(struct function *f, const struct search *s, const char *name)
{
    char path[PATH_BYTES];

    f->s = s;
    f->name = name;
    make_path(path, s, pci_folder, name, "");
    f->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return f->fd >= 0 ? ULV_OK : ulv_posix_fail(s->diag, errno, path, 0, 0);
}

/* NOT_FOUND quietly; path is set in any case. */
static ulv_status
read_file(const struct function *f, const char *file, char path[PATH_BYTES],
          char *buf, size_t size)
{
    make_path(path, f->s, pci_folder, f->name, file);
    return ulv_posix_read_text_at(f->fd, file, path, buf, size, f->s->diag);
}

/* What follows "NAME=" at the start of a line; NULL without one. */
static const char *
find_value(const char *text, const char *name)
{
    const size_t len = strlen(name);

    while (strncmp(text, name, len) != 0 || text[len] != '=') {
        text = strchr(text, '\n');
        if (text == NULL)
            return NULL;
        text++;
    }
    return text + len + 1;
}

static bool
parse_driver(const char *text, char *ret, size_t size)
{
    const char *at = find_value(text, "DRIVER");
    size_t len;

    ret[0] = '\0';
    if (at == NULL)
        return true;
    len = strcspn(at, "\n");
    if (len >= size)
        len = size - 1;
    memcpy(ret, at, len);
    ret[len] = '\0';
    return ulv_posix_is_name(ret, size);
}

/* What the kernel says of it: its class, "8086:10D3", whose driver it has. */
static ulv_status
read_event(const struct function *f, struct ulv_host_device *d)
{
    char path[PATH_BYTES], buf[EVENT_BYTES];
    uint64_t code = 0, vendor = 0, device = 0;
    ulv_status status = read_file(f, "uevent", path, buf, sizeof(buf));
    const char *at;

    if (status == ULV_E_NOT_FOUND)
        return malformed(f->s, path, "there");
    if (status != ULV_OK)
        return status;
    at = find_value(buf, "PCI_CLASS");
    if (at == NULL || !parse_hex(&at, 'A', 6, &code) || *at != '\n')
        return malformed(f->s, path, "with a PCI_CLASS");
    at = find_value(buf, "PCI_ID");
    if (at == NULL || !parse_hex(&at, 'A', 4, &vendor) || *at++ != ':' ||
        !parse_hex(&at, 'A', 4, &device) || *at != '\n')
        return malformed(f->s, path, "with a PCI_ID");
    if (!parse_driver(buf, d->driver, sizeof(d->driver)))
        return malformed(f->s, path, "with the name of a DRIVER");
    d->device_class = (uint32_t)code;
    d->model = (uint32_t)(vendor << 16 | device);
    return ULV_OK;
}

/* Whose virtual function it is; empty: it is none. */
static ulv_status
read_parent(const struct function *f, char *ret, size_t size)
{
    char path[PATH_BYTES], to[LINK_BYTES];
    const ssize_t len = readlinkat(f->fd, "physfn", to, sizeof(to) - 1);
    const char *last;

    ret[0] = '\0';
    if (len < 0 && errno == ENOENT)
        return ULV_OK;
    make_path(path, f->s, pci_folder, f->name, "physfn");
    if (len < 0)
        return ulv_posix_fail(f->s->diag, errno, path, 0, 0);
    to[len] = '\0';
    last = strrchr(to, '/');
    last = last == NULL ? to : last + 1;
    if (!ulv_posix_is_name(last, size))
        return malformed(f->s, path, "a link to something with a name");
    ulv_string_copy(ret, size, last);
    return ULV_OK;
}

/* "-1" where the machine says nothing. */
static ulv_status
read_node(const struct function *f, uint32_t *ret)
{
    char path[PATH_BYTES], buf[64];
    const char *at = buf;
    uint64_t n = 0;
    ulv_status status = read_file(f, "numa_node", path, buf, sizeof(buf));

    *ret = ULV_NODE_ANY;
    if (status == ULV_E_NOT_FOUND || (status == ULV_OK && buf[0] == '-'))
        return ULV_OK;
    if (status != ULV_OK)
        return status;
    if (!ulv_posix_parse_number(&at, &n) || n >= ULV_NODE_ANY)
        return malformed(f->s, path, "the number of a node");
    *ret = (uint32_t)n;
    return ULV_OK;
}

/* ---- folders ------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
free_names(char **names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* What is in a folder, sorted; nothing without one. */
static ulv_status
list_folder(const struct search *s, const char *folder, char ***ret,
            uint32_t *ret_count)
{
    char path[PATH_BYTES];
    char **names = malloc(NAMES_MAX * sizeof(*names));
    struct dirent *entry;
    uint32_t count = 0;
    ulv_status status = names == NULL ? ULV_E_NO_MEMORY : ULV_OK;
    DIR *dir;

    *ret = NULL;
    *ret_count = 0;
    make_path(path, s, folder, "", "");
    dir = opendir(path);
    if (dir == NULL && errno != ENOENT && status == ULV_OK)
        status = ulv_posix_fail(s->diag, errno, path, 0, 0);
    while (dir != NULL && status == ULV_OK) {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL && errno != 0)
            status = ulv_posix_fail(s->diag, errno, path, 0, 0);
        if (entry == NULL)
            break;
        if (entry->d_name[0] == '.')
            continue;
        if (count == NAMES_MAX)
            status = ulv_fail(s->diag, ULV_E_LIMIT, 0, count + 1, NAMES_MAX,
                              "%s: more than %u entries", path,
                              (uint64_t)NAMES_MAX);
        else if ((names[count] = strdup(entry->d_name)) == NULL)
            status = ULV_E_NO_MEMORY;
        else
            count++;
    }
    if (dir != NULL)
        closedir(dir);
    if (status == ULV_E_NO_MEMORY)
        (void)ulv_fail(s->diag, status, 0, 0, 0, "%s: no memory", path);
    if (status != ULV_OK) {
        free_names(names, count);
        return status;
    }
    qsort(names, count, sizeof(*names), by_name);
    *ret = names;
    *ret_count = count;
    return ULV_OK;
}

/* ---- devices ------------------------------------------------------------- */

/* Counted, and filled in where there is room. */
static void
add_device(struct search *s, const struct ulv_host_device *d)
{
    if (s->count < s->capacity)
        s->ret[s->count] = *d;
    s->count++;
}

static uint32_t
find_function(const struct search *s, const char *name)
{
    for (uint32_t i = 0; i < s->count && i < s->capacity; i++) {
        if (s->ret[i].kind == ULV_HARDWARE_PCI &&
            strcmp(s->ret[i].name, name) == 0)
            return i;
    }
    return UINT32_MAX;
}

static ulv_status
describe_function(struct search *s, const struct function *f, const char *of)
{
    struct ulv_host_device d = {.kind = ULV_HARDWARE_PCI, .parent = UINT32_MAX};
    ulv_status status;

    if (!ulv_posix_parse_address(f->name, &d.address))
        return malformed(s, f->name, "the address of a PCI function");
    ulv_string_copy(d.name, sizeof(d.name), f->name);
    if (of[0] != '\0') {
        d.kind = ULV_HARDWARE_FUNCTION;
        d.parent = find_function(s, of);
    }
    status = read_event(f, &d);
    if (status == ULV_OK)
        status = read_node(f, &d.node);
    if (status == ULV_OK)
        add_device(s, &d);
    return status;
}

/* A virtual one is left for a second turn, behind what it is of: *ret_later. */
static ulv_status
look_at_function(struct search *s, const char *name, bool virtual,
                 bool *ret_later)
{
    char of[sizeof(((struct ulv_host_device *)NULL)->name)];
    struct function f;
    ulv_status status = open_function(&f, s, name);

    if (status != ULV_OK)
        return status;
    status = read_parent(&f, of, sizeof(of));
    *ret_later = of[0] != '\0' && !virtual;
    if (status == ULV_OK && !*ret_later)
        status = describe_function(s, &f, of);
    close(f.fd);
    return status;
}

static ulv_status
look_at_functions(struct search *s, char **names, uint32_t count)
{
    uint32_t later_count = 0;
    ulv_status status = ULV_OK;
    bool later;

    for (uint32_t i = 0; i < count && status == ULV_OK; i++) {
        status = look_at_function(s, names[i], false, &later);
        if (status == ULV_OK && later) {
            char *name = names[i];

            names[i] = names[later_count];
            names[later_count++] = name;
        }
    }
    for (uint32_t i = 0; i < later_count && status == ULV_OK; i++)
        status = look_at_function(s, names[i], true, &later);
    return status;
}

/* Whether "major minor blocks name" is in /proc/partitions, which has all that
 * have a size: one file, where there can be many that have none. A '/' in a
 * name is a '!' in sysfs: such a disk may be there. */
static bool
is_listed(const char *partitions, const char *name)
{
    const size_t len = strlen(name);

    if (strchr(name, '!') != NULL)
        return true;
    for (const char *at = partitions; (at = strstr(at, name)) != NULL; at++) {
        if (at != partitions && at[-1] == ' ' && at[len] == '\n')
            return true;
    }
    return false;
}

/* "254:0\n" and sectors; what has none is no disk now. */
static ulv_status
look_at_disk(struct search *s, const char *name)
{
    struct ulv_host_device d = {.kind = ULV_HARDWARE_DISK,
                                .node = ULV_NODE_ANY,
                                .parent = UINT32_MAX};
    char path[PATH_BYTES], buf[64];
    const char *at = buf;
    uint64_t sectors = 0, major = 0, minor = 0;
    ulv_status status;

    make_path(path, s, "block", name, "size");
    status = ulv_posix_read_text(path, buf, sizeof(buf), s->diag);
    if (status == ULV_E_NOT_FOUND)
        return ULV_OK;
    if (status != ULV_OK)
        return status;
    if (!ulv_posix_parse_number(&at, &sectors) ||
        !ulv_multiply_u64(sectors, SECTOR_BYTES, &d.bytes))
        return malformed(s, path, "a number of sectors");
    if (sectors == 0 || !ulv_posix_is_name(name, sizeof(d.name)))
        return ULV_OK;
    make_path(path, s, "block", name, "dev");
    status = ulv_posix_read_text(path, buf, sizeof(buf), s->diag);
    if (status == ULV_E_NOT_FOUND)
        return ULV_OK; /* a hidden path to one: nobody can open it */
    at = buf;
    if (status != ULV_OK || !ulv_posix_parse_number(&at, &major) ||
        *at++ != ':' || !ulv_posix_parse_number(&at, &minor) ||
        major > UINT32_MAX || minor > UINT32_MAX)
        return malformed(s, path, "the numbers of a device");
    d.address = major << 32 | minor;
    ulv_string_copy(d.name, sizeof(d.name), name);
    add_device(s, &d);
    return ULV_OK;
}

/* Without the list each is looked at. */
static ulv_status
look_at_disks(struct search *s, char **names, uint32_t count)
{
    char path[PATH_BYTES], partitions[PARTITIONS_BYTES];
    struct ulv_text text;
    ulv_status status;
    bool listed;

    ulv_text_init(&text, path, PATH_BYTES);
    ulv_text_format(&text, "%s/partitions", s->roots->proc);
    listed = ulv_posix_read_text(path, partitions, sizeof(partitions), NULL) ==
             ULV_OK;
    status = ULV_OK;
    for (uint32_t i = 0; i < count && status == ULV_OK; i++) {
        if (!listed || is_listed(partitions, names[i]))
            status = look_at_disk(s, names[i]);
    }
    return status;
}

/* Only what has the file is one. */
static ulv_status
look_at_interface(struct search *s, const char *name)
{
    struct ulv_host_device d = {.kind = ULV_HARDWARE_TAP,
                                .node = ULV_NODE_ANY,
                                .parent = UINT32_MAX};
    char path[PATH_BYTES];

    make_path(path, s, "class/net", name, "tun_flags");
    if (access(path, F_OK) != 0 || !ulv_posix_is_name(name, sizeof(d.name)))
        return ULV_OK;
    ulv_string_copy(d.name, sizeof(d.name), name);
    add_device(s, &d);
    return ULV_OK;
}

ulv_status
ulv_posix_find_devices(const struct ulv_posix_roots *roots,
                       struct ulv_host_device *ret, uint32_t capacity,
                       uint32_t *ret_count, struct ulv_diag *diag)
{
    static const char *const folders[] = {pci_folder, "block", "class/net"};
    struct search s = {roots, ret, capacity, 0, diag};
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < ULV_COUNT_OF(folders) && status == ULV_OK; i++) {
        char **names;
        uint32_t count;

        status = list_folder(&s, folders[i], &names, &count);
        if (status == ULV_OK && i == 0)
            status = look_at_functions(&s, names, count);
        if (status == ULV_OK && i == 1)
            status = look_at_disks(&s, names, count);
        for (uint32_t n = 0; i == 2 && n < count && status == ULV_OK; n++)
            status = look_at_interface(&s, names[n]);
        free_names(names, count);
    }
    *ret_count = s.count;
    return status;
}
