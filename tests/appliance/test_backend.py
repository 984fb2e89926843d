# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The VT-x backend on processors that are emulated: guests of a few bytes, most
of them hostile."""

import os
import re
import unittest

import bochs

FLAT = bochs.Image(flat=os.environ["ULTRAVISOR_BACKEND"],
                   rom=os.environ["ULTRAVISOR_OPTION_ROM"])


class Backend(unittest.TestCase):
    def setUp(self):
        if bochs.missing():
            self.skipTest(bochs.missing())

    def holds(self, model):
        """Each case that the image has, once."""
        result = bochs.run(FLAT, model=model)
        said = result.console + result.log[-4000:]
        lines = result.lines()
        self.assertEqual([line for line in lines
                          if line.startswith(("not ok", "error:"))], [], said)
        found = re.search(r"^cases (\d+)$", result.console, re.M)
        self.assertIsNotNone(found, said)
        count = int(found[1])
        names = [line[3:] for line in lines if line.startswith("ok ")]
        self.assertEqual(len(names), count, said)
        self.assertEqual(len(set(names)), count, sorted(names))
        self.assertEqual(lines[-1], f"done: {count} of {count} hold", said)
        self.assertEqual(result.code, 0, said)

    def refuses(self, model, *reasons):
        result = bochs.run(FLAT, model=model)
        said = result.console + result.log[-4000:]
        self.assertEqual(result.code, 1, said)
        self.assertTrue(result.console.startswith(
            "probe: this processor has no "), said)
        for reason in reasons:
            self.assertIn(reason, result.console)

    def test_haswell(self):
        self.holds(bochs.HASWELL)

    def test_least_processor(self):
        self.holds(bochs.ARRANDALE)

    def test_skylake(self):
        self.holds("corei7_skylake_x")

    def test_no_unrestricted_guest(self):
        self.refuses("corei5_lynnfield_750",
                     "no unrestricted guest (IA32_VMX_PROCBASED_CTLS2 bit 39")

    def test_no_extended_page_tables(self):
        self.refuses("core2_penryn_t9600",
                     "no EPT (IA32_VMX_PROCBASED_CTLS2 bit 33 is 0)")

    def test_no_vmx(self):
        self.refuses("athlon64_venice", "no VMX (CPUID.1:ECX bit 5 is 0)")
