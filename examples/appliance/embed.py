#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Makes images part of a program, without their symbols.

usage: embed.py OBJCOPY OUTPUT.S IMAGE.elf...

For NAME.elf: const uint8_t embedded_NAME[], embedded_NAME_end[].
"""

import pathlib
import subprocess
import sys

objcopy, output, *images = sys.argv[1:]
output = pathlib.Path(output)
lines = ["/* made by embed.py */", ".section .rodata"]
for image in map(pathlib.Path, images):
    stripped = output.with_name(f"{output.stem}-{image.stem}").resolve()
    subprocess.run([objcopy, "--strip-all", image, stripped], check=True)
    symbol = f"embedded_{image.stem}"
    lines += [".balign 16", f".globl {symbol}, {symbol}_end", f"{symbol}:",
              f'.incbin "{stripped}"', f"{symbol}_end:"]
lines += ['.section .note.GNU-stack, "", @progbits', ""]
output.write_text("\n".join(lines), encoding="ascii")
