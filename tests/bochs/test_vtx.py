# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The VT-x backend on processors that Bochs emulates.

usage: tap.py test_vtx.py IMAGE
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VIDEO_BIOS = "/usr/share/vgabios/vgabios.bin"
ROM_BYTES = 2048
CASES = 64

CONFIGURATION = """\
config_interface: textconfig
display_library: term
plugin_ctrl: speaker=0
romimage: file={bios}
vgaromimage: file={video_bios}
optromimage1: file={folder}/rom, address=0xd0000
optramimage1: file={folder}/image, address=0x100000
megs: 128
cpu: model={model}, count=1, ips=4000000, reset_on_triple_fault=0
com1: enabled=1, mode=file, dev={folder}/serial
magic_break: enabled=1
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
log: {folder}/log
"""


def missing():
    """What is not here of what the test needs; None: all is."""
    for program in ("bochs", "objcopy"):
        if not shutil.which(program):
            return f"no {program}"
    for path in (BIOS, VIDEO_BIOS, "/usr/share/doc/bochs-term"):
        if not os.path.exists(path):
            return f"no {path}"
    return None


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def extract(image, folder):
    """The option ROM, whose bytes add up to 0, and the rest."""
    for name, options in (("rom", ("-j", ".rom")), ("image", ("-R", ".rom"))):
        subprocess.run(["objcopy", "-O", "binary", *options, image,
                        os.path.join(folder, name)], check=True)
    path = os.path.join(folder, "rom")
    with open(path, "rb") as file:
        rom = bytearray(file.read().ljust(ROM_BYTES, b"\0"))
    rom[ROM_BYTES - 1] = -sum(rom[:ROM_BYTES - 1]) & 0xff
    write(path, rom)


def run(model):
    """What the image printed on a processor of that model."""
    with tempfile.TemporaryDirectory() as folder:
        extract(sys.argv[1], folder)
        configuration = os.path.join(folder, "bochsrc")
        commands = os.path.join(folder, "commands")
        write(configuration, CONFIGURATION.format(
            bios=BIOS, video_bios=VIDEO_BIOS, folder=folder,
            model=model).encode())
        write(commands, b"c\nquit\n")
        bochs = subprocess.run(
            ["bochs", "-q", "-unlock", "-f", configuration, "-rc", commands],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb"},
            timeout=60)
        serial, log = "", ""
        for name in ("serial", "log"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                with open(path, encoding="latin-1") as file:
                    text = file.read()
                serial, log = (text, log) if name == "serial" else \
                    (serial, text[-2000:])
        if bochs.returncode != 0:
            return f"{serial}Bochs: {bochs.returncode}\n{log}"
        return serial


@unittest.skipIf(missing(), missing())
class Vtx(unittest.TestCase):
    def passes(self, model):
        text = run(model)
        lines = text.splitlines()
        self.assertEqual(lines[-1:], ["done"], text)
        self.assertEqual([line for line in lines if line.startswith("not ok")],
                         [], text)
        self.assertEqual(sum(line.startswith("ok ") for line in lines), CASES)

    def refuses(self, model, *reasons):
        text = run(model)
        self.assertTrue(text.startswith("probe: this processor has no "), text)
        for reason in reasons:
            self.assertIn(reason, text)

    def test_haswell(self):
        self.passes("corei7_haswell_4770")

    def test_least_processor(self):
        self.passes("corei5_arrandale_m520")

    def test_skylake(self):
        self.passes("corei7_skylake_x")

    def test_no_unrestricted_guest(self):
        self.refuses("corei5_lynnfield_750",
                     "no unrestricted guest (IA32_VMX_PROCBASED_CTLS2 bit 39")

    def test_no_extended_page_tables(self):
        self.refuses("core2_penryn_t9600",
                     "no EPT (IA32_VMX_PROCBASED_CTLS2 bit 33 is 0)")

    def test_no_vmx(self):
        self.refuses("athlon64_venice", "no VMX (CPUID.1:ECX bit 5 is 0)")
