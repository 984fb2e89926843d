# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of doc/threat-model.md, held to /proc."""

import collections
import os
import pathlib
import re
import sys
import tempfile

from common import (BACKENDS, DIGEST, IMAGES, SystemTest, descriptors,
                    disk)

import ultravisor

DOCUMENT = pathlib.Path(__file__).parents[2] / "doc/threat-model.md"


def documented():
    table = collections.defaultdict(dict)
    for role, kind, count in re.findall(
            r"^\| ([\w-]+) \| ([\w-]+) \| (\d+) \|$", DOCUMENT.read_text(),
            re.M):
        table[role][kind] = int(count)
    return table


def kind_of(target, path):
    if target.startswith("socket:"):
        return "socket"
    if target == str(path):
        return "medium"
    match = re.match(r"(?:anon_inode:\[?|/memfd:)([a-z-]+)", target)
    return match.group(1) if match else target


def held(process, path):
    """Kinds of descriptors above the standard three, counted."""
    counts = collections.Counter()
    for name in os.listdir(f"/proc/{process}/fd"):
        if int(name) > 2:
            counts[kind_of(os.readlink(f"/proc/{process}/fd/{name}"),
                           path)] += 1
    return dict(counts)


def taken(process="self"):
    """Bytes that the host has given for the memory of guests."""
    total = 0
    for name in os.listdir(f"/proc/{process}/fd"):
        path = f"/proc/{process}/fd/{name}"
        try:
            if kind_of(os.readlink(path), "") == "ulv-memory":
                total += os.stat(path).st_blocks * 512
        except FileNotFoundError:  # the listing's own
            continue
    return total


class Descriptors(SystemTest):
    def test_each_role_holds_what_the_table_says(self):
        if "kvm" not in BACKENDS:
            self.skipTest("the table is for KVM, which is not usable here")
        table = documented()
        self.assertGreaterEqual(len(table), 6)
        with disk(400000) as path, ultravisor.open(
                in_process=False, backend="kvm", memory="64M") as host:
            guest = self.guest(host, "guest", path)
            guest.start(DIGEST)
            # until the guest reads: everything has been handed over
            while not any(e.kind == ultravisor.C.ULV_EVENT_CONSOLE
                          for e in host.pending()):
                host.step(1)
            # the role that stands by has nothing to do just now
            for name, alive, process in host.roles():
                if process == 0:
                    continue
                with self.subTest(role=name):
                    self.assertTrue(alive)
                    self.assertEqual(held(process, path), table.pop(name))
            self.assertEqual(dict(table), {})
            guest.stop()

    def test_lazy_memory_is_taken_when_it_is_touched(self):
        for lazy in (False, True):
            for in_process in (True, False):
                with self.subTest(lazy=lazy, in_process=in_process), \
                        disk(4000) as path, ultravisor.open(
                            in_process=in_process, backend=BACKENDS[0],
                            memory="64M", lazy_memory=lazy) as host:
                    guest = self.guest(host, "guest", path, memory="32M")
                    self.assertEqual(taken(), 0 if lazy else 32 << 20)
                    guest.start(DIGEST)
                    end = guest.wait()
                    self.assertEqual(end.code, 0, end.text)
                    if lazy:
                        self.assertGreater(taken(), 0)
                        self.assertLess(taken(), 16 << 20)

    def test_a_spare_machine_is_kept_unless_it_is_not_wanted(self):
        """One thread; a machine for the first guest, and none after it; from
        the second on one for each."""
        if BACKENDS[0] != "kvm":
            self.skipTest("only the kvm backend keeps a spare")
        for no_spare in (False, True):
            before = descriptors(), len(os.listdir("/proc/self/task"))
            with self.subTest(no_spare=no_spare), ultravisor.open(
                    backend="kvm", memory="64M", no_spare=no_spare) as host:
                self.assertEqual(len(os.listdir("/proc/self/task")),
                                 before[1] + (not no_spare))
                for number, machines in enumerate((1, 3, 4, 5)):
                    with host.transaction() as t:
                        guest = t.partition(f"guest{number}", memory="2M")
                    guest.start(IMAGES / "never_yields.elf")
                    wanted = number + 1 if no_spare else machines
                    while descriptors().count("anon_inode:kvm-vm") != wanted:
                        host.step(0.01)
            self.assertEqual((descriptors(),
                              len(os.listdir("/proc/self/task"))), before)

    def test_a_storage_is_the_keepers(self):
        """The ultravisor asks for it by doorbells, and has no file."""
        found = []
        for storage in (False, True):
            with tempfile.TemporaryDirectory() as directory, ultravisor.open(
                    in_process=False, backend=BACKENDS[0], memory="64M",
                    storage=directory if storage else None) as host:
                with host.transaction() as t:
                    t.partition("web", memory="2M")
                found.append(next(held(process, "")
                                  for name, _, process in host.roles()
                                  if name == "ultravisor"))
        without, with_storage = found
        self.assertEqual(with_storage,
                         {"socket": 1, "eventpoll": 2,
                          "eventfd": without["eventfd"] + 2})

    def test_memory_is_the_keepers_alone(self):
        """No role holds memory, a channel or a view."""
        with disk(400000) as path, ultravisor.open(
                in_process=False, backend=BACKENDS[0],
                memory="64M") as host:
            guest = self.guest(host, "guest", path)
            guest.start(DIGEST)
            while not any(e.kind == ultravisor.C.ULV_EVENT_CONSOLE
                          for e in host.pending()):
                host.step(1)
            for name, _, process in host.roles():
                for kind in held(process, path) if process else ():
                    self.assertFalse(kind.startswith("ulv-memory") or
                                     kind.startswith("ulv-channel") or
                                     kind.startswith("ulv-view"),
                                     (name, kind))
            guest.stop()


if __name__ == "__main__":
    sys.exit("run by tests/tap.py")
