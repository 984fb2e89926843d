# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The generated tables of a format's document are those of its description.

usage: tap.py style_formats.py SOURCE
"""

import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "lib/command"))
import generate_command # noqa: E402  the generator is no package

DESCRIPTION = "lib/command/command.toml"
DOCUMENT = "doc/formats/command.md"


def check(root, text):
    """Lines of the document that the description would have otherwise."""
    description = generate_command.Description(os.path.join(root, DESCRIPTION))
    wanted = generate_command.document(description, text)
    return [f"{DOCUMENT}: not as {DESCRIPTION} has it: {line}"
            for line in text.split("\n") if line not in wanted.split("\n")] + [
            f"{DOCUMENT}: missing: {line}"
            for line in wanted.split("\n") if line not in text.split("\n")]


class Formats(unittest.TestCase):
    def test_tables(self):
        with open(os.path.join(sys.argv[1], DOCUMENT),
                  encoding="utf-8") as file:
            found = check(sys.argv[1], file.read())
        self.assertEqual(found, [], "\n" + "\n".join(found))
