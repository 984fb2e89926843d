# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An end of a channel, written from doc/formats/channel.md and admission.md
alone.

Shared memory is written by x86: stores are seen in their order, and a word of a
memoryview of format Q is one store. What the document calls a full fence is a
lock that is taken and given back: a locked instruction."""

import mmap
import os
import select
import socket
import struct
import threading

MAGIC = int.from_bytes(b"ULV_CHN1", "little")
ADMISSION = struct.Struct("<8sIIQQ16s")
SERVER, CLIENT = 0, 1
DETACHED, DISABLED, ATTACHING, ATTACHED, FAILED, REVOKED = range(6)
PAD = 0xffffffff
WORD = 1 << 64
LINE = 256  # of the header: that of end 0; 64 bytes each
COMMAND = bytes.fromhex("8e2d50611c0b4d3e9b55523a5b617003")

_lock = threading.Lock()


def fence():
    with _lock:
        pass


class Gone(Exception):
    """Nobody is at the other end, or it was taken away."""


class Damaged(Exception):
    """No peer that keeps to the format writes this."""


class Full(Exception):
    """No room; the peer was asked to ring."""


def reaches(at, looked, to):
    return (at - looked - 1) % WORD < (to - looked) % WORD


def _align(number):
    return (number + 7) & ~7


class _Ring:
    def __init__(self, channel, number):
        control, data, size = struct.unpack_from("<QQQ", channel.bytes,
                                                 72 + 24 * number)
        if not (4096 <= size <= 1 << 24 and size & (size - 1) == 0
                and control % 64 == 0 and data % 64 == 0
                and 4096 <= control <= len(channel.bytes) - 256
                and 4096 <= data <= len(channel.bytes) - size):
            raise Damaged(f"ring {number}")
        self.bytes, self.words = channel.bytes, channel.words
        self.data, self.size = data, size
        self.tail, self.space_at, self.head, self.data_at = (
            (control + 64 * line) // 8 for line in range(4))
        tail, head = self.words[self.tail], self.words[self.head]
        if tail % 8 or head % 8 or (tail - head) % WORD > size:
            raise Damaged(f"the indices of ring {number}")


class Sender(_Ring):
    def __init__(self, channel, number):
        super().__init__(channel, number)
        self.at = self.looked = self.words[self.tail]

    def room(self):
        used = (self.at - self.words[self.head]) % WORD
        if used > self.size:
            raise Damaged("the head of the ring")
        return self.size - used

    def place(self, length):
        """(bytes of padding, bytes in all) of the next record."""
        whole = 8 + _align(length)
        if whole > self.size // 4:
            raise ValueError("the record is longer than a quarter")
        end = self.size - self.at % self.size
        return (end if whole > end else 0), whole

    def put(self, kind, payload):
        padding, whole = self.place(len(payload))
        needed = padding + whole
        if self.room() < needed:
            self.words[self.space_at] = (self.at + needed - self.size) % WORD
            fence()
            if self.room() < needed:
                raise Full
            self.words[self.space_at] = 0
        if padding:
            struct.pack_into("<II", self.bytes, self.data +
                             self.at % self.size, padding - 8, PAD)
            self.at = (self.at + padding) % WORD
        first = self.data + self.at % self.size
        struct.pack_into("<II", self.bytes, first, len(payload), kind)
        self.bytes[first + 8:first + 8 + len(payload)] = payload
        self.at = (self.at + whole) % WORD

    def submit(self):
        """Whether the peer is to be rung."""
        self.words[self.tail] = self.at
        fence()
        ring = reaches(self.words[self.data_at], self.looked, self.at)
        self.looked = self.at
        return ring


class Receiver(_Ring):
    def __init__(self, channel, number):
        super().__init__(channel, number)
        self.at = self.looked = self.words[self.head]

    def peek(self):
        """(type, payload) as a copy, or None; what padding there is before it
        is passed."""
        while True:
            there = (self.words[self.tail] - self.at) % WORD
            if there > self.size or there % 8:
                raise Damaged("the tail of the ring")
            if there == 0:
                return None
            place = self.at % self.size
            length, kind = struct.unpack_from("<II", self.bytes,
                                              self.data + place)
            whole = 8 + _align(length)
            if whole > there or whole > self.size - place:
                raise Damaged("the length of a record")
            if kind != PAD:
                first = self.data + place + 8
                self.next = (self.at + whole) % WORD
                return kind, bytes(self.bytes[first:first + length])
            if place == 0 or whole != self.size - place:
                raise Damaged("padding")
            self.at = (self.at + whole) % WORD

    def release(self):
        """Whether the peer is to be rung."""
        self.at = self.next
        self.words[self.head] = self.at
        fence()
        ring = reaches(self.words[self.space_at], self.looked, self.at)
        self.looked = self.at
        return ring

    def ask(self):
        """Ask to be rung; whether there is something after all."""
        self.words[self.data_at] = (self.at + 8) % WORD
        fence()
        if self.words[self.tail] == self.at:
            return False
        self.words[self.data_at] = 0
        return True


class Channel:
    """An end, attached. link: None, or the socket that admitted us; features:
    what it says that it can do."""

    def __init__(self, memory, own_bell, peer_bell, end, kind, link=None,
                 features=0):
        self.file = mmap.mmap(memory, os.fstat(memory).st_size)
        self.bytes = memoryview(self.file)
        self.words = self.bytes.cast("Q")
        self.states = self.bytes.cast("I")
        self.own_bell, self.peer_bell, self.link = own_bell, peer_bell, link
        self.end = end
        magic, version, header, size = struct.unpack_from("<QIIQ", self.bytes)
        if (magic, version, header) != (MAGIC, 2, 4096) or \
                size > len(self.bytes) or self.bytes[32:48] != kind:
            raise Damaged("the header")
        self.epoch = self.states[64 // 4]
        if self.state(end) not in (DETACHED, ATTACHING, ATTACHED):
            raise Gone
        self.set_state(ATTACHING)
        self.tx, self.rx = Sender(self, end), Receiver(self, 1 - end)
        self.states[(LINE + 64 * end) // 4 + 1] = self.epoch
        self.states[(LINE + 64 * end) // 4 + 2] = features
        self.set_state(ATTACHED)
        self.ring()  # a predecessor may have died before it did

    def state(self, end):
        if self.words[0] != MAGIC:
            return REVOKED  # it was cleared
        return self.states[(LINE + 64 * end) // 4]

    def set_state(self, state):
        self.states[(LINE + 64 * self.end) // 4] = state

    def peer_features(self):
        return self.states[(LINE + 64 * (1 - self.end)) // 4 + 2]

    def ring(self):
        os.write(self.peer_bell, (1).to_bytes(8, "little"))

    def peer_is_gone(self):
        state = self.state(1 - self.end)
        was_there = self.states[(LINE + 64 * (1 - self.end)) // 4 + 1] != 0
        return state == REVOKED or (state == DETACHED and was_there)

    def send(self, kind, payload):
        self.tx.put(kind, payload)
        if self.tx.submit():
            self.ring()

    def peek(self):
        """Of memory that was taken back what stands there is nobody's fault."""
        try:
            return self.rx.peek()
        except Damaged:
            if self.state(1 - self.end) == REVOKED:
                raise Gone from None
            raise

    def receive(self):
        """(type, payload), or None."""
        found = self.peek()
        if found is not None and self.rx.release():
            self.ring()
        return found

    def wait(self, seconds):
        """Until there may be something to receive, or room. False: time is
        over."""
        if self.rx.ask():
            return True
        watched = [self.own_bell] + ([self.link] if self.link else [])
        ready, _, _ = select.select(watched, [], [], seconds)
        if self.own_bell in ready:
            os.read(self.own_bell, 8)
        if self.link in ready and self.link is not None \
                and self.peek() is None:
            raise Gone
        return bool(ready)

    def take(self, seconds=60):
        """The next record; Gone if none will come."""
        while True:
            gone = self.peer_is_gone()
            found = self.receive()  # its last words are heard
            if found is not None:
                return found
            if gone:
                raise Gone
            if not self.wait(seconds):
                raise TimeoutError

    def close(self):
        """Detach; nothing of it can be used afterwards."""
        if self.state(self.end) in (ATTACHING, ATTACHED):
            self.set_state(DETACHED)
        if self.link is not None:
            self.link.close()
        for file in (self.own_bell, self.peer_bell):
            os.close(file)
        for view in (self.words, self.states, self.bytes, self.file):
            (getattr(view, "release", None) or view.close)()


def handed(descriptor):
    """What comes with a descriptor that admits to the end of a channel: the
    memory and the two bells, and what Channel() takes behind them."""
    link = socket.socket(fileno=descriptor)
    message, files, _, _ = socket.recv_fds(link, 4096, 8)
    if len(message) != ADMISSION.size or len(files) != 3:
        raise Damaged("the admission")
    magic, version, end, _, size, kind = ADMISSION.unpack(message)
    if (magic, version) != (b"ULV_ADM1", 1) or \
            os.fstat(files[0]).st_size != size:
        raise Damaged("the admission")
    return files, (end, kind, link)


def admit(descriptor):
    """The end of a channel that this descriptor admits to."""
    files, rest = handed(descriptor)
    try:
        return Channel(*files, *rest)
    finally:
        os.close(files[0])
