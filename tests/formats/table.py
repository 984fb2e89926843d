# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A writer and a reader of shared tables, written from doc/formats/table.md
alone.

On x86 stores are seen in their order and loads are done in theirs; a word of a
memoryview of format Q is one store or load. So what the document calls release
and acquire takes nothing here."""

import mmap
import struct

MAGIC = int.from_bytes(b"ULV_TBL1", "little")
HEAD = struct.Struct("<QIIII")  # magic, version, entries, bytes of one, 0
EPOCH, CHANGES, STATE, AWAITS, ENTRIES = 24, 64, 72, 128, 192
COPIES = 4
WORD = 1 << 64


class NotNow(Exception):
    """Nobody writes it, or the writer was faster."""


class Damaged(Exception):
    """No writer leaves this."""


class Section:
    def __init__(self, descriptor, size, write=False):
        access = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        self.bytes = memoryview(mmap.mmap(descriptor, size, prot=access))
        self.words = self.bytes.cast("Q")
        self.size = size
        self.count = self.entry = self.epoch = 0

    def word(self, offset):
        return self.words[offset // 8]

    def set_word(self, offset, value):
        self.words[offset // 8] = value

    def can_be(self, count, entry):
        return (count >= 1 and entry % 8 == 0 and 8 <= entry <= 65536
                and ENTRIES + count * self.stride(entry) <= self.size)

    @staticmethod
    def stride(entry):
        return (8 + COPIES * entry + 63) // 64 * 64

    def at(self, number):
        return ENTRIES + number * self.stride(self.entry)

    def value(self, number, sequence):
        """Where that value of an entry lies."""
        first = self.at(number) + 8 + sequence % COPIES * self.entry
        return slice(first, first + self.entry)


class Writer(Section):
    def __init__(self, descriptor, size, count, entry):
        super().__init__(descriptor, size, write=True)
        if not self.can_be(count, entry):
            raise ValueError("no section is like that")
        self.count, self.entry = count, entry
        epoch = ((self.word(EPOCH) | 1) + 1) % WORD or 2
        head = (MAGIC, 1, count, entry)
        if self.word(EPOCH) % 2 or HEAD.unpack_from(self.bytes)[:4] != head:
            self.set_word(EPOCH, epoch - 1)
            HEAD.pack_into(self.bytes, 0, *head, 0)
            self.set_word(CHANGES, 0)
            self.set_word(STATE, 0)
            for number in range(count):
                self.set_word(self.at(number), 0)
        self.changes = self.word(CHANGES)
        self.set_word(AWAITS, 0)
        self.set_word(EPOCH, epoch)

    def put(self, number, value):
        if not 0 <= number < self.count or len(value) != self.entry:
            raise ValueError("no such entry")
        sequence = (self.word(self.at(number)) + 1) % WORD
        self.bytes[self.value(number, sequence)] = value
        self.set_word(self.at(number), sequence)
        self.changes = (self.changes + 1) % WORD
        self.set_word(CHANGES, self.changes)


class Reader(Section):
    def refresh(self):
        """How many entries were ever written."""
        epoch = self.word(EPOCH)
        if epoch == 0 or epoch % 2:
            raise NotNow
        magic, version, count, entry, _ = HEAD.unpack_from(self.bytes)
        if self.word(EPOCH) != epoch:
            raise NotNow
        if (magic, version) != (MAGIC, 1) or not self.can_be(count, entry):
            raise Damaged(f"{count} entries of {entry}")
        self.epoch, self.count, self.entry = epoch, count, entry
        return self.word(CHANGES)

    def read(self, number):
        """(sequence, value), or None: it was never written."""
        if not 0 <= number < self.count:
            raise ValueError("no such entry")
        if self.word(EPOCH) != self.epoch:
            raise NotNow
        sequence = self.word(self.at(number))
        if sequence == 0:
            return None
        value = bytes(self.bytes[self.value(number, sequence)])
        if (self.word(self.at(number)) - sequence) % WORD > COPIES - 2 or \
                self.word(EPOCH) != self.epoch:
            raise NotNow
        return sequence, value

    def state(self):
        return struct.unpack_from("<I", self.bytes, STATE)[0]
