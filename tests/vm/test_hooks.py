#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hooks: what `hvsm hooks` lists is what the guest's own tables of them show."""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.listing import listing  # noqa: E402
from lab.product import hvsm  # noqa: E402
from lab.technique import CLOUD  # noqa: E402

TRACING = "/sys/kernel/tracing"
DEBUG = "/sys/kernel/debug"


def functions(items: list[dict[str, Any]], mechanism: str) -> set[str]:
    """Whom the hooks of one kind call: "tcp_v4_rcv"."""
    return {re.sub(r" \[.*\]$", "", item["symbol"]) for item in items if item["mechanism"] == mechanism}


class HooksTest(unittest.TestCase):
    """One method per kernel, made below."""

    def compare(self, guest: Guest) -> None:
        guest.sh(f"mount -t debugfs d {DEBUG} 2>/dev/null; modprobe -a bridge 8021q veth; "
                 f"echo p:lab1 do_sys_openat2 > {TRACING}/kprobe_events; "
                 f"echo r:lab2 vfs_read >> {TRACING}/kprobe_events; echo 1 > {TRACING}/events/kprobes/enable")
        items = listing(guest, "hooks")
        for item in items:
            self.assertTrue(item["function"] or item["owner_kind"] == "BPF", item)
        self.packets(guest, items)
        self.probes(guest, items)
        every = hvsm("hooks", f"qemu:{guest.pid}", "--long", "--json")
        self.assertEqual(every.status, 0, every.err)
        self.assertGreater(len(every.json["items"]), 5000)
        pointers = {(item["address"], item["target"]) for item in every.json["items"]}
        missing = [item for item in items if (item["address"], item["target"]) not in pointers
                   and item["mechanism"] not in ("timer", "high-resolution timer", "work item", "delayed work")]
        self.assertEqual(missing, [])

    def packets(self, guest: Guest, items: list[dict[str, Any]]) -> None:
        """/proc/net/ptype: type, device, function."""
        shown = set(re.findall(r" (\w+)(?: \[\w+\])?$", guest.sh("cat /proc/net/ptype"), re.M))
        self.assertLessEqual({"ip_rcv", "arp_rcv"}, shown)
        self.assertLessEqual(shown - {"Function"}, functions(items, "packet handler"))

    def probes(self, guest: Guest, items: list[dict[str, Any]]) -> None:
        """What is probed, by debugfs: "ffffffff8123  k  vfs_read+0x0    [FTRACE]"."""
        shown = {re.sub(r"\+0x0$", "", line.split()[2]) for line in guest.sh(f"cat {DEBUG}/kprobes/list").splitlines()}
        listed = {re.sub(r"\+0x\w+$", "", item["object"]) for item in items
                  if item["mechanism"] in ("kprobe", "kretprobe")}
        self.assertEqual({re.sub(r"\+0x\w+$", "", name) for name in shown}, listed)


for kernel in CLOUD:
    def run(self: HooksTest, kernel: str = kernel) -> None:
        with Guest(kernel) as guest:
            self.compare(guest)
    setattr(HooksTest, "test_" + re.sub(r"\W", "_", kernel), run)


if __name__ == "__main__":
    unittest.main(verbosity=2)
