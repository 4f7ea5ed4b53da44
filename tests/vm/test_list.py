#!/usr/bin/python3
"""Guests that this project did not start are found by name and scanned."""

from __future__ import annotations

import sys
import time
import unittest
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.libvirt import Libvirt  # noqa: E402
from lab.product import hvsm, scan  # noqa: E402

BOOT_S = 120.0


def listed(name: str) -> dict[str, Any]:
    guests = [g for g in hvsm("list", "--json").json["items"] if g["name"] == name]
    assert len(guests) == 1, guests
    return guests[0]


def scan_once_up(target: str) -> Any:
    """Scan until the guest has booted; on the way it is no kernel yet, or inconclusive."""
    end = time.monotonic() + BOOT_S
    while True:
        outcome = scan(target)
        if outcome.status == 0 or time.monotonic() > end:
            return outcome
        assert outcome.status in (2, 3), outcome
        time.sleep(0.2)


class ListTest(unittest.TestCase):
    def test_guest_of_libvirt_is_listed_and_scanned_by_name(self) -> None:
        name, ident = f"web one {uuid.uuid4().hex[:6]}", str(uuid.uuid4())
        with Libvirt() as libvirt:
            libvirt.create(name, ident, "6.1-cloud", memory_mib=640)
            guest = listed(name)
            self.assertEqual(guest["uuid"], ident)
            self.assertEqual(guest["memory_bytes"], 640 << 20)
            self.assertEqual(guest["vcpus"], 2)
            self.assertEqual(guest["accelerator"], "tcg")
            for target in (name, f"libvirt:{name}", f"qemu:{guest['pid']}"):
                outcome = scan_once_up(target)
                self.assertEqual(outcome.status, 0, outcome)
                self.assertEqual(outcome.json["guest"]["uuid"], ident)
            libvirt.destroy(ident)
            self.assertEqual(scan(name).status, 2)

    def test_guest_of_the_command_line(self) -> None:
        with Guest("6.12-cloud", qmp=False) as guest:
            self.assertEqual(listed(guest.name)["pid"], guest.pid)
            self.assertEqual(scan(guest.name).status, 0)

    def test_two_guests_of_one_name_are_refused_with_both_named(self) -> None:
        with Guest("6.1-cloud", name="twin") as one, Guest("6.1-cloud", name="twin") as two:
            outcome = scan("twin")
            self.assertEqual(outcome.status, 2)
            self.assertEqual(len(outcome.err.splitlines()), 1)
            self.assertIn(f"qemu:{one.pid}", outcome.err)
            self.assertIn(f"qemu:{two.pid}", outcome.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
