# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks a Spin model exhaustively, and that it can tell right from wrong.

usage: check.py SPIN MODEL.pml SUITE

SPIN is the path of spin, or "" if there is none. The model says in a comment
what there is to check, a line each:

    scene NAME, SUITE: -DWHAT=N ...   the good model, one way of looking at it
    witness N of NAME: TEXT           something that must be able to happen
    bug N of NAME, KIND: TEXT         a mistake that must be found, as KIND:
                                      "assertion" or "end state"

The good model must have no error, in a search that is complete. Witness N is
compiled in by -DWITNESS=N and shows itself by a failed assertion; so does, or
by a state without a way on, bug N, compiled in by -DBUG=N. Those of scene NAME
belong to the suite of that scene. Prints TAP."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MEMORY = 8000  # [MB] that a search may use
DEPTH = 1000000
KINDS = {"assertion violated": "assertion", "invalid end state": "end state"}


def listed(text):
    """What the model says that there is to check."""
    scenes = {name: (suite, options.split()) for name, suite, options
              in re.findall(r"^ \* scene (\w+), (\w+): (.*)$", text, re.M)}
    witnesses = re.findall(r"^ \* witness (\d+) of (\w+): (.*)$", text, re.M)
    bugs = re.findall(
        r"^ \* bug (\d+) of (\w+), (assertion|end state): (.*)$", text, re.M)
    return scenes, witnesses, bugs


def known(text, name):
    """The numbers that the model's code knows of."""
    return set(re.findall(rf"\b{name} [!=]= (\d+)", text)) | \
        set(re.findall(rf"\b{name.lower()}\((\d+)\)", text))


def is_consistent(text):
    scenes, witnesses, bugs = listed(text)
    return (bool(scenes and bugs)
            and known(text, "BUG") == {number for number, *_ in bugs}
            and known(text, "WITNESS") == {number for number, *_ in witnesses}
            and {name for _, name, *_ in witnesses + bugs} <= set(scenes))


class Search:
    """One search, by a verifier that is built for it."""

    def __init__(self, spin, model, options, optimise):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(model, folder)
            self.call(folder, spin, *options, "-a", model.name)
            self.call(folder, "gcc", optimise, "-w", "-DSAFETY", "-DCOLLAPSE",
                      "-DVECTORSZ=4096", f"-DMEMLIM={MEMORY}", "-o", "pan",
                      "pan.c")
            self.said = self.call(folder, "./pan", f"-m{DEPTH}", "-w22")
            self.trail = ""
            if (pathlib.Path(folder) / f"{model.name}.trail").exists():
                self.trail = self.call(folder, spin, *options, "-t", "-p",
                                       "-g", "-l", model.name)

    def call(self, folder, *command):
        result = subprocess.run(command, cwd=folder, capture_output=True,
                                text=True, check=False)
        if result.returncode != 0 and command[0] != "./pan":
            raise RuntimeError(f"{' '.join(command)}: {result.stdout}"
                               f"{result.stderr}")
        return result.stdout + result.stderr

    def kind(self):
        """What it found: a kind of error, None, or that it was cut short."""
        found = re.search(rf"^pan:\d+: ({'|'.join(KINDS)})", self.said, re.M)
        if found:
            return KINDS[found[1]]
        whole = re.search(r"errors: 0$", self.said, re.M) and not re.search(
            r"max search depth|[Oo]ut of memory|MEMLIM|not completed",
            self.said)
        return None if whole else "no complete search"

    def size(self):
        states = re.search(r"(\S+) states, stored", self.said)
        depth = re.search(r"depth reached (\d+)", self.said)
        return f"{float(states[1]):.0f} states, depth {depth[1]}" \
            if states and depth else "?"


class Tap:
    count = failed = 0

    def point(self, good, name):
        self.count += 1
        self.failed += not good
        print("ok" if good else "not ok", self.count, "-", name, flush=True)

    def skip(self, reason):
        print(f"# {reason}\nok 1 - model # SKIP\n1..1")


def comment(text):
    for line in text.splitlines():
        print("#", line)


def check_good(tap, search, name):
    print(f"# {name}: {search.size()}")
    if search.kind() is not None:
        comment(search.said)
        comment(search.trail)
    tap.point(search.kind() is None, f"{name}: no error")


def check_found(tap, search, expected, name):
    if search.kind() != expected:
        print(f"# found: {search.kind()}; must be: {expected}")
        comment(search.said)
        comment(search.trail)
    tap.point(search.kind() == expected, name)


def check(tap, spin, model, suite):
    text = model.read_text()
    scenes, witnesses, bugs = listed(text)
    stem = model.stem
    tap.point(is_consistent(text), f"{stem}: what it lists is what it knows")
    for name, (when, options) in scenes.items():
        if when == suite:
            check_good(tap, Search(spin, model, options, "-O2"),
                       f"{stem}, {name}")
    for number, name, what in witnesses:
        when, options = scenes[name]
        if when == suite:
            options = [*options, f"-DWITNESS={number}"]
            check_found(tap, Search(spin, model, options, "-O0"), "assertion",
                        f"{stem}, {name}: it can be that {what}")
    for number, name, kind, what in bugs:
        when, options = scenes[name]
        if when == suite:
            options = [*options, f"-DBUG={number}"]
            check_found(tap, Search(spin, model, options, "-O0"), kind,
                        f"{stem}, {name}: finds that {what}")


def main(spin, path, suite):
    tap = Tap()
    if not spin or not shutil.which("gcc"):
        tap.skip("there is no " + ("gcc" if spin else "spin"))
        return 0
    check(tap, spin, pathlib.Path(path).resolve(), suite)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
