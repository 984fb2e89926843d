# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A role dies at any moment while a guest reads: the digest is right.

ULTRAVISOR_ROUNDS says how often, ULTRAVISOR_SEED how it begins."""

import os
import random
import time

from common import BACKENDS, DIGEST, PATIENCE, SystemTest, digest, disk

import ultravisor
from ultravisor import C

ROUNDS = int(os.environ["ULTRAVISOR_ROUNDS"])
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))
# none of these is on the data path, or it has a standby
ROLES = ("io-a", "io-b", "ultravisor", "command", "operations")


class Kills(SystemTest):
    def round(self, chance, path, right):
        backend = chance.choice(BACKENDS)
        in_process = chance.random() < 0.5
        role = chance.choice(ROLES)
        steps = int(chance.expovariate(1 / 100))
        with self.subTest(backend=backend, in_process=in_process, role=role,
                          steps=steps), \
                ultravisor.open(backend=backend, in_process=in_process,
                                memory="32M") as host:
            guest = self.guest(host, "web", path)
            guest.start(DIGEST)
            for _ in range(steps):
                if guest.wait(0) is not None:
                    break
                host.step(0.001)
            host.kill(role)
            self.events = []
            end = self.finish(host, guest)
            self.assertIsNotNone(end, "the guest did not end")
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_STOP, 0), end.text)
            self.assertIn("sha256 " + right, self.console(host, guest))

    def finish(self, host, guest):
        """How it ended, with every event from its start."""
        until = time.monotonic() + PATIENCE
        end = None
        while end is None and time.monotonic() < until:
            host.step(0.1)
            self.events += list(host.pending())
            end = guest.wait(0)
        self.events += list(host.pending())
        return end

    def test_any_role_at_any_moment(self):
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        chance = random.Random(SEED)
        with disk(4096) as path:
            right = digest(path)
            for _ in range(ROUNDS):
                self.round(chance, path, right)
