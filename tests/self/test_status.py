# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The generator of statuses refuses a registry that is not one."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
GENERATE = os.path.join(ROOT, "lib/base/generate_status.py")
REGISTRY = os.path.join(ROOT, "lib/base/status.toml")

ENTRY = """[[status]]
name = "{}"
code = {}
class = "{}"
text = "t"
remedy = "r"
"""


def generate(kind, registry):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "status.toml")
        output = os.path.join(folder, "output")
        with open(path, "w", encoding="utf-8") as file:
            file.write(registry)
        result = subprocess.run([sys.executable, GENERATE, kind, path, output],
                                check=False, capture_output=True, text=True)
        if result.returncode != 0:
            return None
        with open(output, encoding="utf-8") as file:
            return file.read()


class Status(unittest.TestCase):
    def test_two_entries(self):
        header = generate("header", ENTRY.format("B", 2, "host")
                          + ENTRY.format("A", 1, "peer"))
        self.assertLess(header.index("ULV_E_A (-1)"),
                        header.index("ULV_E_B (-2)"))

    def test_duplicates_and_unknown_classes_are_refused(self):
        first = ENTRY.format("A", 1, "host")
        for second in (ENTRY.format("A", 2, "host"),
                       ENTRY.format("B", 1, "host"),
                       ENTRY.format("B", 2, "other")):
            self.assertIsNone(generate("header", first + second))

    def test_every_kind_of_output(self):
        with open(REGISTRY, encoding="utf-8") as file:
            registry = file.read()
        for kind in ("header", "source", "manual"):
            self.assertIn("NOT_FOUND", generate(kind, registry))
