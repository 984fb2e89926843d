/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * ELF images with a PVH note: one good image, its start info, and all that can
 * be wrong with its notes, its entry and its physical addresses.
 */
#include "loader_test.h"

#include <elf.h>

#define SEGMENTS     4
#define BASE         UINT64_C(0x200000)
#define VIRTUAL      UINT64_C(0xffffffff80000000)
#define INITRD_BYTES 5000

struct note {
    Elf64_Nhdr header;
    char name[4];
    uint64_t description;
};

struct image {
    Elf64_Ehdr header;
    Elf64_Phdr segment[SEGMENTS];
    struct note other, entry;
    uint8_t code[100], data[60];
};

/* As public/arch-x86/hvm/start_info.h of Xen lays them out. */
struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
    uint32_t memmap_entries, reserved;
};
struct module {
    uint64_t paddr, size, cmdline_paddr, reserved;
};
struct memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};

#define HEADER(field)       offsetof(struct image, header.field)
#define SEGMENT(idx, field) offsetof(struct image, segment[idx].field)
#define ENTRY(field)        offsetof(struct image, entry.field)
#define OTHER(field)        offsetof(struct image, other.field)
#define NOTES               offsetof(struct image, other)
#define NOTE_BYTES          (2 * sizeof(struct note))

static const char cmdline[] = "console=hvc0";
static struct image image;
static uint8_t initrd[INITRD_BYTES];

static void
make_image(void)
{
    Elf64_Ehdr *h = &image.header;

    memset(&image, 0, sizeof(image));
    memcpy(h->e_ident, ELFMAG, SELFMAG);
    h->e_ident[EI_CLASS] = ELFCLASS64;
    h->e_ident[EI_DATA] = ELFDATA2LSB;
    h->e_ident[EI_VERSION] = EV_CURRENT;
    h->e_type = ET_EXEC;
    h->e_machine = EM_X86_64;
    h->e_entry = VIRTUAL;
    h->e_phoff = SEGMENT(0, p_type);
    h->e_phentsize = sizeof(image.segment[0]);
    h->e_phnum = SEGMENTS;
    image.segment[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                     .p_flags = PF_R | PF_X,
                                     .p_offset = offsetof(struct image, code),
                                     .p_vaddr = VIRTUAL,
                                     .p_paddr = BASE,
                                     .p_filesz = sizeof(image.code),
                                     .p_memsz = 0x60000 };
    image.segment[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                     .p_flags = PF_R | PF_W,
                                     .p_offset = offsetof(struct image, data),
                                     .p_vaddr = 0, /* as per-CPU data has */
                                     .p_paddr = BASE + 0x60000,
                                     .p_filesz = sizeof(image.data),
                                     .p_memsz = 0x1000 };
    image.segment[2] = (Elf64_Phdr){ .p_type = PT_NOTE,
                                     .p_offset = NOTES,
                                     .p_filesz = NOTE_BYTES,
                                     .p_align = 4 };
    image.segment[3] = (Elf64_Phdr){ .p_type = PT_GNU_STACK };
    image.other = (struct note){ { 4, 8, 6 }, "Xen", VIRTUAL };
    image.entry = (struct note){ { 4, 8, 18 }, "Xen", BASE + 16 };
    memset(image.code, 0x90, sizeof(image.code));
    memset(image.data, 0x44, sizeof(image.data));
    memset(initrd, 0x77, sizeof(initrd));
}

static void
make_good(struct machine *m)
{
    make_image();
    make_machine(m, &image, sizeof(image));
    m->request.cmdline = cmdline;
    m->request.rsdp = 0xe0000;
    add_initrd(m, initrd, sizeof(initrd));
}

static void
check_start_info(const struct machine *m, const struct start_info *info)
{
    uint8_t bytes[INITRD_BYTES];
    struct module module;
    struct memmap_entry map[2];

    assert_int_equal(info->magic, 0x336ec578);
    assert_int_equal(info->version, 1);
    assert_int_equal(info->flags, 0);
    assert_int_equal(info->nr_modules, 1);
    assert_int_equal(info->rsdp_paddr, 0xe0000);
    peek(m, info->cmdline_paddr, bytes, sizeof(cmdline));
    assert_memory_equal(bytes, cmdline, sizeof(cmdline));
    peek(m, info->modlist_paddr, &module, sizeof(module));
    assert_int_equal(module.size, INITRD_BYTES);
    assert_int_equal(module.cmdline_paddr, 0);
    peek(m, module.paddr, bytes, INITRD_BYTES);
    assert_memory_equal(bytes, initrd, INITRD_BYTES);
    assert_int_equal(info->memmap_entries, 2);
    peek(m, info->memmap_paddr, map, sizeof(map));
    assert_int_equal(map[0].addr, 0);
    assert_int_equal(map[0].size, 0xa0000);
    assert_int_equal(map[0].type, 1);
    assert_int_equal(map[1].addr, 0x100000);
    assert_int_equal(map[1].size, MEMORY - 0x100000);
    assert_int_equal(map[1].type, 1);
}

static void
test_loader_pvh__good(void **state)
{
    struct machine m;
    struct start_info info;
    uint8_t bytes[0x1000];

    (void)state;
    make_good(&m);
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.kind, ULV_LOADER_PVH);
    assert_int_equal(m.plan.mode, ULV_ENTRY_PROTECTED);
    assert_int_equal(m.plan.entry, BASE + 16);
    write_machine(&m);
    peek(&m, m.plan.rbx, &info, sizeof(info));
    check_start_info(&m, &info);
    peek(&m, BASE, bytes, sizeof(image.code) + 1);
    assert_memory_equal(bytes, image.code, sizeof(image.code));
    assert_int_equal(bytes[sizeof(image.code)], 0);
    peek(&m, BASE + 0x60000 - 1, bytes, 1); /* three regions behind */
    assert_int_equal(bytes[0], 0);
    peek(&m, BASE + 0x60000, bytes, sizeof(bytes));
    assert_memory_equal(bytes, image.data, sizeof(image.data));
    assert_int_equal(bytes[sizeof(bytes) - 1], 0);
    free_machine(&m);
}

static void
test_loader_pvh__bare(void **state)
{
    struct machine m;
    struct start_info info;

    (void)state;
    make_image();
    make_machine(&m, &image, sizeof(image));
    m.request.kind = ULV_LOADER_PVH;
    assert_int_equal(plan_machine(&m), ULV_OK);
    write_machine(&m);
    peek(&m, m.plan.rbx, &info, sizeof(info));
    assert_int_equal(info.nr_modules, 0);
    assert_int_equal(info.modlist_paddr, 0);
    assert_int_equal(info.cmdline_paddr, 0);
    assert_int_equal(info.rsdp_paddr, 0);
    free_machine(&m);
}

/* Of the kind that is demanded: a note is what makes an image PVH. */
static void
test_loader_pvh__kinds(void **state)
{
    const struct change none = { "no note", 0, 0, 0, ULV_E_FORMAT, 0, 18,
                                 "no PVH note (Xen, type 18)" };
    struct machine m;

    (void)state;
    make_image();
    make_machine(&m, &image, sizeof(image));
    m.request.kind = ULV_LOADER_SDK; /* by virtual addresses, then */
    assert_int_equal(plan_machine(&m), ULV_E_FORMAT);
    assert_non_null(strstr(m.diag.text, "outside the memory"));
    image.segment[2].p_type = PT_NULL;
    m.request.kind = ULV_LOADER_PVH;
    assert_refused(&m, plan_machine(&m), &none);
    image.segment[0].p_vaddr = BASE;
    image.segment[1].p_vaddr = BASE + 0x60000;
    image.header.e_entry = BASE + 4;
    m.request.kind = ULV_LOADER_AUTO;
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.kind, ULV_LOADER_SDK);
    assert_int_equal(m.plan.entry, BASE + 4);
    free_machine(&m);
}

static const struct change refused[] = {
    { "class", EI_CLASS, 1, 1, ULV_E_FORMAT, 1, 2, "class 1" },
    { "type", HEADER(e_type), 2, ET_REL, ULV_E_FORMAT, 1, 2, "ELF type 1" },
    { "notes beyond", SEGMENT(2, p_offset), 8, sizeof(image) - NOTE_BYTES + 1,
      ULV_E_FORMAT, sizeof(image) + 1, sizeof(image),
      "segment 2: 48 bytes at offset" },
    { "notes wrap", SEGMENT(2, p_offset), 8, UINT64_MAX, ULV_E_FORMAT,
      UINT64_MAX, sizeof(image), "segment 2: 48 bytes at offset" },
    { "many bytes of notes", SEGMENT(2, p_filesz), 8, 65537, ULV_E_FORMAT,
      65537, 65536, "segment 2: 65537 bytes of notes" },
    { "name beyond", ENTRY(header.n_namesz), 4, 13, ULV_E_FORMAT,
      sizeof(struct note) + 12 + 16 + 8, NOTE_BYTES,
      "the note at 24 ends at 60" },
    { "name far beyond", ENTRY(header.n_namesz), 4, UINT32_MAX, ULV_E_FORMAT,
      24 + 12 + (UINT64_C(1) << 32) + 8, NOTE_BYTES, "the note at 24" },
    { "description beyond", ENTRY(header.n_descsz), 4, 9, ULV_E_FORMAT, 49,
      NOTE_BYTES, "the note at 24 ends at 49, the segment at 48" },
    { "first of them beyond", OTHER(header.n_descsz), 4, UINT32_MAX,
      ULV_E_FORMAT, 16 + UINT64_C(0xffffffff), NOTE_BYTES,
      "the note at 0 ends at" },
    { "cut off", SEGMENT(2, p_filesz), 8, NOTE_BYTES - 1, ULV_E_FORMAT, 48, 47,
      "ends at 48, the segment at 47" },
    { "no description", ENTRY(header.n_descsz), 4, 0, ULV_E_FORMAT, 0, 8,
      "has 0 bytes, 4 or 8" },
    { "half of it", ENTRY(header.n_descsz), 4, 7, ULV_E_FORMAT, 7, 8,
      "has 7 bytes" },
    { "two of them", OTHER(header.n_type), 4, 18, ULV_E_FORMAT, VIRTUAL,
      UINT64_C(1) << 32, "out of reach of 32-bit code" },
    { "entry at 4 GiB", ENTRY(description), 8, UINT64_C(1) << 32, ULV_E_FORMAT,
      UINT64_C(1) << 32, UINT64_C(1) << 32, "out of reach of 32-bit code" },
    { "entry in data", ENTRY(description), 8, BASE + 0x60000, ULV_E_FORMAT,
      BASE + 0x60000, 0, "entry 0x260000 is in no executable segment" },
    { "entry before", ENTRY(description), 8, BASE - 1, ULV_E_FORMAT, BASE - 1,
      0, "entry 0x1fffff" },
    { "interpreter", SEGMENT(3, p_type), 4, PT_INTERP, ULV_E_FORMAT, PT_INTERP,
      PT_LOAD, "dynamically linked" },
    { "in the hole", SEGMENT(1, p_paddr), 8, 0xa0000, ULV_E_FORMAT, 0xa1000,
      0xa0000, "segment 1: from 0xa0000 to 0xa1000, outside the memory from "
      "0x0 to 0xa0000" },
    { "into the hole", SEGMENT(1, p_paddr), 8, 0x9ffff, ULV_E_FORMAT, 0xa0fff,
      0xa0000, "segment 1: from 0x9ffff" },
    { "over the hole", SEGMENT(1, p_memsz), 8, 0x600000, ULV_E_FORMAT,
      BASE + 0x660000, MEMORY, "outside the memory from 0x100000 to 0x700000" },
    { "beyond memory", SEGMENT(1, p_paddr), 8, MEMORY - 0xfff, ULV_E_FORMAT,
      MEMORY + 1, MEMORY, "segment 1: from 0x6ff001 to 0x700001" },
    { "wraps", SEGMENT(1, p_paddr), 8, UINT64_MAX - 0xfff, ULV_E_FORMAT,
      UINT64_MAX - 0xfff, UINT64_MAX - 0x1000, "segment 1: at" },
    { "overlap", SEGMENT(1, p_paddr), 8, BASE + 0x5ffff, ULV_E_FORMAT,
      BASE + 0x5ffff, BASE, "overlaps segment 0 at 0x200000" },
    { "file beyond", SEGMENT(1, p_filesz), 8, sizeof(image), ULV_E_FORMAT,
      offsetof(struct image, data) + sizeof(image), sizeof(image),
      "segment 1:" },
    { "file above memory", SEGMENT(1, p_memsz), 8, 59, ULV_E_FORMAT, 60, 59,
      "60 bytes of the image in 59 bytes of memory" },
};

static void
test_loader_pvh__one_thing_wrong(void **state)
{
    struct machine m;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(refused); i++) {
        make_good(&m);
        set_field(&image, refused[i].offset, refused[i].width, refused[i].to);
        assert_refused(&m, plan_machine(&m), &refused[i]);
        free_machine(&m);
    }
}

static const struct change accepted[] = {
    { "entry of 4 bytes", ENTRY(header.n_descsz), 4, 4 },
    { "an empty note", OTHER(header.n_type), 4, 0 },
    { "another's note of the type", OTHER(name), 3, 0x554e47 },
    { "notes behind the note", SEGMENT(2, p_filesz), 8, NOTE_BYTES + 11 },
    { "last byte", ENTRY(description), 8, BASE + 0x5ffff },
    { "side by side", SEGMENT(1, p_paddr), 8, BASE + 0x60000 },
    { "to the end of low memory", SEGMENT(1, p_paddr), 8, 0x9f000 },
    { "at 0", SEGMENT(1, p_paddr), 8, 0 },
    { "to the end of memory", SEGMENT(1, p_paddr), 8, MEMORY - 0x1000 },
    { "where it would be put", SEGMENT(1, p_paddr), 8, 0x1000 },
    { "up to it", SEGMENT(1, p_paddr), 8, 0x800 },
};

static void
test_loader_pvh__just_right(void **state)
{
    struct machine m;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(accepted); i++) {
        ulv_status status;

        make_good(&m);
        if (strcmp(accepted[i].name, "another's note of the type") == 0)
            image.other.header.n_type = 18;
        set_field(&image, accepted[i].offset, accepted[i].width,
                  accepted[i].to);
        status = plan_machine(&m);
        if (status != ULV_OK)
            print_message("# %s: %s\n", accepted[i].name, m.diag.text);
        assert_int_equal(status, ULV_OK);
        write_machine(&m);
        free_machine(&m);
    }
}

static void
test_loader_pvh__second_note(void **state)
{
    const struct change second = { "second", 0, 0, 0, ULV_E_FORMAT, 2, 1,
                                   "a second PVH note" };
    struct machine m;

    (void)state;
    make_good(&m);
    image.other = image.entry;
    assert_refused(&m, plan_machine(&m), &second);
    free_machine(&m);
}

/* Notes of 12 bytes each, and the image's note behind them. */
static void
test_loader_pvh__number_of_notes(void **state)
{
    const struct change many = { "many", 0, 0, 0, ULV_E_FORMAT, 257, 256,
                                 "more than 256 notes" };
    static uint8_t bytes[sizeof(struct image) + 260 * 12];
    struct machine m;

    (void)state;
    make_image();
    image.segment[2].p_offset = sizeof(image);
    for (uint64_t count = 255; count <= 256; count++) {
        uint64_t used = sizeof(image) + count * 12 + sizeof(image.entry);

        memset(bytes, 0, sizeof(bytes));
        image.segment[2].p_filesz = used - sizeof(image);
        memcpy(bytes, &image, sizeof(image));
        memcpy(bytes + sizeof(image) + count * 12, &image.entry,
               sizeof(image.entry));
        make_machine(&m, bytes, used);
        if (count == 255)
            assert_int_equal(plan_machine(&m), ULV_OK);
        else
            assert_refused(&m, plan_machine(&m), &many);
        free_machine(&m);
    }
}

/* With an alignment of 8, as newer notes have it. */
static void
test_loader_pvh__aligned_to_8(void **state)
{
    struct machine m;

    (void)state;
    make_good(&m);
    image.segment[2].p_align = 8;
    image.other.header.n_descsz = 5;
    assert_int_equal(plan_machine(&m), ULV_OK);
    assert_int_equal(m.plan.entry, BASE + 16);
    free_machine(&m);
}

static void
test_loader_pvh__each_read_fails(void **state)
{
    struct machine m;
    uint64_t reads;

    (void)state;
    make_good(&m);
    assert_int_equal(plan_machine(&m), ULV_OK);
    reads = m.image.reads;
    for (uint64_t n = 1; n <= reads; n++) {
        m.image.reads = 0;
        m.image.fail_at = n;
        assert_int_equal(plan_machine(&m), ULV_E_MEDIUM);
        assert_non_null(strstr(m.diag.text, "cannot be read"));
    }
    m.image.reads = 0;
    m.image.fail_at = reads + 1;
    assert_int_equal(plan_machine(&m), ULV_OK);
    for (uint64_t n = 1; n <= 2; n++) {
        m.image.reads = 0;
        m.image.fail_at = n;
        assert_int_equal(ulv_loader_write(&m.plan, &m.diag), ULV_E_MEDIUM);
    }
    free_machine(&m);
}

static void
test_loader_pvh__truncated_at_every_length(void **state)
{
    struct machine m;

    (void)state;
    make_good(&m);
    for (uint64_t bytes = 0; bytes < sizeof(image); bytes++) {
        m.image.bytes = m.request.image.bytes = bytes;
        assert_int_equal(plan_machine(&m), ULV_E_FORMAT);
    }
    free_machine(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader_pvh__good),
        cmocka_unit_test(test_loader_pvh__bare),
        cmocka_unit_test(test_loader_pvh__kinds),
        cmocka_unit_test(test_loader_pvh__one_thing_wrong),
        cmocka_unit_test(test_loader_pvh__just_right),
        cmocka_unit_test(test_loader_pvh__second_note),
        cmocka_unit_test(test_loader_pvh__number_of_notes),
        cmocka_unit_test(test_loader_pvh__aligned_to_8),
        cmocka_unit_test(test_loader_pvh__each_read_fails),
        cmocka_unit_test(test_loader_pvh__truncated_at_every_length),
    };

    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
