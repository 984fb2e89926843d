# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Kernels that nobody here wrote: Debian's cloud kernel, as the bzImage that it
is and as the vmlinux in it, loaded by the loader and, where there is QEMU,
booted from nothing but what the loader wrote.

usage: tap.py test_kernel.py

ULTRAVISOR_PLAN_IMAGE is the program; linux_kernel.py says where the kernel
comes from.
"""

import functools
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

import linux_kernel
from linux_kernel import output

HERE = pathlib.Path(__file__).resolve().parent
PLAN_IMAGE = os.environ["ULTRAVISOR_PLAN_IMAGE"]
CMDLINE = "console=ttyS0 earlyprintk=serial panic=-1 ulv.word=unheard"
MEBIBYTES = 512
E820 = [(0, 0xa0000, 1), (0x100000, (MEBIBYTES << 20) - 0x100000, 1)]
INITRD, COMMAND_LINE = 1, 2  # of the pieces


@functools.cache
def kernel():
    """A bzImage; raises SkipTest with the reason for none."""
    path, reason = linux_kernel.find_kernel()
    if path is None:
        raise unittest.SkipTest(reason)
    return path.read_bytes()


@functools.cache
def vmlinux():
    """What is packed in the bzImage; raises SkipTest if it cannot be had."""
    try:
        return linux_kernel.unpack(kernel())
    except ValueError as error:
        raise unittest.SkipTest(str(error)) from error


class Kernel(unittest.TestCase):
    def setUp(self):
        self.image = kernel()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "pieces").mkdir()
        self.make_initrd()

    def make_initrd(self):
        output("as", "--64", "-o", self.folder / "init.o", HERE / "init.S")
        output("ld", "-o", self.folder / "init", self.folder / "init.o")
        self.initrd = linux_kernel.cpio([
            linux_kernel.folder("dev"), linux_kernel.CONSOLE,
            linux_kernel.file("init", (self.folder / "init").read_bytes())])
        (self.folder / "initrd").write_bytes(self.initrd)

    def load(self, image):
        """The plan's words, and the pieces by their number."""
        (self.folder / "image").write_bytes(image)
        said = output(PLAN_IMAGE, self.folder / "image",
                      self.folder / "initrd", CMDLINE, str(MEBIBYTES),
                      self.folder / "pieces")
        plan, pieces = {}, []
        for line in said.splitlines():
            word, *values = line.split()
            if word == "piece":
                pieces.append([int(value) for value in values])
            else:
                plan[word] = values[0] if word == "kind" else int(values[0])
        return plan, pieces

    def bytes_at(self, pieces, guest, count):
        """Out of the guest's memory."""
        for _, base, _, written in pieces:
            if base <= guest and guest + count <= base + written:
                piece = (self.folder / "pieces" / str(base)).read_bytes()
                return piece[guest - base:guest - base + count]
        raise AssertionError(f"nothing was written at {guest:#x}")

    def string_at(self, pieces, guest):
        return self.bytes_at(pieces, guest, len(CMDLINE) + 1)

    def boot(self, plan, pieces):
        """What the kernel says on its console."""
        qemu = shutil.which("qemu-system-x86_64")
        if qemu is None:
            self.skipTest("there is no qemu-system-x86_64")
        symbols = [f"--defsym={name.upper()}={plan[name]}" for name in
                   ("mode", "entry", "rbx", "rsi", "page_tables", "gdt",
                    "gdt_bytes")]
        output("as", "--64", *symbols, "-o", self.folder / "rom.o",
               HERE / "enter.S")
        output("ld", "-Ttext=0xffff0000", "-e", "0xffff0000", "--oformat",
               "binary", "-o", self.folder / "rom", self.folder / "rom.o")
        devices = []
        for _, guest, _, written in pieces:
            path = self.folder / "pieces" / str(guest)
            if written != 0:
                devices += ["-device", f"loader,file={path},addr={guest:#x},"
                            "force-raw=on"]
        return output(qemu, "-accel", "tcg", "-cpu", "max", "-m",
                      str(MEBIBYTES), "-display", "none", "-no-reboot",
                      "-nodefaults", "-serial", "stdio", "-bios",
                      self.folder / "rom", *devices,
                      stdin=subprocess.DEVNULL)

    def runs(self, said):
        self.assertIn("Linux version", said)
        self.assertIn("Command line: " + CMDLINE, said)
        self.assertIn("the initrd runs", said)
        self.assertIn("exitcode=0x00000700", said)
        for base, size, _ in E820:
            self.assertIn(f"[mem {base:#018x}-{base + size - 1:#018x}] usable",
                          said)


class BzImage(Kernel):
    def test_load(self):
        plan, pieces = self.load(self.image)
        self.assertEqual((plan["kind"], plan["mode"]), ("bzImage", 2))
        setup = (self.image[0x1f1] + 1) * 512
        code = struct.unpack_from("<I", self.image, 0x1f4)[0] * 16
        self.assertEqual(
            self.bytes_at(pieces, plan["entry"] - 0x200, code),
            self.image[setup:setup + code])
        params = self.bytes_at(pieces, plan["rsi"], 4096)
        self.assertEqual(params[0x202:0x210], self.image[0x202:0x210])
        self.assertEqual(params[0x210], 0xff)
        initrd, count = struct.unpack_from("<II", params, 0x218)
        self.assertEqual(self.bytes_at(pieces, initrd, count), self.initrd)
        self.assertLessEqual(
            initrd + count - 1,
            struct.unpack_from("<I", self.image, 0x22c)[0])
        cmdline, = struct.unpack_from("<I", params, 0x228)
        self.assertEqual(self.string_at(pieces, cmdline),
                         CMDLINE.encode() + b"\0")
        self.assertEqual(params[0x1e8], len(E820))
        for number, entry in enumerate(E820):
            self.assertEqual(
                struct.unpack_from("<QQI", params, 0x2d0 + 20 * number),
                entry)

    def test_boot(self):
        self.runs(self.boot(*self.load(self.image)))

    def test_cut_short(self):
        for count in 0, 1, 512, 4096, len(self.image) // 2:
            with self.assertRaises(subprocess.CalledProcessError) as caught:
                self.load(self.image[:count])
            self.assertIn("ULV_E_FORMAT", caught.exception.stdout)


class Vmlinux(Kernel):
    def setUp(self):
        super().setUp()
        self.vmlinux = vmlinux()

    def test_load(self):
        plan, pieces = self.load(self.vmlinux)
        self.assertEqual((plan["kind"], plan["mode"]), ("PVH", 3))
        table, = struct.unpack_from("<Q", self.vmlinux, 32)
        count, = struct.unpack_from("<H", self.vmlinux, 56)
        for number in range(count):
            kind, _, offset, _, physical, in_file, in_memory, _ = \
                struct.unpack_from("<IIQQQQQQ", self.vmlinux,
                                   table + 56 * number)
            if kind == 1:
                self.assertEqual(
                    self.bytes_at(pieces, physical, in_memory),
                    self.vmlinux[offset:offset + in_file].ljust(in_memory,
                                                                b"\0"))
        info = struct.unpack("<IIIIQQQQII",
                             self.bytes_at(pieces, plan["rbx"], 56))
        self.assertEqual(info[:4], (0x336ec578, 1, 0, 1))
        module, size = struct.unpack("<QQ",
                                     self.bytes_at(pieces, info[4], 16))
        self.assertEqual(self.bytes_at(pieces, module, size), self.initrd)
        self.assertEqual(self.string_at(pieces, info[5]),
                         CMDLINE.encode() + b"\0")
        self.assertEqual(info[8], len(E820))

    def test_boot(self):
        self.runs(self.boot(*self.load(self.vmlinux)))


if __name__ == "__main__":
    unittest.main()
