# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the built library exports and needs, against what is recorded."""

import difflib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import abi

SOURCE, BUILD = sys.argv[1:3]
HOW = "If this is meant: ./run record-abi, and say ABI: in the commit."

CHANGING = (".data", ".bss", ".tdata", ".tbss", "*COM*")

PROGRAM = """
#include <string.h>
#include <ultravisor/ultravisor.h>
int
main(void)
{
    return strcmp(ulv_version(), VERSION) == 0 ? 0 : 1;
}
"""
GUEST = """
#include <ultravisor/guest.h>
int
guest_main(void)
{
    return 0;
}
"""


class Symbols(unittest.TestCase):
    def test_exports_begin_with_ulv(self):
        names = abi.exported(abi.library(BUILD))
        self.assertTrue(names)
        self.assertEqual([n for n in names if not n.startswith("ulv_")], [])

    def test_exports_are_as_recorded(self):
        found = abi.exported(abi.library(BUILD))
        recorded = abi.recorded_symbols()
        self.assertEqual(found, recorded, HOW + "\n" + "\n".join(
            difflib.unified_diff(recorded, found, "recorded", "built",
                                 lineterm="")))

    def test_exports_are_declared_and_declarations_exported(self):
        found = set(abi.exported(abi.library(BUILD)))
        declared = abi.declared(os.path.join(SOURCE, "include"))
        self.assertEqual(sorted(found - declared), [], "not in a header")
        self.assertEqual(sorted(declared - found), [], "not exported")


class Types(unittest.TestCase):
    def test_types_are_compatible_with_the_record(self):
        with tempfile.TemporaryDirectory() as folder:
            now = os.path.join(folder, "now.abi")
            abi.write_types(BUILD, SOURCE, now)
            diff = abi.run("abidiff", "--no-added-syms", abi.TYPES, now,
                           check=False)
        self.assertEqual(diff.returncode, 0, HOW + "\n" + diff.stdout)


class Core(unittest.TestCase):
    def test_core_needs_four_functions_of_a_c_library(self):
        archive = os.path.join(BUILD, "libultravisor-core.a")
        needs, (text, data, bss) = abi.undefined(archive)
        print(f"# core: {text} bytes of code and constants, {data} of data, "
              f"{bss} of zeroed data")
        self.assertEqual(sorted(needs - abi.CORE_NEEDS), [])

    def test_core_has_no_globals_that_change(self):
        """Data lies in .data.rel.ro alone: constants that hold addresses."""
        archive = os.path.join(BUILD, "libultravisor-core.a")
        changing = []
        for line in abi.run("objdump", "-t", archive).stdout.splitlines():
            left, tab, right = line.partition("\t")
            section = left.split()[-1] if tab else ""
            if (section.startswith(CHANGING)
                    and not section.startswith(".data.rel.ro")
                    and int(right.split()[0], 16) != 0):
                changing.append(f"{section} {right.split()[-1]}")
        self.assertEqual(changing, [])


class Installed(unittest.TestCase):
    """The library as an integrator finds it: through pkg-config."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        abi.run("/usr/bin/meson", "install", "-C", BUILD, "--no-rebuild",
                "--destdir", cls.folder)
        for folder, _, files in os.walk(cls.folder):
            if "libultravisor.pc" in files:
                cls.pc = folder
        with open(os.path.join(cls.pc, "libultravisor.pc"),
                  encoding="utf-8") as file:
            prefix = re.search(r"^prefix=(.*)", file.read(), re.MULTILINE)[1]
        cls.prefix = cls.folder + prefix

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def pkg_config(self, *arguments):
        environment = {**os.environ, "PKG_CONFIG_PATH": self.pc}
        return subprocess.run(
            ["pkg-config", f"--define-variable=prefix={self.prefix}",
             *arguments], check=True, text=True, env=environment,
            stdout=subprocess.PIPE).stdout.split()

    def build(self, text, *options):
        source = os.path.join(self.folder, "program.c")
        output = os.path.join(self.folder, "program")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        result = abi.run("gcc", "-o", output, source, *options, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)
        return output

    def version(self):
        version = self.pkg_config("--modversion", "libultravisor")[0]
        return f'-DVERSION="{version}"'

    def test_shared(self):
        program = self.build(PROGRAM, self.version(), *self.pkg_config(
            "--cflags", "--libs", "libultravisor"))
        libraries = os.path.dirname(self.pc)
        result = subprocess.run([program], check=False, env={
            "LD_LIBRARY_PATH": libraries})
        self.assertEqual(result.returncode, 0)

    def test_program_of_the_readme(self):
        """It builds without a warning; its guest reads the disk right."""
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
            text = re.search(r"^```c\n(.*?)^```", file.read(),
                             re.MULTILINE | re.DOTALL)[1]
        program = self.build(text, "-std=c11", "-Wall", "-Wextra", "-Werror",
                             *self.pkg_config("--cflags", "--libs",
                                              "libultravisor"))
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            self.skipTest("no /dev/kvm, and the other backend's launcher is "
                          "not where an installed library looks for it")
        disk = os.path.join(self.folder, "disk.img")
        content = bytes(range(256)) * 4000
        with open(disk, "wb") as file:
            file.write(content)
        result = subprocess.run(
            [program, os.path.join(BUILD, "lib/guest/digest.elf"), disk],
            check=False, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={
                "LD_LIBRARY_PATH": os.path.dirname(self.pc)})
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("sha256 " + hashlib.sha256(content).hexdigest(),
                      result.stdout)

    def test_static(self):
        program = self.build(PROGRAM, self.version(), "-static",
                             *self.pkg_config("--static", "--cflags", "--libs",
                                              "libultravisor"))
        self.assertEqual(subprocess.run([program], check=False).returncode, 0)

    def test_guest(self):
        program = self.build(GUEST, *self.pkg_config(
            "--cflags", "--libs", "ultravisor-guest"))
        header = abi.run("readelf", "-hl", program).stdout
        self.assertIn("EXEC (Executable file)", header)
        self.assertNotIn("INTERP", header)
        self.assertNotIn("0x0000000000000000 0x0000000000000000 0x0", header)

    def test_headers_are_all_installed(self):
        installed = set()
        top = os.path.join(self.prefix, "include")
        for folder, _, files in os.walk(top):
            installed |= {os.path.relpath(os.path.join(folder, file), top)
                          for file in files}
        self.assertEqual(installed, set(abi.headers(SOURCE, BUILD)))
