/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Debugging a guest with gdb: a stub that speaks gdb's remote protocol, one for
 * a partition. A debugger that connects halts the guest, and sees registers and
 * memory; it sets breakpoints and steps where the backend can. When it leaves,
 * the guest goes on. A guest that has ended can be looked at until its
 * partition is started again or destroyed. doc/debugging.md
 *
 * For programs that use a system. A program on Linux calls ulv_posix_debug(),
 * which listens on a socket; this header is for other ways to a debugger.
 */
#ifndef ULTRAVISOR_DEBUG_H
#define ULTRAVISOR_DEBUG_H

#include <ultravisor/sys/host.h>
#include <ultravisor/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The guest is held before its first instruction, each time it is started,
 * until a debugger lets it go on. */
#define ULV_DEBUG_HOLD UINT32_C(1)

/* The way to debuggers: connections come in, bytes go both ways. No function
 * may block. Whoever can connect can read and change all that the guest has. */
struct ulv_debug_port {
    uint32_t size; /* sizeof(struct ulv_debug_port) */
    uint32_t rsvd_;
    void *self; /* passed to every function below */
    /* to watch: readable when a debugger has connected */
    ulv_handle listener;
    /* The next connection, a handle to watch. AGAIN: there is none. */
    ulv_status (*accept)(void *self, ulv_handle *ret);
    /* At least one byte, or AGAIN. PEER_GONE: the connection is over. */
    ulv_status (*receive)(void *self, ulv_handle connection, void *buf,
                          size_t len, size_t *ret_len);
    ulv_status (*send)(void *self, ulv_handle connection, const void *buf,
                       size_t len, size_t *ret_len);
    void (*disconnect)(void *self, ulv_handle connection);
    /* The stub is stopped: nothing of the port is used any more. */
    void (*close)(void *self);
};

/**
 * Start a stub for a partition. It is driven by ulv_system_step(). One debugger
 * is served at a time; others are turned away.
 *
 * @param system     a system
 * @param partition  a guest partition; it need not run
 * @param port       copied; what it leads to is the stub's until port->close
 * @param flags      0 or ULV_DEBUG_HOLD
 * @param diag       NULL or where the failure is explained
 *
 * Errors:  ULV_E_NOT_FOUND
 *          ULV_E_EXISTS       the partition has a stub
 *          ULV_E_STATE        it runs, and its backend can debug a guest only
 *                             that is started after its stub
 *          ULV_E_ARG, ULV_E_NO_MEMORY, ULV_E_HOST
 *          On failure port->close is not called.
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_debug_start(ulv_system *system, ulv_id partition,
                                   const struct ulv_debug_port *port,
                                   uint32_t flags, struct ulv_diag *diag);

/**
 * Stop the stub of a partition: a debugger is disconnected, the guest goes on.
 * ulv_system_destroy() does so too, and the end of the partition.
 *
 * @param system     a system
 * @param partition  that has a stub
 *
 * Errors:  ULV_E_NOT_FOUND
 * Context: serial
 * Since:   0.1
 */
ULV_API ulv_status ulv_debug_stop(ulv_system *system, ulv_id partition);

#ifdef __cplusplus
}
#endif

#endif
