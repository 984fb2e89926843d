/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/picture.h"

#include "base/base.h"

static struct ulv_view_section
section(uint32_t kind, uint32_t bytes, uint32_t count, const void *records)
{
    struct ulv_view_section s = { .kind = kind,
                                  .record_bytes = bytes,
                                  .record_count = count,
                                  .records = records };

    return s;
}

void
ulv_picture_blank(struct picture *p)
{
    for (uint32_t i = p->section[1].same; i < p->section[1].record_count;
         i++) {
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
                 uint64_t revision, struct ulv_diag *diag)
{
    const struct partition *of = ulv_database_partition(db, id);
    ulv_status status = ulv_database_view_partition(of, &p->partition);
    uint32_t same_memory, same_channels, memory, processors, channels, devices;

    if (status != ULV_OK)
        return status;
    ulv_database_view_same(of, revision, &same_memory, &same_channels);
    memory = ulv_database_view_memory(db, of, same_memory, p->memory,
                                      PICTURE_MEMORY_MAX);
    processors =
        ulv_database_view_processors(of, p->processor, PICTURE_PROCESSORS_MAX);
    channels = ulv_database_view_channels(db, of, same_channels, p->channel,
                                          PICTURE_CHANNELS_MAX);
    devices = ulv_database_view_devices(db, of, p->device, PICTURE_DEVICES_MAX);
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
    p->section[1].same = same_memory;
    p->section[2] = section(ULV_VIEW_PROCESSOR, sizeof(p->processor[0]),
                            processors, p->processor);
    p->section[3] = section(ULV_VIEW_CHANNEL, sizeof(p->channel[0]), channels,
                            p->channel);
    p->section[3].same = same_channels;
    p->section[4] =
        section(ULV_VIEW_DEVICE, sizeof(p->device[0]), devices, p->device);
    return ULV_OK;
}
