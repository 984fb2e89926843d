/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* gdb's protocol, packet by packet, beside a target of the test's. */
#include "../port/port_test.h"

#include <stdio.h>

#include "stub_target.h"

static struct target target;

static const struct ulv_stub_stop asked = { .signal = ULV_STUB_SIGINT };

static void
begin(void)
{
    target_init(&target);
    target_stand(&target, &asked);
}

static void
say(const char *bytes, size_t len)
{
    assert_int_equal(ulv_stub_take(&target.stub, bytes, len), len);
}

/* All that it says now. */
static const char *
heard(void)
{
    static char text[2 * ULV_STUB_PACKET_MAX + 16];
    size_t len;
    const uint8_t *p = ulv_stub_output(&target.stub, &len);

    memcpy(text, p, len);
    text[len] = '\0';
    ulv_stub_sent(&target.stub, len);
    return text;
}

static void
say_packet(const char *text, size_t len)
{
    char packet[2 * ULV_STUB_PACKET_MAX];
    uint8_t sum = 0;
    int end;

    packet[0] = '$';
    memcpy(packet + 1, text, len);
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + (uint8_t)text[i]);
    end = snprintf(packet + 1 + len, 4, "#%02x", sum);
    assert_int_equal(end, 3);
    say(packet, len + 4);
}

/* The text of its answer, which is framed as it must be. */
static const char *
ask(const char *text)
{
    static char answer[2 * ULV_STUB_PACKET_MAX + 16];
    uint8_t sum = 0;
    char digits[3];
    size_t len;

    say_packet(text, strlen(text));
    ulv_string_copy(answer, sizeof(answer), heard());
    len = strlen(answer);
    assert_in_range(len, 5, sizeof(answer));
    assert_memory_equal(answer, "+$", 2);
    for (size_t i = 2; i < len - 3; i++)
        sum = (uint8_t)(sum + (uint8_t)answer[i]);
    assert_int_equal(answer[len - 3], '#');
    assert_int_equal(snprintf(digits, sizeof(digits), "%02x", sum), 2);
    assert_string_equal(answer + len - 2, digits);
    answer[len - 3] = '\0';
    return answer + 2;
}

static void
test_debug_stub__frames_and_acknowledges(void **state)
{
    (void)state;
    begin();
    say("+++", 3);
    assert_string_equal(heard(), "");
    say("$?#3f", 5);
    assert_string_equal(heard(), "+$T02thread:1;#d4");
    say("-", 1); /* once more, without another acknowledgement */
    assert_string_equal(heard(), "$T02thread:1;#d4");
    say("$?#00", 5); /* not its sum */
    assert_string_equal(heard(), "-");
    say("junk$?#zz", 9);
    assert_string_equal(heard(), "-");
    say("$half$?#3f", 10); /* one that was never finished */
    assert_string_equal(heard(), "+$T02thread:1;#d4");
    assert_string_equal(ask("QStartNoAckMode"), "OK");
    say("$?#3f", 5);
    assert_string_equal(heard(), "$T02thread:1;#d4");
    say("-", 1);
    assert_string_equal(heard(), "");
}

static void
test_debug_stub__refuses_what_is_too_long(void **state)
{
    static char text[ULV_STUB_PACKET_MAX + 2];

    (void)state;
    begin();
    memset(text, 'm', sizeof(text));
    say_packet(text, ULV_STUB_PACKET_MAX + 1);
    assert_string_equal(heard(), "-");
    say_packet(text, ULV_STUB_PACKET_MAX);
    assert_string_equal(heard(), "+$E01#a6");
}

static void
test_debug_stub__knows_registers(void **state)
{
    const char *all;

    (void)state;
    begin();
    all = ask("g");
    assert_int_equal(strlen(all), 2 * (17 * 8 + 7 * 4 + 8 * 10 + 8 * 4));
    assert_memory_equal(all, "8877665544332211", 16);
    assert_memory_equal(all + 2 * 17 * 8, "02020000xxxxxxxx", 16);
    assert_string_equal(ask("p10"), "0000400000000000");
    assert_string_equal(ask("p11"), "02020000");
    assert_string_equal(ask("p12"), "xxxxxxxx");
    assert_string_equal(ask("p18"), "xxxxxxxxxxxxxxxxxxxx");
    assert_string_equal(ask("p28"), "E01");
    assert_string_equal(ask("p"), "E01");
    assert_string_equal(ask("Hg2"), "OK");
    assert_string_equal(ask("p10"), "1000400000000000");
    assert_string_equal(ask("Hg3"), "E01");
    assert_string_equal(ask("P1=0807060504030201"), "OK");
    assert_int_equal(target.registers[1].rbx, UINT64_C(0x0102030405060708));
    assert_string_equal(ask("P1=08070605"), "E01");
    assert_int_equal(target.registers[1].rbx, UINT64_C(0x0102030405060708));
    assert_memory_equal(ask("P12=00000000"), "E.only", 6);
    assert_string_equal(ask("G00"), "E01");
    target.unknown = true;
    assert_memory_equal(ask("g"), "xxxxxxxxxxxxxxxx", 16);
    assert_memory_equal(ask("P1=0807060504030201"), "E.", 2);
    target.unknown = false;
    target.abilities = 0;
    assert_string_equal(ask("P1=0807060504030201"), "E.it cannot");
}

static void
test_debug_stub__sets_all_registers(void **state)
{
    static char all[2000] = "G";

    (void)state;
    begin();
    target.registers[0].r15 = 77;
    strcat(all, ask("g"));
    memcpy(all + 1, "0100000000000000", 16);
    for (char *p = all; *p != '\0'; p++) /* those that are not known */
        *p = *p == 'x' ? '0' : *p;
    assert_string_equal(ask(all), "OK");
    assert_int_equal(target.registers[0].rax, 1);
    assert_int_equal(target.registers[0].r15, 77);
    assert_int_equal(target.registers[0].rip, MEMORY_AT);
    assert_int_equal(target.registers[0].rflags, 0x202);
}

static void
test_debug_stub__reads_and_writes_memory(void **state)
{
    (void)state;
    begin();
    assert_string_equal(ask("m400000,4"), "01080f16");
    assert_string_equal(ask("m400ffe,4"), "f3fa"); /* as much as is there */
    assert_string_equal(ask("m401000,4"), "E0e");
    assert_string_equal(ask("mffffffffffffffff,4"), "E0e");
    assert_string_equal(ask("m400000"), "E01");
    assert_string_equal(ask("m11112222333344445,1"), "E01");
    assert_int_equal(strlen(ask("m400000,ffffffff")),
                     (ULV_STUB_PACKET_MAX - 32) / 2 * 2);
    assert_string_equal(ask("M400001,2:abcd"), "OK");
    assert_string_equal(ask("m400000,4"), "01abcd16");
    assert_string_equal(ask("M400001,3:abcd"), "E01");
    assert_string_equal(ask("M400fff,2:abcd"), "E0e");
    assert_string_equal(ask("M400001,fffffffffffffff:ab"), "E01");
    say_packet("X400002,3:}\x03}]\0", 15);
    assert_string_equal(heard(), "+$OK#9a");
    assert_memory_equal(target.memory + 2, "#}\0", 3);
    assert_string_equal(ask("X400002,3:ab"), "E01");
    assert_string_equal(ask("X400000,0:"), "OK"); /* whether there is X */
}

static void
test_debug_stub__goes_and_stops(void **state)
{
    struct ulv_stub_stop hit = { .processor = 1,
                                .signal = ULV_STUB_SIGTRAP,
                                .cause = ULV_STUB_CAUSE_DEBUG};

    (void)state;
    begin();
    say_packet("vCont;s:2;c", 11);
    assert_string_equal(heard(), "+");
    assert_int_equal(target.run, 1);
    assert_int_equal(target.step, 2);
    /* a packet waits, an interrupt does not */
    assert_int_equal(ulv_stub_take(&target.stub, "\x03$?#3f", 6), 1);
    assert_int_equal(target.stops, 1);
    target_stand(&target, &hit);
    assert_string_equal(heard(), "$T05thread:2;hwbreak:;#31");
    hit.cause = ULV_STUB_CAUSE_WRITE;
    hit.address = 0x1234;
    say_packet("c", 1);
    assert_int_equal(target.run, 3);
    target_stand(&target, &hit);
    assert_string_equal(strchr(heard(), '$'), "$T05thread:2;watch:1234;#2e");
    say_packet("s", 1); /* who stands, and the others run */
    assert_int_equal(target.run, 1);
    assert_int_equal(target.step, 2);
    target_stand(&target, &asked);
    (void)heard();
    assert_string_equal(ask("Hc2"), "OK");
    say_packet("s", 1);
    assert_int_equal(target.run, 0);
    assert_int_equal(target.step, 2);
    target_stand(&target, &asked);
    (void)heard();
    for (size_t i = 0; i < 6; i++) {
        static const char *const bad[] = {"vCont",    "vCont;",    "vCont;t",
                                          "vCont;c:", "vCont;c:9", "vCont;C"};

        assert_string_equal(ask(bad[i]), "E01");
    }
    target.refuses = true;
    assert_string_equal(ask("c"), "E.it does not want to");
    target.refuses = false;
    target.abilities = 0;
    assert_string_equal(ask("s"), "E.it cannot");
}

static void
test_debug_stub__tells_the_end(void **state)
{
    (void)state;
    begin();
    say_packet("c", 1);
    (void)heard();
    target.runs = false;
    ulv_stub_ended(&target.stub, false, 42);
    assert_string_equal(heard(), "$W2a#ea");
    assert_string_equal(ask("c"), "W2a");
    begin();
    say_packet("c", 1);
    (void)heard();
    target.runs = false;
    ulv_stub_ended(&target.stub, true, ULV_STUB_SIGKILL);
    assert_string_equal(heard(), "$X09#c1");
}

/* The debugger never sees an int3 of its own, and none is left. */
static void
test_debug_stub__sets_breakpoints(void **state)
{
    const struct ulv_stub_stop hit = { .signal = ULV_STUB_SIGTRAP,
                                      .cause = ULV_STUB_CAUSE_INT3};

    (void)state;
    begin();
    assert_string_equal(ask("Z0,400001,1"), "OK");
    assert_string_equal(ask("Z0,400001,1"), "OK");
    assert_int_equal(target.memory[1], ULV_STUB_INT3);
    assert_string_equal(ask("m400000,3"), "01080f");
    assert_string_equal(ask("M400000,3:a0a1a2"), "OK");
    assert_int_equal(target.memory[1], ULV_STUB_INT3);
    assert_string_equal(ask("m400000,3"), "a0a1a2");
    say_packet("c", 1);
    target.registers[0].rip = MEMORY_AT + 1;
    target_stand(&target, &hit);
    assert_non_null(strstr(heard(), "T05thread:1;swbreak:;#"));
    assert_int_equal(target.registers[0].rip, MEMORY_AT + 1);
    say_packet("c", 1); /* an int3 that is the guest's own */
    target.registers[0].rip = MEMORY_AT + 8;
    target_stand(&target, &hit);
    assert_non_null(strstr(heard(), "$T05thread:1;#"));
    assert_int_equal(target.registers[0].rip, MEMORY_AT + 9);
    assert_string_equal(ask("z0,400001,1"), "OK");
    assert_string_equal(ask("z0,400001,1"), "OK");
    assert_int_equal(target.memory[1], 0xa1);
    assert_memory_equal(ask("Z0,500000,1"), "E.there is no memory", 20);
    assert_string_equal(ask("Z1,400001,1"), "OK");
    assert_string_equal(ask("Z2,400008,8"), "OK");
    assert_string_equal(ask("Z3,400008,8"), "");
    assert_memory_equal(ask("Z2,400008,9"), "E.the processor", 15);
    assert_string_equal(ask("Z9,400008,8"), "");
    assert_string_equal(ask("Z0,400008"), "E01");
    assert_int_equal(target.watches, 2);
    target.abilities = 0;
    assert_string_equal(ask("Z0,400001,1"), "E.it cannot");
    assert_string_equal(ask("Z2,400001,1"), "E.it cannot");
}

static void
test_debug_stub__leaves_no_breakpoint(void **state)
{
    char text[32];

    (void)state;
    for (uint32_t way = 0; way < 3; way++) {
        begin();
        for (uint32_t i = 0; i <= ULV_STUB_BREAKPOINTS_MAX; i++) {
            (void)snprintf(text, sizeof(text), "Z0,%x,1",
                           (unsigned)MEMORY_AT + i);
            assert_string_equal(ask(text),
                                i < ULV_STUB_BREAKPOINTS_MAX
                                    ? "OK"
                                    : "E.no more breakpoints: 64 are set");
        }
        if (way == 0)
            assert_string_equal(ask("D"), "OK");
        else if (way == 1)
            say_packet("k", 1);
        ulv_stub_fini(&target.stub);
        assert_int_equal(ulv_stub_is_over(&target.stub), way < 2);
        assert_int_equal(target.kills, way == 1);
        for (uint32_t i = 0; i < MEMORY_BYTES; i++)
            assert_int_equal(target.memory[i], (uint8_t)(i * 7 + 1));
    }
}

static void
test_debug_stub__describes_itself(void **state)
{
    static char xml[8192];
    char text[64];
    const char *piece;

    (void)state;
    begin();
    assert_non_null(strstr(ask("qSupported:swbreak+"), "PacketSize=1000"));
    do {
        (void)snprintf(text, sizeof(text),
                       "qXfer:features:read:target.xml:%zx,100", strlen(xml));
        piece = ask(text);
        assert_true(piece[0] == 'm' || piece[0] == 'l');
        strcat(xml, piece + 1);
    } while (piece[0] == 'm');
    assert_non_null(strstr(xml, "<reg name=\"rip\" bitsize=\"64\""));
    assert_string_equal(xml + strlen(xml) - 9, "</target>");
    assert_string_equal(ask("qXfer:features:read:other.xml:0,100"), "E00");
    assert_string_equal(ask("qXfer:features:read:target.xml:ffff,100"), "E01");
    assert_string_equal(ask("qfThreadInfo"), "m1,2");
    assert_string_equal(ask("qsThreadInfo"), "l");
    assert_string_equal(ask("qC"), "QC1");
    assert_string_equal(ask("qAttached"), "1");
    assert_string_equal(ask("T2"), "OK");
    assert_string_equal(ask("T3"), "E01");
    assert_string_equal(ask("T41"), "E01");
    assert_string_equal(ask("qRcmd,77"), "6974207374616e64730a");
    assert_string_equal(ask("qNothing"), "");
    assert_string_equal(ask("vMustReplyEmpty"), "");
    assert_string_equal(ask(""), "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_debug_stub__frames_and_acknowledges),
        cmocka_unit_test(test_debug_stub__refuses_what_is_too_long),
        cmocka_unit_test(test_debug_stub__knows_registers),
        cmocka_unit_test(test_debug_stub__sets_all_registers),
        cmocka_unit_test(test_debug_stub__reads_and_writes_memory),
        cmocka_unit_test(test_debug_stub__goes_and_stops),
        cmocka_unit_test(test_debug_stub__tells_the_end),
        cmocka_unit_test(test_debug_stub__sets_breakpoints),
        cmocka_unit_test(test_debug_stub__leaves_no_breakpoint),
        cmocka_unit_test(test_debug_stub__describes_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
