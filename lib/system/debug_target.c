/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What gdb's protocol asks of a guest. Its memory is read and written here,
 * where the keeper has it; registers came with the word that it stands, and go
 * with the word to go on. So nobody is waited for.
 */
#include "base/base.h"
#include "monitor/monitor.h"
#include "system/debug.h"

#define PAGE UINT64_C(4096)

struct keeper_partition *
ulv_debug_partition(const struct debugger *d)
{
    return ulv_keeper_partition(&d->system->keeper, d->partition);
}

static uint32_t
abilities(void *self)
{
    const struct debugger *d = self;
    static const uint32_t of[][2] = {
        { ULV_DEBUG_CAN_SET, ULV_STUB_CAN_SET },
        { ULV_DEBUG_CAN_BREAK, ULV_STUB_CAN_BREAK },
        { ULV_DEBUG_CAN_STEP, ULV_STUB_CAN_STEP },
        { ULV_DEBUG_CAN_WATCH, ULV_STUB_CAN_WATCH },
    };
    uint32_t can = 0;

    for (size_t i = 0; i < ULV_COUNT_OF(of) && !d->ended; i++) {
        if ((d->caps & of[i][0]) != 0)
            can |= of[i][1];
    }
    return can;
}

static const char *
lacks(void *self, uint32_t ability)
{
    const struct debugger *d = self;

    if (d->ended)
        return "the guest has ended: it can only be looked at";
    switch (ability) {
    case ULV_STUB_CAN_SET:
        return "the backend cannot set registers of a guest";
    case ULV_STUB_CAN_BREAK:
        return "the backend cannot stop a guest at a breakpoint";
    case ULV_STUB_CAN_STEP:
        return "the backend cannot step a guest";
    default:
        return "the backend has no hardware breakpoints for a guest";
    }
}

static uint64_t
processors(void *self)
{
    return ((const struct debugger *)self)->there;
}

static bool
registers(void *self, uint32_t processor, struct ulv_registers *ret)
{
    const struct debugger *d = self;

    if (processor >= ULV_STUB_PROCESSORS_MAX ||
        (d->known >> processor & 1) == 0)
        return false;
    *ret = d->registers[processor];
    return true;
}

static bool
set_registers(void *self, uint32_t processor, const struct ulv_registers *to)
{
    struct debugger *d = self;
    struct ulv_registers now;

    if (d->ended || !registers(self, processor, &now))
        return false;
    d->registers[processor] = *to;
    d->changed |= UINT64_C(1) << processor;
    return true;
}

/* Up to the first page that is not memory of the partition. */
static size_t
read(void *self, uint64_t address, void *buf, size_t len)
{
    const struct debugger *d = self;
    size_t done = 0;

    while (done < len) {
        uint64_t at = address + done;
        uint64_t some = ULV_MIN(len - done, PAGE - at % PAGE);

        if (at < address ||
            ulv_partition_read(d->system, d->partition, (ulv_gpa){at},
                               (uint8_t *)buf + done, (size_t)some,
                               NULL) != ULV_OK)
            break;
        done += (size_t)some;
    }
    return done;
}

/* Of a guest that has ended too: only its next start clears it. */
static bool
write(void *self, uint64_t address, const void *buf, size_t len)
{
    const struct debugger *d = self;

    return address + len > address &&
           ulv_partition_write(d->system, d->partition, (ulv_gpa){address}, buf,
                               len, NULL) == ULV_OK;
}

static bool
same(const struct ulv_debug_point *a, const struct ulv_debug_point *b)
{
    return a->address == b->address && a->type == b->type &&
           a->bytes == b->bytes;
}

static bool
watch(void *self, uint32_t type, uint64_t address, uint32_t bytes, bool set)
{
    struct debugger *d = self;
    struct ulv_debug *points = &d->points;
    const struct ulv_debug_point point = { .address = address,
                                          .type = type == 1 ? ULV_DEBUG_EXECUTE
                                                  : type == 2
                                                      ? ULV_DEBUG_WRITE
                                                      : ULV_DEBUG_ACCESS,
                                          .bytes = bytes};
    uint32_t at = 0;

    while (at < points->point_count && !same(&points->point[at], &point))
        at++;
    if (!set) {
        if (at < points->point_count)
            points->point[at] = points->point[--points->point_count];
        return true;
    }
    if (at < points->point_count)
        return true;
    if (at == ULV_DEBUG_POINTS_MAX || !ulv_is_power_of_two(bytes) ||
        bytes > 8 || address % bytes != 0)
        return false;
    points->point[points->point_count++] = point;
    return true;
}

static const char *
go(void *self, uint64_t run, uint64_t step)
{
    struct debugger *d = self;

    if (d->ended)
        return lacks(self, 0);
    if (ulv_debug_tell(d, DEBUG_GO, run, step) != ULV_OK)
        return "the guest's monitor could not be told";
    d->stands = d->asked = false;
    return NULL;
}

static void
stop(void *self)
{
    struct debugger *d = self;

    if (d->asked || d->stands)
        return;
    d->asked = ulv_debug_tell(d, DEBUG_HALT, 0, 0) == ULV_OK;
}

static void
kill_guest(void *self)
{
    const struct debugger *d = self;
    struct keeper_partition *p = ulv_debug_partition(d);
    struct say say = { .kind = SAY_STOP };

    if (p != NULL && p->alive)
        ulv_post_tell(&p->post, &say, NULL, NULL, 0);
}

static void
describe(void *self, char *buf, size_t bytes)
{
    const struct debugger *d = self;
    const struct keeper_partition *p = ulv_debug_partition(d);
    struct ulv_text text;

    ulv_text_init(&text, buf, bytes);
    if (p == NULL)
        ulv_text_string(&text, "the partition is gone");
    else if (d->ended)
        (void)ulv_fault_describe(&p->end, buf, bytes);
    else
        ulv_text_format(&text, "%s runs on the %s backend", p->name,
                        d->system->backend);
}

const struct ulv_stub_target ulv_debug_target = {
    .abilities = abilities,
    .lacks = lacks,
    .processors = processors,
    .registers = registers,
    .set_registers = set_registers,
    .read = read,
    .write = write,
    .watch = watch,
    .go = go,
    .stop = stop,
    .kill = kill_guest,
    .describe = describe,
};
