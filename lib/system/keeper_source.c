/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the caller named by a ulv_source, opened: media and images. */
#include "base/base.h"
#include "system/keeper.h"

#define CMDLINE_MAX 4096u /* with its zero */

struct keeper_source *
ulv_keeper_source(const struct keeper *k, ulv_id id)
{
    struct keeper_source *s = k->sources;

    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}

void
ulv_keeper_source_drop(struct keeper *k, ulv_id id)
{
    struct keeper_source **at = &k->sources;
    struct keeper_source *s;

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    s = *at;
    if (s == NULL)
        return;
    *at = s->next;
    for (uint32_t i = 0; i < 2; i++) {
        if (s->medium[i] != ULV_NO_HANDLE)
            k->host->handle_close(k->host->self, s->medium[i]);
    }
    if (ULV_STOCK_KERNELS)
        k->host->free(k->host->self, s->cmdline, s->cmdline_bytes);
    k->host->free(k->host->self, s, sizeof(*s));
}

ulv_status
ulv_keeper_source_boot(struct keeper *k, ulv_id id,
                       const struct ulv_source *initrd, const char *cmdline,
                       struct ulv_diag *diag)
{
    const struct ulv_host *host = k->host;
    struct keeper_source *s = ulv_keeper_source(k, id);
    ulv_status status = ULV_OK;

    if (initrd->kind != ULV_SOURCE_KIND_NONE) {
        status = host->medium_open(host->self, initrd,
                                   ULV_MEDIUM_READ_ONLY | ULV_MEDIUM_ANY_SIZE,
                                   &s->medium[1], diag);
        if (status == ULV_OK)
            status = host->medium_bytes(host->self, s->medium[1],
                                        &s->initrd_bytes);
        if (status == ULV_OK && s->initrd_bytes == 0)
            status = ulv_fail(diag, ULV_E_FORMAT, 0, 0, 1,
                              "the initrd is empty");
    }
    if (status != ULV_OK || cmdline == NULL)
        return status;
    s->cmdline_bytes = (uint32_t)ulv_string_length(cmdline, CMDLINE_MAX) + 1;
    if (s->cmdline_bytes > CMDLINE_MAX) {
        s->cmdline_bytes = 0;
        return ulv_fail(diag, ULV_E_ARG, id, CMDLINE_MAX, CMDLINE_MAX - 1,
                        "the command line has more than %u bytes",
                        (uint64_t)CMDLINE_MAX - 1);
    }
    s->cmdline = host->alloc(host->self, s->cmdline_bytes, 1);
    if (s->cmdline == NULL) {
        s->cmdline_bytes = 0;
        return ulv_fail(diag, ULV_E_NO_MEMORY, id, 0, 0, "out of memory");
    }
    ulv_string_copy(s->cmdline, s->cmdline_bytes, cmdline);
    return ULV_OK;
}

/* The first server's description has the lock; its successor takes it with its
 * own, when the first is gone. */
static ulv_status
claim(const struct keeper *k, const struct keeper_source *s,
      struct ulv_diag *diag)
{
    const struct ulv_host *host = k->host;
    ulv_status status = ULV_E_UNSUPPORTED;

    if (!ULV_HOST_HAS(host, medium_write))
        return ulv_fail(diag, status, s->id, 0, 0,
                        "device %u: this host writes no media", s->id);
    status = host->medium_lock(host->self, s->medium[0]);
    if (status == ULV_OK)
        return ULV_OK;
    return ulv_fail(diag, status, s->id, 0, 0,
                    "device %u: another program or device has its medium",
                    s->id);
}

ulv_status
ulv_keeper_source_add(struct keeper *k, ulv_id id,
                      const struct ulv_source *source, uint32_t copies,
                      uint32_t flags, uint64_t *ret_bytes,
                      struct ulv_diag *diag)
{
    const struct ulv_host *host = k->host;
    struct keeper_source *s = host->alloc(host->self, sizeof(*s), 8);
    ulv_status status = ULV_OK;

    if (s == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, id, 0, 0, "out of memory");
    s->id = id;
    s->medium[0] = s->medium[1] = ULV_NO_HANDLE;
    s->next = k->sources;
    k->sources = s;
    for (uint32_t i = 0; i < copies && status == ULV_OK; i++)
        status = host->medium_open(host->self, source, flags, &s->medium[i],
                                   diag);
    if (ULV_MEDIA_WRITES && status == ULV_OK &&
        (flags & ULV_MEDIUM_READ_ONLY) == 0)
        status = claim(k, s, diag);
    if (status == ULV_OK)
        status = host->medium_bytes(host->self, s->medium[0], &s->bytes);
    if (status != ULV_OK) {
        ulv_keeper_source_drop(k, id);
        return status;
    }
    *ret_bytes = s->bytes;
    return ULV_OK;
}
