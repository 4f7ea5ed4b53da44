#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a guest in its life is followed by hvsmd, without a restart and without a finding."""

from __future__ import annotations

import sys
import unittest
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.daemon import BUDGET, Daemon  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.libvirt import Libvirt  # noqa: E402

KERNEL = "6.1-cloud"
MEMORY = ("-m", "512M,slots=2,maxmem=1G")
DIMM = {"object": "memory-backend-ram,id=more,size=256M", "device": "pc-dimm,id=dimm,memdev=more"}

# Memory that was plugged in is used at once where it is online: by files, processes, BPF programs.
ONLINE = "echo online > /sys/devices/system/memory/auto_online_blocks"
USE_IT = ("for i in $(seq 30); do sleep 1000 & done; "
          "dd if=/dev/zero of=/tmp/big bs=1M count=260 2>/dev/null; for i in $(seq 30); do sleep 1000 & done")


PLUGGED = "100000000-10fffffff : System RAM"


def watched(daemon: Daemon, name: str) -> Any:
    """The guest, once all checks have run since now, and say that it is clean."""
    before = daemon.guests().get(name)
    daemon.ask("scan")

    def is_so() -> Any:
        guest = daemon.guests().get(name)
        return guest if guest and guest["state"] == "watched" and guest["verdict"] == "clean" and \
            guest["checks"]["not_run"] == guest["checks"]["inconclusive"] == 0 and \
            guest["sweeps"] > (before["sweeps"] if before else 0) else None
    return daemon.wait(f"{name} watched, and clean", is_so)


def state(daemon: Daemon, name: str, wanted: str) -> Any:
    def is_so() -> Any:
        guest = daemon.guests().get(name)
        return guest if guest and guest["state"] == wanted else None
    return daemon.wait(f"{name} is {wanted}", is_so)


def said(daemon: Daemon, text: str) -> None:
    daemon.wait(f"the daemon says '{text}'", lambda: text in daemon.said())


class LifeTest(unittest.TestCase):
    def nothing_was_found(self, daemon: Daemon) -> None:
        self.assertNotIn(" opened: ", daemon.said())
        self.assertNotIn("has ended", daemon.said())

    def kexec(self, daemon: Daemon, guest: Guest) -> None:
        guest.kexec()
        said(daemon, f"guest {guest.name} has booted anew")
        watched(daemon, guest.name)

    def memory(self, daemon: Daemon, guest: Guest) -> None:
        """A DIMM, which is used up at once."""
        guest.sh(ONLINE)
        guest.qmp_command("object-add", qom_type="memory-backend-ram", id="more", size=256 << 20)
        guest.qmp_command("device_add", driver="pc-dimm", id="dimm", memdev="more")
        daemon.wait("memory in the guest", lambda: PLUGGED in guest.sh("cat /proc/iomem"))
        guest.sh(f"({USE_IT}) >/dev/null 2>&1 </dev/null")
        watched(daemon, guest.name)
        said(daemon, f"guest {guest.name} has other memory than before")

    def test_kexec_plugged_memory_and_migration(self) -> None:
        with Daemon("hvsm-life-*") as daemon, \
                Guest(KERNEL, name="hvsm-life-here", extra=MEMORY) as guest:
            watched(daemon, guest.name)
            self.kexec(daemon, guest)
            self.memory(daemon, guest)
            there = Guest(KERNEL, name="hvsm-life-there", extra=(
                *MEMORY, "-object", DIMM["object"], "-device", DIMM["device"],
                "-incoming", f"exec:cat {guest.dir}/state"))
            there.uuid = guest.uuid
            guest.qmp_command("migrate", uri=f"exec:cat > {guest.dir}/state")
            self.assertEqual(state(daemon, guest.name, "paused")["verdict"], "clean")
            daemon.wait("all of it away", lambda: guest.qmp_command("query-migrate")["status"] == "completed")
            try:
                there.start(wait=False)
                self.assertEqual(watched(daemon, there.name)["uuid"], guest.uuid)
                guest.stop()
                daemon.wait("the end of the source", lambda: not daemon.guests().get(guest.name))
                watched(daemon, there.name)
            finally:
                there.stop()
            daemon.wait("the end of the other", lambda: not daemon.guests())
            self.nothing_was_found(daemon)
            self.assertEqual(daemon.end(), 0)

    def suspend(self, daemon: Daemon, libvirt: Libvirt, name: str, ident: str) -> None:
        libvirt.virsh("suspend", ident)
        guest = state(daemon, name, "paused")
        self.assertIn("its clock stands still: paused by somebody", guest["reason"])
        self.assertEqual(guest["verdict"], "clean")
        libvirt.virsh("resume", ident)
        watched(daemon, name)

    def test_what_libvirt_tells(self) -> None:
        name, ident = f"life {uuid.uuid4().hex[:6]}", str(uuid.uuid4())
        with Libvirt() as libvirt, Daemon("life *", f'{BUDGET}\nlibvirt = "{libvirt.uri}"') as daemon:
            said(daemon, "libvirt tells what happens to its guests")
            libvirt.create(name, ident, KERNEL)
            watched(daemon, name)
            self.suspend(daemon, libvirt, name, ident)
            libvirt.virsh("reset", ident)
            said(daemon, f"guest {name} has booted anew")
            libvirt.end()
            said(daemon, "libvirt is gone")
            self.assertEqual(watched(daemon, name)["uuid"], ident)
            libvirt.begin()
            daemon.wait("libvirt again", lambda: daemon.said().count("libvirt tells what happens") == 2)
            self.suspend(daemon, libvirt, name, ident)
            libvirt.destroy(ident)
            said(daemon, f"libvirt says of guest {ident}: destroyed by somebody")
            daemon.wait("no guest", lambda: not daemon.guests())
            # What is renamed is off, and has the same UUID when it comes again.
            libvirt.create(f"{name} anew", ident, KERNEL)
            self.assertEqual(watched(daemon, f"{name} anew")["uuid"], ident)
            libvirt.destroy(ident)
            daemon.wait("no guest", lambda: not daemon.guests())
            self.nothing_was_found(daemon)


if __name__ == "__main__":
    unittest.main()
