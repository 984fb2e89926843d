/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A machine from a description: doc/formats/machine.md. It stands in a host
 * table in place of what sysfs would say; all else is this host's.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/abi/command.h>
#include <ultravisor/posix.h>

#include "port/posix/discover.h"
#include "port/posix/json.h"

#define PROCESSORS_MAX 256u
#define NODES_MAX      64u
#define DEVICES_MAX    4096u
#define NUMBER_MAX     (UINT32_MAX - 1)
#define NODE_MAX       65535u
#define WORD_MAX       15u
#define WHERE_BYTES    80

struct ulv_posix_machine {
    struct ulv_host host;
    uint32_t processor_count, node_count, device_count;
    struct ulv_host_processor *processors;
    struct ulv_host_node *nodes;
    struct ulv_host_device *devices;
};

struct reading {
    const char *name; /* of the text */
    struct ulv_posix_machine *m;
    char where[WHERE_BYTES]; /* the entry that is being read */
    struct ulv_diag *diag;
};

static void
begin_entry(struct reading *r, const char *list, uint32_t idx)
{
    struct ulv_text text;

    ulv_text_init(&text, r->where, sizeof(r->where));
    ulv_text_format(&text, "%s: %s[%u]", r->name, list, (uint64_t)idx);
}

static ulv_status
refuse(const struct reading *r, uint64_t value, uint64_t bound,
       const char *what)
{
    return ulv_fail(r->diag, ULV_E_FORMAT, 0, value, bound, "%s: %s (%u)",
                    r->where, what, value);
}

/* ---- processors ---------------------------------------------------------- */

struct written_processor {
    uint64_t number, package, core, thread, node;
};
#define PROCESSOR_KEY(field, required)                                         \
    {#field, ULV_JSON_NUMBER, required,                                        \
     offsetof(struct written_processor, field), 0, NUMBER_MAX}

static const struct ulv_json_key processor_keys[] = {
    PROCESSOR_KEY(number, true), PROCESSOR_KEY(package, false),
    PROCESSOR_KEY(core, true),   PROCESSOR_KEY(thread, false),
    PROCESSOR_KEY(node, false),
};

static bool
has_node(const struct ulv_posix_machine *m, uint64_t number)
{
    uint32_t i = 0;

    while (i < m->node_count && m->nodes[i].number != number)
        i++;
    return i < m->node_count;
}

static ulv_status
read_processor(struct reading *r, const json_t *entry, uint32_t idx)
{
    struct ulv_host_processor *out = &r->m->processors[idx];
    struct written_processor w = {0};
    ulv_status status;

    status = ulv_json_read(entry, r->where, processor_keys,
                           ULV_COUNT_OF(processor_keys), &w, r->diag);
    if (status != ULV_OK)
        return status;
    if (idx > 0 && w.number <= out[-1].number)
        return refuse(r, w.number, out[-1].number,
                      "its number is not above the one before");
    if (!has_node(r->m, w.node))
        return refuse(r, w.node, 0, "its node is not there");
    for (uint32_t i = 0; i < idx; i++) {
        if (r->m->processors[i].core == w.core &&
            r->m->processors[i].thread == w.thread)
            return refuse(r, w.core, i, "a thread of its core, twice");
    }
    out->number = (uint32_t)w.number;
    out->node = (uint32_t)w.node;
    out->package = (uint32_t)w.package;
    out->core = (uint32_t)w.core;
    out->thread = (uint32_t)w.thread;
    return ULV_OK;
}

/* ---- nodes --------------------------------------------------------------- */

struct written_node {
    uint64_t number, bytes, free;
};

static const struct ulv_json_key node_keys[] = {
    {"number", ULV_JSON_NUMBER, true, offsetof(struct written_node, number), 0,
     NODE_MAX},
    {"bytes", ULV_JSON_SIZE, true, offsetof(struct written_node, bytes), 0,
     INT64_MAX},
    {"free", ULV_JSON_SIZE, false, offsetof(struct written_node, free), 0,
     INT64_MAX},
};

static ulv_status
read_node(struct reading *r, const json_t *entry, uint32_t idx)
{
    struct ulv_host_node *out = &r->m->nodes[idx];
    struct written_node w = {.free = UINT64_MAX};
    ulv_status status;

    status = ulv_json_read(entry, r->where, node_keys, ULV_COUNT_OF(node_keys),
                           &w, r->diag);
    if (status != ULV_OK)
        return status;
    if (idx > 0 && w.number <= out[-1].number)
        return refuse(r, w.number, out[-1].number,
                      "its number is not above the one before");
    if (w.free == UINT64_MAX)
        w.free = w.bytes;
    if (w.free > w.bytes)
        return refuse(r, w.free, w.bytes, "more is free than there is");
    out->number = (uint32_t)w.number;
    out->total_bytes = w.bytes;
    out->free_bytes = w.free;
    return ULV_OK;
}

/* ---- devices ------------------------------------------------------------- */

struct written_device {
    uint64_t address, bytes, device_class, node, vendor, device;
    char kind[WORD_MAX + 1], name[24], parent[24], driver[16];
};

static const struct ulv_json_key device_keys[] = {
    {"kind", ULV_JSON_STRING, true, offsetof(struct written_device, kind), 1,
     WORD_MAX},
    {"name", ULV_JSON_STRING, true, offsetof(struct written_device, name), 1,
     23},
    {"address", ULV_JSON_NUMBER, false,
     offsetof(struct written_device, address), 0, INT64_MAX},
    {"bytes", ULV_JSON_SIZE, false, offsetof(struct written_device, bytes), 0,
     INT64_MAX},
    {"class", ULV_JSON_NUMBER, false,
     offsetof(struct written_device, device_class), 0, 0xffffff},
    {"vendor", ULV_JSON_NUMBER, false,
     offsetof(struct written_device, vendor), 0, 0xffff},
    {"device", ULV_JSON_NUMBER, false,
     offsetof(struct written_device, device), 0, 0xffff},
    {"node", ULV_JSON_NUMBER, false, offsetof(struct written_device, node), 0,
     NUMBER_MAX},
    {"parent", ULV_JSON_STRING, false,
     offsetof(struct written_device, parent), 1, 23},
    {"driver", ULV_JSON_STRING, false,
     offsetof(struct written_device, driver), 0, 15},
};

static uint32_t
kind_of(const char *word)
{
    static const char *const words[] = {
        [ULV_HARDWARE_PCI] = "pci",   [ULV_HARDWARE_FILE] = "file",
        [ULV_HARDWARE_DISK] = "disk", [ULV_HARDWARE_TAP] = "tap",
        [ULV_HARDWARE_FUNCTION] = "function",
    };
    uint32_t kind = ULV_COUNT_OF(words) - 1;

    while (kind > 0 && strcmp(words[kind], word) != 0)
        kind--;
    return kind;
}

/* That one among those before; UINT32_MAX: none. */
static uint32_t
find_device(const struct ulv_posix_machine *m, uint32_t count, uint32_t kind,
            const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (m->devices[i].kind == kind && strcmp(m->devices[i].name, name) == 0)
            return i;
    }
    return UINT32_MAX;
}

static ulv_status
check_device(const struct reading *r, const struct written_device *w,
             const struct ulv_host_device *d, uint32_t idx)
{
    const bool pci =
        d->kind == ULV_HARDWARE_PCI || d->kind == ULV_HARDWARE_FUNCTION;
    const uint32_t twin = find_device(r->m, idx, d->kind, d->name);

    if (d->kind == 0)
        return refuse(r, 0, 0,
                      "kind: \"pci\", \"file\", \"disk\", \"tap\" or "
                      "\"function\" wanted");
    if (!ulv_posix_is_name(w->name, sizeof(w->name)) ||
        (w->driver[0] != '\0' &&
         !ulv_posix_is_name(w->driver, sizeof(w->driver))))
        return refuse(r, 0, 0, "a name with spaces or control bytes");
    if (twin != UINT32_MAX)
        return refuse(r, twin, 0, "one of that kind and name is there");
    if (pci && !ulv_posix_parse_address(w->name, NULL))
        return refuse(r, 0, 0, "its name is no PCI address, 0000:00:1f.2");
    if (d->node != ULV_NODE_ANY && !has_node(r->m, d->node))
        return refuse(r, d->node, 0, "its node is not there");
    if ((d->kind == ULV_HARDWARE_FUNCTION) != (w->parent[0] != '\0'))
        return refuse(r, 0, 0, "functions have a parent, nothing else has");
    if (w->parent[0] != '\0' && d->parent == UINT32_MAX)
        return refuse(r, 0, 0, "its parent does not stand before it");
    return ULV_OK;
}

static ulv_status
read_device(struct reading *r, const json_t *entry, uint32_t idx)
{
    struct ulv_host_device *out = &r->m->devices[idx];
    struct written_device w = {.node = ULV_NODE_ANY};
    ulv_status status;

    status = ulv_json_read(entry, r->where, device_keys,
                           ULV_COUNT_OF(device_keys), &w, r->diag);
    if (status != ULV_OK)
        return status;
    out->address = w.address;
    out->bytes = w.bytes;
    out->kind = kind_of(w.kind);
    out->device_class = (uint32_t)w.device_class;
    out->node = (uint32_t)w.node;
    out->model = (uint32_t)(w.vendor << 16 | w.device);
    out->parent = find_device(r->m, idx, ULV_HARDWARE_PCI, w.parent);
    memcpy(out->name, w.name, sizeof(out->name));
    memcpy(out->driver, w.driver, sizeof(out->driver));
    status = check_device(r, &w, out, idx);
    if (status == ULV_OK && (out->kind == ULV_HARDWARE_PCI ||
                             out->kind == ULV_HARDWARE_FUNCTION))
        (void)ulv_posix_parse_address(out->name, &out->address);
    return status;
}

/* ---- the whole ----------------------------------------------------------- */

struct written {
    const json_t *processors, *nodes, *devices;
};

static const struct ulv_json_key machine_keys[] = {
    {"processors", ULV_JSON_LIST, true, offsetof(struct written, processors),
     1, PROCESSORS_MAX},
    {"nodes", ULV_JSON_LIST, true, offsetof(struct written, nodes), 1,
     NODES_MAX},
    {"devices", ULV_JSON_LIST, false, offsetof(struct written, devices), 0,
     DEVICES_MAX},
};

static ulv_status
read_list(struct reading *r, const char *name, const json_t *list,
          uint32_t *ret_count,
          ulv_status (*read)(struct reading *r, const json_t *entry,
                             uint32_t idx))
{
    const uint32_t count = (uint32_t)json_array_size(list);
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < count && status == ULV_OK; i++) {
        begin_entry(r, name, i);
        status = read(r, json_array_get(list, i), i);
    }
    *ret_count = count;
    return status;
}

static ulv_status
read_machine(struct reading *r, const json_t *root)
{
    struct ulv_posix_machine *m = r->m;
    struct written w = {NULL, NULL, NULL};
    ulv_status status =
        ulv_json_read(root, r->name, machine_keys, ULV_COUNT_OF(machine_keys),
                      &w, r->diag);

    if (status != ULV_OK)
        return status;
    m->processors =
        calloc(json_array_size(w.processors), sizeof(*m->processors));
    m->nodes = calloc(json_array_size(w.nodes), sizeof(*m->nodes));
    m->devices = calloc(json_array_size(w.devices) + 1, sizeof(*m->devices));
    if (m->processors == NULL || m->nodes == NULL || m->devices == NULL)
        return ulv_fail(r->diag, ULV_E_NO_MEMORY, 0, 0, 0, "%s: no memory",
                        r->name);
    status = read_list(r, "nodes", w.nodes, &m->node_count, read_node);
    if (status == ULV_OK)
        status = read_list(r, "processors", w.processors, &m->processor_count,
                           read_processor);
    if (status == ULV_OK)
        status = read_list(r, "devices", w.devices, &m->device_count,
                           read_device);
    return status;
}

/* ---- as a host ----------------------------------------------------------- */

static ulv_status
tell(void *ret, uint32_t capacity, uint32_t *ret_count, const void *from,
     uint32_t count, size_t bytes)
{
    *ret_count = count;
    if (capacity != 0)
        memcpy(ret, from, ULV_MIN(capacity, count) * bytes);
    return ULV_OK;
}

static ulv_status
machine_processors(void *self, struct ulv_host_processor *ret,
                   uint32_t capacity, uint32_t *ret_count,
                   struct ulv_diag *diag)
{
    const struct ulv_posix_machine *m = self;

    (void)diag;
    return tell(ret, capacity, ret_count, m->processors, m->processor_count,
                sizeof(*ret));
}

static ulv_status
machine_nodes(void *self, struct ulv_host_node *ret, uint32_t capacity,
              uint32_t *ret_count, struct ulv_diag *diag)
{
    const struct ulv_posix_machine *m = self;

    (void)diag;
    return tell(ret, capacity, ret_count, m->nodes, m->node_count,
                sizeof(*ret));
}

static ulv_status
machine_devices(void *self, struct ulv_host_device *ret, uint32_t capacity,
                uint32_t *ret_count, struct ulv_diag *diag)
{
    const struct ulv_posix_machine *m = self;

    (void)diag;
    return tell(ret, capacity, ret_count, m->devices, m->device_count,
                sizeof(*ret));
}

static void
free_lists(struct ulv_posix_machine *m)
{
    free(m->processors);
    free(m->nodes);
    free(m->devices);
}

ulv_status
ulv_posix_machine_read(struct ulv_posix_machine *m, const char *name,
                       const char *text, size_t len, struct ulv_diag *diag)
{
    struct ulv_posix_machine described = {.host = m->host};
    struct reading r = {.name = name, .m = &described, .diag = diag};
    json_t *root = NULL;
    ulv_status status = ulv_json_parse(name, text, len, &root, diag);

    if (status == ULV_OK)
        status = read_machine(&r, root);
    json_decref(root);
    free_lists(status == ULV_OK ? m : &described);
    if (status == ULV_OK)
        *m = described;
    return status;
}

ulv_status
ulv_posix_machine_open(const char *name, const char *text, size_t len,
                       struct ulv_posix_machine **ret, struct ulv_diag *diag)
{
    struct ulv_posix_machine *m = calloc(1, sizeof(*m));
    ulv_status status;

    *ret = NULL;
    if (m == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*m), 0,
                        "%s: no memory", name);
    status = ulv_posix_machine_read(m, name, text, len, diag);
    if (status != ULV_OK) {
        ulv_posix_machine_close(m);
        return status;
    }
    m->host = *ulv_posix_host();
    m->host.self = m;
    m->host.processors = machine_processors;
    m->host.nodes = machine_nodes;
    m->host.devices = machine_devices;
    *ret = m;
    return ULV_OK;
}

const struct ulv_host *
ulv_posix_machine_host(const struct ulv_posix_machine *machine)
{
    return &machine->host;
}

void
ulv_posix_machine_close(struct ulv_posix_machine *machine)
{
    if (machine == NULL)
        return;
    free_lists(machine);
    free(machine);
}
