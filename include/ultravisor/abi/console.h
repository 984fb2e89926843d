/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The console protocol: what runs over a channel of type CONSOLE. The client
 * sends OUTPUT records, the server INPUT records, each with the offset of its
 * first byte in the stream of its direction, so that a successor server repeats
 * and loses nothing. doc/formats/console.md has the rules.
 *
 * Each end says in its line of the channel's header what it can do; what only
 * one of them can is not done.
 */
#ifndef ULTRAVISOR_ABI_CONSOLE_H
#define ULTRAVISOR_ABI_CONSOLE_H

#include <stdint.h>

#define ULV_CONSOLE_OUTPUT 1u /* record type: offset, then the bytes */
#define ULV_CONSOLE_OUTPUT_MAX 1024u /* payload bytes after the offset */
#define ULV_CONSOLE_INPUT 2u /* the same, from the server */
#define ULV_CONSOLE_INPUT_MAX 1024u

/* features of an end */
#define ULV_CONSOLE_FEATURE_INPUT 1u /* it sends INPUT, or reads it */

struct ulv_console_output {
    uint64_t offset; /* of the first byte in the stream */
    /* bytes follow */
};

struct ulv_console_input {
    uint64_t offset; /* of the first byte in the stream */
    /* at least one byte follows */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct ulv_console_output) == 8, "abi");
_Static_assert(sizeof(struct ulv_console_input) == 8, "abi");
#endif

#endif
