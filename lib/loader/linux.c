/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Linux kernels as bzImage, entered by the 64-bit boot protocol.
 *
 * Source: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"
 * and "64-bit BOOT PROTOCOL", and zero-page.rst, for offsets and meanings.
 */
#include "loader/loader_priv.h"

/* Offsets in the image, which are those in struct boot_params. */
#define SETUP_SECTS       0x1f1u
#define SYSSIZE           0x1f4u
#define VID_MODE          0x1fau
#define BOOT_FLAG         0x1feu
#define HEADER_LENGTH     0x201u /* what it counts begins behind it */
#define HEADER            0x202u
#define VERSION           0x206u
#define TYPE_OF_LOADER    0x210u
#define LOADFLAGS         0x211u
#define CODE32_START      0x214u
#define RAMDISK_IMAGE     0x218u
#define RAMDISK_SIZE      0x21cu
#define CMD_LINE_PTR      0x228u
#define INITRD_ADDR_MAX   0x22cu
#define KERNEL_ALIGNMENT  0x230u
#define RELOCATABLE       0x234u
#define XLOADFLAGS        0x236u
#define CMDLINE_SIZE      0x238u
#define HARDWARE_SUBARCH  0x23cu
#define SETUP_DATA        0x250u
#define PREF_ADDRESS      0x258u
#define INIT_SIZE         0x260u
#define HEADER_END_MIN    0x264u /* of protocol 2.12, without the handover */
/* Offsets in struct boot_params only. */
#define ACPI_RSDP_ADDR    0x070u
#define E820_ENTRIES      0x1e8u
#define E820_TABLE        0x2d0u
#define E820_ENTRY_BYTES  20u

#define BOOT_FLAG_MAGIC   0xaa55u
#define HEADER_MAGIC      0x53726448u /* "HdrS" */
#define VERSION_MIN       0x020cu
#define LOADED_HIGH       0x01u
#define CAN_USE_HEAP      0x80u
#define XLF_KERNEL_64     0x0001u
#define LOADER_UNDEFINED  0xffu
#define VID_MODE_NORMAL   0xffffu
#define SECTOR_BYTES      512u
#define ENTRY_64          0x200u
#define ALIGNMENT_MAX     UINT64_C(0x40000000)

#define PAGE_TABLE_PAGES  6u /* PML4, PDPT, and a directory for each GiB */
#define PAGE_PRESENT      0x01u
#define PAGE_WRITE        0x02u
#define PAGE_LARGE        0x80u

/* Flat 64-bit code and data, accessed already, at the selectors that the
 * protocol names __BOOT_CS and __BOOT_DS. */
static const uint64_t gdt[] = {
    0,
    0,
    UINT64_C(0x00af9b000000ffff),
    UINT64_C(0x00cf93000000ffff),
};

struct kernel {
    uint64_t setup_bytes, code_bytes; /* of the image */
    uint64_t address, alignment, room;
    uint64_t initrd_high, cmdline_max;
    bool relocatable;
};

bool
ulv_loader_is_linux(const uint8_t *head, size_t bytes)
{
    return bytes >= VERSION + 2 &&
           ulv_get_le16(head + BOOT_FLAG) == BOOT_FLAG_MAGIC &&
           ulv_get_le32(head + HEADER) == HEADER_MAGIC;
}

static ulv_status
check_version(const uint8_t *h, uint64_t image_bytes, struct ulv_diag *diag)
{
    uint16_t version = ulv_get_le16(h + VERSION);
    uint64_t end = HEADER + (uint64_t)h[HEADER_LENGTH];

    if (version < VERSION_MIN)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, version, VERSION_MIN,
                        "boot protocol %u.%u, 2.12 is needed",
                        (uint64_t)(version >> 8), (uint64_t)(version & 0xff));
    if (end < HEADER_END_MIN)
        return ulv_fail(diag, ULV_E_FORMAT, 0, end, HEADER_END_MIN,
                        "the setup header ends at %x, before its fields of "
                        "boot protocol 2.12",
                        end);
    if (end > ULV_LINUX_HEADER_END)
        return ulv_fail(diag, ULV_E_FORMAT, 0, end, ULV_LINUX_HEADER_END,
                        "the setup header ends at %x, behind its room in the "
                        "boot parameters, %x",
                        end, (uint64_t)ULV_LINUX_HEADER_END);
    if (end > image_bytes)
        return ulv_fail(diag, ULV_E_FORMAT, 0, end, image_bytes,
                        "the setup header ends at %u, the image at %u", end,
                        image_bytes);
    if ((ulv_get_le16(h + XLOADFLAGS) & XLF_KERNEL_64) == 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0,
                        ulv_get_le16(h + XLOADFLAGS), XLF_KERNEL_64,
                        "the kernel has no 64-bit entry (xloadflags %x)",
                        (uint64_t)ulv_get_le16(h + XLOADFLAGS));
    if ((h[LOADFLAGS] & LOADED_HIGH) == 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, h[LOADFLAGS], LOADED_HIGH,
                        "a zImage (loadflags %x), a bzImage is needed",
                        (uint64_t)h[LOADFLAGS]);
    return ULV_OK;
}

/* Which bytes of the image are the kernel's. */
static ulv_status
find_code(const struct ulv_loader_request *request, const uint8_t *h,
          struct kernel *ret, struct ulv_diag *diag)
{
    uint64_t sectors = h[SETUP_SECTS] == 0 ? 4 : h[SETUP_SECTS];
    uint64_t end;

    ret->setup_bytes = (sectors + 1) * SECTOR_BYTES;
    ret->code_bytes = (uint64_t)ulv_get_le32(h + SYSSIZE) * 16;
    end = ret->setup_bytes + ret->code_bytes;
    if (ret->code_bytes <= ENTRY_64)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ret->code_bytes, ENTRY_64 + 1,
                        "the kernel's code has %u bytes, its entry is at %u",
                        ret->code_bytes, (uint64_t)ENTRY_64);
    if (end > request->image.bytes)
        return ulv_fail(diag, ULV_E_FORMAT, 0, end, request->image.bytes,
                        "the kernel's code ends at offset %u, the image at %u",
                        end, request->image.bytes);
    return ULV_OK;
}

/* Where the kernel wants to be. It moves itself to pref_address at least, and
 * up to its alignment: put there at once it stays. One that cannot be moved is
 * loaded at 1 MiB, and what lies up to the end of its room is its. */
static ulv_status
find_address(const uint8_t *h, struct kernel *ret, struct ulv_diag *diag)
{
    uint64_t preferred = ulv_get_le64(h + PREF_ADDRESS);
    uint64_t room = ulv_get_le32(h + INIT_SIZE);

    if (preferred >= FOUR_GIB)
        return ulv_fail(diag, ULV_E_FORMAT, 0, preferred, FOUR_GIB,
                        "the kernel's preferred address %x is above 4 GiB",
                        preferred);
    ret->relocatable = h[RELOCATABLE] != 0;
    ret->address = HOLE_END;
    ret->alignment = PAGE_BYTES;
    ret->room = ULV_MAX(room, ret->code_bytes);
    if (!ret->relocatable) {
        if (preferred > HOLE_END)
            ret->room = ULV_MAX(ret->room, preferred - HOLE_END + room);
        return ULV_OK;
    }
    ret->address = ULV_MAX(preferred, HOLE_END);
    ret->alignment = ulv_get_le32(h + KERNEL_ALIGNMENT);
    if (!ulv_is_power_of_two(ret->alignment) ||
        ret->alignment > ALIGNMENT_MAX)
        return ulv_fail(diag, ULV_E_FORMAT, 0, ret->alignment, ALIGNMENT_MAX,
                        "the kernel's alignment %x is no power of 2 up to %x",
                        ret->alignment, ALIGNMENT_MAX);
    ret->alignment = ULV_MAX(ret->alignment, PAGE_BYTES);
    return ULV_OK;
}

static ulv_status
read_kernel(struct ulv_loader_plan *plan, struct kernel *ret,
            struct ulv_diag *diag)
{
    uint8_t h[ULV_LINUX_HEADER_END] = { 0 };
    size_t len = (size_t)ULV_MIN(plan->request->image.bytes, sizeof(h));
    ulv_status status = ULV_OK;

    if (len != 0)
        status = ulv_loader_read(plan->request, 0, h, len, diag);
    if (status != ULV_OK)
        return status;
    if (!ulv_loader_is_linux(h, len))
        return ulv_fail(diag, ULV_E_FORMAT, 0, ulv_get_le32(h + HEADER),
                        HEADER_MAGIC,
                        "not a bzImage: %x at offset %u of %u bytes, not HdrS",
                        (uint64_t)ulv_get_le32(h + HEADER), (uint64_t)HEADER,
                        plan->request->image.bytes);
    status = check_version(h, plan->request->image.bytes, diag);
    if (status == ULV_OK)
        status = find_code(plan->request, h, ret, diag);
    if (status == ULV_OK)
        status = find_address(h, ret, diag);
    if (status != ULV_OK)
        return status;
    ret->initrd_high = (uint64_t)ulv_get_le32(h + INITRD_ADDR_MAX) + 1;
    ret->cmdline_max = ulv_get_le32(h + CMDLINE_SIZE);
    plan->linux_header_bytes =
        HEADER + h[HEADER_LENGTH] - ULV_LINUX_HEADER_OFFSET;
    memcpy(plan->linux_header, h + ULV_LINUX_HEADER_OFFSET,
           plan->linux_header_bytes);
    return ULV_OK;
}

static ulv_status
place_kernel(struct ulv_loader_plan *plan, const struct kernel *kernel,
             struct ulv_diag *diag)
{
    const struct place place = { kernel->address, FOUR_GIB, kernel->alignment,
                                 false };
    struct ulv_loader_piece piece = { .fill = ULV_PIECE_IMAGE,
                                      .guest = kernel->address,
                                      .bytes = kernel->room,
                                      .offset = kernel->setup_bytes,
                                      .source_bytes = kernel->code_bytes,
                                      .written = kernel->code_bytes,
                                      .flags = 7 };
    uint64_t guest = kernel->address;
    ulv_status status;

    if (kernel->relocatable)
        status = ulv_loader_place(plan, piece, &place, &guest, diag);
    else
        status = ulv_loader_claim(plan, &piece, ULV_E_NO_MEMORY, diag);
    plan->entry = guest + ENTRY_64;
    return status;
}

/* The fields of the header that are the boot loader's to write. All places
 * are below 4 GiB: the fields for what is above stay 0. */
static void
fill_header(struct ulv_loader_plan *plan, uint64_t cmdline, uint64_t initrd)
{
    uint8_t *h = plan->linux_header;
    uint64_t initrd_bytes = initrd != 0 ? plan->request->initrd.bytes : 0;

#define FIELD(offset) (h + (offset)-ULV_LINUX_HEADER_OFFSET)
    ulv_loader_set16(FIELD(VID_MODE), VID_MODE_NORMAL);
    *FIELD(TYPE_OF_LOADER) = LOADER_UNDEFINED;
    *FIELD(LOADFLAGS) &= (uint8_t)~CAN_USE_HEAP; /* of real mode */
    ulv_loader_set32(FIELD(CODE32_START), (uint32_t)(plan->entry - ENTRY_64));
    ulv_loader_set32(FIELD(RAMDISK_IMAGE), (uint32_t)initrd);
    ulv_loader_set32(FIELD(RAMDISK_SIZE), (uint32_t)initrd_bytes);
    ulv_loader_set32(FIELD(CMD_LINE_PTR), (uint32_t)cmdline);
    ulv_loader_set32(FIELD(HARDWARE_SUBARCH), 0);
    ulv_loader_set64(FIELD(SETUP_DATA), 0);
#undef FIELD
}

ulv_status
ulv_loader_plan_linux(struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    struct kernel kernel = { 0 };
    uint64_t cmdline = 0, initrd = 0;
    ulv_status status = read_kernel(plan, &kernel, diag);

    if (status == ULV_OK)
        status = ulv_loader_count_map(plan, diag);
    if (status == ULV_OK)
        status = place_kernel(plan, &kernel, diag);
    if (status == ULV_OK)
        status = ulv_loader_place_low(plan, ULV_PIECE_ZERO_PAGE, PAGE_BYTES,
                                      &plan->rsi, diag);
    if (status == ULV_OK)
        status = ulv_loader_place_low(plan, ULV_PIECE_GDT, sizeof(gdt),
                                      &plan->gdt, diag);
    if (status == ULV_OK)
        status = ulv_loader_place_low(plan, ULV_PIECE_PAGE_TABLES,
                                      PAGE_TABLE_PAGES * PAGE_BYTES,
                                      &plan->page_tables, diag);
    if (status == ULV_OK)
        status = ulv_loader_place_cmdline(plan, kernel.cmdline_max, &cmdline,
                                          diag);
    if (status == ULV_OK)
        status = ulv_loader_place_initrd(plan, kernel.initrd_high, &initrd,
                                         diag);
    if (status != ULV_OK)
        return status;
    plan->mode = ULV_ENTRY_LONG;
    plan->gdt_bytes = sizeof(gdt);
    fill_header(plan, cmdline, initrd);
    return ULV_OK;
}

/* ---- writing ------------------------------------------------------------- */

void
ulv_loader_write_zero_page(const struct ulv_loader_plan *plan,
                           const struct ulv_loader_piece *piece)
{
    const uint8_t zero[256] = { 0 };
    uint8_t count = (uint8_t)plan->map_entries, rsdp[8];
    uint64_t at = 0, next = piece->guest + E820_TABLE;
    struct map_entry entry;

    for (uint64_t done = 0; done < PAGE_BYTES; done += sizeof(zero))
        ulv_loader_put(plan, piece->guest + done, zero, sizeof(zero));
    ulv_loader_set64(rsdp, plan->request->rsdp);
    ulv_loader_put(plan, piece->guest + ACPI_RSDP_ADDR, rsdp, sizeof(rsdp));
    ulv_loader_put(plan, piece->guest + ULV_LINUX_HEADER_OFFSET,
                   plan->linux_header, plan->linux_header_bytes);
    ulv_loader_put(plan, piece->guest + E820_ENTRIES, &count, 1);
    while (ulv_loader_map_next(plan->request, &at, &entry)) {
        uint8_t raw[E820_ENTRY_BYTES];

        ulv_loader_set64(raw, entry.base);
        ulv_loader_set64(raw + 8, entry.bytes);
        ulv_loader_set32(raw + 16, entry.type);
        ulv_loader_put(plan, next, raw, sizeof(raw));
        next += sizeof(raw);
    }
}

/* The first 4 GiB at their own addresses, by pages of 2 MiB. */
void
ulv_loader_write_page_tables(const struct ulv_loader_plan *plan,
                             const struct ulv_loader_piece *piece)
{
    for (uint64_t i = 0; i < PAGE_TABLE_PAGES * 512; i++) {
        uint64_t page = i / 512, idx = i % 512, entry = 0;
        uint8_t raw[8];

        if (page == 0 && idx == 0)
            entry = (piece->guest + PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITE;
        else if (page == 1 && idx < 4)
            entry = (piece->guest + (2 + idx) * PAGE_BYTES) | PAGE_PRESENT |
                    PAGE_WRITE;
        else if (page >= 2)
            entry = ((page - 2) << 30 | idx << 21) | PAGE_PRESENT |
                    PAGE_WRITE | PAGE_LARGE;
        ulv_loader_set64(raw, entry);
        ulv_loader_put(plan, piece->guest + i * 8, raw, sizeof(raw));
    }
}

void
ulv_loader_write_gdt(const struct ulv_loader_plan *plan,
                     const struct ulv_loader_piece *piece)
{
    for (size_t i = 0; i < ULV_COUNT_OF(gdt); i++) {
        uint8_t raw[8];

        ulv_loader_set64(raw, gdt[i]);
        ulv_loader_put(plan, piece->guest + i * 8, raw, sizeof(raw));
    }
}
