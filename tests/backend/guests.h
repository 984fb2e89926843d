/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Guests of a few bytes, and what every backend makes of them. Also for
 * programs without an operating system (tests/appliance).
 */
#ifndef TESTS_BACKEND_GUESTS_H
#define TESTS_BACKEND_GUESTS_H

#include <ultravisor/sys/backend.h>

#define RAM   ULV_MIB(4)
#define BYTES ULV_MIB(2)
#define GATE  UINT64_C(0x3ff000)
#define ANYWHERE UINT64_MAX

/* mov $GATE,%rax; mov %rdi,%rsi; mov $0x1122,%edi; mov $3,%edx; mov $4,%ecx;
 * mov $5,%r8d; mov $6,%ebx; call *%rax; mov %rax,0x400800; mov %rdx,0x400808;
 * mov %rbx,0x400810; jmp to the beginning */
static const uint8_t calls[] = {
    0x48, 0xc7, 0xc0, 0x00, 0xf0, 0x3f, 0x00, 0x48, 0x89, 0xfe, 0xbf, 0x22,
    0x11, 0x00, 0x00, 0xba, 0x03, 0x00, 0x00, 0x00, 0xb9, 0x04, 0x00, 0x00,
    0x00, 0x41, 0xb8, 0x05, 0x00, 0x00, 0x00, 0xbb, 0x06, 0x00, 0x00, 0x00,
    0xff, 0xd0, 0x48, 0x89, 0x04, 0x25, 0x00, 0x08, 0x40, 0x00, 0x48, 0x89,
    0x14, 0x25, 0x08, 0x08, 0x40, 0x00, 0x48, 0x89, 0x1c, 0x25, 0x10, 0x08,
    0x40, 0x00, 0xeb, 0xc0,
};

struct fault_row {
    const char *what;
    uint8_t code[12];
    uint32_t kind;
    uint64_t address; /* or ANYWHERE */
};

static const struct fault_row faults[] = {
    { "ud2", { 0x0f, 0x0b }, ULV_FAULT_INSTRUCTION, RAM },
    { "cli", { 0xfa }, ULV_FAULT_INSTRUCTION, RAM },
    { "hlt", { 0xf4 }, ULV_FAULT_INSTRUCTION, RAM },
    { "mov %rax,%cr3", { 0x0f, 0x22, 0xd8 }, ULV_FAULT_INSTRUCTION, RAM },
    { "rdmsr", { 0x0f, 0x32 }, ULV_FAULT_INSTRUCTION, RAM },
    /* rip is that of the instruction, or behind it where it was carried out */
    { "int3", { 0xcc }, ULV_FAULT_INSTRUCTION, ANYWHERE },
    { "out", { 0xe6, 0x80 }, ULV_FAULT_PORT, 0x80 },
    { "rep insb", { 0x66, 0xba, 0x34, 0x12, 0xf3, 0x6c }, ULV_FAULT_PORT,
      0x1234 },
    { "not canonical", { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0x00 },
      ULV_FAULT_PROTECTION, RAM + 10 },
    { "read nothing", { 0x8a, 0x04, 0x25, 0, 0, 0, 0x10 }, ULV_FAULT_READ,
      0x10000000 },
    { "write nothing", { 0x88, 0x04, 0x25, 0, 0, 0, 0x10 }, ULV_FAULT_WRITE,
      0x10000000 },
    { "jump to nothing", { 0xb8, 0, 0, 0, 0x10, 0xff, 0xe0 },
      ULV_FAULT_EXECUTE, 0x10000000 },
    { "divide", { 0x31, 0xc9, 0xf7, 0xf1 }, ULV_FAULT_ARITHMETIC, RAM + 2 },
    { "write the gate", { 0x88, 0x04, 0x25, 0, 0xf0, 0x3f, 0 },
      ULV_FAULT_WRITE, GATE },
};

static const uint8_t loop[] = { 0xeb, 0xfe };

#endif
