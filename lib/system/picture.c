/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/picture.h"

#include "base/base.h"

static struct ulv_view_section
section(uint32_t kind, uint32_t bytes, uint32_t count, const void *records)
{
    struct ulv_view_section s = { kind, bytes, count, records };

    return s;
}

void
ulv_picture_blank(struct picture *p)
{
    for (uint32_t i = 0; i < p->section[1].record_count; i++) {
        p->memory[i].frame = 0;
        p->memory[i].extent = 0;
        p->memory[i].node = 0;
    }
    for (uint32_t i = 0; i < p->section[2].record_count; i++)
        p->processor[i].id = p->processor[i].quanta = 0;
    p->section[4].record_count = 0;
}

ulv_status
ulv_picture_take(struct picture *p, const struct ulv_database *db, ulv_id id,
                 struct ulv_diag *diag)
{
    ulv_status status = ulv_database_view_partition(db, id, &p->partition);
    uint32_t memory =
        ulv_database_view_memory(db, id, p->memory, PICTURE_MEMORY_MAX);
    uint32_t processors = ulv_database_view_processors(
        db, id, p->processor, PICTURE_PROCESSORS_MAX);
    uint32_t channels =
        ulv_database_view_channels(db, id, p->channel, PICTURE_CHANNELS_MAX);
    uint32_t devices =
        ulv_database_view_devices(db, id, p->device, PICTURE_DEVICES_MAX);

    if (status != ULV_OK)
        return status;
    if (memory > PICTURE_MEMORY_MAX || processors > PICTURE_PROCESSORS_MAX ||
        channels > PICTURE_CHANNELS_MAX || devices > PICTURE_DEVICES_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, id, memory, PICTURE_MEMORY_MAX,
                        "partition %u has too much for one view: %u runs of "
                        "memory, %u channels",
                        id, (uint64_t)memory, (uint64_t)channels);
    p->section[0] = section(ULV_VIEW_PARTITION, sizeof(p->partition), 1,
                            &p->partition);
    p->section[1] =
        section(ULV_VIEW_MEMORY, sizeof(p->memory[0]), memory, p->memory);
    p->section[2] = section(ULV_VIEW_PROCESSOR, sizeof(p->processor[0]),
                            processors, p->processor);
    p->section[3] = section(ULV_VIEW_CHANNEL, sizeof(p->channel[0]), channels,
                            p->channel);
    p->section[4] =
        section(ULV_VIEW_DEVICE, sizeof(p->device[0]), devices, p->device);
    return ULV_OK;
}
