# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A client of the command protocol, written from doc/formats/command.md alone;
what it runs over is channel.py."""

import os
import struct

from channel import Full

HEADER = struct.Struct("<IHHQ")
HELLO, TRANSACTION, QUERY, CANCEL, OPERATIONS = 1, 2, 3, 4, 7
MESSAGE_MAX = 128  # operations
ANSWER = 0x100
LEASE = 65536
PARTITIONS = 1  # of queries
CREATE_PARTITION, ADD_MEMORY, SET_LABEL = 3, 2, 23
DRY_RUN = 1


def create_partition(number, name, kind=0):
    """An operation; kind 0 is a guest."""
    return struct.pack("<II QQQ II 32s", CREATE_PARTITION, 0, number, 0, 0,
                       kind, 0, name.encode()).ljust(96, b"\0")


def set_label(number, key, value):
    return struct.pack("<II Q 16s 48s", SET_LABEL, 0, number, key.encode(),
                       value.encode()).ljust(96, b"\0")


class Client:
    """Requests are numbered from 1; answers are kept by their numbers."""

    def __init__(self, channel, guid=None):
        self.channel = channel
        self.guid = guid or os.urandom(16)
        self.number = 0
        self.answers = {}
        self.order = []  # in which they came
        self.lease = range(0)

    def send(self, kind, body, number=None):
        if number is None:
            self.number += 1
            number = self.number
        message = HEADER.pack(HEADER.size + len(body), kind, 1, number) + body
        self.channel.send(kind, message)
        return number

    def hello(self):
        status, _, first, _ = struct.unpack(
            "<iIQQ", self.answer(self.send(HELLO, self.guid)))
        if status == 0:
            self.ids = iter(range(first, first + LEASE))
        return status

    def transaction(self, *operations, options=0, deadline=0, number=None):
        first, more = operations[:MESSAGE_MAX], operations[MESSAGE_MAX:]
        number = self.send(TRANSACTION, struct.pack(
            "<IIII Q", options, 0, len(first), len(more), deadline) +
            b"".join(first), number)
        while more:
            some, more = more[:MESSAGE_MAX], more[MESSAGE_MAX:]
            self.more(number, *some)
        return number

    def more(self, number, *operations):
        """When there is room, the next operations of a transaction."""
        body = struct.pack("<II", len(operations), 0) + b"".join(operations)
        while True:
            try:
                self.send(OPERATIONS, body, number)
                return
            except Full:
                self.channel.wait(1)

    def query(self, kind, after=0):
        return self.send(QUERY, struct.pack("<IIQ", kind, 0, after))

    def cancel(self, target):
        return self.send(CANCEL, struct.pack("<Q", target))

    def take(self):
        """Hear one answer."""
        kind, message = self.channel.take()
        size, same, version, number = HEADER.unpack_from(message)
        if (size, same, version) != (len(message), kind, 1) or \
                not kind & ANSWER:
            raise ValueError("no answer")
        self.answers[number] = message[HEADER.size:]
        self.order.append(number)

    def answer(self, number):
        while number not in self.answers:
            self.take()
        return self.answers.pop(number)

    def committed(self, number):
        """(status, index of the operation, revision, text)"""
        answer = self.answer(number)
        status, index, revision = struct.unpack_from("<iIQ", answer)
        return (status, index, revision,
                answer[40:232].split(b"\0")[0].decode())

    def records(self, kind, after=0):
        """All of them, as bytes."""
        more = 1
        while more:
            answer = self.answer(self.query(kind, after))
            status, _, size, count, _, more, _ = struct.unpack_from(
                "<iIIIQII", answer)
            if status != 0:
                raise ValueError(f"query: {status}")
            for i in range(count):
                record = answer[32 + i * size:32 + (i + 1) * size]
                after = int.from_bytes(record[:8], "little")
                yield record
