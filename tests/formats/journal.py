# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A reader of journals, written from doc/formats/journal.md alone: the records
of the database that the objects of a storage hold, as dictionaries."""

import struct

HEADER = struct.Struct("<8sII16sQQ12sI")
FRAME = struct.Struct("<IIQQII")
ENTRY = struct.Struct("<II")
STATE, LEASE, TRANSACTION, REMOVE, ANSWER, END, PARTITION = range(1, 8)
BLOCK = 65536
PARTITION_HEAD = struct.Struct("<QQ4IQQQQ4IQ6Q32s32s")
PARTITION_FIELDS = ("id version kind state intent end_reason end_code "
                    "capabilities silence_limit window ran restarts count "
                    "restart_window zone").split()
SHARE = struct.Struct("<QQII")
# of each kind: its name, its layout, its fields
RECORDS = {
    8: ("processor", struct.Struct("<QQ6I"),
        "id version package core thread node os_number retired"),
    9: ("memory", struct.Struct("<QQQQII"),
        "id version base bytes node gone_blocks"),
    10: ("device", struct.Struct("<QQQQQII32s"),
         "id version serving standby bytes kind flags name"),
    11: ("extent", struct.Struct("<6QIIQ"),
         "id version partition guest_address frame bytes node flags heir"),
    12: ("channel", struct.Struct("<7Q5I4x16s16s"),
         "id version server client device frame bytes epoch flags server_slot "
         "client_slot ring_bytes type instance"),
    13: ("zone", struct.Struct("<QQ6Q32s32s"), "id version"),
    14: ("label", struct.Struct("<QQQ16s48s"), "id version object key value"),
    15: ("range", struct.Struct("<5QI4x"),
         "id version owner first count kind"),
    16: ("hardware", struct.Struct("<6Q4I24s16s"),
         "id version owner parent address bytes kind device_class node model "
         "name driver"),
    17: ("retired", struct.Struct("<4Q"), "id version frame bytes"),
}


class Damaged(Exception):
    """No journal, of another version, or damaged."""


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        yield byte


TABLE = tuple(_table())


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def text(data):
    return data.split(b"\0", 1)[0].decode()


class Journal:
    def __init__(self, checkpoint, segments):
        """segments: those of even, and those of odd numbers"""
        self.records, self.log, self.leases = {}, {}, {}
        self.revision, self.answers = 0, {}
        if not checkpoint:
            if any(len(s) > HEADER.size for s in segments):
                raise Damaged("a segment without a checkpoint")
            return
        self.guid, self.segment, last = self.header(checkpoint, 1)
        self.entries, self.ended = 0, False
        for number, frame in enumerate(self.frames(checkpoint, 1, True), 1):
            if self.ended:
                raise Damaged("something behind the end of the checkpoint")
            self.take(frame, number)
        if not self.ended:
            raise Damaged("the checkpoint has no end")
        segment = segments[self.segment % 2]
        if len(segment) < HEADER.size:
            return
        guid, number, _ = self.header(segment, 2)
        if guid != self.guid or number != self.segment:
            return  # of no meaning
        for frame in self.frames(segment, last + 1, False):
            self.take(frame, None)

    @staticmethod
    def header(data, kind):
        magic, version, found, guid, segment, last, _, crc = \
            HEADER.unpack_from(data)
        if magic != b"ULVJRNL\n" or version != 3 or found != kind or \
                crc != crc32c(data[:60]):
            raise Damaged("not the header of a journal that is known here")
        return guid, segment, last

    def frame_at(self, data, at):
        """(number, bytes of its entries, count), or None: there is none."""
        if at + FRAME.size > len(data):
            return None
        magic, size, number, segment, count, crc = FRAME.unpack_from(data, at)
        body = data[at + FRAME.size:at + FRAME.size + size]
        if magic != 0x66564c55 or size % 8 or size > 1 << 28 or \
                segment != self.segment or len(body) != size:
            return None
        head = data[at:at + 28] + bytes(4)
        if crc32c(body, crc32c(head, crc32c(self.guid))) != crc:
            return None
        return number, body, count

    def frames(self, data, number, whole):
        at = HEADER.size
        while (frame := self.frame_at(data, at)) and frame[0] == number:
            yield frame
            at += FRAME.size + len(frame[1])
            number += 1
        if whole and at != len(data):
            raise Damaged(f"at {at} of the checkpoint")
        for later in range(at, len(data), 8):
            frame = self.frame_at(data, later)
            if frame and frame[0] > number:
                raise Damaged(f"at {at} of the segment")

    def take(self, frame, in_checkpoint):
        _, body, count = frame
        at, revision = 0, self.revision
        for _ in range(count):
            kind, size = ENTRY.unpack_from(body, at)
            content = body[at + ENTRY.size:at + ENTRY.size + size]
            if size % 8 or len(content) != size:
                raise Damaged("an entry that is longer than its frame")
            at += ENTRY.size + size
            if kind == TRANSACTION:
                number, = struct.unpack_from("<Q", content)
                if not in_checkpoint and number != revision + 1:
                    raise Damaged(f"revision {number} behind {revision}")
                revision = number
                self.log[number] = content
            elif kind == END:
                if struct.unpack("<Q", content)[0] != self.entries:
                    raise Damaged("entries are missing")
                self.ended = True
            else:
                self.entry(kind, content)
            self.entries += 1
        if at != len(body):
            raise Damaged("more in a frame than its entries")
        if not in_checkpoint and revision != self.revision:
            raise Damaged("a frame whose state is of another revision")

    def entry(self, kind, content):
        if kind == STATE:
            self.revision, self.own_next, self.own_end = \
                struct.unpack("<QQQ", content)
        elif kind == LEASE:
            block, unused, own = struct.unpack("<QQQ", content)
            self.leases[block] = [unused, own]
        elif kind == ANSWER:
            client, request, revision = struct.unpack("<16sQQ", content)
            self.answers.setdefault(client, {})[request] = revision
        elif kind == REMOVE:
            number, = struct.unpack("<Q", content)
            self.records.pop(number, None)
            self.use(number)
        else:
            self.record(kind, content)

    def use(self, number):
        lease = self.leases[number // BLOCK]
        lease[0] = max(lease[0], number + 1)

    def record(self, kind, content):
        if kind == PARTITION:
            record = self.partition(content)
        elif kind in RECORDS:
            name, layout, fields = RECORDS[kind]
            values = layout.unpack(content)
            record = dict(zip(fields.split(), values))
            if kind == 13:
                record |= {"limit": values[2:8], "name": values[8],
                           "policy": values[9]}
            record["record"] = name
        else:
            raise Damaged(f"an entry of kind {kind}")
        for field in "name", "policy", "key", "value", "driver":
            if field in record:
                record[field] = text(record[field])
        self.records[record["id"]] = record
        self.use(record["id"])

    @staticmethod
    def partition(content):
        values = PARTITION_HEAD.unpack_from(content)
        record = dict(zip(PARTITION_FIELDS, values))
        record |= {"record": "partition", "limit": values[15:21],
                   "name": values[21], "policy": values[22]}
        count = record.pop("count")
        if len(content) != PARTITION_HEAD.size + count * SHARE.size:
            raise Damaged("a partition with another count of shares")
        record["shares"] = [
            SHARE.unpack_from(content, PARTITION_HEAD.size + i * SHARE.size)
            for i in range(count)]
        return record

    def of(self, name):
        return [r for _, r in sorted(self.records.items())
                if r["record"] == name]
