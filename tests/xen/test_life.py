#!/usr/bin/python3
"""PV and PVH domains that come and go under hvsmd: what becomes of them, and what it does to them."""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import life  # noqa: E402
import reactions  # noqa: E402
from daemon import Daemon  # noqa: E402
from domains import STORE  # noqa: E402
from xenlab import Domain  # noqa: E402

from lab.product import findings  # noqa: E402


class Pvh(life.Life, reactions.Reactions):
    kind = "pvh"

    def on_demand(self, guest: Domain) -> tuple[int, int]:
        """Pages that are promised to it and not touched, and those at hand for that, as Xen says."""
        said = self.host.sh("xl debug-keys q; xl dmesg -c")
        found = re.search(rf"General information for domain {guest.id}:.*?PoD entries=(\d+) cachesize=(\d+)", said, re.S)
        assert found, said
        return int(found[1]), int(found[2])

    def test_one_below_its_most_is_read_and_lives(self) -> None:
        """What it has not touched yet comes out of a stock; that must last for it, whatever is read."""
        with Domain(self.host, self.kind, "below", most=256) as below:
            with Daemon(self.host, "below", below.name) as daemon:
                self.grows(below, daemon)
            below.insmod("hook_syscall64", nr=39)
            found = findings(self.hvsm("scan", "below", "--store", STORE, "--only", "syscall-table,module-code",
                                       status=1), "syscall-table")
            self.assertEqual([f["object"]["name"] for f in found], ["sys_call_table[39]"])

    def grows(self, below: Domain, daemon: Daemon) -> None:
        """Until all that it had at first is touched; then it gets more. Nothing is wrong with it in all that time."""
        daemon.follows(below)
        promised, there = self.on_demand(below)
        self.assertGreater(promised, 0)
        self.assertGreaterEqual(there, promised)
        self.assertEqual(self.hvsm("scan", "below", "--store", STORE)["verdict"], "clean")
        # Nearly all of what it has is touched: a page that was missing would be its end.
        free = "awk '/MemFree/ { print $2 }' /proc/meminfo"
        below.sh(f"i=0; while [ $({free}) -gt 16384 ] && [ $i -lt 60 ]; do i=$((i + 1)); d=/tmp; "
                 "[ $((i % 2)) = 0 ] || d=/run; yes | head -c 4194304 >$d/fill.$i || break; done; "
                 "rm -f /tmp/fill.* /run/fill.*")
        self.assertLess(self.on_demand(below)[0], promised)
        # What it gets later is read, too.
        had = int(below.sh(free))
        self.host.sh("xl mem-set below 256")
        below.sh(f"while [ $({free}) -lt {had + 32768} ]; do sleep 0.2; done")
        daemon.follows(below)
        daemon.never_found_anything()


class Pv(life.Life, reactions.Reactions):
    kind = "pv"
    # Debian's Xen refuses to log what a PV guest writes (EOPNOTSUPP), so none migrates alive there.
    moves = (Domain.save_and_restore,)


if __name__ == "__main__":
    unittest.main()
