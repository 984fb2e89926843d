/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * libultravisor: divide a machine into partitions. Everything a program needs:
 *
 *   system.h       create and step a system; roles; backends; version
 *   transaction.h  assign resources, all or nothing
 *   partition.h    start, wait, why it ended, its memory; read the database
 *   save.h         save a partition, and go on with it later
 *   channel.h      the program's own end of a channel
 *   bulk.h         records that name pieces of memory both ends have
 *   table.h        entries that one end writes and the other reads
 *   client.h       other programs, with a channel or asking the system
 *   event.h        what happened, and what guests say
 *   console.h      typing to a guest
 *   cursor.h       read the database as it is at one revision
 *   export.h       all of it as JSON
 *   watch.h        what changes in it
 *   fault.h        what went wrong, also in partitions that are gone
 *   trace.h        what a guest called, and when
 *   policy.h       what was decided and why; another policy
 *   rescan.h       the machine has changed
 *   posix.h        the Linux host; JSON policies; the descriptor to poll
 */
#ifndef ULTRAVISOR_ULTRAVISOR_H
#define ULTRAVISOR_ULTRAVISOR_H

#include <ultravisor/bulk.h>
#include <ultravisor/channel.h>
#include <ultravisor/client.h>
#include <ultravisor/console.h>
#include <ultravisor/cursor.h>
#include <ultravisor/debug.h>
#include <ultravisor/event.h>
#include <ultravisor/export.h>
#include <ultravisor/fault.h>
#include <ultravisor/import.h>
#include <ultravisor/partition.h>
#include <ultravisor/policy.h>
#include <ultravisor/posix.h>
#include <ultravisor/rescan.h>
#include <ultravisor/save.h>
#include <ultravisor/system.h>
#include <ultravisor/table.h>
#include <ultravisor/trace.h>
#include <ultravisor/transaction.h>
#include <ultravisor/watch.h>

#endif
