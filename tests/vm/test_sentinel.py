#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What changes in code or constants has its checks run at once, though their turn does not come for a day."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.daemon import Daemon  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.ram import Ram  # noqa: E402

KERNEL = "6.1-cloud"
NAME = "hvsm-sentinel"
TIMES = 3
GETPID = 39

# No check runs by itself while the test does: after the first sweeps only looks are left.
SETTINGS = """
guest_cpu_percent = 50
cheap_period_ms = 86400000
middle_period_ms = 86400000
dear_period_ms = 86400000
jitter_percent = 0
reference = {{ {debs} }}
http {{ listen = "unix:{path}" }}
"""


class SentinelTest(unittest.TestCase):
    def metric(self, name: str) -> int:
        with socket.socket(socket.AF_UNIX) as to:
            to.settimeout(60)
            to.connect(self.http)
            to.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = http.client.HTTPResponse(to)
            answer.begin()
            text = answer.read().decode()
        found = re.search(rf"^{name}{{.*}} (\d+)$", text, re.MULTILINE)
        self.assertIsNotNone(found, text)
        assert found
        return int(found[1])

    def alarms(self) -> int:
        return self.metric("hvsm_guest_sentinel_alarms_total")

    def found(self) -> set[str]:
        return {item["check"] for item in self.daemon.ask("findings")["items"]}

    def settled(self) -> Any:
        """Every check has run. One more sweep may follow the first one, and then none for a day."""
        guest = self.daemon.guests().get(NAME)
        return guest if guest and guest["verdict"] == "clean" and not guest["checks"]["not_run"] else None

    def changed(self, what: str, at: int, new: bytes, check: str) -> None:
        """Its check finds it, and finds it gone: each is an alarm."""
        for _ in range(TIMES):
            old = self.put(what, at, new)
            self.daemon.wait(f"{what} in {check}", lambda: check in self.found())
            self.put(f"no {what}", at, old)
            self.daemon.wait(f"no {what} in {check}", lambda: not self.found())

    def put(self, what: str, at: int, new: bytes) -> bytes:
        """Until the sentinel has seen it: what a first sweep finds, and a look never sees, stays found for a day."""
        before = self.alarms()
        old = self.ram.swap(at, new)
        self.daemon.wait(f"an alarm of {what}", lambda: self.alarms() > before)
        return old

    def mappings(self, guest: Guest) -> set[str]:
        """How the scanner has mapped the guest's RAM."""
        scanners = self.daemon.scanner_of(guest.pid)
        self.assertEqual(len(scanners), 1)
        lines = Path(f"/proc/{scanners[0]}/maps").read_text().splitlines()
        return {line.split()[1] for line in lines if "memfd:memory-backend" in line}

    def test_a_change_has_its_checks_run_at_once(self) -> None:
        # A memfd is read in place, and never written; what is QEMU's own is copied.
        for backend, mapped in (("memfd", {"r--s"}), ("anon", set())):
            with self.subTest(backend):
                self.changes(backend, mapped)

    def changes(self, backend: str, mapped: set[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="hvsm-sentinel-") as folder, \
                Guest(KERNEL, name=NAME, backend=backend) as guest:
            Path(folder).chmod(0o711)
            self.http = f"{folder}/http.sock"
            debs = ", ".join(f'"{deb}"' for deb in guest.kernel.debs)
            with Daemon(NAME, SETTINGS.format(debs=debs, path=self.http), "sentinel = yes") as self.daemon:
                self.daemon.wait("a clean guest", self.settled)
                self.ram = Ram(guest)
                at, symbols = self.ram.at, self.ram.symbols
                jump = struct.pack("<Bi", 0xe9, symbols["emergency_restart"] - symbols["kernel_restart"] - 5)
                self.changed("a jump at a function's start", at("kernel_restart"), jump, "kernel-code")
                self.changed("an operation of a table", at("tcp4_seq_ops", 24),
                             struct.pack("<Q", symbols["udp4_seq_show"]), "kernel-rodata")
                self.changed("a system call", at("sys_call_table", 8 * GETPID),
                             struct.pack("<Q", symbols["__x64_sys_getppid"]), "syscall-table")
                self.assertEqual(self.mappings(guest), mapped)
                self.assertNotIn("has ended", self.daemon.said())
                self.assertEqual(self.daemon.end(), 0)


if __name__ == "__main__":
    unittest.main()
