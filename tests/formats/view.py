# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A reader of views, written from doc/formats/view.md alone.

Shared memory is read by x86: a processor does its loads in order, so that what
the document calls acquire takes nothing here; an aligned word of a memoryview
of format Q is read by one load. The interpreter reorders nothing either."""

import mmap
import struct

PAGE = 4096
MAGIC = int.from_bytes(b"ULV_IEW1", "little")
DIRECTORY, PARTITION, MEMORY = 1, 2, 3
RECORDS = {
    DIRECTORY: struct.Struct("<IIIxxxxQ"),     # kind, idx, page, generation
    PARTITION: struct.Struct("<QIIQQQQ32s"),
    MEMORY: struct.Struct("<QQQQII"),
}


def table_of_crc():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = tuple(table_of_crc())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Lapped(Exception):
    """The publisher was faster: start over."""


class Damaged(Exception):
    """No publisher writes this."""


class View:
    def __init__(self, descriptor, size):
        self.memory = memoryview(mmap.mmap(descriptor, size,
                                           prot=mmap.PROT_READ))
        self.words = self.memory.cast("Q")
        self.pages = size // PAGE

    def root(self):
        """(generation, page of the directory), or None"""
        word = self.words[40 // 8]
        if word == 0:
            return None
        magic, version, part = struct.unpack_from("<QII", self.memory)
        if magic != MAGIC or version != 1 or part > 1:
            raise Damaged("the root page is of no view")
        self.part = part
        return word >> 16, word & 0xFFFF

    def page(self, number, generation, kind, idx):
        """The records of a page."""
        if not 0 < number < self.pages or generation == 0:
            raise Damaged(f"page {number} of generation {generation}")
        first = number * PAGE
        if self.words[first // 8] != generation:
            raise Lapped
        copy = self.memory[first:first + PAGE].tobytes()
        if self.words[first // 8] != generation:
            raise Lapped
        found, its, count, size, crc = struct.unpack_from("<5I", copy, 8)
        record = RECORDS[kind]
        if (found, its, size) != (kind, idx, record.size) or \
                count > (PAGE - 32) // size:
            raise Damaged(f"page {number}: {found} {its} {count} {size}")
        data = copy[32:32 + count * size]
        if crc32c(data) != crc:
            raise Damaged(f"page {number}: its checksum")
        return list(record.iter_unpack(data))

    def picture(self):
        """The newest generation, and its records by kind; None: there is none
        yet."""
        root = self.root()
        if root is None:
            return None
        generation, directory = root
        found = {}
        for kind, idx, page, written in sorted(
                self.page(directory, generation, DIRECTORY, 0)):
            if written > generation:
                raise Damaged("a page of a generation that is to come")
            found.setdefault(kind, []).extend(
                self.page(page, written, kind, idx))
        return generation, found
