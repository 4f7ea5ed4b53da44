"""Memory images in the formats that the product reads, made from the ELF core that QEMU writes.

Only the ranges of RAM are taken over; raw images are sparse where the guest has none.
"""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from . import LabError

PT_LOAD = 1
LIME_MAGIC = 0x4C694D45     # "EMiL" in the file; github.com/504ensicsLabs/LiME, src/lime.h
LOW_BIOS = 0xFFF00000       # firmware below 4 GiB, which QEMU dumps as if it were RAM


@dataclass(frozen=True)
class Segment:
    """A range of guest-physical memory and where the core has it."""

    start: int
    size: int
    offset: int


def segments(core: Path) -> list[Segment]:
    """The PT_LOAD headers of a 64-bit core, by address."""
    with open(core, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            raise LabError(f"{core}: not a 64-bit ELF file")
        offset, size, count = (*struct.unpack_from("<Q", header, 32), *struct.unpack_from("<HH", header, 54))
        found = []
        for i in range(count):
            file.seek(offset + i * size)
            kind, _, at, _, physical, length = struct.unpack_from("<IIQQQQ", file.read(size))
            if kind == PT_LOAD:
                found.append(Segment(physical, length, at))
    return sorted(found, key=lambda segment: segment.start)


def _copy(source: BinaryIO, segment: Segment, target: BinaryIO) -> None:
    """Copy, but leave what is all zeros to the file system as holes."""
    source.seek(segment.offset)
    left = segment.size
    while left:
        part = source.read(min(left, 1 << 16))
        if not part:
            raise LabError("the core is shorter than its headers say")
        if any(part):
            target.write(part)
        else:
            target.seek(len(part), 1)
        left -= len(part)
    target.truncate(target.tell())


def to_raw(core: Path, raw: Path) -> None:
    """Guest-physical address = offset in the file."""
    with open(core, "rb") as source, open(raw, "wb") as target:
        for segment in segments(core):
            if segment.start < LOW_BIOS or segment.start >= 1 << 32:
                target.seek(segment.start)
                _copy(source, segment, target)


def to_lime(core: Path, lime: Path) -> None:
    """Each range behind a header: magic, version 1, first and last address, 8 bytes reserved."""
    with open(core, "rb") as source, open(lime, "wb") as target:
        for segment in segments(core):
            target.write(struct.pack("<IIQQ8x", LIME_MAGIC, 1, segment.start, segment.start + segment.size - 1))
            _copy(source, segment, target)


def truncated(image: Path, target: Path, size: int) -> None:
    """The first SIZE bytes of an image, as an interrupted copy leaves it."""
    shutil.copyfile(image, target)
    with open(target, "r+b") as file:
        file.truncate(size)
