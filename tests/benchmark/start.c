/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a partition costs, in process on kvm, beside a bare KVM machine that is
 * made, runs to its first exit and is closed, with a CPUID: from the
 * transaction to the guest's first system call, and to its end and destruction,
 * with lazy memory, as the bare machine's is, and with memory that is all
 * there: beside that bare machine and one whose memory is there, too. Ours
 * begins with the spare machine that was made while the guest before it ran.
 * Arguments: the guest (hello.elf), rounds (default 100).
 */
#include <string.h>

#include <ultravisor/abi/system_call.h>
#include <ultravisor/posix.h>
#include <ultravisor/ultravisor.h>

#include "bare_kvm.h"
#include "base/base.h"

static double
bare_life(bool fill, double *ret_first)
{
    struct bare b;
    double begin = seconds();

    bare_begin(&b, BARE_EXITS);
    if (fill)
        bare_fill(&b);
    bare_show_processor(&b);
    (void)bare_exits(&b, 1);
    *ret_first = seconds() - begin;
    bare_end(&b);
    return seconds() - begin;
}

static double
life(ulv_system *system, const struct ulv_image *image, double *ret_first)
{
    const double begin = seconds();
    const ulv_nsec clock = ulv_system_now(system);
    ulv_transaction *t = ulv_transaction_begin(system);
    const ulv_id web = ulv_transaction_partition(t, "web", ULV_PARTITION_GUEST);
    struct ulv_trace_record record;
    struct ulv_end end;
    uint32_t count;

    ulv_transaction_memory(t, web, ULV_MIB(1), ULV_ANY_NODE);
    ulv_transaction_processors(t, web, 1, ULV_SHARED);
    CHECK(ulv_transaction_commit(t, NULL) == ULV_OK);
    CHECK(ulv_partition_start(system, web, image, NULL) == ULV_OK);
    CHECK(ulv_partition_wait(system, web, &end, ULV_FOREVER, NULL) == ULV_OK);
    CHECK(end.reason == ULV_END_REASON_STOP);
    CHECK(ulv_partition_trace(system, web, 0, &record, 1, &count, NULL) ==
              ULV_OK &&
          count == 1);
    *ret_first = (double)(record.time - clock) * 1e-9;
    t = ulv_transaction_begin(system);
    ulv_transaction_destroy(t, web);
    CHECK(ulv_transaction_commit(t, NULL) == ULV_OK);
    return seconds() - begin;
}

static ulv_system *
create(bool lazy, struct ulv_diag *diag)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    ulv_system *system = NULL;

    opts.backend = "kvm";
    opts.memory = ULV_MIB(64);
    opts.lazy_memory = lazy;
    if (ulv_system_create(ulv_posix_host(), &opts, &system, diag) != ULV_OK)
        return NULL;
    return system;
}

/* false: there can be no guests here; diag says why. */
static bool
compare_lives(const struct ulv_image *image, uint32_t rounds, bool lazy,
              bool fill, struct ulv_diag *diag)
{
    double *bare = calloc(2 * (size_t)rounds, sizeof(*bare));
    double *ours = calloc(2 * (size_t)rounds, sizeof(*ours));
    ulv_system *system = create(lazy, diag);
    const char *how = lazy ? ", lazy memory" : fill ? ", both filled" : "";
    char title[64];

    CHECK(bare != NULL && ours != NULL);
    for (uint32_t i = 0; i < rounds && system != NULL; i++) {
        bare[rounds + i] = bare_life(fill, &bare[i]);
        ours[rounds + i] = life(system, image, &ours[i]);
    }
    if (system != NULL) {
        (void)snprintf(title, sizeof(title), "to the first exit%s", how);
        report(title, bare, ours, rounds, 1);
        (void)snprintf(title, sizeof(title), "to the end%s", how);
        report(title, bare + rounds, ours + rounds, rounds, 1);
    }
    ulv_system_destroy(system);
    free(bare);
    free(ours);
    return system != NULL;
}

int
main(int argc, char **argv)
{
    uint32_t rounds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100;
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_image image;

    memset(&image, 0, sizeof(image));
    CHECK(argc > 1);
    image.kernel = ULV_SOURCE_PATH(argv[1]);
    if (!compare_lives(&image, rounds, true, false, &diag) ||
        !compare_lives(&image, rounds, false, true, &diag) ||
        !compare_lives(&image, rounds, false, false, &diag)) {
        printf("skipped: %s\n", diag.text);
        return 77;
    }
    return 0;
}
