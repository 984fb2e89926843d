/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the tests of this folder share: a source, guest memory, and a plan that
 * is held to the rules. */
#ifndef LOADER_TEST_H
#define LOADER_TEST_H

#include "../port/port_test.h"

#include <stdlib.h>

#include "plan_rules.h"

/* Bytes with an end. */
struct medium {
    const uint8_t *p;
    uint64_t bytes;
    uint64_t reads, fail_at; /* the n-th read fails */
};

static inline ulv_status
read_medium(void *self, uint64_t offset, void *buf, size_t len)
{
    struct medium *medium = self;

    assert_true(ulv_range_inside(offset, len, medium->bytes));
    if (++medium->reads == medium->fail_at)
        return ULV_E_MEDIUM;
    memcpy(buf, medium->p + offset, len);
    return ULV_OK;
}

/* A field of an image: width bytes at offset become this. */
static inline void
set_field(void *image, size_t offset, uint32_t width, uint64_t value)
{
    /* the numbers of an image and of this machine are little-endian */
    memcpy((uint8_t *)image + offset, &value, width);
}

#define REGIONS 4
#define MEMORY  UINT64_C(0x700000)

/* A machine of 6 MiB from 1 MiB on, in three regions that touch, and a PC's
 * memory below. */
struct machine {
    struct ulv_loader_region regions[REGIONS];
    struct medium image, initrd;
    struct ulv_loader_request request;
    struct ulv_loader_plan plan;
    struct ulv_diag diag;
};

static inline void
make_machine(struct machine *m, const void *image, uint64_t bytes)
{
    static const struct ulv_loader_region regions[REGIONS] = {
        { 0, 0xa0000, NULL },
        { 0x100000, 0x150000, NULL },
        { 0x250000, 0x1000, NULL },
        { 0x251000, MEMORY - 0x251000, NULL },
    };

    memset(m, 0, sizeof(*m));
    for (uint32_t i = 0; i < REGIONS; i++) {
        m->regions[i] = regions[i];
        m->regions[i].p = malloc((size_t)regions[i].bytes);
        assert_non_null(m->regions[i].p);
    }
    m->image = (struct medium){ .p = image, .bytes = bytes };
    m->request.regions = m->regions;
    m->request.region_count = REGIONS;
    m->request.image =
        (struct ulv_loader_source){ read_medium, &m->image, bytes };
    forget_memory(&m->request); /* a plan is to leave it so */
}

static inline void
add_initrd(struct machine *m, const void *bytes, uint64_t len)
{
    m->initrd = (struct medium){ .p = bytes, .bytes = len };
    m->request.initrd =
        (struct ulv_loader_source){ read_medium, &m->initrd, len };
}

static inline void
free_machine(struct machine *m)
{
    for (uint32_t i = 0; i < REGIONS; i++)
        free(m->regions[i].p);
}

static inline ulv_status
plan_machine(struct machine *m)
{
    ulv_status status;

    m->diag = (struct ulv_diag)ULV_DIAG_INIT;
    memset(&m->plan, 0xa5, sizeof(m->plan));
    status = ulv_loader_plan(&m->request, &m->plan, &m->diag);
    if (status == ULV_OK) {
        const char *defect = plan_defect(&m->plan);

        if (defect != NULL)
            print_message("# %s\n", defect);
        assert_null(defect);
    } else {
        assert_int_equal(m->diag.status, status);
        assert_true(m->diag.text[0] != '\0');
    }
    return status;
}

static inline void
write_machine(struct machine *m)
{
    forget_memory(&m->request);
    assert_int_equal(ulv_loader_write(&m->plan, &m->diag), ULV_OK);
    assert_null(write_defect(&m->plan));
}

/* Copy out of the guest's memory. */
static inline void
peek(const struct machine *m, uint64_t guest, void *buf, size_t len)
{
    uint8_t *to = buf;

    for (size_t i = 0; i < len; i++, guest++) {
        for (uint32_t k = 0; k < REGIONS; k++) {
            const struct ulv_loader_region *r = &m->regions[k];

            if (guest >= r->guest && guest - r->guest < r->bytes)
                to[i] = r->p[guest - r->guest];
        }
    }
}

/* One thing that is wrong, and how the plan says so. */
struct change {
    const char *name;
    size_t offset;
    uint32_t width;
    uint64_t to;
    ulv_status status;
    uint64_t value, bound;
    const char *text;
};

static inline void
assert_refused(const struct machine *m, ulv_status status,
               const struct change *c)
{
    if (status != c->status || m->diag.value != c->value ||
        m->diag.bound != c->bound || strstr(m->diag.text, c->text) == NULL)
        print_message("# %s: %s, value 0x%llx, bound 0x%llx: %s\n", c->name,
                      ulv_status_name(status),
                      (unsigned long long)m->diag.value,
                      (unsigned long long)m->diag.bound, m->diag.text);
    assert_int_equal(status, c->status);
    assert_int_equal(m->diag.value, c->value);
    assert_int_equal(m->diag.bound, c->bound);
    assert_non_null(strstr(m->diag.text, c->text));
}

#endif
