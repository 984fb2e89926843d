/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "bare.h"

#define SERIAL       0x3f8
#define LINE_READY   0x20
#define LINE_EMPTY   0x40
#define PIC_A        0x20
#define PIC_B        0xa0
#define PIT          0x40
#define FIRST_VECTOR 32
#define HEAP         0x800000 /* from here on */

struct chunk {
    struct chunk *next;
    size_t bytes;
};

uint64_t bare_live, bare_interrupts;
static uint64_t heap_end = HEAP;
static struct chunk *chunks;

static void
out(uint16_t port, uint32_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"((uint8_t)value), "Nd"(port));
}

static uint8_t
in(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void
bare_say(const char *format, ...)
{
    char buf[320];
    struct ulv_text text;
    va_list arguments;

    va_start(arguments, format);
    ulv_text_init(&text, buf, sizeof(buf) - 1);
    ulv_text_arguments(&text, format, arguments);
    va_end(arguments);
    buf[text.len++] = '\n';
    out(SERIAL + 3, 3); /* 8 bits */
    for (size_t i = 0; i < text.len; i++) {
        while ((in(SERIAL + 5) & LINE_READY) == 0)
            continue;
        out(SERIAL, (uint8_t)buf[i]);
    }
}

/* A break for the debugger that runs the machine, and quits then. */
void
bare_end(void)
{
    while ((in(SERIAL + 5) & LINE_EMPTY) == 0)
        continue;
    for (;;)
        __asm__ volatile("xchg %%bx, %%bx; cli; hlt" ::: "memory");
}

void
bare_trap(const uint64_t *frame)
{
    if (frame[0] == FIRST_VECTOR) {
        bare_interrupts++;
        out(PIC_A, 0x20);
        return;
    }
    bare_say("not ok: vector %u in the host, frame %x %x %x", frame[0],
             frame[1], frame[2], frame[3]);
    bare_end();
}

void
bare_start_timer(void)
{
    out(PIC_A, 0x11);
    out(PIC_B, 0x11);
    out(PIC_A + 1, FIRST_VECTOR);
    out(PIC_B + 1, FIRST_VECTOR + 8);
    out(PIC_A + 1, 4);
    out(PIC_B + 1, 2);
    out(PIC_A + 1, 1);
    out(PIC_B + 1, 1);
    out(PIC_A + 1, 0xfe);
    out(PIC_B + 1, 0xff);
    out(PIT + 3, 0x34);
    out(PIT, 0);
    out(PIT, 0x10);
    __asm__ volatile("sti" ::: "memory");
}

void
bare_stop_timer(void)
{
    __asm__ volatile("cli" ::: "memory");
    out(PIC_A + 1, 0xff);
}

/* ---- the host ------------------------------------------------------------ */

static void *
host_alloc(void *self, size_t bytes, size_t align)
{
    struct chunk **at = &chunks;
    void *p;

    (void)self;
    bytes = (size_t)ulv_round_up(bytes, 16);
    while (*at != NULL &&
           ((*at)->bytes != bytes || (uintptr_t)*at % align != 0))
        at = &(*at)->next;
    if (*at != NULL) {
        p = *at;
        *at = (*at)->next;
    } else {
        heap_end = ulv_round_up(heap_end, align);
        p = (void *)(uintptr_t)heap_end;
        heap_end += bytes;
    }
    bare_live += bytes;
    return memset(p, 0, bytes);
}

static void
host_free(void *self, void *p, size_t bytes)
{
    struct chunk *chunk = p;

    (void)self;
    if (p == NULL)
        return;
    chunk->bytes = (size_t)ulv_round_up(bytes, 16);
    chunk->next = chunks;
    chunks = chunk;
    bare_live -= chunk->bytes;
}

static ulv_nsec
host_now(void *self)
{
    uint32_t low, high;

    (void)self;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((uint64_t)high << 32 | low) * BARE_NS_A_TICK;
}

static void
host_log(void *self, uint32_t level, const char *text)
{
    (void)self;
    (void)level;
    bare_say("# %s", text);
}

static void **
host_slot(void *self)
{
    static void *slot;

    (void)self;
    return &slot;
}

static uint64_t
host_physical(void *self, const void *p)
{
    (void)self;
    return (uint64_t)(uintptr_t)p;
}

struct ulv_host bare_host = {
    .size = sizeof(struct ulv_host),
    .alloc = host_alloc,
    .free = host_free,
    .now = host_now,
    .log = host_log,
    .physical = host_physical,
    .processor_slot = host_slot,
};

/* ---- what compilers call ------------------------------------------------- */

void *
memcpy(void *restrict to, const void *restrict from, size_t len)
{
    void *result = to;

    __asm__ volatile("rep movsb"
                     : "+D"(to), "+S"(from), "+c"(len)
                     :
                     : "memory");
    return result;
}

void *
memset(void *to, int byte, size_t len)
{
    void *result = to;

    __asm__ volatile("rep stosb"
                     : "+D"(to), "+c"(len)
                     : "a"(byte)
                     : "memory");
    return result;
}

void *
memmove(void *to, const void *from, size_t len)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    if (d <= s || d >= s + len)
        return memcpy(to, from, len);
    while (len-- > 0)
        d[len] = s[len];
    return to;
}

int
memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < len; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}
