# SPDX-License-Identifier: Apache-2.0
"""An hvsmd of a test's own: its configuration, its processes, what it says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from . import LabError
from .product import Outcome, binary, hvsm

# Reached only where something hangs: nothing here is about how long it takes.
LIMIT_S = 300.0

CONFIG = """
user = nobody
state_dir = "{folder}/state"
socket = "{folder}/hvsmd.sock"
{settings}
guest "*" {{ watch = no }}
guest "{pattern}" {{ watch = yes }}
"""


class Daemon:
    """An hvsmd with directories of its own, that watches the guests whose names match.

    Use it as a context manager: it has ended, with all that it started, after it."""

    def __init__(self, pattern: str, settings: str = "guest_cpu_percent = 50") -> None:
        self._temp = tempfile.TemporaryDirectory(prefix="hvsm-daemon-")
        self.folder = Path(self._temp.name)
        self.folder.chmod(0o711)     # for the user that control is
        self.socket = self.folder / "hvsmd.sock"
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.configure(pattern, settings)

    def configure(self, pattern: str, settings: str = "") -> None:
        config = self.folder / "hvsmd.conf"
        config.write_text(CONFIG.format(folder=self.folder, pattern=pattern, settings=settings))
        config.chmod(0o600)

    def __enter__(self) -> "Daemon":
        os.environ["HVSM_SOCKET"] = str(self.socket)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [binary().parent / "hvsmd", "--config", self.folder / "hvsmd.conf"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.environ.pop("HVSM_SOCKET", None)
        self._temp.cleanup()

    def stop(self) -> int:
        """End it as a service manager does; its exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def processes(self) -> dict[int, str]:
        """Itself and what it has started: what each is called."""
        assert self.process
        found = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            if self.process.pid in (int(rest.split()[1]), int(path.parent.name)):
                found[int(path.parent.name)] = name
        return found

    def status(self) -> Outcome:
        return hvsm("status", "--json")

    def guests(self) -> list[Any]:
        """What status says of each guest; nothing where there is no answer."""
        done = self.status()
        return list(done.json["guests"]) if done.out else []

    def ask(self, request: str) -> Any:
        """One request at the socket, and its answer."""
        with socket.socket(socket.AF_UNIX) as to:
            to.settimeout(LIMIT_S)
            to.connect(str(self.socket))
            to.sendall(json.dumps({"request": request}).encode() + b"\n")
            with to.makefile("rb") as answer:
                return json.loads(answer.readline())

    def wait(self, what: str, is_so: Callable[[], Any]) -> Any:
        """Until it is so; what it was."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            result = is_so()
            if result:
                return result
            if self.process and self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise LabError(f"not reached: {what}\n{self.status().out}\n{self.said()[-4000:]}")
