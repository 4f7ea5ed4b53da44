"""A guest's kernel, changed from outside: nothing else in the guest tells of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from .backends import size_bytes
from .guest import Guest


class Ram:
    """A guest's RAM, and where its kernel's image lies in it. Addresses are those of its QEMU."""

    PIECE = 16 << 20

    def __init__(self, guest: Guest) -> None:
        self.symbols = {name: int(at, 16) for at, _, name, *_ in
                        map(str.split, guest.sh("cat /proc/kallsyms").splitlines())}
        self.mem = os.open(f"/proc/{guest.pid}/mem", os.O_RDWR)
        # The table of system calls begins with these, wherever it lies.
        calls = ("read", "write", "open", "close", "newstat")
        table = struct.pack("<5Q", *(self.symbols[f"__x64_sys_{call}"] for call in calls))
        found = list(self.places(*self.area(guest), table))
        assert len(found) == 1, f"the table of system calls is there {len(found)} times"
        self.moved = self.symbols["sys_call_table"] - found[0]

    @staticmethod
    def area(guest: Guest) -> tuple[int, int]:
        """Of QEMU's addresses: nothing else is as large."""
        areas = [line.split("-", 1) for line in Path(f"/proc/{guest.pid}/maps").read_text().splitlines()]
        ends = [(int(start, 16), int(rest.split()[0], 16)) for start, rest in areas]
        return next((start, end) for start, end in ends if end - start == size_bytes(guest.memory))

    def places(self, start: int, end: int, what: bytes) -> Iterator[int]:
        for at in range(start, end, self.PIECE):
            bytes_ = os.pread(self.mem, self.PIECE + len(what) - 1, at)
            found = bytes_.find(what)
            while found >= 0:
                yield at + found
                found = bytes_.find(what, found + 1)

    def at(self, symbol: str, offset: int = 0) -> int:
        return self.symbols[symbol] + offset - self.moved

    def get(self, at: int, size: int) -> bytes:
        return os.pread(self.mem, size, at)

    def swap(self, at: int, new: bytes) -> bytes:
        old = self.get(at, len(new))
        os.pwrite(self.mem, new, at)
        return old
