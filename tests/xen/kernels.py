#!/usr/bin/python3
"""PV guests of an emulated Xen host whose kernels are older and newer than dom0's."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import domains  # noqa: E402
from test_pv import Pv  # noqa: E402

from lab.kernels import fetch  # noqa: E402


class Older(domains.XenTest):
    """The agent is proved, what is done is found, and hvsmd follows it through all that happens to one."""

    kind = "pv"
    kernel = "5.10-generic"
    attacks, found, moves = Pv.attacks, Pv.found, Pv.moves
    all_is_covered = Pv.all_is_covered
    scan_with_agent, agent_is_proved = Pv.scan_with_agent, Pv.agent_is_proved
    all_is_found, agent_is_killed = Pv.all_is_found, Pv.agent_is_killed
    daemon, daemon_ends = Pv.daemon, Pv.daemon_ends
    daemon_guest, daemon_waits = Pv.daemon_guest, Pv.daemon_waits
    followed, ended, nothing_was_ever_found = Pv.followed, Pv.ended, Pv.nothing_was_ever_found

    test_untouched_it_is_clean = Pv.test_untouched_it_is_clean_and_all_is_covered
    test_agent_inside_and_much_done_at_once = Pv.test_agent_inside_and_much_done_at_once
    test_daemon_follows = Pv.test_daemon_follows_reboot_save_migration_and_crash

    @classmethod
    def setUpClass(cls) -> None:
        domains.known(domains.shared_host(), fetch(cls.kernel))
        super().setUpClass()


class Newer(Older):
    kernel = "6.12-generic"


del Pv      # its own tests are those of test_pv.py


if __name__ == "__main__":
    unittest.main()
