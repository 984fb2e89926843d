/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the loader believes of an SDK image: one good image, and all that can be
 * wrong with it, one thing at a time and then any bytes at all. What is
 * accepted is held to the rules from scratch.
 */
#include "loader_test.h"

#include <elf.h>

#define RAM_BASE   UINT64_C(0x400000)
#define RAM_BYTES  UINT64_C(0x100000)
#define RAM_END    (RAM_BASE + RAM_BYTES)
#define VIEW       UINT64_C(0x480000) /* inside, so that memory reaches it */
#define VIEW_BYTES UINT64_C(0x40000)
#define MUTATIONS  300000
#define SEGMENTS   3

struct image {
    Elf64_Ehdr header;
    Elf64_Phdr segment[SEGMENTS];
    uint8_t code[64], data[40];
};

#define HEADER(field)       offsetof(struct image, header.field)
#define SEGMENT(idx, field) offsetof(struct image, segment[idx].field)
#define CODE                offsetof(struct image, code)
#define DATA                offsetof(struct image, data)
#define IMAGE_BYTES         sizeof(struct image)

static void
make_good(struct image *image)
{
    Elf64_Ehdr *h = &image->header;

    memset(image, 0, sizeof(*image));
    memcpy(h->e_ident, ELFMAG, SELFMAG);
    h->e_ident[EI_CLASS] = ELFCLASS64;
    h->e_ident[EI_DATA] = ELFDATA2LSB;
    h->e_ident[EI_VERSION] = EV_CURRENT;
    h->e_type = ET_EXEC;
    h->e_machine = EM_X86_64;
    h->e_version = EV_CURRENT;
    h->e_entry = RAM_BASE + 16;
    h->e_phoff = SEGMENT(0, p_type);
    h->e_ehsize = sizeof(*h);
    h->e_phentsize = sizeof(image->segment[0]);
    h->e_phnum = SEGMENTS;
    image->segment[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                      .p_flags = PF_R | PF_X,
                                      .p_offset = CODE,
                                      .p_vaddr = RAM_BASE,
                                      .p_filesz = sizeof(image->code),
                                      .p_memsz = 4096 };
    image->segment[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                      .p_flags = PF_R | PF_W,
                                      .p_offset = DATA,
                                      .p_vaddr = RAM_BASE + 8192,
                                      .p_filesz = sizeof(image->data),
                                      .p_memsz = 8192 };
    image->segment[2] = (Elf64_Phdr){ .p_type = PT_GNU_STACK };
}

/* What any accepted image keeps to. */
static void
check_accepted(const struct ulv_loader_plan *elf, uint64_t file_bytes)
{
    bool entry_is_code = false;

    assert_in_range(elf->piece_count, 1, ULV_LOADER_SEGMENTS_MAX);
    for (uint32_t i = 0; i < elf->piece_count; i++) {
        const struct ulv_loader_piece *s = &elf->piece[i];

        assert_true(s->guest >= RAM_BASE && s->guest < RAM_END);
        assert_true(s->bytes > 0 &&
                    s->bytes <= RAM_END - s->guest);
        assert_true(s->guest + s->bytes <= VIEW ||
                    s->guest >= VIEW + VIEW_BYTES);
        assert_true(s->source_bytes <= s->bytes);
        assert_true(s->source_bytes <= file_bytes &&
                    s->offset <= file_bytes - s->source_bytes);
        for (uint32_t k = 0; k < i; k++) {
            const struct ulv_loader_piece *other = &elf->piece[k];

            assert_true(s->guest + s->bytes <= other->guest ||
                        other->guest + other->bytes <= s->guest);
        }
        if ((s->flags & PF_X) != 0 && elf->entry >= s->guest &&
            elf->entry < s->guest + s->bytes)
            entry_is_code = true;
    }
    assert_true(entry_is_code);
}

/* Check the first bytes of an image, in a block of just that size. */
static ulv_status
check(const void *image, uint64_t bytes, struct ulv_loader_plan *ret,
      struct ulv_diag *diag, uint64_t fail_at)
{
    uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);
    struct medium medium = { .p = copy, .bytes = bytes, .fail_at = fail_at };
    /* two regions that touch are one memory; nothing is written to it */
    static uint8_t memory[1];
    static const struct ulv_loader_region regions[] = {
        { RAM_BASE, 0x1000, memory },
        { RAM_BASE + 0x1000, RAM_BYTES - 0x1000, memory },
    };
    static const struct ulv_loader_range view = { VIEW, VIEW_BYTES,
                                                  "the partition's own view" };
    struct ulv_loader_request request = {
        .kind = ULV_LOADER_SDK,
        .regions = regions,
        .region_count = ULV_COUNT_OF(regions),
        .reserved = &view,
        .reserved_count = 1,
        .image = { read_medium, &medium, bytes },
    };
    ulv_status status;

    assert_non_null(copy);
    memcpy(copy, image, bytes);
    *diag = (struct ulv_diag)ULV_DIAG_INIT;
    memset(ret, 0xa5, sizeof(*ret));
    status = ulv_loader_plan(&request, ret, diag);
    free(copy);
    if (status == ULV_OK) {
        check_accepted(ret, bytes);
    } else {
        assert_int_equal(diag->status, status);
        assert_true(diag->text[0] != '\0');
        assert_non_null(memchr(diag->text, '\0', sizeof(diag->text)));
    }
    return status;
}

static void
test_loader_elf__good(void **state)
{
    struct image image;
    struct ulv_loader_plan elf;
    struct ulv_diag diag;

    (void)state;
    make_good(&image);
    assert_int_equal(check(&image, sizeof(image), &elf, &diag, 0), ULV_OK);
    assert_int_equal(elf.entry, RAM_BASE + 16);
    assert_int_equal(elf.piece_count, 2);
    assert_int_equal(elf.piece[0].guest, RAM_BASE);
    assert_int_equal(elf.piece[0].bytes, 4096);
    assert_int_equal(elf.piece[0].offset, CODE);
    assert_int_equal(elf.piece[0].source_bytes, sizeof(image.code));
    assert_int_equal(elf.piece[0].flags, PF_R | PF_X);
    assert_int_equal(elf.piece[1].guest, RAM_BASE + 8192);
    assert_int_equal(elf.piece[1].bytes, 8192);
    assert_int_equal(elf.piece[1].offset, DATA);
    assert_int_equal(elf.piece[1].source_bytes, sizeof(image.data));
    assert_int_equal(elf.piece[1].flags, PF_R | PF_W);
}

/* One change of a good image: width bytes at offset become this. */
struct field {
    const char *name;
    size_t offset;
    uint32_t width;
    uint64_t to;
    uint64_t value, bound; /* that the diag names */
    const char *text;      /* part of it */
};

static const struct field refused[] = {
    { "magic", 0, 1, 0x7e, 0x464c457e, 0x464c457f, "not an ELF image" },
    { "32-bit", EI_CLASS, 1, 1, 1, 2, "class 1" },
    { "no class", EI_CLASS, 1, 0, 0, 2, "class 0" },
    { "big-endian", EI_DATA, 1, 2, 2, 1, "byte order 2" },
    { "no byte order", EI_DATA, 1, 0, 0, 1, "byte order 0" },
    { "AArch64", HEADER(e_machine), 2, 183, 183, 62, "AArch64" },
    { "x86", HEADER(e_machine), 2, 3, 3, 62, "x86 32-bit" },
    { "no machine", HEADER(e_machine), 2, 0, 0, 62, "unknown (machine 0)" },
    { "library", HEADER(e_type), 2, ET_DYN, 3, 2, "link it static" },
    { "object", HEADER(e_type), 2, ET_REL, 1, 2, "ELF type 1" },
    { "core", HEADER(e_type), 2, ET_CORE, 4, 2, "ELF type 4" },
    { "no header size", HEADER(e_phentsize), 2, 0, 0, 56, "of 0 bytes" },
    { "short header", HEADER(e_phentsize), 2, 55, 55, 56, "of 55 bytes" },
    { "long header", HEADER(e_phentsize), 2, 65535, 65535, 56, "65535" },
    { "no headers", HEADER(e_phnum), 2, 0, 0, 64, "0 program headers" },
    { "65 headers", HEADER(e_phnum), 2, 65, 65, 64, "65 program headers" },
    { "65535 headers", HEADER(e_phnum), 2, 65535, 65535, 64, "65535" },
    { "table beyond", HEADER(e_phoff), 8, IMAGE_BYTES - 167, IMAGE_BYTES + 1,
      IMAGE_BYTES, "3 program headers at offset" },
    { "table wraps", HEADER(e_phoff), 8, UINT64_MAX - 100, UINT64_MAX,
      IMAGE_BYTES, "18446744073709551515" },
    { "long table", HEADER(e_phnum), 2, 64, 64 + 64 * sizeof(Elf64_Phdr),
      IMAGE_BYTES, "64 program headers at offset 64" },
    { "interpreter", SEGMENT(2, p_type), 4, PT_INTERP, PT_INTERP, PT_LOAD,
      "dynamically linked" },
    { "file beyond", SEGMENT(1, p_filesz), 8, 41, IMAGE_BYTES + 1,
      IMAGE_BYTES, "41 bytes" },
    { "offset beyond", SEGMENT(1, p_offset), 8, IMAGE_BYTES + 1,
      IMAGE_BYTES + 41, IMAGE_BYTES, "40 bytes at offset" },
    { "offset near the end", SEGMENT(1, p_offset), 8, IMAGE_BYTES - 39,
      IMAGE_BYTES + 1, IMAGE_BYTES, "40 bytes at offset" },
    { "offset wraps", SEGMENT(1, p_offset), 8, UINT64_MAX - 20, UINT64_MAX,
      IMAGE_BYTES, "18446744073709551595" },
    { "file above memory", SEGMENT(0, p_memsz), 8, 63, 64, 63,
      "64 bytes of the image in 63 bytes of memory" },
    { "file in no memory", SEGMENT(0, p_memsz), 8, 0, 64, 0,
      "64 bytes of the image in 0 bytes of memory" },
    { "address wraps", SEGMENT(1, p_vaddr), 8, UINT64_MAX - 100,
      UINT64_MAX - 100, UINT64_MAX - 8192, "wraps around" },
    { "memory wraps", SEGMENT(1, p_memsz), 8, UINT64_MAX, RAM_BASE + 8192, 0,
      "wraps around" },
    { "ends at 2^64", SEGMENT(1, p_vaddr), 8, UINT64_MAX - 8191,
      UINT64_MAX - 8191, UINT64_MAX - 8192, "wraps around" },
    { "at 0", SEGMENT(1, p_vaddr), 8, 0, 0, RAM_BASE, "outside the memory" },
    { "over the gate", SEGMENT(1, p_vaddr), 8, 0x3ff000, 0x3ff000, RAM_BASE,
      "outside the memory from 0x400000" },
    { "a byte below", SEGMENT(1, p_vaddr), 8, RAM_BASE - 1, RAM_BASE - 1,
      RAM_BASE, "from 0x3fffff" },
    { "a byte above", SEGMENT(1, p_vaddr), 8, RAM_END - 8191, RAM_END + 1,
      RAM_END, "to 0x500000" },
    { "above memory", SEGMENT(1, p_vaddr), 8, RAM_END, RAM_END + 8192, RAM_END,
      "outside the memory" },
    { "in the window", SEGMENT(1, p_vaddr), 8, UINT64_C(0x104000000),
      UINT64_C(0x104002000), RAM_END, "outside the memory" },
    { "into the view", SEGMENT(1, p_vaddr), 8, VIEW - 8191, VIEW - 8191, VIEW,
      "view at 0x480000" },
    { "view's last byte", SEGMENT(1, p_vaddr), 8, VIEW + VIEW_BYTES - 1,
      VIEW + VIEW_BYTES - 1, VIEW, "view at 0x480000" },
    { "around the view", SEGMENT(1, p_memsz), 8, 0xf0000, RAM_BASE + 8192,
      VIEW, "view at 0x480000" },
    { "overlap", SEGMENT(1, p_vaddr), 8, RAM_BASE + 4095, RAM_BASE + 4095,
      RAM_BASE, "segment 1: at 0x400fff, 8192 bytes, overlaps segment 0 at " },
    { "overlap from below", SEGMENT(0, p_memsz), 8, 8193, RAM_BASE + 8192,
      RAM_BASE, "overlaps segment 0 at 0x400000" },
    { "same place", SEGMENT(1, p_vaddr), 8, RAM_BASE, RAM_BASE, RAM_BASE,
      "overlaps" },
    { "entry in data", HEADER(e_entry), 8, RAM_BASE + 8192, RAM_BASE + 8192, 0,
      "entry 0x402000" },
    { "entry behind", HEADER(e_entry), 8, RAM_BASE + 4096, RAM_BASE + 4096, 0,
      "entry 0x401000" },
    { "entry before", HEADER(e_entry), 8, RAM_BASE - 1, RAM_BASE - 1, 0,
      "entry 0x3fffff" },
    { "entry 0", HEADER(e_entry), 8, 0, 0, 0, "entry 0x0" },
    { "no code", SEGMENT(0, p_flags), 4, PF_R | PF_W, RAM_BASE + 16, 0,
      "in no executable segment" },
    { "nothing loaded there", SEGMENT(0, p_type), 4, PT_NULL, RAM_BASE + 16, 0,
      "in no executable segment" },
};

static void
test_loader_elf__one_thing_wrong(void **state)
{
    struct image image;
    struct ulv_loader_plan elf;
    struct ulv_diag diag;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(refused); i++) {
        const struct field *c = &refused[i];
        ulv_status status;

        make_good(&image);
        set_field(&image, c->offset, c->width, c->to);
        status = check(&image, sizeof(image), &elf, &diag, 0);
        if (status != ULV_E_FORMAT || diag.value != c->value ||
            diag.bound != c->bound || strstr(diag.text, c->text) == NULL)
            print_message("%s: value %llx, bound %llx: %s\n", c->name,
                          (unsigned long long)diag.value,
                          (unsigned long long)diag.bound, diag.text);
        assert_int_equal(status, ULV_E_FORMAT);
        assert_int_equal(diag.value, c->value);
        assert_int_equal(diag.bound, c->bound);
        assert_non_null(strstr(diag.text, c->text));
    }
}

/* The largest and smallest that is right. */
static const struct field accepted[] = {
    { "all of the memory below the view", SEGMENT(1, p_memsz), 8,
      VIEW - RAM_BASE - 8192 },
    { "to the end of memory", SEGMENT(1, p_vaddr), 8, RAM_END - 8192 },
    { "up to the view", SEGMENT(1, p_vaddr), 8, VIEW - 8192 },
    { "behind the view", SEGMENT(1, p_vaddr), 8, VIEW + VIEW_BYTES },
    { "side by side", SEGMENT(1, p_vaddr), 8, RAM_BASE + 4096 },
    { "not aligned", SEGMENT(1, p_vaddr), 8, RAM_BASE + 4097 },
    { "last byte", HEADER(e_entry), 8, RAM_BASE + 4095 },
    { "only zeroes", SEGMENT(1, p_filesz), 8, 0 },
    { "same bytes twice", SEGMENT(1, p_offset), 8, CODE },
    { "one header", HEADER(e_phnum), 2, 1 },
    /* a guest's memory is one right; what its segments say is its own */
    { "writable code", SEGMENT(0, p_flags), 4, PF_R | PF_W | PF_X },
    { "no section headers", HEADER(e_shoff), 8, UINT64_MAX },
};

static void
test_loader_elf__just_right(void **state)
{
    struct image image;
    struct ulv_loader_plan elf;
    struct ulv_diag diag;

    (void)state;
    for (size_t i = 0; i < ULV_COUNT_OF(accepted); i++) {
        const struct field *c = &accepted[i];
        ulv_status status;

        make_good(&image);
        set_field(&image, c->offset, c->width, c->to);
        status = check(&image, sizeof(image), &elf, &diag, 0);
        if (status != ULV_OK)
            print_message("%s: %s\n", c->name, diag.text);
        assert_int_equal(status, ULV_OK);
    }
}

/* A header and so many segments of a page each. */
static void
make_many(uint8_t *bytes, uint16_t count)
{
    struct image good;
    Elf64_Phdr segment;

    make_good(&good);
    good.header.e_phnum = count;
    memcpy(bytes, &good.header, sizeof(good.header));
    for (uint16_t i = 0; i < count; i++) {
        segment = good.segment[0];
        segment.p_offset = segment.p_filesz = 0;
        segment.p_vaddr = RAM_BASE + (uint64_t)i * 4096;
        memcpy(bytes + 64 + i * sizeof(segment), &segment, sizeof(segment));
    }
}

static void
test_loader_elf__number_of_segments(void **state)
{
    uint8_t bytes[64 + 64 * sizeof(Elf64_Phdr)];
    struct ulv_loader_plan elf;
    struct ulv_diag diag;

    (void)state;
    make_many(bytes, ULV_LOADER_SEGMENTS_MAX);
    assert_int_equal(check(bytes, sizeof(bytes), &elf, &diag, 0), ULV_OK);
    assert_int_equal(elf.piece_count, ULV_LOADER_SEGMENTS_MAX);
    for (uint16_t count = ULV_LOADER_SEGMENTS_MAX + 1; count <= 64; count++) {
        make_many(bytes, count);
        assert_int_equal(check(bytes, sizeof(bytes), &elf, &diag, 0),
                         ULV_E_FORMAT);
        assert_int_equal(diag.value, ULV_LOADER_SEGMENTS_MAX + 1);
        assert_int_equal(diag.bound, ULV_LOADER_SEGMENTS_MAX);
    }
}

static void
test_loader_elf__truncated_at_every_length(void **state)
{
    struct image image;
    struct ulv_loader_plan elf;
    struct ulv_diag diag;

    (void)state;
    make_good(&image);
    for (uint64_t bytes = 0; bytes < sizeof(image); bytes++) {
        assert_int_equal(check(&image, bytes, &elf, &diag, 0), ULV_E_FORMAT);
        if (bytes < sizeof(image.header)) {
            assert_int_equal(diag.value, bytes);
            assert_int_equal(diag.bound, sizeof(image.header));
        } else {
            assert_int_equal(diag.bound, bytes);
            assert_true(diag.value > bytes && diag.value <= IMAGE_BYTES);
        }
    }
}

static void
test_loader_elf__each_read_fails(void **state)
{
    struct image image;
    struct ulv_loader_plan elf;
    struct ulv_diag diag;

    (void)state;
    make_good(&image);
    for (uint64_t n = 1; n <= 1 + SEGMENTS; n++) {
        assert_int_equal(check(&image, sizeof(image), &elf, &diag, n),
                         ULV_E_MEDIUM);
        assert_non_null(strstr(diag.text, "cannot be read"));
    }
    assert_int_equal(check(&image, sizeof(image), &elf, &diag, 2 + SEGMENTS),
                     ULV_OK);
}

/* Bytes of the header of which no other value is right. */
static bool
is_fixed(size_t at)
{
    return at < EI_VERSION ||
           (at >= HEADER(e_type) && at < HEADER(e_version)) ||
           (at >= HEADER(e_phentsize) && at < HEADER(e_phnum)) ||
           at == HEADER(e_phnum) + 1;
}

static void
test_loader_elf__every_byte_of_the_headers(void **state)
{
    struct image image;
    struct ulv_loader_plan elf;
    struct ulv_diag diag;

    (void)state;
    for (size_t at = 0; at < CODE; at++) {
        for (uint32_t value = 0; value < 256; value++) {
            uint8_t *bytes = (uint8_t *)&image;
            ulv_status status;

            make_good(&image);
            if (bytes[at] == value)
                continue;
            bytes[at] = (uint8_t)value;
            status = check(&image, sizeof(image), &elf, &diag, 0);
            assert_true(status == ULV_OK || status == ULV_E_FORMAT);
            if (is_fixed(at))
                assert_int_equal(status, ULV_E_FORMAT);
        }
    }
}

static void
test_loader_elf__any_bytes(void **state)
{
    static const uint64_t edge[] = { 0, 1, 0xff, 0x400000, 0x4fffff, 0x500000,
                                     INT64_MAX, UINT64_MAX - 1, UINT64_MAX };
    struct ulv_loader_plan elf;
    struct ulv_diag diag;
    uint64_t seed = 7, loaded = 0;

    (void)state;
    for (uint32_t n = 0; n < MUTATIONS; n++) {
        struct image image;

        make_good(&image);
        for (uint32_t i = 0; i < 1 + n % 4; i++) {
            uint64_t at;

            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            at = EI_VERSION + (seed >> 33) % (CODE - EI_VERSION - 8);
            if (seed >> 63 != 0)
                set_field(&image, at & ~UINT64_C(7), 8,
                    edge[(seed >> 20) % ULV_COUNT_OF(edge)]);
            else
                set_field(&image, at, 1, seed >> 50);
        }
        if (check(&image, sizeof(image), &elf, &diag, 0) == ULV_OK)
            loaded++;
    }
    assert_true(loaded > 0 && loaded < MUTATIONS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader_elf__good),
        cmocka_unit_test(test_loader_elf__one_thing_wrong),
        cmocka_unit_test(test_loader_elf__just_right),
        cmocka_unit_test(test_loader_elf__number_of_segments),
        cmocka_unit_test(test_loader_elf__truncated_at_every_length),
        cmocka_unit_test(test_loader_elf__each_read_fails),
        cmocka_unit_test(test_loader_elf__every_byte_of_the_headers),
        cmocka_unit_test(test_loader_elf__any_bytes),
    };

    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
