# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A bare-metal image boots: both ways, on two models, with one and two
processors, and finds that the host keeps its contract; what an image does
wrong is told in words."""

import os
import re
import unittest

import bochs

ROM = os.environ["ULTRAVISOR_OPTION_ROM"]
FLAT = bochs.Image(flat=os.environ["ULTRAVISOR_SELF_CHECK"], rom=ROM)
ISO = bochs.Image(iso=os.environ["ULTRAVISOR_SELF_CHECK_ISO"])
FAULTS = os.environ["ULTRAVISOR_FAULTS"]
MODELS = (bochs.HASWELL, bochs.ARRANDALE)


class BochsTest(unittest.TestCase):
    def setUp(self):
        if bochs.missing():
            self.skipTest(bochs.missing())

    def boot(self, image, **options):
        """It ends with success; the lines it said."""
        result = bochs.run(image, **options)
        said = result.console + result.log[-4000:]
        self.assertEqual(result.code, 0, said)
        self.assertNotIn("error:", result.console)
        self.assertEqual(result.lines()[-1:], ["ready"], said)
        return result.lines()


class Boot(BochsTest):
    def each(self, image, entry):
        for model in MODELS:
            for processors in (1, 2):
                with self.subTest(model=model, processors=processors):
                    lines = self.boot(image, model=model,
                                      processors=processors)
                    self.assertEqual(lines[0], "entered by " + entry)
                    self.assertIn(f"processors {processors} parked "
                                  f"{processors - 1}", lines)
                    self.check_map(lines)

    def check_map(self, lines):
        """The ranges are in order, and RAM is what node 0 has."""
        ranges = [re.fullmatch(r"memory 0x(\w+) (\d+) KiB (.*)", line)
                  for line in lines if line.startswith("memory ")]
        ranges = [(int(r[1], 16), int(r[2]) << 10, r[3]) for r in ranges]
        for (start, size, _), (after, _, _) in zip(ranges, ranges[1:]):
            self.assertLessEqual(start + size, after)
        ram = sum(size for _, size, kind in ranges if kind == "RAM")
        self.assertIn(f"node 0: {ram >> 10} KiB free of {ram >> 10}", lines)
        self.assertGreater(ram, 100 << 20)
        kinds = {kind for _, _, kind in ranges}
        self.assertLessEqual({"low", "image", "heap", "RAM", "ACPI tables"},
                             kinds)

    def test_option_rom(self):
        """From RAM, without a disk."""
        self.each(FLAT, "option ROM, E820")

    def test_option_rom_without_e820(self):
        """Where no BIOS answers, sizes come from CMOS."""
        image = bochs.Image(flat=FLAT.flat,
                            rom=os.environ["ULTRAVISOR_SILENT_ROM"])
        for megabytes in (12, 16, 128):
            with self.subTest(megabytes=megabytes):
                lines = self.boot(image, megabytes=megabytes)
                self.assertEqual(lines[0], "entered by option ROM, CMOS")

    def test_iso(self):
        """From an ISO, by GRUB."""
        if not os.path.exists(ISO.iso):
            self.skipTest("no grub-mkrescue where this was built: no ISO")
        self.each(ISO, "Multiboot2")

    def test_four_processors(self):
        self.assertIn("processors 4 parked 3", self.boot(FLAT, processors=4))

    def test_little_memory(self):
        lines = self.boot(FLAT, megabytes=16)
        self.assertTrue([line for line in lines if line.endswith(" heap")])

    def test_memory_above_4_gib(self):
        lines = self.boot(FLAT, megabytes=4224, seconds=200)
        self.assertTrue([line for line in lines
                         if re.match(r"memory 0x100000000 \d+ KiB RAM", line)])

    def test_the_same_again(self):
        """The emulator is deterministic: so is what the image says."""
        self.assertEqual(self.boot(FLAT), self.boot(FLAT))


class Faults(BochsTest):
    def fails(self, number):
        result = bochs.run(bochs.Image(flat=f"{FAULTS}/fault{number}.bin",
                                       rom=ROM))
        self.assertEqual(result.code, 1, result.console + result.log[-4000:])
        return result.console

    def test_undefined_instruction(self):
        said = self.fails(0)
        self.assertIn("error: exception 6 (invalid opcode)", said)
        self.assertRegex(said, "error code 0x0, rip 0x10[0-9a-f]{4}\n")
        self.assertIn("r15 0x1234\n", said)

    def test_page_fault(self):
        said = self.fails(1)
        self.assertIn("error: exception 14 (page fault)", said)
        self.assertIn("error: it is a write at 0x7f0000001000: nothing is "
                      "mapped there\n", said)

    def test_double_fault(self):
        """On a stack of its own."""
        said = self.fails(2)
        self.assertIn("error: exception 8 (double fault)", said)
        self.assertIn("rsp 0x7f0000001000\n", said)

    def test_null_pointer(self):
        self.assertIn("error: it is a read at 0x8: nothing is mapped there\n",
                      self.fails(3))

    def test_stack_overflow(self):
        """The page below the stack is not mapped."""
        said = self.fails(4)
        self.assertIn("error: exception 8 (double fault)", said)
        self.assertRegex(said, "cr2 0x1[0-9a-f]{5} ")

    def test_constants_are_read_only(self):
        self.assertRegex(self.fails(5), "it is a write at 0x10[0-9a-f]{4}: "
                                        "not allowed\n")

    def test_failure(self):
        """A program that returns false ends with failure, and silently."""
        self.assertEqual(self.fails(6), "")


class Harness(BochsTest):
    def test_an_end_that_does_not_come(self):
        """A deadline holds, and what was said so far is there."""
        result = bochs.run(bochs.Image(flat=os.devnull, rom=ROM), seconds=0.5)
        self.assertNotEqual(result.code, 0)
        self.assertEqual(result.console, "")
