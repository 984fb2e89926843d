/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Takes every piece of memory that it is given while it runs, which must be
 * zero, fills it with a pattern of its own, looks at it again and again, and
 * gives it up when its view says so. A byte of anybody else's is a fault.
 */
#include <ultravisor/guest.h>

#define PIECES 64u

static struct piece {
    uint64_t address;
    uint64_t words; /* 0: it was started with it */
} pieces[PIECES];
static uint64_t self;

static uint64_t
pattern(const uint64_t *p)
{
    return (self << 32 | 0x5a5a) ^ (uint64_t)(uintptr_t)p;
}

static struct piece *
find(uint64_t address)
{
    for (uint32_t i = 0; i < PIECES; i++) {
        if (pieces[i].address == address)
            return &pieces[i];
    }
    return NULL;
}

static void
check(const struct piece *piece)
{
    const uint64_t *p = (const uint64_t *)(uintptr_t)piece->address;

    for (uint64_t i = 0; i < piece->words; i++) {
        if (p[i] != pattern(&p[i]))
            guest_fault(1, "somebody wrote to memory of mine");
    }
}

static void
take(uint64_t address)
{
    struct guest_result result = guest_call(ULV_CALL_ACCEPT, address, 0, 0);
    struct piece *piece = find(0);
    uint64_t *p = (uint64_t *)(uintptr_t)address;

    if (piece == NULL || result.status == ULV_E_NOT_FOUND)
        return; /* it is there when the view says so again */
    piece->address = address;
    piece->words = result.status == ULV_OK ? result.value / 8 : 0;
    for (uint64_t i = 0; i < piece->words; i++) {
        if (p[i] != 0)
            guest_fault(2, "memory that was not scrubbed");
        p[i] = pattern(&p[i]);
    }
}

static void
give_up(struct piece *piece)
{
    check(piece);
    if (!guest_release(piece->address))
        guest_fault(3, "memory that cannot be given up");
    piece->address = 0;
}

static void
look(void)
{
    struct ulv_view_memory m;

    for (uint32_t i = 0; guest_view(ULV_VIEW_MEMORY, i, &m, sizeof(m)); i++) {
        struct piece *piece = find(m.guest_address);

        if ((m.flags & ULV_VIEW_REVOKED) == 0 && piece == NULL)
            take(m.guest_address);
        else if ((m.flags & ULV_VIEW_REVOKED) != 0 && piece != NULL)
            give_up(piece);
    }
}

int
guest_main(void)
{
    struct ulv_view_partition partition;

    if (!guest_view(ULV_VIEW_PARTITION, 0, &partition, sizeof(partition)))
        return 1;
    self = partition.id;
    for (;;) {
        look();
        guest_wait();
        for (uint32_t i = 0; i < PIECES; i++) {
            if (pieces[i].address != 0)
                check(&pieces[i]);
        }
    }
}
