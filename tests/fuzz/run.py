# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs a fuzzer on its kept inputs without adding to them.

usage: run.py FUZZER INPUTS [--keep FOLDER] [LIBFUZZER OPTION...]

New inputs go to FOLDER, or are thrown away. An input that crashes is left in
the current directory, as libFuzzer names it, and its path is printed.
"""

import argparse
import os
import subprocess
import sys
import tempfile


def run(fuzzer, inputs, scratch, options):
    command = [fuzzer, *options, scratch, inputs]
    return subprocess.run(command, check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fuzzer")
    parser.add_argument("inputs")
    parser.add_argument("--keep")
    arguments, options = parser.parse_known_args()
    if arguments.keep:
        os.makedirs(arguments.keep, exist_ok=True)
        return run(arguments.fuzzer, arguments.inputs, arguments.keep, options)
    with tempfile.TemporaryDirectory() as scratch:
        return run(arguments.fuzzer, arguments.inputs, scratch, options)


sys.exit(main())
