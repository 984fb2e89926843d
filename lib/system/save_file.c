/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/save_file.h"

#include "base/base.h"
#include "channel/ring.h"
#include "monitor/monitor.h"

#define PAGE UINT64_C(4096)

_Static_assert(sizeof(struct ulv_save_range) <=
                   sizeof(struct ulv_save_content), "room");
_Static_assert(SAVE_CHANNELS_MAX >= ULV_SLOT_COUNT, "room");

/* ---- write --------------------------------------------------------------- */

ulv_status
ulv_save_begin(struct save_writer *w, const struct ulv_sink *sink,
               const char *backend)
{
    struct ulv_save_header h = { .magic = ULV_SAVE_MAGIC,
                                 .version = ULV_SAVE_VERSION,
                                 .header_bytes = sizeof(h) };

    memset(w, 0, sizeof(*w));
    w->sink = sink;
    ulv_string_copy(h.backend, sizeof(h.backend), backend);
    h.crc = ulv_crc32c(0, &h, offsetof(struct ulv_save_header, crc));
    return sink->write(sink->opaque, &h, sizeof(h));
}

ulv_status
ulv_save_put(struct save_writer *w, uint32_t kind, const void *p, size_t bytes,
             const void *more, size_t more_bytes)
{
    struct ulv_save_section s = { .kind = kind,
                                  .number = w->number,
                                  .bytes = bytes + more_bytes };
    ulv_status status;

    s.crc = ulv_crc32c(ulv_crc32c(0, p, bytes), more, more_bytes);
    s.own_crc = ulv_crc32c(0, &s, offsetof(struct ulv_save_section, own_crc));
    w->number++;
    w->headers_crc = ulv_crc32c(w->headers_crc, &s, sizeof(s));
    if (kind == ULV_SAVE_MEMORY)
        w->memory_bytes += more_bytes;
    status = w->sink->write(w->sink->opaque, &s, sizeof(s));
    if (status == ULV_OK && bytes != 0)
        status = w->sink->write(w->sink->opaque, p, bytes);
    if (status == ULV_OK && more_bytes != 0)
        status = w->sink->write(w->sink->opaque, more, more_bytes);
    return status;
}

ulv_status
ulv_save_finish(struct save_writer *w)
{
    const struct ulv_save_end end = { .section_count = w->number + 1,
                                      .crc = w->headers_crc,
                                      .memory_bytes = w->memory_bytes };

    return ulv_save_put(w, ULV_SAVE_END, &end, sizeof(end), NULL, 0);
}

/* ---- read ---------------------------------------------------------------- */

static const char *
name_of(uint32_t kind)
{
    static const char *const name[] = { "header",  "PARTITION", "LAYOUT",
                                        "MEMORY",  "CHANNELS",  "CONTENT",
                                        "MONITOR", "END" };

    return kind < ULV_COUNT_OF(name) ? name[kind] : "unknown";
}

static ulv_status
bad(const struct save_file *f, struct ulv_diag *diag, uint32_t kind,
    const char *what, uint64_t value, uint64_t bound)
{
    return ulv_fail(diag, ULV_E_FORMAT, f->partition.id, value, bound,
                    "section %u (%s) of the saved partition: %s is %x, bound "
                    "%x",
                    (uint64_t)f->number, name_of(kind), what, value, bound);
}

static ulv_status
fetch(struct save_file *f, const struct save_reader *r, void *to, uint64_t len,
      struct ulv_diag *diag)
{
    ulv_status status;

    if (!ulv_range_inside(f->at, len, r->bytes))
        return ulv_fail(diag, ULV_E_FORMAT, f->partition.id, r->bytes,
                        f->at + len,
                        "the saved partition is cut off: %u bytes, section %u "
                        "needs %u",
                        r->bytes, (uint64_t)f->number, f->at + len);
    status = r->read(r->self, f->at, to, (size_t)len);
    if (status != ULV_OK)
        return ulv_fail(diag, status, f->partition.id, f->at, r->bytes,
                        "the saved partition cannot be read at %u: %s", f->at,
                        ulv_status_text(status));
    f->at += len;
    return ULV_OK;
}

static ulv_status
read_header(struct save_file *f, const struct save_reader *r,
            struct ulv_diag *diag)
{
    struct ulv_save_header h;
    ulv_status status = fetch(f, r, &h, sizeof(h), diag);

    if (status != ULV_OK)
        return status;
    if (h.magic != ULV_SAVE_MAGIC)
        return ulv_fail(diag, ULV_E_FORMAT, 0, h.magic, ULV_SAVE_MAGIC,
                        "not a saved partition: it begins with %x, not %x",
                        h.magic, ULV_SAVE_MAGIC);
    if (h.crc != ulv_crc32c(0, &h, offsetof(struct ulv_save_header, crc)))
        return bad(f, diag, 0, "its checksum", h.crc,
                   ulv_crc32c(0, &h, offsetof(struct ulv_save_header, crc)));
    if (h.version == 0 || h.version > ULV_SAVE_VERSION ||
        h.header_bytes != sizeof(h))
        return ulv_fail(diag, ULV_E_FORMAT, 0, h.version, ULV_SAVE_VERSION,
                        "saved in version %u of the format, this library reads "
                        "versions 1 to %u",
                        (uint64_t)h.version, (uint64_t)ULV_SAVE_VERSION);
    h.backend[sizeof(h.backend) - 1] = '\0';
    f->backend = r->backend(h.backend);
    if (f->backend == NULL)
        return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0,
                        "saved by the backend %s, which this library has not",
                        h.backend);
    return ULV_OK;
}

/* Bytes that a section of a kind may have. */
static bool
size_can_be(const struct save_file *f, uint32_t kind, uint64_t bytes)
{
    const struct ulv_save_partition *p = &f->partition;

    switch (kind) {
    case ULV_SAVE_PARTITION:
        return bytes == sizeof(*p);
    case ULV_SAVE_LAYOUT:
        return bytes == p->range_count * sizeof(struct ulv_save_range);
    case ULV_SAVE_CHANNELS:
        return bytes == p->channel_count * sizeof(struct ulv_save_channel);
    case ULV_SAVE_MEMORY:
        return bytes > sizeof(struct ulv_save_range) &&
               bytes <= sizeof(struct ulv_save_range) + SAVE_CHUNK_MAX;
    case ULV_SAVE_CONTENT:
        return bytes > sizeof(struct ulv_save_content) &&
               bytes <= sizeof(struct ulv_save_content) + SAVE_CHUNK_MAX;
    case ULV_SAVE_MONITOR:
        return bytes >= sizeof(struct ulv_save_monitor) &&
               bytes <= SAVE_MONITOR_MAX;
    case ULV_SAVE_END:
        return bytes == sizeof(struct ulv_save_end);
    default:
        return false;
    }
}

/* One of each, in the order of their numbers, but for memory and content. */
static bool
may_follow(uint32_t last, uint32_t kind)
{
    if (last == ULV_SAVE_MEMORY || last == ULV_SAVE_CONTENT)
        return kind == last || kind == last + 1;
    if (kind == ULV_SAVE_CHANNELS || kind == ULV_SAVE_MONITOR)
        return last + 2 == kind; /* there is none of those between */
    return kind == last + 1;
}

static ulv_status
next_section(struct save_file *f, const struct save_reader *r,
             struct ulv_save_section *ret, struct ulv_diag *diag)
{
    const size_t own = offsetof(struct ulv_save_section, own_crc);
    ulv_status status = fetch(f, r, ret, sizeof(*ret), diag);

    if (status != ULV_OK)
        return status;
    if (ret->own_crc != ulv_crc32c(0, ret, own))
        return bad(f, diag, ret->kind, "the checksum of its header",
                   ret->own_crc, ulv_crc32c(0, ret, own));
    if (ret->number != f->number)
        return bad(f, diag, ret->kind, "its number", ret->number, f->number);
    if (!may_follow(f->last_kind, ret->kind))
        return bad(f, diag, ret->kind, "its kind", ret->kind,
                   f->last_kind + 1);
    if (!size_can_be(f, ret->kind, ret->bytes) || ret->bytes % 8 != 0)
        return bad(f, diag, ret->kind, "its size", ret->bytes, SAVE_CHUNK_MAX);
    f->last_kind = ret->kind;
    if (ret->kind != ULV_SAVE_END)
        f->headers_crc = ulv_crc32c(f->headers_crc, ret, sizeof(*ret));
    return ULV_OK;
}

/* The section's bytes, as its checksum says. */
static ulv_status
read_bytes(struct save_file *f, const struct save_reader *r,
           const struct ulv_save_section *s, void *to, struct ulv_diag *diag)
{
    ulv_status status = fetch(f, r, to, s->bytes, diag);
    uint32_t crc;

    if (status != ULV_OK)
        return status;
    crc = ulv_crc32c(0, to, (size_t)s->bytes);
    if (crc != s->crc)
        return bad(f, diag, s->kind, "the checksum of its bytes", crc, s->crc);
    return ULV_OK;
}

static ulv_status
read_allocated(struct save_file *f, const struct save_reader *r,
               const struct ulv_save_section *s, void **ret,
               struct ulv_diag *diag)
{
    if (s->bytes == 0)
        return s->crc == 0 ? ULV_OK : bad(f, diag, s->kind, "its checksum",
                                          s->crc, 0);
    *ret = f->host->alloc(f->host->self, (size_t)s->bytes, 8);
    if (*ret == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, f->partition.id, s->bytes, 0,
                        "no memory for %u bytes of a saved partition",
                        s->bytes);
    return read_bytes(f, r, s, *ret, diag);
}

static ulv_status
check_partition(struct save_file *f, struct ulv_diag *diag)
{
    struct ulv_save_partition *p = &f->partition;

    p->name[sizeof(p->name) - 1] = '\0';
    if ((p->flags & ~ULV_SAVE_INTERRUPTS) != 0)
        return bad(f, diag, ULV_SAVE_PARTITION, "its flags", p->flags,
                   ULV_SAVE_INTERRUPTS);
    if (p->range_count == 0 || p->range_count > SAVE_RANGES_MAX)
        return bad(f, diag, ULV_SAVE_PARTITION, "its count of ranges",
                   p->range_count, SAVE_RANGES_MAX);
    if (p->channel_count > SAVE_CHANNELS_MAX)
        return bad(f, diag, ULV_SAVE_PARTITION, "its count of channels",
                   p->channel_count, SAVE_CHANNELS_MAX);
    return ULV_OK;
}

static ulv_status
check_layout(struct save_file *f, struct ulv_diag *diag)
{
    uint64_t end = 0, sum = 0;

    for (uint32_t i = 0; i < f->partition.range_count; i++) {
        const struct ulv_save_range *r = &f->ranges[i];

        if (r->bytes == 0 || r->bytes % PAGE != 0 ||
            r->guest_address % PAGE != 0 || (i > 0 && r->guest_address <= end))
            return bad(f, diag, ULV_SAVE_LAYOUT, "the address of a range",
                       r->guest_address, end);
        if (!ulv_add_u64(r->guest_address, r->bytes, &end))
            return bad(f, diag, ULV_SAVE_LAYOUT, "the size of a range",
                       r->bytes, UINT64_MAX - r->guest_address);
        sum += r->bytes;
    }
    if (sum != f->partition.memory_bytes)
        return bad(f, diag, ULV_SAVE_LAYOUT, "the sum of its ranges", sum,
                   f->partition.memory_bytes);
    return ULV_OK;
}

static bool
is_in_layout(const struct save_file *f, const struct ulv_save_range *piece)
{
    for (uint32_t i = 0; i < f->partition.range_count; i++) {
        const struct ulv_save_range *r = &f->ranges[i];

        if (piece->guest_address >= r->guest_address &&
            ulv_range_inside(piece->guest_address - r->guest_address,
                             piece->bytes, r->bytes))
            return true;
    }
    return false;
}

static ulv_status
take_memory(struct save_file *f, const struct save_reader *r,
            const struct ulv_save_section *s,
            const struct save_visitor *visitor, struct ulv_diag *diag)
{
    struct ulv_save_range piece;
    ulv_status status = read_bytes(f, r, s, f->chunk, diag);

    if (status != ULV_OK)
        return status;
    memcpy(&piece, f->chunk, sizeof(piece));
    if (piece.bytes != s->bytes - sizeof(piece) || piece.bytes % PAGE != 0)
        return bad(f, diag, s->kind, "the size of its memory", piece.bytes,
                   s->bytes - sizeof(piece));
    if (piece.guest_address % PAGE != 0 || !is_in_layout(f, &piece))
        return bad(f, diag, s->kind, "the address of its memory",
                   piece.guest_address,
                   f->ranges[f->partition.range_count - 1].guest_address +
                       f->ranges[f->partition.range_count - 1].bytes);
    f->memory_bytes += piece.bytes;
    if (visitor == NULL)
        return ULV_OK;
    return visitor->memory(visitor->self, piece.guest_address,
                           f->chunk + sizeof(piece), piece.bytes, diag);
}

static ulv_status
check_channels(struct save_file *f, struct ulv_diag *diag)
{
    for (uint32_t i = 0; i < f->partition.channel_count; i++) {
        const struct ulv_save_channel *c = &f->channels[i];

        if (c->slot >= ULV_SLOT_COUNT ||
            (i > 0 && c->slot <= f->channels[i - 1].slot))
            return bad(f, diag, ULV_SAVE_CHANNELS, "a slot", c->slot,
                       ULV_SLOT_COUNT);
        if (c->end > ULV_END_CLIENT)
            return bad(f, diag, ULV_SAVE_CHANNELS, "an end", c->end,
                       ULV_END_CLIENT);
        if (c->state > ULV_END_FAILED ||
            (c->served == 0 && c->state != ULV_END_DETACHED))
            return bad(f, diag, ULV_SAVE_CHANNELS, "the state of an end",
                       c->state, ULV_END_FAILED);
    }
    return ULV_OK;
}

static const struct ulv_save_channel *
channel_in(const struct save_file *f, uint32_t slot)
{
    for (uint32_t i = 0; i < f->partition.channel_count; i++) {
        if (f->channels[i].slot == slot)
            return &f->channels[i];
    }
    return NULL;
}

static ulv_status
take_content(struct save_file *f, const struct save_reader *r,
             const struct ulv_save_section *s,
             const struct save_visitor *visitor, struct ulv_diag *diag)
{
    struct ulv_save_content where;
    const struct ulv_save_channel *c;
    ulv_status status = read_bytes(f, r, s, f->chunk, diag);
    uint64_t limit = PAGE; /* a takeover region */

    if (status != ULV_OK)
        return status;
    memcpy(&where, f->chunk, sizeof(where));
    c = channel_in(f, where.slot);
    if (c == NULL || c->served == 0)
        return bad(f, diag, s->kind, "its slot", where.slot, ULV_SLOT_COUNT);
    if (where.place > 1)
        return bad(f, diag, s->kind, "its place", where.place, 1);
    if (where.bytes != s->bytes - sizeof(where) || where.bytes % PAGE != 0)
        return bad(f, diag, s->kind, "its size", where.bytes,
                   s->bytes - sizeof(where));
    if (where.place == 0)
        limit = c->bytes;
    if (where.offset % PAGE != 0 || (where.place == 0 && where.offset == 0) ||
        !ulv_range_inside(where.offset, where.bytes, limit))
        return bad(f, diag, s->kind, "its offset", where.offset, limit);
    if (visitor == NULL)
        return ULV_OK;
    return visitor->content(visitor->self, c, &where,
                            f->chunk + sizeof(where), diag);
}

static ulv_status
take_monitor(struct save_file *f, const struct save_reader *r,
             const struct ulv_save_section *s, struct ulv_diag *diag)
{
    void *monitor = NULL;
    ulv_status status;

    f->monitor_bytes = s->bytes;
    status = read_allocated(f, r, s, &monitor, diag);
    f->monitor = monitor;
    if (status == ULV_OK)
        status = ulv_monitor_saved_check(f->host, f->backend, f->monitor,
                                         f->monitor_bytes, &f->head, diag);
    if (status == ULV_OK &&
        f->head.processor_count != f->partition.processor_count)
        status = bad(f, diag, s->kind, "its count of processors",
                     f->head.processor_count, f->partition.processor_count);
    return status;
}

static ulv_status
take_end(struct save_file *f, const struct save_reader *r,
         const struct ulv_save_section *s, struct ulv_diag *diag)
{
    struct ulv_save_end end;
    ulv_status status = read_bytes(f, r, s, &end, diag);

    if (status != ULV_OK)
        return status;
    if (end.section_count != f->number + 1)
        return bad(f, diag, s->kind, "its count of sections",
                   end.section_count, f->number + 1);
    if (end.crc != f->headers_crc)
        return bad(f, diag, s->kind, "the checksum of all headers", end.crc,
                   f->headers_crc);
    if (end.memory_bytes != f->memory_bytes)
        return bad(f, diag, s->kind, "its count of memory", end.memory_bytes,
                   f->memory_bytes);
    if (f->at != r->bytes)
        return bad(f, diag, s->kind, "what follows it", r->bytes, f->at);
    return ULV_OK;
}

static ulv_status
take_section(struct save_file *f, const struct save_reader *r,
             const struct ulv_save_section *s,
             const struct save_visitor *visitor, struct ulv_diag *diag)
{
    void *p = NULL;
    ulv_status status;

    switch (s->kind) {
    case ULV_SAVE_PARTITION:
        status = read_bytes(f, r, s, &f->partition, diag);
        return status == ULV_OK ? check_partition(f, diag) : status;
    case ULV_SAVE_LAYOUT:
        status = read_allocated(f, r, s, &p, diag);
        f->ranges = p;
        return status == ULV_OK ? check_layout(f, diag) : status;
    case ULV_SAVE_CHANNELS:
        status = read_allocated(f, r, s, &p, diag);
        f->channels = p;
        return status == ULV_OK ? check_channels(f, diag) : status;
    case ULV_SAVE_MEMORY:
        return take_memory(f, r, s, visitor, diag);
    case ULV_SAVE_CONTENT:
        return take_content(f, r, s, visitor, diag);
    case ULV_SAVE_MONITOR:
        return take_monitor(f, r, s, diag);
    default:
        return take_end(f, r, s, diag);
    }
}

ulv_status
ulv_save_read(struct save_file *f, const struct save_reader *r,
              const struct save_visitor *visitor, struct ulv_diag *diag)
{
    ulv_status status;

    memset(f, 0, sizeof(*f));
    f->host = r->host;
    f->chunk = f->host->alloc(
        f->host->self, SAVE_CHUNK_MAX + sizeof(struct ulv_save_content), 8);
    if (f->chunk == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, 0, SAVE_CHUNK_MAX, 0,
                        "no memory to read a saved partition");
    status = read_header(f, r, diag);
    while (status == ULV_OK && f->last_kind != ULV_SAVE_END) {
        struct ulv_save_section s;

        status = next_section(f, r, &s, diag);
        if (status == ULV_OK)
            status = take_section(f, r, &s, visitor, diag);
        f->number++;
    }
    if (status != ULV_OK)
        ulv_save_close(f);
    return status;
}

void
ulv_save_close(struct save_file *f)
{
    const struct ulv_host *host = f->host;

    host->free(host->self, f->chunk,
               SAVE_CHUNK_MAX + sizeof(struct ulv_save_content));
    host->free(host->self, f->ranges,
               f->partition.range_count * sizeof(*f->ranges));
    host->free(host->self, f->channels,
               f->partition.channel_count * sizeof(*f->channels));
    host->free(host->self, f->monitor, (size_t)f->monitor_bytes);
    f->chunk = f->monitor = NULL;
    f->ranges = NULL;
    f->channels = NULL;
}
