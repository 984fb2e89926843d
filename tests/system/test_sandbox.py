# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a role process may do: what the document says, what the filters say,
and what becomes of a role that does something else."""

import contextlib
import ctypes
import itertools
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time
import unittest

from common import BACKENDS, DIGEST, IMAGES, PATIENCE, SystemTest, digest, disk

import ultravisor
from ultravisor import C

DOCUMENT = pathlib.Path(__file__).parents[2] / "doc/threat-model.md"
VARIANT = os.environ["ULTRAVISOR_ROLE_VARIANT"]
RULES = os.environ["ULTRAVISOR_SANDBOX_RULES"]
SURVIVED, REFUSED = 77, 78  # exit codes, see role_variant.c

# bits of ULV_SANDBOX_*, and what the document calls them
WHO = {127: "every role", 1: "ultravisor", 8: "I/O", 16: "monitor, kvm",
       32: "monitor, process"}
SANITIZERS = 128
ANY, EQUAL, CLEAR, OWN_PROCESS = range(4)
CALLS = 1024  # more than there are
X86_64, I386 = 0xc000003e, 0x40000003  # AUDIT_ARCH_*
X32 = 0x40000000
ALLOW, KILL = 0x7fff0000, 0x80000000
ONES = (1 << 64) - 1


class Rule:
    def __init__(self, who, number, test, argument, value, call, name=""):
        self.who, self.number, self.test = int(who), int(number), int(test)
        self.argument, self.value = int(argument), int(value)
        self.call, self.name = call, name

    def condition(self):
        """In the words of the document."""
        return {ANY: "", EQUAL: f"argument {self.argument} is {self.name}",
                CLEAR: f"argument {self.argument} has no {self.name}",
                OWN_PROCESS: f"argument {self.argument} is its own process"
                }[self.test]

    def holds(self, argument, process):
        return {ANY: True, EQUAL: argument == self.value,
                CLEAR: argument & self.value == 0,
                OWN_PROCESS: argument == process}[self.test]

    def samples(self, process):
        """Values of its argument at the borders of what it allows."""
        value = process if self.test == OWN_PROCESS else self.value
        return (0, value, value + 1, value - 1 & ONES, value | 1 << 32,
                ~value & ONES, ONES)


def read_rules():
    """(process number, rules, {who: filter})"""
    process, rules, filters = 0, [], {}
    for line in subprocess.run([RULES], capture_output=True, text=True,
                               check=True).stdout.splitlines():
        kind, *fields = line.split()
        if kind == "process":
            process = int(fields[0])
        elif kind == "rule":
            rules.append(Rule(*fields))
        else:
            filters[int(fields[0])] = list(
                struct.iter_unpack("<HBBI", bytes.fromhex(fields[1])))
    return process, rules, filters


def run_filter(program, number, arguments=(0,) * 6, architecture=X86_64):
    """What a filter says to a system call; Source: <linux/filter.h>."""
    data = struct.pack("<IIQ6Q", number & 0xffffffff, architecture, 0,
                       *arguments)
    at = accumulator = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x20:  # load word
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif code == 0x54:  # and
            accumulator &= k
        elif code == 0x05:  # jump
            at += k
        elif code in (0x15, 0x25, 0x35, 0x45):
            at += yes if {0x15: accumulator == k, 0x25: accumulator > k,
                          0x35: accumulator >= k,
                          0x45: accumulator & k != 0}[code] else no
        elif code == 0x06:  # return
            return k
        else:
            raise ValueError(f"instruction {code:#x}")


class Filters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process, cls.rules, cls.filters = read_rules()

    def test_the_document_says_the_same(self):
        documented = set()
        for who, calls, condition in re.findall(
                r"^\| ([^|]+) \| `([\w ]+)` \| ([^|]*)\|$",
                DOCUMENT.read_text(), re.M):
            start, several, values = condition.strip().partition(" one of ")
            conditions = ([f"{start} {value}" for value in values.split()]
                          if several else [start])
            documented |= set(itertools.product([who], calls.split(),
                                                conditions))
        self.assertGreater(len(documented), 30)
        self.assertEqual(documented, {
            (WHO[rule.who], rule.call, rule.condition())
            for rule in self.rules if not rule.who & SANITIZERS})

    def test_each_filter_allows_the_rules_and_nothing_else(self):
        self.assertEqual(len(self.filters), 7)
        for who, program in self.filters.items():
            mine = [rule for rule in self.rules if rule.who & who]
            for number in range(CALLS):
                of_call = [rule for rule in mine if rule.number == number]
                self.check_call(who, program, number, of_call)

    def check_call(self, who, program, number, rules):
        places = {rule.argument for rule in rules if rule.test != ANY} or {0}
        self.assertEqual(len(places), 1, f"system call {number}")
        place = places.pop()
        samples = {0, 1, ONES}.union(
            *(rule.samples(self.process) for rule in rules))
        for value in samples:
            for others in (0, ONES):
                arguments = [others] * 6
                arguments[place] = value
                allowed = any(rule.holds(value, self.process)
                              for rule in rules)
                self.assertEqual(
                    run_filter(program, number, arguments),
                    ALLOW if allowed else KILL,
                    f"sandbox {who}, system call {number}, argument {place} "
                    f"is {value:#x}")

    def test_other_numbers_of_calls(self):
        """Those of 32-bit code and of x32 are not the same calls."""
        for program in self.filters.values():
            for number in range(CALLS):
                self.assertEqual(run_filter(program, number,
                                            architecture=I386), KILL)
                self.assertEqual(run_filter(program, number | X32), KILL)
            self.assertEqual(run_filter(program, -1), KILL)

    def test_dangerous_calls_are_in_no_list(self):
        calls = {rule.call for rule in self.rules
                 if not rule.who & SANITIZERS}
        self.assertEqual(calls & {
            "open", "openat", "openat2", "socket", "connect", "bind", "clone",
            "clone3", "fork", "vfork", "execve", "execveat", "ptrace", "kill",
            "prctl", "seccomp", "mprotect", "memfd_create", "io_uring_setup",
            "process_vm_readv", "bpf", "mount", "unshare", "setns"}, set())


def has_landlock():
    """Asked as a kernel is asked for its version of it; landlock(7)."""
    create_ruleset = 444
    return ctypes.CDLL(None).syscall(create_ruleset, None, 0, 1) > 0


@contextlib.contextmanager
def role_program(path):
    before = os.environ["ULTRAVISOR_ROLE"]
    os.environ["ULTRAVISOR_ROLE"] = str(path)
    try:
        yield
    finally:
        os.environ["ULTRAVISOR_ROLE"] = before


def status_of(process):
    """Fields of /proc/PID/status; proc(5)."""
    text = pathlib.Path(f"/proc/{process}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines()
                if ":\t" in line)


def limit_of(process, name):
    """(soft, hard)"""
    text = pathlib.Path(f"/proc/{process}/limits").read_text()
    return re.search(rf"^{name} +(\w+) +(\w+)", text, re.M).groups()


class Roles(SystemTest):
    def whole(self, backend):
        return ultravisor.open(in_process=False, backend=backend,
                               memory="64M")

    def busy(self, host):
        guest = self.guest(host, "busy")
        guest.start(IMAGES / "never_yields.elf")
        return guest

    def await_confined(self, process):
        """A role is it once it was told what it is, before anything else; the
        system is there before each of them has heard that."""
        until = time.monotonic() + PATIENCE
        while status_of(process)["Seccomp"] != "2":
            self.assertLess(time.monotonic(), until, "it is not confined")
            time.sleep(0.001)

    def test_status_of_each_role(self):
        for backend in BACKENDS:
            with self.whole(backend) as host:
                guest = self.busy(host)
                roles = [(name, process) for name, _, process in host.roles()
                         if process]
                self.assertEqual(len(roles), 6)
                for name, process in roles:
                    with self.subTest(backend=backend, role=name):
                        self.check_status(process, backend == "process" and
                                          name == "busy")
                guest.stop()

    def check_status(self, process, may_signal):
        self.await_confined(process)
        status = status_of(process)
        self.assertEqual(status["NoNewPrivs"], "1")
        for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            held = int(status[kind], 16)
            if may_signal and kind in ("CapEff", "CapPrm"):
                held &= ~(1 << 5)  # CAP_KILL
            self.assertEqual(held, 0, kind)
        self.assertEqual(limit_of(process, "Max core file size"), ("1", "1"))
        self.assertEqual(limit_of(process, "Max processes"), ("0", "0"))
        soft, hard = limit_of(process, "Max open files")
        self.assertEqual(soft, hard)

    # ---- forbidden things ----------------------------------------------------

    def acts(self):
        listed = subprocess.run([VARIANT, "--acts"], capture_output=True,
                                text=True, check=True).stdout
        return {name: int(number) for number, name in
                (line.split() for line in listed.splitlines())}

    def do(self, host, name, number):
        """Make a role do something; the words in which its end is told."""
        process, = (p for role, alive, p in host.roles()
                    if role == name and alive)
        self.await_confined(process)
        os.kill(process, number)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            host.step(0.1)
            for event in host.pending():
                text = event.data.decode(errors="replace")
                if event.kind in (C.ULV_EVENT_DIED, C.ULV_EVENT_ENDED) and \
                        text.startswith(name):
                    return text
        self.fail(f"nobody told that {name} died")

    def everywhere(self, act, number):
        with role_program(VARIANT):
            for backend in BACKENDS:
                with self.whole(backend) as host:
                    self.each_role_does(host, backend, act, number)

    def test_who_does_what_it_may_not_dies(self):
        for act, number in self.acts().items():
            if act != "32_bit":
                self.everywhere(act, number)

    def test_who_calls_as_32_bit_programs_do_dies(self):
        number = self.acts().get("32_bit")
        if number is None:
            self.skipTest("this machine has no calls of 32-bit programs")
        self.everywhere("32_bit", number)

    def each_role_does(self, host, backend, act, number):
        guest = self.busy(host)
        for role in ("busy", "io-a", "io-b", "operations", "command",
                     "ultravisor"):
            with self.subTest(backend=backend, act=act, role=role):
                said = self.do(host, role, number)
                if act != "nothing":
                    self.assertIn("killed by its sandbox", said)
                elif role != "busy":
                    self.assertIn(f"exit code {SURVIVED}", said)
                else:
                    self.assertNotIn("sandbox", said)
        end = guest.wait(0)
        self.assertEqual((end.reason, end.code),
                         (C.ULV_END_REASON_FAULT, C.ULV_FAULT_MONITOR))
        self.assertEqual("killed by its sandbox" in end.text,
                         act != "nothing", end.text)

    def test_others_go_on(self):
        """A server that its sandbox kills is taken over from."""
        number = self.acts()["socket"]
        with role_program(VARIANT), disk(8192) as path:
            for backend in BACKENDS:
                with self.subTest(backend=backend), \
                        self.whole(backend) as host:
                    guest = self.guest(host, "web", path)
                    guest.start(DIGEST)
                    self.assertIn("killed by its sandbox",
                                  self.do(host, "io-a", number))
                    self.assertEqual(self.wait(host, guest).code, 0)

    # ---- kernels that lack something -----------------------------------------

    @contextlib.contextmanager
    def kernel(self, lack):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / lack
            path.symlink_to(VARIANT)
            with role_program(path), disk(1024) as medium, \
                    self.whole(BACKENDS[0]) as host:
                yield host, medium

    def lines(self, host, path, word):
        """What each role says of a layer; the main job is done all the same."""
        end, said = self.run_guest(host, "web", DIGEST, path)
        self.assertEqual(end.code, 0)
        self.assertIn(digest(path), said)
        return {event.data.decode().partition(":")[0] for event in self.events
                if event.kind == C.ULV_EVENT_LOG and
                f"the kernel has no {word} (".encode() in event.data}

    EVERYBODY = {"ultravisor", "operations", "command", "io-a", "io-b", "web"}

    def test_without_landlock(self):
        """Each role says so, and its filter is there all the same."""
        with self.kernel("without-landlock") as (host, path):
            self.assertEqual(self.lines(host, path, "Landlock"),
                             self.EVERYBODY)
            self.assertIn("killed by its sandbox",
                          self.do(host, "io-a", self.acts()["open"]))

    def test_without_filters(self):
        """Each role says so; files are closed to it all the same."""
        if not has_landlock():
            self.skipTest("the kernel has no Landlock")
        if BACKENDS[0] != "kvm":
            self.skipTest("KVM is not usable; guests as processes need filters")
        with self.kernel("without-seccomp") as (host, path):
            said = self.lines(host, path, "seccomp filters")
            self.assertEqual(said, self.EVERYBODY)
            self.assertIn(f"exit code {REFUSED}",
                          self.do(host, "io-a", self.acts()["open"]))

    def test_says_nothing_of_a_layer_that_is_there(self):
        if not has_landlock():
            self.skipTest("the kernel has no Landlock")
        with disk(1024) as path, self.whole(BACKENDS[0]) as host:
            self.run_guest(host, "web", DIGEST, path)
            said = {e.data.decode() for e in self.events
                    if e.kind == C.ULV_EVENT_LOG}
        self.assertEqual({line for line in said if "the kernel has no" in line
                          or "sandbox" in line}, set())
