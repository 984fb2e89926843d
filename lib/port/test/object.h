/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#ifndef PORT_TEST_OBJECT_H
#define PORT_TEST_OBJECT_H

#include "port/test/test.h"

void ulv_test_misuse(struct ulv_test_host *t, const char *text);
/* Counts a fallible call; whether it is the one that fails. */
bool ulv_test_fails(struct ulv_test_host *t);
void ulv_test_object_init(struct ulv_test_host *t);
void ulv_test_medium_init(struct ulv_test_host *t);

#endif
