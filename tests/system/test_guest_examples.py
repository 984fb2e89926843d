# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The example guests, each used as its first comment says."""

import os
import pathlib
import random
import struct
import time
import types
import unittest

from common import (BACKENDS, IMAGES, PATIENCE, SystemTest, changeable,
                    digest, disk, each_kind)

import ultravisor
from ultravisor import C, checked, ffi, lib

GUESTS = pathlib.Path(os.environ["ULTRAVISOR_EXAMPLE_GUESTS"])
SELF = types.SimpleNamespace(id=2**64 - 1)  # ULV_SELF
PUT, GET, DELETE, COUNT, STOP = 1, 2, 3, 4, 5
OK, ABSENT, FULL, BAD = 100, 101, 102, 103


class Line:
    """This program's end of a channel."""

    def __init__(self, host, channel):
        self.host = host
        handle = ffi.new("ulv_channel **")
        checked(lib.ulv_channel_open, host._system, channel, handle)
        self.handle = handle[0]

    def send(self, kind, data=b""):
        while True:
            status = lib.ulv_channel_send(self.handle, kind, data, len(data))
            if status != C.ULV_E_FULL:
                assert status == 0, status
                return
            self.host.step(0.1)

    def receive(self):
        kind, data = ffi.new("uint32_t *"), ffi.new("struct ulv_bytes *")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            status = lib.ulv_channel_peek(self.handle, kind, data)
            if status == 0:
                copy = ffi.buffer(data.p, data.len)[:] if data.len else b""
                lib.ulv_channel_release(self.handle)
                return kind[0], copy
            assert status == C.ULV_E_EMPTY, status
            self.host.step(0.1)
        raise AssertionError("no answer")

    def ask(self, kind, data=b""):
        self.send(kind, data)
        return self.receive()

    def close(self):
        lib.ulv_channel_close(self.handle)


class GuestExamples(SystemTest):
    def started(self, host, name, kind, memory="4M"):
        self.events = []
        with host.transaction() as t:
            guest = t.partition(name, memory=memory)
            t.console(guest)
            channel = t.connect(guest, SELF, kind)
        guest.start(GUESTS / f"{name}.elf")
        return guest, Line(host, channel)

    def ended(self, host, guest, line, code=0):
        end = self.wait(host, guest)
        line.close()
        self.assertEqual((end.reason, end.code), (C.ULV_END_REASON_STOP, code),
                         end.text)

    @each_kind
    def test_store(self, backend, in_process):
        """It has what a dict has, after any requests."""
        seed = time.time_ns()
        print(f"# seed {seed}", flush=True)
        choose, model = random.Random(seed), {}
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest, line = self.started(host, "store", b"store")
            for _ in range(400):
                key = b"key %d" % choose.randrange(40)
                value = choose.randbytes(choose.randrange(900))
                what = choose.choice((PUT, PUT, GET, DELETE))
                if what == PUT:
                    model[key] = value
                    self.assertEqual(
                        line.ask(PUT, bytes([len(key)]) + key + value),
                        (OK, b""))
                elif what == GET:
                    self.assertEqual(
                        line.ask(GET, key), (OK, model[key]) if key in model
                        else (ABSENT, b""))
                else:
                    self.assertEqual(
                        line.ask(DELETE, key),
                        (OK if model.pop(key, None) is not None else ABSENT,
                         b""))
            total = sum(map(len, model.values()))
            self.assertEqual(line.ask(COUNT),
                             (OK, b"%d %d" % (len(model), total)))
            for bad in ((PUT, b""), (PUT, b"\x09abc"), (77, b"x"),
                        (GET, bytes(1025))):
                self.assertEqual(line.ask(*bad), (BAD, b""))
            self.assertEqual(line.ask(STOP), (OK, b""))
            self.ended(host, guest, line)

    @each_kind
    def test_primes(self, backend, in_process):
        """It counts on while it answers; what it says is true."""
        how_far, heard, stop, polled, bad = 1, 2, 3, 101, 102
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest, line = self.started(host, "primes", b"primes")
            self.assertEqual(line.ask(heard), (polled, b""))
            last, found, limit = 0, 0, 2000
            while last < limit:
                kind, answer = line.ask(how_far)
                self.assertEqual(kind, OK)
                number, primes = map(int, answer.split())
                found += sum(all(n % i for i in range(2, int(n ** 0.5) + 1))
                             for n in range(max(last, 1) + 1, number + 1))
                self.assertEqual(primes, found)
                self.assertGreaterEqual(number, last)
                last = number
            self.assertEqual(line.ask(77), (bad, b""))
            self.assertEqual(line.ask(stop), (OK, b""))
            self.ended(host, guest, line)

    def test_store_full(self):
        """Memory that is full is an answer, and room again after a DELETE."""
        with ultravisor.open(memory="64M") as host:
            guest, line = self.started(host, "store", b"store", "2M")
            full = None
            for n in range(4000):
                key = b"%08d" % n
                if line.ask(PUT, b"\x08" + key + bytes(1000)) != (OK, b""):
                    full = n
                    break
            self.assertIsNotNone(full)
            self.assertGreater(full, 500)
            self.assertEqual(line.ask(GET, b"%08d" % (full - 1)),
                             (OK, bytes(1000)))
            self.assertEqual(line.ask(DELETE, b"%08d" % 0), (OK, b""))
            self.assertEqual(line.ask(PUT, b"\x08" + key + bytes(1000)),
                             (OK, b""))
            line.send(STOP)
            self.ended(host, guest, line)

    @each_kind
    def test_verify(self, backend, in_process):
        """The copy of the disk is the disk's."""
        with disk(2040) as path, \
                ultravisor.open(backend=backend, in_process=in_process,
                                memory="64M") as host:
            self.events = []
            end, console = self.run_guest(host, "verify", GUESTS / "verify.elf",
                                          path)
            self.assertEqual(end.code, 0, console + end.text)
            self.assertIn("disk 2040\n", console)
            self.assertIn("copying 100 %\n", console)
            self.assertIn(f"checked 2040 sectors sha256 {digest(path)}\n",
                          console)

    def test_verify_take_over(self):
        """The server dies among open reads; what is read is right."""
        for backend in BACKENDS:
            with self.subTest(backend=backend), disk(32768) as path, \
                    ultravisor.open(backend=backend, in_process=False,
                                    memory="96M") as host:
                self.events = []
                with host.transaction() as t:
                    guest = t.partition("verify", memory="24M")
                    t.console(guest, via=("io-b", "io-a"))
                    t.disk(guest, path, via=("io-a", "io-b"))
                guest.start(GUESTS / "verify.elf")
                self.until_said(host, guest, "disk 32768\n")
                host.kill("io-a")
                end = self.wait(host, guest)
                said = self.console(host, guest)
                self.assertEqual(end.code, 0, said + end.text)
                self.assertIn(f"sha256 {digest(path)}\n", said)
                self.assertNotIn("io-a", [name for name, lives, _
                                          in host.roles() if lives])

    def fill(self, host, path, read_only=False):
        self.events = []
        with host.transaction() as t:
            guest = t.partition("fill", memory="2M")
            t.console(guest, via=("io-b", "io-a"))
            t.disk(guest, path, via=("io-a", "io-b"), read_only=read_only)
        guest.start(GUESTS / "fill.elf")
        return guest

    def assert_filled(self, path, round_number):
        data = pathlib.Path(path).read_bytes()
        for n in range(len(data) // 512):
            self.assertEqual(struct.unpack_from("<QQ", data, n * 512),
                             (round_number, n))

    @each_kind
    def test_fill(self, backend, in_process):
        """What a guest has written and flushed is on the disk, and there for
        the next one."""
        with disk(2040) as path:
            with open(path, "r+b") as file:
                file.write(bytes(512))
            for n in (1, 2):
                with ultravisor.open(backend=backend, in_process=in_process,
                                     memory="64M") as host:
                    guest = self.fill(host, path)
                    end = self.wait(host, guest)
                    said = self.console(host, guest)
                    self.assertEqual(end.code, 0, said + end.text)
                    self.assertEqual(said, f"disk 2040, round {n}\nfilled\n"
                                           "checked\n")
                    self.assert_filled(path, n)

    def test_fill_read_only(self):
        """A disk that was not offered for writing cannot be written."""
        with disk(64) as path, ultravisor.open(memory="64M") as host:
            before = pathlib.Path(path).read_bytes()
            guest = self.fill(host, path, read_only=True)
            end = self.wait(host, guest)
            self.assertEqual(end.code, 1, self.console(host, guest) + end.text)
            self.assertEqual(pathlib.Path(path).read_bytes(), before)

    def test_fill_one_writer(self):
        """Nobody else writes a disk that is written."""
        with disk(64) as path, ultravisor.open(memory="64M") as host:
            with host.transaction() as t:
                guest = t.partition("writer", memory="1M")
                t.disk(guest, path, read_only=False)
            with self.assertRaisesRegex(ultravisor.Error, "has its medium"):
                with host.transaction() as t:
                    other = t.partition("other", memory="1M")
                    t.disk(other, path, read_only=False)
            with self.assertRaises(KeyError):
                host.find("other")

    def test_fill_take_over(self):
        """The server dies among open writes; every one is on the disk."""
        for backend in BACKENDS:
            with self.subTest(backend=backend), disk(32768) as path:
                with open(path, "r+b") as file:
                    file.write(bytes(512))
                with ultravisor.open(backend=backend, in_process=False,
                                     memory="64M") as host:
                    guest = self.fill(host, path)
                    self.until_said(host, guest, "round 1\n")
                    host.kill("io-a")
                    end = self.wait(host, guest)
                    said = self.console(host, guest)
                    self.assertEqual(end.code, 0, said + end.text)
                    self.assertNotIn("io-a", [name for name, lives, _
                                              in host.roles() if lives])
                self.assert_filled(path, 1)

    @each_kind
    def test_shell(self, backend, in_process):
        """Each command says what it should."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest, line = self.started(host, "shell", b"shell")
            for n, command in enumerate((
                    b"help", b"time", b"view", b"mem", b"channels",
                    b"after 1 hello", b"take 1000", b"take 100000000", b"mem",
                    b"drop", b"what", b"log one line", b"give 1")):
                self.assertEqual(line.ask(n, command), (n, b"done"))
            line.send(99, b"exit 5")
            self.ended(host, guest, line, 5)
            said = self.console(host, guest)
            for pattern in ("help time view", r"\d\.\d{9} s\n", '"shell"',
                            r"memory +0x400000 +4096 KiB\n",
                            r"slot +\d+: channel \d+",
                            r"0 in 0 blocks", r"1000 bytes at 0x",
                            "no room for 100000000 bytes", "in 1 blocks",
                            "1 blocks freed", r'what is "what"\?',
                            "0 bytes given back"):
                self.assertRegex(said, pattern)

    def test_shell_later(self):
        """A timer runs while nobody asks."""
        with ultravisor.open(memory="64M") as host:
            guest, line = self.started(host, "shell", b"shell")
            line.ask(1, b"after 1 well met")
            until = time.monotonic() + PATIENCE
            while "later: well met\n" not in self.console(host, guest):
                self.assertLess(time.monotonic(), until)
                host.step(0.1)
                self.events += list(host.pending())
            line.send(2, b"fault enough")
            end = self.wait(host, guest)
            line.close()
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_FAULT, 9))
            self.assertIn("enough", end.text)

    def test_shell_balloon(self):
        """Memory comes and goes while it runs: given, used, taken, given
        back."""
        for backend in changeable():
            with self.subTest(backend=backend), \
                    ultravisor.open(backend=backend, memory="64M") as host:
                guest, line = self.started(host, "shell", b"shell")
                line.ask(1, b"take 6000000")
                with host.transaction() as t:
                    t.memory(guest, "8M")
                self.until_said(host, guest, "the view has changed")
                line.ask(2, b"mem")
                line.ask(3, b"take 6000000")
                line.ask(4, b"give 8388608")
                line.ask(5, b"drop")
                line.ask(6, b"give 8388608")
                until = time.monotonic() + PATIENCE
                while any(e["bytes"] == 8 << 20
                          for e in host.query("extents")):
                    self.assertLess(time.monotonic(), until,
                                    self.console(host, guest))
                    host.step(0.1)
                    self.events += list(host.pending())
                line.send(7, b"exit 0")
                self.ended(host, guest, line)
                said = self.console(host, guest)
                self.assertRegex(said, "no room for 6000000(?s:.)*2 areas"
                                 "(?s:.)*6000000 bytes at(?s:.)*\n0 bytes given"
                                 "(?s:.)*1 blocks freed\n[1-9][0-9]+ bytes")

    def test_shell_revoked(self):
        """Memory that is taken away and free is given up by itself."""
        for backend in changeable():
            with self.subTest(backend=backend), \
                    ultravisor.open(backend=backend, memory="64M") as host:
                guest, line = self.started(host, "shell", b"shell")
                line.ask(1, b"take 1000")
                with host.transaction() as t:
                    t.memory(guest, "8M")
                self.until_said(host, guest, "the view has changed")
                line.ask(2, b"mem")
                address, = [e["guest_address"] for e in host.query("extents")
                            if e["bytes"] == 8 << 20]
                with host.transaction() as t:
                    t.release(guest, address, 8 << 20)
                host.wait_settled()
                line.ask(3, b"mem")
                line.ask(4, b"take 6000000")
                line.send(5, b"exit 0")
                self.ended(host, guest, line)
                self.assertRegex(self.console(host, guest),
                                 "2 areas(?s:.)*1 areas(?s:.)*no room for 6000")

    def test_loop_hears(self):
        """What rings while a function of the loop waits is not lost."""
        for backend in changeable():
            with self.subTest(backend=backend), \
                    ultravisor.open(backend=backend, memory="64M") as host:
                self.events = []
                with host.transaction() as t:
                    guest = t.partition("hears", memory="4M")
                guest.start(IMAGES / "loop_hears.elf")
                until = time.monotonic() + PATIENCE
                while not any(e.kind == C.ULV_EVENT_LOG and
                              e.data.startswith(b"waits")
                              for e in self.events):
                    self.assertLess(time.monotonic(), until)
                    host.step(0.1)
                    self.events += list(host.pending())
                with host.transaction() as t:
                    t.memory(guest, "4M")
                end = self.wait(host, guest)
                self.assertEqual((end.reason, end.code),
                                 (C.ULV_END_REASON_STOP, 0), end.text)


if __name__ == "__main__":
    unittest.main()
