/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the processor finds when a guest starts. */
#include "vtx_test.h"

#include "backend/vtx/guest.h"
#include "port/test/test.h"

#define ALL UINT64_MAX

static uint64_t
physical(void *self, const void *p)
{
    (void)self;
    return (uint64_t)(uintptr_t)p;
}

struct guest {
    struct ulv_test_host t;
    struct ulv_vtx_ept ept;
    struct ulv_vtx_identity identity;
};

static void
begin(struct guest *g)
{
    memset(g, 0, sizeof(*g));
    ulv_test_host_init(&g->t);
    g->t.host.physical = physical;
    assert_int_equal(ulv_vtx_ept_init(&g->ept, &g->t.host, 64, false),
                     ULV_OK);
    assert_int_equal(ulv_vtx_identity_init(&g->identity, &g->ept), ULV_OK);
}

static void
end(struct guest *g)
{
    ulv_vtx_identity_fini(&g->identity);
    ulv_vtx_ept_fini(&g->ept);
    assert_int_equal(ulv_test_host_live(&g->t), 0);
    ulv_test_host_fini(&g->t);
}

/* An entry of a table of the guest, through the extended tables. */
static uint64_t
entry(const struct guest *g, uint64_t table, uint64_t i)
{
    struct ulv_vtx_translation found =
        ulv_vtx_ept_find(&g->ept, (table & UINT64_C(0xffffffffff000)) + i * 8);

    assert_int_equal(found.rights, ULV_VTX_EPT_READ);
    return *(const uint64_t *)(uintptr_t)found.physical;
}

/* The page walk of the SDM, vol. 3A 4.5; ALL: a page fault. */
static uint64_t
walk(const struct guest *g, uint64_t linear)
{
    uint64_t value = ULV_VTX_CR3;

    for (uint32_t shift = 39; shift >= 21; shift -= 9) {
        value = entry(g, value, linear >> shift & 511);
        if ((value & 1) == 0)
            return ALL;
        /* writable, user, accessed: the processor writes nothing */
        assert_int_equal(value & 0x26, 0x26);
    }
    assert_int_equal(value & 0xc0, 0xc0); /* dirty, a page */
    return (value & UINT64_C(0xfffffffe00000)) | (linear & 0x1fffff);
}

static void
test_backend_vtx_guest__identity(void **state)
{
    struct guest g;

    (void)state;
    begin(&g);
    assert_int_equal(walk(&g, 0), ALL);
    assert_int_equal(walk(&g, ULV_VTX_CR3), ALL);
    assert_int_equal(walk(&g, 0x1fffff), ALL);
    assert_int_equal(walk(&g, 0x200000), 0x200000);
    assert_int_equal(walk(&g, 0x3ff123), 0x3ff123);
    assert_int_equal(walk(&g, ULV_GIB(1) - 1), ULV_GIB(1) - 1);
    assert_int_equal(walk(&g, ULV_GIB(1)), ALL);
    assert_int_equal(ulv_vtx_identity_cover(&g.identity, ULV_GIB(4) - 4096,
                                            8192),
                     ULV_OK);
    assert_int_equal(walk(&g, ULV_GIB(3) - 1), ALL);
    for (uint64_t at = ULV_GIB(3); at < ULV_GIB(5); at += 4096 * 37 + 1)
        assert_int_equal(walk(&g, at), at);
    assert_int_equal(walk(&g, ULV_GIB(5)), ALL);
    /* all of it, twice: the tables end below 2 MiB */
    for (int i = 0; i < 2; i++)
        assert_int_equal(ulv_vtx_identity_cover(&g.identity, 0x400000,
                                                ULV_GIB(64) - 0x400000),
                         ULV_OK);
    assert_int_equal(walk(&g, ULV_GIB(64) - 1), ULV_GIB(64) - 1);
    assert_int_equal(walk(&g, ULV_GIB(64)), ALL);
    assert_int_equal(ulv_vtx_identity_cover(&g.identity, ULV_GIB(64) - 4096,
                                            8192),
                     ULV_E_LIMIT);
    assert_int_equal(ulv_vtx_ept_find(&g.ept, 0).rights, 0);
    assert_int_equal(ulv_vtx_ept_find(&g.ept, 67 * 4096).rights, 0);
    end(&g);
}

static void
test_backend_vtx_guest__every_allocation_fails(void **state)
{
    ulv_status status = ULV_E_INTERNAL;
    uint64_t failures = 0;

    (void)state;
    for (; status != ULV_OK; failures++) {
        struct guest g;

        memset(&g, 0, sizeof(g));
        ulv_test_host_init(&g.t);
        g.t.host.physical = physical;
        ulv_test_host_fail_at(&g.t, failures + 1);
        status = ulv_vtx_ept_init(&g.ept, &g.t.host, 64, false);
        if (status == ULV_OK)
            status = ulv_vtx_identity_init(&g.identity, &g.ept);
        if (status == ULV_OK)
            status = ulv_vtx_identity_cover(&g.identity, ULV_GIB(1), 4096);
        assert_true(status == ULV_OK || status == ULV_E_NO_MEMORY);
        end(&g);
    }
    assert_true(failures >= 8); /* four tables of each kind */
}

/* ---- the fields of a VMCS ------------------------------------------------ */

static uint32_t
fields_of(uint64_t efer, uint64_t cr4, struct ulv_vtx_field *ret)
{
    struct ulv_vtx_controls controls;

    assert_int_equal(ulv_vtx_controls(&good_processor, &controls, NULL),
                     ULV_OK);
    return ulv_vtx_guest_fields(&controls, 0x123401e, efer, cr4, ret);
}

static uint64_t
value_of(uint64_t field)
{
    struct ulv_vtx_field fields[ULV_VTX_FIELDS_MAX];
    uint32_t count = fields_of(~EFER_NXE, ~CR4_MCE, fields);

    for (uint32_t i = 0; i < count; i++) {
        if (fields[i].field == field)
            return fields[i].value;
    }
    fail_msg("no field %llx", (unsigned long long)field);
    return 0;
}

static void
test_backend_vtx_guest__fields_stand_once(void **state)
{
    struct ulv_vtx_field fields[ULV_VTX_FIELDS_MAX];
    uint32_t count = fields_of(0, 0, fields);

    (void)state;
    assert_true(count <= ULV_VTX_FIELDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(fields[i].field, fields[j].field);
        /* SDM vol. 3C 24.11.2: bit 0 is the upper half, never asked for */
        assert_int_equal(fields[i].field & 1, 0);
        /* a field of 16 or 32 bits holds no more */
        if ((fields[i].field >> 13 & 3) == 0)
            assert_true(fields[i].value <= UINT16_MAX);
        if ((fields[i].field >> 13 & 3) == 2)
            assert_true(fields[i].value <= UINT32_MAX);
    }
}

/* The checks of the SDM, vol. 3C 26.3.1, that concern what is written. */
static void
test_backend_vtx_guest__control_registers(void **state)
{
    struct ulv_vtx_field fields[ULV_VTX_FIELDS_MAX];
    uint32_t count = fields_of(EFER_NXE, CR4_MCE, fields);
    uint64_t cr0 = value_of(FIELD_GUEST_CR0), cr4 = value_of(FIELD_GUEST_CR4);

    (void)state;
    assert_int_equal(cr0 & good_processor.cr0_fixed0,
                     good_processor.cr0_fixed0);
    assert_int_equal(cr0 & ~good_processor.cr0_fixed1, 0);
    assert_int_equal(cr4 & good_processor.cr4_fixed0,
                     good_processor.cr4_fixed0);
    assert_int_equal(cr4 & ~good_processor.cr4_fixed1, 0);
    /* LME LMA, and of the host NXE; PAE VMXE, and of the host MCE: without
     * it a machine check is a shutdown (SDM vol. 3A 6.15, vector 18) */
    assert_int_equal(value_of(FIELD_GUEST_EFER), 0x500);
    assert_int_equal(cr4, 0x2020);
    for (uint32_t i = 0; i < count; i++) {
        if (fields[i].field == FIELD_GUEST_EFER)
            assert_int_equal(fields[i].value, 0xd00);
        if (fields[i].field == FIELD_GUEST_CR4)
            assert_int_equal(fields[i].value, 0x2060);
    }
    assert_int_equal(value_of(FIELD_GUEST_CR3), ULV_VTX_CR3);
    assert_int_equal(value_of(FIELD_LINK), ALL);
    assert_int_equal(value_of(FIELD_EXCEPTIONS), UINT32_MAX);
    assert_int_equal(value_of(FIELD_CR0_MASK), ALL);
    assert_int_equal(value_of(FIELD_CR4_MASK), ALL);
    assert_int_equal(value_of(FIELD_EPT_POINTER), 0x123401e);
}

static void
test_backend_vtx_guest__segments(void **state)
{
    uint64_t code = value_of(FIELD_GUEST_ES_RIGHTS + 2);
    uint64_t task = value_of(FIELD_GUEST_ES_RIGHTS + 14);

    (void)state;
    /* 64-bit code at CPL3: type 11, S, DPL 3, P, L, not D */
    assert_int_equal(code & 0x7f, 0x7b);
    assert_int_equal(code & 0x6000, 0x2000);
    for (uint32_t i = 0; i < 6; i++) {
        uint64_t rights = value_of(FIELD_GUEST_ES_RIGHTS + i * 2);

        assert_int_equal(rights & 0x10f90, 0x90); /* usable, P, S */
        assert_int_equal(rights >> 5 & 3, 3);
        assert_int_equal(value_of(FIELD_GUEST_ES + i * 2) & 7, 3);
        /* a limit of all ones: G is 1 */
        assert_int_equal(rights >> 15 & 1, 1);
        assert_int_equal(value_of(FIELD_GUEST_ES_LIMIT + i * 2), UINT32_MAX);
        assert_int_equal(value_of(FIELD_GUEST_ES_BASE + i * 2), 0);
    }
    assert_int_equal(value_of(FIELD_GUEST_ES_RIGHTS + 12), 0x10000);
    /* a busy 64-bit TSS with nothing in it, not of the local table */
    assert_int_equal(task, 0x8b);
    assert_int_equal(value_of(FIELD_GUEST_TR) & 4, 0);
    assert_int_equal(value_of(FIELD_GUEST_ES_LIMIT + 14), 0);
    assert_int_equal(value_of(FIELD_GUEST_GDTR_LIMIT), 0);
    assert_int_equal(value_of(FIELD_GUEST_IDTR_LIMIT), 0);
    assert_int_equal(value_of(FIELD_GUEST_SYSENTER_CS), 0);
}

static void
test_backend_vtx_guest__gate(void **state)
{
    const uint8_t code[] = { 0x0f, 0x01, 0xc1, 0xc3 }; /* vmcall; ret */

    (void)state;
    assert_int_equal(sizeof(code), ULV_VTX_GATE_BYTES);
    assert_memory_equal(ulv_vtx_gate, code, sizeof(code));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend_vtx_guest__identity),
        cmocka_unit_test(test_backend_vtx_guest__every_allocation_fails),
        cmocka_unit_test(test_backend_vtx_guest__fields_stand_once),
        cmocka_unit_test(test_backend_vtx_guest__control_registers),
        cmocka_unit_test(test_backend_vtx_guest__segments),
        cmocka_unit_test(test_backend_vtx_guest__gate),
    };

    return cmocka_run_group_tests_name("backend_vtx-guest", tests, NULL, NULL);
}
