# SPDX-License-Identifier: Apache-2.0
"""An hvsmd of a test's own: its configuration, its processes, what it says.

    with Daemon("hvsm-life-*", "guest_cpu_percent = 50") as daemon:     # it has ended after it
        daemon.wait("watched", lambda: daemon.guests().get(name, {}).get("state") == "watched")

A test that starts and ends it again and again calls start(), end(), and close() at last.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from . import LabError
from .product import Outcome, binary, hvsm

# Reached only where something hangs: nothing here is about how long it takes.
LIMIT_S = float(os.environ.get("HVSM_LIMIT_S", "300"))

BUDGET = "guest_cpu_percent = 50"

# As often as it can, for tests of what happens in between.
OFTEN = f"""
look_period_ms = 100
cheap_period_ms = 150
middle_period_ms = 300
dear_period_ms = 1000
host_cpu_percent = 150
{BUDGET}"""

CONFIG = """
user = nobody
state_dir = "{state}"
socket = "{socket}"
{settings}
guest "*" {{ watch = no }}
guest "{pattern}" {{
	watch = yes
	{rules}
}}
"""


def runs(pid: int) -> bool:
    """Is there such a process? One that only waits to be reaped is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Daemon:
    """An hvsmd with directories of its own, that watches the guests whose names match PATTERN.

    SETTINGS are lines of its configuration, RULES those of the guests' block. Without a pattern it
    watches guests whose names begin with .names, which are nobody else's."""

    def __init__(self, pattern: str = "", settings: str = BUDGET, rules: str = "") -> None:
        self._temp = tempfile.TemporaryDirectory(prefix="hvsm-daemon-")
        self.folder = Path(self._temp.name)
        self.folder.chmod(0o711)     # for the user that control is
        self.names = f"hvsm-{uuid.uuid4().hex[:6]}-"
        self.pattern = pattern or f"{self.names}*"
        self.state, self.socket = self.folder / "state", self.folder / "hvsmd.sock"
        self.config, self.log = self.folder / "hvsmd.conf", self.folder / "log"
        self.env: dict[str, str] = {}   # beside our own
        self.process: subprocess.Popen[bytes] | None = None
        self.seen: set[int] = set()     # all processes that it ever had, as far as we looked
        self.configure(settings, rules)

    def configure(self, settings: str = BUDGET, rules: str = "") -> None:
        self.config.write_text(CONFIG.format(state=self.state, socket=self.socket, settings=settings,
                                             pattern=self.pattern, rules=rules))
        self.config.chmod(0o600)

    def __enter__(self) -> "Daemon":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    # --- its processes ---

    def start(self) -> None:
        os.environ["HVSM_SOCKET"] = str(self.socket)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([binary().parent / "hvsmd", "--config", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.env})

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def reload(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def _children(self) -> Iterator[tuple[int, str, str]]:
        """What it has started: PID, name, state (Z: not reaped)."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            state, parent = rest.split()[:2]
            if int(parent) == self.pid:
                self.seen.add(int(path.parent.name))
                yield int(path.parent.name), name, state

    def processes(self) -> dict[int, str]:
        """Itself and what it has started: what each is called."""
        return {self.pid: "hvsmd", **{pid: name for pid, name, _ in self._children()}}

    def children(self, role: str = "", state: str = "") -> list[int]:
        """Processes that it has started: all, of one role, in one state."""
        return [pid for pid, name, how in self._children() if name.endswith(role) and state in how]

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
        """Have it end, as a service manager does, and all of its processes with it; its exit status."""
        assert self.process
        left = self.children()
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(LIMIT_S)
        end = time.monotonic() + LIMIT_S
        while any(runs(pid) for pid in left):
            if time.monotonic() > end:
                raise LabError(f"processes of hvsmd are left: {left}")
            time.sleep(0.01)
        return status

    def close(self) -> None:
        """It has ended, and its directories are gone."""
        try:
            if self.process:
                self.end(signal.SIGKILL)
        finally:
            os.environ.pop("HVSM_SOCKET", None)
            self._temp.cleanup()

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

    def status(self) -> Outcome:
        """As its user asks."""
        return hvsm("status", "--json")

    def listed(self) -> list[Any]:
        """What status says of each guest; nothing where there is no answer."""
        status = self.ask("status")
        return list(status["guests"]) if status else []

    def guests(self) -> dict[str, Any]:
        """The same by name, where no two are called alike."""
        return {guest["name"]: guest for guest in self.listed()}

    def report(self, *args: str) -> Outcome:
        return hvsm("report", *args, "--ledger", str(self.state / "reports"))

    def records(self) -> list[Any]:
        """What the ledger lists, the oldest first."""
        return [json.loads(line) for line in self.report("list", "--json").out.splitlines()]

    def wait(self, what: str, is_so: Callable[[], Any]) -> Any:
        """Until it is so; what it was."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            ended = self.process is not None and self.process.poll() is not None
            result = is_so()
            if result:
                return result
            if ended:
                break
            time.sleep(0.05)
        raise LabError(f"not reached: {what}\n{self.ask('status')}\n{self.said()[-4000:]}")
