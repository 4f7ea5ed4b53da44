"""How much of its heap each process of an hvsmd has in use, to the byte, and its descriptors.

    heap = Heap(daemon.folder)
    daemon.env = heap.env
    heap.of(pid)            # least of some moments at which its loop had nothing to do
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from .daemon import LIMIT_S

# So often is looked: what is under way in one moment, an answer or a report, is over in another.
MOMENTS = 8


@dataclass(frozen=True)
class Used:
    """By one process, at rest."""

    heap_bytes: int
    descriptors: int


class Heap:
    """What tests/make/heap_watch.c writes of the processes that it is preloaded into."""

    def __init__(self, folder: Path) -> None:
        self.build = Path(os.environ.get("HVSM_BUILD",
                                         Path(__file__).resolve().parents[3] / "build"))
        self.folder = folder / "heap"
        self.folder.mkdir()
        # What a thread keeps of freed blocks would count as used.
        self.env = {"LD_PRELOAD": str(self.build / "tests" / "make" / "heap-watch.so"),
                    "HVSM_HEAP_WATCH": str(self.folder),
                    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}

    def _numbers(self, pid: int) -> tuple[int, int]:
        bytes_used, rests = struct.unpack("<2Q", (self.folder / str(pid)).read_bytes())
        return bytes_used, rests

    def of(self, pid: int) -> Used:
        used, seen, end = [], -1, time.monotonic() + LIMIT_S
        while len(used) < MOMENTS:
            if time.monotonic() > end:
                raise AssertionError(f"process {pid} never rests")
            heap_bytes, rests = self._numbers(pid)
            if rests != seen:
                used.append(Used(heap_bytes, len(list(Path(f"/proc/{pid}/fd").iterdir()))))
                seen = rests
            time.sleep(0.05)
        return Used(min(one.heap_bytes for one in used), min(one.descriptors for one in used))
