# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The files of the project, and C source without comments and strings."""

import os
import re
import subprocess

GENERATED = {"tests/abi/ultravisor.abi"}
# a comment, a string, a character, or a piece of neither
PIECES = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
                    r"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def listed(root):
    """Paths of the files of the project: git's, or all outside build trees."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached",
                          "--others", "--exclude-standard"], check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if git.returncode == 0:
        names = git.stdout.decode().split("\0")
    else:
        names = []
        for folder, folders, files in os.walk(root):
            if folder == root:
                folders[:] = [f for f in folders
                              if not f.startswith(("build", "."))]
            names += [os.path.relpath(os.path.join(folder, file), root)
                      for file in files]
    return sorted(name for name in names
                  if name and os.path.isfile(os.path.join(root, name)))


def texts(root):
    """Each text file that people write, by its path: (path, content)."""
    for name in listed(root):
        if name in GENERATED or "/corpus/" in name:
            continue
        with open(os.path.join(root, name), "rb") as file:
            content = file.read()
        if b"\0" not in content:
            yield name, content.decode()


def is_c(name):
    return name.endswith((".c", ".h"))


def blank(match):
    """The same lines with nothing on them; a string stays a string."""
    piece = match[0]
    if piece[0] in "\"'":
        return piece[0] + " " * (len(piece) - 2) + piece[0]
    return re.sub(r"[^\n]", " ", piece)


def without_comments(text):
    """C text of the same shape, its comments and strings blanked out."""
    return PIECES.sub(blank, text)


def comments(text):
    """Every comment of a C text: (line, comment)."""
    for match in PIECES.finditer(text):
        if match[0].startswith("/"):
            yield text.count("\n", 0, match.start()) + 1, match[0]


def functions(text):
    """Every function defined in a C text, our style: the brace that opens and
    the one that closes stand alone in the first column. (name, first line,
    lines of the body, parameters)"""
    lines = without_comments(text).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head, above = "", start - 2
            while above >= 0 and lines[above].strip() and \
                    lines[above][0] not in "}#" and \
                    not lines[above].rstrip().endswith((";", "{")):
                head = lines[above] + " " + head
                above -= 1
            found = re.search(r"(\w+)\s*\((.*)\)\s*$", head.strip(), re.DOTALL)
            if found:
                yield (found[1], start, number - start - 1,
                       count_parameters(found[2]))
            start = None


def count_parameters(text):
    if text.strip() in ("", "void"):
        return 0
    depth, count = 0, 1
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        count += letter == "," and depth == 0
    return count
