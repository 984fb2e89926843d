# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The flat image and the option ROM that are made of ELF programs."""

import os
import struct
import unittest


def content(name):
    with open(os.environ[name], "rb") as file:
        return file.read()


class Flatten(unittest.TestCase):
    def test_option_rom(self):
        """As BIOS Boot Specification 1.01, 3.3 wants it."""
        rom = content("ULTRAVISOR_OPTION_ROM")
        self.assertEqual(len(rom), 2048)
        self.assertEqual(rom[:3], b"\x55\xaa\x04")
        self.assertEqual(sum(rom) % 256, 0)

    def test_multiboot2_header(self):
        """Aligned, within the first 32 KiB, its checksum right."""
        image = content("ULTRAVISOR_APPLIANCE")
        self.assertEqual(len(image) % 512, 0)
        at = image.index(struct.pack("<I", 0xe85250d6))
        self.assertEqual(at % 8, 0)
        self.assertLess(at, 32768)
        magic, architecture, length, checksum = struct.unpack_from(
            "<IIII", image, at)
        self.assertEqual((magic + architecture + length + checksum) % 2**32, 0)
        self.assertEqual(architecture, 0)
        self.assertEqual(struct.unpack_from("<HHI", image, at + length - 8),
                         (0, 0, 8))
