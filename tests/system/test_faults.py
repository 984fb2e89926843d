# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Bad input and faults: each gets a clear word, and nobody else suffers."""

import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest.mock

from common import (BACKENDS, DIGEST, IMAGES, PATIENCE, SystemTest, demo,
                    digest, disk, each_kind, policy)

import ultravisor
from ultravisor import C

FAULTS = {
    "jump_nowhere": (C.ULV_FAULT_EXECUTE, "execution"),
    "write_view": (C.ULV_FAULT_WRITE, "write"),
    "write_past_memory": (C.ULV_FAULT_WRITE, "write"),
    "read_nothing": (C.ULV_FAULT_READ, "read"),
    "undefined": (C.ULV_FAULT_INSTRUCTION, "0f 0b"),
    "privileged": (C.ULV_FAULT_INSTRUCTION, "not allowed"),
    "port": (C.ULV_FAULT_PORT, "I/O port"),
    "msr": (C.ULV_FAULT_INSTRUCTION, "not allowed"),
    "control_register": (C.ULV_FAULT_INSTRUCTION, "not allowed"),
    "divide": (C.ULV_FAULT_ARITHMETIC, "arithmetic"),
}


class Guests(SystemTest):
    @each_kind
    def test_faults_end_the_guest_only(self, backend, in_process):
        """Each hostile guest ends in its own fault; a neighbour goes on."""
        with disk(2048) as path, ultravisor.open(
                backend=backend, in_process=in_process, memory="128M",
                ) as host:
            neighbour = self.guest(host, "neighbour", path)
            neighbour.start(DIGEST)
            for name, (kind, word) in FAULTS.items():
                with self.subTest(guest=name):
                    end, _ = self.run_guest(host, name,
                                            IMAGES / f"{name}.elf")
                    self.assertEqual(end.reason, C.ULV_END_REASON_FAULT,
                                     end.text)
                    self.assertEqual(end.code, kind, end.text)
                    self.assertIn(word, end.text)
            self.assertEqual(self.wait(host, neighbour).code, 0)
            self.assertIn(digest(path), self.console(host, neighbour))

    @each_kind
    def test_never_yields(self, backend, in_process):
        """A guest that never calls is stopped by the policy's limit."""
        limit = policy('{"silence_limit_ms": 200}')
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M", policy=limit) as host:
            end, _ = self.run_guest(host, "busy", IMAGES / "never_yields.elf")
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_FAULT, C.ULV_FAULT_RUNAWAY))

    @each_kind
    def test_a_limit_for_one_that_runs(self, backend, in_process):
        """A limit that is set while a guest runs holds for it."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            busy = self.guest(host, "busy")
            busy.start(IMAGES / "never_yields.elf")
            with host.transaction() as t:
                t.change(busy, silence_limit=0.2, name="late")
            end = self.wait(host, busy)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_FAULT, C.ULV_FAULT_RUNAWAY))
            self.assertIn(b"late: ", [e.data[:6] for e in self.events
                                      if e.kind == C.ULV_EVENT_ENDED])

    @each_kind
    def test_never_yields_in_a_thread(self, backend, in_process):
        """One that never comes back from its own thread is found too."""
        limit = policy('{"silence_limit_ms": 200}')
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M", policy=limit,
                             threads_from=1) as host:
            end, _ = self.run_guest(host, "busy", IMAGES / "never_yields.elf")
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_FAULT, C.ULV_FAULT_RUNAWAY))

    @each_kind
    def test_garbage_in_channels(self, backend, in_process):
        """Garbage disconnects the guest; its servers serve the next one."""
        with disk(1024) as path, ultravisor.open(
                backend=backend, in_process=in_process,
                memory="64M") as host:
            end, _ = self.run_guest(host, "garbage",
                                    IMAGES / "garbage_channel.elf", path)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_STOP, 7), end.text)
            end, said = self.run_guest(host, "web", DIGEST, path)
            self.assertEqual(end.code, 0, end.text)
            self.assertIn(digest(path), said)
            alive = {name for name, lives, _ in host.roles() if lives}
            self.assertLessEqual({"ultravisor", "command", "operations",
                                  "io-a", "io-b"}, alive)

    @each_kind
    def test_requests_out_of_range(self, backend, in_process):
        """Every request with a bad field is answered with an error."""
        with disk(1024) as path, ultravisor.open(
                backend=backend, in_process=in_process,
                memory="64M") as host:
            end, _ = self.run_guest(host, "bad",
                                    IMAGES / "garbage_requests.elf", path)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_STOP, 8), end.text)

    @each_kind
    def test_every_system_call_with_hostile_arguments(self, backend,
                                                      in_process):
        """Nothing comes of arguments out of range."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            end, _ = self.run_guest(host, "calls", IMAGES / "many_calls.elf")
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_STOP, 0), end.text)

    def test_monitor_killed(self):
        """A dead monitor ends its own guest only."""
        with disk(4096) as path, ultravisor.open(
                backend=BACKENDS[0], in_process=False, memory="64M") as host:
            busy = self.guest(host, "busy")
            busy.start(IMAGES / "never_yields.elf")
            host.kill("busy")
            end = self.wait(host, busy)
            self.assertEqual((end.reason, end.code),
                             (C.ULV_END_REASON_FAULT, C.ULV_FAULT_MONITOR))
            end, said = self.run_guest(host, "web", DIGEST, path)
            self.assertIn(digest(path), said)


class Images(SystemTest):
    def refused(self, image, *words):
        with tempfile.NamedTemporaryFile(suffix=".elf") as file:
            file.write(image)
            file.flush()
            with ultravisor.open(backend=BACKENDS[0],
                                 memory="32M") as host:
                guest = self.guest(host, "web")
                with self.assertRaises(ultravisor.Error) as caught:
                    guest.start(file.name)
                for word in words:
                    self.assertIn(word, str(caught.exception))
                # the partition is still good for another image
                guest.start(IMAGES / "hello.elf")
                self.assertEqual(self.wait(host, guest).code, 42)

    def test_not_elf(self):
        self.refused(b"#!/bin/sh\n" * 100, "not an ELF image")

    def test_other_machine(self):
        image = bytearray(DIGEST.read_bytes())
        struct.pack_into("<H", image, 18, 183)
        self.refused(bytes(image), "AArch64", "183", "x86-64 (62)")

    def test_overlaps_its_view(self):
        image = bytearray(DIGEST.read_bytes())
        struct.pack_into("<Q", image, 64 + 16, 0x100000000)
        self.refused(bytes(image), "overlaps", "view", "0x100000000")

    def test_outside_its_memory(self):
        image = bytearray(DIGEST.read_bytes())
        struct.pack_into("<Q", image, 64 + 16, 0x40000000)
        self.refused(bytes(image), "outside the memory", "0x40000000")

    def test_cut_short(self):
        self.refused(DIGEST.read_bytes()[:5000], "segment")

    def test_missing(self):
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            guest = self.guest(host, "web")
            with self.assertRaises(ultravisor.Error) as caught:
                guest.start("/no/such/image.elf")
            self.assertIn("/no/such/image.elf", str(caught.exception))


class Disks(SystemTest):
    def refused(self, path, *words):
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            free = host.query("memory")
            with self.assertRaises(ultravisor.Error) as caught:
                self.guest(host, "web", path)
            for word in words:
                self.assertIn(word, str(caught.exception))
            self.assertEqual(host.query("memory"), free)

    def test_missing(self):
        self.refused("/no/such/disk.img", "/no/such/disk.img")

    def test_a_directory(self):
        self.refused("/", "directory")

    def test_empty(self):
        with tempfile.NamedTemporaryFile() as file:
            self.refused(file.name, file.name, "empty")

    def test_odd_size(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 1000)
            file.flush()
            self.refused(file.name, "1000 bytes", "512")

    def test_unreadable(self):
        """To somebody whom the file's mode forbids it."""
        if os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        with disk(8) as path, ultravisor.open(backend=BACKENDS[0],
                                              memory="32M") as host:
            os.chmod(path, 0o600)
            os.seteuid(65534)
            try:
                with self.assertRaises(ultravisor.Error) as caught:
                    self.guest(host, "web", path)
            finally:
                os.seteuid(0)
            for word in ("ermission denied", str(path)):
                self.assertIn(word, str(caught.exception))

    def test_shrinks_while_it_is_read(self):
        """The guest gets an error, says so, and the demo fails clearly."""
        for placement in (True, False):
            with self.subTest(in_process=placement), disk(65536) as path, \
                    ultravisor.open(backend=BACKENDS[0], memory="32M",
                                    in_process=placement) as host:
                guest = self.guest(host, "web", path)
                os.truncate(path, 512 * 100)
                guest.start(DIGEST)
                end = self.wait(host, guest)
                self.assertEqual((end.reason, end.code),
                                 (C.ULV_END_REASON_STOP, 1), end.text)
                self.assertIn("error reading at sector",
                              self.console(host, guest))


class Requests(SystemTest):
    def test_pool_too_small(self):
        """The ultravisor refuses with both numbers; nothing is changed."""
        with ultravisor.open(backend=BACKENDS[0], memory="16M") as host:
            before = host.query("partitions"), host.query("memory")
            with self.assertRaises(ultravisor.Error) as caught:
                self.guest(host, "web", memory="64M")
            self.assertEqual(caught.exception.status, C.ULV_E_NO_MEMORY)
            self.assertIn("64 MiB asked", str(caught.exception))
            self.assertEqual(caught.exception.value, 64 << 20)
            self.assertEqual((host.query("partitions"),
                              host.query("memory")), before)

    def test_pool_larger_than_the_host(self):
        with self.assertRaises(ultravisor.Error) as caught:
            ultravisor.open(memory=1 << 50)
        self.assertIn("MiB to give", str(caught.exception))

    def test_policy_refuses(self):
        """Command refuses, with the rule and the numbers."""
        limit = policy('{"memory_per_guest": "4M", "guests": 1}')
        with ultravisor.open(backend=BACKENDS[0], memory="32M",
                             policy=limit) as host:
            with self.assertRaises(ultravisor.Error) as caught:
                self.guest(host, "web", memory="8M")
            self.assertEqual(caught.exception.status, C.ULV_E_POLICY)
            for word in ("8 MiB", "4 MiB", "memory_per_guest"):
                self.assertIn(word, str(caught.exception))
            self.guest(host, "one", memory="2M")
            with self.assertRaises(ultravisor.Error) as caught:
                self.guest(host, "two", memory="2M")
            self.assertIn("guests", str(caught.exception))

    def test_policy_that_does_not_parse(self):
        """Line and column."""
        with self.assertRaises(ultravisor.Error) as caught:
            policy('{\n  "guests": 1,\n  "node" "first"\n}')
        self.assertRegex(str(caught.exception), r"\.json:3:\d+: ")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write("{\n]")
            file.flush()
            code, _, said = demo("--policy", file.name)
            self.assertNotEqual(code, 0)
            self.assertRegex(said, r"\.json:2:\d+: ")

    def test_same_name_twice(self):
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            self.guest(host, "web", memory="2M")
            with self.assertRaises(ultravisor.Error) as caught:
                self.guest(host, "web", memory="2M")
            self.assertEqual(caught.exception.status, C.ULV_E_EXISTS)

    def test_unknown_backend(self):
        with self.assertRaises(ultravisor.Error) as caught:
            ultravisor.open(backend="xen", memory="32M")
        self.assertIn("xen", str(caught.exception))


    @each_kind
    def test_records_outlive_partitions(self, backend, in_process):
        """What, where, registers, bytes and mapping, in words; the oldest are
        dropped and missed."""
        with ultravisor.open(backend=backend, memory="32M",
                             in_process=in_process) as host:
            self.events = []
            self.assertEqual(list(host.faults()), [])
            expected = (("write_view", "its view lies, 0x100000000 to"),
                        ("read_nothing", "nothing is mapped"),
                        ("divide", "memory lies, 0x400000 to 0x5fffff"))
            for image, _ in expected:
                guest = self.guest(host, image, memory="2M")
                guest.start(IMAGES / f"{image}.elf")
                self.assertEqual(self.wait(host, guest).reason,
                                 C.ULV_END_REASON_FAULT)
                with host.transaction() as t:
                    t.destroy(guest)
            records = list(host.faults())
            self.assertEqual([(r[0], r[2]) for r in records],
                             [(n + 1, image) for n, (image, _)
                              in enumerate(expected)])
            for record, (_, mapping) in zip(records, expected):
                words = record[4]
                self.assertIn(mapping, words)
                self.assertRegex(words, r"instruction at 0x4[0-9a-f]+: "
                                        r"[0-9a-f]{2} ")
                self.assertRegex(words, r"rip 0x4[0-9a-f]+  rflags 0x[0-9a-f]+"
                                        r"$")
                self.assertTrue(words.startswith(record[3].text))
            self.assertEqual(list(host.faults(after=3)), [])
            self.assertEqual(len(list(host.faults(after=1))), 2)

    def test_old_records_are_dropped(self):
        """As many as are kept, the newest, numbered without a gap."""
        count = C.ULV_FAULTS_KEPT + 6
        with ultravisor.open(backend=BACKENDS[0], memory="32M") as host:
            self.events = []
            for _ in range(count):
                guest = self.guest(host, "divide", memory="1M")
                guest.start(IMAGES / "divide.elf")
                self.wait(host, guest)
                with host.transaction() as t:
                    t.destroy(guest)
            self.assertEqual([r[0] for r in host.faults()],
                             list(range(7, count + 1)))

    def test_infrastructure_is_not_the_callers(self):
        """No channel to a role and no processor for one: nothing dies of it."""
        for in_process in (True, False):
            with ultravisor.open(backend=BACKENDS[0], memory="32M",
                                 in_process=in_process) as host:
                guest = self.guest(host, "web", memory="2M")
                for name in ("io-a", "operations", "command", "ultravisor"):
                    role = ultravisor.Partition(host, host.find(name), name)
                    with self.subTest(role=name, in_process=in_process):
                        with self.assertRaises(ultravisor.Error) as caught, \
                                host.transaction() as t:
                            t.connect(guest, role, b"x")
                        self.assertIn(name, str(caught.exception))
                for name in ("idle", "boot", "io-a"):
                    with self.assertRaises(ultravisor.Error) as caught, \
                            host.transaction() as t:
                        t.processors(host.find(name), 1)
                    self.assertIn(name, str(caught.exception))
                for _ in range(5):
                    host.step(0.01)
                self.assertEqual([name for name, alive, _ in host.roles()
                                  if not alive and name != "web"], [])

    def test_destroy_beside_a_running_end(self):
        """What a running guest has mapped is not taken away."""
        for in_process in (True, False):
            with ultravisor.open(backend=BACKENDS[0], memory="32M",
                                 in_process=in_process) as host:
                with host.transaction() as t:
                    one = t.partition("one", memory="4M")
                    two = t.partition("two", memory="4M")
                    t.connect(two, one, b"x")
                one.start(IMAGES / "never_yields.elf")
                with self.assertRaises(ultravisor.Error) as caught, \
                        host.transaction() as t:
                    t.destroy(two)
                self.assertEqual(caught.exception.status, C.ULV_E_BUSY)
                self.assertIn("one, which runs", str(caught.exception))
                one.stop()
                self.assertIsNotNone(self.wait(host, one))
                with host.transaction() as t:
                    t.destroy(two)

    def test_refused_transactions_leave_nothing(self):
        """No mapping of a channel that never came to be."""
        with ultravisor.open(backend=BACKENDS[0], memory="32M",
                             in_process=False) as host:
            number = next(n for name, _, n in host.roles()
                          if name == "ultravisor")
            maps = pathlib.Path(f"/proc/{number}/maps")
            before = maps.read_text().count("ulv-channel")
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
            try:  # channels can be made then, an extent of 2 MiB cannot
                for n in range(5):
                    with self.assertRaises(ultravisor.Error):
                        self.guest(host, f"web{n}", memory="8M")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                signal.signal(signal.SIGXFSZ, handler)
            for _ in range(5):
                host.step(0.01)
            self.assertEqual(maps.read_text().count("ulv-channel"), before)

    def test_role_program_vanishes(self):
        """A start that fails leaves a partition that can be started."""
        with tempfile.TemporaryDirectory() as folder:
            role = pathlib.Path(folder) / "role"
            shutil.copy(os.environ["ULTRAVISOR_ROLE"], role)
            with unittest.mock.patch.dict(os.environ,
                                          ULTRAVISOR_ROLE=str(role)), \
                    ultravisor.open(backend=BACKENDS[0], memory="32M",
                                    in_process=False) as host:
                guest = self.guest(host, "web", memory="4M")
                role.rename(role.with_suffix(".away"))
                with self.assertRaises(ultravisor.Error) as caught:
                    guest.start(IMAGES / "hello.elf")
                self.assertIn(str(role), str(caught.exception))
                role.with_suffix(".away").rename(role)
                guest.start(IMAGES / "hello.elf")
                self.assertEqual(self.wait(host, guest).code, 42)

    def test_a_role_that_is_silent(self):
        """The system is not made, and it is said who did not answer."""
        with tempfile.TemporaryDirectory() as folder:
            role = pathlib.Path(folder) / "role"
            role.write_text('#!/bin/sh\n[ "$1" = command ] && exec sleep 600\n'
                            f'exec {os.environ["ULTRAVISOR_ROLE"]} "$@"\n')
            role.chmod(0o755)
            with unittest.mock.patch.dict(os.environ,
                                          ULTRAVISOR_ROLE=str(role)), \
                    self.assertRaises(ultravisor.Error) as caught:
                ultravisor.open(backend=BACKENDS[0], memory="32M",
                                in_process=False)
            self.assertEqual(caught.exception.status, C.ULV_E_TIMEOUT)
            self.assertIn("the command partition", str(caught.exception))

    @each_kind
    def test_started_again(self, backend, in_process):
        """A start that is refused leaves the last end known."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            end, _ = self.run_guest(host, "web", IMAGES / "hello.elf")
            self.assertEqual(end.code, 42)
            web = ultravisor.Partition(host, host.find("web"), "web")
            with self.assertRaises(ultravisor.Error):
                web.start("/no/such/image.elf")
            self.assertEqual(web.wait(0).code, 42)
            web.start(IMAGES / "hello.elf")
            self.assertEqual(self.wait(host, web).code, 42)

    @each_kind
    def test_what_may_be_done_when_the_end_is_told(self, backend, in_process):
        """Whoever hears of an end can start the guest again, or destroy it."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            for number in range(10):
                with host.transaction() as t:
                    web = t.partition(f"web{number}", memory="4M")
                for _ in range(2):
                    web.start(IMAGES / "hello.elf")
                    self.until_ended(host)
                with host.transaction() as t:
                    t.destroy(web)

    def until_ended(self, host):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if any(e.kind == C.ULV_EVENT_ENDED for e in host.pending()):
                return
            host.step(0.1)
        self.fail("no end was told")

    @each_kind
    def test_a_wait_ends_beside_a_busy_guest(self, backend, in_process):
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="32M") as host:
            with host.transaction() as t:
                busy = t.partition("busy", memory="4M")
            busy.start(IMAGES / "never_yields.elf")
            self.assertIsNone(busy.wait(0))
            self.assertIsNone(busy.wait(0.01))
            busy.stop()
            self.assertEqual(self.wait(host, busy).reason,
                             C.ULV_END_REASON_KILLED)


class Kills(SystemTest):
    def test_both_io_partitions_and_the_monitor(self):
        """The end of a guest is told although nobody hears its console."""
        for in_process in (True, False):
            for first in ("io-a", "io-b"):
                with self.subTest(first=first, in_process=in_process), \
                        ultravisor.open(backend=BACKENDS[0], memory="32M",
                                        in_process=in_process) as host:
                    busy = self.guest(host, "busy")
                    busy.start(IMAGES / "never_yields.elf")
                    for role in (first, "io-b" if first == "io-a" else "io-a",
                                 "busy"):
                        host.kill(role)
                        for _ in range(10):
                            host.step(0.01)
                    end = self.wait(host, busy)
                    self.assertEqual(end.code, C.ULV_FAULT_MONITOR)
                    lost = {p["name"] for p in host.query("partitions")
                            if p["state"] == C.ULV_STATE_LOST}
                    self.assertEqual(lost, {"io-a", "io-b"})

    def killed(self, role, in_process):
        with disk(8192) as path:
            arguments = ["--kill", role] + (["--in-process"] if in_process
                                            else [])
            code, document, said = demo(path, *arguments)
            self.assertIsNotNone(document, said)
            return code, document, digest(path)

    def test_io_partitions(self):
        """The other one takes over, or nothing was to be taken over."""
        for in_process in (False, True):
            for role in ("io-a", "io-b"):
                with self.subTest(role=role, in_process=in_process):
                    code, document, right = self.killed(role, in_process)
                    self.assertEqual(code, 0, document)
                    self.assertEqual(document["digest"]["guest"], right)

    def test_roles_off_the_data_path(self):
        """The digest is right all the same; the demo names the dead role."""
        for in_process in (False, True):
            for role in ("ultravisor", "command", "operations"):
                with self.subTest(role=role, in_process=in_process):
                    code, document, right = self.killed(role, in_process)
                    self.assertEqual(document["digest"]["guest"], right)
                    self.assertIn(role, document["result"])
                    self.assertNotEqual(code, 0)

    def test_monitor(self):
        code, document, _ = self.killed("guest", False)
        self.assertNotEqual(code, 0)
        self.assertIn("monitor died", document["result"])

    def test_the_demo_itself(self):
        """After kill -9 of the caller no process and no file stays."""
        marker = f"ulv-test-{os.getpid()}"
        with disk(400000) as path:
            process = subprocess.Popen(
                [sys.executable, "-m", "ultravisor", "demo", str(path),
                 "--kill", "none"], stdout=subprocess.DEVNULL,
                env={**os.environ, "LD_LIBRARY_PATH": marker})
            # wait until the roles are there, however long it takes
            while process.poll() is None and not self.marked(marker, process):
                time.sleep(0.01)
            process.kill()
            process.wait()
            # one that was being started has no environment for a moment
            until, gone, found = time.monotonic() + 60, 0, None
            while gone < 10 and time.monotonic() < until:
                found = self.marked(marker, process)
                gone = 0 if found else gone + 1
                time.sleep(0.02)
            self.assertEqual((gone, found), (10, []))

    @staticmethod
    def marked(marker, but):
        """Processes that inherited the marker, but for one."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int(entry.name) != but.pid and \
                        marker.encode() in (entry / "environ").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
        return found


class NoBackend(SystemTest):
    def test_without_kvm(self):
        """Without a usable /dev/kvm the demo says why and does it anyway."""
        if os.geteuid() != 0:
            self.skipTest("needs root to hide /dev/kvm")
        script = ("mount --bind /dev/null /dev/kvm && exec " + sys.executable
                  + " -m ultravisor demo --json")
        result = subprocess.run(["unshare", "-m", "sh", "-c", script],
                                capture_output=True, text=True, check=False)
        if not os.path.exists("/dev/kvm"):
            self.skipTest("there is no /dev/kvm to hide")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn('"backend": "process"', result.stdout)
        self.assertIn("/dev/kvm", result.stdout)
