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
from lab.technique import CLOUD  # noqa: E402

STORM_S = 15    # of execs; the sweeps of it go on meanwhile


class AgentStormTest(agent.Calm):
    """One method per kernel, made below."""

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
