# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The recorded ABI, and how the built library is compared with it.

usage: abi.py record BUILD SOURCE     write symbols.txt and ultravisor.abi
"""

import os
import re
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
SYMBOLS = os.path.join(FOLDER, "symbols.txt")
TYPES = os.path.join(FOLDER, "ultravisor.abi")
VERSION_NODE = "ULTRAVISOR_0"

# What the core asks of those who link it: four functions of a C library, the
# linker's own symbol, and the array of backends of the composition root.
CORE_NEEDS = {"memcpy", "memmove", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_",
              "ulv_backend_at", "ulv_backend_find"}


def library(build):
    return os.path.realpath(os.path.join(build, "lib/libultravisor.so.0"))


def run(*command, check=True):
    return subprocess.run(command, check=check, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def exported(path):
    """The names a shared library exports, sorted."""
    lines = run("nm", "-D", "--defined-only", "--format=posix", path)
    names = {line.split()[0].split("@")[0]
             for line in lines.stdout.splitlines()}
    return sorted(names - {VERSION_NODE})


def undefined(archive):
    """The names an archive needs and does not have, and its code's size."""
    needs, has = set(), set()
    for line in run("nm", "--format=posix", archive).stdout.splitlines():
        words = line.split()
        if len(words) >= 2 and not line.startswith(archive):
            (needs if words[1] in "Uw" else has).add(words[0])
    sizes = run("size", "--totals", archive).stdout.splitlines()[-1].split()
    return needs - has, [int(n) for n in sizes[:3]]


def declared(include):
    """Every name that a public header declares as ULV_API."""
    names = set()
    for folder, _, files in os.walk(include):
        for file in files:
            if file.endswith(".h"):
                with open(os.path.join(folder, file), encoding="utf-8") as f:
                    names |= set(re.findall(
                        r"ULV_API[^;]*?\b(ulv_\w+)\s*\(", f.read()))
    return names


def recorded_symbols():
    with open(SYMBOLS, encoding="utf-8") as file:
        return [line.strip() for line in file
                if line.strip() and not line.startswith("#")]


def headers(source, build):
    """Each public header as #include names it, with its path."""
    found = {}
    for top in (os.path.join(source, "include"),
                os.path.join(build, "include")):
        for folder, _, files in os.walk(top):
            for file in files:
                if file.endswith(".h"):
                    path = os.path.join(folder, file)
                    found[os.path.relpath(path, top)] = path
    return found


def write_types(build, source, output):
    return run("abidw", "--no-show-locs", "--no-comp-dir-path",
               "--no-corpus-path", "--type-id-style", "hash",
               "--exported-interfaces-only", "--drop-private-types",
               "--headers-dir", os.path.join(source, "include"),
               "--headers-dir", os.path.join(build, "include"),
               "--out-file", output, library(build))


def record(build, source):
    with open(SYMBOLS, "w", encoding="utf-8") as file:
        file.write("# What libultravisor.so.0 exports; ./run record-abi\n")
        file.write("".join(name + "\n" for name in exported(library(build))))
    write_types(build, source, TYPES)
    print(f"recorded {SYMBOLS} and {TYPES}")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "record":
        sys.exit(__doc__)
    record(*sys.argv[2:])
