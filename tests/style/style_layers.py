# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Holds every #include to the table of doc/architecture.md, "Layers".

usage: tap.py style_layers.py SOURCE
"""

import os
import re
import sys
import unittest

import sources

# headers that a compiler brings along, without a C library
FREESTANDING = {"stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h",
                "limits.h"}
# programs of the system role that need a process around them
HOSTED_FILES = {"lib/system/role_main.c"}
# made at build time
GENERATED = {"status_table.h"}


class Layer:
    def __init__(self, may_use, may_not_use, hosted):
        self.may_use, self.hosted = may_use, hosted
        self.may_not_use = may_not_use


def read_table(text):
    """The layers by folder; raises ValueError for a table that is not one."""
    section = re.search(r"^## Layers$(.*?)(?=^## |\Z)", text,
                        re.MULTILINE | re.DOTALL)
    if not section:
        raise ValueError('no section "Layers"')
    layers = {}
    for row in re.findall(r"^\| `([^|]*)` \|([^|]*)\|([^|]*)\|([^|]*)\|$",
                          section[1], re.MULTILINE):
        folder, uses, not_uses, library = (cell.strip() for cell in row)
        if folder in layers:
            raise ValueError(f"{folder} stands twice")
        if library not in ("yes", "no"):
            raise ValueError(f"{folder}: C library is yes or no")
        layers[folder] = Layer(cell(uses), cell(not_uses), library == "yes")
    check_table(layers)
    return layers


def cell(text):
    """A set of folders, or a word for many."""
    if text in ("nothing", "everything", "everything else"):
        return text
    if not re.fullmatch(r"`[a-z/ ]+`", text):
        raise ValueError(f"not a list of folders: {text}")
    return set(text.strip("`").split())


def check_table(layers):
    if not layers:
        raise ValueError("no rows")
    tops = {folder.split("/")[0] for folder in layers}
    for folder, layer in layers.items():
        for names in (layer.may_use, layer.may_not_use):
            if isinstance(names, set) and names - tops:
                raise ValueError(f"{folder}: unknown {names - tops}")
        if isinstance(layer.may_use, set) and \
                isinstance(layer.may_not_use, set) and \
                layer.may_use & layer.may_not_use:
            raise ValueError(f"{folder}: may and may not use "
                             f"{layer.may_use & layer.may_not_use}")
        if isinstance(layer.may_use, set) and not layer.may_use.isdisjoint(
                tops_above(layers, folder)):
            raise ValueError(f"{folder}: uses what uses it")


def tops_above(layers, folder):
    """Who uses a folder, directly or not: an arrow points one way."""
    above, grown = {folder.split("/")[0]}, True
    while grown:
        grown = False
        for name, layer in layers.items():
            top = name.split("/")[0]
            if top not in above and isinstance(layer.may_use, set) and \
                    layer.may_use & above:
                above.add(top)
                grown = True
    return above


def layer_of(layers, path):
    """The row of a file of lib/: the longest folder that it lies in."""
    inside = os.path.dirname(path.removeprefix("lib/"))
    while inside and inside not in layers:
        inside = os.path.dirname(inside)
    return inside or None


def may_include(layers, folder, included, path):
    """Whether a file of a folder may include "included" of lib/."""
    target = layer_of(layers, "lib/" + included)
    if target is None:
        return included in GENERATED or "/" not in included
    if target == folder:
        return True
    if included.endswith("_priv.h"):
        return False
    layer, top = layers[folder], target.split("/")[0]
    if isinstance(layer.may_not_use, set) and top in layer.may_not_use:
        return False
    if layer.may_use == "everything":
        return top != "port" or path in HOSTED_FILES
    return layer.may_use != "nothing" and top in layer.may_use


def check_library(layers, path, includes):
    folder = layer_of(layers, path)
    if folder is None:
        yield 1, "lies in no folder of the table"
        return
    hosted = layers[folder].hosted or path in HOSTED_FILES
    for number, kind, included in includes:
        if included.endswith(".c"):
            yield number, f"includes the source {included}"
        elif kind == '"':
            if not may_include(layers, folder, included, path):
                yield number, f"{folder} may not include {included}"
        elif included.startswith("ultravisor/"):
            pass
        elif not hosted and included not in FREESTANDING:
            yield number, f"{folder} has no C library: <{included}>"


def check_outside(_, path, includes):
    """Examples and bindings: the public headers only."""
    folder = os.path.dirname(path)
    for number, kind, included in includes:
        if kind == '"' and "/" in os.path.normpath(included):
            yield number, f"{folder} may include <ultravisor/...> only, not " \
                          f"{included}"


def includes_of(text):
    """(line, '<' or '"', what) of each #include outside of comments."""
    code = sources.without_comments(text).split("\n")
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'\s*#\s*include\s+([<"])([^>"]+)', line)
        if found and code[number - 1].strip().startswith("#"):
            yield number, found[1], found[2]


def check(layers, path, text):
    if path.startswith("lib/"):
        rule = check_library
    elif path.startswith(("examples/", "bindings/")):
        rule = check_outside
    else:
        return []
    return [f"{path}:{number}: {what}" for number, what
            in rule(layers, path, list(includes_of(text)))]


def folders_of(names):
    """The folders of lib/ that hold C sources, as the table names them."""
    found = set()
    for name in names:
        parts = name.split("/")
        if parts[0] == "lib" and name.endswith((".c", ".h")):
            deep = parts[1] in ("backend", "port")
            found.add("/".join(parts[1:3 if deep else 2]))
    return found


class Layers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(sys.argv[1], "doc/architecture.md"),
                  encoding="utf-8") as file:
            cls.layers = read_table(file.read())

    def test_every_include_follows_the_table(self):
        found = []
        for path, text in sources.texts(sys.argv[1]):
            if sources.is_c(path):
                found += check(self.layers, path, text)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_every_folder_stands_in_the_table(self):
        self.assertLessEqual(folders_of(sources.listed(sys.argv[1])),
                             set(self.layers))
