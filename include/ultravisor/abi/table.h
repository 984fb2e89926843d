/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A shared table as it lies in memory: one section for each who writes, which
 * nobody else writes, and all read. doc/formats/table.md has the table and the
 * rules. All numbers little-endian.
 *
 * For whoever writes or reads a section, C or C++, with no other header needed.
 */
#ifndef ULTRAVISOR_ABI_TABLE_H
#define ULTRAVISOR_ABI_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define ULV_TABLE_MAGIC   UINT64_C(0x314c42545f564c55) /* "ULV_TBL1" */
#define ULV_TABLE_VERSION 1u

#define ULV_TABLE_COPIES          4u /* of each entry's value, in turn */
#define ULV_TABLE_ENTRY_BYTES_MAX 65536u

/* What a section begins with; its entries follow. All of it is its writer's. */
struct ulv_table_section {
    uint64_t magic;
    uint32_t version;
    uint32_t entry_count;
    uint32_t entry_bytes; /* of a value: a multiple of 8 */
    uint32_t rsvd0_;
    uint64_t epoch; /* grows by 2 with each writer; odd: it is written anew */
    uint64_t rsvd1_[4];
    uint64_t changes; /* entries ever written */
    uint32_t state;   /* the writer's, to say what it likes; 0 at first */
    uint32_t rsvd2_;
    uint64_t rsvd3_[6];
    uint64_t awaits; /* not 0: ring it when another changed something */
    uint64_t rsvd4_[7];
};

/*
 * Values lie behind their sequence number, which counts how often the entry was
 * written: number n has the copy n % ULV_TABLE_COPIES. Entries begin at
 * multiples of 64.
 */
struct ulv_table_entry {
    uint64_t sequence; /* 0: never written */
};

#ifndef __cplusplus
_Static_assert(offsetof(struct ulv_table_section, epoch) == 24, "abi");
_Static_assert(offsetof(struct ulv_table_section, changes) == 64, "abi");
_Static_assert(offsetof(struct ulv_table_section, awaits) == 128, "abi");
_Static_assert(sizeof(struct ulv_table_section) == 192, "abi");
_Static_assert(sizeof(struct ulv_table_entry) == 8, "abi");
#endif

#endif
