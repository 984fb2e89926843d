# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How fast a guest reads and hashes a disk, beside sha256sum and dd on the same
file: rounds that take turns, medians, ratios within each round."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import ultravisor

BYTES = 128 << 20
ROUNDS = 5
GUEST = os.path.join(os.environ["ULTRAVISOR_GUESTS"], "digest.elf")


def command(*words):
    begin = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def guest(path, backend, in_process):
    """From the first read to the digest: the guest's own work. The guest holds
    still for 300 ms half way; that is taken off."""
    with ultravisor.open(backend=backend, in_process=in_process,
                         memory="64M") as host:
        with host.transaction() as t:
            web = t.partition("web", memory="8M")
            t.console(web)
            t.disk(web, path)
        begin = time.perf_counter()
        web.start(GUEST)
        end = web.wait()
        seconds = time.perf_counter() - begin
        if end.code != 0:
            sys.exit(f"the guest failed: {end.text}")
        return seconds - 0.3


def main():
    contenders = {"sha256sum": lambda p: command("sha256sum", p),
                  "dd bs=64k": lambda p: command("dd", f"if={p}",
                                                 "of=/dev/null", "bs=64k")}
    for name, why in ultravisor.backends():
        if why is not None:
            print(f"{name} is left out: {why}")
        elif name != "mock":
            for in_process in (True, False):
                where = "in process" if in_process else "processes"
                contenders[f"guest on {name}, {where}"] = (
                    lambda p, n=name, i=in_process: guest(p, n, i))
    times = {name: [] for name in contenders}
    with tempfile.NamedTemporaryFile() as file:
        file.write(os.urandom(1 << 20) * (BYTES >> 20))
        file.flush()
        command("sha256sum", file.name)
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                times[name].append(run(file.name))
    print(f"{BYTES >> 20} MiB, {ROUNDS} rounds, medians")
    for name, taken in times.items():
        rate = BYTES / (1 << 20) / statistics.median(taken)
        ratio = statistics.median(
            own / other for own, other in zip(taken, times["sha256sum"]))
        print(f"  {name:28} {rate:8.0f} MiB/s   {ratio:5.2f} x the time of "
              "sha256sum")


main()
