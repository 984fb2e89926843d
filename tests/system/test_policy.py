# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Policies with rules, in a system that runs: decisions and why, what would
happen, and another policy while guests are there."""

import json
import pathlib
import re
import unittest

from common import BACKENDS, IMAGES, SystemTest, each_kind

import ultravisor
from ultravisor import C

MIB = 1 << 20


def policy(**rules):
    return ultravisor.compile_policy(text=json.dumps(rules))


DOCUMENT = pathlib.Path(__file__).parents[2] / "doc/policy.md"


class Document(SystemTest):
    def test_its_example(self):
        """It compiles, and does what it says."""
        example = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(),
                            re.S)[1]
        with ultravisor.open(
                backend=BACKENDS[0], memory="96M",
                policy=ultravisor.compile_policy(text=example)) as host:
            with host.transaction() as t:
                web = t.partition("web", memory="32M")
                t.console(web)
            self.assertEqual([d["rule"] for d in t.decisions],
                             ["restart[0]", "tight", "side"])
            with self.assertRaisesRegex(
                    ultravisor.Error,
                    r"web-2: 65 MiB asked, policy allows 64 MiB each "
                    r"\(small\)"):
                self.guest(host, "web-2", memory="65M")
            with self.assertRaisesRegex(ultravisor.Error, r"\(spare\)"):
                with host.transaction() as t:
                    db = t.partition("db")
                    t.memory(db, "62M", 0)


class Decisions(SystemTest):
    def test_large_transactions(self):
        """What compares each operation with each has fewer of them."""
        for rules, most in ((policy(), 4096), (policy(reservations=[
                {"name": "spare", "node": 0, "memory": "1M"}]), 512)):
            with self.subTest(most=most), ultravisor.open(
                    backend=BACKENDS[0], memory="64M", policy=rules) as host:
                with host.transaction() as t:
                    for number in range(most):
                        t.zone(f"zone-{number}")
                if most == 4096:
                    continue
                with self.assertRaisesRegex(
                        ultravisor.Error, "513 operations, at most 512") as it:
                    with host.transaction() as t:
                        for number in range(513):
                            t.zone(f"more-{number}")
                self.assertEqual(it.exception.status, C.ULV_E_LIMIT)

    @each_kind
    def test_each_decision_is_explained(self, backend, in_process):
        """By which rule, among which candidates, in words and in numbers; an
        event tells of it."""
        rules = policy(
            placement=[{"name": "tight", "of": "db*", "nodes": "pack"}],
            restart=[{"name": "again", "of": "db*", "times": 2}])
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M", policy=rules) as host:
            nodes = {n["node"] for n in host.query("memory")}
            with host.transaction() as t:
                db = t.partition("db-1", memory="4M")
                t.console(db)
            found = {d["kind"]: d for d in t.decisions}
            self.assertEqual(set(found), {"node", "side", "restarts"})
            node = found["node"]
            self.assertEqual((node["rule"], node["object"], node["operation"]),
                             ("tight", db.id, 1))
            self.assertEqual({c["what"] for c in node["candidates"]}, nodes)
            self.assertEqual([c["what"] for c in node["candidates"]
                              if c["verdict"] == "taken"], [node["chosen"]])
            self.assertIn("least free and enough", node["text"])
            self.assertEqual((found["restarts"]["chosen"],
                              found["restarts"]["rule"]), (2, "again"))
            side = found["side"]
            self.assertEqual({c["what"]: c["verdict"]
                              for c in side["candidates"]},
                             {host.find("io-a"): "taken",
                              host.find("io-b"): "outranked"})
            told = {e.value: e.data.decode() for e in host.pending()
                    if e.kind == C.ULV_EVENT_DECISION}
            self.assertEqual(told, {d["sequence"]: d["text"]
                                    for d in t.decisions})
            self.assertEqual(list(host.decisions()), t.decisions)
            self.assert_alive(host)

    @each_kind
    def test_a_dry_run_says_what_would_happen(self, backend, in_process):
        """The same decisions as the transaction then has, and no change."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            before = [host.query(q) for q in ("partitions", "memory",
                                              "devices", "channels")]

            def ask(dry_run):
                with host.transaction(dry_run) as t:
                    web = t.partition("web", memory="8M")
                    t.console(web)
                return [(d["kind"], d["text"].split(":", 1)[1], d["rule"],
                         d["chosen"], d["candidates"]) for d in t.decisions
                        if self.assertEqual(d["dry_run"], dry_run) is None]

            would = ask(True)
            self.assertEqual([host.query(q) for q in (
                "partitions", "memory", "devices", "channels")], before)
            self.assertEqual(len(would), 2)
            self.assertEqual(ask(False), would)

    @each_kind
    def test_a_refusal_is_explained(self, backend, in_process):
        """By object, value, bound and rule; nothing is changed."""
        rules = policy(limits=[
            {"name": "small", "of": "web*", "each": {"memory": "4M"}},
            {"name": "few", "together": {"guests": 2, "devices": 1}}])
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M", policy=rules) as host:
            before = host.query("partitions")
            for dry_run in (True, False):
                with self.assertRaises(ultravisor.Error) as caught:
                    with host.transaction(dry_run) as t:
                        web = t.partition("web", memory="6M")
                error = caught.exception
                self.assertEqual((error.status, error.object, error.value,
                                  error.bound),
                                 (C.ULV_E_POLICY, web.id, 6 * MIB, 4 * MIB))
                refused = t.decisions[-1]
                self.assertEqual((refused["refused"], refused["rule"],
                                  refused["text"], refused["dry_run"]),
                                 (True, "small", str(error), dry_run))
                self.assertEqual(host.query("partitions"), before)
            self.guest(host, "db", memory="6M")
            with self.assertRaisesRegex(ultravisor.Error, r"2 devices asked, "
                                        r"policy allows 1 \(few\)"):
                self.guest(host, "db-2", memory="2M")
            self.assert_alive(host)

    @each_kind
    def test_rules_by_label_zone_and_reference(self, backend, in_process):
        """As the database has them, and as the transaction gives them."""
        rules = policy(limits=[
            {"name": "gold", "of": "label:tier=gold",
             "each": {"memory": "8M"}},
            {"name": "blue", "of": "zone:bl*", "together": {"memory": "6M"}},
            {"name": "lean", "of": "policy:lean", "each": {"devices": 0}}])
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M", policy=rules) as host:
            def refused(by, act):
                with self.assertRaisesRegex(ultravisor.Error,
                                            rf"\({by}\)") as caught:
                    with host.transaction() as t:
                        act(t)
                self.assertEqual(caught.exception.status, C.ULV_E_POLICY)

            def gold(t):
                t.label(t.partition("a", memory="10M"), tier="gold")

            refused("gold", gold)
            with host.transaction() as t:
                a = t.partition("a", memory="4M")
                t.label(a, tier="gold", rack="7")
                zone = t.zone("blue")
                t.zone_set(a, zone)
            refused("gold", lambda t: t.memory(a, "5M"))
            refused("blue", lambda t: t.memory(a, "3M"))

            def join(t):
                b = t.partition("b", memory="4M")
                t.zone_set(b, zone)

            refused("blue", join)
            with host.transaction() as t:
                t.policy(zone, "lean")
            refused("lean", lambda t: t.console(a))
            with host.transaction() as t:
                t.policy(a, "rich")
                t.console(a)
            self.assertEqual(host.preview_policy(rules), [])
            self.assert_alive(host)

    def test_processors_are_placed_one_by_one(self):
        """Several in one operation, where a rule has a say; the operation that
        fails is the caller's."""
        rules = policy(affinity=[{"name": "cores", "apart": ["a", "b"],
                                  "over": "processor"}])
        with ultravisor.open(backend=BACKENDS[0], memory="64M",
                             policy=rules) as host:
            count = len(host.query("processors"))
            if count < 2:
                print("# a host of one processor", flush=True)
                self.skipTest("one processor")
            with host.transaction(dry_run=True) as t:
                a = t.partition("a", memory="2M", processors=count)
            placed = [d for d in t.decisions if d["kind"] == "processor"]
            self.assertEqual(len(placed), count)
            self.assertEqual({d["operation"] for d in placed}, {2})
            with host.transaction() as t:
                a = t.partition("a", memory="2M", processors=0)
                t.processor(a, dedicated=True)
            with host.transaction() as t:
                b = t.partition("b", memory="2M", processors=1)
            taken = {d["object"]: d["chosen"] for d in host.decisions()
                     if d["kind"] == "processor" and not d["dry_run"]}
            self.assertNotEqual(taken[a.id], taken[b.id])


class Replace(SystemTest):
    @each_kind
    def test_a_preview_shows_what_it_would_refuse(self, backend, in_process):
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            web = self.guest(host, "web", memory="8M")
            self.guest(host, "db", memory="4M")
            other = policy(memory_per_guest="6M", io=[
                {"device": "disk*", "primary": "io-a", "standby": "io-b"}])
            found = host.preview_policy(other)
            self.assertEqual(
                [(f["rule"], f["object"], f["value"], f["bound"])
                 for f in found if f["kind"] == "limit"],
                [("memory_per_guest", web.id, 8 * MIB, 6 * MIB)])
            self.assertEqual(len([f for f in found if f["rule"] == "io"]), 2)
            # nothing of it is in force
            self.guest(host, "third", memory="8M")
            self.assertEqual(host.preview_policy(policy()), [])
            self.assert_alive(host)

    @each_kind
    def test_another_policy_while_guests_run(self, backend, in_process):
        """In force for the next request, or not at all; what there is stays,
        and runs."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            web = self.guest(host, "web", memory="8M")
            web.start(IMAGES / "counter.elf")
            small = policy(memory_per_guest="6M")
            with self.assertRaises(ultravisor.Error) as caught:
                host.replace_policy(small, unless_refused=True)
            self.assertEqual((caught.exception.status, caught.exception.value,
                              caught.exception.bound),
                             (C.ULV_E_POLICY, 8 * MIB, 6 * MIB))
            self.assertEqual(len(caught.exception.findings), 1)
            self.guest(host, "two", memory="8M")
            self.assertEqual(len(host.replace_policy(small)), 2)
            with self.assertRaisesRegex(ultravisor.Error, "allows 6 MiB"):
                self.guest(host, "three", memory="8M")
            self.assertEqual(host.replace_policy(policy()), [])
            self.guest(host, "three", memory="8M")
            web.stop()
            self.assert_alive(host)

    @each_kind
    def test_what_is_no_policy(self, backend, in_process):
        """Bytes of every kind: refused whole, and the old one is in force."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M", policy=policy(guests=1)) as host:
            for offset in (0, 32, 48, 52, 56, 60, 64, 68, 72):
                wrong = policy()
                bytes_ = ultravisor.ffi.buffer(wrong)
                bytes_[offset:offset + 4] = b"\xff\xff\xff\xff"
                with self.assertRaises(ultravisor.Error) as caught:
                    host.replace_policy(wrong)
                self.assertEqual(caught.exception.status, C.ULV_E_FORMAT,
                                 offset)
            self.guest(host, "one", memory="2M")
            with self.assertRaisesRegex(ultravisor.Error, "policy allows 1"):
                self.guest(host, "two", memory="2M")

    @each_kind
    def test_roles_that_are_dead(self, backend, in_process):
        for role in ("operations", "command"):
            with self.subTest(role=role), ultravisor.open(
                    backend=backend, in_process=in_process,
                    memory="64M") as host:
                host.kill(role)
                while any(n == role and alive for n, alive, _ in host.roles()):
                    host.step(0.1)
                with self.assertRaises(ultravisor.Error) as caught:
                    host.replace_policy(policy())
                self.assertEqual(caught.exception.status, C.ULV_E_PEER_GONE)


if __name__ == "__main__":
    unittest.main()
