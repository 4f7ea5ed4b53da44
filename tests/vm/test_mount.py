#!/usr/bin/python3
"""Mounts: what `hvsm mounts` lists is what every process's mountinfo shows, line by line."""

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

KERNELS = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud", "5.10-generic")
SUPER = ("ro", "rw", "sync", "dirsync", "mand", "lazytime")


def unescape(text: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text)


def lines(mountinfo: bytes) -> dict[int, tuple[Any, ...]]:
    """Each mount by its id. Of a file system's options only those that all of them have."""
    found = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(b" - ")
        number, parent, device, root, point, flags, *fields = left.split(b" ")
        kind, source, options = right.split(b" ")
        optional = dict((name.decode(), int(value or 1)) for name, _, value in (f.partition(b":") for f in fields))
        found[int(number)] = (
            int(parent), device.decode(), unescape(root), unescape(point), flags.decode(), kind.decode(),
            unescape(source), ",".join(word for word in options.decode().split(",") if word in SUPER),
            optional.get("shared", 0), optional.get("master", 0), bool(optional.get("unbindable", 0)))
    return found


def line_of(item: dict[str, Any]) -> tuple[Any, ...]:
    return (item["parent"], item["dev"], plain(item["root"]), plain(item["point"]), item["flags"],
            plain(item["type"]).decode(), plain(item["source"]), item["super_flags"],
            item["shared"], item["master"], item["unbindable"])


class MountTest(unittest.TestCase):
    """One method per kernel, made below."""

    maxDiff = 4000

    def compare(self, guest: Guest) -> None:
        guest.sh("workload")
        roles = dict(line.split() for line in guest.sh("corners").splitlines())
        truth = collect(guest)
        spaces: dict[int, dict[int, dict[str, Any]]] = {}
        for item in listing(guest, "mounts"):
            space = spaces.setdefault(item["namespace"], {})
            self.assertNotIn(item["id"], space, "a mount is listed twice")
            space[item["id"]] = item

        self.assertGreater(len(spaces), 3)
        named = {task.ns["mnt"] for task in truth.tasks.values() if "mnt" in task.ns}
        self.assertEqual(named - spaces.keys(), set(), "namespaces that are missing")
        for task in truth.tasks.values():
            if f"/proc/{task.pid}/mountinfo" in truth.files and "mnt" in task.ns:
                self.one_task(truth, task, spaces[task.ns["mnt"]], jailed=task.pid == int(roles["cor-jail"]))
        for space in spaces.keys() - named:     # such as the one that devtmpfs was made in
            self.assertTrue(spaces[space])

    def one_task(self, truth: Truth, task: Any, seen: dict[int, dict[str, Any]], jailed: bool) -> None:
        told = lines(truth.files[f"/proc/{task.pid}/mountinfo"])
        ours = {number: line_of(item) for number, item in seen.items() if number in told}
        if jailed:      # its names begin at a root of its own
            self.assertTrue(all(ours[n][3].startswith(b"/mnt/jail") for n in ours))
            ours = {n: (*line[:3], line[3][len(b"/mnt/jail"):] or b"/", *line[4:]) for n, line in ours.items()}
        self.assertEqual(ours, told, f"PID {task.pid} {task.comm!r}")

        # What it is not told of lies above or beside its root: nothing that it could name.
        above, number = set(), min(told)
        while number in seen and number not in above:
            above.add(number)
            number = seen[number]["parent"]
        if not jailed:
            self.assertEqual(seen.keys() - told.keys() - above, set(), f"PID {task.pid}: more than it can see")


def case(kernel: str) -> Callable[[MountTest], None]:
    def run(self: MountTest) -> None:
        with Guest(kernel) as guest:
            self.compare(guest)
    return run


for name in KERNELS:
    setattr(MountTest, "test_" + re.sub(r"\W", "_", name), case(name))

if __name__ == "__main__":
    unittest.main()
