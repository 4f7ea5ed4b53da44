#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tasks: what `hvsm ps` lists is what /proc lists, entry by entry; who hides is found; who is busy is not."""

from __future__ import annotations

import datetime
import re
import sys
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import findings, hvsm, scan  # noqa: E402
from lab.technique import Technique  # noqa: E402
from lab.truth import Task, Truth, collect  # noqa: E402

KERNELS = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud")
ARGS_MAX = 4096
STEADY = "SDTtZ"            # states that stay what they are while somebody looks
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def row(name: str, title: str) -> Technique:
    return Technique(name, title, "hidden-task", "", "each view of tasks, and whether it has this one",
                     kernels=tuple(KERNELS))


TECHNIQUES = (
    row("task-list", "process unlinked from the task list"),
    row("task-pid", "process taken out of the PID map"),
    row("task-both", "process in neither list nor map, asleep or running"),
)


def target(guest: Guest) -> str:
    return f"qemu:{guest.pid}"


def plain(text: str | None) -> bytes | None:
    """What the guest wrote, before hvsm made it safe to print."""
    if text is None:
        return None
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())


def seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def seen_tasks(guest: Guest) -> dict[int, Any]:
    report = hvsm("ps", target(guest), "--json")
    if report.status:
        raise AssertionError(f"hvsm ps ended with {report.status}: {report.err}")
    items = report.json["items"]
    tasks = {item["pid"]: item for item in items}
    if len(tasks) != len(items):
        raise AssertionError("a PID is listed twice")
    return tasks



class TaskTest(unittest.TestCase):
    """One method per kernel and question, made below."""

    def compare(self, guest: Guest) -> None:
        """Every process and every field of it. What came or went meanwhile is in one of two truths only."""
        before = collect(guest)
        seen = seen_tasks(guest)
        after = collect(guest)
        steady = {pid for pid in before.tasks.keys() & after.tasks.keys()
                  if before.tasks[pid].start_ticks == after.tasks[pid].start_ticks}
        self.assertEqual(sorted(steady - seen.keys()), [], "missing")
        self.assertEqual(sorted(seen.keys() - before.tasks.keys() - after.tasks.keys()), [], "extra")
        boot = self.boot_time(guest)
        for pid in sorted(steady):
            with self.subTest(pid=pid, comm=before.tasks[pid].comm):
                self.compare_task(seen[pid], before.tasks[pid], after.tasks[pid])
                self.compare_start(seen[pid], before.tasks[pid], boot)

    def boot_time(self, guest: Guest) -> int:
        """Wall clock time of the guest's boot, as its kernel has it: whole seconds."""
        return next(int(line.split()[1]) for line in guest.sh("cat /proc/stat").splitlines()
                    if line.startswith("btime "))

    def compare_start(self, seen: Any, truth: Task, boot: int) -> None:
        self.assertEqual(seen["start_us"] // 10000, truth.start_ticks)
        since_boot = seconds(seen["start"]) - truth.start_ticks / 100
        self.assertGreaterEqual(since_boot, boot)
        self.assertLess(since_boot, boot + 1.02)    # a second that was cut off, and a tick

    def compare_task(self, seen: Any, before: Task, after: Task) -> None:
        same = before == after or (before.status == after.status and before.cmdline == after.cmdline)
        comm = plain(seen["comm"])
        assert comm is not None
        self.assertTrue(before.same_comm(comm) or after.same_comm(comm), (comm, before.comm))
        self.assertEqual(seen["ppid"], before.ppid)
        self.assertEqual(seen["kernel_thread"], before.kthread)
        self.assertFalse(seen["partial"])
        self.assertEqual((seen["uid"], seen["euid"], seen["suid"], seen["fsuid"]), before.uid)
        self.assertEqual((seen["gid"], seen["egid"], seen["sgid"], seen["fsgid"]), before.gid)
        self.assertEqual({name: int(value, 16) for name, value in seen["capabilities"].items()},
                         {"effective": before.caps["eff"], "permitted": before.caps["prm"],
                          "inheritable": before.caps["inh"], "bounding": before.caps["bnd"],
                          "ambient": before.caps["amb"]})
        if same and before.state == after.state and before.state in STEADY:
            self.assertEqual(seen["state"], before.state)
        self.assertEqual(seen["threads"], int(before.status["Threads"]))
        self.compare_program(seen, before)
        self.assertEqual(plain(seen["cgroup"]), self.cgroup(before))
        self.compare_namespaces(seen["namespaces"], before)

    def compare_program(self, seen: Any, truth: Task) -> None:
        self.assertEqual(plain(seen["exe"]), truth.exe)
        args = [plain(arg) for arg in seen["args"] or []]
        self.assertEqual(seen["args_absent_bytes"], 0)    # without swap, and read by ps itself
        if not seen["args_cut"]:
            self.assertEqual(args, truth.cmdline)
            return
        # Cut to what is kept: what is there must be its beginning.
        whole = b"".join(arg + b"\0" for arg in truth.cmdline)
        self.assertTrue(whole.startswith(b"\0".join(arg for arg in args if arg is not None)))
        self.assertGreater(len(whole), ARGS_MAX)

    def cgroup(self, truth: Task) -> bytes:
        """Of the unified hierarchy; where that says nothing, of the old one called "systemd"."""
        if truth.cgroup != b"/" or truth.pid != self.old_cgroup:
            return truth.cgroup
        return self.old_cgroup_path

    old_cgroup = 0
    old_cgroup_path = b""

    def compare_namespaces(self, seen: Any, truth: Task) -> None:
        numbers = {name: seen[name] for name in NAMESPACES if name in truth.ns}
        self.assertEqual(numbers, {name: truth.ns[name] for name in numbers})
        self.assertEqual(seen["pid_level"], len(truth.nspid) - 1)
        self.assertEqual(seen["pid_inside"], truth.nspid[-1])

    # --- one of each ---

    def check_list(self, kernel: str, **shape: Any) -> None:
        with Guest(kernel, smp=2, **shape) as guest:
            self.compare(guest)
            guest.sh("workload")
            roles = dict(line.split() for line in guest.sh("taskcorners").splitlines())
            self.old_cgroup = int(roles["tk-old-cgroup"])
            lines = guest.sh(f"cat /proc/{self.old_cgroup}/cgroup").splitlines()
            self.old_cgroup_path = next(line.split(":", 2)[2] for line in lines
                                        if "name=systemd" in line).encode()
            self.compare(guest)
            self.check_corners(guest, {name: int(pid) for name, pid in roles.items()})
            self.check_findings(guest, roles)

    def check_findings(self, guest: Guest, roles: dict[str, str]) -> None:
        """Two roles are what intruders do as well: their programs have no names."""
        report = scan(target(guest)).json
        self.assertEqual({f["object"]["name"] for f in findings(report)},
                         {f"{roles['tk-memory']} program in memory",
                          f"{roles['tk-memory']} code in memory file",
                          f"{roles['tk-memory']} instruction pointer",
                          f"{roles['tk-deleted']} deleted program",
                          f"{roles['tk-deleted']} code of deleted file"})

    def check_corners(self, guest: Guest, roles: dict[str, int]) -> None:
        """What the comparison would not miss if the guest lacked it."""
        seen = seen_tasks(guest)
        self.assertEqual(seen[roles["tk-leader"]]["state"], "Z")
        self.assertEqual(seen[roles["tk-leader"]]["threads"], 2)
        self.assertEqual(seen[roles["tk-memory"]]["exe"], "/memfd:tk memory (deleted)")
        self.assertEqual(seen[roles["tk-deleted"]]["exe"], "/tmp/tk-deleted (deleted)")
        self.assertTrue(seen[roles["tk-title"]]["args"][0].startswith("tk-title: a title of its own"))
        self.assertEqual(seen[roles["tk-old-cgroup"]]["container"],
                         {"runtime": "podman", "id": "fedcba9876543210" * 4})
        names = {item["comm"]: item for item in seen.values()}
        self.assertEqual(names["tk-inner"]["namespaces"]["pid_level"], 2)
        self.assertEqual(names["tk-inner"]["namespaces"]["pid_inside"], 1)
        self.assertEqual(names["lab-contained"]["container"],
                         {"runtime": "docker", "id": "0123456789abcdef" * 4})

    # --- hidden ---

    def check_hidden(self, kernel: str) -> None:
        with Guest(kernel, smp=2) as guest:
            guest.sh("workload")
            self.assertEqual(self.hidden(guest), [])
            for how, views in (("list", {"task list"}), ("pid", {"PID map"}),
                               ("both", {"task list", "PID map"})):
                for victim in ("sleep 1000", "sh -c 'while :; do :; done'"):
                    with self.subTest(how=how, victim=victim):
                        self.hide(guest, how, victim, views)
            self.assertEqual(self.hidden(guest), [])

    def hide(self, guest: Guest, how: str, victim: str, views: set[str]) -> None:
        pid = guest.sh(f"{victim} </dev/null >/dev/null 2>&1 & echo $!").strip()
        guest.insmod("hide_task", pid=pid, how=how)
        found = self.hidden(guest)
        guest.rmmod("hide_task")
        guest.sh(f"kill -9 {pid}")
        self.assertEqual([f["object"]["name"] for f in found], [pid])
        missing = {e["what"] for e in found[0]["evidence"] if e["found"] == "missing"}
        self.assertEqual(missing, views)
        if victim.startswith("sh "):
            self.assertIn("run queues", [e["what"] for e in found[0]["evidence"]])

    def hidden(self, guest: Guest) -> list[Any]:
        report = scan(target(guest), "--only", "hidden-task")
        self.assertIn(report.status, (0, 1), report.out + report.err)
        return findings(report.json, "hidden-task")


def case(check: str, kernel: str, **shape: Any) -> Callable[[TaskTest], None]:
    return lambda self: getattr(self, check)(kernel, **shape)


for name in KERNELS:
    for question in ("list", "hidden"):
        method = re.sub(r"\W", "_", f"test_{question}_{name}")
        setattr(TaskTest, method, case(f"check_{question}", name))
    # Two page tables a process, and each a level deeper.
    setattr(TaskTest, re.sub(r"\W", "_", f"test_list_la57_pti_{name}"),
            case("check_list", name, la57=True, pti=True))


if __name__ == "__main__":
    unittest.main(verbosity=2)
