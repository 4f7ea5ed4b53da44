#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""False alarms with the agent: as many execs as a guest can do are no finding, and it is trusted all the time."""

from __future__ import annotations

import re
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import agent  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.product import Outcome, findings  # noqa: E402
from lab.technique import CLOUD  # noqa: E402

STORM_S = 15    # of execs; the sweeps of it go on meanwhile


class AgentStormTest(unittest.TestCase):
    """One method per kernel, made below."""

    def sweep(self, guest: Guest, *options: object) -> Outcome:
        """A whole scan: what is in flight may leave a doubt, never a finding or doubt about the agent."""
        outcome = agent.scan_with_agent(guest, *options)
        self.assertIn(outcome.status, (0, 3), outcome.out[:6000] + outcome.err)
        self.assertEqual(findings(outcome.json), [], outcome.out[:6000])
        # Stalled: part of the proof could not be seen in this sweep, which quiet() does not take.
        self.assertIn(outcome.json["agent"]["state"], ("trusted", "stalled"), outcome.out[:6000])
        return outcome

    def quiet(self, guest: Guest, *options: object) -> None:
        for _ in range(5):
            outcome = self.sweep(guest, *options)
            if outcome.status == 0 and outcome.json["agent"]["state"] == "trusted":
                return
        self.fail(outcome.out[:6000])

    def storm(self, guest: Guest, *options: object) -> None:
        agent.install(guest)
        agent.start(guest)
        agent.wait_trusted(guest, *options)
        guest.sh(f"(meddle storm {STORM_S} /sbin/meddle >/tmp/storm; touch /tmp/storm.end) </dev/null >/dev/null 2>&1 &")
        sweeps = 0
        while guest.call("test -e /tmp/storm.end").status:
            self.sweep(guest, *options)
            sweeps += 1
        execs = int(guest.sh("cat /tmp/storm"))
        print(f"{guest.kernel.name}: {execs / STORM_S:.0f} execs a second, {sweeps} sweeps", file=sys.stderr)
        self.assertGreater(sweeps, 0)
        self.assertGreater(execs, STORM_S)
        self.quiet(guest, *options)


def case(kernel: str, question: Callable[..., None], **shape: Any) -> Callable[[AgentStormTest], None]:
    def run(self: AgentStormTest) -> None:
        with Guest(kernel, **shape) as guest, tempfile.TemporaryDirectory() as store:
            question(self, guest, "--store", store)
    return run


for name in CLOUD:
    setattr(AgentStormTest, "test_" + re.sub(r"\W", "_", name), case(name, AgentStormTest.storm, memory="256M"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
