# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests that are started again: nothing of a run is left to the next one, and
nothing but that."""

import tempfile
import time

from common import (BACKENDS, DIGEST, IMAGES, PATIENCE, SystemTest, digest,
                    disk, each_kind)

import ultravisor
from ultravisor import C

COUNT_AT = 0x500000  # where counter.c counts


class Again(SystemTest):
    def until(self, host, condition):
        until = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), until, "it did not happen")
            host.step(0.01)

    @each_kind
    def test_with_channels(self, backend, in_process):
        """Each run reads its whole disk and writes all to its console."""
        with disk(2048) as path, ultravisor.open(
                backend=backend, in_process=in_process,
                memory="64M") as host:
            guest = self.guest(host, "web", path)
            first = None
            for _ in range(4):
                end, said = self.run_again(host, guest, DIGEST)
                self.assertEqual(end.code, 0, end.text)
                self.assertIn(f"sha256 {digest(path)}", said)
                self.assertNotIn(C.ULV_EVENT_TAKEOVER,
                                 [e.kind for e in self.events])
                first = first or said.count("\n")
                self.assertEqual(said.count("\n"), first)
            epochs = {c["epoch"] for c in host.query("channels")
                      if c["client"] == guest.id}
            self.assertEqual(epochs, {4})

    @each_kind
    def test_memory_is_zero(self, backend, in_process):
        """What a run has written is not there in the next one."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest = self.guest(host, "web")
            guest.start(IMAGES / "counter.elf")
            self.until(host, lambda: guest.read(COUNT_AT, 8) != bytes(8))
            guest.stop()
            self.assertNotEqual(guest.read(COUNT_AT, 8), bytes(8))
            end, _ = self.run_again(host, guest, IMAGES / "hello.elf")
            self.assertEqual(end.code, 42, end.text)
            self.assertEqual(guest.read(COUNT_AT, 8), bytes(8))

    @each_kind
    def test_after_a_hostile_run(self, backend, in_process):
        """A run that was disconnected harms the next one no more than it did
        any other guest."""
        with disk(1024) as path, ultravisor.open(
                backend=backend, in_process=in_process,
                memory="64M") as host:
            guest = self.guest(host, "web", path)
            for image in ("garbage_channel", "garbage_requests", "undefined",
                          "storm"):
                guest.start(IMAGES / f"{image}.elf")
                if image == "storm":
                    self.until(host, guest.trace)
                    guest.stop()
                self.wait(host, guest)
                end, said = self.run_again(host, guest, DIGEST)
                self.assertEqual(end.code, 0, end.text)
                self.assertIn(f"sha256 {digest(path)}", said)
            self.assert_alive(host)

    def test_take_over_in_a_later_run(self):
        """A server that dies in the second run has a successor, which drives
        what was asked in that run."""
        with disk(16384) as path, ultravisor.open(
                in_process=False, memory="64M") as host:
            guest = self.guest(host, "web", path)
            self.run_again(host, guest, DIGEST)
            self.events = []
            guest.start(DIGEST)
            host.step(0.01)
            host.kill("io-a")
            end = self.wait(host, guest)
            self.assertEqual(end.code, 0, end.text)
            self.assertIn(f"sha256 {digest(path)}", self.console(host, guest))
            end, said = self.run_again(host, guest, DIGEST)
            self.assertEqual(end.code, 0, end.text)
            self.assertIn(f"sha256 {digest(path)}", said)

    @each_kind
    def test_with_another_guest(self, backend, in_process):
        """Not while it runs; afterwards both, and they meet again."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            one = self.guest(host, "one", memory="4M")
            two = self.guest(host, "two", memory="4M")
            with host.transaction() as t:
                t.connect(one, two, b"visit")

            def met():
                self.events += list(host.pending())
                return {e.partition for e in self.events if e.data == b"met"
                        } == {one.id, two.id}
            for _ in range(3):
                self.events = []
                one.start(IMAGES / "visitor.elf")
                two.start(IMAGES / "visitor.elf")
                self.until(host, met)
                one.stop()
                with self.assertRaises(ultravisor.Error) as caught:
                    one.start(IMAGES / "visitor.elf")
                self.assertEqual(caught.exception.status, C.ULV_E_STATE)
                self.assertIn("two runs", str(caught.exception))
                two.stop()


class Reset(SystemTest):
    def compiled(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            return ultravisor.compile_policy(file.name)

    def resets(self):
        return [e for e in self.events if e.kind == C.ULV_EVENT_RESET]

    @each_kind
    def test_starts_again_so_often(self, backend, in_process):
        """As often as the policy says; then it stays down."""
        rule = self.compiled('{"restarts_per_minute": 3}')
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M", policy=rule) as host:
            self.events = []
            end, said = self.run_guest(host, "web", IMAGES / "reset.elf")
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_RESET, 5), end.text)
            self.assertEqual(said, 4 * "runs\n")
            self.assertEqual([e.value for e in self.resets()], [5, 5, 5])
            self.assertIn(b"starts again", self.resets()[0].data)
            web = ultravisor.Partition(host, host.find("web"), "web")
            # by hand it runs once more; its rule allows no more
            self.events = []
            web.start(IMAGES / "reset.elf")
            self.assertEqual(self.wait(host, web).code, 5)
            self.assertEqual(self.resets(), [])
            # what ends otherwise is not started again
            web.start(IMAGES / "undefined.elf")
            self.assertEqual(self.wait(host, web).reason,
                             C.ULV_END_REASON_FAULT)
            self.assertEqual(self.resets(), [])
            self.assert_alive(host)

    @each_kind
    def test_restarts_are_changed(self, backend, in_process):
        """As often as was said last. One that began to run with none has no
        image: for that it counts from its next start on."""
        rule = self.compiled('{"restarts_per_minute": 9}')
        image = IMAGES / "reset.elf"
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M", policy=rule) as host:
            web = self.guest(host, "web")
            for restarts in (0, 2):
                with host.transaction() as t:
                    t.change(web, restarts=restarts)
                end, said = self.run_again(host, web, image)
                self.assertEqual(end.reason, C.ULV_END_REASON_RESET, end.text)
                self.assertEqual((len(self.resets()), said),
                                 (restarts, "runs\n" * (restarts + 1)))
            with host.transaction() as t:
                t.change(web, restarts=0)
            self.events = []
            web.start(image)
            with host.transaction() as t:
                t.change(web, restarts=5)
            self.assertEqual(self.wait(host, web).reason,
                             C.ULV_END_REASON_RESET)
            self.assertEqual(self.resets(), [])
            self.run_again(host, web, image)
            self.assertEqual(len(self.resets()), 3)  # two were before
            self.assert_alive(host)

    @each_kind
    def test_stays_down_by_default(self, backend, in_process):
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            self.events = []
            end, said = self.run_guest(host, "web", IMAGES / "reset.elf")
            self.assertEqual(end.reason, C.ULV_END_REASON_RESET, end.text)
            self.assertEqual((said, self.resets()), ("runs\n", []))

    def test_cannot_while_its_peer_runs(self):
        """It ends where it cannot be started again, and says so."""
        rule = self.compiled('{"restarts_per_minute": 3}')
        with ultravisor.open(backend=BACKENDS[0], memory="64M",
                             policy=rule) as host:
            peer = self.guest(host, "peer", memory="4M")
            web = self.guest(host, "web", memory="4M")
            with host.transaction() as t:
                t.connect(web, peer, b"x")
            peer.start(IMAGES / "counter.elf")
            web.start(IMAGES / "reset.elf")
            self.assertEqual(self.wait(host, web).reason,
                             C.ULV_END_REASON_RESET)
            self.assertEqual(self.resets(), [])
            self.assertTrue(any(b"peer runs" in e.data for e in self.events
                                if e.kind == C.ULV_EVENT_FAULT))
            peer.stop()
            web.start(IMAGES / "hello.elf")
            self.assertEqual(self.wait(host, web).code, 42)
