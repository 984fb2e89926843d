# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What comes in time: events of a host, and changes of its database."""

import asyncio
import collections

from ._library import C, Error, checked, ffi, lib
from .records import KINDS, QUERIES

Change = collections.namedtuple(
    "Change", "sequence revision change kind object partitions more")


class Events:
    """What comes in time: by `for` or `async for`; never ends."""

    def __init__(self, host, pending=None):
        self._host, self.pending = host, pending or host.pending

    def __iter__(self):
        while True:
            yield from self.pending()
            self._host.step()

    async def __aiter__(self):
        """Lets the system work when its descriptor says so, and between the
        other tasks of the loop."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        descriptor = lib.ulv_posix_fd(self._host._system)
        loop.add_reader(descriptor, ready.set)
        try:
            while True:
                for event in self.pending():
                    yield event
                if self._host.step(0):
                    await asyncio.sleep(0)
                    continue
                ready.clear()
                await ready.wait()
        finally:
            loop.remove_reader(descriptor)


CHANGES = {C.ULV_CHANGE_MADE: "made", C.ULV_CHANGE_CHANGED: "changed",
           C.ULV_CHANGE_REMOVED: "removed", C.ULV_CHANGE_LOST: "lost"}


class Watch(Events):
    """What changes in the resource database, as `Change`s: by `for`, by
    `async for`, or those that are there now by pending(). A change "lost" says
    that all up to its revision may have been missed: read it anew."""

    def __init__(self, host, kinds, partition, after, label):
        super().__init__(host, self._pending)
        options = ffi.new("struct ulv_watch_opts *")
        options.size = ffi.sizeof("struct ulv_watch_opts")
        for kind in kinds:
            options.kinds |= 1 << QUERIES[kind][0]
        options.after = C.ULV_WATCH_FROM_NOW if after is None else after
        options.partition = partition.id if partition else 0
        if label is not None:
            _keep = [ffi.new("char[]", part.encode())
                     for part in label.split("=", 1)]
            options.label = _keep[0]
            options.label_value = _keep[1] if len(_keep) > 1 else ffi.NULL
        watch = ffi.new("ulv_watch **")
        checked(lib.ulv_watch_open, host._system, options, watch)
        self._watch = watch[0]
        host._watches.append(self)

    def _pending(self):
        event = ffi.new("struct ulv_watch_event *")
        event.size = ffi.sizeof("struct ulv_watch_event")
        while self._watch:
            status = lib.ulv_watch_next(self._watch, event)
            if status == C.ULV_E_AGAIN:
                return
            if status != 0:
                raise Error(status, ffi.new("struct ulv_diag *"))
            change = event.change
            yield Change(event.sequence, change.revision,
                         CHANGES[change.change], KINDS.get(change.kind),
                         change.object,
                         tuple(p for p in change.partition if p),
                         bool(event.more))

    def close(self):
        watch, self._watch = self._watch, ffi.NULL
        lib.ulv_watch_close(watch)
        if self in self._host._watches:
            self._host._watches.remove(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
