/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Loads an image as a monitor would, for tests that know the image from
 * elsewhere: says the plan, and leaves what it wrote in a folder.
 *
 * usage: plan_image IMAGE INITRD CMDLINE MEBIBYTES FOLDER
 *
 * "-" is no initrd. Memory is that of a PC: without 640 KiB to 1 MiB.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/loader/plan_rules.h"

#define LOW_BYTES  0xa0000u
#define HIGH_BASE  0x100000u

static void
fail(const char *what, const char *why)
{
    fprintf(stderr, "plan_image: %s: %s\n", what, why);
    exit(1);
}

static ulv_status
read_file(void *self, uint64_t offset, void *buf, size_t len)
{
    FILE *file = self;

    if (fseek(file, (long)offset, SEEK_SET) != 0 ||
        fread(buf, 1, len, file) != len)
        return ULV_E_MEDIUM;
    return ULV_OK;
}

static struct ulv_loader_source
open_source(const char *path)
{
    FILE *file = fopen(path, "rb");
    long bytes = -1;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        bytes = ftell(file);
    if (bytes < 0)
        fail(path, "cannot be opened");
    return (struct ulv_loader_source){ read_file, file, (uint64_t)bytes };
}

static void
save(const struct ulv_loader_request *request, const char *folder,
     const struct ulv_loader_piece *piece)
{
    uint32_t i = piece->guest >= HIGH_BASE; /* its region */
    const struct ulv_loader_region *r = &request->regions[i];
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%" PRIu64, folder, piece->guest);
    file = fopen(path, "wb");
    if (file == NULL ||
        fwrite(r->p + (piece->guest - r->guest), 1, (size_t)piece->written,
               file) != piece->written ||
        fclose(file) != 0)
        fail(path, "cannot be written");
    printf("piece %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
           piece->fill, piece->guest, piece->bytes, piece->written);
}

static void
check(const char *defect)
{
    if (defect != NULL)
        fail("the plan", defect);
}

int
main(int argc, char **argv)
{
    struct ulv_loader_region regions[2] = { { 0, LOW_BYTES, NULL },
                                            { HIGH_BASE, 0, NULL } };
    struct ulv_loader_request request = { .regions = regions,
                                          .region_count = 2 };
    struct ulv_loader_plan plan;
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (argc != 6)
        fail("usage", "IMAGE INITRD CMDLINE MEBIBYTES FOLDER");
    request.image = open_source(argv[1]);
    if (argv[2][0] != '-')
        request.initrd = open_source(argv[2]);
    request.cmdline = argv[3];
    regions[1].bytes = strtoull(argv[4], NULL, 10) * 1048576 - HIGH_BASE;
    for (int i = 0; i < 2; i++) {
        regions[i].p = malloc((size_t)regions[i].bytes);
        if (regions[i].p == NULL)
            fail("memory", "there is not enough");
    }
    forget_memory(&request);
    if (ulv_loader_plan(&request, &plan, &diag) != ULV_OK)
        fail(ulv_status_name(diag.status), diag.text);
    check(plan_defect(&plan));
    check(write_defect(&plan));
    if (ulv_loader_write(&plan, &diag) != ULV_OK)
        fail(ulv_status_name(diag.status), diag.text);
    check(write_defect(&plan));
    printf("kind %s\nmode %" PRIu32 "\nentry %" PRIu64 "\nrbx %" PRIu64
           "\nrsi %" PRIu64 "\npage_tables %" PRIu64 "\ngdt %" PRIu64
           "\ngdt_bytes %" PRIu32 "\n",
           ulv_loader_kind_name(plan.kind), plan.mode, plan.entry, plan.rbx,
           plan.rsi, plan.page_tables, plan.gdt, plan.gdt_bytes);
    for (uint32_t i = 0; i < plan.piece_count; i++)
        save(&request, argv[5], &plan.piece[i]);
    return 0;
}
