"""hvsmd in dom0, as tests watch it at work."""

from __future__ import annotations

import json
import re
import shlex
import time
from types import TracebackType
from typing import Any, Callable

from domains import LIMIT_S
from xenlab import Domain, XenHost

# An emulated host is too slow for what is paid for by and by.
CONFIG = """
user = lab
state_dir = "{folder}/state"
socket = "{folder}/socket"
guest_cpu_percent = 100
host_cpu_percent = 200
mode = enforce
reaction cut {{ kind = unlink }}
reaction stop {{ kind = pause }}
guest "*" {{ watch = no }}
guest "{guest}" {{
	watch = yes
	{key}
}}
"""
REACTS = "reactions = { cut, stop }"
EVENTS = "xen_events = yes"
# It takes 0.4 s to ask hvsmd, and what asks has the CPU of what it waits for.
ASK_S = 0.7


class Daemon:
    """One that watches one guest. A context manager: it runs on entry, and has ended after it."""

    def __init__(self, host: XenHost, name: str, guest: str, key: str = "") -> None:
        self.host, self.folder = host, f"/tmp/{name}"
        self.config = CONFIG.format(folder=self.folder, guest=guest, key=key)

    def __enter__(self) -> "Daemon":
        self.host.sh(f"rm -rf {self.folder}; mkdir -p {self.folder}; "
                     f"printf '%s' {shlex.quote(self.config)} >{self.folder}/conf; "
                     f"chmod 600 {self.folder}/conf; chmod 711 {self.folder}; "
                     f"/build/src/hvsmd --config {self.folder}/conf >{self.folder}/log 2>&1 & echo $! >{self.folder}/pid")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.host.call(f"p=$(cat {self.folder}/pid); kill $p; while [ -e /proc/$p ]; do sleep 0.1; done")

    @property
    def log(self) -> str:
        return self.host.sh(f"cat {self.folder}/log")

    def guest(self) -> Any:
        """What it says of the guest; nothing where there is none."""
        answer = self.host.call(f"HVSM_SOCKET={self.folder}/socket /build/src/hvsm status --json")
        guests = json.loads(answer.out)["guests"] if answer.out else []
        return guests[0] if guests else {}

    def waits(self, what: str, is_so: Callable[[], Any]) -> Any:
        """What @is_so gives once that is anything."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            found = is_so()
            if found:
                return found
            time.sleep(ASK_S)
        raise AssertionError(f"{what}: {self.guest()}\n{self.log}")

    def says(self, pattern: str) -> None:
        self.waits(pattern, lambda: re.search(pattern, self.log))

    def sees(self, what: str, is_so: Callable[[Any], Any]) -> Any:
        """The guest, once it is so of it."""
        return self.waits(what, lambda: next((guest for guest in [self.guest()] if guest and is_so(guest)), None))

    def loses_it(self) -> None:
        self.waits("gone", lambda: not self.guest())

    def follows(self, domain: Domain) -> Any:
        """It is looked at under the number that it has now, and nothing is wrong with it."""
        target = f"xen:{domain.id}"
        seen = self.sees(f"{target} is watched", lambda guest: guest["target"] == target and
                         guest["state"] == "watched" and guest["sweeps"] > 0)
        assert seen["open_findings"] == 0, seen
        return seen

    def never_found_anything(self) -> None:
        """In no sweep: also what was open for a moment is in the ledger."""
        out = self.host.sh(f"/build/src/hvsm report findings --ledger {self.folder}/state/reports --json")
        assert [json.loads(line)["items"] for line in out.splitlines()] == [[]], out
        assert "broke the protocol" not in self.log, self.log

    def kill(self, *others: str) -> None:
        """As the host's kernel does it where it has no memory left."""
        pids = " ".join(f"$(pidof {name})" for name in others)
        self.host.sh(f"p=\"$(cat {self.folder}/pid) {pids}\"; kill -9 $p; "
                     "for i in $p; do while [ -e /proc/$i ]; do sleep 0.05; done; done")
