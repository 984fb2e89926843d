/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What another program is handed with an end of a channel: the first message on
 * the descriptor that admits it, with three others beside it. All numbers
 * little-endian. doc/formats/admission.md says what to do with them.
 *
 * For a program that speaks over a channel without this library.
 */
#ifndef ULTRAVISOR_ABI_ADMISSION_H
#define ULTRAVISOR_ABI_ADMISSION_H

#include <stdint.h>

#define ULV_ADMISSION_MAGIC   UINT64_C(0x314d44415f564c55) /* "ULV_ADM1" */
#define ULV_ADMISSION_VERSION 1u

/* Beside it, in this order: the channel's memory, the doorbell of this end,
 * that of the other. */
struct ulv_admission {
    uint64_t magic;
    uint32_t version;
    uint32_t end;     /* ULV_END_* */
    uint64_t channel; /* its id */
    uint64_t bytes;   /* of the memory */
    uint8_t type[16]; /* what is spoken: ULV_CHANNEL_TYPE_*, or another */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_admission) == 48, "abi");
#endif

#endif
