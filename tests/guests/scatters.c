/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Writes its count all over its memory, page after page in a scattered order,
 * and every so often looks whether each page holds what was written there last.
 * The count is shown one MiB behind the start of memory.
 */
#include <ultravisor/guest.h>

#define FIRST (ULV_GUEST_RAM_BASE + 0x200000)
#define PAGES 1024u
#define STEP  1031u /* odd: it reaches each page */

static volatile uint64_t *
page(uint64_t idx)
{
    return (volatile uint64_t *)(uintptr_t)(FIRST + idx % PAGES * 4096);
}

/* The count that was written last to a page. */
static void
check(uint64_t count)
{
    for (uint64_t i = 0; i < PAGES && i < count; i++) {
        uint64_t wrote = count - i;

        if (*page(wrote * STEP) != wrote)
            guest_fault(1, "a page does not hold what was written last");
    }
}

int
guest_main(void)
{
    volatile uint64_t *shown =
        (volatile uint64_t *)(uintptr_t)(ULV_GUEST_RAM_BASE + 0x100000);

    for (uint64_t count = 1;; count++) {
        *page(count * STEP) = count;
        *shown = count;
        if (count % 1024 == 0) {
            check(count);
            guest_yield();
        }
    }
}
