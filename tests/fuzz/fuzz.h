/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What every fuzz target defines: libFuzzer's entry, which replay_main.c calls
 * as well. Returns 0; a defect is a crash.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input: any bytes, also none. Keeps nothing between two calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
