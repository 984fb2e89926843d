/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The KVM backend: a guest at CPL3 in 64-bit mode, in page tables that belong
 * to the backend. Source: Linux Documentation/virt/kvm/api.rst.
 */
#ifndef BACKEND_KVM_KVM_H
#define BACKEND_KVM_KVM_H

#include <ultravisor/sys/backend.h>

extern const struct ulv_backend_ops ulv_backend_kvm;

#endif
