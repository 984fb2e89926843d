# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests that mean harm: each ends in its own fault record, or gets the answer
that it is due, while a neighbour counts on.

ULTRAVISOR_CALLS is how many random system calls a guest makes; ULTRAVISOR_SEED
its seed."""

import contextlib
import os
import random
import re
import struct
import tempfile
import time

import hostile_code
from common import (DIGEST, IMAGES, PATIENCE, SystemTest, digest, disk,
                    each_kind)

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


RECORD = re.compile(r"at (0x[0-9a-f]+|\d+), instruction at \S+: ([0-9a-f ]+)$")

class Instructions(HostileTest):
    def run_code(self, host, code):
        """How a guest ends that runs this code."""
        with patched("hostile", b"hostile code of\0", code) as image:
            guest = self.guest(host, "hostile", memory="4M")
            guest.start(image)
            end = self.wait(host, guest)
            with host.transaction() as t:
                t.destroy(guest)
            return end

    def check(self, end, kinds, at, there):
        self.assertEqual(end.reason, C.ULV_END_REASON_FAULT, end.text)
        self.assertIn(end.code, kinds, end.text)
        if at == hostile_code.ELSEWHERE:
            return
        found = RECORD.search(end.text)
        self.assertIsNotNone(found, end.text)
        self.assertEqual(bytes.fromhex(found[2])[:len(there)], there[:8],
                         end.text)

    @each_kind
    def test_each_ends_in_its_own_fault(self, backend, in_process):
        """Kind and place are right, and a neighbour counts on."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            neighbour = self.counter(host)
            for name, code, kinds, at, there in hostile_code.ALL:
                with self.subTest(code=name):
                    end = self.run_code(host, code)
                    self.check(end, kinds, at, there)
                    self.goes_on(host, neighbour, 1)
            self.assert_alive(host)
            neighbour.stop()

    @each_kind
    def test_sensitive_instructions(self, backend, in_process):
        """Not all of them trap; nobody else notices."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            neighbour = self.counter(host)
            seen = []
            for name, code, kinds, *_ in hostile_code.SENSITIVE:
                with self.subTest(code=name):
                    end = self.run_code(host, code)
                    if end.reason == C.ULV_END_REASON_STOP:
                        seen.append(f"{name} {end.code:x}")
                    else:
                        self.assertEqual(end.reason, C.ULV_END_REASON_FAULT)
                        self.assertIn(end.code, kinds, end.text)
                    self.goes_on(host, neighbour, 1)
            self.assert_alive(host)
            neighbour.stop()
            print(f"# on {backend} come through: {', '.join(seen)}",
                  flush=True)


class Storms(HostileTest):
    @each_kind
    def test_signals_without_end(self, backend, in_process):
        """Who rings each slot for ever keeps nobody from his work: neither
        the servers at the other ends, nor the guest at the other end of a
        channel, nor a neighbour, nor who asks and decides."""
        with disk(1024) as path, ultravisor.open(
                backend=backend, in_process=in_process,
                memory="64M") as host:
            neighbour = self.counter(host)
            peer = self.guest(host, "peer", memory="4M")
            storm = self.guest(host, "storm", path, memory="4M")
            with host.transaction() as t:
                t.connect(storm, peer, b"storm")
            peer.start(IMAGES / "woken.elf")
            storm.start(IMAGES / "storm.elf")
            self.goes_on(host, neighbour, 16 * 1024)
            self.goes_on(host, peer, 100)
            end, said = self.run_guest(host, "web", DIGEST, path)
            self.assertEqual(end.code, 0, end.text)
            self.assertIn(digest(path), said)
            self.assertIsNone(storm.wait(0))
            self.assertGreater(len(storm.trace()), 0)
            self.goes_on(host, neighbour)
            self.goes_on(host, peer, 100)
            storm.stop()
            self.goes_on(host, neighbour)
            self.assert_alive(host)
            neighbour.stop()
            peer.stop()
