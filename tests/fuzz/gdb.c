/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The debugger's stub: the input is what a debugger says. Bytes 0x80 and above
 * are none of it: they bring the guest to a stand, end it, and take what is
 * answered. The target of the unit test aborts when it is asked out of turn.
 * Whatever was said, at the end the guest's code is as it was, where it was not
 * written to.
 */
#include <stdlib.h>

#include "../unit/debug/stub_target.h"

#include "fuzz.h"

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
drain(struct target *t)
{
    size_t len;

    (void)ulv_stub_output(&t->stub, &len);
    require(len <= sizeof(t->stub.out));
    ulv_stub_sent(&t->stub, len);
}

static void
event(struct target *t, uint8_t byte)
{
    const struct ulv_stub_stop why = { .processor = byte & 1,
                                      .signal = ULV_STUB_SIGTRAP,
                                      .cause = (byte >> 1) & 7,
                                      .address = byte};

    drain(t);
    if (!t->runs)
        return;
    if (byte >= 0xf0) {
        t->runs = false;
        ulv_stub_ended(&t->stub, (byte & 1) != 0, byte);
    } else {
        target_stand(t, &why);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct target *t = malloc(sizeof(*t));
    size_t at = 0;

    require(t != NULL);
    target_init(t);
    while (at < size) {
        if (data[at] >= 0x80) {
            event(t, data[at++]);
            continue;
        }
        if (ulv_stub_take(&t->stub, data + at, 1) == 1)
            at++;
        else if (t->stub.over || t->runs)
            at++; /* it is not heard any more, or not now */
        drain(t);
    }
    t->runs = false;
    ulv_stub_fini(&t->stub);
    for (uint32_t i = 0; i < ULV_STUB_BREAKPOINTS_MAX; i++)
        require(!t->stub.breakpoint[i].set);
    free(t);
    return 0;
}
