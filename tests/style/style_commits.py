# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commits since the root: subject, length, body.

usage: tap.py style_commits.py SOURCE
"""

import os
import re
import subprocess
import sys
import unittest

import sources
from style_tokens import WORDS

COLUMNS = 72
BODY_COLUMNS = 80
# a subject that is too long, from before this was checked
LONG_SUBJECTS = ("database: the resource database with transactions",)
OTHER_AREAS = {"abi", "doc", "tests", "build", "python", "libvirt", "examples"}


def areas(names):
    """What a subject may begin with: the folders of lib/, and a few more."""
    return OTHER_AREAS | {name.split("/")[1] for name in names
                          if name.startswith("lib/") and name.count("/") > 1}


def check(message, allowed):
    """Every violation of one commit message."""
    subject, _, body = message.partition("\n")
    found = re.fullmatch(r"([a-z]+): (\S.*)", subject)
    if not found:
        yield f"not 'area: what it does': {subject}"
        return
    if found[1] not in allowed:
        yield f"no such area: {found[1]}"
    if found[2][0].isupper() and not re.match(r"[A-Z]{2}|[A-Z]-", found[2]):
        yield f"begins with a capital: {subject}"
    if subject.endswith("."):
        yield f"ends with a period: {subject}"
    if len(subject) > COLUMNS and not subject.startswith(LONG_SUBJECTS):
        yield f"{len(subject)} columns, {COLUMNS} allowed: {subject}"
    if re.match(r"(fixup|squash)!|WIP\b", found[2], re.IGNORECASE):
        yield f"not for the main line: {subject}"
    if not body.strip():
        yield f"no body says why: {subject}"
    elif body.split("\n", 1)[0]:
        yield f"no empty line after the subject: {subject}"
    for line in body.split("\n"):
        # a quotation is not broken
        if len(line) > BODY_COLUMNS and not line.startswith("    "):
            yield f"{len(line)} columns in the body, {BODY_COLUMNS} allowed: " \
                  f"{subject}"
    words = WORDS.search(message)
    if words:
        yield f"not in a commit: {words[0]}: {subject}"


def git(root, *arguments):
    return subprocess.run(["git", "-C", root, *arguments], check=False,
                          text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)


class Commits(unittest.TestCase):
    def test_every_commit(self):
        root = sys.argv[1]
        if git(root, "rev-parse", "--git-dir").returncode != 0 or \
                not os.path.exists(os.path.join(root, ".git")):
            self.skipTest("not a git checkout: there are no commits to read")
        log = git(root, "log", "--no-merges", "--format=%h%n%B%x00")
        allowed = areas(sources.listed(root))
        found = []
        for entry in log.stdout.split("\0"):
            name, _, message = entry.strip().partition("\n")
            if name:
                found += [f"{name}: {what}" for what
                          in check(message, allowed)]
        self.assertEqual(found, [], "\n" + "\n".join(found))
