#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reactions at a real guest: that it is paused, dumped, cut off and switched off, and that in
observe mode nothing of that happens."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import binary, hvsm  # noqa: E402
from lab.qmp import Qmp  # noqa: E402

KERNEL = "6.1-cloud"
NETWORK = ("-netdev", "user,id=host0", "-device", "virtio-net-pci,netdev=host0,id=front0")
ENDS_S = 60         # a guard against a QEMU that never ends, no measure of anything
KINDS = ("pause", "unlink", "poweroff")

CONFIG = """mode = {mode}
reaction dump {{
	kind = dump
	directory = {dir}
	timeout_s = 300
}}
""" + "".join(f"reaction {kind} {{{{ kind = {kind}\n timeout_s = 60 }}}}\n" for kind in KINDS)


class Reactions(unittest.TestCase):
    """One guest, and what is done to it; what cannot be undone comes last."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory(prefix="hvsm-reaction-")
        self.addCleanup(place.cleanup)
        self.dir = Path(place.name)
        self.guest = Guest(KERNEL, extra=NETWORK)
        self.guest.start()
        self.addCleanup(self.guest.stop)

    def react(self, reaction: str, mode: str = "enforce") -> tuple[int, str]:
        config = self.dir / "hvsmd.conf"
        config.write_text(CONFIG.format(mode=mode, dir=self.dir))
        done = subprocess.run([str(binary().parents[1] / "tests" / "vm" / "react"), str(config),
                               str(self.guest.pid), self.guest.uuid, reaction],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def runs(self) -> bool:
        status = self.guest.qmp_command("query-status")
        assert isinstance(status, dict)
        return bool(status["running"])

    def carrier(self) -> str:
        return self.guest.sh("cat /sys/class/net/eth0/carrier").strip()

    def test_reactions(self) -> None:
        self.guest.sh("modprobe virtio_net && ip link set eth0 up")
        self.assertEqual(self.carrier(), "1")
        for step in (self.observe, self.unlink, self.dump, self.busy, self.pause, self.poweroff):
            with self.subTest(step.__name__):
                step()

    def observe(self) -> None:
        for reaction in ("dump", *KINDS):
            self.assertEqual(self.react(reaction, "observe"), (1, f"observed {reaction} \n"))
        self.assertTrue(self.runs())
        self.assertEqual(self.carrier(), "1")
        self.assertEqual(list(self.dir.glob("*.core*")), [])

    def unlink(self) -> None:
        self.assertEqual(self.react("unlink"),
                         (0, "started unlink \ndone unlink 1 network interface\n"))
        self.assertEqual(self.carrier(), "0")
        self.assertTrue(self.runs())

    def dump(self) -> None:
        status, out = self.react("dump")
        self.assertEqual(status, 0, out)
        cores = list(self.dir.glob("*.core*"))
        self.assertEqual(out, f"started dump \ndone dump {cores[0]}\n")
        self.assertEqual(cores[0].read_bytes()[:4], b"\x7fELF")
        scan = hvsm("scan", f"image:{cores[0]}", "--json")
        self.assertEqual(scan.json["kernel"]["release"], self.guest.release)
        self.assertEqual(scan.json["findings"], [])
        self.assertTrue(self.runs())

    def busy(self) -> None:
        with Qmp(self.guest.qmp_socket):
            status, out = self.react("pause")
        self.assertEqual(status, 1)
        self.assertIn("QMP: the monitor is busy with another client; libvirt: ", out)
        self.assertTrue(self.runs())

    def pause(self) -> None:
        self.assertEqual(self.react("pause"), (0, "started pause \ndone pause \n"))
        self.assertFalse(self.runs())

    def poweroff(self) -> None:
        self.assertEqual(self.react("poweroff"), (0, "started poweroff \ndone poweroff \n"))
        end = time.monotonic() + ENDS_S
        while self.guest.running() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertFalse(self.guest.running())


if __name__ == "__main__":
    unittest.main()
