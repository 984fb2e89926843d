# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The examples as an outsider builds them: against the installed library,
shared and static, and with the project as a Meson subproject; and a guest
built against the installed runtime. What is installed finds its own parts."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
IMAGES = BUILD / "lib/guest"
LAUNCHER = BUILD / "lib/backend/process/ultravisor-launcher"
DISK = "/usr/lib/ipxe/ipxe.iso"
ARGUMENTS = {"vmm": [str(IMAGES / "digest.elf"), DISK],
             "channel": [str(IMAGES / "echo.elf")], "database": []}
SAYS = {"vmm": "sha256 " + hashlib.sha256(
            pathlib.Path(DISK).read_bytes()).hexdigest(),
        "channel": "1000 of 1000 records", "database": "ULV_E_POLICY"}
OWN_BACKEND = """
#include <ultravisor/sys/backend.h>
static ulv_status
own_probe(const struct ulv_host *host, struct ulv_backend_caps *ret_caps,
          struct ulv_diag *diag)
{
    (void)host;
    (void)diag;
    *ret_caps = (struct ulv_backend_caps){ .size = sizeof(*ret_caps) };
    return ULV_OK;
}
const struct ulv_backend_ops own_ops = { .size = sizeof(own_ops),
    .name = "own", .machine_bytes = 1, .vcpu_bytes = 1, .probe = own_probe };
"""
OUTER = """project('outer', 'c')
executable('vmm', 'vmm.c', dependencies: dependency('libultravisor',
  fallback: 'libultravisor', default_options: ['tests=false']))
"""


def run(*words, **options):
    result = subprocess.run([str(w) for w in words], check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            **options)
    if result.returncode != 0:
        raise AssertionError(f"{words}: {result.stdout}")
    return result.stdout


class Examples(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, program, name, **environment):
        said = run(program, *ARGUMENTS[name], timeout=120,
                   env={"ULTRAVISOR_LAUNCHER": str(LAUNCHER), **environment})
        self.assertIn(SAYS[name], said)

    def test_installed(self):
        run("/usr/bin/meson", "install", "-C", BUILD, "--no-rebuild",
            "--destdir", self.folder)
        pc = next(self.folder.rglob("libultravisor.pc"))
        prefix = re.search(r"^prefix=(.*)", pc.read_text(), re.M)[1]

        def flags(*options):
            return run("pkg-config", "--cflags", "--libs", *options,
                       f"--define-variable=prefix={self.folder}{prefix}",
                       "libultravisor",
                       env={**os.environ,
                            "PKG_CONFIG_PATH": str(pc.parent)}).split()

        for name in ARGUMENTS:
            for static in ((), ("--static",)):
                with self.subTest(example=name, static=bool(static)):
                    program = self.folder / name
                    run("gcc", "-std=c11", "-D_POSIX_C_SOURCE=200809L",
                        "-Wall", "-Wextra", "-Werror", "-o", program,
                        *(["-static"] if static else []),
                        SOURCE / f"examples/{name}.c", *flags(*static))
                    self.start(program, name,
                               LD_LIBRARY_PATH=str(pc.parent.parent))

    def test_conformance(self):
        """The kit with the library's backends in it, and with another's."""
        run("/usr/bin/meson", "install", "-C", BUILD, "--no-rebuild",
            "--destdir", self.folder)
        pc = next(self.folder.rglob("ultravisor-conformance.pc"))
        prefix = re.search(r"^prefix=(.*)", pc.read_text(), re.M)[1]
        environment = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent),
                       "ULTRAVISOR_LAUNCHER": str(LAUNCHER),
                       "LD_LIBRARY_PATH": str(pc.parent.parent)}
        program, own = self.folder / "try", self.folder / "own.c"
        own.write_text(OWN_BACKEND)

        def build(*arguments, static=False):
            flags = run("pkg-config", "--cflags", "--libs",
                        *(["--static"] if static else []),
                        f"--define-variable=prefix={self.folder}{prefix}",
                        "ultravisor-conformance", "libultravisor",
                        env=environment).split()
            run("gcc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall",
                "-Wextra", "-Werror", *(["-static"] if static else []),
                "-o", program, SOURCE / "examples/conformance.c", *arguments,
                *flags)

        build(static=True)
        installed = next(self.folder.rglob("bin/ultravisor-conformance"))
        for path in (program, installed):
            for arguments in (["mock"], ["process", "--group", "calls"],
                              ["kvm", "--case", "ports"]):
                with self.subTest(program=path, arguments=arguments):
                    said = run(path, *arguments, env=environment)
                    self.assertRegex(said, r"(?m)^1\.\.([1-9]|0 # SKIP)")
                    self.assertNotIn("not ok", said)
        build("-DBACKEND=own_ops", own)
        with self.assertRaisesRegex(
                AssertionError, "not ok 1 - lifecycle: the table is whole"):
            run(program, "--case", "the table is whole", env=environment)

    def test_prefix(self):
        """Installed where it was configured for, nothing has to be named."""
        prefix = self.folder / "prefix"
        run("/usr/bin/meson", "setup", self.folder / "build", SOURCE,
            "-Dtests=false", f"--prefix={prefix}")
        run("/usr/bin/meson", "install", "-C", self.folder / "build")
        pc = next(prefix.rglob("libultravisor.pc")).parent
        environment = {**os.environ, "PKG_CONFIG_PATH": str(pc),
                       "LD_LIBRARY_PATH": str(pc.parent)}
        for name in [n for n in environment if n.startswith("ULTRAVISOR_")]:
            del environment[name]

        def flags(package, *options):
            return run("pkg-config", *options, package,
                       env=environment).split()

        def variable(name):
            return pathlib.Path(*flags("ultravisor-guest",
                                       f"--variable={name}"))

        self.assertTrue(variable("script").is_file())
        for source in sorted((SOURCE / "examples/guests").glob("*.c")):
            with self.subTest(guest=source.name):
                guest = self.folder / source.with_suffix(".elf").name
                run("gcc", "-std=c11", "-Wall", "-Wextra", "-Wconversion",
                    "-Werror", "-o", guest, source,
                    *flags("ultravisor-guest", "--cflags", "--libs"))
                self.assertIn("guest_main", run("nm", guest))
        for name, image in (("vmm", "digest.elf"), ("channel", "echo.elf")):
            program, guest = self.folder / name, self.folder / image
            run("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", guest,
                (SOURCE / "lib/guest/images" / image).with_suffix(".c"),
                *flags("ultravisor-guest", "--cflags", "--libs"))
            run("gcc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-o", program,
                SOURCE / f"examples/{name}.c",
                *flags("libultravisor", "--cflags", "--libs"))
            for path in (guest, variable("guests") / image):
                # as processes, the installed role program is started too
                for flag in ([], ["--processes"])[:2 if name == "vmm" else 1]:
                    with self.subTest(image=path, flag=flag):
                        said = run(program, *flag, path, *ARGUMENTS[name][1:],
                                   timeout=120, env=environment)
                        self.assertIn(SAYS[name], said)

    def test_subproject(self):
        (self.folder / "meson.build").write_text(OUTER)
        shutil.copy(SOURCE / "examples/vmm.c", self.folder)
        (self.folder / "subprojects").mkdir()
        (self.folder / "subprojects/libultravisor").symlink_to(SOURCE)
        run("/usr/bin/meson", "setup", "build", cwd=self.folder)
        run("ninja", "-C", "build", cwd=self.folder)
        self.start(self.folder / "build/vmm", "vmm")
