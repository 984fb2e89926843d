# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A machine that changes while a system runs."""

import json
import os
import signal
import tempfile
import threading
import unittest

from common import BACKENDS, IMAGES, PLACEMENTS, RestartTest, changeable

import ultravisor
from ultravisor import C

MANY = 1000  # devices: more than fit one message
PIECE = 65536
MIB = 1048576


def pci(slot, **more):
    return {"kind": "pci", "name": f"0000:00:{slot:02x}.0", "vendor": 0x8086,
            "device": slot, **more}


def function(slot, number):
    return {"kind": "function", "name": f"0000:00:{slot:02x}.{number}",
            "parent": f"0000:00:{slot:02x}.0"}


def disk(name, size="1GiB"):
    return {"kind": "disk", "name": name, "bytes": size}


class Machine:
    """A description that changes, and systems that are made of it."""

    def __init__(self, directory, in_process):
        self.path = os.path.join(directory, "machine.json")
        self.storage = os.path.join(directory, "storage")
        self.in_process = in_process
        os.mkdir(self.storage)

    def has(self, *devices, processors=(0,), nodes=((0, "4GiB"),)):
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump({"nodes": [{"number": n, "bytes": size}
                                 for n, size in nodes],
                       "processors": [{"number": n, "core": n}
                                      for n in processors],
                       "devices": devices}, file)

    def open(self, memory="64M", **options):
        return ultravisor.open(backend=BACKENDS[0], memory=memory,
                               machine=self.path, in_process=self.in_process,
                               **options)


def each_placement(test):
    def run(self):
        for in_process in PLACEMENTS:
            with self.subTest(in_process=in_process), \
                    tempfile.TemporaryDirectory() as directory:
                test(self, Machine(directory, in_process))
    run.__doc__ = test.__doc__
    return run


def by_name(changes):
    return {c["name"]: (c["what"], c["owner"]) for c in changes}


class Rescan(RestartTest):
    def setUp(self):
        super().setUp()
        self.events = []

    def devices(self, host):
        return {h["name"]: h for h in host.query("hardware")}

    def faults(self, host):
        self.hear(host)
        found = [(e.partition, e.value, e.data.decode())
                 for e in self.of(C.ULV_EVENT_FAULT)]
        self.events = []
        return found

    @each_placement
    def test_devices_come_and_go_while_a_guest_runs(self, machine):
        """What is new is idle's; what is gone is taken from a guest that runs
        on, and it is told; a dry run says the same and changes nothing."""
        machine.has(pci(2), pci(3), function(3, 1), pci(4), disk("sda"))
        with machine.open() as host:
            before = self.devices(host)
            web = self.guest(host, "web")
            with host.transaction() as t:
                for name in ("0000:00:03.1", "sda"):
                    t.hardware(before[name]["id"], web)
                t.label(before["sda"]["id"], use="root")
                t.quota(web, devices=2)
            web.start(IMAGES / "counter.elf")
            self.until(host, lambda: self.count(web) > 0)
            self.assertEqual(host.rescan().count, 0)
            # 03 is pulled out, 04 another card; 05 comes with a function
            machine.has(pci(2), pci(4, **{"class": 0x20000}), disk("sda"),
                        pci(5), function(5, 1), disk("sdb"))
            expected = {"0000:00:03.1": ("removed", web.id),
                        "0000:00:03.0": ("removed", 0),
                        "0000:00:05.0": ("added", 0),
                        "0000:00:05.1": ("added", 0), "sdb": ("added", 0)}
            records, revision = host.query("hardware"), host.query("log")
            dry = host.rescan(dry_run=True).changes
            self.assertEqual(sorted(c["what"] for c in dry
                                    if c["name"] == "0000:00:04.0"),
                             ["added", "removed"])
            self.assertEqual(by_name(c for c in dry
                                     if c["name"] != "0000:00:04.0"), expected)
            self.assertEqual((host.query("hardware"), host.query("log")),
                             (records, revision))
            self.assertEqual(self.faults(host), [])
            with host.watch("hardware", partition=web) as watch:
                self.assertEqual(host.rescan().changes, dry)
                seen = []
                self.until(host, lambda: seen.extend(watch.pending()) or seen)
            self.assertEqual([(c.change, c.object, web.id in c.partitions)
                              for c in seen], [("removed",
                                     before["0000:00:03.1"]["id"], True)])
            self.assertEqual(self.faults(host),
                             [(web.id, before["0000:00:03.1"]["id"],
                               "web: its device 0000:00:03.1 is gone")])
            host.check()
            found = self.devices(host)
            self.assertEqual(set(found), {
                "0000:00:02.0", "0000:00:04.0", "sda", "0000:00:05.0",
                "0000:00:05.1", "sdb"})
            for name in ("0000:00:02.0", "sda"):
                self.assertEqual(found[name]["id"], before[name]["id"])
            self.assertEqual(found["sda"]["owner"], web.id)
            self.assertEqual(found["0000:00:05.1"]["parent"],
                             found["0000:00:05.0"]["id"])
            for change in dry:  # ids are as the dry run said
                if change["what"] == "added":
                    self.assertEqual(found[change["name"]]["id"],
                                     change["object"])
            self.assertEqual([q["used"][C.ULV_QUOTA_DEVICES]
                              for q in host.query("quotas")
                              if q["id"] == web.id], [1])
            self.assertEqual(host.rescan().count, 0)
            ran = self.count(web)
            self.until(host, lambda: self.count(web) > ran)
            machine.has()  # what is left
            self.assertEqual({c["what"] for c in host.rescan().changes},
                             {"removed"})
            self.assertEqual(len(self.faults(host)), 1)
            self.assertEqual((host.query("hardware"), host.query("labels")),
                             ([], []))
            host.check()
            web.stop()

    def processors(self, host):
        return {p["os_number"]: p for p in host.query("processors")}

    @each_placement
    def test_processors_come_and_go(self, machine):
        """Who runs on one that is offline goes on and is told, and nobody new
        gets it until it is back; a journal has all of it."""
        machine.has(processors=(0, 1))
        with machine.open(storage=machine.storage) as host:
            with host.transaction() as t:
                web = t.partition("web", memory="4M", processors=2)
                other = t.partition("other", processors=0)
            before = self.processors(host)
            web.start(IMAGES / "counter.elf")
            self.until(host, lambda: self.count(web) > 0)
            machine.has()
            offline = [{"object": before[1]["id"], "owner": 0, "name": "1",
                        "what": "offline", "kind": "processors", "bytes": 0}]
            self.assertEqual(host.rescan(dry_run=True).changes, offline)
            self.assertEqual(self.processors(host), before)
            self.assertEqual(host.rescan().changes, offline)
            self.assertEqual(host.rescan().count, 0)
            self.assertEqual(self.faults(host),
                             [(web.id, before[1]["id"],
                               "web: its processor 1 is offline")])
            host.check()
            ran = self.count(web)
            self.until(host, lambda: self.count(web) > ran)
            with self.assertRaises(ultravisor.Error) as caught:
                with host.transaction() as t:
                    t.processor(other, before[1]["id"])
            self.assertEqual(caught.exception.status, C.ULV_E_LIMIT)
            with host.transaction() as t:
                t.retire_processor(before[0]["id"])
            machine.has(processors=(1, 5))
            self.assertEqual(by_name(host.rescan().changes),
                             {"1": ("online", 0), "5": ("added", 0)})
            self.assertEqual(self.faults(host), [])
            with host.transaction() as t:
                t.processor(other, before[1]["id"])
                t.processor(other, self.processors(host)[5]["id"],
                            dedicated=True)
            host.check()
            web.stop()
            self.wait(host, web)
        machine.has(processors=(0, 1))
        with machine.open(storage=machine.storage) as host:
            found = self.processors(host)
            self.assertEqual({n: p["retired"] for n, p in found.items()},
                             {0: C.ULV_RETIRED_BROKEN, 1: 0,
                              5: C.ULV_RETIRED_OFFLINE})
            self.assertEqual(found[1]["id"], before[1]["id"])
            self.assertEqual(self.faults(host),
                             [(other.id, found[5]["id"],
                               "other: its processor 5 is offline")])
            host.check()

    def memory(self, host):
        """Of each node: what there is of it in the pool, and what is free."""
        return {m["node"]: (m["bytes"] - m["gone_bytes"], m["free_bytes"])
                for m in host.query("memory")}

    def extents(self, host, partition):
        return [(e["node"], e["bytes"]) for e in host.query("extents")
                if e["partition"] == partition.id]

    def changes(self, host, **options):
        return {(c["kind"], c["name"], c["what"], c["bytes"])
                for c in host.rescan(**options).changes}

    @each_placement
    def test_memory_comes(self, machine):
        """A node, and more of one: in the dry run, in the report, for who
        watches; a guest gets it at once, and runs on it."""
        machine.has()
        with machine.open(storage=machine.storage) as host:
            with host.transaction() as t:
                first = t.partition("first", memory=60 * MIB, processors=0)
            machine.has(nodes=((0, "8GiB"), (2, "1GiB")))
            expected = {("memory", "0", "added", 64 * MIB),
                        ("memory", "2", "added", 16 * MIB)}
            before = host.query("memory"), host.query("log")
            self.assertEqual(self.changes(host, dry_run=True), expected)
            self.assertEqual((host.query("memory"), host.query("log")), before)
            with self.assertRaises(ultravisor.Error):
                with host.transaction() as t:
                    t.memory(first, 8 * MIB)
            seen = []
            with host.watch("memory") as watch:
                self.assertEqual(self.changes(host), expected)
                self.until(host, lambda: seen.extend(watch.pending()) or
                           len(seen) == 2)
            self.assertEqual({c.change for c in seen}, {"made", "changed"})
            self.assertEqual(host.rescan().count, 0)
            self.assertEqual([self.memory(host)[n][0] for n in (0, 2)],
                             [128 * MIB, 16 * MIB])
            with host.transaction() as t:
                web = t.partition("web", memory=None)
                t.memory(web, 16 * MIB, node=2)
                t.memory(web, 60 * MIB, node=0)
            self.assertEqual({n for n, _ in self.extents(host, web)}, {0, 2})
            web.start(IMAGES / "counter.elf")
            self.until(host, lambda: self.count(web) > 0)
            host.check()
            web.stop()
            self.wait(host, web)
            found = host.query("memory")
        with machine.open(storage=machine.storage, memory=144 * MIB) as host:
            self.assertEqual(host.query("memory"), found)
            host.check()

    @each_placement
    def test_memory_goes(self, machine):
        """Who has some of it runs on and is told, whatever becomes of the
        ultravisor; nobody gets it when it was given back, until the node is
        there again."""
        machine.has(nodes=((0, "4GiB"), (1, "4GiB")))
        with machine.open(storage=machine.storage) as host:
            with host.transaction() as t:
                web = t.partition("web", memory=None)
                t.memory(web, 4 * MIB, node=1)
            node = next(m for m in host.query("memory") if m["node"] == 1)
            web.start(IMAGES / "counter.elf")
            self.until(host, lambda: self.count(web) > 0)
            machine.has()
            gone = {("memory", "1", "offline", 32 * MIB)}
            self.assertEqual(self.changes(host, dry_run=True), gone)
            self.assertEqual(self.memory(host)[1], (32 * MIB, 28 * MIB))
            seen = []
            with host.watch("extents", partition=web) as watch:
                self.assertEqual(self.changes(host), gone)
                self.until(host, lambda: seen.extend(watch.pending()) or seen)
            self.assertEqual({c.change for c in seen}, {"changed"})
            self.assertEqual(host.rescan().count, 0)
            self.assertEqual(self.faults(host), [(
                web.id, node["id"],
                "web: 4 MiB of its memory on node 1 are offline")])
            ultravisor.checked(ultravisor.lib.ulv_system_kill, host._system,
                               host.find("ultravisor"))
            self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))
            self.assertEqual(self.memory(host)[1], (0, 0))
            ran = self.count(web)
            self.until(host, lambda: self.count(web) > ran)
            with self.assertRaises(ultravisor.Error) as caught:
                with host.transaction() as t:
                    t.partition("other", memory=64 * MIB, processors=0)
            self.assertEqual(caught.exception.status, C.ULV_E_NO_MEMORY)
            web.stop()
            self.wait(host, web)
            with host.transaction() as t:
                t.destroy(web)
            self.assertEqual(self.memory(host)[1], (0, 0))
            host.check()
            machine.has(nodes=((0, "4GiB"), (1, "2GiB")))
            self.assertEqual(self.changes(host),
                             {("memory", "1", "added", 16 * MIB)})
            self.assertEqual(self.memory(host)[1], (16 * MIB, 16 * MIB))
            with host.transaction() as t:
                web = t.partition("web", memory=None)
                t.memory(web, 16 * MIB, node=1)
            host.check()

    @each_placement
    def test_memory_that_is_gone_when_a_system_is_found_again(self, machine):
        """What guests had of it they have lost; and it comes back."""
        machine.has(nodes=((0, "4GiB"), (1, "4GiB")))
        with machine.open(storage=machine.storage) as host:
            with host.transaction() as t:
                web = t.partition("web", memory=4 * MIB)
                t.memory(web, 4 * MIB, node=1)
        machine.has()
        with self.assertRaises(ultravisor.Error) as caught:
            machine.open(storage=machine.storage).close()
        self.assertEqual(caught.exception.status, C.ULV_E_STATE)
        with machine.open(storage=machine.storage, memory=32 * MIB) as host:
            self.assertEqual(self.memory(host)[1], (0, 0))
            self.assertEqual(self.extents(host, web), [(0, 4 * MIB)])
            self.assertIn("web: 4 MiB of its memory on node 1 are offline",
                          [text for _, _, text in self.faults(host)])
            host.check()
        machine.has(nodes=((0, "4GiB"), (1, "4GiB")))
        with machine.open(storage=machine.storage) as host:
            self.assertEqual(self.memory(host)[1], (32 * MIB, 32 * MIB))
            host.check()

    @each_placement
    def test_what_cannot_be_read_changes_nothing(self, machine):
        machine.has(disk("sda"))
        with machine.open() as host:
            before = host.query("hardware")
            with open(machine.path, "a", encoding="utf-8") as file:
                file.write("}")
            with self.assertRaises(ultravisor.Error) as caught:
                host.rescan()
            self.assertEqual(caught.exception.status, C.ULV_E_FORMAT)
            self.assertEqual(host.query("hardware"), before)
            machine.has(disk("sda", "2GiB"), disk("sdb"))
            self.assertEqual([c["what"] for c in host.rescan().changes],
                             ["removed", "added", "added"])
            host.check()

    @each_placement
    def test_more_devices_than_fit_a_message(self, machine):
        """At the start, and all of them new later."""
        machine.has(*(disk(f"d{n}") for n in range(MANY)))
        with machine.open() as host:
            self.assertEqual(set(self.devices(host)),
                             {f"d{n}" for n in range(MANY)})
            self.assertNotIn(C.ULV_EVENT_LOG, {e.kind for e in host.pending()})
            machine.has(*(disk(f"e{n}") for n in range(MANY)))
            found = host.rescan()
            self.assertEqual((found.count, len(found.changes)),
                             (2 * MANY, C.ULV_RESCAN_CHANGES_MAX))
            self.assertEqual(set(self.devices(host)),
                             {f"e{n}" for n in range(MANY)})
            host.check()

    @each_placement
    def test_a_journal_has_it(self, machine):
        """Also over a death of the ultravisor, before it is asked or while it
        is, as a process that hears nothing: its successor is asked."""
        machine.has(disk("sda"), disk("sdb"))
        with machine.open(storage=machine.storage) as host:
            with host.transaction() as t:
                web = t.partition("web")
                t.hardware(self.devices(host)["sdb"]["id"], web)
            machine.has(disk("sda"), disk("sdc"))
            if machine.in_process:
                ultravisor.checked(ultravisor.lib.ulv_system_kill,
                                   host._system, host.find("ultravisor"))
                found = host.rescan().changes
            else:
                pid = self.pid(host)
                os.kill(pid, signal.SIGSTOP)
                killer = threading.Timer(0.2, os.kill, (pid, signal.SIGKILL))
                killer.start()
                found = host.rescan().changes
                killer.join()
                self.hear(host)
                self.assertTrue(self.of(C.ULV_EVENT_RESTARTED))
            self.assertEqual(by_name(found),
                             {"sdb": ("removed", web.id), "sdc": ("added", 0)})
            self.assertIn((web.id, "web: its device sdb is gone"),
                          [(p, text) for p, _, text in self.faults(host)])
            host.check()
            found = host.query("hardware")
        with machine.open(storage=machine.storage) as host:
            self.assertEqual(host.query("hardware"), found)
            host.check()

    def assert_away(self, host, frame):
        """Nobody gets the page, whoever gets all the others."""
        free = sum(m["free_bytes"] for m in host.query("memory"))
        with self.assertRaises(ultravisor.Error) as caught:
            with host.transaction() as t:
                t.partition("more", memory=free + 4096, processors=0)
        self.assertEqual(caught.exception.status, C.ULV_E_NO_MEMORY)
        with host.transaction() as t:
            rest = t.partition("rest", memory=free, processors=0)
        self.assertEqual([e for e in host.query("extents")
                          if e["frame"] <= frame < e["frame"] + e["bytes"]],
                         [])
        self.assertEqual([(r["frame"], r["bytes"], r["pending_bytes"])
                          for r in host.query("retired")], [(frame, 4096, 0)])
        host.check()
        with host.transaction() as t:
            t.destroy(rest)

    @each_placement
    def test_a_broken_page_stays_away(self, machine):
        """It is taken from a guest that runs, which hears of it and runs on;
        then nobody gets it, whoever keeps the database."""
        if BACKENDS[0] not in changeable():
            self.skipTest("no backend here can change a guest that runs")
        machine.has()
        with machine.open(storage=machine.storage) as host:
            with host.transaction() as t:
                web = t.partition("web", memory="4M")
            web.start(IMAGES / "memory_guard.elf")
            with host.transaction() as t:
                t.memory(web, PIECE)
            extent = next(e for e in host.query("extents")
                          if e["partition"] == web.id and e["bytes"] == PIECE)
            address = extent["guest_address"]
            self.until(host, lambda: web.read(address, 8) != bytes(8))
            frame = extent["frame"] + 4096
            seen = []
            with host.watch("extents", partition=web) as watch:
                with host.transaction() as t:
                    t.retire_memory(frame)
                self.until(host, lambda: seen.extend(watch.pending()) or
                           "removed" in {c.change for c in seen})
            self.assertEqual({c.object for c in seen}, {extent["id"]})
            self.assertEqual([p["state"] for p in host.query("partitions")
                              if p["name"] == "web"], [C.ULV_STATE_RUNNING])
            self.assert_away(host, frame)
            ultravisor.checked(ultravisor.lib.ulv_system_kill, host._system,
                               host.find("ultravisor"))
            self.until(host, lambda: self.of(C.ULV_EVENT_RESTARTED))
            self.assert_away(host, frame)
            web.stop()
            self.wait(host, web)
        with machine.open(storage=machine.storage) as host:
            self.assert_away(host, frame)


if __name__ == "__main__":
    unittest.main()
