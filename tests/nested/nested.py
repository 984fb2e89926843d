# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs tests of this build on a stock Linux kernel whose KVM has hardware to
work with, in an emulated machine; prints what they found as TAP.

usage: nested.py [--silence SECONDS] [--processors COUNT] MACHINE JOB...

MACHINE is qemu (SVM: the module kvm_amd), qemu-shadow (the same without nested
paging) or bochs (VMX: kvm_intel). A JOB is
"NAME PROGRAM WORD...", what a test runs; a word that is the path of a file
stands for it in there, @kernel and @vmlinux for the kernel, @initrd=PROGRAM for
an initrd with that program. --silence is how long the machine may say nothing.
--processors is how many one of QEMU's has; Bochs' has one.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent), str(HERE.parent / "appliance")]

import linux_kernel as linux  # noqa: E402
import machine as machines  # noqa: E402
import report  # noqa: E402

FOLDERS = ("bin", "dev", "lib64", "modules", "proc", "sys", "tmp")
ENVIRONMENT = {"CMOCKA_MESSAGE_OUTPUT": "TAP", "PATH": "/bin",
               "LD_LIBRARY_PATH": "/lib64"}


def libraries(program):
    """Shared libraries that a program needs, its loader among them."""
    said = subprocess.run(["ldd", program], check=False, text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    return re.findall(r"(/\S+) \(0x", said)


class Initrd:
    """What the machine boots with: init, jobs, and all that those name."""

    def __init__(self, init, kernel):
        self.kernel = kernel
        self.entries = {name: linux.folder(name) for name in FOLDERS}
        self.entries["dev/console"] = linux.CONSOLE
        self.add("init", init)
        self.lines = [f"setenv {name} {value}"
                      for name, value in ENVIRONMENT.items()]

    def add(self, name, path):
        if name not in self.entries:
            data = pathlib.Path(path).read_bytes()
            self.entries[name] = linux.file(name, data)
        return "/" + name

    def add_module(self, path, option=""):
        name = self.add("modules/" + path.name, path)
        self.lines.append(f"module {name} {option}")

    def add_word(self, word):
        """A word of a job: a file goes with it, and what that needs; or the
        kernel itself, the same unpacked (faster where code is translated), or
        an initrd with no more than a first process."""
        if word == "@kernel":
            return self.add("bin/vmlinuz", self.kernel)
        if word == "@vmlinux":
            path, _ = linux.find_vmlinux()
            return self.add("bin/vmlinux", path or self.kernel)
        if word.startswith("@initrd="):
            name = os.path.basename(word) + ".cpio"
            self.entries["bin/" + name] = linux.file(
                "bin/" + name, linux.initrd(word.partition("=")[2]))
            return "/bin/" + name
        if not os.path.isfile(word):
            return word
        for library in libraries(word):
            self.add("lib64/" + os.path.basename(library), library)
        return self.add("bin/" + os.path.basename(word), word)

    def add_job(self, name, words):
        said = [self.add_word(word) for word in words]
        self.lines.append(" ".join(["run", name, *said]))

    def bytes(self):
        jobs = "".join(line + "\n" for line in self.lines).encode()
        return linux.cpio([*self.entries.values(),
                           linux.file("jobs", jobs, 0o644)])


def make_initrd(path, kernel, kind, jobs):
    modules, reason = linux.find_modules()
    if modules is None:
        return reason
    initrd = Initrd(os.environ["ULTRAVISOR_INIT"], kernel)
    initrd.lines.append(f"setenv ULTRAVISOR_EMULATOR {kind.__name__.lower()}")
    *needed, module = linux.in_order(modules, kind.module)
    for file in needed:
        initrd.add_module(file)
    initrd.add_module(module, kind.option)
    for name, *words in jobs:
        initrd.add_job(name, words)
    path.write_bytes(initrd.bytes())
    return None


def run(machine, jobs, silence):
    tap = report.Report([name for name, *_ in jobs],
                        lambda line: print(line, flush=True))
    reason = None
    try:
        for line in machine.lines(silence):
            tap.feed(line)
            if line == report.INIT + "done":
                break
        else:
            reason = "ended before its time"
    except machines.Silent as silent:
        reason = str(silent)
        for line in machine.places().splitlines():
            tap.comment(line)
    if reason is not None:
        for line in machine.said_itself().splitlines():
            tap.comment(line)
    return tap.end(reason)


def main():
    # so that the machine ends too
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("machine", choices=machines.MACHINES)
    parser.add_argument("jobs", nargs="+", metavar="JOB")
    parser.add_argument("--silence", type=float, default=120)
    parser.add_argument("--processors", type=int, default=2)
    arguments = parser.parse_args()
    kind = machines.MACHINES[arguments.machine]
    jobs = [job.split() for job in arguments.jobs]
    kernel, reason = linux.find_kernel()
    reason = kind.missing() or reason
    with tempfile.TemporaryDirectory() as name:
        initrd = pathlib.Path(name) / "initrd"
        reason = reason or make_initrd(initrd, kernel, kind, jobs)
        if reason:
            print(f"1..0 # SKIP {reason}")
            return 0
        with kind(name, kernel, initrd, arguments.processors) as machine:
            return run(machine, jobs, arguments.silence)


if __name__ == "__main__":
    sys.exit(main())
