#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What legitimately runs with the measure agent in a guest is verified page by page, and found clean."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import agent  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.product import findings, scan  # noqa: E402
from lab.technique import CALM, CLOUD  # noqa: E402

MARK = b"\xb8msve"      # of guest/meddle.c: an instruction that it runs again and again
TRACING = "/sys/kernel/tracing"
ONLY = ("--only", "process-code")
JOINED = ("--only", "process-code,process-digest,agent-view")


class ProcessCodeTest(unittest.TestCase):
    def test_code_that_runs_is_what_was_measured(self) -> None:
        for kernel in CLOUD:
            with self.subTest(kernel), Guest(kernel) as guest:
                agent.install(guest)
                agent.start(guest)
                guest.sh("workload")
                agent.wait_trusted(guest)
                self.check_clean(guest)
                self.check_uprobe(guest)
                self.check_breakpoint(guest)
                self.check_image(guest)

    def covered(self, report: Any) -> dict[str, int]:
        return next(c["covered"] for c in report["checks"] if c["id"] == "process-code")

    def clean(self, guest: Guest) -> dict[str, int]:
        """A scan without a finding, and what it covered: all of it as it was measured."""
        for _ in range(CALM):
            outcome = agent.scan_with_agent(guest, *ONLY)
            if outcome.status != 3:
                break
        self.assertEqual(outcome.status, 0, outcome.out + outcome.err)
        covered = self.covered(outcome.json)
        self.assertEqual(covered["as they were measured"], covered["pages of code in memory"])
        return covered

    def check_clean(self, guest: Guest) -> None:
        covered = self.clean(guest)
        self.assertGreater(covered["processes"], 10)
        self.assertGreater(covered["pages of code in memory"], 1000)
        self.assertEqual(covered["pages with breakpoints of uprobes"], 0)

    def check_uprobe(self, guest: Guest) -> None:
        """The kernel's own breakpoint in a program is none of anybody else's."""
        offset = guest.fetch("/sbin/meddle").index(MARK)
        guest.sh(f"mount -t tracefs none {TRACING} 2>/dev/null; cd {TRACING} && "
                 f"echo p:mark /sbin/meddle:{offset:#x} >uprobe_events && "
                 "echo 1 >events/uprobes/mark/enable")
        pid = guest.sh("meddle start").strip()
        guest.sh(f"for i in $(seq 100); do sleep 0.1; set -- $(cat {TRACING}/uprobe_profile); "
                 "[ ${3:-0} -eq 0 ] || exit 0; done; exit 1")
        self.assertEqual(self.clean(guest)["pages with breakpoints of uprobes"], 1)
        guest.sh(f"cd {TRACING} && echo 0 >events/uprobes/mark/enable && echo >uprobe_events; "
                 f"kill -9 {pid}; while [ -e /proc/{pid} ]; do sleep 0.02; done")
        self.assertEqual(self.clean(guest)["pages with breakpoints of uprobes"], 0)

    def check_breakpoint(self, guest: Guest) -> None:
        """The same byte without the kernel's knowledge is a finding, with what stood there."""
        pid = guest.sh("meddle start; sleep 0.2").strip()
        guest.sh(f"meddle poke {pid}")
        outcome = agent.scan_with_agent(guest, *ONLY)
        self.assertEqual(outcome.status, 1, outcome.out + outcome.err)
        found = findings(outcome.json, "process-code")
        self.assertEqual([f["object"]["name"] for f in found], [f"{pid} modified code"])
        first = [e for e in found[0]["evidence"] if e["what"] == "first of 1 bytes that differ"]
        self.assertEqual(len(first), 1, outcome.out)
        self.assertTrue(first[0]["expected"].startswith(MARK.hex()), first)
        self.assertIn("mov eax", first[0]["found"])
        guest.sh(f"kill -9 {pid}; while [ -e /proc/{pid} ]; do sleep 0.02; done")
        self.clean(guest)

    def check_image(self, guest: Guest) -> None:
        """An image of the guest says the same as the guest."""
        with tempfile.TemporaryDirectory() as directory:
            image = Path(directory) / "image"
            guest.dump(image)
            outcome = scan(f"image:{image}", "--agent", agent.built(), *ONLY)
        self.assertEqual(outcome.status, 0, outcome.out + outcome.err)
        covered = self.covered(outcome.json)
        self.assertGreater(covered["as they were measured"], 1000)

    def test_what_could_not_be_measured_is_never_clean(self) -> None:
        with Guest(CLOUD[3]) as guest, tempfile.TemporaryDirectory() as store:
            agent.install(guest)
            agent.start(guest)
            agent.wait_trusted(guest, "--store", store)
            self.check_huge(guest, "--store", store)
            self.check_touched(guest, "--store", store)

    def result(self, guest: Guest, pid: int, *options: object) -> str:
        """A look that is not clean; what it says of the process."""
        outcome = agent.scan_with_agent(guest, *JOINED, *options)
        self.assertIn(outcome.status, (1, 3), outcome.out)
        return next(p["result"] for p in outcome.json["processes"] if p["pid"] == pid)

    def check_huge(self, guest: Guest, *options: object) -> None:
        """A program with a hole of 5 GiB at its end, which nobody reads."""
        pid = int(guest.sh("cp /sbin/meddle /tmp/huge; truncate -s 5G /tmp/huge; /tmp/huge start"))
        agent.wait_views(guest, 2)
        self.assertEqual(self.result(guest, pid, *options), "unmeasured")
        guest.sh(f"kill -9 {pid}; while [ -e /proc/{pid} ]; do sleep 0.02; done; rm /tmp/huge")

    def check_touched(self, guest: Guest, *options: object) -> None:
        """Code that is changed, of a file whose times somebody changes all the time."""
        pid = int(guest.sh("cp /sbin/meddle /tmp/tool; /tmp/tool start"))
        agent.wait_views(guest, 2)
        loop = guest.sh(f"meddle poke {pid}; (while :; do touch /tmp/tool; done) </dev/null >/dev/null 2>&1 & echo $!").strip()
        self.assertIn(self.result(guest, pid, *options), ("unmeasured", "modified-in-memory"))
        guest.sh(f"kill -9 {loop}; kill -9 {pid}; while [ -e /proc/{pid} ]; do sleep 0.02; done; rm /tmp/tool")

    def test_without_an_agent_it_is_not_covered(self) -> None:
        with Guest("6.1-cloud") as guest:
            outcome = agent.scan_with_agent(guest, *ONLY)
            check = next(c for c in outcome.json["checks"] if c["id"] == "process-code")
            self.assertEqual(check["result"], "not-covered", outcome.out)
            self.assertEqual(check["covered"], {})


if __name__ == "__main__":
    unittest.main()
