# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots the image of the conformance kit, and prints what it says as TAP.

usage: conformance.py IMAGE OPTION_ROM MODEL
"""

import os
import re
import sys

import bochs


def main():
    image, rom = (os.path.abspath(path) for path in sys.argv[1:3])
    model = sys.argv[3]
    if bochs.missing():
        print("1..0 # SKIP", bochs.missing())
        return 0
    result = bochs.run(bochs.Image(flat=image, rom=rom), model=model,
                       seconds=240)
    said = [line for line in result.lines()
            if re.match(r"(not )?ok |# |1\.\.", line)]
    print("\n".join(said))
    if result.code != 0 or len(said) != len(result.lines()):
        print(f"Bail out! code {result.code}, {result.seconds:.0f} s:",
              result.lines()[-1:], result.log[-2000:].replace("\n", " "))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
