/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Stock kernels: how one is loaded and entered, and what answers it when it
 * touches a device. Its serial port is the client of the partition's console:
 * the monitor, not the guest, holds that end of the channel.
 */
#include <ultravisor/abi/channel.h>
#include <ultravisor/abi/console.h>

#include "channel/channel.h"
#include "device/board.h"
#include "loader/loader.h"
#include "monitor/monitor_priv.h"

static const uint8_t type_console[16] = ULV_CHANNEL_TYPE_CONSOLE;

struct stock {
    struct ulv_board board;
    bool line; /* the level of the port's interrupt, as the backend was told */
    /* the console: in slot of the view while that has this channel */
    ulv_id channel; /* 0: none */
    uint32_t slot;
    struct ulv_channel_end end;
    uint64_t offset; /* of the next byte in its stream */
};

ulv_status
ulv_stock_make(struct ulv_monitor *m, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;

    if (m->cfg.backend->vcpu_enter == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, m->cfg.partition, 0, 0,
                        "the %s backend runs no stock kernels",
                        m->cfg.backend->name);
    m->stock = host->alloc(host->self, sizeof(*m->stock), 8);
    if (m->stock == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, m->cfg.partition, 0, 0,
                        "no memory for the guest's devices");
    return ULV_OK;
}

void
ulv_stock_fini(struct ulv_monitor *m)
{
    const struct ulv_host *host = m->cfg.host;

    host->free(host->self, m->stock, sizeof(*m->stock));
}

/* ---- the console --------------------------------------------------------- */

static ulv_status
open_console(struct ulv_monitor *m, const struct ulv_view_channel *found,
             struct ulv_diag *diag)
{
    struct stock *s = m->stock;
    struct slot *slot = &m->slot[found->slot];
    ulv_status status;

    if (!ulv_guid_equal(found->type, type_console) ||
        found->end != ULV_END_CLIENT || s->channel != 0)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, found->id, found->slot, 0,
                        "channel %u: a stock kernel has no use for channels, "
                        "but for one console",
                        found->id);
    status = ulv_channel_attach(&s->end, slot->mapping, slot->bytes,
                                ULV_END_CLIENT, type_console);
    if (status != ULV_OK)
        return ulv_fail(diag, status, found->id, 0, 0,
                        "the console, channel %u, cannot be attached: %s",
                        found->id, ulv_status_text(status));
    s->channel = found->id;
    s->slot = found->slot;
    return ULV_OK;
}

/* Of all that the view lists, and that is there: the start saw to it. */
static ulv_status
open_channels(struct ulv_monitor *m, struct ulv_diag *diag)
{
    struct ulv_view_channel found;
    ulv_status status = ULV_OK;

    for (uint32_t i = 0; status == ULV_OK; i++) {
        if (ulv_view_read(&m->view, ULV_VIEW_CHANNEL, i, &found,
                          sizeof(found)) != ULV_OK)
            break;
        if (found.slot < ULV_SLOT_COUNT && m->slot[found.slot].in_view)
            status = open_console(m, &found, diag);
    }
    return status;
}

/* A channel that was revoked, or a server that broke the protocol: nobody
 * listens any more. */
static bool
is_open(const struct ulv_monitor *m)
{
    const struct stock *s = m->stock;

    return s->channel != 0 && m->slot[s->slot].in_view &&
           m->slot[s->slot].channel == s->channel;
}

/* FULL: the server has not heard what was said before, and will ring. */
static ulv_status
say(struct ulv_monitor *m, const struct ulv_uart *uart)
{
    const struct ulv_host *host = m->cfg.host;
    struct stock *s = m->stock;
    const uint32_t len = (uint32_t)sizeof(s->offset) + uart->count;
    uint8_t *record;
    void *to;
    ulv_status status;

    _Static_assert(sizeof(uart->out) <= ULV_CONSOLE_OUTPUT_MAX,
                   "one record has room for all that the port holds");
    do
        status = ulv_ring_tx_reserve(&s->end.tx, ULV_CONSOLE_OUTPUT, len, &to);
    while (status == ULV_E_FULL && ulv_ring_tx_wait(&s->end.tx, len));
    if (status != ULV_OK)
        return status;
    record = to;
    memcpy(record, &s->offset, sizeof(s->offset));
    memcpy(record + sizeof(s->offset), uart->out, uart->count);
    s->offset += uart->count;
    if (ulv_ring_tx_submit(&s->end.tx))
        host->event_signal(host->self, m->slot[s->slot].peer_bell);
    return ULV_OK;
}

static void
flush(struct ulv_monitor *m)
{
    struct stock *s = m->stock;
    struct ulv_uart *uart = &s->board.uart;

    if (uart->count == 0)
        return;
    if (!is_open(m) || say(m, uart) != ULV_E_FULL)
        ulv_uart_taken(uart);
}

static void
set_line(struct ulv_monitor *m)
{
    struct stock *s = m->stock;
    bool level = ulv_uart_interrupts(&s->board.uart);

    if (level != s->line &&
        m->cfg.backend->line(m->machine, ULV_UART_LINE, level) == ULV_OK)
        s->line = level;
}

void
ulv_stock_step(struct ulv_monitor *m)
{
    ulv_monitor_collect_bells(m);
    m->pending = 0; /* the guest has none to hear */
    flush(m);
    if (m->machine_made)
        set_line(m);
}

/* ---- while it runs ------------------------------------------------------- */

/* Carried out, unless it is the last thing that the guest does. */
bool
ulv_stock_io(void *self, const struct ulv_exit_io *access, uint64_t *ret_value)
{
    struct ulv_monitor *m = self;
    struct stock *s = m->stock;
    const struct ulv_uart *uart = &s->board.uart;

    *ret_value = ulv_board_access(&s->board, access);
    if (uart->count == sizeof(uart->out) ||
        (uart->count != 0 && uart->out[uart->count - 1] == '\n'))
        flush(m);
    set_line(m);
    return !s->board.reset;
}

static void
end_with(struct ulv_monitor *m, uint32_t reason, const char *text)
{
    m->end.reason = reason;
    m->end.code = 0;
    ulv_string_copy(m->end.text, sizeof(m->end.text), text);
}

void
ulv_stock_exit(struct ulv_monitor *m, const struct ulv_exit *out)
{
    uint64_t value;

    if (m->stock->board.reset ||
        (out->reason == ULV_EXIT_IO && !ulv_stock_io(m, &out->u.io, &value)))
        end_with(m, ULV_END_REASON_RESET,
                 "asked to be reset, by the keyboard's controller");
    else if (out->reason == ULV_EXIT_IO)
        m->cfg.backend->vcpu_answer(m->current->vcpu, ULV_OK, value);
    else
        end_with(m, ULV_END_REASON_STOP,
                 "stopped itself: it waits with interrupts off");
}

/* ---- start --------------------------------------------------------------- */

static uint32_t
list_regions(const struct ulv_monitor *m, struct ulv_loader_region *ret)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->extent_count; i++) {
        const struct extent *e = &m->extents[i];
        uint32_t at = count;

        if (e->state != EXTENT_MAPPED)
            continue;
        for (; at > 0 && ret[at - 1].guest > e->guest; at--)
            ret[at] = ret[at - 1];
        ret[at] = (struct ulv_loader_region){ e->guest, e->bytes, e->p };
        count++;
    }
    return count;
}

static ulv_status
load(const struct ulv_loader_request *request, struct ulv_entry *ret,
     struct ulv_diag *diag)
{
    struct ulv_loader_plan plan;
    ulv_status status = ulv_loader_plan(request, &plan, diag);

    if (status == ULV_OK && plan.mode == ULV_ENTRY_USER)
        status = ulv_fail(diag, ULV_E_FORMAT, 0, plan.kind, 0,
                          "an image of the SDK, for a partition that runs a "
                          "stock kernel");
    if (status == ULV_OK)
        status = ulv_loader_write(&plan, diag);
    *ret = (struct ulv_entry){ .size = sizeof(*ret),
                               .mode = plan.mode,
                               .rip = plan.entry,
                               .rbx = plan.rbx,
                               .rsi = plan.rsi,
                               .rdi = plan.rdi,
                               .page_tables = plan.page_tables,
                               .gdt = plan.gdt,
                               .gdt_bytes = plan.gdt_bytes };
    return status;
}

/* What of a PC's first MiB is no memory. */
static const struct ulv_loader_range hole = {
    0xa0000, 0x60000, "a PC's video memory and ROMs"
};

static ulv_status
load_image(struct ulv_monitor *m, const struct ulv_monitor_image *image,
           struct ulv_entry *ret, struct ulv_diag *diag)
{
    const struct ulv_host *host = m->cfg.host;
    struct image_source kernel = { host, image->image };
    struct image_source initrd = { host, image->initrd };
    struct ulv_loader_request request = {
        .reserved = &hole,
        .reserved_count = 1,
        .image = { ulv_monitor_read_image, &kernel, image->bytes },
        .cmdline = image->cmdline,
    };
    uint64_t bytes = m->extent_count * sizeof(struct ulv_loader_region);
    struct ulv_loader_region *regions = NULL;
    ulv_status status;

    if (image->initrd != ULV_NO_HANDLE)
        request.initrd = (struct ulv_loader_source){ ulv_monitor_read_image,
                                                     &initrd,
                                                     image->initrd_bytes };
    if (bytes != 0)
        regions = host->alloc(host->self, bytes, 8);
    if (regions == NULL)
        return ulv_fail(diag, bytes == 0 ? ULV_E_STATE : ULV_E_NO_MEMORY,
                        m->cfg.partition, bytes, 0,
                        "the partition has no memory, or we have none to "
                        "list it");
    request.regions = regions;
    request.region_count = list_regions(m, regions);
    status = load(&request, ret, diag);
    host->free(host->self, regions, bytes);
    return status;
}

ulv_status
ulv_stock_start(struct ulv_monitor *m, const struct ulv_monitor_image *image,
      struct ulv_diag *diag)
{
    struct ulv_entry entry = { 0 };
    ulv_status status = open_channels(m, diag);

    if (status == ULV_OK)
        status = load_image(m, image, &entry, diag);
    if (status == ULV_OK)
        status = ulv_monitor_go(m, 0, diag);
    if (status == ULV_OK)
        status = m->cfg.backend->vcpu_enter(m->processor[0].vcpu, &entry,
                                            diag);
    return status;
}
