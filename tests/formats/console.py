# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Both ends of a console, written from doc/formats/console.md alone."""

import mmap
import struct

import channel

TYPE = bytes.fromhex("8e2d50611c0b4d3e9b55523a5b617002")
OUTPUT, INPUT = 1, 2
HAS_INPUT = 1
MOST = 1024
CONSOLE_OFFSET, INPUT_OFFSET = 16 // 8, 48 // 8  # words of a takeover region


class Unsupported(Exception):
    """The server gives no input."""


def unread(payload, expected):
    """What of a record was not read before."""
    if not 8 < len(payload) <= 8 + MOST:
        raise channel.Damaged("the length of a piece")
    offset, = struct.unpack_from("<Q", payload)
    if offset > expected:
        raise channel.Damaged("a gap")
    return payload[8 + expected - offset:]


class Client(channel.Channel):
    def __init__(self, memory, own_bell, peer_bell):
        super().__init__(memory, own_bell, peer_bell, channel.CLIENT, TYPE,
                         features=HAS_INPUT)
        self.said = self.heard = 0

    def say(self, data):
        """At most MOST bytes; channel.Full: nothing of it."""
        self.send(OUTPUT, struct.pack("<Q", self.said) + data)
        self.said += len(data)

    def read(self):
        """What is there now, or None."""
        found = self.receive()
        if found is None:
            if self.state(channel.SERVER) == channel.ATTACHED and \
                    not self.peer_features() & HAS_INPUT:
                raise Unsupported
            return None
        kind, payload = found
        if kind != INPUT:
            raise channel.Damaged("the type of a record")
        data = unread(payload, self.heard)
        self.heard += len(data)
        return data


class Server(channel.Channel):
    """typed(offset, most): bytes of the input from there on; said(offset,
    data): takes output."""

    def __init__(self, memory, own_bell, peer_bell, region, typed, said):
        super().__init__(memory, own_bell, peer_bell, channel.SERVER, TYPE,
                         features=HAS_INPUT)
        self.page = mmap.mmap(region, 4096)
        self.region = memoryview(self.page).cast("Q")
        self.typed, self.said = typed, said

    def take_output(self):
        """Whether there was some."""
        found = self.peek()
        if found is None:
            return False
        kind, payload = found
        if kind != OUTPUT:
            raise channel.Damaged("the type of a record")
        at = self.region[CONSOLE_OFFSET]
        data = unread(payload, at)
        self.said(at, data)
        self.region[CONSOLE_OFFSET] = at + len(data)
        self.receive()
        return True

    def give_input(self):
        if not self.peer_features() & HAS_INPUT:
            return False
        at = self.region[INPUT_OFFSET]
        data = self.typed(at, MOST)
        if not data:
            return False
        try:
            self.send(INPUT, struct.pack("<Q", at) + data)
        except channel.Full:
            return False
        self.region[INPUT_OFFSET] = at + len(data)
        return True

    def close(self):
        self.region.release()
        self.page.close()
        super().close()
