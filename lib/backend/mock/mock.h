/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The mock backend; <ultravisor/sys/mock.h> says what its guests are. */
#ifndef BACKEND_MOCK_MOCK_H
#define BACKEND_MOCK_MOCK_H

#include <ultravisor/sys/backend.h>
#include <ultravisor/sys/mock.h>

extern const struct ulv_backend_ops ulv_backend_mock;

#endif
