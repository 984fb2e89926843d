# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Random databases: what a reader of their journals, written from the document
alone, finds there, beside what the database itself says."""

import os
import struct
import subprocess
import sys
import unittest

import _command  # the description of the command protocol
import journal

PROGRAM = sys.argv.pop()
STATES = os.environ.get("ULTRAVISOR_STATES", "100")
KINDS = {"partition": 1, "channel": 2, "device": 3, "processor": 4,
         "memory": 5, "log": 6, "extent": 7, "zone": 9, "label": 10,
         "quota": 11, "range": 12, "hardware": 13, "retired": 14}
IDLE = 1
DEDICATED = 1
GUEST = 0


def record_of(name, data):
    """By the description of the command protocol."""
    found, at = {}, 0
    for field, letters, count in _command.STRUCTS[name + "_record"]:
        values = struct.unpack_from("<" + letters, data, at)
        at += struct.calcsize("<" + letters)
        value = values if count > 1 else values[0]
        if isinstance(value, bytes) and field not in ("type", "instance"):
            value = journal.text(value)
        if not field.startswith("rsvd"):
            found[field] = value
    return found


def states(stream):
    """(objects of the storage, what queries said by kind)"""
    while length := stream.read(8):
        objects = []
        for number in range(4):
            if number:
                length = stream.read(8)
            objects.append(stream.read(struct.unpack("<Q", length)[0]))
        said = {}
        while True:
            kind, size, count = struct.unpack("<III", stream.read(12))
            if kind == 0:
                break
            said[kind] = [stream.read(size) for _ in range(count)]
        yield objects, said


def bits(number):
    return bin(number).count("1")


class Expected:
    """Records as queries show them, from a journal."""

    def __init__(self, found):
        self.found = found
        self.extents, self.channels = found.of("extent"), found.of("channel")
        self.partitions = found.of("partition")
        self.taken, self.sharing, self.owner = {}, {}, {}
        for partition in self.partitions:
            for processor, quanta, _, mode in partition["shares"]:
                self.taken[processor] = self.taken.get(processor, 0) | quanta
                self.sharing[processor] = self.sharing.get(processor, 0) + 1
                if mode == DEDICATED:
                    self.owner[processor] = partition["id"]

    def partition(self, r):
        mine = [e for e in self.extents if e["partition"] == r["id"]]
        ends = [c for c in self.channels
                for end in ("server", "client") if c[end] == r["id"]]
        return {"memory_bytes": sum(e["bytes"] for e in mine),
                "processor_count": len(r["shares"]),
                "channel_count": len(ends)}

    def processor(self, r):
        owner = self.owner.get(r["id"], IDLE)
        idle = 64 - bits(self.taken.get(r["id"], 0))
        return {"owner": owner, "mode": int(owner != IDLE),
                "share_count": self.sharing.get(r["id"], 0),
                "idle_quanta": idle if owner == IDLE and not r["retired"]
                else 0}

    def memory(self, r):
        gone = r["gone_blocks"] << 21
        first, end = r["base"], r["base"] + r["bytes"] - gone
        broken = [(max(x["frame"], first), min(x["frame"] + x["bytes"], end))
                  for x in self.found.of("retired")]
        return {"gone_bytes": gone,
                "free_bytes": end - first - self.had(first, end) -
                sum(b - a - self.had(a, b) for a, b in broken if a < b)}

    def had(self, first, end):
        """Bytes of these frames that somebody has."""
        return sum(max(0, min(end, thing["frame"] + thing["bytes"]) -
                       max(first, thing["frame"]))
                   for thing in self.extents + self.channels)

    def retired(self, r):
        return {"pending_bytes": self.had(r["frame"], r["frame"] + r["bytes"])}

    def channel(self, _):
        return {"state": (0, 0)}  # nobody looked into its header

    def record(self, r):
        more = getattr(self, r["record"], None)
        return r | (more(r) if more else {})


class Agrees(unittest.TestCase):
    def compare(self, name, said, expected):
        self.assertEqual(len(said), len(expected), name)
        for data, mine in zip(said, expected):
            for field, value in record_of(name, data).items():
                if field == "used":
                    continue  # sums of the whole
                self.assertEqual(mine[field], value, (name, field, mine))

    def check(self, objects, said):
        checkpoint, _, *segments = objects
        found = journal.Journal(checkpoint, segments)
        expected = Expected(found)
        for name, kind in KINDS.items():
            if name == "log":
                self.assertEqual([found.log[n] for n in sorted(found.log)],
                                 said[kind])
            else:
                of = "partition" if name == "quota" else name
                self.compare(name, said[kind],
                             [expected.record(r) for r in found.of(of)])
        self.assertEqual(found.revision, max(found.log))
        return found

    def test_random_states(self):
        count, damaged, seen = 0, 0, set()
        with subprocess.Popen([PROGRAM, STATES],
                              stdout=subprocess.PIPE) as process:
            for objects, said in states(process.stdout):
                found = self.check(objects, said)
                seen |= {r["record"] for r in found.records.values()}
                damaged += count % 50 == 0 and self.refuses(objects)
                count += 1
        self.assertEqual(process.returncode, 0)
        self.assertEqual(count, int(STATES))
        seen.discard("retired") # which are few
        self.assertEqual(seen, set(KINDS) - {"log", "quota", "retired"})
        print(f"# {count} states, {damaged} damaged ones refused")

    def refuses(self, objects):
        """One byte of the checkpoint is another."""
        checkpoint, _, *segments = objects
        at = len(checkpoint) // 2
        other = bytearray(checkpoint)
        other[at] ^= 1
        with self.assertRaises(journal.Damaged):
            journal.Journal(bytes(other), segments)
        return True


if __name__ == "__main__":
    unittest.main()
