/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef LOADER_LOADER_PRIV_H
#define LOADER_LOADER_PRIV_H

#include "base/base.h"
#include "loader/loader.h"

#define PAGE_BYTES UINT64_C(4096)
/* Nothing is put into page 0, which kernels use as a NULL, nor where a PC has
 * its video memory and its ROMs. */
#define LOW_BASE     PAGE_BYTES
#define HOLE_BASE    UINT64_C(0xa0000)
#define HOLE_END     UINT64_C(0x100000)
#define FOUR_GIB     (UINT64_C(1) << 32)
#define E820_RAM     1u
#define E820_RESERVED 2u

struct map_entry {
    uint64_t base, bytes;
    uint32_t type; /* E820_* */
};

/* ---- space.c: what is where in guest memory ------------------------------ */
ulv_status ulv_loader_check_request(const struct ulv_loader_request *request,
                                    struct ulv_diag *diag);
/* Add a piece that has its place: FORMAT (or status) with a diag if it cannot
 * lie there. */
ulv_status ulv_loader_claim(struct ulv_loader_plan *plan,
                            const struct ulv_loader_piece *piece,
                            ulv_status status, struct ulv_diag *diag);
/* Where to look for a place, and from which end. */
struct place {
    uint64_t low, high, align;
    bool from_top;
};
/* Add a piece wherever it fits; *ret_guest says where. */
ulv_status ulv_loader_place(struct ulv_loader_plan *plan,
                            struct ulv_loader_piece piece,
                            const struct place *place, uint64_t *ret_guest,
                            struct ulv_diag *diag);
/* The same for a page or more of low memory, as boot structures want it. */
ulv_status ulv_loader_place_low(struct ulv_loader_plan *plan, uint32_t fill,
                                uint64_t bytes, uint64_t *ret_guest,
                                struct ulv_diag *diag);
/* The initrd and the command line: *ret_.. 0 if there is none. */
ulv_status ulv_loader_place_initrd(struct ulv_loader_plan *plan,
                                   uint64_t high, uint64_t *ret_guest,
                                   struct ulv_diag *diag);
ulv_status ulv_loader_place_cmdline(struct ulv_loader_plan *plan,
                                    uint64_t max, uint64_t *ret_guest,
                                    struct ulv_diag *diag);
/* The entry of the guest's memory map that begins at or after *at, which
 * then is its end; false: there is none. */
bool ulv_loader_map_next(const struct ulv_loader_request *request,
                         uint64_t *at, struct map_entry *ret);
ulv_status ulv_loader_count_map(struct ulv_loader_plan *plan,
                                struct ulv_diag *diag);
const struct ulv_loader_piece *
ulv_loader_find(const struct ulv_loader_plan *plan, uint32_t fill);
/* Where a guest address is in our memory, and for how many bytes. */
uint8_t *ulv_loader_at(const struct ulv_loader_request *request,
                       uint64_t guest, uint64_t *ret_bytes);
/* Copy into memory that the plan has checked. */
void ulv_loader_put(const struct ulv_loader_plan *plan, uint64_t guest,
                    const void *from, uint64_t bytes);

/* ---- the kinds ----------------------------------------------------------- */
#define ELF_MAGIC 0x464c457fu
/* Read of the image, with a diag that says where it failed. */
ulv_status ulv_loader_read(const struct ulv_loader_request *request,
                           uint64_t offset, void *buf, size_t len,
                           struct ulv_diag *diag);
/* ret: whether it has a PVH note. */
ulv_status ulv_loader_elf_is_pvh(const struct ulv_loader_request *request,
                                 bool *ret, struct ulv_diag *diag);
ulv_status ulv_loader_plan_sdk(struct ulv_loader_plan *plan,
                               struct ulv_diag *diag);
/* Its segments and its entry. */
ulv_status ulv_loader_plan_elf_pvh(struct ulv_loader_plan *plan,
                                   struct ulv_diag *diag);
ulv_status ulv_loader_plan_pvh(struct ulv_loader_plan *plan,
                               struct ulv_diag *diag);
ulv_status ulv_loader_plan_linux(struct ulv_loader_plan *plan,
                                 struct ulv_diag *diag);
bool ulv_loader_is_linux(const uint8_t *head, size_t bytes);
void ulv_loader_write_start_info(const struct ulv_loader_plan *plan,
                                 const struct ulv_loader_piece *piece);
void ulv_loader_write_zero_page(const struct ulv_loader_plan *plan,
                                const struct ulv_loader_piece *piece);
void ulv_loader_write_page_tables(const struct ulv_loader_plan *plan,
                                  const struct ulv_loader_piece *piece);
void ulv_loader_write_gdt(const struct ulv_loader_plan *plan,
                          const struct ulv_loader_piece *piece);

/* ---- little-endian stores ------------------------------------------------ */
void ulv_loader_set16(uint8_t *p, uint16_t n);
void ulv_loader_set32(uint8_t *p, uint32_t n);
void ulv_loader_set64(uint8_t *p, uint64_t n);

#endif
