# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The C library as cffi sees it, and how its errors become exceptions."""

import builtins
import collections
import os
import re

import cffi

from . import _abi

ffi = cffi.FFI()
ffi.cdef(_abi.DECLARATIONS)
lib = ffi.dlopen(os.environ.get("ULTRAVISOR_LIBRARY", "libultravisor.so.0"))
C = collections.namedtuple("C", _abi.CONSTANTS)(**_abi.CONSTANTS)


class Error(Exception):
    """What the library refused: status (negative), object, value, bound."""

    def __init__(self, status, diag):
        super().__init__(text(diag.text) or f"status {status}")
        self.status = status
        self.object, self.value, self.bound = (diag.object, diag.value,
                                               diag.bound)


def text(array):
    return ffi.string(array).decode("utf-8", "replace")


def size(value):
    """Bytes of "256M", "1GiB" or a number."""
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)(?:i?B)?", str(value).strip())
    if not match:
        raise ValueError(f"not a size: {value!r}")
    return int(match.group(1)) << 10 * " KMGT".index(match.group(2) or " ")


def checked(function, *arguments):
    """Call with a diagnostic as the last argument; raise what it says."""
    diag = ffi.new("struct ulv_diag *", {"size": ffi.sizeof("struct ulv_diag")})
    status = function(*arguments, diag)
    if status != 0:
        raise Error(status, diag)


def backends():
    """(name, None or why it cannot be used) of each backend built in."""
    found, name = [], ffi.new("const char **")
    while True:
        diag = ffi.new("struct ulv_diag *",
                       {"size": ffi.sizeof("struct ulv_diag")})
        status = lib.ulv_backend_probe(lib.ulv_posix_host(), len(found), name,
                                       diag)
        if status == C.ULV_E_NOT_FOUND:
            return found
        found.append((text(name[0]), None if status == 0 else text(diag.text)))


def compile_policy(path=None, text=None):
    """A compiled policy from a JSON file, or from a text."""
    if text is None:
        with builtins.open(path, "rb") as file:
            text = file.read()
    elif isinstance(text, str):
        text = text.encode()
    policy = ffi.new("struct ulv_policy *")
    checked(lib.ulv_policy_compile, os.fsencode(path or "policy"), text,
            len(text), policy)
    return policy
