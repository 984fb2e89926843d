# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Requests of several clients that wait are made durable together: with one
sync, each answered as if it had come alone, also when the storage fails or the
ultravisor dies under them."""

import os
import pathlib
import signal
import struct
import sys
import tempfile

from common import BACKENDS, RestartTest, each_kind
from test_restart_points import Storage

import ultravisor
from ultravisor import C

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "formats"))
import channel  # noqa: E402
import command  # noqa: E402

CLIENTS = 8
NONE = 2 ** 32 - 1


def set_policy(number, name):
    """An operation that changes the partition's record."""
    return struct.pack("<II Q 32s", 24, 0, number, name.encode()).ljust(
        96, b"\0")


class Failing(Storage):
    """Every append fails while it is told to."""

    fails = False

    def watch(self, real):
        call = super().watch(real)

        def checked(*arguments):
            if self.fails and len(arguments) == 5 and arguments[3] > 64:
                return C.ULV_E_MEDIUM
            return call(*arguments)
        return checked


class Groups(RestartTest):
    def die(self, host):
        os.kill(self.pid(host), signal.SIGKILL)

    def open(self, directory, **options):
        self.events = []
        return ultravisor.open(**{"backend": BACKENDS[0], "memory": "64M",
                                  "in_process": False, "storage": directory,
                                  **options})

    def clients(self, host):
        found = []
        for _ in range(CLIENTS):
            _, descriptor = host.admit()
            client = command.Client(channel.admit(descriptor))
            number = client.send(command.HELLO, client.guid)
            self.until(host, lambda c=client: c.channel.peek() is not None)
            first, = struct.unpack_from("<Q", client.answer(number), 8)
            client.ids = iter(range(first, first + command.LEASE))
            found.append(client)
        return found

    def answers(self, host, clients, numbers):
        """[(status, index, revision, text)], when all have come."""
        found = []
        for client, number in zip(clients, numbers):
            self.until(host, lambda c=client: c.channel.peek() is not None)
            found.append(client.committed(number))
            self.assertIsNone(client.channel.peek())
        return found

    def create(self, clients, prefix):
        """One of each; nobody looks meanwhile."""
        return [client.transaction(command.create_partition(
            next(client.ids), f"{prefix}-{n}"))
            for n, client in enumerate(clients)]

    def names(self, host):
        return [p["name"] for p in host.query("partitions")]

    def close(self, clients):
        for client in clients:
            client.channel.close()

    @each_kind
    def test_one_sync(self, backend, in_process):
        with tempfile.TemporaryDirectory() as directory, self.open(
                directory, backend=backend, in_process=in_process) as host:
            clients = self.clients(host)
            storage = Storage(host, lambda: None)
            storage.next(None)
            found = self.answers(host, clients, self.create(clients, "p"))
            self.assertEqual([f[:2] for f in found], [(0, NONE)] * CLIENTS)
            revisions = {f[2] for f in found}
            print(f"# {len(revisions)} revisions, {storage.count} operations",
                  flush=True)
            # one that comes first may go first
            self.assertLessEqual(len(revisions), 1 if in_process else 3)
            self.assertLess(storage.count, CLIENTS)
            self.assertLessEqual({f"p-{n}" for n in range(CLIENTS)},
                                 set(self.names(host)))
            self.close(clients)

    def of_each_kind(self, clients, web, other):
        """One request of each client, no two of the same kind."""
        new = [next(client.ids) for client in clients]
        offer = struct.pack("<IIQQQQII32s", 8, 0, new[0], 0, 0, 0, 2, 0, b"c")
        attach = struct.pack("<IIQQQI", 9, 0, next(clients[0].ids), web.id,
                             new[0], 0)
        operations = [
            [offer.ljust(96, b"\0"), attach],
            [struct.pack("<IIQQQQQ16s", 10, 0, new[1], other.id, web.id, 4096,
                         0, b"a type")],
            [struct.pack("<IIQII", 18, 0, web.id, 0, 7)],
            [struct.pack("<IIQQQQI", 30, 0, new[3], other.id, 0x60, 5, 1)],
            [struct.pack("<IIQQIIII32s", 37, 0, other.id, 0, 0, 0, 1, 0,
                         b"renamed")],
            [set_policy(web.id, "gold")],
            [command.create_partition(new[6], "p")],
            [command.set_label(other.id, "key", "value")]]
        return [client.transaction(*(o.ljust(96, b"\0") for o in some))
                for client, some in zip(clients, operations)]

    @each_kind
    def test_of_each_kind(self, backend, in_process):
        """What gives, connects, marks and books, of two partitions, at once."""
        with tempfile.TemporaryDirectory() as directory, self.open(
                directory, backend=backend, in_process=in_process) as host:
            with host.transaction() as t:
                web = t.partition("web", memory="2M")
                other = t.partition("other")
            clients = self.clients(host)
            found = self.answers(host, clients,
                                 self.of_each_kind(clients, web, other))
            self.assertEqual([f[:2] for f in found], [(0, NONE)] * CLIENTS,
                             [f[3] for f in found])
            self.assertLessEqual(len({f[2] for f in found}),
                                 1 if in_process else 3)
            self.assertEqual(
                {p["name"]: p["policy"] for p in host.query("partitions")
                 if p["id"] in (web.id, other.id)},
                {"web": "gold", "renamed": ""})
            self.assertEqual([r["first"] for r in host.query("ranges")],
                             [0x60])
            self.assertEqual({c["server"] == other.id for c in
                              host.query("channels") if c["client"] == web.id},
                             {True, False})
            host.check()
            self.close(clients)

    @each_kind
    def test_one_is_refused(self, backend, in_process):
        """It alone, and told of its own operation."""
        with tempfile.TemporaryDirectory() as directory, self.open(
                directory, backend=backend, in_process=in_process) as host:
            clients = self.clients(host)
            numbers = self.create(clients[:-1], "p")
            numbers.append(clients[-1].transaction(
                command.create_partition(next(clients[-1].ids), "other"),
                command.create_partition(next(clients[-1].ids), "command")))
            found = self.answers(host, clients, numbers)
            self.assertEqual([f[:2] for f in found[:-1]],
                             [(0, NONE)] * (CLIENTS - 1))
            self.assertEqual(found[-1][:2], (C.ULV_E_EXISTS, 1))
            self.assertIn("command", found[-1][3])
            self.assertNotIn("other", self.names(host))
            self.assertIn("p-0", self.names(host))
            self.close(clients)

    @each_kind
    def test_one_wins(self, backend, in_process):
        """All expect the same version of the same record."""
        with tempfile.TemporaryDirectory() as directory, self.open(
                directory, backend=backend, in_process=in_process) as host:
            with host.transaction() as t:
                guest = t.partition("web")
            version = next(p["version"] for p in host.query("partitions")
                           if p["name"] == "web")
            clients = self.clients(host)
            body = struct.pack("<IIII Q QQ", 0, 1, 1, 0, 0, guest.id, version)
            found = self.answers(host, clients, [client.send(
                command.TRANSACTION, body + set_policy(guest.id, f"p{n}"))
                for n, client in enumerate(clients)])
            self.assertEqual(sorted(f[0] for f in found),
                             sorted([0] + [C.ULV_E_CONFLICT] * (CLIENTS - 1)))
            self.close(clients)

    def test_the_storage_fails(self):
        """All of them fail with what it says; nothing is changed, and it goes
        on when that works again."""
        with tempfile.TemporaryDirectory() as directory, \
                self.open(directory) as host:
            clients = self.clients(host)
            storage = Failing(host, lambda: None)
            before = self.names(host)
            storage.fails = True
            found = self.answers(host, clients, self.create(clients, "no"))
            self.assertEqual([f[0] for f in found],
                             [C.ULV_E_MEDIUM] * CLIENTS)
            self.assertEqual(self.names(host), before)
            storage.fails = False
            found = self.answers(host, clients, self.create(clients, "yes"))
            self.assertEqual([f[0] for f in found], [0] * CLIENTS)
            self.assertEqual(len(self.names(host)), len(before) + CLIENTS)
            self.close(clients)

    def test_the_ultravisor_dies(self):
        """Before it has written, between, or when only the journal knows:
        each is carried out once."""
        for at, early in ((1, True), (1, False), (2, True), (2, False)):
            with self.subTest(at=at, early=early), \
                    tempfile.TemporaryDirectory() as directory:
                with self.open(directory) as host:
                    clients = self.clients(host)
                    before = self.names(host)
                    storage = Storage(host, lambda h=host: self.die(h))
                    storage.next(at, early)
                    found = self.answers(host, clients,
                                         self.create(clients, "p"))
                    self.assertEqual([f[:2] for f in found],
                                     [(0, NONE)] * CLIENTS)
                    self.until(host,
                               lambda: self.of(C.ULV_EVENT_RESTARTED))
                    self.assertEqual(
                        sorted(self.names(host)),
                        sorted(before + [f"p-{n}" for n in range(CLIENTS)]))
                    # and again the same answer
                    again = clients[0].transaction(number=2)
                    self.assertEqual(
                        self.answers(host, clients[:1], [again])[0][:3],
                        found[0][:3])
                    self.close(clients)

    def test_one_leaves(self):
        """The others are answered."""
        with tempfile.TemporaryDirectory() as directory, \
                self.open(directory) as host:
            clients = self.clients(host)
            numbers = self.create(clients, "p")
            clients[3].channel.close()
            left = clients[:3] + clients[4:]
            found = self.answers(host, left, numbers[:3] + numbers[4:])
            self.assertEqual([f[0] for f in found], [0] * (CLIENTS - 1))
            self.close(left)


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
