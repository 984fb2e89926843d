/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <ultravisor/posix.h>

#include <string.h>

#include "policy/policy.h"
#include "port/posix/json.h"

#define NS_PER_MILLISECOND 1000000
#define WORD_MAX           15  /* of node and side [bytes] */
#define SELECTOR_MAX       39  /* whom a rule is of [bytes] */
#define WEIGHT_MAX         1000
#define WINDOW_MAX         UINT64_C(86400000) /* a day [ms] */
#define NODE_MAX           255
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
    const json_t *limits, *placement, *affinity, *restart, *reservations;
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
    {"limits", ULV_JSON_LIST, false, offsetof(struct written, limits), 0,
     ULV_POLICY_RULES_MAX},
    {"placement", ULV_JSON_LIST, false, offsetof(struct written, placement), 0,
     ULV_POLICY_RULES_MAX},
    {"affinity", ULV_JSON_LIST, false, offsetof(struct written, affinity), 0,
     ULV_POLICY_RULES_MAX},
    {"restart", ULV_JSON_LIST, false, offsetof(struct written, restart), 0,
     ULV_POLICY_RULES_MAX},
    {"reservations", ULV_JSON_LIST, false,
     offsetof(struct written, reservations), 0, ULV_POLICY_RULES_MAX},
};

static const struct ulv_json_key rule_keys[] = {
    {"device", ULV_JSON_STRING, true, offsetof(struct ulv_policy_rule, device),
     1, NAME_MAX_BYTES},
    {"primary", ULV_JSON_STRING, true,
     offsetof(struct ulv_policy_rule, primary), 1, NAME_MAX_BYTES},
    {"standby", ULV_JSON_STRING, true,
     offsetof(struct ulv_policy_rule, standby), 1, NAME_MAX_BYTES},
};

/* The number of a word; the word is not there: stays. */
static ulv_status
choose(const char *name, const char *key, const char *word,
       const char *const *words, uint32_t *ret, struct ulv_diag *diag)
{
    char all[128];
    struct ulv_text text;

    ulv_text_init(&text, all, sizeof(all));
    for (uint32_t i = 0; word[0] != '\0' && words[i] != NULL; i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = i;
            return ULV_OK;
        }
        ulv_text_format(&text, "%s\"%s\"",
                        i == 0                ? ""
                        : words[i + 1] == NULL ? " or "
                                               : ", ",
                        words[i]);
    }
    if (word[0] == '\0')
        return ULV_OK;
    return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0, "%s: %s: \"%s\", %s wanted",
                    name, key, word, all);
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

/* ---- rules --------------------------------------------------------------- */

/* Whom a rule is of: a pattern of names, or of what its prefix says. */
static ulv_status
compile_selector(const char *word, const char *where,
                 struct ulv_policy_selector *ret, struct ulv_diag *diag)
{
    static const struct {
        const char *prefix;
        uint32_t kind;
    } kinds[] = {
        {"label:", ULV_POLICY_OF_LABEL},
        {"zone:", ULV_POLICY_OF_ZONE},
        {"policy:", ULV_POLICY_OF_POLICY},
    };
    const char *star;

    memset(ret, 0, sizeof(*ret));
    if (word[0] == '\0' || strcmp(word, "*") == 0)
        return ULV_OK; /* all of them */
    ret->kind = ULV_POLICY_OF_NAME;
    for (size_t i = 0; i < ULV_COUNT_OF(kinds); i++) {
        size_t len = strlen(kinds[i].prefix);

        if (strncmp(word, kinds[i].prefix, len) != 0)
            continue;
        ret->kind = kinds[i].kind;
        word += len;
        break;
    }
    star = strchr(word, '*');
    if (star != NULL && star[1] != '\0')
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                        "%s: \"%s\": a * stands at the end only", where, word);
    if (strlen(word) > NAME_MAX_BYTES)
        return ulv_fail(diag, ULV_E_LIMIT, 0, strlen(word), NAME_MAX_BYTES,
                        "%s: \"%s\": %u bytes, at most %u", where, word,
                        (uint64_t)strlen(word), (uint64_t)NAME_MAX_BYTES);
    ulv_string_copy(ret->pattern, sizeof(ret->pattern), word);
    return ULV_OK;
}

/* A rule without a name is called after its place. */
static void
name_rule(char name[32], const char *list, uint32_t idx)
{
    struct ulv_text text;

    if (name[0] != '\0')
        return;
    ulv_text_init(&text, name, 32);
    ulv_text_format(&text, "%s[%u]", list, (uint64_t)idx);
}

/* The same bounds for each, or for all together. */
struct bounds {
    uint64_t memory, processors, channels, devices, guests;
};

static ulv_status
compile_bounds(const json_t *object, const char *where, bool together,
               struct ulv_policy_limit *ret, struct ulv_diag *diag)
{
    static const struct ulv_json_key keys[] = {
        {"memory", ULV_JSON_SIZE, false, offsetof(struct bounds, memory), 0,
         INT64_MAX},
        {"processors", ULV_JSON_NUMBER, false,
         offsetof(struct bounds, processors), 0, ULV_POLICY_OPEN - 1},
        {"channels", ULV_JSON_NUMBER, false, offsetof(struct bounds, channels),
         0, ULV_POLICY_OPEN - 1},
        {"devices", ULV_JSON_NUMBER, false, offsetof(struct bounds, devices),
         0, ULV_POLICY_OPEN - 1},
        {"guests", ULV_JSON_NUMBER, false, offsetof(struct bounds, guests), 0,
         ULV_POLICY_OPEN - 1},
    };
    struct bounds b = {UINT64_MAX, ULV_POLICY_OPEN, ULV_POLICY_OPEN,
                       ULV_POLICY_OPEN, ULV_POLICY_OPEN};
    ulv_status status = ulv_json_read(
        object, where, keys, ULV_COUNT_OF(keys) - (together ? 0 : 1), &b, diag);

    ret->memory = b.memory;
    ret->processors = (uint32_t)b.processors;
    ret->channels = (uint32_t)b.channels;
    ret->devices = (uint32_t)b.devices;
    ret->guests = (uint32_t)b.guests;
    ret->together = together;
    return status;
}

struct written_limit {
    char name[32], of[SELECTOR_MAX + 1];
    const json_t *each, *together;
};

static ulv_status
compile_limit(const json_t *object, const char *where, uint32_t idx, void *all,
              struct ulv_diag *diag)
{
    static const struct ulv_json_key keys[] = {
        {"name", ULV_JSON_STRING, false, offsetof(struct written_limit, name),
         1, NAME_MAX_BYTES},
        {"of", ULV_JSON_STRING, false, offsetof(struct written_limit, of), 1,
         SELECTOR_MAX},
        {"each", ULV_JSON_OBJECT, false, offsetof(struct written_limit, each),
         0, 0},
        {"together", ULV_JSON_OBJECT, false,
         offsetof(struct written_limit, together), 0, 0},
    };
    struct ulv_policy_limit *ret = (struct ulv_policy_limit *)all + idx;
    struct written_limit w = {.name = ""};
    ulv_status status =
        ulv_json_read(object, where, keys, ULV_COUNT_OF(keys), &w, diag);

    if (status == ULV_OK && (w.each == NULL) == (w.together == NULL))
        status = ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                          "%s: either \"each\" or \"together\" wanted",
                          where);
    if (status == ULV_OK)
        status = compile_selector(w.of, where, &ret->of, diag);
    if (status != ULV_OK)
        return status;
    name_rule(w.name, "limits", idx);
    memcpy(ret->name, w.name, sizeof(ret->name));
    return compile_bounds(w.each != NULL ? w.each : w.together, where,
                          w.together != NULL, ret, diag);
}

static ulv_status
compile_weights(const json_t *list, const char *where,
                struct ulv_policy_placement *ret, struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < ULV_COUNT_OF(ret->weight); i++)
        ret->weight[i] = 1;
    for (uint32_t i = 0; i < json_array_size(list); i++) {
        const json_t *weight = json_array_get(list, i);
        json_int_t n = json_integer_value(weight);

        if (!json_is_integer(weight) || n < 0 || n > WEIGHT_MAX)
            return ulv_fail(diag, ULV_E_LIMIT, 0, (uint64_t)n, WEIGHT_MAX,
                            "%s: weights[%u]: a number up to %u wanted", where,
                            (uint64_t)i, (uint64_t)WEIGHT_MAX);
        ret->weight[i] = (uint16_t)n;
    }
    return ULV_OK;
}

struct written_placement {
    char name[32], of[SELECTOR_MAX + 1];
    char nodes[WORD_MAX + 1], io[WORD_MAX + 1];
    const json_t *weights;
};

static ulv_status
compile_placement(const json_t *object, const char *where, uint32_t idx,
                  void *all, struct ulv_diag *diag)
{
    static const struct ulv_json_key keys[] = {
        {"name", ULV_JSON_STRING, false,
         offsetof(struct written_placement, name), 1, NAME_MAX_BYTES},
        {"of", ULV_JSON_STRING, false, offsetof(struct written_placement, of),
         1, SELECTOR_MAX},
        {"nodes", ULV_JSON_STRING, false,
         offsetof(struct written_placement, nodes), 1, WORD_MAX},
        {"io", ULV_JSON_STRING, false, offsetof(struct written_placement, io),
         1, WORD_MAX},
        {"weights", ULV_JSON_LIST, false,
         offsetof(struct written_placement, weights), 0, 64},
    };
    static const char *const nodes[] = {"most_free", "first", "pack", "spread",
                                        NULL};
    static const char *const sides[] = {"least_loaded", "first", "pack",
                                        "spread", NULL};
    struct ulv_policy_placement *ret = (struct ulv_policy_placement *)all + idx;
    struct written_placement w = {.name = ""};
    ulv_status status =
        ulv_json_read(object, where, keys, ULV_COUNT_OF(keys), &w, diag);

    ret->node = ret->side = ULV_POLICY_OPEN;
    if (status == ULV_OK)
        status = choose(where, "nodes", w.nodes, nodes, &ret->node, diag);
    if (status == ULV_OK)
        status = choose(where, "io", w.io, sides, &ret->side, diag);
    if (status == ULV_OK)
        status = compile_selector(w.of, where, &ret->of, diag);
    if (status == ULV_OK)
        status = compile_weights(w.weights, where, ret, diag);
    name_rule(w.name, "placement", idx);
    memcpy(ret->name, w.name, sizeof(ret->name));
    return status;
}

struct written_affinity {
    char name[32], over[WORD_MAX + 1];
    const json_t *apart, *together;
    bool prefer;
};

/* One selector: among themselves; two: these and those. */
static ulv_status
compile_sides(const json_t *list, const char *where,
              struct ulv_policy_affinity *ret, struct ulv_diag *diag)
{
    struct ulv_policy_selector *sides[2] = {&ret->a, &ret->b};
    ulv_status status = ULV_OK;

    for (size_t i = 0; i < 2 && status == ULV_OK; i++) {
        const json_t *word =
            json_array_get(list, i < json_array_size(list) ? i : 0);

        if (!json_is_string(word))
            return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                            "%s: one or two names wanted", where);
        status =
            compile_selector(json_string_value(word), where, sides[i], diag);
    }
    return status;
}

static ulv_status
compile_affinity(const json_t *object, const char *where, uint32_t idx,
                 void *all, struct ulv_diag *diag)
{
    static const struct ulv_json_key keys[] = {
        {"name", ULV_JSON_STRING, false,
         offsetof(struct written_affinity, name), 1, NAME_MAX_BYTES},
        {"apart", ULV_JSON_LIST, false,
         offsetof(struct written_affinity, apart), 0, 2},
        {"together", ULV_JSON_LIST, false,
         offsetof(struct written_affinity, together), 0, 2},
        {"over", ULV_JSON_STRING, true, offsetof(struct written_affinity, over),
         1, WORD_MAX},
        {"prefer", ULV_JSON_BOOLEAN, false,
         offsetof(struct written_affinity, prefer), 0, 0},
    };
    static const char *const over[] = {"node", "io", "pair", "package",
                                       "core", "processor", NULL};
    struct ulv_policy_affinity *ret = (struct ulv_policy_affinity *)all + idx;
    struct written_affinity w = {.name = ""};
    ulv_status status =
        ulv_json_read(object, where, keys, ULV_COUNT_OF(keys), &w, diag);

    if (status == ULV_OK && (w.apart == NULL) == (w.together == NULL))
        status = ulv_fail(diag, ULV_E_FORMAT, 0, 0, 0,
                          "%s: either \"apart\" or \"together\" wanted",
                          where);
    if (status == ULV_OK)
        status = choose(where, "over", w.over, over, &ret->over, diag);
    if (status == ULV_OK)
        status = compile_sides(w.apart != NULL ? w.apart : w.together, where,
                               ret, diag);
    ret->apart = w.apart != NULL;
    ret->prefer = w.prefer;
    name_rule(w.name, "affinity", idx);
    memcpy(ret->name, w.name, sizeof(ret->name));
    return status;
}

struct written_restart {
    char name[32], of[SELECTOR_MAX + 1];
    uint64_t times, window;
};

static ulv_status
compile_restart(const json_t *object, const char *where, uint32_t idx,
                void *all, struct ulv_diag *diag)
{
    static const struct ulv_json_key keys[] = {
        {"name", ULV_JSON_STRING, false, offsetof(struct written_restart, name),
         1, NAME_MAX_BYTES},
        {"of", ULV_JSON_STRING, false, offsetof(struct written_restart, of), 1,
         SELECTOR_MAX},
        {"times", ULV_JSON_NUMBER, true,
         offsetof(struct written_restart, times), 0, ULV_RESTARTS_MAX},
        {"window_ms", ULV_JSON_NUMBER, false,
         offsetof(struct written_restart, window), 1, WINDOW_MAX},
    };
    struct ulv_policy_restart *ret = (struct ulv_policy_restart *)all + idx;
    struct written_restart w = {.name = ""};
    ulv_status status =
        ulv_json_read(object, where, keys, ULV_COUNT_OF(keys), &w, diag);

    if (status == ULV_OK)
        status = compile_selector(w.of, where, &ret->of, diag);
    ret->times = (uint32_t)w.times;
    ret->window = (uint32_t)w.window;
    name_rule(w.name, "restart", idx);
    memcpy(ret->name, w.name, sizeof(ret->name));
    return status;
}

struct written_reservation {
    char name[32], whom[SELECTOR_MAX + 1];
    uint64_t node, memory, processors;
};

static ulv_status
compile_reservation(const json_t *object, const char *where, uint32_t idx,
                    void *all, struct ulv_diag *diag)
{
    static const struct ulv_json_key keys[] = {
        {"name", ULV_JSON_STRING, false,
         offsetof(struct written_reservation, name), 1, NAME_MAX_BYTES},
        {"for", ULV_JSON_STRING, false,
         offsetof(struct written_reservation, whom), 1, SELECTOR_MAX},
        {"node", ULV_JSON_NUMBER, true,
         offsetof(struct written_reservation, node), 0, NODE_MAX},
        {"memory", ULV_JSON_SIZE, false,
         offsetof(struct written_reservation, memory), 0, INT64_MAX},
        {"processors", ULV_JSON_NUMBER, false,
         offsetof(struct written_reservation, processors), 0, UINT16_MAX},
    };
    struct ulv_policy_reservation *ret =
        (struct ulv_policy_reservation *)all + idx;
    struct written_reservation w = {.name = ""};
    ulv_status status =
        ulv_json_read(object, where, keys, ULV_COUNT_OF(keys), &w, diag);

    if (status == ULV_OK)
        status = compile_selector(w.whom, where, &ret->of, diag);
    if (w.whom[0] == '\0')
        ret->of.kind = ULV_POLICY_OF_NONE;
    ret->node = (uint32_t)w.node;
    ret->memory = w.memory;
    ret->processors = (uint32_t)w.processors;
    name_rule(w.name, "reservations", idx);
    memcpy(ret->name, w.name, sizeof(ret->name));
    return status;
}

static ulv_status
compile_list(const json_t *list, const char *name, const char *key,
             ulv_status (*one)(const json_t *object, const char *where,
                               uint32_t idx, void *all, struct ulv_diag *diag),
             void *all, uint32_t *ret_count, struct ulv_diag *diag)
{
    char where[WHERE_BYTES];
    struct ulv_text text;
    ulv_status status = ULV_OK;

    *ret_count = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < *ret_count && status == ULV_OK; i++) {
        ulv_text_init(&text, where, sizeof(where));
        ulv_text_format(&text, "%s: %s[%u]", name, key, (uint64_t)i);
        status = one(json_array_get(list, i), where, i, all, diag);
    }
    return status;
}

static ulv_status
compile_lists(const struct written *w, const char *name, struct ulv_policy *ret,
              struct ulv_diag *diag)
{
    ulv_status status =
        compile_list(w->limits, name, "limits", compile_limit, ret->limit,
                     &ret->limit_count, diag);

    if (status == ULV_OK)
        status = compile_list(w->placement, name, "placement",
                              compile_placement, ret->placement,
                              &ret->placement_count, diag);
    if (status == ULV_OK)
        status = compile_list(w->affinity, name, "affinity", compile_affinity,
                              ret->affinity, &ret->affinity_count, diag);
    if (status == ULV_OK)
        status = compile_list(w->restart, name, "restart", compile_restart,
                              ret->restart, &ret->restart_count, diag);
    if (status == ULV_OK)
        status = compile_list(w->reservations, name, "reservations",
                              compile_reservation, ret->reservation,
                              &ret->reservation_count, diag);
    return status;
}

static ulv_status
compile(const json_t *root, const char *name, struct ulv_policy *ret,
        struct ulv_diag *diag)
{
    static const char *const nodes[] = {"most_free", "first", NULL};
    static const char *const sides[] = {"least_loaded", "first", NULL};
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
    if (status == ULV_OK)
        status = compile_lists(&w, name, ret, diag);
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
