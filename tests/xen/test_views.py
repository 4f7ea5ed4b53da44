#!/usr/bin/python3
"""A PV and a PVH guest, looked at and attacked, and what Xen tells of the latter as it happens."""

from __future__ import annotations

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import attacks  # noqa: E402
import events  # noqa: E402
import views  # noqa: E402
from daemon import EVENTS, Daemon  # noqa: E402
from domains import STORE  # noqa: E402
from xenlab import Domain  # noqa: E402

from lab.product import findings  # noqa: E402


class Pvh(views.Views, attacks.AtOnce, events.Events):
    kind = "pvh"


class Pv(views.Views, attacks.AtOnce):
    kind = "pv"
    done = attacks.PV_ATTACKS
    found = attacks.PV_FOUND
    # A name is a name, of whatever kind.
    test_info_by_every_name = None

    def test_events_are_refused(self) -> None:
        with Daemon(self.host, "refused", self.guest.name, EVENTS) as daemon:
            daemon.says(f"Xen tells no events of {self.guest.name}: Xen tells no events of a PV domain")

    def test_its_memory_is_found_by_its_p2m(self) -> None:
        info = self.hvsm("info", self.guest.name)
        self.assertIn("p2m", json.dumps(info))
        # Not all of the guest's frames are neighbours in the machine: to follow them is needed.
        self.assertEqual(info["kernel"]["banner"], self.guest.sh("cat /proc/version").strip())

    def test_memory_that_the_balloon_brings_is_seen(self) -> None:
        """It boots with less than it may have, and gets it when it is watched already."""
        with Domain(self.host, self.kind, "grown", most=224) as grown:
            before = self.hvsm("scan", "grown", "--store", STORE)
            self.assertEqual(before["verdict"], "clean")
            free = "awk '/MemFree/ { print $2 }' /proc/meminfo"
            had = int(grown.sh(free))
            self.host.sh("xl mem-set grown 224")
            grown.sh(f"while [ $({free}) -lt {had + 16384} ]; do sleep 0.2; done; "
                     f"dd if=/dev/zero of=/tmp/all bs=1M count={had // 1024 + 8} 2>/dev/null; true")
            grown.insmod("hook_syscall64", nr=39)       # in a page that is new
            after = self.hvsm("scan", "grown", "--store", STORE, "--only", "syscall-table,module-code", status=1)
            self.assertEqual([f["object"]["name"] for f in findings(after, "syscall-table")], ["sys_call_table[39]"])
            grown.rmmod("hook_syscall64")
            self.assertEqual(self.hvsm("scan", "grown", "--store", STORE)["verdict"], "clean")

    def test_patched_code_is_found(self) -> None:
        for mode, function in (("pv_call", ""), ("jump_label", "do_one_initcall")):
            with self.subTest(mode):
                self.guest.insmod("patch_code", mode=mode)
                self.addCleanup(self.guest.call, "rmmod patch_code")
                found = findings(self.scan("--only", "kernel-code", status=1), "kernel-code")
                self.assertEqual(len(found), 1)
                self.assertIn(function, found[0]["object"]["name"])
                self.guest.rmmod("patch_code")

    def test_memory_of_a_program_that_its_kernel_does_not_know_is_found(self) -> None:
        pid = self.guest.sh("sleep 3000 >/dev/null 2>&1 & echo $!").strip()
        self.addCleanup(self.guest.sh, f"kill {pid}")
        self.guest.insmod("xen_entry", how="root", pid=pid)
        self.addCleanup(self.guest.rmmod, "xen_entry")
        found = findings(self.scan("--only", "page-tables", status=1), "page-tables")
        self.assertEqual([f["object"]["name"] for f in found],
                         [f"page table of {pid} sleep while its program runs"])

    def test_entry_that_xen_was_told_is_found(self) -> None:
        self.guest.insmod("xen_entry", how="syscall")
        self.addCleanup(self.guest.call, "rmmod xen_entry")
        found = findings(self.scan("--only", "xen-callbacks", status=1), "xen-callbacks")
        self.assertEqual([f["object"]["name"] for f in found], ["vCPU 0 syscall callback"])
        self.assertEqual(found[0]["owner"], "module xen_entry")
        self.guest.rmmod("xen_entry")
        self.scan("--only", "xen-callbacks", status=0)


if __name__ == "__main__":
    unittest.main()
