# SPDX-License-Identifier: BSD-2-Clause-Patent
"""libultravisor from Python: divide a machine, run guests, watch them.

    with ultravisor.open() as host:
        with host.transaction() as t:     # commits on leaving, or not at all
            web = t.partition("web", memory="256M", processors=1)
            t.disk(web, "rootfs.img", via=("io-a", "io-b"))
        web.start(kernel="guest.elf")
        for event in host.events():
            print(event)
"""

import collections
import contextlib
import io
import os
import re

from ._library import (C, Error, backends, checked, compile_policy, ffi, lib,
                       size, text)
from .events import CHANGES, Change, Events, Watch  # noqa: F401
from .records import KINDS, QUERIES, as_dictionaries


def _source(path):
    """A struct ulv_source, and what has to live as long as it."""
    keep = ffi.new("char[]", os.fsencode(path))
    return ffi.new("struct ulv_source *", {
        "kind": C.ULV_SOURCE_KIND_PATH, "path": keep, "handle": -1}), keep


def saved(path):
    """What a saved partition was: enough to make one that it fits."""
    found = ffi.new("struct ulv_saved *")
    found.size = ffi.sizeof("struct ulv_saved")
    source, _keep = _source(path)
    checked(lib.ulv_saved_read, lib.ulv_posix_host(), source, found)
    return as_dictionaries("struct ulv_saved", found, 1)[0]


@contextlib.contextmanager
def _storage_in(directory):
    opened = ffi.new("struct ulv_storage **")
    checked(lib.ulv_posix_storage_open, os.fsencode(directory), opened)
    try:
        yield opened[0]
    finally:
        opened[0].close(opened[0].self)


def _export(function, of):
    """The text that such a function writes."""
    pieces = []

    @ffi.callback("ulv_export_fn")
    def write(_opaque, data, length):
        pieces.append(ffi.unpack(ffi.cast("char *", data), length))
        return 0

    checked(function, of, write, ffi.NULL)
    return b"".join(pieces).decode()


def export_storage(directory):
    """The database in a storage that no host uses, as JSON text."""
    with _storage_in(directory) as storage:
        return _export(lib.ulv_posix_export, storage)


def import_storage(directory, text, name="import"):
    """Fill an empty directory with the database that a JSON text says; the
    name is the text's, in errors."""
    data = text.encode()
    with _storage_in(directory) as storage:
        checked(lib.ulv_posix_import, storage, os.fsencode(name), data,
                len(data))


Event = collections.namedtuple("Event", "kind time partition value data")
End = collections.namedtuple("End", "reason code text")
# What a rescan has found: how many changes; the first of them, at most
# ULV_RESCAN_CHANGES_MAX, as dictionaries, their what and kind words, an owner
# who has lost it or whose alone it is; the revision that has them.
Rescan = collections.namedtuple("Rescan", "count changes revision")


MACHINE_CHANGES = {C.ULV_MACHINE_ADDED: "added",
                   C.ULV_MACHINE_REMOVED: "removed",
                   C.ULV_MACHINE_OFFLINE: "offline",
                   C.ULV_MACHINE_ONLINE: "online"}


class Partition:
    def __init__(self, host, number, name):
        self.host, self.id, self.name = host, number, name

    def start(self, kernel, initrd=None, cmdline=None):
        """An image of the SDK; or, where the partition is stock, a kernel,
        perhaps with an initrd and a command line."""
        source, _keep = _source(kernel)
        image = ffi.new("struct ulv_image *", {"kernel": source[0]})
        if initrd is not None:
            initrd, _keep_initrd = _source(initrd)
            image.initrd = initrd[0]
        if cmdline is not None:
            words = ffi.new("char[]", os.fsencode(cmdline))
            image.cmdline = words
        checked(lib.ulv_partition_start, self.host._system, self.id, image)

    def stop(self):
        checked(lib.ulv_partition_stop, self.host._system, self.id)

    def pause(self):
        checked(lib.ulv_partition_pause, self.host._system, self.id)

    def resume(self):
        checked(lib.ulv_partition_resume, self.host._system, self.id)

    def save(self, path, rounds=0):
        """Into a file; it goes on afterwards unless it was paused. With
        rounds it runs while its memory is written."""
        checked(lib.ulv_posix_save, self.host._system, self.id,
                ffi.new("char[]", os.fsencode(path)), rounds)

    def type(self, what, seconds=None):
        """Type text or bytes at its console, while it reads. Returns how many
        bytes were taken: all, or fewer when the time is over first; 0 seconds:
        what there is room for."""
        data = what.encode() if isinstance(what, str) else what
        deadline = self.host._deadline(seconds)
        taken, some = 0, ffi.new("size_t *")
        while True:
            try:
                checked(lib.ulv_console_write, self.host._system, self.id,
                        data[taken:], len(data) - taken, some)
            except Error as error:
                if error.status != C.ULV_E_AGAIN:
                    raise
            taken += some[0]
            if taken == len(data) or self.host.now() >= deadline:
                return taken
            lib.ulv_system_step(self.host._system, deadline)

    def debug(self, path, hold=False):
        """Start a stub for gdb on a Unix socket: "target remote PATH". hold:
        the guest waits before its first instruction until a debugger lets it
        go on."""
        checked(lib.ulv_posix_debug, self.host._system, self.id,
                ffi.new("char[]", os.fsencode(path)),
                C.ULV_DEBUG_HOLD if hold else 0)

    def debug_stop(self):
        """End the stub; a debugger is disconnected, the guest goes on."""
        status = lib.ulv_debug_stop(self.host._system, self.id)
        if status != 0:
            raise Error(status, ffi.new("struct ulv_diag *"))

    def restore(self, path):
        """In place of a start: go on where a partition was saved."""
        source, _keep = _source(path)
        checked(lib.ulv_partition_restore, self.host._system, self.id, source)

    def wait(self, seconds=None):
        """How it ended, or None when the time is over first."""
        end = ffi.new("struct ulv_end *")
        deadline = self.host._deadline(seconds)
        try:
            checked(lib.ulv_partition_wait, self.host._system, self.id, end,
                     deadline)
        except Error as error:
            if error.status == C.ULV_E_TIMEOUT:
                return None
            raise
        return End(end.reason, end.code, text(end.text))

    def trace(self, after=0, room=1024):
        """Its last system calls and exits, as dictionaries."""
        buf = ffi.new("struct ulv_trace_record[]", room)
        count = ffi.new("uint32_t *")
        checked(lib.ulv_partition_trace, self.host._system, self.id, after,
                buf, room, count)
        return as_dictionaries("struct ulv_trace_record", buf, count[0])

    def usage(self):
        """What it has of the processors and has used of them: a dictionary;
        times in ns, degraded: what the host does not let us keep."""
        usage = ffi.new("struct ulv_usage *")
        usage.size = ffi.sizeof("struct ulv_usage")
        status = lib.ulv_partition_usage(self.host._system, self.id, usage)
        if status != 0:
            raise Error(status, ffi.new("struct ulv_diag *"))
        return as_dictionaries("struct ulv_usage", usage, 1)[0]

    def read(self, address, length):
        data = ffi.new("char[]", length)
        checked(lib.ulv_partition_read, self.host._system, self.id,
                 {"value": address}, data, length)
        return ffi.unpack(data, length)


DECISIONS = {number: name[13:].lower() for name, number in C._asdict().items()
             if re.fullmatch("ULV_DECISION_(NODE|SIDE|PROCESSOR|RESTARTS|LIMIT"
                             "|RESERVED)", name)}
VERDICTS = {number: name[14:].lower() for name, number in C._asdict().items()
            if name.startswith("ULV_CANDIDATE_")}


def _decision(found):
    """A dictionary: what was decided, by which rule, among which
    candidates, and why the others were not taken."""
    kept = min(found.candidate_count, C.ULV_DECISION_CANDIDATES_MAX)
    return {
        "sequence": found.sequence, "request": found.request,
        "kind": DECISIONS.get(found.kind, found.kind),
        "refused": bool(found.flags & C.ULV_DECISION_REFUSED),
        "dry_run": bool(found.flags & C.ULV_DECISION_DRY_RUN),
        "operation": found.operation_idx, "object": found.object,
        "chosen": found.chosen, "value": found.value, "bound": found.bound,
        "rule": text(found.rule), "text": text(found.text),
        "candidates": [{
            "what": c.what, "verdict": VERDICTS.get(c.verdict, c.verdict),
            "value": c.value, "bound": c.bound, "rule": text(c.rule),
        } for c in found.candidate[0:kept]],
    }


class Transaction:
    """Collects what shall be; leaving the block commits it, an exception in
    the block forgets it. Afterwards decisions has what was decided: of a dry
    run, what would be."""

    def __init__(self, host, dry_run=False):
        self.host, self._handle = host, lib.ulv_transaction_begin(host._system)
        self.decisions = []
        self._dry_run, self._renamed = dry_run, {}
        if dry_run:
            lib.ulv_transaction_dry_run(self._handle)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        handle, self._handle = self._handle, ffi.NULL
        if kind is not None:
            lib.ulv_transaction_abort(handle)
            return
        before = lib.ulv_decision_last(self.host._system)
        try:
            checked(lib.ulv_transaction_commit, handle)
        finally:
            self.decisions = list(self.host.decisions(before))
        if not self._dry_run:
            for partition, name in self._renamed.items():
                partition.name = name

    def partition(self, name, memory=None, processors=1, level=None,
                  interrupts=False, stock=False):
        """level: ULV_CPU_*, what it sees of the host's processors;
        interrupts: whether doorbells may interrupt it; stock: it runs a
        kernel, and no guest of the SDK."""
        number = lib.ulv_transaction_partition(
            self._handle, name.encode(), C.ULV_PARTITION_GUEST)
        made = Partition(self.host, number, name)
        if level is not None:
            lib.ulv_transaction_processor_level(self._handle, number, level)
        if interrupts:
            lib.ulv_transaction_interrupts(self._handle, number)
        if stock:
            lib.ulv_transaction_stock(self._handle, number)
        if memory is not None:
            self.memory(made, memory)
        if processors:
            self.processors(number, processors)
        return made

    def processors(self, number, count):
        lib.ulv_transaction_processors(self._handle, number, count,
                                       C.ULV_SHARED)

    def processor(self, partition, processor=0, quanta=0, dedicated=False):
        """One virtual processor, of a processor by its id (0: any), with so
        many quanta of each period; without any it runs in idle's."""
        lib.ulv_transaction_processor(
            self._handle, partition.id, processor,
            C.ULV_DEDICATED if dedicated else C.ULV_SHARED, quanta)

    def quanta(self, partition, quanta, vcpu=0):
        """More quanta, or fewer; what is given up comes first."""
        lib.ulv_transaction_quanta(self._handle, partition.id, vcpu, quanta)

    def memory(self, partition, size_, node=0xffffffff):
        lib.ulv_transaction_memory(self._handle, partition.id, size(size_),
                                   node)

    def release(self, partition, address, size_):
        lib.ulv_transaction_release(self._handle, partition.id,
                                    {"value": address}, size(size_))

    def move(self, partition, address, size_, to):
        """Memory from guest to guest, scrubbed on the way."""
        lib.ulv_transaction_move(self._handle, partition.id,
                                 {"value": address}, size(size_), to.id)

    def revoke(self, channel):
        lib.ulv_transaction_revoke(self._handle, channel)

    def _pair(self, via):
        names = (tuple(via) + (None, None))[:2]
        return [self.host.find(n) if n else 0 for n in names]

    def disk(self, partition, path, via=(), read_only=True):
        """Attach a disk, served by a pair of I/O partitions; by default the
        command partition chooses who serves first."""
        source, _keep = _source(path)
        flags = C.ULV_DISK_READ_ONLY if read_only else C.ULV_DISK_READ_WRITE
        device = lib.ulv_transaction_offer_disk(
            self._handle, *self._pair(via), source[0], flags)
        return lib.ulv_transaction_attach(self._handle, partition.id, device,
                                          flags)

    def console(self, partition, via=()):
        return lib.ulv_transaction_console(self._handle, partition.id,
                                           *self._pair(via))

    def connect(self, client, server, kind, *, ring_bytes=65536,
                bulk_bytes=0):
        """A channel between two partitions; kind: its type, up to 16 bytes.
        server None: this program, which hands its end out. bulk_bytes: of
        memory that both have beside the rings."""
        guid = ffi.new("struct ulv_guid *", {"bytes": kind.ljust(16, b"\0")})
        return lib.ulv_transaction_connect_sized(
            self._handle, client.id,
            0xffffffffffffffff if server is None else server.id, guid,
            ring_bytes, bulk_bytes)

    def destroy(self, partition):
        lib.ulv_transaction_destroy(self._handle, partition.id)

    def zone(self, name, **limits):
        """A zone for partitions, and what they may have together: as
        quota()."""
        number = lib.ulv_transaction_zone(self._handle, name.encode())
        self.quota(number, **limits)
        return number

    def zone_destroy(self, zone):
        lib.ulv_transaction_zone_destroy(self._handle, zone)

    def zone_set(self, partition, zone):
        """Into a zone, or out of it: 0."""
        lib.ulv_transaction_zone_set(self._handle, partition.id, zone)

    def quota(self, what, **limits):
        """Limit what a partition or zone may have: memory="1G", processors,
        quanta, channels, devices, partitions; None: as much as there is."""
        for name, limit in limits.items():
            resource = getattr(C, "ULV_QUOTA_" + name.upper())
            lib.ulv_transaction_quota(
                self._handle, _number(what), resource,
                C.ULV_UNLIMITED if limit is None else size(limit))

    def label(self, what, **labels):
        """Labels of any object, key=value; an empty value takes one off."""
        for key, value in labels.items():
            lib.ulv_transaction_label(self._handle, _number(what),
                                      key.encode(), str(value).encode())

    def change(self, partition, name=None, silence_limit=None,
               restarts=None):
        """What a guest's partition was made with, also while it runs: its
        name; how long it may run without a system call [s; 0: for ever]; how
        often it is started again when it resets itself."""
        if name is not None:
            lib.ulv_transaction_rename(self._handle, partition.id,
                                       name.encode())
            self._renamed[partition] = name
        if silence_limit is not None:
            lib.ulv_transaction_silence_limit(self._handle, partition.id,
                                              round(silence_limit * 1e9))
        if restarts is not None:
            lib.ulv_transaction_restarts(self._handle, partition.id, restarts)

    def processors_release(self, partition, count=1):
        """The last processors of a guest that does not run."""
        lib.ulv_transaction_processors_release(self._handle, partition.id,
                                               count)

    def processor_move(self, partition, to):
        """The last processor of a guest that does not run, to another."""
        lib.ulv_transaction_processor_move(self._handle, partition.id, to.id)

    def hardware(self, hardware, to=None):
        """A device of the machine that is idle's, to a partition; without
        one: back to idle."""
        lib.ulv_transaction_hardware(self._handle, hardware,
                                     0 if to is None else _number(to))

    def hardware_move(self, hardware, to):
        """A device of the machine from partition to partition."""
        lib.ulv_transaction_hardware_move(self._handle, hardware, _number(to))

    def ports(self, partition, first, count=1):
        return lib.ulv_transaction_range(self._handle, _number(partition),
                                         C.ULV_RANGE_PORTS, first, count)

    def vectors(self, partition, first, count=1):
        return lib.ulv_transaction_range(self._handle, _number(partition),
                                         C.ULV_RANGE_VECTORS, first, count)

    def range_move(self, number, to=None):
        """A range of ports or vectors to another partition; without one it is
        nobody's."""
        lib.ulv_transaction_range_move(self._handle, number,
                                       0 if to is None else _number(to))

    def retire_memory(self, frame, size_=4096):
        """Broken memory: taken from who has it, and given to nobody."""
        lib.ulv_transaction_retire_memory(self._handle, frame, size(size_))

    def retire_processor(self, processor):
        """Nobody gets it any more; who runs on it goes on."""
        lib.ulv_transaction_retire_processor(self._handle, processor)

    def policy(self, what, name):
        """Which part of the policy is a partition's or zone's own."""
        lib.ulv_transaction_policy(self._handle, _number(what), name.encode())


def _number(what):
    return what.id if isinstance(what, Partition) else what


class Host:
    def __init__(self, in_process=True, backend=None, memory=0, policy=None,
                 settle_limit=0, threads_from=0, storage=None,
                 machine=None, lazy_memory=False, no_spare=False):
        """storage: a directory that the database is kept in; machine: a file
        that describes one to be divided in place of this; lazy_memory: guests
        get pages of the host when they touch them; no_spare: no thread makes
        the next guest's machine ready."""
        options = ffi.new("struct ulv_system_opts *")
        keep = [ffi.new("char[]", os.fsencode(v)) if v else ffi.NULL
                for v in (backend, os.environ.get("ULTRAVISOR_ROLE"),
                          os.environ.get("ULTRAVISOR_LAUNCHER"))]
        options.size = ffi.sizeof("struct ulv_system_opts")
        options.placement = (C.ULV_PLACEMENT_IN_PROCESS if in_process
                             else C.ULV_PLACEMENT_PROCESSES)
        options.backend, options.role_program, options.launcher_program = keep
        options.memory = size(memory)
        options.settle_limit = int(settle_limit * 1e9)
        options.threads_from = threads_from
        options.lazy_memory = lazy_memory
        options.no_spare = no_spare
        if policy is not None:
            options.policy = policy
            options.policy_bytes = ffi.sizeof("struct ulv_policy")
        system = ffi.new("ulv_system **")
        self._paths, self._watches = keep, []
        self._storage = self._machine = ffi.NULL
        try:
            if storage is not None:
                opened = ffi.new("struct ulv_storage **")
                checked(lib.ulv_posix_storage_open, os.fsencode(storage),
                        opened)
                options.storage = self._storage = opened[0]
            checked(lib.ulv_system_create, self._open_machine(machine),
                    options, system)
        except (Error, OSError):
            self._close_parts()
            raise
        self._system = system[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for watch in list(self._watches):
            watch.close()
        system, self._system = self._system, ffi.NULL
        lib.ulv_system_destroy(system)
        self._close_parts()

    def _open_machine(self, path):
        """The host table of the machine that is described there."""
        self._described = path
        if path is None:
            return lib.ulv_posix_host()
        opened = ffi.new("struct ulv_posix_machine **")
        checked(lib.ulv_posix_machine_open, *self._description(), opened)
        self._machine = opened[0]
        return lib.ulv_posix_machine_host(self._machine)

    def _description(self):
        with io.open(self._described, "rb") as file:
            described = file.read()
        return os.fsencode(self._described), described, len(described)

    def rescan(self, dry_run=False):
        """Look again at which devices, processors and memory the machine has;
        one that a file describes, at that. Returns a Rescan."""
        if self._machine != ffi.NULL:
            checked(lib.ulv_posix_machine_read, self._machine,
                    *self._description())
        report = ffi.new("struct ulv_rescan *")
        report.size = ffi.sizeof("struct ulv_rescan")
        checked(lib.ulv_system_rescan, self._system,
                C.ULV_RESCAN_DRY_RUN if dry_run else 0, report)
        found = as_dictionaries("struct ulv_machine_change", report.change,
                         report.told)
        return Rescan(report.count,
                      [{**c, "what": MACHINE_CHANGES[c["what"]],
                        "kind": KINDS[c["kind"]]} for c in found],
                      report.revision)

    def _close_parts(self):
        storage, self._storage = self._storage, ffi.NULL
        if storage != ffi.NULL:
            storage.close(storage.self)
        machine, self._machine = self._machine, ffi.NULL
        lib.ulv_posix_machine_close(machine)

    def _deadline(self, seconds):
        if seconds is None:
            return 0xffffffffffffffff
        return lib.ulv_system_now(self._system) + int(seconds * 1e9)

    def now(self):
        return lib.ulv_system_now(self._system)

    def faults(self, after=0):
        """Fault records with a higher sequence than after, also of partitions
        that are gone: (sequence, partition, name, end, description)."""
        record = ffi.new("struct ulv_fault_record *")
        words = ffi.new("char[]", C.ULV_FAULT_DESCRIPTION_MAX)
        while True:
            record.size = ffi.sizeof("struct ulv_fault_record")
            if lib.ulv_fault_next(self._system, after, record) != 0:
                return
            after = record.sequence
            lib.ulv_fault_describe(ffi.addressof(record, "end"), words,
                                   len(words))
            end = End(record.end.reason, record.end.code, text(record.end.text))
            yield (record.sequence, record.partition, text(record.name), end,
                   text(words))

    def transaction(self, dry_run=False):
        return Transaction(self, dry_run)

    def admit(self):
        """Let another program ask this system: (id of its command channel, a
        descriptor to give it). When nobody has that any more it is out."""
        channel, found = ffi.new("ulv_id *"), ffi.new("ulv_handle *")
        checked(lib.ulv_client_admit, self._system, channel, found)
        return channel[0], int(found[0])

    def hand_out(self, channel):
        """This program's end of a channel, as a descriptor for another."""
        found = ffi.new("ulv_handle *")
        checked(lib.ulv_channel_hand_out, self._system, channel, found)
        return int(found[0])

    def decisions(self, after=0):
        """What was decided, with a higher sequence than after: dictionaries;
        the last ULV_DECISIONS_KEPT are there."""
        found = ffi.new("struct ulv_policy_decision *")
        while lib.ulv_decision_next(self._system, after, found) == 0:
            after = found.sequence
            yield _decision(found)

    def _review(self, function, policy, *arguments):
        review = ffi.new("struct ulv_policy_review *")
        review.size = ffi.sizeof("struct ulv_policy_review")
        error = None
        try:
            checked(function, self._system, policy,
                    ffi.sizeof("struct ulv_policy"), *arguments, review)
        except Error as caught:
            error = caught
        found = as_dictionaries("struct ulv_policy_finding", review.finding,
                         review.told)
        for finding in found:
            finding["kind"] = DECISIONS.get(finding["kind"], finding["kind"])
        return found, review.count, error

    def preview_policy(self, policy):
        """What another policy would refuse of what there is: dictionaries, the
        first ULV_POLICY_FINDINGS_MAX. Nothing is changed."""
        found, _count, error = self._review(lib.ulv_policy_preview, policy)
        if error:
            raise error
        return found

    def replace_policy(self, policy, unless_refused=False):
        """Put another policy in force, from the next request on; what there
        is stays. Returns what it would refuse of that; with unless_refused it
        is then not put in force, and the error has findings."""
        found, _count, error = self._review(
            lib.ulv_policy_replace, policy,
            C.ULV_POLICY_UNLESS_REFUSED if unless_refused else 0)
        if error:
            error.findings = found
            raise error
        return found

    def backend(self):
        """(name, lines that say why others were passed over)"""
        over = ffi.new("const char **")
        name = text(lib.ulv_system_backend(self._system, over))
        return name, text(over[0]).splitlines()

    def find(self, name):
        number = ffi.new("ulv_id *")
        status = lib.ulv_system_find(self._system, name.encode(), number)
        if status != 0:
            raise KeyError(f"there is no partition {name!r}")
        return number[0]

    def kill(self, name):
        checked(lib.ulv_system_kill, self._system, self.find(name))

    def check(self):
        """Verify every invariant of the resource database."""
        checked(lib.ulv_system_check, self._system)

    def wait_settled(self, seconds=None):
        """Until everybody has followed the last transaction."""
        checked(lib.ulv_wait_settled, self._system,
                lib.ulv_system_revision(self._system),
                self._deadline(seconds))

    def roles(self):
        """(name, alive, process number or 0) of each role and monitor."""
        found, role = [], ffi.new("struct ulv_role *")
        while lib.ulv_system_role(self._system, len(found), role) == 0:
            found.append((text(role.name), bool(role.alive), role.process))
        return found

    def step(self, seconds=None):
        """Let the system work until something happened, or the time is over."""
        return lib.ulv_system_step(self._system, self._deadline(seconds)) == 0

    def pending(self):
        """The events that are there now."""
        event = ffi.new("struct ulv_event *")
        event.size = ffi.sizeof("struct ulv_event")
        while lib.ulv_event_next(self._system, event) == 0:
            yield Event(event.kind, event.time, event.partition, event.value,
                        ffi.unpack(event.data, event.bytes))

    def events(self):
        """Every event from now on, by `for` or `async for`; never ends."""
        return Events(self)

    def watch(self, *kinds, partition=None, after=None, label=None):
        """Changes of the resource database: of records of these kinds (names
        as for query(); none: all) that concern a partition (None: any), of
        revisions above after (None: from now); label: of what has or had a
        label "key" or "key=value", or is of a partition that does."""
        return Watch(self, kinds, partition, after, label)

    def records(self, *kinds, partition=None):
        """(kind, record as a dictionary) of all records of these kinds, as
        they are at one revision, while others change them. Close the generator
        if not all are wanted."""
        bits = sum(1 << QUERIES[kind][0] for kind in kinds)
        cursor = ffi.new("ulv_cursor **")
        checked(lib.ulv_cursor_open, self._system, bits,
                partition.id if partition else 0, cursor)
        page = ffi.new("struct ulv_cursor_records *")
        page.size = ffi.sizeof("struct ulv_cursor_records")
        try:
            while True:
                checked(lib.ulv_cursor_next, cursor[0], page)
                if page.count == 0:
                    return
                kind = KINDS[page.kind]
                buf = ffi.cast(QUERIES[kind][1] + " *", page.records)
                for one in as_dictionaries(QUERIES[kind][1], buf, page.count):
                    yield kind, one
        finally:
            lib.ulv_cursor_close(cursor[0])

    def export(self):
        """The whole database as JSON text: all records at one revision."""
        return _export(lib.ulv_system_export, self._system)

    def query(self, what, room=1024):
        """All records of a kind in the resource database, as dictionaries;
        room: how many are expected."""
        kind, record = QUERIES[what]
        count = ffi.new("uint32_t *", room)
        while count[0] == room:  # there may be more
            room *= 2
            buf = ffi.new(f"{record}[]", room)
            status = lib.ulv_system_query(self._system, kind, 0, buf,
                                          ffi.sizeof(buf), count)
            if status != 0:
                raise Error(status, ffi.new("struct ulv_diag *"))
        return as_dictionaries(record, buf, count[0])


def open(**options):  # noqa: A001 - reads as ultravisor.open()
    """A host, divided; see Host for the options."""
    return Host(**options)
