/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The console protocol: what runs over a channel of type CONSOLE. The client
 * sends OUTPUT records, each with the offset of its first byte in the stream,
 * so that a successor server repeats and loses nothing.
 */
#ifndef ULTRAVISOR_ABI_CONSOLE_H
#define ULTRAVISOR_ABI_CONSOLE_H

#include <stdint.h>

#define ULV_CONSOLE_OUTPUT 1u /* record type: offset, then the bytes */
#define ULV_CONSOLE_OUTPUT_MAX 1024u /* payload bytes after the offset */

struct ulv_console_output {
    uint64_t offset; /* of the first byte in the stream */
    /* bytes follow */
};

#endif
