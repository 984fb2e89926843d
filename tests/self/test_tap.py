# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whatever happens to a Python test, TAP says so and the status is not 0."""

import os
import subprocess
import sys
import tempfile
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

import summary  # noqa: E402

HEAD = "import unittest\nclass A(unittest.TestCase):\n"
PASS = "    def test_pass(self):\n        pass\n"


def outcome(body):
    """(status, passed, failed, skipped) of a module."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(HEAD + body)
        file.flush()
        result = subprocess.run(
            [sys.executable, os.path.join(TESTS, "tap.py"), file.name],
            check=False, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
    counts, planned = summary.count_tap(result.stdout, "x")
    counted = (counts.passed, len(counts.failed), len(counts.skipped))
    if planned is not None and planned != sum(counted):
        counted += (f"planned {planned}",)
    return (result.returncode, *counted)


class Tap(unittest.TestCase):
    def test_pass(self):
        self.assertEqual(outcome(PASS), (0, 1, 0, 0))

    def test_fail(self):
        self.assertEqual(outcome(PASS + "    def test_x(self):\n"
                                 "        self.fail('x')\n"), (1, 1, 1, 0))

    def test_error(self):
        self.assertEqual(outcome("    def test_x(self):\n"
                                 "        raise OSError\n"), (1, 0, 1, 0))

    def test_skip(self):
        self.assertEqual(outcome(PASS + "    def test_x(self):\n"
                                 "        self.skipTest('why')\n"),
                         (0, 1, 0, 1))

    def test_subtest(self):
        self.assertEqual(outcome(
            "    def test_x(self):\n        for i in range(3):\n"
            "            with self.subTest(i=i):\n"
            "                self.assertEqual(i, 1)\n"), (1, 0, 2, 0))

    def test_class_set_up(self):
        self.assertEqual(outcome(
            "    @classmethod\n    def setUpClass(cls):\n"
            "        raise OSError\n" + PASS), (1, 0, 1, 0))

    def test_expected_failure_is_a_failure(self):
        self.assertEqual(outcome(
            "    @unittest.expectedFailure\n    def test_x(self):\n"
            "        self.fail('x')\n")[2], 1)

    def test_no_tests(self):
        self.assertEqual(outcome("    pass\n")[:3], (1, 0, 1))

    def test_broken_module(self):
        self.assertEqual(outcome("raise OSError\n")[0], 1)
