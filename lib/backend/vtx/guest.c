/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "backend/vtx/guest.h"

/* Page-table entries; SDM vol. 3A 4.5, tables 4-15 to 4-18. Accessed and
 * dirty are set from the start: the processor never writes a table. */
#define ENTRY_TABLE UINT64_C(0x27) /* present, writable, user, accessed */
#define ENTRY_PAGE  UINT64_C(0xe7) /* also dirty, large */

/* Segment selectors as on other backends; their rights: SDM vol. 3C 24.4.1.
 * Type, S, DPL 3, P; L and G, D/B and G. 64-bit TSS, busy. */
#define SELECTOR_DATA 0x1b
#define SELECTOR_CODE 0x23
#define SELECTOR_TASK 0x28
#define RIGHTS_CODE   0xa0fb
#define RIGHTS_DATA   0xc0f3
#define RIGHTS_NONE   0x10000
#define RIGHTS_TASK   0x8b
#define LIMIT_ALL     0xffffffff

#define DR7_RESET UINT64_C(0x400) /* SDM vol. 3B 17.2.4 */
#define ALL       UINT64_MAX

/* SDM vol. 3C 30.3 VMCALL: an exit at every privilege level. */
const uint8_t ulv_vtx_gate[ULV_VTX_GATE_BYTES] = { 0x0f, 0x01, 0xc1, 0xc3 };

/* ---- page tables of the guest -------------------------------------------- */

static uint64_t
guest_of_page(uint32_t i)
{
    return ULV_VTX_CR3 + i * ULV_VTX_PAGE;
}

static ulv_status
new_page(struct ulv_vtx_identity *identity, uint32_t i)
{
    struct ulv_vtx_ept *ept = identity->ept;
    const struct ulv_host *host = ept->host;
    uint64_t *page = host->alloc(host->self, ULV_VTX_PAGE, ULV_VTX_PAGE);
    ulv_status status;

    if (page == NULL)
        return ULV_E_NO_MEMORY;
    status = ulv_vtx_ept_map(ept, guest_of_page(i),
                             host->physical(host->self, page), ULV_VTX_PAGE,
                             ULV_VTX_EPT_READ);
    if (status != ULV_OK) {
        host->free(host->self, page, ULV_VTX_PAGE);
        return status;
    }
    identity->page[i] = page;
    return ULV_OK;
}

static ulv_status
cover_giant(struct ulv_vtx_identity *identity, uint32_t n)
{
    ulv_status status;
    uint64_t *directory;

    if (identity->page[2 + n] != NULL)
        return ULV_OK;
    status = new_page(identity, 2 + n);
    if (status != ULV_OK)
        return status;
    directory = identity->page[2 + n];
    for (uint64_t i = 0; i < 512; i++)
        directory[i] = (n * ULV_VTX_GIANT + i * ULV_VTX_LARGE) | ENTRY_PAGE;
    if (n == 0)
        directory[0] = 0; /* the tables themselves */
    identity->page[1][n] = guest_of_page(2 + n) | ENTRY_TABLE;
    return ULV_OK;
}

ulv_status
ulv_vtx_identity_cover(struct ulv_vtx_identity *identity, uint64_t guest,
                       uint64_t bytes)
{
    uint64_t last = (guest + bytes - 1) / ULV_VTX_GIANT;
    ulv_status status = ULV_OK;

    if (last >= ULV_VTX_DIRECTORIES)
        return ULV_E_LIMIT;
    for (uint64_t n = guest / ULV_VTX_GIANT; n <= last && status == ULV_OK; n++)
        status = cover_giant(identity, (uint32_t)n);
    return status;
}

ulv_status
ulv_vtx_identity_init(struct ulv_vtx_identity *identity,
                      struct ulv_vtx_ept *ept)
{
    ulv_status status;

    identity->ept = ept;
    status = new_page(identity, 0);
    if (status == ULV_OK)
        status = new_page(identity, 1);
    if (status != ULV_OK)
        return status;
    identity->page[0][0] = guest_of_page(1) | ENTRY_TABLE;
    return cover_giant(identity, 0);
}

void
ulv_vtx_identity_fini(struct ulv_vtx_identity *identity)
{
    if (identity->ept == NULL)
        return;
    for (uint32_t i = 0; i < ULV_COUNT_OF(identity->page); i++) {
        const struct ulv_host *host = identity->ept->host;

        if (identity->page[i] != NULL)
            host->free(host->self, identity->page[i], ULV_VTX_PAGE);
        identity->page[i] = NULL;
    }
    identity->ept = NULL;
}

/* ---- the fields of a VMCS ------------------------------------------------ */

static uint32_t
put(struct ulv_vtx_field *ret, uint32_t count, uint64_t field, uint64_t value)
{
    ret[count].field = field;
    ret[count].value = value;
    return count + 1;
}

/* ES CS SS DS FS GS LDTR TR, as they are numbered; SDM vol. 3D B.1.2. */
static const struct {
    uint32_t selector, limit, rights;
} segments[] = {
    { SELECTOR_DATA, LIMIT_ALL, RIGHTS_DATA },
    { SELECTOR_CODE, LIMIT_ALL, RIGHTS_CODE },
    { SELECTOR_DATA, LIMIT_ALL, RIGHTS_DATA },
    { SELECTOR_DATA, LIMIT_ALL, RIGHTS_DATA },
    { SELECTOR_DATA, LIMIT_ALL, RIGHTS_DATA },
    { SELECTOR_DATA, LIMIT_ALL, RIGHTS_DATA },
    { 0, 0, RIGHTS_NONE },
    /* limit 0: no I/O permission map; SDM vol. 1 19.5.2 */
    { SELECTOR_TASK, 0, RIGHTS_TASK },
};

static uint32_t
put_segments(struct ulv_vtx_field *ret, uint32_t count)
{
    for (uint32_t i = 0; i < ULV_COUNT_OF(segments); i++) {
        count = put(ret, count, FIELD_GUEST_ES + i * 2, segments[i].selector);
        count = put(ret, count, FIELD_GUEST_ES_LIMIT + i * 2,
                    segments[i].limit);
        count = put(ret, count, FIELD_GUEST_ES_RIGHTS + i * 2,
                    segments[i].rights);
        count = put(ret, count, FIELD_GUEST_ES_BASE + i * 2, 0);
    }
    return count;
}

uint32_t
ulv_vtx_guest_fields(const struct ulv_vtx_controls *controls,
                     uint64_t ept_pointer, uint64_t efer, uint64_t cr4,
                     struct ulv_vtx_field ret[ULV_VTX_FIELDS_MAX])
{
    const struct ulv_vtx_field fields[] = {
        { FIELD_PIN, controls->pin },
        { FIELD_PRIMARY, controls->primary },
        { FIELD_SECONDARY, controls->secondary },
        { FIELD_EXIT, controls->exit },
        { FIELD_ENTRY, controls->entry },
        /* every exception; page faults whatever their error code: mask and
         * match are 0; SDM vol. 3C 25.2 */
        { FIELD_EXCEPTIONS, LIMIT_ALL },
        { FIELD_FAULT_MASK, 0 },
        { FIELD_FAULT_MATCH, 0 },
        { FIELD_CR3_TARGETS, 0 },
        { FIELD_EXIT_STORE_COUNT, 0 },
        { FIELD_EXIT_LOAD_COUNT, 0 },
        { FIELD_ENTRY_LOAD_COUNT, 0 },
        { FIELD_ENTRY_EVENT, 0 },
        { FIELD_EPT_POINTER, ept_pointer },
        { FIELD_LINK, ALL }, /* SDM vol. 3C 24.4.2: none */
        /* all bits are the host's; SMSW shows CR0 as it is */
        { FIELD_CR0_MASK, ALL },
        { FIELD_CR4_MASK, ALL },
        { FIELD_CR0_SHADOW, controls->cr0 },
        { FIELD_CR4_SHADOW, controls->cr4 & ~CR4_VMXE },
        { FIELD_GUEST_CR0, controls->cr0 },
        { FIELD_GUEST_CR3, ULV_VTX_CR3 },
        /* MCE: without it a machine check shuts the processor down; SDM vol.
         * 3A 6.15, vector 18 */
        { FIELD_GUEST_CR4, controls->cr4 | (cr4 & CR4_MCE) },
        /* no SCE: SYSCALL is undefined. NXE: fetches that fault say so. */
        { FIELD_GUEST_EFER, EFER_LME | EFER_LMA | (efer & EFER_NXE) },
        { FIELD_GUEST_DR7, DR7_RESET },
        { FIELD_GUEST_DEBUGCTL, 0 },
        { FIELD_GUEST_GDTR_BASE, 0 },
        { FIELD_GUEST_GDTR_LIMIT, 0 },
        { FIELD_GUEST_IDTR_BASE, 0 },
        { FIELD_GUEST_IDTR_LIMIT, 0 },
        /* SYSENTER with CS 0 is a protection fault */
        { FIELD_GUEST_SYSENTER_CS, 0 },
        { FIELD_GUEST_SYSENTER_SP, 0 },
        { FIELD_GUEST_SYSENTER_IP, 0 },
        { FIELD_GUEST_BLOCKING, 0 },
        { FIELD_GUEST_ACTIVITY, 0 },
        { FIELD_GUEST_PENDING, 0 },
    };

    memcpy(ret, fields, sizeof(fields));
    return put_segments(ret, ULV_COUNT_OF(fields));
}
