/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The system-call interface between a guest and its monitor.
 *
 * A guest calls the gate page, whose address stands in its view, like a C
 * function. What the page contains is the backend's business (OUT on KVM,
 * VMCALL on VT-x, a host system call on the process backend).
 *
 *   in:   rdi = number, rsi rdx rcx r8 = arguments 0..3
 *   out:  rax = status (0 or a negative ULV_E_*), rdx = value
 *   rcx, r8..r11 and rsi, rdi may change; the rest is kept.
 *
 * number = class << 8 | method. Unknown number: ULV_E_UNSUPPORTED; a method
 * outside the capability bits in the view: ULV_E_DENIED.
 *
 * Calls that make somebody else work (LOG, FAILED, a RELEASE that nobody asked
 * for) are limited together: ULV_CALL_BURST of them in a row, then one in
 * ULV_CALL_EARN_NS; the rest have no effect and get ULV_E_AGAIN. All others
 * cost their caller's time only: doorbells that ring again before they were
 * heard are one, and what else is told is told once.
 *
 * For guest authors and for the monitor. Source: doc/formats/view.md.
 */
#ifndef ULTRAVISOR_ABI_SYSTEM_CALL_H
#define ULTRAVISOR_ABI_SYSTEM_CALL_H

#include <stdint.h>

/* class 02: the partition itself */
#define ULV_CALL_STOP  0x0201u /* 0: exit code. Does not return. */
#define ULV_CALL_RESET 0x0202u /* 0: reason. Does not return: the partition
                                ends, or starts again from its image, its
                                memory zero, if the policy lets it */
#define ULV_CALL_FAULT 0x0203u /* 0: code, 1: address of text, 2: its length
                                  [bytes, 0 .. ULV_CALL_TEXT_MAX]. Ends the
                                  partition with a fault. Does not return. */
/* class 04: memory; argument 0 is the guest address of a record in the view */
#define ULV_CALL_ACCEPT  0x0401u /* use memory that was given after the start;
                                    value = its bytes. Zeroes. NOT_FOUND: the
                                    view lists none there; EXISTS: in use */
#define ULV_CALL_RELEASE 0x0402u /* give memory back, or up; it is gone when the
                                    call returns; value = its bytes. Back, when
                                    the view has it not revoked: rate-limited,
                                    AGAIN */
/* class 05: channels; argument 0 is the slot in the view */
#define ULV_CALL_SIGNAL 0x0501u /* ring the peer's doorbell */
#define ULV_CALL_WAIT   0x0502u /* 0: deadline [ns on ULV_CALL_TIME's clock, or
                                  UINT64_MAX]. Returns when a doorbell rang
                                  since the last wait: value = mask of slots;
                                  or ULV_E_TIMEOUT. Bit 63: the view changed;
                                  62: a ULV_CALL_WAKE. Of several processors
                                  that wait, one sees a doorbell. One that
                                  interrupts is not in the mask: 0, when the
                                  handler has run since the last wait */
#define ULV_CALL_ATTACH 0x0503u /* this end is in use */
#define ULV_CALL_DETACH 0x0504u /* this end is no longer in use; a channel that
                                   was revoked is gone when the call returns */
#define ULV_CALL_FAILED 0x0505u /* the peer broke the protocol; 1: status;
                                   rate-limited: AGAIN */
/* class 07: query and log */
#define ULV_CALL_DISCOVER 0x0701u /* value = guest address of the view */
#define ULV_CALL_LOG      0x0702u /* 0: address of text, 1: length [bytes, 0 ..
                                    ULV_CALL_TEXT_MAX]; rate-limited: AGAIN */
/* class 08: scheduling */
#define ULV_CALL_YIELD 0x0801u /* let others run, then return */
#define ULV_CALL_START 0x0802u /* 0: processor, 1: entry, 2: stack, 3: what it
                                  finds in rdi. It runs there from now on, rsp
                                  8 below the stack. EXISTS: it runs already;
                                  NOT_FOUND: the partition has none such */
#define ULV_CALL_PARK  0x0803u /* this processor runs no more, until it is
                                  started again; processor 0: STATE */
#define ULV_CALL_WAKE  0x0804u /* 0: processor. Its wait ends, or the next one
                                  at once. NOT_FOUND: none such */
/* class 09: interrupts, of the processor that calls. When a doorbell rings that
 * interrupts it, the processor goes to its handler: rdi = slot, rsp 8 below the
 * stack, every other register as it was. Nothing interrupts a handler; it puts
 * back what it used but rdi and rsp, and ends by a RESUME. Rings of a slot that
 * come before its handler runs are one. */
#define ULV_CALL_HANDLER    0x0901u /* 0: entry, 1: stack; from the next
                                       interrupt on. Entry 0: none, and nothing
                                       interrupts it. ARG: no such address */
#define ULV_CALL_INTERRUPTS 0x0902u /* 0: mask of the slots whose doorbells
                                       interrupt it from now on; those of others
                                       are told by WAIT, also what rang before.
                                       Value = the mask until now. STATE: no
                                       handler; EXISTS: a slot interrupts
                                       another processor; NOT_FOUND: the view
                                       has no such slot. A channel that goes,
                                       or START, takes its bits away. */
#define ULV_CALL_RESUME     0x0903u /* at the end of a handler. Does not return;
                                       anywhere else it is a fault; UNSUPPORTED
                                       without the right to interrupts */
/* class 0a: time */
#define ULV_CALL_TIME 0x0a01u /* value = ns since the partition was started */

#define ULV_CALL_TEXT_MAX  160u
#define ULV_CALL_BURST     64u                /* limited calls in a row */
#define ULV_CALL_EARN_NS   UINT64_C(10000000) /* until one more is earned */
#define ULV_WAIT_VIEW_MASK (UINT64_C(1) << 63)
#define ULV_WAIT_WAKE_MASK (UINT64_C(1) << 62)
#define ULV_SLOT_COUNT     62u

/* Capability bits in the view, one a class or a finer right. */
#define ULV_CAP_PARTITION UINT64_C(0x01) /* class 02 */
#define ULV_CAP_CHANNEL   UINT64_C(0x02) /* class 05 */
#define ULV_CAP_QUERY     UINT64_C(0x04) /* class 07 */
#define ULV_CAP_YIELD     UINT64_C(0x08) /* class 08 */
#define ULV_CAP_TIME      UINT64_C(0x10) /* class 0a */
#define ULV_CAP_COMMAND   UINT64_C(0x20) /* may open the command channel */
#define ULV_CAP_MEMORY    UINT64_C(0x40) /* class 04 */
#define ULV_CAP_CPU_V3    UINT64_C(0x100) /* processor: x86-64-v3, not -v2 */
#define ULV_CAP_CPU_HOST  UINT64_C(0x200) /* all features of the host's */
#define ULV_CAP_INTERRUPT UINT64_C(0x400) /* class 09 */
#define ULV_CAP_STOCK     UINT64_C(0x800) /* no guest of the SDK: a kernel, with
                                            memory from 0, and no calls */
#define ULV_CAP_GUEST     UINT64_C(0x5f) /* what a guest gets by default */
#define ULV_CAP_GUEST_MAX UINT64_C(0xf5f) /* what it may be given */

/* What the view marks as revoked stays usable for so long, or until the guest
 * gives it up [ns]. */
#define ULV_REVOKE_GRACE UINT64_C(100000000)

/* Guest-physical layout of an SDK guest; all else is named by the view. */
#define ULV_GUEST_RAM_BASE UINT64_C(0x400000)    /* first byte of memory */
#define ULV_GUEST_GATE     UINT64_C(0x3ff000)    /* the gate page */
#define ULV_GUEST_WINDOW   UINT64_C(0x100000000) /* view and channels: from
                        here, or from the end of memory rounded up to 1 GiB */
#define ULV_GUEST_SLOT_BYTES UINT64_C(0x4000000) /* window: the view at +0, the
                        channel of slot s at +(s + 1) * this */

/* Of a stock kernel's: memory from 0, but none where a PC has its devices. */
#define ULV_STOCK_HOLE     UINT64_C(0xc0000000)
#define ULV_STOCK_HOLE_END UINT64_C(0x100000000)

#endif
