#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What users may do to the agent with files of their own: what is root's is measured nevertheless."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import agent  # noqa: E402
from lab.guest import Guest  # noqa: E402

KERNEL = "new-cloud"
WAIT_S = 120            # a guard against an agent that hangs, no measure of anything
LARGE_FILES = 8         # of 200 MiB each: a minute of its work and more


class UsersTest(agent.Calm):
    """One kernel: nothing in it depends on which (tests/unit/agent_measure.c has the other bounds)."""

    def status(self, guest: Guest) -> dict[str, Any]:
        return json.loads(guest.sh(f"{agent.PROGRAM} status --json"))

    def wait(self, what: str, ready: Callable[[], Any]) -> None:
        end = time.monotonic() + WAIT_S
        while not ready():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.2)

    def root_is_measured(self, guest: Guest) -> None:
        """A program that nobody has seen before, of root's."""
        program = guest.fetch("/bin/busybox") + b"of root's"
        guest.put("/tmp/true", program, 0o755)
        guest.sh("/tmp/true")
        digest = hashlib.sha256(program).hexdigest()
        self.wait("a record of what is root's", lambda: not guest.call(
            f"{agent.PROGRAM} log --json | grep -q {digest}").status)

    def test_large_files_keep_only_others_of_users_waiting(self) -> None:
        with Guest(KERNEL) as guest, tempfile.TemporaryDirectory() as store:
            agent.install(guest)
            guest.sh(f"mkdir /tmp/u; for i in $(seq {LARGE_FILES}); do cp /bin/busybox /tmp/u/$i; "
                     "dd if=/dev/null of=/tmp/u/$i bs=1M seek=200 2>/dev/null; chown 1000 /tmp/u/$i; done")
            agent.start(guest)
            agent.wait_trusted(guest, "--store", store)
            guest.sh(f"for i in $(seq {LARGE_FILES}); do /tmp/u/$i 2>/dev/null; done; true")
            self.root_is_measured(guest)
            # That was not because there was nothing else to do.
            done = int(guest.sh(f"{agent.PROGRAM} log --json | grep -c /tmp/u/; true"))
            self.assertLess(done, LARGE_FILES)
            self.assertEqual(self.status(guest)["lost"], 0)
            self.sweep(guest, "--store", store)


if __name__ == "__main__":
    import unittest
    unittest.main(verbosity=2)
