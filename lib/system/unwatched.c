/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* In place of ultravisor_watch.c and relay.c on a bare machine: nobody watches
 * there. */
#include "system/relay.h"
#include "system/ultravisor.h"

ulv_status
ulv_ultravisor_observe(struct ultravisor_role *r)
{
    (void)r;
    return ULV_OK;
}

void
ulv_ultravisor_unobserve(struct ultravisor_role *r)
{
    (void)r;
}

ulv_status
ulv_relay_init(struct relay *relay, const struct ulv_host *host,
               struct ulv_command_server *server)
{
    (void)relay;
    (void)host;
    (void)server;
    return ULV_OK;
}

void
ulv_relay_fini(struct relay *relay)
{
    (void)relay;
}

void
ulv_relay_step(struct relay *relay, const struct ulv_command_server *server,
               struct ulv_command_client *client, bool *ret_ring)
{
    (void)relay;
    (void)server;
    (void)client;
    (void)ret_ring;
}

bool
ulv_relay_hear(struct relay *relay, const struct ulv_message *m)
{
    (void)relay;
    (void)m;
    return false;
}
