/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Hears a change of its view while it waits inside of a function that the loop
 * runs; the loop is told of it all the same. Exit code 0.
 */
#include <ultravisor/guest.h>

static struct guest_loop loop;

static void
wait_inside(void *argument)
{
    struct ulv_view_memory m;

    (void)argument;
    guest_log("waits");
    while (!guest_view(ULV_VIEW_MEMORY, 1, &m, sizeof(m)))
        guest_wait();
}

static void
view_changed(void *argument)
{
    (void)argument;
    guest_loop_stop(&loop, 0);
}

int
guest_main(void)
{
    static struct guest_timer timer = { .run = wait_inside };

    guest_loop_init(&loop);
    loop.on_view = view_changed;
    guest_timer_set(&loop, &timer, 0);
    return guest_loop_run(&loop);
}
