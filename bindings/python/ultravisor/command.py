# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Messages of the command protocol as bytes and back, by the same description
as the library's own: doc/formats/command.md. For tools that speak it."""

import struct

from ultravisor import _command

CONSTANTS = _command.CONSTANTS


class MessageError(ValueError):
    """What is no message. length: lengths or counts do not agree."""

    def __init__(self, text, length=False):
        super().__init__(text)
        self.length = length


def _pack(fields, values):
    out = b""
    for name, letters, count in fields:
        value = values.pop(name, b"" if letters.endswith("s") else 0)
        if isinstance(value, str):
            value = value.encode()
        out += struct.pack("<" + letters, *(value or (0,) * count)) \
            if count > 1 else struct.pack("<" + letters, value)
    if values:
        raise KeyError(", ".join(values))
    return out


def _unpack(fields, data, offset=0):
    found = {}
    for name, letters, count in fields:
        values = struct.unpack_from("<" + letters, data, offset)
        found[name] = values if count > 1 else values[0]
        offset += struct.calcsize("<" + letters)
    return found


def operation(name, /, **values):
    """One operation of a transaction."""
    kind, fields = _command.OPERATIONS[name]
    return struct.pack("<II", kind, 0) + _pack(fields, values).ljust(88, b"\0")


def record(name, /, **values):
    """One of what follows a message: precondition, partition_record, ..."""
    return _pack(_command.STRUCTS[name], values)


def encode(kind, request, tails=(), /, **values):
    """A message; tails: lists of what follows it, as bytes each."""
    shape = _command.MESSAGES[kind]
    for (name, *_), tail in zip(shape["tail"], tails):
        values[name + "_count"] = len(tail)
    follows = b"".join(b"".join(tail) for tail in tails)
    values |= {"m.bytes": shape["bytes"] + len(follows), "m.kind": kind,
               "m.version": _command.VERSION, "m.request": request}
    return _pack(_command.STRUCTS[shape["struct"]], values) + follows


def _tails(shape, data):
    """(count, bytes of each, offset of a word that is zero in each)."""
    for _, count_at, limit, size, zero_at in shape["tail"]:
        count, = struct.unpack_from("<I", data, count_at)
        if count > limit:
            raise MessageError(f"{count}, {limit} allowed", True)
        yield count, size, zero_at
    if shape["records"]:
        yield *(struct.unpack_from("<I", data, at)[0]
                for at in shape["records"]), 0


def decode(data):
    """The fields of a message, and a list of what follows it, as bytes."""
    if len(data) < 16 or struct.unpack_from("<I", data)[0] != len(data):
        raise MessageError("its length is not what it says", True)
    kind, version = struct.unpack_from("<HH", data, 4)
    if version != _command.VERSION or kind not in _command.MESSAGES:
        raise MessageError(f"kind {kind:#x}, version {version}")
    shape = _command.MESSAGES[kind]
    if len(data) < shape["bytes"]:
        raise MessageError("it is cut short", True)
    tails = list(_tails(shape, data))
    if shape["bytes"] + sum(n * size for n, size, _ in tails) != len(data):
        raise MessageError("it is not as long as what it counts", True)
    for at, allowed in shape["bits"]:
        if struct.unpack_from("<I", data, at)[0] & ~allowed & 0xffffffff:
            raise MessageError(f"bits at {at} that have to be zero")
    at, follows = shape["bytes"], []
    for count, size, zero_at in tails:
        for _ in range(count):
            follows.append(data[at:at + size])
            if zero_at and any(data[at + zero_at:at + zero_at + 4]):
                raise MessageError(f"reserved bytes at {at + zero_at}")
            at += size
    return _unpack(_command.STRUCTS[shape["struct"]], data), follows
