# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each public header alone, and twice, under each compiler, as C and C++."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import abi

SOURCE, BUILD = sys.argv[1:3]
HEADERS = abi.headers(SOURCE, BUILD)
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Wconversion",
            "-Werror", "-fsyntax-only"]
C_ONLY = ["-Wstrict-prototypes", "-Wmissing-prototypes"]
COMPILERS = [("gcc", "c11", C_ONLY), ("clang", "c11", C_ONLY),
             ("g++", "c++17", []), ("clang++", "c++17", [])]
ALLOWED = {"stdbool.h", "stddef.h", "stdint.h"}


def compiles(compiler, standard, options, text):
    """None, or what the compiler said."""
    suffix = ".cc" if "++" in compiler else ".c"
    with tempfile.NamedTemporaryFile("w", suffix=suffix) as file:
        file.write(text)
        file.flush()
        result = subprocess.run(
            [compiler, "-std=" + standard, *WARNINGS, *options,
             "-I" + os.path.join(SOURCE, "include"),
             "-I" + os.path.join(BUILD, "include"), file.name],
            check=False, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
    return None if result.returncode == 0 else result.stdout


def content(name):
    with open(HEADERS[name], encoding="utf-8") as file:
        return file.read()


class Headers(unittest.TestCase):
    """One case for each header and compiler is added below."""


def alone(name, compiler, standard, options):
    def test(self):
        if shutil.which(compiler) is None:
            self.skipTest(f"{compiler} is not installed")
        text = f"#include <{name}>\n"
        # twice: a guard that guards; and the file is not empty for pedants
        said = compiles(compiler, standard, options,
                        text * 2 + "extern int used;\n")
        self.assertIsNone(said, said)
    return test


def guard(name):
    wanted = re.sub(r"\W", "_", name).upper()

    def test(self):
        lines = [line for line in content(name).splitlines()
                 if line.startswith("#")]
        self.assertEqual(lines[:2], [f"#ifndef {wanted}", f"#define {wanted}"])
        self.assertEqual(lines[-1], "#endif")
    return test


def includes(name):
    def test(self):
        for found in re.findall(r'^#include\s+([<"][^>"]+[>"])', content(name),
                                re.MULTILINE):
            inside = found.strip('<>"')
            self.assertTrue(inside in ALLOWED or (
                found[0] == "<" and inside in HEADERS), f"{name}: {found}")
            if name.startswith("ultravisor/abi/"):
                self.assertTrue(inside in ALLOWED - {"stdbool.h"} or
                                inside.startswith("ultravisor/abi/"),
                                f"{name}: {found}")
    return test


def identifier(name):
    return re.sub(r"\W", "_", name.removeprefix("ultravisor/"))


for header in sorted(HEADERS):
    for compiler_row in COMPILERS:
        setattr(Headers, f"test_{identifier(header)}__alone_"
                f"{compiler_row[0].replace('+', 'x')}",
                alone(header, *compiler_row))
    setattr(Headers, f"test_{identifier(header)}__guard", guard(header))
    setattr(Headers, f"test_{identifier(header)}__includes", includes(header))


class Macros(unittest.TestCase):
    """Macros that take arguments expand, in C and in C++."""

    TEXT = """
#include <ultravisor/ultravisor.h>
static const uint64_t sizes[] = { ULV_KIB(1), ULV_MIB(1 + 1), ULV_GIB(1) };
uint64_t use(const void *p, ulv_source_read_fn read);
uint64_t
use(const void *p, ulv_source_read_fn read)
{
    struct ulv_diag diag = ULV_DIAG_INIT;
    struct ulv_source a = ULV_SOURCE_PATH("a");
    struct ulv_source b = ULV_SOURCE_HANDLE(3);
    struct ulv_source c = ULV_SOURCE_MEMORY(p, 4);
    struct ulv_source d = ULV_SOURCE_READ(read, NULL, 5);

    return diag.size + sizes[1] + a.bytes + b.bytes + c.bytes + d.bytes;
}
"""

    def test_expand(self):
        for compiler, standard, options in COMPILERS:
            if shutil.which(compiler) is not None:
                said = compiles(compiler, standard, options, self.TEXT)
                self.assertIsNone(said, f"{compiler}: {said}")

    def test_a_broken_header_is_seen(self):
        for compiler, standard, options in COMPILERS[:1]:
            self.assertIsNotNone(compiles(compiler, standard, options,
                                          "struct x { size_t n; };\n"))
