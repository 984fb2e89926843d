# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Machines that are emulated, with hardware virtualization, to boot Linux in:
QEMU has AMD's (SVM, nested paging, or none: then KVM makes page tables of its
own from a guest's), Bochs has Intel's (VMX, EPT).

    with machine.Qemu(folder, kernel, initrd) as qemu:
        for line in qemu.lines(silence=120): ...
"""

import os
import pathlib
import shutil
import re
import signal
import socket
import subprocess
import time

import bochs

POLL = 0.05  # seconds between two looks at what the console has said
PATIENCE = 10  # seconds that an emulator has for an answer
LOOKS = 5  # at the processors of one that is stuck
COMMAND_LINE = "console=ttyS0 quiet loglevel=1 panic=-1"


class Silent(Exception):
    """Nothing was said for so long that nothing will be."""


class Machine:
    """A process whose serial console is a file."""

    option = ""  # of its module

    def __init__(self, folder, kernel, initrd, processors=2):
        self.folder = pathlib.Path(folder)
        self.processors = processors
        self.console = self.folder / "console"
        self.log = self.folder / "log"
        self.kernel, self.initrd = kernel, initrd

    def __enter__(self):
        command = self.command()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, start_new_session=True,
                env={**os.environ, "TERM": "dumb"})
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def lines(self, silence):
        """What the console says, until the machine ends; raises Silent after
        so many seconds without a byte."""
        rest, last, at = b"", time.monotonic(), 0
        while True:
            ended = self.process.poll() is not None
            said = self.read_from(at)
            at += len(said)
            if said:
                last = time.monotonic()
                *whole, rest = (rest + said).split(b"\n")
                yield from (self.text(line) for line in whole)
            elif ended:
                if rest:
                    yield self.text(rest)
                return
            elif time.monotonic() - last > silence:
                raise Silent(f"nothing for {silence} s after "
                             f"{self.text(rest)!r}")
            else:
                time.sleep(POLL)

    def read_from(self, at):
        try:
            with open(self.console, "rb") as file:
                file.seek(at)
                return file.read()
        except FileNotFoundError:
            return b""

    @staticmethod
    def text(line):
        return line.decode("utf-8", "replace").rstrip("\r")

    def said_itself(self):
        """The last that the emulator said."""
        return self.log.read_text("utf-8", "replace")[-4000:]

    def places(self):
        """Where the processors are, for who looks at one that is stuck."""
        return ""


class Qemu(Machine):
    module = "kvm-amd"

    @staticmethod
    def missing():
        """Why it cannot run here, or None."""
        if shutil.which("qemu-system-x86_64") is None:
            return "qemu-system-x86_64 is not installed"
        return None

    def command(self):
        # One thread for both processors: with one each, QEMU 7.2 goes on with
        # code that the other has patched (a jump label of Linux, a breakpoint
        # while it changes), for ever.
        return ["qemu-system-x86_64", "-accel", "tcg,thread=single",
                "-cpu", "max",
                "-smp", str(self.processors), "-m", "1024", "-nodefaults",
                "-display", "none",
                "-no-reboot", "-serial", f"file:{self.console}",
                "-monitor", "unix:monitor,server=on,wait=off",
                "-kernel", str(self.kernel), "-initrd", str(self.initrd),
                "-append", COMMAND_LINE]

    def asked(self, question):
        """What its monitor answers, up to the next prompt."""
        said = b""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(PATIENCE)
            monitor.connect(str(self.folder / "monitor"))
            for text in (b"", question.encode() + b"\n"):
                monitor.sendall(text)
                said = b""
                while not said.endswith(b"(qemu) "):
                    some = monitor.recv(65536)
                    if not some:
                        break
                    said += some
        return said.decode("utf-8", "replace")

    def places(self):
        said = ""
        for _ in range(LOOKS):
            try:
                said += "".join(
                    line + "\n"
                    for line in self.asked("info registers -a").splitlines()
                    if re.match(r"CPU#|[RE]IP=|CS |CR0=", line))
            except OSError as error:
                said += f"its monitor: {error}\n"
            time.sleep(POLL)
        return said


class Shadow(Qemu):
    option = "npt=0"


class Bochs(Machine):
    module = "kvm-intel"
    MODEL = bochs.HASWELL
    GRUB = """\
set timeout=0
linux /kernel {words}
initrd /initrd
boot
"""

    @staticmethod
    def missing():
        if shutil.which("grub-mkrescue") is None:
            return "grub-mkrescue is not installed: package grub-common"
        return bochs.missing()

    def make_iso(self):
        tree = self.folder / "tree"
        (tree / "boot/grub").mkdir(parents=True)
        (tree / "boot/grub/grub.cfg").write_text(
            self.GRUB.format(words=COMMAND_LINE), "ascii")
        shutil.copy(self.kernel, tree / "kernel")
        shutil.copy(self.initrd, tree / "initrd")
        iso = self.folder / "linux.iso"
        subprocess.run(
            ["grub-mkrescue", "-o", iso, "--install-modules=linux normal",
             "--locales=", "--themes=", "--fonts=", tree], check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return iso

    def command(self):
        configuration = bochs.CONFIGURATION.format(
            bios=bochs.BIOS, vga_bios=bochs.VGA_BIOS, megabytes=512, host=512,
            model=self.MODEL, processors=1, ips=50000000, folder=self.folder)
        # Linux reads registers that Bochs does not have, and expects some zero
        configuration = configuration.replace(
            "ignore_bad_msrs=0", "ignore_bad_msrs=1").replace(
            "com1.log", self.console.name)
        (self.folder / "bochsrc").write_text(
            configuration + bochs.Image(
                iso=self.make_iso()).configuration(self.folder), "utf-8")
        (self.folder / "debugger").write_text("c\nquit\n", "ascii")
        return ["bochs", "-q", "-unlock", "-f", "bochsrc", "-rc", "debugger"]

    def said_itself(self):
        log = self.folder / "bochs.log"
        return super().said_itself() + (
            log.read_text("utf-8", "replace")[-4000:] if log.exists() else "")


MACHINES = {"qemu": Qemu, "qemu-shadow": Shadow, "bochs": Bochs}
