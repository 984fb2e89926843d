/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Linux kernels as bzImage: one good image, what of it reaches the guest's
 * memory by the kernel's own declaration of it, and all that can be wrong, one
 * thing at a time.
 */
#include "loader_test.h"

#include <asm/bootparam.h>

#define SETUP_BYTES 1024
#define CODE_BYTES  0x600
#define IMAGE_BYTES (SETUP_BYTES + CODE_BYTES)
#define HDR(field)                                                             \
    offsetof(struct boot_params, hdr) + offsetof(struct setup_header, field)
#define INITRD_BYTES 5000

static const char cmdline[] = "console=ttyS0 quiet";
static uint8_t image[IMAGE_BYTES];
static uint8_t initrd[INITRD_BYTES];

static void
make_image(void)
{
    const struct setup_header h = {
        .setup_sects = SETUP_BYTES / 512 - 1,
        .syssize = CODE_BYTES / 16,
        .boot_flag = 0xaa55,
        .jump = 0x66eb, /* the header ends at 0x202 + 0x66 */
        .header = 0x53726448,
        .version = 0x020f,
        .loadflags = LOADED_HIGH | CAN_USE_HEAP,
        .code32_start = 0x100000,
        .initrd_addr_max = 0x7fffffff,
        .kernel_alignment = 0x200000,
        .relocatable_kernel = 1,
        .min_alignment = 21,
        .xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
        .cmdline_size = 2047,
        .payload_offset = 77,
        .setup_data = 0x6666666666666666,
        .hardware_subarch = 5,
        .pref_address = 0x200000,
        .init_size = 0x100000,
    };

    memset(image, 0x11, sizeof(image));
    memcpy(image + offsetof(struct boot_params, hdr), &h, sizeof(h));
    for (size_t i = SETUP_BYTES; i < sizeof(image); i++)
        image[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof(initrd); i++)
        initrd[i] = (uint8_t)(i * 13);
}

/* With a command line and an initrd. */
static void
make_good(struct machine *m)
{
    make_image();
    make_machine(m, image, sizeof(image));
    m->request.cmdline = cmdline;
    add_initrd(m, initrd, sizeof(initrd));
}

static void
check_header(const struct machine *m, const struct boot_params *params)
{
    const struct setup_header *h = &params->hdr;
    uint8_t bytes[INITRD_BYTES];

    assert_int_equal(h->header, 0x53726448);
    assert_int_equal(h->version, 0x020f);
    assert_int_equal(h->type_of_loader, 0xff);
    assert_int_equal(h->loadflags, LOADED_HIGH);
    assert_int_equal(h->vid_mode, 0xffff);
    assert_int_equal(h->payload_offset, 77);
    assert_int_equal(h->pref_address, 0x200000);
    assert_int_equal(h->code32_start, m->plan.entry - 0x200);
    assert_int_equal(h->setup_data, 0);
    assert_int_equal(h->hardware_subarch, 0);
    assert_int_equal(h->ramdisk_size, INITRD_BYTES);
    peek(m, h->ramdisk_image, bytes, INITRD_BYTES);
    assert_memory_equal(bytes, initrd, INITRD_BYTES);
    peek(m, h->cmd_line_ptr, bytes, sizeof(cmdline));
    assert_memory_equal(bytes, cmdline, sizeof(cmdline));
    assert_int_equal(params->ext_ramdisk_image, 0);
    assert_int_equal(params->ext_ramdisk_size, 0);
    assert_int_equal(params->ext_cmd_line_ptr, 0);
    assert_int_equal(params->sentinel, 0);
    assert_int_equal(params->acpi_rsdp_addr, 0xe0000);
}

static void
check_paging(const struct machine *m)
{
    uint64_t root, directories[5], entry, gdt[4];

    assert_int_equal(m->plan.page_tables % 4096, 0);
    peek(m, m->plan.page_tables, &root, 8);
    assert_int_equal(root & 0xfff, 3);
    peek(m, root & ~UINT64_C(0xfff), directories, sizeof(directories));
    assert_int_equal(directories[4], 0);
    for (uint64_t at = 0; at < UINT64_C(1) << 32; at += 0x200000) {
        assert_int_equal(directories[at >> 30] & 0xfff, 3);
        peek(m,
             (directories[at >> 30] & ~UINT64_C(0xfff)) +
                 (at >> 21) % 512 * 8,
             &entry, 8);
        assert_int_equal(entry, at | 0x83);
    }
    assert_int_equal(m->plan.gdt_bytes, sizeof(gdt));
    peek(m, m->plan.gdt, gdt, sizeof(gdt));
    assert_int_equal(gdt[0], 0);
    assert_int_equal(gdt[2] >> 40 & 0xff, 0x9b); /* code, DPL 0 */
    assert_int_equal(gdt[2] >> 52 & 0xf, 0xa);   /* 64-bit */
    assert_int_equal(gdt[3] >> 40 & 0xff, 0x93); /* data, DPL 0 */
}

static void
test_loader_linux__good(void **state)
{
    struct machine m;
    struct boot_params params;
    uint8_t code[CODE_BYTES];

    (void)state;
    make_good(&m);
    m.request.rsdp = 0xe0000;
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.kind, ULV_LOADER_BZIMAGE);
    assert_int_equal(m.plan.mode, ULV_ENTRY_LONG);
    assert_int_equal(m.plan.entry, 0x200200);
    assert_int_equal(m.plan.rdi, 0);
    write_machine(&m);
    peek(&m, 0x200000, code, sizeof(code));
    assert_memory_equal(code, image + SETUP_BYTES, CODE_BYTES);
    peek(&m, m.plan.rsi, &params, sizeof(params));
    check_header(&m, &params);
    check_paging(&m);
    assert_int_equal(params.e820_entries, 2);
    assert_int_equal(params.e820_table[0].addr, 0);
    assert_int_equal(params.e820_table[0].size, 0xa0000);
    assert_int_equal(params.e820_table[0].type, 1);
    assert_int_equal(params.e820_table[1].addr, 0x100000);
    assert_int_equal(params.e820_table[1].size, MEMORY - 0x100000);
    assert_int_equal(params.e820_table[1].type, 1);
    assert_int_equal(params.e820_table[2].size, 0);
    free_machine(&m);
}

/* Nothing that was not asked for. */
static void
test_loader_linux__bare(void **state)
{
    struct machine m;
    struct boot_params params;

    (void)state;
    make_image();
    make_machine(&m, image, sizeof(image));
    m.request.kind = ULV_LOADER_BZIMAGE;
    assert_int_equal(plan_machine(&m), ULV_OK);
    write_machine(&m);
    peek(&m, m.plan.rsi, &params, sizeof(params));
    assert_int_equal(params.hdr.cmd_line_ptr, 0);
    assert_int_equal(params.hdr.ramdisk_image, 0);
    assert_int_equal(params.hdr.ramdisk_size, 0);
    free_machine(&m);
}

static const struct change refused[] = {
    { "boot flag", HDR(boot_flag), 2, 0xaa54, ULV_E_FORMAT, 0x7f, 0,
      "neither ELF nor a bzImage" },
    { "protocol", HDR(version), 2, 0x020b, ULV_E_UNSUPPORTED, 0x020b, 0x020c,
      "boot protocol 2.11, 2.12 is needed" },
    { "short header", 0x201, 1, 0x61, ULV_E_FORMAT, 0x263, 0x264,
      "setup header ends at 0x263" },
    { "long header", 0x201, 1, 0x8f, ULV_E_FORMAT, 0x291, 0x290,
      "setup header ends at 0x291" },
    { "longest header", 0x201, 1, 0xff, ULV_E_FORMAT, 0x301, 0x290,
      "setup header ends at 0x301" },
    { "32-bit", HDR(xloadflags), 2, 0xfffe, ULV_E_UNSUPPORTED, 0xfffe, 1,
      "no 64-bit entry" },
    { "zImage", HDR(loadflags), 1, 0xfe, ULV_E_UNSUPPORTED, 0xfe, 1,
      "zImage" },
    { "setup beyond", HDR(setup_sects), 1, 255, ULV_E_FORMAT,
      256 * 512 + CODE_BYTES, IMAGE_BYTES, "code ends at offset" },
    { "setup of 4 by default", HDR(setup_sects), 1, 0, ULV_E_FORMAT,
      5 * 512 + CODE_BYTES, IMAGE_BYTES, "code ends at offset" },
    { "no code", HDR(syssize), 4, 0, ULV_E_FORMAT, 0, 0x201,
      "code has 0 bytes, its entry is at 512" },
    { "code up to the entry", HDR(syssize), 4, 0x20, ULV_E_FORMAT, 0x200,
      0x201, "code has 512 bytes" },
    { "code beyond", HDR(syssize), 4, CODE_BYTES / 16 + 1, ULV_E_FORMAT,
      IMAGE_BYTES + 16, IMAGE_BYTES, "code ends at offset" },
    { "much code", HDR(syssize), 4, UINT32_MAX, ULV_E_FORMAT,
      SETUP_BYTES + UINT64_C(0xffffffff0), IMAGE_BYTES, "code ends" },
    { "above 4 GiB", HDR(pref_address), 8, UINT64_C(1) << 32, ULV_E_FORMAT,
      UINT64_C(1) << 32, UINT64_C(1) << 32, "preferred address 0x100000000" },
    { "far above", HDR(pref_address), 8, UINT64_MAX, ULV_E_FORMAT, UINT64_MAX,
      UINT64_C(1) << 32, "preferred address" },
    { "no alignment", HDR(kernel_alignment), 4, 0, ULV_E_FORMAT, 0,
      0x40000000, "alignment 0x0" },
    { "odd alignment", HDR(kernel_alignment), 4, 0x300000, ULV_E_FORMAT,
      0x300000, 0x40000000, "alignment 0x300000" },
    { "much alignment", HDR(kernel_alignment), 4, 0x80000000, ULV_E_FORMAT,
      0x80000000, 0x40000000, "alignment 0x80000000" },
    { "no room above", HDR(pref_address), 8, MEMORY - 0x100000 + 1,
      ULV_E_NO_MEMORY, 0x100000, MEMORY, "the kernel: no room for 1048576" },
    { "preferred beyond memory", HDR(pref_address), 8, 0xffe00000,
      ULV_E_NO_MEMORY, 0x100000, MEMORY, "between 0xffe00000 and 0x700000" },
    { "much room", HDR(init_size), 4, UINT32_MAX, ULV_E_NO_MEMORY, UINT32_MAX,
      MEMORY, "the kernel: no room for 4294967295" },
    { "no aligned place", HDR(kernel_alignment), 4, 0x800000, ULV_E_NO_MEMORY,
      0x100000, MEMORY, "the kernel: no room" },
    { "command line", HDR(cmdline_size), 4, sizeof(cmdline) - 2, ULV_E_ARG,
      sizeof(cmdline) - 1, sizeof(cmdline) - 2,
      "longer than the 18 bytes that the kernel takes" },
    { "initrd low", HDR(initrd_addr_max), 4, 0x100000 + INITRD_BYTES - 2,
      ULV_E_NO_MEMORY, INITRD_BYTES, 0x100000 + INITRD_BYTES - 1,
      "the initrd: no room for 5000 bytes between 0x100000 and 0x101387" },
    { "initrd nowhere", HDR(initrd_addr_max), 4, 0, ULV_E_NO_MEMORY,
      INITRD_BYTES, 1, "the initrd: no room" },
};

static void
test_loader_linux__one_thing_wrong(void **state)
{
    struct machine m;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(refused); i++) {
        struct change c = refused[i];

        make_good(&m);
        set_field(image, c.offset, c.width, c.to);
        if (c.status == ULV_E_FORMAT && strstr(c.text, "neither") != NULL)
            c.value = image[0];
        assert_refused(&m, plan_machine(&m), &c);
        assert_null(write_defect(&m.plan)); /* of no piece */
        free_machine(&m);
    }
}

/* The largest and the smallest that is right. */
static const struct change accepted[] = {
    { "oldest protocol", HDR(version), 2, 0x020c, ULV_OK, 0x200000, 0, "" },
    { "shortest header", 0x201, 1, 0x62, ULV_OK, 0x200000, 0, "" },
    { "longest header", 0x201, 1, 0x8e, ULV_OK, 0x200000, 0, "" },
    { "at the end of memory", HDR(pref_address), 8, 0x600000, ULV_OK,
      0x600000, 0, "" },
    { "not aligned", HDR(pref_address), 8, 0x200001, ULV_OK, 0x400000, 0, "" },
    { "anywhere", HDR(pref_address), 8, 0, ULV_OK, 0x200000, 0, "" },
    { "little alignment", HDR(kernel_alignment), 4, 1, ULV_OK, 0x200000, 0,
      "" },
    { "much alignment", HDR(kernel_alignment), 4, 0x400000, ULV_OK, 0x400000,
      0, "" },
    { "room less than code", HDR(init_size), 4, 1, ULV_OK, 0x200000, 0, "" },
    { "no header's jump", 0x200, 1, 0, ULV_OK, 0x200000, 0, "" },
    { "fixed", HDR(relocatable_kernel), 1, 0, ULV_OK, 0x100000, 0, "" },
    { "initrd just below", HDR(initrd_addr_max), 4, 0x101fff, ULV_OK,
      0x200000, 0, "" },
    { "initrd anywhere", HDR(initrd_addr_max), 4, UINT32_MAX, ULV_OK,
      0x200000, 0, "" },
    { "command line", HDR(cmdline_size), 4, sizeof(cmdline) - 1, ULV_OK,
      0x200000, 0, "" },
};

static void
test_loader_linux__just_right(void **state)
{
    struct machine m;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(accepted); i++) {
        const struct change *c = &accepted[i];
        ulv_status status;

        make_good(&m);
        set_field(image, c->offset, c->width, c->to);
        status = plan_machine(&m);
        if (status != ULV_OK)
            print_message("# %s: %s\n", c->name, m.diag.text);
        assert_int_equal(status, ULV_OK);
        assert_int_equal(m.plan.entry, c->value + 0x200);
        assert_true(m.plan.piece[0].bytes >= CODE_BYTES);
        write_machine(&m);
        free_machine(&m);
    }
}

/* One that cannot be moved has all from 1 MiB to the end of its room. */
static void
test_loader_linux__fixed(void **state)
{
    const struct ulv_loader_range inside = { 0x180000, 1, "a hidden byte" };
    const struct change taken = { "reserved", 0, 0, 0, ULV_E_NO_MEMORY,
                                  0x100000, 0x180000,
                                  "overlaps a hidden byte at 0x180000" };
    const struct change beyond = {
        "beyond", 0, 0, 0, ULV_E_NO_MEMORY, 0x701000, MEMORY,
        "from 0x100000 to 0x701000, outside the memory from 0x100000 to "
        "0x700000"
    };
    struct machine m;

    (void)state;
    make_good(&m);
    set_field(image, HDR(relocatable_kernel), 1, 0);
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.piece[0].guest, 0x100000);
    assert_int_equal(m.plan.piece[0].bytes, 0x200000);
    m.request.reserved = &inside;
    m.request.reserved_count = 1;
    assert_refused(&m, plan_machine(&m), &taken);
    m.request.reserved_count = 0;
    set_field(image, HDR(init_size), 4, MEMORY - 0x200000 + 0x1000);
    assert_refused(&m, plan_machine(&m), &beyond);
    free_machine(&m);
}

static void
test_loader_linux__truncated_at_every_length(void **state)
{
    struct machine m;

    (void)state;
    make_good(&m);
    m.request.kind = ULV_LOADER_BZIMAGE;
    for (uint64_t bytes = 0; bytes < sizeof(image); bytes++) {
        m.image.bytes = m.request.image.bytes = bytes;
        assert_int_equal(plan_machine(&m), ULV_E_FORMAT);
    }
    free_machine(&m);
}

static void
test_loader_linux__each_read_fails(void **state)
{
    struct machine m;

    (void)state;
    make_good(&m);
    m.request.kind = ULV_LOADER_BZIMAGE;
    m.image.fail_at = 1;
    assert_int_equal(plan_machine(&m), ULV_E_MEDIUM);
    assert_non_null(strstr(m.diag.text, "cannot be read at offset 0"));
    assert_int_equal(plan_machine(&m), ULV_OK);
    m.image.fail_at = m.image.reads + 1;
    assert_int_equal(ulv_loader_write(&m.plan, &m.diag), ULV_E_MEDIUM);
    assert_non_null(strstr(m.diag.text, "the image cannot be read"));
    m.initrd.fail_at = m.initrd.reads + 1;
    assert_int_equal(ulv_loader_write(&m.plan, &m.diag), ULV_E_MEDIUM);
    assert_non_null(strstr(m.diag.text, "the initrd cannot be read"));
    assert_int_equal(ulv_loader_write(&m.plan, &m.diag), ULV_OK);
    free_machine(&m);
}

/* The setup header is the one that was checked, whatever the image became. */
static void
test_loader_linux__image_changes_after_the_plan(void **state)
{
    struct machine m;
    struct boot_params params;

    (void)state;
    make_good(&m);
    assert_int_equal(plan_machine(&m), ULV_OK);
    memset(image, 0xff, SETUP_BYTES);
    write_machine(&m);
    peek(&m, m.plan.rsi, &params, sizeof(params));
    assert_int_equal(params.hdr.version, 0x020f);
    assert_int_equal(params.hdr.setup_data, 0);
    free_machine(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader_linux__good),
        cmocka_unit_test(test_loader_linux__bare),
        cmocka_unit_test(test_loader_linux__one_thing_wrong),
        cmocka_unit_test(test_loader_linux__just_right),
        cmocka_unit_test(test_loader_linux__fixed),
        cmocka_unit_test(test_loader_linux__truncated_at_every_length),
        cmocka_unit_test(test_loader_linux__each_read_fails),
        cmocka_unit_test(test_loader_linux__image_changes_after_the_plan),
    };

    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
