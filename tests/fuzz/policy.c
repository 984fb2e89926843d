/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Deciding by a policy of any bytes about operations of any bytes. Input: a
 * count of changes to the default policy (1), each an offset (2), a length (1)
 * and so many bytes; what is left are operations. What is believed to be a
 * policy is decided by and reviewed: names end, limits hold, and every refusal
 * is explained.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "policy/policy.h"

#include "fuzz.h"

#define OPERATIONS 8u

struct seen {
    uint32_t refused;
    struct ulv_policy_decision last;
};

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
see(void *self, const struct ulv_policy_decision *d)
{
    struct seen *seen = self;

    require(memchr(d->text, 0, sizeof(d->text)) != NULL);
    require(memchr(d->rule, 0, sizeof(d->rule)) != NULL);
    require(d->text[0] != '\0');
    require(d->kind >= ULV_DECISION_NODE && d->kind <= ULV_DECISION_RESERVED);
    if ((d->flags & ULV_DECISION_REFUSED) == 0)
        return;
    seen->refused++;
    seen->last = *d;
}

static void
make_facts(struct ulv_partition_record p[4], struct ulv_memory_record nodes[2],
           struct ulv_device_record *device, struct ulv_policy_facts *facts)
{
    static const char *const names[] = { "io-a", "io-b", "web", "db" };

    memset(p, 0, 4 * sizeof(*p));
    memset(nodes, 0, 2 * sizeof(*nodes));
    for (uint32_t i = 0; i < 4; i++) {
        p[i].id = 10 + i;
        p[i].kind = i < 2 ? ULV_PARTITION_IO : ULV_PARTITION_GUEST;
        p[i].state = ULV_STATE_RUNNING;
        p[i].memory_bytes = i < 2 ? 0 : ULV_MIB(64);
        ulv_string_copy(p[i].name, sizeof(p[i].name), names[i]);
    }
    for (uint32_t i = 0; i < 2; i++) {
        nodes[i].id = 20 + i;
        nodes[i].node = i;
        nodes[i].free_bytes = ULV_MIB(256) << i;
    }
    memset(device, 0, sizeof(*device));
    device->id = 30;
    device->serving = 10;
    device->standby = 11;
    ulv_string_copy(device->name, sizeof(device->name), "disk");
    facts->partitions = p;
    facts->partition_count = 4;
    facts->nodes = nodes;
    facts->node_count = 2;
    facts->devices = device;
    facts->device_count = 1;
}

static void
check_limits(const struct ulv_policy *policy, const struct ulv_operation *o,
             uint32_t count)
{
    uint64_t bytes[4] = { 0, 0, ULV_MIB(64), ULV_MIB(64) };

    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = o[i].u.assign_memory.partition;

        if (o[i].kind == ULV_OP_ASSIGN_MEMORY && id >= 10 && id < 14)
            require(ulv_add_u64(bytes[id - 10], o[i].u.assign_memory.bytes,
                                &bytes[id - 10]) &&
                    bytes[id - 10] <= policy->memory_per_guest);
    }
}

/* How much of the input the changes take. */
static size_t
change(struct ulv_policy *policy, const uint8_t *data, size_t size)
{
    size_t at = 1;

    for (uint32_t i = 0; i < data[0] && size - at >= 3; i++) {
        size_t offset = ulv_get_le16(data + at);
        size_t len = ULV_MIN((size_t)data[at + 2], size - at - 3);

        if (len <= sizeof(*policy) && offset <= sizeof(*policy) - len)
            memcpy((uint8_t *)policy + offset, data + at + 3, len);
        at += 3 + len;
    }
    return at;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ulv_policy policy;
    struct ulv_partition_record partitions[4];
    struct ulv_memory_record nodes[2];
    struct ulv_device_record device;
    struct ulv_policy_home homes[2] = { { 12, ULV_MIB(64), 0, 0 },
                                        { 13, ULV_MIB(64), 1, 0 } };
    struct ulv_channel_record channel = { .id = 40, .client = 12,
                                          .device = 30 };
    struct ulv_policy_facts facts = { .homes = homes, .home_count = 2,
                                      .channels = &channel,
                                      .channel_count = 1 };
    struct ulv_operation operations[OPERATIONS];
    struct seen seen = { .refused = 0 };
    const struct ulv_policy_reasons reasons = { see, &seen };
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t count;
    size_t some;

    if (size < 1)
        return 0;
    ulv_policy_default(&policy);
    some = change(&policy, data, size);
    if (ulv_policy_check(&policy, sizeof(policy), &diag) != ULV_OK) {
        require(diag.text[0] != '\0');
        return 0;
    }
    data += some;
    size -= some;
    count = (uint32_t)ULV_MIN(size / sizeof(*operations), (size_t)OPERATIONS);
    memcpy(operations, data, count * sizeof(*operations));
    make_facts(partitions, nodes, &device, &facts);
    (void)ulv_policy_needs(&policy);
    if (ulv_policy_decide(&policy, &facts, operations, count, &reasons,
                          &diag) == ULV_OK) {
        require(seen.refused == 0);
        check_limits(&policy, operations, count);
    } else {
        require(seen.refused == 1);
        require(strcmp(seen.last.text, diag.text) == 0);
    }
    seen.refused = 0;
    require(ulv_policy_review(&policy, &facts, &reasons) == seen.refused);
    return 0;
}
