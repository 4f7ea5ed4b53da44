#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A scanner that is given no memory, only copies of what it asks for, sees what one sees that has it."""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import binary, hvsm  # noqa: E402

GETPID = 39


def serve(target: str, *checks: str, status: int = 0) -> Any:
    """What the tool prints."""
    tool = binary().parents[1] / "tests" / "vm" / "serve"
    done = subprocess.run([str(tool), target, *checks], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != status or b"Sanitizer" in done.stderr:
        raise AssertionError(f"status {done.returncode}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout) if done.stdout else None


class ServeTest(unittest.TestCase):
    """One guest, one scan after the other."""

    def test_served_it_is_seen_as_it_is(self) -> None:
        with Guest("6.1-cloud") as guest:
            target = f"qemu:{guest.pid}"
            served = serve(target)
            self.assertGreater(served["requests"], 100)
            report = served["report"]
            self.assertEqual((report["verdict"], report["findings"]), ("clean", []))
            info = json.loads(hvsm("info", target, "--json").out)
            for field in ("release", "build_id", "banner"):
                self.assertEqual(report["kernel"][field], info["kernel"][field])
            guest.insmod("hook_syscall64", nr=GETPID)
            report = serve(target, "syscall-table")["report"]
            self.assertEqual([one["object"]["name"] for one in report["findings"]],
                             [f"sys_call_table[{GETPID}]"])
            guest.rmmod("hook_syscall64")
            self.assertEqual(serve(target, "syscall-table")["report"]["verdict"], "clean")
        self.assertIsNone(serve(target, status=1))


if __name__ == "__main__":
    unittest.main()
