# SPDX-License-Identifier: Apache-2.0
"""hvsm on a real KVM host, installed as a package: it watches an unmodified guest of KVM."""

from __future__ import annotations

import json
import re
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from host import DEBS, Host  # noqa: E402

NAME = "web1"
CONFIG = "/etc/hvsm/hvsmd.conf"
LIMIT_S = 300       # reached only where something hangs


class KvmTest(unittest.TestCase):
    """One host and one guest for all; the methods run in order of their names."""

    host: Host

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = Host()
        cls.addClassCleanup(cls.host.stop)
        cls.host.start()

    def hvsm(self, *args: str, status: int = 0) -> Any:
        """What one call of hvsm on the host printed, as JSON."""
        answer = self.host.call(f"hvsm {' '.join(args)} --json")
        self.assertEqual(answer.status, status, answer.err.decode(errors="replace")[-2000:] +
                         answer.out.decode(errors="replace")[-2000:])
        return json.loads(answer.out)

    def journal(self) -> str:
        return self.host.sh("journalctl --no-pager -o cat -u hvsmd")

    def wait(self, what: str, is_so: Callable[[], Any]) -> Any:
        """Until it is so."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            result = is_so()
            if result:
                return result
            time.sleep(0.5)
        self.fail(f"{what}: {self.host.call('hvsm status')}\n{self.journal()[-4000:]}")

    def guests(self) -> list[Any]:
        """What the daemon says of its guests; its status is that of the guests, whatever it is."""
        answer = self.host.call("hvsm status --json")
        self.assertIn(answer.status, (0, 1, 3), answer.err.decode(errors="replace"))
        return list(json.loads(answer.out)["guests"])

    def watched(self, verdict: str) -> Any:
        """The guest, once it is watched with that verdict by all checks."""
        def is_so() -> Any:
            guests = [guest for guest in self.guests() if guest["state"] == "watched" and
                      guest["verdict"] == verdict and guest["checks"]["not_run"] == 0]
            return guests[0] if guests else None
        return self.wait(f"watched and {verdict}", is_so)

    def test_1_apt_installs_and_starts_it(self) -> None:
        self.host.sh(f"apt-get -q -y install {DEBS}/hvsm_*.deb")
        self.assertEqual(self.host.sh("systemctl is-enabled hvsmd; systemctl is-active hvsmd").split(),
                         ["enabled", "active"], self.journal())
        self.assertEqual(self.guests(), [])
        # An emulated host is slow: more of its time than by default, or the test would take hours.
        self.host.sh(f"echo 'guest_cpu_percent = 50' >>{CONFIG}; hvsmd --check-config; systemctl reload hvsmd")

    def test_2_a_guest_that_starts_is_watched(self) -> None:
        self.host.start_inner(NAME)
        guest = self.watched("clean")
        self.assertEqual((guest["name"], guest["open_findings"], guest["checks"]["inconclusive"]), (NAME, 0, 0))
        (listed,) = self.hvsm("list")["items"]
        self.assertEqual((listed["name"], listed["hypervisor"]), (NAME, "QEMU (kvm)"))
        reports = self.hvsm("report", "list", NAME)["items"]
        self.assertGreater(len(reports), 0)
        self.assertEqual(self.hvsm("report", "findings")["items"], [])
        self.hvsm("report", "verify")

    def test_3_its_processes_are_read(self) -> None:
        said = self.host.order("ps -o pid,comm")
        told = {int(pid): comm for pid, comm in re.findall(r"^ *(\d+) (\S.*?)\r?$", said, re.MULTILINE)}
        seen = {item["pid"]: item["comm"] for item in self.hvsm("ps", NAME)["items"]}
        self.assertGreater(len(told), 20)
        self.assertLessEqual({(pid, comm) for pid, comm in told.items() if comm not in ("ps", "[ps]")
                              and not comm.startswith("{") and "kworker" not in comm},
                             {(pid, comm) for pid, comm in seen.items()} |
                             {(pid, f"[{comm}]") for pid, comm in seen.items()})

    def test_4_it_is_clean(self) -> None:
        answer = self.host.call(f"hvsm scan {NAME} --json")
        report = json.loads(answer.out)
        doubts = {check["id"]: check["reason"] for check in report["checks"]
                  if check["result"] not in ("clean", "not-covered")}
        self.assertEqual((doubts, report["findings"]), ({}, []))
        self.assertEqual((answer.status, report["verdict"], report["assurance"]),
                         (0, "clean", "reference"))

    def test_5_a_hook_is_found(self) -> None:
        self.host.order("insmod /hook_syscall64.ko")
        self.watched("compromised")
        self.assertEqual(self.host.call("hvsm status").status, 1)
        (finding,) = [one for one in self.hvsm("report", "findings", "--open")["items"]
                      if one["check"] == "syscall-table"]
        self.assertEqual(finding["severity"], "critical")
        self.assertRegex(self.journal(), rf"(?m)^.*{NAME}.*{re.escape(finding['title'])}")
        report = self.hvsm("scan", NAME, status=1)
        self.assertIn("syscall-table", {one["check"] for one in report["findings"]})

    def test_6_its_end_is_told(self) -> None:
        self.host.sh("kill $(pidof qemu-system-x86_64)")
        self.host.sh("while pidof qemu-system-x86_64 >/dev/null; do sleep 0.1; done")
        self.wait("a guest that is gone", lambda: self.guests() == [])
        self.assertEqual(self.hvsm("list")["items"], [])
        self.assertEqual(self.host.call(f"hvsm scan {NAME}").status, 2)
        self.assertEqual(self.host.sh("systemctl show -P NRestarts hvsmd").strip(), "0", self.journal())
        self.hvsm("report", "verify")

    def test_7_apt_removes_it(self) -> None:
        self.host.sh("apt-get -q -y remove hvsm")
        self.assertNotEqual(self.host.call("pidof hvsmd hvsm").status, 0)
        self.host.sh(f"! test -e /usr/sbin/hvsmd && ! test -e /run/hvsm && grep 50 {CONFIG} && ls /var/lib/hvsm/reports")
        self.host.sh("apt-get -q -y purge hvsm && ! test -e /etc/hvsm && ! test -e /var/lib/hvsm")


if __name__ == "__main__":
    unittest.main()
