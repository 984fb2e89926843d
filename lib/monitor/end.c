/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* How a guest has ended: what happened and where, in words. */
#include "monitor/monitor_priv.h"

/* What the guest had at an address. */
static struct ulv_mapping
mapping_at(const struct ulv_monitor *m, uint64_t address)
{
    if (address < ULV_GUEST_RAM_BASE)
        return (struct ulv_mapping){ .kind = ULV_MAPPING_BACKEND,
                                     .bytes = ULV_GUEST_RAM_BASE };
    if (address - m->partition.view < m->guest_view_bytes)
        return (struct ulv_mapping){ .kind = ULV_MAPPING_VIEW,
                                     .guest_address = m->partition.view,
                                     .bytes = m->guest_view_bytes };
    for (uint32_t i = 0; i < m->extent_count; i++) {
        const struct extent *e = &m->extents[i];

        if (e->state != EXTENT_HANDED && address - e->guest < e->bytes)
            return (struct ulv_mapping){
                .kind = e->state == EXTENT_MAPPED ? ULV_MAPPING_MEMORY
                                                  : ULV_MAPPING_OFFERED,
                .id = e->id,
                .guest_address = e->guest,
                .bytes = e->bytes
            };
    }
    for (uint32_t i = 0; i < ULV_SLOT_COUNT; i++) {
        const struct slot *s = &m->slot[i];

        if (s->in_view && address - s->guest < s->bytes)
            return (struct ulv_mapping){ .kind = ULV_MAPPING_CHANNEL,
                                         .id = s->channel,
                                         .guest_address = s->guest,
                                         .bytes = s->bytes };
    }
    return (struct ulv_mapping){ .kind = ULV_MAPPING_NONE };
}

/* Whether its address is one of memory. */
static bool
touches_memory(const struct ulv_exit_fault *fault)
{
    return fault->kind >= ULV_FAULT_READ &&
           fault->kind <= ULV_FAULT_ARITHMETIC;
}

void
ulv_monitor_fault(struct ulv_monitor *m, const struct ulv_exit_fault *fault)
{
    struct ulv_text line;

    trace(m, ULV_TRACE_FAULT, fault->kind, fault->address, 0);
    m->end.reason = ULV_END_REASON_FAULT;
    m->end.code = fault->kind;
    m->end.fault = *fault;
    if (touches_memory(fault))
        m->end.mapping = mapping_at(m, fault->address);
    ulv_text_init(&line, m->end.text, sizeof(m->end.text));
    ulv_text_format(&line, "%s at %x, instruction at %x",
                    ulv_fault_text(fault->kind), fault->address,
                    fault->registers.rip);
    if (fault->instruction_bytes != 0)
        ulv_text_string(&line, ":");
    for (uint32_t i = 0; i < ULV_MIN(fault->instruction_bytes, 8U); i++) {
        static const char digit[] = "0123456789abcdef";
        char pair[3] = { ' ', digit[fault->instruction[i] >> 4],
                         digit[fault->instruction[i] & 15] };

        ulv_text_bytes(&line, pair, sizeof(pair));
    }
}

void
ulv_monitor_kill(struct ulv_monitor *m)
{
    if (m->end.reason != ULV_END_REASON_NONE)
        return;
    m->end.reason = ULV_END_REASON_KILLED;
    ulv_string_copy(m->end.text, sizeof(m->end.text), "stopped from outside");
}

const struct ulv_end *
ulv_monitor_end(const struct ulv_monitor *m)
{
    return &m->end;
}
