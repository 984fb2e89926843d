/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the appliance says, and the guests that are part of its image. */
#ifndef APPLIANCE_H
#define APPLIANCE_H

#include <ultravisor/sys/bare.h>
#include <ultravisor/ultravisor.h>

/* embed.py */
extern const uint8_t embedded_ping[], embedded_ping_end[];
extern const uint8_t embedded_echo[], embedded_echo_end[];

/* Parks the other processors too; false: one of them did not come. */
bool appliance_print_machine(struct ulv_bare *bare);
void appliance_print_partitions(ulv_system *system,
                                const struct ulv_host *host);
/* All that the record of a guest's end says. */
void appliance_print_end(const struct ulv_end *end,
                         const struct ulv_host *host);
void appliance_print_events(ulv_system *system, const struct ulv_host *host);

#endif
