#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hvsmd has no more memory and descriptors in use after many hours than after the first.

What happens in such hours goes by without the pauses: guests come, are hooked, lose their scanners, and
go; reports are stored, clients ask, the configuration is read again. `make check-faults` does the
same at length: a round for each ten of $HVSM_FAULTS_KILLS.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.daemon import OFTEN, Daemon  # noqa: E402
from lab.fake import Fake, frozen  # noqa: E402
from lab.heap import Heap, Used  # noqa: E402

KERNEL = "6.1-cloud"
GETPID = 39
KILLS = int(os.environ.get("HVSM_FAULTS_KILLS", "5"))
WARM = 3                            # rounds until all that is kept is there
ROUNDS = max(KILLS // 10, 4)        # … and those in which nothing may grow
DAY_H = max(KILLS / 500 * 24, 0.1)

# Of a scanner nothing is under way when it is asked. Of the others there is at one moment what is not
# at another, some 10 KiB, and control keeps the last 32 incidents, of some 160 bytes.
SCANNER_SLACK_BYTES = 2048
SLACK_BYTES = 16384


class LeaksTest(unittest.TestCase):
    """Two guests stay, another comes and goes."""

    def setUp(self) -> None:
        self.daemon = Daemon(settings=OFTEN)
        self.addCleanup(self.daemon.close)
        self.heap = Heap(self.daemon.folder)
        self.daemon.env = self.heap.env
        self.stays = self.guest("stays")

    def guest(self, name: str) -> Fake:
        fake = Fake(frozen(KERNEL), f"{self.daemon.names}{name}")
        self.addCleanup(fake.stop)
        fake.start()
        return fake

    def wait(self, fake: Fake, findings: bool) -> None:
        def is_so() -> bool:
            guest = self.daemon.guests().get(fake.name)
            return bool(guest) and guest["state"] == "watched" and \
                not guest["checks"]["not_run"] and bool(guest["open_findings"]) == findings
        self.daemon.wait(f"{fake.name}, findings: {findings}", is_so)

    def round(self, number: int) -> None:
        """What happens to a host in some hours."""
        comes = self.guest(f"comes-{number % 3}")
        self.wait(comes, False)
        self.stays.poke("sys_call_table", GETPID * 8, 0x1234)
        self.wait(self.stays, True)
        read = self.daemon.said().count("was read again")
        self.daemon.reload()
        self.daemon.wait("read again", lambda: self.daemon.said().count("was read again") > read)
        for pid in self.daemon.scanner_of(comes.pid):
            os.kill(pid, signal.SIGKILL)
            self.daemon.wait("another scanner",
                             lambda: self.daemon.scanner_of(comes.pid) not in ([], [pid]))
        self.stays.command("system_reset")
        self.wait(self.stays, False)
        self.wait(comes, False)
        comes.stop()
        self.daemon.wait("gone", lambda: comes.name not in self.daemon.guests())
        self.assertEqual(len(self.daemon.records()), 1)

    def used(self) -> dict[str, Used]:
        """While one guest is watched by one scanner: a busy host may seem to stop it, and there is none."""
        def is_so() -> dict[str, Used] | None:
            children = self.daemon.children()
            scanner = self.daemon.scanner_of(self.stays.pid)
            used = {"parent": self.heap.of(self.daemon.pid),
                    "control": self.heap.of(self.daemon.children("-control")[0])}
            guest = self.daemon.guests()[self.stays.name]
            still = scanner and guest["state"] == "watched" and children == self.daemon.children()
            return used if still else None
        return self.daemon.wait("all at rest", is_so)

    def test_parent_and_control(self) -> None:
        self.daemon.start()
        self.wait(self.stays, False)
        for number in range(WARM):
            self.round(number)
        control = self.daemon.children("-control")
        before = self.used()
        for number in range(ROUNDS):
            self.round(number)
        after = self.used()
        for role, used in after.items():
            print(f"{role}: {before[role]} before {ROUNDS} rounds, {used} after", file=sys.stderr)
        self.assertEqual(self.daemon.children("-control"), control)
        for role, used in after.items():
            self.assertLessEqual(used.heap_bytes, before[role].heap_bytes + SLACK_BYTES, role)
            self.assertEqual(used.descriptors, before[role].descriptors)
        # Built with sanitizers each role looks for leaks when it ends.
        self.assertEqual(self.daemon.end(), 0, self.daemon.said())
        self.assertNotIn("Sanitizer", self.daemon.said())

    def test_scanner(self) -> None:
        """What a scanner does in so many hours: looks, sweeps, reports."""
        day = self.heap.build / "tests" / "bench" / "bench-day"
        done = subprocess.run([day, f"qemu:{self.stays.pid}", f"{DAY_H}"], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("Sanitizer", done.stdout)
        tenths = done.stdout.splitlines()
        print(f"scanner: {tenths[1]}, then {tenths[-1]}", file=sys.stderr)
        heap = [int(tenth.split(" h: ")[1].split()[0]) for tenth in tenths]
        # Nothing but the clock moves in this guest.
        self.assertLessEqual(heap[-1], heap[1] + SCANNER_SLACK_BYTES, done.stdout)


if __name__ == "__main__":
    unittest.main()
