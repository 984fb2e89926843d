# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a guest has changes while it runs: memory, channels, its turn."""

import os
import random
import signal
import unittest

from common import (BACKENDS, DIGEST, IMAGES, PLACEMENTS, SystemTest,
                    changeable, digest, disk, each_kind)

import ultravisor
from ultravisor import C

PIECE = 65536
MOVES = int(os.environ.get("ULTRAVISOR_MOVES", "200"))
BASE = 0x400000


def each_changeable(test):
    """On each backend that can, in both placements; the others refuse."""
    def run(self):
        if not changeable():
            self.skipTest("no backend here can change a guest that runs")
        for backend in changeable():
            for in_process in PLACEMENTS:
                with self.subTest(backend=backend, in_process=in_process), \
                        ultravisor.open(backend=backend, memory="32M",
                                        in_process=in_process) as host:
                    self.events = []
                    test(self, host)
    run.__doc__ = test.__doc__
    return run


def made(host, *names, image=None):
    """Guests of 4 MiB that run the image."""
    with host.transaction() as t:
        guests = [t.partition(name, memory="4M") for name in names]
    for guest in guests:
        if image is not None:
            guest.start(IMAGES / image)
    return guests


def pieces(host, guest):
    """Addresses of what it was given after the start, unless it drains."""
    return [e["guest_address"] for e in host.query("extents")
            if e["partition"] == guest.id and e["bytes"] == PIECE
            and not e["flags"] & C.ULV_EXTENT_DRAINING]


class Changes(SystemTest):
    def until(self, host, done):
        """Let the system work until something is so."""
        for _ in range(10000):
            if done():
                return
            host.step(0.01)
        self.fail("it did not come to be")

    def states(self, host):
        return {p["name"]: p["state"] for p in host.query("partitions")}

    @each_changeable
    def test_move_between_running_guests(self, host):
        """Memory goes to and fro; nobody sees what another wrote."""
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}", flush=True)
        choose = random.Random(seed)
        guests = made(host, "one", "two", image="memory_guard.elf")
        for guest in guests:
            for _ in range(8):
                with host.transaction() as t:
                    t.memory(guest, PIECE)
        for n in range(MOVES):
            a, b = choose.sample(guests, 2)
            if not pieces(host, a):
                a, b = b, a
            with host.transaction() as t:
                t.move(a, choose.choice(pieces(host, a)), PIECE, b)
            if n % 4 == 0:
                host.wait_settled()
        host.wait_settled()
        self.assertEqual(sum(len(pieces(host, g)) for g in guests), 16)
        states = self.states(host)
        for guest in guests:
            self.assertEqual(states[guest.name], C.ULV_STATE_RUNNING,
                             guest.wait(0))
            for address in pieces(host, guest):
                want = (guest.id << 32 | 0x5a5a) ^ address
                self.until(host, lambda: int.from_bytes(
                    guest.read(address, 8), "little") == want)

    @each_changeable
    def test_taken_by_force(self, host):
        """Who does not give memory up loses it all the same."""
        guest, = made(host, "one", image="memory_clings.elf")
        before = host.query("memory")[0]["free_bytes"]
        with host.transaction() as t:
            t.memory(guest, PIECE)
        address, = pieces(host, guest)
        self.until(host, lambda: guest.read(address, 8) != bytes(8))
        with host.transaction() as t:
            t.release(guest, address, PIECE)
        host.wait_settled()
        end = self.wait(host, guest)
        self.assertEqual((end.reason, end.code),
                         (C.ULV_END_REASON_FAULT, C.ULV_FAULT_WRITE))
        self.assertIn(f"{address:#x}", end.text)
        self.assertEqual(host.query("memory")[0]["free_bytes"], before)

    @each_changeable
    def test_given_back(self, host):
        """What a guest gives up at once is free when that is settled."""
        guest, = made(host, "one", image="memory_guard.elf")
        before = host.query("memory")[0]["free_bytes"]
        for _ in range(20):
            with host.transaction() as t:
                t.memory(guest, PIECE)
                t.memory(guest, PIECE)
            host.wait_settled()
            with host.transaction() as t:
                for address in pieces(host, guest):
                    t.release(guest, address, PIECE)
            host.wait_settled()
            self.assertEqual(host.query("memory")[0]["free_bytes"], before)
        self.assertEqual(self.states(host)["one"], C.ULV_STATE_RUNNING)

    @each_changeable
    def test_only_whole_extents(self, host):
        """What is no extent, or drains already, is refused with the place."""
        guest, other = made(host, "one", "two", image="memory_clings.elf")
        with host.transaction() as t:
            t.memory(guest, PIECE)
        address, = pieces(host, guest)
        for start, length in ((address, 4096), (address + 4096, PIECE),
                              (address, 2 * PIECE), (address, 0)):
            with self.assertRaises(ultravisor.Error) as caught, \
                    host.transaction() as t:
                t.release(guest, start, length)
            self.assertEqual(caught.exception.status, C.ULV_E_ARG)
            self.assertIn(f"{start:#x}", str(caught.exception))
        with host.transaction() as t:
            t.move(guest, address, PIECE, other)
        with self.assertRaises(ultravisor.Error) as caught, \
                host.transaction() as t:
            t.release(guest, address, PIECE)
        self.assertIn(caught.exception.status, (C.ULV_E_BUSY, C.ULV_E_ARG))
        host.wait_settled()
        self.assertEqual(len(pieces(host, other)), 1)

    @each_changeable
    def test_heir_vanishes(self, host):
        """Memory on its way to a guest that is destroyed meanwhile is free."""
        guest, = made(host, "one", image="memory_clings.elf")
        heir, = made(host, "two")
        with host.transaction() as t:
            t.memory(guest, PIECE)
        before = host.query("memory")[0]["free_bytes"]
        address, = pieces(host, guest)
        self.until(host, lambda: guest.read(address, 8) != bytes(8))
        with host.transaction() as t:
            t.move(guest, address, PIECE, heir)
        with host.transaction() as t:
            t.destroy(heir)
        host.wait_settled()
        self.until(host, lambda: host.query("memory")[0]["free_bytes"] ==
                   before + PIECE + (4 << 20))
        self.assert_alive(host)

    @each_changeable
    def test_channels_come_and_go(self, host):
        """Two guests meet over a channel and part, again and again."""
        one, two = made(host, "one", "two", image="visitor.elf")
        free = host.query("memory")[0]["free_bytes"]
        for n in range(10):
            with host.transaction() as t:
                channel = t.connect(one, two, b"visit")
            self.until(host, lambda: self.logged(host, b"met") == 2 * (n + 1))
            with host.transaction() as t:
                t.revoke(channel)
            host.wait_settled()
            self.assertEqual(host.query("memory")[0]["free_bytes"], free)
            self.until(host,
                       lambda: self.logged(host, b"parted") == 2 * (n + 1))
        self.assertEqual(set(self.states(host)[n] for n in ("one", "two")),
                         {C.ULV_STATE_RUNNING})

    def logged(self, host, line):
        self.events += list(host.pending())
        return sum(e.data == line for e in self.events
                   if e.kind == C.ULV_EVENT_LOG)

    @each_kind
    def test_pause(self, backend, in_process):
        """A paused guest stands still and goes on where it was."""
        with ultravisor.open(backend=backend, memory="32M",
                             in_process=in_process) as host:
            guest, = made(host, "one", image="counter.elf")

            def count():
                return int.from_bytes(guest.read(BASE + 0x100000, 8), "little")

            self.until(host, lambda: count() > 0)
            for _ in range(5):
                guest.pause()
                with self.assertRaises(ultravisor.Error) as caught:
                    guest.pause()
                self.assertEqual(caught.exception.status, C.ULV_E_STATE)
                before = count()
                for _ in range(5):
                    host.step(0.005)
                self.assertEqual(count(), before)
                guest.resume()
                self.until(host, lambda: count() > before)
            guest.pause()
            guest.stop()
            self.assertEqual(self.wait(host, guest).reason,
                             C.ULV_END_REASON_KILLED)

    def test_monitor_that_hangs(self):
        """It is killed, and what its guest had goes to the other."""
        if not changeable():
            self.skipTest("no backend here can change a guest that runs")
        with ultravisor.open(backend=changeable()[0], memory="32M",
                             in_process=False, settle_limit=3) as host:
            guest, heir = made(host, "one", "two", image="memory_guard.elf")
            with host.transaction() as t:
                t.memory(guest, PIECE)
            address, = pieces(host, guest)
            self.until(host, lambda: guest.read(address, 8) != bytes(8))
            os.kill(dict((n, p) for n, _, p in host.roles())["one"],
                    signal.SIGSTOP)
            with host.transaction() as t:
                t.move(guest, address, PIECE, heir)
            host.wait_settled()
            end = self.wait(host, guest)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_FAULT,
                              C.ULV_FAULT_UNRESPONSIVE))
            self.assertIn("monitor unresponsive", end.text)
            self.assertEqual(pieces(host, guest), [])
            self.until(host, lambda: pieces(host, heir))
            self.assertEqual(self.states(host)["two"], C.ULV_STATE_RUNNING,
                             list(host.faults()))

    def test_server_that_hangs(self):
        """It is killed when it keeps a channel, and its standby serves."""
        if not changeable():
            self.skipTest("no backend here can change a guest that runs")
        with disk(256) as path, ultravisor.open(
                backend=changeable()[0], memory="32M", in_process=False,
                settle_limit=3) as host:
            guest, = made(host, "one", image="counter.elf")
            with host.transaction() as t:
                channel = t.console(guest, via=("io-a", "io-b"))
            host.wait_settled()
            os.kill(dict((n, p) for n, _, p in host.roles())["io-a"],
                    signal.SIGSTOP)
            with host.transaction() as t:
                t.revoke(channel)
            host.wait_settled()
            self.until(host, lambda: self.states(host)["io-a"] ==
                       C.ULV_STATE_LOST)
            end, said = self.run_guest(host, "web", DIGEST, path)
            self.assertEqual(end.code, 0, end)
            self.assertIn("sha256 " + digest(path), said)
            self.assertEqual(self.states(host)["one"], C.ULV_STATE_RUNNING)

    @each_kind
    def test_trace(self, backend, in_process):
        """What a guest did is written down, also what ended it."""
        with ultravisor.open(backend=backend, memory="32M",
                             in_process=in_process) as host:
            guest, = made(host, "one")
            with self.assertRaises(ultravisor.Error) as caught:
                guest.trace()
            self.assertEqual(caught.exception.status, C.ULV_E_STATE)
            guest.start(IMAGES / "read_nothing.elf")
            self.wait(host, guest)
            trace = guest.trace()
            self.assertEqual([r["sequence"] for r in trace],
                             list(range(1, len(trace) + 1)))
            self.assertEqual(sorted(r["time"] for r in trace),
                             [r["time"] for r in trace])
            self.assertEqual((trace[-1]["kind"], trace[-1]["number"]),
                             (C.ULV_TRACE_FAULT, C.ULV_FAULT_READ))
            again, = made(host, "two")
            again.start(IMAGES / "many_calls.elf")
            self.wait(host, again)
            trace = again.trace()
            self.assertEqual(len(trace), C.ULV_TRACE_COUNT)
            self.assertEqual((trace[-1]["kind"], trace[-1]["number"]),
                             (C.ULV_TRACE_CALL, 0x201))
            self.assertEqual([r["result"] for r in trace
                              if r["kind"] == C.ULV_TRACE_WAKE][-1],
                             C.ULV_E_TIMEOUT)
            self.assertEqual(again.trace(after=trace[-4]["sequence"]),
                             trace[-3:])

    def test_backend_that_cannot(self):
        """It says so, and nothing changes."""
        if "process" not in BACKENDS:
            self.skipTest("the process backend cannot be used here")
        with ultravisor.open(backend="process", memory="32M") as host:
            guest, = made(host, "one", image="counter.elf")
            before = host.query("extents")
            for change in (lambda t: t.memory(guest, PIECE),
                           lambda t: t.release(guest, BASE, 4 << 20),
                           lambda t: t.console(guest)):
                with self.assertRaises(ultravisor.Error) as caught, \
                        host.transaction() as t:
                    change(t)
                self.assertEqual(caught.exception.status,
                                 C.ULV_E_UNSUPPORTED)
                self.assertIn("one runs, and the process backend cannot",
                              str(caught.exception))
            self.assertEqual(host.query("extents"), before)


if __name__ == "__main__":
    unittest.main()
