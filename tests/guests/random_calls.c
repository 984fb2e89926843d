/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * System calls with every register random, or close to an edge. Each answer is
 * what the words of abi/system_call.h say of a guest that was given what this
 * one was given; another one is a fault with the call in its text.
 */
#include <ultravisor/guest.h>

/* The test writes the rest of it into the image, behind the magic. */
static volatile struct {
    char magic[16];
    uint64_t seed, calls, may_release;
} order = { "random calls of", 1, 2000, 0 };

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14,
       R15, FLAGS, COUNT };

uint64_t random_in[COUNT], random_out[COUNT], random_stack[2], random_gate;
void random_call(void);

/* All registers but rsp from random_in, the gate, all of them to random_out. */
__asm__(".globl random_call\n"
        "random_call:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, random_stack(%rip)\n"
        "    push random_in+120(%rip)\n"
        "    popf\n"
        "    mov random_in+0(%rip), %rax\n"
        "    mov random_in+8(%rip), %rbx\n"
        "    mov random_in+16(%rip), %rcx\n"
        "    mov random_in+24(%rip), %rdx\n"
        "    mov random_in+32(%rip), %rsi\n"
        "    mov random_in+40(%rip), %rdi\n"
        "    mov random_in+48(%rip), %rbp\n"
        "    mov random_in+56(%rip), %r8\n"
        "    mov random_in+64(%rip), %r9\n"
        "    mov random_in+72(%rip), %r10\n"
        "    mov random_in+80(%rip), %r11\n"
        "    mov random_in+88(%rip), %r12\n"
        "    mov random_in+96(%rip), %r13\n"
        "    mov random_in+104(%rip), %r14\n"
        "    mov random_in+112(%rip), %r15\n"
        "    call *random_gate(%rip)\n"
        "    mov %rsp, random_stack+8(%rip)\n"
        "    mov random_stack(%rip), %rsp\n"
        "    pushf\n"
        "    pop random_out+120(%rip)\n"
        "    cld\n"
        "    mov %rax, random_out+0(%rip)\n"
        "    mov %rbx, random_out+8(%rip)\n"
        "    mov %rdx, random_out+24(%rip)\n"
        "    mov %rbp, random_out+48(%rip)\n"
        "    mov %r12, random_out+88(%rip)\n"
        "    mov %r13, random_out+96(%rip)\n"
        "    mov %r14, random_out+104(%rip)\n"
        "    mov %r15, random_out+112(%rip)\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static const uint64_t known[] = {
    ULV_CALL_FAULT,  ULV_CALL_ACCEPT, ULV_CALL_RELEASE,  ULV_CALL_SIGNAL,
    ULV_CALL_WAIT,   ULV_CALL_ATTACH, ULV_CALL_DETACH,   ULV_CALL_FAILED,
    ULV_CALL_LOG,    ULV_CALL_YIELD,  ULV_CALL_DISCOVER, ULV_CALL_TIME,
    ULV_CALL_START,  ULV_CALL_PARK,   ULV_CALL_WAKE,     ULV_CALL_HANDLER,
    ULV_CALL_INTERRUPTS, ULV_CALL_RESUME,
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static uint64_t state, slots, last_time, view_at;

/* Pieces of memory that it has; the first has the code, the last the stack. */
#define PIECES 32u
static struct {
    uint64_t address, bytes;
} piece[PIECES];
static uint64_t pieces;

static uint64_t
random64(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t
random_number(void)
{
    uint64_t number = known[random64() % KNOWN];

    switch (random64() % 8) {
    case 0:
        return number ^ UINT64_C(1) << random64() % 64;
    case 1:
        return random64() % 0x1000;
    case 2:
        return random64() >> random64() % 64;
    default:
        return number;
    }
}

static uint64_t
random_register(void)
{
    uint64_t i = random64() % pieces;

    switch (random64() % 8) {
    case 0:
        return random64();
    case 1:
        return random64() >> random64() % 64;
    case 2:
        return random64() % (ULV_SLOT_COUNT + 2);
    case 3:
        return random64() % (ULV_CALL_TEXT_MAX + 2);
    case 4:
        return piece[i].address + piece[i].bytes - random64() % 320 + 160;
    case 5:
        return piece[i].address;
    case 6:
        return view_at + (random64() % ULV_SLOT_COUNT) * ULV_GUEST_SLOT_BYTES;
    default:
        return UINT64_MAX - random64() % 170;
    }
}

/* ---- what it must answer ------------------------------------------------- */

static bool
is_memory(uint64_t address)
{
    for (uint64_t i = 0; i < pieces; i++) {
        if (address >= piece[i].address &&
            address - piece[i].address < piece[i].bytes)
            return true;
    }
    return false;
}

static bool
is_text(uint64_t address, uint64_t bytes)
{
    if (bytes > ULV_CALL_TEXT_MAX)
        return false;
    for (uint64_t i = 0; i < bytes; i++) {
        if (!is_memory(address + i))
            return false;
    }
    return true;
}

/* The piece that begins there, or pieces. */
static uint64_t
piece_at(uint64_t address)
{
    uint64_t i = 0;

    while (i < pieces && piece[i].address != address)
        i++;
    return i;
}

/* Whether the answer is right; the value is taken as 0 where it is not said. */
static bool
is_right(const uint64_t in[COUNT], int64_t status, uint64_t value)
{
    bool is_slot =
        in[RSI] < ULV_SLOT_COUNT && (slots >> in[RSI] & 1) != 0;
    uint64_t i = piece_at(in[RSI]);

    switch (in[RDI]) {
    case ULV_CALL_FAULT:
        return status == ULV_E_ARG && value == 0;
    case ULV_CALL_ACCEPT:
        return status == (i < pieces ? ULV_E_EXISTS : ULV_E_NOT_FOUND) &&
               value == 0;
    case ULV_CALL_RELEASE:
        if (i == pieces)
            return status == ULV_E_NOT_FOUND && value == 0;
        if (status == ULV_E_AGAIN)
            return value == 0;
        if (status != ULV_OK || value != piece[i].bytes)
            return false;
        piece[i] = piece[--pieces];
        return true;
    case ULV_CALL_FAILED:
        if (is_slot && status == ULV_E_AGAIN)
            return value == 0;
        return status == (is_slot ? ULV_OK : ULV_E_NOT_FOUND) && value == 0;
    case ULV_CALL_SIGNAL:
    case ULV_CALL_ATTACH:
    case ULV_CALL_DETACH:
        return status == (is_slot ? ULV_OK : ULV_E_NOT_FOUND) && value == 0;
    case ULV_CALL_WAIT:
        if (status == ULV_E_TIMEOUT)
            return value == 0;
        return status == ULV_OK && value != 0 &&
               (value & ~slots & ~ULV_WAIT_VIEW_MASK &
                ~ULV_WAIT_WAKE_MASK) == 0;
    case ULV_CALL_LOG:
        if (!is_text(in[RSI], in[RDX]))
            return status == ULV_E_ARG && value == 0;
        return (status == ULV_OK || status == ULV_E_AGAIN) && value == 0;
    case ULV_CALL_DISCOVER:
        return status == ULV_OK && value == view_at;
    case ULV_CALL_TIME:
        if (status != ULV_OK || value < last_time)
            return false;
        last_time = value;
        return true;
    case ULV_CALL_YIELD:
        return status == ULV_OK && value == 0;
    case ULV_CALL_START: /* the partition has one processor */
        return status == (in[RSI] == 0 ? ULV_E_EXISTS : ULV_E_NOT_FOUND) &&
               value == 0;
    case ULV_CALL_PARK:
        return status == ULV_E_STATE && value == 0;
    case ULV_CALL_WAKE:
        return status == (in[RSI] == 0 ? ULV_OK : ULV_E_NOT_FOUND) &&
               value == 0;
    case ULV_CALL_HANDLER: /* the partition may not be interrupted */
    case ULV_CALL_INTERRUPTS:
        return status == ULV_E_DENIED && value == 0;
    default:
        return status == ULV_E_UNSUPPORTED && value == 0;
    }
}

/* What it is to keep: abi/system_call.h. */
static bool
is_kept(void)
{
    static const uint8_t kept[] = { RBX, RBP, R12, R13, R14, R15 };
    const uint64_t direction = 0x400;

    for (uint64_t i = 0; i < sizeof(kept); i++) {
        if (random_in[kept[i]] != random_out[kept[i]])
            return false;
    }
    return random_stack[0] == random_stack[1] &&
           (random_in[FLAGS] & direction) == (random_out[FLAGS] & direction);
}

/* ---- the calls ----------------------------------------------------------- */

/* Those that by right end the partition, sleep, or take away what this program
 * runs on, are made into ones that do not. */
static void
tame(uint64_t in[COUNT])
{
    uint64_t i = piece_at(in[RSI]);

    if (in[RDI] == ULV_CALL_STOP || in[RDI] == ULV_CALL_RESET)
        in[RDI] = ULV_CALL_YIELD;
    if (in[RDI] == ULV_CALL_FAULT && is_text(in[RDX], in[RCX]))
        in[RCX] = ULV_CALL_TEXT_MAX + 1;
    if (in[RDI] == ULV_CALL_WAIT)
        in[RSI] = random64() & 0xfffff;
    if (in[RDI] == ULV_CALL_RELEASE && i < pieces &&
        (order.may_release == 0 || piece[i].address == ULV_GUEST_RAM_BASE ||
         (uint64_t)(uintptr_t)__builtin_frame_address(0) -
                 piece[i].address < piece[i].bytes))
        in[RSI]++;
}

static void
say(const char *what, uint64_t call)
{
    static const char digit[] = "0123456789abcdef";
    static char text[ULV_CALL_TEXT_MAX];
    const uint64_t word[] = { call, random_in[RDI], random_in[RSI],
                              random_in[RDX], random_in[RCX], random_out[RAX],
                              random_out[RDX] };
    uint64_t at = 0;

    while (*what != '\0')
        text[at++] = *what++;
    for (uint64_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
        text[at++] = ' ';
        for (int shift = 60; shift >= 0; shift -= 4) {
            if (word[i] >> shift != 0 || shift == 0)
                text[at++] = digit[word[i] >> shift & 15];
        }
    }
    text[at] = '\0';
    guest_fault(call, text);
}

static void
one_call(uint64_t call)
{
    for (int i = 0; i < COUNT; i++)
        random_in[i] = random_register();
    random_in[RDI] = random_number();
    random_in[FLAGS] = (random64() & 0xcd5) | 2;
    tame(random_in);
    random_call();
    if (!is_right(random_in, (int64_t)random_out[RAX], random_out[RDX]))
        say("wrong answer", call);
    if (!is_kept())
        say("not kept", call);
}

int
guest_main(void)
{
    struct ulv_view_partition partition;
    struct ulv_view_memory memory;
    struct ulv_view_channel channel;

    if (!guest_view(ULV_VIEW_PARTITION, 0, &partition, sizeof(partition)))
        return 1;
    random_gate = partition.gate;
    view_at = partition.view;
    state = order.seed;
    for (uint32_t i = 0;
         guest_view(ULV_VIEW_MEMORY, i, &memory, sizeof(memory)); i++) {
        if (pieces == PIECES)
            return 2;
        piece[pieces].address = memory.guest_address;
        piece[pieces++].bytes = memory.bytes;
    }
    for (uint32_t i = 0;
         guest_view(ULV_VIEW_CHANNEL, i, &channel, sizeof(channel)); i++)
        slots |= UINT64_C(1) << channel.slot;
    for (uint64_t call = 1; call <= order.calls; call++)
        one_call(call);
    return 0;
}
