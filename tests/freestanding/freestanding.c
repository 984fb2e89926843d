/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The core on the smallest port, with nothing beneath: no C library, no start
 * files. That it links is most of the test; then a message goes through a
 * link. Exits 0, or with the number of the step that went wrong.
 */
#include "backend/mock/mock.h"
#include "port/template/template.h"
#include "system/link.h"

#include "base/base.h"

/* The four functions that each port provides; byte by byte, and not in terms
 * of one another, or the compiler would make them call themselves. */
static uint8_t pool[65536];
static char buf[ULV_LINK_MESSAGE_MAX];
static ulv_handle handles[ULV_LINK_HANDLES_MAX];
static struct ulv_template template;

static ulv_nsec
no_clock(void)
{
    return 0;
}

static int
run(void)
{
    const struct ulv_host *host = &template.host;
    struct ulv_link *a = NULL, *b = NULL;
    uint32_t count = 0;
    size_t len = 0;

    ulv_template_init(&template, pool, sizeof(pool), no_clock);
    if (ulv_link_create(host, &a, &b) != ULV_OK)
        return 1;
    if (a->ops->send(a, "hello", 5, &b->readable, 1) != ULV_OK)
        return 2;
    if (!host->event_take(host->self, b->readable))
        return 3;
    if (b->ops->receive(b, buf, &len, handles, &count) != ULV_OK)
        return 4;
    if (len != 5 || count != 1 || memcmp(buf, "hello", 5) != 0)
        return 5;
    host->handle_close(host->self, handles[0]);
    a->ops->close(a);
    if (b->ops->receive(b, buf, &len, handles, &count) != ULV_E_PEER_GONE)
        return 6;
    b->ops->close(b);
    return template.used == 0 ? 0 : 7;
}

void _start(void);

/* exit_group(2) */
__attribute__((force_align_arg_pointer, noreturn)) void
_start(void)
{
    int code = run();

    for (;;)
        __asm__ volatile("syscall" : : "a"(231L), "D"((long)code) : "memory");
}

/* Firmware brings its own list of backends. */
const struct ulv_backend_ops *
ulv_backend_at(uint32_t idx)
{
    return idx == 0 ? &ulv_backend_mock : NULL;
}

const struct ulv_backend_ops *
ulv_backend_find(const char *name)
{
    (void)name;
    return &ulv_backend_mock;
}
