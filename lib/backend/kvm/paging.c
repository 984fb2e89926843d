/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the processor reads: descriptor tables, task state, page tables.
 * Source: Intel SDM vol. 3A, chapters 3 (segments), 4.5 (4-level paging), 6.14
 * (exceptions in 64-bit mode), 8.7 (64-bit TSS), vol. 1 chapter 19.5.2 (I/O
 * permission bit map).
 */
#include <string.h>

#include "backend/kvm/kvm_priv.h"

#define PTE_PRESENT UINT64_C(1)
#define PTE_WRITE   UINT64_C(2)
#define PTE_USER    UINT64_C(4)
#define PTE_LARGE   UINT64_C(0x80)
#define PTE_NX      (UINT64_C(1) << 63)
#define PTE_TABLE   (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

#define TSS_IST1_OFFSET  36
#define TSS_IST2_OFFSET  44
#define TSS_IOMAP_OFFSET 102
#define TSS_BYTES        104
#define IOMAP_BYTES      16

_Static_assert(GDT + SELECTOR_TSS + VCPUS_MAX * 16 <= TSS, "room");
_Static_assert(TSS + VCPUS_MAX * TSS_ROOM <= IDT, "room");
_Static_assert(TSS_BYTES + IOMAP_BYTES <= TSS_ROOM, "room");
_Static_assert(IDT + 256 * 16 <= STACK, "room");
_Static_assert(STACK + VCPUS_MAX * STACK_ROOM <= STUBS, "room");
_Static_assert(STUBS + PAGE <= INTERRUPTS, "room");
_Static_assert(INTERRUPTS + VCPUS_MAX * INTERRUPT_ROOM <= TABLES, "room");
_Static_assert(GDT / PAGE == TSS / PAGE, "one page");

static void
put64(struct machine *m, uint64_t at, uint64_t value)
{
    memcpy(m->low + at, &value, sizeof(value));
}

/* A processor may walk the tables at this moment: it sees the old entry or the
 * new one. */
static void
put_entry(struct machine *m, uint64_t at, uint64_t value)
{
    __atomic_store_n((uint64_t *)(void *)(m->low + at), value,
                     __ATOMIC_RELEASE);
}

static uint64_t
get64(const struct machine *m, uint64_t at)
{
    uint64_t value;

    memcpy(&value, m->low + at, sizeof(value));
    return value;
}

static void
make_segments(struct machine *m)
{
    const uint64_t limit = TSS_BYTES + IOMAP_BYTES - 1;

    put64(m, GDT + SELECTOR_CODE0, UINT64_C(0x00af9b000000ffff));
    put64(m, GDT + SELECTOR_DATA0, UINT64_C(0x00cf93000000ffff));
    put64(m, GDT + (SELECTOR_DATA3 & ~7), UINT64_C(0x00cff3000000ffff));
    put64(m, GDT + (SELECTOR_CODE3 & ~7), UINT64_C(0x00affb000000ffff));
    for (uint64_t i = 0; i < VCPUS_MAX; i++)
        put64(m, GDT + SELECTOR_TSS + i * 16,
              limit | (TSS + i * TSS_ROOM) << 16 | UINT64_C(0x8b) << 40);
}

static void
make_task(struct machine *m, uint64_t idx)
{
    const uint16_t iomap = TSS_BYTES;
    const uint64_t tss = TSS + idx * TSS_ROOM;
    const uint64_t stack = STACK + (idx + 1) * STACK_ROOM;

    put64(m, tss + 4, stack); /* rsp0 */
    put64(m, tss + TSS_IST1_OFFSET, stack);
    put64(m, tss + TSS_IST2_OFFSET, INTERRUPTS + (idx + 1) * INTERRUPT_ROOM);
    memcpy(m->low + tss + TSS_IOMAP_OFFSET, &iomap, sizeof(iomap));
    memset(m->low + tss + TSS_BYTES, 0xff, IOMAP_BYTES);
    m->low[tss + TSS_BYTES + GATE_PORT / 8] &=
        (uint8_t)~(1u << (GATE_PORT % 8) | 0xfu << (DOORBELL_PORT % 8));
}

/* level: from which INT may be used; stack: the number of its IST. */
void
ulv_kvm_set_gate(struct machine *m, uint64_t vector, uint64_t target,
                 uint64_t level, uint64_t stack)
{
    uint64_t low = (target & 0xffff) | (uint64_t)SELECTOR_CODE0 << 16 |
                   stack << 32 | (0x8e | level << 5) << 40 |
                   (target >> 16 & 0xffff) << 48;

    put64(m, IDT + vector * 16, low);
    put64(m, IDT + vector * 16 + 8, target >> 32);
}

/* Every exception runs into a write of its own to a port that only CPL0 may
 * write: the place says which it was. A HLT would not do: an APIC of the
 * kernel's keeps it, and KVM in software remembers it after a step. int3 and
 * into come from the guest's own level. */
static void
make_gates(struct machine *m)
{
    const uint8_t stub[STUB_BYTES] = { 0xe6, FAULT_PORT, 0xeb, 0xfc };

    for (uint64_t vector = 0; vector < 256; vector++) {
        memcpy(m->low + STUBS + vector * STUB_BYTES, stub, sizeof(stub));
        ulv_kvm_set_gate(m, vector, STUBS + vector * STUB_BYTES,
                         vector == 3 || vector == 4 ? 3 : 0, 1);
    }
}

/* ---- page tables --------------------------------------------------------- */

/* A table of zeroes; 0: no room. */
static uint64_t
take_table(struct machine *m)
{
    uint64_t table = m->free_table;

    if (table != 0) {
        m->free_table = get64(m, table);
    } else {
        if (m->next_table == TABLES_END)
            return 0;
        table = m->next_table;
        m->next_table += PAGE;
    }
    memset(m->low + table, 0, PAGE);
    return table;
}

/* It is linked nowhere any more. A processor may still know it, and walks it
 * then: it finds nothing, and the link, which is not present. */
static void
leave_table(struct machine *m, uint64_t table)
{
    put_entry(m, table, m->left_table);
    m->left_table = table;
}

/* No processor knows them any more: they can be others. */
static bool
free_left(struct machine *m)
{
    uint64_t table = m->left_table;

    if (table == 0 || !ulv_kvm_forget(m))
        return false;
    for (uint64_t next; table != 0; table = next) {
        next = get64(m, table);
        put64(m, table, m->free_table);
        m->free_table = table;
    }
    m->left_table = 0;
    return true;
}

static bool
is_empty(const struct machine *m, uint64_t table)
{
    for (uint64_t i = 0; i < PAGE; i += 8) {
        if (get64(m, table + i) != 0)
            return false;
    }
    return true;
}

/* The table below entry, made if it is not there; 0: no room. */
static uint64_t
table_below(struct machine *m, uint64_t entry)
{
    uint64_t value = get64(m, entry);

    if ((value & PTE_PRESENT) != 0)
        return value & PTE_ADDRESS;
    value = take_table(m);
    if (value != 0)
        put_entry(m, entry, value | PTE_TABLE);
    return value;
}

static uint64_t
entry_at(uint64_t table, uint64_t address, uint32_t level)
{
    return table + (address >> (12 + 9 * level) & 511) * 8;
}

/* The page-directory entry of an address; 0: no room for tables. */
static uint64_t
directory_entry(struct machine *m, uint64_t address)
{
    uint64_t table = PML4;

    for (uint32_t level = 3; level > 1 && table != 0; level--)
        table = table_below(m, entry_at(table, address, level));
    return table == 0 ? 0 : entry_at(table, address, 1);
}

/* The same for a large page. Small ones may have been there: their table is
 * empty, and a processor must not take it for the page's. */
static uint64_t
large_entry(struct machine *m, uint64_t address)
{
    uint64_t entry = directory_entry(m, address);
    uint64_t value = entry == 0 ? 0 : get64(m, entry);

    if ((value & PTE_PRESENT) == 0)
        return entry;
    put_entry(m, entry, 0);
    leave_table(m, value & PTE_ADDRESS);
    return free_left(m) ? entry : 0;
}

static ulv_status
map_small(struct machine *m, uint64_t address, uint64_t physical,
          uint64_t flags)
{
    uint64_t directory = directory_entry(m, address);
    uint64_t table = directory == 0 ? 0 : table_below(m, directory);

    if (table == 0)
        return ULV_E_NO_MEMORY;
    put_entry(m, entry_at(table, address, 0), physical | flags);
    return ULV_OK;
}

ulv_status
ulv_kvm_page_map(struct machine *m, uint64_t guest, uint64_t physical,
                 uint64_t bytes, uint32_t access)
{
    uint64_t flags = PTE_PRESENT | PTE_USER;

    flags |= (access & ULV_GUEST_WRITE) != 0 ? PTE_WRITE : 0;
    flags |= (access & ULV_GUEST_EXECUTE) != 0 ? 0 : PTE_NX;
    while (bytes > 0) {
        bool large = (guest | physical) % LARGE == 0 && bytes >= LARGE;
        uint64_t some = large ? LARGE : PAGE;
        ulv_status status = ULV_OK;

        if (large) {
            uint64_t entry = large_entry(m, guest);

            if (entry == 0)
                return ULV_E_NO_MEMORY;
            put_entry(m, entry, physical | flags | PTE_LARGE);
        } else {
            status = map_small(m, guest, physical, flags);
        }
        if (status != ULV_OK)
            return status;
        guest += some;
        physical += some;
        bytes -= some;
    }
    return ULV_OK;
}

/* Clear what lies in [start, end) below table. Tables that become empty stay
 * where they are, for what is mapped there next. */
static void
unmap_below(struct machine *m, uint64_t table, uint32_t level, uint64_t start,
            uint64_t end)
{
    const uint64_t span = PAGE << 9 * level;

    while (start < end) {
        uint64_t entry = entry_at(table, start, level);
        uint64_t value = get64(m, entry);
        uint64_t next = ULV_MIN((start & ~(span - 1)) + span, end);

        if (level == 0 || (value & PTE_LARGE) != 0) {
            put_entry(m, entry, 0);
        } else if ((value & PTE_PRESENT) != 0) {
            unmap_below(m, value & PTE_ADDRESS, level - 1, start, next);
        }
        start = next;
    }
}

void
ulv_kvm_page_unmap(struct machine *m, uint64_t guest, uint64_t bytes)
{
    unmap_below(m, PML4, 3, guest, guest + bytes);
}

static void
leave_empty(struct machine *m, uint64_t table, uint32_t level)
{
    for (uint64_t entry = table; entry < table + PAGE; entry += 8) {
        uint64_t value = get64(m, entry);

        if ((value & PTE_PRESENT) == 0 || (value & PTE_LARGE) != 0)
            continue;
        if (level > 1)
            leave_empty(m, value & PTE_ADDRESS, level - 1);
        if (is_empty(m, value & PTE_ADDRESS)) {
            put_entry(m, entry, 0);
            leave_table(m, value & PTE_ADDRESS);
        }
    }
}

bool
ulv_kvm_page_recover(struct machine *m)
{
    leave_empty(m, PML4, 3);
    return free_left(m);
}

/*
 * The gate: a call is an OUT. So is the doorbell of a slot, which KVM may ring
 * by itself; then the answer is made here: rdx is as it was, which no answer
 * of the monitor leaves it.
 */
static const uint8_t gate[] = {
    0x48, 0x81, 0xff, ULV_CALL_SIGNAL & 0xff, ULV_CALL_SIGNAL >> 8, 0, 0,
                                /*    cmp $ULV_CALL_SIGNAL, %rdi */
    0x75, 6,                    /*    jne 1f */
    0x48, 0x83, 0xfe, ULV_SLOT_COUNT,
                                /*    cmp $ULV_SLOT_COUNT, %rsi */
    0x72, 3,                    /*    jb 2f */
    0xe6, GATE_PORT,            /* 1: out %al, $GATE_PORT */
    0xc3,                       /*    ret */
    0x89, 0xf0,                 /* 2: mov %esi, %eax */
    0xba, 0, 0, 0, 0x80,        /*    mov $0x80000000, %edx */
    0xe7, DOORBELL_PORT,        /*    out %eax, $DOORBELL_PORT */
    0x85, 0xd2,                 /*    test %edx, %edx */
    0x79, 4,                    /*    jns 3f */
    0x31, 0xc0,                 /*    xor %eax, %eax */
    0x31, 0xd2,                 /*    xor %edx, %edx */
    0xc3,                       /* 3: ret */
};

void
ulv_kvm_low_init(struct machine *m)
{
    /* the first: TSS, too */
    const uint64_t own[] = { GDT, IDT, STACK, STUBS, INTERRUPTS };
    uint64_t at = m->cfg.gate;

    m->next_table = TABLES;
    make_segments(m);
    for (uint32_t i = 0; i < VCPUS_MAX; i++)
        make_task(m, i);
    make_gates(m);
    for (size_t i = 0; i < ULV_COUNT_OF(own); i++)
        (void)map_small(m, own[i], own[i], PTE_PRESENT | PTE_WRITE);
    if (m->cfg.interrupts != 0)
        at += ulv_kvm_interrupts_lay(m);
    memcpy(m->low + at, gate, sizeof(gate));
    (void)map_small(m, m->cfg.gate, m->cfg.gate, PTE_PRESENT | PTE_USER);
}
