/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An appliance: this image is all that the machine runs. It divides it into
 * partitions and lets two guests, the very images that run on Linux, talk to
 * one another over a memory channel.
 *
 * The machine's memory and processors fill the resource database; both guests
 * and their channel come of one transaction; VT-x contains them.
 */
#include <ultravisor/sys/bare.h>
#include <ultravisor/sys/vtx.h>
#include <ultravisor/ultravisor.h>

#include "appliance.h"

/* Firmware brings its own list of backends. */
const struct ulv_backend_ops *
ulv_backend_at(uint32_t idx)
{
    return idx == 0 ? &ulv_backend_vtx : NULL;
}

const struct ulv_backend_ops *
ulv_backend_find(const char *name)
{
    (void)name;
    return &ulv_backend_vtx;
}

static const struct ulv_guid type_echo = { "ultravisor echo" };

/* Both or none. */
static ulv_status
assign(ulv_system *system, ulv_id guest[2], struct ulv_diag *diag)
{
    ulv_transaction *t = ulv_transaction_begin(system);

    guest[0] = ulv_transaction_partition(t, "ping", ULV_PARTITION_GUEST);
    guest[1] = ulv_transaction_partition(t, "echo", ULV_PARTITION_GUEST);
    for (int i = 0; i < 2; i++) {
        ulv_transaction_memory(t, guest[i], ULV_MIB(4), ULV_ANY_NODE);
        ulv_transaction_processors(t, guest[i], 1, ULV_SHARED);
    }
    ulv_transaction_console(t, guest[0], 0, 0);
    ulv_transaction_connect(t, guest[0], guest[1], &type_echo);
    return ulv_transaction_commit(t, diag);
}

/* Until both have ended; whether both did so well. */
static bool
run(ulv_system *system, const struct ulv_host *host, const ulv_id guest[2],
    struct ulv_diag *diag)
{
    static struct ulv_end end[2];
    bool well = true;

    for (int i = 0; i < 2; i++) {
        ulv_status status;

        do {
            appliance_print_events(system, host);
            status = ulv_partition_wait(system, guest[i], &end[i],
                                        ulv_system_now(system) + 100000000,
                                        NULL);
        } while (status == ULV_E_TIMEOUT);
        if (status != ULV_OK)
            return ulv_partition_wait(system, guest[i], &end[i], 0, diag) ==
                   ULV_OK;
        appliance_print_end(&end[i], host);
        well = well && end[i].reason == ULV_END_REASON_STOP &&
               end[i].code == 0;
    }
    appliance_print_events(system, host);
    return well;
}

static bool
divide(ulv_system *system, const struct ulv_host *host, struct ulv_diag *diag)
{
    const struct ulv_image image[2] = {
        { .kernel = ULV_SOURCE_MEMORY(
              embedded_ping, (size_t)(embedded_ping_end - embedded_ping)) },
        { .kernel = ULV_SOURCE_MEMORY(
              embedded_echo, (size_t)(embedded_echo_end - embedded_echo)) },
    };
    ulv_id guest[2];

    if (assign(system, guest, diag) != ULV_OK ||
        ulv_partition_start(system, guest[1], &image[1], diag) != ULV_OK ||
        ulv_partition_start(system, guest[0], &image[0], diag) != ULV_OK)
        return false;
    appliance_print_partitions(system, host);
    return run(system, host, guest, diag);
}

bool
ulv_bare_main(const struct ulv_bare_boot *boot)
{
    static struct ulv_bare bare;
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_system *system = NULL;
    bool well = false;

    if (ulv_bare_host_init(&bare, boot, &diag) == ULV_OK &&
        appliance_print_machine(&bare) &&
        ulv_system_create(&bare.host, &opts, &system, &diag) == ULV_OK)
        well = divide(system, &bare.host, &diag);
    if (diag.status != ULV_OK)
        bare.host.log(bare.host.self, ULV_LOG_ERROR, diag.text);
    ulv_system_destroy(system);
    if (well)
        bare.host.log(bare.host.self, ULV_LOG_INFO, "ready");
    return well;
}
