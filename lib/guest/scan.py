# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Looks for the x86 instructions that are sensitive but unprivileged: above
ring 0 they neither trap nor behave as at ring 0, so a guest avoids them.

usage: scan.py IMAGE [REPORT.json]

Exit code 1 if the image has any; each is named with its address and symbol.
Source: Robin and Irvine, USENIX Security 2000; Intel SDM vol. 2. Disassembled
by objdump.
"""

import json
import re
import subprocess
import sys

SEGMENT = r"%(?:cs|ds|es|fs|gs|ss)"
SENSITIVE = re.compile(
    r"^(?:(?:sgdt|sidt|sldt|smsw|str|lar|lsl|verr|verw)[bwlq]?\b"
    r"|pushf[wlq]?\b|popf[wlq]?\b|iret[wlq]?\b|lret|retf|lcall|ljmp"
    r"|int\s|int3|into"
    rf"|(?:push|pop)[wlq]?\s+{SEGMENT}$"
    rf"|mov[wlq]?\s+(?:{SEGMENT},|.*,{SEGMENT}$))")


def scan(image):
    """(number of instructions, [(address, symbol, text)])"""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", "-w", image], check=True,
        capture_output=True, text=True).stdout
    count, found, symbol = 0, [], ""
    for line in listing.splitlines():
        label = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if label:
            symbol = label.group(1)
            continue
        code = re.match(r"^\s*([0-9a-f]+):\t(.+)$", line)
        if not code:
            continue
        count += 1
        text = re.sub(r"^(?:(?:rep|repz|lock|data16|cs|ds|es|fs|gs|ss)\s+)+",
                      "", code.group(2).split("#")[0].strip())
        if SENSITIVE.match(text):
            found.append((int(code.group(1), 16), symbol, text))
    return count, found


def main():
    image = sys.argv[1]
    count, found = scan(image)
    for address, symbol, text in found:
        print(f"{image}: {address:#x} in {symbol}: {text}")
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            json.dump({"image": image.rsplit("/", 1)[-1],
                       "instructions": count,
                       "sensitive": [{"address": a, "symbol": s, "text": t}
                                     for a, s, t in found]}, file)
    if count == 0:
        sys.exit(f"{image}: no instructions found")
    if found:
        sys.exit(1)
    print(f"{image}: {count} instructions, none sensitive but unprivileged")


main()
