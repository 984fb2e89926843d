/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef GUEST_FORMAT_H
#define GUEST_FORMAT_H

#include <ultravisor/guest.h>

#include <stdarg.h>

typedef void guest_format_put(void *self, const char *bytes, size_t len);

/* guest_format() into anything that takes bytes, piece by piece. Returns how
 * many there were. */
size_t guest_format_to(guest_format_put *to, void *self, const char *format,
                       va_list arguments);

#endif
