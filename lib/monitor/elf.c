/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "monitor/elf.h"

#include "base/base.h"

#define EHDR_BYTES 64u
#define PHDR_BYTES 56u
#define PHDRS_MAX  64u

#define ET_EXEC   2u
#define ET_DYN    3u
#define EM_X86_64 62u
#define PT_LOAD   1u
#define PT_INTERP 3u

struct program_header {
    uint32_t type, flags;
    uint64_t offset, address, file_bytes, memory_bytes, align;
};

static const struct {
    uint16_t machine;
    const char *name;
} machines[] = {
    { 3, "x86 32-bit" }, { 8, "MIPS" },     { 20, "PowerPC" },
    { 21, "PowerPC64" }, { 22, "S/390" },   { 40, "ARM" },
    { 50, "Itanium" },   { 183, "AArch64" }, { 243, "RISC-V" },
};

static const char *
machine_name(uint16_t machine)
{
    for (size_t i = 0; i < ULV_COUNT_OF(machines); i++) {
        if (machines[i].machine == machine)
            return machines[i].name;
    }
    return "unknown";
}

/* Where [offset, offset + bytes) ends, for a diag. */
static uint64_t
end_of(uint64_t offset, uint64_t bytes)
{
    uint64_t end = UINT64_MAX;

    (void)ulv_add_u64(offset, bytes, &end);
    return end;
}

static ulv_status
check_header(const uint8_t h[EHDR_BYTES], struct ulv_diag *diag)
{
    uint16_t type = ulv_get_le16(h + 16), machine = ulv_get_le16(h + 18);

    if (memcmp(h, "\177ELF", 4) != 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ulv_get_le32(h), 0x464c457f,
                        "not an ELF image: it starts with %x",
                        (uint64_t)ulv_get_le32(h));
    if (machine != EM_X86_64 && h[5] == 1)
        return ulv_fail(diag, ULV_E_FORMAT, 0, machine, EM_X86_64,
                        "the image is for %s (machine %u), x86-64 (62) is "
                        "needed",
                        machine_name(machine), (uint64_t)machine);
    if (h[4] != 2 || h[5] != 1)
        return ulv_fail(diag, ULV_E_FORMAT, 0, h[4] != 2 ? h[4] : h[5],
                        h[4] != 2 ? 2 : 1,
                        "ELF class %u, byte order %u: 64-bit (2) and "
                        "little-endian (1) are needed",
                        (uint64_t)h[4], (uint64_t)h[5]);
    if (type == ET_DYN)
        return ulv_fail(diag, ULV_E_FORMAT, 0, type, ET_EXEC,
                        "the image is position-independent or a library "
                        "(type 3): link it static at a fixed address");
    if (type != ET_EXEC)
        return ulv_fail(diag, ULV_E_FORMAT, 0, type, ET_EXEC,
                        "ELF type %u, an executable (2) is needed",
                        (uint64_t)type);
    if (ulv_get_le16(h + 54) != PHDR_BYTES)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ulv_get_le16(h + 54),
                        PHDR_BYTES, "program headers of %u bytes, not %u",
                        (uint64_t)ulv_get_le16(h + 54), (uint64_t)PHDR_BYTES);
    return ULV_OK;
}

static void
decode_header(const uint8_t p[PHDR_BYTES], struct program_header *ret)
{
    ret->type = ulv_get_le32(p);
    ret->flags = ulv_get_le32(p + 4);
    ret->offset = ulv_get_le64(p + 8);
    ret->address = ulv_get_le64(p + 16);
    ret->file_bytes = ulv_get_le64(p + 32);
    ret->memory_bytes = ulv_get_le64(p + 40);
    ret->align = ulv_get_le64(p + 48);
}

static ulv_status
check_place(const struct ulv_elf_source *source,
            const struct program_header *p, struct ulv_diag *diag)
{
    uint64_t ram_end = source->ram_base + source->ram_bytes, end = 0;

    if (!ulv_add_u64(p->address, p->memory_bytes, &end))
        return ulv_fail(diag, ULV_E_FORMAT, 0, p->address,
                        UINT64_MAX - p->memory_bytes,
                        "segment at %x, %u bytes, wraps around", p->address,
                        p->memory_bytes);
    if (ulv_ranges_overlap(p->address, p->memory_bytes, source->view,
                           source->view_bytes))
        return ulv_fail(diag, ULV_E_FORMAT, 0, p->address, source->view,
                        "segment at %x, %u bytes, overlaps the partition's "
                        "own view at %x",
                        p->address, p->memory_bytes, source->view);
    if (p->address < source->ram_base || end > ram_end)
        return ulv_fail(diag, ULV_E_FORMAT, 0,
                        p->address < source->ram_base ? p->address : end,
                        p->address < source->ram_base ? source->ram_base
                                                      : ram_end,
                        "segment at %x, %u bytes, is outside the memory "
                        "from %x to %x",
                        p->address, p->memory_bytes, source->ram_base,
                        ram_end);
    return ULV_OK;
}

static ulv_status
check_segment(const struct ulv_elf_source *source,
              const struct program_header *p,
              const struct ulv_elf_image *image, struct ulv_diag *diag)
{
    ulv_status status;

    if (p->file_bytes > p->memory_bytes)
        return ulv_fail(diag, ULV_E_FORMAT, 0, p->file_bytes, p->memory_bytes,
                        "segment at %x: %u bytes of the image in %u bytes of "
                        "memory",
                        p->address, p->file_bytes, p->memory_bytes);
    if (!ulv_range_inside(p->offset, p->file_bytes, source->bytes))
        return ulv_fail(diag, ULV_E_FORMAT, 0,
                        end_of(p->offset, p->file_bytes), source->bytes,
                        "segment at %x: %u bytes at offset %u of an image of "
                        "%u bytes",
                        p->address, p->file_bytes, p->offset, source->bytes);
    status = check_place(source, p, diag);
    if (status != ULV_OK)
        return status;
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct ulv_elf_segment *other = &image->segment[i];

        if (ulv_ranges_overlap(p->address, p->memory_bytes, other->guest,
                               other->memory_bytes))
            return ulv_fail(diag, ULV_E_FORMAT, 0, p->address, other->guest,
                            "segment at %x overlaps the one at %x",
                            p->address, other->guest);
    }
    if (image->segment_count == ULV_ELF_SEGMENTS_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ULV_ELF_SEGMENTS_MAX + 1,
                        ULV_ELF_SEGMENTS_MAX, "more than %u segments",
                        (uint64_t)ULV_ELF_SEGMENTS_MAX);
    return ULV_OK;
}

static ulv_status
take_program_header(const struct ulv_elf_source *source, uint64_t offset,
                    struct ulv_elf_image *ret, struct ulv_diag *diag)
{
    uint8_t raw[PHDR_BYTES];
    struct program_header p;
    struct ulv_elf_segment *segment;
    ulv_status status =
        source->read(source->self, offset, raw, sizeof(raw));

    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, offset, 0,
                        "the image cannot be read at offset %u", offset);
    decode_header(raw, &p);
    if (p.type == PT_INTERP)
        return ulv_fail(diag, ULV_E_FORMAT, 0, PT_INTERP, PT_LOAD,
                        "the image is dynamically linked");
    if (p.type != PT_LOAD || (p.memory_bytes == 0 && p.file_bytes == 0))
        return ULV_OK;
    status = check_segment(source, &p, ret, diag);
    if (status != ULV_OK)
        return status;
    segment = &ret->segment[ret->segment_count++];
    segment->guest = p.address;
    segment->memory_bytes = p.memory_bytes;
    segment->file_offset = p.offset;
    segment->file_bytes = p.file_bytes;
    segment->flags = p.flags;
    return ULV_OK;
}

static bool
entry_is_code(const struct ulv_elf_image *image)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct ulv_elf_segment *s = &image->segment[i];

        if ((s->flags & 1) != 0 &&
            image->entry - s->guest < s->memory_bytes)
            return true;
    }
    return false;
}

ulv_status
ulv_elf_check(const struct ulv_elf_source *source, struct ulv_elf_image *ret,
              struct ulv_diag *diag)
{
    uint8_t h[EHDR_BYTES];
    uint64_t table, table_bytes;
    uint16_t count;
    ulv_status status;

    memset(ret, 0, sizeof(*ret));
    if (source->bytes < sizeof(h))
        return ulv_fail(diag, ULV_E_FORMAT, 0, source->bytes, sizeof(h),
                        "not an ELF image: %u bytes are less than its header",
                        source->bytes);
    status = source->read(source->self, 0, h, sizeof(h));
    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, 0, 0, "the image cannot be read");
    status = check_header(h, diag);
    if (status != ULV_OK)
        return status;
    ret->entry = ulv_get_le64(h + 24);
    table = ulv_get_le64(h + 32);
    count = ulv_get_le16(h + 56);
    if (count == 0 || count > PHDRS_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, count, PHDRS_MAX,
                        "%u program headers, 1 to %u are needed",
                        (uint64_t)count, (uint64_t)PHDRS_MAX);
    table_bytes = (uint64_t)count * PHDR_BYTES;
    if (!ulv_range_inside(table, table_bytes, source->bytes))
        return ulv_fail(diag, ULV_E_FORMAT, 0, end_of(table, table_bytes),
                        source->bytes,
                        "%u program headers at offset %u of %u bytes",
                        (uint64_t)count, table, source->bytes);
    for (uint16_t i = 0; i < count && status == ULV_OK; i++)
        status = take_program_header(
            source, table + (uint64_t)i * PHDR_BYTES, ret, diag);
    if (status == ULV_OK && !entry_is_code(ret))
        return ulv_fail(diag, ULV_E_FORMAT, 0, ret->entry, 0,
                        "the entry %x is in no executable segment",
                        ret->entry);
    return status;
}
