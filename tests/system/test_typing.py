# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Typing to guests: what is typed is read once, whatever dies meanwhile."""

import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from common import BACKENDS, PATIENCE, SystemTest, each_kind

import ultravisor
from ultravisor import C

REPEAT = pathlib.Path(os.environ["ULTRAVISOR_EXAMPLE_GUESTS"]) / "repeat.elf"
LINES = 3000  # some 60 KiB: more than is kept, and than both rings hold


class Console(SystemTest):
    def make(self, host, via=()):
        self.events = []
        with host.transaction() as t:
            guest = t.partition("repeat", memory="2M")
            t.console(guest, via=via)
        return guest

    def hear(self, host):
        self.events += list(host.pending())

    def type_all(self, host, guest, data, each=lambda typed: None):
        """What it says is taken meanwhile: that too has its bounds."""
        until, typed = time.monotonic() + PATIENCE, 0
        while typed < len(data):
            self.assertLess(time.monotonic(), until, "the guest does not read")
            typed += guest.type(data[typed:], 0)
            each(typed)
            host.step(0.01)
            self.hear(host)

    def end_of(self, host, guest, code=0):
        end = self.wait(host, guest)
        self.assertEqual((end.reason, end.code), (C.ULV_END_REASON_STOP, code),
                         end.text)

    @each_kind
    def test_lines_are_repeated(self, backend, in_process):
        """Typed before it starts, at once, and byte by byte."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            guest = self.make(host)
            self.assertEqual(guest.type("early\n"), 6)
            guest.start(REPEAT)
            self.assertEqual(guest.type(b"second\nthi"), 10)
            for letter in "rd\xe9\n\n":
                guest.type(letter)
            self.end_of(host, guest)
            self.assertEqual(self.console(host, guest),
                             "early\nsecond\nthird\xe9\n")
            with self.assertRaisesRegex(ultravisor.Error, "has ended"):
                guest.type("late\n")

    @each_kind
    def test_many_lines(self, backend, in_process):
        data = b"".join(b"this is line %d\n" % n for n in range(LINES))
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            guest = self.make(host)
            guest.start(REPEAT)
            self.type_all(host, guest, data + b"\n")
            self.end_of(host, guest)
            self.assertEqual(self.console(host, guest), data.decode())

    def test_a_guest_that_does_not_read(self):
        """What is kept for it is bounded; nothing of what is taken is lost."""
        for backend in BACKENDS:
            with self.subTest(backend=backend), \
                    ultravisor.open(backend=backend, memory="32M") as host:
                guest = self.make(host)
                data = b"x" * 100 + b"\n"
                data *= C.ULV_CONSOLE_INPUT_KEPT // len(data) + 10
                taken = guest.type(data, 0.1)
                self.assertEqual(taken, C.ULV_CONSOLE_INPUT_KEPT)
                self.assertEqual(guest.type(b"no", 0), 0)
                guest.start(REPEAT)
                self.type_all(host, guest, data[taken:] + b"\n")
                self.end_of(host, guest)
                self.assertEqual(self.console(host, guest), data.decode())

    def test_a_server_dies(self):
        """Each byte is read once; and once said again, or told to be lost."""
        seed = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))
        print(f"# seed {seed}", flush=True)
        chance = random.Random(seed)
        data = b"".join(b"this is line %d\n" % n for n in range(LINES))
        for backend in BACKENDS:
            for _ in range(3):
                with self.subTest(backend=backend), \
                        ultravisor.open(backend=backend, in_process=False,
                                        memory="32M") as host:
                    guest = self.make(host, ("io-a", "io-b"))
                    guest.start(REPEAT)
                    when, dead = chance.randrange(len(data)), []

                    def kill(typed):
                        if typed > when and not dead:
                            dead.append(host.kill("io-a"))
                    self.type_all(host, guest, data + b"\n", kill)
                    self.end_of(host, guest)
                    said = self.console(host, guest)
                    lost = sum(e.value for e in self.events
                               if e.kind == C.ULV_EVENT_LOST
                               and e.partition == guest.id)
                    self.assertEqual(len(said) + lost, len(data))
                    if not lost:
                        self.assertEqual(said, data.decode())

    def test_saved_in_between(self):
        """What is in its channel goes with it, what is kept for it does not;
        the stream goes on."""
        if "kvm" not in BACKENDS:
            self.skipTest("no backend can save guests here")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "saved"
            with ultravisor.open(backend="kvm", memory="32M") as host:
                guest = self.make(host)
                guest.start(REPEAT)
                guest.type("one\ntw")
                self.until_said(host, guest, "one\n")
                guest.pause()
                guest.type("o\nth")
                for _ in range(20):
                    host.step(0.01)
                guest.save(path)
            with ultravisor.open(backend="kvm", memory="32M") as host:
                guest = self.make(host)
                guest.type("of another\n")  # goes when it is restored
                guest.restore(path)
                guest.type("ree\n\n")
                self.end_of(host, guest)
                self.assertEqual(self.console(host, guest), "two\nthree\n")

    def test_the_program_types_standard_input(self):
        for flags in ([], ["--processes"], ["--lazy-memory"]):
            with self.subTest(flags=flags):
                data = b"".join(b"line %d\n" % n for n in range(LINES))
                result = subprocess.run(
                    [sys.executable, "-m", "ultravisor", "run", str(REPEAT),
                     "--input", *flags], input=data + b"\n", check=False,
                    capture_output=True, timeout=2 * PATIENCE)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stdout, data)
