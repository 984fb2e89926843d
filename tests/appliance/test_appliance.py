# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The appliance does its job: two guests, the images that run on Linux, talk
over a memory channel under VT-x, on a machine that is emulated."""

import os
import re
import unittest

import bochs

FLAT = bochs.Image(flat=os.environ["ULTRAVISOR_APPLIANCE"],
                   rom=os.environ["ULTRAVISOR_OPTION_ROM"])
ISO = bochs.Image(iso=os.environ["ULTRAVISOR_APPLIANCE_ISO"])
# each lacks something, and is told what
REFUSED = {
    "corei5_lynnfield_750": ["no unrestricted guest"],
    "core2_penryn_t9600": ["no EPT", "no unrestricted guest",
                           "no VMX-preemption timer"],
}


class Appliance(unittest.TestCase):
    def setUp(self):
        if bochs.missing():
            self.skipTest(bochs.missing())

    def job(self, image, **options):
        result = bochs.run(image, **options)
        said = result.console + result.log[-4000:]
        self.assertEqual(result.code, 0, said)
        self.assertNotIn("error:", result.console)
        for line in ("10000 of 10000 messages came back as they were sent",
                     "ping: stopped itself, exit code 0",
                     "echo: stopped itself, exit code 0"):
            self.assertIn(line, result.lines(), said)
        self.assertEqual(result.lines()[-1], "ready", said)
        return result.console

    def test_models(self):
        """The one with everything and the least that must do, with a second
        processor parked and without one."""
        for model in (bochs.HASWELL, bochs.ARRANDALE):
            for processors in (1, 2):
                with self.subTest(model=model, processors=processors):
                    said = self.job(FLAT, model=model, processors=processors)
                    self.assertIn(f"\n{processors - 1} of {processors} "
                                  "processors parked\n", said)

    def test_iso(self):
        """From an ISO, by GRUB."""
        if not os.path.exists(ISO.iso):
            self.skipTest("no grub-mkrescue where this was built: no ISO")
        self.job(ISO)

    def test_partition_table(self):
        """What the database holds: the machine, and who has what."""
        said = self.job(FLAT)
        rows = {row[1]: row for row in
                (line.split() for line in said.splitlines())
                if len(row) == 7 and row[4] == "KiB"}
        self.assertEqual(list(rows), ["idle", "boot", "ultravisor",
                                      "operations", "command", "io-a", "io-b",
                                      "ping", "echo"])
        for name in ("ping", "echo"):
            self.assertEqual(rows[name][3], "4096")
            self.assertEqual(rows[name][5], "1")
        self.assertEqual((rows["ping"][6], rows["echo"][6]), ("2", "1"))
        ram = re.search(r"^memory +0x\w+ +(\d+) +KiB +RAM$", said, re.M)
        free = re.search(r"most free \((\d+) KiB free\)", said)
        self.assertLess(int(free[1]), int(ram[1]))
        self.assertGreater(int(free[1]), int(ram[1]) - 8192)

    def test_refused_processors(self):
        """A processor that lacks something is refused in words."""
        for model, words in REFUSED.items():
            with self.subTest(model=model):
                result = bochs.run(FLAT, model=model)
                self.assertEqual(result.code, 1, result.log[-4000:])
                for word in words:
                    self.assertIn(word, result.console)

    def test_no_vmx_at_all(self):
        result = bochs.run(FLAT, model="athlon64_venice")
        self.assertEqual(result.code, 1, result.log[-4000:])
        self.assertIn("no VMX", result.console)
