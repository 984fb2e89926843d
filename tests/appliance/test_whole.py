# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The whole on a bare machine with everybody against it (whole.c), what a
system call costs there, and how large the linked core is."""

import os
import pathlib
import re
import subprocess
import unittest

import bochs

IMAGE = bochs.Image(flat=os.environ["ULTRAVISOR_WHOLE"],
                    rom=os.environ["ULTRAVISOR_OPTION_ROM"])
APPLIANCE = os.environ["ULTRAVISOR_APPLIANCE_ELF"]
IPS = 50000000
CORE_BYTES_MAX = 128 << 10
CALL_TICKS_MAX = 150  # more than the bare loop
STOP, FAULT = 1, 3    # ULV_END_REASON_*
# guest: reason, code (ULV_FAULT_*), words of its own fault record
ENDS = {
    "control_register": (FAULT, 4, "not allowed", "0f 22 d8"),
    "divide": (FAULT, 6, "arithmetic", "f7"),
    "jump_nowhere": (FAULT, 3, "no code", "0x7000000"),
    "many_calls": (STOP, 0, "stopped itself"),
    "msr": (FAULT, 4, "not allowed", "0f 32"),
    "never_yields": (FAULT, 11, "without a system call"),
    "port": (FAULT, 7, "I/O port", "at 0x3f8"),
    "privileged": (FAULT, 4, "not allowed", ": fa"),
    "read_nothing": (FAULT, 1, "read", "at 0x8000000"),
    "undefined": (FAULT, 4, "not allowed", "0f 0b"),
    "write_view": (FAULT, 2, "write", "at 0x100000000"),
    "write_past_memory": (FAULT, 2, "write", "at 0x800000"),
    # who ran beside them all the time
    "ping": (STOP, 0, "stopped itself"),
    "echo": (STOP, 0, "stopped itself"),
    "count_calls": (STOP, 0, "stopped itself"),
}


def symbols(path):
    """Address and size of each embedded image, by its name."""
    listing = subprocess.run(["nm", path], capture_output=True, text=True,
                             check=True).stdout
    at = {name: int(address, 16) for address, _, name in
          re.findall(r"^(\w+) (\w) (\w+)$", listing, re.M)}
    return {name: (address, at[name + "_end"] - address)
            for name, address in at.items() if name + "_end" in at
            and name.startswith("embedded_")}


class Whole(unittest.TestCase):
    console = None

    def setUp(self):
        if bochs.missing():
            self.skipTest(bochs.missing())
        if Whole.console is None:  # one run for all cases
            # fast, so that few turns of the others fall into the count
            result = bochs.run(IMAGE, ips=IPS)
            self.assertEqual(result.code, 0,
                             result.console + result.log[-4000:])
            Whole.console = result.console
        self.lines = Whole.console.splitlines()

    def test_each_guest_ends_in_its_own_record(self):
        ends = {}
        for line in self.lines:
            match = re.fullmatch(r"end (\w+) (\d+) (\d+) (.*)", line)
            if match:
                ends[match[1]] = (int(match[2]), int(match[3]), match[4])
        self.assertEqual(set(ends), set(ENDS), Whole.console)
        for name, (reason, code, *words) in ENDS.items():
            with self.subTest(guest=name):
                self.assertEqual(ends[name][:2], (reason, code))
                for word in words:
                    self.assertIn(word, ends[name][2])

    def test_faults_are_told_in_full(self):
        """Vector, error code, address, bytes and all registers, as they were
        when the guest did what it may not."""
        at = self.lines.index(next(line for line in self.lines
                                   if line.startswith("end divide ")))
        self.assertRegex(self.lines[at + 1], "^  kind 6, vector 0, error code "
                         r"0x0, address 0x4\w+$")
        self.assertRegex(self.lines[at + 2], "^  instruction 0xf7 0xf1 ")
        registers = dict(re.findall(r"(r\w+) +(0x\w+)",
                                    " ".join(self.lines[at + 3:at + 9])))
        self.assertEqual(len(registers), 18)
        self.assertEqual(registers["rcx"], "0x0")
        self.assertEqual(registers["rip"],
                         self.lines[at + 1].rpartition(" ")[2])

    def test_wrong_orders_are_refused(self):
        """A double grant, a grant of root memory, a grant of the frame table:
        each is a fault record against the ultravisor, and the guests go on."""
        faults = [line for line in self.lines if "order refused" in line]
        self.assertEqual(len(faults), 3, Whole.console)
        self.assertRegex(faults[0], r"frame 0x\w+ is not free: \d+ has it")
        for fault in faults[1:]:
            self.assertRegex(fault, r"frame 0x\w+ may never be granted")
        for n in range(3):
            self.assertIn(f"order {n}: denied", self.lines)
        last = self.lines.index("order 2: denied")
        self.assertIn("10000 of 10000 messages came back as they were sent",
                      self.lines[last:])

    def test_memory_moves_between_guests_that_run(self):
        """24 times, to and fro; nobody saw what another wrote, or stopped."""
        moved = [line for line in self.lines if line.startswith("moves: ")]
        self.assertEqual([line.rpartition(" ")[2] for line in moved[:2]],
                         ["2", "2"], moved)  # ULV_STATE_RUNNING
        self.assertEqual(moved[2], "moves: 24 pieces of memory were moved")

    def test_nothing_is_left(self):
        self.assertEqual(self.lines[-1], "0 handles, 0 misuses, VMX off")

    def test_cost_of_a_system_call(self):
        """In instructions, which is what the emulator's time stamp counts."""
        bare, call = (int(re.search(rf"^(\d+) ticks {what}$", Whole.console,
                                    re.M)[1])
                      for what in ("the bare loop", "a system call"))
        print(f"# bare VMCALL loop {bare} instructions, system call {call}: "
              f"{call - bare} more", flush=True)
        self.assertGreater(bare, 20)
        self.assertLessEqual(call - bare, CALL_TICKS_MAX)


def sections(path, prefix):
    """Bytes of the sections of a program or an object of that name."""
    listing = subprocess.run(["size", "-A", path], capture_output=True,
                             text=True, check=True).stdout
    return sum(int(line.split()[1]) for line in listing.splitlines()
               if line.startswith(prefix))


class Size(unittest.TestCase):
    def test_linked_core(self):
        """Code of the appliance: the core, the port and the backend, without
        its own two files; constants are told beside."""
        own = list(pathlib.Path(APPLIANCE + ".p").glob("*.c.o"))
        self.assertEqual(len(own), 2)
        guests = sum(size for _, size in symbols(APPLIANCE).values())
        self.assertGreater(guests, 10000)
        code, constants = (
            sections(APPLIANCE, kind) -
            sum(sections(path, kind) for path in own)
            for kind in (".text", ".rodata"))
        print(f"# {code} bytes of code, at most {CORE_BYTES_MAX}; "
              f"{constants - guests} of constants", flush=True)
        self.assertGreater(code, CORE_BYTES_MAX // 2)
        self.assertLessEqual(code, CORE_BYTES_MAX)


