# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two implementations of a bulk area: one lends pieces, the other borrows.

usage: tap.py test_bulk.py END"""

import mmap
import os
import random
import struct
import subprocess
import sys
import time
import unittest

import bulk

END = sys.argv[1]
SIZE = 1 << 20
ROWS = 200
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))


def turned(data):
    return bytes(byte ^ 255 for byte in data)


class BulkAreas(unittest.TestCase):
    def setUp(self):
        self.memory = os.memfd_create("bulk")
        self.addCleanup(os.close, self.memory)
        os.ftruncate(self.memory, SIZE)
        self.area = memoryview(mmap.mmap(self.memory, SIZE))

    def start(self, what, *arguments):
        process = subprocess.Popen(
            [END, what, str(self.memory), str(SIZE), *map(str, arguments)],
            pass_fds=[self.memory], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        return process

    @staticmethod
    def put(process, payload):
        process.stdin.write(struct.pack("<I", len(payload)) + payload)
        process.stdin.flush()

    @staticmethod
    def get(process):
        head = process.stdout.read(4)
        return process.stdout.read(*struct.unpack("<I", head)) if head else b""

    def test_python_borrows(self):
        process = self.start("lend", ROWS)
        mine = bulk.Bulk(self.area, 1)
        for number in range(1, ROWS + 1):
            one, flags, source, rest = mine.parse(self.get(process))
            self.assertEqual((one, flags, rest), (number, 0, b""))
            two, flags, target, _ = mine.parse(self.get(process))
            self.assertEqual((two, flags), (number, bulk.WRITABLE))
            data = mine.read(source)
            self.assertEqual(len(data), number * 7919 % 100000 + 1)
            mine.write(target, turned(data))
            self.put(process, struct.pack("<Q", number))
        self.assertEqual(process.wait(), 0)

    def test_python_lends(self):
        print(f"# seed {SEED}", flush=True)
        chance = random.Random(SEED)
        process = self.start("borrow")
        mine = bulk.Bulk(self.area, 0)
        for number in range(ROWS):
            size = chance.randrange(1, 100001)
            data = chance.randbytes(size)
            source, target = mine.take(size, chance), mine.take(size, chance)
            mine.write(source, data)
            self.put(process, mine.payload(source, number, 0, b"and more"))
            self.put(process, mine.payload(target, number, bulk.WRITABLE))
            self.assertEqual(self.get(process), struct.pack("<Q", number))
            self.assertEqual(mine.read(target), turned(data))
            mine.give_back(source)
            mine.give_back(target)
        process.stdin.close()
        self.assertEqual(process.wait(), 0)

    def test_python_is_hostile(self):
        """The C end believes what the document allows, and nothing else."""
        print(f"# seed {SEED}", flush=True)
        chance = random.Random(SEED)
        process = self.start("borrow")
        mine, theirs = bulk.Bulk(self.area, 0), bulk.Bulk(self.area, 1)
        places = (0, 1, SIZE // 2 - 1, SIZE // 2, SIZE - 1, SIZE, 2 ** 64 - 1)
        refused = 0
        for _ in range(3000):
            row = [(chance.choice(places), chance.choice(places))
                   for _ in range(chance.choice((1, 1, 2, 64, 65)))]
            payload = bytearray(mine.payload(row, 1, chance.choice((0, 1, 2))))
            if chance.random() < 0.2:
                del payload[chance.randrange(len(payload)):]
            try:
                theirs.parse(bytes(payload))
            except bulk.Broken:
                self.put(process, payload)
                status, = struct.unpack("<i", self.get(process))
                self.assertLess(status, 0)
                refused += 1
        self.assertGreater(refused, 1000)
        process.stdin.close()
        self.assertEqual(process.wait(), 0)


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
