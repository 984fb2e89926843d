/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Fault records: kept by the system, told in words. */
#include "system/fault.h"

#include "base/base.h"
#include "system/system_priv.h"

void
ulv_system_keep_fault(ulv_system *system, ulv_id partition,
                      const struct ulv_end *end)
{
    const struct ulv_host *host = system->host;
    const struct keeper_partition *p =
        ulv_keeper_partition(&system->keeper, partition);
    struct ulv_fault_record **at =
        &system->faults[system->fault_sequence % ULV_FAULTS_KEPT];

    if (*at == NULL)
        *at = host->alloc(host->self, sizeof(**at), 8);
    system->fault_sequence++;
    if (*at == NULL)
        return; /* the gap tells of it */
    memset(*at, 0, sizeof(**at));
    (*at)->size = sizeof(**at);
    (*at)->sequence = system->fault_sequence;
    (*at)->time = host->now(host->self);
    (*at)->partition = partition;
    (*at)->end = *end;
    if (p != NULL)
        ulv_string_copy((*at)->name, sizeof((*at)->name), p->name);
}

void
ulv_system_drop_faults(ulv_system *system)
{
    const struct ulv_host *host = system->host;

    for (uint32_t i = 0; i < ULV_FAULTS_KEPT; i++)
        host->free(host->self, system->faults[i], sizeof(*system->faults[i]));
}

ulv_status
ulv_fault_next(const ulv_system *system, uint64_t after,
               struct ulv_fault_record *ret)
{
    uint64_t first = 1;

    if (ret->size < sizeof(*ret))
        return ULV_E_ARG;
    if (system->fault_sequence > ULV_FAULTS_KEPT)
        first = system->fault_sequence - ULV_FAULTS_KEPT + 1;
    if (after != UINT64_MAX && after + 1 > first)
        first = after + 1;
    for (; after != UINT64_MAX && first <= system->fault_sequence; first++) {
        const struct ulv_fault_record *record =
            system->faults[(first - 1) % ULV_FAULTS_KEPT];

        if (record == NULL || record->sequence != first)
            continue;
        *ret = *record;
        return ULV_OK;
    }
    return ULV_E_AGAIN;
}

/* ---- in words ------------------------------------------------------------ */

static void
describe_mapping(struct ulv_text *text, const struct ulv_end *end)
{
    static const char *const kind[] = {
        [ULV_MAPPING_NONE] = "nothing is mapped",
        [ULV_MAPPING_BACKEND] = "what is the backend's own lies",
        [ULV_MAPPING_MEMORY] = "memory lies",
        [ULV_MAPPING_OFFERED] = "memory that it has not accepted lies",
        [ULV_MAPPING_CHANNEL] = "a channel lies",
        [ULV_MAPPING_VIEW] = "its view lies",
    };
    const struct ulv_mapping *m = &end->mapping;

    if (m->kind >= ULV_COUNT_OF(kind))
        return;
    ulv_text_format(text, "\nat %x %s", end->fault.address, kind[m->kind]);
    if (m->kind != ULV_MAPPING_NONE)
        ulv_text_format(text, ", %x to %x", m->guest_address,
                        m->guest_address + m->bytes - 1);
    if (m->id != 0)
        ulv_text_format(text, ", number %u", m->id);
}

static void
describe_instruction(struct ulv_text *text, const struct ulv_exit_fault *fault)
{
    static const char digit[] = "0123456789abcdef";

    ulv_text_format(text, "\ninstruction at %x:", fault->registers.rip);
    if (fault->instruction_bytes == 0)
        ulv_text_string(text, " not known");
    for (uint32_t i = 0;
         i < ULV_MIN(fault->instruction_bytes,
                     (uint32_t)sizeof(fault->instruction));
         i++) {
        const char pair[3] = { ' ', digit[fault->instruction[i] >> 4],
                               digit[fault->instruction[i] & 15] };

        ulv_text_bytes(text, pair, sizeof(pair));
    }
    ulv_text_format(text, "\nvector %u, error code %x",
                    (uint64_t)fault->vector, fault->error_code);
}

static void
describe_registers(struct ulv_text *text, const struct ulv_registers *r)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        { "rax", r->rax }, { "rbx", r->rbx }, { "rcx", r->rcx },
        { "rdx", r->rdx }, { "rsi", r->rsi }, { "rdi", r->rdi },
        { "rbp", r->rbp }, { "rsp", r->rsp }, { "r8", r->r8 },
        { "r9", r->r9 },   { "r10", r->r10 }, { "r11", r->r11 },
        { "r12", r->r12 }, { "r13", r->r13 }, { "r14", r->r14 },
        { "r15", r->r15 }, { "rip", r->rip }, { "rflags", r->rflags },
    };

    for (size_t i = 0; i < ULV_COUNT_OF(rows); i++)
        ulv_text_format(text, "%s%s %x", i % 3 == 0 ? "\n" : "  ",
                        rows[i].name, rows[i].value);
}

size_t
ulv_fault_describe(const struct ulv_end *end, char *buf, size_t bytes)
{
    struct ulv_text text;

    if (bytes == 0)
        return 0;
    ulv_text_init(&text, buf, bytes);
    ulv_text_bytes(&text, end->text,
                   ulv_string_length(end->text, sizeof(end->text)));
    if (end->reason == ULV_END_REASON_FAULT &&
        end->fault.kind != ULV_FAULT_NONE) {
        if (end->fault.kind <= ULV_FAULT_ARITHMETIC)
            describe_mapping(&text, end);
        describe_instruction(&text, &end->fault);
        describe_registers(&text, &end->fault.registers);
    }
    return ulv_string_length(buf, bytes);
}
