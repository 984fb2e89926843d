/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The smallest port: memory cut from one buffer, events that are words, no
 * memory objects, no media. Copy it to start a port of your own; it uses
 * nothing of an operating system, so it also shows that the core needs none.
 *
 * One thread.
 */
#ifndef PORT_TEMPLATE_TEMPLATE_H
#define PORT_TEMPLATE_TEMPLATE_H

#include <ultravisor/sys/host.h>

#define ULV_TEMPLATE_EVENTS_MAX 64

struct ulv_template_event {
    uint32_t holders; /* handles of it; 0: free */
    bool signalled;
};

struct ulv_template {
    struct ulv_host host; /* pass &t.host */
    uint8_t *buf;
    size_t bytes;
    size_t used;
    ulv_nsec (*clock)(void);
    struct ulv_template_event events[ULV_TEMPLATE_EVENTS_MAX];
};

/**
 * Make a host of a buffer and a clock; both outlive it.
 *
 * Freed memory is used again only if it was the last allocated: enough for
 * what is built once and kept. A real port brings an allocator here.
 *
 * @param clock  monotonic [ns]
 *
 * Context: serial
 */
void ulv_template_init(struct ulv_template *t, void *buf, size_t bytes,
                       ulv_nsec (*clock)(void));

#endif
