# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An ISO that boots one image by GRUB, over Multiboot2.

usage: make_iso.py GRUB-MKRESCUE IMAGE.elf OUTPUT.iso
"""

import os
import shutil
import subprocess
import sys
import tempfile

CONFIGURATION = """set timeout=0
multiboot2 /boot/image.elf
boot
"""


def main(mkrescue, image, output):
    with tempfile.TemporaryDirectory() as tree:
        os.makedirs(os.path.join(tree, "boot/grub"))
        shutil.copy(image, os.path.join(tree, "boot/image.elf"))
        with open(os.path.join(tree, "boot/grub/grub.cfg"), "w",
                  encoding="ascii") as file:
            file.write(CONFIGURATION)
        made = subprocess.run(
            [mkrescue, "-o", output, "--install-modules=multiboot2 normal",
             "--locales=", "--themes=", "--fonts=", tree], check=False,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if made.returncode != 0:
        sys.exit(made.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
