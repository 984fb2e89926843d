# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A reader of views, written from doc/formats/view.md alone.

Shared memory is read by x86: a processor does its loads in order, so that what
the document calls acquire takes nothing here; an aligned word of a memoryview
of format Q is read by one load. The interpreter reorders nothing either."""

import mmap
import struct

PAGE = 4096
MAGIC = int.from_bytes(b"ULV_IEW1", "little")
PARTITION, MEMORY = 2, 3
RECORDS = {
    PARTITION: struct.Struct("<QIIQQQQ32s"),
    MEMORY: struct.Struct("<QQQQII"),
}
# generation, kind, first, count, record_bytes, page, offset
ENTRY = struct.Struct("<Q6I")
HEAD = 16  # bytes of a page before its entries or records
ENTRIES_MAX = 63


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
        if magic != MAGIC or version != 3 or part > 1:
            raise Damaged("the root page is of no view")
        self.part = part
        return word >> 16, word & 0xFFFF

    def copy(self, number, generation):
        """A page that was written for that generation."""
        if not 0 < number < self.pages or generation == 0:
            raise Damaged(f"page {number} of generation {generation}")
        first = number * PAGE
        if self.words[first // 8] != generation:
            raise Lapped
        copy = self.memory[first:first + PAGE].tobytes()
        if self.words[first // 8] != generation:
            raise Lapped
        return copy

    def entries(self, number, generation):
        """What a directory lists."""
        copy = self.copy(number, generation)
        count, = struct.unpack_from("<I", copy, 8)
        if count > ENTRIES_MAX:
            raise Damaged(f"{count} entries in page {number}")
        return list(ENTRY.iter_unpack(copy[HEAD:HEAD + count * ENTRY.size]))

    def records(self, page, written, kind, count, size, offset):
        """A run of records of one kind."""
        record = RECORDS[kind]
        if size != record.size or count == 0 or offset % 8 or \
                offset < HEAD or offset + count * size > PAGE:
            raise Damaged(f"kind {kind}: {count} of {size} at {offset}")
        copy = self.copy(page, written)
        return list(record.iter_unpack(copy[offset:offset + count * size]))

    def picture(self):
        """The newest generation, and its records by kind; None: there is none
        yet."""
        root = self.root()
        if root is None:
            return None
        generation, directory = root
        found = {}
        for written, kind, first, count, size, page, offset in \
                self.entries(directory, generation):
            if page == 0 and written == 0:
                page, written = directory, generation
            have = found.setdefault(kind, [])
            if written > generation or first != len(have):
                raise Damaged(f"kind {kind} from {first} on, of generation "
                              f"{written}")
            have.extend(self.records(page, written, kind, count, size,
                                     offset))
        return generation, found
