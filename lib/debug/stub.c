/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the debugger says, and what it is answered. */
#include "debug/stub.h"

#include "debug/stub_priv.h"

/* Bytes of memory in one packet, as digits. */
#define CHUNK ((ULV_STUB_PACKET_MAX - 32) / 2)

#define ALL ULV_STUB_PROCESSORS_MAX

void
ulv_stub_init(struct ulv_stub *s, const struct ulv_stub_target *target)
{
    memset(s, 0, sizeof(*s));
    s->target = target;
    s->runs = true;
    s->mover = ALL;
}

void
ulv_stub_fini(struct ulv_stub *s)
{
    ulv_stub_drop_breakpoints(s);
}

/* ---- why it stands ------------------------------------------------------- */

static void
answer_stop(struct ulv_stub *s)
{
    static const char *const cause[] = {
        [ULV_STUB_CAUSE_OTHER] = "",
        [ULV_STUB_CAUSE_INT3] = "swbreak:;",
        [ULV_STUB_CAUSE_DEBUG] = "hwbreak:;",
        [ULV_STUB_CAUSE_WRITE] = "watch:",
        [ULV_STUB_CAUSE_ACCESS] = "awatch:",
    };
    const uint8_t signal = (uint8_t)s->stop.signal;
    const uint8_t code = (uint8_t)s->exit_code;

    ulv_stub_begin(s);
    if (s->gone) {
        ulv_stub_put_text(s, s->killed ? "X" : "W");
        ulv_stub_put_bytes(s, &code, 1);
        ulv_stub_finish(s);
        return;
    }
    ulv_stub_put_text(s, "T");
    ulv_stub_put_bytes(s, &signal, 1);
    ulv_stub_put_text(s, "thread:");
    ulv_stub_put_number(s, s->stop.processor + UINT64_C(1));
    ulv_stub_put_text(s, ";");
    ulv_stub_put_text(s, cause[s->stop.cause]);
    if (s->stop.cause >= ULV_STUB_CAUSE_WRITE) {
        ulv_stub_put_number(s, s->stop.address);
        ulv_stub_put_text(s, ";");
    }
    ulv_stub_finish(s);
}

/* What comes of its running is no answer to the packet that it came with: that
 * was acknowledged then. */
static void
tell(struct ulv_stub *s)
{
    bool acks = !s->no_acks;

    if (!s->owes)
        return;
    s->owes = false;
    s->no_acks = true;
    answer_stop(s);
    s->no_acks = !acks;
}

/* An int3 that is the guest's own is passed over when it goes on. */
static void
pass_own_int3(struct ulv_stub *s)
{
    const struct ulv_stub_target *t = s->target;
    struct ulv_registers r;

    if (s->stop.cause != ULV_STUB_CAUSE_INT3 ||
        !t->registers(t->self, s->stop.processor, &r) ||
        ulv_stub_is_breakpoint(s, r.rip))
        return;
    s->stop.cause = ULV_STUB_CAUSE_OTHER;
    r.rip++;
    (void)t->set_registers(t->self, s->stop.processor, &r);
}

void
ulv_stub_stopped(struct ulv_stub *s, const struct ulv_stub_stop *why)
{
    s->runs = false;
    s->stop = *why;
    if (s->stop.cause > ULV_STUB_CAUSE_ACCESS)
        s->stop.cause = ULV_STUB_CAUSE_OTHER;
    if (s->stop.processor >= ALL)
        s->stop.processor = 0;
    s->processor = s->stop.processor;
    pass_own_int3(s);
    tell(s);
}

void
ulv_stub_ended(struct ulv_stub *s, bool killed, uint32_t code)
{
    s->runs = false;
    s->gone = true;
    s->killed = killed;
    s->exit_code = code;
    tell(s);
}

/* ---- going on ------------------------------------------------------------ */

static void
go(struct ulv_stub *s, uint64_t run, uint64_t step)
{
    const struct ulv_stub_target *t = s->target;
    const char *why = NULL;

    if (s->gone) {
        answer_stop(s);
        return;
    }
    if (step != 0 && (t->abilities(t->self) & ULV_STUB_CAN_STEP) == 0)
        why = t->lacks(t->self, ULV_STUB_CAN_STEP);
    if (why == NULL)
        why = t->go(t->self, run, step);
    if (why != NULL) {
        ulv_stub_begin(s);
        ulv_stub_put_text(s, "E.");
        ulv_stub_put_text(s, why);
        ulv_stub_finish(s);
        return;
    }
    s->runs = true;
    s->owes = true;
    s->out_len = s->out_sent = 0;
    if (!s->no_acks)
        s->out[s->out_len++] = '+';
    s->answer_at = s->out_len; /* nothing to send again */
}

static uint64_t
bit(uint32_t processor)
{
    return UINT64_C(1) << processor;
}

/* c, C, s, S: one that is named by Hc, or all; to go on elsewhere is not asked
 * for by any gdb that knows P. */
static void
go_plain(struct ulv_stub *s, bool step)
{
    uint64_t there = s->target->processors(s->target->self);
    uint64_t who = s->mover == ALL ? there : bit(s->mover) & there;
    uint64_t one = 0;

    if (step)
        one = bit(s->mover == ALL ? s->stop.processor : s->mover) & there;
    go(s, who & ~one, one);
}

/* A thread: "-1" all, "0" any, or a number. */
static bool
read_thread(const char **p, uint32_t any, uint32_t *ret)
{
    uint64_t number;

    if (**p == '-') {
        ++*p;
        *ret = ALL;
        return ulv_stub_expect(p, '1');
    }
    if (!ulv_stub_number(p, &number) || number > ALL)
        return false;
    *ret = number == 0 ? any : (uint32_t)number - 1;
    return true;
}

/* One action of vCont, for who is left of those that it names. */
static bool
vcont_action(const char **p, uint64_t *left, uint64_t *run, uint64_t *step)
{
    uint32_t thread = ALL;
    uint64_t signal, who;
    char action;

    if (!ulv_stub_expect(p, ';'))
        return false;
    action = **p;
    if (action != 'c' && action != 'C' && action != 's' && action != 'S')
        return false;
    ++*p;
    if ((action == 'C' || action == 'S') && !ulv_stub_number(p, &signal))
        return false;
    if (ulv_stub_expect(p, ':') && !read_thread(p, ALL, &thread))
        return false;
    who = *left & (thread == ALL ? UINT64_MAX : bit(thread));
    *left &= ~who;
    if (action == 's' || action == 'S')
        *step |= who;
    else
        *run |= who;
    return true;
}

/* Actions, the first of which that names a thread is what it does. */
static void
go_vcont(struct ulv_stub *s, const char *p)
{
    uint64_t left = s->target->processors(s->target->self), run = 0, step = 0;
    bool whole = *p != '\0';

    while (whole && *p != '\0')
        whole = vcont_action(&p, &left, &run, &step);
    if (!whole || (run | step) == 0)
        ulv_stub_answer(s, "E01");
    else
        go(s, run, step);
}

/* ---- memory -------------------------------------------------------------- */

static bool
read_range(const char **p, char end, uint64_t *ret_address, uint64_t *ret_len)
{
    return ulv_stub_number(p, ret_address) && ulv_stub_expect(p, ',') &&
           ulv_stub_number(p, ret_len) && ulv_stub_expect(p, end);
}

static void
read_memory(struct ulv_stub *s, const char *p)
{
    uint8_t buf[CHUNK];
    uint64_t address, len;
    size_t count;

    if (!read_range(&p, '\0', &address, &len)) {
        ulv_stub_answer(s, "E01");
        return;
    }
    len = ULV_MIN(len, (uint64_t)CHUNK);
    count = ulv_stub_memory_read(s, address, buf, (size_t)len);
    if (count == 0 && len != 0) {
        ulv_stub_answer(s, "E0e"); /* EFAULT */
        return;
    }
    ulv_stub_begin(s);
    ulv_stub_put_bytes(s, buf, count);
    ulv_stub_finish(s);
}

static void
write_memory(struct ulv_stub *s, const char *p, bool binary)
{
    uint8_t *text = s->in.text;
    uint64_t address, len;
    size_t at, count;

    if (!read_range(&p, ':', &address, &len) || len > ULV_STUB_PACKET_MAX) {
        ulv_stub_answer(s, "E01");
        return;
    }
    at = (size_t)(p - (const char *)text);
    count = ulv_stub_unescape(text + at, s->in.len - at);
    /* digits become bytes in place: each is behind the two it is made of */
    if (!binary && !ulv_stub_bytes(&p, text + at, (size_t)len))
        count = SIZE_MAX;
    if (binary ? count != len : count == SIZE_MAX)
        ulv_stub_answer(s, "E01");
    else if (len != 0 &&
             !ulv_stub_memory_write(s, address, text + at, (size_t)len))
        ulv_stub_answer(s, "E0e");
    else
        ulv_stub_answer(s, "OK");
}

/* ---- questions ----------------------------------------------------------- */

static bool
begins(const char **p, const char *word)
{
    size_t len = ulv_string_length(word, 64);

    if (ulv_string_length(*p, len) < len || memcmp(*p, word, len) != 0)
        return false;
    *p += len;
    return true;
}

static void
read_description(struct ulv_stub *s, const char *p)
{
    const size_t bytes = ulv_string_length(ulv_stub_description, SIZE_MAX);
    uint64_t offset, len;

    if (!begins(&p, "target.xml:")) {
        ulv_stub_answer(s, "E00");
        return;
    }
    if (!read_range(&p, '\0', &offset, &len) || offset > bytes) {
        ulv_stub_answer(s, "E01");
        return;
    }
    len = ULV_MIN(len, bytes - offset);
    len = ULV_MIN(len, (uint64_t)CHUNK);
    ulv_stub_begin(s);
    ulv_stub_put_text(s, offset + len < bytes ? "m" : "l");
    ulv_stub_put_binary(s, ulv_stub_description + offset, (size_t)len);
    ulv_stub_finish(s);
}

static void
list_threads(struct ulv_stub *s, bool first)
{
    uint64_t there = s->target->processors(s->target->self);

    if (!first) {
        ulv_stub_answer(s, "l"); /* the first answer held them all */
        return;
    }
    ulv_stub_begin(s);
    for (uint32_t i = 0; i < ULV_STUB_PROCESSORS_MAX; i++) {
        if ((there >> i & 1) == 0)
            continue;
        ulv_stub_put_text(s, (there & (bit(i) - 1)) == 0 ? "m" : ",");
        ulv_stub_put_number(s, i + UINT64_C(1));
    }
    ulv_stub_finish(s);
}

static void
put_words(struct ulv_stub *s, const char *words)
{
    ulv_stub_begin(s);
    ulv_stub_put_bytes(s, words, ulv_string_length(words, CHUNK));
    ulv_stub_finish(s);
}

/* gdb's "monitor" with any word: how the guest stands. */
static void
describe(struct ulv_stub *s)
{
    const struct ulv_stub_target *t = s->target;
    char words[CHUNK] = "";
    struct ulv_text text;

    t->describe(t->self, words, sizeof(words) - 1);
    text = (struct ulv_text){words, sizeof(words),
                             ulv_string_length(words, sizeof(words) - 1)};
    ulv_text_string(&text, "\n");
    put_words(s, words);
}

static void
question(struct ulv_stub *s, const char *p)
{
    static const char supported[] =
        "PacketSize=1000;QStartNoAckMode+;qXfer:features:read+;swbreak+;"
        "hwbreak+;vContSupported+";

    if (begins(&p, "Supported")) {
        ulv_stub_answer(s, supported);
    } else if (begins(&p, "Xfer:features:read:")) {
        read_description(s, p);
    } else if (begins(&p, "fThreadInfo")) {
        list_threads(s, true);
    } else if (begins(&p, "sThreadInfo")) {
        list_threads(s, false);
    } else if (begins(&p, "ThreadExtraInfo,")) {
        put_words(s, "processor");
    } else if (begins(&p, "Attached")) {
        ulv_stub_answer(s, "1");
    } else if (begins(&p, "Rcmd,")) {
        describe(s);
    } else if (p[0] == 'C' && p[1] == '\0') {
        ulv_stub_begin(s);
        ulv_stub_put_text(s, "QC");
        ulv_stub_put_number(s, s->processor + UINT64_C(1));
        ulv_stub_finish(s);
    } else {
        ulv_stub_answer(s, "");
    }
}

static void
set_mode(struct ulv_stub *s, const char *p)
{
    if (!begins(&p, "StartNoAckMode")) {
        ulv_stub_answer(s, "");
        return;
    }
    ulv_stub_answer(s, "OK");
    s->no_acks = true;
}

/* ---- the rest ------------------------------------------------------------ */

static bool
is_there(const struct ulv_stub *s, uint32_t processor)
{
    return processor < ALL &&
           (s->target->processors(s->target->self) & bit(processor)) != 0;
}

/* Hg: whose registers, Hc: who goes on. */
static void
choose(struct ulv_stub *s, const char *p)
{
    char what = *p;
    uint32_t thread;

    if (what != '\0')
        p++;
    if ((what != 'g' && what != 'c') ||
        !read_thread(&p, what == 'c' ? ALL : s->processor, &thread) ||
        *p != '\0' || (thread != ALL && !is_there(s, thread))) {
        ulv_stub_answer(s, "E01");
        return;
    }
    if (what == 'c')
        s->mover = thread;
    else if (thread != ALL)
        s->processor = thread;
    ulv_stub_answer(s, "OK");
}

static void
ask_alive(struct ulv_stub *s, const char *p)
{
    uint32_t thread = ALL;

    ulv_stub_answer(
        s, read_thread(&p, 0, &thread) && is_there(s, thread) ? "OK" : "E01");
}

static void
detach(struct ulv_stub *s)
{
    ulv_stub_drop_breakpoints(s);
    s->over = true;
    ulv_stub_answer(s, "OK");
}

static void
kill(struct ulv_stub *s, bool answers)
{
    ulv_stub_drop_breakpoints(s);
    if (!s->gone)
        s->target->kill(s->target->self);
    s->over = true;
    if (answers)
        ulv_stub_answer(s, "OK");
}

static void
verbose(struct ulv_stub *s, const char *p)
{
    if (begins(&p, "Cont?"))
        ulv_stub_answer(s, "vCont;c;C;s;S");
    else if (begins(&p, "Cont"))
        go_vcont(s, p);
    else if (begins(&p, "Kill;"))
        kill(s, true);
    else
        ulv_stub_answer(s, "");
}

/* Registers and memory; false: it is about something else. */
static bool
hear_state(struct ulv_stub *s, char kind, const char *p)
{
    switch (kind) {
    case 'g':
        ulv_stub_read_registers(s);
        break;
    case 'G':
        ulv_stub_write_registers(s, p);
        break;
    case 'p':
        ulv_stub_read_register(s, p);
        break;
    case 'P':
        ulv_stub_write_register(s, p);
        break;
    case 'm':
        read_memory(s, p);
        break;
    case 'M':
        write_memory(s, p, false);
        break;
    case 'X':
        write_memory(s, p, true);
        break;
    default:
        return false;
    }
    return true;
}

static void
hear(struct ulv_stub *s)
{
    const char *p = (const char *)s->in.text + 1;
    char kind = (char)s->in.text[0];

    if (hear_state(s, kind, p))
        return;
    switch (kind) {
    case '?':
        answer_stop(s);
        break;
    case 'c':
    case 'C':
        go_plain(s, false);
        break;
    case 's':
    case 'S':
        go_plain(s, true);
        break;
    case 'v':
        verbose(s, p);
        break;
    case 'Z':
        ulv_stub_breakpoint_packet(s, p, true);
        break;
    case 'z':
        ulv_stub_breakpoint_packet(s, p, false);
        break;
    case 'H':
        choose(s, p);
        break;
    case 'T':
        ask_alive(s, p);
        break;
    case 'q':
        question(s, p);
        break;
    case 'Q':
        set_mode(s, p);
        break;
    case 'D':
        detach(s);
        break;
    case 'k':
        kill(s, false);
        break;
    default:
        ulv_stub_answer(s, ""); /* not known */
    }
}

/* ---- bytes --------------------------------------------------------------- */

static void
refuse(struct ulv_stub *s)
{
    s->answer_at = s->out_len = s->out_sent = 0;
    if (!s->no_acks)
        s->out[s->out_len++] = '-';
    s->answer_at = s->out_len;
}

static void
hear_byte(struct ulv_stub *s, uint8_t byte)
{
    switch (ulv_stub_packet_byte(&s->in, byte)) {
    case PACKET_WHOLE:
        hear(s);
        break;
    case PACKET_BROKEN:
        refuse(s);
        break;
    case PACKET_AGAIN:
        if (!s->no_acks)
            s->out_sent = s->answer_at;
        break;
    case PACKET_INTERRUPT:
        if (s->runs)
            s->target->stop(s->target->self);
        break;
    default:
        break;
    }
}

/* While the target runs only an interrupt is heard; a packet waits. */
size_t
ulv_stub_take(struct ulv_stub *s, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    size_t at = 0;

    while (at < len && !s->over && s->out_sent == s->out_len &&
           !(s->runs && p[at] == '$'))
        hear_byte(s, p[at++]);
    return at;
}

const uint8_t *
ulv_stub_output(const struct ulv_stub *s, size_t *ret_len)
{
    *ret_len = s->out_len - s->out_sent;
    return s->out + s->out_sent;
}

void
ulv_stub_sent(struct ulv_stub *s, size_t len)
{
    s->out_sent += (uint32_t)ULV_MIN(len, (size_t)(s->out_len - s->out_sent));
}

bool
ulv_stub_is_over(const struct ulv_stub *s)
{
    return s->over;
}
