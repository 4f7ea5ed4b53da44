# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts where, and `make uninstall` leaves."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("HVSM_BUILD", TOP / "build"))

# Below the prefix, and beside it.
WANTED = (
    "bin/hvsm", "sbin/hvsmd", "sbin/hvsm-agent", "lib/systemd/system/hvsmd.service",
    "lib/systemd/system/hvsm-agent.service", "lib/sysusers.d/hvsm.conf", "lib/tmpfiles.d/hvsm.conf",
    "share/man/man1/hvsm.1", "share/man/man5/hvsmd.conf.5", "share/man/man8/hvsmd.8",
    "share/man/man8/hvsm-agent.8", "share/bash-completion/completions/hvsm", "share/doc/hvsm/README.md",
)
CONFIG = Path("etc/hvsm/hvsmd.conf")
AGENTS = Path("usr/lib/hvsm/agents")


class Install(unittest.TestCase):
    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory(prefix="hvsm-install-")
        self.addCleanup(held.cleanup)
        self.root = Path(held.name)

    def run_there(self, *argv: str) -> None:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              env={**os.environ, "DESTDIR": str(self.root)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def install(self) -> None:
        self.run_there("meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet")

    def files(self) -> set[Path]:
        return {path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file()}

    def test_all_of_it_and_back(self) -> None:
        self.install()
        (prefix,) = {path.parents[1] for path in self.files() if path.match("bin/hvsm")}
        files = self.files()
        self.assertEqual({prefix / name for name in WANTED} - files, set())
        schemas = {path.name for path in (TOP / "docs").glob("*.schema.json")}
        self.assertEqual({path.name for path in files if path.match("share/hvsm/*.schema.json")}, schemas)
        (agent,) = [path for path in files if path.is_relative_to(AGENTS)]
        self.assertEqual((self.root / agent).read_bytes(), (self.root / prefix / "sbin/hvsm-agent").read_bytes())
        config = self.root / CONFIG
        self.assertEqual(config.read_bytes(), (TOP / "src/monitor/hvsmd.conf").read_bytes())
        config.write_text("mode = observe\n")
        self.install()
        self.assertEqual(config.read_text(), "mode = observe\n")
        self.run_there("ninja", "-C", str(BUILD), "uninstall")
        self.assertEqual(self.files(), {CONFIG})


if __name__ == "__main__":
    unittest.main()
