# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A program that asks a system, without the library: client of kill_load.py.

usage: kill_client.py ADMISSION NAME SEED FORMATS

It has one partition, that begins with nothing and gets a page with each
transaction, or is exchanged for another; two labels count the transactions. It
writes a line before it asks for one, and one when that is answered. While it
waits it may ask again, with the same number. "hold" on standard input: it says
so between two transactions, and waits for "go"."""

import random
import select
import struct
import sys

ADMISSION, NAME, SEED, FORMATS = sys.argv[1:]
sys.path.insert(0, FORMATS)
import channel  # noqa: E402
import command  # noqa: E402

DESTROY_PARTITION, ASSIGN_MEMORY = 4, 5
ANY_NODE = 0xffffffff
PEER_GONE = -43  # the ultravisor died under it again and again
PAGES_MAX = 40


def destroy(number):
    return struct.pack("<IIQ", DESTROY_PARTITION, 0, number).ljust(96, b"\0")


def page(number):
    return struct.pack("<IIQQI", ASSIGN_MEMORY, 0, number, 4096,
                       ANY_NODE).ljust(96, b"\0")


def count(number, turn):
    return [command.set_label(number, key, str(turn))
            for key in ("turn", "twin")]


class Asking:
    def __init__(self):
        self.client = command.Client(channel.admit(int(ADMISSION)))
        self.chance = random.Random(int(SEED))
        if self.client.hello() != 0:
            raise ValueError("it is not greeted")
        self.own, self.pages, self.turn = 0, 0, 0

    def ask(self, operations):
        """Until it is committed, once; every answer says the same."""
        number, asked, found = None, 0, set()
        while not found:
            number = self.client.transaction(*operations, number=number)
            asked += 1
            self.client.channel.wait(self.chance.choice((0, 0.01, 60)))
            if asked < 4 and self.client.channel.peek() is None:
                continue
            for _ in range(asked):
                found.add(self.client.committed(number)[:3])
            asked = 0
            if {status for status, *_ in found} == {PEER_GONE}:
                found = set()
        if len(found) != 1:
            raise ValueError(f"answers differ: {found}")
        (status, _, revision), = found
        if status != 0:
            raise ValueError(f"refused: {status}")
        return revision

    def next(self):
        own, pages, turn = self.own, self.pages + 1, self.turn + 1
        if own == 0 or pages > PAGES_MAX:
            own, pages = next(self.client.ids), 0
            operations = [destroy(self.own)] if self.own else []
            operations.append(command.create_partition(own, NAME))
        else:
            operations = [page(own)]
        print("asked", own, pages, turn, flush=True)
        revision = self.ask(operations + count(own, turn))
        self.own, self.pages, self.turn = own, pages, turn
        print("answered", own, pages, turn, revision, flush=True)


def main():
    asking = Asking()
    while True:
        if select.select([sys.stdin], [], [], 0)[0]:
            if not sys.stdin.readline():
                return  # nobody looks any more
            print("held", flush=True)
            if not sys.stdin.readline():
                return
        asking.next()


if __name__ == "__main__":
    main()
