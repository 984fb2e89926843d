/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A machine on KVM with nothing around it: what the benchmarks compare with.
 * And what they share: a clock, ratios of pairs.
 */
#ifndef TESTS_BENCHMARK_BARE_KVM_H
#define TESTS_BENCHMARK_BARE_KVM_H

#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define BATCH 500u /* doorbells between two exits */

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            perror(#what);                                                     \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

/* 2 MiB at 0, one processor, at CPL3 with IOPL 3. */
struct bare {
    int kvm, vm, vcpu, bell;
    struct kvm_run *run;
    uint8_t *p;
    size_t run_bytes;
};

/* rip: one exit after the other, or BATCH doorbells before each, or one call
 * after the other: then the machine contains its guest by what ours does,
 * pages of 4 KiB and a bit map of ports. */
#define BARE_EXITS UINT64_C(0x8000)
#define BARE_BELLS UINT64_C(0x8100)
#define BARE_CALLS UINT64_C(0x8200)

void bare_begin(struct bare *b, uint64_t rip);
/* Give the processor the CPUID of the host's, which KVM tells once a process:
 * a machine for programs that ask has that as well. */
void bare_show_processor(const struct bare *b);
/* Have 1 MiB of its memory there at once, as a guest that is not lazy has. */
void bare_fill(const struct bare *b);
void bare_end(struct bare *b);
/* seconds it took */
double bare_exits(const struct bare *b, uint32_t count);
/* The same of calls: what they say is read, and they are answered. */
double bare_calls(const struct bare *b, uint32_t count);

double seconds(void);
/* Medians of what a unit costs, and of the ratios of the pairs. Sorts both. */
void report(const char *what, double *bare, double *ours, uint32_t rounds,
            uint32_t units);
/* The same of pairs of [KiB]. */
void report_memory(const char *what, double *bare, double *ours,
                   uint32_t rounds);

#endif
