/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* How a stay ends that the guest does not end: budget, kick, interrupts. */
#include "backend.h"

/* Intel 8259A data sheet: two of them; Intel 8254: the timer. */
#define PIC_A          0x20
#define PIC_B          0xa0
#define PIC_ICW1       0x11 /* edges, two of them, ICW4 follows */
#define PIC_ICW4       0x01
#define PIC_READ_IRR   0x0a
#define PIC_TIMER      0x01 /* its line */
#define PIT            0x40
#define PIT_MODE_2     0x34 /* channel 0, low then high byte */
#define PIT_COUNT_HIGH 0x10 /* of 1193182 Hz: 3.4 ms */
#define VECTOR_TIMER   32
#define VECTOR_NMI     2 /* SDM vol. 3A table 6-1 */
/* Intel 82093AA data sheet: redirection of line 2, where PCs have the timer */
#define IOAPIC         UINT64_C(0xfec00000)
#define IOAPIC_WINDOW  (IOAPIC + 0x10)
#define IOAPIC_TIMER   UINT32_C(0x14) /* low half; the high one: processor */
#define IOAPIC_NMI     UINT32_C(0x400)
#define IOAPIC_MASKED  UINT32_C(0x10000)
/* SDM vol. 3A 6.14.1: present, 64-bit interrupt gate */
#define GATE_INTERRUPT UINT64_C(0x00008e0000000000)
#define GATE_STACK_1   (UINT64_C(1) << 32) /* of the task: TR finds it */
#define FLAGS_IF       UINT64_C(0x200) /* SDM vol. 1 3.4.3 */
/* The local APIC and its timer; SDM vol. 3A 10.4.1, 10.5 */
#define APIC           UINT64_C(0xfee00000)
#define APIC_END       0x0b0
#define APIC_SPURIOUS  0x0f0
#define APIC_REQUESTED 0x220 /* of the vectors from 64 to 95 */
#define APIC_TIMER     0x320
#define APIC_COUNT     0x380
#define APIC_DIVIDE    0x3e0
#define APIC_ON        UINT32_C(0x1ff)
#define APIC_MASKED    UINT32_C(0x10000)
#define APIC_BY_1      UINT32_C(0xb)
#define VECTOR_APIC    64

GUEST(guest_registers);
extern const uint8_t backend_interrupt[], backend_nmi[];
extern uint64_t interrupts, nmis; /* of the timer, counted by those two */

uint64_t interrupts, nmis;
static uint64_t gates[512];
static struct ulv_vtx_descriptor gdt, port_gates;

/* ---- the timer ----------------------------------------------------------- */

static void
interrupts_on(void)
{
    __asm__ volatile("sti; nop" : : : "memory");
}

static void
interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static void
set_gate(uint32_t vector, const uint8_t *handler)
{
    uint64_t target = (uint64_t)(uintptr_t)handler;

    gates[2 * vector] = GATE_INTERRUPT | (uint64_t)cpu_cs() << 16 |
                        (target & 0xffff) | (target >> 16 & 0xffff) << 48;
    gates[2 * vector + 1] = target >> 32;
}

/* The gates of the port, which tell of exceptions, but for two vectors. */
static void
load_gates(void)
{
    struct ulv_vtx_descriptor own = {.limit = sizeof(gates) - 1,
                                     .base = (uint64_t)(uintptr_t)gates};

    cpu_tables(&gdt, &port_gates);
    memcpy(gates, bare_at(port_gates.base), sizeof(gates));
    set_gate(VECTOR_TIMER, backend_interrupt);
    set_gate(VECTOR_NMI, backend_nmi);
    gates[2 * VECTOR_NMI] |= GATE_STACK_1;
    cpu_load_tables(&gdt, &own);
}

static void
start_timer(void)
{
    load_gates();
    interrupts = nmis = 0;
    bare_out8(PIC_A, PIC_ICW1);
    bare_out8(PIC_B, PIC_ICW1);
    bare_out8(PIC_A + 1, VECTOR_TIMER);
    bare_out8(PIC_B + 1, VECTOR_TIMER + 8);
    bare_out8(PIC_A + 1, 4); /* the second is at line 2 */
    bare_out8(PIC_B + 1, 2);
    bare_out8(PIC_A + 1, PIC_ICW4);
    bare_out8(PIC_B + 1, PIC_ICW4);
    bare_out8(PIC_A + 1, (uint8_t)~PIC_TIMER);
    bare_out8(PIC_B + 1, 0xff);
    bare_out8(PIT + 3, PIT_MODE_2);
    bare_out8(PIT, 0);
    bare_out8(PIT, PIT_COUNT_HIGH);
}

static void
stop_timer(void)
{
    interrupts_off();
    bare_out8(PIC_A + 1, 0xff);
    cpu_load_tables(&gdt, &port_gates);
}

/* ---- without interrupts -------------------------------------------------- */

/* One run of a guest without an end; how long it took. */
static ulv_nsec
run_once(ulv_nsec budget)
{
    ulv_nsec before = bare.host.now(bare.host.self);
    struct ulv_exit out;

    check(ops->vcpu_run(vcpu, budget, &out) == ULV_OK, "run", 0);
    check(out.reason == ULV_EXIT_INTERRUPTED, "reason", out.reason);
    return bare.host.now(bare.host.self) - before;
}

static void
test_budget_and_kick(void)
{
    struct ulv_registers registers;

    begin(loop, sizeof(loop));
    for (int i = 0; i < 20; i++)
        (void)run_once(5 * MS);
    ops->vcpu_kick(vcpu);
    check(run_once(3600 * SECOND) < MS, "kick", 0);
    check(run_once(0) < MS, "nothing", 0);
    check(ops->vcpu_registers(vcpu, &registers) == ULV_OK, "registers", 0);
    check(registers.rip == RAM, "rip", registers.rip);
    check(registers.rdi == 77, "rdi", registers.rdi);
    check(registers.rsp == RAM + BYTES - 8, "rsp", registers.rsp);
    end();
}

/* Loops of which each goes on in another way. */
static const struct {
    const char *what;
    uint8_t code[16];
} loops[] = {
    {"jmp", {0xeb, 0xfe}},
    {"pause", {0xf3, 0x90, 0xeb, 0xfc}},
    {"rdtsc", {0x0f, 0x31, 0xeb, 0xfc}},
    {"cpuid, which exits", {0x0f, 0xa2, 0xeb, 0xfc}},
    {"popf", {0x9c, 0x9d, 0xeb, 0xfc}},
    {"lock incl", {0xf0, 0xff, 0x04, 0x25, 0, 8, 0x40, 0, 0xeb, 0xf6}},
    {"cpuid at the end of each slice",
     {0xb9, 0xb0, 4, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0x0f, 0xa2, 0xeb, 0xf3}},
    {"rep stosb of 1 MiB",
     {0xbf, 0, 0, 0x41, 0, 0xb9, 0, 0, 0x10, 0, 0xf3, 0xaa, 0xeb, 0xf2}},
};

/* Nothing but the preemption timer ends them: interrupts are off. The first
 * stay is as long as it gets: how fast time goes is not known yet. */
static void
test_loops(void)
{
    for (size_t i = 0; i < ULV_COUNT_OF(loops); i++) {
        struct ulv_registers registers;

        begin(loops[i].code, sizeof(loops[i].code));
        (void)run_once(5 * MS);
        for (int n = 0; n < 3; n++) {
            ulv_nsec took = run_once(5 * MS);

            check(took >= 5 * MS && took < 8 * MS, loops[i].what, took);
        }
        check(ops->vcpu_registers(vcpu, &registers) == ULV_OK, "registers", 0);
        check(registers.rip - RAM < sizeof(loops[i].code), "rip",
              registers.rip);
        end();
    }
}

/* ---- with interrupts ----------------------------------------------------- */

/* IF of a guest does not matter to interrupts that exit (SDM vol. 3C 25.2).
 * To Bochs 2.7 it does: an entry that leaves IF at 0 leaves them masked, so
 * that none ends a stay. A guest cannot set it; the cases that need it do. */
static void
let_interrupts_exit(void)
{
    write_field(FIELD_GUEST_RFLAGS, FLAGS_IF | 2);
}

/* Served after each stay, whatever ended it. */
static void
test_interrupts(void)
{
    begin(loop, sizeof(loop));
    start_timer();
    interrupts_on();
    for (int i = 0; i < 10; i++)
        (void)run_once(50 * MS);
    stop_timer();
    check(interrupts >= 10, "interrupts", interrupts);
    end();
}

/* Each ends a stay, well before its budget, and is served once. */
static void
test_interrupt_exits(void)
{
    BEGIN(guest_registers);
    let_interrupts_exit();
    start_timer();
    interrupts_on();
    for (uint64_t i = 1; i <= 20; i++) {
        ulv_nsec took = run_once(SECOND);

        check(took < 5 * MS, "a period of the timer", took);
        check(interrupts == i, "interrupts", interrupts);
    }
    stop_timer();
    check(ulv_get_le64(ram + 0x800) > 100, "counted", 0);
    end();
}

/* One that is there when the stay begins, and that the host does not take:
 * the guest gets no further until it does. */
static void
test_pending_interrupt(void)
{
    ulv_nsec until = bare.host.now(bare.host.self) + SECOND;
    uint64_t count;

    BEGIN(guest_registers);
    let_interrupts_exit();
    start_timer();
    bare_out8(PIC_A, PIC_READ_IRR);
    while ((bare_in8(PIC_A) & PIC_TIMER) == 0 &&
           bare.host.now(bare.host.self) < until)
        bare_pause();
    for (int i = 0; i < 5; i++)
        check(run_once(50 * MS) < MS, "the guest stays", 0);
    count = ulv_get_le64(ram + 0x800);
    check(count == 0, "the guest got further", count);
    check(interrupts == 0, "early", interrupts);
    interrupts_on();
    check(interrupts == 1, "served", interrupts);
    (void)run_once(50 * MS);
    count = ulv_get_le64(ram + 0x800);
    check(count > 100, "counted", count);
    stop_timer();
    end();
}

static volatile uint32_t *
apic(uint32_t offset)
{
    return bare_at(APIC + offset);
}

static void
set_task_priority(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

/* A device that the firmware has left running interrupts nobody here, and no
 * guest either. */
static void
test_left_by_the_firmware(void)
{
    ulv_nsec until = bare.host.now(bare.host.self) + SECOND;
    uint32_t spurious = *apic(APIC_SPURIOUS);
    uint64_t count;

    BEGIN(guest_registers);
    let_interrupts_exit();
    load_gates();
    set_gate(VECTOR_APIC, backend_interrupt);
    interrupts = 0;
    *apic(APIC_SPURIOUS) = APIC_ON;
    *apic(APIC_DIVIDE) = APIC_BY_1;
    *apic(APIC_TIMER) = VECTOR_APIC;
    *apic(APIC_COUNT) = 1000;
    while ((*apic(APIC_REQUESTED) & 1) == 0 &&
           bare.host.now(bare.host.self) < until)
        bare_pause();
    check((*apic(APIC_REQUESTED) & 1) != 0, "requested", 0);
    check(run_once(5 * MS) >= 5 * MS, "the guest does not stay", 0);
    count = ulv_get_le64(ram + 0x800);
    check(count > 100, "counted", count);
    interrupts_on();
    interrupts_off();
    check(interrupts == 0, "interrupts", interrupts);
    /* let it come, so that it is gone */
    set_task_priority(0);
    interrupts_on();
    interrupts_off();
    set_task_priority(15);
    check(interrupts == 1, "interrupts", interrupts);
    *apic(APIC_END) = 0;
    *apic(APIC_TIMER) = APIC_MASKED;
    *apic(APIC_SPURIOUS) = spurious;
    cpu_load_tables(&gdt, &port_gates);
    end();
}

static void
redirect_timer(uint32_t value)
{
    *(volatile uint32_t *)bare_at(IOAPIC) = IOAPIC_TIMER + 1;
    *(volatile uint32_t *)bare_at(IOAPIC_WINDOW) = 0;
    *(volatile uint32_t *)bare_at(IOAPIC) = IOAPIC_TIMER;
    *(volatile uint32_t *)bare_at(IOAPIC_WINDOW) = value;
}

/* Each ends a stay, and the host's handler is called once. NMIs are blocked
 * only after the exit (SDM vol. 3C 27.1); Bochs 2.7 blocks them before it saves
 * the guest's state, so that the guest would take none any more. */
static void
test_nmi_exits(void)
{
    BEGIN(guest_registers);
    start_timer();
    bare_out8(PIC_A + 1, 0xff);
    redirect_timer(IOAPIC_NMI);
    for (uint64_t i = 1; i <= 20; i++) {
        ulv_nsec took = run_once(SECOND);

        check(took < 5 * MS, "a period of the timer", took);
        check(nmis == i, "NMIs", nmis);
        write_field(FIELD_GUEST_BLOCKING, 0);
    }
    redirect_timer(IOAPIC_MASKED);
    stop_timer();
    check(interrupts == 0, "interrupts", interrupts);
    check(ulv_get_le64(ram + 0x800) > 100, "counted", 0);
    end();
}

/* One that comes while a guest runs finds the host's handler only if CR4.MCE
 * is 1 there too; SDM vol. 3A 6.15, vector 18. */
static void
test_machine_checks_exit(void)
{
    struct failure failure = {.status = ULV_OK};

    begin(loop, sizeof(loop));
    ulv_vtx_make_current(&failure, vcpu);
    check((cpu_cr4() & CR4_MCE) != 0, "CR4", cpu_cr4());
    check((vmx_read(FIELD_GUEST_CR4) & CR4_MCE) != 0, "CR4 of the guest",
          vmx_read(FIELD_GUEST_CR4));
    check((vmx_read(FIELD_HOST_CR4) & CR4_MCE) != 0, "CR4 after it",
          vmx_read(FIELD_HOST_CR4));
    end();
}

static void *
new_zeroed(size_t bytes, size_t align)
{
    void *p = bare.host.alloc(bare.host.self, bytes, align);

    check(p != NULL, "no memory", bytes);
    return p;
}

/* Two machines in turn, often and anywhere interrupted. */
static void
test_two_machines(void)
{
    uint8_t *rams[2] = {ram, new_zeroed(BYTES, BYTES)};
    void *machines[2] = {machine, new_zeroed(ops->machine_bytes, 16)};
    void *vcpus[2] = {vcpu, new_zeroed(ops->vcpu_bytes, 16)};
    uint64_t count, before[2] = {0, 0};

    for (int i = 1; i >= 0; i--) {
        ram = rams[i];
        machine = machines[i];
        vcpu = vcpus[i];
        BEGIN(guest_registers);
        let_interrupts_exit();
    }
    start_timer();
    interrupts_on();
    for (int i = 0; i < 60; i++) {
        vcpu = vcpus[i % 2];
        (void)run_once((ulv_nsec)(i % 7 + 1) * MS);
        count = ulv_get_le64(rams[1 - i % 2] + 0x800);
        check(count == before[1 - i % 2], "the other one ran", count);
        before[i % 2] = ulv_get_le64(rams[i % 2] + 0x800);
    }
    stop_timer();
    check(before[0] > 100 && before[1] > 100, "counted", before[0]);
    vcpu = vcpus[0];
    end();
    ops->vcpu_fini(vcpus[1]);
    ops->machine_fini(machines[1]);
    bare.host.free(bare.host.self, rams[1], BYTES);
    bare.host.free(bare.host.self, machines[1], ops->machine_bytes);
    bare.host.free(bare.host.self, vcpus[1], ops->vcpu_bytes);
}

static const struct test_case cases[] = {
    {"budget and kick", test_budget_and_kick},
    {"endless loops", test_loops},
    {"interrupts of the host", test_interrupts},
    {"an interrupt ends a stay", test_interrupt_exits},
    {"an interrupt that stays pending", test_pending_interrupt},
    {"an NMI ends a stay", test_nmi_exits},
    {"left by the firmware", test_left_by_the_firmware},
    {"machine checks exit", test_machine_checks_exit},
    {"two machines", test_two_machines},
};

const struct case_list time_cases = {cases, ULV_COUNT_OF(cases)};
