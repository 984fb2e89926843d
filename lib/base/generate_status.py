# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Generates the status header, the status table and the manual's table.

usage: generate_status.py header|source|manual status.toml OUTPUT
"""

import sys
import tomllib

CLASSES = ("expected", "caller", "peer", "limit", "host", "internal")


def load(path):
    with open(path, "rb") as file:
        statuses = tomllib.load(file)["status"]
    codes = [s["code"] for s in statuses]
    names = [s["name"] for s in statuses]
    if len(set(codes)) != len(codes) or len(set(names)) != len(names):
        sys.exit(f"{path}: a code or a name stands twice")
    for s in statuses:
        if s["class"] not in CLASSES:
            sys.exit(f"{path}: {s['name']}: unknown class {s['class']}")
    return sorted(statuses, key=lambda s: s["code"])


def header(statuses):
    yield "/* SPDX-License-Identifier: BSD-2-Clause-Patent */"
    yield "/* Generated from lib/base/status.toml: edit that file. */"
    yield "#ifndef ULTRAVISOR_STATUS_H\n#define ULTRAVISOR_STATUS_H\n"
    yield "#include <stdint.h>\n"
    yield "#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
    yield "/* 0 or a negative ULV_E_*; never positive. */"
    yield "typedef int32_t ulv_status;\n"
    yield "#define ULV_OK 0"
    for s in statuses:
        yield f"/* {s['text']} */"
        yield f"#define ULV_E_{s['name']} (-{s['code']})"
    yield "\n/* Who acts on a status: ulv_status_class(). */"
    for i, name in enumerate(CLASSES, 1):
        yield f"#define ULV_CLASS_{name.upper()} UINT32_C({i})"
    yield "\n#ifdef __cplusplus\n}\n#endif\n\n#endif"


def source(statuses):
    yield "/* SPDX-License-Identifier: BSD-2-Clause-Patent */"
    yield "/* Generated from lib/base/status.toml: edit that file. */"
    yield "static const struct status_row status_rows[] = {"
    for s in statuses:
        yield (f'    {{ ULV_E_{s["name"]}, ULV_CLASS_{s["class"].upper()}, '
               f'"ULV_E_{s["name"]}",\n      "{s["text"]}",\n'
               f'      "{s["remedy"]}" }},')
    yield "};"


def manual(statuses):
    yield "| status | code | class | what happened | what to do |"
    yield "|---|---:|---|---|---|"
    for s in statuses:
        yield (f"| `ULV_E_{s['name']}` | -{s['code']} | {s['class']} "
               f"| {s['text']} | {s['remedy']} |")


def main():
    kind, registry, output = sys.argv[1:]
    lines = {"header": header, "source": source, "manual": manual}[kind]
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join(lines(load(registry))) + "\n")


main()
