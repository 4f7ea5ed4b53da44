#!/usr/bin/python3
"""A Debian system as people run it: clean while it starts, clean when it is up, and its own."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import debian  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.product import hvsm, scan  # noqa: E402

SERVICES = {"systemd", "systemd-journal", "systemd-udevd", "systemd-logind", "dbus-daemon",
            "cron", "sshd"}
SWEEPS = 50


class DebianTest(unittest.TestCase):
    def test_systemd_is_clean_from_its_start_on(self) -> None:
        for kernel in ("6.1-cloud", "6.12-cloud"):
            with self.subTest(kernel):
                guest = Guest(kernel, system="debian", memory=debian.MEMORY, smp=2)
                try:
                    guest.start(wait=False)
                    self.scan_while_it_starts(guest)
                    guest.wait_ready()
                    self.check_services(guest)
                    for _ in range(SWEEPS):
                        self.scan_clean(guest)
                finally:
                    guest.stop()

    def scan_while_it_starts(self, guest: Guest) -> None:
        """2: no kernel yet. 3: the kernel boots. Never a finding; clean once init runs."""
        while not self.names(guest) >= SERVICES:
            self.assertTrue(guest.running(), guest.console_log)
            report = scan(f"qemu:{guest.pid}")
            self.assertIn(report.status, (0, 2, 3), report.out[:4000] + report.err)

    def scan_clean(self, guest: Guest) -> None:
        report = scan(f"qemu:{guest.pid}")
        self.assertEqual(report.status, 0, report.out[:4000] + report.err)

    def names(self, guest: Guest) -> set[str]:
        seen = hvsm("ps", f"qemu:{guest.pid}", "--json")
        return {task["comm"] for task in seen.json["items"]} if seen.status == 0 else set()

    def check_services(self, guest: Guest) -> None:
        guest.sh("systemctl is-system-running --wait || true")
        tasks = hvsm("ps", f"qemu:{guest.pid}", "--json").json["items"]
        by_unit = {task["cgroup"]: task for task in tasks if task["cgroup"]}
        for unit in ("cron", "ssh", "dbus", "systemd-logind"):
            pid = int(guest.sh(f"systemctl show -p MainPID --value {unit}"))
            self.assertEqual(by_unit[f"/system.slice/{unit}.service"]["pid"], pid)


if __name__ == "__main__":
    unittest.main(verbosity=2)
