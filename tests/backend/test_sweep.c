/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a guest may try in many ways that are all alike: every port, every MSR,
 * every interrupt, every place in the gate, code of random bytes. A machine
 * each, on each backend that runs code here. Arguments: the launcher; one of
 * how many of the ports and MSRs is tried (1: all).
 */
#include "../unit/port/port_test.h"
#include "guests.h"

#include <stdlib.h>

#include <ultravisor/posix.h>

#define MILLISECOND UINT64_C(1000000)
#define CODE_BYTES  48u

static const char *launcher;
static uint32_t stride;
static uint64_t seed = 7;
static const struct ulv_backend_ops *backends[4];
static uint32_t backend_count;

/* The memory of all machines, one after the other. */
static ulv_handle memory;
static uint8_t *ram;

static uint64_t
random64(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Runs the code on a machine of its own: until it comes back, at most for some
 * milliseconds. Whatever it did, the machine can be finished. */
static void
play(const struct ulv_backend_ops *ops, const uint8_t *code, size_t bytes,
     uint32_t turns, struct ulv_exit *out)
{
    struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                   .vcpu_count = 1,
                                   .host = ulv_posix_host(),
                                   .gate = GATE,
                                   .launcher = launcher };
    struct ulv_diag diag = ULV_DIAG_INIT;
    void *machine = calloc(1, ops->machine_bytes);
    void *vcpu = calloc(1, ops->vcpu_bytes);

    memset(ram, 0, 4096);
    memcpy(ram, code, bytes);
    assert_int_equal(ops->machine_init(machine, &cfg, &diag), ULV_OK);
    assert_int_equal(ops->map(machine, (ulv_gpa){ RAM }, BYTES, memory, 0, ram,
                              ULV_GUEST_WRITE | ULV_GUEST_EXECUTE),
                     ULV_OK);
    assert_int_equal(ops->vcpu_init(vcpu, machine, 0, (ulv_gpa){ RAM },
                                    (ulv_gpa){ RAM + BYTES }, 77, &diag),
                     ULV_OK);
    do {
        assert_int_equal(ops->vcpu_run(vcpu, MILLISECOND, out), ULV_OK);
    } while (out->reason == ULV_EXIT_INTERRUPTED && --turns != 0);
    ops->vcpu_fini(vcpu);
    ops->machine_fini(machine);
    free(machine);
    free(vcpu);
}

static void
expect(const struct ulv_backend_ops *ops, const uint8_t *code, size_t bytes,
       uint32_t kind, uint64_t address)
{
    struct ulv_exit out;

    play(ops, code, bytes, 60000, &out);
    if (out.reason != ULV_EXIT_FAULT || out.u.fault.kind != kind ||
        out.u.fault.address != address)
        print_message("%s: reason %u, %s at %llx; expected %s at %llx\n",
                      ops->name, out.reason, ulv_fault_text(out.u.fault.kind),
                      (unsigned long long)out.u.fault.address,
                      ulv_fault_text(kind), (unsigned long long)address);
    assert_int_equal(out.reason, ULV_EXIT_FAULT);
    assert_int_equal(out.u.fault.kind, kind);
    assert_int_equal(out.u.fault.address, address);
}

/* ---- ports --------------------------------------------------------------- */

/* in and out of 1, 2, 4 bytes, and of strings; behind mov $port,%edx. */
static const uint8_t accesses[][3] = {
    { 0xec }, { 0x66, 0xed }, { 0xed }, { 0xee }, { 0x66, 0xef },
    { 0xef }, { 0x6c },       { 0x6d }, { 0x6e }, { 0xf3, 0x6f },
};

/* A backend may have ports of its own for its gate: then it is a call. */
static void
try_port(const struct ulv_backend_ops *ops, uint32_t port, uint32_t *answered)
{
    for (size_t i = 0; i < ULV_COUNT_OF(accesses); i++) {
        uint8_t code[8] = { 0xba, (uint8_t)port, (uint8_t)(port >> 8), 0, 0 };
        struct ulv_exit out;

        if (port >= 256 && (random64() % ULV_COUNT_OF(accesses)) != i)
            continue;
        memcpy(code + 5, accesses[i], sizeof(accesses[i]));
        if (port >= 128) {
            expect(ops, code, sizeof(code), ULV_FAULT_PORT, port);
            continue;
        }
        play(ops, code, sizeof(code), 60000, &out);
        /* of strings, where the port is the guest's: no memory is there */
        if (out.reason == ULV_EXIT_CALL ||
            out.u.fault.kind < ULV_FAULT_EXECUTE) {
            (*answered)++;
            continue;
        }
        assert_int_equal(out.reason, ULV_EXIT_FAULT);
        assert_int_equal(out.u.fault.kind, ULV_FAULT_PORT);
        assert_int_equal(out.u.fault.address, port);
    }
}

static void
test_sweep__ports(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        uint32_t answered = 0;

        for (uint32_t port = 0; port < 65536; port++) {
            bool low = port < 160 || port >= 65528;

            if (low || port % stride == 0)
                try_port(backends[b], port, &answered);
        }
        print_message("# %s: %u accesses to ports are calls\n",
                      backends[b]->name, answered);
        assert_in_range(answered, 0, 12);
    }
}

/* ---- model-specific registers -------------------------------------------- */

/* What is not listed lies between: one of each thousand is tried. */
static const uint32_t ranges[][2] = {
    { 0, 0x1fff },              /* SDM vol. 4: architectural, x2APIC */
    { 0x40000000, 0x400001ff }, /* of hypervisors */
    { 0x4b564d00, 0x4b564dff },
    { 0xc0000000, 0xc00001ff }, /* of AMD, long mode */
    { 0xc0010000, 0xc00103ff },
    { 0xc0011000, 0xc00110ff },
    { 0xffffff00, 0xffffffff },
};

static void
try_msr(const struct ulv_backend_ops *ops, uint32_t msr)
{
    /* mov $msr,%ecx; rdmsr or wrmsr */
    uint8_t code[] = { 0xb9, (uint8_t)msr, (uint8_t)(msr >> 8),
                       (uint8_t)(msr >> 16), (uint8_t)(msr >> 24),
                       0x0f, random64() % 2 == 0 ? 0x30 : 0x32 };

    expect(ops, code, sizeof(code), ULV_FAULT_INSTRUCTION, RAM + 5);
}

static void
test_sweep__msrs(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        for (size_t i = 0; i < ULV_COUNT_OF(ranges); i++) {
            for (uint64_t msr = ranges[i][0]; msr <= ranges[i][1];
                 msr += 1 + random64() % stride)
                try_msr(backends[b], (uint32_t)msr);
        }
        for (uint32_t i = 0; i < 40; i++)
            try_msr(backends[b], (uint32_t)random64());
    }
}

/* ---- interrupts, the gate, random code ----------------------------------- */

static void
test_sweep__interrupts(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        for (uint32_t vector = 0; vector < 256; vector++) {
            const uint8_t code[] = { 0xcd, (uint8_t)vector };
            struct ulv_exit out;

            play(backends[b], code, sizeof(code), 60000, &out);
            assert_int_equal(out.reason, ULV_EXIT_FAULT);
            if (out.u.fault.kind == ULV_FAULT_INSTRUCTION ||
                out.u.fault.kind == ULV_FAULT_PROTECTION) {
                assert_in_range(out.u.fault.registers.rip, RAM, RAM + 2);
                continue;
            }
            /* something below us has taken it: behind it is add %al,(%rax) */
            print_message("# int %u comes through %s\n", vector,
                          backends[b]->name);
            assert_int_equal(out.u.fault.kind, ULV_FAULT_WRITE);
            assert_int_equal(out.u.fault.registers.rip, RAM + 2);
        }
    }
}

/* It may do what the guest itself could have done: call, loop, or fault. */
static void
check_own(const struct ulv_exit *out)
{
    if (out->reason == ULV_EXIT_FAULT)
        assert_in_range(out->u.fault.kind, ULV_FAULT_READ, ULV_FAULT_TRIPLE);
    else
        assert_in_range(out->reason, ULV_EXIT_INTERRUPTED, ULV_EXIT_CALL);
}

static void
test_sweep__places_in_the_gate(void **state)
{
    (void)state;
    for (uint32_t b = 0; b < backend_count; b++) {
        for (uint64_t at = 0; at < 4096; at += at < 64 ? 1 : stride) {
            /* mov $RAM+0x800,%eax (to write to); mov $at,%ebx; jmp *%rbx */
            uint8_t code[] = { 0xb8, 0, 8, 0x40, 0, 0xbb, 0, 0, 0, 0,
                               0xff, 0xe3 };
            uint32_t to = (uint32_t)(GATE + at);
            struct ulv_exit out;

            memcpy(code + 6, &to, sizeof(to));
            play(backends[b], code, sizeof(code), 3, &out);
            check_own(&out);
        }
    }
}

/* Calls of hypervisors below ours are between the machine and them. */
static bool
has_hypercall(const uint8_t *code, size_t bytes)
{
    for (size_t i = 0; i + 2 < bytes; i++) {
        if (code[i] == 0x0f && code[i + 1] == 0x01 &&
            (code[i + 2] == 0xc1 || code[i + 2] == 0xd9))
            return true;
    }
    return false;
}

static void
test_sweep__random_code(void **state)
{
    static const uint8_t prefixes[] = { 0x0f, 0x66, 0xf3, 0x48, 0xcd, 0xe6 };

    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (uint32_t b = 0; b < backend_count; b++) {
        for (uint32_t i = 0; i < 200000 / stride; i++) {
            uint8_t code[CODE_BYTES];
            struct ulv_exit out;

            for (size_t k = 0; k < sizeof(code); k++)
                code[k] = (uint8_t)random64();
            if (random64() % 2 == 0)
                code[0] = prefixes[random64() % sizeof(prefixes)];
            if (has_hypercall(code, sizeof(code)))
                continue;
            play(backends[b], code, sizeof(code), 3, &out);
            check_own(&out);
        }
    }
}

static int
make_memory(void **state)
{
    const struct ulv_host *host = ulv_posix_host();
    void *p;

    (void)state;
    if (host->memory_create(NULL, "ram", BYTES, 0, &memory) != ULV_OK ||
        host->memory_map(NULL, memory, 0, BYTES,
                         ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) != ULV_OK)
        return -1;
    ram = p;
    return 0;
}

static int
drop_memory(void **state)
{
    const struct ulv_host *host = ulv_posix_host();

    (void)state;
    host->memory_unmap(NULL, ram, BYTES);
    host->handle_close(NULL, memory);
    return 0;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep__ports),
        cmocka_unit_test(test_sweep__msrs),
        cmocka_unit_test(test_sweep__interrupts),
        cmocka_unit_test(test_sweep__places_in_the_gate),
        cmocka_unit_test(test_sweep__random_code),
    };
    struct ulv_backend_caps caps;
    struct ulv_diag diag = ULV_DIAG_INIT;

    if (argc != 3)
        return 2;
    launcher = argv[1];
    stride = (uint32_t)strtoul(argv[2], NULL, 0);
    for (uint32_t i = 0; ulv_backend_at(i) != NULL; i++) {
        const struct ulv_backend_ops *ops = ulv_backend_at(i);

        if (strcmp(ops->name, "mock") == 0)
            continue; /* runs no code */
        if (ops->probe(ulv_posix_host(), &caps, &diag) == ULV_OK)
            backends[backend_count++] = ops;
        else
            print_message("# %s is left out: %s\n", ops->name, diag.text);
    }
    if (backend_count == 0) {
        print_message("1..0 # SKIP no backend can run code here\n");
        return 0;
    }
    return cmocka_run_group_tests_name("sweep", tests, make_memory,
                                       drop_memory);
}
