# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The other end of a channel means harm, never answers, or is killed at any
moment: who is left notices, gets his memory back, and goes on with the next.

ULTRAVISOR_ROUNDS says how often one is killed, ULTRAVISOR_SEED how it
begins."""

import contextlib
import fcntl
import os
import pathlib
import random
import select
import signal
import sys
import time

from common import IMAGES, PATIENCE, SystemTest, changeable, each_kind

import ultravisor
from ultravisor import C, ffi, lib

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "formats"))
import channel  # noqa: E402
import command  # noqa: E402

ECHO = pathlib.Path(os.environ["ULTRAVISOR_GUESTS"]) / "echo.elf"
TYPE = b"ultravisor echo".ljust(16, b"\0")
ROUNDS = int(os.environ["ULTRAVISOR_ROUNDS"])
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))


GONE = 7  # how a program ends that finds nobody at the other end


class Child:
    def __init__(self, number):
        self.number = number
        self.code = None

    def wait(self, options=os.WNOHANG):
        """How it ended, or None."""
        number, status = os.waitpid(self.number, options)
        if number != 0:
            self.code = os.waitstatus_to_exitcode(status)
        return self.code


class EndsTest(SystemTest):
    def until(self, host, done, what):
        until = time.monotonic() + PATIENCE
        while not done():
            self.assertLess(time.monotonic(), until, what)
            host.step(0.01)

    def says(self, host, words):
        def said():
            return any(e.kind == C.ULV_EVENT_LOG and e.data == words
                       for e in host.pending())
        self.until(host, said, f"nobody says {words}")


class Hostile(EndsTest):
    def two(self, host, kind):
        with host.transaction() as t:
            bad = t.partition("bad", memory="4M")
            good = t.partition("good", memory="4M")
            t.connect(good, bad, kind)
        return bad, good

    @each_kind
    def test_a_flipped_guid(self, backend, in_process):
        """Of the type or of the instance: whoever comes to attach refuses,
        program or guest."""
        for kind in (b"flip type", b"flip instance"):
            with ultravisor.open(backend=backend, in_process=in_process,
                                 memory="64M") as host:
                bad, good = self.two(host, kind)
                bad.start(IMAGES / "flips.elf")
                self.says(host, b"flipped")
                good.start(IMAGES / "attaches.elf")
                end = self.wait(host, good)
                self.assertEqual((end.reason, end.code),
                                 (C.ULV_END_REASON_STOP,
                                  -C.ULV_E_PEER_PROTOCOL), end.text)
                self.assertIsNone(bad.wait(0))
                self.assert_alive(host)
                host.check()
                bad.stop()

    @each_kind
    def test_a_flipped_guid_and_a_program(self, backend, in_process):
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            with host.transaction() as t:
                bad = t.partition("bad", memory="4M")
                number = t.connect(bad, None, b"flip type")
            bad.start(IMAGES / "flips.elf")
            self.says(host, b"flipped")
            found = ffi.new("ulv_channel **")
            self.assertEqual(
                lib.ulv_channel_open(host._system, number, found, ffi.NULL),
                C.ULV_E_PEER_PROTOCOL)
            bad.stop()

    @each_kind
    def test_never_answers(self, backend, in_process):
        """Nobody waits longer than he says; it is taken all the same."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            with host.transaction() as t:
                silent = t.partition("silent", memory="4M")
                number = t.connect(silent, None, b"silence")
            silent.start(IMAGES / "attaches.elf")
            self.says(host, b"attached")
            found = ffi.new("ulv_channel **")
            self.assertEqual(
                lib.ulv_channel_open(host._system, number, found, ffi.NULL), 0)
            end = found[0]
            while lib.ulv_channel_send(end, 1, b"x" * 1000, 1000) == 0:
                pass
            for wanted in (C.ULV_CHANNEL_DATA, C.ULV_CHANNEL_ROOM):
                now = lib.ulv_system_now(host._system)
                self.assertEqual(
                    lib.ulv_channel_wait(end, wanted, 1000, now + 1000000),
                    C.ULV_E_TIMEOUT)
            if backend in changeable():
                with host.transaction() as t:
                    t.revoke(number)
                host.wait_settled()
            else:
                silent.stop()
                self.wait(host, silent)
            self.assertEqual(
                lib.ulv_channel_wait(end, C.ULV_CHANNEL_DATA, 0,
                                     0xffffffffffffffff), C.ULV_E_PEER_GONE)
            lib.ulv_channel_close(end)
            host.check()


class Kills(EndsTest):
    """Rounds on one system; each leaves it as it was."""

    @contextlib.contextmanager
    def other_program(self, descriptor, work, admit=channel.admit):
        """Another process that does work(end) for ever, unless its peer is
        gone; killed in the end, if it was not waited for."""
        child = Child(os.fork())
        if child.number == 0:
            try:
                work(admit(descriptor))
            except channel.Gone:
                os._exit(GONE)
            except BaseException as error:
                print(f"# {error!r}", flush=True)
            os._exit(1)
        os.close(descriptor)
        try:
            yield child
        finally:
            if child.code is None:
                os.kill(child.number, signal.SIGKILL)
                child.wait(0)
                self.assertEqual(child.code, -signal.SIGKILL,
                                 "it ended by itself")

    def let_work(self, host, chance):
        """The system steps for a random while."""
        until = time.monotonic() + chance.expovariate(200)
        while time.monotonic() < until:
            host.step(0.001)

    def state(self, host):
        return (len(host.query("channels")), len(host.query("partitions")),
                host.query("memory")[0]["free_bytes"])

    def test_admitted_programs(self):
        """Each asks without end when it is killed."""
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)

        def ask(end):
            client = command.Client(end)
            client.hello()
            while True:
                for _ in range(chance.randrange(1, 20)):
                    last = client.transaction(
                        command.create_partition(next(client.ids), "never"),
                        options=command.DRY_RUN)
                client.answer(last)

        with ultravisor.open(backend="process", memory="64M") as host:
            before = self.state(host)
            for number in range(ROUNDS):
                with self.subTest(number=number):
                    _, descriptor = host.admit()
                    with self.other_program(descriptor, ask):
                        self.let_work(host, chance)
                    self.until(host, lambda: self.state(host) == before,
                               "it is not forgotten")
            host.check()
            self.assert_alive(host)

    def handed_out(self, host, number):
        """When whoever had it before has left."""
        found = []

        def is_free():
            with contextlib.suppress(ultravisor.Error):
                found.append(host.hand_out(number))
            return found

        self.until(host, is_free, "its holder is not forgotten")
        return found[0]

    def test_what_it_was_handed(self):
        """A program cannot change the size of a channel's memory, nor what may
        be done with it; and who attaches again and again harms nobody."""
        def tamper(found):
            (memory, *bells), rest = found
            size = os.fstat(memory).st_size
            for tries in (lambda: os.ftruncate(memory, 0),
                          lambda: os.ftruncate(memory, 2 * size),
                          lambda: fcntl.fcntl(memory, fcntl.F_ADD_SEALS,
                                              fcntl.F_SEAL_WRITE),
                          lambda: fcntl.fcntl(memory, fcntl.F_ADD_SEALS,
                                              fcntl.F_SEAL_SEAL)):
                try:
                    tries()
                except PermissionError:
                    continue
                raise AssertionError("it could")
            for number in range(100):
                end = channel.Channel(memory, *bells, *rest)
                end.send(7, bytes([number]) * 900)
                if end.take() != (7, bytes([number]) * 900):
                    raise AssertionError("another answer")
            os._exit(0)

        with ultravisor.open(backend="process", memory="64M",
                             in_process=False) as host:
            with host.transaction() as t:
                guest = t.partition("echo", memory="4M")
                number = t.connect(guest, None, TYPE)
            guest.start(ECHO)
            with self.other_program(host.hand_out(number), tamper,
                                    channel.handed) as child:
                self.until(host, lambda: child.wait() is not None,
                           "it does not end")
            self.assertEqual(child.code, 0)
            host.check()
            self.assert_alive(host)

    def kill_guest(self, host, guest, child, talks):
        """The program hears of it; the guest is started again."""
        self.until(host, lambda: select.select([talks], [], [], 0)[0],
                   "the guest answers nobody")
        host.kill("echo")
        self.wait(host, guest)
        self.until(host, lambda: child.wait() is not None,
                   "the program does not notice")
        self.assertEqual(child.code, GONE)
        guest.start(ECHO)

    def test_either_end_of_a_channel(self):
        """A program or a guest that send to one another when one is killed;
        the next one of its kind goes on."""
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)

        def talk(end, tells):
            while True:
                payload = os.urandom(chance.randrange(8, 900))
                end.send(7, payload)
                # what was on its way to a predecessor comes first
                while end.take() != (7, payload):
                    pass
                with contextlib.suppress(BlockingIOError):
                    os.write(tells, b".")

        with ultravisor.open(backend="process", memory="64M",
                             in_process=False) as host:
            with host.transaction() as t:
                guest = t.partition("echo", memory="4M")
                number = t.connect(guest, None, TYPE)
            before = self.state(host)
            guest.start(ECHO)
            for round_number in range(ROUNDS):
                talks, tells = os.pipe()
                os.set_blocking(tells, False)
                with self.subTest(number=round_number), \
                        self.other_program(
                            self.handed_out(host, number),
                            lambda end, to=tells: talk(end, to)) as child:
                    self.let_work(host, chance)
                    if chance.random() < 0.3:
                        self.kill_guest(host, guest, child, talks)
                os.close(talks)
                os.close(tells)
            guest.stop()
            self.wait(host, guest)
            self.until(host, lambda: self.state(host) == before,
                       "something is left")
            host.check()
            self.assert_alive(host)


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
