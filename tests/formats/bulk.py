# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An end of a bulk area, written from doc/formats/bulk.md alone."""

import struct

PAGE, PIECES = 4096, 64
WRITABLE = 1
HEAD = struct.Struct("<QII")  # id, pieces, flags
PIECE = struct.Struct("<QQ")  # offset, bytes


class Broken(Exception):
    """The peer broke the protocol."""


class Bulk:
    def __init__(self, area, end):
        self.area = area
        self.half = len(area) // 2 // PAGE * PAGE
        self.own, self.peer = end * self.half, (1 - end) * self.half
        self.free = set(range(self.own, self.own + self.half, PAGE))

    def take(self, size, chance):
        """Pages from anywhere, each a piece."""
        places = chance.sample(sorted(self.free), -(-size // PAGE))
        self.free.difference_update(places)
        return [(place, min(PAGE, size - number * PAGE))
                for number, place in enumerate(places)]

    def give_back(self, row):
        self.free.update(offset for offset, _ in row)

    def read(self, row):
        return b"".join(bytes(self.area[offset:offset + size])
                        for offset, size in row)

    def write(self, row, data):
        for offset, size in row:
            self.area[offset:offset + size] = data[:size]
            data = data[size:]

    @staticmethod
    def payload(row, number, flags, message=b""):
        return (HEAD.pack(number, len(row), flags)
                + b"".join(PIECE.pack(*piece) for piece in row) + message)

    def parse(self, payload):
        """(id, flags, row, message) of what the peer sent."""
        if len(payload) < HEAD.size:
            raise Broken("shorter than its head")
        number, count, flags = HEAD.unpack_from(payload)
        end = HEAD.size + count * PIECE.size
        if count > PIECES or flags & ~WRITABLE or len(payload) < end:
            raise Broken(f"{count} pieces, flags {flags:#x}")
        row = list(PIECE.iter_unpack(payload[HEAD.size:end]))
        for offset, size in row:
            if size == 0 or not (self.peer <= offset and offset + size
                                 <= self.peer + self.half):
                raise Broken(f"{size} bytes at {offset}")
        return number, flags, row, payload[end:]
