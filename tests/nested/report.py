# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From what a machine said on its console to TAP: the points of all programs
that ran in it, numbered anew, and one for each thing that went wrong."""

import re

import summary

INIT = "# init: "


class Report:
    def __init__(self, expected, show=print):
        """expected: names of the programs that must run."""
        self.missing = list(expected)
        self.show = show
        self.count = self.failed = 0
        self.name = None  # of the program that runs
        self.seen, self.planned = 0, None

    def point(self, good, title, note=""):
        self.count += 1
        self.failed += not good
        self.show(f"{'ok' if good else 'not ok'} {self.count} - {title}{note}")

    def comment(self, line):
        if line.strip():
            self.show("# " + line.lstrip("#").strip())

    def feed(self, line):
        """One line of the console."""
        if line.startswith(INIT):
            self.from_init(line.removeprefix(INIT))
        elif self.name is None:
            self.comment(line)
        else:
            self.from_program(line)

    def from_init(self, said):
        word, *rest = said.split()
        if word == "begin":
            self.name, self.seen, self.planned = rest[0], 0, None
        elif word == "end":
            self.ended(rest[0], " ".join(rest[1:]))
        elif word in ("here", "done"):
            self.comment(said)
        else:
            self.point(False, f"init: {said}")

    def ended(self, name, how):
        if name == self.name and name in self.missing:
            self.missing.remove(name)
        if self.planned is None:
            self.point(False, f"{name}: no plan, {how}")
        elif self.seen != self.planned:
            self.point(False, f"{name}: {self.seen} of {self.planned} cases "
                              f"reported, {how}")
        elif how != "status 0":
            self.point(False, f"{name}: {how}")
        self.name = None

    def from_program(self, line):
        plan = summary.PLAN.match(line)
        point = summary.POINT.match(line)
        if plan:
            self.planned = int(plan[1])
            if self.planned == 0:
                self.comment(plan[2] or "")
                self.point(True, self.name, " # SKIP")
        elif point:
            self.seen += 1
            no, number, title, directive, note = point.groups()
            skipped = (directive or "").upper() == "SKIP"
            title = title.strip() or note or number
            self.point(skipped or not no, f"{self.name}: {title}",
                       " # SKIP" if skipped else "")
        else:
            self.comment(line)

    def end(self, reason=None):
        """The machine has ended, or reason says why it was ended; the status
        for exit."""
        if self.name is not None:
            self.point(False, f"{self.name}: did not end")
            self.missing = [n for n in self.missing if n != self.name]
        for name in self.missing:
            self.point(False, f"{name}: did not run")
        if reason is not None:
            self.point(False, re.sub(r"\s+", " ", f"machine: {reason}"))
        if self.count == 0:
            self.point(False, "machine: nothing ran")
        self.show(f"1..{self.count}")
        return 1 if self.failed else 0
