/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The middle of what was measured, and what lies around it. */
#ifndef TESTS_BENCHMARK_MEDIAN_H
#define TESTS_BENCHMARK_MEDIAN_H

#include <stdlib.h>

static inline int
compare_values(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts them: the least is the first then, the most the last. */
static inline double
median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_values);
    return values[count / 2];
}

#endif
