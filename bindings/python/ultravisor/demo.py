# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The main job: divide this machine, let a guest read and hash a whole disk
through a pair of I/O partitions, kill one of them half way."""

import argparse
import hashlib
import json
import os
import stat
import time

import ultravisor
from ultravisor import C, Error
from ultravisor.report import ENDS, KINDS, STATES, Report, bytes_text

DEFAULT_DISK = "/usr/lib/ipxe/ipxe.iso"
GUESTS = os.environ.get("ULTRAVISOR_GUESTS", "/usr/share/ultravisor/guests")


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="demo", description="Divide this machine and hash a disk in a "
        "guest, through redundant I/O partitions.")
    add = parser.add_argument
    add("disk", nargs="?", default=DEFAULT_DISK, metavar="DISK",
        help="any file or block device (default: %(default)s)")
    add("--in-process", action="store_true",
        help="all roles in this process instead of one process each")
    add("--policy", metavar="FILE", help="a policy in JSON")
    add("--pool", default="512M", metavar="SIZE",
        help="memory to divide (default: %(default)s)")
    add("--memory", default="8M", metavar="SIZE",
        help="memory of the guest (default: %(default)s)")
    add("--backend", help="kvm, process; default: the first that can be used")
    add("--kill", default="serving", metavar="ROLE",
        help="who is killed half way: serving (the I/O partition that "
        "serves), a role's name, guest, none (default: %(default)s)")
    add("--guest", default=os.path.join(GUESTS, "digest.elf"), metavar="ELF",
        help=argparse.SUPPRESS)
    add("--limit", type=float, default=600, metavar="SECONDS",
        help="give up after so long (default: %(default)s)")
    add("--json", action="store_true", help="one JSON document")
    return parser.parse_args(arguments)


def host_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Demo:
    def __init__(self, options, report):
        self.options, self.report = options, report
        self.host = self.guest = self.killed = self.digest = None
        self.line, self.lines, self.dead = b"", [], []
        self.half = False
        self.medium = 0  # announcements of a server

    # ---- telling -----------------------------------------------------------

    def moment(self, event_time, text):
        self.lines.append((event_time, text))

    def hear(self, event):
        """One event of the library."""
        text = event.data.decode("utf-8", "replace")
        if event.kind == C.ULV_EVENT_CONSOLE:
            self.hear_console(event)
        elif event.kind == C.ULV_EVENT_DECISION:
            decision = next(self.host.decisions(event.value - 1), None)
            self.report.add("decisions", decision or {"text": text}, text)
        elif event.kind == C.ULV_EVENT_COMMITTED:
            self.moment(event.time, f"revision {event.value} committed")
        elif event.kind == C.ULV_EVENT_SERVING:
            name = self.names().get(event.partition, event.partition)
            self.moment(event.time, f"{name} serves device {event.value}")
        elif event.kind == C.ULV_EVENT_DIED:
            self.dead.append(self.names().get(event.partition, "?"))
            self.moment(event.time, text)
        elif event.kind in (C.ULV_EVENT_RUNNING, C.ULV_EVENT_ENDED,
                            C.ULV_EVENT_TAKEOVER, C.ULV_EVENT_FAULT,
                            C.ULV_EVENT_LOG, C.ULV_EVENT_RESTARTED):
            self.moment(event.time, text)

    def hear_console(self, event):
        *whole, self.line = (self.line + event.data).split(b"\n")
        for raw in whole:
            words = raw.decode("ascii", "replace").split()
            if words[:1] == ["progress"]:
                self.hear_progress(event, int(words[1]), int(words[2]))
            elif words[:1] == ["sha256"]:
                self.digest = words[1]
                self.moment(event.time, "guest: sha256 " + words[1])
            elif words[:1] == ["medium"]:
                self.medium += 1
                self.moment(event.time, "guest: signalled that the medium is "
                            f"there: {words[1]} sectors, by partition "
                            f"{words[3]}, epoch {words[5]}")
            elif words:
                self.moment(event.time, "guest: " + " ".join(words))

    def hear_progress(self, event, done, total):
        self.report.progress(done, total)
        if done * 2 >= total and not self.half:
            self.half = True
            self.moment(event.time, "guest: half of the disk is read")
            self.kill()

    def kill(self):
        who = self.options.kill
        if who == "none":
            return
        if who == "serving":
            serving = self.serving()
            if serving is None:
                return
            who = serving
        elif who == "guest":
            who = self.guest.name
        try:
            self.host.kill(who)
        except Error as error:
            self.moment(self.host.now(), f"{who} not killed: {error}")
            return
        self.killed = who
        self.moment(self.host.now(), f"SIGKILL to {who}"
                    if not self.options.in_process else f"{who} dropped")

    def serving(self):
        names = self.names()
        for device in self.host.query("devices"):
            if device["kind"] == 1:
                return names[device["serving"]]
        return None

    def names(self):
        """Names of partitions by id, as the keeper knows them."""
        found = {1: "idle"}
        for name, _, _ in self.host.roles():
            found[self.host.find(name)] = name
        return found

    def take_events(self):
        for event in self.host.pending():
            self.hear(event)

    # ---- doing ---------------------------------------------------------------

    def boot(self):
        options, report = self.options, self.report
        policy = None
        if options.policy:
            policy = ultravisor.compile_policy(options.policy)
        self.host = ultravisor.open(
            in_process=options.in_process, backend=options.backend,
            memory=options.pool, policy=policy)
        backend, passed_over = self.host.backend()
        for line in passed_over:
            report.add("passed_over", line, f"cannot use {line}")
        processors = self.host.query("processors")
        nodes = self.host.query("memory")
        report.head("A2 boot: infrastructure partitions, machine")
        report.note("backend", backend, f"  guests run on   {backend}")
        report.note("placement", "in process" if options.in_process else
                    "processes", "  roles           " +
                    ("all in this process" if options.in_process else
                     "one process each"))
        on = len({p["node"] for p in processors})
        report.note("processors", processors, "  processors      "
                    f"{len(processors)} on {on} node(s)")
        report.note("memory", nodes, "  pool            " + ", ".join(
            f"{bytes_text(n['bytes'])} on node {n['node']}" for n in nodes))
        report.note("disk", {"path": options.disk,
                             "bytes": self.disk_bytes()},
                    f"  disk            {options.disk}, "
                    f"{bytes_text(self.disk_bytes())}")
        for name, alive, process in self.host.roles():
            report.add("roles", {"name": name, "alive": alive,
                                 "process": process},
                       f"{name:15} {f'process {process}' if process else ''}")

    def disk_bytes(self):
        with open(self.options.disk, "rb") as file:
            return file.seek(0, os.SEEK_END)

    def refusals(self):
        """What breaks the policy, and what does not fit: asked as dry runs."""
        report = self.report
        report.head("A3 refusals: command by policy, ultravisor by what is "
                    "there")
        free = sum(n["free_bytes"] for n in self.host.query("memory"))
        for who, memory in (("command", 1 << 40), ("ultravisor",
                                                   free + (64 << 20))):
            try:
                with self.host.transaction(dry_run=True) as t:
                    t.partition("greedy", memory=memory)
                line = f"{who}: {bytes_text(memory)} were not refused"
            except Error as error:
                by = ("command" if error.status == C.ULV_E_POLICY
                      else "ultravisor")
                line = f"{by} refused: {error}"
            report.add("refusals", line, line)
            self.take_events()

    def assign(self):
        self.report.head("A3 A6 decisions of command, and one transaction")
        with self.host.transaction() as t:
            self.guest = t.partition("web", memory=self.options.memory)
            t.console(self.guest)
            t.disk(self.guest, self.options.disk)
        self.take_events()
        log = self.host.query("log")[-1]
        self.report.note("transaction", log, f"  revision {log['revision']}: "
                         f"{log['text']}")

    def tables(self, title):
        if self.report.document is None:
            self.report.head(title)
        names = self.names()
        try:
            partitions = self.host.query("partitions")
            channels = self.host.query("channels")
            log = self.host.query("log")
        except Error:
            self.report.note("database", None, "  the resource database "
                             "cannot be asked: its partition, or command, "
                             "is dead")
            return
        self.report.table("partitions", partitions, (
            ("id", lambda p: p["id"]), ("partition", lambda p: p["name"]),
            ("kind", lambda p: KINDS.get(p["kind"], p["kind"])),
            ("state", lambda p: STATES[p["state"]]),
            ("memory", lambda p: bytes_text(p["memory_bytes"])),
            ("processors", lambda p: p["processor_count"]),
            ("channels", lambda p: p["channel_count"])))
        self.report.head("A9 channels")
        self.report.table("channels", channels, (
            ("id", lambda c: c["id"]),
            ("server", lambda c: names.get(c["server"], c["server"])),
            ("client", lambda c: names.get(c["client"], c["client"])),
            ("bytes", lambda c: bytes_text(c["bytes"])),
            ("epoch", lambda c: c["epoch"]),
            ("server end", lambda c: ENDS[c["state"][0]]),
            ("client end", lambda c: ENDS[c["state"][1]])))
        self.report.head("A5 transaction log")
        self.report.table("log", log, (
            ("revision", lambda r: r["revision"]),
            ("operations", lambda r: r["operation_count"]),
            ("what", lambda r: r["text"])))

    def run(self):
        self.guest.start(self.options.guest)
        self.tables("A1 A4 partitions, each guest with a monitor of its own")
        self.report.head("A8 the guest reads; half way its server is killed")
        deadline = time.monotonic() + self.options.limit
        end = None
        while end is None and time.monotonic() < deadline:
            self.host.step(0.1)
            self.take_events()
            end = self.guest.wait(0)
        self.take_events()
        return end

    def time_line(self):
        self.lines.sort(key=lambda line: line[0])
        first = self.lines[0][0]
        rows = [{"milliseconds": round((t - first) / 1e6, 3), "what": text}
                for t, text in self.lines]
        if self.report.document is not None:
            self.report.document["time_line"] = rows
            return
        self.report.head("time line (ms)")
        for row in rows:
            print(f"  {row['milliseconds']:10.3f}  {row['what']}")

    def scanned(self):
        """What the build found in the guest's image."""
        try:
            with open(self.options.guest + ".scan.json",
                      encoding="utf-8") as file:
                found = json.load(file)
        except OSError:
            return "the image was not scanned"
        if found["sensitive"]:
            return f"{len(found['sensitive'])} sensitive instructions"
        return (f"{found['instructions']} instructions, none sensitive but "
                "unprivileged")

    def requirements(self):
        """The rows that no table above shows."""
        report = self.report
        report.head("A7 A10 A11")
        view = ("A7", "the monitor believes a sealed, read-only view of its "
                "own partition")
        call = ("A10", "the guest was signalled by its I/O partition "
                f"{self.medium} time(s), and waited by system calls")
        for row, line in (view, call, ("A11", "guest image: " +
                                       self.scanned())):
            report.add("requirements", {"row": row, "shown": line},
                       f"{row:4} {line}")

    def verdict(self, end):
        expected = host_digest(self.options.disk)
        self.report.note("digest", {"guest": self.digest, "host": expected},
                         f"\n  guest's digest  {self.digest}\n"
                         f"  host's digest   {expected}")
        unplanned = [name for name in self.dead if not name.startswith("io-")]
        if end is None:
            return False, (f"the guest did not end within {self.options.limit}"
                           " s")
        if end.reason != C.ULV_END_REASON_STOP or end.code != 0:
            return False, f"the guest ended badly: {end.text}"
        if self.digest != expected:
            return False, "the digests differ"
        if unplanned:
            return False, (f"{', '.join(unplanned)} died; the digest is right "
                           "all the same")
        if self.options.kill == "serving" and self.medium < 2:
            return False, ("the digest is right, but nobody took over: the "
                           "guest was faster than the kill")
        if self.killed:
            return True, (f"the digest is right, although {self.killed} was "
                          "killed half way")
        return True, "the digest is right"


def check_disk(path):
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise OSError(f"{path}: neither a file nor a block device")
    with open(path, "rb"):
        pass


def main(arguments):
    options = parse(arguments)
    report = Report(options.json)
    demo = Demo(options, report)
    try:
        check_disk(options.disk)
        demo.boot()
        demo.take_events()
        demo.refusals()
        demo.assign()
        end = demo.run()
        demo.tables("partitions afterwards")
        demo.time_line()
        demo.requirements()
        return report.end(*demo.verdict(end))
    except (Error, OSError, ValueError) as error:
        if demo.host is not None:
            demo.take_events()
        why = (f"{error.filename}: {error.strerror}"
               if getattr(error, "filename", None) else error)
        return report.end(False, f"demo: {why}")
    except KeyboardInterrupt:
        return report.end(False, "demo: interrupted")
    finally:
        if demo.host is not None:
            demo.host.close()
