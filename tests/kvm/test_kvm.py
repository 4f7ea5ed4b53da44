# SPDX-License-Identifier: Apache-2.0
"""hvsm on a real KVM host: an unmodified guest of KVM is found, read, and scanned."""

from __future__ import annotations

import json
import re
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from host import Host  # noqa: E402

NAME = "web1"


class KvmTest(unittest.TestCase):
    """One host and one guest for all; the methods run in order of their names."""

    host: Host

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = Host()
        cls.addClassCleanup(cls.host.stop)
        cls.host.start()
        cls.host.start_inner(NAME)

    def hvsm(self, *args: str, status: int = 0) -> Any:
        """What one call of hvsm on the host printed, as JSON."""
        answer = self.host.call(f"hvsm {' '.join(args)} --json")
        self.assertEqual(answer.status, status, answer.err.decode(errors="replace")[-2000:] +
                         answer.out.decode(errors="replace")[-2000:])
        return json.loads(answer.out)

    def test_1_it_is_found(self) -> None:
        (guest,) = self.hvsm("list")["items"]
        self.assertEqual((guest["name"], guest["hypervisor"]), (NAME, "QEMU (kvm)"))

    def test_2_its_processes_are_read(self) -> None:
        said = self.host.order("ps -o pid,comm")
        told = {int(pid): comm for pid, comm in re.findall(r"^ *(\d+) (\S.*?)\r?$", said, re.MULTILINE)}
        seen = {item["pid"]: item["comm"] for item in self.hvsm("ps", NAME)["items"]}
        self.assertGreater(len(told), 20)
        self.assertLessEqual({(pid, comm) for pid, comm in told.items() if comm not in ("ps", "[ps]")
                              and not comm.startswith("{") and "kworker" not in comm},
                             {(pid, comm) for pid, comm in seen.items()} |
                             {(pid, f"[{comm}]") for pid, comm in seen.items()})

    def test_3_it_is_clean(self) -> None:
        answer = self.host.call(f"hvsm scan {NAME} --json")
        report = json.loads(answer.out)
        doubts = {check["id"]: check["reason"] for check in report["checks"]
                  if check["result"] not in ("clean", "not-covered")}
        self.assertEqual((doubts, report["findings"]), ({}, []))
        self.assertEqual((answer.status, report["verdict"], report["assurance"]),
                         (0, "clean", "reference"))

    def test_4_a_hook_is_found(self) -> None:
        self.host.order("insmod /hook_syscall64.ko")
        report = self.hvsm("scan", NAME, status=1)
        self.assertIn("syscall-table", {finding["check"] for finding in report["findings"]})

    def test_5_its_end_is_told(self) -> None:
        self.host.sh("kill $(pidof qemu-system-x86_64)")
        self.host.sh("while pidof qemu-system-x86_64 >/dev/null; do sleep 0.1; done")
        self.assertEqual(self.hvsm("list")["items"], [])
        self.assertEqual(self.host.call(f"hvsm scan {NAME}").status, 2)


if __name__ == "__main__":
    unittest.main()
