# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Makes of the description of the command protocol its header, the table of
the decoder, the same for Python, and the tables of its document.

usage: generate_command.py header|table|python|fields command.toml OUTPUT
       generate_command.py document command.toml DOCUMENT
"""

import re
import sys
import tomllib

SIZES = {"u8": 1, "char": 1, "u16": 2, "u32": 4, "i32": 4, "u64": 8}
C_TYPES = {"u8": "uint8_t", "char": "char", "u16": "uint16_t",
           "u32": "uint32_t", "i32": "int32_t", "u64": "uint64_t"}
OPERATION_BYTES = 88 # of the largest one; all are as large
GENERATED = "/* Generated from lib/command/command.toml: edit that file. */"


class Field:
    def __init__(self, row, offset, structs, where):
        self.name, kind = row[:2]
        self.comment = row[2] if len(row) > 2 else ""
        self.offset = offset
        self.base, count = re.fullmatch(r"(\w+?)(?:\[(\d+)\])?", kind).groups()
        self.count = int(count) if count else None
        self.struct = structs.get(self.base)
        if self.struct is None and self.base not in SIZES:
            sys.exit(f"{where}.{self.name}: no type {self.base}")
        one = self.struct.bytes if self.struct else SIZES[self.base]
        self.align = self.struct.align if self.struct else one
        self.bytes = one * (self.count or 1)
        if offset % self.align != 0:
            sys.exit(f"{where}.{self.name}: a gap before it, at {offset}")


class Struct:
    def __init__(self, name, rows, structs, comment=""):
        self.name, self.comment = name, comment.strip()
        self.fields, self.bytes = [], 0
        for row in rows:
            self.fields.append(Field(row, self.bytes, structs, name))
            self.bytes += self.fields[-1].bytes
        self.align = max(field.align for field in self.fields)
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            sys.exit(f"{name}: a field stands twice")
        if self.bytes % self.align != 0:
            sys.exit(f"{name}: a gap at its end, at {self.bytes}")

    def field(self, path):
        """The field of that name, and its offset; inner ones as outer.name."""
        first, _, rest = path.partition(".")
        found = [field for field in self.fields if field.name == first]
        if not found:
            sys.exit(f"{self.name}: no field {path}")
        if not rest:
            return found[0], found[0].offset
        inner, offset = found[0].struct.field(rest)
        return inner, found[0].offset + offset

    def reserved(self):
        """The offset of the field that has to be zero; 0: there is none."""
        found = [f for f in self.fields if f.name.startswith("rsvd")]
        if len(found) > 1 or any(f.bytes != 4 for f in found):
            sys.exit(f"{self.name}: at most one reserved field, of 4 bytes")
        return found[0].offset if found else 0


class Description:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.raw = tomllib.load(file)
        self.version = self.raw["version"]
        self.constants, self.structs, self.operations = {}, {}, []
        self.parts = [self.part(part) for part in self.raw["part"]]
        self.messages = [self.message(row) for row in self.raw["message"]]
        kinds = [message["kind"] for message in self.messages]
        if len(set(kinds)) != len(kinds):
            sys.exit(f"{path}: a message's kind stands twice")

    def part(self, part):
        if "constants" in part:
            for name, value, *_ in part["values"]:
                if name in self.constants:
                    sys.exit(f"constant {name} stands twice")
                self.constants[name] = value
            return part
        if "struct" in part:
            name = part["struct"]
            self.structs[name] = Struct(name, part["fields"], self.structs,
                                        part.get("comment", ""))
            return self.structs[name]
        for row in part["operations"]:
            struct = Struct("op_" + row["name"].lower(), row["fields"], {},
                            row.get("comment", ""))
            if struct.bytes > OPERATION_BYTES:
                sys.exit(f"{row['name']}: {struct.bytes} bytes")
            self.operations.append((row["name"], row["kind"], struct))
        if len({kind for _, kind, _ in self.operations}) != \
                len(self.operations):
            sys.exit("an operation's kind stands twice")
        self.structs["operation"] = Struct("operation", [
            ["kind", "u32"], ["rsvd_", "u32"],
            ["words", f"u64[{OPERATION_BYTES // 8}]"]], {})
        return part

    def message(self, row):
        struct = self.structs[row["struct"]]
        kind = 0
        for name in row["kind"].split(" | "):
            kind |= self.constants[name]
        message = {"names": row["kind"].split(" | "), "kind": kind,
                   "struct": struct, "bits": [], "conditions": [], "tail": [],
                   "records": ()}
        for name, allowed, *condition in row.get("bits", []):
            message["bits"].append((struct.field(name)[1], allowed))
            message["conditions"] += condition or [""]
        if struct.reserved():
            message["bits"].append((struct.reserved(), 0))
        if "text" in row: # its last byte is zero
            field, offset = struct.field(row["text"])
            message["bits"].append((offset + field.bytes - 4, 0xffffff))
        for name, limit in row.get("tail", []):
            message["tail"].append(
                (name, struct.field(name + "_count")[1],
                 self.constants[limit], self.structs[name]))
        if "records" in row:
            message["records"] = tuple(struct.field(name)[1]
                                       for name in row["records"])
        if len(message["bits"]) > 2 or len(message["tail"]) > 2:
            sys.exit(f"{struct.name}: more to check than the table has room")
        return message


# ---- the header --------------------------------------------------------------

INTRODUCTION = """\
/*
 * The command protocol: what runs over a channel of type COMMAND between a
 * client (the command partition, or a program that asks it) and a server (the
 * ultravisor partition, or the command partition that passes on what policy
 * allows). One message is one ring record, its type is the message kind. All
 * numbers little-endian. doc/formats/command.md has the tables and the rules.
 */
#ifndef ULTRAVISOR_ABI_COMMAND_H
#define ULTRAVISOR_ABI_COMMAND_H

#include <stddef.h>
#include <stdint.h>
"""


def comment_lines(text):
    lines = text.strip().split("\n")
    if lines == [""]:
        return
    if len(lines) == 1:
        yield f"/* {lines[0]} */"
        return
    yield f"/* {lines[0]}"
    yield from (f" * {line}" for line in lines[1:-1])
    yield f" * {lines[-1]} */"


def c_number(value):
    if value >= 1 << 32:
        return f"UINT64_C({value:#x})" if value == (1 << 64) - 1 \
            else f"UINT64_C({value})"
    return f"{value:#x}u" if value in (0x100, 0x205, 0xffffffff) \
        else f"{value}u"


def c_constants(part):
    yield from comment_lines(part["constants"])
    for name, value, *comment in part["values"]:
        after = f" /* {comment[0]} */" if comment and comment[0] else ""
        yield f"#define ULV_{name} {c_number(value)}{after}"


def c_struct(struct):
    yield from comment_lines(struct.comment)
    yield f"struct ulv_{struct.name} {{"
    for field in struct.fields:
        kind = f"struct ulv_{field.base}" if field.struct \
            else C_TYPES[field.base]
        size = f"[{field.count}]" if field.count else ""
        after = f" /* {field.comment} */" if field.comment else ""
        yield f"    {kind} {field.name}{size};{after}"
    yield "};"


def c_operations(description):
    yield "/* operations */"
    for name, kind, _ in description.operations:
        yield f"#define ULV_OP_{name} {kind}u"
    yield ""
    for _, _, struct in description.operations:
        yield from c_struct(struct)
    yield "\nstruct ulv_operation {\n    uint32_t kind; /* ULV_OP_* */"
    yield "    uint32_t rsvd_;\n    union {"
    for _, _, struct in description.operations:
        yield f"        struct ulv_{struct.name} {struct.name[3:]};"
    yield f"        uint64_t words[{OPERATION_BYTES // 8}];"
    yield "    } u;\n};"


def c_asserts(description):
    """Fields leave no gaps, so that the size says where each of them is."""
    yield "#ifndef __cplusplus"
    structs = list(description.structs.values())
    structs += [struct for _, _, struct in description.operations]
    for struct in structs:
        name = f"struct ulv_{struct.name}"
        yield f'_Static_assert(sizeof({name}) == {struct.bytes}, "abi");'
    yield "#endif"


def header(description):
    yield "/* SPDX-License-Identifier: BSD-2-Clause-Patent */"
    yield GENERATED
    yield INTRODUCTION
    yield f"#define ULV_COMMAND_VERSION {description.version}u\n"
    for part in description.parts:
        if isinstance(part, Struct):
            yield from c_struct(part)
        elif "constants" in part:
            yield from c_constants(part)
        else:
            yield from c_operations(description)
        yield ""
    yield from c_asserts(description)
    yield "\n#endif"


# ---- the decoder's table -----------------------------------------------------

def table(description):
    yield "/* SPDX-License-Identifier: BSD-2-Clause-Patent */"
    yield GENERATED
    yield "static const struct message_shape message_shapes[] = {"
    for message in description.messages:
        words = [f".kind = {message['kind']:#x}",
                 f".bytes = {message['struct'].bytes}"]
        for i, (at, allowed) in enumerate(message["bits"]):
            zero = f"{~allowed & 0xffffffff:#x}"
            if message["conditions"][i:i + 1] > [""]:
                zero = f"{message['conditions'][i]} ? {zero} : UINT32_MAX"
            words.append(f".bits[{i}] = {{ .at = {at // 4}, "
                         f".zero = {zero} }}")
        for i, (_, count_at, limit, of) in enumerate(message["tail"]):
            words.append(f".tail[{i}] = {{ .count_at = {count_at // 4}, "
                         f".bytes = {of.bytes}, "
                         f".zero_at = {of.reserved() // 4}, "
                         f".count_max = {limit} }}")
        if message["records"]:
            count_at, bytes_at = message["records"]
            words.append(f".tail[0] = {{ .count_at = {count_at // 4}, "
                         f".bytes_at = {bytes_at // 4}, "
                         ".count_max = 0xffff }")
        yield "    { " + ",\n      ".join(words) + " },"
    yield "};"


# ---- Python ------------------------------------------------------------------

LETTERS = {"u8": "B", "u16": "H", "u32": "I", "i32": "i", "u64": "Q"}


def python_fields(struct):
    """(name, format of the module struct, how many) with nested ones in
    place, their names after a dot."""
    for field in struct.fields:
        if field.struct:
            for name, letters, count in python_fields(field.struct):
                yield f"{field.name}.{name}", letters, count
        elif field.base == "char" or (field.base == "u8" and field.count):
            yield field.name, f"{field.bytes}s", 1
        else:
            yield field.name, LETTERS[field.base] * (field.count or 1), \
                field.count or 1


def python(description):
    yield "# SPDX-License-Identifier: BSD-2-Clause-Patent"
    yield "# Generated from lib/command/command.toml: edit that file."
    yield f"VERSION = {description.version}"
    yield "CONSTANTS = {"
    for name, value in description.constants.items():
        yield f"    {name!r}: {value},"
    yield "}\nSTRUCTS = { # name: (field, format, count) in order"
    for struct in description.structs.values():
        yield f"    {struct.name!r}: {tuple(python_fields(struct))!r},"
    yield "}\nOPERATIONS = { # name: (kind, fields)"
    for name, kind, struct in description.operations:
        yield f"    {name!r}: ({kind}, {tuple(python_fields(struct))!r}),"
    yield "}\nMESSAGES = { # kind: what stands in it, by offset"
    for message in description.messages:
        tail = [(name, count_at, limit, of.bytes, of.reserved())
                for name, count_at, limit, of in message["tail"]]
        row = {"struct": message["struct"].name,
               "bytes": message["struct"].bytes,
               "bits": message["bits"], "records": message["records"],
               "tail": tail}
        yield f"    {message['kind']:#x}: {row!r},"
    yield "}"


# ---- the document ------------------------------------------------------------

def places(struct, begin, comments):
    """name offset:size, ... of a struct that begins there."""
    return ", ".join(f"`{field.name}` {field.offset + begin}:{field.bytes}" +
                     (f" ({field.comment})" if comments and field.comment
                      else "")
                     for field in struct.fields
                     if not field.name.startswith("rsvd"))


def message_title(description, message):
    names = [name.split("_", 1)[1] for name in message["names"]]
    kind = f"{message['kind']:#x}" if message["kind"] > 255 \
        else str(message["kind"])
    if names[-1] == "ANSWER":
        return f"{names[0]}'s answer, {kind}"
    return f"{names[0]}, {kind}"


def document_messages(description):
    yield "| message | offset | size | field | |"
    yield "|---|---:|---:|---|---|"
    first = description.structs["message"]
    for field in first.fields:
        title = "every one" if field.offset == 0 else ""
        yield (f"| {title} | {field.offset} | {field.bytes} | {field.name} "
               f"| {field.comment} |")
    for message in description.messages:
        title = message_title(description, message)
        for field in message["struct"].fields[1:]:
            if field.name.startswith("rsvd"):
                continue
            yield (f"| {title} | {field.offset} | {field.bytes} "
                   f"| {field.name} | {field.comment} |")
            title = ""
        at = str(message["struct"].bytes)
        for name, _, limit, of in message["tail"]:
            yield (f"| {title} | {at} | {of.bytes} each | {name}s "
                   f"| at most {limit} |")
            at = "then"
        if message["records"]:
            yield f"| {title} | {at} | record_bytes each | records | |"


def document_operations(description):
    yield "| kind | name | fields (offset:size) |"
    yield "|---:|---|---|"
    for name, kind, struct in description.operations:
        yield f"| {kind} | {name} | {places(struct, 8, True)} |"


def records(description):
    """(kind, its name, name of one, struct) of what queries answer with"""
    for name, kind in description.constants.items():
        if not name.startswith("QUERY_"):
            continue
        singular = {"PARTITIONS": "partition", "CHANNELS": "channel",
                    "DEVICES": "device", "PROCESSORS": "processor",
                    "EXTENTS": "extent", "ZONES": "zone", "LABELS": "label",
                    "QUOTAS": "quota", "RANGES": "range",
                    "SHARES": "share"}.get(
                        name[6:], name[6:].lower())
        yield (kind, name[6:].lower(), singular,
               description.structs[singular + "_record"])


def document_records(description):
    yield "| kind | records | bytes | fields (offset:size) |"
    yield "|---:|---|---:|---|"
    for kind, _, singular, struct in records(description):
        yield (f"| {kind} | {singular} | {struct.bytes} "
               f"| {places(struct, 0, False)} |")


# ---- the fields of records, for what writes them as text ---------------------

def fields(description):
    yield GENERATED
    for _, name, _, struct in records(description):
        yield f"static const struct record_field {name}_fields[] = {{"
        for field in struct.fields:
            if not field.name.startswith("rsvd"):
                yield (f'    {{ "{field.name}", {field.offset}, '
                       f"FIELD_{field.base.upper()}, {field.count or 1} }},")
        yield "};"
    yield "static const struct record_kind record_kinds[] = {"
    for kind, name, _, struct in records(description):
        yield (f'    [{kind}] = {{ "{name}", {struct.bytes}, {name}_fields, '
               f"ULV_COUNT_OF({name}_fields) }},")
    yield "};"


def document_numbers(description):
    yield "| what | numbers |"
    yield "|---|---|"
    others = []
    for part in description.raw["part"]:
        values = [f"{name} {value:#x}" if value >= 1 << 31
                  else f"{name} {value}"
                  for name, value, *_ in part.get("values", [])]
        if part.get("constants") == "":
            others += values
        elif values and not values[0].startswith(("MESSAGE", "QUERY")):
            yield f"| {part['constants'].rstrip('.')} | {', '.join(values)} |"
    yield f"| others | {', '.join(others)} |"


TABLES = {"messages": document_messages, "operations": document_operations,
          "records": document_records, "numbers": document_numbers}


def document(description, text):
    """The text with those tables that it has as the description has them:
    each follows a line that names it."""
    for name, rows in TABLES.items():
        wanted = f"<!-- {name}: generated -->\n\n" + "\n".join(
            rows(description)) + "\n\n"
        pattern = rf"<!-- {name}: generated -->\n\n(?:\|.*\n)*\n?"
        text, _ = re.subn(pattern, lambda _, new=wanted: new, text)
    return text


def main():
    kind, path, output = sys.argv[1:]
    description = Description(path)
    if kind == "document":
        with open(output, encoding="utf-8") as file:
            text = document(description, file.read())
    else:
        make = {"header": header, "table": table, "python": python,
                "fields": fields}[kind]
        text = "\n".join(make(description)) + "\n"
    with open(output, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
