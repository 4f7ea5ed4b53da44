"""The measure agent in a guest: started there, and given to the product, which looks from outside."""

from __future__ import annotations

import json
import os
import time
import unittest
from pathlib import Path
from typing import Any

from . import LabError
from .cache import TOP
from .guest import Guest
from .product import Outcome, binary, findings, scan

PROGRAM = "/usr/sbin/hvsm-agent"
PID_FILE = "/tmp/agent.pid"
READY_S = 60       # a guard against one that hangs, no measure of anything


def built() -> Path:
    """The agent under test: $HVSM_AGENT, or the one that was built with hvsm."""
    return Path(os.environ.get("HVSM_AGENT") or binary().parent / "hvsm-agent")


def install(guest: Guest) -> None:
    """Put the agent where its package would, and where there is systemd its unit as well."""
    guest.put(PROGRAM, built().read_bytes(), 0o755)
    if guest.system == "debian":
        guest.put("/etc/systemd/system/hvsm-agent.service", _unit().read_bytes())
        guest.sh("systemctl daemon-reload")


def start(guest: Guest, program: str = PROGRAM) -> int:
    """Start the agent; its PID."""
    if guest.system == "debian":
        guest.sh("systemctl start hvsm-agent")
        return int(guest.sh("systemctl show -p MainPID --value hvsm-agent"))
    return int(guest.sh(f"{program} run </dev/null >/tmp/agent.log 2>&1 & echo $! | tee {PID_FILE}"))


def stop(guest: Guest, pid: int) -> None:
    """End it as an administrator does, and wait until it is gone."""
    if guest.system == "debian":
        guest.sh("systemctl stop hvsm-agent")
    else:
        guest.sh(f"kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.05; done")


def wait_running(guest: Guest) -> None:
    """Wait until it has measured what ran before it."""
    guest.sh(f"until {PROGRAM} status | grep -q 'state *running'; do sleep 0.1; done")


def wait_views(guest: Guest, count: int) -> None:
    """Wait until the agent has looked around COUNT times more, from the beginning on."""
    views = f"{PROGRAM} status | awk '$1 == \"views\" {{ print $2 }}'"
    guest.sh(f"first=$({views}); until [ $({views}) -gt $((first + {count})) ]; do sleep 0.2; done")


def scan_with_agent(guest: Guest, *options: object) -> Any:
    """A scan that has the host's copy of the agent at hand."""
    return scan(f"qemu:{guest.pid}", "--agent", built(), *options)


def wait_trusted(guest: Guest, *options: object) -> Any:
    """Scan until the agent is proved; the last report."""
    end = time.monotonic() + READY_S
    while True:
        outcome = scan_with_agent(guest, *options)
        agent = outcome.json["agent"] if outcome.status in (0, 1, 3) else None
        if agent and agent["state"] == "trusted":
            return outcome.json
        if time.monotonic() > end:
            raise LabError(f"{guest.name}: the agent is not trusted: {outcome.out}{outcome.err}")
        time.sleep(0.2)


def _unit() -> Path:
    found = sorted([*TOP.glob("src/agent/*.service"), *binary().parent.glob("*.service")])
    if not found:
        raise LabError("no systemd unit of the agent")
    return found[-1]


class Calm(unittest.TestCase):
    """A guest with an agent in which nothing is wrong, however busy it is."""

    def sweep(self, guest: Guest, *options: object) -> Outcome:
        """A whole scan: what is in flight may leave a doubt, never a finding or doubt about the agent."""
        outcome = scan_with_agent(guest, *options)
        found = json.dumps(outcome.json["findings"], indent=1) if outcome.status == 1 else outcome.out[:6000]
        self.assertIn(outcome.status, (0, 3), found + outcome.err)
        self.assertEqual(findings(outcome.json), [], found)
        # Stalled: its own checks say what could not be seen. What is clean says that all was.
        self.assertIn(outcome.json["agent"]["state"],
                      ("trusted",) if outcome.status == 0 else ("trusted", "stalled"), outcome.out[:6000])
        return outcome

    def quiet(self, guest: Guest, *options: object) -> None:
        for _ in range(5):
            outcome = self.sweep(guest, *options)
            if outcome.status == 0:
                return
        self.fail(outcome.out[:6000])
