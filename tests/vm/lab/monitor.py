"""QEMU's human monitor over its socket."""

from __future__ import annotations

import socket
from pathlib import Path

from . import LabError

PROMPT = b"(qemu) "


def ask(path: Path, line: str, timeout_s: float = 30) -> str:
    """Type LINE at the monitor and return what it prints."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(str(path))
        _until_prompt(sock, path)
        sock.sendall(line.encode() + b"\n")
        answer = _until_prompt(sock, path).decode(errors="replace")
    # The terminal echoes what is typed, redrawn letter by letter, on the first line.
    return answer.partition("\n")[2].replace("\r", "")


def _until_prompt(sock: socket.socket, path: Path) -> bytes:
    data = b""
    while not data.endswith(PROMPT):
        part = sock.recv(65536)
        if not part:
            raise LabError(f"monitor {path}: QEMU closed the connection")
        data += part
    return data[:-len(PROMPT)]
