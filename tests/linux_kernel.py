# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A kernel that nobody here wrote: Debian's for clouds, downloaded once for a
build folder (ULTRAVISOR_CACHE), and an initrd to boot it with.

ULTRAVISOR_KERNEL names a bzImage to use in its place, ULTRAVISOR_MODULES the
folder with its modules.
"""

import fcntl
import functools
import glob
import hashlib
import lzma
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile

PACKAGE = "linux-image-cloud-amd64"
MODULES = ("irqbypass", "kvm", "kvm-amd", "kvm-intel")


def output(*command, **options):
    return subprocess.run(command, check=True, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **options).stdout


def download(cache):
    """The bzImage of the package behind PACKAGE, and the modules for KVM."""
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        depends = output("apt-cache", "depends", PACKAGE)
        names = [line.split()[1] for line in depends.splitlines()
                 if "Depends: linux-image-" in line]
        if not names:
            raise ValueError(f"{PACKAGE} is in no list of apt")
        output("apt-get", "download", names[0], cwd=folder)
        output("dpkg", "-x", *glob.glob(folder + "/*.deb"), folder + "/files")
        for name in MODULES:
            found, = glob.glob(f"{folder}/files/lib/modules/**/{name}.ko",
                               recursive=True)
            shutil.move(found, cache / f"{name}.ko")
        found, = glob.glob(folder + "/files/boot/vmlinuz-*")
        shutil.move(found, cache / "vmlinuz")


def is_complete(cache):
    return all((cache / name).exists() for name in
               ["vmlinuz", *(f"{module}.ko" for module in MODULES)])


@functools.cache
def cached():
    """The folder with what was downloaded, or None and the reason."""
    cache = pathlib.Path(os.environ["ULTRAVISOR_CACHE"])
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one downloads, others wait
            if not is_complete(cache):
                download(cache)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return None, f"no kernel could be downloaded: {error}"
    return cache, ""


def find_kernel():
    """Path of a bzImage, or None and the reason."""
    if "ULTRAVISOR_KERNEL" in os.environ:
        return pathlib.Path(os.environ["ULTRAVISOR_KERNEL"]), ""
    cache, reason = cached()
    return (None, reason) if cache is None else (cache / "vmlinuz", "")


def find_modules():
    """The folder with MODULES of that kernel, or None and the reason."""
    if "ULTRAVISOR_MODULES" in os.environ:
        return pathlib.Path(os.environ["ULTRAVISOR_MODULES"]), ""
    if "ULTRAVISOR_KERNEL" in os.environ:
        return None, "ULTRAVISOR_KERNEL is set, and not ULTRAVISOR_MODULES"
    return cached()


def unpack_block(packed):
    """A block as lz4_Block_format.md has it."""
    out, at = bytearray(), 0

    def more(length, at):
        while length >= 15:
            length, at = length + packed[at], at + 1
            if packed[at - 1] != 255:
                break
        return length, at

    while at < len(packed):
        token = packed[at]
        length, at = more(token >> 4, at + 1)
        out += packed[at:at + length]
        at += length
        if at >= len(packed):
            break
        back = packed[at] | packed[at + 1] << 8
        length, at = more(token & 15, at + 2)
        length += 4
        start = len(out) - back
        if back >= length:
            out += out[start:start + length]
        else:
            out += (out[start:] * (length // back + 1))[:length]
    return out


def unpack_lz4(packed):
    """Blocks with their sizes, and the size of all of it at the end."""
    out, at = bytearray(), 4
    while at + 4 < len(packed):
        size, = struct.unpack_from("<I", packed, at)
        out += unpack_block(packed[at + 4:at + 4 + size])
        at += 4 + size
    return bytes(out)


def unpack(image):
    """The vmlinux that is packed in a bzImage (boot.rst, payload_offset)."""
    offset, length = struct.unpack_from("<II", image, 0x248)
    offset += ((image[0x1f1] or 4) + 1) * 512
    packed = image[offset:offset + length]
    if packed[:4] == b"\x02\x21\x4c\x18":
        return unpack_lz4(packed)
    if packed[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(packed)
    raise ValueError("the kernel is packed neither by lz4 nor by xz: "
                     f"it begins with {packed[:6].hex()}")


def find_vmlinux():
    """The same kernel as ELF, unpacked once for a build folder; or None and the
    reason."""
    kernel, reason = find_kernel()
    if kernel is None:
        return None, reason
    path = pathlib.Path(os.environ["ULTRAVISOR_CACHE"]) / "vmlinux"
    image = kernel.read_bytes()
    mark = path.with_suffix(".of")
    of = hashlib.sha256(image).hexdigest()
    if not mark.exists() or mark.read_text("ascii") != of:
        try:
            data = unpack(image)
        except ValueError as error:
            return None, str(error)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
        mark.write_text(of, "ascii")
    return path, ""


def depends(module):
    """Names of the modules that one needs: its .modinfo says so."""
    found = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
    return found[1].decode().split(",") if found and found[1] else []


def in_order(folder, name):
    """Files of a module and of those it needs, in the order to load them."""
    files = []
    for needed in depends(folder / f"{name}.ko"):
        files += [file for file in in_order(folder, needed)
                  if file not in files]
    return [*files, folder / f"{name}.ko"]


def cpio(entries):
    """An archive as Linux's buffer-format.rst has it, of (name, mode, (major,
    minor), bytes)."""
    out = bytearray()
    for number, (name, mode, device, data) in enumerate(
            [*entries, ("TRAILER!!!", 0, (0, 0), b"")]):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device,
                  len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields)
        out += name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def folder(name):
    return name, 0o40755, (0, 0), b""


def file(name, data, mode=0o755):
    return name, 0o100000 | mode, (0, 0), data


CONSOLE = ("dev/console", 0o20600, (5, 1), b"")


def initrd(init):
    """An archive with no more than a first process."""
    return cpio([folder("dev"), folder("proc"), CONSOLE,
                 file("init", pathlib.Path(init).read_bytes())])
