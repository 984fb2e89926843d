/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What happened, in order: decisions, partitions that start and end, roles
 * that die, take-overs, console output. Taken one by one; bounded.
 */
#ifndef ULTRAVISOR_EVENT_H
#define ULTRAVISOR_EVENT_H

#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ULV_EVENT_LOST      UINT32_C(0) /* value events were dropped here; of
                                           a partition: value bytes of its
                                           console were lost with a server */
#define ULV_EVENT_BOOT      UINT32_C(1) /* text: a step of the start */
#define ULV_EVENT_DECISION  UINT32_C(2) /* text: what was decided, and why */
#define ULV_EVENT_COMMITTED UINT32_C(3) /* value: revision; before or after
                                           the answer to its transaction */
#define ULV_EVENT_RUNNING   UINT32_C(4) /* partition runs */
#define ULV_EVENT_ENDED     UINT32_C(5) /* text: why; it can be started or
                                           destroyed now */
#define ULV_EVENT_DIED      UINT32_C(6) /* a role's process is dead */
#define ULV_EVENT_TAKEOVER  UINT32_C(7) /* partition took over; value: open
                                           requests; text */
#define ULV_EVENT_CONSOLE   UINT32_C(8) /* value: offset in the stream */
#define ULV_EVENT_LOG       UINT32_C(9) /* text: from a guest or a role */
#define ULV_EVENT_FAULT     UINT32_C(10) /* an order or message was refused */
#define ULV_EVENT_SERVING   UINT32_C(11) /* partition serves device value */
#define ULV_EVENT_RESET     UINT32_C(12) /* partition asked to be reset, and
                                            starts again; value: the reason */

#define ULV_EVENT_RESTARTED UINT32_C(13) /* partition, whose role had died, was
                                            started again and has adopted what
                                            there is; value: its revision */

#define ULV_EVENT_CONSOLE_ROOM UINT32_C(14) /* the console of partition takes
                                               input again; value: bytes */

#define ULV_EVENT_BYTES_MAX 1024

struct ulv_event {
    uint32_t size;
    uint32_t kind;     /* ULV_EVENT_* */
    uint64_t sequence; /* gap-free, from 1 */
    ulv_nsec time;     /* on the host's clock */
    ulv_id partition;  /* concerned, or 0 */
    uint64_t value;
    uint32_t bytes; /* of data; data[bytes] is 0 */
    uint32_t rsvd_;
    char data[ULV_EVENT_BYTES_MAX + 1]; /* a line of text, or console bytes */
    char pad_[7];
};

#define ULV_EVENT_INIT                                                         \
    {                                                                          \
        (uint32_t)sizeof(struct ulv_event), 0, 0, 0, 0, 0, 0, 0, { 0 },        \
        {                                                                      \
            0                                                                  \
        }                                                                      \
    }

/**
 * Take the next event.
 *
 * @param system  a system
 * @param ret     filled; ret->size as initialised by ULV_EVENT_INIT
 *
 * Errors:  ULV_E_AGAIN  none is there: ulv_system_step()
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_event_next(ulv_system *system, struct ulv_event *ret);

#ifdef __cplusplus
}
#endif

#endif
