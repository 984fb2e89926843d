/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef DEBUG_STUB_PRIV_H
#define DEBUG_STUB_PRIV_H

#include "base/base.h"
#include "debug/stub.h"

/* ---- packet.c ------------------------------------------------------------ */
#define PACKET_NONE      0u /* more is to come */
#define PACKET_WHOLE     1u /* its text is in->text, zero-terminated */
#define PACKET_BROKEN    2u /* the check sum is wrong, or it is too long */
#define PACKET_ACK       3u
#define PACKET_AGAIN     4u /* the other side asks for the last one again */
#define PACKET_INTERRUPT 5u
uint32_t ulv_stub_packet_byte(struct ulv_stub_packet *in, uint8_t byte);

/* An answer, built piece by piece into s->out; what does not fit is cut. */
void ulv_stub_begin(struct ulv_stub *s);
void ulv_stub_put(struct ulv_stub *s, const void *text, size_t len);
void ulv_stub_put_text(struct ulv_stub *s, const char *text);
/* As hexadecimal digits: bytes, and a number without leading zeros. */
void ulv_stub_put_bytes(struct ulv_stub *s, const void *bytes, size_t len);
void ulv_stub_put_number(struct ulv_stub *s, uint64_t number);
/* Bytes that may be any, escaped. */
void ulv_stub_put_binary(struct ulv_stub *s, const void *bytes, size_t len);
void ulv_stub_finish(struct ulv_stub *s);
void ulv_stub_answer(struct ulv_stub *s, const char *text);

/* Reading a packet: false, and *p somewhere, if it is not there. */
bool ulv_stub_number(const char **p, uint64_t *ret);
bool ulv_stub_expect(const char **p, char c);
/* len bytes, of two digits each. */
bool ulv_stub_bytes(const char **p, void *to, size_t len);
/* Undo the escapes of [from, from + len); returns the length. */
size_t ulv_stub_unescape(uint8_t *bytes, size_t len);

/* ---- registers.c --------------------------------------------------------- */
extern const char ulv_stub_description[]; /* target.xml */
void ulv_stub_read_registers(struct ulv_stub *s);
void ulv_stub_write_registers(struct ulv_stub *s, const char *p);
void ulv_stub_read_register(struct ulv_stub *s, const char *p);
void ulv_stub_write_register(struct ulv_stub *s, const char *p);

/* ---- breakpoint.c -------------------------------------------------------- */
/* The guest's memory as it would be without breakpoints. */
size_t ulv_stub_memory_read(struct ulv_stub *s, uint64_t address, uint8_t *buf,
                            size_t len);
bool ulv_stub_memory_write(struct ulv_stub *s, uint64_t address,
                           const uint8_t *buf, size_t len);
bool ulv_stub_is_breakpoint(const struct ulv_stub *s, uint64_t address);
/* Z and z. */
void ulv_stub_breakpoint_packet(struct ulv_stub *s, const char *p, bool set);
void ulv_stub_drop_breakpoints(struct ulv_stub *s);

#endif
