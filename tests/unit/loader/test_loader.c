/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the kinds of images share: requests that cannot be, flat images, the
 * memory map, and where there is room for what may lie anywhere.
 */
#include "loader_test.h"

#include <asm/bootparam.h>

#define CODE_BYTES 0x300

static uint8_t flat[5000];
/* The smallest kernel, for what is placed beside it. */
static uint8_t kernel[1024 + CODE_BYTES];

static void
make_flat(struct machine *m)
{
    for (size_t i = 0; i < sizeof(flat); i++)
        flat[i] = (uint8_t)(i * 3 + 1);
    make_machine(m, flat, sizeof(flat));
    m->request.kind = ULV_LOADER_FLAT;
    m->request.flat_mode = ULV_ENTRY_USER;
    m->request.flat_address = 0x24fff0; /* over the edge of two regions */
    m->request.argument = 77;
}

static void
make_kernel(struct machine *m)
{
    const struct setup_header h = { .setup_sects = 1,
                                    .syssize = CODE_BYTES / 16,
                                    .boot_flag = 0xaa55,
                                    .jump = 0x66eb,
                                    .header = 0x53726448,
                                    .version = 0x020f,
                                    .loadflags = LOADED_HIGH,
                                    .initrd_addr_max = 0x7fffffff,
                                    .kernel_alignment = 4096,
                                    .relocatable_kernel = 1,
                                    .xloadflags = XLF_KERNEL_64,
                                    .cmdline_size = UINT32_MAX,
                                    .pref_address = 0x100000,
                                    .init_size = 0x1000 };

    memcpy(kernel + offsetof(struct boot_params, hdr), &h, sizeof(h));
    make_machine(m, kernel, sizeof(kernel));
}

static void
test_loader_loader__flat(void **state)
{
    static const uint32_t modes[] = { ULV_ENTRY_USER, ULV_ENTRY_LONG,
                                      ULV_ENTRY_PROTECTED };
    struct machine m;
    uint8_t bytes[sizeof(flat)];

    (void)state;
    make_flat(&m);
    for (size_t i = 0; i < ULV_COUNT_OF(modes); i++) {
        m.request.flat_mode = modes[i];
        assert_int_equal(plan_machine(&m), ULV_OK);
        assert_int_equal(m.plan.kind, ULV_LOADER_FLAT);
        assert_int_equal(m.plan.mode, modes[i]);
        assert_int_equal(m.plan.entry, 0x24fff0);
        assert_int_equal(m.plan.rdi, 77);
        assert_int_equal(m.plan.piece_count, 1);
    }
    write_machine(&m);
    peek(&m, 0x24fff0, bytes, sizeof(bytes));
    assert_memory_equal(bytes, flat, sizeof(bytes));
    m.request.flat_address = MEMORY - sizeof(flat);
    assert_int_equal(plan_machine(&m), ULV_OK);
    m.request.flat_address = 0;
    assert_int_equal(plan_machine(&m), ULV_OK);
    free_machine(&m);
}

/* Of a request: a field becomes this. */
#define REQUEST(field) offsetof(struct machine, request.field)
#define REGION(idx, field) offsetof(struct machine, regions[idx].field)
#define HIGH UINT64_C(0xfffffffffffff000)

static const struct change refused[] = {
    { "kind", REQUEST(kind), 4, 5, ULV_E_ARG, 5, 4, "image kind 5" },
    { "no image", REQUEST(image.read), 8, 0, ULV_E_ARG, 0, 0, "no image" },
    { "empty", REQUEST(image.bytes), 8, 0, ULV_E_FORMAT, 0, 1,
      "the image is empty" },
    { "no memory", REQUEST(region_count), 4, 0, ULV_E_ARG, 0, 1,
      "no guest memory" },
    { "empty region", REGION(2, bytes), 8, 0, ULV_E_ARG, 2, 0,
      "memory region 2, at 0x250000, is empty" },
    { "unmapped region", REGION(1, p), 8, 0, ULV_E_ARG, 1, 0,
      "memory region 1, at 0x100000, is empty or not mapped" },
    { "region wraps", REGION(3, guest), 8, HIGH, ULV_E_ARG, HIGH,
      UINT64_MAX - (MEMORY - 0x251000), "memory region 3, at 0xff" },
    { "not sorted", REGION(2, guest), 8, 0xf0000, ULV_E_ARG, 0xf0000, 0x250000,
      "memory region 2 begins at 0xf0000, before 0x250000" },
    { "overlap", REGION(2, guest), 8, 0x24ffff, ULV_E_ARG, 0x24ffff, 0x250000,
      "memory region 2 begins at 0x24ffff" },
    { "no mode", REQUEST(flat_mode), 4, 0, ULV_E_ARG, 0, 3, "entry mode 0" },
    { "mode", REQUEST(flat_mode), 4, 4, ULV_E_ARG, 4, 3, "entry mode 4" },
    { "address", REQUEST(flat_address), 8, 0xa0000, ULV_E_ARG,
      0xa0000 + sizeof(flat), 0xa0000, "the flat image: from 0xa0000" },
    { "into the hole", REQUEST(flat_address), 8, 0x9f000, ULV_E_ARG,
      0x9f000 + sizeof(flat), 0xa0000, "outside the memory from 0x0 to" },
    { "beyond", REQUEST(flat_address), 8, MEMORY - sizeof(flat) + 1, ULV_E_ARG,
      MEMORY + 1, MEMORY, "outside the memory from 0x100000 to 0x700000" },
    { "wraps", REQUEST(flat_address), 8, HIGH, ULV_E_ARG, HIGH,
      UINT64_MAX - sizeof(flat), "wraps around" },
    { "command line", REQUEST(cmdline), 8, 1, ULV_E_ARG, ULV_LOADER_FLAT,
      ULV_LOADER_BZIMAGE, "of the kind flat takes no command line" },
    { "RSDP", REQUEST(rsdp), 8, 1, ULV_E_ARG, ULV_LOADER_FLAT,
      ULV_LOADER_BZIMAGE, "takes no RSDP" },
};

static void
test_loader_loader__one_thing_wrong(void **state)
{
    struct machine m;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(refused); i++) {
        uint8_t *regions[REGIONS];

        make_flat(&m);
        for (uint32_t k = 0; k < REGIONS; k++)
            regions[k] = m.regions[k].p;
        set_field(&m, refused[i].offset, refused[i].width, refused[i].to);
        assert_refused(&m, plan_machine(&m), &refused[i]);
        for (uint32_t k = 0; k < REGIONS; k++)
            free(regions[k]);
    }
}

static void
test_loader_loader__flat_out_of_reach(void **state)
{
    static uint8_t high[64];
    const struct ulv_loader_region region = { UINT64_C(1) << 32, 64, high };
    const struct change reach = { "4 GiB", 0, 0, 0, ULV_E_ARG,
                                  UINT64_C(1) << 32, UINT64_C(1) << 32,
                                  "out of reach of 32-bit code" };
    struct machine m;

    (void)state;
    make_flat(&m);
    m.request.image.bytes = 64;
    m.request.regions = &region;
    m.request.region_count = 1;
    m.request.flat_address = UINT64_C(1) << 32;
    assert_int_equal(plan_machine(&m), ULV_OK);
    m.request.flat_mode = ULV_ENTRY_PROTECTED;
    assert_refused(&m, plan_machine(&m), &reach);
    free_machine(&m);
}

static void
test_loader_loader__initrd_of_what_takes_none(void **state)
{
    const struct change empty = { "empty", 0, 0, 0, ULV_E_ARG, 0, 1,
                                  "the initrd is empty" };
    const struct change none = { "flat", 0, 0, 0, ULV_E_ARG, ULV_LOADER_FLAT,
                                 ULV_LOADER_BZIMAGE, "takes no initrd" };
    struct machine m;

    (void)state;
    make_flat(&m);
    add_initrd(&m, flat, 0);
    assert_refused(&m, plan_machine(&m), &empty);
    add_initrd(&m, flat, 1);
    assert_refused(&m, plan_machine(&m), &none);
    free_machine(&m);
}

static void
test_loader_loader__reserved(void **state)
{
    const struct change overlap = { "a byte", 0, 0, 0, ULV_E_ARG, 0x24fff0,
                                    0x24fff0 + sizeof(flat) - 1,
                                    "overlaps the ROM at 0x251377" };
    const struct change nameless = { "no name", 0, 0, 0, ULV_E_ARG, 1, 0,
                                     "reserved range 1 has no name" };
    const struct change wraps = { "wraps", 0, 0, 0, ULV_E_ARG, UINT64_MAX,
                                  UINT64_MAX - 1, "the ROM at 0xff" };
    struct ulv_loader_range ranges[2] = {
        { 0x24fff0 + sizeof(flat), 1, "the ROM" },
        { 0x24fff0 + 5, 0, "nothing" }, /* empty: in nobody's way */
    };
    struct machine m;

    (void)state;
    make_flat(&m);
    m.request.reserved = ranges;
    m.request.reserved_count = 2;
    assert_int_equal(plan_machine(&m), ULV_OK);
    ranges[0].guest--;
    assert_refused(&m, plan_machine(&m), &overlap);
    ranges[1].name = NULL;
    assert_refused(&m, plan_machine(&m), &nameless);
    ranges[1].name = "nothing";
    ranges[0] = (struct ulv_loader_range){ UINT64_MAX, 1, "the ROM" };
    assert_refused(&m, plan_machine(&m), &wraps);
    free_machine(&m);
}

static void
test_loader_loader__kind_is_found(void **state)
{
    static const char script[] = "#!/bin/sh\n";
    const struct change neither = { "script", 0, 0, 0, ULV_E_FORMAT, '#', 0,
                                    "10 bytes, is neither ELF nor a bzImage" };
    const struct change not_linux = { "script", 0, 0, 0, ULV_E_FORMAT, 0,
                                      0x53726448, "not a bzImage" };
    const struct change empty = { "empty", 0, 0, 0, ULV_E_FORMAT, 0, 1,
                                  "the image is empty" };
    struct machine m;

    (void)state;
    make_machine(&m, script, sizeof(script) - 1);
    assert_refused(&m, plan_machine(&m), &neither);
    m.request.kind = ULV_LOADER_BZIMAGE;
    assert_refused(&m, plan_machine(&m), &not_linux);
    m.request.kind = ULV_LOADER_AUTO;
    m.image.fail_at = m.image.reads + 1;
    assert_int_equal(plan_machine(&m), ULV_E_MEDIUM);
    m.request.image.bytes = 0;
    assert_refused(&m, plan_machine(&m), &empty);
    free_machine(&m);
    make_kernel(&m);
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_string_equal(ulv_loader_kind_name(m.plan.kind), "bzImage");
    assert_string_equal(ulv_loader_kind_name(99), "unknown");
    free_machine(&m);
}

/* Around what is reserved, from the end that is each one's. */
static void
test_loader_loader__room(void **state)
{
    struct ulv_loader_range ranges[] = {
        { 0x100800, 0x100, "one" },          /* in the kernel's first place */
        { 0x2000, 0x9d000, "two" },          /* most of low memory */
        { MEMORY - 0x2000, 0x1000, "three" } /* in the initrd's first place */
    };
    const struct change full = { "full", 0, 0, 0, ULV_E_NO_MEMORY, 0x8001,
                                 MEMORY, "the initrd: no room for 32769" };
    struct machine m;
    uint64_t at;

    (void)state;
    make_kernel(&m);
    add_initrd(&m, flat, 0x2000);
    m.request.cmdline = "a";
    m.request.reserved = ranges;
    m.request.reserved_count = ULV_COUNT_OF(ranges);
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.entry, 0x101200);
    assert_int_equal(m.plan.rsi, 0x1000);
    assert_int_equal(m.plan.gdt, 0x9f000);
    assert_int_equal(m.plan.page_tables, 0x102000);
    pieces_of(&m.plan, ULV_PIECE_CMDLINE, &at);
    assert_int_equal(at, 0x100000); /* there is room for so little */
    pieces_of(&m.plan, ULV_PIECE_INITRD, &at);
    assert_int_equal(at, MEMORY - 0x4000);
    ranges[2] = (struct ulv_loader_range){ 0x110000, MEMORY, "the rest" };
    m.request.initrd.bytes = 0x8000; /* from the page tables on */
    assert_int_equal(plan_machine(&m), ULV_OK);
    pieces_of(&m.plan, ULV_PIECE_INITRD, &at);
    assert_int_equal(at, 0x108000);
    m.request.initrd.bytes = 0x8001;
    assert_refused(&m, plan_machine(&m), &full);
    free_machine(&m);
}

/* What of the boot structures has no room is named. */
static void
test_loader_loader__no_room(void **state)
{
    static const struct {
        uint64_t bytes; /* of memory behind the kernel */
        const char *text;
    } rows[] = { { 0, "the boot parameters: no room for 4096 bytes" },
                 { 0x1000, "the GDT: no room for 32 bytes" },
                 { 0x7fff, "the page tables: no room for 24576 bytes" },
                 { 0x8000, "the command line: no room for 3 bytes" },
                 { 0x8003, "the initrd: no room for 1 bytes" } };
    struct machine m;

    (void)state;
    make_kernel(&m);
    add_initrd(&m, flat, 1);
    m.request.cmdline = "ab";
    m.request.regions = &m.regions[1];
    m.request.region_count = 1;
    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        m.regions[1].bytes = 0x1000 + rows[i].bytes;
        assert_int_equal(plan_machine(&m), ULV_E_NO_MEMORY);
        assert_non_null(strstr(m.diag.text, rows[i].text));
    }
    m.regions[1].bytes = 0x1000 + 0x9001;
    assert_int_equal(plan_machine(&m), ULV_OK);
    free_machine(&m);
}

static void
test_loader_loader__command_line(void **state)
{
    static char cmdline[ULV_LOADER_CMDLINE_MAX + 2];
    const struct change c = { "long", 0, 0, 0, ULV_E_ARG,
                              ULV_LOADER_CMDLINE_MAX + 1,
                              ULV_LOADER_CMDLINE_MAX,
                              "longer than the 4095 bytes" };
    struct machine m;

    (void)state;
    make_kernel(&m); /* which takes any number */
    memset(cmdline, 'x', sizeof(cmdline) - 1);
    m.request.cmdline = cmdline;
    assert_refused(&m, plan_machine(&m), &c);
    m.request.cmdline = cmdline + 1;
    assert_int_equal(plan_machine(&m), ULV_OK);
    write_machine(&m);
    m.request.cmdline = "";
    assert_int_equal(plan_machine(&m), ULV_OK);
    write_machine(&m);
    free_machine(&m);
}

static void
test_loader_loader__map(void **state)
{
    static const struct ulv_loader_range ranges[] = {
        { 0x10000, 0x1000, "a" },  { 0x10800, 0x1000, "b" },
        { 0x9f000, 0x61000, "c" }, { UINT64_C(1) << 40, 0x1000, "d" },
        { 0x20000, 0, "empty" },
    };
    static const struct boot_e820_entry map[] = {
        { 0, 0x10000, 1 },
        { 0x10000, 0x1800, 2 },
        { 0x11800, 0x9f000 - 0x11800, 1 },
        { 0x9f000, 0x61000, 2 },
        { 0x100000, MEMORY - 0x100000, 1 },
        { UINT64_C(1) << 40, 0x1000, 2 },
    };
    struct machine m;
    struct boot_params params;

    (void)state;
    make_kernel(&m);
    m.request.reserved = ranges;
    m.request.reserved_count = ULV_COUNT_OF(ranges);
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.map_entries, ULV_COUNT_OF(map));
    write_machine(&m);
    peek(&m, m.plan.rsi, &params, sizeof(params));
    assert_int_equal(params.e820_entries, ULV_COUNT_OF(map));
    assert_memory_equal(params.e820_table, map, sizeof(map));
    free_machine(&m);
}

static void
test_loader_loader__long_map(void **state)
{
    static struct ulv_loader_range ranges[64];
    const struct change c = { "long", 0, 0, 0, ULV_E_LIMIT, 129, 128,
                              "the memory map has more than 128 entries" };
    struct machine m;
    struct boot_params params;

    (void)state;
    make_kernel(&m);
    m.request.reserved = ranges;
    for (uint32_t i = 0; i < ULV_COUNT_OF(ranges); i++)
        ranges[i] = (struct ulv_loader_range){ 0x200000 + i * 0x2000, 1, "r" };
    m.request.reserved_count = 63; /* each makes two more of one */
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.map_entries, 128);
    write_machine(&m);
    peek(&m, m.plan.rsi, &params, sizeof(params));
    assert_int_equal(params.e820_entries, 128);
    assert_int_equal(params.e820_table[127].addr, 0x200001 + 62 * 0x2000);
    m.request.reserved_count = 64;
    assert_refused(&m, plan_machine(&m), &c);
    free_machine(&m);
}

/* Memory on both sides of 4 GiB, and up to the last byte that there can be. */
static void
test_loader_loader__high_memory(void **state)
{
    struct machine m;
    struct boot_params params;
    uint64_t at;

    (void)state;
    make_kernel(&m);
    add_initrd(&m, flat, 0x2000);
    set_field(kernel, 0x22c, 4, UINT32_MAX);
    m.regions[2].guest = (UINT64_C(1) << 32) - 0x800; /* 0x800 below it */
    m.regions[3].guest = UINT64_MAX - m.regions[3].bytes;
    assert_int_equal(plan_machine(&m), ULV_OK);
    pieces_of(&m.plan, ULV_PIECE_INITRD, &at);
    assert_int_equal(at, 0x250000 - 0x2000);
    m.request.initrd.bytes = 0x800;
    assert_int_equal(plan_machine(&m), ULV_OK);
    pieces_of(&m.plan, ULV_PIECE_INITRD, &at);
    assert_int_equal(at, 0x250000 - 0x1000); /* whole pages below 4 GiB */
    write_machine(&m);
    peek(&m, m.plan.rsi, &params, sizeof(params));
    assert_int_equal(params.e820_entries, 4);
    assert_int_equal(params.e820_table[3].addr + params.e820_table[3].size,
                     UINT64_MAX);
    free_machine(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader_loader__flat),
        cmocka_unit_test(test_loader_loader__one_thing_wrong),
        cmocka_unit_test(test_loader_loader__flat_out_of_reach),
        cmocka_unit_test(test_loader_loader__initrd_of_what_takes_none),
        cmocka_unit_test(test_loader_loader__reserved),
        cmocka_unit_test(test_loader_loader__kind_is_found),
        cmocka_unit_test(test_loader_loader__room),
        cmocka_unit_test(test_loader_loader__no_room),
        cmocka_unit_test(test_loader_loader__command_line),
        cmocka_unit_test(test_loader_loader__map),
        cmocka_unit_test(test_loader_loader__long_map),
        cmocka_unit_test(test_loader_loader__high_memory),
    };

    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
