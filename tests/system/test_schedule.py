# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Processors dedicated and shared by quanta: who runs where, how much, and
what the accounts say."""

import os
import pathlib
import subprocess
import sys
import time
import unittest

from common import BACKENDS, IMAGES, PATIENCE, SystemTest, each_kind

import ultravisor
from ultravisor import C

SECONDS = int(os.environ.get("ULTRAVISOR_SECONDS", "0"))
QUANTA = 64
PERIOD = QUANTA * 1_000_000  # ns
REFUSED = pathlib.Path(__file__).with_name("refused.py")


def allowed(pid):
    """The processors on which each thread of a process may run."""
    return {line.split()[1]
            for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status")
            for line in path.read_text().splitlines()
            if line.startswith("Cpus_allowed_list")}


def children_of(pid):
    """Processes that it started, and theirs."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            found += [child, *children_of(child)]
    return found


def time_of(pid):
    """Processor time of a process, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text() \
        .rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def undisturbed(pids):
    """Let these go before other programs where we may: what is shown is the
    map, not how busy the machine is."""
    try:
        for pid in pids:
            os.setpriority(os.PRIO_PROCESS, pid, -20)
            group = pathlib.Path(f"/proc/{pid}/autogroup")  # sched(7)
            if group.exists():
                group.write_text("-20")
    except OSError as error:
        print(f"# beside other programs: {error.strerror}", flush=True)


class Schedule(SystemTest):
    def guests(self, host, processor, **quanta):
        """Guests with so many quanta of a processor each, not started."""
        made = []
        with host.transaction() as t:
            for name, count in quanta.items():
                made.append(t.partition(name, memory="4M", processors=0))
                t.processor(made[-1], processor["id"], count)
        return made

    def run_for(self, host, guests, nanoseconds, event=lambda: False):
        """Until these have used so much together; patience, no measure."""
        until = time.monotonic() + PATIENCE
        while sum(g.usage()["used"] for g in guests) < nanoseconds:
            self.assertLess(time.monotonic(), until, "they do not get on")
            host.step(0.05)
            list(host.pending())
            event()

    def used(self, *guests):
        return [g.usage()["used"] for g in guests]

    @each_kind
    def test_shares_follow_the_map(self, backend, in_process):
        """Two that loop: 45 quanta to 19, and the other way round when they
        have moved; measured against one another."""
        with ultravisor.open(backend=backend, memory="32M",
                             in_process=in_process) as host:
            processor = host.query("processors")[-1]
            one, two = self.guests(host, processor, one=45, two=19)
            for guest in (one, two):
                guest.start(IMAGES / "never_yields.elf")
            self.run_for(host, (one, two), 600_000_000)
            before = self.used(one, two)
            self.assertGreater(before[0] / sum(before), 0.5, before)
            self.assertLess(before[0] / sum(before), 0.9, before)
            with host.transaction() as t:
                t.quanta(one, 8)
                t.quanta(two, 56)
            host.wait_settled()
            before = self.used(one, two)
            self.run_for(host, (one, two), sum(before) + 1_500_000_000)
            after = [a - b for a, b in zip(self.used(one, two), before)]
            self.assertGreater(after[1] / sum(after), 0.5, after)
            self.assertEqual([g.usage()["quanta"] for g in (one, two)],
                             [8, 56])

    @each_kind
    def test_who_has_none_runs_in_the_gaps(self, backend, in_process):
        """With 60 of 64 taken by one that loops, the other still gets on, and
        with all given back it has everything."""
        with ultravisor.open(backend=backend, memory="32M",
                             in_process=in_process) as host:
            processor = host.query("processors")[-1]
            one, two = self.guests(host, processor, one=60, two=0)
            for guest in (one, two):
                guest.start(IMAGES / "never_yields.elf")
            self.run_for(host, (two,), 20_000_000)
            first, second = self.used(one, two)
            self.assertGreater(first, 2 * second)
            one.stop()
            with host.transaction() as t:
                t.destroy(one)
            self.assertEqual(host.query("processors")[-1]["idle_quanta"],
                             QUANTA)
            self.run_for(host, (two,), second + 500_000_000)

    @each_kind
    def test_yield_gives_the_quantum_up(self, backend, in_process):
        """A guest that yields all the time uses little of what it has."""
        with ultravisor.open(backend=backend, memory="32M",
                             in_process=in_process) as host:
            processor = host.query("processors")[-1]
            one, two = self.guests(host, processor, one=32, two=31)
            one.start(IMAGES / "counter.elf")
            two.start(IMAGES / "never_yields.elf")
            self.run_for(host, (two,), 500_000_000)
            first, second = self.used(one, two)
            self.assertLess(first, second * 0.8)
            self.assertGreater(int.from_bytes(
                one.read(0x400000 + 0x100000, 8), "little"), 1024)

    @each_kind
    def test_accounts_sum_up(self, backend, in_process):
        """What all have used, idle and those that are gone, is what elapsed,
        and each agrees with what the host has counted."""
        with ultravisor.open(backend=backend, memory="32M",
                             in_process=in_process) as host:
            processors = host.query("processors")
            one, = self.guests(host, processors[-1], one=48)
            started = time.monotonic()
            one.start(IMAGES / "never_yields.elf")
            self.run_for(host, (one,), 300_000_000)
            usage = host.query("usage")
            self.assertEqual({u["elapsed"] for u in usage},
                             {usage[0]["elapsed"]})
            self.assertEqual(sum(u["used"] for u in usage) + usage[0]["gone"],
                             usage[0]["elapsed"])
            self.assertEqual(sum(u["quanta"] for u in usage),
                             QUANTA * len(processors))
            pids = dict((n, p) for n, _, p in host.roles() if p)
            if not in_process:
                family = [pids["one"], *children_of(pids["one"])]
                before = one.usage()["used"] / 1e9
                counted = sum(map(time_of, family))
                # what a guest beside us uses is told ten times a second
                elapsed = time.monotonic() - started
                self.assertAlmostEqual(counted, before,
                                       delta=0.1 + 0.2 * elapsed)
            before = one.usage()["used"]
            one.stop()
            with host.transaction() as t:
                t.destroy(one)
            usage = host.query("usage")
            self.assertGreaterEqual(usage[0]["gone"], before)
            self.assertEqual(sum(u["used"] for u in usage) + usage[0]["gone"],
                             usage[0]["elapsed"])

    def test_dedicated_is_pinned(self):
        """A guest with a processor of its own is there with all its processes,
        nobody else is, and it is everybody's when the guest is gone."""
        for backend in BACKENDS:
            with self.subTest(backend=backend), ultravisor.open(
                    backend=backend, memory="32M", in_process=False) as host:
                processors = host.query("processors")
                if len(processors) < 2:
                    self.skipTest("one processor: none can be spared")
                own = processors[-1]
                number = str(own["os_number"])
                with host.transaction() as t:
                    one = t.partition("one", memory="4M", processors=0)
                    t.processor(one, own["id"], dedicated=True)
                    two = t.partition("two", memory="4M")
                for guest in (one, two):
                    guest.start(IMAGES / "never_yields.elf")
                pids = dict((n, p) for n, _, p in host.roles() if p)
                for pid in (pids["one"], *children_of(pids["one"])):
                    self.assertEqual(allowed(pid), {number})
                for name, pid in pids.items():
                    if name != "one":
                        self.assertNotIn(int(number), self.numbers(pid), name)
                self.assertEqual(one.usage()["dedicated"], 1)
                self.assertEqual(one.usage()["degraded"], "")
                record = host.query("processors")[-1]
                self.assertEqual((record["owner"], record["idle_quanta"]),
                                 (one.id, 0))
                with self.assertRaises(ultravisor.Error), \
                        host.transaction() as t:
                    t.processor(two, own["id"], 1)
                one.stop()
                with host.transaction() as t:
                    t.destroy(one)
                host.wait_settled()
                self.assertIn(int(number), self.numbers(pids["io-a"]))

    def numbers(self, pid):
        found = set()
        for text in allowed(pid):
            for part in text.split(","):
                first, _, last = part.partition("-")
                found |= set(range(int(first), int(last or first) + 1))
        return found

    def test_refused_affinity_is_said(self):
        """Where the host does not let a program set it, guests run all the
        same, and the reason is in an event and in the usage."""
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                result = subprocess.run(
                    [sys.executable, REFUSED, backend, IMAGES],
                    capture_output=True, text=True, timeout=PATIENCE,
                    check=False)
                print("".join(f"# {line}\n" for line in
                              result.stdout.splitlines()), end="", flush=True)
                if result.returncode == 77:
                    self.skipTest(result.stdout.strip())
                self.assertEqual(result.returncode, 0,
                                 result.stdout + result.stderr)
                why = "its processors could not be set: not permitted"
                self.assertIn(f"event one: {why}", result.stdout)
                self.assertIn(f"usage {why}", result.stdout)
                self.assertIn("ran", result.stdout.split())

    def test_in_process_says_what_it_is(self):
        """All guests in one thread: the map is a limit, and that is said."""
        for backend in BACKENDS:
            with self.subTest(backend=backend), ultravisor.open(
                    backend=backend, memory="32M") as host:
                one, = self.guests(host, host.query("processors")[0], one=32)
                one.start(IMAGES / "never_yields.elf")
                self.assertIn("share the caller's thread",
                              one.usage()["degraded"])
                said = [e.data.decode() for e in host.pending()
                        if e.kind == C.ULV_EVENT_LOG]
                self.assertTrue(any(line.startswith("one: all guests share")
                                    for line in said), said)

    def share_over_time(self):
        """Within 5 points of the map, by the clock, counted by the host."""
        for backend in BACKENDS:
            with self.subTest(backend=backend), ultravisor.open(
                    backend=backend, memory="32M", in_process=False) as host:
                processor = host.query("processors")[-1]
                guests = self.guests(host, processor, one=45, two=13)
                for guest in guests:
                    guest.start(IMAGES / "never_yields.elf")
                pids = dict((n, p) for n, _, p in host.roles() if p)
                families = [[pids[g.name], *children_of(pids[g.name])]
                            for g in guests]
                undisturbed(sum(families, []))
                begin = [sum(map(time_of, f)) for f in families]
                started = time.monotonic()
                while time.monotonic() < started + SECONDS:
                    host.step(0.1)
                elapsed = time.monotonic() - started
                for family, before, quanta in zip(families, begin, (45, 13)):
                    share = (sum(map(time_of, family)) - before) / elapsed
                    print(f"# {backend}: {quanta} of {QUANTA} quanta are "
                          f"{quanta / QUANTA:.3f}, it had {share:.3f}",
                          flush=True)
                    self.assertAlmostEqual(share, quanta / QUANTA, delta=0.05)

    if SECONDS:  # what depends on time is in the suite long only
        test_share_over_time = share_over_time


if __name__ == "__main__":
    unittest.main()
