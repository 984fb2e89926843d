# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests that mean harm: each ends in its own fault record, or gets the answer
that it is due, while a neighbour counts on.

ULTRAVISOR_CALLS is how many random system calls a guest makes; ULTRAVISOR_SEED
its seed."""

import contextlib
import os
import random
import struct
import tempfile
import time

from common import IMAGES, PATIENCE, SystemTest, each_kind

import ultravisor
from ultravisor import C

CALLS = int(os.environ.get("ULTRAVISOR_CALLS", "2000"))
SEED = int(os.environ.get("ULTRAVISOR_SEED") or random.getrandbits(63))
COUNT_AT = 0x500000  # where counter.c counts


@contextlib.contextmanager
def patched(name, magic, contents):
    """A test guest with other bytes behind a magic."""
    image = bytearray((IMAGES / f"{name}.elf").read_bytes())
    at = image.index(magic)
    assert image.find(magic, at + 1) < 0, "the magic stands there once"
    at += len(magic)
    image[at:at + len(contents)] = contents
    with tempfile.NamedTemporaryFile(suffix=".elf") as file:
        file.write(image)
        file.flush()
        yield file.name


class HostileTest(SystemTest):
    def counter(self, host, name="neighbour"):
        """A guest that counts in its memory for ever."""
        guest = self.guest(host, name, memory="4M")
        guest.start(IMAGES / "counter.elf")
        self.goes_on(host, guest)
        return guest

    def count(self, guest):
        return struct.unpack("<Q", guest.read(COUNT_AT, 8))[0]

    def goes_on(self, host, guest, more=1024):
        """It counts on, at least so far."""
        until = time.monotonic() + PATIENCE
        end = self.count(guest) + more
        while self.count(guest) < end:
            self.assertLess(time.monotonic(), until, "it counts no more")
            self.assertIsNone(guest.wait(0))
            host.step(0.01)
            self.events = list(host.pending())


class Calls(HostileTest):
    @each_kind
    def test_random_calls(self, backend, in_process):
        """Every register random: the right answer, and nothing is broken."""
        print(f"# ULTRAVISOR_SEED={SEED}", flush=True)
        order = struct.pack("<QQQ", SEED, CALLS, backend != "process")
        with patched("random_calls", b"random calls of\0", order) as image, \
                ultravisor.open(backend=backend, in_process=in_process,
                                memory="64M") as host:
            neighbour = self.counter(host)
            before = self.count(neighbour)
            guest = self.guest(host, "random", memory="16M")
            guest.start(image)
            end = self.wait(host, guest)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_STOP, 0), end.text)
            self.assertGreater(self.count(neighbour), before)
            self.goes_on(host, neighbour)
            self.assert_alive(host)
            neighbour.stop()
