# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests under Debian's gdb, by the socket of a stub."""

import contextlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import time

from common import BACKENDS, IMAGES, PATIENCE, SystemTest, each_kind, policy

import ultravisor
from ultravisor import C

GDB = shutil.which("gdb")


class Debug(SystemTest):
    def setUp(self):
        super().setUp()
        if GDB is None:
            self.skipTest("there is no gdb")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "gdb.socket"

    @contextlib.contextmanager
    def host(self, backend, in_process, **more):
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M", **more) as host:
            yield host

    def gdb(self, host, image, *commands):
        """What gdb says in a session of these commands, while the system is
        stepped."""
        words = [GDB, "--batch", "-nx", "-ex", "set confirm off",
                 "-ex", f"set remotetimeout {PATIENCE}",
                 "-ex", f"target remote {self.path}"]
        for command in commands:
            words += ["-ex", command]
        words.append(str(IMAGES / image))
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                       stdout=said, stderr=subprocess.STDOUT)
            until = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < until:
                host.step(0.02)
            if process.poll() is None:
                process.kill()
                process.wait()
                said.seek(0)
                self.fail("gdb did not end: " + said.read())
            for _ in range(3):
                host.step(0.01)
            said.seek(0)
            return said.read()

    @each_kind
    def test_a_running_guest(self, backend, in_process):
        """Attached to while it runs: registers, memory; it goes on after."""
        with self.host(backend, in_process) as host:
            guest = self.guest(host, "web")
            guest.debug(self.path)
            self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
            guest.start(IMAGES / "counter.elf")
            for _ in range(3):
                host.step(0.02)
            said = self.gdb(host, "counter.elf", "info registers rip rsp",
                            "print/x *(unsigned long *)0x500000 != 0",
                            "info threads")
            self.assertRegex(said, r"rip +0x[0-9a-f]+", said)
            self.assertRegex(said, r"rsp +0x[0-9a-f]+", said)
            self.assertIn("$1 = 0x1", said)
            before = int.from_bytes(guest.read(0x500000, 8), "little")
            for _ in range(5):
                host.step(0.02)
            self.assertGreater(
                int.from_bytes(guest.read(0x500000, 8), "little"), before)
            guest.debug_stop()
            self.assertFalse(self.path.exists())
            guest.stop()

    @each_kind
    def test_held_from_the_start(self, backend, in_process):
        """Nothing was carried out before the debugger says so; breakpoints,
        steps, registers and memory that are set."""
        with self.host(backend, in_process) as host:
            guest = self.guest(host, "web")
            guest.debug(self.path, hold=True)
            guest.start(IMAGES / "hello.elf")
            for _ in range(3):
                host.step(0.02)
            said = self.gdb(
                host, "hello.elf", "print/x $rip == (unsigned long)&_start",
                "print $rdi != 0", "break guest_main", "continue",
                "print $rip == (unsigned long)&guest_main",
                "x/1xb &guest_main", "set $before = $rip", "stepi",
                "print $rip > $before && $rip - $before < 16",
                "set $rax = 0x1234567890abcdef", "print/x $rax", "stepi",
                "delete", "detach")
            self.assertIn("Breakpoint 1, ", said)
            for number, value in ((1, "0x1"), (2, "1"), (3, "1"), (4, "1"),
                                  (5, "0x1234567890abcdef")):
                self.assertIn(f"${number} = {value}\n", said)
            self.assertNotRegex(said, r"guest_main>:\s+0xcc", said)
            self.assertEqual(self.wait(host, guest).code, 42)

    @each_kind
    def test_silent_while_held(self, backend, in_process):
        """Who stands under a debugger is not silent; who goes on is."""
        limit = policy('{"silence_limit_ms": 1000}')
        with self.host(backend, in_process, policy=limit) as host:
            guest = self.guest(host, "busy")
            guest.debug(self.path, hold=True)
            guest.start(IMAGES / "never_yields.elf")
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                host.step(0.05)
            said = self.gdb(host, "never_yields.elf",
                            "print/x $rip == (unsigned long)&_start",
                            "shell sleep 1.5", "stepi",
                            "print/x $rip != (unsigned long)&_start")
            self.assertIn("$1 = 0x1\n", said)
            self.assertIn("$2 = 0x1\n", said)
            end = self.wait(host, guest)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_FAULT, C.ULV_FAULT_RUNAWAY))

    @each_kind
    def test_a_faulted_guest(self, backend, in_process):
        """Registers and memory are there after the end; nothing goes on."""
        with self.host(backend, in_process) as host:
            guest = self.guest(host, "web")
            guest.debug(self.path)
            guest.start(IMAGES / "undefined.elf")
            self.wait(host, guest)
            said = self.gdb(host, "undefined.elf", "x/1xh $rip",
                            "monitor fault", "stepi", "continue",
                            "set $rax = 1")
            self.assertRegex(said, r":\s+0x0b0f", said)
            self.assertIn("not allowed at", said)
            self.assertIn("rflags", said)
            self.assertIn("the guest has ended", said)

    @each_kind
    def test_it_faults_under_the_debugger(self, backend, in_process):
        with self.host(backend, in_process) as host:
            guest = self.guest(host, "web")
            guest.debug(self.path, hold=True)
            guest.start(IMAGES / "divide.elf")
            said = self.gdb(host, "divide.elf", "continue", "x/i $rip")
            self.assertIn("SIGFPE", said)
            self.assertRegex(said, r"\s(i?div)", said)

    @each_kind
    def test_it_ends_under_the_debugger(self, backend, in_process):
        with self.host(backend, in_process) as host:
            guest = self.guest(host, "web")
            guest.debug(self.path, hold=True)
            guest.start(IMAGES / "hello.elf")
            said = self.gdb(host, "hello.elf", "continue")
            self.assertIn("exited with code 052", said)
            guest.start(IMAGES / "hello.elf")
            said = self.gdb(host, "hello.elf", "kill")
            self.assertIn("killed", said)
            self.assertEqual(self.wait(host, guest).reason,
                             C.ULV_END_REASON_KILLED)

    @each_kind
    def test_a_stub_that_comes_late(self, backend, in_process):
        """After the start: where the backend cannot, that is said in words."""
        with self.host(backend, in_process) as host:
            guest = self.guest(host, "web")
            guest.start(IMAGES / "counter.elf")
            if backend == "process":
                with self.assertRaises(ultravisor.Error) as caught:
                    guest.debug(self.path)
                self.assertEqual(caught.exception.status, C.ULV_E_STATE)
                self.assertIn("only a guest that is started after its stub",
                              str(caught.exception))
                self.assertFalse(self.path.exists())
            else:
                guest.debug(self.path)
                self.assertIn("rip", self.gdb(host, "counter.elf",
                                              "info registers rip"))
            guest.stop()

    def test_from_the_command_line(self):
        for options in ([], ["--processes"]):
            with subprocess.Popen(
                    [sys.executable, "-m", "ultravisor", "run", "--backend",
                     BACKENDS[0], "--gdb", str(self.path), *options,
                     str(IMAGES / "hello.elf")], stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE) as process:
                until = time.monotonic() + PATIENCE
                while not self.path.exists() and time.monotonic() < until:
                    time.sleep(0.01)
                said = subprocess.run(
                    [GDB, "--batch", "-nx", "-ex",
                     f"set remotetimeout {PATIENCE}", "-ex",
                     f"target remote {self.path}", "-ex", "break guest_main",
                     "-ex", "continue", "-ex", "continue",
                     str(IMAGES / "hello.elf")], capture_output=True,
                    text=True, check=False, timeout=2 * PATIENCE).stdout
                process.communicate(timeout=PATIENCE)
                self.assertIn("Breakpoint 1, ", said)
                self.assertIn("exited with code 052", said)
                self.assertEqual(process.returncode, 42)
