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
DOCUMENTS = ("doc/formats/command.md", "doc/formats/operations.md")


def check(root, texts):
    """Lines of the documents that the description would have otherwise, and
    tables that are not there once."""
    description = generate_command.Description(os.path.join(root, DESCRIPTION))
    found = [f"table {name}: not in one document"
             for name in generate_command.TABLES
             if sum(text.count(f"<!-- {name}: generated -->")
                    for text in texts) != 1]
    for path, text in zip(DOCUMENTS, texts):
        wanted = generate_command.document(description, text).split("\n")
        there = text.split("\n")
        found += [f"{path}: not as {DESCRIPTION} has it: {line}"
                  for line in there if line not in wanted]
        found += [f"{path}: missing: {line}"
                  for line in wanted if line not in there]
    return found


def read(root):
    texts = []
    for path in DOCUMENTS:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            texts.append(file.read())
    return texts


class Formats(unittest.TestCase):
    def test_tables(self):
        found = check(sys.argv[1], read(sys.argv[1]))
        self.assertEqual(found, [], "\n" + "\n".join(found))
