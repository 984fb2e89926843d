/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci (numa_node, physfn),
 *         drivers/pci/pci-driver.c (pci_uevent: PCI_CLASS, PCI_ID),
 *         drivers/base/core.c (dev_uevent: DRIVER),
 *         Documentation/ABI/stable/sysfs-block (size, dev),
 *         drivers/net/tun.c (tun_flags)
 */
#include "port/posix/discover.h"

#include <string.h>

#include <ultravisor/abi/command.h>

#include "port/posix/sysfs.h"

#define NAME_BYTES   320 /* of a file, in the folder of all of a kind */
#define LINK_BYTES   1024
#define EVENT_BYTES  4096
#define SECTOR_BYTES 512u
/* Of a list that is longer each disk is looked at by itself. */
#define PARTITIONS_BYTES 16384

struct search {
    const struct ulv_posix_roots *roots;
    struct ulv_sysfs_folder folder; /* of the kind that is looked at */
    uint32_t node;                  /* that all are on, or ULV_NODE_ANY */
    struct ulv_host_device *ret;
    uint32_t capacity, count;
    struct ulv_diag *diag;
};

static ulv_status
malformed(const struct search *s, const char *file, const char *wanted)
{
    return ulv_sysfs_malformed(&s->folder, file, wanted, s->diag);
}

/* How the folder has a file of a device. */
static void
make_name(char file[NAME_BYTES], const char *device, const char *name)
{
    struct ulv_text text;

    ulv_text_init(&text, file, NAME_BYTES);
    ulv_text_format(&text, "%s/%s", device, name);
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

/* ---- PCI functions ------------------------------------------------------- */

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
read_event(const struct search *s, struct ulv_host_device *d)
{
    char file[NAME_BYTES], buf[EVENT_BYTES];
    uint64_t code = 0, vendor = 0, device = 0;
    ulv_status status;
    const char *at;

    make_name(file, d->name, "uevent");
    status = ulv_sysfs_read(&s->folder, file, buf, sizeof(buf), s->diag);
    if (status == ULV_E_NOT_FOUND)
        return malformed(s, file, "there");
    if (status != ULV_OK)
        return status;
    at = find_value(buf, "PCI_CLASS");
    if (at == NULL || !parse_hex(&at, 'A', 6, &code) || *at != '\n')
        return malformed(s, file, "with a PCI_CLASS");
    at = find_value(buf, "PCI_ID");
    if (at == NULL || !parse_hex(&at, 'A', 4, &vendor) || *at++ != ':' ||
        !parse_hex(&at, 'A', 4, &device) || *at != '\n')
        return malformed(s, file, "with a PCI_ID");
    if (!parse_driver(buf, d->driver, sizeof(d->driver)))
        return malformed(s, file, "with the name of a DRIVER");
    d->device_class = (uint32_t)code;
    d->model = (uint32_t)(vendor << 16 | device);
    return ULV_OK;
}

/* Whose virtual function it is; empty: it is none. */
static ulv_status
read_parent(const struct search *s, const char *name, char *ret, size_t size)
{
    char file[NAME_BYTES], to[LINK_BYTES];
    const char *last;
    ulv_status status;

    ret[0] = '\0';
    make_name(file, name, "physfn");
    status = ulv_sysfs_read_link(&s->folder, file, to, sizeof(to), s->diag);
    if (status != ULV_OK)
        return status == ULV_E_NOT_FOUND ? ULV_OK : status;
    last = strrchr(to, '/');
    last = last == NULL ? to : last + 1;
    if (!ulv_posix_is_name(last, size))
        return malformed(s, file, "a link to something with a name");
    ulv_string_copy(ret, size, last);
    return ULV_OK;
}

/* "-1" where the machine says nothing. */
static ulv_status
read_node(const struct search *s, struct ulv_host_device *d)
{
    char file[NAME_BYTES], buf[64];
    const char *at = buf;
    uint64_t n = 0;
    ulv_status status;

    d->node = s->node;
    if (d->node != ULV_NODE_ANY)
        return ULV_OK;
    make_name(file, d->name, "numa_node");
    status = ulv_sysfs_read(&s->folder, file, buf, sizeof(buf), s->diag);
    if (status == ULV_E_NOT_FOUND || (status == ULV_OK && buf[0] == '-'))
        return ULV_OK;
    if (status != ULV_OK)
        return status;
    if (!ulv_posix_parse_number(&at, &n) || n >= ULV_NODE_ANY)
        return malformed(s, file, "the number of a node");
    d->node = (uint32_t)n;
    return ULV_OK;
}

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
describe_function(struct search *s, const char *name, const char *of)
{
    struct ulv_host_device d = {.kind = ULV_HARDWARE_PCI, .parent = UINT32_MAX};
    ulv_status status;

    if (!ulv_posix_parse_address(name, &d.address))
        return malformed(s, name, "the address of a PCI function");
    ulv_string_copy(d.name, sizeof(d.name), name);
    if (of[0] != '\0') {
        d.kind = ULV_HARDWARE_FUNCTION;
        d.parent = find_function(s, of);
    }
    status = read_event(s, &d);
    if (status == ULV_OK)
        status = read_node(s, &d);
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
    ulv_status status = read_parent(s, name, of, sizeof(of));

    *ret_later = of[0] != '\0' && !virtual;
    if (status == ULV_OK && !*ret_later)
        status = describe_function(s, name, of);
    return status;
}

static ulv_status
look_at_functions(struct search *s, char **names, uint32_t count)
{
    uint32_t later_count = 0;
    ulv_status status = ULV_OK;
    bool later;

    if (count != 0)
        status = ulv_posix_only_node(s->roots, &s->node, s->diag);
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

/* ---- others -------------------------------------------------------------- */

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
    char file[NAME_BYTES], buf[64];
    const char *at = buf;
    uint64_t sectors = 0, major = 0, minor = 0;
    ulv_status status;

    make_name(file, name, "size");
    status = ulv_sysfs_read(&s->folder, file, buf, sizeof(buf), s->diag);
    if (status == ULV_E_NOT_FOUND)
        return ULV_OK;
    if (status != ULV_OK)
        return status;
    if (!ulv_posix_parse_number(&at, &sectors) ||
        !ulv_multiply_u64(sectors, SECTOR_BYTES, &d.bytes))
        return malformed(s, file, "a number of sectors");
    if (sectors == 0 || !ulv_posix_is_name(name, sizeof(d.name)))
        return ULV_OK;
    make_name(file, name, "dev");
    status = ulv_sysfs_read(&s->folder, file, buf, sizeof(buf), s->diag);
    if (status == ULV_E_NOT_FOUND)
        return ULV_OK; /* a hidden path to one: nobody can open it */
    at = buf;
    if (status != ULV_OK || !ulv_posix_parse_number(&at, &major) ||
        *at++ != ':' || !ulv_posix_parse_number(&at, &minor) ||
        major > UINT32_MAX || minor > UINT32_MAX)
        return malformed(s, file, "the numbers of a device");
    d.address = major << 32 | minor;
    ulv_string_copy(d.name, sizeof(d.name), name);
    add_device(s, &d);
    return ULV_OK;
}

/* Without the list each is looked at. */
static ulv_status
look_at_disks(struct search *s, char **names, uint32_t count)
{
    char partitions[PARTITIONS_BYTES];
    const bool listed = ulv_proc_read(s->roots->proc, "partitions", partitions,
                                      sizeof(partitions), NULL) == ULV_OK;
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < count && status == ULV_OK; i++) {
        if (!listed || is_listed(partitions, names[i]))
            status = look_at_disk(s, names[i]);
    }
    return status;
}

/* Only what has the file is one. */
static ulv_status
look_at_interfaces(struct search *s, char **names, uint32_t count)
{
    char file[NAME_BYTES];

    for (uint32_t i = 0; i < count; i++) {
        struct ulv_host_device d = { .kind = ULV_HARDWARE_TAP,
                                     .node = ULV_NODE_ANY,
                                     .parent = UINT32_MAX };

        make_name(file, names[i], "tun_flags");
        if (!ulv_sysfs_has(&s->folder, file) ||
            !ulv_posix_is_name(names[i], sizeof(d.name)))
            continue;
        ulv_string_copy(d.name, sizeof(d.name), names[i]);
        add_device(s, &d);
    }
    return ULV_OK;
}

ulv_status
ulv_posix_find_devices(const struct ulv_posix_roots *roots,
                       struct ulv_host_device *ret, uint32_t capacity,
                       uint32_t *ret_count, struct ulv_diag *diag)
{
    static const struct {
        const char *folder;
        ulv_status (*look)(struct search *s, char **names, uint32_t count);
    } kinds[] = { { "bus/pci/devices", look_at_functions },
                  { "block", look_at_disks },
                  { "class/net", look_at_interfaces } };
    struct search s = { .roots = roots,
                        .node = ULV_NODE_ANY,
                        .ret = ret,
                        .capacity = capacity,
                        .diag = diag };
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < ULV_COUNT_OF(kinds) && status == ULV_OK; i++) {
        char **names = NULL;
        uint32_t count = 0;

        status = ulv_sysfs_open(&s.folder, roots->sys, kinds[i].folder, diag);
        if (status == ULV_OK)
            status = ulv_sysfs_list(&s.folder, &names, &count, diag);
        if (status == ULV_OK)
            status = kinds[i].look(&s, names, count);
        ulv_sysfs_free_names(names, count);
        ulv_sysfs_close(&s.folder);
    }
    *ret_count = s.count;
    return status;
}
