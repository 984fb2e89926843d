/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Loading the image into the guest's memory. */
#include "monitor/elf.h"
#include "monitor/monitor_priv.h"

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

static ulv_status
load_segment(struct ulv_monitor *m, const struct ulv_elf_source *source,
             const struct ulv_elf_segment *segment)
{
    uint64_t done = 0;

    while (done < segment->memory_bytes) {
        uint64_t room, some = segment->memory_bytes - done;
        uint8_t *p =
            ulv_monitor_memory_at(m, segment->guest + done, &room);
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

    source.ram_bytes = ulv_monitor_ram_end(m) - ULV_GUEST_RAM_BASE;
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
