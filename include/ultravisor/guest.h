/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The runtime of an SDK guest: system calls, the view, channels, block and
 * console, text, memory, timers and an event loop; doc/guest.md shows how. An
 * image is a static ELF64 linked at ULV_GUEST_RAM_BASE with
 * libultravisor-guest.a; it defines guest_main() and runs at CPL3 with
 * guest-physical = guest-virtual addresses. The stack is the end of the
 * partition's memory.
 *
 * For authors of guests. No host, no libc: build with -ffreestanding
 * -mgeneral-regs-only; `pkg-config --cflags --libs ultravisor-guest`.
 */
#ifndef ULTRAVISOR_GUEST_H
#define ULTRAVISOR_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ultravisor/abi/block.h>
#include <ultravisor/abi/channel.h>
#include <ultravisor/abi/console.h>
#include <ultravisor/abi/system_call.h>
#include <ultravisor/abi/view.h>
#include <ultravisor/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GUEST_NORETURN __attribute__((noreturn))
#define GUEST_FORMAT(text, first)                                              \
    __attribute__((format(printf, text, first)))

/* The guest's own program; what it returns is the exit code. */
int guest_main(void);

/* ---- system calls: abi/system_call.h ------------------------------------- */

struct guest_result {
    int64_t status; /* 0 or a negative ULV_E_* */
    uint64_t value;
};
struct guest_result guest_call(uint64_t number, uint64_t a, uint64_t b,
                               uint64_t c);
struct guest_result guest_call4(uint64_t number, uint64_t a, uint64_t b,
                                uint64_t c, uint64_t d);
GUEST_NORETURN void guest_stop(uint64_t code);
/* End, or start again from the image: the policy's to say. */
GUEST_NORETURN void guest_reset(uint64_t reason);
GUEST_NORETURN void guest_fault(uint64_t code, const char *text);
void guest_log(const char *text);
/* Nanoseconds since the partition was started. */
uint64_t guest_time(void);
/* Until a doorbell rings; every waiter looks for itself afterwards. What rang
 * is kept for guest_wait_mask(): these may be called inside a loop. */
void guest_wait(void);
/* The same, at most until that time; false: the time is over. */
bool guest_wait_until(uint64_t time);
/* What rang since it was last asked, waiting at most until that time: slots,
 * ULV_WAIT_VIEW_MASK, ULV_WAIT_WAKE_MASK; 0: nothing did. */
uint64_t guest_wait_mask(uint64_t time);
void guest_signal(uint32_t slot);
/* Use memory that the view lists at an address and that was given after the
 * start; it is zero. Returns its bytes, 0: there is none. */
uint64_t guest_accept(uint64_t address);
/* Give memory back, or up when the view has it revoked: it is gone. */
bool guest_release(uint64_t address);
/* Let others run. */
void guest_yield(void);

/* ---- processors ---------------------------------------------------------- */

/* How many the partition has; number 0 runs guest_main(). */
uint32_t guest_processor_count(void);
/* Processor idx runs run(argument) from now on, on the stack that ends at
 * stack_end (a multiple of 16), and parks when it returns. Returns 0,
 * ULV_E_EXISTS (it runs already) or ULV_E_NOT_FOUND. All of the runtime but
 * system calls, the view and signals is for one processor at a time. */
int64_t guest_processor_start(uint32_t idx, void (*run)(void *argument),
                              void *argument, void *stack_end);
/* This processor runs no more until it is started again; not number 0. */
void guest_processor_park(void);
/* End a processor's wait, or its next one. */
void guest_processor_wake(uint32_t idx);

/* ---- interrupts: of partitions that have them ---------------------------- */

/* From now on run(argument, slot) is called when a slot rings that
 * guest_interrupt_set() names: between any two instructions of this processor,
 * on the stack that ends at stack_end (a multiple of 16). Nothing interrupts
 * run, and what it shares with the rest must bear that it comes anywhere: words
 * that are read and written at once, no memory, no channel that the rest uses
 * meanwhile. It does not wait. Processors have one each. Returns 0, or
 * ULV_E_DENIED or _UNSUPPORTED: this partition has no interrupts. */
int64_t guest_interrupt_handle(void (*run)(void *argument, uint32_t slot),
                               void *argument, void *stack_end);
/* The slots that interrupt this processor, as bits; 0: none, as at the start.
 * Other slots are waited for; what is waited for looks again when the handler
 * has run: a guest_wait() or a step of a loop ends. Returns 0, ULV_E_STATE (no
 * handler), ULV_E_EXISTS (one interrupts another processor) or ULV_E_NOT_FOUND.
 * ret_before: NULL, or which they were. */
int64_t guest_interrupt_set(uint64_t slots, uint64_t *ret_before);

/* ---- the view ------------------------------------------------------------ */

/* One record of the partition's view; false: there is none. */
bool guest_view(uint32_t kind, uint32_t idx, void *ret, size_t bytes);
/* The guest address of the view, as the monitor says. */
uint64_t guest_view_address(void);

/* ---- channels: records in both directions, without copying --------------- */

/* One end of a channel; what is in it belongs to the runtime. */
struct guest_channel {
    uint64_t opaque_[32];
};
/* A record that arrived, in place until guest_channel_release(). The peer can
 * write data at any time: copy before you check. */
struct guest_record {
    uint32_t type;
    uint32_t len; /* [bytes] */
    const void *data;
};

/* Attach the nth channel of a type. false: the view has none, or what its
 * header says cannot be. */
bool guest_channel_open(struct guest_channel *channel, const uint8_t type[16],
                        uint32_t nth);
/* The nth of a type in the view that is not revoked; NULL: of any type. false:
 * there is none. */
bool guest_channel_find(const uint8_t *type, uint32_t nth,
                        struct ulv_view_channel *ret);
/* Attach a channel of the view. Returns 0 or a negative ULV_E_*; NOT_FOUND: it
 * is not there yet, and the view says so again when it is. */
int32_t guest_channel_attach(struct guest_channel *channel,
                             const struct ulv_view_channel *found);
/* guest_channel_open() of the first whose type is this text (at most 16
 * bytes); waits for it, at most until that time. */
bool guest_channel_open_named(struct guest_channel *channel, const char *type,
                              uint64_t time);
/* After the peer has gone and another came: detach and attach anew, where the
 * view now says. false: it is in the view no more. */
bool guest_channel_reopen(struct guest_channel *channel);
/* The state of the peer's end: ULV_END_*. A peer that leaves rings nobody; one
 * that dies is DETACHED, and the doorbell rings. */
uint32_t guest_channel_peer(const struct guest_channel *channel);
/* Wait until the peer is attached, at most until that time; false also when the
 * channel is revoked. */
bool guest_channel_wait_peer(struct guest_channel *channel, uint64_t time);
/* Tell the ultravisor that the peer broke the protocol, and give it up. */
void guest_channel_fail(struct guest_channel *channel, int32_t status);
/* The slot, as in guest_wait_mask() and guest_signal(). */
uint32_t guest_channel_slot(const struct guest_channel *channel);
/* Whether the view has the channel revoked: close it, before it is taken. */
bool guest_channel_is_revoked(const struct guest_channel *channel);
/* Detach: the end may be opened again. */
void guest_channel_close(struct guest_channel *channel);
/* Send one record, a copy of data; waits while there is no room. Returns 0,
 * ULV_E_LIMIT (more than a quarter of the ring) or ULV_E_PEER_INDEX (the peer
 * broke the channel: it is closed for good). */
int32_t guest_channel_send(struct guest_channel *channel, uint32_t type,
                           const void *data, uint32_t len);
/* The same without waiting: ULV_E_FULL. */
int32_t guest_channel_send_now(struct guest_channel *channel, uint32_t type,
                               const void *data, uint32_t len);
/* Take one record as a copy; waits, at most until that time. Returns 0,
 * ULV_E_TIMEOUT, ULV_E_LIMIT (it has *ret_len bytes and stays), or what peek
 * returns. */
int32_t guest_channel_receive(struct guest_channel *channel,
                              uint32_t *ret_type, void *buf, uint32_t size,
                              uint32_t *ret_len, uint64_t time);
/* Room for one record, to be written in place; several may be reserved before
 * one submit. As guest_channel_send(), and ULV_E_FULL. */
int32_t guest_channel_reserve(struct guest_channel *channel, uint32_t type,
                              uint32_t len, void **ret_data);
/* Let the peer see what was reserved, and wake it if it sleeps. */
void guest_channel_submit(struct guest_channel *channel);
/* The next record. Returns 0, ULV_E_EMPTY, ULV_E_PEER_INDEX or
 * ULV_E_PEER_LENGTH (the peer broke the channel). */
int32_t guest_channel_peek(struct guest_channel *channel,
                           struct guest_record *ret);
/* Give the record back that peek showed. */
void guest_channel_release(struct guest_channel *channel);
/* Whether a record is there; if not, the peer is asked to ring for the next:
 * for guests that do something else meanwhile. */
bool guest_channel_ask(struct guest_channel *channel);
/* Sleep unless a record is there; look again afterwards, in a loop. */
void guest_channel_wait(struct guest_channel *channel);
/* The channel's bulk area, for protocols that have one; NULL and 0: none.
 * <ultravisor/bulk.h> hands out its pieces. */
uint8_t *guest_channel_area(struct guest_channel *channel,
                            uint64_t *ret_bytes);
/* The bytes of the channel that this end alone writes, or the peer's, for a
 * channel over which no records are sent but a table is shared: <table.h>.
 * guest_signal() rings the peer. */
void *guest_channel_section(struct guest_channel *channel, bool own,
                            uint64_t *ret_bytes);
/* The epoch as the channel's header says it now: grows when the ultravisor
 * names another peer, before that one has announced itself. */
uint32_t guest_channel_epoch(struct guest_channel *channel);

/* ---- text: as printf(), without floating point and %n -------------------- */

/* Formatted text, cut to size with its zero; size 0: nothing is written.
 * Returns the length of the whole text. */
GUEST_FORMAT(3, 4)
size_t guest_format(char *text, size_t size, const char *format, ...);
GUEST_FORMAT(3, 0)
size_t guest_format_arguments(char *text, size_t size, const char *format,
                              __builtin_va_list arguments);
/* One line to the log, cut to ULV_CALL_TEXT_MAX. */
GUEST_FORMAT(1, 2)
void guest_log_format(const char *format, ...);

/* ---- console: buffered; flushed by a newline ----------------------------- */

/* Finds and attaches the partition's console. false: it has none. */
bool guest_console_open(void);
/* Formatted text of any length; waits while nobody reads. */
GUEST_FORMAT(1, 2) void guest_print(const char *format, ...);
/* Let out what stands in the buffer without a newline. */
void guest_console_flush(void);
/* Take what was typed: at least one byte, at most size; lets out what was
 * printed, and waits, at most until that time (0: not at all). Returns 0,
 * ULV_E_TIMEOUT, ULV_E_STATE (no console is open), ULV_E_UNSUPPORTED (this one
 * has no input), or ULV_E_PEER_* (its server broke it: it is closed). */
int32_t guest_console_read(void *buf, uint32_t size, uint32_t *ret_len,
                           uint64_t time);
/* For a watch of a loop: what is readable is read by guest_console_read(). */
struct guest_channel *guest_console_channel(void);

/* ---- memory: the partition's RAM but image, stack and channels ----------- */

/* The end of the memory that the partition starts with is the stack of
 * processor 0: so much of it is never handed out. */
#define GUEST_STACK_BYTES UINT64_C(65536)

/* Memory for bytes, aligned to 16, its content anything. NULL: none is free.
 * The first call takes all memory that the view lists. */
void *guest_alloc(size_t bytes);
/* Aligned to a power of two. */
void *guest_alloc_aligned(size_t bytes, size_t align);
/* Memory of another size with the same bytes; p may be NULL. NULL: none is
 * free, and p is as it was. */
void *guest_resize(void *p, size_t bytes);
/* NULL is allowed. Freed twice, overrun, or never handed out: a fault. */
void guest_free(void *p);
/* Look at every block; one that was overrun is a fault. */
void guest_memory_check(void);

struct guest_memory {
    uint64_t bytes; /* of all areas */
    uint64_t used_bytes, free_bytes, largest_free_bytes; /* with headers */
    uint64_t used_count;    /* blocks */
    uint64_t refused_count; /* calls that came back with NULL */
    uint64_t area_count;
};
void guest_memory_count(struct guest_memory *ret);
/* Accept memory that the view newly lists, hand it out from now on; hand
 * nothing more out of what the view has revoked, and give that up as soon as
 * it is free. Returns bytes that are new. A loop does this when its view
 * changes. */
uint64_t guest_memory_follow(void);
/* Give memory back of which no byte is in use, in whole records of the view,
 * until that many bytes are gone; what image and stack lie in stays. Returns
 * how many bytes are gone. */
uint64_t guest_memory_give(uint64_t bytes);

/* ---- block --------------------------------------------------------------- */

struct guest_block_answer {
    uint64_t id;
    int32_t status;
    uint32_t sector_count;
};

/* Finds and attaches the partition's first block channel, waits until a server
 * says that the medium is there. Returns 0 or a negative ULV_E_*. */
int32_t guest_block_open(uint64_t *ret_sector_count);
/* Bytes of the area that data lies in on its way, and the area. */
uint8_t *guest_block_area(uint64_t *ret_bytes);
/* Ask for sectors; id is the caller's. false: no room, take answers first. */
bool guest_block_read(uint64_t id, uint64_t sector, uint32_t sector_count,
                      uint64_t area_offset);
/* The same the other way, out of the area, which stays as it is until the
 * answer. A medium that is read-only answers ULV_E_DENIED. */
bool guest_block_write(uint64_t id, uint64_t sector, uint32_t sector_count,
                       uint64_t area_offset);
/* All writes that were answered before this is asked for are on the medium when
 * it is answered. */
bool guest_block_flush(uint64_t id);
bool guest_block_is_read_only(void);
/* The same with a request of the caller's making; its id is replaced. */
bool guest_block_ask(uint64_t id, const struct ulv_block_request *request);
/* Let the server see what was asked, and wake it. */
void guest_block_submit(void);
/* Let it see without waking it; true: it sleeps and guest_block_submit() is
 * still to be called. */
bool guest_block_show(void);
/* The channel's epoch now: grows when the ultravisor names another server,
 * before that one has announced itself. */
uint32_t guest_block_epoch(void);
/* The next answer; waits for it. A negative status: the channel is broken. */
int32_t guest_block_wait(struct guest_block_answer *ret);
/* Read sectors into any memory, and wait for it; not while others that were
 * asked for are open. Returns 0 or a negative ULV_E_*. */
int32_t guest_block_copy(uint64_t sector, uint32_t sector_count, void *to);
/* The same the other way, and a flush. */
int32_t guest_block_store(uint64_t sector, uint32_t sector_count,
                          const void *from);
int32_t guest_block_sync(void);
/* Who serves, and in which epoch; grows with each take-over. */
uint64_t guest_block_server(uint32_t *ret_epoch);

/* ---- timers -------------------------------------------------------------- */

/* The caller's memory for as long as it is set. run, argument and period are
 * the caller's; the rest is the runtime's. Zero it before its first use. */
struct guest_timer {
    void (*run)(void *argument);
    void *argument;
    uint64_t period; /* [ns]; 0: it runs once */
    uint64_t time;   /* when it is due [ns, guest_time()] */
    bool is_set;
    uint64_t order;
    struct guest_timer *child, *next, *before;
};
struct guest_timers {
    struct guest_timer *first;
    uint64_t order, now;
    bool passing;
};

/* ---- the event loop: one place to wait for all --------------------------- */

/* What a watch is called for. */
#define GUEST_READABLE 1u /* a record is there; or the channel is broken, which
                             peek tells: it is watched no more then */
#define GUEST_WRITABLE 2u /* there is the room that was asked for */
#define GUEST_PEER     4u /* the peer's end, or the epoch, is another */
#define GUEST_REVOKED  8u /* close it before it is taken */

/* A channel that a loop looks at; the caller's memory until it is unwatched.
 * run is called again as long as a record is there. */
struct guest_watch {
    struct guest_channel *channel;
    void (*run)(void *argument, uint32_t what);
    void *argument;
    struct guest_watch *next;
    uint32_t room, epoch, peer;
    bool revoked;
};

/* What a loop runs on: the system calls, or a test's own. */
struct guest_loop_calls {
    uint64_t (*time)(void *self);
    uint64_t (*wait)(void *self, uint64_t time); /* as guest_wait_mask() */
    void (*follow)(void *self);                  /* the view has changed */
    bool (*is_revoked)(void *self, const struct guest_channel *channel);
};

struct guest_loop {
    const struct guest_loop_calls *calls;
    void *self;
    struct guest_timers timers;
    struct guest_watch *first, *cursor;
    void (*on_view)(void *argument); /* the view has changed; or NULL */
    void (*on_wake)(void *argument); /* guest_processor_wake(); or NULL */
    void *argument;                  /* of these two, the caller's to set */
    uint32_t busy;
    int code;
    bool is_over;
};

void guest_loop_init(struct guest_loop *loop);
/* Run timers, watches and the two of the view until guest_loop_stop(), which
 * says what is returned. */
int guest_loop_run(struct guest_loop *loop);
/* Run what is there; if nothing is, wait, at most until that time. false: it
 * was stopped. */
bool guest_loop_step(struct guest_loop *loop, uint64_t time);
void guest_loop_stop(struct guest_loop *loop, int code);
uint64_t guest_loop_time(const struct guest_loop *loop);
/* Look at an open channel. Close it after guest_loop_unwatch(), which may be
 * called from anywhere, also from its own run. */
void guest_loop_watch(struct guest_loop *loop, struct guest_watch *watch);
void guest_loop_unwatch(struct guest_loop *loop, struct guest_watch *watch);
/* Call it once with GUEST_WRITABLE when there is room for bytes. */
void guest_watch_room(struct guest_watch *watch, uint32_t bytes);
/* A timer runs at that time, and then every period if it has one; periods that
 * nobody had time for are left out. One that is set is set anew. */
void guest_timer_set(struct guest_loop *loop, struct guest_timer *timer,
                     uint64_t time);
/* The same, so long from now [ns]. */
void guest_timer_set_in(struct guest_loop *loop, struct guest_timer *timer,
                        uint64_t duration);
/* From anywhere, also from its own run; nothing if it is not set. */
void guest_timer_cancel(struct guest_loop *loop, struct guest_timer *timer);

/* A request under way; the caller's memory until done is called. */
struct guest_block_operation {
    void (*done)(struct guest_block_operation *operation);
    void *argument;
    int32_t status; /* 0 or a negative ULV_E_* */
    uint32_t sector_count;
    uint64_t sector, area_offset;
};
/* Let a loop take all answers of the block channel; from now on requests are
 * started with guest_block_start() and the like only. */
void guest_block_watch(struct guest_loop *loop);
/* Read sectors into the area; done is called from the loop, once. false: too
 * many are under way, or the channel is broken. */
bool guest_block_start(struct guest_block_operation *operation,
                       uint64_t sector, uint32_t sector_count,
                       uint64_t area_offset);
/* As guest_block_write() and guest_block_flush(). */
bool guest_block_start_write(struct guest_block_operation *operation,
                             uint64_t sector, uint32_t sector_count,
                             uint64_t area_offset);
bool guest_block_start_flush(struct guest_block_operation *operation);

/* ---- SHA-256, FIPS 180-4 ------------------------------------------------- */

struct guest_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
};
void guest_sha256_init(struct guest_sha256 *s);
void guest_sha256_add(struct guest_sha256 *s, const void *p, size_t len);
void guest_sha256_end(struct guest_sha256 *s, uint8_t digest[32]);

#ifdef __cplusplus
}
#endif

#endif
