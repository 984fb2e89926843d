/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Breakpoints: an int3 in the guest's memory, which the debugger never sees
 * there, or one of the processor's, which the target sets.
 */
#include "debug/stub_priv.h"

#define TYPE_INT3    0u
#define TYPE_EXECUTE 1u
#define TYPE_ACCESS  4u

size_t
ulv_stub_memory_read(struct ulv_stub *s, uint64_t address, uint8_t *buf,
                     size_t len)
{
    const struct ulv_stub_target *t = s->target;
    size_t count = ULV_MIN(t->read(t->self, address, buf, len), len);

    for (uint32_t i = 0; i < ULV_STUB_BREAKPOINTS_MAX; i++) {
        const struct ulv_stub_breakpoint *b = &s->breakpoint[i];

        if (b->set && b->address - address < count)
            buf[b->address - address] = b->byte;
    }
    return count;
}

/* What lies under a breakpoint changes, and the breakpoint stays. */
bool
ulv_stub_memory_write(struct ulv_stub *s, uint64_t address, const uint8_t *buf,
                      size_t len)
{
    const struct ulv_stub_target *t = s->target;
    const uint8_t int3 = ULV_STUB_INT3;

    if (!t->write(t->self, address, buf, len))
        return false;
    for (uint32_t i = 0; i < ULV_STUB_BREAKPOINTS_MAX; i++) {
        struct ulv_stub_breakpoint *b = &s->breakpoint[i];

        if (!b->set || b->address - address >= len)
            continue;
        b->byte = buf[b->address - address];
        (void)t->write(t->self, b->address, &int3, 1);
    }
    return true;
}

static struct ulv_stub_breakpoint *
find(struct ulv_stub *s, bool set, uint64_t address)
{
    for (uint32_t i = 0; i < ULV_STUB_BREAKPOINTS_MAX; i++) {
        struct ulv_stub_breakpoint *b = &s->breakpoint[i];

        if (b->set == set && (!set || b->address == address))
            return b;
    }
    return NULL;
}

bool
ulv_stub_is_breakpoint(const struct ulv_stub *s, uint64_t address)
{
    return find((struct ulv_stub *)(uintptr_t)s, true, address) != NULL;
}

/* The guest may have written there since: then that is what it wants. */
static void
clear(struct ulv_stub *s, struct ulv_stub_breakpoint *b)
{
    const struct ulv_stub_target *t = s->target;
    uint8_t now = 0;

    if (t->read(t->self, b->address, &now, 1) == 1 && now == ULV_STUB_INT3)
        (void)t->write(t->self, b->address, &b->byte, 1);
    b->set = false;
}

void
ulv_stub_drop_breakpoints(struct ulv_stub *s)
{
    for (uint32_t i = 0; i < ULV_STUB_BREAKPOINTS_MAX; i++) {
        if (s->breakpoint[i].set)
            clear(s, &s->breakpoint[i]);
    }
}

/* Both are said more than once, and count once. */
static const char *
change_int3(struct ulv_stub *s, uint64_t address, bool set)
{
    const struct ulv_stub_target *t = s->target;
    const uint8_t int3 = ULV_STUB_INT3;
    struct ulv_stub_breakpoint *b = find(s, true, address);

    if (!set || b != NULL) {
        if (!set && b != NULL)
            clear(s, b);
        return "OK";
    }
    b = find(s, false, 0);
    if (b == NULL)
        return "E.no more breakpoints: 64 are set";
    if (t->read(t->self, address, &b->byte, 1) != 1 ||
        !t->write(t->self, address, &int3, 1))
        return "E.there is no memory to set a breakpoint in";
    b->address = address;
    b->set = true;
    return "OK";
}

void
ulv_stub_breakpoint_packet(struct ulv_stub *s, const char *p, bool set)
{
    const struct ulv_stub_target *t = s->target;
    uint64_t type, address, kind;
    uint32_t needed;

    if (!ulv_stub_number(&p, &type) || !ulv_stub_expect(&p, ',') ||
        !ulv_stub_number(&p, &address) || !ulv_stub_expect(&p, ',') ||
        !ulv_stub_number(&p, &kind) || (*p != '\0' && *p != ';')) {
        ulv_stub_answer(s, "E01");
        return;
    }
    needed = type == TYPE_INT3 ? ULV_STUB_CAN_BREAK : ULV_STUB_CAN_WATCH;
    if ((t->abilities(t->self) & needed) == 0) {
        ulv_stub_begin(s);
        ulv_stub_put_text(s, "E.");
        ulv_stub_put_text(s, t->lacks(t->self, needed));
        ulv_stub_finish(s);
    } else if (type == TYPE_INT3) {
        ulv_stub_answer(s, change_int3(s, address, set));
    } else if (type > TYPE_ACCESS || type == 3) {
        ulv_stub_answer(s, ""); /* reads alone x86 cannot watch */
    } else {
        if (type == TYPE_EXECUTE)
            kind = 1;
        ulv_stub_answer(s, kind <= 8 && t->watch(t->self, (uint32_t)type,
                                                 address, (uint32_t)kind, set)
                               ? "OK"
                               : "E.the processor has no such breakpoint left");
    }
}
