# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The messages of Python and those of C are the same bytes, and both find the
same of them wrong.

usage: tap.py test_codec.py LIBRARY
"""

import ctypes
import random
import struct
import sys
import unittest

from ultravisor import command

C = ctypes.CDLL(sys.argv[1])
OK, PEER_LENGTH, PEER_PROTOCOL = 0, -40, -42


def judge(data):
    """What C says of a message, as a request or as an answer."""
    memory = (ctypes.c_uint64 * (len(data) // 8 + 1))()
    ctypes.memmove(memory, data, len(data))
    request = (ctypes.c_uint64 * 16)()
    kind = struct.unpack_from("<H", data, 4)[0] if len(data) >= 6 else 0
    if kind >= 0x100:
        return C.ulv_command_decode_answer(memory, ctypes.c_size_t(len(data)))
    return C.ulv_command_decode(memory, ctypes.c_size_t(len(data)), request)


def judge_here(data):
    try:
        command.decode(data)
    except command.MessageError as error:
        return PEER_LENGTH if error.length else PEER_PROTOCOL
    return OK


def messages():
    """One of each kind, with all that can follow it."""
    precondition = command.record("precondition", object=5, version=6)
    create = command.operation("CREATE_PARTITION", id=7, name="web")
    record = command.record("partition_record", id=7, name="web")
    yield command.encode(1, 1, session=bytes(range(16)))
    yield command.encode(2, 2, [[precondition] * 3, [create] * 2], options=1,
                         deadline=9, more=700)
    yield command.encode(3, 3, kind=1, after=4)
    yield command.encode(4, 4, target=2)
    yield command.encode(5, 5, after=2 ** 64 - 1, partition=7, kinds=2)
    yield command.encode(6, 6, what=1, kinds=2, cursor=3, partition=4)
    yield command.encode(7, 2, [[create] * 2])
    yield command.encode(0x101, 1, lease_first=65536, revision=3)
    yield command.encode(0x102, 2, status=-23, text="no")
    yield command.encode(0x103, 3, [[record] * 2],
                         record_bytes=len(record), record_count=2)
    yield command.encode(0x104, 4, status=-1)
    yield command.encode(0x105, 5, after=10)
    yield command.encode(0x106, 6, [[record] * 2], kind=1,
                         record_bytes=len(record), record_count=2)
    yield command.encode(0x205, 5, sequence=11, more=1,
                         **{"change.revision": 11, "change.object": 7})


class Codec(unittest.TestCase):
    def test_golden_bytes(self):
        self.assertEqual(
            command.encode(2, 0x1122334455667788, [[], [command.operation(
                "SET_INTENT", partition=3, intent=1, image=9)]], deadline=5),
            bytes.fromhex(
                "88000000 0200 0100 8877665544332211 00000000 00000000"
                "01000000 00000000 0500000000000000"
                "0d000000 00000000 0300000000000000 01000000 00000000"
                "0900000000000000") + bytes(64))

    def test_each_is_understood(self):
        kinds, record = set(), command.record("partition_record")
        for data in messages():
            fields, follows = command.decode(data)
            kinds.add(fields["m.kind"])
            self.assertEqual(judge(data), OK)
            self.assertEqual(fields["m.bytes"], len(data))
            for size in {len(one) for one in follows}:
                self.assertIn(size, (16, 96, len(record)))
        self.assertEqual(kinds, {1, 2, 3, 4, 5, 0x101, 0x102, 0x103, 0x104,
                                 0x105, 6, 7, 0x106, 0x205})

    def test_every_flipped_bit(self):
        for data in messages():
            for bit in range(8 * len(data)):
                bad = bytearray(data)
                bad[bit // 8] ^= 1 << bit % 8
                self.assertEqual(judge_here(bytes(bad)), judge(bytes(bad)),
                                 (data.hex(), bit))

    def test_random_bytes(self):
        seed = random.Random(4711)
        whole = list(messages())
        refused = 0
        for _ in range(20000):
            data = bytearray(seed.choice(whole))
            for _ in range(seed.randrange(1, 4)):
                data[seed.randrange(len(data))] = seed.randrange(256)
            if seed.randrange(3) == 0:
                del data[seed.randrange(len(data)):]
            if len(data) >= 4 and seed.randrange(3) != 0:
                struct.pack_into("<I", data, 0, len(data))
            here = judge_here(bytes(data))
            self.assertEqual(here, judge(bytes(data)), data.hex())
            refused += here != OK
        self.assertGreater(refused, 5000)
