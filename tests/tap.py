# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Prints the results of Python tests as TAP, one point a case.

usage: tap.py FILE.py [ARGUMENT...]

FILE.py is a unittest module; it sees itself and the arguments as sys.argv.
"""

import importlib.util
import os
import sys
import unittest


def comment(text):
    for line in str(text).splitlines():
        print("#", line)


class TapResult(unittest.TestResult):
    """Prints each case as it ends; a reason stands before its point."""

    count = 0

    def point(self, word, test, note=""):
        self.count += 1
        name = test.id().removeprefix("tap_module.")
        print(f"{word} {self.count} - {name}{note}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.point("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        comment(self.failures[-1][1])
        self.point("not ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        comment(self.errors[-1][1])
        self.point("not ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        comment(reason)
        self.point("ok", test, " # SKIP")

    def addExpectedFailure(self, test, err):
        self.addFailure(test, err)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        comment("passed, and was expected to fail")
        self.point("not ok", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            comment(self._exc_info_to_string(err, test))
            self.point("not ok", subtest)


def run(path):
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location("tap_module", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tap_module"] = module
    spec.loader.exec_module(module)
    result = TapResult()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    print(f"1..{result.count}")
    return 0 if result.wasSuccessful() and result.count else 1


if __name__ == "__main__":
    sys.argv.pop(0)
    sys.exit(run(os.path.abspath(sys.argv[0])))
