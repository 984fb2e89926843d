/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/posix.h>

#include <string.h>

#include "policy/policy.h"
#include "port/posix/json.h"

#define NS_PER_MILLISECOND 1000000
#define WORD_MAX           15  /* of node and side [bytes] */
#define NAME_MAX_BYTES     31  /* of a device or partition */
#define WHERE_BYTES        128 /* the place of a rule, in a diagnostic */

/* A policy as the JSON text has it. */
struct written {
    uint64_t memory_per_guest;
    uint64_t processors_per_guest;
    uint64_t guests;
    uint64_t silence_limit_ms;
    uint64_t restarts;
    char node[WORD_MAX + 1];
    char side[WORD_MAX + 1];
    const json_t *io;
};

static const struct ulv_json_key policy_keys[] = {
    {"memory_per_guest", ULV_JSON_SIZE, false,
     offsetof(struct written, memory_per_guest), 1, INT64_MAX},
    {"processors_per_guest", ULV_JSON_NUMBER, false,
     offsetof(struct written, processors_per_guest), 1, UINT32_MAX},
    {"guests", ULV_JSON_NUMBER, false, offsetof(struct written, guests), 0,
     UINT32_MAX},
    /* A year is for ever. */
    {"silence_limit_ms", ULV_JSON_NUMBER, false,
     offsetof(struct written, silence_limit_ms), 0, UINT64_C(31536000000)},
    {"restarts_per_minute", ULV_JSON_NUMBER, false,
     offsetof(struct written, restarts), 0, ULV_RESTARTS_MAX},
    {"node", ULV_JSON_STRING, false, offsetof(struct written, node), 1,
     WORD_MAX},
    {"side", ULV_JSON_STRING, false, offsetof(struct written, side), 1,
     WORD_MAX},
    {"io", ULV_JSON_LIST, false, offsetof(struct written, io), 0,
     ULV_POLICY_RULES_MAX},
};

static const struct ulv_json_key rule_keys[] = {
    {"device", ULV_JSON_STRING, true, offsetof(struct ulv_policy_rule, device),
     1, NAME_MAX_BYTES},
    {"primary", ULV_JSON_STRING, true,
     offsetof(struct ulv_policy_rule, primary), 1, NAME_MAX_BYTES},
    {"standby", ULV_JSON_STRING, true,
     offsetof(struct ulv_policy_rule, standby), 1, NAME_MAX_BYTES},
};

/* The number of a word, one of two; the word is not there: stays. */
static ulv_status
choose(const char *name, const char *key, const char *word,
       const char *const words[2], uint32_t *ret, struct ulv_diag *diag)
{
    if (word[0] == '\0')
        return ULV_OK;
    for (uint32_t i = 0; i < 2; i++) {
        if (strcmp(word, words[i]) != 0)
            continue;
        *ret = i;
        return ULV_OK;
    }
    return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                    "%s: %s: \"%s\", \"%s\" or \"%s\" wanted", name, key, word,
                    words[0], words[1]);
}

static ulv_status
compile_rule(const json_t *object, const char *where,
             struct ulv_policy_rule *ret, struct ulv_diag *diag)
{
    ulv_status status = ulv_json_read(object, where, rule_keys,
                                      ULV_COUNT_OF(rule_keys), ret, diag);
    const char *star;

    if (status != ULV_OK)
        return status;
    star = strchr(ret->device, '*');
    if (star != NULL && star[1] != '\0')
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                        "%s: device: \"%s\": a * stands at the end only", where,
                        ret->device);
    if (strcmp(ret->primary, ret->standby) == 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                        "%s: standby: \"%s\" is the primary too", where,
                        ret->standby);
    return ULV_OK;
}

static ulv_status
compile_rules(const json_t *list, const char *name, struct ulv_policy *ret,
              struct ulv_diag *diag)
{
    char where[WHERE_BYTES];
    struct ulv_text text;
    ulv_status status = ULV_OK;

    memset(ret->rule, 0, sizeof(ret->rule));
    ret->rule_count = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < ret->rule_count && status == ULV_OK; i++) {
        ulv_text_init(&text, where, sizeof(where));
        ulv_text_format(&text, "%s: io[%u]", name, (uint64_t)i);
        status =
            compile_rule(json_array_get(list, i), where, &ret->rule[i], diag);
    }
    return status;
}

static ulv_status
compile(const json_t *root, const char *name, struct ulv_policy *ret,
        struct ulv_diag *diag)
{
    static const char *const nodes[] = {"most_free", "first"};
    static const char *const sides[] = {"least_loaded", "first"};
    struct written w;
    ulv_status status;

    memset(&w, 0, sizeof(w));
    w.memory_per_guest = ret->memory_per_guest;
    w.processors_per_guest = ret->processors_per_guest;
    w.guests = ret->guests;
    w.silence_limit_ms = ret->silence_limit / NS_PER_MILLISECOND;
    w.restarts = ret->restarts;
    status = ulv_json_read(root, name, policy_keys, ULV_COUNT_OF(policy_keys),
                           &w, diag);
    if (status == ULV_OK)
        status = choose(name, "node", w.node, nodes, &ret->node, diag);
    if (status == ULV_OK)
        status = choose(name, "side", w.side, sides, &ret->side, diag);
    if (status == ULV_OK && w.io != NULL)
        status = compile_rules(w.io, name, ret, diag);
    ret->memory_per_guest = w.memory_per_guest;
    ret->processors_per_guest = (uint32_t)w.processors_per_guest;
    ret->guests = (uint32_t)w.guests;
    ret->silence_limit = w.silence_limit_ms * NS_PER_MILLISECOND;
    ret->restarts = (uint32_t)w.restarts;
    return status;
}

ulv_status
ulv_policy_compile(const char *name, const char *text, size_t len,
                   struct ulv_policy *ret, struct ulv_diag *diag)
{
    struct ulv_policy policy;
    json_t *root = NULL;
    ulv_status status = ulv_json_parse(name, text, len, &root, diag);

    if (status != ULV_OK)
        return status;
    ulv_policy_default(&policy);
    status = compile(root, name, &policy, diag);
    json_decref(root);
    if (status == ULV_OK)
        *ret = policy;
    return status;
}
