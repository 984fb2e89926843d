/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * ELF images: those of the SDK, at their virtual addresses, and kernels with a
 * PVH note, at their physical ones.
 *
 * Source: System V gABI 4.1 chapters 4 and 5, psABI AMD64; Xen
 * public/elfnote.h.
 */
#include "loader/loader_priv.h"

#define EHDR_BYTES 64u
#define PHDR_BYTES 56u
#define PHDRS_MAX  64u

#define ET_EXEC   2u
#define ET_DYN    3u
#define EM_X86_64 62u
#define PT_LOAD   1u
#define PT_INTERP 3u
#define PT_NOTE   4u
#define PF_X      1u

/* Notes are few and small; a header may claim anything. */
#define NOTES_MAX          256u
#define NOTE_SEGMENT_MAX   UINT64_C(65536)
#define NOTE_BYTES         12u
#define NOTE_PHYS32_ENTRY  18u

struct program_header {
    uint32_t number, type, flags;
    uint64_t offset, address, physical, file_bytes, memory_bytes, align;
};

struct elf {
    const struct ulv_loader_request *request;
    uint64_t entry, table;
    uint32_t count;
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

    if (ulv_get_le32(h) != ELF_MAGIC)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ulv_get_le32(h), ELF_MAGIC,
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

static ulv_status
open_elf(const struct ulv_loader_request *request, struct elf *ret,
         struct ulv_diag *diag)
{
    uint8_t h[EHDR_BYTES];
    uint64_t table_bytes, bytes = request->image.bytes;
    ulv_status status;

    if (bytes < sizeof(h))
        return ulv_fail(diag, ULV_E_FORMAT, 0, bytes, sizeof(h),
                        "not an ELF image: %u bytes are less than its header",
                        bytes);
    status = ulv_loader_read(request, 0, h, sizeof(h), diag);
    if (status == ULV_OK)
        status = check_header(h, diag);
    if (status != ULV_OK)
        return status;
    ret->request = request;
    ret->entry = ulv_get_le64(h + 24);
    ret->table = ulv_get_le64(h + 32);
    ret->count = ulv_get_le16(h + 56);
    if (ret->count == 0 || ret->count > PHDRS_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ret->count, PHDRS_MAX,
                        "%u program headers, 1 to %u are needed",
                        (uint64_t)ret->count, (uint64_t)PHDRS_MAX);
    table_bytes = (uint64_t)ret->count * PHDR_BYTES;
    if (!ulv_range_inside(ret->table, table_bytes, bytes))
        return ulv_fail(diag, ULV_E_FORMAT, 0, end_of(ret->table, table_bytes),
                        bytes, "%u program headers at offset %u of %u bytes",
                        (uint64_t)ret->count, ret->table, bytes);
    return ULV_OK;
}

static ulv_status
read_header(const struct elf *elf, uint32_t number,
            struct program_header *ret, struct ulv_diag *diag)
{
    uint8_t p[PHDR_BYTES];
    ulv_status status =
        ulv_loader_read(elf->request,
                        elf->table + (uint64_t)number * PHDR_BYTES, p,
                        sizeof(p), diag);

    if (status != ULV_OK)
        return status;
    ret->number = number;
    ret->type = ulv_get_le32(p);
    ret->flags = ulv_get_le32(p + 4);
    ret->offset = ulv_get_le64(p + 8);
    ret->address = ulv_get_le64(p + 16);
    ret->physical = ulv_get_le64(p + 24);
    ret->file_bytes = ulv_get_le64(p + 32);
    ret->memory_bytes = ulv_get_le64(p + 40);
    ret->align = ulv_get_le64(p + 48);
    return ULV_OK;
}

/* What a segment's bytes are in the image. */
static ulv_status
check_file_range(const struct elf *elf, const struct program_header *p,
                 struct ulv_diag *diag)
{
    uint64_t bytes = elf->request->image.bytes;

    if (ulv_range_inside(p->offset, p->file_bytes, bytes))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_FORMAT, 0, end_of(p->offset, p->file_bytes),
                    bytes,
                    "segment %u: %u bytes at offset %u of an image of %u "
                    "bytes",
                    (uint64_t)p->number, p->file_bytes, p->offset, bytes);
}

/* ---- segments ------------------------------------------------------------ */

static ulv_status
take_segment(struct ulv_loader_plan *plan, const struct elf *elf,
             const struct program_header *p, uint64_t guest,
             struct ulv_diag *diag)
{
    const struct ulv_loader_piece piece = { .fill = ULV_PIECE_IMAGE,
                                            .number = p->number,
                                            .guest = guest,
                                            .bytes = p->memory_bytes,
                                            .offset = p->offset,
                                            .source_bytes = p->file_bytes,
                                            .written = p->memory_bytes,
                                            .flags = p->flags };
    ulv_status status;

    if (p->file_bytes > p->memory_bytes)
        return ulv_fail(diag, ULV_E_FORMAT, 0, p->file_bytes, p->memory_bytes,
                        "segment %u: %u bytes of the image in %u bytes of "
                        "memory",
                        (uint64_t)p->number, p->file_bytes, p->memory_bytes);
    status = check_file_range(elf, p, diag);
    if (status == ULV_OK && plan->piece_count == ULV_LOADER_SEGMENTS_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ULV_LOADER_SEGMENTS_MAX + 1,
                        ULV_LOADER_SEGMENTS_MAX, "more than %u segments",
                        (uint64_t)ULV_LOADER_SEGMENTS_MAX);
    if (status == ULV_OK)
        status = ulv_loader_claim(plan, &piece, ULV_E_FORMAT, diag);
    return status;
}

static ulv_status
take_segments(struct ulv_loader_plan *plan, const struct elf *elf,
              bool physical, struct ulv_diag *diag)
{
    struct program_header p;
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < elf->count && status == ULV_OK; i++) {
        status = read_header(elf, i, &p, diag);
        if (status != ULV_OK)
            return status;
        if (p.type == PT_INTERP)
            return ulv_fail(diag, ULV_E_FORMAT, 0, PT_INTERP, PT_LOAD,
                            "the image is dynamically linked");
        if (p.type == PT_LOAD && (p.memory_bytes != 0 || p.file_bytes != 0))
            status = take_segment(plan, elf, &p,
                                  physical ? p.physical : p.address, diag);
    }
    return status;
}

static ulv_status
check_entry(const struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct ulv_loader_piece *s = &plan->piece[i];

        if ((s->flags & PF_X) != 0 && plan->entry - s->guest < s->bytes)
            return ULV_OK;
    }
    return ulv_fail(diag, ULV_E_FORMAT, 0, plan->entry, 0,
                    "the entry %x is in no executable segment", plan->entry);
}

ulv_status
ulv_loader_plan_sdk(struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    struct elf elf;
    ulv_status status = open_elf(plan->request, &elf, diag);

    if (status == ULV_OK)
        status = take_segments(plan, &elf, false, diag);
    if (status != ULV_OK)
        return status;
    plan->mode = ULV_ENTRY_USER;
    plan->entry = elf.entry;
    plan->rdi = plan->request->argument;
    return check_entry(plan, diag);
}

/* ---- notes --------------------------------------------------------------- */

struct note_search {
    uint32_t seen;
    bool found;
    uint64_t entry;
};

static ulv_status
take_entry_note(const struct elf *elf, uint64_t offset, uint32_t bytes,
                struct note_search *search, struct ulv_diag *diag)
{
    uint8_t raw[8] = { 0 };
    ulv_status status;

    if (bytes != 4 && bytes != 8)
        return ulv_fail(diag, ULV_E_FORMAT, 0, bytes, 8,
                        "the PVH note has %u bytes, 4 or 8 are right",
                        (uint64_t)bytes);
    if (search->found)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 2, 1,
                        "the image has a second PVH note");
    status = ulv_loader_read(elf->request, offset, raw, bytes, diag);
    if (status != ULV_OK)
        return status;
    search->found = true;
    search->entry = ulv_get_le64(raw);
    if (search->entry >= FOUR_GIB)
        return ulv_fail(diag, ULV_E_FORMAT, 0, search->entry, FOUR_GIB,
                        "the PVH entry %x is out of reach of 32-bit code",
                        search->entry);
    return ULV_OK;
}

/* The note at an offset of a note segment, which is in the image as a whole;
 * *ret_next: the offset of the one behind it. */
static ulv_status
take_note(const struct elf *elf, const struct program_header *p,
          uint64_t offset, struct note_search *search, uint64_t *ret_next,
          struct ulv_diag *diag)
{
    uint64_t align = p->align == 8 ? 8 : 4, description, end;
    uint8_t raw[NOTE_BYTES + 4] = { 0 };
    uint32_t name_bytes, bytes;
    ulv_status status;

    if (++search->seen > NOTES_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, search->seen, NOTES_MAX,
                        "more than %u notes", (uint64_t)NOTES_MAX);
    /* with the name, if it is as long as the one that is looked for */
    status = ulv_loader_read(
        elf->request, p->offset + offset, raw,
        (size_t)ULV_MIN(sizeof(raw), p->file_bytes - offset), diag);
    if (status != ULV_OK)
        return status;
    name_bytes = ulv_get_le32(raw);
    bytes = ulv_get_le32(raw + 4);
    description = ulv_round_up(offset + NOTE_BYTES + name_bytes, align);
    end = description + bytes;
    if (end > p->file_bytes)
        return ulv_fail(diag, ULV_E_FORMAT, 0, end, p->file_bytes,
                        "segment %u: the note at %u ends at %u, the segment "
                        "at %u",
                        (uint64_t)p->number, offset, end, p->file_bytes);
    *ret_next = ulv_round_up(end, align);
    if (name_bytes != 4 || memcmp(raw + NOTE_BYTES, "Xen", 4) != 0 ||
        ulv_get_le32(raw + 8) != NOTE_PHYS32_ENTRY)
        return ULV_OK;
    return take_entry_note(elf, p->offset + description, bytes, search, diag);
}

static ulv_status
find_entry_note(const struct elf *elf, struct note_search *search,
                struct ulv_diag *diag)
{
    struct program_header p;
    ulv_status status = ULV_OK;

    *search = (struct note_search){ 0 };
    for (uint32_t i = 0; i < elf->count && status == ULV_OK; i++) {
        uint64_t offset = 0;

        status = read_header(elf, i, &p, diag);
        if (status != ULV_OK || p.type != PT_NOTE)
            continue;
        if (p.file_bytes > NOTE_SEGMENT_MAX)
            return ulv_fail(diag, ULV_E_FORMAT, 0, p.file_bytes,
                            NOTE_SEGMENT_MAX,
                            "segment %u: %u bytes of notes, %u are allowed",
                            (uint64_t)i, p.file_bytes, NOTE_SEGMENT_MAX);
        status = check_file_range(elf, &p, diag);
        while (status == ULV_OK && offset + NOTE_BYTES <= p.file_bytes)
            status = take_note(elf, &p, offset, search, &offset, diag);
    }
    return status;
}

ulv_status
ulv_loader_elf_is_pvh(const struct ulv_loader_request *request, bool *ret,
                      struct ulv_diag *diag)
{
    struct note_search search = { 0 };
    struct elf elf;
    ulv_status status = open_elf(request, &elf, diag);

    if (status == ULV_OK)
        status = find_entry_note(&elf, &search, diag);
    *ret = search.found;
    return status;
}

ulv_status
ulv_loader_plan_elf_pvh(struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    struct note_search search;
    struct elf elf;
    ulv_status status = open_elf(plan->request, &elf, diag);

    if (status == ULV_OK)
        status = find_entry_note(&elf, &search, diag);
    if (status != ULV_OK)
        return status;
    if (!search.found)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, NOTE_PHYS32_ENTRY,
                        "the image has no PVH note (Xen, type %u)",
                        (uint64_t)NOTE_PHYS32_ENTRY);
    plan->entry = search.entry;
    status = take_segments(plan, &elf, true, diag);
    if (status != ULV_OK)
        return status;
    return check_entry(plan, diag);
}
