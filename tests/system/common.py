# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the system tests share. The environment (set by meson.build) names the
library, its programs and the guests."""

import contextlib
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import ultravisor

IMAGES = pathlib.Path(os.environ["ULTRAVISOR_TEST_GUESTS"])
DIGEST = pathlib.Path(os.environ["ULTRAVISOR_GUESTS"]) / "digest.elf"
PATIENCE = 60  # seconds until a test gives up; never a measure
# a KVM that needs no hardware: guests see the machine's CPUID there, and what
# runs at CPL0 is interpreted
IS_SOFTWARE_KVM = os.path.exists("/sys/module/kvm_pvm")


def usable_backends():
    """Backends that can run guests here, and a printed reason for the rest."""
    found = []
    for name, why in ultravisor.backends():
        if why is not None:
            print(f"# {name} is left out: {why}", flush=True)
        elif name != "mock":
            found.append(name)
    return found


BACKENDS = usable_backends()
PLACEMENTS = (True, False)


def each_kind(test):
    """Run a test on each backend, in process and as processes."""
    def run(self):
        for backend in BACKENDS:
            for in_process in PLACEMENTS:
                with self.subTest(backend=backend, in_process=in_process):
                    test(self, backend, in_process)
    run.__doc__ = test.__doc__
    return run


@contextlib.contextmanager
def disk(sectors=1024, seed=b"disk"):
    """A file of pseudo-random sectors."""
    with tempfile.NamedTemporaryFile(suffix=".img") as file:
        block = seed
        for _ in range(sectors * 512 // 4096):
            block = hashlib.sha512(block).digest()
            file.write(block * 64)
        file.flush()
        yield pathlib.Path(file.name)


def policy(text):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(text)
        file.flush()
        return ultravisor.compile_policy(file.name)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def descriptors():
    return sorted(os.readlink(f"/proc/self/fd/{fd}")
                  for fd in os.listdir("/proc/self/fd")
                  if os.path.exists(f"/proc/self/fd/{fd}"))


def children():
    """Names of this process's children."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # proc(5): pid (comm) state ppid
            before, _, after = path.read_text().rpartition(")")
            if int(after.split()[1]) == os.getpid():
                found.append(before.partition("(")[2])
    return found


def changeable():
    """Backends that can change what a guest has while it runs."""
    return [name for name in BACKENDS if name != "process"]


def patient(create):
    """A machine that is busy with other things kills no role for it."""
    def open_patiently(**options):
        return create(**{"settle_limit": PATIENCE, **options})
    return open_patiently


ultravisor.open = patient(ultravisor.open)


class SystemTest(unittest.TestCase):
    """Each test ends with the descriptors and children it began with."""

    def setUp(self):
        if not BACKENDS:
            self.skipTest("no backend can run guests here")
        self.before = descriptors()

    def tearDown(self):
        self.assertEqual(children(), [])
        self.assertEqual(descriptors(), self.before)

    def guest(self, host, name, path=None, memory="8M"):
        with host.transaction() as t:
            guest = t.partition(name, memory=memory)
            t.console(guest)
            if path is not None:
                t.disk(guest, path)
        return guest

    def assert_alive(self, host):
        """Every role but the guests' monitors lives."""
        alive = {name for name, lives, _ in host.roles() if lives}
        self.assertLessEqual({"ultravisor", "command", "operations", "io-a",
                              "io-b"}, alive)

    def run_guest(self, host, name, image, path=None):
        """(how it ended, console text)"""
        guest = self.guest(host, name, path)
        guest.start(image)
        end = self.wait(host, guest)
        return end, self.console(host, guest)

    def run_again(self, host, guest, image):
        """(how it ended, what it wrote to its console in this run)"""
        self.events = []
        guest.start(image)
        return self.wait(host, guest), self.console(host, guest)

    def wait(self, host, guest):
        self.events = getattr(self, "events", [])
        until = time.monotonic() + PATIENCE
        end = None
        while end is None and time.monotonic() < until:
            host.step(0.1)
            self.events += list(host.pending())
            end = guest.wait(0)
        self.events += list(host.pending())
        self.assertIsNotNone(end, "the guest did not end")
        return end

    def console(self, host, guest):
        return b"".join(e.data for e in self.events
                        if e.kind == ultravisor.C.ULV_EVENT_CONSOLE
                        and e.partition == guest.id).decode()

    def until_said(self, host, guest, text):
        until = time.monotonic() + PATIENCE
        while text not in self.console(host, guest):
            self.assertLess(time.monotonic(), until)
            host.step(0.1)
            self.events += list(host.pending())


class RestartTest(SystemTest):
    """An ultravisor dies; self.events has what was told."""

    def hear(self, host):
        self.events += list(host.pending())

    def of(self, kind):
        return [e for e in self.events if e.kind == kind]

    def until(self, host, condition):
        until = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), until, "it did not happen")
            host.step(0.01)
            self.hear(host)

    def last_commit(self, host):
        """The last revision, when its event has come: that may be after the
        answer."""
        revision = max(r["revision"] for r in host.query("log"))
        self.until(host, lambda: revision in
                   {e.value for e in
                    self.of(ultravisor.C.ULV_EVENT_COMMITTED)})
        return revision

    def pid(self, host):
        return next(pid for name, _, pid in host.roles()
                    if name == "ultravisor")

    def count(self, guest):
        """How far counter.c has come."""
        return int.from_bytes(guest.read(0x500000, 8), "little")

    def free(self, host):
        return sum(m["free_bytes"] for m in host.query("memory"))

    def check_journal(self, directory):
        """The revision; the database is whole."""
        result = subprocess.run(
            [os.environ["ULTRAVISOR_JOURNAL_CHECK"], directory],
            capture_output=True, text=True, check=False, timeout=PATIENCE)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return int(result.stdout)


def demo(*arguments, environment=None, **options):
    """Exit code, JSON document (or None), what it said on stderr."""
    result = subprocess.run(
        [sys.executable, "-m", "ultravisor", "demo", "--json",
         *map(str, arguments)], capture_output=True, text=True,
        timeout=4 * PATIENCE, check=False,
        env={**os.environ, **(environment or {})}, **options)
    try:
        document = json.loads(result.stdout)
    except ValueError:
        document = None
    return result.returncode, document, result.stdout + result.stderr
