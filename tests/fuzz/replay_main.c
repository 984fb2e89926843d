/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Replays the kept inputs of one fuzzer without libFuzzer, so that every
 * compiler and every sanitizer runs them. The argument is the folder of the
 * inputs; each file in it, and the empty input, is one TAP case. A defect
 * shows as a crash or as a sanitizer's report.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

#define INPUT_MAX (1u << 20)

/* Gives the input a heap block of exactly its size, so that a read beyond its
 * end is one that a sanitizer sees. */
static int
replay(const uint8_t *input, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);

    if (copy == NULL)
        return -1;
    for (size_t i = 0; i < len; i++)
        copy[i] = input[i];
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    return 0;
}

static int
replay_file(const char *folder, const char *name)
{
    static uint8_t input[INPUT_MAX];
    char path[4096];
    size_t len;
    FILE *file;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >=
        (int)sizeof(path))
        return -1;
    file = fopen(path, "rb");
    if (file == NULL)
        return -1;
    len = fread(input, 1, sizeof(input), file);
    if (ferror(file) || fgetc(file) != EOF) {
        fclose(file);
        return -1;
    }
    fclose(file);
    return replay(input, len);
}

static int
is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Says so before each input too: a crash then shows its culprit. */
static int
replay_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_input, alphasort), failed = 0;

    if (count < 0) {
        printf("Bail out! %s: cannot be read\n", folder);
        return 1;
    }
    printf("1..%d\n", count + 1);
    failed += replay(NULL, 0) != 0;
    printf("%s 1 - empty input\n", failed ? "not ok" : "ok");
    for (int i = 0; i < count; i++) {
        int bad;

        printf("# %s\n", entries[i]->d_name);
        fflush(stdout);
        bad = replay_file(folder, entries[i]->d_name) != 0;
        printf("%s %d - %s\n", bad ? "not ok" : "ok", i + 2,
               entries[i]->d_name);
        failed += bad;
        free(entries[i]);
    }
    free(entries);
    return failed == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    return replay_folder(argv[1]);
}
