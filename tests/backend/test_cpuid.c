/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What CPUID shows a guest of KVM, of a host that has everything. */
#include "../unit/port/port_test.h"

#include <string.h>

#include "backend/kvm/kvm_priv.h"

static void
add(struct cpuid *c, uint32_t function, uint32_t index)
{
    struct kvm_cpuid_entry2 *e = &c->entry[c->head.nent++];

    e->function = function;
    e->index = index;
    e->eax = e->ebx = e->ecx = e->edx = UINT32_MAX;
}

static struct cpuid
host_with_all(void)
{
    struct cpuid c = { .head = { .nent = 0 } };

    for (uint32_t leaf = 0; leaf < 0x25; leaf++)
        add(&c, leaf, 0);
    add(&c, 7, 1);
    for (uint32_t i = 1; i < 20; i++) {
        add(&c, 0xd, i);
        c.entry[c.head.nent - 1].eax = 256;
        c.entry[c.head.nent - 1].ebx = 576 + 256 * (i - 2);
    }
    add(&c, 0x40000000, 0);
    add(&c, 0x40000001, 0);
    for (uint32_t leaf = 0; leaf < 0x20; leaf++)
        add(&c, 0x80000000 + leaf, 0);
    return c;
}

static struct kvm_cpuid_entry2
leaf(const struct cpuid *c, uint32_t function, uint32_t index)
{
    const struct kvm_cpuid_entry2 *e = ulv_kvm_cpuid_leaf(c, function, index);

    return e == NULL ? (struct kvm_cpuid_entry2){ 0 } : *e;
}

static void
test_cpuid__levels(void **state)
{
    const struct cpuid host = host_with_all();
    struct cpuid c[3];

    (void)state;
    for (uint32_t level = 0; level <= ULV_CPU_HOST; level++)
        ulv_kvm_cpuid_make(&host, level, 0, 1, 2600000, &c[level]);
    assert_int_equal(leaf(&c[0], 1, 0).ecx, 0x80982201);
    assert_int_equal(leaf(&c[0], 1, 0).edx, 0x0788a179);
    assert_int_equal(leaf(&c[0], 7, 0).ebx, 0);
    assert_int_equal(ulv_kvm_cpuid_xcr0(&c[0]), 1);
    assert_int_equal(leaf(&c[1], 1, 0).ecx, 0xb4d83201);
    assert_int_equal(leaf(&c[1], 7, 0).ebx, 0x128);
    assert_int_equal(leaf(&c[1], 7, 0).edx, 0);
    assert_int_equal(leaf(&c[1], 7, 1).eax, 0);
    assert_int_equal(ulv_kvm_cpuid_xcr0(&c[1]), 7);
    assert_int_equal(leaf(&c[1], 0xd, 0).ebx, 576 + 256);
    assert_int_equal(leaf(&c[1], 0x80000001, 0).ecx, 0x21);
    assert_int_equal(leaf(&c[2], 7, 0).edx, UINT32_MAX);
    /* no AMX: its state has no room */
    assert_int_equal(ulv_kvm_cpuid_xcr0(&c[2]), 0x2e7);
}

/* Nothing of where it runs, at any level; who runs it, and how fast. */
static void
test_cpuid__says_nothing_of_the_place(void **state)
{
    static const uint32_t nowhere[] = { 2, 3, 4, 6, 0xa, 0xf, 0x15, 0x16,
                                        0x1f, 0x40000001, 0x8000001e };
    const struct cpuid host = host_with_all();

    (void)state;
    for (uint32_t level = 0; level <= ULV_CPU_HOST; level++) {
        struct cpuid c;

        ulv_kvm_cpuid_make(&host, level, 3, 4, 2600000, &c);
        for (size_t i = 0; i < ULV_COUNT_OF(nowhere); i++)
            assert_null(ulv_kvm_cpuid_leaf(&c, nowhere[i], 0));
        assert_int_equal(leaf(&c, 1, 0).ebx, 0x0304ff00);
        assert_int_equal(leaf(&c, 1, 0).ecx >> 27 & 1, 0); /* OSXSAVE */
        assert_int_equal(leaf(&c, 0xb, 0).edx, 3);
        assert_int_equal(leaf(&c, 0xb, 1).ebx, 4);
        assert_int_equal(leaf(&c, 0, 0).eax, 0xd);
        assert_int_equal(leaf(&c, 0x40000000, 0).eax, 0x40000010);
        assert_int_equal(leaf(&c, 0x40000010, 0).eax, 2600000);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpuid__levels),
        cmocka_unit_test(test_cpuid__says_nothing_of_the_place),
    };

    return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
