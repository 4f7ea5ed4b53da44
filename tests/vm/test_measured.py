#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Processes against what the agent measured: what is not as it was measured is found, with what it is."""

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
from lab.technique import CLOUD, Technique, prove  # noqa: E402

VICTIM = "/tmp/victim.pid"
PID = f"$(cat {VICTIM})"
KILL = f"kill -9 {PID}; while [ -e /proc/{PID} ]; do sleep 0.02; done"
MARK = b"\xb8msve"      # of guest/meddle.c: a number in code that it runs again and again


def commands(start: str, stop: str) -> dict[str, Callable[[Guest], None]]:
    return {"start": lambda guest: guest.sh(start) and None, "stop": lambda guest: guest.sh(stop) and None}


def meddle(mode: str) -> dict[str, Callable[[Guest], None]]:
    """Done to a process of its own."""
    return commands(f"meddle start >{VICTIM}; sleep 0.2; meddle {mode} {PID}", KILL)


def on_victim(module: str, **params: Any) -> dict[str, Callable[[Guest], None]]:
    def start(guest: Guest) -> None:
        guest.insmod(module, pid=int(guest.sh(f"meddle start | tee {VICTIM}; sleep 0.2")), **params)
        agent.wait_views(guest, 2)

    def stop(guest: Guest) -> None:
        guest.rmmod(module)
        guest.sh(KILL)
    return {"start": start, "stop": stop}


def changed(data: bytes) -> bytes:
    """The program with another number in its code, which changes nothing."""
    at = data.index(MARK) + len(MARK) - 1
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def feed(guest: Guest) -> None:
    """A changed program, of which the agent reads the clean one's contents."""
    clean = guest.fetch("/sbin/meddle")
    guest.put("/tmp/clean", clean)
    guest.put("/tmp/tool", changed(clean), 0o755)
    guest.insmod("feed_file", path="/tmp/tool", clean="/tmp/clean")
    guest.sh(f"/tmp/tool start >{VICTIM}")
    guest.sh("until [ $(cat /sys/module/feed_file/parameters/fed) -gt 0 ]; do sleep 0.05; done")


def unfeed(guest: Guest) -> None:
    guest.sh(KILL)
    guest.sh("until rmmod feed_file 2>/dev/null; do sleep 0.05; done; rm /tmp/tool /tmp/clean")


def leaderless(guest: Guest) -> None:
    """A process of which only a thread runs on, and that thread's code is written to."""
    guest.sh(f"meddle leaderless >{VICTIM}; until [ $(wc -l <{VICTIM}) = 2 ]; do sleep 0.02; done; "
             f"set -- $(sort -n {VICTIM}); echo $1 >{VICTIM}; until grep -q zombie /proc/$1/status; do sleep 0.02; "
             "done; meddle write $2")


LOOP = "/tmp/loop.pid"
CHMOD = commands(f"cp /sbin/meddle /tmp/tool; /tmp/tool start >{VICTIM}; sleep 0.2; meddle poke {PID}; "
                 "(while :; do chmod 700 /tmp/tool; chmod 755 /tmp/tool; done) </dev/null >/dev/null 2>&1 & "
                 f"echo $! >{LOOP}", f"kill -9 $(cat {LOOP}); {KILL}; rm /tmp/tool")
# The page that the process has another copy of is the only one that nobody uses.
DROP = commands("modprobe loop; dd if=/dev/zero of=/tmp/disk bs=1M count=8 2>/dev/null; mke2fs -F /tmp/disk >/dev/null; "
                "mkdir -p /mnt; mount -o loop /tmp/disk /mnt; cp /sbin/meddle /mnt/tool; sync; "
                f"/mnt/tool start >{VICTIM}; sleep 0.2; meddle poke {PID}; meddle drop 0 /mnt/tool",
                f"{KILL}; umount /mnt; losetup -d /dev/loop0 2>/dev/null; rm /tmp/disk")
NAMES = commands("cp /proc/modules /tmp/fake; mount --bind /tmp/fake /proc/modules; modprobe dummy",
                 "umount /proc/modules; rmmod dummy; rm /tmp/fake")
POINTS = commands("touch /tmp/fake; mkdir /tmp/hidden; mount --bind /tmp/fake /proc/1/mountinfo; "
                  "cat /proc/self/mountinfo >/tmp/fake; mount -t tmpfs none /tmp/hidden",
                  "umount /tmp/hidden; umount /proc/1/mountinfo; rmdir /tmp/hidden; rm /tmp/fake")

PAGE = "the bytes of the page that are not as measured"
AREA = "the area with its rights, and the process with its program"
VIEW = "the process, and that the agent does not see it"

TECHNIQUES = (
    Technique("measured-hidden-getdents", "process left out of /proc by a filter in getdents",
              "agent-view", r"\d+", VIEW, **on_victim("filter_proc"), also=("file-operations",),
              result="hidden-inside", seen_in="Diamorphine, Reptile"),
    Technique("measured-hidden-number", "process whose number is taken from it, so that /proc has it not",
              "agent-view", r"\d+", VIEW, **on_victim("hide_task", how="pid"), also=("hidden-task",)),
    Technique("measured-hidden-lists", "process taken out of every list there is, beside an agent that cannot see it",
              "hidden-task", r"\d+", "the views that lack the task, those that have it, its program and users",
              **on_victim("hide_task", how="every")),
    Technique("measured-code-poked", "code of a process changed by ptrace(2)", "process-code", r"\d+ modified code",
              PAGE, **meddle("poke"), result="modified-in-memory"),
    Technique("measured-code-written", "code of a process changed through /proc/PID/mem", "process-code",
              r"\d+ modified code", PAGE, **meddle("write")),
    Technique("measured-code-leaderless", "code of a process written to, of which only a thread runs on",
              "process-code", r"\d+ modified code", PAGE, start=leaderless,
              stop=lambda guest: guest.sh(KILL) and None, result="modified-in-memory"),
    Technique("measured-code-chmod", "code of a process changed, and its file's rights again and again",
              "process-code", r"\d+ modified code", PAGE, **CHMOD),
    Technique("measured-code-dropped", "code of a process changed, and that page dropped from the page cache",
              "process-code", r"\d+ modified code", PAGE, **DROP),
    Technique("measured-hidden-module", "module left out of what stands in place of /proc/modules", "agent-view",
              "dummy", "the module, and that the agent does not see it", **NAMES),
    Technique("measured-hidden-mount", "mount left out of what stands in place of /proc/1/mountinfo", "agent-view",
              r"\d+", "the mount, and that the agent does not see it", **POINTS, also=("agent-watch",)),
    Technique("measured-code-mapped", "code in anonymous memory injected into a process, and run", "process-memory",
              r"\d+ anonymous code", AREA, **meddle("map")),
    Technique("measured-code-memfd", "code in a memfd injected into a process, and run", "process-memory",
              r"\d+ code in memory file", AREA, **meddle("memfd")),
    Technique("measured-fed", "agent that reads a clean file where other pages run", "process-code",
              r"\d+ modified code", PAGE, start=feed, stop=unfeed, also=("file-operations",)),
)


class MeasuredTest(unittest.TestCase):
    """One method per kernel, made below: one guest for all rows."""

    def every_technique(self, guest: Guest) -> None:
        agent.install(guest)
        agent.start(guest)
        with tempfile.TemporaryDirectory() as store:
            options = ("--store", store, "--agent", agent.built())
            agent.wait_trusted(guest, "--store", store)
            for technique in TECHNIQUES:
                if guest.kernel.name in technique.kernels:
                    with self.subTest(technique.name):
                        prove(self, guest, technique, *options)


def case(kernel: str) -> Callable[[MeasuredTest], None]:
    def run(self: MeasuredTest) -> Any:
        with Guest(kernel, memory="256M") as guest:
            self.every_technique(guest)
    return run


for name in CLOUD:
    setattr(MeasuredTest, "test_" + re.sub(r"\W", "_", name), case(name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
