/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Three cases, of which the second goes wrong in the way that the argument
 * names. test_runner.py checks that each way is seen.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *way;
static int shared;
/* The compiler cannot know it, and so cannot remove what is done with it. */
static int (*chosen)(void);

static int
leak(void)
{
    char *p = malloc(100);

    /* or the compiler would leave out what has no effect */
    __asm__ volatile("" : : "r"(p) : "memory");
    return p != NULL;
}

static int
overflow(void)
{
    char *p = malloc(8);
    char read;

    memset(p, 0, 8);
    read = p[strlen(way)]; /* "overflow" has 8 letters */
    free(p);
    return read;
}

static int
undefined(void)
{
    int n = INT32_MAX - (int)strlen(way);

    for (size_t i = 0; i <= strlen(way); i++)
        n++;
    return n;
}

static void *
increase(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++)
        shared++;
    return NULL;
}

static int
race(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, increase, NULL) != 0)
        exit(9);
    increase(NULL);
    pthread_join(thread, NULL);
    return shared;
}

static int
quit(void)
{
    exit(0);
}

static int
crash(void)
{
    abort();
}

static int
refuse(void)
{
    assert_true(way == NULL);
    return 0;
}

static int
nothing(void)
{
    return 0;
}

static void
test_self__good(void **state)
{
    (void)state;
}

static void
test_self__bad(void **state)
{
    (void)state;
    chosen();
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *way;
        int (*function)(void);
    } ways[] = {
        {"leak", leak},     {"overflow", overflow}, {"undefined", undefined},
        {"race", race},     {"quit", quit},         {"crash", crash},
        {"refuse", refuse}, {"nothing", nothing},
    };
    const struct CMUnitTest tests[] = {
        {"first", test_self__good, NULL, NULL, NULL},
        {"second", test_self__bad, NULL, NULL, NULL},
        {"third", test_self__good, NULL, NULL, NULL},
    };

    way = argc == 2 ? argv[1] : "";
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(ways[i].way, way) == 0)
            chosen = ways[i].function;
    }
    return chosen == NULL ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
