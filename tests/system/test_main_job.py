# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The main job: a whole disk through the guest, and a server that dies."""

import asyncio
import os
import subprocess
import tempfile
import unittest

from common import (BACKENDS, DIGEST, PATIENCE, SystemTest, demo, digest,
                    disk, each_kind)

import ultravisor

IPXE = "/usr/lib/ipxe/ipxe.iso"


class MainJob(SystemTest):
    @each_kind
    def test_digest(self, backend, in_process):
        """A guest hashes its disk."""
        with disk(3000) as path, ultravisor.open(
                backend=backend, in_process=in_process, memory="64M") as host:
            end, said = self.run_guest(host, "web", DIGEST, path)
            self.assertEqual((end.reason, end.code),
                             (ultravisor.C.ULV_END_REASON_STOP, 0))
            self.assertIn("sha256 " + digest(path), said)

    @each_kind
    def test_async_events(self, backend, in_process):
        """Events come by `async for`, and other tasks go on meanwhile."""
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async def watch(host, guest):
            ticking, said = asyncio.ensure_future(tick()), b""
            async for event in host.events():
                if event.kind == ultravisor.C.ULV_EVENT_CONSOLE:
                    said += event.data
                if event.kind == ultravisor.C.ULV_EVENT_ENDED:
                    break
            ticking.cancel()
            self.assertEqual(guest.wait().code, 0)
            return said.decode()

        with disk(3000) as path, ultravisor.open(
                backend=backend, in_process=in_process, memory="64M") as host:
            guest = self.guest(host, "web", path)
            guest.start(DIGEST)
            said = asyncio.run(asyncio.wait_for(watch(host, guest), PATIENCE))
            self.assertIn("sha256 " + digest(path), said)
            self.assertGreater(ticks, 1)

    @each_kind
    def test_two_guests_at_once(self, backend, in_process):
        """Two guests read two disks at the same time, each its own."""
        with disk(2048, b"a") as a, disk(2048, b"b") as b, ultravisor.open(
                backend=backend, in_process=in_process, memory="64M") as host:
            guests = [self.guest(host, name, path)
                      for name, path in (("one", a), ("two", b))]
            for guest in guests:
                guest.start(DIGEST)
            for guest in guests:
                self.assertEqual(self.wait(host, guest).code, 0)
            for guest, path in zip(guests, (a, b)):
                self.assertIn("sha256 " + digest(path),
                              self.console(host, guest))

    @each_kind
    def test_two_guests_talk(self, backend, in_process):
        """A channel between two guests, with nobody in between."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            with host.transaction() as t:
                ping = t.partition("ping", memory="4M")
                echo = t.partition("echo", memory="4M")
                t.console(ping)
                t.connect(ping, echo, b"ultravisor echo")
            echo.start(DIGEST.with_name("echo.elf"))
            ping.start(DIGEST.with_name("ping.elf"))
            self.assertEqual(self.wait(host, ping).code, 0)
            self.assertEqual(self.wait(host, echo).code, 0)
            self.assertIn("10000 of 10000", self.console(host, ping))

    @each_kind
    def test_start_again(self, backend, in_process):
        """A guest is made, run and destroyed; its name and memory are free."""
        with disk(256) as path, ultravisor.open(
                backend=backend, in_process=in_process, memory="32M") as host:
            before = host.query("memory")
            for _ in range(3):
                guest = self.guest(host, "web", path)
                guest.start(DIGEST)
                self.assertEqual(self.wait(host, guest).code, 0)
                with host.transaction() as t:
                    t.destroy(guest)
                for _ in range(3):
                    host.step(0.01)
                self.assert_alive(host)
            self.assertEqual([n["free_bytes"] for n in host.query("memory")],
                             [n["free_bytes"] for n in before])

    @each_kind
    def test_stop_from_outside(self, backend, in_process):
        """A guest that never yields is stopped by the operator."""
        from common import IMAGES
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            guest = self.guest(host, "busy")
            guest.start(IMAGES / "never_yields.elf")
            guest.stop()
            self.assertEqual(self.wait(host, guest).reason,
                             ultravisor.C.ULV_END_REASON_KILLED)

    def test_memory_of_a_guest(self):
        """The caller reads what was loaded, and nothing beyond."""
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            guest = self.guest(host, "web", memory="2M")
            guest.start(DIGEST)
            code = DIGEST.read_bytes()[0x1000:0x1100]
            self.assertEqual(guest.read(0x400000, 256), code)
            with self.assertRaises(ultravisor.Error):
                guest.read(0x400000 + (2 << 20) - 8, 16)
            with self.assertRaises(ultravisor.Error):
                guest.read(0, 1)


class Demo(unittest.TestCase):
    def check(self, path, *arguments):
        code, document, said = demo(path, *arguments)
        self.assertEqual(code, 0, said)
        self.assertTrue(document["ok"])
        self.assertEqual(document["digest"]["guest"], digest(path))
        self.assertTrue([line for line in document["time_line"]
                         if "took over" in line["what"]], said)

    def test_ipxe(self):
        """The default disk, on each backend and placement, with take-over."""
        for backend in BACKENDS:
            for placement in ((), ("--in-process",)):
                with self.subTest(backend=backend, placement=placement):
                    self.check(IPXE, "--backend", backend, *placement)

    def test_grub_iso(self):
        """An ISO that grub-mkrescue makes."""
        with tempfile.TemporaryDirectory() as folder:
            iso = os.path.join(folder, "boot.iso")
            os.makedirs(os.path.join(folder, "tree/boot/grub"))
            with open(os.path.join(folder, "tree/boot/grub/grub.cfg"), "w",
                      encoding="ascii") as file:
                file.write("set timeout=0\n")
            subprocess.run(["grub-mkrescue", "-o", iso, "--install-modules",
                            "multiboot normal", os.path.join(folder, "tree")],
                           check=True, capture_output=True)
            self.check(iso)

    def test_ext4(self):
        """A 256 MiB ext4 image that mke2fs -d makes."""
        with tempfile.TemporaryDirectory() as folder:
            image = os.path.join(folder, "disk.img")
            tree = os.path.join(folder, "tree")
            os.mkdir(tree)
            for n in range(64):
                with open(os.path.join(tree, f"file{n}"), "wb") as file:
                    file.write(os.urandom(1 << 20))
            subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, image,
                            "256M"], check=True, capture_output=True)
            self.check(image)

    def test_says_what_the_rows_are(self):
        """Each requirement has a line of its own."""
        result = subprocess.run(
            ["/usr/bin/python3", "-m", "ultravisor", "demo"],
            capture_output=True, text=True, check=False, timeout=240)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for row in range(1, 12):
            self.assertRegex(result.stdout, rf"\bA{row}\b")
        self.assertNotIn("\033[", result.stdout)
