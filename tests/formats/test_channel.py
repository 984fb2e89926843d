# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two implementations of channels: one end in C, the other in Python.

usage: tap.py test_channel.py END"""

import os
import random
import struct
import subprocess
import sys
import time
import unittest

import channel

END = sys.argv[1]
SERVER, CLIENT = channel.SERVER, channel.CLIENT
TYPE = b"made to die".ljust(16, b"\0")
PAYLOAD = 56
RECORD = 8 + PAYLOAD
MORE, LAST = 1, 2
RECORDS = 5000
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))


class Channels(unittest.TestCase):
    """channel_end.c says what its two ends do; either is played here."""

    def setUp(self):
        self.memory = os.memfd_create("channel")
        self.bells = [os.eventfd(0), os.eventfd(0)]
        for file in (self.memory, *self.bells):
            self.addCleanup(os.close, file)
        subprocess.run([END, "format", str(self.memory)], check=True,
                       pass_fds=[self.memory])

    def start(self, end, records):
        """The end in C."""
        process = subprocess.Popen(
            [END, str(end), str(self.memory), str(self.bells[end]),
             str(self.bells[1 - end]), str(records)],
            pass_fds=[self.memory, *self.bells])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def attach(self, end):
        """The end in Python."""
        return channel.Channel(self.memory, os.dup(self.bells[end]),
                               os.dup(self.bells[1 - end]), end, TYPE)

    def read(self, end, number):
        kind, payload = end.take()
        self.assertEqual(payload, bytes([number & 0xff]) * PAYLOAD)
        return kind

    def send(self, end, number, kind):
        while True:
            try:
                return end.send(kind, bytes([number & 0xff]) * PAYLOAD)
            except channel.Full:
                end.wait(60)

    def test_python_reads(self):
        self.start(SERVER, RECORDS)
        client = self.attach(CLIENT)
        self.addCleanup(client.close)
        kinds = [self.read(client, n) for n in range(RECORDS)]
        self.assertEqual(kinds, [MORE] * (RECORDS - 1) + [LAST])

    def test_python_sends(self):
        process = self.start(CLIENT, 0)
        server = self.attach(SERVER)
        self.addCleanup(server.close)
        for n in range(RECORDS):
            self.send(server, n, LAST if n == RECORDS - 1 else MORE)
        self.assertEqual(process.wait(60), 0)

    def test_one_takes_over_from_the_other(self):
        """A C server is killed at any moment; Python goes on where it was, and
        C again."""
        print(f"# seed {SEED}", flush=True)
        chance = random.Random(SEED)
        client = self.start(CLIENT, 0)
        for _ in range(10):
            process = self.start(SERVER, 1 << 40)
            time.sleep(chance.expovariate(100))
            process.kill()
            process.wait()
            server = self.attach(SERVER)
            first = server.tx.at // RECORD
            for n in range(first, first + 1 + chance.randrange(500)):
                self.send(server, n, MORE)
            self.assertIsNone(client.poll())
            server.close()
        self.start(SERVER, 100)
        self.assertEqual(client.wait(60), 0)

    def test_python_is_hostile(self):
        """Whatever is written beside it the C end ends with an error, and
        does not read outside, loop or die by a signal."""
        print(f"# seed {SEED}", flush=True)
        chance = random.Random(SEED)
        for number in range(40):
            with self.subTest(number=number):
                self.setUp()
                end = chance.choice((SERVER, CLIENT))
                other = self.attach(1 - end)
                process = self.start(end, 1 << 40)
                control = (other.rx if chance.random() < 0.5 else other.tx)
                for _ in range(chance.randrange(1, 200)):
                    word = chance.choice((control.tail, control.head,
                                          control.space_at, control.data_at))
                    other.words[word] = chance.choice(
                        (chance.getrandbits(64), chance.getrandbits(14) * 8,
                         other.words[word] + 8, 0))
                    struct.pack_into("<I", other.bytes, other.tx.data +
                                     chance.randrange(4096 // 8) * 8,
                                     chance.getrandbits(32))
                    other.ring()
                # at last something that cannot be, in both directions
                for word in (other.rx.head, other.tx.tail):
                    other.words[word] = 3
                while process.poll() is None:
                    other.ring()
                    other.words[other.rx.head] = 3
                    other.words[other.tx.tail] = 3
                self.assertGreater(process.returncode, 0)
                other.close()


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
