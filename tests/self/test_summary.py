# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The counting of tests: each way in which a test can end is seen."""

import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

import summary  # noqa: E402


def tap(output, returncode=0, result="OK"):
    return summary.count_test({"name": "x", "stdout": output, "result": result,
                               "returncode": returncode}, "tap")


def plain(returncode, output="", result="OK"):
    return summary.count_test({"name": "x", "stdout": output, "result": result,
                               "returncode": returncode}, "exitcode")


def figures(counts):
    return counts.passed, len(counts.failed), len(counts.skipped)


class Tap(unittest.TestCase):
    def test_counts_points(self):
        counts = tap("1..2\nok 1 - a\nnot ok 2 - b\n# 1 != 2\n", 1, "FAIL")
        self.assertEqual(figures(counts), (1, 1, 0))
        self.assertEqual(counts.failed, ["x: b"])

    def test_cmocka_skip_is_a_skip(self):
        counts = tap("1..2\n# no /dev/foo\nnot ok 1 # SKIP a\nok 2 - b\n",
                     0, "FAIL")
        self.assertEqual(figures(counts), (1, 0, 1))
        self.assertEqual(counts.skipped, ["x: a: no /dev/foo"])

    def test_standard_skip_is_a_skip(self):
        counts = tap("ok 1 - a # SKIP no foo\n1..1\n")
        self.assertEqual(counts.skipped, ["x: a: no foo"])

    def test_skip_without_reason_fails(self):
        self.assertEqual(figures(tap("1..1\nnot ok 1 # SKIP a\n")), (0, 1, 0))

    def test_reason_of_another_case_does_not_count(self):
        counts = tap("1..2\n# why\nok 1 - a\nok 2 - b # SKIP\n")
        self.assertEqual(figures(counts), (1, 1, 0))

    def test_skipped_as_a_whole(self):
        counts = tap("1..0 # SKIP no foo\n", 0, "SKIP")
        self.assertEqual(counts.skipped, ["x: no foo"])

    def test_missing_cases_fail(self):
        counts = tap("1..3\nok 1 - a\n", -6, "ERROR")
        self.assertEqual(figures(counts), (1, 2, 0))
        self.assertIn("SIGABRT", counts.failed[0])

    def test_no_plan_fails(self):
        self.assertEqual(figures(tap("")), (0, 1, 0))
        self.assertEqual(figures(tap("ok 1 - a\n")), (1, 1, 0))

    def test_bad_end_after_good_cases_fails(self):
        self.assertEqual(figures(tap("1..1\nok 1\n", 23)), (1, 1, 0))

    def test_timeout_fails(self):
        counts = tap("1..1\n", -15, "TIMEOUT")
        self.assertEqual(figures(counts), (0, 1, 0))
        self.assertIn("too long", counts.failed[0])

    def test_directives_and_bail_out_fail(self):
        self.assertEqual(figures(tap("1..1\nok 1 - a # LATER x\n")), (0, 1, 0))
        counts = tap("1..1\nok 1 - a\nBail out! gone\n")
        self.assertEqual(figures(counts), (1, 1, 0))

    def test_words_in_output_are_no_points(self):
        counts = tap("1..1\n# ok - tests\nokay\nnot okay\nok 1 - a\n")
        self.assertEqual(figures(counts), (1, 0, 0))


class Exit(unittest.TestCase):
    def test_ends(self):
        self.assertEqual(figures(plain(0)), (1, 0, 0))
        self.assertEqual(figures(plain(1, result="FAIL")), (0, 1, 0))
        self.assertEqual(figures(plain(-11, result="FAIL")), (0, 1, 0))
        self.assertEqual(figures(plain(0, result="TIMEOUT")), (0, 1, 0))

    def test_skip_needs_a_reason(self):
        self.assertEqual(plain(77, "# hello\nno foo\n", "SKIP").skipped,
                         ["x: no foo"])
        self.assertEqual(figures(plain(77, "", "SKIP")), (0, 1, 0))

    def test_timeout_of_a_process_that_reported_nothing(self):
        counts = summary.count_test(
            {"name": "x", "stdout": None, "result": "TIMEOUT",
             "returncode": None}, "exitcode")
        self.assertEqual(figures(counts), (0, 1, 0))


class Total(unittest.TestCase):
    def total(self, *entries):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            for entry in entries:
                file.write(json.dumps(entry) + "\n")
            file.flush()
            output = io.StringIO()
            with redirect_stdout(output):
                status = summary.print_total(file.name)
        return status, output.getvalue().splitlines()

    def test_adds_stages_and_prints_skips(self):
        status, lines = self.total(
            {"stage": "gcc", "passed": 2, "failed": [], "skipped": ["a: why"]},
            {"stage": "asan", "passed": 3, "failed": [], "skipped": []})
        self.assertEqual(status, 0)
        self.assertEqual(lines, ["skipped: gcc: a: why",
                                 "5 passed, 0 failed, 1 skipped"])

    def test_one_failure_fails(self):
        status, lines = self.total(
            {"stage": "gcc", "passed": 2, "failed": ["b"], "skipped": []})
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "2 passed, 1 failed, 0 skipped")

    def test_nothing_or_only_skips_fails(self):
        for skips in ([], ["a: why"]):
            status, lines = self.total(
                {"stage": "gcc", "passed": 0, "failed": [], "skipped": skips})
            self.assertEqual(status, 1)
            self.assertTrue(lines[-1].startswith("0 passed, 0 failed"))


MESON_BUILD = """
project('x', 'c')
sh = find_program('sh')
test('tap', sh, protocol: 'tap', args: ['-c',
  'printf "1..3\\\\n# no foo\\\\nnot ok 1 # SKIP a\\\\nok 2\\\\nok 3\\\\n"'])
test('skip', sh, args: ['-c', 'echo no bar; exit 77'])
test('bad', sh, args: ['-c', 'echo broken; exit 1'])
test('slow', find_program('sleep'), args: '60', timeout: 1)
"""


class WithMeson(unittest.TestCase):
    def test_a_whole_run(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "meson.build"), "w",
                      encoding="utf-8") as file:
                file.write(MESON_BUILD)
            build = os.path.join(folder, "build")
            results = os.path.join(folder, "results")
            subprocess.run(["/usr/bin/meson", "setup", build, folder],
                           check=True, capture_output=True)
            run = [sys.executable, os.path.join(TESTS, "summary.py")]
            stage = subprocess.run([*run, "stage", "gcc", build, results],
                                   check=False, capture_output=True, text=True)
            total = subprocess.run([*run, "total", results], check=False,
                                   capture_output=True, text=True)
            empty = os.path.join(folder, "empty")
            subprocess.run([*run, "stage", "gcc", build, empty, "--suite",
                            "none"], check=True, capture_output=True)
            nothing = subprocess.run([*run, "total", empty], check=False,
                                     capture_output=True, text=True)
            unbuilt = subprocess.run(
                [*run, "stage", "gcc", os.path.join(folder, "nowhere"), empty],
                check=False, capture_output=True)
        self.assertEqual(stage.returncode, 0, stage.stdout + stage.stderr)
        self.assertEqual(total.returncode, 1)
        self.assertEqual(nothing.returncode, 1, nothing.stdout)
        self.assertIn("no test ran", nothing.stdout)
        self.assertNotEqual(unbuilt.returncode, 0)
        lines = total.stdout.splitlines()
        self.assertEqual(lines[-1], "2 passed, 2 failed, 2 skipped")
        self.assertIn("skipped: gcc: tap: a: no foo", lines)
        self.assertIn("skipped: gcc: skip: no bar", lines)
        self.assertIn("failed: gcc: bad: exit status 1", lines)
        self.assertIn("failed: gcc: slow: took too long and was stopped",
                      lines)
