#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What hides is found: tasks, modules, sockets, mounts, kernel threads that are none. And a guest that is busy
with all of these hides nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.listing import listing  # noqa: E402
from lab.product import binary  # noqa: E402
from lab.technique import CLOUD, Technique, prove  # noqa: E402

CHECKS = ("executable-memory", "hidden-module", "hidden-mount", "hidden-socket", "hidden-task", "kernel-threads",
          "module-record")
SWEEPS = 300                # of a guest that does what follows as fast as it can
BUSY = ("taskcorners churn 100000",
        "while :; do corners churn 10000; done",
        "mkdir -p /tmp/m1 /tmp/m2; while :; do mount -t tmpfs a /tmp/m1; mount --bind /tmp/m1 /tmp/m2; unshare -m true;"
        " umount /tmp/m2; umount /tmp/m1; done")
SWEEPS_MODULES = 100        # ... and this as well: a module is always about to come or to go
BUSY_MODULES = "while :; do for m in dummy loop tun; do modprobe $m; rmmod $m; done; done"
PARAMETERS = "/sys/module/hide_module/parameters"
MOUNT = "/tmp/hidden mount"
SLEEP = "sleep 1000"
PID_FILE = "/tmp/victim"


# --- how they are started, and undone ---

def victim(guest: Guest, command: str) -> str:
    pid = guest.sh(f"{command} </dev/null >/dev/null 2>&1 & echo $! | tee {PID_FILE}").strip()
    guest.sh("sleep 0.2")       # until it sleeps, or spins
    return pid


def kill_victim(guest: Guest) -> None:
    guest.sh(f"kill -9 $(cat {PID_FILE})")


def on_victim(module: str, how: str) -> dict[str, Any]:
    def start(guest: Guest) -> None:
        guest.insmod(module, pid=victim(guest, SLEEP), how=how)

    def stop(guest: Guest) -> None:
        guest.rmmod(module)
        kill_victim(guest)
    return {"start": start, "stop": stop}


def hide_module(how: str) -> dict[str, Any]:
    def start(guest: Guest) -> None:
        guest.insmod("hide_module", how=how)
        guest.sh(f"echo 1 > {PARAMETERS}/forge")

    def stop(guest: Guest) -> None:
        guest.sh(f"echo 0 > {PARAMETERS}/forge; echo 1 > {PARAMETERS}/restore")
        guest.rmmod("hide_module")
    return {"start": start, "stop": stop}


def hide_socket(kind: str, state: str) -> dict[str, Any]:
    """One of those that workload's process holds."""
    def start(guest: Guest) -> None:
        pid = int(guest.sh("pidof lab-sockets || pgrep lab-sockets").split()[0])
        fd = next(owner["fd"] for item in listing(guest, "sockets") if (item["kind"], item["state"]) == (kind, state)
                  for owner in item["owners"] if owner["pid"] == pid)
        guest.insmod("hide_socket", pid=pid, fd=fd)

    def stop(guest: Guest) -> None:
        guest.rmmod("hide_socket")
    return {"start": start, "stop": stop}


def hide_mount(guest: Guest) -> None:
    guest.sh(f"mkdir -p '{MOUNT}' && mount -t tmpfs hidden '{MOUNT}'")
    guest.insmod("hide_mount", path=f'"{MOUNT}"')


def show_mount(guest: Guest) -> None:
    guest.rmmod("hide_mount")
    guest.sh(f"umount '{MOUNT}'")


# --- the rows ---

MISSING = "the views that lack the task, those that have it, its program and users"
RECORD = "what its record says, and what it must say"

TASKS = (       # beside those of test_task.py
    Technique("task-every-list", "sleeping process taken out of every list there is: its kernel stack leads to it",
              "hidden-task", r"\d+", MISSING, **on_victim("hide_task", "every")),
)

THREADS = (
    Technique("thread-name", "kernel thread of a module under the name of a kworker", "kernel-threads", r"\d+",
              "its function and what its name stands for", owner="module fake_thread", module="fake_thread",
              params={"how": "name"}),
    Technique("thread-code", "kernel thread that runs code of no one", "kernel-threads", r"\d+",
              "its function and who owns it", owner="no one.*", module="fake_thread", params={"how": "code"}),
    Technique("thread-flag", "process that is marked as a kernel thread, and so shows no program", "kernel-threads",
              r"\d+", "its parent, and that it ran a program", **on_victim("fake_thread", "flag")),
)

MODULES = (     # beside those of test_module.py
    Technique("module-list-self", "module unlinked from the list of modules, its links leading to itself",
              "hidden-module", "hide_module", "where it is not, and its struct", owner="module hide_module",
              **hide_module("list,self")),
    Technique("module-list-tree", "module unlinked from the list and the tree of modules, its links poisoned",
              "hidden-module", "hide_module", "where it is not, and its struct", owner="module hide_module",
              **hide_module("list,mod_tree,poison")),
    Technique("module-other-lists",
              "module unlinked from the list and the tree of modules, by what else the kernel keeps of it",
              "module-record", "hide_module", "the list that has it", owner="module hide_module",
              **hide_module("list,mod_tree")),
    Technique("module-unformed", "module that says it is not complete, which /proc/modules leaves out",
              "hidden-module", "hide_module", RECORD, owner="module hide_module", **hide_module("unformed")),
    Technique("module-symbols", "module that has no symbols any more", "module-record", "hide_module", RECORD,
              owner="module hide_module", **hide_module("symbols")),
    Technique("module-symbols-wiped", "module whose symbols are zeros", "module-record", "hide_module", RECORD,
              owner="module hide_module", **hide_module("wipe")),
    Technique("module-taint", "taint of a module without a signature taken back", "module-record", "hide_module",
              RECORD, owner="module hide_module", **hide_module("taint")),
    Technique("module-rename", "module that took the name of another", "module-record", "ext4", RECORD,
              owner="module ext4", **hide_module("rename")),
)

HELD = "what it is, in which namespace, and which process holds it"

SOCKETS = tuple(
    Technique(f"socket-{kind}", f"{kind} socket unlinked from the table that /proc/net is made from", "hidden-socket",
              f"{kind} .*", HELD, owner="PID [0-9]+ lab-sockets", **hide_socket(kind, state))
    for kind, state in (("tcp", "LISTEN"), ("udp6", "CLOSE"), ("raw", "CLOSE"), ("unix", "LISTEN"),
                        ("packet", "CLOSE")))

MOUNTS = (
    Technique("mount-namespace", "mount taken out of what its namespace lists", "hidden-mount", re.escape(MOUNT),
              "its file system, and where it still is", start=hide_mount, stop=show_mount),
)

TECHNIQUES = TASKS + THREADS + MODULES + SOCKETS + MOUNTS


class HiddenTest(unittest.TestCase):
    """One method per kernel and question, made below."""

    def every_technique(self, guest: Guest) -> None:
        guest.sh("workload")
        for technique in TECHNIQUES:
            if guest.kernel.name in technique.kernels:
                with self.subTest(technique=technique.name):
                    prove(self, guest, technique)

    def busy(self, guest: Guest) -> None:
        """Nothing is found where everything changes; what races is looked at again, and counted."""
        guest.sh("workload")
        for load in BUSY:
            guest.sh(f"({load}) </dev/null >/dev/null 2>&1 &")
        forks = forked(guest)
        sums, out = sweeps(guest, SWEEPS)
        self.assertEqual((sums["sweeps"], sums["findings"]), (SWEEPS, 0), out)
        self.assertGreater(forked(guest) - forks, 20, "nothing raced")
        self.assertLess(sums["inconclusive"], SWEEPS // 2, out)
        guest.sh(f"({BUSY_MODULES}) </dev/null >/dev/null 2>&1 &")
        sums, out = sweeps(guest, SWEEPS_MODULES)
        self.assertEqual((sums["sweeps"], sums["findings"]), (SWEEPS_MODULES, 0), out)
        self.assertLess(sums["inconclusive"], SWEEPS_MODULES // 2, out)


def forked(guest: Guest) -> int:
    return int(guest.sh("grep ^processes /proc/stat").split()[1])


def sweeps(guest: Guest, count: int) -> tuple[Any, str]:
    """What tests/vm/sweeps.c says of so many sweeps with the checks of this suite."""
    program = binary().parents[1] / "tests" / "vm" / "sweeps"
    with tempfile.TemporaryDirectory() as store:
        done = subprocess.run([program, f"qemu:{guest.pid}", str(count), "1", store], input="enough\n", text=True,
                              stdout=subprocess.PIPE, check=True, env={**os.environ, "SWEEPS_ONLY": ",".join(CHECKS)})
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


def case(kernel: str, question: Callable[[HiddenTest, Guest], None], **shape: Any) -> Callable[[HiddenTest], None]:
    def run(self: HiddenTest) -> None:
        with Guest(kernel, **shape) as guest:
            question(self, guest)
    return run


for name in CLOUD:
    method = re.sub(r"\W", "_", name)
    setattr(HiddenTest, f"test_{method}_every_technique", case(name, HiddenTest.every_technique, memory="256M"))
    setattr(HiddenTest, f"test_{method}_busy", case(name, HiddenTest.busy, smp=2))

if __name__ == "__main__":
    unittest.main(verbosity=2)
