# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How the demo talks to a person: aligned tables, a progress bar, colour on a
terminal only; or one JSON document for programs."""

import json
import os
import sys

KINDS = {0: "guest", 8: "boot", 9: "idle", 10: "ultravisor", 16: "command",
         17: "I/O", 19: "operations"}
STATES = ("defined", "starting", "running", "stopped", "faulted", "lost")
ENDS = ("detached", "disabled", "attaching", "attached", "failed", "revoked")


def bytes_text(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or count % 1024 or unit == "GiB":
            return f"{count} {unit}"
        count //= 1024


class Report:
    def __init__(self, as_json):
        self.document = {} if as_json else None
        self.colour = (sys.stdout.isatty() and not as_json
                       and "NO_COLOR" not in os.environ)
        self.bar_shown = False

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def note(self, key, value, line=None):
        """A fact: a line for a person, an entry for a program."""
        if self.document is not None:
            self.document[key] = value
        elif line is not None:
            self.clear_bar()
            print(line, flush=True)

    def head(self, title):
        if self.document is None:
            self.clear_bar()
            print("\n" + self.paint("1", title), flush=True)

    def add(self, key, value, line=None):
        """One of many facts under a key."""
        if self.document is not None:
            self.document.setdefault(key, []).append(value)
        elif line is not None:
            self.clear_bar()
            print(f"  {line}", flush=True)

    def table(self, key, rows, columns):
        """columns: (title, function of a row)."""
        if self.document is not None:
            self.document[key] = rows
            return
        cells = [[title for title, _ in columns]]
        cells += [[str(get(row)) for _, get in columns] for row in rows]
        widths = [max(len(line[i]) for line in cells)
                  for i in range(len(columns))]
        for n, line in enumerate(cells):
            text = "  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip()
            print("  " + (self.paint("2", text) if n == 0 else text))

    def progress(self, done, total):
        if not (self.document is None and sys.stdout.isatty()):
            return
        width = 40
        full = width * done // total
        sys.stdout.write(f"\r  [{'#' * full}{'.' * (width - full)}] "
                         f"{100 * done // total:3d} %")
        sys.stdout.flush()
        self.bar_shown = True

    def clear_bar(self):
        if self.bar_shown:
            sys.stdout.write("\r\033[K")
            self.bar_shown = False

    def end(self, ok, line):
        if self.document is not None:
            self.document["ok"], self.document["result"] = ok, line
            print(json.dumps(self.document, indent=1))
        else:
            self.clear_bar()
            print("\n" + self.paint("32" if ok else "31", line))
        return 0 if ok else 1
