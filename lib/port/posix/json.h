/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * JSON into structures, by tables of keys: every text either fills the
 * structure or is refused with the place, the key, the value and the bound.
 */
#ifndef PORT_POSIX_JSON_H
#define PORT_POSIX_JSON_H

#include <jansson.h>

#include "port/posix/posix.h"

#define ULV_JSON_TEXT_MAX ULV_MIB(1) /* of a whole text [bytes] */

/* What a key holds, and what the member at its offset is. */
#define ULV_JSON_NUMBER  UINT32_C(1) /* uint64_t */
#define ULV_JSON_SIZE    UINT32_C(2) /* uint64_t [bytes]: 4096, "256M" */
#define ULV_JSON_BOOLEAN UINT32_C(3) /* bool */
#define ULV_JSON_STRING  UINT32_C(4) /* char[maximum + 1] */
#define ULV_JSON_LIST    UINT32_C(5) /* const json_t *, borrowed */
#define ULV_JSON_OBJECT  UINT32_C(6) /* const json_t *, borrowed */

struct ulv_json_key {
    const char *name;
    uint32_t kind;
    bool required;    /* otherwise the member stays as it was */
    size_t offset;    /* of the member */
    uint64_t minimum; /* of a number or size, or of the bytes of a string, */
    uint64_t maximum; /* or of the entries of a list */
};

/**
 * Parse a text. Keys that stand twice in an object are an error.
 *
 * @param name  of the file, for diagnostics: "policy.json"
 * @param ret   freed by the caller with json_decref()
 *
 * Errors:  ULV_E_FORMAT  "policy.json:3:14: ..." (line and column from 1)
 *          ULV_E_LIMIT   longer than ULV_JSON_TEXT_MAX
 *          ULV_E_NO_MEMORY
 * Context: any
 */
ulv_status ulv_json_parse(const char *name, const char *text, size_t len,
                          json_t **ret, struct ulv_diag *diag);

/**
 * Read the keys of an object into a structure. On failure the structure may
 * be filled in part.
 *
 * @param where  the object's place, for diagnostics: "policy.json: zones[2]"
 *
 * Errors:  ULV_E_FORMAT  not an object, an unknown or missing key, a wrong
 *                        type, a size that is none
 *          ULV_E_LIMIT   value outside of minimum and maximum
 * Context: any
 */
ulv_status ulv_json_read(const json_t *object, const char *where,
                         const struct ulv_json_key *keys, size_t key_count,
                         void *ret, struct ulv_diag *diag);

/**
 * Read "256M", "1GiB" or "4096": a decimal number with K, M, G or T, each
 * with or without iB, all powers of 1024. KB, MB and so on are refused: half
 * of their readers take them for powers of 1000.
 *
 * Context: any
 */
bool ulv_json_parse_size(const char *text, uint64_t *ret);

#endif
