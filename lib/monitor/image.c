/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Mapping what the view says, and loading the image into it. */
#include "monitor/elf.h"
#include "monitor/monitor_priv.h"

#define ACCESS_ALL (ULV_GUEST_WRITE | ULV_GUEST_EXECUTE)

static ulv_status
not_handed(struct ulv_diag *diag, ulv_id object)
{
    return ulv_fail(diag, ULV_E_DENIED, object, 0, 0,
                    "the view names memory %u, which was not handed over",
                    object);
}

static struct region *
add_region(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    if (m->region_count == m->region_capacity) {
        uint32_t more = m->region_capacity * 2 + 8;
        struct region *regions =
            host->alloc(host->self, more * sizeof(*regions), 8);

        if (regions == NULL)
            return NULL;
        if (m->region_count != 0)
            memcpy(regions, m->regions, m->region_count * sizeof(*regions));
        host->free(host->self, m->regions,
                   m->region_capacity * sizeof(*regions));
        m->regions = regions;
        m->region_capacity = more;
    }
    return &m->regions[m->region_count];
}

static ulv_status
map_extent(struct ulv_monitor *m, const struct ulv_view_memory *memory,
           struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    struct extent *extent = m->extents;
    struct region *region = add_region(m);
    void *p;
    ulv_status status;

    while (extent != NULL && extent->id != memory->extent)
        extent = extent->next;
    if (extent == NULL || extent->bytes != memory->bytes ||
        extent->memory == ULV_NO_HANDLE)
        return not_handed(diag, memory->extent);
    if (region == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, memory->extent, 0, 0,
                        "no memory for a region");
    status = host->memory_map(host->self, extent->memory, 0, memory->bytes,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
    if (status != ULV_OK)
        return ulv_fail(diag, status, memory->extent, memory->bytes, 0,
                        "%z of memory could not be mapped", memory->bytes);
    region->guest = memory->guest_address;
    region->bytes = memory->bytes;
    region->p = p;
    m->region_count++;
    status = m->cfg.backend->map(m->machine, (ulv_gpa){ region->guest },
                                 region->bytes, extent->memory, 0, p,
                                 ACCESS_ALL);
    if (status != ULV_OK)
        return ulv_fail(diag, status, memory->extent, region->guest, 0,
                        "the %s backend cannot map %z at %x",
                        m->cfg.backend->name, region->bytes, region->guest);
    return ULV_OK;
}

static ulv_status
map_memory(struct ulv_monitor *m, struct ulv_diag *diag)
{
    for (uint32_t i = 0;; i++) {
        struct ulv_view_memory memory;
        ulv_status status = ulv_view_read(&m->view, ULV_VIEW_MEMORY, i,
                                          &memory, sizeof(memory));

        if (status == ULV_E_NOT_FOUND)
            return ULV_OK;
        if (status == ULV_OK)
            status = map_extent(m, &memory, diag);
        if (status != ULV_OK)
            return status;
    }
}

/* The slots in the order of the view: swap what was handed over into place. */
static struct slot *
slot_of(struct ulv_monitor *m, const struct ulv_view_channel *channel)
{
    for (uint32_t i = 0; i < m->slot_count; i++) {
        if (m->slot[i].channel == channel->id && !m->slot[i].in_view &&
            m->slot[i].bytes == channel->bytes)
            return &m->slot[i];
    }
    return NULL;
}

static ulv_status
map_channel(struct ulv_monitor *m, const struct ulv_view_channel *channel,
            struct slot ordered[ULV_SLOT_COUNT], struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    struct slot *slot = slot_of(m, channel);
    ulv_status status;

    if (slot == NULL || channel->slot >= ULV_SLOT_COUNT ||
        ordered[channel->slot].in_view)
        return not_handed(diag, channel->id);
    status = host->memory_map(host->self, slot->memory, 0, slot->bytes,
                              ULV_MAP_READ | ULV_MAP_WRITE, NULL,
                              &slot->mapping);
    if (status == ULV_OK)
        status = m->cfg.backend->map(
            m->machine, (ulv_gpa){ channel->guest_address }, slot->bytes,
            slot->memory, 0, slot->mapping, ULV_GUEST_WRITE);
    if (status != ULV_OK)
        return ulv_fail(diag, status, channel->id, channel->guest_address, 0,
                        "channel %u could not be mapped", channel->id);
    slot->in_view = true;
    ordered[channel->slot] = *slot;
    return ULV_OK;
}

static void
keep_order(struct ulv_monitor *m, const struct slot ordered[ULV_SLOT_COUNT])
{
    const struct ulv_host *host = m->cfg.host;

    /* What was handed over and is not in the view is closed. */
    for (uint32_t i = 0; i < m->slot_count; i++) {
        if (m->slot[i].in_view)
            continue;
        host->unwatch(host->self, m->cfg.waits, m->slot[i].own_bell);
        host->handle_close(host->self, m->slot[i].own_bell);
        host->handle_close(host->self, m->slot[i].peer_bell);
        host->handle_close(host->self, m->slot[i].memory);
    }
    memcpy(m->slot, ordered, sizeof(m->slot));
    m->slot_count = ULV_SLOT_COUNT;
}

static ulv_status
map_channels(struct ulv_monitor *m, struct ulv_diag *diag)
{
    struct slot ordered[ULV_SLOT_COUNT];

    memset(ordered, 0, sizeof(ordered));
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        ordered[i].memory = ULV_NO_HANDLE;
        ordered[i].own_bell = ordered[i].peer_bell = ULV_NO_HANDLE;
    }
    for (uint32_t i = 0;; i++) {
        struct ulv_view_channel channel;
        ulv_status status = ulv_view_read(&m->view, ULV_VIEW_CHANNEL, i,
                                          &channel, sizeof(channel));

        if (status == ULV_E_NOT_FOUND)
            break;
        if (status == ULV_OK)
            status = map_channel(m, &channel, ordered, diag);
        if (status != ULV_OK)
            return status;
    }
    keep_order(m, ordered);
    return ULV_OK;
}

ulv_status
ulv_monitor_map_all(struct ulv_monitor *m, struct ulv_diag *diag)
{
    ulv_status status = map_memory(m, diag);

    if (status == ULV_OK)
        status = map_channels(m, diag);
    if (status != ULV_OK)
        return status;
    status = m->cfg.backend->map(
        m->machine, (ulv_gpa){ m->partition.view }, m->guest_view_bytes,
        m->guest_view, 0, m->guest_view_mapping, 0);
    if (status != ULV_OK)
        return ulv_fail(diag, status, m->cfg.partition, m->partition.view, 0,
                        "the view could not be mapped at %x",
                        m->partition.view);
    return ULV_OK;
}

/* The backend has what it needs: nothing of the guest's stays open here. */
void
ulv_monitor_close_memory(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    for (struct extent *e = m->extents; e != NULL; e = e->next) {
        host->handle_close(host->self, e->memory);
        e->memory = ULV_NO_HANDLE;
    }
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        if (m->slot[i].memory != ULV_NO_HANDLE)
            host->handle_close(host->self, m->slot[i].memory);
        m->slot[i].memory = ULV_NO_HANDLE;
    }
    if (m->guest_view != ULV_NO_HANDLE)
        host->handle_close(host->self, m->guest_view);
    m->guest_view = ULV_NO_HANDLE;
}

/* ---- load ---------------------------------------------------------------- */

struct image_source {
    const struct ulv_host *host;
    ulv_handle medium;
};

static ulv_status
read_image(void *self, uint64_t offset, void *buf, size_t len)
{
    const struct image_source *image = self;
    size_t done = 0;
    ulv_status status = image->host->medium_read(
        image->host->self, image->medium, offset, buf, len, &done);

    if (status != ULV_OK)
        return status;
    return done == len ? ULV_OK : ULV_E_MEDIUM;
}

/* Memory starts at the first region and is contiguous in guest addresses. */
static uint8_t *
find_memory(const struct ulv_monitor *m, uint64_t guest, uint64_t *ret_bytes)
{
    for (uint32_t i = 0; i < m->region_count; i++) {
        const struct region *r = &m->regions[i];

        if (guest - r->guest < r->bytes) {
            *ret_bytes = r->bytes - (guest - r->guest);
            return r->p + (guest - r->guest);
        }
    }
    *ret_bytes = 0;
    return NULL;
}

static ulv_status
load_segment(struct ulv_monitor *m, const struct ulv_elf_source *source,
             const struct ulv_elf_segment *segment)
{
    uint64_t done = 0;

    while (done < segment->memory_bytes) {
        uint64_t room, some = segment->memory_bytes - done;
        uint8_t *p = find_memory(m, segment->guest + done, &room);
        bool from_file = done < segment->file_bytes;

        some = ULV_MIN(some, room);
        if (p == NULL)
            return ULV_E_FORMAT;
        if (from_file) {
            ulv_status status;

            some = ULV_MIN(some, segment->file_bytes - done);
            status = source->read(source->self, segment->file_offset + done, p,
                                  (size_t)some);
            if (status != ULV_OK)
                return status;
        } else {
            memset(p, 0, (size_t)some);
        }
        done += some;
    }
    return ULV_OK;
}

ulv_status
ulv_monitor_load(struct ulv_monitor *m, ulv_handle image, uint64_t image_bytes,
                 uint64_t *ret_entry, struct ulv_diag *diag)
{
    struct image_source from = { m->cfg.host, image };
    struct ulv_elf_source source = { .read = read_image,
                                     .self = &from,
                                     .bytes = image_bytes,
                                     .ram_base = ULV_GUEST_RAM_BASE,
                                     .view = m->partition.view,
                                     .view_bytes = m->guest_view_bytes };
    struct ulv_elf_image elf;
    ulv_status status;

    for (uint32_t i = 0; i < m->region_count; i++)
        source.ram_bytes += m->regions[i].bytes;
    status = ulv_elf_check(&source, &elf, diag);
    if (status != ULV_OK)
        return status;
    for (uint32_t i = 0; i < elf.segment_count; i++) {
        status = load_segment(m, &source, &elf.segment[i]);
        if (status != ULV_OK)
            return ulv_fail(diag, status, m->cfg.partition,
                            elf.segment[i].guest, 0,
                            "the segment at %x could not be read",
                            elf.segment[i].guest);
    }
    *ret_entry = elf.entry;
    return ULV_OK;
}
