/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A plain libvirt program: it includes libvirt's header and nothing of ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

static const char web[] =
    "<domain type='ultravisor'><name>web</name>"
    "<memory unit='MiB'>4</memory><vcpu>1</vcpu>"
    "<os><type>hvm</type></os></domain>";

static void
test_libvirt__preset_domain(void **state)
{
    virConnectPtr c = virConnectOpen("test:///default");
    virDomainInfo info;
    virDomainPtr d;
    int id = 0;

    (void)state;
    assert_non_null(c);
    assert_int_equal(virConnectNumOfDomains(c), 1);
    assert_int_equal(virConnectListDomains(c, &id, 1), 1);
    d = virDomainLookupByID(c, id);
    assert_non_null(d);
    assert_string_equal(virDomainGetName(d), "test");
    assert_int_equal(virDomainGetInfo(d, &info), 0);
    assert_int_equal(info.state, VIR_DOMAIN_RUNNING);
    assert_int_equal(virDomainFree(d), 0);
    assert_int_equal(virConnectClose(c), 0);
}

static void
test_libvirt__create_and_destroy(void **state)
{
    virConnectPtr c = virConnectOpen("ultravisor:///system");
    virDomainPtr d, again;
    virDomainInfo info;

    (void)state;
    assert_non_null(c);
    assert_int_equal(virConnectNumOfDomains(c), 0);
    d = virDomainCreateXML(c, web, 0);
    assert_non_null(d);
    assert_int_equal(virDomainGetInfo(d, &info), 0);
    assert_int_equal(info.memory, 4096);
    assert_int_equal(info.nrVirtCpu, 1);
    again = virDomainLookupByName(c, "web");
    assert_non_null(again);
    assert_int_equal(virDomainGetID(again), virDomainGetID(d));
    assert_null(virDomainCreateXML(c, web, 0)); /* the name is taken */
    assert_int_equal(virDomainDestroy(d), 0);
    /* as soon as it has stopped, through older handles too */
    assert_int_equal(virDomainGetID(again), (unsigned int)-1);
    assert_int_equal(virDomainDestroy(again), -1);
    assert_int_equal(virGetLastError()->code, VIR_ERR_OPERATION_INVALID);
    assert_int_equal(virConnectNumOfDomains(c), 0);
    (void)virDomainFree(d);
    (void)virDomainFree(again);
    assert_int_equal(virConnectClose(c), 0);
}

static void
test_libvirt__errors(void **state)
{
    static const struct {
        const char *xml;
        int code;
    } bad[] = {
        { "<domain", VIR_ERR_XML_DETAIL },
        { "<network><name>x</name></network>", VIR_ERR_XML_ERROR },
        { "<domain><memory>4096</memory></domain>", VIR_ERR_NO_NAME },
        { "<domain><name>a/b</name><memory>4096</memory></domain>",
          VIR_ERR_XML_ERROR },
        { "<domain><name>x</name></domain>", VIR_ERR_XML_ERROR },
    };
    virConnectPtr c = virConnectOpen("ultravisor:///system");

    (void)state;
    assert_null(virConnectOpen("xen:///"));
    assert_int_equal(virGetLastError()->code, VIR_ERR_NO_CONNECT);
    assert_null(virDomainLookupByName(c, "nobody"));
    assert_int_equal(virGetLastError()->code, VIR_ERR_NO_DOMAIN);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(virDomainCreateXML(c, bad[i].xml, 0));
        assert_int_equal(virGetLastError()->code, bad[i].code);
    }
    assert_int_equal(virConnectClose(c), 0);
    assert_null(virGetLastError());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_libvirt__preset_domain),
        cmocka_unit_test(test_libvirt__create_and_destroy),
        cmocka_unit_test(test_libvirt__errors),
    };

    return cmocka_run_group_tests_name("libvirt", tests, NULL, NULL);
}
