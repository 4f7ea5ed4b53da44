"""What hvsmd has done to a domain, with the rights of its unit."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path
from typing import Callable

from domains import BY_AGENT, LIMIT_S, XenTest
from xenlab import Domain, box

from lab.product import binary

REACTIONS = "mode = enforce\nreaction dump { kind = dump\n directory = /share/dumps\n timeout_s = 600 }\n" + "".join(
    f"reaction {kind} {{ kind = {kind} }}\n" for kind in ("pause", "unlink", "shutdown", "poweroff"))
OTHER_UUID = "80594000-334a-47f6-9927-1e04f54aefea"


class Reactions(XenTest):

    def react(self, victim: Domain, kind: str, uuid: str | None = None) -> tuple[int, str]:
        """As hvsmd has it done, with its unit's rights; its status, and what was audited last."""
        answer = self.host.call(f"/tmp/unit /build/tests/vm/react /tmp/react.conf xen:{victim.id} {uuid or victim.uuid} {kind}")
        return answer.status, answer.out.decode().splitlines()[-1]

    def test_reactions_at_a_domain(self) -> None:
        with Domain(self.host, self.kind, "treated", network=True) as victim:
            self.treat(victim, self.at_another, self.pause, self.unlink, self.dump, self.dump_is_killed, self.poweroff)

    def treat(self, victim: Domain, *steps: Callable[[Domain], None]) -> None:
        self.host.sh(f"mkdir -p -m 700 /share/dumps; printf '%s' {shlex.quote(REACTIONS)} >/tmp/react.conf; "
                     f"chmod 600 /tmp/react.conf; printf '%s' {shlex.quote(box())} >/tmp/unit; chmod 755 /tmp/unit")
        self.addCleanup(self.host.call, "rm -rf /share/dumps")
        for step in steps:
            with self.subTest(step.__name__):
                step(victim)

    def at_another(self, victim: Domain) -> None:
        """Its number is not enough; and what there is not fails."""
        status, said = self.react(victim, "poweroff", OTHER_UUID)
        self.assertEqual((status, said), (1, f"failed poweroff exit status 1: domain {victim.id} is another one now"))
        self.assertTrue(self.runs(victim))
        self.assertEqual(self.react(victim, "unlink", None)[0], 0)
        self.host.sh(f"ip link set vif{victim.id}.0 up")

    def pause(self, victim: Domain) -> None:
        self.assertEqual(self.react(victim, "pause"), (0, "done pause "))
        self.assertFalse(self.runs(victim))
        self.host.sh(f"xl unpause {victim.name}")
        self.assertTrue(self.runs(victim))

    def unlink(self, victim: Domain) -> None:
        self.assertTrue(self.reaches(victim))
        self.assertEqual(self.react(victim, "unlink"), (0, "done unlink 1 network interface"))
        self.assertFalse(self.reaches(victim))
        self.host.sh(f"ip link set vif{victim.id}.0 up; ip addr add 10.9.9.1/24 dev vif{victim.id}.0; true")
        self.assertTrue(self.reaches(victim))

    def dump(self, victim: Domain) -> None:
        status, said = self.react(victim, "dump")
        self.assertEqual(status, 0, said)
        self.assertTrue(self.runs(victim))
        core = self.host.shared / "dumps" / Path(said.split()[-1]).name
        done = subprocess.run([binary(), "scan", "--store", self.host.shared / "store", "--json", f"image:{core}"],
                              capture_output=True, check=False)
        report = json.loads(done.stdout)
        self.assertEqual(report["findings"], [])
        self.assertEqual(report["assurance"], "reference")
        # Nothing is recorded of the boot of an image.
        self.assertEqual({check["id"] for check in report["checks"] if check["result"] != "clean"},
                         BY_AGENT | {"ro-after-init"})
        core.unlink()

    def dump_is_killed(self, victim: Domain) -> None:
        """Whoever paused it is gone, and it goes on all the same."""
        self.host.sh(
            f"/tmp/unit /build/tests/vm/react /tmp/react.conf xen:{victim.id} {victim.uuid} dump & p=$!; "
            f"until xl list {victim.name} | grep -q -- --p; do sleep 0.05; done; "
            "kill -9 $(cat /proc/$p/task/$p/children) $p; wait $p; true")
        end = time.monotonic() + LIMIT_S
        while not self.runs(victim) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertTrue(self.runs(victim))
        self.assertEqual(self.host.sh("ls /share/dumps/*.core 2>/dev/null; true"), "")

    def poweroff(self, victim: Domain) -> None:
        self.assertEqual(self.react(victim, "poweroff"), (0, "done poweroff "))
        self.ended(victim.id)
