# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reads the public headers with the C preprocessor and writes _abi.py: the
declarations for cffi and the numeric constants. Nothing is copied by hand.

usage: generate.py OUTPUT INCLUDE-DIR... -- CC...
"""

import re
import subprocess
import sys
import tempfile

HEADERS = ("stdint.h", "stddef.h", "stdbool.h")


def preprocess(compiler, includes, *options):
    """ultravisor.h through the preprocessor, with empty standard headers:
    cffi knows their types."""
    with tempfile.TemporaryDirectory() as empty:
        for name in HEADERS:
            open(f"{empty}/{name}", "w").close()
        command = [*compiler, "-E", "-P", "-nostdinc", "-xc", "-I", empty,
                   "-D__attribute__(x)=", "-D_Static_assert(...)=",
                   "-DUINT64_C(x)=x", "-DUINT32_C(x)=x", "-DNULL=0",
                   "-DUINT32_MAX=0xffffffff", "-DUINT64_MAX=0xffffffffffffffff",
                   *options]
        for directory in includes:
            command += ["-I", directory]
        command += ["-include", "ultravisor/ultravisor.h", "/dev/null"]
        return subprocess.run(command, check=True, capture_output=True,
                              text=True).stdout


def constants(text):
    """Every macro whose value is a plain number; also ULV_E_* (negative)."""
    found = {}
    for name, value in re.findall(r"^#define (ULV_\w+) (.+)$", text, re.M):
        value = re.sub(r"UINT(?:32|64)_C\((\w+)\)", r"\1", value)
        match = re.fullmatch(r"\(?(-?(?:0x[0-9a-fA-F]+|\d+))u?\)?", value)
        if match:
            found[name] = int(match.group(1), 0)
    return found


def main():
    split = sys.argv.index("--") # a compiler may be a command of several words
    output, *includes = sys.argv[1:split]
    compiler = sys.argv[split + 1:]
    declarations = re.sub(r"^\s*;\s*$", "", preprocess(compiler, includes),
                          flags=re.M)
    numbers = constants(preprocess(compiler, includes, "-dM"))
    with open(output, "w", encoding="utf-8") as file:
        file.write("# SPDX-License-Identifier: BSD-2-Clause-Patent\n"
                   "# Generated from the public headers; not to be edited.\n"
                   f"CONSTANTS = {numbers!r}\n"
                   f"DECLARATIONS = r'''{declarations}'''\n")


main()
