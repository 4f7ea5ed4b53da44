#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that are known: what runs in a guest with an agent, and who vouches for it."""

from __future__ import annotations

import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import agent  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.image import GUEST_DIR, busybox, programs  # noqa: E402
from lab.product import findings, hvsm  # noqa: E402
from lab.technique import CLOUD  # noqa: E402

CHECKS = "agent-presence,process-code,process-digest,process-replaced"
LOOKS_S = 60        # a guard against an agent that hangs, no measure of anything


class Known(unittest.TestCase):
    """A guest all of whose programs are trusted, and then others in it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="hvsm-trust-")
        self.addCleanup(folder.cleanup)
        self.store = f"{folder.name}/store"
        self.golden = Path(folder.name)

    def trust(self, *paths: object) -> None:
        done = hvsm("trust", "add", *paths, "--store", self.store)
        self.assertEqual(done.status, 0, done.err)

    def look(self, guest: Guest) -> Any:
        return agent.scan_with_agent(guest, "--store", self.store, "--only", CHECKS)

    def until(self, guest: Guest, *names: str) -> Any:
        """Scan until these files are found, and no others: the agent measures what it is told of."""
        end = time.monotonic() + LOOKS_S
        while True:
            outcome = self.look(guest)
            found = sorted(f["object"]["name"] for f in findings(outcome.json))
            if found == sorted(names) or time.monotonic() > end:
                self.assertEqual(found, sorted(names), outcome.out)
                return outcome.json
            time.sleep(0.3)

    def results(self, report: Any) -> dict[str, set[str]]:
        """What the processes came to, by the names of their programs."""
        self.assertIsNotNone(report["processes"])
        results: dict[str, set[str]] = {}
        for process in report["processes"]:
            results.setdefault(process["path"], set()).add(process["result"])
        return results

    def run_on(self, kernel: str) -> None:
        with Guest(kernel) as guest:
            agent.install(guest)
            agent.start(guest)
            agent.wait_trusted(guest, "--store", self.store)
            states = {c["id"]: c["result"] for c in self.look(guest).json["checks"]}
            self.assertEqual(states["process-digest"], "not-covered")
            self.assertEqual(states["process-replaced"], "not-covered")

            self.trust(busybox(), GUEST_DIR / "init", *programs().values(), guest.kernel.modules)
            report = self.until(guest)
            self.assertEqual({c["id"]: c["result"] for c in report["checks"]},
                             dict.fromkeys(CHECKS.split(","), "clean"))
            self.assertEqual(set().union(*self.results(report).values()), {"known"})
            for process in report["processes"]:
                self.assertTrue(process["package"], process)
                self.assertEqual(process["pages"]["resident"], process["pages"]["verified"])

            self.unknown_program(guest)
            self.unknown_script(guest)
            self.replaced(guest)

    def unknown_program(self, guest: Guest) -> None:
        guest.sh("cp /bin/busybox /tmp/sleep; echo >>/tmp/sleep; "
                 "/tmp/sleep 1000 </dev/null >/dev/null 2>&1 &")
        report = self.until(guest, "/tmp/sleep")
        self.assertEqual(self.results(report)["/tmp/sleep"], {"unknown"})
        self.assertEqual(findings(report)[0]["severity"], "medium")
        self.assertIn("sleep", str(findings(report)[0]["evidence"]))
        # Who is asked vouches for it: then it is known, and remains so when it has ended.
        (self.golden / "ours").write_bytes(guest.fetch("/tmp/sleep"))
        self.trust(self.golden / "ours")
        self.assertEqual(self.results(self.until(guest))["/tmp/sleep"], {"known"})

    def replaced(self, guest: Guest) -> None:
        """By a known program, which is what an upgrade does, and by another."""
        guest.sh("cp /bin/busybox /tmp/new; mv /tmp/new /tmp/sleep")
        report = self.until(guest)
        self.assertIn("modified-on-disk", set().union(*self.results(report).values()))
        guest.sh("echo else >/tmp/new; chmod 755 /tmp/new; mv /tmp/new /tmp/sleep")
        report = self.until(guest, "/tmp/sleep")
        self.assertEqual(findings(report)[0]["check"], "process-replaced")
        self.assertEqual(findings(report)[0]["severity"], "low")
        guest.sh("kill $(pidof sleep)")
        self.until(guest)

    def unknown_script(self, guest: Guest) -> None:
        guest.sh("printf '#!/bin/sh\\nread x </tmp/pipe\\n' >/tmp/script; chmod 755 /tmp/script; "
                 "mkfifo /tmp/pipe; /tmp/script </dev/null >/dev/null 2>&1 &")
        report = self.until(guest, "/tmp/script")
        self.assertIn("script", findings(report)[0]["title"])
        self.assertEqual([p["result"] for p in report["processes"] if p["comm"] == "script"],
                         ["unknown"])
        (self.golden / "script").write_bytes(guest.fetch("/tmp/script"))
        self.trust(self.golden / "script")
        guest.sh("echo >/tmp/pipe")
        self.until(guest)


def _on(kernel: str) -> Any:
    return lambda self: self.run_on(kernel)


for _kernel in CLOUD:
    setattr(Known, f"test_{_kernel.replace('.', '_').replace('-', '_')}", _on(_kernel))


if __name__ == "__main__":
    unittest.main()
