/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "loader/loader_priv.h"

void
ulv_loader_set16(uint8_t *p, uint16_t n)
{
    p[0] = (uint8_t)n;
    p[1] = (uint8_t)(n >> 8);
}

void
ulv_loader_set32(uint8_t *p, uint32_t n)
{
    ulv_loader_set16(p, (uint16_t)n);
    ulv_loader_set16(p + 2, (uint16_t)(n >> 16));
}

void
ulv_loader_set64(uint8_t *p, uint64_t n)
{
    ulv_loader_set32(p, (uint32_t)n);
    ulv_loader_set32(p + 4, (uint32_t)(n >> 32));
}

const char *
ulv_loader_kind_name(uint32_t kind)
{
    static const char *const names[] = { "unknown", "SDK", "PVH", "bzImage",
                                         "flat" };

    return names[kind < ULV_COUNT_OF(names) ? kind : 0];
}

ulv_status
ulv_loader_read(const struct ulv_loader_request *request, uint64_t offset,
                void *buf, size_t len, struct ulv_diag *diag)
{
    ulv_status status =
        request->image.read(request->image.self, offset, buf, len);

    if (status != ULV_OK)
        return ulv_fail(diag, status, 0, offset, request->image.bytes,
                        "the image cannot be read at offset %u of %u", offset,
                        request->image.bytes);
    return ULV_OK;
}

/* ---- the plan ------------------------------------------------------------ */

static ulv_status
find_kind(const struct ulv_loader_request *request, uint32_t *ret,
          struct ulv_diag *diag)
{
    uint8_t head[ULV_LINUX_HEADER_END];
    size_t len = (size_t)ULV_MIN(request->image.bytes, sizeof(head));
    bool pvh = false;
    ulv_status status;

    *ret = request->kind;
    if (request->kind != ULV_LOADER_AUTO)
        return ULV_OK;
    if (len == 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 1, "the image is empty");
    status = ulv_loader_read(request, 0, head, len, diag);
    if (status != ULV_OK)
        return status;
    if (len >= 4 && ulv_get_le32(head) == ELF_MAGIC) {
        status = ulv_loader_elf_is_pvh(request, &pvh, diag);
        *ret = pvh ? ULV_LOADER_PVH : ULV_LOADER_SDK;
        return status;
    }
    *ret = ULV_LOADER_BZIMAGE;
    if (ulv_loader_is_linux(head, len))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_FORMAT, 0, head[0], 0,
                    "the image, %u bytes, is neither ELF nor a bzImage; a "
                    "flat one has to be asked for",
                    request->image.bytes);
}

static ulv_status
plan_flat(struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    const struct ulv_loader_request *request = plan->request;
    const struct ulv_loader_piece piece = {
        .fill = ULV_PIECE_IMAGE,
        .guest = request->flat_address,
        .bytes = request->image.bytes,
        .source_bytes = request->image.bytes,
        .written = request->image.bytes,
        .flags = 7,
    };

    if (request->flat_mode < ULV_ENTRY_USER ||
        request->flat_mode > ULV_ENTRY_PROTECTED)
        return ulv_fail(diag, ULV_E_ARG, 0, request->flat_mode,
                        ULV_ENTRY_PROTECTED,
                        "entry mode %u of a flat image, 1 to %u are",
                        (uint64_t)request->flat_mode,
                        (uint64_t)ULV_ENTRY_PROTECTED);
    if (piece.bytes == 0)
        return ulv_fail(diag, ULV_E_FORMAT, 0, 0, 1, "the image is empty");
    if (request->flat_mode == ULV_ENTRY_PROTECTED &&
        piece.guest >= FOUR_GIB)
        return ulv_fail(diag, ULV_E_ARG, 0, piece.guest, FOUR_GIB,
                        "the flat image at %x is out of reach of 32-bit code",
                        piece.guest);
    plan->mode = request->flat_mode;
    plan->entry = request->flat_address;
    plan->rdi = request->argument;
    return ulv_loader_claim(plan, &piece, ULV_E_ARG, diag);
}

/* What only a kernel is told. */
static ulv_status
check_extras(const struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    const struct ulv_loader_request *request = plan->request;
    const char *what = request->initrd.read != NULL ? "initrd"
                       : request->cmdline != NULL   ? "command line"
                       : request->rsdp != 0         ? "RSDP"
                                                    : NULL;

    if (what == NULL || plan->kind == ULV_LOADER_BZIMAGE ||
        plan->kind == ULV_LOADER_PVH)
        return ULV_OK;
    return ulv_fail(diag, ULV_E_ARG, 0, plan->kind, ULV_LOADER_BZIMAGE,
                    "an image of the kind %s takes no %s",
                    ulv_loader_kind_name(plan->kind), what);
}

ulv_status
ulv_loader_plan_sdk_image(const struct ulv_loader_request *request,
                          struct ulv_loader_plan *ret_plan,
                          struct ulv_diag *diag)
{
    ulv_status status;

    memset(ret_plan, 0, sizeof(*ret_plan));
    ret_plan->request = request;
    ret_plan->kind = ULV_LOADER_SDK;
    status = ulv_loader_check_request(request, diag);
    if (status == ULV_OK)
        status = check_extras(ret_plan, diag);
    if (status != ULV_OK)
        return status;
    return ulv_loader_plan_sdk(ret_plan, diag);
}

ulv_status
ulv_loader_plan(const struct ulv_loader_request *request,
                struct ulv_loader_plan *ret_plan, struct ulv_diag *diag)
{
    ulv_status status;

    memset(ret_plan, 0, sizeof(*ret_plan));
    ret_plan->request = request;
    status = ulv_loader_check_request(request, diag);
    if (status == ULV_OK)
        status = find_kind(request, &ret_plan->kind, diag);
    if (status == ULV_OK)
        status = check_extras(ret_plan, diag);
    if (status != ULV_OK)
        return status;
    switch (ret_plan->kind) {
    case ULV_LOADER_SDK:
        return ulv_loader_plan_sdk(ret_plan, diag);
    case ULV_LOADER_PVH:
        return ulv_loader_plan_pvh(ret_plan, diag);
    case ULV_LOADER_BZIMAGE:
        return ulv_loader_plan_linux(ret_plan, diag);
    default:
        return plan_flat(ret_plan, diag);
    }
}

/* ---- writing ------------------------------------------------------------- */

static ulv_status
write_source(const struct ulv_loader_plan *plan,
             const struct ulv_loader_piece *piece, struct ulv_diag *diag)
{
    bool initrd = piece->fill == ULV_PIECE_INITRD;
    const struct ulv_loader_source *source =
        initrd ? &plan->request->initrd : &plan->request->image;
    uint64_t done = 0;

    while (done < piece->written) {
        uint64_t some = 0;
        uint8_t *p = ulv_loader_at(plan->request, piece->guest + done, &some);
        ulv_status status = ULV_OK;

        if (p == NULL)
            return ULV_E_STATE; /* the request was changed since */
        some = ULV_MIN(some, piece->written - done);
        if (done < piece->source_bytes) {
            some = ULV_MIN(some, piece->source_bytes - done);
            status = source->read(source->self, piece->offset + done, p,
                                  (size_t)some);
        } else {
            memset(p, 0, (size_t)some);
        }
        if (status != ULV_OK)
            return ulv_fail(diag, status, 0, piece->offset + done,
                            source->bytes,
                            "%s cannot be read at offset %u of %u",
                            initrd ? "the initrd" : "the image",
                            piece->offset + done, source->bytes);
        done += some;
    }
    return ULV_OK;
}

static ulv_status
write_piece(const struct ulv_loader_plan *plan,
            const struct ulv_loader_piece *piece, struct ulv_diag *diag)
{
    switch (piece->fill) {
    case ULV_PIECE_IMAGE:
    case ULV_PIECE_INITRD:
        return write_source(plan, piece, diag);
    case ULV_PIECE_CMDLINE:
        ulv_loader_put(plan, piece->guest, plan->request->cmdline,
                       piece->bytes - 1);
        ulv_loader_put(plan, piece->guest + piece->bytes - 1, "", 1);
        break;
    case ULV_PIECE_ZERO_PAGE:
        ulv_loader_write_zero_page(plan, piece);
        break;
    case ULV_PIECE_START_INFO:
        ulv_loader_write_start_info(plan, piece);
        break;
    case ULV_PIECE_PAGE_TABLES:
        ulv_loader_write_page_tables(plan, piece);
        break;
    default:
        ulv_loader_write_gdt(plan, piece);
        break;
    }
    return ULV_OK;
}

ulv_status
ulv_loader_write(const struct ulv_loader_plan *plan, struct ulv_diag *diag)
{
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; i < plan->piece_count && status == ULV_OK; i++)
        status = write_piece(plan, &plan->piece[i], diag);
    return status;
}
