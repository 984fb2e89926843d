/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The conformance kit on the VT-x backend: an image that says TAP, and ends
 * with success if no case failed. conformance.py reads.
 */
#include <ultravisor/sys/bare.h>
#include <ultravisor/sys/conformance.h>
#include <ultravisor/sys/vtx.h>

#include "base/base.h"

#define REPEATS 200u /* an emulator is slow */

static struct ulv_bare bare;

static void
say(const char *format, ...)
{
    char line[256];
    struct ulv_text text;
    va_list arguments;

    ulv_text_init(&text, line, sizeof(line));
    va_start(arguments, format);
    ulv_text_arguments(&text, format, arguments);
    va_end(arguments);
    bare.host.log(bare.host.self, ULV_LOG_INFO, line);
}

static void
report(void *self, const struct ulv_conformance_result *result)
{
    bool failed = result->result == ULV_CONFORMANCE_FAILED;
    bool skipped = result->result == ULV_CONFORMANCE_SKIPPED;

    (void)self;
    if (result->reason[0] != '\0')
        say("# %s", result->reason);
    say("%s %u - %s: %s%s", failed ? "not ok" : "ok",
        (uint64_t)result->number, result->group, result->name,
        skipped ? " # SKIP" : "");
}

static void
usage(void *self, struct ulv_conformance_usage *ret)
{
    (void)self;
    ret->handles = bare.objects.live_handles;
    ret->bytes = (int64_t)(bare.heap_bytes - bare.heap_free);
}

bool
ulv_bare_main(const struct ulv_bare_boot *boot)
{
    struct ulv_conformance_opts opts = ULV_CONFORMANCE_OPTS_INIT;
    struct ulv_conformance_counts counts = { 0 };
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint64_t heap_free;

    if (ulv_bare_host_init(&bare, boot, &diag) != ULV_OK)
        return false;
    heap_free = bare.heap_free;
    opts.backend = &ulv_backend_vtx;
    opts.host = &bare.host;
    opts.repeats = REPEATS;
    opts.report = report;
    opts.usage = usage;
    if (ulv_conformance_run(&opts, &counts, &diag) != ULV_OK) {
        say("not ok 1 - %s", diag.text);
        return false;
    }
    if (bare.heap_free != heap_free || bare.misuse != 0 ||
        bare.objects.live_handles != 0)
        say("not ok %u - the kit has left something behind",
            (uint64_t)++counts.cases);
    say("1..%u", (uint64_t)counts.cases);
    return counts.failed == 0;
}
