/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What is mapped before a guest runs: arguments, rights, holes, sizes. */
#include "conformance/conformance_priv.h"

#define LARGE_MAX ULV_GIB(1)
#define LARGE_MIN ULV_MIB(4)
#define PAGES     8u
#define ADJACENT  600u /* pages: over the border of a large one */

static ulv_status
map(struct stage *s, uint64_t guest, uint64_t bytes, const struct memory *m)
{
    return s->kit->ops->map(s->machine, (ulv_gpa){ guest }, bytes, m->handle,
                            0, m->p, ULV_GUEST_WRITE);
}

/* A row of map calls that are all refused in one way. */
struct refused {
    uint64_t guest, bytes;
    ulv_status status;
};

static bool
refuses(struct stage *s, const struct refused *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ulv_status status = map(s, rows[i].guest, rows[i].bytes, &s->ram);

        if (status != rows[i].status)
            return ulv_kit_fail(s->kit, "map of %x bytes at %x: %s, not %s",
                                rows[i].bytes, rows[i].guest,
                                ulv_status_name(status),
                                ulv_status_name(rows[i].status));
    }
    return true;
}

static struct stage *
machine(struct kit *k, const struct guest *guest)
{
    struct stage *s = &k->stage[0];

    return ulv_kit_machine(s, guest, &(struct setup){ 0 }) ? s : NULL;
}

static void
test_misaligned(struct kit *k)
{
    static const struct refused rows[] = {
        { OTHER, 0, ULV_E_ARG },
        { OTHER + 1, PAGE, ULV_E_ARG },
        { OTHER + PAGE / 2, PAGE, ULV_E_ARG },
        { OTHER, 1, ULV_E_ARG },
        { OTHER, PAGE + 512, ULV_E_ARG },
        { UINT64_MAX - PAGE + 1, 2 * PAGE, ULV_E_ARG },
    };
    struct stage *s = machine(k, &ulv_kit_spin);

    if (s != NULL)
        (void)refuses(s, rows, ULV_COUNT_OF(rows));
}

static void
test_overlaps(struct kit *k)
{
    static const struct refused rows[] = {
        { RAM, RAM_BYTES, ULV_E_EXISTS },
        { RAM, PAGE, ULV_E_EXISTS },
        { RAM + PAGE, PAGE, ULV_E_EXISTS },
        { RAM + RAM_BYTES - PAGE, PAGE, ULV_E_EXISTS },
        { RAM + RAM_BYTES - PAGE, 2 * PAGE, ULV_E_EXISTS },
        { RAM, 2 * RAM_BYTES, ULV_E_EXISTS },
    };
    struct stage *s = machine(k, &ulv_kit_spin);
    ulv_status status;

    if (s == NULL || !refuses(s, rows, ULV_COUNT_OF(rows)))
        return;
    status = map(s, RAM + RAM_BYTES, PAGE, &s->ram);
    REQUIRE(k, status == ULV_OK, "map next to another region: %s",
            ulv_status_name(status));
}

static void
test_low(struct kit *k)
{
    static const struct refused rows[] = {
        { 0, PAGE, ULV_E_EXISTS },
        { ULV_MIB(1), PAGE, ULV_E_EXISTS },
        { ULV_GUEST_GATE, PAGE, ULV_E_EXISTS },
        { RAM - 2 * PAGE, PAGE, ULV_E_EXISTS },
        { 0, ULV_MIB(2), ULV_E_EXISTS },
    };
    struct stage *s = machine(k, &ulv_kit_spin);

    if (s != NULL)
        (void)refuses(s, rows, ULV_COUNT_OF(rows));
}

static void
test_high(struct kit *k)
{
    const struct refused rows[] = {
        { k->caps.guest_address_max, PAGE, ULV_E_LIMIT },
        { k->caps.guest_address_max - PAGE, 2 * PAGE, ULV_E_LIMIT },
        { UINT64_C(1) << 62, PAGE, ULV_E_LIMIT },
    };
    uint64_t last = k->caps.guest_address_max - PAGE;
    struct stage *s = machine(k, &ulv_kit_errands);
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    ulv_status status;
    struct ulv_exit out;

    if (s == NULL || page == NULL || !refuses(s, rows, ULV_COUNT_OF(rows)))
        return;
    status = ulv_kit_map(s, last, page, 0);
    REQUIRE(k, status == ULV_OK, "map of the last page, %x: %s", last,
            ulv_status_name(status));
    if (k->opts->guest_code == ULV_CONFORMANCE_STEPS)
        return;
    memcpy(page->p + PAGE - 8, "the last", 8);
    if (ulv_kit_vcpu(s, 0, 0) &&
        ulv_kit_run_call(s, 0, ERRAND_NUMBER, &out))
        (void)ulv_kit_errand_reads(s, last + PAGE - 8,
                                   ulv_get_le64("the last"));
}

static void
test_unmap_exactly(struct kit *k)
{
    static const struct refused rows[] = {
        { RAM, PAGE, ULV_E_NOT_FOUND },
        { RAM + PAGE, RAM_BYTES - PAGE, ULV_E_NOT_FOUND },
        { RAM, RAM_BYTES + PAGE, ULV_E_NOT_FOUND },
        { OTHER, RAM_BYTES, ULV_E_NOT_FOUND },
    };
    struct stage *s = machine(k, &ulv_kit_spin);
    ulv_status status;

    for (size_t i = 0; s != NULL && i < ULV_COUNT_OF(rows); i++) {
        status = k->ops->unmap(s->machine, (ulv_gpa){ rows[i].guest },
                               rows[i].bytes);
        REQUIRE(k, status == rows[i].status, "unmap of %x bytes at %x: %s",
                rows[i].bytes, rows[i].guest, ulv_status_name(status));
    }
    for (uint32_t i = 0; s != NULL && i < 2; i++) {
        status = k->ops->unmap(s->machine, (ulv_gpa){ RAM }, RAM_BYTES);
        REQUIRE(k, status == (i == 0 ? ULV_OK : ULV_E_NOT_FOUND),
                "unmap number %u: %s", (uint64_t)i, ulv_status_name(status));
    }
}

/* ---- what a guest sees --------------------------------------------------- */

/* A guest that runs errands and has one more region; it has called. */
static struct stage *
begin_errands(struct kit *k, const struct memory *memory, uint64_t guest,
              uint32_t access)
{
    struct stage *s = machine(k, &ulv_kit_errands);
    struct ulv_exit out;
    ulv_status status;

    if (s == NULL || memory == NULL)
        return NULL;
    status = ulv_kit_map(s, guest, memory, access);
    if (status != ULV_OK) {
        (void)ulv_kit_fail(k, "map of %z at %x: %s", memory->bytes, guest,
                           ulv_status_name(status));
        return NULL;
    }
    if (!ulv_kit_vcpu(s, 0, 0) ||
        !ulv_kit_run_call(s, 0, ERRAND_NUMBER, &out))
        return NULL;
    return s;
}

/* The errand ends in that fault, and the memory is as it was. */
static void
fails(struct stage *s, int64_t what, uint64_t where, uint32_t kind)
{
    struct ulv_exit out;

    ulv_kit_answer(s, 0, what, where);
    (void)ulv_kit_run_fault(s, 0, kind, where, &out);
}

static void
test_read_only(struct kit *k)
{
    static const int64_t errands[] = { ERRAND_WRITE, ERRAND_ADD };
    struct memory *page = ulv_kit_spare(k, 0, PAGE);

    for (size_t i = 0; page != NULL && i < ULV_COUNT_OF(errands); i++) {
        struct stage *s;

        ulv_kit_end(&k->stage[0]);
        memcpy(page->p + 0x10, "read me!", 8);
        s = begin_errands(k, page, OTHER, 0);
        if (s == NULL ||
            !ulv_kit_errand_reads(s, OTHER + 0x10, ulv_get_le64("read me!")))
            return;
        ulv_kit_set_word(s, VALUE, 1);
        fails(s, errands[i], OTHER + 0x10, ULV_FAULT_WRITE);
        REQUIRE(k, memcmp(page->p + 0x10, "read me!", 8) == 0,
                "the guest wrote to memory that it may only read");
    }
}

/* The same by a step: one store to where nothing may be written. */
static void
test_stores(struct kit *k)
{
    struct ulv_mock_step steps[] = {
        { .kind = ULV_MOCK_STORE, .argument = { RAM + RESULT, 5 } },
        { .kind = ULV_MOCK_CALL, .number = CALLS_NUMBER },
        { .kind = ULV_MOCK_STORE, .argument = { OTHER, 6 } },
    };
    /* movq $5,RESULT; mov $0,%edi; call the gate; movb $6,OTHER */
    static const uint8_t code[] = {
        0x48, 0xc7, 0x04, 0x25, 0x00, 0x80, 0x40, 0x00, 0x05, 0x00, 0x00,
        0x00, 0x48, 0xbf, 0x44, 0x44, 0x33, 0x33, 0x22, 0x22, 0x11, 0x11,
        0xb8, 0x00, 0xf0, 0x3f, 0x00, 0xff, 0xd0, 0xc6, 0x04, 0x25, 0x00,
        0x00, 0x00, 0x20, 0x06,
    };
    const struct guest guest = { code, code + sizeof(code), steps,
                                 ULV_COUNT_OF(steps) };
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    struct stage *s = machine(k, &guest);
    struct ulv_exit out;

    if (s == NULL || page == NULL)
        return;
    REQUIRE(k, ulv_kit_map(s, OTHER, page, 0) == ULV_OK, "map failed");
    if (!ulv_kit_vcpu(s, 0, 0) ||
        !ulv_kit_run_call(s, 0, CALLS_NUMBER, &out))
        return;
    REQUIRE(k, ulv_kit_word(s, RESULT) == 5, "the guest stored 5, not %u",
            ulv_kit_word(s, RESULT));
    ulv_kit_answer(s, 0, 0, 0);
    (void)ulv_kit_run_fault(s, 0, ULV_FAULT_WRITE, OTHER, &out);
    REQUIRE(k, page->p[0] == 0,
            "the guest wrote to memory that it may only read");
}

static void
test_not_executable(struct kit *k)
{
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    struct stage *s;
    struct ulv_exit out;

    if (page == NULL)
        return;
    page->p[0] = 0xc3; /* ret */
    s = begin_errands(k, page, OTHER, ULV_GUEST_EXECUTE);
    if (s == NULL || !ulv_kit_errand(s, ERRAND_EXECUTE, OTHER, &out))
        return;
    REQUIRE(k, out.reason == ULV_EXIT_CALL,
            "what may be executed was not: exit reason %u",
            (uint64_t)out.reason);
    ulv_kit_end(s);
    s = begin_errands(k, page, OTHER, ULV_GUEST_WRITE);
    if (s != NULL)
        fails(s, ERRAND_EXECUTE, OTHER, ULV_FAULT_EXECUTE);
}

/* Beside a region, between two, and behind the memory itself. */
static void
test_holes(struct kit *k)
{
    static const struct {
        int64_t what;
        uint64_t where;
        uint32_t kind;
    } rows[] = {
        { ERRAND_READ, OTHER - 8, ULV_FAULT_READ },
        { ERRAND_READ, OTHER + PAGE, ULV_FAULT_READ },
        { ERRAND_WRITE, OTHER + PAGE + 0x20, ULV_FAULT_WRITE },
        { ERRAND_WRITE, OTHER - 0x1000, ULV_FAULT_WRITE },
        { ERRAND_EXECUTE, OTHER + PAGE, ULV_FAULT_EXECUTE },
        { ERRAND_READ, RAM + RAM_BYTES, ULV_FAULT_READ },
        { ERRAND_WRITE, RAM + RAM_BYTES, ULV_FAULT_WRITE },
    };
    struct memory *page = ulv_kit_spare(k, 0, PAGE);

    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++) {
        struct stage *s;

        ulv_kit_end(&k->stage[0]);
        s = begin_errands(k, page, OTHER, READ_WRITE_EXECUTE);
        if (s == NULL || !ulv_kit_errand_reads(s, OTHER + PAGE - 8, 0))
            return;
        fails(s, rows[i].what, rows[i].where, rows[i].kind);
    }
}

/* Eight bytes of which the first four are there. */
static void
test_across(struct kit *k)
{
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    struct stage *s = begin_errands(k, page, OTHER, ULV_GUEST_WRITE);
    uint64_t at = OTHER + PAGE - 4;
    struct ulv_exit out;

    if (s == NULL)
        return;
    ulv_kit_answer(s, 0, ERRAND_READ, (uint64_t)at);
    if (!ulv_kit_run_fault(s, 0, ULV_FAULT_READ, ANYWHERE, &out))
        return;
    REQUIRE(k, out.u.fault.address >= at && out.u.fault.address < at + 8,
            "a read of 8 bytes at %x faults at %x", at, out.u.fault.address);
}

/* One memory object, mapped page by page, the last page first. */
static void
test_offsets(struct kit *k)
{
    struct memory *m = ulv_kit_spare(k, 0, PAGES * PAGE);
    struct stage *s = machine(k, &ulv_kit_errands);
    struct ulv_exit out;

    if (s == NULL || m == NULL)
        return;
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t offset = (PAGES - 1 - i) * PAGE;
        ulv_status status = k->ops->map(
            s->machine, (ulv_gpa){ OTHER + 2 * i * PAGE }, PAGE, m->handle,
            offset, m->p + offset, ULV_GUEST_WRITE);

        REQUIRE(k, status == ULV_OK, "map at offset %x: %s", offset,
                ulv_status_name(status));
        m->p[offset] = (uint8_t)(i + 1);
    }
    if (!ulv_kit_vcpu(s, 0, 0) ||
        !ulv_kit_run_call(s, 0, ERRAND_NUMBER, &out))
        return;
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t at = OTHER + 2 * i * PAGE;

        ulv_kit_set_word(s, VALUE, i + 100);
        if (!ulv_kit_errand_reads(s, at, i + 1) ||
            !ulv_kit_errand(s, ERRAND_WRITE, at, &out))
            return;
        REQUIRE(k, m->p[(PAGES - 1 - i) * PAGE] == i + 100,
                "what the guest wrote at %x is not in its memory", at);
    }
}

/* Pages of two objects by turns, a region each; a third of them is taken. */
static void
test_adjacent(struct kit *k)
{
    const uint64_t count = ULV_MIN(k->caps.regions_max - 1, ADJACENT);
    struct memory *m[2] = { ulv_kit_spare(k, 0, count * PAGE),
                            ulv_kit_spare(k, 1, count * PAGE) };
    struct stage *s = machine(k, &ulv_kit_errands);
    ulv_status status = ULV_OK;
    struct ulv_exit out;

    if (s == NULL || m[0] == NULL || m[1] == NULL)
        return;
    for (uint64_t i = 0; i < count && status == ULV_OK; i++) {
        uint8_t *p = m[i % 2]->p + i * PAGE;

        memcpy(p, &(uint64_t){ i + 1 }, 8);
        status = k->ops->map(s->machine, (ulv_gpa){ OTHER + i * PAGE }, PAGE,
                             m[i % 2]->handle, i * PAGE, p, ULV_GUEST_WRITE);
    }
    for (uint64_t i = 1; i < count && status == ULV_OK; i += 3)
        status =
            k->ops->unmap(s->machine, (ulv_gpa){ OTHER + i * PAGE }, PAGE);
    REQUIRE(k, status == ULV_OK, "%u pages, a region each: %s", count,
            ulv_status_name(status));
    if (!ulv_kit_vcpu(s, 0, 0) ||
        !ulv_kit_run_call(s, 0, ERRAND_NUMBER, &out))
        return;
    for (uint64_t i = 0; i < count; i++) {
        if (i % 3 != 1 && !ulv_kit_errand_reads(s, OTHER + i * PAGE, i + 1))
            return;
    }
    fails(s, ERRAND_READ, OTHER + PAGE, ULV_FAULT_READ);
}

/* The most that the host has of these sizes. */
static struct memory *
large(struct kit *k)
{
    struct memory *m = &k->spare[0];

    for (uint64_t bytes = LARGE_MAX; bytes >= LARGE_MIN; bytes /= 4) {
        if (ulv_kit_memory_make(k, bytes + PAGE, ULV_MEMORY_LAZY, m) == ULV_OK)
            return m;
    }
    ulv_kit_skip(k, "the host has no 4 MiB in one piece");
    return NULL;
}

/* Across the borders of large pages, and a page more. */
static void
test_large(struct kit *k)
{
    struct memory *m = large(k);
    uint64_t at = OTHER + ULV_GIB(1) - ULV_MIB(2) - PAGE;
    uint64_t step;
    struct stage *s;
    struct ulv_exit out;

    if (m == NULL)
        return;
    s = begin_errands(k, m, at, ULV_GUEST_WRITE);
    if (s == NULL)
        return;
    step = ulv_round_down(m->bytes / 61, PAGE) + 8;
    for (uint64_t offset = 0; offset < m->bytes; offset += step) {
        memcpy(m->p + offset, &(uint64_t){ ~offset }, 8);
        ulv_kit_set_word(s, VALUE, offset + 3);
        if (!ulv_kit_errand_reads(s, at + offset, ~offset) ||
            !ulv_kit_errand(s, ERRAND_WRITE, at + offset, &out))
            return;
        REQUIRE(k, ulv_get_le64(m->p + offset) == offset + 3,
                "what the guest wrote at %x is not in its memory",
                at + offset);
    }
    if (ulv_kit_errand_reads(s, at + m->bytes - 8, 0))
        fails(s, ERRAND_READ, at + m->bytes, ULV_FAULT_READ);
}

static const struct test_case cases[] = {
    { "misaligned and empty ranges are refused", test_misaligned, 0 },
    { "overlaps are refused", test_overlaps, 0 },
    { "what is the backend's is refused", test_low, 0 },
    { "the highest address", test_high, 0 },
    { "unmap takes what was mapped", test_unmap_exactly, 0 },
    { "a store arrives, or faults", test_stores, 0 },
    { "read-only memory is not written", test_read_only, NEEDS_CODE },
    { "data is not executed", test_not_executable, NEEDS_CODE },
    { "holes fault where they are", test_holes, NEEDS_CODE },
    { "an access across the end faults", test_across, NEEDS_CODE },
    { "a region is the memory at its offset", test_offsets, NEEDS_CODE },
    { "regions side by side", test_adjacent, NEEDS_CODE },
    { "a large region", test_large, NEEDS_CODE },
};

const struct case_list ulv_kit_memory = { ULV_CONFORMANCE_MEMORY, cases,
                                          ULV_COUNT_OF(cases) };
