#!/usr/bin/python3
"""PV guests of an emulated Xen host whose kernels are older and newer than dom0's."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import attacks  # noqa: E402
import domains  # noqa: E402
import life  # noqa: E402
import views  # noqa: E402
from xenlab import Domain  # noqa: E402

from lab.kernels import fetch  # noqa: E402


class Older(attacks.AtOnce, domains.GuestTest):
    """The agent is proved, what is done is found, and hvsmd follows it through all that happens to one."""

    kind = "pv"
    kernel = "5.10-generic"
    done, found, moves = attacks.PV_ATTACKS, attacks.PV_FOUND, (Domain.save_and_restore,)

    all_is_covered = views.Views.all_is_covered
    test_untouched_it_is_clean = views.Views.test_untouched_it_is_clean_and_all_is_covered
    test_daemon_follows = life.Life.test_daemon_follows_reboot_save_migration_and_crash

    @classmethod
    def setUpClass(cls) -> None:
        domains.known(domains.shared_host(), fetch(cls.kernel))
        super().setUpClass()


class Newer(Older):
    kernel = "6.12-generic"


if __name__ == "__main__":
    unittest.main()
