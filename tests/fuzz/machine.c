/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The description of a machine, of any bytes. What is believed is a machine
 * that a database takes: numbers ascend, names are unique among their kinds,
 * what is referred to stands before. What is refused is refused in words.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/abi/command.h>
#include <ultravisor/posix.h>

#include "fuzz.h"

#define ROOM 4096u

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static void
check_processors(const struct ulv_host *host)
{
    static struct ulv_host_processor p[ROOM];
    static struct ulv_host_node n[ROOM];
    uint32_t count, nodes;

    require(host->nodes(host->self, n, ROOM, &nodes, NULL) == ULV_OK);
    require(nodes != 0 && nodes <= ROOM);
    for (uint32_t i = 0; i < nodes; i++) {
        require(n[i].free_bytes <= n[i].total_bytes);
        require(i == 0 || n[i].number > n[i - 1].number);
    }
    require(host->processors(host->self, p, ROOM, &count, NULL) == ULV_OK);
    require(count != 0 && count <= ROOM);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;

        while (at < nodes && n[at].number != p[i].node)
            at++;
        require(at < nodes);
        require(i == 0 || p[i].number > p[i - 1].number);
    }
}

static void
check_devices(const struct ulv_host *host)
{
    static struct ulv_host_device d[ROOM];
    uint32_t count;

    require(host->devices(host->self, d, ROOM, &count, NULL) == ULV_OK);
    require(count <= ROOM);
    for (uint32_t i = 0; i < count; i++) {
        require(d[i].kind >= ULV_HARDWARE_PCI &&
                d[i].kind <= ULV_HARDWARE_FUNCTION);
        require(memchr(d[i].name, 0, sizeof(d[i].name)) != NULL);
        require(memchr(d[i].driver, 0, sizeof(d[i].driver)) != NULL);
        require((d[i].kind == ULV_HARDWARE_FUNCTION) ==
                (d[i].parent != UINT32_MAX));
        require(d[i].parent == UINT32_MAX || d[i].parent < i);
        for (uint32_t k = 0; k < i; k++)
            require(d[k].kind != d[i].kind ||
                    strcmp(d[k].name, d[i].name) != 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_posix_machine *machine;
    ulv_status status = ulv_posix_machine_open("input", (const char *)data,
                                               size, &machine, &diag);

    if (status == ULV_OK) {
        check_processors(ulv_posix_machine_host(machine));
        check_devices(ulv_posix_machine_host(machine));
    } else {
        require(machine == NULL && diag.status == status);
        require(diag.text[0] != '\0');
    }
    ulv_posix_machine_close(machine);
    return 0;
}
