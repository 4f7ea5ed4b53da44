"""The wire to labd in the guest (guest/labd.c describes the frames)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from . import LabError

HEAD = struct.Struct("<B3xI")


@dataclass
class Answer:
    """What a request gave; STATUS is an exit status for run, an errno otherwise."""

    status: int
    out: bytes
    err: bytes


class Channel:
    """One connection to a guest's virtio-serial port; requests go one after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))

    def close(self) -> None:
        self.sock.close()

    def hello(self, timeout_s: float) -> str | None:
        """The guest's uname -r once labd is up; None if it says nothing for so long."""
        self.sock.settimeout(timeout_s)
        try:
            kind, data = self._read_frame()
        except TimeoutError:
            return None
        if kind != "H":
            raise LabError(f"{self.path}: the guest began with a frame '{kind}'")
        return data.decode()

    def run(self, command: str, timeout_s: float) -> Answer:
        return self._ask("R", command.encode(), timeout_s)

    def get(self, path: str, timeout_s: float) -> Answer:
        return self._ask("G", path.encode(), timeout_s)

    def put(self, path: str, data: bytes, mode: int, timeout_s: float) -> Answer:
        return self._ask("P", f"{mode:o} {path}\0".encode() + data, timeout_s)

    def load(self, module: bytes, params: str, timeout_s: float) -> Answer:
        return self._ask("L", params.encode() + b"\0" + module, timeout_s)

    def unload(self, name: str, timeout_s: float) -> Answer:
        return self._ask("U", name.encode(), timeout_s)

    def _ask(self, kind: str, data: bytes, timeout_s: float) -> Answer:
        answer = Answer(-1, b"", b"")
        out, err = bytearray(), bytearray()
        self.sock.settimeout(timeout_s)
        try:
            self.sock.sendall(HEAD.pack(ord(kind), len(data)) + data)
            while True:
                kind, data = self._read_frame()
                if kind == "O":
                    out += data
                elif kind == "E":
                    err += data
                elif kind == "X":
                    answer.status = struct.unpack("<i", data)[0]
                    answer.out, answer.err = bytes(out), bytes(err)
                    return answer
                elif kind == "H":
                    raise LabError("the guest rebooted during the request")
                else:
                    raise LabError(f"the guest sent a frame '{kind}'")
        except TimeoutError:
            self.close()    # what comes later would be taken for the next answer
            raise LabError(f"the guest said nothing for {timeout_s:.0f} s") from None

    def _read_frame(self) -> tuple[str, bytes]:
        kind, length = HEAD.unpack(self._read(HEAD.size))
        return chr(kind), self._read(length)

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self.sock.recv(min(length - len(data), 1 << 20))
            if not part:
                raise LabError("QEMU closed the channel to the guest")
            data += part
        return bytes(data)
