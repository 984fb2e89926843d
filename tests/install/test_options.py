# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each backend and port can be left out, and what is left works."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv[1]).resolve()
# what is left out -> tests of the rest, which build what they need
LEFT_OUT = {("kvm",): ["backend", "example-vmm", "example-channel",
                       "conformance-process-fast"],
            ("process",): ["backend", "example-database",
                           "conformance-mock-fast"],
            ("kvm", "process"): ["example-database", "conformance-mock-fast"],
            ("posix",): ["port-freestanding"]}
WHOLE = [("kvm", "process"), ("posix",)]  # everything else is built too
QUICK = ["-Doptimization=0", "-Ddebug=false"]  # to build


def run(*words):
    result = subprocess.run([str(w) for w in words], check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        raise AssertionError(f"{words}: {result.stdout}")
    return result.stdout


class Options(unittest.TestCase):
    def test_left_out(self):
        for names, tests in LEFT_OUT.items():
            with self.subTest(without=names), \
                    tempfile.TemporaryDirectory() as folder:
                run("/usr/bin/meson", "setup", folder, SOURCE, *QUICK,
                    *[f"-D{name}=false" for name in names])
                if names in WHOLE:
                    run("ninja", "-C", folder)
                said = run("/usr/bin/meson", "test", "-C", folder, *tests)
                ended = {word: int(n) for word, n in
                         re.findall(r"^(Ok|Skipped): +([0-9]+)", said, re.M)}
                if not os.path.exists("/dev/kvm"):  # nothing to try KVM with
                    ended["Ok"] += ended["Skipped"]
                self.assertEqual(ended["Ok"], len(tests), said)

    def test_core_alone_installs(self):
        """Without the port, firmware gets headers, core and guest runtime."""
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        run("/usr/bin/meson", "setup", folder / "build", SOURCE,
            "-Dposix=false", "-Dtests=false", f"--prefix={folder}/prefix",
            *QUICK)
        run("/usr/bin/meson", "install", "-C", folder / "build")
        installed = {p.name for p in (folder / "prefix").rglob("*")}
        self.assertLessEqual({"libultravisor-core.a", "ultravisor-core.pc",
                              "libultravisor-guest.a", "digest.elf",
                              "backend.h", "host.h", "conformance.h",
                              "libultravisor-conformance.a",
                              "ultravisor-conformance.pc"}, installed)
        self.assertFalse({"libultravisor.so", "libultravisor.a",
                          "ultravisor-role"} & installed)
