# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Either end of a channel is killed at any moment, and another goes on.

usage: tap.py test_kills.py END

ULTRAVISOR_ROUNDS says how often, ULTRAVISOR_SEED how it begins."""

import os
import random
import subprocess
import sys
import time
import unittest

END = sys.argv[1]
ROUNDS = int(os.environ["ULTRAVISOR_ROUNDS"])
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))
SERVER, CLIENT = 0, 1
PATIENCE = 60  # seconds until a test gives up; never a measure


class Kills(unittest.TestCase):
    def setUp(self):
        self.memory = os.memfd_create("channel")
        self.bells = [os.eventfd(0), os.eventfd(0)]
        self.ends = [None, None]
        for file in (self.memory, *self.bells):
            self.addCleanup(os.close, file)
        subprocess.run([END, "format", str(self.memory)], check=True,
                       pass_fds=[self.memory])

    def tearDown(self):
        for end in self.ends:
            end.kill()
            end.wait()

    def start(self, end, records):
        self.ends[end] = subprocess.Popen(
            [END, str(end), str(self.memory), str(self.bells[end]),
             str(self.bells[1 - end]), str(records)],
            pass_fds=[self.memory, *self.bells])

    def test_either_end_at_any_moment(self):
        """Nothing is lost, nothing is out of order, nobody waits for ever."""
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)
        for end in (SERVER, CLIENT):
            self.start(end, 1 << 40)
        for number in range(ROUNDS):
            end = chance.choice((SERVER, CLIENT))
            time.sleep(chance.expovariate(1000))
            self.assertIsNone(self.ends[end].poll(),
                              f"round {number}: end {end} ended by itself")
            self.ends[end].kill()
            self.ends[end].wait()
            self.start(end, 1 << 40)
        self.ends[SERVER].kill()
        self.ends[SERVER].wait()
        self.start(SERVER, 10000)
        for end in (SERVER, CLIENT):
            self.assertEqual(self.ends[end].wait(PATIENCE), 0)


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
