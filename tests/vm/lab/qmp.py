"""A small QMP client: one command, one answer; events are passed over."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from . import LabError


class Qmp:
    """A connection to a QEMU's QMP socket. QEMU serves one client at a time, so close it soon."""

    def __init__(self, path: str | Path, timeout_s: float = 30) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout_s)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rw", encoding="utf-8")
        self._read()                        # the greeting
        self.command("qmp_capabilities")

    def __enter__(self) -> "Qmp":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def _read(self) -> dict[str, Any]:
        line = self.file.readline()
        if not line:
            raise LabError(f"QMP {self.path}: QEMU closed the connection")
        return json.loads(line)

    def command(self, name: str, **arguments: Any) -> Any:
        """Run a command and return what it answers; an argument's "_" stands for "-"."""
        request = {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        self.file.write(json.dumps(request) + "\n")
        self.file.flush()
        while True:
            answer = self._read()
            if "error" in answer:
                raise LabError(f"QMP {name}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def human(self, line: str) -> str:
        """A command of the human monitor, for what QMP itself cannot say."""
        return self.command("human-monitor-command", command_line=line)
