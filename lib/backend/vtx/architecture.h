/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the processor fixes: numbers of MSRs, VMCS fields, control bits and
 * exit reasons. Each group names its section of the Intel 64 and IA-32
 * Architectures Software Developer's Manual (SDM), volumes 3A, 3C, 3D, 4, as
 * they are counted in editions up to 2022 (325384-077).
 */
#ifndef BACKEND_VTX_ARCHITECTURE_H
#define BACKEND_VTX_ARCHITECTURE_H

#include <stdint.h>

#define BIT(n) (UINT64_C(1) << (n))

/* CPUID.1:ECX; SDM vol. 2A CPUID, vol. 3C 23.6 */
#define CPUID_1_ECX_VMX 5

/* MSRs; SDM vol. 4 table 2-2, vol. 3D appendix A */
#define MSR_FEATURE_CONTROL   UINT32_C(0x3a)
#define MSR_SYSENTER_CS       UINT32_C(0x174)
#define MSR_SYSENTER_ESP      UINT32_C(0x175)
#define MSR_SYSENTER_EIP      UINT32_C(0x176)
#define MSR_VMX_BASIC         UINT32_C(0x480)
#define MSR_VMX_PIN           UINT32_C(0x481)
#define MSR_VMX_PRIMARY       UINT32_C(0x482)
#define MSR_VMX_EXIT          UINT32_C(0x483)
#define MSR_VMX_ENTRY         UINT32_C(0x484)
#define MSR_VMX_MISC          UINT32_C(0x485)
#define MSR_VMX_CR0_FIXED0    UINT32_C(0x486)
#define MSR_VMX_CR0_FIXED1    UINT32_C(0x487)
#define MSR_VMX_CR4_FIXED0    UINT32_C(0x488)
#define MSR_VMX_CR4_FIXED1    UINT32_C(0x489)
#define MSR_VMX_SECONDARY     UINT32_C(0x48b)
#define MSR_VMX_EPT_VPID      UINT32_C(0x48c)
#define MSR_VMX_TRUE_PIN      UINT32_C(0x48d)
#define MSR_VMX_TRUE_PRIMARY  UINT32_C(0x48e)
#define MSR_VMX_TRUE_EXIT     UINT32_C(0x48f)
#define MSR_VMX_TRUE_ENTRY    UINT32_C(0x490)
#define MSR_EFER              UINT32_C(0xc0000080)
#define MSR_FS_BASE           UINT32_C(0xc0000100)
#define MSR_GS_BASE           UINT32_C(0xc0000101)

/* IA32_FEATURE_CONTROL; SDM vol. 3C 23.7 */
#define FEATURE_LOCK BIT(0)
#define FEATURE_VMX  BIT(2) /* outside SMX */

/* IA32_VMX_BASIC; SDM vol. 3D A.1 */
#define BASIC_REVISION  UINT64_C(0x7fffffff)
#define BASIC_NARROW    BIT(48) /* physical addresses of 32 bits only */
#define BASIC_TYPE_SHIFT 50
#define BASIC_TRUE      BIT(55) /* there are the TRUE MSRs */

/* IA32_VMX_EPT_VPID_CAP; SDM vol. 3D A.10 */
#define EPT_LEVELS_4     6
#define EPT_WRITE_BACK   14
#define EPT_LARGE        16
#define EPT_GIANT        17
#define EPT_INVEPT       20
#define EPT_INVEPT_ONE   25

/* Pin-based controls; SDM vol. 3C 24.6.1 */
#define PIN_INTERRUPT  0
#define PIN_NMI        3
#define PIN_TIMER      6
/* Primary processor-based controls; SDM vol. 3C 24.6.2 table 24-6 */
#define PRIMARY_HLT       7
#define PRIMARY_MWAIT     10
#define PRIMARY_RDPMC     11
#define PRIMARY_MOV_DR    23
#define PRIMARY_PORT      24
#define PRIMARY_MONITOR   29
#define PRIMARY_SECONDARY 31
/* Secondary processor-based controls; SDM vol. 3C 24.6.2 table 24-7 */
#define SECONDARY_EPT          1
#define SECONDARY_VPID         5
#define SECONDARY_UNRESTRICTED 7
/* Exit controls; SDM vol. 3C 24.7.1. Entry controls; 24.8.1 */
#define EXIT_SAVE_DEBUG  2
#define EXIT_HOST_64     9
#define EXIT_LOAD_EFER   21
#define ENTRY_LOAD_DEBUG 2
#define ENTRY_GUEST_64   9
#define ENTRY_LOAD_EFER  15

/* Control registers; SDM vol. 3A 2.5. IA32_EFER; 2.2.1 */
#define CR0_PE   BIT(0)
#define CR0_MP   BIT(1)
#define CR0_EM   BIT(2)
#define CR0_TS   BIT(3)
#define CR0_ET   BIT(4)
#define CR0_NE   BIT(5)
#define CR0_WP   BIT(16)
#define CR0_PG   BIT(31)
#define CR4_PAE  BIT(5)
#define CR4_MCE  BIT(6)
#define CR4_VMXE BIT(13)
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

/* VMCS fields; SDM vol. 3D appendix B */
#define FIELD_GUEST_ES          UINT64_C(0x0800) /* + 2 a segment: */
#define FIELD_GUEST_TR          UINT64_C(0x080e) /* ES CS SS DS FS GS LDTR TR */
#define FIELD_HOST_ES           UINT64_C(0x0c00)
#define FIELD_HOST_CS           UINT64_C(0x0c02)
#define FIELD_HOST_SS           UINT64_C(0x0c04)
#define FIELD_HOST_DS           UINT64_C(0x0c06)
#define FIELD_HOST_FS           UINT64_C(0x0c08)
#define FIELD_HOST_GS           UINT64_C(0x0c0a)
#define FIELD_HOST_TR           UINT64_C(0x0c0c)
#define FIELD_EPT_POINTER       UINT64_C(0x201a)
#define FIELD_GUEST_PHYSICAL    UINT64_C(0x2400)
#define FIELD_LINK              UINT64_C(0x2800)
#define FIELD_GUEST_DEBUGCTL    UINT64_C(0x2802)
#define FIELD_GUEST_EFER        UINT64_C(0x2806)
#define FIELD_HOST_EFER         UINT64_C(0x2c02)
#define FIELD_PIN               UINT64_C(0x4000)
#define FIELD_PRIMARY           UINT64_C(0x4002)
#define FIELD_EXCEPTIONS        UINT64_C(0x4004)
#define FIELD_FAULT_MASK        UINT64_C(0x4006)
#define FIELD_FAULT_MATCH       UINT64_C(0x4008)
#define FIELD_CR3_TARGETS       UINT64_C(0x400a)
#define FIELD_EXIT              UINT64_C(0x400c)
#define FIELD_EXIT_STORE_COUNT  UINT64_C(0x400e)
#define FIELD_EXIT_LOAD_COUNT   UINT64_C(0x4010)
#define FIELD_ENTRY             UINT64_C(0x4012)
#define FIELD_ENTRY_LOAD_COUNT  UINT64_C(0x4014)
#define FIELD_ENTRY_EVENT       UINT64_C(0x4016)
#define FIELD_SECONDARY         UINT64_C(0x401e)
#define FIELD_ERROR             UINT64_C(0x4400)
#define FIELD_REASON            UINT64_C(0x4402)
#define FIELD_EVENT             UINT64_C(0x4404)
#define FIELD_EVENT_ERROR       UINT64_C(0x4406)
#define FIELD_INSTRUCTION_BYTES UINT64_C(0x440c)
#define FIELD_GUEST_ES_LIMIT    UINT64_C(0x4800) /* + 2 a segment */
#define FIELD_GUEST_GDTR_LIMIT  UINT64_C(0x4810)
#define FIELD_GUEST_IDTR_LIMIT  UINT64_C(0x4812)
#define FIELD_GUEST_ES_RIGHTS   UINT64_C(0x4814) /* + 2 a segment */
#define FIELD_GUEST_BLOCKING    UINT64_C(0x4824)
#define FIELD_GUEST_ACTIVITY    UINT64_C(0x4826)
#define FIELD_GUEST_SYSENTER_CS UINT64_C(0x482a)
#define FIELD_TIMER             UINT64_C(0x482e)
#define FIELD_HOST_SYSENTER_CS  UINT64_C(0x4c00)
#define FIELD_CR0_MASK          UINT64_C(0x6000)
#define FIELD_CR4_MASK          UINT64_C(0x6002)
#define FIELD_CR0_SHADOW        UINT64_C(0x6004)
#define FIELD_CR4_SHADOW        UINT64_C(0x6006)
#define FIELD_QUALIFICATION     UINT64_C(0x6400)
#define FIELD_GUEST_CR0         UINT64_C(0x6800)
#define FIELD_GUEST_CR3         UINT64_C(0x6802)
#define FIELD_GUEST_CR4         UINT64_C(0x6804)
#define FIELD_GUEST_ES_BASE     UINT64_C(0x6806) /* + 2 a segment */
#define FIELD_GUEST_GDTR_BASE   UINT64_C(0x6816)
#define FIELD_GUEST_IDTR_BASE   UINT64_C(0x6818)
#define FIELD_GUEST_DR7         UINT64_C(0x681a)
#define FIELD_GUEST_RSP         UINT64_C(0x681c)
#define FIELD_GUEST_RIP         UINT64_C(0x681e)
#define FIELD_GUEST_RFLAGS      UINT64_C(0x6820)
#define FIELD_GUEST_PENDING     UINT64_C(0x6822)
#define FIELD_GUEST_SYSENTER_SP UINT64_C(0x6824)
#define FIELD_GUEST_SYSENTER_IP UINT64_C(0x6826)
#define FIELD_HOST_CR0          UINT64_C(0x6c00)
#define FIELD_HOST_CR3          UINT64_C(0x6c02)
#define FIELD_HOST_CR4          UINT64_C(0x6c04)
#define FIELD_HOST_FS_BASE      UINT64_C(0x6c06)
#define FIELD_HOST_GS_BASE      UINT64_C(0x6c08)
#define FIELD_HOST_TR_BASE      UINT64_C(0x6c0a)
#define FIELD_HOST_GDTR_BASE    UINT64_C(0x6c0c)
#define FIELD_HOST_IDTR_BASE    UINT64_C(0x6c0e)
#define FIELD_HOST_SYSENTER_SP  UINT64_C(0x6c10)
#define FIELD_HOST_SYSENTER_IP  UINT64_C(0x6c12)
/* HOST_RSP 0x6c14 and HOST_RIP 0x6c16 are written by run.S. */

/* Exit-interruption information; SDM vol. 3C 24.9.2 */
#define EVENT_VECTOR    UINT32_C(0xff)
#define EVENT_TYPE(e)   ((e) >> 8 & 7)
#define EVENT_TYPE_NMI  2
#define EVENT_HAS_ERROR (UINT32_C(1) << 11)
#define EVENT_VALID     (UINT32_C(1) << 31)

/* Qualification of an EPT violation; SDM vol. 3C table 27-7 */
#define VIOLATION_WRITE   BIT(1)
#define VIOLATION_EXECUTE BIT(2)
#define VIOLATION_LINEAR  BIT(7) /* there is a linear address */
#define VIOLATION_FINAL   BIT(8) /* not a page-table walk */

/* Basic exit reasons that are not told by a row of exit.c alone;
 * SDM vol. 3D appendix C */
#define REASON_EXCEPTION     0u
#define REASON_INTERRUPT     1u
#define REASON_CPUID         10u
#define REASON_VMCALL        18u
#define REASON_TIMER         52u
#define REASON_PORT          30u
#define REASON_INVALID_STATE 33u
#define REASON_ENTRY_CHECK   41u
#define REASON_VIOLATION     48u
#define REASON_BASIC         UINT32_C(0xffff)
#define REASON_ENTRY_FAILED  (UINT32_C(1) << 31)

#endif
