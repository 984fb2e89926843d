# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each rule of tests/style finds what it is there to find, and nothing in
what is right."""

import os
import sys
import tempfile
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "style"))

import sources  # noqa: E402
import style_commits  # noqa: E402
import style_docs  # noqa: E402
import style_formats  # noqa: E402
import style_layers  # noqa: E402
import style_tokens  # noqa: E402

SPDX = "/* SPDX-License-Identifier: BSD-2-Clause-Patent */\n"
GOOD = SPDX + """#include "base/base.h"

/* volatile, errno and printf("//") in a comment or a string are words. */
static const char text[] = "volatile errno exit(1) // /*";

static int
increase(int n)
{
    if (n > 0)
        return text[n];
    __asm__ volatile("" ::: "memory");
    return n + 1;
}
"""


def tokens(body, name="lib/base/x.c"):
    return [what.split(": ", 1)[1] for what
            in style_tokens.check(name, SPDX + body)]


class Tokens(unittest.TestCase):
    def found(self, body, words, name="lib/base/x.c"):
        found = tokens(body, name)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_good_file(self):
        self.assertEqual(style_tokens.check("lib/base/x.c", GOOD), [])

    def test_spdx(self):
        found = style_tokens.check("lib/base/x.c", "int x;\n")
        self.assertEqual(len(found), 1)
        self.assertIn("SPDX", found[0])
        self.assertIn("SPDX", style_tokens.check("run", "#!/bin/sh\n# x\n")[0])
        self.assertEqual(style_tokens.check(
            "run", "#!/bin/sh\n" + SPDX.replace("/*", "#")
            .replace(" */", "")), [])

    def test_layout(self):
        self.found("\tint x;\n", "a tab")
        self.found("int x; \n", "blanks")
        self.found("int x;", "no newline")
        self.found("int " + "x" * 76 + ";\n", "81 columns")
        self.assertEqual(tokens("int " + "x" * 75 + ";\n"), [])

    def test_comments(self):
        self.found("int x; // why\n", "// comment")

    def test_words(self):
        for word in ("TO" + "DO", "FIX" + "ME", "for n" + "ow",
                     "/wo" + "rk/main", "/tmp/w" + "t/x", "session " + "12",
                     "Co-auth" + "ored-by: x"):
            self.found(f"/* {word} */\n", "not in this repository")
            self.assertTrue(style_tokens.check("doc/x.md", word + "\n"))

    def test_prefix(self):
        self.found("int u" + "v_x;\n", "prefix")

    def test_volatile(self):
        self.found("volatile int x;\n", "volatile")
        self.found("int *volatile x;\n", "volatile",
                   "include/ultravisor/x.h")
        self.assertEqual(tokens("volatile int x;\n", "tests/unit/x.c"), [])

    def test_errno(self):
        self.found("int x = errno;\n", "errno")
        self.assertEqual(tokens("int x = errno;\n", "lib/port/posix/x.c"), [])

    def test_calls(self):
        for call in ("printf", "snprintf", "exit", "abort", "assert",
                     "malloc", "strlen", "_exit"):
            self.found(f"int x = {call}(1);\n", call)
        self.found("int x = abort();\n", "abort", "lib/port/posix/x.c")
        self.assertEqual(tokens("int x = malloc(1);\n", "lib/port/posix/x.c"),
                         [])
        self.assertEqual(tokens("int x = host->free(1), ulv_exit(2);\n"), [])

    def test_long_function(self):
        def of(lines):
            return "int\nf(void)\n{\n" + "    x();\n" * lines + "}\n"
        self.assertEqual(tokens(of(style_tokens.FUNCTION_LINES)), [])
        self.found(of(style_tokens.FUNCTION_LINES + 1), "f: 61 lines")

    def test_long_file(self):
        self.assertEqual(tokens("int x;\n" * 799), [])
        self.found("int x;\n" * 800, "801 lines")

    def test_parameters(self):
        nine = ", ".join(f"int p{i}" for i in range(9))
        self.found(f"int\nf({nine})\n{{\n}}\n", "9 parameters")
        self.assertEqual(tokens(
            "int\nf(int a,\n  int (*b)(int, int, int, int, int, int, int, "
            "int))\n{\n}\n"), [])

    def test_nesting(self):
        def of(depth):
            return ("int\nf(void)\n{\n" + "    if (x) {\n" * depth
                    + "    }\n" * depth + "}\n")
        self.assertEqual(tokens(of(3)), [])
        self.found(of(4), "blocks 4 deep")


    def test_lines_of_code(self):
        self.assertEqual(style_tokens.lines_of_code(GOOD), 10)


class Sources(unittest.TestCase):
    def test_blanking_keeps_the_lines(self):
        text = "a /* b\n c */ d \"e // f\" '\"' // g\nh\n"
        code = sources.without_comments(text)
        self.assertEqual(code.count("\n"), text.count("\n"))
        self.assertEqual(code.split(), ["a", "d", '"', '"', "'", "'", "h"])

    def test_functions(self):
        text = ("int\nf(int a, int b)\n{\n    x;\n}\n\nstatic int\n"
                "g(void)\n{\n}\n\nstruct s {\n    int x;\n};\n")
        self.assertEqual(list(sources.functions(text)),
                         [("f", 3, 1, 2), ("g", 9, 0, 0)])

    def test_lists_without_git(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("build/x.c", "lib/base/x.c", "run"):
                path = os.path.join(folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write("x\n")
            self.assertEqual(sources.listed(folder), ["lib/base/x.c", "run"])


TABLE = """# A

## Layers

| folder | may use | may not use | C library |
|---|---|---|---|
| `base` | nothing | everything | no |
| `view` | `base` | `channel` | no |
| `channel` | `base` | `view` | no |
| `port/posix` | `base` | `system` | yes |
| `port/test` | `base` | `system` | yes |
| `system` | everything | `port` | no |

## Other
"""


class Layers(unittest.TestCase):
    def check(self, path, *included):
        layers = style_layers.read_table(TABLE)
        text = "".join(f"#include {name}\n" for name in included)
        return style_layers.check(layers, path, text)

    def test_allowed(self):
        self.assertEqual(self.check(
            "lib/view/a.c", '"view/a.h"', '"view/view_priv.h"',
            '"base/base.h"', "<ultravisor/types.h>", "<stdint.h>"), [])
        self.assertEqual(self.check("lib/port/posix/a.c", "<errno.h>",
                                    '"port/posix/b.h"'), [])
        self.assertEqual(self.check("lib/system/a.c", '"view/a.h"'), [])

    def test_forbidden(self):
        for path, included in (
                ("lib/base/a.c", '"view/a.h"'),
                ("lib/view/a.c", '"channel/a.h"'),
                ("lib/channel/a.c", '"view/a.h"'),
                ("lib/view/a.c", '"system/a.h"'),
                ("lib/view/a.c", '"base/base_priv.h"'),
                ("lib/view/a.c", "<errno.h>"),
                ("lib/view/a.c", "<string.h>"),
                ("lib/view/a.c", '"view/b.c"'),
                ("lib/view/a.c", '"unknown/a.h"'),
                ("lib/port/posix/a.c", '"port/test/a.h"'),
                ("lib/system/a.c", '"port/posix/a.h"'),
                ("lib/unknown/a.c", "<stdint.h>"),
                ("examples/host/a.c", '"system/a.h"'),
                ("bindings/python/a.c", '"base/base.h"')):
            self.assertEqual(len(self.check(path, included)), 1,
                             f"{path}: {included}")

    def test_commented_include_is_none(self):
        layers = style_layers.read_table(TABLE)
        self.assertEqual(style_layers.check(
            layers, "lib/base/a.c", '/*\n#include "view/a.h"\n*/\n'), [])

    def test_bad_tables(self):
        for old, new in (("## Layers", "## Others"),
                         ("| `view` | `base`", "| `view` | `bass`"),
                         ("| `view` | `base` | `channel`",
                          "| `view` | `base channel` | `channel`"),
                         ("| `channel` | `base` |", "| `view` | `base` |"),
                         ("| `base` | nothing | everything |",
                          "| `base` | `view` | `system` |"),
                         ("| no |\n| `view`", "| perhaps |\n| `view`")):
            self.assertIn(old, TABLE)
            with self.assertRaises(ValueError, msg=new):
                style_layers.read_table(TABLE.replace(old, new, 1))

    def test_new_folder_is_seen(self):
        self.assertEqual(
            style_layers.folders_of(["lib/a/x.c", "lib/port/b/x.h",
                                     "lib/a/meson.build", "run"]),
            {"a", "port/b"})


HEADER = """/**
 * Does.
 *
 * @param a  first
 * @param call  second
 *
 * Context: serial, exit; never blocks
 */
ULV_API ulv_status ulv_x(int a[4], void (*call)(int b, int c));
"""


class Docs(unittest.TestCase):
    PATH = "include/ultravisor/x.h"

    def found(self, old, new, words):
        self.assertIn(old, HEADER)
        found = style_docs.check("", self.PATH, HEADER.replace(old, new))
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_good_header(self):
        self.assertEqual(style_docs.check("", self.PATH, HEADER), [])

    def test_docstrings(self):
        self.found("/**", "/*", "no docstring")
        self.found("@param a ", "@param b ", "@param b is no parameter")
        self.found("@param call", "@param a", "twice")
        self.found("Context", "Contexts", "0 lines")
        self.found("serial", "sometimes", "Context: is of")
        self.assertTrue(style_docs.check("", self.PATH,
                                         "ULV_API int ulv_x(void);\n"))

    def test_documents(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "doc"))
            with open(os.path.join(folder, "doc/b.md"), "w",
                      encoding="utf-8") as file:
                file.write("# A heading, here\n")
            good = ("[b](b.md) [h](b.md#a-heading-here) [w](https://x.y/z)\n"
                    "`[no](where.md)` `doc/b.md`\n```\n[no](where.md)\n```\n")
            self.assertEqual(style_docs.check(folder, "doc/a.md", good), [])
            for bad in ("[c](c.md)\n", "[h](b.md#other)\n", "`doc/c.md`\n",
                        "x\n" * 151):
                self.assertEqual(
                    len(style_docs.check(folder, "doc/a.md", bad)), 1, bad)


class Formats(unittest.TestCase):
    def test_a_table_that_differs(self):
        root = os.path.dirname(TESTS)
        text, other = style_formats.read(root)
        self.assertEqual(style_formats.check(root, (text, other)), [])
        row = next(line for line in text.split("\n")
                   if line.startswith("| QUERY, 3"))
        for bad in (text.replace(row, row.replace("16", "20")),
                    text.replace(row + "\n", ""),
                    text.replace("<!-- messages: generated -->", "")):
            self.assertNotEqual(style_formats.check(root, (bad, other)), [])


class Commits(unittest.TestCase):
    def check(self, message):
        return list(style_commits.check(message, {"view", "doc"}))

    def test_good(self):
        self.assertEqual(self.check("view: publish a page\n\nWhy.\n"), [])
        self.assertEqual(self.check("view: CRC of pages\n\nWhy.\n"), [])

    def test_bad(self):
        for subject in ("publish a page", "View: publish", "views: publish",
                        "view: Publish a page", "view: publish.",
                        "view: " + "x" * 67, "view: WIP"):
            self.assertEqual(len(self.check(subject + "\n\nWhy.\n")), 1,
                             subject)
        for body in ("", "\nno empty line\n", "\n\n" + "x" * 81 + "\n",
                     "\n\nTO" + "DO later\n"):
            self.assertEqual(len(self.check("view: publish" + body)), 1, body)

    def test_areas(self):
        self.assertEqual(style_commits.areas(["lib/view/a.c", "run"]),
                         {"view"} | style_commits.OTHER_AREAS)
