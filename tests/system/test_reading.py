# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reading the resource database from Python: what changes, as it changes."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import unittest

from common import BACKENDS, DIGEST, PLACEMENTS, SystemTest, disk

import ultravisor


def take(host, watch, count):
    """So many changes, the system working meanwhile."""
    found = []
    for _ in range(10000):
        found += watch.pending()
        if len(found) >= count:
            return found
        host.step(0.01)
    raise AssertionError(f"{count} changes expected, {found}")


def each_placement(test):
    """On a backend that can be used, in process and as processes."""
    def run(self):
        for in_process in PLACEMENTS:
            with self.subTest(in_process=in_process), \
                    ultravisor.open(backend=BACKENDS[0], memory="32M",
                                    in_process=in_process) as host:
                self.events = []
                test(self, host)
    run.__doc__ = test.__doc__
    return run


class Watches(SystemTest):
    @each_placement
    def test_a_watch_hears_what_it_asked_for(self, host):
        everything = host.watch()
        memory = host.watch("extents", "partitions")
        with host.transaction() as t:
            web = t.partition("web", memory="4M", processors=0)
        made = take(host, memory, 2)
        self.assertEqual({(c.change, c.kind) for c in made},
                         {("made", "partitions"), ("made", "extents")})
        self.assertEqual([c.sequence for c in made], [1, 2])
        self.assertTrue(all(c.partitions == (web.id,) for c in made))
        one = host.watch("partitions", partition=web)
        with host.transaction() as t:
            t.destroy(web)
            t.partition("mail", processors=0)
        gone, = take(host, one, 1)
        self.assertEqual((gone.change, gone.object), ("removed", web.id))
        revisions = [c.revision for c in take(host, everything, 6)
                     if not c.more]
        self.assertEqual(revisions, [made[0].revision, gone.revision])
        everything.close()
        self.assertEqual(list(everything.pending()), [])

    @each_placement
    def test_by_label(self, host):
        """What has the label before a change or after it; the same when it is
        replayed, whatever has become of the label."""
        tier, front = host.watch(label="tier"), host.watch(label="tier=front")
        with host.transaction() as t:
            web = t.partition("web", processors=0)
            t.partition("mail", processors=0)
            t.label(web, tier="front")
        with host.transaction() as t:
            t.memory(web, "4M")
        with host.transaction() as t:
            t.label(web, tier="back")
        with host.transaction() as t:
            t.memory(web, "4M")
        heard = take(host, tier, 7)
        self.assertEqual([c.kind for c in heard],
                         ["partitions", "labels", "extents", "partitions",
                          "labels", "extents", "partitions"])
        self.assertTrue(all(web.id in c.partitions for c in heard))
        self.assertEqual([c.object for c in take(host, front, 5)],
                         [c.object for c in heard[:5]])
        with host.transaction() as t:
            t.label(web, tier="")
        again = host.watch(label="tier=front", after=heard[0].revision - 1)
        self.assertEqual([(c.revision, c.object) for c in
                          take(host, again, 5)],
                         [(c.revision, c.object) for c in heard[:5]])
        back = host.watch("extents", label="tier=back",
                          after=heard[0].revision - 1)
        self.assertEqual([c.object for c in take(host, back, 1)],
                         [heard[5].object])
        for label in ("x" * 16, "tier=" + "x" * 48, "=front"):
            with self.assertRaises(ultravisor.Error):
                host.watch(label=label)

    @each_placement
    def test_a_life_is_heard(self, host):
        """What the ultravisor does by itself is told as well."""
        with disk() as path:
            guest = self.guest(host, "web", path)
            watch = host.watch("partitions", partition=guest)
            guest.start(DIGEST)
            self.assertIsNotNone(guest.wait(60))
            states = take(host, watch, 3)  # to start, it runs, it has ended
            self.assertTrue(all(c.change == "changed" for c in states))
            self.assertEqual([c.sequence for c in states],
                             list(range(1, len(states) + 1)))

    @each_placement
    def test_a_query_has_all(self, host):
        """Also more than were expected."""
        with host.transaction() as t:
            t.partition("web", memory="4M")
        for what in ("channels", "partitions"):
            found = host.query(what)
            self.assertGreater(len(found), 2)
            self.assertEqual(host.query(what, room=1), found)

    def test_it_is_replayed(self):
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            with host.transaction() as t:
                web = t.partition("web", processors=0)
            with host.watch("log") as watch:
                with host.transaction() as t:
                    t.destroy(web)
                revision = take(host, watch, 1)[0].revision
            again = take(host, host.watch("log", after=revision - 2), 2)
            self.assertEqual([c.revision for c in again],
                             [revision - 1, revision])
            with self.assertRaises(ultravisor.Error):
                host.watch(after=revision + 1000)

    def test_asynchronously(self):
        async def first(host):
            with host.watch("partitions") as watch:
                with host.transaction() as t:
                    t.partition("web", processors=0)
                async for change in watch:
                    return change

        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            self.assertEqual(asyncio.run(first(host)).change, "made")


class Cursors(SystemTest):
    @each_placement
    def test_all_records_are_of_one_revision(self, host):
        with host.transaction() as t:
            guests = [t.partition(f"g{i}", processors=0) for i in range(60)]
        for guest in guests:
            with host.transaction() as t:
                for _ in range(20):  # more than one answer holds
                    t.memory(guest, 4096)
        before = {r["id"]: r for r in host.query("partitions")}
        reader = host.records("partitions", "extents")
        seen = [next(reader)]
        with host.transaction() as t:  # while it is read
            for guest in guests[30:]:
                t.destroy(guest)
            t.partition("late", processors=0)
        seen += list(reader)
        found = {r["id"]: r for kind, r in seen if kind == "partitions"}
        self.assertEqual(found, before)
        extents = [r for kind, r in seen if kind == "extents"]
        self.assertEqual(sum(e["bytes"] for e in extents),
                         sum(r["memory_bytes"] for r in before.values()))
        one = list(host.records("extents", partition=guests[3]))
        self.assertTrue(one)
        self.assertTrue(all(r["partition"] == guests[3].id for _, r in one))

    def test_a_client_has_so_many(self):
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            for _ in range(3):  # those that are closed make room
                readers = [host.records("partitions", "processors")
                           for _ in range(8)]
                for reader in readers:
                    next(reader)
                with self.assertRaises(ultravisor.Error) as refused:
                    next(host.records("partitions", "processors"))
                self.assertEqual(refused.exception.status,
                                 ultravisor.C.ULV_E_LIMIT)
                for reader in readers:
                    reader.close()
            for kinds in (("log",), ("usage",), ()):
                with self.assertRaises(ultravisor.Error):
                    next(host.records(*kinds))


class Exports(SystemTest):
    @each_placement
    def test_all_of_it_as_json(self, host):
        with host.transaction() as t:
            web = t.partition('we"b\u00e9', memory="4M")
            t.console(web)
            for i in range(40):
                t.memory(web, 4096)
        document = json.loads(host.export())
        self.assertEqual((document.pop("format"), document.pop("version")),
                         ("ultravisor database", 3))
        revision = document.pop("revision")
        self.assertEqual(revision, host.query("log")[-1]["revision"])
        for kind, records in document.items():
            self.assertIn(kind, ultravisor.QUERIES)
            if kind == "shares":
                continue  # not asked for by queries
            found = {r["id"]: r for r in records}
            asked = {r["id"]: r for r in host.query(kind)}
            self.assertEqual(len(records), len(asked), kind)
            for number, record in asked.items():
                for field, value in record.items():
                    if (kind, field) == ("channels", "state"):
                        continue  # as it was seen last, at any revision
                    if field in ("type", "instance"):
                        value = bytes(value).hex()
                    elif isinstance(value, list):
                        value = [None if v == 2 ** 64 - 1 else v
                                 for v in value]
                    self.assertEqual(found[number][field], value,
                                     (kind, field))
        self.assertEqual(set(document),
                         set(ultravisor.QUERIES) - {"log", "usage"})

    def test_a_host_goes_on_from_what_was_exported(self):
        """By the command line, out of one directory and into another."""
        with tempfile.TemporaryDirectory() as folder:
            first, second = f"{folder}/first", f"{folder}/second"
            os.mkdir(first)
            with ultravisor.open(backend=BACKENDS[0], memory="64M",
                                 storage=first) as host:
                with host.transaction() as t:
                    web = t.partition("web", memory="4M", processors=1)
                    t.label(web, tier="front")
                before = list(host.records("partitions", "extents", "shares",
                                           "labels"))
            self.command("export", first, f"{folder}/db.json")
            self.command("import", f"{folder}/db.json", second)
            self.assertEqual(ultravisor.export_storage(second),
                             open(f"{folder}/db.json").read())
            self.assertIn("already", self.command(
                "import", f"{folder}/db.json", second, fails=True))
            with ultravisor.open(backend=BACKENDS[0], memory="64M",
                                 storage=second) as host:
                host.check()
                after = list(host.records("partitions", "extents", "shares",
                                          "labels"))
                self.assertEqual([self.lasting(r) for r in after],
                                 [self.lasting(r) for r in before])
                with host.transaction() as t:
                    t.partition("mail", memory="4M", processors=1)

    @staticmethod
    def lasting(found):
        """What a restart does not change."""
        kind, record = found
        return kind, {name: value for name, value in record.items()
                      if name not in ("version", "state", "intent", "window",
                                      "ran", "channel_count")}

    def command(self, *words, fails=False):
        done = subprocess.run([sys.executable, "-m", "ultravisor", *words],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1 if fails else 0, done.stderr)
        return done.stderr

    def test_the_callers_failure_ends_it(self):
        lib, ffi = ultravisor.lib, ultravisor.ffi
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            refuse = ffi.callback("ulv_export_fn",
                                  lambda *_: ultravisor.C.ULV_E_DENIED)
            with self.assertRaises(ultravisor.Error) as refused:
                ultravisor.checked(lib.ulv_system_export, host._system,
                                   refuse, ffi.NULL)
            self.assertEqual(refused.exception.status,
                             ultravisor.C.ULV_E_DENIED)
            json.loads(host.export())


if __name__ == "__main__":
    unittest.main()
