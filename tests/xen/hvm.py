#!/usr/bin/python3
"""An HVM guest of an emulated Xen host: what holds for the others does for it, too."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import attacks  # noqa: E402
import events  # noqa: E402
import reactions  # noqa: E402
import views  # noqa: E402


class Hvm(views.Views, attacks.Alone, reactions.Reactions):
    kind = "hvm"
    # It takes minutes to boot: all is done to the one guest.
    test_reactions_at_a_domain = None
    marks, changes_registers = events.Events.marks, events.Events.changes_registers
    test_events_are_told = events.Events.test_events_are_told_to_the_one_who_wants_them

    def test_firmware_has_started_it_and_a_device_model_serves_it(self) -> None:
        self.assertIn("HVM domU", self.guest.sh("cat /sys/class/dmi/id/product_name"))
        self.assertEqual(self.guest.sh("cat /sys/hypervisor/guest_type").strip(), "HVM")
        self.assertIn("-xen-domid", self.host.sh("ps"))

    def test_reactions_at_it(self) -> None:
        """With a device model in between, the same is asked of xl, and the same must come of it."""
        self.treat(self.guest, self.pause, self.dump, self.dump_is_killed, self.poweroff)
        self.assertNotIn("-xen-domid", self.host.sh("ps"))
        self.guest.create()


if __name__ == "__main__":
    unittest.main()
