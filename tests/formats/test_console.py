# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two implementations of consoles: servers in C and in Python, a client in
Python.

usage: tap.py test_console.py END"""

import os
import random
import struct
import subprocess
import sys
import time
import unittest

import channel
import console

END = sys.argv[1]
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))
BYTES = 2000000  # each way
SERVERS = 12


class Consoles(unittest.TestCase):
    def setUp(self):
        print(f"# seed {SEED}", flush=True)
        self.chance = random.Random(SEED)
        self.memory, self.region, self.typed, self.said = self.files = [
            os.memfd_create(name)
            for name in ("channel", "region", "typed", "said")]
        os.truncate(self.region, 4096)
        self.bells = [os.eventfd(0), os.eventfd(0)]
        for file in (*self.files, *self.bells):
            self.addCleanup(os.close, file)
        subprocess.run([END, "format", str(self.memory)], check=True,
                       pass_fds=[self.memory])
        self.data = self.chance.randbytes(BYTES)
        os.pwrite(self.typed, self.data, 0)
        self.heard = bytearray()
        self.client = console.Client(self.memory, os.dup(self.bells[1]),
                                     os.dup(self.bells[0]))

    def tearDown(self):
        self.client.close()

    def start(self):
        """The server in C."""
        process = subprocess.Popen(
            [END, str(self.memory), *map(str, self.bells), str(self.region),
             str(self.typed), str(self.said)],
            pass_fds=[*self.files, *self.bells])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def attach(self):
        """The server in Python."""
        return console.Server(
            self.memory, os.dup(self.bells[0]), os.dup(self.bells[1]),
            self.region, lambda at, most: os.pread(self.typed, most, at),
            lambda at, data: os.pwrite(self.said, data, at))

    def step(self):
        """The client: both ways. Whether it did anything."""
        data = self.client.read()
        self.heard += data or b""
        said = self.client.said
        try:
            if said < BYTES:
                self.client.say(self.data[said:said + 1 +
                                          self.chance.randrange(1024)])
        except channel.Full:
            pass
        return data is not None or self.client.said != said

    def is_done(self):
        return len(self.heard) >= BYTES and os.fstat(
            self.said).st_size >= BYTES

    def check(self):
        self.assertEqual(self.heard, self.data)
        self.assertEqual(os.pread(self.said, BYTES + 1, 0), self.data)

    def test_from_c(self):
        self.start()
        while not self.is_done():
            if not self.step():
                self.client.wait(0.1)
        self.check()

    def test_servers_are_killed(self):
        """In C at any moment, then one in Python that stops anywhere; no byte
        is lost or repeated, either way."""
        for number in range(SERVERS):
            process = self.start()
            until = time.monotonic() + self.chance.expovariate(100)
            while time.monotonic() < until:
                self.step()
            process.kill()
            process.wait()
            server = self.attach()
            for _ in range(self.chance.randrange(20)):
                self.step()
                if self.chance.random() < 0.5:
                    server.take_output()
                if self.chance.random() < 0.5:
                    server.give_input()
            # it dies before it has noted what it sent, now and then
            if server.give_input() and number % 3 == 0:
                server.region[console.INPUT_OFFSET] -= 1
            server.close()
        self.test_from_c()

    def test_a_server_without_input(self):
        line = (channel.LINE + 64 * channel.SERVER) // 4 + 2
        server = self.attach()
        self.assertIsNone(self.client.read())
        server.states[line] = 2  # a bit that nobody knows
        self.assertRaises(console.Unsupported, self.client.read)
        server.close()

    def test_a_client_without_input(self):
        """It is never sent what it does not know."""
        line = (channel.LINE + 64 * channel.CLIENT) // 4 + 2
        self.client.states[line] = 0
        process = self.start()
        while os.fstat(self.said).st_size < 20000:
            self.step()
        self.assertEqual(self.heard, b"")
        self.client.states[line] = console.HAS_INPUT
        self.client.ring()
        while len(self.heard) < 20000:
            self.step()
        self.assertIsNone(process.poll())

    def test_a_hostile_client(self):
        """Whatever it writes, a server in C ends with an error."""
        for number in range(30):
            with self.subTest(number=number):
                self.tearDown()
                self.setUp()
                self.chance.seed(SEED + number)
                process = self.start()
                self.break_it(number % 6)
                until = time.monotonic() + 60
                while process.poll() is None and time.monotonic() < until:
                    self.client.ring()
                    time.sleep(0.001)
                self.assertEqual(process.returncode, 100)

    def break_it(self, how):
        client, random_word = self.client, self.chance.getrandbits(64) | 1
        for _ in range(self.chance.randrange(5)):
            self.step()
        if how == 0:
            client.words[client.rx.head] = random_word
            self.heard.clear()
            client.words[client.tx.tail] = random_word
        elif how == 1:
            client.send(console.OUTPUT, struct.pack(
                "<Q", client.said + 1 + random_word % (1 << 32)) + b"gap")
        elif how == 2:
            client.send(console.INPUT, bytes(12))
        elif how == 3:
            client.send(console.OUTPUT, bytes(self.chance.randrange(8)))
        elif how == 4:
            client.send(console.OUTPUT, bytes(8 + 1025))
        else:
            place = client.tx.data + client.tx.at % client.tx.size
            client.send(console.OUTPUT, struct.pack("<Q", client.said) + b"x")
            struct.pack_into("<I", client.bytes, place, 0x10000)
            client.send(console.OUTPUT, bytes(8 + 1025))


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
