"""What a running agent keeps in its memory (src/agent/format.h), read inside the guest with its own tools."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import Any

from . import LabError
from .agent import built
from .guest import Guest

PAGE = 4096
EVENTS = 16384
UNKNOWN = 2**64 - 1
WAIT_S = 120        # a guard against an agent that hangs, no measure of anything

ANCHOR = struct.Struct("<QIIIIQ16sQQIIQ" + "QQ" * 3 + "QQQ32sQQ")
ANCHOR_FIELDS = ("magic", "format", "size_bytes", "state", "pid", "started_ns", "boot_id", "heartbeat",
                 "heartbeat_ns", "period_ms", "marks", "lost", "log_at", "log_size", "events_at", "events_size",
                 "inside_at", "inside_size", "log_sequence", "log_bytes", "log_records", "log_head",
                 "events_next", "inside_sequence")
VIEW = struct.Struct("<QQQIIII")
ITEM = struct.Struct("<HHIQQ")
SOCKET = struct.Struct("<HHHHII16s16s")
EVENT = struct.Struct("<QQIIQ32s")

TASK, MODULE, SOCKETS, MOUNT, USER = range(1, 6)
EXEC, EXIT, MODULE_IN, MODULE_OUT, MOUNTED, UNMOUNTED, LOST = range(1, 8)


@dataclass(frozen=True)
class Item:
    kind: int
    number: int
    value: int
    text: bytes


@dataclass(frozen=True)
class View:
    sequence: int
    begun_ns: int
    ended_ns: int
    missing: int
    items: tuple[Item, ...]

    def of(self, kind: int) -> list[Item]:
        return [item for item in self.items if item.kind == kind]


@dataclass(frozen=True)
class Event:
    sequence: int
    time_ns: int
    type: int
    pid: int
    value: int
    text: bytes


class Inside:
    """The memory of the agent that runs as PID in GUEST."""

    def __init__(self, guest: Guest, pid: int) -> None:
        self.guest, self.pid, self.proc = guest, pid, "/proc"
        end = time.monotonic() + WAIT_S
        while not self._started():
            if time.monotonic() > end:
                raise LabError(f"{guest.name}: no agent in process {pid}")
            time.sleep(0.1)

    def _started(self) -> bool:
        maps = self.guest.call(f"cat /proc/{self.pid}/maps").out.decode().splitlines()
        bases = [line for line in maps if line.endswith("/hvsm-agent") and line.split()[2] == "00000000"]
        if not bases:
            return False
        self.base = int(bases[0].split("-")[0], 16)
        return bool(self.anchor()["magic"])

    def read(self, at: int, size: int) -> bytes:
        """Whole pages; AT is page aligned. dd of busybox and of coreutils."""
        pages = -(-size // PAGE)
        answer = self.guest.call(f"dd if={self.proc}/{self.pid}/mem bs={PAGE} skip={at // PAGE} count={pages} 2>/dev/null")
        if len(answer.out) < size:
            raise LabError(f"{self.guest.name}: {len(answer.out)} of {size} bytes at {at:#x} of process {self.pid}")
        return answer.out[:size]

    def anchor(self) -> dict[str, Any]:
        page = self.read(self.base + anchor_offset(), PAGE)
        return dict(zip(ANCHOR_FIELDS, ANCHOR.unpack_from(page)))

    def view(self) -> View:
        """The newest one, whole: what says that it changed while it was read is read again."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            anchor = self.anchor()
            sequence = anchor["inside_sequence"]
            at = anchor["inside_at"] + sequence % 2 * (anchor["inside_size"] // 2)
            head = VIEW.unpack_from(self.read(at, PAGE)) if sequence else (0,)
            if sequence and head[0] == sequence:
                data = self.read(at, head[3])
                again = VIEW.unpack_from(self.read(at, PAGE))
                if data[:VIEW.size] == VIEW.pack(*head) and again == head:
                    return parse(data)
        raise LabError(f"{self.guest.name}: no whole view of the inside")

    def next_view(self) -> View:
        """One that began after this was called."""
        first = self.anchor()["inside_sequence"]
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            view = self.view()
            if view.sequence >= first + 2:
                return view
            time.sleep(0.2)
        raise LabError(f"{self.guest.name}: the inside view stands still")

    def events(self) -> list[Event]:
        """All that are in the ring, oldest first."""
        anchor = self.anchor()
        data = self.read(anchor["events_at"], EVENTS * EVENT.size)
        found = [Event(*EVENT.unpack_from(data, i * EVENT.size)) for i in range(EVENTS)]
        return sorted((e for e in found if e.sequence != UNKNOWN), key=lambda e: e.sequence)


def parse(data: bytes) -> View:
    sequence, begun, ended, size, count, missing, _ = VIEW.unpack_from(data)
    items, at = [], VIEW.size
    for _ in range(count):
        item_size, kind, text_bytes, number, value = ITEM.unpack_from(data, at)
        if item_size % 8 or item_size < ITEM.size + text_bytes:
            raise LabError(f"an item of {item_size} bytes has a text of {text_bytes}")
        text = data[at + ITEM.size:at + ITEM.size + text_bytes]
        if any(data[at + ITEM.size + text_bytes:at + item_size]):
            raise LabError("padding that is not zero")
        items.append(Item(kind, number, value, text))
        at += item_size
    if at != size:
        raise LabError(f"{count} items end at {at}, not at {size}")
    return View(sequence, begun, ended, missing, tuple(items))


def anchor_offset() -> int:
    """Where the agent's ELF file has the section of the anchor."""
    data = built().read_bytes()
    sections, = struct.unpack_from("<Q", data, 0x28)
    entry_bytes, count, names_index = struct.unpack_from("<HHH", data, 0x3a)

    def section(i: int) -> tuple[int, ...]:
        return struct.unpack_from("<IIQQQQ", data, sections + i * entry_bytes)

    names = section(names_index)[4]
    for i in range(count):
        name, _, _, address, _, _ = section(i)
        end = data.index(b"\0", names + name)
        if data[names + name:end] == b".hvsm.anchor":
            return address
    raise LabError(f"{built()} has no anchor")
