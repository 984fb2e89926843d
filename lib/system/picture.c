/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/picture.h"

#include "base/base.h"

void
ulv_picture_init(struct picture *p)
{
    static const uint16_t bytes[] = {
        sizeof(p->partition),  sizeof(p->memory[0]), sizeof(p->processor[0]),
        sizeof(p->channel[0]), sizeof(p->device[0]),
    };
    const void *const records[] = { &p->partition, p->memory, p->processor,
                                    p->channel, p->device };

    for (uint32_t i = 0; i < ULV_COUNT_OF(p->section); i++) {
        p->section[i].kind = ULV_VIEW_PARTITION + i;
        p->section[i].record_bytes = bytes[i];
        p->section[i].records = records[i];
    }
    p->section[0].record_count = 1;
    p->section[0].same = 0;
}

void
ulv_picture_blank(struct picture *p)
{
    p->section[4].record_count = 0;
    if (ulv_view_all_same(p->section[1].same & p->section[2].same))
        return;
    for (uint32_t i = p->section[1].same; i < p->section[1].record_count;
         i++) {
        p->memory[i].frame = 0;
        p->memory[i].extent = 0;
        p->memory[i].node = 0;
    }
    for (uint32_t i = 0; i < p->section[2].record_count; i++)
        p->processor[i].id = p->processor[i].quanta = 0;
}

ulv_status
ulv_picture_take(struct picture *p, const struct ulv_database *db, ulv_id id,
                 uint64_t revision, struct ulv_diag *diag)
{
    const struct partition *of = ulv_database_partition(db, id);
    ulv_status status = ulv_database_view_partition(of, &p->partition);
    uint32_t memory = 0, processors = 0, channels = 0, devices;
    struct ulv_database_same same;

    if (status != ULV_OK)
        return status;
    ulv_database_view_same(of, revision, &same);
    if (ulv_view_all_same(same.memory & same.processors & same.channels)) {
        for (uint32_t i = 1; i < ULV_COUNT_OF(p->section); i++)
            p->section[i].same = UINT32_MAX; /* guests serve no devices */
        return ULV_OK;
    }
    if (!ulv_view_all_same(same.memory))
        memory = ulv_database_view_memory(db, of, same.memory, p->memory,
                                          PICTURE_MEMORY_MAX);
    if (!ulv_view_all_same(same.processors))
        processors = ulv_database_view_processors(of, p->processor,
                                                  PICTURE_PROCESSORS_MAX);
    if (!ulv_view_all_same(same.channels))
        channels = ulv_database_view_channels(db, of, same.channels, p->channel,
                                              PICTURE_CHANNELS_MAX);
    devices = ulv_database_view_devices(db, of, p->device, PICTURE_DEVICES_MAX);
    if (memory > PICTURE_MEMORY_MAX || processors > PICTURE_PROCESSORS_MAX ||
        channels > PICTURE_CHANNELS_MAX || devices > PICTURE_DEVICES_MAX)
        return ulv_fail(diag, ULV_E_LIMIT, id, memory, PICTURE_MEMORY_MAX,
                        "partition %u has too much for one view: %u runs of "
                        "memory, %u channels",
                        id, (uint64_t)memory, (uint64_t)channels);
    p->section[1].record_count = memory;
    p->section[1].same = same.memory;
    p->section[2].record_count = processors;
    p->section[2].same = same.processors;
    p->section[3].record_count = channels;
    p->section[3].same = same.channels;
    p->section[4].record_count = devices;
    p->section[4].same = 0;
    return ULV_OK;
}
