/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The first page of libvirt's API on libultravisor: open, list, look up, info,
 * create, destroy, on the mock backend. A program written for
 * <libvirt/libvirt.h> compiles unchanged and links with this library instead.
 *
 * What is not here is not exported: it fails when the program is linked, not
 * when it runs. A connection has a system of its own, in process.
 */
#include <elf.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ultravisor/abi/system_call.h>
#include <ultravisor/sys/mock.h>
#include <ultravisor/ultravisor.h>

#define API __attribute__((visibility("default")))

struct domain {
    struct domain *next;
    int id; /* libvirt's number of a running domain */
    ulv_id partition;
    unsigned long memory; /* [KiB] */
    unsigned short processors;
    char name[ULV_NAME_MAX + 1];
};

struct _virConnect {
    ulv_system *system;
    struct domain *domains;
    int next_id;
};

struct _virDomain {
    virConnectPtr connection;
    int id;
    char name[ULV_NAME_MAX + 1];
};

/* ---- errors ------ */

static _Thread_local virError last;
static _Thread_local char last_text[256];

static int
fail(int code, int domain, const char *text)
{
    (void)snprintf(last_text, sizeof(last_text), "%s", text);
    memset(&last, 0, sizeof(last));
    last.code = code;
    last.domain = domain;
    last.level = VIR_ERR_ERROR;
    last.message = last_text;
    return -1;
}

static int
fail_with(const struct ulv_diag *diag)
{
    int code = VIR_ERR_INTERNAL_ERROR;

    if (diag->status == ULV_E_NO_MEMORY)
        code = VIR_ERR_NO_MEMORY;
    else if (diag->status == ULV_E_EXISTS || diag->status == ULV_E_STATE ||
             diag->status == ULV_E_POLICY)
        code = VIR_ERR_OPERATION_FAILED;
    return fail(code, VIR_FROM_DOM, diag->text);
}

API virErrorPtr
virGetLastError(void)
{
    return last.code == 0 ? NULL : &last;
}

API const char *
virGetLastErrorMessage(void)
{
    return last.code == 0 ? "no error" : last.message;
}

API void
virResetLastError(void)
{
    memset(&last, 0, sizeof(last));
}

API int
virInitialize(void)
{
    return 0;
}

API int
virGetVersion(unsigned long *library, const char *type,
              unsigned long *type_version)
{
    (void)type;
    virResetLastError();
    if (library != NULL)
        *library = LIBVIR_VERSION_NUMBER;
    if (type_version != NULL)
        *type_version = 1000; /* 0.1.0 */
    return 0;
}

/* ---- domains of a connection ------ */

static struct domain *
find(virConnectPtr c, const char *name, int id)
{
    struct domain *d = c->domains;

    while (d != NULL && (name != NULL ? strcmp(d->name, name) != 0
                                      : d->id != id))
        d = d->next;
    return d;
}

static virDomainPtr
handle(virConnectPtr c, const struct domain *d)
{
    virDomainPtr handle = calloc(1, sizeof(*handle));

    if (handle == NULL) {
        (void)fail(VIR_ERR_NO_MEMORY, VIR_FROM_DOM, "out of memory");
        return NULL;
    }
    handle->connection = c;
    handle->id = d->id;
    memcpy(handle->name, d->name, sizeof(handle->name));
    return handle;
}

/* A guest that waits for ever: one call, again and again. */
static int
start(virConnectPtr c, ulv_id partition, struct ulv_diag *diag)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        struct ulv_mock_step step[2];
    } image;
    struct ulv_image start;

    memset(&image, 0, sizeof(image));
    memcpy(image.header.e_ident, ELFMAG, SELFMAG);
    image.header.e_ident[EI_CLASS] = ELFCLASS64;
    image.header.e_ident[EI_DATA] = ELFDATA2LSB;
    image.header.e_type = ET_EXEC;
    image.header.e_machine = EM_X86_64;
    image.header.e_entry = ULV_GUEST_RAM_BASE;
    image.header.e_phoff = sizeof(image.header);
    image.header.e_phentsize = sizeof(image.segment);
    image.header.e_phnum = 1;
    image.segment.p_type = PT_LOAD;
    image.segment.p_flags = PF_R | PF_X;
    image.segment.p_offset = sizeof(image.header) + sizeof(image.segment);
    image.segment.p_vaddr = ULV_GUEST_RAM_BASE;
    image.segment.p_filesz = image.segment.p_memsz = sizeof(image.step);
    image.step[0].kind = ULV_MOCK_CALL;
    image.step[0].number = ULV_CALL_WAIT;
    image.step[0].argument[0] = UINT64_MAX;
    image.step[1].kind = ULV_MOCK_REPEAT;
    image.step[1].number = 1;
    image.step[1].argument[0] = UINT64_MAX;
    memset(&start, 0, sizeof(start));
    start.kernel = ULV_SOURCE_MEMORY(&image, sizeof(image));
    return ulv_partition_start(c->system, partition, &start, diag) == ULV_OK
               ? 0
               : -1;
}

static struct domain *
create(virConnectPtr c, const char *name, unsigned long memory,
       unsigned short processors)
{
    struct domain *d = calloc(1, sizeof(*d));
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t = ulv_transaction_begin(c->system);

    if (d == NULL || t == NULL) {
        ulv_transaction_abort(t);
        free(d);
        (void)fail(VIR_ERR_NO_MEMORY, VIR_FROM_DOM, "out of memory");
        return NULL;
    }
    d->partition = ulv_transaction_partition(t, name, ULV_PARTITION_GUEST);
    ulv_transaction_memory(t, d->partition, (uint64_t)memory << 10,
                           ULV_ANY_NODE);
    ulv_transaction_processors(t, d->partition, processors, ULV_SHARED);
    if (ulv_transaction_commit(t, &diag) != ULV_OK ||
        start(c, d->partition, &diag) != 0) {
        (void)fail_with(&diag);
        free(d);
        return NULL;
    }
    (void)snprintf(d->name, sizeof(d->name), "%s", name);
    d->memory = memory;
    d->processors = processors;
    d->id = c->next_id++;
    d->next = c->domains;
    c->domains = d;
    return d;
}

/* ---- connections ------ */

API int
virConnectClose(virConnectPtr c)
{
    virResetLastError();
    while (c->domains != NULL) {
        struct domain *d = c->domains;

        c->domains = d->next;
        free(d);
    }
    ulv_system_destroy(c->system);
    free(c);
    return 0;
}

API virConnectPtr
virConnectOpen(const char *name)
{
    struct ulv_system_opts opts = ULV_SYSTEM_OPTS_INIT;
    struct ulv_diag diag = ULV_DIAG_INIT;
    virConnectPtr c;

    virResetLastError();
    if (name == NULL || (strcmp(name, "test:///default") != 0 &&
                         strcmp(name, "ultravisor:///system") != 0)) {
        (void)fail(VIR_ERR_NO_CONNECT, VIR_FROM_NONE,
                   "no connection: test:///default and ultravisor:///system "
                   "are known");
        return NULL;
    }
    c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->next_id = 1;
    opts.backend = "mock";
    if (ulv_system_create(ulv_posix_host(), &opts, &c->system, &diag) !=
        ULV_OK) {
        (void)fail_with(&diag);
        free(c);
        return NULL;
    }
    if (strncmp(name, "test:", 5) == 0 &&
        create(c, "test", 8192, 2) == NULL) {
        virError why = last;

        (void)virConnectClose(c);
        last = why;
        return NULL;
    }
    return c;
}

API const char *
virConnectGetType(virConnectPtr c)
{
    (void)c;
    virResetLastError();
    return "Ultravisor";
}

API int
virConnectNumOfDomains(virConnectPtr c)
{
    int count = 0;

    virResetLastError();
    for (const struct domain *d = c->domains; d != NULL; d = d->next)
        count++;
    return count;
}

API int
virConnectListDomains(virConnectPtr c, int *ids, int room)
{
    int count = 0;

    virResetLastError();
    for (const struct domain *d = c->domains; d != NULL && count < room;
         d = d->next)
        ids[count++] = d->id;
    return count;
}

/* ---- look up, info, create, destroy ------ */

static virDomainPtr
look_up(virConnectPtr c, const char *name, int id)
{
    const struct domain *d = find(c, name, id);

    virResetLastError();
    if (d != NULL)
        return handle(c, d);
    (void)fail(VIR_ERR_NO_DOMAIN, VIR_FROM_TEST, "Domain not found");
    return NULL;
}

API virDomainPtr
virDomainLookupByName(virConnectPtr c, const char *name)
{
    return look_up(c, name, 0);
}

API virDomainPtr
virDomainLookupByID(virConnectPtr c, int id)
{
    return look_up(c, NULL, id);
}

API const char *
virDomainGetName(virDomainPtr domain)
{
    return domain->name;
}

API unsigned int
virDomainGetID(virDomainPtr domain)
{
    const struct domain *d = find(domain->connection, NULL, domain->id);

    return d == NULL ? (unsigned int)-1 : (unsigned int)d->id;
}

API int
virDomainGetInfo(virDomainPtr domain, virDomainInfoPtr info)
{
    const struct domain *d = find(domain->connection, NULL, domain->id);

    virResetLastError();
    if (d == NULL)
        return fail(VIR_ERR_NO_DOMAIN, VIR_FROM_TEST, "Domain not found");
    memset(info, 0, sizeof(*info));
    info->state = VIR_DOMAIN_RUNNING;
    info->maxMem = info->memory = d->memory;
    info->nrVirtCpu = d->processors;
    return 0;
}

static xmlNodePtr
child(xmlNodePtr node, const char *name)
{
    xmlNodePtr n = node->children;

    while (n != NULL && strcmp((const char *)n->name, name) != 0)
        n = n->next;
    return n;
}

/* An element's number, or what stands for it. */
static unsigned long
number(xmlNodePtr root, const char *name, unsigned long otherwise)
{
    xmlNodePtr node = child(root, name);
    xmlChar *text = node == NULL ? NULL : xmlNodeGetContent(node);
    unsigned long value =
        text == NULL ? otherwise : strtoul((const char *)text, NULL, 10);

    xmlFree(text);
    return value;
}

/* Memory in KiB, libvirt's default unit. */
static unsigned long
memory_of(xmlNodePtr root)
{
    unsigned long memory = number(root, "memory", 0);
    xmlNodePtr node = child(root, "memory");
    xmlChar *unit =
        node == NULL ? NULL : xmlGetProp(node, (const xmlChar *)"unit");

    if (unit != NULL && (unit[0] == 'M' || unit[0] == 'm'))
        memory <<= 10;
    if (unit != NULL && (unit[0] == 'G' || unit[0] == 'g'))
        memory <<= 20;
    xmlFree(unit);
    return memory;
}

static struct domain *
create_from(virConnectPtr c, xmlNodePtr root)
{
    xmlNodePtr node = child(root, "name");
    xmlChar *name = node == NULL ? NULL : xmlNodeGetContent(node);
    unsigned long memory = memory_of(root);
    unsigned long processors = number(root, "vcpu", 1);
    struct domain *d = NULL;

    if (strcmp((const char *)root->name, "domain") != 0)
        (void)fail(VIR_ERR_XML_ERROR, VIR_FROM_DOM,
                   "XML error: the root element is no domain");
    else if (name == NULL || name[0] == '\0')
        (void)fail(VIR_ERR_NO_NAME, VIR_FROM_DOM, "the domain has no name");
    else if (strchr((const char *)name, '/') != NULL || memory == 0 ||
             processors == 0 || processors > 64)
        (void)fail(VIR_ERR_XML_ERROR, VIR_FROM_DOM,
                   "XML error: a name without '/', memory and 1 to 64 "
                   "processors are needed");
    else
        d = create(c, (const char *)name, (memory + 3) & ~3ul,
                   (unsigned short)processors);
    xmlFree(name);
    return d;
}

API virDomainPtr
virDomainCreateXML(virConnectPtr c, const char *text, unsigned int flags)
{
    xmlDocPtr document;
    struct domain *d = NULL;

    virResetLastError();
    if (flags != 0) {
        (void)fail(VIR_ERR_INVALID_ARG, VIR_FROM_DOM, "unsupported flags");
        return NULL;
    }
    document = xmlReadMemory(text, (int)strlen(text), NULL, NULL,
                             XML_PARSE_NONET | XML_PARSE_NOERROR |
                                 XML_PARSE_NOWARNING);
    if (document == NULL)
        (void)fail(VIR_ERR_XML_DETAIL, VIR_FROM_DOM,
                   "the document does not parse");
    else
        d = create_from(c, xmlDocGetRootElement(document));
    xmlFreeDoc(document);
    return d == NULL ? NULL : handle(c, d);
}

API int
virDomainDestroy(virDomainPtr domain)
{
    virConnectPtr c = domain->connection;
    struct domain **at = &c->domains, *d;
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_transaction *t;

    virResetLastError();
    while (*at != NULL && (*at)->id != domain->id)
        at = &(*at)->next;
    d = *at;
    if (d == NULL)
        return fail(VIR_ERR_OPERATION_INVALID, VIR_FROM_DOM,
                    "the domain is not running");
    if (ulv_partition_stop(c->system, d->partition, &diag) != ULV_OK)
        return fail_with(&diag);
    t = ulv_transaction_begin(c->system);
    ulv_transaction_destroy(t, d->partition);
    if (ulv_transaction_commit(t, &diag) != ULV_OK)
        return fail_with(&diag);
    *at = d->next;
    free(d);
    return 0;
}

API int
virDomainFree(virDomainPtr domain)
{
    virResetLastError();
    free(domain);
    return 0;
}
