# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests of several processors: in turns inside step(), each in a thread of
the library's, and in a process of their own."""

import os
import unittest

from common import BACKENDS, IMAGES, SystemTest

import ultravisor
from ultravisor import C

PIECE = 65536
# in turns, in threads, in a process with threads
WAYS = ({"in_process": True}, {"in_process": True, "threads_from": 1},
        {"in_process": False})


def each_way(test):
    def run(self):
        if "kvm" not in BACKENDS:
            self.skipTest("no backend here has several processors")
        if os.cpu_count() < 2:
            self.skipTest("this machine has one processor to assign")
        for way in WAYS:
            with self.subTest(**way), \
                    ultravisor.open(backend="kvm", memory="32M",
                                    **way) as host:
                self.events = []
                test(self, host)
    run.__doc__ = test.__doc__
    return run


def made(host, image, processors=2):
    with host.transaction() as t:
        guest = t.partition(image, memory="4M", processors=processors)
    guest.start(IMAGES / f"{image}.elf")
    return guest


class Processors(SystemTest):
    def until(self, host, done):
        for _ in range(10000):
            if done():
                return
            host.step(0.01)
        self.fail("it did not come to be")

    @each_way
    def test_count_together(self, host):
        """Nothing is lost under a lock, and who waits is woken."""
        end = self.wait(host, made(host, "processors"))
        self.assertEqual((end.reason, end.code), (C.ULV_END_REASON_STOP, 2),
                         end.text)

    @each_way
    def test_alone(self, host):
        """The same guest with one processor."""
        end = self.wait(host, made(host, "processors", 1))
        self.assertEqual((end.reason, end.code), (C.ULV_END_REASON_STOP, 1),
                         end.text)

    @each_way
    def test_fault(self, host):
        """A fault of one processor ends them all, and is its own."""
        end = self.wait(host, made(host, "processor_faults"))
        self.assertEqual((end.reason, end.code), (C.ULV_END_REASON_FAULT,
                                                  C.ULV_FAULT_INSTRUCTION))
        self.assertIn("0f 0b", end.text)

    @each_way
    def test_memory_is_gone_for_all(self, host):
        """What is taken is gone for the processor that never asked."""
        guest = made(host, "processor_clings")
        with host.transaction() as t:
            t.memory(guest, PIECE)
        address, = [e["guest_address"] for e in host.query("extents")
                    if e["bytes"] == PIECE]
        self.until(host, lambda: guest.read(address, 8) != bytes(8))
        with host.transaction() as t:
            t.release(guest, address, PIECE)
        host.wait_settled()
        end = self.wait(host, guest)
        self.assertEqual(end.reason, C.ULV_END_REASON_FAULT, end.text)
        self.assertIn(end.code, (C.ULV_FAULT_READ, C.ULV_FAULT_WRITE))
        self.assertIn(f"{address:#x}", end.text)

    @each_way
    def test_pause(self, host):
        """A paused guest stands still on every processor, and goes on."""
        guest = made(host, "processor_clings")
        with host.transaction() as t:
            t.memory(guest, PIECE)
        address, = [e["guest_address"] for e in host.query("extents")
                    if e["bytes"] == PIECE]
        for _ in range(20):
            before = guest.read(address, 8)
            self.until(host, lambda: guest.read(address, 8) != before)
            guest.pause()
            host.wait_settled()
            before = guest.read(address, 8)
            for _ in range(5):
                host.step(0.001)
            self.assertEqual(guest.read(address, 8), before)
            guest.resume()

    @each_way
    def test_stopped_from_outside(self, host):
        """Stopping ends every thread; nothing stays behind."""
        before = len(os.listdir("/proc/self/task"))
        guest = made(host, "processor_clings")
        with host.transaction() as t:
            t.memory(guest, PIECE)
        address, = [e["guest_address"] for e in host.query("extents")
                    if e["bytes"] == PIECE]
        self.until(host, lambda: guest.read(address, 8) != bytes(8))
        guest.stop()
        self.assertEqual(self.wait(host, guest).reason,
                         C.ULV_END_REASON_KILLED)
        self.assertEqual(len(os.listdir("/proc/self/task")), before)

    def test_refused(self):
        """A backend says how many processors it has."""
        for backend in set(BACKENDS) - {"kvm"}:
            with self.subTest(backend=backend), \
                    ultravisor.open(backend=backend, memory="32M") as host:
                with host.transaction() as t:
                    guest = t.partition("two", memory="4M", processors=2)
                with self.assertRaisesRegex(ultravisor.Error,
                                            "one processor, not 2"):
                    guest.start(IMAGES / "processors.elf")


if __name__ == "__main__":
    unittest.main()
