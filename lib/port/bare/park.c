/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Other processors: started one after the other, counted, halted. SDM 3A 8.4.4
 * (start), 10.6 (messages between local APICs), 10.12 (x2APIC). */
#include "port/bare/bare_priv.h"

#define MSR_APIC_BASE     0x1b
#define APIC_BASE_X2      UINT64_C(0x400)
#define APIC_BASE_ENABLED UINT64_C(0x800)
#define APIC_BASE_ADDRESS UINT64_C(0xffffff000)
#define APIC_COMMAND_LOW  0x300
#define APIC_COMMAND_HIGH 0x310
#define MSR_X2_COMMAND    0x830
#define COMMAND_PENDING   UINT32_C(0x1000)
#define COMMAND_INIT      UINT32_C(0x4500)
#define COMMAND_START     UINT32_C(0x4600) /* and the page it starts at */
#define POLLS_MAX         1000000

#define TRAMPOLINE       UINT64_C(0x8000)   /* RAM below 1 MiB, a page */
#define INIT_DELAY       UINT64_C(10000000) /* [ns] SDM 3A 8.4.4.1 */
#define START_DELAY      UINT64_C(200000)
#define ARRIVAL_PATIENCE UINT64_C(100000000)

extern const uint8_t bare_trampoline[], bare_trampoline_end[];

static bool
is_x2(void)
{
    return (cpu_msr(MSR_APIC_BASE) & APIC_BASE_X2) != 0;
}

static void
write_apic(uint32_t offset, uint32_t value)
{
    uint64_t base = cpu_msr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;

    __asm__ volatile("movl %0, (%1)"
                     :
                     : "r"(value), "r"(base + offset)
                     : "memory");
}

static uint32_t
read_apic(uint32_t offset)
{
    uint64_t base = cpu_msr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;
    uint32_t value;

    __asm__ volatile("movl (%1), %0"
                     : "=r"(value)
                     : "r"(base + offset)
                     : "memory");
    return value;
}

static void
send(uint32_t number, uint32_t command)
{
    if (is_x2()) {
        cpu_write_msr(MSR_X2_COMMAND, (uint64_t)number << 32 | command);
        return;
    }
    write_apic(APIC_COMMAND_HIGH, number << 24);
    write_apic(APIC_COMMAND_LOW, command);
    for (uint32_t i = 0; i < POLLS_MAX; i++) {
        if ((read_apic(APIC_COMMAND_LOW) & COMMAND_PENDING) == 0)
            return;
    }
}

/* Pairs with the release in bare_parked: its tables are loaded. */
static bool
has_arrived(struct bare_tables *tables)
{
    return __atomic_load_n(&tables->arrived, __ATOMIC_ACQUIRE) != 0;
}

static bool
arrives_within(struct ulv_bare *b, struct bare_tables *tables, ulv_nsec time)
{
    ulv_nsec until = bare_now(b) + time;

    while (!has_arrived(tables) && bare_now(b) < until)
        bare_pause();
    return has_arrived(tables);
}

/* On the new processor, on its own stack. */
void
bare_parked(uint8_t *stack_top)
{
    struct bare_tables *tables = ULV_CONTAINER_OF(stack_top - BARE_STACK_BYTES,
                                                  struct bare_tables, stack);

    bare_load_tables(tables);
    /* pairs with the acquire in has_arrived */
    __atomic_store_n(&tables->arrived, 1, __ATOMIC_RELEASE);
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

/* A processor that does not come is reset, so that it cannot come later, to a
 * stack that is another's by then. */
static bool
start(struct ulv_bare *b, uint32_t number, struct bare_tables *tables)
{
    uint32_t top = (uint32_t)(uintptr_t)(tables->stack + BARE_STACK_BYTES);
    uint32_t command = COMMAND_START | (uint32_t)(TRAMPOLINE / BARE_PAGE);
    size_t bytes = (size_t)(bare_trampoline_end - bare_trampoline);
    uint8_t *to = bare_at(TRAMPOLINE);

    memcpy(to, bare_trampoline, bytes);
    memcpy(to + bytes - sizeof(top), &top, sizeof(top));
    send(number, COMMAND_INIT);
    bare_delay(b, INIT_DELAY);
    send(number, command);
    if (arrives_within(b, tables, START_DELAY))
        return true;
    send(number, command);
    if (arrives_within(b, tables, ARRIVAL_PATIENCE))
        return true;
    send(number, COMMAND_INIT);
    return false;
}

ulv_status
ulv_bare_park_processors(struct ulv_bare *b, uint32_t *ret_count)
{
    uint32_t self = bare_processor_number();

    *ret_count = 0;
    if (!bare_ranges_are(b, TRAMPOLINE, BARE_PAGE, ULV_BARE_RANGE_LOW) ||
        (cpu_msr(MSR_APIC_BASE) & APIC_BASE_ENABLED) == 0)
        return ULV_E_UNSUPPORTED;
    if (b->parked_count != 0)
        return ULV_E_STATE;
    for (uint32_t i = 0; i < b->processor_count; i++) {
        uint32_t number = b->processors[i].number;
        struct bare_tables *tables;

        /* 255 and above have no message without x2APIC: SDM 3A 10.12.9 */
        if (number == self || (number >= 255 && !is_x2()))
            continue;
        tables = bare_alloc(b, sizeof(*tables), 16);
        if (tables == NULL)
            return ULV_E_NO_MEMORY;
        if (start(b, number, tables))
            b->parked_count++;
        else
            bare_free(b, tables, sizeof(*tables));
        *ret_count = b->parked_count;
    }
    return ULV_OK;
}
