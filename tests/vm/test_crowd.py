#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many guests at once: each is found, swept, and swept again; what happens to one is said of that one."""

from __future__ import annotations

import re
import statistics
import sys
import unittest
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.daemon import Daemon  # noqa: E402
from lab.fake import Fake, frozen  # noqa: E402
from lab.kernels import fetch  # noqa: E402

GUESTS = 20
GETPID = 39
# More than by default, so that it does not take long; less than they would like to have.
BUDGET = "guest_cpu_percent = 8\nhost_cpu_percent = 100"
KERNELS = ("5.10", "6.1", "6.12", "new")
# Of a scanner's own, where the kernel is known: in the median, for a sweep takes more while it lasts.
MEMORY_MAX = 8 << 20
MEMORY_SWEEPS = 25


class CrowdTest(unittest.TestCase):
    def all_swept(self, names: Iterable[str]) -> None:
        """Each of them three times more."""
        before = self.daemon.guests()
        self.daemon.wait("sweeps of each", lambda: min(
            self.daemon.guests()[name]["sweeps"] - before[name]["sweeps"] for name in names) >= 3)

    def medians(self) -> dict[str, float]:
        """Memory of each scanner, looked at again and again while it sweeps and rests."""
        before, seen = self.daemon.guests(), defaultdict(list)

        def looked() -> bool:
            for name, guest in self.daemon.guests().items():
                seen[name].append(guest["memory_bytes"])
            return all(guest["sweeps"] - before[name]["sweeps"] >= MEMORY_SWEEPS
                       for name, guest in self.daemon.guests().items())

        self.daemon.wait(f"{MEMORY_SWEEPS} sweeps of each", looked)
        return {name: statistics.median(memory) for name, memory in seen.items()}

    def check_shared(self, kernel: str) -> None:
        """Scanners share what is known of a kernel: little is left that is their own."""
        fakes = [Fake(frozen(kernel), name=f"share-{kernel}-{i}") for i in range(2)]
        with ExitStack() as stack:
            for fake in fakes:
                stack.callback(fake.stop)
                fake.launch()
            for fake in fakes:
                fake.ready()
            settings = ("guest_cpu_percent = 50\nhost_cpu_percent = 100\n"
                        f'reference = {{ "{fetch(kernel).vmlinuz}" }}')
            self.daemon = stack.enter_context(Daemon(f"share-{kernel}-*", settings))
            self.daemon.wait("all swept", lambda: len(self.daemon.guests()) == len(fakes) and all(
                guest["checks"]["not_run"] == 0 and guest["state"] == "watched" and
                guest["verdict"] == "clean" for guest in self.daemon.guests().values()))
            medians = self.medians()
            print(f"{kernel}: " + ", ".join(f"{memory / 2 ** 20:.1f} MiB" for memory in medians.values()))
            self.assertEqual(set(medians), {fake.name for fake in fakes})
            for memory in medians.values():
                self.assertLessEqual(memory, MEMORY_MAX)
            self.assertNotIn("are not shared", self.daemon.said())
            self.assertEqual({guest["scanner_restarts"] for guest in self.daemon.guests().values()}, {0})
            self.assertEqual(self.daemon.end(), 0)

    def test_each_of_many_is_watched(self) -> None:
        image = frozen("6.1-cloud")
        fakes = [Fake(image, name=f"crowd-{i:02}") for i in range(GUESTS)]
        names = {fake.name for fake in fakes}
        with ExitStack() as stack:
            for fake in fakes:
                stack.callback(fake.stop)
                fake.launch()
            for fake in fakes:
                fake.ready()
            self.daemon = stack.enter_context(Daemon("crowd-*", BUDGET))
            self.daemon.wait("all found", lambda: set(self.daemon.guests()) == names)
            self.daemon.wait("all swept", lambda: all(
                guest["checks"]["not_run"] == 0 and guest["state"] == "watched" and
                guest["verdict"] == "clean" for guest in self.daemon.guests().values()))
            self.assertEqual({guest["uuid"] for guest in self.daemon.guests().values()}, {fake.uuid for fake in fakes})
            self.all_swept(names)
            hooked, paused, ended = fakes[3], fakes[7], fakes[11]
            hooked.poke("sys_call_table", GETPID * 8, 0x1234)
            paused.command("stop")
            ended.stop()
            self.daemon.wait("one found out, one paused, one gone", lambda: (
                self.daemon.guests()[hooked.name]["verdict"] == "compromised" and
                self.daemon.guests()[paused.name]["state"] == "paused" and ended.name not in self.daemon.guests()))
            rest = names - {hooked.name, paused.name, ended.name}
            self.all_swept(rest)
            self.assertEqual({self.daemon.guests()[name]["verdict"] for name in rest}, {"clean"})
            self.assertEqual(self.daemon.guests()[paused.name]["verdict"], "clean")
            self.assertEqual({guest["scanner_restarts"] for guest in self.daemon.guests().values()}, {0})
            self.assertEqual(self.daemon.end(), 0)


def shared(kernel: str) -> Callable[[CrowdTest], None]:
    return lambda self: self.check_shared(kernel)


for generation in KERNELS:
    setattr(CrowdTest, re.sub(r"\W", "_", f"test_{generation}_is_shared"), shared(f"{generation}-cloud"))


if __name__ == "__main__":
    unittest.main()
