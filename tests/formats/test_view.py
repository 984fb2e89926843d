# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two implementations of views: the C one publishes, the Python one reads.

usage: tap.py test_view.py PUBLISHER

ULTRAVISOR_ROUNDS says how often one is killed, ULTRAVISOR_SEED how it
begins."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import unittest

import view

PUBLISHER = sys.argv[1]
SEGMENT = 262144
COMMITS = 400
ROUNDS = int(os.environ["ULTRAVISOR_ROUNDS"])
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))
MONITOR, GUEST = 0, 1


class Views(unittest.TestCase):
    def setUp(self):
        self.files = [os.memfd_create(name) for name in ("monitor", "guest")]
        for file in self.files:
            self.addCleanup(os.close, file)
            os.ftruncate(file, SEGMENT)

    def publish(self, commits):
        return subprocess.Popen([PUBLISHER, *map(str, self.files),
                                 str(commits)], pass_fds=self.files)

    def check(self, part, generation, found):
        """All of it is of one generation."""
        (partition,) = found[view.PARTITION]
        self.assertEqual((partition[0], partition[6]), (7, generation))
        self.assertEqual(partition[7].rstrip(b"\0"), b"read from outside")
        memory = found[view.MEMORY]
        self.assertEqual(len(memory), 1 + generation * 37 % 220)
        for i, (address, frame, size, *_) in enumerate(memory):
            self.assertEqual(
                (address, frame, size),
                (generation, generation + i if part == MONITOR else 0, i))

    def test_nothing_is_published_yet(self):
        self.assertIsNone(view.View(self.files[MONITOR], SEGMENT).picture())

    def test_beside_a_publisher(self):
        """Whole pictures only, up to the last one, in both parts."""
        views = [view.View(file, SEGMENT) for file in self.files]
        pictures, lapped, last = [0, 0], 0, [0, 0]
        publisher = self.publish(COMMITS)
        self.addCleanup(publisher.wait)
        self.addCleanup(publisher.kill)
        while min(last) < COMMITS:
            for part, of_part in enumerate(views):
                over = publisher.poll() is not None
                try:
                    picture = of_part.picture()
                except view.Lapped:
                    self.assertFalse(over, "nobody was in the way")
                    lapped += 1
                    continue
                if picture is None:
                    self.assertFalse(over, "nothing was published")
                    continue
                self.assertGreaterEqual(picture[0], last[part])
                self.check(part, *picture)
                self.assertEqual(of_part.part, part)
                last[part] = picture[0]
                pictures[part] += 1
                self.assertFalse(over and last[part] < COMMITS,
                                 "the last generation is not shown")
        self.assertEqual(publisher.wait(), 0)
        print(f"# {pictures} pictures, lapped {lapped} times", flush=True)

    def test_a_publisher_that_is_killed(self):
        """What it showed last stays whole, wherever it was."""
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)
        for _ in range(ROUNDS):
            commits = chance.randrange(1, 41)
            with self.subTest(commits=commits):
                publisher = self.publish(1000000)
                of_monitor = view.View(self.files[MONITOR], SEGMENT)
                while (of_monitor.root() or (0, 0))[0] < commits:
                    self.assertIsNone(publisher.poll())
                publisher.kill()
                publisher.wait()
                for part, file in enumerate(self.files):
                    picture = view.View(file, SEGMENT).picture()
                    if picture is not None:
                        self.check(part, *picture)
                for file in self.files: # the next one has a chain of its own
                    os.ftruncate(file, 0)
                    os.ftruncate(file, SEGMENT)

    def read_on(self, part):
        """For ever; what is wrong ends it."""
        of_part = view.View(self.files[part], SEGMENT)
        while True:
            with contextlib.suppress(view.Lapped):
                picture = of_part.picture()
                if picture is not None:
                    self.check(part, *picture)

    def test_readers_that_are_killed(self):
        """Neither the publisher nor who reads beside them notices."""
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)
        publisher = self.publish(1000000)
        self.addCleanup(publisher.wait)
        self.addCleanup(publisher.kill)
        beside, last = view.View(self.files[GUEST], SEGMENT), 0
        for _ in range(ROUNDS):
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    self.read_on(chance.choice((MONITOR, GUEST)))
                os._exit(1)
            time.sleep(chance.expovariate(500))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            self.assertEqual(os.waitstatus_to_exitcode(status),
                             -signal.SIGKILL, "it read what is wrong")
            before = last
            while last == before:
                self.assertIsNone(publisher.poll())
                with contextlib.suppress(view.Lapped):
                    picture = beside.picture()
                    if picture is not None:
                        self.check(GUEST, *picture)
                        last = picture[0]


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
