/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Memory that comes and goes while a guest runs. */
#include "conformance/conformance_priv.h"

#define PLACES 60u

/* A guest that runs errands, and has called. */
static struct stage *
begin_errands(struct kit *k)
{
    struct stage *s = ulv_kit_begin_with(k, &ulv_kit_errands, 0);
    struct ulv_exit out;

    return s != NULL && ulv_kit_run_call(s, 0, ERRAND_NUMBER, &out) ? s : NULL;
}

static bool
unmap(struct stage *s, uint64_t guest, uint64_t bytes)
{
    ulv_status status =
        s->kit->ops->unmap(s->machine, (ulv_gpa){ guest }, bytes);

    return status == ULV_OK || ulv_kit_fail(s->kit, "unmap at %x: %s", guest,
                                            ulv_status_name(status));
}

static bool
map(struct stage *s, uint64_t guest, const struct memory *m, uint32_t access)
{
    ulv_status status = ulv_kit_map(s, guest, m, access);

    return status == ULV_OK || ulv_kit_fail(s->kit, "map at %x: %s", guest,
                                            ulv_status_name(status));
}

static void
test_given(struct kit *k)
{
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    struct stage *s = begin_errands(k);

    if (s == NULL || page == NULL)
        return;
    memcpy(page->p, "content.", 8);
    if (map(s, OTHER, page, 0))
        (void)ulv_kit_errand_reads(s, OTHER, ulv_get_le64("content."));
}

/* What the guest has used already, so that translations of it are kept. */
static void
test_taken(struct kit *k)
{
    struct memory *page = ulv_kit_spare(k, 0, PAGE);
    struct stage *s = begin_errands(k);
    struct ulv_exit out;

    if (s == NULL || page == NULL || !map(s, OTHER, page, ULV_GUEST_WRITE) ||
        !ulv_kit_errand(s, ERRAND_ADD, OTHER, &out) ||
        !unmap(s, OTHER, PAGE))
        return;
    REQUIRE(k, page->p[0] == 1,
            "what the guest wrote is gone with the mapping: %u",
            (uint64_t)page->p[0]);
    ulv_kit_answer(s, 0, ERRAND_WRITE, OTHER);
    if (!ulv_kit_run_fault(s, 0, ULV_FAULT_WRITE, OTHER, &out))
        return;
    REQUIRE(k, page->p[0] == 1, "the guest reached memory that was unmapped");
}

/* One memory after another at one place, and other rights to the same. */
static void
test_replaced(struct kit *k)
{
    struct memory *m[2] = { ulv_kit_spare(k, 0, PAGE),
                            ulv_kit_spare(k, 1, PAGE) };
    struct stage *s = begin_errands(k);
    struct ulv_exit out;

    if (s == NULL || m[0] == NULL || m[1] == NULL)
        return;
    for (uint64_t i = 0; i < 200; i++) {
        struct memory *now = m[i % 2];
        uint64_t is;

        if (!map(s, OTHER, now, ULV_GUEST_WRITE) ||
            !ulv_kit_errand_reads(s, OTHER + 8, i / 2) ||
            !ulv_kit_errand(s, ERRAND_ADD, OTHER + 8, &out) ||
            !unmap(s, OTHER, PAGE))
            return;
        memcpy(&is, now->p + 8, sizeof(is));
        REQUIRE(k, is == i / 2 + 1, "turn %u: %u in memory, not %u", i, is,
                i / 2 + 1);
    }
    if (!map(s, OTHER, m[0], ULV_GUEST_WRITE) ||
        !ulv_kit_errand(s, ERRAND_ADD, OTHER + 8, &out) ||
        !unmap(s, OTHER, PAGE) || !map(s, OTHER, m[0], 0) ||
        !ulv_kit_errand_reads(s, OTHER + 8, 101))
        return;
    ulv_kit_answer(s, 0, ERRAND_ADD, OTHER + 8);
    (void)ulv_kit_run_fault(s, 0, ULV_FAULT_WRITE, OTHER + 8, &out);
}

/* Not at a call: wherever the guest was. It writes without end. */
static void
test_under_way(struct kit *k)
{
    struct memory *m[2] = { ulv_kit_spare(k, 0, PAGE),
                            ulv_kit_spare(k, 1, PAGE) };
    struct stage *s = &k->stage[0];
    struct ulv_exit out;
    uint64_t was;

    if (m[0] == NULL || m[1] == NULL ||
        !ulv_kit_machine(s, &ulv_kit_writer, &(struct setup){ 0 }) ||
        !map(s, OTHER, m[0], ULV_GUEST_WRITE) || !ulv_kit_vcpu(s, 0, OTHER))
        return;
    for (uint64_t i = 0; i < 100; i++) {
        struct memory *now = m[i % 2], *next = m[(i + 1) % 2];

        do {
            memcpy(&was, now->p, sizeof(was));
            if (!ulv_kit_run_once(s, 0, MILLISECOND / 4, &out))
                return;
            REQUIRE(k, out.reason == ULV_EXIT_INTERRUPTED,
                    "turn %u: exit reason %u", i, (uint64_t)out.reason);
        } while (ulv_get_le64(now->p) == was);
        if (!unmap(s, OTHER, PAGE) || !map(s, OTHER, next, ULV_GUEST_WRITE))
            return;
    }
    memcpy(&was, m[0]->p, sizeof(was));
    if (!unmap(s, OTHER, PAGE) ||
        !ulv_kit_run_fault(s, 0, ULV_FAULT_WRITE, OTHER, &out))
        return;
    REQUIRE(k, ulv_get_le64(m[0]->p) == was,
            "the guest reached memory that was unmapped");
}

/* Thousands of places, small and large over one another: nothing of them is
 * used up. */
static void
test_places(struct kit *k)
{
    struct memory *m = ulv_kit_spare(k, 0, RAM_BYTES);
    struct stage *s = begin_errands(k);
    uint64_t places = ULV_MIN(
        PLACES, (k->caps.guest_address_max - OTHER) / ULV_GIB(1) - 1);
    struct memory part;

    for (uint64_t i = 0; s != NULL && m != NULL && i < 3 * k->repeats; i++) {
        uint64_t at = OTHER + i / 2 % places * ULV_GIB(1);

        part = *m;
        part.bytes = i % 2 == 0 ? PAGE : RAM_BYTES;
        memcpy(m->p, &i, sizeof(i));
        if (!map(s, at, &part, ULV_GUEST_WRITE) ||
            (i % 16 < 2 && !ulv_kit_errand_reads(s, at, i)) ||
            !unmap(s, at, part.bytes))
            return;
        REQUIRE(k,
                k->ops->unmap(s->machine, (ulv_gpa){ at }, part.bytes) ==
                    ULV_E_NOT_FOUND,
                "unmap twice at %x", at);
    }
}

/* Steps know no reading. */
static void
test_by_steps(struct kit *k)
{
    struct ulv_mock_step steps[] = {
        { .kind = ULV_MOCK_STORE, .argument = { OTHER, 6 } },
        { .kind = ULV_MOCK_CALL, .number = CALLS_NUMBER },
        { .kind = ULV_MOCK_REPEAT, .number = 2, .argument = { UINT64_MAX } },
    };
    /* movb $6,OTHER; mov $number,%rdi; call the gate; jmp back */
    static const uint8_t code[] = {
        0xc6, 0x04, 0x25, 0x00, 0x00, 0x00, 0x20, 0x06, 0x90, 0x48,
        0xbf, 0x44, 0x44, 0x33, 0x33, 0x22, 0x22, 0x11, 0x11, 0xb8,
        0x00, 0xf0, 0x3f, 0x00, 0xff, 0xd0, 0xeb, 0xe4,
    };
    const struct guest guest = { code, code + sizeof(code), steps,
                                 ULV_COUNT_OF(steps) };
    struct memory *m = ulv_kit_spare(k, 0, PAGE);
    struct stage *s = &k->stage[0];
    struct ulv_exit out;

    if (m == NULL || !ulv_kit_machine(s, &guest, &(struct setup){ 0 }) ||
        !ulv_kit_vcpu(s, 0, 0))
        return;
    for (uint32_t i = 0; i < 3; i++) {
        m->p[0] = 0;
        if (!map(s, OTHER, m, ULV_GUEST_WRITE) ||
            !ulv_kit_run_call(s, 0, CALLS_NUMBER, &out))
            return;
        REQUIRE(k, m->p[0] == 6, "the guest wrote 6, and %u is there",
                (uint64_t)m->p[0]);
        m->p[0] = 0;
        ulv_kit_answer(s, 0, 0, 0);
        if (!unmap(s, OTHER, PAGE))
            return;
    }
    (void)ulv_kit_run_fault(s, 0, ULV_FAULT_WRITE, OTHER, &out);
    REQUIRE(k, m->p[0] == 0, "the guest reached memory that was unmapped");
}

/* A backend that cannot says so, and changes nothing. */
static void
test_cannot(struct kit *k)
{
    struct memory *m = ulv_kit_spare(k, 0, PAGE);
    struct stage *s;
    ulv_status status;

    if (k->caps.can_remap != 0) {
        ulv_kit_skip(k, "caps.can_remap is 1");
        return;
    }
    s = ulv_kit_begin(k, &ulv_kit_echo);
    if (s == NULL || m == NULL || !ulv_kit_run_echo(s, 0, ARGUMENT))
        return;
    status = ulv_kit_map(s, OTHER, m, 0);
    REQUIRE(k, status == ULV_E_UNSUPPORTED, "map: %s, not ULV_E_UNSUPPORTED",
            ulv_status_name(status));
    status = k->ops->unmap(s->machine, (ulv_gpa){ RAM }, RAM_BYTES);
    REQUIRE(k, status == ULV_E_UNSUPPORTED,
            "unmap: %s, not ULV_E_UNSUPPORTED", ulv_status_name(status));
    (void)ulv_kit_run_echo(s, 0, ARGUMENT + 1);
}

static const struct test_case cases[] = {
    { "remapping is refused where it cannot be", test_cannot, NEEDS_CODE },
    { "memory comes and goes between two calls", test_by_steps, NEEDS_REMAP },
    { "a guest is given memory", test_given, NEEDS_CODE | NEEDS_REMAP },
    { "memory is taken from a guest", test_taken, NEEDS_CODE | NEEDS_REMAP },
    { "other memory at the same place", test_replaced,
      NEEDS_CODE | NEEDS_REMAP },
    { "memory changes under a guest that writes", test_under_way,
      NEEDS_CODE | NEEDS_REMAP },
    { "regions in thousands of places", test_places,
      NEEDS_CODE | NEEDS_REMAP },
};

const struct case_list ulv_kit_remapping = { ULV_CONFORMANCE_MEMORY, cases,
                                             ULV_COUNT_OF(cases) };
