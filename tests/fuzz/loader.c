/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Loading images: input byte 0 chooses the kind and what comes with the image,
 * byte 1 the memory and what of it is reserved, the rest is the image. Whatever
 * they are, a plan keeps to the rules, and only its pieces are written.
 */
#include <stdlib.h>

#include "../unit/loader/plan_rules.h"

#include "fuzz.h"

#define KINDS      5u
#define WITH_INITRD  0x08u
#define WITH_CMDLINE 0x10u
#define FLAT_MODE_AT 5u /* two bits */
#define REGIONS_MAX  4u
#define SOME_BYTES   0x9000u

struct source {
    const uint8_t *data;
    size_t size;
};

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static ulv_status
read_source(void *self, uint64_t offset, void *buf, size_t len)
{
    const struct source *source = self;

    require(offset <= source->size && len <= source->size - offset);
    memcpy(buf, source->data + offset, len);
    return ULV_OK;
}

/* Each memory in heap blocks of exactly its size. */
static const struct ulv_loader_region memories[4][REGIONS_MAX] = {
    { { 0, SOME_BYTES, NULL }, { 0x100000, 0x20000, NULL } },
    { { 0x1000, 0x2000, NULL },
      { 0x100000, 0x1800, NULL },
      { 0x101800, SOME_BYTES, NULL },
      { 0x400000, SOME_BYTES, NULL } },
    { { 0x9f000, 0x1000, NULL },
      { 0x200000, SOME_BYTES, NULL },
      { 0xfffff000, 0x3000, NULL },
      { UINT64_MAX - 0x1000, 0x1000, NULL } },
    { { 0x400000, 0x10000, NULL } },
};
static const struct ulv_loader_range reserved[] = {
    { 0x1000, 0x1000, "the first" },
    { 0x100c00, 0x10, "the second" },
    { UINT64_C(0x100000000), 0x1000, "the third" },
};

static uint32_t
make_memory(uint32_t which, struct ulv_loader_region regions[REGIONS_MAX])
{
    uint32_t count = 0;

    while (count < REGIONS_MAX && memories[which][count].bytes != 0) {
        regions[count] = memories[which][count];
        regions[count].p = malloc((size_t)regions[count].bytes);
        require(regions[count].p != NULL);
        count++;
    }
    return count;
}

static void
load(const struct ulv_loader_request *request)
{
    struct ulv_loader_plan plan;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;

    forget_memory(request);
    status = ulv_loader_plan(request, &plan, &diag);
    if (status != ULV_OK) {
        plan.piece_count = 0;
        require(write_defect(&plan) == NULL);
        require(diag.status == status && diag.text[0] != '\0');
        require(memchr(diag.text, '\0', sizeof(diag.text)) != NULL);
        return;
    }
    require(plan_defect(&plan) == NULL);
    require(request->kind == ULV_LOADER_AUTO || request->kind == plan.kind);
    require(write_defect(&plan) == NULL);
    require(ulv_loader_write(&plan, &diag) == ULV_OK);
    require(write_defect(&plan) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t options[2] = { 0 };
    size_t skip = size < sizeof(options) ? size : sizeof(options);
    struct source source = { data == NULL ? options : data + skip,
                             size - skip };
    struct ulv_loader_region regions[REGIONS_MAX];
    struct ulv_loader_request request = { .regions = regions };

    if (skip != 0)
        memcpy(options, data, skip);
    request.kind = (options[0] & 7) % KINDS;
    request.image =
        (struct ulv_loader_source){ read_source, &source, source.size };
    if ((options[0] & WITH_INITRD) != 0)
        request.initrd = request.image;
    if ((options[0] & WITH_CMDLINE) != 0)
        request.cmdline = "console=ttyS0";
    request.flat_mode = options[0] >> FLAT_MODE_AT & 3;
    request.region_count = make_memory(options[1] & 3, regions);
    request.flat_address = regions[options[1] >> 7].guest;
    request.reserved = reserved;
    request.reserved_count = options[1] >> 2 & 3;
    load(&request);
    for (uint32_t i = 0; i < request.region_count; i++)
        free(regions[i].p);
    return 0;
}
