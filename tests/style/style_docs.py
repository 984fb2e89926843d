# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Docstrings of the public functions, and the documents.

usage: tap.py style_docs.py SOURCE
"""

import os
import re
import sys
import unittest

import sources

DOCUMENT_LINES = 150
CONTEXTS = {"any", "serial", "owner", "exit"}
# a docstring, if there is one, and the declaration of a function after it
DECLARATION = re.compile(
    r"(/\*\*?(?:(?!\*/).)*\*/\s*)?(?:ULV_API\s+)"
    r"([\w\s*]+?[\s*])(\w+)\s*\(((?:[^()]|\([^()]*\))*)\)\s*;", re.DOTALL)


def parameters(text):
    """The names of the parameters of a declaration."""
    names = set()
    for part in re.split(r",(?![^(]*\))", text):
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)", part)
        last = re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*$", part)
        found = pointer or last
        if found and found[1] != "void":
            names.add(found[1])
    return names


def check_docstring(name, doc, arguments):
    if not doc.startswith("/**"):
        yield f"{name}: no docstring"
        return
    contexts = re.findall(r"Context:\s*([^\n*;]*)", doc)
    if len(contexts) != 1:
        yield f"{name}: {len(contexts)} lines with Context:"
    elif not set(re.split(r",\s*", contexts[0].strip())) <= CONTEXTS:
        yield f"{name}: Context: is of {', '.join(sorted(CONTEXTS))}, " \
              f"not: {contexts[0].strip()}"
    documented = re.findall(r"@param(?:\[\w+\])?\s+(\S+)", doc)
    for parameter in documented:
        if parameter not in parameters(arguments):
            yield f"{name}: @param {parameter} is no parameter"
    if len(set(documented)) != len(documented):
        yield f"{name}: a parameter is described twice"


def check_header(path, text):
    """Every function that a public header declares."""
    found = []
    for match in DECLARATION.finditer(text):
        doc, name, arguments = match[1] or "", match[3], match[4]
        line = text.count("\n", 0, match.start(3)) + 1
        found += [f"{path}:{line}: {what}" for what
                  in check_docstring(name, doc, arguments)]
    return found


def links(text):
    """Every link of a document that is not code: (line, target)."""
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if not fenced:
            bare = re.sub(r"`[^`]*`", "", line)
            for target in re.findall(r"\]\(([^)\s]+)\)", bare):
                yield number, target


def anchors(text):
    """The anchors of the headings of a document."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.replace(" ", "-"))
    return found


def mentions(text):
    """Paths of this repository that a document names in `code`: (line,
    path). Only those of folders that hold no generated files."""
    for number, line in enumerate(text.split("\n"), 1):
        for path in re.findall(r"`((?:lib|doc|tests|include|examples|bindings)/"
                               r"[\w./-]*[\w/])`", line):
            yield number, path


def check_document(root, path, text):
    lines = text.rstrip("\n").count("\n") + 1
    if lines > DOCUMENT_LINES:
        yield lines, f"{lines} lines, {DOCUMENT_LINES} allowed"
    for number, target in links(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        other = os.path.normpath(os.path.join(
            root, os.path.dirname(path), file)) if file \
            else os.path.join(root, path)
        if not os.path.exists(other):
            yield number, f"the link {target} leads nowhere"
        elif anchor and other.endswith(".md"):
            with open(other, encoding="utf-8") as document:
                if anchor not in anchors(document.read()):
                    yield number, f"no heading for the link {target}"
    for number, named in mentions(text):
        if not os.path.exists(os.path.join(root, named)):
            yield number, f"there is no {named}"


def check(root, path, text):
    if path.startswith("include/ultravisor/") and path.endswith(".h") and \
            "/abi/" not in path:
        return check_header(path, text)
    if path.endswith(".md"):
        return [f"{path}:{number}: {what}" for number, what
                in check_document(root, path, text)]
    return []


class Docs(unittest.TestCase):
    def test_every_header_and_document(self):
        found = []
        for path, text in sources.texts(sys.argv[1]):
            found += check(sys.argv[1], path, text)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_every_exported_function_is_seen(self):
        """The pattern of declarations misses none."""
        seen, declared = 0, 0
        for path, text in sources.texts(sys.argv[1]):
            if path.startswith("include/"):
                code = sources.without_comments(text)
                declared += len(re.findall(r"^ULV_API\b", code, re.MULTILINE))
                seen += len(DECLARATION.findall(text))
        self.assertGreater(declared, 0)
        self.assertEqual(seen, declared)
