/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The remote protocol of gdb as a state machine: bytes from a debugger go in,
 * bytes for it come out, and a target is asked. It knows no socket and no
 * guest, allocates nothing and never waits.
 *
 * All that comes in may be anybody's. The target is asked only while it
 * stands, but for `stop`.
 *
 * Source: "Debugging with GDB", appendix E, Remote Serial Protocol
 */
#ifndef DEBUG_STUB_H
#define DEBUG_STUB_H

#include <ultravisor/sys/backend.h>

/* Processors are numbered from 0, bits of a uint64_t; their threads from 1. */
#define ULV_STUB_PROCESSORS_MAX  64u
/* Of the text of one packet, either way. */
#define ULV_STUB_PACKET_MAX      4096u
/* Breakpoints that are an instruction in the guest's memory. */
#define ULV_STUB_BREAKPOINTS_MAX 64u
#define ULV_STUB_INT3            0xccu

/* As the protocol numbers them. */
#define ULV_STUB_NO_SIGNAL 0u
#define ULV_STUB_SIGINT    2u
#define ULV_STUB_SIGILL    4u
#define ULV_STUB_SIGTRAP   5u
#define ULV_STUB_SIGFPE    8u
#define ULV_STUB_SIGKILL   9u
#define ULV_STUB_SIGBUS    10u
#define ULV_STUB_SIGSEGV   11u

/* What the target can; a packet for another thing is answered "not known", or
 * with the target's words why not. */
#define ULV_STUB_CAN_SET   UINT32_C(1) /* set registers */
#define ULV_STUB_CAN_BREAK UINT32_C(2) /* stop at an int3 in its memory */
#define ULV_STUB_CAN_STEP  UINT32_C(4)
#define ULV_STUB_CAN_WATCH UINT32_C(8) /* breakpoints of the processor */

struct ulv_stub_target {
    void *self;
    uint32_t (*abilities)(void *self); /* ULV_STUB_CAN_* */
    /* What is missing in the words for a debugger's user: "the x backend ..."
     */
    const char *(*lacks)(void *self, uint32_t ability);
    uint64_t (*processors)(void *self); /* that are there */
    /* false: they are not known */
    bool (*registers)(void *self, uint32_t processor,
                      struct ulv_registers *ret);
    bool (*set_registers)(void *self, uint32_t processor,
                          const struct ulv_registers *registers);
    /* As many bytes as there are from there on, up to len. */
    size_t (*read)(void *self, uint64_t address, void *buf, size_t len);
    /* All of it or nothing. */
    bool (*write)(void *self, uint64_t address, const void *buf, size_t len);
    /* type as in the packet: 1 execution, 2 write, 4 access. */
    bool (*watch)(void *self, uint32_t type, uint64_t address, uint32_t bytes,
                  bool set);
    /* Let those run, one instruction those of step: until ulv_stub_stopped().
     * NULL, or why not. */
    const char *(*go)(void *self, uint64_t run, uint64_t step);
    void (*stop)(void *self); /* soon: ulv_stub_stopped() */
    void (*kill)(void *self);
    /* How it stands, in words; some lines. */
    void (*describe)(void *self, char *buf, size_t bytes);
};

/* Why it stands. */
struct ulv_stub_stop {
    uint32_t processor;
    uint32_t signal;  /* ULV_STUB_SIG* */
    uint32_t cause;   /* ULV_STUB_CAUSE_* */
    uint64_t address; /* WATCH, ACCESS: that was touched */
};
#define ULV_STUB_CAUSE_OTHER  0u
#define ULV_STUB_CAUSE_INT3   1u /* its rip is that of the int3 */
#define ULV_STUB_CAUSE_DEBUG  2u /* a breakpoint of the processor */
#define ULV_STUB_CAUSE_WRITE  3u
#define ULV_STUB_CAUSE_ACCESS 4u

/* packet.c */
struct ulv_stub_packet {
    uint32_t state, len;
    uint8_t sum, digit; /* of what came; the first digit of its check sum */
    bool bad;           /* too long */
    uint8_t text[ULV_STUB_PACKET_MAX + 1];
};

struct ulv_stub_breakpoint {
    uint64_t address;
    uint8_t byte; /* that lies there for the guest */
    bool set;
};

struct ulv_stub {
    const struct ulv_stub_target *target;
    struct ulv_stub_packet in;
    /* the answer: acknowledgement, $, text, #, sum */
    uint8_t out[1 + 1 + 2 * ULV_STUB_PACKET_MAX + 3];
    uint32_t out_len, out_sent, answer_at;
    bool no_acks;
    bool runs; /* the target does */
    bool owes; /* the answer to what let it run */
    bool gone; /* it has ended: exit */
    bool over; /* nothing more is to be said */
    uint32_t exit_code;
    bool killed;
    uint32_t processor; /* that registers are asked of: Hg */
    uint32_t mover;     /* c and s: Hc; of all: ULV_STUB_PROCESSORS_MAX */
    struct ulv_stub_stop stop;
    struct ulv_stub_breakpoint breakpoint[ULV_STUB_BREAKPOINTS_MAX];
};

/* The target is borrowed; it counts as running until it is said to stand. */
void ulv_stub_init(struct ulv_stub *s, const struct ulv_stub_target *target);
/* The debugger is gone, or goes: the guest's memory is as if none had been. */
void ulv_stub_fini(struct ulv_stub *s);

/* Bytes from the debugger; returns how many were taken: the rest when what was
 * answered is sent, or the target stands. */
size_t ulv_stub_take(struct ulv_stub *s, const void *bytes, size_t len);
/* Bytes for the debugger, and that so many of them were sent. */
const uint8_t *ulv_stub_output(const struct ulv_stub *s, size_t *ret_len);
void ulv_stub_sent(struct ulv_stub *s, size_t len);
/* It said goodbye, or killed the target: what is left is to be sent. */
bool ulv_stub_is_over(const struct ulv_stub *s);

/* The target stands, and why. */
void ulv_stub_stopped(struct ulv_stub *s, const struct ulv_stub_stop *why);
/* It has ended by itself, or was killed, and nothing of it can be looked at. */
void ulv_stub_ended(struct ulv_stub *s, bool killed, uint32_t code);

#endif
