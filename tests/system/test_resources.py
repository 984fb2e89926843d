# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Zones, quotas, labels: what operators say of partitions, as they see it."""

import json
import os
import tempfile
import unittest

from common import BACKENDS, IMAGES, PLACEMENTS, SystemTest

import ultravisor
from ultravisor import C


def each_placement(test):
    """In process, and with a process for each role."""
    def run(self):
        for in_process in PLACEMENTS:
            with self.subTest(in_process=in_process), \
                    ultravisor.open(backend=BACKENDS[0], memory="64M",
                                    in_process=in_process) as host:
                test(self, host)
    run.__doc__ = test.__doc__
    return run


class Resources(SystemTest):
    def refused(self, host, ask):
        """What a transaction is refused with; it changes nothing."""
        before = host.query("log")
        with self.assertRaises(ultravisor.Error) as caught:
            with host.transaction() as t:
                ask(t)
        self.assertEqual(host.query("log"), before)
        return caught.exception

    def one(self, host, what, number):
        return [r for r in host.query(what) if r["id"] == number][0]

    @each_placement
    def test_a_zone_limits_its_partitions_together(self, host):
        with host.transaction() as t:
            zone = t.zone("shop", memory="8M", partitions=2)
            web = t.partition("web", memory="4M")
            data = t.partition("data", memory="2M")
            t.zone_set(web, zone)
            t.zone_set(data, zone)
        error = self.refused(host, lambda t: t.memory(data, "4M"))
        self.assertEqual(error.status, C.ULV_E_QUOTA)
        self.assertEqual((error.object, error.value, error.bound),
                         (zone, 10 << 20, 8 << 20))
        self.assertIn("shop", str(error))
        found = self.one(host, "zones", zone)
        self.assertEqual(found["used"][C.ULV_QUOTA_MEMORY], 6 << 20)
        self.assertEqual(found["used"][C.ULV_QUOTA_PARTITIONS], 2)

        def third(t):
            t.zone_set(t.partition("third"), zone)
        self.assertEqual(self.refused(host, third).status, C.ULV_E_QUOTA)
        self.assertEqual(self.refused(host, lambda t: t.zone_destroy(zone))
                         .status, C.ULV_E_BUSY)
        with host.transaction() as t:
            t.destroy(data)
        with host.transaction() as t:
            t.memory(web, "4M")
            t.zone_set(web, 0)
            t.zone_destroy(zone)
        self.assertEqual(host.query("zones"), [])
        self.assertEqual(self.one(host, "partitions", web.id)["zone"], 0)

    @each_placement
    def test_a_partition_has_quotas(self, host):
        with host.transaction() as t:
            web = t.partition("web", memory="4M")
            t.quota(web, memory="6M", processors=1, channels=1)
            t.console(web)
        for ask in (lambda t: t.memory(web, "4M"),
                    lambda t: t.processor(web),
                    lambda t: t.console(web),
                    lambda t: t.quota(web, memory="2M")):
            error = self.refused(host, ask)
            self.assertEqual((error.status, error.object),
                             (C.ULV_E_QUOTA, web.id), error)
        self.assertEqual(self.refused(
            host, lambda t: t.quota(999999, memory=0)).status,
            C.ULV_E_NOT_FOUND)
        quota = self.one(host, "quotas", web.id)
        self.assertEqual(quota["limit"][C.ULV_QUOTA_MEMORY], 6 << 20)
        self.assertEqual(quota["used"][C.ULV_QUOTA_CHANNELS], 1)
        with host.transaction() as t:
            t.quota(web, memory=None)
            t.memory(web, "4M")

    @each_placement
    def test_labels_and_policy(self, host):
        with host.transaction() as t:
            web = t.partition("web")
            t.label(web, tier="front end", owner="ops")
            t.policy(web, "gold")
        self.assertEqual({r["key"]: r["value"] for r in host.query("labels")
                          if r["object"] == web.id},
                         {"tier": "front end", "owner": "ops"})
        self.assertEqual(self.one(host, "partitions", web.id)["policy"],
                         "gold")
        for bad in ({"k" * 16: "v"}, {"key": "v" * 48}, {"a key": "v"},
                    {"key": "\n"}):
            self.assertEqual(self.refused(
                host, lambda t, bad=bad: t.label(web, **bad)).status,
                C.ULV_E_ARG, bad)
        with host.transaction() as t:
            t.label(web, tier="", owner="us")
            t.policy(web, "")
        self.assertEqual([r["value"] for r in host.query("labels")], ["us"])
        with host.transaction() as t:
            t.destroy(web)
        self.assertEqual(host.query("labels"), [])

    @each_placement
    def test_a_partition_is_changed(self, host):
        """Its name, its silence limit, its restarts; all or nothing, and not
        beyond what the policy lets a guest have."""
        with host.transaction() as t:
            web, data = t.partition("web"), t.partition("data")
            # also one that the same transaction makes
            t.change(web, silence_limit=60)
        found = self.one(host, "partitions", web.id)
        self.assertEqual((found["name"], found["silence_limit"]),
                         ("web", 60 * 10 ** 9))
        with host.transaction() as t:  # two change names
            t.change(web, name="x")
            t.change(data, name="web")
            t.change(web, name="data", silence_limit=0.25)
        self.assertEqual((host.find("data"), host.find("web")),
                         (web.id, data.id))
        self.assertEqual((web.name, data.name), ("data", "web"))
        found = self.one(host, "partitions", web.id)
        self.assertEqual((found["name"], found["silence_limit"]),
                         ("data", 250_000_000))
        for how, status, part in (
                ({"name": "web"}, C.ULV_E_EXISTS, str(data.id)),
                ({"name": ""}, C.ULV_E_ARG, "1 to 31 bytes"),
                ({"name": "a b"}, C.ULV_E_ARG, "not printable"),
                ({"name": "x" * 32}, C.ULV_E_ARG, "more than 31"),
                ({"restarts": 1}, C.ULV_E_POLICY, "policy allows 0"),
                ({"restarts": 1, "name": "y"}, C.ULV_E_POLICY, "allows 0")):
            error = self.refused(host, lambda t, how=how: t.change(web, **how))
            self.assertEqual((error.status, error.object),
                             (status, web.id), error)
            self.assertIn(part, str(error))
        for name, status in (("io-a", C.ULV_E_DENIED),
                             ("idle", C.ULV_E_DENIED)):
            role = ultravisor.Partition(host, host.find(name), name)
            self.assertEqual(self.refused(
                host, lambda t, role=role: t.change(role, name="x")).status,
                status)
        gone = ultravisor.Partition(host, 999999, "gone")
        self.assertEqual(self.refused(
            host, lambda t: t.change(gone, name="x")).status,
            C.ULV_E_NOT_FOUND)
        self.assertEqual(web.name, "data")
        with host.transaction() as t:
            t.destroy(web)
            t.partition("data")  # its name is free again

    @each_placement
    def test_ranges_have_one_owner(self, host):
        with host.transaction() as t:
            web, data = t.partition("web"), t.partition("data")
            ports = t.ports(web, 0x3f8, 8)
            t.vectors(web, 64, 4)
        error = self.refused(host, lambda t: t.ports(data, 0x3ff, 2))
        self.assertEqual((error.status, error.object, error.value,
                          error.bound),
                         (C.ULV_E_EXISTS, ports, 0x3ff, 0x3f8))
        self.assertIn("web", str(error))
        for ask in (lambda t: t.ports(data, 65535, 2),
                    lambda t: t.vectors(data, 31),
                    lambda t: t.ports(data, 0, 0)):
            self.assertEqual(self.refused(host, ask).status, C.ULV_E_ARG)
        with host.transaction() as t:
            t.range_move(ports, data)
            t.destroy(web)
        self.assertEqual([(r["owner"], r["first"], r["count"])
                          for r in host.query("ranges")],
                         [(data.id, 0x3f8, 8)])
        with host.transaction() as t:
            t.range_move(ports)
        self.assertEqual(host.query("ranges"), [])

    @each_placement
    def test_processors_are_given_up_and_moved(self, host):
        processor = host.query("processors")[0]["id"]
        with host.transaction() as t:
            web = t.partition("web", processors=0)
            data = t.partition("data", processors=0)
            t.processor(web, processor, quanta=16)
        with host.transaction() as t:
            t.processor_move(web, data)
        self.assertEqual([self.one(host, "usage", p.id)["quanta"]
                          for p in (web, data)], [0, 16])
        self.assertEqual(self.refused(
            host, lambda t: t.processors_release(web)).status, C.ULV_E_ARG)
        with host.transaction() as t:
            t.processors_release(data)
            t.retire_processor(processor)
        self.assertEqual(self.refused(
            host, lambda t: t.processor(web, processor)).status,
            C.ULV_E_LIMIT)

    @each_placement
    def test_retired_memory_is_given_to_nobody(self, host):
        with host.transaction() as t:
            web = t.partition("web", memory="4M")
        pool = host.query("memory")[0]
        extent = [e for e in host.query("extents")
                  if e["partition"] == web.id][0]
        with host.transaction() as t:
            t.retire_memory(extent["frame"])
            t.retire_memory(pool["base"] + pool["bytes"] - 4096)
        self.assertEqual([r["pending_bytes"] for r in host.query("retired")],
                         [0, 0])
        self.assertEqual(self.one(host, "partitions", web.id)["memory_bytes"],
                         (4 << 20) - extent["bytes"])
        self.assertEqual(self.refused(
            host, lambda t: t.retire_memory(extent["frame"])).status,
            C.ULV_E_EXISTS)
        self.assertEqual(self.refused(
            host, lambda t: t.hardware(999999, web)).status,
            C.ULV_E_NOT_FOUND)

    @each_placement
    def test_the_machine_has_devices(self, host):
        found = host.query("hardware")
        print(f"# {len(found)} devices: "
              f"{[r['name'] for r in found][:8]}", flush=True)
        for record in found:
            self.assertEqual(record["owner"], 1)
            self.assertIn(record["kind"], range(1, 6))
        with host.transaction() as t:
            web, data = t.partition("web"), t.partition("data")
            t.quota(data, devices=0)
            for record in found:
                t.hardware(record["id"], web)
        for record in found:
            number = record["id"]
            self.assertEqual(self.refused(
                host, lambda t, n=number: t.hardware(n, data)).status,
                C.ULV_E_BUSY)
            self.assertEqual(self.refused(
                host, lambda t, n=number: t.hardware_move(n, data)).status,
                C.ULV_E_QUOTA)
        self.assertEqual(self.one(host, "quotas", web.id)["used"]
                         [C.ULV_QUOTA_DEVICES], len(found))
        host.check()
        with host.transaction() as t:
            t.destroy(web)
        self.assertEqual({r["owner"] for r in host.query("hardware")},
                         {1} if found else set())


    @each_placement
    def test_pages_are_freed_in_one_transaction_and_given_in_the_next(
            self, host):
        with host.transaction() as t:
            first = t.partition("first", memory="32M", processors=0)
            second = t.partition("second", processors=0)
        before = host.query("partitions"), host.query("extents")
        for dry_run in (True, False):
            with self.assertRaises(ultravisor.Error) as refused:
                with host.transaction(dry_run=dry_run) as t:
                    t.destroy(first)
                    t.memory(second, "48M")
            self.assertEqual(refused.exception.status, C.ULV_E_CONFLICT)
            self.assertEqual(refused.exception.object, second.id)
            self.assertIn("this transaction frees", str(refused.exception))
            self.assertEqual((host.query("partitions"),
                              host.query("extents")), before)
        with host.transaction() as t:
            t.destroy(first)
        with host.transaction() as t:
            t.memory(second, "48M")
        host.check()


def each_start(test):
    """With what starts a system with devices, on one storage, in process and
    with a process for each role."""
    def run(self):
        for in_process in PLACEMENTS:
            with self.subTest(in_process=in_process), \
                    tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, "machine.json")
                storage = os.path.join(directory, "storage")
                os.mkdir(storage)

                def start(devices):
                    with open(path, "w", encoding="utf-8") as file:
                        json.dump({"nodes": [{"number": 0, "bytes": "4GiB"}],
                                   "processors": [{"number": 0, "core": 0}],
                                   "devices": devices}, file)
                    return ultravisor.open(
                        backend=BACKENDS[0], memory="32M", machine=path,
                        storage=storage, in_process=in_process)
                test(self, start)
    run.__doc__ = test.__doc__
    return run


class Described(SystemTest):
    def test_a_machine_that_is_described(self):
        """Its records are those of the text, and guests run on it."""
        text = {"nodes": [{"number": n, "bytes": "4GiB"} for n in (0, 1)],
                "processors": [{"number": n, "core": n // 2, "thread": n % 2,
                                "package": n // 2, "node": n // 2}
                               for n in range(4)],
                "devices": [{"kind": "disk", "name": "sdz", "bytes": 512}]}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(text, file)
            file.flush()
            with ultravisor.open(backend=BACKENDS[0], memory="64M",
                                 machine=file.name) as host:
                found = [(p["os_number"], p["package"], p["core"],
                          p["thread"], p["node"])
                         for p in host.query("processors")]
                self.assertEqual(found, [(n, n // 2, n // 2, n % 2, n // 2)
                                         for n in range(4)])
                self.assertEqual([m["node"] for m in host.query("memory")],
                                 [0, 1])
                self.assertEqual([h["name"] for h in host.query("hardware")],
                                 ["sdz"])
                guest = self.guest(host, "web")
                guest.start(IMAGES / "hello.elf")
                self.assertEqual(self.wait(host, guest).code, 42)
            file.write("}")
            file.flush()
            with self.assertRaises(ultravisor.Error):
                ultravisor.open(backend=BACKENDS[0], memory="64M",
                                machine=file.name)

    @each_start
    def test_devices_that_are_there_now(self, start):
        """A system that is found again has the devices that there are: its
        owner is told of one that is gone, and loses it; what stays is kept
        with its owner and labels, what is new is idle's."""
        def pci(slot, **more):
            return {"kind": "pci", "name": f"0000:00:{slot:02x}.0",
                    "vendor": 0x8086, "device": slot, **more}

        def function(slot, number):
            return {"kind": "function", "name": f"0000:00:{slot:02x}.{number}",
                    "parent": f"0000:00:{slot:02x}.0"}
        disk = {"kind": "disk", "name": "sda", "bytes": "1GiB"}
        with start([pci(2), pci(3), function(3, 1), function(3, 2), pci(4),
                    disk]) as host:
            before = {h["name"]: h["id"] for h in host.query("hardware")}
            with host.transaction() as t:
                web = t.partition("web")
                for name in ("0000:00:02.0", "0000:00:03.1", "sda"):
                    t.hardware(before[name], web)
                t.label(before["0000:00:02.0"], use="net")
        # 03 is gone with its functions, 04 another card, sda is as it was
        changed = [pci(1), pci(2), pci(4, **{"class": 0x20000}), disk, pci(5),
                   function(5, 1)]
        with start(changed) as host:
            found = {h["name"]: h for h in host.query("hardware")}
            self.assertEqual(set(found), {d["name"] for d in changed})
            for name in ("0000:00:02.0", "sda"):
                self.assertEqual((found[name]["id"], found[name]["owner"]),
                                 (before[name], host.find("web")))
            self.assertNotEqual(found["0000:00:04.0"]["id"],
                                before["0000:00:04.0"])
            self.assertEqual(found["0000:00:05.1"]["parent"],
                             found["0000:00:05.0"]["id"])
            self.assertEqual([r["object"] for r in host.query("labels")],
                             [before["0000:00:02.0"]])
            self.assertEqual(
                [(e.partition, e.value, e.data) for e in host.pending()
                 if e.kind == C.ULV_EVENT_FAULT],
                [(host.find("web"), before["0000:00:03.1"],
                  b"web: its device 0000:00:03.1 is gone")])
            host.check()
            revision = host.query("log")[-1]["revision"]
        with start(changed) as host:  # nothing has changed
            self.assertEqual({h["name"]: h for h in host.query("hardware")},
                             found)
            self.assertFalse([r for r in host.query("log")
                              if r["revision"] > revision and
                              "hardware" in r["text"]])

    def open_with_nodes(self, sizes, memory="64M"):
        text = {"nodes": [{"number": n, "bytes": size}
                          for n, size in enumerate(sizes)],
                "processors": [{"number": 0, "core": 0}]}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(text, file)
            file.flush()
            return ultravisor.open(backend=BACKENDS[0], memory=memory,
                                   machine=file.name)

    def test_nodes_of_any_size(self):
        """With next to nothing there is no pool; no sum is too large."""
        with self.assertRaises(ultravisor.Error) as caught:
            self.open_with_nodes([4096, (1 << 20) - 4096])
        self.assertIn("the host has 0 MiB to give", str(caught.exception))
        with self.open_with_nodes([(1 << 63) - 1] * 4) as host:
            self.assertEqual([m["bytes"] for m in host.query("memory")],
                             [16 << 20] * 4)

    def test_nodes_do_not_overlap(self):
        """There are frame addresses for 1 TiB of each."""
        nodes = ["3TiB", "3TiB", "1GiB"]
        with self.assertRaises(ultravisor.Error) as caught:
            self.open_with_nodes(nodes, "2050G")
        self.assertIn("the host has 2098176 MiB to give",
                      str(caught.exception))
        with self.open_with_nodes(nodes, "2049G") as host:
            self.assertEqual([m["bytes"] >> 30 for m in host.query("memory")],
                             [1024, 1024, 1])


if __name__ == "__main__":
    unittest.main()
