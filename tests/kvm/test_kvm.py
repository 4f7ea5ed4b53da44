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
from lab.product import TOP  # noqa: E402

sys.path.insert(0, str(TOP / "tests"))

from schemas import validate  # noqa: E402

NAME = "web1"
CONFIG = "/etc/hvsm/hvsmd.conf"
TOKEN, CERT, KEY = "/etc/hvsm/http-token", "/etc/hvsm/http.crt", "/etc/hvsm/http.key"
# For other hosts, as docs/http.md has it.
HTTP = f"""
http {{
	listen = "[::]:9520"
	token_file = "{TOKEN}"
	tls_cert = "{CERT}"
	tls_key = "{KEY}"
}}
"""
MAKE_KEYS = f"""
umask 077
openssl rand -hex 32 >{TOKEN}
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=host1 -addext subjectAltName=DNS:host1 \
	-keyout {KEY} -out {CERT} 2>/dev/null
"""
# How it is hardened; that the library for TLS works all the same is what is shown.
HARDENED = ("MemoryDenyWriteExecute", "NoNewPrivileges", "LockPersonality", "ProtectKernelTunables")
LIMIT_S = 900       # reached only where something hangs


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

    def https(self, request: str, *headers: str, cert: str = CERT) -> tuple[int, Any]:
        """Status and body of one answer over TLS, from whom the certificate says that it is."""
        lines = "\r\n".join([f"{request} HTTP/1.1", "Host: host1", *headers, "Connection: close", "", ""])
        self.host.put("/run/request", lines.encode())
        answer = self.host.call(f"openssl s_client -quiet -connect [::1]:9520 -CAfile {cert} "
                                "-verify_return_error -verify_hostname host1 </run/request")
        self.assertEqual(answer.status, 0, answer.err.decode(errors="replace")[-2000:] + self.journal()[-2000:])
        head, _, body = answer.out.decode().partition("\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    def reload(self, says: str) -> None:
        """Have it read its configuration again, until it says so."""
        before = self.journal().count(says)
        self.host.sh("systemctl reload hvsmd")
        self.wait(f"'{says}'", lambda: self.journal().count(says) > before)

    def test_4_https_under_the_unit(self) -> None:
        self.host.sh(MAKE_KEYS)
        self.host.put("/run/http", HTTP.encode())
        # A key that others can read is taken by nobody: the configuration stays as it was.
        self.host.sh(f"cat /run/http >>{CONFIG}; chmod 644 {KEY}")
        self.assertNotEqual(self.host.call("hvsmd --check-config").status, 0)
        self.reload("the configuration stays as it was")
        self.assertNotEqual(self.host.call("openssl s_client -connect [::1]:9520 </dev/null").status, 0)
        self.host.sh(f"chmod 600 {KEY}; hvsmd --check-config")
        self.reload("the configuration was read again")
        shown = self.host.sh(f"systemctl show hvsmd {' '.join(f'-P {name}' for name in HARDENED)}").split()
        self.assertEqual(shown, ["yes"] * len(HARDENED))

        token = f"Authorization: Bearer {self.host.sh(f'cat {TOKEN}').strip()}"
        status, body = self.https("GET /v1/status", token)
        self.assertEqual((status, body["schema"]), (200, "hvsm.status/1"))
        validate(body)
        self.assertEqual([(guest["name"], guest["verdict"]) for guest in body["guests"]], [(NAME, "clean")])
        for headers in ((), (token[:-1],), ("Authorization: Basic eDp4",)):
            status, body = self.https("GET /v1/status", *headers)
            self.assertEqual((status, body["schema"]), (401, "hvsm.error/1"))
        self.assertEqual(self.https("GET /healthz")[0], 200)

        # Who serves cannot read the key: it is root's, and the parent hands over what is in it.
        self.assertEqual(self.host.sh(f"stat -c '%U %a' {KEY}").split(), ["root", "600"])
        user = self.host.sh("for p in /proc/[0-9]*; do test $(cat $p/comm) != hvsmd-control || stat -c %U $p; done").strip()
        self.assertNotEqual(user, "root")
        self.assertNotEqual(self.host.call(f"setpriv --reuid {user} --clear-groups cat {KEY}").status, 0)

        # Another certificate is taken at a reload; who trusts the old one only does not go on.
        self.host.sh(f"cp {CERT} /run/old.crt; {MAKE_KEYS}")
        self.reload("the configuration was read again")
        token = f"Authorization: Bearer {self.host.sh(f'cat {TOKEN}').strip()}"
        self.assertEqual(self.https("GET /v1/status", token)[0], 200)
        self.assertNotEqual(self.host.call("openssl s_client -connect [::1]:9520 -CAfile /run/old.crt "
                                           "-verify_return_error </dev/null").status, 0)

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
        # What an administrator made is not the package's to remove.
        self.host.sh(f"rm {TOKEN} {CERT} {KEY}")
        self.host.sh("apt-get -q -y purge hvsm && ! test -e /etc/hvsm && ! test -e /var/lib/hvsm")


if __name__ == "__main__":
    unittest.main()
