/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "appliance.h"

#define PROCESSORS_MAX 64
#define RECORDS_MAX    32

struct line {
    char text[160];
    uint32_t len;
};

static void
put(struct line *l, const char *word, uint32_t width)
{
    uint32_t end = l->len + width;

    while (*word != '\0' && l->len < sizeof(l->text) - 1)
        l->text[l->len++] = *word++;
    while (l->len < end && l->len < sizeof(l->text) - 1)
        l->text[l->len++] = ' ';
    l->text[l->len] = '\0';
}

static void
put_number(struct line *l, uint64_t n, uint32_t base, uint32_t width)
{
    char digits[32];
    uint32_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n != 0);
    if (base == 16) {
        digits[--at] = 'x';
        digits[--at] = '0';
    }
    put(l, &digits[at], width);
}

static void
say(struct line *l, const struct ulv_host *host)
{
    while (l->len > 0 && l->text[l->len - 1] == ' ')
        l->text[--l->len] = '\0';
    host->log(host->self, ULV_LOG_INFO, l->text);
    l->len = 0;
}

/* ---- the machine --------------------------------------------------------- */

static void
print_memory(const struct ulv_bare *bare)
{
    static struct ulv_bare_range ranges[ULV_BARE_RANGES_MAX];
    struct line l = { .len = 0 };
    uint32_t count;

    ulv_bare_ranges(bare, ranges, ULV_BARE_RANGES_MAX, &count);
    for (uint32_t i = 0; i < count && i < ULV_BARE_RANGES_MAX; i++) {
        put(&l, "memory", 8);
        put_number(&l, ranges[i].start, 16, 14);
        put_number(&l, ranges[i].bytes >> 10, 10, 8);
        put(&l, " KiB  ", 0);
        put(&l, ulv_bare_range_name(ranges[i].type), 0);
        say(&l, &bare->host);
    }
}

bool
appliance_print_machine(struct ulv_bare *bare)
{
    const struct ulv_host *host = &bare->host;
    static struct ulv_host_processor found[PROCESSORS_MAX];
    struct line l = { .len = 0 };
    uint32_t count = 0, parked = 0;

    print_memory(bare);
    (void)host->processors(host->self, found, PROCESSORS_MAX, &count, NULL);
    for (uint32_t i = 0; i < count && i < PROCESSORS_MAX; i++) {
        put(&l, "processor ", 0);
        put_number(&l, found[i].number, 10, 0);
        put(&l, ": package ", 0);
        put_number(&l, found[i].package, 10, 0);
        put(&l, ", core ", 0);
        put_number(&l, found[i].core, 10, 0);
        put(&l, ", thread ", 0);
        put_number(&l, found[i].thread, 10, 0);
        say(&l, host);
    }
    if (ulv_bare_park_processors(bare, &parked) != ULV_OK)
        return false;
    put_number(&l, parked, 10, 0);
    put(&l, " of ", 0);
    put_number(&l, count, 10, 0);
    put(&l, " processors parked", 0);
    say(&l, host);
    return parked + 1 == count;
}

/* ---- partitions ---------------------------------------------------------- */

static const char *
state_text(uint32_t state)
{
    static const char *const texts[] = { "defined", "starting", "running",
                                         "stopped", "faulted",  "lost" };

    return state < sizeof(texts) / sizeof(texts[0]) ? texts[state] : "?";
}

void
appliance_print_partitions(ulv_system *system, const struct ulv_host *host)
{
    static struct ulv_partition_record record[RECORDS_MAX];
    struct line l = { .len = 0 };
    uint32_t count = 0;

    if (ulv_system_query(system, ULV_QUERY_PARTITIONS, 0, record,
                         sizeof(record), &count) != ULV_OK)
        return;
    put(&l, "id", 9);
    put(&l, "partition", 13);
    put(&l, "state", 11);
    put(&l, "memory", 14);
    put(&l, "processors", 12);
    put(&l, "channels", 0);
    say(&l, host);
    for (uint32_t i = 0; i < count; i++) {
        put_number(&l, record[i].id, 10, 9);
        put(&l, record[i].name, 13);
        put(&l, state_text(record[i].state), 11);
        put_number(&l, record[i].memory_bytes >> 10, 10, 8);
        put(&l, "KiB", 6);
        put_number(&l, record[i].processor_count, 10, 12);
        put_number(&l, record[i].channel_count, 10, 0);
        say(&l, host);
    }
}

/* Console bytes come in pieces; the log takes lines. */
static void
print_console(const struct ulv_event *event, const struct ulv_host *host)
{
    static struct line l;

    for (uint32_t i = 0; i < event->bytes; i++) {
        char byte[2] = { event->data[i], '\0' };

        if (byte[0] == '\n')
            say(&l, host);
        else
            put(&l, byte, 0);
    }
}

void
appliance_print_events(ulv_system *system, const struct ulv_host *host)
{
    static struct ulv_event event;

    event.size = sizeof(event);
    while (ulv_event_next(system, &event) == ULV_OK) {
        switch (event.kind) {
        case ULV_EVENT_CONSOLE:
            print_console(&event, host);
            break;
        case ULV_EVENT_DECISION:
        case ULV_EVENT_ENDED:
        case ULV_EVENT_FAULT:
        case ULV_EVENT_LOG:
            host->log(host->self,
                      event.kind == ULV_EVENT_FAULT ? ULV_LOG_ERROR
                                                    : ULV_LOG_INFO,
                      event.data);
            break;
        default:
            break;
        }
    }
}

/* ---- the end of a guest -------------------------------------------------- */

static void
print_registers(const struct ulv_registers *r, const struct ulv_host *host)
{
    const struct {
        const char *name;
        uint64_t value;
    } registers[] = {
        { "rax", r->rax }, { "rbx", r->rbx },       { "rcx", r->rcx },
        { "rdx", r->rdx }, { "rsi", r->rsi },       { "rdi", r->rdi },
        { "rbp", r->rbp }, { "rsp", r->rsp },       { "r8", r->r8 },
        { "r9", r->r9 },   { "r10", r->r10 },       { "r11", r->r11 },
        { "r12", r->r12 }, { "r13", r->r13 },       { "r14", r->r14 },
        { "r15", r->r15 }, { "rip", r->rip },       { "rflags", r->rflags },
    };
    const uint32_t count = sizeof(registers) / sizeof(registers[0]);
    struct line l = { .len = 0 };

    for (uint32_t i = 0; i < count; i++) {
        put(&l, i % 3 == 0 ? "  " : "", 0);
        put(&l, registers[i].name, 7);
        put_number(&l, registers[i].value, 16, 20);
        if (i % 3 == 2)
            say(&l, host);
    }
}

void
appliance_print_end(const struct ulv_end *end, const struct ulv_host *host)
{
    const struct ulv_exit_fault *fault = &end->fault;
    struct line l = { .len = 0 };

    if (end->reason != ULV_END_REASON_FAULT)
        return;
    put(&l, "  kind ", 0);
    put_number(&l, fault->kind, 10, 0);
    put(&l, ", vector ", 0);
    put_number(&l, fault->vector, 10, 0);
    put(&l, ", error code ", 0);
    put_number(&l, fault->error_code, 16, 0);
    put(&l, ", address ", 0);
    put_number(&l, fault->address, 16, 0);
    say(&l, host);
    put(&l, "  instruction", 0);
    for (uint32_t i = 0; i < fault->instruction_bytes; i++) {
        put(&l, " ", 0);
        put_number(&l, fault->instruction[i], 16, 0);
    }
    say(&l, host);
    print_registers(&fault->registers, host);
}
