/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Views of which all lies in the directory: most do, and most commits change a
 * record or two of them. Each kind has a place there.
 *
 * G9:[D3], with two runs of memory in their place, and what was G1:[D4]:
 *
 * 1. The intent changes. Page 4 gets from page 3 the lines that changed since
 *    G1, but for those of the partition's record, which is written; entries
 *    stay. It is G10:[D4].
 * 2. A third run comes: it is written behind the two, and the entries are, too.
 * 3. Memory outgrows its units: the kinds behind it move, and are written
 *    whole.
 * 4. All that there is gets larger than SMALL_BYTES: that is left to publish.c,
 *    and counts as a generation that changed every line.
 */
#include "view/publish_priv.h"

/*
 * The page of a directory was one a few generations ago, most often, and most
 * of it is as it has to be. Of each generation is known which lines it changed;
 * so those are copied from the newest directory, and what is new is written
 * over them: a commit costs as much as it changes, not as much as is shown.
 */
static uint64_t *
changed_by(struct ulv_view_publisher *publisher, uint64_t generation)
{
    return &publisher->changed[generation % ULV_VIEW_CHANGES];
}

/* Lines of [from, to), which is on one page and not empty. */
static uint64_t
lines_of(uint32_t from, uint32_t to)
{
    const uint32_t first = from / ULV_VIEW_LINE_BYTES;
    const uint32_t last = (to - 1) / ULV_VIEW_LINE_BYTES;

    return UINT64_MAX >> (63 - last + first) << first;
}

/* Those of the entries, and of the head before them. */
static uint64_t
entry_lines(const struct ulv_view_listing *listing)
{
    return lines_of(0, HEAD + listing->entry_count * ENTRY);
}

/* The lines in which that page differs from the newest directory, but for some
 * that are written anyway. */
static uint64_t
lines_behind(struct ulv_view_publisher *publisher, const uint64_t *page,
             uint64_t but)
{
    const bool was_directory = (page[1] & UINT32_MAX) != 0;
    uint64_t lines = 0;

    if (!was_directory || page[0] == 0 ||
        publisher->generation - page[0] >= ULV_VIEW_CHANGES)
        return ~but;
    if ((publisher->recent & ~but) == 0)
        return 0;
    for (uint64_t g = page[0] + 1; g <= publisher->generation; g++)
        lines |= *changed_by(publisher, g);
    return lines & ~but;
}

/* Those of the newest directory, but for its generation. */
static void
copy_lines(const struct ulv_view_publisher *publisher, uint64_t *page,
           uint64_t lines)
{
    const uint64_t *from = page_at(publisher, publisher->newest.directory);

    if ((lines & 1) != 0)
        write_words(page, 8, &from[1], ULV_VIEW_LINE_BYTES - 8);
    for (lines &= ~UINT64_C(1); lines != 0; lines &= lines - 1) {
        const uint32_t at =
            (uint32_t)__builtin_ctzll(lines) * ULV_VIEW_LINE_BYTES;

        write_words(page, at, &from[at / 8], ULV_VIEW_LINE_BYTES);
    }
}

void
ulv_view_changes(struct ulv_view_publisher *publisher, uint64_t lines)
{
    *changed_by(publisher, publisher->generation + 1) = lines;
    publisher->recent |= lines;
    if ((publisher->generation + 1) % ULV_VIEW_CHANGES != 0)
        return;
    publisher->recent = 0;
    for (uint32_t i = 0; i < ULV_VIEW_CHANGES; i++)
        publisher->recent |= publisher->changed[i];
}

/* What there is to write: bit n for kind n, and the lines that nothing else is
 * left of. */
struct work {
    uint32_t kinds;
    uint64_t whole;
};

/* Whether there is as much of each kind as is shown, so that all of it has the
 * same places. */
static bool
is_as_much(const struct ulv_view_publisher *publisher,
           const struct ulv_view_section *sections, uint32_t count,
           struct work *ret)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct ulv_view_section *s = &sections[i];
        const struct ulv_view_place *shown = &publisher->newest.place[i];

        if (ulv_view_all_same(s->same))
            continue;
        if (s->record_count != shown->count)
            return false;
        if (s->same >= s->record_count)
            continue;
        ret->kinds |= 1u << i;
        if (s->same == 0)
            ret->whole |= lines_of(shown->offset,
                                   shown->offset +
                                       s->record_count * s->record_bytes);
    }
    return true;
}

/* Places and entries for the next generation; false: not all is small. */
static bool
place_anew(struct ulv_view_publisher *publisher,
           const struct ulv_view_section *sections, uint32_t count,
           struct work *ret)
{
    struct ulv_view_listing *next = &publisher->next;
    struct ulv_view_entry *entry = next->entry;
    uint32_t offset = SPREAD_BEGIN;
    uint64_t small = SMALL_BYTES;

    *ret = (struct work){ 0, 0 };
    for (uint32_t i = 0; i < count; i++) {
        const struct ulv_view_section *s = &sections[i];
        const struct ulv_view_place *shown = &publisher->newest.place[i];
        const uint32_t records = ulv_view_all_same(s->same)
                                     ? shown->count
                                     : s->record_count;
        const uint64_t bytes = (uint64_t)records * s->record_bytes;
        const uint32_t same = offset == shown->offset ? s->same : 0;

        if (bytes > small)
            return false;
        small -= bytes;
        next->place[i] = (struct ulv_view_place){ records, offset };
        if (records > same)
            ret->kinds |= 1u << i;
        if (records != 0 && same == 0)
            ret->whole |= lines_of(offset, offset + (uint32_t)bytes);
        if (records != 0)
            *entry++ =
                (struct ulv_view_entry){ .kind = s->kind,
                                         .count = records,
                                         .record_bytes = s->record_bytes,
                                         .offset = offset };
        offset += spread_bytes((uint32_t)bytes);
    }
    next->place_count = count;
    next->entry_count = (uint32_t)(entry - next->entry);
    ret->whole |= entry_lines(next);
    return true;
}

/* The records of a kind, of which not all are as in the place in which they are
 * shown; returns the lines that this changes. */
static uint64_t
write_place(const struct ulv_view_publisher *publisher, uint64_t *page,
            const struct ulv_view_section *section,
            const struct ulv_view_place *place,
            const struct ulv_view_place *shown)
{
    const bool stays = place->offset == shown->offset;
    const uint32_t same =
        ULV_MIN(section->same, place->count) * section->record_bytes;
    const uint32_t bytes = place->count * section->record_bytes;

    if (!stays)
        write_words(page, place->offset,
                    page_at(publisher, publisher->newest.directory) +
                        shown->offset / 8,
                    same);
    write_words(page, place->offset + same,
                (const uint8_t *)section->records + same, bytes - same);
    return lines_of(place->offset + (stays ? same : 0),
                    place->offset + bytes);
}

/* Whether there is as much of the first kind as is shown, and the others are as
 * they are: so it is with most commits, which change a partition's record. */
static bool
is_first_alone(const struct ulv_view_listing *newest,
               const struct ulv_view_section *sections, uint32_t count)
{
    uint32_t same = UINT32_MAX;

    for (uint32_t i = 1; i < count; i++)
        same &= sections[i].same;
    return ulv_view_all_same(same) && sections[0].same == 0 &&
           sections[0].record_count != 0 &&
           sections[0].record_count == newest->place[0].count;
}

/* What the general way below does of it, without looking at the others. */
static void
prepare_first(struct ulv_view_publisher *publisher,
              const struct ulv_view_section *section)
{
    uint64_t *page = page_at(publisher, publisher->next.directory);
    const uint32_t from = publisher->newest.place[0].offset;
    const uint32_t bytes = section->record_count * section->record_bytes;
    const uint64_t lines = lines_of(from, from + bytes);
    const uint64_t behind = lines_behind(publisher, page, lines);

    begin_page(page);
    copy_lines(publisher, page, behind);
    if (bytes == sizeof(struct ulv_view_partition)) /* known here: no call */
        write_words(page, from, section->records,
                    sizeof(struct ulv_view_partition));
    else
        write_words(page, from, section->records, bytes);
    end_page(page, publisher->generation + 1);
    ulv_view_changes(publisher, lines);
    publisher->next.is_shown = true;
}

static ULV_SELDOM bool
prepare_any(struct ulv_view_publisher *publisher,
            const struct ulv_view_section *sections, uint32_t count)
{
    const struct ulv_view_listing *newest = &publisher->newest;
    struct ulv_view_listing *next = &publisher->next;
    uint64_t *page = page_at(publisher, next->directory);
    const struct ulv_view_place *place = newest->place;
    struct work work = { 0, 0 };
    uint64_t behind, changed = 0;

    next->is_shown = is_as_much(publisher, sections, count, &work);
    if (!next->is_shown) {
        if (!place_anew(publisher, sections, count, &work))
            return false;
        place = next->place;
    }
    behind = lines_behind(publisher, page, work.whole);
    begin_page(page);
    copy_lines(publisher, page, behind);
    for (; work.kinds != 0; work.kinds &= work.kinds - 1) {
        const uint32_t i = (uint32_t)__builtin_ctz(work.kinds);

        changed |= write_place(publisher, page, &sections[i], &place[i],
                               &newest->place[i]);
    }
    if (!next->is_shown) {
        write_entries(next, page);
        changed |= entry_lines(next);
    }
    end_page(page, publisher->generation + 1);
    ulv_view_changes(publisher, changed);
    return true;
}

bool
ulv_view_prepare_small(struct ulv_view_publisher *publisher,
                       const struct ulv_view_section *sections, uint32_t count)
{
    if (count == 0 || count != publisher->newest.place_count)
        return false;
    if (!is_first_alone(&publisher->newest, sections, count))
        return prepare_any(publisher, sections, count);
    prepare_first(publisher, &sections[0]);
    return true;
}

/* The lines that are written each time: nobody has looked at that page for
 * some generations. */
void
ulv_view_prefetch(const struct ulv_view_publisher *publisher)
{
    const uint64_t *page = page_at(publisher, publisher->next.directory);

    __builtin_prefetch(page, 1);
    __builtin_prefetch(&page[SPREAD_BEGIN / 8], 1);
    __builtin_prefetch(&page[(SPREAD_BEGIN + ULV_VIEW_LINE_BYTES) / 8], 1);
}
