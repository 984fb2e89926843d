# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Durable transactions through a whole system, one process a role: 1 and 16
clients, each of which asks for its next when the last was answered; beside as
many appends of one frame, each with fdatasync, by this program. Argument:
transactions of each (400).

This program is the keeper too. An answer is nothing that a step waits for, so
steps do not wait."""

import os
import pathlib
import struct
import sys
import tempfile
import time

import ultravisor

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "formats"))
import channel  # noqa: E402
import command  # noqa: E402

FRAME_BYTES = 400  # about what such a transaction takes in the journal


class Asking:
    """A client of a system that is stepped between its looks; it has a
    partition that it labels."""

    def __init__(self, host):
        self.host = host
        self.client = command.Client(channel.admit(host.admit()[1]))
        number = self.client.send(command.HELLO, self.client.guid)
        first, = struct.unpack_from("<Q", self.wait(number), 8)
        self.ids = iter(range(first, first + command.LEASE))
        self.revisions = set()
        self.own, self.turn = next(self.ids), 0
        self.asked = self.client.transaction(
            command.create_partition(self.own, f"p{self.own}"))
        self.wait(self.asked)

    def wait(self, number):
        while self.client.channel.peek() is None:
            self.host.step(0)
        return self.client.answer(number)

    def ask(self):
        self.turn += 1
        self.asked = self.client.transaction(
            command.set_label(self.own, "turn", str(self.turn)))

    def answered(self):
        if self.client.channel.peek() is None:
            return False
        status, _, revision, text = self.client.committed(self.asked)
        if status != 0:
            raise ValueError(text)
        self.revisions.add(revision)
        return True


def through_a_system(directory, clients, count):
    with ultravisor.open(backend="process", in_process=False, memory="32M",
                         storage=directory) as host:
        asking = [Asking(host) for _ in range(clients)]
        began, done = time.perf_counter(), 0
        for one in asking:
            one.ask()
        while done < count:
            host.step(0)
            for one in asking:
                if one.answered():
                    done += 1
                    one.ask()
        took = time.perf_counter() - began
        for one in asking:
            one.wait(one.asked)
            one.client.channel.close()
    revisions = set().union(*(one.revisions for one in asking))
    return took / done, done / len(revisions)


def appends(directory, count):
    file = os.open(pathlib.Path(directory) / "appends",
                   os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    began = time.perf_counter()
    for _ in range(count):
        os.write(file, bytes(FRAME_BYTES))
        os.fdatasync(file)
    took = time.perf_counter() - began
    os.close(file)
    return took / count


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    where = os.environ.get("ULTRAVISOR_STORAGE")
    for clients in (1, 16):
        with tempfile.TemporaryDirectory(dir=where) as directory:
            floor = appends(directory, count)
        with tempfile.TemporaryDirectory(dir=where) as directory:
            each, together = through_a_system(directory, clients, count)
        print(f"{clients} clients: {each * 1e6:.0f} us a transaction, "
              f"{together:.1f} a sync; append and fdatasync {floor * 1e6:.0f} "
              f"us: {floor / each:.2f} of it", flush=True)


if __name__ == "__main__":
    main()
