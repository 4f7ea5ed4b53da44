#!/usr/bin/python3
"""The kernel's log: what `hvsm log` prints is what /dev/kmsg and dmesg give inside, record by record."""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.listing import listing, plain  # noqa: E402
from lab.truth import collect  # noqa: E402

KERNELS = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud", "new-generic")
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")

# More than the ring of 128 KiB holds, of lengths that leave gaps at its end.
FLOOD = """
i=0
while [ $i -lt 3000 ]; do
	echo "<5>flood $i ${long%$i*}" >/dev/kmsg
	echo >/dev/kmsg
	long="$long${i#??}"; [ ${#long} -lt 400 ] || long=
	i=$((i + 1))
done"""


def devices(kmsg: bytes) -> dict[int, bytes]:
    """The DEVICE= of each record, which follows it in a line of its own."""
    found, sequence = {}, -1
    for line in kmsg.splitlines():
        if line.startswith(b" DEVICE="):
            found[sequence] = line[len(b" DEVICE="):]
        elif not line.startswith(b" "):
            sequence = int(line.split(b",")[1])
    return found


class LogTest(unittest.TestCase):
    """One method per kernel and shape, made below."""

    maxDiff = 4000

    def compare(self, guest: Guest) -> dict[int, dict[str, Any]]:
        truth = collect(guest)
        items = {item["seq"]: item for item in listing(guest, "log")}
        seen = {number: (LEVELS.index(item["level"]), item["facility"], item["time_us"], plain(item["text"]))
                for number, item in items.items() if not item["lost"]}
        told = {record.sequence: (record.level, record.facility, record.time_us, record.text) for record in truth.log}
        self.assertEqual({number: seen.get(number) for number in told}, told)
        self.assertEqual({number for number in seen if number < min(told)}, set(), "what the ring has given up")
        self.assertEqual({number: plain(items[number]["device"]) for number in told if items[number]["device"]},
                         {number: device for number, device in devices(truth.files["/dev/kmsg"]).items()})
        return items

    def as_booted(self, guest: Guest) -> None:
        guest.sh("workload")
        items = self.compare(guest)
        self.assertEqual(min(items), 0)

        # dmesg -c hides what it has shown from dmesg, and nothing from us. (The kernel may log
        # more at any time: it calibrates its clock for a second or two.)
        shown = set(guest.sh("dmesg -c").splitlines()) - {""}
        self.assertNotEqual(shown, set())
        self.assertEqual(shown & set(guest.sh("dmesg").splitlines()), set())
        self.assertEqual({item["seq"] for item in listing(guest, "log")} >= items.keys(), True)

    def wrapped(self, guest: Guest) -> None:
        guest.sh("echo on >/proc/sys/kernel/printk_devkmsg")
        guest.sh(FLOOD)
        items = self.compare(guest)
        self.assertGreater(min(items), 0)
        self.assertTrue(any(item["text"] == "" for item in items.values()), "no empty line was there to compare")

    def large(self, guest: Guest) -> None:
        """A ring of log_buf_len= has taken the place of the one that the kernel was built with."""
        guest.sh("workload")
        self.compare(guest)


def case(kernel: str, question: Callable[[LogTest, Guest], None], **shape: Any) -> Callable[[LogTest], None]:
    def run(self: LogTest) -> None:
        with Guest(kernel, **shape) as guest:
            question(self, guest)
    return run


for name in KERNELS:
    method = re.sub(r"\W", "_", name)
    setattr(LogTest, f"test_{method}_as_booted", case(name, LogTest.as_booted))
    if name.endswith("-cloud"):
        setattr(LogTest, f"test_{method}_wrapped", case(name, LogTest.wrapped))
        setattr(LogTest, f"test_{method}_log_buf_len", case(name, LogTest.large, append="log_buf_len=1M"))

if __name__ == "__main__":
    unittest.main()
