# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A test that goes wrong is counted as failed, in each way that this build
can see. usage: tap.py test_runner.py MUST_FAIL SANITIZERS"""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import summary  # noqa: E402

PROGRAM, SANITIZERS = sys.argv[1], sys.argv[2].split(",")


class Runner(unittest.TestCase):
    def outcome(self, way):
        result = subprocess.run([PROGRAM, way], check=False, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                errors="replace")
        counts = summary.count_test(
            {"name": way, "stdout": result.stdout, "stderr": result.stderr,
             "result": "OK" if result.returncode == 0 else "FAIL",
             "returncode": result.returncode}, "tap")
        return counts, result.stderr

    def fails(self, way, words=""):
        counts, said = self.outcome(way)
        self.assertGreater(len(counts.failed), 0, f"{counts}\n{said}")
        self.assertIn(words, said)

    def test_good_test_passes(self):
        counts, said = self.outcome("nothing")
        self.assertEqual((counts.passed, counts.failed), (3, []), said)

    def test_assertion(self):
        self.fails("refuse")

    def test_crash(self):
        self.fails("crash")

    def test_early_success(self):
        self.fails("quit")


# Not skips in the builds without: each sanitizer's build runs its own.
WAYS = {"leak": ("address", "LeakSanitizer"),
        "overflow": ("address", "heap-buffer-overflow"),
        "undefined": ("undefined", "signed integer overflow"),
        "race": ("thread", "data race")}
for name, (needed, report) in WAYS.items():
    if needed in SANITIZERS:
        setattr(Runner, f"test_{name}", lambda self, n=name, r=report:
                self.fails(n, r))
