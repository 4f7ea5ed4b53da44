"""An hvsmd of our own, with directories of its own, started again as systemd would; and what it says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .product import Outcome, binary, hvsm

# Reached only where something hangs: nothing is about how long it takes.
LIMIT_S = float(os.environ.get("HVSM_LIMIT_S", "300"))

CONFIG = """
user = nobody
state_dir = "{state}"
socket = "{socket}"
look_period_ms = 100
cheap_period_ms = 150
middle_period_ms = 300
dear_period_ms = 1000
host_cpu_percent = 150
guest_cpu_percent = 50
guest "*" {{ watch = no }}
guest "{names}*" {{ watch = yes }}
{more}
"""


def runs(pid: int) -> bool:
    """Nobody need have reaped it, to whom it was left."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Hvsmd:
    """It watches the guests whose names begin with .names, often, and nobody else's."""

    def __init__(self, folder: Path, more: str = "", env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.names = f"hvsm-{uuid.uuid4().hex[:6]}-"
        self.state, self.socket = folder / "state", folder / "hvsmd.sock"
        self.config, self.log = folder / "hvsmd.conf", folder / "log"
        self.config.write_text(CONFIG.format(state=self.state, socket=self.socket,
                                             names=self.names, more=more))
        self.config.chmod(0o600)
        folder.chmod(0o711)     # for the user that control is
        self.env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.seen: set[int] = set()     # all processes that it ever had, as far as we looked

    # --- its processes ---

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([binary().parent / "hvsmd", "--config", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env)

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def children(self, role: str = "", state: str = "") -> list[int]:
        """Processes that it has started: all, of one role, in one state (Z: not reaped)."""
        pids = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            fields = rest.split()
            if int(fields[1]) == self.pid and name.endswith(role) and state in fields[0]:
                pids.append(int(path.parent.name))
        self.seen.update(pids)
        return pids

    def scanner_of(self, pid: int) -> list[int]:
        """The scanners that hold the memory of process PID open."""
        found = []
        for scanner in self.children("-scanner"):
            try:
                links = [os.readlink(link) for link in Path(f"/proc/{scanner}/fd").iterdir()]
            except OSError:
                continue
            if f"/proc/{pid}/mem" in links:
                found.append(scanner)
        return found

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Have it end, and all of its processes with it; its exit status."""
        assert self.process
        left = self.children()
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(LIMIT_S)
        end = time.monotonic() + LIMIT_S
        while any(runs(pid) for pid in left):
            if time.monotonic() > end:
                raise AssertionError(f"processes are left: {left}")
            time.sleep(0.01)
        return status

    def kill(self) -> None:
        """For addCleanup()."""
        if self.process:
            self.end(signal.SIGKILL)

    # --- what it says ---

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def ask(self, request: str) -> Any:
        """One request at its socket; None where nobody answers."""
        try:
            with socket.socket(socket.AF_UNIX) as to:
                to.settimeout(LIMIT_S)
                to.connect(str(self.socket))
                to.sendall(json.dumps({"request": request}).encode() + b"\n")
                with to.makefile("rb") as answer:
                    return json.loads(answer.readline() or b"null")
        except OSError:
            return None

    def guests(self) -> dict[str, Any]:
        """What status says, by name; nothing where it says nothing."""
        status = self.ask("status")
        return {guest["name"]: guest for guest in status["guests"]} if status else {}

    def report(self, *args: str) -> Outcome:
        return hvsm("report", *args, "--ledger", str(self.state / "reports"))

    def records(self) -> list[Any]:
        """What the ledger lists, the oldest first."""
        return [json.loads(line) for line in self.report("list", "--json").out.splitlines()]

    def wait(self, what: str, is_so: Callable[[], Any]) -> Any:
        """Until it is so."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            result = is_so()
            if result:
                return result
            time.sleep(0.02)
        raise AssertionError(f"{what}: {self.ask('status')}\n{self.said()[-4000:]}")
