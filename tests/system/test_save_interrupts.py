# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest that is interrupted is saved, and goes on elsewhere: while it
computes, sleeps, is in its handler, or has an interrupt to come."""

import pathlib
import tempfile
import time

from common import BACKENDS, IMAGES, PATIENCE, SystemTest

import ultravisor
from ultravisor import C

WORDS = 0x500000  # of typed_at.c: count, handling, leave, rang
# in the caller's thread, in one of its own, in a process
PLACEMENTS = ({"in_process": True}, {"in_process": True, "threads_from": 1},
              {"in_process": False})


class SaveInterrupts(SystemTest):
    def setUp(self):
        super().setUp()
        if "kvm" not in BACKENDS:
            self.skipTest("no backend can save and interrupt guests here")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "saved"

    def open(self, placement):
        self.events, self.typed = [], ""
        return ultravisor.open(backend="kvm", memory="32M", **placement)

    def make(self, host, interrupts=True):
        with host.transaction() as t:
            guest = t.partition("typed", memory="4M", interrupts=interrupts)
            t.console(guest)
        return guest

    def word(self, guest, number):
        return int.from_bytes(guest.read(WORDS + 8 * number, 8), "little")

    def until(self, host, condition):
        until = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), until, "it did not happen")
            host.step(0.01)
            self.events += list(host.pending())

    def put(self, guest, text):
        self.assertEqual(guest.type(text), len(text))
        self.typed += text

    def type(self, host, guest, text):
        """Until it was said again."""
        said = len(self.console(host, guest))
        self.put(guest, text)
        self.until(host, lambda: self.console(host, guest)[said:] == text)

    def quit(self, host, guest):
        guest.type("q")
        end = self.wait(host, guest)
        self.assertEqual((end.reason, end.code), (C.ULV_END_REASON_STOP, 0),
                         end.text)

    def each(self, before, typed, after):
        """before(host, guest) brings it to where it is saved, with what is
        typed while it is paused; after() is done to the one that was saved, and
        to the one that is restored."""
        for placement in PLACEMENTS:
            with self.subTest(**placement):
                with self.open(placement) as host:
                    guest = self.make(host)
                    guest.start(IMAGES / "typed_at.elf")
                    self.type(host, guest, "ab")
                    before(host, guest)
                    guest.pause()
                    self.put(guest, typed)
                    for _ in range(10):
                        host.step(0.01)
                        self.events += list(host.pending())
                    guest.save(self.path)
                    said = len(self.console(host, guest))
                    left = self.typed[said:]
                    guest.resume()
                    after(host, guest, said, left)
                    self.quit(host, guest)
                with self.open(placement) as host:
                    guest = self.make(host)
                    guest.restore(self.path)
                    after(host, guest, 0, left)
                    self.quit(host, guest)

    def goes_on(self, host, guest, said, left):
        """What was typed and not said is; then it is interrupted again."""
        self.until(host, lambda: self.console(host, guest)[said:] == left)
        rang, until = self.word(guest, 3), time.monotonic() + PATIENCE
        while self.word(guest, 3) == rang:
            self.assertLess(time.monotonic(), until)
            self.type(host, guest, "x")

    def test_it_computes(self):
        def counts(host, guest, said, left):
            count = self.word(guest, 0)
            self.until(host, lambda: self.word(guest, 0) > count)
            self.goes_on(host, guest, said, left)
        self.each(lambda host, guest: None, "", counts)

    def test_an_interrupt_is_to_come(self):
        self.each(lambda host, guest: None, "cd", self.goes_on)

    def test_it_is_asleep(self):
        self.each(lambda host, guest: self.type(host, guest, "w"), "",
                  self.goes_on)

    def test_it_is_asleep_and_an_interrupt_is_to_come(self):
        self.each(lambda host, guest: self.type(host, guest, "w"), "cd",
                  self.goes_on)

    def test_it_is_in_its_handler(self):
        def enter(host, guest):
            """What it finds before it has asked to be rung interrupts it
            not."""
            self.type(host, guest, "h")
            until = time.monotonic() + PATIENCE
            while self.word(guest, 1) != 1:
                self.assertLess(time.monotonic(), until)
                self.put(guest, "c")
                for _ in range(10):
                    host.step(0.01)
                    self.events += list(host.pending())

        def leave(host, guest, said, left):
            self.assertEqual(self.word(guest, 1), 1)
            write(guest, WORDS + 16, 1)
            self.until(host, lambda: self.word(guest, 1) == 2)
            self.goes_on(host, guest, said, left)
        self.each(enter, "de", leave)

    def test_a_partition_without_interrupts(self):
        with self.open({}) as host:
            guest = self.make(host)
            guest.start(IMAGES / "typed_at.elf")
            self.type(host, guest, "a")
            guest.save(self.path)
            other = self.make_other(host)
            with self.assertRaisesRegex(ultravisor.Error, "interrupts"):
                other.restore(self.path)
            self.quit(host, guest)

    def make_other(self, host):
        with host.transaction() as t:
            other = t.partition("other", memory="4M")
            t.console(other)
        return other


def write(guest, address, value):
    ultravisor.checked(
        ultravisor.lib.ulv_partition_write, guest.host._system, guest.id,
        {"value": address}, value.to_bytes(8, "little"), 8)
