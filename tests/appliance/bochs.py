# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots a bare-metal image in Bochs, an emulator of a whole machine with VT-x.

    result = bochs.run(bochs.Image(iso="appliance.iso"))
    result.console, result.code, result.log

The image ends it: "xchg %bx, %bx" (code 0), or "Shutdown" to port 0x8900
(code 1). By hand: /usr/bin/python3 bochs.py --help
"""

import argparse
import dataclasses
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HASWELL = "corei7_haswell_4770"      # the one with everything
ARRANDALE = "corei5_arrandale_m520"  # the least that must work
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGA_BIOS = "/usr/share/vgabios/vgabios.bin"
ROM_ADDRESS = 0xd0000
IMAGE_ADDRESS = 0x100000
# Of Bochs: it reads a RAM image into one of its blocks of memory, and would go
# on behind its end; there can be four of them.
BLOCK_BYTES = 128 << 10
BLOCKS_MAX = 4
HOST_MEGABYTES_MAX = 2048  # of Bochs; it keeps what is above in a file

CONFIGURATION = """\
config_interface: textconfig
display_library: term
plugin_ctrl: speaker=0
romimage: file={bios}
vgaromimage: file={vga_bios}
memory: guest={megabytes}, host={host}
cpu: model={model}, count={processors}, ips={ips}, reset_on_triple_fault=0, \
ignore_bad_msrs=0
com1: enabled=1, mode=file, dev={folder}/com1.log
magic_break: enabled=1
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
log: {folder}/bochs.log
"""


@dataclasses.dataclass
class Image:
    """What to boot: an ISO, or flat bytes that an option ROM jumps to."""
    iso: str | None = None
    flat: str | None = None
    rom: str | None = None

    def configuration(self, folder):
        if self.iso:
            return (f"ata0-master: type=cdrom, path={self.iso}, "
                    "status=inserted\nboot: cdrom\n")
        lines = [f"optromimage1: file={self.rom}, address={ROM_ADDRESS:#x}"]
        with open(self.flat, "rb") as file:
            for n, block in enumerate(iter(lambda: file.read(BLOCK_BYTES),
                                           b"")):
                if n == BLOCKS_MAX:
                    raise ValueError(f"{self.flat}: over "
                                     f"{BLOCKS_MAX * BLOCK_BYTES} bytes")
                with open(f"{folder}/block{n}", "wb") as part:
                    part.write(block)
                lines.append(f"optramimage{n + 1}: file={folder}/block{n}, "
                             f"address={IMAGE_ADDRESS + n * BLOCK_BYTES:#x}")
        return "\n".join([*lines, "boot: disk\n"])


@dataclasses.dataclass
class Result:
    """What the image said, how it ended (None: it did not), and Bochs' log."""
    console: str
    code: int | None
    log: str
    seconds: float

    def lines(self):
        return self.console.splitlines()


def missing():
    """Why Bochs cannot run here, or None."""
    if shutil.which("bochs") is None:
        return "bochs is not installed"
    if not glob.glob("/usr/lib/*/bochs/plugins/libbx_term_gui.so"):
        return "Bochs' display term is missing: package bochs-term"
    for file in (BIOS, VGA_BIOS):
        if not os.path.exists(file):
            return f"{file} is missing: packages bochsbios and vgabios"
    return None


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().replace("\r\n", "\n")
    except FileNotFoundError:
        return ""


def bounded(command, seconds, **options):
    """The exit status, or None for one that had to be killed."""
    with subprocess.Popen(command, start_new_session=True, **options) as bochs:
        try:
            return bochs.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(bochs.pid, signal.SIGKILL)
            return None


def run(image, model=HASWELL, processors=1, megabytes=128, ips=4000000,
        seconds=60):
    """Boot until the image ends or the time is over."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = CONFIGURATION.format(
            bios=BIOS, vga_bios=VGA_BIOS, megabytes=megabytes,
            host=min(megabytes, HOST_MEGABYTES_MAX), model=model,
            processors=processors, ips=ips, folder=folder)
        with open(f"{folder}/bochsrc", "w", encoding="utf-8") as file:
            file.write(configuration + image.configuration(folder))
        with open(f"{folder}/debugger", "w", encoding="ascii") as file:
            file.write("c\nquit\n")
        start = time.monotonic()
        with open(f"{folder}/errors", "wb") as errors:
            code = bounded(
                ["bochs", "-q", "-unlock", "-f", f"{folder}/bochsrc",
                 "-rc", f"{folder}/debugger"], seconds, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=errors, env={**os.environ, "TERM": "dumb"})
        return Result(read(f"{folder}/com1.log"), code,
                      read(f"{folder}/bochs.log") + read(f"{folder}/errors"),
                      time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iso", type=os.path.abspath)
    parser.add_argument("--flat", type=os.path.abspath)
    parser.add_argument("--rom", type=os.path.abspath)
    parser.add_argument("--model", default=HASWELL)
    parser.add_argument("--processors", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=128)
    parser.add_argument("--ips", type=int, default=4000000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--log", action="store_true", help="Bochs' log too")
    arguments = vars(parser.parse_args())
    log = arguments.pop("log")
    image = Image(*(arguments.pop(name) for name in ("iso", "flat", "rom")))
    if not image.iso and not (image.flat and image.rom):
        parser.error("--iso, or --flat and --rom")
    if missing():
        sys.exit(missing())
    result = run(image, **arguments)
    print(result.console, end="")
    if log or result.code is None:
        print(result.log, end="")
    print(f"code {result.code}, {result.seconds:.2f} s")
    sys.exit(0 if result.code == 0 else 1)


if __name__ == "__main__":
    main()
