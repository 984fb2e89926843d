# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each backend and port can be left out, the page map can have other tiers, and
what is left works."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv[1]).resolve()
# options -> tests of what there is then, which build what they need
OPTIONS = {"kvm=false page_map_order=10":
           ["backend", "example-vmm", "example-channel", "system-client",
            "conformance-process-fast", "database-index",
            "database-model-fast", "database-resize"],
           "process=false":
           ["backend", "example-database", "conformance-mock-fast"],
           "kvm=false process=false":
           ["example-database", "conformance-mock-fast"],
           "posix=false": ["port-freestanding"]}
# everything else is built too
WHOLE = ["kvm=false process=false", "posix=false"]
QUICK = ["-Doptimization=0", "-Ddebug=false"]  # to build


def run(*words):
    result = subprocess.run([str(w) for w in words], check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        raise AssertionError(f"{words}: {result.stdout}")
    return result.stdout


class Options(unittest.TestCase):
    def test_each(self):
        for options, tests in OPTIONS.items():
            with self.subTest(options=options), \
                    tempfile.TemporaryDirectory() as folder:
                run("/usr/bin/meson", "setup", folder, SOURCE, *QUICK,
                    *[f"-D{option}" for option in options.split()])
                if options in WHOLE:
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
