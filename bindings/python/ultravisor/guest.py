# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One guest in the foreground: run an image, go on with a saved one; say what
a saved one was. With --save a signal to end (Ctrl-C, SIGTERM) saves it first.

    ultravisor run guest.elf --disk disk.img --save guest.saved
    ultravisor run guest.elf --input
    ultravisor run vmlinuz --initrd initrd --cmdline console=ttyS0
    ultravisor saved guest.saved
    ultravisor restore guest.saved --disk disk.img --save guest.saved
"""

import argparse
import json
import os
import select
import signal
import sys

from . import C, Error, lib
from . import open as open_host
from . import saved


def parse(command, arguments):
    parser = argparse.ArgumentParser(prog=f"ultravisor {command}")
    parser.add_argument("file", help="a saved guest" if command == "restore"
                        else "an image of the SDK; with --initrd or "
                        "--cmdline a stock kernel")
    parser.add_argument("--disk", help="a file for its first disk")
    parser.add_argument("--save", metavar="FILE",
                        help="save it there when it is asked to end")
    parser.add_argument("--input", action="store_true", help="type what comes "
                        "on standard input at its console")
    parser.add_argument("--backend", help="kvm, process; default: the first "
                        "that can be used")
    parser.add_argument("--processes", action="store_true",
                        help="each role in a process of its own")
    parser.add_argument("--lazy-memory", action="store_true", help="the host "
                        "gives a page when it is touched, and may have none "
                        "then")
    if command == "run":
        parser.add_argument("--initrd", help="for a stock kernel")
        parser.add_argument("--cmdline", help="for a stock kernel")
        parser.add_argument("--memory", help="default: 64M, of a stock kernel "
                            "512M")
        parser.add_argument("--processors", type=int, default=1)
        parser.add_argument("--gdb", metavar="PATH", help="wait there for gdb "
                            "(target remote PATH) before the first instruction")
    return parser.parse_args(arguments)


def show(host, guest):
    """What its console said, on standard output."""
    for event in host.pending():
        if event.kind == C.ULV_EVENT_CONSOLE and event.partition == guest.id:
            sys.stdout.buffer.write(event.data)
            sys.stdout.buffer.flush()


class Input:
    """Standard input, typed as fast as the guest reads it."""

    def __init__(self, host, guest):
        self.host, self.guest = host, guest
        self.left, self.over = b"", False

    def step(self, seconds):
        """Wait until there is something to type or to do."""
        if self.over or self.left:
            self.host.step(seconds)
        else:
            watched = [sys.stdin.fileno(), lib.ulv_posix_fd(self.host._system)]
            if watched[0] in select.select(watched, [], [], seconds)[0]:
                self.left = os.read(watched[0], 4096)
                self.over = not self.left
            self.host.step(0)
        if self.left:
            self.left = self.left[self.take():]

    def take(self):
        """How many bytes the guest took; all, of one that has ended."""
        try:
            return self.guest.type(self.left, 0)
        except Error as error:
            if error.status not in (C.ULV_E_STATE, C.ULV_E_PEER_GONE):
                raise
            self.over = True
            return len(self.left)


def follow(host, guest, typed):
    """How it ended; None: a signal asks for that."""
    asked = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.append(True))
    step = Input(host, guest).step if typed else host.step
    end = None
    while end is None and not asked:
        step(0.2)
        show(host, guest)
        end = guest.wait(0)
    return end


def attend(host, guest, options):
    """The exit code of the program."""
    end = follow(host, guest, options.input)
    if end is None and options.save is None:
        return 130
    if end is None:
        guest.pause()
        guest.save(options.save)
        show(host, guest)
        print(f"saved as {options.save}", file=sys.stderr)
        return 0
    print(end.text, file=sys.stderr)
    stopped = end.reason == C.ULV_END_REASON_STOP
    return min(end.code, 255) if stopped else 1


def make(host, name, memory, processors, options, console=True, stock=False):
    with host.transaction() as t:
        guest = t.partition(name, memory=memory, processors=processors,
                            stock=stock)
        if console:
            t.console(guest)
        if options.disk is not None:
            t.disk(guest, options.disk)
    return guest


def with_host(options, memory, work):
    try:
        with open_host(backend=options.backend,
                       in_process=not options.processes,
                       lazy_memory=options.lazy_memory,
                       memory=memory) as host:
            return work(host)
    except (Error, OSError, ValueError) as error:
        print(f"ultravisor: {error}", file=sys.stderr)
        return 1


def run(arguments):
    options = parse("run", arguments)
    stock = options.initrd is not None or options.cmdline is not None
    memory = options.memory or ("512M" if stock else "64M")

    def work(host):
        guest = make(host, "guest", memory, options.processors, options,
                     stock=stock)
        if options.gdb is not None:
            guest.debug(options.gdb, hold=True)
        guest.start(options.file, options.initrd, options.cmdline)
        return attend(host, guest, options)
    return with_host(options, 0, work)


def restore(arguments):
    options = parse("restore", arguments)

    def work(host):
        was = saved(options.file)
        guest = make(host, was["name"], was["memory_bytes"],
                     was["processor_count"], options,
                     was["channel_count"] > (options.disk is not None))
        guest.restore(options.file)
        return attend(host, guest, options)
    return with_host(options, 0, work)


def describe(arguments):
    parser = argparse.ArgumentParser(prog="ultravisor saved")
    parser.add_argument("file", help="a saved guest")
    try:
        was = saved(parser.parse_args(arguments).file)
    except Error as error:
        print(f"ultravisor: {error}", file=sys.stderr)
        return 1
    was.pop("size")
    print(json.dumps(was, indent=2))
    return 0
