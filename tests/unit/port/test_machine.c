/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Machines that are described by texts. */
#include "port_test.h"

#include <stdio.h>
#include <string.h>

#include <ultravisor/abi/command.h>
#include <ultravisor/posix.h>

static const char whole[] =
    "{\"nodes\": [{\"number\": 0, \"bytes\": \"8GiB\"},\n"
    "  {\"number\": 2, \"bytes\": \"4GiB\", \"free\": \"1GiB\"}],\n"
    " \"processors\": [{\"number\": 3, \"core\": 0},\n"
    "  {\"number\": 4, \"core\": 0, \"thread\": 1},\n"
    "  {\"number\": 7, \"core\": 9, \"package\": 1, \"node\": 2}],\n"
    " \"devices\": [{\"kind\": \"pci\", \"name\": \"0000:00:1f.2\",\n"
    "   \"vendor\": 32902, \"device\": 1, \"class\": 256, \"node\": 2},\n"
    "  {\"kind\": \"function\", \"name\": \"0000:01:00.1\",\n"
    "   \"parent\": \"0000:00:1f.2\", \"driver\": \"vfio\"},\n"
    "  {\"kind\": \"disk\", \"name\": \"sda\", \"bytes\": 4096}]}";

static const char less[] =
    "{\"nodes\": [{\"number\": 0, \"bytes\": \"8GiB\"}],\n"
    " \"processors\": [{\"number\": 3, \"core\": 0}]}";

static void
test_port_machine__is_what_was_described(void **state)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_posix_machine *machine;
    struct ulv_host_processor p[3];
    struct ulv_host_node n[2];
    struct ulv_host_device d[3];
    const struct ulv_host *host;
    uint32_t count;

    (void)state;
    assert_int_equal(
        ulv_posix_machine_open("m", whole, sizeof(whole) - 1, &machine, &diag),
        ULV_OK);
    host = ulv_posix_machine_host(machine);
    assert_int_equal(host->nodes(host->self, n, 2, &count, NULL), ULV_OK);
    assert_int_equal(count, 2);
    assert_int_equal(n[0].free_bytes, ULV_MIB(8192));
    assert_int_equal(n[1].number, 2);
    assert_int_equal(n[1].free_bytes, ULV_MIB(1024));
    assert_int_equal(host->processors(host->self, p, 3, &count, NULL), ULV_OK);
    assert_int_equal(count, 3);
    assert_int_equal(p[1].thread, 1);
    assert_int_equal(p[2].number, 7);
    assert_int_equal(p[2].node, 2);
    assert_int_equal(host->devices(host->self, d, 3, &count, NULL), ULV_OK);
    assert_int_equal(count, 3);
    assert_int_equal(d[0].address, 0x1fu << 3 | 2);
    assert_int_equal(d[0].model, 0x80860001u);
    assert_int_equal(d[1].parent, 0);
    assert_int_equal(d[1].node, ULV_NODE_ANY);
    assert_string_equal(d[1].driver, "vfio");
    assert_int_equal(d[2].bytes, 4096);
    /* what it has become, or, if that cannot be read, what it was */
    assert_int_equal(ulv_posix_machine_read(machine, "m", "{", 1, &diag),
                     ULV_E_FORMAT);
    assert_int_equal(host->devices(host->self, d, 3, &count, NULL), ULV_OK);
    assert_int_equal(count, 3);
    assert_int_equal(ulv_posix_machine_read(machine, "m", less,
                                            sizeof(less) - 1, &diag),
                     ULV_OK);
    assert_int_equal(host->devices(host->self, d, 3, &count, NULL), ULV_OK);
    assert_int_equal(count, 0);
    assert_int_equal(host->processors(host->self, p, 3, &count, NULL), ULV_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ulv_posix_machine_read(machine, "m", whole,
                                            sizeof(whole) - 1, &diag),
                     ULV_OK);
    /* there are more than there is room for */
    assert_int_equal(host->processors(host->self, p, 1, &count, NULL), ULV_OK);
    assert_int_equal(count, 3);
    assert_int_equal(host->devices(host->self, NULL, 0, &count, NULL), ULV_OK);
    assert_int_equal(count, 3);
    ulv_posix_machine_close(machine);
}

static void
is_refused(const char *from, const char *to, ulv_status wanted,
           const char *words)
{
    const char *at = strstr(whole, from);
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_posix_machine *machine;
    char text[2048];

    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, to,
             at + strlen(from));
    assert_int_equal(
        ulv_posix_machine_open("m", text, strlen(text), &machine, &diag),
        wanted);
    assert_null(machine);
    if (strstr(diag.text, words) == NULL) {
        print_message("# %s\n", diag.text);
        fail();
    }
}

static void
test_port_machine__what_cannot_be_is_refused(void **state)
{
    (void)state;
    is_refused("\"number\": 4", "\"number\": 3", ULV_E_FORMAT,
               "processors[1]: its number is not above");
    is_refused("\"thread\": 1", "\"thread\": 0", ULV_E_FORMAT,
               "processors[1]: a thread of its core, twice");
    is_refused("\"node\": 2}]", "\"node\": 1}]", ULV_E_FORMAT,
               "processors[2]: its node is not there (1)");
    is_refused("\"number\": 2", "\"number\": 65536", ULV_E_LIMIT,
               "nodes[1]: number: 65536, at most 65535");
    is_refused("\"number\": 2", "\"number\": 0", ULV_E_FORMAT,
               "nodes[1]: its number is not above");
    is_refused("\"free\": \"1GiB\"", "\"free\": \"5GiB\"", ULV_E_FORMAT,
               "nodes[1]: more is free than there is");
    is_refused("\"vendor\": 32902", "\"vendor\": 65536", ULV_E_LIMIT,
               "devices[0]: vendor: 65536, at most 65535");
    is_refused("\"node\": 2},", "\"node\": 1},", ULV_E_FORMAT,
               "devices[0]: its node is not there");
    is_refused("0000:01:00.1", "0000:01:00.8", ULV_E_FORMAT,
               "devices[1]: its name is no PCI address");
    is_refused("\"parent\": \"0000:00:1f.2\", ", "", ULV_E_FORMAT,
               "devices[1]: functions have a parent");
    is_refused("\"parent\": \"0000:00:1f.2\"", "\"parent\": \"none\"",
               ULV_E_FORMAT, "devices[1]: its parent does not stand before");
    is_refused("\"sda\"", "\"s a\"", ULV_E_FORMAT, "devices[2]: a name with");
    is_refused("\"disk\"", "\"tape\"", ULV_E_FORMAT, "devices[2]: kind: ");
    is_refused("\"disk\", \"name\": \"sda\"",
               "\"pci\", \"name\": \"0000:00:1f.2\"", ULV_E_FORMAT,
               "devices[2]: one of that kind and name is there");
    is_refused("\"bytes\": 4096", "\"octets\": 4096", ULV_E_FORMAT,
               "devices[2]: unknown key");
    is_refused("\"processors\"", "\"devices\"", ULV_E_FORMAT, "m:6:");
    is_refused("\"devices\": [", "\"devices\": [[", ULV_E_FORMAT, "m:");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_machine__is_what_was_described),
        cmocka_unit_test(test_port_machine__what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
