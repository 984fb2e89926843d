# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Many partitions of 1 MiB, each with a console channel and a guest that waits:
how long they take to create, to start and to stop, in process and one process
a role. Arguments: how many in process (1000), how many as processes (200)."""

import json
import os
import pathlib
import sys
import tempfile
import time

import ultravisor

IMAGE = pathlib.Path(os.environ["ULTRAVISOR_TEST_GUESTS"]) / "memory_guard.elf"


def policy(count):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"guests": count}, file)
        file.flush()
        return ultravisor.compile_policy(file.name)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def run(count, in_process):
    with ultravisor.open(backend="kvm", in_process=in_process,
                         memory=f"{count + 64}M",
                         policy=policy(count)) as host:
        before = descriptors()
        guests, times = [], [time.perf_counter()]
        for n in range(count):
            with host.transaction() as t:
                guest = t.partition(f"guest-{n}", memory="1M")
                t.console(guest)
            guests.append(guest)
        times.append(time.perf_counter())
        for guest in guests:
            guest.start(IMAGE)
        times.append(time.perf_counter())
        each = (descriptors() - before) / count
        for guest in guests:
            guest.stop()
        for guest in guests:
            guest.wait()
        times.append(time.perf_counter())
    create, start, stop = (b - a for a, b in zip(times, times[1:]))
    print(f"{count} partitions {'in process' if in_process else 'as processes'}"
          f": created in {create:.2f} s, started in {start:.2f} s, stopped in "
          f"{stop:.2f} s, {each:.1f} descriptors each", flush=True)


def main():
    here, apart = (int(n) for n in sys.argv[1:] or (1000, 200))
    if dict(ultravisor.backends()).get("kvm") is not None:
        sys.exit(77)
    run(here, True)
    run(apart, False)


if __name__ == "__main__":
    main()
