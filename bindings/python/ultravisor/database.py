# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The database of a host that does not run, as JSON: out of the directory that
it is kept in, and into an empty one.

    ultravisor export DIRECTORY [FILE]
    ultravisor import FILE DIRECTORY
"""

import argparse
import os
import sys

from . import Error, export_storage, import_storage


def export(arguments):
    parser = argparse.ArgumentParser(prog="ultravisor export")
    parser.add_argument("directory", help="a storage that no host uses")
    parser.add_argument("file", nargs="?", help="default: standard output")
    options = parser.parse_args(arguments)
    try:
        text = export_storage(options.directory)
        if options.file is None:
            sys.stdout.write(text)
        else:
            with open(options.file, "x", encoding="ascii") as file:
                file.write(text)
    except (Error, OSError) as error:
        return f"ultravisor export: {error}"
    return 0


def import_(arguments):
    parser = argparse.ArgumentParser(prog="ultravisor import")
    parser.add_argument("file", help="what was exported")
    parser.add_argument("directory", help="made if it is not there")
    options = parser.parse_args(arguments)
    try:
        with open(options.file, encoding="utf-8") as file:
            text = file.read()
        os.makedirs(options.directory, mode=0o700, exist_ok=True)
        import_storage(options.directory, text,
                       os.path.basename(options.file))
    except (Error, OSError, UnicodeError) as error:
        return f"ultravisor import: {error}"
    return 0
