/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Machines that are trees of files, made for each test. */
#include "port_test.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ultravisor/abi/command.h>

#include "port/posix/discover.h"

static char root[64];

static void
put(const char *path, const char *text)
{
    char whole[256];
    FILE *file;

    snprintf(whole, sizeof(whole), "%s/%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL;
         at++) {
        *at = '\0';
        mkdir(whole, 0755);
        *at = '/';
    }
    file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void
put_processor(unsigned number, const char *package, const char *siblings)
{
    char path[128];

    snprintf(path, sizeof(path),
             "devices/system/cpu/cpu%u/topology/physical_package_id", number);
    put(path, package);
    snprintf(path, sizeof(path),
             "devices/system/cpu/cpu%u/topology/thread_siblings_list", number);
    put(path, siblings);
}

static int
remove_one(const char *path, const struct stat *status, int type,
           struct FTW *level)
{
    (void)status;
    (void)type;
    (void)level;
    return remove(path);
}

static int
make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ulv-machine-XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int
remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct ulv_posix_roots
fixture(void)
{
    return (struct ulv_posix_roots){root, root, true};
}

/* Two packages, two nodes, two threads a core; 5 is offline. */
static void
put_two_nodes(void)
{
    put("devices/system/cpu/online", "0-4,6-7\n");
    put_processor(0, "0\n", "0,4\n");
    put_processor(1, "0\n", "1\n");
    put_processor(4, "0\n", "0,4\n");
    put_processor(2, "1\n", "2,6\n");
    put_processor(3, "1\n", "3,7\n");
    put_processor(6, "1\n", "2,6\n");
    put_processor(7, "1\n", "3,7\n");
    put("devices/system/node/online", "0,2\n");
    put("devices/system/node/node0/cpulist", "0-1,4\n");
    put("devices/system/node/node2/cpulist", "2-3,6-7\n");
    put("devices/system/node/node0/meminfo",
        "Node 0 MemTotal:       1000 kB\nNode 0 MemFree:         300 kB\n"
        "Node 0 Inactive(file):    50 kB\n");
    put("devices/system/node/node2/meminfo",
        "Node 2 MemTotal:       2000 kB\nNode 2 MemFree:        1900 kB\n");
}

static void
test_port_discover__two_nodes(void **state)
{
    static const struct ulv_host_processor expected[] = {
        {0, 0, 0, 0, 0}, {1, 0, 0, 1, 0}, {2, 2, 1, 2, 0}, {3, 2, 1, 3, 0},
        {4, 0, 0, 0, 1}, {6, 2, 1, 2, 1}, {7, 2, 1, 3, 1},
    };
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_processor found[8];
    struct ulv_host_node nodes[4];
    uint32_t count = 0;

    (void)state;
    put_two_nodes();
    assert_int_equal(ulv_posix_find_processors(&roots, found, 8, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 7);
    assert_memory_equal(found, expected, sizeof(expected));
    assert_int_equal(ulv_posix_find_nodes(&roots, nodes, 4, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 2);
    assert_int_equal(nodes[0].number, 0);
    assert_int_equal(nodes[0].total_bytes, 1000 * 1024);
    assert_int_equal(nodes[0].free_bytes, 350 * 1024);
    assert_int_equal(nodes[1].number, 2);
    assert_int_equal(nodes[1].total_bytes, 2000 * 1024);
    assert_int_equal(nodes[1].free_bytes, 1900 * 1024);
}

static void
test_port_discover__counts_beyond_capacity(void **state)
{
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_processor found[3];
    struct ulv_host_node nodes[1];
    uint32_t count = 0;

    (void)state;
    put_two_nodes();
    memset(found, 0xee, sizeof(found));
    assert_int_equal(ulv_posix_find_processors(&roots, found, 2, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 7);
    assert_int_equal(found[1].number, 1);
    assert_int_equal(found[2].number, 0xeeeeeeee);
    assert_int_equal(ulv_posix_find_processors(&roots, NULL, 0, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 7);
    assert_int_equal(ulv_posix_find_nodes(&roots, nodes, 1, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 2);
    assert_int_equal(nodes[0].number, 0);
}

static void
test_port_discover__without_nodes_there_is_one(void **state)
{
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_processor found[2];
    struct ulv_host_node node;
    uint32_t count = 0;

    (void)state;
    put("devices/system/cpu/online", "0-1\n");
    put_processor(0, "-1\n", "0\n");
    put("meminfo", "MemTotal:  4096 kB\nMemFree:  1 kB\n"
                   "MemAvailable:  2048 kB\n");
    assert_int_equal(ulv_posix_find_processors(&roots, found, 2, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 2);
    assert_int_equal(found[0].package, 0);
    assert_int_equal(found[1].core, 1);
    assert_int_equal(found[1].node, 0);
    assert_int_equal(ulv_posix_find_nodes(&roots, &node, 1, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 1);
    assert_int_equal(node.total_bytes, 4096 * 1024);
    assert_int_equal(node.free_bytes, 2048 * 1024);
}

static void
test_port_discover__bad_lists_are_refused(void **state)
{
    static const char *const lists[] = {
        "x\n",    "0-\n", "3-1\n",  "0;1\n",
        "8192\n", "-1\n", "0,,1\n", "0-99999999999999999999999\n",
    };
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_processor found[2];
    uint32_t count = 0;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(lists); i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;

        put("devices/system/cpu/online", lists[i]);
        if (ulv_posix_find_processors(&roots, found, 2, &count, &diag) !=
            ULV_E_FORMAT)
            fail_msg("taken: %s", lists[i]);
        assert_non_null(strstr(diag.text, "cpu/online"));
    }
    put("devices/system/cpu/online", "\n");
    assert_int_equal(ulv_posix_find_processors(&roots, found, 2, &count, NULL),
                     ULV_E_HOST);
}

/* The kernel gives a list that is longer than a page in several reads. */
static void
test_port_discover__a_long_list_comes_in_pages(void **state)
{
    static char list[6000];
    struct ulv_posix_roots roots = fixture();
    uint32_t count = 0, wanted = 0;
    char path[128];
    size_t len = 0;
    int status;
    pid_t child;

    (void)state;
    for (; len < 5000; wanted++)
        len +=
            (size_t)snprintf(list + len, sizeof(list) - len, "%u,", 2 * wanted);
    list[len - 1] = '\n';
    put("devices/system/cpu/kernel_max", "8191\n"); /* makes the folder */
    snprintf(path, sizeof(path), "%s/devices/system/cpu/online", root);
    assert_int_equal(mkfifo(path, 0600), 0);
    child = fork();
    if (child == 0) {
        const int fd = open(path, O_WRONLY);
        int left = 4096;

        if (write(fd, list, 4096) != 4096)
            _exit(1);
        while (left != 0 && ioctl(fd, FIONREAD, &left) == 0)
            continue;
        _exit(write(fd, list + 4096, len - 4096) == (ssize_t)len - 4096 ? 0
                                                                        : 1);
    }
    assert_int_equal(ulv_posix_find_processors(&roots, NULL, 0, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, wanted);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
put_link(const char *path, const char *to)
{
    char whole[256];

    snprintf(whole, sizeof(whole), "%s/%s", root, path);
    (void)unlink(whole);
    assert_int_equal(symlink(to, whole), 0);
}

static void
put_function(const char *name, const char *event)
{
    char path[128];

    snprintf(path, sizeof(path), "bus/pci/devices/%s/uevent", name);
    put(path, event);
}

#define AHCI "DRIVER=ahci\nPCI_CLASS=10601\nPCI_ID=8086:10D3\nMODALIAS=pci\n"

/* A card with a virtual function, a disk, one that is empty, a tap. */
static void
put_devices(void)
{
    put_function("0000:00:1f.2", AHCI);
    put_function("0000:00:1f.7", "PCI_CLASS=20000\nPCI_ID=8086:10D3\n");
    put("bus/pci/devices/0000:00:1f.2/numa_node", "1\n");
    put("bus/pci/devices/0000:00:1f.7/numa_node", "-1\n");
    put_function("0000:00:02.0", "PCI_CLASS=20000\nPCI_ID=1AF4:10D3\n");
    put_link("bus/pci/devices/0000:00:02.0/physfn", "../0000:00:1f.7");
    put("block/sda/size", "2048\n");
    put("block/sda/dev", "8:16\n");
    put("block/loop0/size", "0\n");
    put("class/net/lo/mtu", "65536\n");
    put("class/net/tap0/tun_flags", "0x1002\n");
}

static void
test_port_discover__devices(void **state)
{
    static const struct ulv_host_device expected[] = {
        {.kind = ULV_HARDWARE_PCI, .address = 0xfa, .device_class = 0x010601,
         .node = 1, .model = 0x808610d3, .parent = UINT32_MAX,
         .name = "0000:00:1f.2", .driver = "ahci"},
        {.kind = ULV_HARDWARE_PCI, .address = 0xff, .device_class = 0x020000,
         .node = UINT32_MAX, .model = 0x808610d3, .parent = UINT32_MAX,
         .name = "0000:00:1f.7"},
        {.kind = ULV_HARDWARE_FUNCTION, .address = 0x10,
         .device_class = 0x020000, .node = UINT32_MAX, .model = 0x1af410d3,
         .parent = 1, .name = "0000:00:02.0"},
        {.kind = ULV_HARDWARE_DISK, .address = UINT64_C(8) << 32 | 16,
         .bytes = 1048576, .node = UINT32_MAX, .parent = UINT32_MAX,
         .name = "sda"},
        {.kind = ULV_HARDWARE_TAP, .node = UINT32_MAX, .parent = UINT32_MAX,
         .name = "tap0"},
    };
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_device found[8];
    uint32_t count = 0;

    (void)state;
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, 0);
    put_devices();
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, ULV_COUNT_OF(expected));
    assert_memory_equal(found, expected, sizeof(expected));
    assert_int_equal(ulv_posix_find_devices(&roots, found, 1, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, ULV_COUNT_OF(expected));
    /* what the list of those with a size does not have is not looked at */
    put("block/sdax/size", "-1\n");
    put("block/sd/size", "-1\n");
    put("partitions", "major minor  #blocks  name\n\n"
                      "   8       16       1024 sda\n"
                      "   8       17        512 sda1\n");
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, ULV_COUNT_OF(expected));
    assert_memory_equal(found, expected, sizeof(expected));
    put("partitions", "   8       17        512 sda1\n");
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_OK);
    assert_int_equal(count, ULV_COUNT_OF(expected) - 1);
}

/* Which node has it is not asked where there is one. */
static void
test_port_discover__one_node_has_all(void **state)
{
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_processor processors[2];
    struct ulv_host_device found[8];
    uint32_t count = 0;

    (void)state;
    put_devices();
    put("devices/system/cpu/online", "0-1\n");
    put("devices/system/node/online", "3\n");
    assert_int_equal(
        ulv_posix_find_processors(&roots, processors, 2, &count, NULL), ULV_OK);
    assert_int_equal(processors[0].node, 3);
    assert_int_equal(processors[1].node, 3);
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(found[i].node, 3);
    assert_int_equal(found[3].node, UINT32_MAX);
    put("devices/system/node/online", "0,3\n");
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_OK);
    assert_int_equal(found[0].node, 1);
    assert_int_equal(found[1].node, UINT32_MAX);
    put("devices/system/node/online", "x\n");
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_E_FORMAT);
}

/* As long as room allows it, and a byte longer. */
static void
test_port_discover__a_file_ends_where_room_does(void **state)
{
    static const char package[] = "devices/system/cpu/cpu0/topology/"
                                  "physical_package_id";
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_processor found[1];
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint32_t count = 0;
    char text[65];

    (void)state;
    put("devices/system/cpu/online", "0\n");
    memset(text, '0', sizeof(text));
    text[62] = '7';
    text[63] = '\0';
    put(package, text);
    assert_int_equal(ulv_posix_find_processors(&roots, found, 1, &count, NULL),
                     ULV_OK);
    assert_int_equal(found[0].package, 7);
    text[63] = '\n';
    text[64] = '\0';
    put(package, text);
    assert_int_equal(ulv_posix_find_processors(&roots, found, 1, &count, &diag),
                     ULV_E_FORMAT);
    assert_non_null(strstr(diag.text, package));
    assert_non_null(strstr(diag.text, "more than 63 bytes"));
}

static void
test_port_discover__bad_devices_are_refused(void **state)
{
#define EVENT "bus/pci/devices/0000:00:1f.2/uevent"
    static const struct {
        const char *path, *text, *good;
    } bad[] = {
        {EVENT, "", AHCI},
        {EVENT, "PCI_CLASS=1\n", AHCI},
        {EVENT, "PCI_CLASS=1\nPCI_ID=8086:10D3", AHCI},
        {EVENT, "PCI_CLASS=\nPCI_ID=8086:10D3\n", AHCI},
        {EVENT, "PCI_CLASS=0x1\nPCI_ID=8086:10D3\n", AHCI},
        {EVENT, "PCI_CLASS=1010601\nPCI_ID=8086:10D3\n", AHCI},
        {EVENT, "XPCI_CLASS=1\nPCI_ID=8086:10D3\n", AHCI},
        {EVENT, "PCI_CLASS=1\nPCI_ID=18086:10D3\n", AHCI},
        {EVENT, "PCI_CLASS=1\nPCI_ID=8086:10D3:0\n", AHCI},
        {EVENT, "PCI_CLASS=1\nPCI_ID=80 6:10D3\n", AHCI},
        {EVENT, "DRIVER=\nPCI_CLASS=1\nPCI_ID=8086:10D3\n", AHCI},
        {EVENT, "DRIVER=a b\nPCI_CLASS=1\nPCI_ID=8086:10D3\n", AHCI},
        {"bus/pci/devices/0000:00:1f.2/numa_node", "x\n", "1\n"},
        {"bus/pci/devices/0000:00:1f.2/numa_node", "4294967295\n", "1\n"},
        {"block/sda/size", "-1\n", "2048\n"},
        {"block/sda/size", "36028797018963968\n", "2048\n"},
        {"block/sda/dev", "8\n", "8:16\n"},
        {"block/sda/dev", "8:99999999999\n", "8:16\n"},
    };
    struct ulv_posix_roots roots = fixture();
    struct ulv_host_device found[8];
    uint32_t count = 0;

    (void)state;
    put_devices();
    for (size_t i = 0; i < ULV_COUNT_OF(bad); i++) {
        struct ulv_diag diag = ULV_DIAG_INIT;

        put(bad[i].path, bad[i].text);
        if (ulv_posix_find_devices(&roots, found, 8, &count, &diag) !=
            ULV_E_FORMAT)
            fail_msg("taken: %s: %s", bad[i].path, bad[i].text);
        assert_non_null(strstr(diag.text, bad[i].path));
        put(bad[i].path, bad[i].good);
    }
    put_link("bus/pci/devices/0000:00:02.0/physfn", "../a b");
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_E_FORMAT);
    put_link("bus/pci/devices/0000:00:02.0/physfn", "../0000:00:1f.7");
    put_function("0000:00:20.0", AHCI);
    assert_int_equal(ulv_posix_find_devices(&roots, found, 8, &count, NULL),
                     ULV_E_FORMAT);
}

static void
test_port_discover__respects_affinity(void **state)
{
    struct ulv_host_processor found[1024];
    const struct ulv_host *host = ulv_posix_host();
    cpu_set_t before, one;
    uint32_t count = 0;
    size_t first = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(host->processors(NULL, found, 1024, &count, NULL), ULV_OK);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(count, 1);
    assert_int_equal(found[0].number, first);
    assert_int_equal(host->processors(NULL, found, 1024, &count, NULL), ULV_OK);
    assert_int_equal(count, CPU_COUNT(&before));
}

static void
test_port_discover__this_machine(void **state)
{
    const struct ulv_host *host = ulv_posix_host();
    struct ulv_host_node nodes[64];
    uint32_t count = 0;
    uint64_t total = 0;

    (void)state;
    assert_int_equal(host->nodes(NULL, nodes, 64, &count, NULL), ULV_OK);
    assert_in_range(count, 1, 64);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(nodes[i].free_bytes <= nodes[i].total_bytes);
        total += nodes[i].total_bytes;
    }
    assert_true(total > ULV_MIB(16));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_port_discover__two_nodes,
                                        make_root, remove_root),
        cmocka_unit_test_setup_teardown(
            test_port_discover__counts_beyond_capacity, make_root, remove_root),
        cmocka_unit_test_setup_teardown(
            test_port_discover__without_nodes_there_is_one, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(
            test_port_discover__bad_lists_are_refused, make_root, remove_root),
        cmocka_unit_test_setup_teardown(
            test_port_discover__a_long_list_comes_in_pages, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(test_port_discover__devices, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(test_port_discover__one_node_has_all,
                                        make_root, remove_root),
        cmocka_unit_test_setup_teardown(
            test_port_discover__a_file_ends_where_room_does, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(
            test_port_discover__bad_devices_are_refused, make_root,
            remove_root),
        cmocka_unit_test(test_port_discover__respects_affinity),
        cmocka_unit_test(test_port_discover__this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
