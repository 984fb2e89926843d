/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Kernels that are entered by PVH: an ELF image with a 32-bit entry, and a
 * start info that tells it the rest.
 *
 * Source: Xen docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h.
 */
#include "loader/loader_priv.h"

#define START_INFO_MAGIC   0x336ec578u
#define START_INFO_VERSION 1u
#define START_INFO_BYTES   56u
#define MODULE_BYTES       32u
#define MAP_ENTRY_BYTES    24u
#define MODULE_AT          START_INFO_BYTES
#define MAP_AT             (MODULE_AT + MODULE_BYTES)

static void
write_map(const struct ulv_loader_plan *plan, uint64_t guest)
{
    struct map_entry entry;
    uint64_t at = 0;

    while (ulv_loader_map_next(plan->request, &at, &entry)) {
        uint8_t raw[MAP_ENTRY_BYTES] = { 0 };

        ulv_loader_set64(raw, entry.base);
        ulv_loader_set64(raw + 8, entry.bytes);
        ulv_loader_set32(raw + 16, entry.type);
        ulv_loader_put(plan, guest, raw, sizeof(raw));
        guest += sizeof(raw);
    }
}

void
ulv_loader_write_start_info(const struct ulv_loader_plan *plan,
                            const struct ulv_loader_piece *piece)
{
    const struct ulv_loader_piece *initrd =
        ulv_loader_find(plan, ULV_PIECE_INITRD);
    const struct ulv_loader_piece *cmdline =
        ulv_loader_find(plan, ULV_PIECE_CMDLINE);
    uint8_t raw[MAP_AT] = { 0 };

    ulv_loader_set32(raw, START_INFO_MAGIC);
    ulv_loader_set32(raw + 4, START_INFO_VERSION);
    if (initrd != NULL) {
        ulv_loader_set32(raw + 12, 1);
        ulv_loader_set64(raw + 16, piece->guest + MODULE_AT);
        ulv_loader_set64(raw + MODULE_AT, initrd->guest);
        ulv_loader_set64(raw + MODULE_AT + 8, initrd->bytes);
    }
    if (cmdline != NULL)
        ulv_loader_set64(raw + 24, cmdline->guest);
    ulv_loader_set64(raw + 32, plan->request->rsdp);
    ulv_loader_set64(raw + 40, piece->guest + MAP_AT);
    ulv_loader_set32(raw + 48, plan->map_entries);
    ulv_loader_put(plan, piece->guest, raw, sizeof(raw));
    write_map(plan, piece->guest + MAP_AT);
}

/* Behind the segments: their places are fixed, what follows goes around. */
static ulv_status
place_boot_structures(struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    uint64_t where;
    ulv_status status = ulv_loader_count_map(plan, diag);

    if (status == ULV_OK)
        status = ulv_loader_place_low(
            plan, ULV_PIECE_START_INFO,
            MAP_AT + (uint64_t)plan->map_entries * MAP_ENTRY_BYTES, &plan->rbx,
            diag);
    if (status == ULV_OK)
        status = ulv_loader_place_cmdline(plan, ULV_LOADER_CMDLINE_MAX, &where,
                                          diag);
    if (status == ULV_OK)
        status = ulv_loader_place_initrd(plan, FOUR_GIB, &where, diag);
    return status;
}

ulv_status
ulv_loader_plan_pvh(struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    ulv_status status = ulv_loader_plan_elf_pvh(plan, diag);

    if (status != ULV_OK)
        return status;
    plan->mode = ULV_ENTRY_PROTECTED;
    return place_boot_structures(plan, diag);
}
