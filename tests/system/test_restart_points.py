# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The ultravisor dies at a moment that is chosen: at each thing it asks of its
storage, again and again, or beside a journal that is not the last one."""

import os
import pathlib
import signal
import sys
import tempfile

from common import BACKENDS, IMAGES, RestartTest, each_kind

import ultravisor
from ultravisor import C
from ultravisor._library import ffi

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "formats"))
import channel  # noqa: E402

MIB = 1 << 20
TRIES = 8  # starts in a row that come to nothing: doc/restart.md


class Storage:
    """The storage of a system; its operations are counted, and something
    happens at one of them."""

    def __init__(self, host, happens):
        self.count, self.at, self.early = 0, None, False
        self.always = False
        self.happens, self.kept = happens, []
        for name in ("bytes", "read", "append", "sync", "truncate", "replace"):
            real = getattr(host._storage, name)
            self.kept.append(ffi.callback(ffi.typeof(real), self.watch(real)))
            setattr(host._storage, name, self.kept[-1])

    def watch(self, real):
        def call(*arguments):
            self.count += 1
            due = self.count == self.at or self.always
            if due and self.early:
                self.happens()
            result = real(*arguments)
            if due and not self.early:
                self.happens()
            return result
        return call

    def next(self, at, early=False):
        """The at-th operation from now on."""
        self.count, self.at, self.early = 0, at, early


def contents(directory):
    return {path: path.read_bytes()
            for path in pathlib.Path(directory).iterdir() if path.is_file()}


def put_back(directory, old):
    """In place: whoever has the files open sees it."""
    for path in pathlib.Path(directory).iterdir():
        if path.is_file():
            with path.open("r+b") as file:
                file.truncate(0)
                file.write(old.get(path, b""))


class Points(RestartTest):
    def open(self, directory, **options):
        self.events = []
        return ultravisor.open(**{"backend": BACKENDS[0], "memory": "64M",
                                  "in_process": False, "storage": directory,
                                  **options})

    def die(self, host):
        os.kill(self.pid(host), signal.SIGKILL)

    def states(self, host):
        return {p["name"]: p["state"] for p in host.query("partitions")}

    def again(self, host):
        """It dies, and is started."""
        before = len(self.of(C.ULV_EVENT_RESTARTED))
        host.kill("ultravisor")
        self.until(host, lambda: len(self.of(C.ULV_EVENT_RESTARTED)) > before)

    def go_through(self, host, storage, early):
        """Kill what is started at its first operation, its second, ..."""
        at = 0
        while True:
            at += 1
            with host.transaction() as t:
                t.partition(f"p{at}-{early}")
            revision = self.last_commit(host)
            self.events = []
            storage.next(at, early)
            self.again(host)
            done = self.of(C.ULV_EVENT_RESTARTED)
            self.assertEqual([e.value for e in done], [revision])
            self.assertEqual([e.data for e in self.of(C.ULV_EVENT_FAULT)], [])
            if storage.count < at or len(self.of(C.ULV_EVENT_DIED)) == 1:
                return at - 1

    def test_each_operation(self):
        """What is started again dies at each of its operations."""
        with tempfile.TemporaryDirectory() as directory:
            with self.open(directory) as host:
                storage = Storage(host, lambda: self.die(host))
                guest = self.guest(host, "counter", memory="4M")
                guest.start(IMAGES / "counter.elf")
                early = self.go_through(host, storage, True)
                late = self.go_through(host, storage, False)
                print(f"# {early} and {late} operations", flush=True)
                self.assertGreater(min(early, late), 5)
                storage.next(0)
                before = self.count(guest)
                self.until(host, lambda: self.count(guest) != before)
                self.assertLessEqual({f"p{n}-{e}" for n in range(1, late)
                                      for e in (True, False)},
                                     set(self.states(host)))
                guest.stop()
                last = self.last_commit(host)
            self.assertEqual(self.check_journal(directory), last)

    @each_kind
    def test_given_up(self, backend, in_process):
        """One after the other dies and has done nothing: there is an end."""
        with tempfile.TemporaryDirectory() as directory, self.open(
                directory, backend=backend, in_process=in_process) as host:
            guest = self.guest(host, "counter", memory="4M")
            guest.start(IMAGES / "counter.elf")
            for _ in range(TRIES):
                self.again(host)
            host.kill("ultravisor")
            self.until(host, lambda: self.of(C.ULV_EVENT_FAULT))
            fault = self.of(C.ULV_EVENT_FAULT)[0]
            self.assertIn("given up", str(fault.data))
            self.assertEqual(len(self.of(C.ULV_EVENT_RESTARTED)), TRIES)
            with self.assertRaises(ultravisor.Error):
                with host.transaction() as t:
                    t.partition("web")
            before = self.count(guest)
            self.until(host, lambda: self.count(guest) != before)

    @each_kind
    def test_not_given_up(self, backend, in_process):
        """Each has done something: there is none."""
        with tempfile.TemporaryDirectory() as directory, self.open(
                directory, backend=backend, in_process=in_process) as host:
            for number in range(TRIES + 2):
                self.again(host)
                with host.transaction() as t:
                    t.partition(f"p{number}")
            self.assertEqual([e.data for e in self.of(C.ULV_EVENT_FAULT)], [])

    def test_a_channel_drains(self):
        """Only the journal knows that it is taken away when it dies: the next
        one says so in the header, before anybody has to have let go."""
        with tempfile.TemporaryDirectory() as directory, \
                self.open(directory) as host:
            with host.transaction() as t:
                guest = t.partition("counter", memory="4M")
                number = t.connect(guest, None, b"nobody reads it")
            guest.start(IMAGES / "counter.elf")
            self.until(host, lambda: self.states(host)["counter"]
                       == C.ULV_STATE_RUNNING)
            end = channel.admit(host.hand_out(number))
            header = []

            def happens():
                if storage.count == 2:  # append, sync
                    self.die(host)
                    storage.always = True  # its heir's, too
                header.append((end.words[0] == channel.MAGIC,
                               end.state(0), end.state(1)))

            storage = Storage(host, happens)
            storage.next(2)
            with host.transaction() as t:
                t.revoke(number)
            host.wait_settled(60)
            self.hear(host)
            self.assertEqual(len(self.of(C.ULV_EVENT_RESTARTED)), 1)
            self.assertNotIn(channel.REVOKED, header[0])
            # at the last: that it has drained becomes durable
            self.assertEqual(header[-1],
                             (True, channel.REVOKED, channel.REVOKED))
            guest.stop()
            end.close()

    def test_a_channel_is_taken_away(self):
        """Only the journal knows it when it dies: nobody has it then."""
        with tempfile.TemporaryDirectory() as directory, \
                self.open(directory) as host:
            storage = Storage(host, lambda: self.die(host))
            number, descriptor = host.admit()
            end = channel.admit(descriptor)
            storage.next(2)  # append, sync
            with host.transaction() as t:
                t.revoke(number)
            self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))
            self.assertGreaterEqual(storage.count, 2)
            self.assertEqual(end.state(channel.SERVER), channel.REVOKED)
            self.assertEqual(end.state(channel.CLIENT), channel.REVOKED)
            self.assertNotIn(number,
                             [c["id"] for c in host.query("channels")])
            end.close()

    def test_the_journal_does_not_know_it(self):
        """A guest that runs is in no journal: it ends, and what it had is
        somebody else's."""
        with tempfile.TemporaryDirectory() as directory, \
                self.open(directory) as host:
            free = self.free(host)
            old = contents(directory)
            guest = self.guest(host, "counter", memory="16M")
            guest.start(IMAGES / "counter.elf")
            self.until(host, lambda: self.states(host)["counter"]
                       == C.ULV_STATE_RUNNING)
            host.kill("ultravisor")
            put_back(directory, old)
            end = self.wait(host, guest)
            self.assertEqual(end.reason, C.ULV_END_REASON_FAULT)
            self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))
            faults = [str(e.data) for e in self.of(C.ULV_EVENT_FAULT)]
            self.assertTrue(any("not in the journal" in f for f in faults),
                            faults)
            self.assertNotIn("counter", self.states(host))
            self.assertEqual(self.free(host), free)

    def test_the_keeper_lacks_it(self):
        """What the journal has and nobody else can be taken away; a guest
        that has it does not run."""
        with tempfile.TemporaryDirectory() as directory, \
                self.open(directory) as host:
            free = self.free(host)
            guest = self.guest(host, "web", memory="16M")
            old = contents(directory)
            with host.transaction() as t:
                t.destroy(guest)
            host.kill("ultravisor")
            put_back(directory, old)
            self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))
            faults = [str(e.data) for e in self.of(C.ULV_EVENT_FAULT)]
            self.assertTrue(any("does not have it" in f for f in faults),
                            faults)
            self.assertEqual(self.free(host), free - 16 * MIB - self.rings(
                host, guest))
            with self.assertRaises(ultravisor.Error):
                guest.start(IMAGES / "hello.elf")
            with host.transaction() as t:
                t.destroy(guest)
            self.assertEqual(self.free(host), free)

    def rings(self, host, guest):
        return sum(c["bytes"] for c in host.query("channels")
                   if guest.id in (c["server"], c["client"]))
