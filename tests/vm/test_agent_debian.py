#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""False alarms with the agent: a Debian system at work is no finding, and its agent is trusted all the time."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import agent, debian  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.image import programs  # noqa: E402
from lab.product import findings  # noqa: E402

SWEEPS, SWEEPS_MAX = 6, 60      # while all of that goes on, until each of it was done

CONTROL = "Package: lab-tool\nVersion: 1.0\nArchitecture: amd64\nMaintainer: lab <lab@localhost>\nDescription: lab\n"
POSTINST = "#!/bin/sh\nset -e\n/usr/bin/lab-tool nothing\n"

# What a Debian system does all day; each goes on until the guest ends.
BUSY = (
    "while :; do dpkg -i /root/lab-tool.deb; lab-tool nothing; dpkg -r lab-tool; done",
    "mkdir -p /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; "
    "cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys; "
    "while :; do ssh -o StrictHostKeyChecking=no -o BatchMode=yes 127.0.0.1 true && echo done >>/tmp/ssh.log; done",
    "echo '@reboot root echo done >>/tmp/cron.log' >/etc/cron.d/lab; "
    "while :; do systemd-run --wait --quiet true; rm -f /run/crond.reboot; systemctl restart cron; sleep 1; done",
    "while :; do perl -e 'print 1'; find /etc -name '*.conf' | sort | tail -n 1; sh -c 'echo $PPID'; done",
)
WORKED = "grep -q done /tmp/ssh.log && grep -q done /tmp/cron.log && grep -q 'Setting up lab-tool' /tmp/busy.log"


def package() -> bytes:
    """A package with a program and a script that runs it."""
    with tempfile.TemporaryDirectory() as temp:
        root = Path(temp, "root")
        for name, data, mode in (("DEBIAN/control", CONTROL.encode(), 0o644),
                                 ("DEBIAN/postinst", POSTINST.encode(), 0o755),
                                 ("usr/bin/lab-tool", programs()["meddle"].read_bytes(), 0o755)):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(mode)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, f"{temp}/lab-tool.deb"],
                       stdout=subprocess.DEVNULL, check=True)
        return Path(temp, "lab-tool.deb").read_bytes()


class AgentDebianTest(agent.Calm):
    """One method per kernel, made below."""

    def debian(self, guest: Guest, *options: object) -> None:
        guest.sh("systemctl is-system-running --wait || true")
        agent.install(guest)
        agent.start(guest)
        agent.wait_trusted(guest, *options)
        self.quiet(guest, *options)
        guest.put("/root/lab-tool.deb", package())
        for command in BUSY:
            guest.sh(f"({command}) </dev/null >>/tmp/busy.log 2>&1 &")
        guest.sh("ip link set lo up")
        before = self.sweep(guest, *options).json["agent"]["log_length"]
        for sweeps in range(SWEEPS_MAX):
            after = self.sweep(guest, *options).json["agent"]["log_length"]
            if sweeps >= SWEEPS and guest.call(WORKED).status == 0:
                break
        self.assertGreater(after, before, "nothing was measured")
        guest.sh(WORKED)
        guest.call("pkill -9 -f 'while :'")
        self.quiet(guest, *options)
        self.restarted(guest, *options)

    def restarted(self, guest: Guest, *options: object) -> None:
        """What the service manager does between two scans is told, as what it is."""
        only = ("--only", "agent-presence", *options)
        guest.sh("systemctl restart hvsm-agent")
        self.told(agent.wait_trusted(guest, *only), "restart", "low", "trusted")
        agent.stop(guest, 0)
        self.told(agent.scan_with_agent(guest, *only).json, "agent", "medium", "gone")
        agent.start(guest)
        self.told(agent.wait_trusted(guest, *only), "restart", "low", "trusted")

    def told(self, report: Any, what: str, severity: str, state: str) -> None:
        self.assertEqual([(f["object"]["name"], f["severity"]) for f in findings(report)], [(what, severity)], report)
        self.assertEqual(report["agent"]["state"], state)


def case(kernel: str, question: Callable[..., None], **shape: Any) -> Callable[[AgentDebianTest], None]:
    def run(self: AgentDebianTest) -> None:
        with Guest(kernel, **shape) as guest, tempfile.TemporaryDirectory() as store:
            question(self, guest, "--store", store)
    return run


for name in ("6.1-cloud", "6.12-cloud"):
    setattr(AgentDebianTest, "test_" + re.sub(r"\W", "_", name),
            case(name, AgentDebianTest.debian, system="debian", memory=debian.MEMORY, smp=2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
