# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whatever happens to a machine that runs tests, TAP says so."""

import os
import sys
import tempfile
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[1:1] = [os.path.join(TESTS, name)
                 for name in ("", "nested", "appliance")]

import linux_kernel  # noqa: E402
import machine  # noqa: E402
import report  # noqa: E402
import summary  # noqa: E402

GOOD = """\
# init: here
# init: begin a
# a word
ok 1 - one
ok 2 - two
1..2
# init: end a status 0
"""


def outcome(console, expected=("a",), reason=None):
    """(status, passed, failed, skipped) as the runner of all tests counts."""
    said = []
    tap = report.Report(expected, said.append)
    for line in console.splitlines():
        tap.feed(line)
    status = tap.end(reason)
    counts, planned = summary.count_tap("\n".join(said), "x")
    counted = counts.passed, len(counts.failed), len(counts.skipped)
    assert planned == sum(counted), said
    return (status, *counted)


class Report(unittest.TestCase):
    def test_good(self):
        self.assertEqual(outcome(GOOD), (0, 2, 0, 0))

    def test_failed_case(self):
        self.assertEqual(outcome(GOOD.replace("ok 2", "not ok 2")),
                         (1, 1, 1, 0))

    def test_skip_has_its_reason(self):
        self.assertEqual(
            outcome(GOOD.replace("ok 1 - one", "# why\nnot ok 1 # SKIP one")),
            (0, 1, 0, 1))

    def test_skipped_program(self):
        self.assertEqual(outcome("# init: begin a\n1..0 # SKIP why\n"
                                 "# init: end a status 0\n"), (0, 0, 0, 1))

    def test_status(self):
        self.assertEqual(outcome(GOOD.replace("status 0", "status 3")),
                         (1, 2, 1, 0))

    def test_died_before_its_plan(self):
        self.assertEqual(
            outcome(GOOD.replace("1..2\n", "").replace("status 0",
                                                       "signal 11")),
            (1, 2, 1, 0))

    def test_too_few_cases(self):
        self.assertEqual(outcome(GOOD.replace("1..2", "1..3")), (1, 2, 1, 0))

    def test_did_not_run(self):
        self.assertEqual(outcome(GOOD, ("a", "b")), (1, 2, 1, 0))

    def test_did_not_end(self):
        self.assertEqual(outcome(GOOD.replace("# init: end a status 0\n", ""),
                                 reason="silence"), (1, 2, 2, 0))

    def test_init_complains(self):
        self.assertEqual(outcome("# init: /modules/x.ko: No such device\n"
                                 + GOOD), (1, 2, 1, 0))

    def test_nothing(self):
        self.assertEqual(outcome("", ()), (1, 0, 1, 0))


class Fake(machine.Machine):
    """A shell in the place of an emulator."""

    def __init__(self, folder, script):
        super().__init__(folder, None, None)
        self.script = script

    def command(self):
        return ["/bin/sh", "-c", self.script]


class Machine(unittest.TestCase):
    def lines(self, script, silence=60):
        with tempfile.TemporaryDirectory() as folder, \
                Fake(folder, script) as fake:
            return list(fake.lines(silence))

    def test_lines(self):
        self.assertEqual(self.lines("printf 'a\\r\\nb\\n' >console;"
                                    "printf c >>console"), ["a", "b", "c"])

    def test_no_console(self):
        self.assertEqual(self.lines("exit 1"), [])

    def test_silence(self):
        with self.assertRaises(machine.Silent) as caught:
            self.lines("printf last >console; exec sleep 1000", 1)
        self.assertIn("last", str(caught.exception))


class Modules(unittest.TestCase):
    def test_order(self):
        with tempfile.TemporaryDirectory() as name:
            folder = linux_kernel.pathlib.Path(name)
            for module, needed in (("a", b"b,c"), ("b", b"c"), ("c", b"")):
                (folder / f"{module}.ko").write_bytes(
                    b"\x7fELF\0depends=" + needed + b"\0name=x\0")
            self.assertEqual([path.stem for path in
                              linux_kernel.in_order(folder, "a")],
                             ["c", "b", "a"])


if __name__ == "__main__":
    unittest.main()
