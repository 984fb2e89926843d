/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A policy that outlasts the program. It is written whole beside the one that
 * is there, and takes its place when it is in force: what is in the storage is
 * always one of the two.
 */
#include <ultravisor/sys/storage.h>

#include "base/base.h"
#include "system/system_priv.h"

/* As it lies there. */
struct stored {
    struct ulv_policy_stored head;
    struct ulv_policy policy;
};

static ulv_status
damaged(struct ulv_diag *diag, const char *what, uint64_t value, uint64_t bound)
{
    return ulv_fail(diag, ULV_E_FORMAT, 0, value, bound,
                    "the policy in the storage is damaged: %s is %u, not %u",
                    what, value, bound);
}

static ulv_status
read_policy(const struct ulv_storage *storage, uint64_t bytes,
            struct stored *ret, struct ulv_diag *diag)
{
    uint32_t crc;
    ulv_status status;

    if (bytes != sizeof(*ret))
        return damaged(diag, "its length", bytes, sizeof(*ret));
    status = storage->read(storage->self, ULV_STORAGE_POLICY, 0, ret,
                           sizeof(*ret), diag);
    if (status != ULV_OK)
        return status;
    if (ret->head.magic != ULV_POLICY_STORED)
        return damaged(diag, "its beginning", ret->head.magic,
                       ULV_POLICY_STORED);
    if (ret->head.bytes != sizeof(ret->policy))
        return damaged(diag, "its size", ret->head.bytes, sizeof(ret->policy));
    crc = ulv_crc32c(0, &ret->policy, sizeof(ret->policy));
    if (ret->head.crc != crc)
        return damaged(diag, "its checksum", ret->head.crc, crc);
    return ulv_policy_check(&ret->policy, sizeof(ret->policy), diag);
}

ulv_status
ulv_system_load_policy(ulv_system *system,
                       const struct ulv_system_opts *opts,
                       struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct stored *stored;
    uint64_t bytes;
    ulv_status status;

    system->storage = opts->storage;
    if (opts->policy != NULL)
        return ULV_OK;
    status = opts->storage->bytes(opts->storage->self, ULV_STORAGE_POLICY,
                                  &bytes, diag);
    if (status != ULV_OK || bytes == 0)
        return status;
    stored = host->alloc(host->self, sizeof(*stored), 8);
    if (stored == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, sizeof(*stored), 0,
                        "no memory for a policy");
    status = read_policy(opts->storage, bytes, stored, diag);
    if (status == ULV_OK)
        system->policy = stored->policy;
    host->free(host->self, stored, sizeof(*stored));
    return status;
}

ulv_status
ulv_system_write_policy(const struct ulv_storage *storage,
                 const struct ulv_policy *policy, struct ulv_diag *diag)
{
    const struct ulv_policy_stored head = {
        .magic = ULV_POLICY_STORED,
        .bytes = sizeof(*policy),
        .crc = ulv_crc32c(0, policy, sizeof(*policy)),
    };
    ulv_status status = storage->truncate(storage->self,
                                          ULV_STORAGE_POLICY_NEXT, 0, diag);

    if (status == ULV_OK)
        status = storage->append(storage->self, ULV_STORAGE_POLICY_NEXT, &head,
                                 sizeof(head), diag);
    if (status == ULV_OK)
        status = storage->append(storage->self, ULV_STORAGE_POLICY_NEXT,
                                 policy, sizeof(*policy), diag);
    if (status == ULV_OK)
        status = storage->sync(storage->self, ULV_STORAGE_POLICY_NEXT, diag);
    return status;
}

ulv_status
ulv_system_keep_policy(const struct ulv_storage *storage, struct ulv_diag *diag)
{
    return storage->replace(storage->self, ULV_STORAGE_POLICY_NEXT,
                            ULV_STORAGE_POLICY, diag);
}
