# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What may not stand in a file: doc/style.md, as far as a program can see.

usage: tap.py style_tokens.py SOURCE
"""

import re
import sys
import unittest

import sources

SPDX = "SPDX-License-Identifier: BSD-2-Clause-Patent"
SPDX_FILES = (".c", ".h", ".py", ".S", ".ld", ".toml", ".map", ".in",
              "meson.build", "meson_options.txt", ".sh")
COLUMNS = 80
FILE_LINES = 800
FUNCTION_LINES = 60
PARAMETERS = 8
BLOCKS = 4  # the function's own, and three in it

# Dispatchers that are one long switch.
LONG_FUNCTIONS = set()

# The core of a monitor: what acts while any guest runs, and the table that it
# and the keeper believe. doc/architecture.md
CORE = tuple(f"lib/monitor/{name}.c" for name in (
    "follow", "frame_table", "run", "schedule", "system_call"))
CORE_LINES = 1500

# Split, so that this file does not contain them.
WORDS = re.compile("|".join((
    r"\bTO" r"DO\b", r"\bFIX" r"ME\b", r"\bXX" r"X\b", r"\bfor n" r"ow\b",
    r"/wo" r"rk/", r"/tmp/w" r"t\b", r"/tmp/br" r"ief", r"\bsession [0-9]",
    r"Co-auth" r"ored-by", r"\bPyPI mir" r"ror")), re.IGNORECASE)

HOSTED = ("lib/port/posix/", "lib/port/test/", "lib/backend/kvm/",
          "lib/backend/process/")
ERRNO = ("lib/port/posix/", "lib/backend/kvm/", "lib/backend/process/")
# calls that the library does not make, and the folders that may
CALLS = (
    (r"v?(?:f|s|sn|d)?printf|puts|putchar|perror", ()),
    (r"exit|quick_exit|abort|assert|__assert_fail|__builtin_trap",
     ("lib/port/test/",)),
    (r"_exit", ("lib/port/posix/", "lib/backend/process/")),
    (r"malloc|calloc|realloc|free|strdup|strlen|strcpy|strcmp|memchr",
     HOSTED),
)


def check_text(name, text):
    lines = text.split("\n")
    head = lines[:2] if lines[0].startswith("#!") else lines[:1]
    if name.endswith(SPDX_FILES) or head != lines[:1]:
        if not any(SPDX in line for line in head):
            yield 1, f"the first line is not the SPDX line ({SPDX})"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
        if "\t" in line:
            yield number, "a tab"
        found = WORDS.search(line)
        if found:
            yield number, f"not in this repository: {found[0]}"
        if name.endswith((".py", ".c", ".h", ".build")) and \
                len(line) > COLUMNS:
            yield number, f"{len(line)} columns, {COLUMNS} allowed"


def depth_of_blocks(lines):
    deepest = depth = 0
    for line in lines:
        for letter in line:
            depth += (letter == "{") - (letter == "}")
            deepest = max(deepest, depth)
    return deepest


def check_c(name, text):
    code = sources.without_comments(text)
    lines = code.split("\n")
    if len(lines) - 1 > FILE_LINES:
        yield 1, f"{len(lines) - 1} lines, {FILE_LINES} allowed in a file"
    for number, comment in sources.comments(text):
        if comment.startswith("//"):
            yield number, "a // comment"
    for number, line in enumerate(lines, 1):
        if re.search(r"\buv_\w", line):
            yield number, "the prefix is ulv_, never uv_"
    for function, start, length, parameters in sources.functions(text):
        if length > FUNCTION_LINES and function not in LONG_FUNCTIONS:
            yield start, f"{function}: {length} lines, {FUNCTION_LINES} allowed"
        if parameters > PARAMETERS:
            yield start, (f"{function}: {parameters} parameters, "
                          f"{PARAMETERS} allowed")
        deep = depth_of_blocks(lines[start - 1:start + length + 1])
        if deep > BLOCKS:
            yield start, f"{function}: blocks {deep - 1} deep, {BLOCKS - 1} " \
                         "allowed"


def check_library(name, text):
    code = sources.without_comments(text)
    for number, line in enumerate(code.split("\n"), 1):
        if re.search(r"(?<!__asm__ )\bvolatile\b", line):
            yield number, "volatile"
        if re.search(r"\berrno\b", line) and not name.startswith(ERRNO) and \
                not line.startswith("#include"):
            yield number, "errno"
        for calls, folders in CALLS:
            found = re.search(rf"(?<![\w>.*])(?:{calls})\s*\(", line)
            if found and not name.startswith(folders or "?"):
                call = found[0].strip("( ")
                yield number, f"the library does not call {call}"


def check(name, text):
    """Every violation of a file: "path:line: what"."""
    found = list(check_text(name, text))
    if sources.is_c(name):
        found += check_c(name, text)
        if name.startswith(("lib/", "include/")) and \
                not name.startswith("lib/guest/images/"):
            found += check_library(name, text)
    return [f"{name}:{number}: {what}" for number, what in sorted(found)]


def lines_of_code(text):
    """Lines of a C text that are neither blank nor comment."""
    return sum(1 for line in sources.without_comments(text).split("\n")
               if line.strip())


class Tokens(unittest.TestCase):
    def test_every_file(self):
        found = []
        for name, text in sources.texts(sys.argv[1]):
            found += check(name, text)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_exempt_functions_exist_and_are_long(self):
        lengths = {}
        for name, text in sources.texts(sys.argv[1]):
            if sources.is_c(name):
                for function, _, length, _ in sources.functions(text):
                    lengths[function] = max(length, lengths.get(function, 0))
        for function in LONG_FUNCTIONS:
            self.assertGreater(lengths.get(function, 0), FUNCTION_LINES,
                               f"{function} needs no exemption")

    def test_core_of_the_monitor_is_small(self):
        lines = {name: lines_of_code(text)
                 for name, text in sources.texts(sys.argv[1]) if name in CORE}
        print(f"# {sum(lines.values())} lines of code, {CORE_LINES} allowed")
        self.assertEqual(sorted(lines), sorted(CORE))
        self.assertLessEqual(sum(lines.values()), CORE_LINES, lines)
