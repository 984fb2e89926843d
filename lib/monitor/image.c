/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Loading the image into the guest's memory. */
#include "loader/loader.h"
#include "monitor/monitor_priv.h"

ulv_status
ulv_monitor_read_image(void *self, uint64_t offset, void *buf, size_t len)
{
    const struct image_source *image = self;
    size_t done = 0;
    ulv_status status = image->host->medium_read(
        image->host->self, image->medium, offset, buf, len, &done);

    if (status != ULV_OK)
        return status;
    return done == len ? ULV_OK : ULV_E_MEDIUM;
}

/* The memory without a hole from ULV_GUEST_RAM_BASE, as the loader wants it;
 * ret NULL: only count it. */
static uint32_t
list_regions(const struct ulv_monitor *m, struct ulv_loader_region *ret)
{
    uint64_t at = ULV_GUEST_RAM_BASE, bytes;
    uint32_t count = 0;
    uint8_t *p;

    while ((p = ulv_monitor_memory_at(m, at, &bytes)) != NULL) {
        if (ret != NULL)
            ret[count] = (struct ulv_loader_region){ at, bytes, p };
        count++;
        at += bytes;
    }
    return count;
}

static ulv_status
load(const struct ulv_loader_request *request, uint64_t *ret_entry,
     struct ulv_diag *diag)
{
    struct ulv_loader_plan plan;
    ulv_status status = ulv_loader_plan_sdk_image(request, &plan, diag);

    if (status == ULV_OK)
        status = ulv_loader_write(&plan, diag);
    *ret_entry = plan.entry;
    return status;
}

ulv_status
ulv_monitor_load(struct ulv_monitor *m, const struct ulv_monitor_image *image,
                 uint64_t *ret_entry, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    struct image_source from = { host, image->image };
    const struct ulv_loader_range view = { m->partition.view,
                                           m->guest_view_bytes,
                                           "the partition's own view" };
    struct ulv_loader_request request = { .region_count =
                                              list_regions(m, NULL),
                                          .reserved = &view,
                                          .reserved_count = 1,
                                          .image = { ulv_monitor_read_image,
                                                     &from, image->bytes },
                                          .argument = m->partition.view };
    uint64_t bytes = request.region_count * sizeof(struct ulv_loader_region);
    struct ulv_loader_region *regions;
    ulv_status status;

    if (ULV_STOCK_KERNELS) { /* the loader refuses it in words */
        request.cmdline = image->cmdline;
        if (image->initrd != ULV_NO_HANDLE)
            request.initrd = request.image;
    }
    if (request.region_count == 0)
        return ulv_fail(diag, ULV_E_STATE, m->cfg.partition, 0, 1,
                        "the partition has no memory at %x",
                        ULV_GUEST_RAM_BASE);
    regions = host->alloc(host->self, bytes, 8);
    if (regions == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition, bytes, 0,
                        "no memory to list %u stretches of the guest's",
                        (uint64_t)request.region_count);
    list_regions(m, regions);
    request.regions = regions;
    status = load(&request, ret_entry, diag);
    host->free(host->self, regions, bytes);
    return status;
}
