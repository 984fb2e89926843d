# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Save, kill everything, restore: a guest goes on from where it was."""

import ctypes
import ctypes.util
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from common import (BACKENDS, DIGEST, IMAGES, IS_SOFTWARE_KVM, PATIENCE,
                    PLACEMENTS, SystemTest, digest, disk)

import ultravisor
from ultravisor import C

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "formats"))
from journal import crc32c  # noqa: E402

SECTORS = 40000  # of a disk that takes a while to read
COUNT = 0x400000 + 0x100000  # where counts_on.c counts
SAVING = [name for name in BACKENDS if name == "kvm"]
HEADER, SECTION = 64, 32
LEVELS = (C.ULV_CPU_BASELINE, C.ULV_CPU_V3, C.ULV_CPU_HOST)
HAS_AVX = re.search(r"^flags.* avx2\b", pathlib.Path(
    "/proc/cpuinfo").read_text(), re.M) is not None
NAMES = {1: "PARTITION", 2: "LAYOUT", 3: "MEMORY", 4: "CHANNELS",
         5: "CONTENT", 6: "MONITOR", 7: "END"}

# Runs a guest that counts, saves it, says what it counted to, is killed.
VICTIM = """
import os, sys, ultravisor
from test_save import COUNT, count_on
host = ultravisor.open(backend=sys.argv[1], in_process=sys.argv[2] == "1",
                       memory="64M")
with host.transaction() as t:
    guest = t.partition("count", memory="8M")
guest.start(sys.argv[3])
count_on(host, guest, 0)
guest.pause()
guest.save(sys.argv[4])
print(int.from_bytes(guest.read(COUNT, 8), "little"), flush=True)
guest.resume()
while True:
    host.step(1)
"""


def each_kind(test):
    def run(self):
        for backend in SAVING:
            for in_process in PLACEMENTS:
                with self.subTest(backend=backend, in_process=in_process):
                    test(self, backend, in_process)
    run.__doc__ = test.__doc__
    return run


def count_of(guest):
    return int.from_bytes(guest.read(COUNT, 8), "little")


def count_on(host, guest, start):
    """Let it count beyond start."""
    until = time.monotonic() + PATIENCE
    while count_of(guest) <= start and time.monotonic() < until:
        host.step(0.01)
    return count_of(guest)


def sections(data):
    """(offset, kind, bytes) of each in a saved partition."""
    at = HEADER
    while at < len(data):
        kind, _, size = struct.unpack_from("<IIQ", data, at)
        yield at, kind, size
        at += SECTION + size


def sealed(data):
    """The same with checksums that are right, of all headers and the section
    MONITOR."""
    data, headers = bytearray(data), b""
    for at, kind, size in sections(data):
        behind = at + SECTION
        if NAMES[kind] == "END":
            struct.pack_into("<I", data, behind + 4, crc32c(headers))
        if NAMES[kind] in ("MONITOR", "END"):
            struct.pack_into("<I", data, at + 24,
                             crc32c(data[behind:behind + size]))
        struct.pack_into("<I", data, at + 28, crc32c(data[at:at + 28]))
        headers += data[at:behind]
    return bytes(data)


class Save(SystemTest):
    def setUp(self):
        super().setUp()
        if not SAVING:
            self.skipTest("no backend can save guests here")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "count.saved"

    def make(self, host, name, memory="8M", processors=1):
        with host.transaction() as t:
            return t.partition(name, memory=memory, processors=processors)

    def save_counting(self, backend="kvm", in_process=True):
        """What it had counted to."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest = self.make(host, "count")
            guest.start(IMAGES / "counts_on.elf")
            count_on(host, guest, 0)
            guest.pause()
            guest.save(self.path)
            return count_of(guest)

    @each_kind
    def test_counts_on_after_everything_was_killed(self, backend, in_process):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, backend, str(int(in_process)),
             IMAGES / "counts_on.elf", self.path], stdout=subprocess.PIPE,
            text=True, start_new_session=True)
        try:
            saved = int(victim.stdout.readline())
        finally:
            os.killpg(victim.pid, signal.SIGKILL)
            victim.wait()
            victim.stdout.close()
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest = self.make(host, "again")
            guest.restore(self.path)
            self.assertGreaterEqual(count_of(guest), saved)
            # begun anew it would have begun from 1, and noticed
            self.assertGreater(count_on(host, guest, saved), saved)
            self.assertIsNone(guest.wait(0))
            guest.stop()
            self.assertEqual(guest.wait().reason, C.ULV_END_REASON_KILLED)

    @each_kind
    def test_its_clock_goes_on(self, backend, in_process):
        """From the time of its saving, however long that was ago."""
        saved = self.save_counting(backend, in_process)
        time_saved = ultravisor.saved(self.path)["time"]
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest = self.make(host, "again")
            start = host.now()
            guest.restore(self.path)
            count_on(host, guest, saved + 40)
            shown = int.from_bytes(guest.read(COUNT + 8, 8), "little")
            self.assertLessEqual(time_saved, shown)
            self.assertLessEqual(shown, time_saved + host.now() - start)
            self.assertIsNone(guest.wait(0))

    @each_kind
    def test_saved_while_it_runs(self, backend, in_process):
        """What it writes meanwhile is in the file, also where it was written
        before: the guest would notice."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="96M") as host:
            one = self.make(host, "one", memory="16M")
            one.start(IMAGES / "scatters.elf")
            count_on(host, one, 0)
            for rounds in (1, 3, 8):
                before = count_of(one)
                one.save(self.path, rounds=rounds)
                two = self.make(host, "two", memory="16M")
                two.restore(self.path)
                start = count_of(two)
                self.assertGreaterEqual(start, before)
                # it looks at all it has written every so often
                count_on(host, two, start + 4096)
                self.assertIsNone(two.wait(0))
                two.stop()
                with host.transaction() as t:
                    t.destroy(two)
            before = count_of(one)
            count_on(host, one, before + 4096)
            self.assertIsNone(one.wait(0))

    @each_kind
    def test_goes_on_beside_its_copy(self, backend, in_process):
        """The one that was saved goes on too; each counts for itself."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            one = self.make(host, "one")
            one.start(IMAGES / "counts_on.elf")
            count_on(host, one, 0)
            one.save(self.path)
            two = self.make(host, "two")
            two.restore(self.path)
            for guest in (one, two):
                before = count_of(guest)
                self.assertGreater(count_on(host, guest, before), before)
            # and the copy can be saved again
            two.save(self.path)
            self.assertEqual(ultravisor.saved(self.path)["name"], "two")

    def command(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "ultravisor", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_the_command_line(self):
        """Asked to end a guest is saved; it goes on where it was."""
        with disk(5 * SECTORS) as path:
            one = self.command("run", DIGEST, "--disk", path, "--memory", "8M",
                               "--save", self.path, "--backend", "kvm")
            said = one.stdout.readline() + one.stdout.readline()
            one.terminate()
            rest, errors = one.communicate(timeout=PATIENCE)
            self.assertEqual(one.returncode, 0, errors)
            self.assertIn("saved as", errors)
            said += rest
            self.assertNotIn("sha256", said)
            two = self.command("saved", self.path)
            document, errors = two.communicate(timeout=PATIENCE)
            self.assertEqual(two.returncode, 0, errors)
            self.assertEqual(json.loads(document)["channel_count"], 2)
            two = self.command("restore", self.path, "--disk", path,
                               "--backend", "kvm")
            rest, errors = two.communicate(timeout=PATIENCE)
            self.assertEqual(two.returncode, 0, errors)
            self.assertEqual((said + rest).count("sha256 " + digest(path)), 1)
            two = self.command("restore", self.path, "--backend", "kvm")
            self.assertIn("channels", two.communicate(timeout=PATIENCE)[1])
            self.assertEqual(two.returncode, 1)

    def test_says_what_was_saved(self):
        self.save_counting()
        found = ultravisor.saved(self.path)
        self.assertEqual((found["name"], found["backend"],
                          found["memory_bytes"], found["processor_count"],
                          found["channel_count"]),
                         ("count", "kvm", 8 << 20, 1, 0))
        self.assertGreater(found["time"], 0)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        # only what is not zero is in it
        self.assertLess(self.path.stat().st_size, 1 << 20)

    @each_kind
    def test_a_guest_that_reads_a_disk(self, backend, in_process):
        """Its requests and its console go on: nothing lost, nothing twice."""
        with disk(SECTORS) as path:
            before = self.save_reading(backend, in_process, path)
            with ultravisor.open(backend=backend, in_process=in_process,
                                 memory="64M") as host:
                guest = self.guest(host, "again", path)
                self.events = []
                guest.restore(self.path)
                self.assertEqual(self.wait(host, guest).code, 0)
                said = before + self.console(host, guest)
                self.assertIn("sha256 " + digest(path), said)
                self.assertEqual(said.count("sha256"), 1)

    def save_reading(self, backend, in_process, path):
        """What it had said until it was saved, half way."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            guest = self.guest(host, "reads", path)
            self.events = []
            guest.start(DIGEST)
            until = time.monotonic() + PATIENCE
            while ("progress" not in self.console(host, guest)
                   and time.monotonic() < until):
                host.step(0.01)
                self.events += list(host.pending())
            guest.pause()
            guest.save(self.path)
            self.events += list(host.pending())
            said = self.console(host, guest)
            self.assertNotIn("sha256", said)
            # and the one that was saved is none the worse for it
            guest.resume()
            self.assertEqual(self.wait(host, guest).code, 0)
            self.assertIn("sha256 " + digest(path), self.console(host, guest))
            return said

    def run_vectors(self, host, level, path=None):
        """The guest, and the words that it shows behind its count."""
        with host.transaction() as t:
            guest = t.partition("again" if path else f"level-{level}",
                                memory="8M", level=level)
        if path is None:
            guest.start(IMAGES / "vectors.elf")
        else:
            guest.restore(path)
        count_on(host, guest, count_of(guest) + 20)
        self.assertIsNone(guest.wait(0), str(guest.wait(0)))
        return guest, struct.unpack("<7Q", guest.read(COUNT + 8, 56))

    @each_kind
    def test_vector_registers(self, backend, in_process):
        """SSE, and AVX where the level has it, over calls and savings."""
        with ultravisor.open(backend=backend, in_process=in_process,
                             memory="64M") as host:
            for level in LEVELS:
                if level != C.ULV_CPU_BASELINE and not HAS_AVX:
                    print("# no AVX here", flush=True)
                    continue
                guest, shown = self.run_vectors(host, level)
                self.assertEqual(shown[6], level != C.ULV_CPU_BASELINE)
                guest.save(self.path)
                again, _ = self.run_vectors(host, level, self.path)
                for one in (guest, again):
                    one.stop()
                    with host.transaction() as t:
                        t.destroy(one)

    def test_what_cpuid_shows(self):
        """The level's features and no more; who runs it."""
        if IS_SOFTWARE_KVM:
            self.skipTest("kvm_pvm lets guests see the CPUID of the machine: "
                          "nothing can be withheld")
        with ultravisor.open(backend="kvm", memory="64M") as host:
            for level in LEVELS:
                guest, shown = self.run_vectors(host, level)
                guest.stop()
                self.assertEqual(struct.pack("<3I", *shown[3:6]),
                                 b"libultraviso")
                ecx, edx, ebx7 = shown[:3]
                self.assertTrue(ecx & 1 << 31)  # a hypervisor
                self.assertEqual(edx & 1 << 18, 0)  # no serial number
                if level == C.ULV_CPU_BASELINE:
                    self.assertEqual(ecx & ~0x80982201, 0)
                    self.assertEqual(ebx7, 0)
                if level == C.ULV_CPU_V3:
                    self.assertEqual(ecx & ~0xbcd83201, 0)
                    self.assertEqual(ebx7 & ~0x128, 0)

    def test_one_that_ran_is_restored(self):
        """Over what the last run left; but not over its channels."""
        saved = self.save_counting()
        with ultravisor.open(backend="kvm", memory="64M") as host:
            guest = self.make(host, "again")
            for _ in range(2):
                guest.restore(self.path)
                self.assertGreater(count_on(host, guest, saved), saved)
                guest.stop()
                guest.start(IMAGES / "counts_on.elf")
                count_on(host, guest, 0)
                guest.stop()
        with disk(SECTORS) as path:
            self.save_reading("kvm", True, path)
            with ultravisor.open(backend="kvm", memory="64M") as host:
                guest = self.guest(host, "again", path)
                guest.start(IMAGES / "counts_on.elf")
                guest.stop()
                self.refused(host, guest, "ran before", status=C.ULV_E_STATE)
                guest.start(IMAGES / "counts_on.elf")
                guest.stop()

    def test_another_disk_is_refused(self):
        with disk(SECTORS) as path, disk(SECTORS - 8) as small:
            self.save_reading("kvm", True, path)
            with ultravisor.open(backend="kvm", memory="64M") as host:
                guest = self.guest(host, "again", small)
                self.refused(host, guest, "bytes of a disk",
                             status=C.ULV_E_CONFLICT)

    def refused(self, host, guest, *words, status=C.ULV_E_FORMAT):
        with self.assertRaises(ultravisor.Error) as caught:
            guest.restore(self.path)
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertEqual(caught.exception.status, status)

    def test_refuses_what_is_damaged(self):
        """Each section, in its head and in its bytes, cut off, continued."""
        saved = self.save_counting()
        whole = self.path.read_bytes()
        with ultravisor.open(backend="kvm", memory="64M") as host:
            guest = self.make(host, "again")
            seen = set()
            for number, (at, kind, size) in enumerate(sections(whole)):
                seen.add(kind)
                places = [at, at + 8, at + 27, at + 31]
                places += [at + SECTION, at + SECTION + size - 1] * (size > 0)
                for place in places:
                    broken = bytearray(whole)
                    broken[place] ^= 0x40
                    self.path.write_bytes(broken)
                    self.refused(host, guest, f"section {number} (")
                self.path.write_bytes(whole[:at + SECTION // 2])
                self.refused(host, guest, "cut off", f"section {number} ")
                self.path.write_bytes(whole[:at + SECTION + size - 1])
                self.refused(host, guest)
            self.assertEqual(seen, set(NAMES) - {5})
            for place in range(HEADER):
                broken = bytearray(whole)
                broken[place] ^= 1
                self.path.write_bytes(broken)
                self.refused(host, guest)
            self.path.write_bytes(whole + b"\0" * 8)
            self.refused(host, guest, "what follows it")
            self.path.write_bytes(b"no such thing" * 10)
            self.refused(host, guest, "not a saved partition")
            # nothing was changed: not a byte, and it can be started
            self.assertEqual(count_of(guest), 0)
            self.path.write_bytes(whole)
            guest.restore(self.path)
            self.assertGreaterEqual(count_of(guest), saved)

    def test_refuses_another_partition(self):
        self.save_counting()
        with ultravisor.open(backend="kvm", memory="64M") as host:
            small = self.make(host, "small", memory="4M")
            self.refused(host, small, "small", "4 MiB", "8 MiB",
                         status=C.ULV_E_CONFLICT)
            two = self.make(host, "two", processors=2)
            self.refused(host, two, "two", "processors",
                         status=C.ULV_E_CONFLICT)
            with host.transaction() as t:
                other = t.partition("other", memory="8M")
                t.console(other)
            self.refused(host, other, "other", "channels",
                         status=C.ULV_E_CONFLICT)
            right = self.make(host, "right")
            right.restore(self.path)
            self.refused(host, right, "runs already", status=C.ULV_E_STATE)
        for name in [name for name in BACKENDS if name != "kvm"]:
            with ultravisor.open(backend=name, memory="64M") as host:
                guest = self.make(host, "other")
                self.refused(host, guest, "kvm", name,
                             status=C.ULV_E_UNSUPPORTED)

    def test_refuses_a_handler_that_cannot_be(self):
        """A guest without interrupts has none, whatever the file says."""
        saved = self.save_counting()
        whole = self.path.read_bytes()
        self.assertEqual(sealed(whole), whole)
        monitor = next(at for at, kind, _ in sections(whole)
                       if NAMES[kind] == "MONITOR")
        flags = monitor + SECTION + 48 + 4
        lying = bytearray(whole)
        lying[flags] |= 4
        self.path.write_bytes(sealed(lying))
        with ultravisor.open(backend="kvm", memory="64M") as host:
            guest = self.make(host, "again")
            self.refused(host, guest, "processor 0", "handler of interrupts",
                         status=C.ULV_E_CONFLICT)
            self.path.write_bytes(whole)
            guest.restore(self.path)
            self.assertGreaterEqual(count_of(guest), saved)

    def test_refuses_to_save(self):
        with ultravisor.open(backend="kvm", memory="64M") as host:
            guest = self.make(host, "guest")
            with self.assertRaisesRegex(ultravisor.Error, "does not run"):
                guest.save(self.path)
            guest.start(IMAGES / "counts_on.elf")
            with self.assertRaisesRegex(ultravisor.Error, "nowhere"):
                guest.save("/nowhere/at/all")
            self.assertFalse(self.path.exists())
            count = count_of(guest)
            self.assertGreater(count_on(host, guest, count), count)
        for name in [name for name in BACKENDS if name != "kvm"]:
            with ultravisor.open(backend=name, memory="64M") as host:
                guest = self.make(host, "guest")
                guest.start(IMAGES / "counts_on.elf")
                with self.assertRaisesRegex(ultravisor.Error, "cannot save"):
                    guest.save(self.path)

    def test_a_full_medium(self):
        """The error says so, the guest goes on, the old file is whole."""
        libc = ctypes.CDLL(None, use_errno=True)
        folder = self.path.parent / "full"
        folder.mkdir()
        if libc.mount(b"none", bytes(folder), b"tmpfs", 0,
                      b"size=16k") != 0:
            self.skipTest("cannot mount: "
                          + os.strerror(ctypes.get_errno()))
        self.addCleanup(libc.umount, bytes(folder))
        self.save_counting()
        old = self.path.read_bytes()
        path = folder / "count.saved"
        path.write_bytes(b"old")
        with ultravisor.open(backend="kvm", memory="64M") as host:
            guest = self.make(host, "guest")
            guest.restore(self.path)
            with self.assertRaisesRegex(ultravisor.Error, "No space left"):
                guest.save(path)
            self.assertEqual([p.name for p in folder.iterdir()],
                             ["count.saved"])
            self.assertEqual(path.read_bytes(), b"old")
            count = count_of(guest)
            self.assertGreater(count_on(host, guest, count), count)
        self.assertEqual(self.path.read_bytes(), old)


if __name__ == "__main__":
    unittest.main()
