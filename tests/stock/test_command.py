# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Stock kernels from Python and from the command line: booted where there is
KVM, refused in words elsewhere.

ULTRAVISOR_INIT is the first process of an initrd, ULTRAVISOR_HOSTILE a kernel
of our own; linux_kernel.py says where Linux comes from.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path[1:1] = [str(pathlib.Path(__file__).resolve().parents[1])]

import common  # noqa: E402
import linux_kernel  # noqa: E402
import ultravisor  # noqa: E402

HOSTILE = os.environ["ULTRAVISOR_HOSTILE"]


def run(*words):
    return subprocess.run([sys.executable, "-m", "ultravisor", "run", *words],
                          check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)


class Linux(unittest.TestCase):
    def setUp(self):
        if "kvm" not in common.BACKENDS:
            self.skipTest("kvm cannot be used here")
        if common.IS_SOFTWARE_KVM:
            self.skipTest("kvm_pvm interprets kernels, and lacks some of "
                          "their instructions")
        self.kernel, reason = linux_kernel.find_kernel()
        if self.kernel is None:
            self.skipTest(reason)
        file = tempfile.NamedTemporaryFile()
        self.addCleanup(file.close)
        file.write(linux_kernel.initrd(os.environ["ULTRAVISOR_INIT"]))
        file.flush()
        self.initrd = file.name

    def boot(self, end, *words):
        return run(str(self.kernel), "--backend", "kvm", "--initrd",
                   self.initrd, "--cmdline",
                   f"console=ttyS0 panic=-1 end={end}", *words)

    def test_is_switched_off(self):
        for placement in [], ["--processes"]:
            said = self.boot("poweroff", *placement)
            self.assertIn("init: SUCCESS", said.stdout, said.stderr)
            self.assertIn("interrupts off", said.stderr)
            self.assertEqual(said.returncode, 0)

    def test_reboots(self):
        said = self.boot("reboot")
        self.assertIn("init: SUCCESS", said.stdout, said.stderr)
        self.assertIn("asked to be reset", said.stderr)
        self.assertEqual(said.returncode, 1)


class Refused(unittest.TestCase):
    def test_other_backends(self):
        said = run(HOSTILE, "--backend", "process", "--cmdline", "i")
        if "process" not in common.BACKENDS:
            self.skipTest("process cannot be used here")
        self.assertIn("the process backend runs no stock kernels",
                      said.stderr)
        self.assertEqual(said.returncode, 1)

    def test_words_for_an_image_of_the_sdk(self):
        for backend in common.BACKENDS:
            with ultravisor.open(backend=backend) as host:
                with host.transaction() as t:
                    guest = t.partition("guest", memory="8M")
                with self.assertRaises(ultravisor.Error) as caught:
                    guest.start(common.IMAGES / "hello.elf", cmdline="words")
                self.assertIn("takes no command line", str(caught.exception))
                with self.assertRaises(ultravisor.Error) as caught:
                    guest.start(common.IMAGES / "hello.elf", initrd=HOSTILE)
                self.assertIn("takes no initrd", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
