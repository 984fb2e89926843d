# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs Meson's tests and counts cases: TAP points, not executables.

usage: summary.py stage NAME BUILD RESULTS [ARGUMENT of meson test...]
       summary.py needs SUITE BUILD
       summary.py failed NAME REASON RESULTS
       summary.py total RESULTS

`stage` runs the tests of one build directory, prints a line for each and adds
the counts to the file RESULTS; it exits 0 if it could count them, whatever they
are, so that a stage that died is not taken for one without failures. `needs`
prints what the tests of a suite are made of, for Ninja to build. `failed`
adds one failure, for a build that could not be made; `total` prints every skip
with its reason and, as the last line, the sum of all, and exits 1 if anything
failed or nothing ran.

The points are read from what the tests printed (testlog.json), not from
Meson's verdicts: CMocka 1.1.5 prints a skip as "not ok 1 # SKIP", which Meson
1.0.1 takes for a failure, and neither keeps the reason of a skip.
"""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys

POINT = re.compile(r"(not )?ok (\d+)\b\s*(?:-\s*)?([^#]*)"
                   r"(?:#\s*(\w+)\s*(.*))?", re.IGNORECASE)
PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*SKIP\b\s*(.*))?$", re.IGNORECASE)
ENDED = re.compile(r"\s*(\d+/\d+)\s+(.*?)\s+[A-Z]+\s+([\d.]+ ?s)\b")
SKIPPED = 77  # exit status of a test that was skipped


@dataclasses.dataclass
class Counts:
    """The cases of one test; failed and skipped hold a text for each."""
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return (f"{self.passed} passed, {len(self.failed)} failed, "
                f"{len(self.skipped)} skipped")


def plain(line):
    return line.strip().lstrip("#").strip()


def last_line(*texts):
    for text in texts:
        lines = [line for line in text.splitlines() if line.strip()]
        if lines:
            return plain(lines[-1])
    return ""


def add_skip(counts, case, reason):
    if reason:
        counts.skipped.append(f"{case}: {reason}")
    else:
        counts.failed.append(f"{case}: skipped without a reason")


def count_tap(output, name):
    """The points of a TAP output, and how many the plan promised."""
    counts, planned, before = Counts(), None, ""
    for line in output.splitlines():
        plan, point = PLAN.match(line), POINT.match(line)
        if plan:
            planned = int(plan[1])
            if planned == 0:
                add_skip(counts, name, plan[2] or before)
        elif point:
            no, number, title, directive, note = point.groups()
            directive = (directive or "").upper()
            # CMocka puts the name of a skipped case where TAP has the reason
            case = f"{name}: {title.strip() or note or number}"
            if directive == "SKIP":
                add_skip(counts, case, note if title.strip() and note
                         else before)
            elif no or directive:  # no case is excused
                counts.failed.append(case)
            else:
                counts.passed += 1
            before = ""
        elif line.startswith("Bail out!"):
            counts.failed.append(f"{name}: {line}")
        elif line.strip():
            before = plain(line)
    return counts, planned


def how_it_ended(test):
    code = test["returncode"]
    if test["result"] == "TIMEOUT":
        return "took too long and was stopped"
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit status {code}"


def count_exit(test):
    counts, name = Counts(), test["name"]
    if test["returncode"] == 0 and test["result"] == "OK":
        counts.passed = 1
    elif test["returncode"] == SKIPPED:
        add_skip(counts, name, last_line(test.get("stdout") or "",
                                         test.get("stderr") or ""))
    else:
        counts.failed.append(f"{name}: {how_it_ended(test)}")
    return counts


def count_test(test, protocol):
    """Counts one entry of testlog.json."""
    if protocol != "tap":
        return count_exit(test)
    name = test["name"]
    counts, planned = count_tap(test.get("stdout") or "", name)
    seen = counts.passed + len(counts.failed) + len(counts.skipped)
    if test["returncode"] == SKIPPED and seen == 0:
        return count_exit(test)
    if planned is None:
        counts.failed.append(f"{name}: no plan, {how_it_ended(test)}")
    elif seen < planned:
        missing = planned - seen
        counts.failed += [f"{name}: {how_it_ended(test)}, {missing} of "
                          f"{planned} cases did not report"] * missing
    elif not counts.failed and (test["returncode"] != 0
                                or test["result"] == "TIMEOUT"):
        counts.failed.append(f"{name}: {how_it_ended(test)} after its cases")
    return counts


def protocols(build):
    """The protocol of each test of a build directory, by its name."""
    found = {}
    for kind in ("tests", "benchmarks"):
        path = os.path.join(build, "meson-info", f"intro-{kind}.json")
        with open(path, encoding="utf-8") as file:
            for test in json.load(file):
                if test["name"] in found:
                    sys.exit(f"two tests are named {test['name']}")
                found[test["name"]] = test["protocol"]
    return found


def test_name(logged):
    """testlog.json's name: "suite / name" where there is more than one."""
    return logged.rsplit(" / ", 1)[-1]


def show(stage, test, counts):
    """Prints all that a test with a failure said."""
    if not counts.failed:
        return
    for stream in ("stdout", "stderr"):
        text = (test.get(stream) or "").rstrip()
        if text:
            print(f"---- {stream} of {test['name']} ({stage})\n{text}")
    for text in counts.failed:
        print(f"{stage:6} failed: {text}")
    print("----", flush=True)


def follow(process, stage, file):
    """Keeps Meson's output in file and says which tests have ended: its own
    verdicts stay out of sight, because it takes skips for failures."""
    for line in process.stdout:
        file.write(line)
        ended = ENDED.match(line)
        if ended:
            print(f"{stage:6} {ended[1]:9} {test_name(ended[2]):32} "
                  f"{ended[3]:>8}", flush=True)
    return process.wait()


def count_stage(stage, build, log):
    total, kinds, ran = Counts(), protocols(build), 0
    if not os.path.exists(log):
        return total, ran
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            test = json.loads(line)
            test["name"] = test_name(test["name"])
            counts = count_test(test, kinds[test["name"]])
            show(stage, test, counts)
            total.add(counts)
            ran += 1
    return total, ran


def run_stage(stage, build, results, arguments):
    logs = os.path.join(build, "meson-logs")
    os.makedirs(logs, exist_ok=True)
    log = os.path.join(logs, "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    output = os.path.join(logs, "meson-test.txt")
    with open(output, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["/usr/bin/meson", "test", "-C", build, "--no-rebuild",
             *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1"})
        status = follow(process, stage, file)
    total, ran = count_stage(stage, build, log)
    if ran == 0:
        with open(output, encoding="utf-8") as file:
            total.failed.append("no test ran: meson test ended with status "
                                f"{status}: {last_line(file.read())}")
    elif status < 0:
        total.failed.append(f"meson test was killed by signal {-status}")
    record(results, stage, total)
    print(f"{stage:6} {total}", flush=True)
    return 0


def record(results, stage, counts):
    with open(results, "a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": stage,
                               **dataclasses.asdict(counts)}) + "\n")


def introspected(build, what):
    with open(os.path.join(build, "meson-info", f"intro-{what}.json"),
              encoding="utf-8") as file:
        return json.load(file)


def print_needs(suite, build):
    made = {target["id"]: target["filename"]
            for target in introspected(build, "targets")}
    files = set()
    for test in introspected(build, "tests"):
        if suite in {name.split(":")[-1] for name in test["suite"]}:
            files.update(*(made[target] for target in test["depends"]))
            files.add(test["cmd"][0])
    root = os.path.join(os.path.realpath(build), "")
    print(*sorted(file[len(root):] for file in files
                  if file.startswith(root)))
    return 0


def print_total(results):
    total = Counts()
    with open(results, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            stage = entry.pop("stage")
            entry["failed"] = [f"{stage}: {t}" for t in entry["failed"]]
            entry["skipped"] = [f"{stage}: {t}" for t in entry["skipped"]]
            total.add(Counts(**entry))
    for text in total.skipped:
        print(f"skipped: {text}")
    for text in total.failed:
        print(f"failed: {text}")
    ran = total.passed + len(total.failed)
    if ran == 0:
        print("no test ran")
    print(total, flush=True)
    return 1 if total.failed or ran == 0 else 0


def main():
    # an interrupt ends this and Meson, without a word, and ./run with them
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command, *arguments = sys.argv[1:]
    if command == "stage":
        stage, build, results, *rest = arguments
        return run_stage(stage, build, results, rest)
    if command == "needs":
        return print_needs(*arguments)
    if command == "failed":
        stage, reason, results = arguments
        record(results, stage, Counts(failed=[reason]))
        return 0
    if command == "total":
        return print_total(*arguments)
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
