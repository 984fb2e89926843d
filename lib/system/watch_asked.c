/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/watch.h"

#include "base/base.h"

static ulv_status
put(char *to, size_t size, const char *from, const char *what,
    struct ulv_diag *diag)
{
    const size_t len = from == NULL ? 0 : ulv_string_length(from, size);

    if (len == size)
        return ulv_fail(diag, ULV_E_ARG, 0, len, size - 1,
                        "the %s of a label has more than %u bytes", what,
                        (uint64_t)size - 1);
    if (len != 0)
        memcpy(to, from, len);
    return ULV_OK;
}

ulv_status
ulv_watch_asked(const struct ulv_watch_opts *opts,
                struct ulv_command_watching *ret, struct ulv_diag *diag)
{
    ulv_status status;

    memset(ret, 0, sizeof(*ret));
    if (opts->size != sizeof(*opts))
        return ulv_fail(diag, ULV_E_ARG, 0, opts->size, sizeof(*opts),
                        "options of %u bytes, this library knows %u",
                        (uint64_t)opts->size, (uint64_t)sizeof(*opts));
    ret->after = opts->after;
    ret->partition = opts->partition;
    ret->kinds = opts->kinds;
    status = put(ret->key, sizeof(ret->key), opts->label, "key", diag);
    if (status == ULV_OK)
        status = put(ret->value, sizeof(ret->value), opts->label_value,
                     "value", diag);
    if (status == ULV_OK && ret->key[0] == '\0' && ret->value[0] != '\0')
        status = ulv_fail(diag, ULV_E_ARG, 0, 0, 1,
                          "the value of a label is asked for, not its key");
    return status;
}
