# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The loadable bytes of an ELF program as they lie in memory, from its lowest
address on, in whole sectors.

usage: flatten.py [--rom] PROGRAM.elf OUTPUT

--rom: the last byte makes the sum of all zero.
"""

import struct
import sys

LOAD = 1
SECTOR = 512


def flatten(elf):
    """Without what the file does not hold (.bss at the end)."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    table, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    pieces = []
    for n in range(count):
        kind, _, offset, address, _, length = struct.unpack_from(
            "<IIQQQQ", elf, table + n * size)
        if kind == LOAD and length:
            pieces.append((address, elf[offset:offset + length]))
    start = min(address for address, _ in pieces)
    flat = bytearray()
    for address, piece in sorted(pieces):
        if len(flat) > address - start:
            raise ValueError("segments overlap")
        flat += bytes(address - start - len(flat)) + piece
    return flat


def main(arguments):
    is_rom = arguments[0] == "--rom"
    program, output = arguments[is_rom:]
    with open(program, "rb") as file:
        flat = flatten(file.read())
    flat += bytes(-len(flat) % SECTOR)
    if is_rom:
        if len(flat) != flat[2] * SECTOR or flat[-1]:
            raise ValueError(f"{program}: {len(flat)} bytes are no option ROM")
        flat[-1] = -sum(flat) % 256
    with open(output, "wb") as file:
        file.write(flat)


if __name__ == "__main__":
    main(sys.argv[1:])
