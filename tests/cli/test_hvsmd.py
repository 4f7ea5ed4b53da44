# SPDX-License-Identifier: Apache-2.0
"""hvsmd as who administrates a host meets it: usage, and what it says of a configuration file."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from test_cli import HVSM, LIMIT_S

HVSMD = str(Path(HVSM).with_name("hvsmd"))

GOOD = """mode = enforce
reaction "log" {
	kind = log
}
reaction "call" {
	kind = run
	program = /bin/true
}
guest "web-*" {
	reactions = { log, call }
	allow {
		check = module-code
		object = 'vendor_*'
		reason = "the vendor's"
		expires = never
	}
}
"""


def hvsmd(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HVSMD, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="strict", timeout=LIMIT_S, check=False)


class CheckConfig(unittest.TestCase):
    """--check-config [FILE]"""

    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory(prefix="hvsm-config-")
        self.addCleanup(held.cleanup)
        self.path = Path(held.name) / "hvsmd.conf"

    def check(self, text: str) -> subprocess.CompletedProcess[str]:
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o600)
        return hvsmd("--check-config", str(self.path))

    def test_a_good_file_is_summed_up(self) -> None:
        # No link may be on the way to a program, and /bin is one on some systems.
        done = self.check(GOOD.replace("/bin/true", os.path.realpath("/bin/true")))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"{self.path}: mode enforce, 1 sections of guests, 2 reactions", done.stdout)
        self.assertIn("guest web-*: 1 allow rules, reactions: log, call", done.stdout)

    def test_what_is_wrong_is_named_with_its_line(self) -> None:
        for text, line, what in (("mode = observe\nnonsense = 1\n", 2, "nonsense"),
                                 ("\n\nmode = maybe\n", 3, "maybe"),
                                 ('guest "*" {\n\tskip = { no-such-check }\n}\n', 2, "no-such-check"),
                                 ('guest "*" {\n\treactions = { gone }\n}\n', 2, "gone")):
            done = self.check(text)
            self.assertEqual((done.returncode, done.stdout), (2, ""), text)
            self.assertIn(f"{self.path}:{line}: ", done.stderr)
            self.assertIn(what, done.stderr)

    def test_a_reaction_that_cannot_be_carried_out_is_wrong(self) -> None:
        done = self.check(GOOD.replace("/bin/true", "/nonexistent/true"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("reaction 'call'", done.stderr)
        self.assertIn("NOT USABLE", done.stdout)

    def test_a_file_that_others_may_write_is_refused(self) -> None:
        self.path.write_text(GOOD, encoding="utf-8")
        self.path.chmod(0o666)
        done = hvsmd("--config", str(self.path), "--check-config")
        self.assertEqual(done.returncode, 2)
        self.assertIn("others", done.stderr)

    def test_a_file_that_was_named_must_be_there(self) -> None:
        done = hvsmd("--check-config", str(self.path))
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn(str(self.path), done.stderr)

    def test_usage(self) -> None:
        self.assertEqual(hvsmd("--nonsense").returncode, 2)
        self.assertEqual(hvsmd("--check-config", "one", "two").returncode, 2)
        self.assertIn("--check-config", hvsmd("--help").stdout)


if __name__ == "__main__":
    unittest.main()
