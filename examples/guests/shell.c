/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A shell: lines come in over a channel of type "shell", what it says goes to
 * the console, and "done" to the channel after each line.
 *
 *   help  time  view  mem  channels
 *   take <bytes> / drop        allocate, free all that was allocated
 *   give <bytes>               memory back to the machine, in whole extents
 *   after <ms> <text>          say it later
 *   log <text>  exit <code>  fault <text>
 */
#include <ultravisor/guest.h>

#define LINE_MAX 128u
#define LATER    8u

struct block {
    struct block *next;
};

static struct guest_loop loop;
static struct guest_channel channel;
static struct block *blocks;
static struct later {
    struct guest_timer timer;
    char text[LINE_MAX];
} later[LATER];

static uint64_t
number(const char **at)
{
    uint64_t n = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++)
        n = n * 10 + (uint64_t)(**at - '0');
    while (**at == ' ')
        (*at)++;
    return n;
}

static void
do_time(const char *rest)
{
    uint64_t now = guest_time();

    (void)rest;
    guest_print("%lu.%09lu s\n", now / 1000000000, now % 1000000000);
}

static void
do_view(const char *rest)
{
    struct ulv_view_partition p;
    struct ulv_view_memory m;

    (void)rest;
    if (guest_view(ULV_VIEW_PARTITION, 0, &p, sizeof(p)))
        guest_print("partition %lu \"%.32s\", capabilities %#lx, view at %#lx, "
                    "%u processor(s)\n",
                    p.id, p.name, p.capabilities, guest_view_address(),
                    guest_processor_count());
    for (uint32_t i = 0; guest_view(ULV_VIEW_MEMORY, i, &m, sizeof(m)); i++)
        guest_print("memory %#12lx %8lu KiB%s\n", m.guest_address,
                    m.bytes / 1024,
                    (m.flags & ULV_VIEW_REVOKED) != 0 ? ", revoked" : "");
}

static void
do_memory(const char *rest)
{
    struct guest_memory m;

    (void)rest;
    guest_memory_check();
    guest_memory_count(&m);
    guest_print("%lu areas of %lu bytes: %lu in %lu blocks, %lu free, largest "
                "%lu, %lu refused\n",
                m.area_count, m.bytes, m.used_bytes, m.used_count, m.free_bytes,
                m.largest_free_bytes, m.refused_count);
}

static void
do_channels(const char *rest)
{
    struct ulv_view_channel c;

    (void)rest;
    for (uint32_t i = 0; guest_channel_find(NULL, i, &c); i++)
        guest_print("slot %2u: channel %lu, %lu KiB at %#lx, epoch %u, %s\n",
                    c.slot, c.id, c.bytes / 1024, c.guest_address, c.epoch,
                    c.end == ULV_END_SERVER ? "server" : "client");
}

static void
do_take(const char *rest)
{
    uint64_t bytes = number(&rest);
    struct block *b =
        guest_alloc(bytes < sizeof(struct block) ? sizeof(*b) : bytes);

    if (b == NULL) {
        guest_print("there is no room for %lu bytes\n", bytes);
        return;
    }
    b->next = blocks;
    blocks = b;
    guest_print("%lu bytes at %p\n", bytes, (void *)b);
}

static void
do_drop(const char *rest)
{
    uint32_t count = 0;

    (void)rest;
    for (; blocks != NULL; count++) {
        struct block *b = blocks;

        blocks = b->next;
        guest_free(b);
    }
    guest_print("%u blocks freed\n", count);
}

static void
do_give(const char *rest)
{
    guest_print("%lu bytes given back\n", guest_memory_give(number(&rest)));
}

static void
say_later(void *argument)
{
    const struct later *l = argument;

    guest_print("later: %s\n", l->text);
}

static void
do_after(const char *rest)
{
    uint64_t time = number(&rest) * 1000000;
    uint32_t i = 0;

    while (i < LATER && later[i].timer.is_set)
        i++;
    if (i == LATER) {
        guest_print("no more than %u at once\n", LATER);
        return;
    }
    (void)guest_format(later[i].text, LINE_MAX, "%s", rest);
    later[i].timer.run = say_later;
    later[i].timer.argument = &later[i];
    guest_timer_set_in(&loop, &later[i].timer, time);
}

static void
do_log(const char *rest)
{
    guest_log_format("shell: %s", rest);
}

static void
do_exit(const char *rest)
{
    guest_loop_stop(&loop, (int)number(&rest));
}

static void
do_fault(const char *rest)
{
    guest_fault(9, rest);
}

static void do_help(const char *rest);

static const struct command {
    const char *name;
    void (*run)(const char *rest);
} commands[] = {
    { "help", do_help },   { "time", do_time },         { "view", do_view },
    { "mem", do_memory },  { "channels", do_channels }, { "take", do_take },
    { "drop", do_drop },   { "give", do_give },         { "after", do_after },
    { "log", do_log },     { "exit", do_exit },         { "fault", do_fault },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
do_help(const char *rest)
{
    (void)rest;
    for (size_t i = 0; i < COMMANDS; i++)
        guest_print("%s%c", commands[i].name, i + 1 < COMMANDS ? ' ' : '\n');
}

/* What follows a command's name; NULL: the line begins with another. */
static const char *
after_name(const char *line, const char *name)
{
    while (*name != '\0' && *line == *name) {
        line++;
        name++;
    }
    if (*name != '\0' || (*line != ' ' && *line != '\0'))
        return NULL;
    while (*line == ' ')
        line++;
    return line;
}

static void
carry_out(const char *line)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *rest = after_name(line, commands[i].name);

        if (rest != NULL) {
            commands[i].run(rest);
            return;
        }
    }
    guest_print("what is \"%s\"? Try help.\n", line);
}

static void
hear(void *argument, uint32_t what)
{
    char line[LINE_MAX];
    uint32_t type, len;
    int32_t status;

    (void)argument;
    if ((what & GUEST_REVOKED) != 0)
        guest_loop_stop(&loop, 3);
    if ((what & GUEST_READABLE) == 0)
        return;
    status =
        guest_channel_receive(&channel, &type, line, LINE_MAX - 1, &len, 0);
    if (status != 0) {
        guest_channel_fail(&channel, status);
        guest_loop_stop(&loop, 2);
        return;
    }
    line[len] = '\0';
    carry_out(line);
    (void)guest_channel_send(&channel, type, "done", 4);
}

static void
view_changed(void *argument)
{
    (void)argument;
    guest_print("the view has changed\n");
}

int
guest_main(void)
{
    static struct guest_watch watch = { .channel = &channel, .run = hear };

    guest_loop_init(&loop);
    loop.on_view = view_changed;
    if (!guest_console_open() ||
        !guest_channel_open_named(&channel, "shell", UINT64_MAX))
        return 1;
    guest_loop_watch(&loop, &watch);
    return guest_loop_run(&loop);
}
