# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A program that may not say on which processor it runs: sched_setaffinity()
fails in it and in all that it starts, by a filter of seccomp(2).

usage: refused.py BACKEND IMAGES; 77 where no filter can be set
"""

import ctypes
import pathlib
import struct
import sys

import ultravisor
from ultravisor import C

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # <linux/bpf_common.h>
ALLOW, ERRNO = 0x7fff0000, 0x00050000
SCHED_SETAFFINITY, EPERM = 203, 1  # x86-64


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse():
    """None, or why it could not be done."""
    code = b"".join(struct.pack("HBBI", *step) for step in (
        (LOAD, 0, 0, 0), (EQUAL, 0, 1, SCHED_SETAFFINITY),
        (RETURN, 0, 0, ERRNO | EPERM), (RETURN, 0, 0, ALLOW)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                       ctypes.byref(Program(4, code)), 0, 0) != 0:
        return f"no filter can be set: error {ctypes.get_errno()}"
    return None


def main():
    backend, images = sys.argv[1], pathlib.Path(sys.argv[2])
    why = refuse()
    if why is not None:
        print(why)
        return 77
    with ultravisor.open(backend=backend, memory="32M",
                         in_process=False) as host:
        processor = host.query("processors")[-1]
        with host.transaction() as t:
            one = t.partition("one", memory="4M", processors=0)
            t.processor(one, processor["id"], 48)
        one.start(images / "never_yields.elf")
        for event in host.pending():
            if event.kind == C.ULV_EVENT_LOG:
                print("event", event.data.decode())
        print("usage", one.usage()["degraded"])
        while one.usage()["used"] < 100_000_000:
            host.step(0.05)
        print("ran")
    return 0


sys.exit(main())
