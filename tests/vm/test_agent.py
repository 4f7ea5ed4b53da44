#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks on the measure agent itself: each is found, and what was done to it is said."""

from __future__ import annotations

import re
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import agent  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.product import findings  # noqa: E402
from lab.technique import CALM, CLOUD, Technique, clean  # noqa: E402

AGENT = f"$(cat {agent.PID_FILE})"
CGROUP = "/sys/fs/cgroup/agent"
OTHER = "/tmp/other.pid"

CHECKS = ("agent-alive", "agent-code", "agent-log", "agent-presence", "agent-view", "agent-watch")
TAMPERED, STALLED, GONE, REPLACED, TRUSTED = "tampered", "stalled", "gone", "replaced", "trusted"


def commands(start: str, stop: str = "") -> dict[str, Callable[[Guest], None]]:
    """What is done, and how it is undone; without STOP it cannot be, and the agent is started anew."""
    done: dict[str, Callable[[Guest], None]] = {"start": lambda guest: guest.sh(start) and None}
    if stop:
        done["stop"] = lambda guest: guest.sh(stop) and None
    return done


def meddle(mode: str, undo: bool = True) -> dict[str, Callable[[Guest], None]]:
    command = f"meddle {mode} {AGENT}"
    return commands(command, command if undo else "")


def restarted(guest: Guest) -> None:
    guest.sh(f"kill -9 {AGENT}; while [ -e /proc/{AGENT} ]; do sleep 0.02; done")
    agent.start(guest)
    agent.wait_running(guest)


TOLD_TO_END = f"kill {AGENT}; while [ -e /proc/{AGENT} ]; do sleep 0.02; done"


def started_again(guest: Guest) -> None:
    """As a service manager restarts it: between two looks of the host's."""
    guest.sh(TOLD_TO_END)
    agent.start(guest)
    agent.wait_running(guest)


KILL = f"kill -9 $(cat {OTHER}); while [ -e /proc/$(cat {OTHER}) ]; do sleep 0.02; done"

CHROOT = (f"kill -9 {AGENT}; while [ -e /proc/{AGENT} ]; do sleep 0.02; done; mkdir -p /tmp/root; "
          f"mount -o rbind / /tmp/root; (chroot /tmp/root {agent.PROGRAM} run & echo $! >{agent.PID_FILE}) "
          f"</dev/null >/tmp/agent.log 2>&1; until [ -d /proc/{AGENT}/fdinfo ]; do sleep 0.02; done; sleep 1")

UNSHARE = (f"kill -9 {AGENT}; while [ -e /proc/{AGENT} ]; do sleep 0.02; done; "
           f"(unshare -m {agent.PROGRAM} run & echo $! >{agent.PID_FILE}) </dev/null >/tmp/agent.log 2>&1; "
           f"until [ -d /proc/{AGENT}/fdinfo ]; do sleep 0.02; done; sleep 1")

# How bad it is: what root does as well to look after an agent is told from what nobody does.
SEVERITIES = {"agent-killed": ("high",), "agent-restarted": ("medium",), "agent-ended": ("medium",),
              "agent-started-again": ("low",)}

# A technique, and the state of the agent that it leads to.
ROWS = (
    (GONE, Technique("agent-killed", "agent killed", "agent-presence", "agent",
                     "that it was there in this boot, and did not say that it would end",
                     **commands(f"kill -9 {AGENT}; while [ -e /proc/{AGENT} ]; do sleep 0.02; done"))),
    (REPLACED, Technique("agent-restarted", "agent killed, and another one started in its place",
                         "agent-presence", "another agent", "both, and how far the first one's log went",
                         start=restarted)),
    (GONE, Technique("agent-ended", "agent told to end between two looks of the host's", "agent-presence", "agent",
                     "that it was there in this boot, and said that it was told to end", **commands(TOLD_TO_END))),
    (TRUSTED, Technique("agent-started-again", "agent told to end, and started again between two looks of the host's",
                        "agent-presence", "restart", "since when it was not there, for how long, and how many records "
                        "nobody has seen", start=started_again)),
    (STALLED, Technique("agent-main-thread", "agent's main thread ended, and no other", "agent-alive", "main thread",
                        "the thread", **meddle("end", undo=False))),
    (STALLED, Technique("agent-stopped", "agent stopped by a signal", "agent-alive", "stopped",
                        "the thread", **commands(f"kill -STOP {AGENT}", f"kill -CONT {AGENT}"))),
    (STALLED, Technique("agent-frozen", "agent frozen by its control group", "agent-alive", "frozen",
                        "the thread",
                        **commands(f"mkdir -p {CGROUP}; echo {AGENT} >{CGROUP}/cgroup.procs; "
                                   f"echo 1 >{CGROUP}/cgroup.freeze; "
                                   f"until grep -q 'frozen 1' {CGROUP}/cgroup.events; do sleep 0.02; done",
                                   f"echo 0 >{CGROUP}/cgroup.freeze; "
                                   f"echo {AGENT} >/sys/fs/cgroup/cgroup.procs; rmdir {CGROUP}"))),
    (TAMPERED, Technique("agent-traced", "agent traced", "agent-code", "tracer", "the thread",
                         **commands(f"intrude trace {AGENT} >{OTHER}", KILL))),
    (TAMPERED, Technique("agent-poked", "agent's code patched by ptrace(2)", "agent-code", "code",
                         "the bytes, and those of the host's copy", **meddle("poke"))),
    (TAMPERED, Technique("agent-written", "agent's code patched through /proc/PID/mem", "agent-code", "code",
                         "the bytes, and those of the host's copy", **meddle("write"))),
    (TAMPERED, Technique("agent-constant", "agent's constants changed", "agent-code", "constants",
                         "the bytes, and those of the host's copy", **meddle("constant"))),
    (TAMPERED, Technique("agent-chroot", "agent started in a root directory of its own", "agent-code", "root",
                         "that it is not the root of PID 1", **commands(CHROOT))),
    (TAMPERED, Technique("agent-unlocked", "agent's code not locked in memory any more", "agent-code", "lock",
                         "the area, and how it is mapped",
                         **commands(f"meddle unlock {AGENT}", f"meddle lock {AGENT}"))),
    (TAMPERED, Technique("agent-namespace", "agent started in a mount namespace of its own", "agent-code", "namespace",
                         "the namespace, and that of PID 1", **commands(UNSHARE))),
    (TAMPERED, Technique("agent-anchor", "what leads to the agent's log overwritten", "agent-log", "anchor",
                         "what cannot be in it", **meddle("anchor"))),
    (TAMPERED, Technique("agent-log-rewritten", "record of the agent's log changed", "agent-log", "log",
                         "the record whose chain is not right", **meddle("log"))),
    (TAMPERED, Technique("agent-log-forged", "record of the agent's log changed, and all chained anew", "agent-log",
                         "log", "that other records were seen there before", **meddle("forge", undo=False))),
    (TAMPERED, Technique("agent-log-truncated", "records taken from the end of the agent's log", "agent-log",
                         "log", "how many records were seen, and are there", **meddle("truncate", undo=False))),
    (TAMPERED, Technique("agent-marks", "agent's fanotify marks removed", "agent-watch", "marks?.*",
                         "the file systems that nobody watches any more", **meddle("unmark", undo=False))),
    (TRUSTED, Technique("agent-two", "second agent under another name", "agent-presence", r"second agent \d+",
                        "the process, its parent and its user",
                        **commands(f"cp {agent.PROGRAM} /tmp/other; mv /run/hvsm-agent /run/first; (/tmp/other run & echo $! >{OTHER}) "
                                   f"</dev/null >/dev/null 2>&1; until [ -d /proc/$(cat {OTHER})/fdinfo ]; do "
                                   f"sleep 0.02; done; sleep 1",
                                   f"{KILL}; rm -r /tmp/other /run/hvsm-agent; mv /run/first /run/hvsm-agent"))),
    (TRUSTED, Technique("agent-look-alike", "process under the agent's name", "agent-presence",
                        r"look-alike \d+", "the process, its parent and its user",
                        **commands(f"cp /sbin/intrude /tmp/hvsm-agent; /tmp/hvsm-agent sleep >{OTHER}",
                                   f"{KILL}; rm /tmp/hvsm-agent"))),
)

TECHNIQUES = tuple(technique for _, technique in ROWS)


class AgentTest(unittest.TestCase):
    """One method per kernel, made below: one guest for all rows."""

    def every_attack(self, guest: Guest, rows: tuple[tuple[str, Technique], ...] = ROWS) -> None:
        agent.install(guest)
        agent.start(guest)
        for state, technique in rows:
            if guest.kernel.name in technique.kernels:
                with self.subTest(technique.name), tempfile.TemporaryDirectory() as store:
                    self.attack(guest, state, technique, "--store", store)

    def attack(self, guest: Guest, state: str, technique: Technique, *options: object) -> None:
        """Trusted and clean; found while it is at work; and if it can be undone, trusted and clean."""
        only = ("--only", ",".join(CHECKS), *options)
        self.trusted(guest, *only)
        assert technique.start
        technique.start(guest)
        try:
            outcome = clean(f"qemu:{guest.pid}", "--agent", agent.built(), *only)
            said = f"{technique.name}: {outcome.out}{outcome.err}"
            self.assertEqual(outcome.status, 1, said)
            found = [f for f in findings(outcome.json, technique.check)
                     if re.fullmatch(technique.object, f["object"]["name"])]
            self.assertEqual(len(found), 1, said)
            self.assertTrue(found[0]["evidence"], said)
            self.assertIn(found[0]["severity"], SEVERITIES.get(technique.name, ("high", "medium")), said)
            self.assertEqual(outcome.json["agent"]["state"], state, said)
        finally:
            if technique.stop:
                technique.stop(guest)
            else:
                guest.call(f"kill -9 {AGENT}; while [ -e /proc/{AGENT} ]; do sleep 0.02; done")
                agent.start(guest)
        if technique.stop:
            self.trusted(guest, *only)

    def trusted(self, guest: Guest, *options: object) -> None:
        for _ in range(CALM):       # a host that is busy lets the guest's clock stand still
            report = agent.wait_trusted(guest, *options)
            self.assertEqual(findings(report), [], report)
            results = {check["id"]: check["result"] for check in report["checks"]}
            if results == dict.fromkeys(CHECKS, "clean"):
                return
        self.fail(f"{report}")


def case(kernel: str) -> Callable[[AgentTest], None]:
    def run(self: AgentTest) -> Any:
        with Guest(kernel, memory="256M") as guest:
            self.every_attack(guest)
    return run


def isolated(self: AgentTest) -> None:
    """With page-table isolation the agent's code is mapped twice, and executable once."""
    with Guest(CLOUD[1], memory="256M", pti=True) as guest:
        self.every_attack(guest, tuple(row for row in ROWS if row[1].check == "agent-code"))


def executable(self: AgentTest) -> None:
    """A processor without NX executes all that it can read: the page tables of a good agent say so, too."""
    with Guest(CLOUD[1], memory="256M", cpu="max,-la57,-nx") as guest:
        self.every_attack(guest, tuple(row for row in ROWS if row[1].name in ("agent-poked", "agent-constant")))


setattr(AgentTest, "test_" + re.sub(r"\W", "_", CLOUD[1]) + "_pti", isolated)
setattr(AgentTest, "test_" + re.sub(r"\W", "_", CLOUD[1]) + "_nx", executable)
for name in CLOUD:
    setattr(AgentTest, "test_" + re.sub(r"\W", "_", name), case(name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
