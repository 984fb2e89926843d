/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Says a word and stops with 42. */
#include <ultravisor/guest.h>

int
guest_main(void)
{
    guest_log("hello");
    return 42;
}
