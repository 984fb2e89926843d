# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The ultravisor is killed at any moment, with roles in processes or not: it is
started again from its journal, and nobody but the events tells of it.

ULTRAVISOR_ROUNDS says how often, ULTRAVISOR_SEED how it begins."""

import contextlib
import os
import random
import signal
import tempfile
import threading
import time

from common import (BACKENDS, DIGEST, IMAGES, PATIENCE, RestartTest, digest,
                    disk, each_kind)

from kill_load import Clients

import ultravisor
from ultravisor import C

ROUNDS = int(os.environ["ULTRAVISOR_ROUNDS"])
SEED = int(os.environ.get("ULTRAVISOR_SEED", time.time_ns() % 1000000))
MIB = 1 << 20
CLIENTS = 4  # beside the program that has the system


class Load:
    """Transactions, and what has to come of them: each once, or not at all."""

    def __init__(self, host, chance):
        self.host, self.chance = host, chance
        self.made = {}  # partition: bytes
        self.number = 0

    def step(self):
        what = self.chance.random()
        with self.host.transaction() as t:
            if what < 0.4 and len(self.made) < 6:
                self.number += 1
                guest = t.partition(f"p{self.number}", memory="2M")
                more = (guest, 2 * MIB)
            elif what < 0.8 and self.made:
                guest = self.chance.choice(list(self.made))
                t.memory(guest, "2M")
                more = (guest, self.made[guest] + 2 * MIB)
            elif self.made:
                guest = self.chance.choice(list(self.made))
                t.destroy(guest)
                more = (guest, None)
            else:
                return
        guest, size = more
        if size is None:
            del self.made[guest]
        else:
            self.made[guest] = size
        if size is not None and size > 8 * MIB:
            with self.host.transaction() as t:
                t.destroy(guest)
            del self.made[guest]

    def has(self):
        """The same, as the database says."""
        sizes = {}
        for extent in self.host.query("extents"):
            sizes.setdefault(extent["partition"], 0)
            sizes[extent["partition"]] += extent["bytes"]
        return {guest: sizes[guest.id] for guest in self.made}


class Restart(RestartTest):

    def kill(self, host, load, clients, chance):
        """At a moment that is not ours to choose, while transactions run; one
        of those that ask for them now and then dies with it."""
        died = len(self.of(C.ULV_EVENT_RESTARTED))
        victim = clients.victim() if chance.random() < 0.2 else None
        pids = [self.pid(host)] + ([victim.program.pid] if victim else [])
        if chance.random() < 0.5:
            pids.reverse()
        timer = threading.Timer(chance.expovariate(1 / 0.02), lambda: [
            os.kill(pid, signal.SIGKILL) for pid in pids])
        timer.start()
        until = time.monotonic() + PATIENCE
        while len(self.of(C.ULV_EVENT_RESTARTED)) == died:
            self.assertLess(time.monotonic(), until, "it was not started")
            load.step()
            host.step(0)
            self.hear(host)
            clients.hear()
        timer.join()
        if victim is not None:
            clients.lost(victim)

    def check_events(self):
        """Each revision was told once, in order, and every end has a reason."""
        told = [e.value for e in self.of(C.ULV_EVENT_COMMITTED)]
        self.assertEqual(told, list(range(told[0], told[0] + len(told))))
        self.assertEqual([e.data for e in self.of(C.ULV_EVENT_FAULT)], [])

    def life(self, chance, kills, path, directory):
        self.events = []
        with contextlib.ExitStack() as stack, \
                ultravisor.open(backend=BACKENDS[0], in_process=False,
                                memory="96M", storage=directory) as host:
            free = self.free(host)
            load = Load(host, chance)
            clients = Clients(self, host, chance, CLIENTS)
            stack.callback(clients.kill_all)
            counter = self.guest(host, "counter", memory="4M")
            counter.start(IMAGES / "counter.elf")
            reader = self.guest(host, "reader", path)
            reader.start(DIGEST)
            for _ in range(kills):
                before = self.count(counter)
                self.kill(host, load, clients, chance)
                self.assertEqual(load.has(), load.made)
                clients.check_all()
                self.until(host, lambda: self.count(counter) != before)
            end = self.wait(host, reader)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_STOP, 0), end.text)
            self.assertIn("sha256 " + digest(path), self.console(host, reader))
            self.assert_alive(host)
            clients.end()
            print(f"# {clients.turns} transactions of {clients.number} "
                  f"clients, {clients.killed} killed", flush=True)
            counter.stop()
            with host.transaction() as t:
                for guest in [counter, reader, *load.made]:
                    t.destroy(guest)
            self.assertEqual(self.free(host), free)
            last = self.last_commit(host)
            self.check_events()
        self.assertEqual(self.check_journal(directory), last)

    def test_any_moment(self):
        print(f"# seed {SEED}, {ROUNDS} kills", flush=True)
        chance = random.Random(SEED)
        left = ROUNDS
        with disk(65536) as path:
            while left > 0:
                kills = min(left, 10)
                with tempfile.TemporaryDirectory() as directory:
                    self.life(chance, kills, path, directory)
                left -= kills

    @each_kind
    def test_idle(self, backend, in_process):
        """Nothing is under way: the revision stays, and a guest that ends
        meanwhile has ended."""
        self.events = []
        with tempfile.TemporaryDirectory() as directory, ultravisor.open(
                backend=backend, in_process=in_process, memory="32M",
                storage=directory) as host:
            guest = self.guest(host, "web", memory="4M")
            for image, code in (("hello.elf", 42), ("hello.elf", 42)):
                guest.start(IMAGES / image)
                host.kill("ultravisor")
                self.assertEqual(self.wait(host, guest).code, code)
                self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))
            before = self.last_commit(host)
            self.events = []
            host.kill("ultravisor")
            self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))
            self.assertEqual(self.of(C.ULV_EVENT_RESTARTED)[0].value, before)
            self.assertEqual(len(self.of(C.ULV_EVENT_DIED)), 1)
            states = {p["name"]: p["state"] for p in host.query("partitions")}
            self.assertEqual(states["web"], C.ULV_STATE_STOPPED)

    @each_kind
    def test_servers_die_meanwhile(self, backend, in_process):
        """The dead ultravisor could not say who serves instead; the next one
        does."""
        self.events = []
        with tempfile.TemporaryDirectory() as directory, \
                disk(8192) as path, ultravisor.open(
                    backend=backend, in_process=in_process, memory="32M",
                    storage=directory) as host:
            guest = self.guest(host, "web", path)
            guest.start(DIGEST)
            host.kill("ultravisor")
            host.kill("io-a")
            end = self.wait(host, guest)
            self.assertEqual(end.code, 0, end.text)
            self.assertIn("sha256 " + digest(path), self.console(host, guest))
            self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))

    @each_kind
    def test_without_a_journal(self, backend, in_process):
        """It stays dead, and who asks is told."""
        self.events = []
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            host.kill("ultravisor")
            with self.assertRaises(ultravisor.Error):
                with host.transaction() as t:
                    t.partition("web", memory="2M")
            self.hear(host)
            self.assertEqual(self.of(C.ULV_EVENT_RESTARTED), [])

    @each_kind
    def test_found_again(self, backend, in_process):
        """The program begins anew: what it made is there, wherever its roles
        are."""
        self.events = []
        with tempfile.TemporaryDirectory() as directory:
            for life in range(3):
                with ultravisor.open(backend=backend, in_process=in_process,
                                     memory="32M", storage=directory) as host:
                    with host.transaction() as t:
                        t.partition(f"p{life}", memory="2M")
                    names = {p["name"] for p in host.query("partitions")}
                    self.assertLessEqual({f"p{i}" for i in range(life + 1)},
                                         names)
                    host.kill("ultravisor")
                    with host.transaction() as t:
                        t.partition(f"q{life}", memory="2M")
