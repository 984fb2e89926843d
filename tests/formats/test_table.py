# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two implementations of shared tables: one writes, the other reads.

usage: tap.py test_table.py END"""

import os
import random
import subprocess
import sys
import time
import unittest

import table

END = sys.argv[1]
SIZE, COUNT, ENTRY = 65536, 5, 256
PUTS = 20000
ROUNDS = 40
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))


def number_in(value):
    """Of a value that is one number over and over; None: it is not."""
    first = value[:8]
    if value != first * (len(value) // 8):
        return None
    return int.from_bytes(first, "little")


class Tables(unittest.TestCase):
    def setUp(self):
        self.memory = os.memfd_create("table")
        self.addCleanup(os.close, self.memory)
        os.ftruncate(self.memory, SIZE)

    def start(self, *arguments):
        process = subprocess.Popen(
            [END, arguments[0], str(self.memory), str(SIZE),
             *map(str, arguments[1:])], pass_fds=[self.memory])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def look(self, reader, number):
        """What an entry says now, or None."""
        try:
            reader.refresh()
            found = reader.read(number)
        except table.NotNow:
            return None
        if found is None:
            return None
        value = number_in(found[1])
        self.assertIsNotNone(value, "half a value")
        return value

    def test_python_reads(self):
        reader = table.Reader(self.memory, SIZE)
        with self.assertRaises(table.NotNow):
            reader.refresh()
        writer = self.start("write", COUNT, ENTRY, PUTS)
        last = [0] * COUNT
        while max(last) < PUTS:
            over = writer.poll() is not None
            for number in range(COUNT):
                value = self.look(reader, number)
                if value is not None:
                    self.assertGreaterEqual(value, last[number])
                    self.assertEqual(value % COUNT, number)
                    last[number] = value
            self.assertFalse(over and max(last) < PUTS,
                             "the last value is not shown")
        self.assertEqual(writer.wait(), 0)
        self.assertEqual(reader.refresh(), PUTS)
        self.assertEqual(sorted(self.look(reader, n) for n in range(COUNT)),
                         list(range(PUTS - COUNT + 1, PUTS + 1)))

    def test_python_writes(self):
        process = self.start("read", PUTS)
        writer = table.Writer(self.memory, SIZE, COUNT, ENTRY)
        for number in range(1, PUTS + 1):
            self.assertIsNone(process.poll())
            writer.put(0, number.to_bytes(8, "little") * (ENTRY // 8))
        self.assertEqual(process.wait(), 0)

    def test_a_writer_that_is_killed(self):
        """Wherever it was, values are whole, and the next one goes on, also
        one of the other make or with entries of another size."""
        print(f"# seed {SEED}", flush=True)
        chance = random.Random(SEED)
        reader = table.Reader(self.memory, SIZE)
        for number in range(ROUNDS):
            with self.subTest(number=number):
                entry = chance.choice((8, 256, 1024))
                process = self.start("write", COUNT, entry, 1 << 40)
                time.sleep(chance.expovariate(500))
                process.kill()
                process.wait()
                values = [self.look(reader, n) for n in range(COUNT)]
                writer = table.Writer(self.memory, SIZE, COUNT, entry)
                if reader.epoch != 0 and reader.entry == entry:
                    self.assertEqual(
                        [self.look(reader, n) for n in range(COUNT)], values)
                writer.put(1, (7).to_bytes(8, "little") * (entry // 8))
                self.assertEqual(self.look(reader, 1), 7)

    def test_python_is_hostile(self):
        """Whatever stands there, the C end ends with its own code."""
        print(f"# seed {SEED}", flush=True)
        chance = random.Random(SEED)
        words = memoryview(table.Writer(self.memory, SIZE, COUNT,
                                        ENTRY).words)
        for number in range(ROUNDS):
            with self.subTest(number=number):
                process = self.start("read", 1 << 40)
                for _ in range(2000):
                    place = chance.choice((0, 1, 2, 3, 8, 16,
                                           chance.randrange(SIZE // 8)))
                    words[place] = chance.choice(
                        (chance.getrandbits(64), chance.getrandbits(8),
                         words[place] + 1 & table.WORD - 1, table.MAGIC))
                words[3] = 2
                words[0] = 0  # at last what is no section
                self.assertIn(process.wait(), (6, 7, 8))


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
