#!/usr/bin/python3
"""Open files: what `hvsm files` lists is what /proc/PID/fd shows, with every number of fdinfo and stat."""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.listing import listing, plain  # noqa: E402
from lab.truth import Truth, collect  # noqa: E402

KERNELS = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud", "6.12-generic")
TYPES = {0o01: "fifo", 0o02: "char", 0o04: "directory", 0o06: "block", 0o10: "regular", 0o12: "link", 0o14: "socket"}
ACCESS = ("r", "w", "rw", "rw")
O_CLOEXEC, O_PATH = 0o2000000, 0o10000000

# stat of everything that is open, threads with a table of their own included.
STAT = "stat -Lc '%n %f %t %T %s %i %d' /proc/[0-9]*/task/[0-9]*/fd/* 2>/dev/null; true"

Name = tuple[int, int, int]     # PID, TID, fd


def told(truth: Truth) -> dict[Name, tuple[Any, ...]]:
    """What /proc tells of each file."""
    found = {}
    for pid, task in truth.tasks.items():
        for fd, file in task.fds.items():
            info = truth.files[f"/proc/{pid}/fdinfo/{fd}"].decode()
            mount = int(re.search(r"^mnt_id:\t(\d+)$", info, re.M)[1])  # type: ignore[index]
            found[pid, pid, fd] = (file.target, file.pos, file.flags, mount)
    return found


def stats(guest: Guest) -> dict[Name, tuple[Any, ...]]:
    """The type, device, size, inode and file system of each file; busybox gives numbers in hexadecimal."""
    found = {}
    for line in guest.sh(STAT).splitlines():
        path, mode, major, minor, size, inode, dev = line.split()
        pid, tid, fd = map(int, re.findall(r"\d+", path))
        device = int(dev)
        where = f"{device >> 8 & 0xfff}:{device & 0xff | device >> 12 & 0xfff00}"
        kind = TYPES.get(int(mode, 16) >> 12, "anon")
        rdev = f"{int(major, 16)}:{int(minor, 16)}" if kind in ("char", "block") else None
        found[pid, tid, fd] = (kind, rdev, int(size), int(inode), where)
    return found


class FileTest(unittest.TestCase):
    """One method per kernel, made below."""

    maxDiff = 4000

    def compare(self, guest: Guest) -> None:
        guest.sh("workload")
        roles = dict(line.split() for line in guest.sh("corners").splitlines())
        before, stat_before = told(collect(guest)), stats(guest)
        items = listing(guest, "files")
        after, stat_after = told(collect(guest)), stats(guest)

        seen = {(i["pid"], i["tid"], i["fd"]): i for i in items}
        self.assertEqual(len(seen), len(items), "a file is listed twice")
        self.assertGreater(len(seen), 200)
        steady = {name: entry for name, entry in before.items() if after.get(name) == entry}
        self.assertEqual(steady, {name: self.from_outside(seen[name]) for name in steady if name in seen})
        self.assertEqual({name for name in seen if name[0] == name[1]} - before.keys() - after.keys(), set(), "extra")

        steady = {name: entry for name, entry in stat_before.items() if stat_after.get(name) == entry and name in seen}
        self.assertGreater(len(steady), 200)
        self.assertEqual(steady, {name: self.stat_from_outside(seen[name]) for name in steady})
        self.threads(int(roles["cor-files"]), seen, stat_before)
        self.words(guest, items)

    def from_outside(self, item: dict[str, Any]) -> tuple[Any, ...]:
        flags = int(item["flags"], 16) & ~O_CLOEXEC | (O_CLOEXEC if item["cloexec"] else 0)
        self.assertEqual(item["access"], "-" if flags & O_PATH else ACCESS[flags & 3], item)
        return plain(item["path"]), item["position"], flags, item["mount"]

    def stat_from_outside(self, item: dict[str, Any]) -> tuple[Any, ...]:
        # Before 6.16 stat says of an anonymous inode that it has no type.
        return item["type"], item["rdev"], item["size_bytes"], item["inode"], item["dev"]

    def threads(self, pid: int, seen: dict[Name, Any], inside: dict[Name, Any]) -> None:
        """A thread with a table of its own is listed as such, one that shares its process's is not."""
        own = {tid for p, tid, fd in seen if p == pid and tid != pid}
        self.assertEqual(len(own), 1)
        for tid in own:
            self.assertEqual({fd for p, t, fd in seen if (p, t) == (pid, tid)},
                             {fd for p, t, fd in inside if (p, t) == (pid, tid)})
        self.assertEqual(len({tid for p, tid, fd in inside if p == pid}), 3)

    def words(self, guest: Guest, items: list[dict[str, Any]]) -> None:
        """What hvsm says beyond /proc: that a name is gone, or that there never was one."""
        for item in items:
            name = plain(item["path"])
            gone = name.endswith(b" (deleted)")
            self.assertEqual(item["deleted"], gone, item)
            self.assertEqual(item["memfd"], name.startswith(b"/memfd:"), item)
        self.assertTrue(any(item["memfd"] for item in items))
        self.assertTrue(any(item["deleted"] and not item["memfd"] for item in items))


def case(kernel: str) -> Callable[[FileTest], None]:
    def run(self: FileTest) -> None:
        with Guest(kernel) as guest:
            self.compare(guest)
    return run


for name in KERNELS:
    setattr(FileTest, "test_" + re.sub(r"\W", "_", name), case(name))

if __name__ == "__main__":
    unittest.main()
