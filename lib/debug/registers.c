/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The registers of x86-64 as gdb numbers them. It wants to hear of segment and
 * x87 registers too: those are not known.
 *
 * Source: "Debugging with GDB", appendix G, i386 Features
 */
#include "debug/stub_priv.h"

#define GENERAL 17u /* rax .. r15, rip: 8 bytes each */
#define FLAGS   17u /* 4 bytes */
#define COUNT   40u

const char ulv_stub_description[] =
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
    "<target version=\"1.0\"><architecture>i386:x86-64</architecture>"
    "<feature name=\"org.gnu.gdb.i386.core\">"
    "<flags id=\"f\" size=\"4\">"
    "<field name=\"\" start=\"22\" end=\"31\"/>"
    "<field name=\"ID\" start=\"21\" end=\"21\"/>"
    "<field name=\"AC\" start=\"18\" end=\"18\"/>"
    "<field name=\"RF\" start=\"16\" end=\"16\"/>"
    "<field name=\"OF\" start=\"11\" end=\"11\"/>"
    "<field name=\"DF\" start=\"10\" end=\"10\"/>"
    "<field name=\"IF\" start=\"9\" end=\"9\"/>"
    "<field name=\"TF\" start=\"8\" end=\"8\"/>"
    "<field name=\"SF\" start=\"7\" end=\"7\"/>"
    "<field name=\"ZF\" start=\"6\" end=\"6\"/>"
    "<field name=\"AF\" start=\"4\" end=\"4\"/>"
    "<field name=\"PF\" start=\"2\" end=\"2\"/>"
    "<field name=\"CF\" start=\"0\" end=\"0\"/></flags>"
#define R(name, bits, type)                                                    \
    "<reg name=\"" name "\" bitsize=\"" bits "\" type=\"" type "\"/>"
#define R64(name) R(name, "64", "int64")
#define R32(name) R(name, "32", "int32")
#define R80(name) R(name, "80", "i387_ext")
    R64("rax") R64("rbx") R64("rcx") R64("rdx") R64("rsi") R64("rdi")
        R("rbp", "64", "data_ptr") R("rsp", "64", "data_ptr") R64("r8")
            R64("r9") R64("r10") R64("r11") R64("r12") R64("r13") R64("r14")
                R64("r15") R("rip", "64", "code_ptr") R("eflags", "32", "f")
                    R32("cs") R32("ss") R32("ds") R32("es") R32("fs") R32("gs")
                        R80("st0") R80("st1") R80("st2") R80("st3") R80("st4")
                            R80("st5") R80("st6") R80("st7") R32("fctrl")
                                R32("fstat") R32("ftag") R32("fiseg")
                                    R32("fioff") R32("foseg") R32("fooff")
                                        R32("fop") "</feature></target>";

/* Bytes of a register; 0: there is none. */
static size_t
bytes_of(uint64_t number)
{
    if (number < GENERAL)
        return 8;
    if (number >= 24 && number < 32)
        return 10;
    return number < COUNT ? 4 : 0;
}

/* The members stand in the order that gdb has, rflags at the end. */
_Static_assert(offsetof(struct ulv_registers, rsp) == 56 &&
                   offsetof(struct ulv_registers, rip) == 128 &&
                   offsetof(struct ulv_registers, rflags) == 136,
               "gdb's order");

static uint8_t *
place_of(struct ulv_registers *registers, uint64_t number)
{
    return (uint8_t *)registers + number * 8;
}

static void
put_register(struct ulv_stub *s, struct ulv_registers *from, uint64_t number)
{
    static const char unknown[] = "xxxxxxxxxxxxxxxxxxxx";

    if (from != NULL && number <= FLAGS)
        ulv_stub_put_bytes(s, place_of(from, number), bytes_of(number));
    else
        ulv_stub_put(s, unknown, 2 * bytes_of(number));
}

static struct ulv_registers *
known(struct ulv_stub *s, struct ulv_registers *room)
{
    const struct ulv_stub_target *t = s->target;

    return t->registers(t->self, s->processor, room) ? room : NULL;
}

void
ulv_stub_read_registers(struct ulv_stub *s)
{
    struct ulv_registers room, *from = known(s, &room);

    ulv_stub_begin(s);
    for (uint64_t i = 0; i < COUNT; i++)
        put_register(s, from, i);
    ulv_stub_finish(s);
}

void
ulv_stub_read_register(struct ulv_stub *s, const char *p)
{
    struct ulv_registers room, *from = known(s, &room);
    uint64_t number;

    if (!ulv_stub_number(&p, &number) || bytes_of(number) == 0) {
        ulv_stub_answer(s, "E01");
        return;
    }
    ulv_stub_begin(s);
    put_register(s, from, number);
    ulv_stub_finish(s);
}

static void
set(struct ulv_stub *s, const struct ulv_registers *to)
{
    const struct ulv_stub_target *t = s->target;

    if ((t->abilities(t->self) & ULV_STUB_CAN_SET) == 0) {
        ulv_stub_begin(s);
        ulv_stub_put_text(s, "E.");
        ulv_stub_put_text(s, t->lacks(t->self, ULV_STUB_CAN_SET));
        ulv_stub_finish(s);
    } else {
        ulv_stub_answer(s, t->set_registers(t->self, s->processor, to)
                               ? "OK"
                               : "E.those registers are refused");
    }
}

/* Those that are not ours are passed over, whatever they hold. */
void
ulv_stub_write_registers(struct ulv_stub *s, const char *p)
{
    struct ulv_registers to;
    uint64_t i = 0;

    if (known(s, &to) == NULL) {
        ulv_stub_answer(s, "E.the registers are not known");
        return;
    }
    while (i <= FLAGS && ulv_stub_bytes(&p, place_of(&to, i), bytes_of(i)))
        i++;
    if (i <= FLAGS)
        ulv_stub_answer(s, "E01");
    else
        set(s, &to);
}

void
ulv_stub_write_register(struct ulv_stub *s, const char *p)
{
    struct ulv_registers to;
    uint64_t number;

    if (known(s, &to) == NULL)
        ulv_stub_answer(s, "E.the registers are not known");
    else if (!ulv_stub_number(&p, &number) || number >= COUNT ||
             !ulv_stub_expect(&p, '='))
        ulv_stub_answer(s, "E01");
    else if (number > FLAGS)
        ulv_stub_answer(s, "E.only general registers, rip and the flags can "
                           "be set");
    else if (!ulv_stub_bytes(&p, place_of(&to, number), bytes_of(number)))
        ulv_stub_answer(s, "E01");
    else
        set(s, &to);
}
