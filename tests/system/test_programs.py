# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Another program on a live system, without the library: written from the
documents, over the memory and the doorbells that it was admitted to."""

import fcntl
import mmap
import os
import pathlib
import random
import socket
import struct
import sys
import threading
import time

from common import PLACEMENTS, SystemTest

import ultravisor
from ultravisor import C

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "formats"))
import channel  # noqa: E402
import command  # noqa: E402

ECHO = pathlib.Path(os.environ["ULTRAVISOR_GUESTS"]) / "echo.elf"
TYPE = b"ultravisor echo".ljust(16, b"\0")
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))


def each_placement(test):
    def run(self):
        for in_process in PLACEMENTS:
            with self.subTest(in_process=in_process), \
                    ultravisor.open(backend="process", memory="64M",
                                    in_process=in_process) as host:
                test(self, host)
    run.__doc__ = test.__doc__
    return run


class Clients(SystemTest):
    def beside(self, host, work):
        """Do the work of another program while the system is stepped."""
        found = []

        def run():
            try:
                work()
            except BaseException as error:  # told in the test's own thread
                found.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            host.step(0.01)
        thread.join()
        if found:
            raise found[0]

    def client(self, host):
        """(id of the channel, a client that has yet to say HELLO)"""
        number, descriptor = host.admit()
        end = channel.admit(descriptor)
        self.assertEqual(end.end, channel.CLIENT)
        return number, command.Client(end)

    @each_placement
    def test_asks(self, host):
        """Many at a time, in order, each once; what is refused says why."""
        _, client = self.client(host)

        def work():
            self.assertEqual(client.hello(), 0)
            names = [f"from-python-{n}" for n in range(20)]
            asked = [client.transaction(command.create_partition(
                next(client.ids), name)) for name in names]
            revisions = [client.committed(number) for number in asked]
            self.assertEqual([r[0] for r in revisions], [0] * 20)
            self.assertEqual(sorted(r[2] for r in revisions),
                             [r[2] for r in revisions])
            self.assertEqual(client.order[1:], asked)
            # the same number again is the same answer, and nothing happens
            again = client.transaction(command.create_partition(
                next(client.ids), "not-made"), number=asked[3])
            self.assertEqual(client.committed(again), revisions[3])
            status, index, _, text = client.committed(client.transaction(
                command.create_partition(next(client.ids), names[0])))
            self.assertEqual((status, index), (C.ULV_E_EXISTS, 0))
            self.assertIn(names[0], text)
            found = [r[72:104].rstrip(b"\0").decode()
                     for r in client.records(command.PARTITIONS)]
            self.assertLessEqual(set(names), set(found))
            self.assertNotIn("not-made", found)

        self.beside(host, work)
        self.assertIn("from-python-7",
                      [p["name"] for p in host.query("partitions")])
        client.channel.close()

    def labels(self, host):
        return {label["value"] for label in host.query("labels")
                if label["key"] == "large"}

    @each_placement
    def test_large(self, host):
        """As many operations as there may be, all or none, also when they are
        not asked for by us."""
        _, client = self.client(host)
        _, other = self.client(host)

        def asked(name, **how):
            first, second = next(client.ids), next(client.ids)
            return client.committed(client.transaction(
                command.create_partition(first, f"beside-{name}"),
                *(command.set_label(first, "large", f"{name}-{n}")
                  for n in range(4094)),
                command.create_partition(second, name), **how))

        def work():
            self.assertEqual((client.hello(), other.hello()), (0, 0))
            status, index, *_ = asked("fits", options=command.DRY_RUN)
            self.assertEqual((status, index), (0, 2 ** 32 - 1))
            status, index, _, text = asked("command")
            self.assertEqual((status, index), (C.ULV_E_EXISTS, 4095))
            self.assertIn("command", text)
            self.assertEqual(asked("fits")[:2], (0, 2 ** 32 - 1))
            # one more than there may be is no message of anybody's
            bad = struct.pack("<IIII Q", 0, 0, 128, 3969, 0)
            other.send(command.TRANSACTION, bad + 128 * command.set_label(
                1, "large", "bad"))
            while other.channel.state(channel.SERVER) != channel.FAILED:
                other.channel.wait(0.01)

        self.beside(host, work)
        names = [p["name"] for p in host.query("partitions")]
        self.assertEqual([n for n in names if n.startswith("beside-")],
                         ["beside-fits"])
        self.assertIn("fits", names)
        with host.transaction() as t:
            mine = t.partition("mine", memory="2M")
            for n in range(4090):
                t.label(mine, large=str(n))
        self.assertIn("4089", self.labels(host))
        with self.assertRaises(ultravisor.Error) as caught, \
                host.transaction() as t:
            for n in range(4097):
                t.label(mine, large="never")
        self.assertEqual(caught.exception.status, C.ULV_E_LIMIT)
        self.assertIn("4096", str(caught.exception))
        self.assertNotIn("never", self.labels(host))
        client.channel.close()
        other.channel.close()

    @each_placement
    def test_deadlines_and_cancel(self, host):
        """What is too late is not begun, what is taken back neither."""
        _, client = self.client(host)

        def work():
            self.assertEqual(client.hello(), 0)
            late = [client.transaction(
                command.create_partition(next(client.ids), f"late-{n}"),
                options=command.DRY_RUN, deadline=1) for n in range(20)]
            found = {client.committed(n)[0] for n in late}
            self.assertIn(C.ULV_E_TIMEOUT, found)
            self.assertLessEqual(found, {0, C.ULV_E_TIMEOUT})
            asked = [client.transaction(
                command.create_partition(next(client.ids), f"back-{n}"),
                options=command.DRY_RUN) for n in range(10)]
            said, = struct.unpack_from(
                "<i", client.answer(client.cancel(asked[-1])))
            self.assertIn((said, client.committed(asked[-1])[0]),
                          {(0, C.ULV_E_CANCELED), (C.ULV_E_NOT_FOUND, 0)})

        self.beside(host, work)
        client.channel.close()

    @each_placement
    def test_garbage(self, host):
        """Who sends it is disconnected; who does not is served on."""
        print(f"# seed {SEED}", flush=True)
        chance = random.Random(SEED)
        _, good = self.client(host)
        bad = [self.client(host)[1] for _ in range(8)]

        def work():
            self.assertEqual(good.hello(), 0)
            for number, client in enumerate(bad):
                if number % 2:
                    self.assertEqual(client.hello(), 0)
                message = bytearray(command.HEADER.pack(
                    40, command.TRANSACTION, 1, 99) + bytes(24))
                message[chance.choice((0, 1, 4, 6))] ^= \
                    1 << chance.randrange(8)
                client.channel.send(command.TRANSACTION, bytes(message))
                while client.channel.state(channel.SERVER) != channel.FAILED:
                    client.channel.wait(0.01)
                self.assertEqual(good.committed(good.transaction(
                    command.create_partition(next(good.ids), f"n{number}"),
                    options=command.DRY_RUN))[0], 0)

        self.beside(host, work)
        faults = [e for e in host.pending() if e.kind == C.ULV_EVENT_FAULT]
        self.assertGreaterEqual(len(faults), len(bad))
        for client in (good, *bad):
            client.channel.close()

    @each_placement
    def test_put_out(self, host):
        """It hears it by its doorbell; memory is returned."""
        before = host.query("memory")[0]["free_bytes"]
        number, client = self.client(host)
        ready = threading.Event()

        def work():
            self.assertEqual(client.hello(), 0)
            ready.set()
            with self.assertRaises(channel.Gone):
                client.take()
            self.assertEqual(client.channel.state(channel.SERVER),
                             channel.REVOKED)

        found = []

        def run():
            try:
                work()
            except BaseException as error:
                found.append(error)
                ready.set()

        other = threading.Thread(target=run)
        other.start()
        while not ready.is_set():
            host.step(0.01)
        with host.transaction() as t:
            t.revoke(number)
        other.join()
        self.assertEqual(found, [])
        self.assertEqual(host.query("memory")[0]["free_bytes"], before)
        client.channel.close()

    @each_placement
    def test_leaves(self, host):
        """Whoever closes his admission is out, and its channel goes."""
        before = len(host.query("channels"))
        _, client = self.client(host)
        self.assertEqual(len(host.query("channels")), before + 1)
        client.channel.link.close()
        while len(host.query("channels")) != before:
            host.step(0.01)
        self.assertEqual(client.channel.state(channel.SERVER), channel.REVOKED)
        client.channel.close()

    @each_placement
    def test_what_it_was_handed(self, host):
        """It is neither cut off nor sealed by who was handed it."""
        _, descriptor = host.admit()
        link = socket.socket(fileno=descriptor)
        message, files, _, _ = socket.recv_fds(link, 4096, 8)
        size = os.fstat(files[0]).st_size
        self.assertEqual(len(message), channel.ADMISSION.size)
        for other in (0, 4096, size + 4096):
            with self.assertRaises(PermissionError):
                os.ftruncate(files[0], other)
        for seal in (fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SHRINK,
                     fcntl.F_SEAL_SEAL):
            with self.assertRaises(PermissionError):
                fcntl.fcntl(files[0], fcntl.F_ADD_SEALS, seal)
        # attached twice, and rung without end: the system goes on
        ends = [channel.Channel(files[0], os.dup(files[1]), os.dup(files[2]),
                                channel.CLIENT, channel.COMMAND)
                for _ in range(2)]
        for _ in range(5000):
            ends[0].ring()
        before = len(host.query("partitions"))
        self.assertGreater(before, 0)
        memory = mmap.mmap(files[0], size)
        memory[4096:size] = b"\xff" * (size - 4096)
        ends[0].ring()
        while ends[0].state(channel.SERVER) != channel.FAILED:
            host.step(0.01)
        self.assertEqual(len(host.query("partitions")), before)
        for end in ends:
            end.close()
        memory.close()
        for file in files:
            os.close(file)
        link.close()

    @each_placement
    def test_a_guest_answers(self, host):
        """The other end of the channel is a guest in C; an end that was handed
        out can be handed out again."""
        with host.transaction() as t:
            guest = t.partition("echo", memory="4M")
            number = t.connect(guest, None, TYPE)
        guest.start(ECHO)
        for turn in range(3):
            end = channel.admit(self.handed_out(host, number))
            last = turn == 2

            def work(end=end, last=last):
                for n in range(300):
                    payload = bytes([n & 0xff]) * (n * 13 % 900)
                    end.send(n + 1, payload)
                    self.assertEqual(end.take(), (n + 1, payload))
                if last:
                    end.send(0, b"")

            self.beside(host, work)
            if last:
                self.wait(host, guest)
                # who was there has left, and the header says it
                self.assertEqual(end.state(1 - end.end), channel.DETACHED)
            end.close()

    def handed_out(self, host, number):
        """When whoever had it before has left."""
        while True:
            try:
                return host.hand_out(number)
            except ultravisor.Error as error:
                self.assertEqual(error.status, C.ULV_E_BUSY)
                host.step(0.01)


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
