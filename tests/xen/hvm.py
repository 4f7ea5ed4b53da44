#!/usr/bin/python3
"""An HVM guest of an emulated Xen host: what domains.py says of all holds for it, too."""

from __future__ import annotations

import shlex
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import domains  # noqa: E402
import events  # noqa: E402


class Hvm(domains.Common, domains.XenTest):
    kind = "hvm"
    # With a device model in between, the same is asked of xl, and the same must come of it.
    react, runs, pause, dump, dump_is_killed = (
        domains.Alive.react, domains.Alive.runs, domains.Alive.pause, domains.Alive.dump, domains.Alive.dump_is_killed)

    marks, changes_registers = events.Events.marks, events.Events.changes_registers
    test_events_are_told = events.Events.test_events_are_told_to_the_one_who_wants_them

    def test_firmware_has_started_it_and_a_device_model_serves_it(self) -> None:
        self.assertIn("HVM domU", self.guest.sh("cat /sys/class/dmi/id/product_name"))
        self.assertEqual(self.guest.sh("cat /sys/hypervisor/guest_type").strip(), "HVM")
        self.assertIn("-xen-domid", self.host.sh("ps"))

    def poweroff(self, victim: domains.Domain) -> None:
        self.assertEqual(self.react(victim, "poweroff"), (0, "done poweroff "))
        self.assertNotRegex(self.host.sh("xl list"), rf"(?m)^\S+ +{victim.id} ")
        self.assertNotIn("-xen-domid", self.host.sh("ps"))

    def test_reactions_at_it(self) -> None:
        self.host.sh(f"mkdir -p -m 700 /share/dumps; printf '%s' {shlex.quote(domains.REACTIONS)} >/tmp/react.conf; "
                     f"chmod 600 /tmp/react.conf; printf '%s' {shlex.quote(domains.box())} >/tmp/unit; chmod 755 /tmp/unit")
        self.addCleanup(self.host.call, "rm -rf /share/dumps")
        for step in (self.pause, self.dump, self.dump_is_killed, self.poweroff):
            with self.subTest(step.__name__):
                step(self.guest)
        self.guest.create()


if __name__ == "__main__":
    unittest.main()
