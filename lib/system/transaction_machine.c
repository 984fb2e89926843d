/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The builder's operations on processors, hardware, ranges, what retires, and
 * what partitions were made with. */
#include "base/base.h"
#include "system/system_priv.h"

static struct ulv_op_change_partition *
add_change(ulv_transaction *t, ulv_id partition, uint32_t what)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_CHANGE_PARTITION);

    if (o == NULL)
        return NULL;
    o->u.change_partition.id = partition;
    o->u.change_partition.what = what;
    return &o->u.change_partition;
}

void
ulv_transaction_rename(ulv_transaction *t, ulv_id partition, const char *name)
{
    struct ulv_op_change_partition *op =
        add_change(t, partition, ULV_PARTITION_SET_NAME);

    if (op != NULL)
        ulv_transaction_text(t, op->name, sizeof(op->name), name, partition,
                             "a partition's name");
}

void
ulv_transaction_silence_limit(ulv_transaction *t, ulv_id partition,
                              ulv_nsec limit)
{
    struct ulv_op_change_partition *op =
        add_change(t, partition, ULV_PARTITION_SET_SILENCE);

    if (op != NULL)
        op->silence_limit = limit;
}

void
ulv_transaction_restarts(ulv_transaction *t, ulv_id partition,
                         uint32_t restarts)
{
    struct ulv_op_change_partition *op =
        add_change(t, partition, ULV_PARTITION_SET_RESTARTS);

    if (op != NULL)
        op->restarts = restarts;
}

void
ulv_transaction_processors_release(ulv_transaction *t, ulv_id partition,
                                   uint32_t count)
{
    struct ulv_operation *o =
        ulv_transaction_add(t, ULV_OP_RELEASE_PROCESSORS);

    if (o == NULL)
        return;
    o->u.release_processors.partition = partition;
    o->u.release_processors.count = count;
}

void
ulv_transaction_processor_move(ulv_transaction *t, ulv_id partition, ulv_id to)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_MOVE_PROCESSOR);

    if (o == NULL)
        return;
    o->u.move_processor.partition = partition;
    o->u.move_processor.to = to;
}

void
ulv_transaction_hardware(ulv_transaction *t, ulv_id hardware, ulv_id partition)
{
    struct ulv_operation *o = ulv_transaction_add(
        t, partition == 0 ? ULV_OP_RELEASE_HARDWARE : ULV_OP_ASSIGN_HARDWARE);

    if (o == NULL)
        return;
    o->u.assign_hardware.id = hardware;
    o->u.assign_hardware.partition = partition;
}

void
ulv_transaction_hardware_move(ulv_transaction *t, ulv_id hardware, ulv_id to)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_MOVE_HARDWARE);

    if (o == NULL)
        return;
    o->u.move_hardware.id = hardware;
    o->u.move_hardware.to = to;
}

ulv_id
ulv_transaction_range(ulv_transaction *t, ulv_id partition, uint32_t kind,
                      uint64_t first, uint64_t count)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_ASSIGN_RANGE);

    if (o == NULL)
        return 0;
    o->u.assign_range.id = ulv_transaction_new_id(t);
    o->u.assign_range.partition = partition;
    o->u.assign_range.kind = kind;
    o->u.assign_range.first = first;
    o->u.assign_range.count = count;
    return o->u.assign_range.id;
}

void
ulv_transaction_range_move(ulv_transaction *t, ulv_id range, ulv_id to)
{
    struct ulv_operation *o = ulv_transaction_add(
        t, to == 0 ? ULV_OP_RELEASE_RANGE : ULV_OP_MOVE_RANGE);

    if (o == NULL)
        return;
    o->u.move_range.id = range;
    o->u.move_range.to = to;
}

void
ulv_transaction_retire_memory(ulv_transaction *t, uint64_t frame,
                              uint64_t bytes)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_RETIRE_MEMORY);

    if (o == NULL)
        return;
    o->u.retire_memory.id = ulv_transaction_new_id(t);
    o->u.retire_memory.frame = frame;
    o->u.retire_memory.bytes = bytes;
}

void
ulv_transaction_retire_processor(ulv_transaction *t, ulv_id processor)
{
    struct ulv_operation *o = ulv_transaction_add(t, ULV_OP_RETIRE_PROCESSOR);

    if (o != NULL)
        o->u.retire_processor.processor = processor;
}
