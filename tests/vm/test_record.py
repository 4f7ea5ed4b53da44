#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Without any reference: the first sweep of a boot is recorded, later ones compare with it."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.kernels import fetch  # noqa: E402
from lab.product import findings, scan  # noqa: E402

CHECKS = ("kernel-code", "kernel-rodata", "module-code", "ro-after-init")


class RecordTest(unittest.TestCase):

    def setUp(self) -> None:
        self.room = tempfile.TemporaryDirectory(prefix="hvsm-record-")
        self.addCleanup(self.room.cleanup)

    def sweep(self, guest: Guest) -> Any:
        return scan(f"qemu:{guest.pid}", "--store", f"{self.room.name}/store").json

    def results(self, report: Any) -> dict[str, Any]:
        return {check["id"]: check for check in report["checks"] if check["id"] in CHECKS}

    def guest(self, name: str) -> Guest:
        """One whose kernel nobody can read any more once it has booted."""
        kernel = fetch(name)
        room = Path(self.room.name, "kernel")
        room.mkdir()
        for path in kernel.dir.iterdir():
            if path != kernel.vmlinuz:
                (room / path.name).symlink_to(path)
        copy = dataclasses.replace(kernel, dir=room)
        shutil.copy(kernel.vmlinuz, copy.vmlinuz)
        guest = Guest(copy)
        guest.start()
        self.addCleanup(guest.stop)
        copy.vmlinuz.unlink()
        return guest

    def check(self, name: str) -> None:
        guest = self.guest(name)
        first = self.sweep(guest)
        self.assertIsNone(first["reference"])
        self.assertEqual((first["verdict"], first["assurance"]), ("clean", "none"))
        for check in self.results(first).values():
            self.assertEqual(check["result"], "clean", check)
        self.assertIn("recorded", self.results(first)["kernel-code"]["reason"])

        second = self.sweep(guest)
        self.assertEqual(second["verdict"], "clean", second["findings"])
        self.assertEqual(second["assurance"], "baseline", second["checks"])
        for check in self.results(second).values():
            self.assertEqual((check["result"], check["reason"]), ("clean", None), check)
            self.assertGreater(sum(check["covered"].values()), 0, check)

        # A tracer patches thousands of places: they are as ftrace's structures say.
        guest.sh("mkdir -p /t && mount -t tracefs t /t && echo function > /t/current_tracer")
        traced = self.sweep(guest)
        self.assertEqual(findings(traced), [])
        guest.sh("echo nop > /t/current_tracer")

        guest.insmod("patch_code", mode="prologue")
        hooked = findings(self.sweep(guest), "kernel-code")
        self.assertEqual([f["object"]["name"] for f in hooked], ["kernel_restart"])
        self.assertIn("lab_stub", str(hooked[0]["evidence"]))
        guest.rmmod("patch_code")
        guest.insmod("patch_code", mode="byte", symbol="inat_primary_table")
        hooked = findings(self.sweep(guest), "kernel-rodata")
        self.assertEqual([f["object"]["name"] for f in hooked], ["inat_primary_table"])
        guest.rmmod("patch_code")
        self.assertEqual(findings(self.sweep(guest)), [])

        # Another boot is another record.
        guest.reset()
        again = self.results(self.sweep(guest))
        for check in again.values():
            self.assertEqual(check["result"], "clean", check)
        self.assertIn("recorded", again["kernel-code"]["reason"])

    def test_old(self) -> None:
        self.check("5.10-cloud")

    def test_new(self) -> None:
        self.check("new-cloud")


if __name__ == "__main__":
    unittest.main()
