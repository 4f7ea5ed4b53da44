# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: what apt makes of them in a fresh system, and leaves when they go."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from root import Root, packages  # noqa: E402

# What root alone may write, and what each is.
INSTALLED = {
    "/usr/bin/hvsm": 0o755, "/usr/sbin/hvsmd": 0o755, "/usr/sbin/hvsm-agent": 0o755,
    "/etc/hvsm/hvsmd.conf": 0o644,
    "/lib/systemd/system/hvsmd.service": 0o644, "/lib/systemd/system/hvsm-agent.service": 0o644,
    "/usr/lib/sysusers.d/hvsm.conf": 0o644, "/usr/lib/tmpfiles.d/hvsm.conf": 0o644,
    "/usr/share/man/man1/hvsm.1.gz": 0o644, "/usr/share/man/man5/hvsmd.conf.5.gz": 0o644,
    "/usr/share/man/man8/hvsmd.8.gz": 0o644, "/usr/share/man/man8/hvsm-agent.8.gz": 0o644,
    "/usr/share/bash-completion/completions/hvsm": 0o644,
    "/usr/share/doc/hvsm/README.md": 0o644, "/usr/share/doc/hvsm/docs/checks.md": 0o644,
    "/usr/share/hvsm/hvsm.report.1.schema.json": 0o644, "/usr/share/hvsm/hvsm.event.1.schema.json": 0o644,
    "/usr/share/hvsm/hvsm.views.1.schema.json": 0o644, "/usr/share/hvsm/hvsm.daemon.1.schema.json": 0o644,
    "/usr/share/hvsm/openapi.json": 0o644,
}
CONFIG = "/etc/hvsm/hvsmd.conf"
# What is loaded at run time has come with it: each section needs a library that is not linked.
LOADED = """
reaction "hook" {
	kind = webhook
	url = "https://hvsm.example/"
}
http {
	listen = "unix:/run/hvsm/http.sock"
}
"""
EDITED = "\nguest_cpu_percent = 7\n"
REPORT = "/var/lib/hvsm/reports/one"


def newer(deb: Path, folder: Path, config: str) -> Path:
    """The package as its next version would be: another agent, another default configuration."""
    tree = folder / deb.stem
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0-1", control.read_text(), flags=re.MULTILINE))
    for agent in tree.glob("usr/lib/hvsm/agents/*"):
        agent.rename(agent.with_name("hvsm-agent-99.0")).write_bytes(b"another")
    default = tree / CONFIG.lstrip("/")
    if default.exists():
        default.write_text(default.read_text() + config)
    made = folder / f"{deb.name.split('_')[0]}_99{len(config)}.deb"
    subprocess.run(["dpkg-deb", "-b", "--root-owner-group", tree, made], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made


class PackageTest(unittest.TestCase):
    """One system, from the first to the last; the methods run in order of their names."""

    root: Root
    before: set[str]        # all that was there with the dependencies alone

    @classmethod
    def setUpClass(cls) -> None:
        cls.root = cls.enterClassContext(Root())
        cls.files = [cls.root.take(deb) for deb in packages()]
        said = cls.root.sh(f"apt-get -s install {' '.join(cls.files)}")
        needed = [name for name in re.findall(r"^Inst (\S+)", said, re.MULTILINE) if "hvsm" not in name]
        cls.root.apt("install", *needed)
        cls.before = cls.root.paths()

    def own(self) -> set[str]:
        """What is there because of the packages."""
        return self.root.paths() - self.before

    def test_1_it_is_installed(self) -> None:
        said = self.root.apt("install", *self.files)
        self.assertNotRegex(said, r"(?i)warning|error|fail")
        for name, mode in INSTALLED.items():
            stat = (self.root.dir / name.lstrip("/")).stat()
            self.assertEqual((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777), (0, 0, mode), name)

    def test_2_programs_run(self) -> None:
        version = self.root.sh("hvsm --version").split()[-1]
        self.assertIn(f"_{version}-", Path(self.files[0]).name)
        self.assertIn("syscall-table", self.root.sh("hvsm checks"))
        self.assertIn("mode observe", self.root.sh("hvsmd --check-config"))
        (self.root.dir / "root/in/conf").write_text(LOADED)
        self.root.sh("hvsmd --check-config /root/in/conf")
        self.root.sh("cmp /usr/sbin/hvsm-agent /usr/lib/hvsm/agents/hvsm-agent-" + version)
        self.assertIn(version, self.root.sh("hvsm-agent version"))

    def test_3_the_system_knows_them(self) -> None:
        self.assertRegex(self.root.sh("getent passwd hvsm"), r"^hvsm:x:\d{3}:\d+:.*:/var/lib/hvsm:/usr/sbin/nologin$")
        self.assertEqual(self.root.sh("stat -c '%U %G %a' /var/lib/hvsm").strip(), "root root 755")
        for unit in ("hvsmd.service", "hvsm-agent.service"):
            done = self.root.call("systemd-analyze", "verify", "--man=no", unit)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), unit)
            self.assertEqual(self.root.sh(f"systemctl is-enabled {unit}").strip(), "enabled")
        self.assertEqual(self.root.sh("cd / && dpkg --verify hvsm hvsm-agent"), "")

    def test_4_an_upgrade_keeps_what_was_edited(self) -> None:
        config = self.root.dir / CONFIG.lstrip("/")
        edited = config.read_text() + EDITED
        config.write_text(edited)
        self.root.sh(f"mkdir -p {Path(REPORT).parent}; echo signed >{REPORT}")
        agents = self.root.dir / "usr/lib/hvsm/agents"
        (agent,) = [path.read_bytes() for path in agents.iterdir()]
        for default, options in (("", ""), ("#another = default\n", "-o Dpkg::Options::=--force-confdef "
                                            "-o Dpkg::Options::=--force-confold")):
            with tempfile.TemporaryDirectory() as temp:
                debs = [self.root.take(newer(deb, Path(temp), default)) for deb in packages()]
            self.root.apt("install", "--reinstall", options, *debs)
            self.assertEqual(config.read_text(), edited)
        self.assertTrue(config.with_name("hvsmd.conf.dpkg-dist").exists())
        self.assertEqual(self.root.sh(f"cat {REPORT}"), "signed\n")
        self.root.sh("hvsmd --check-config")
        # Guests run the old agent until they are upgraded, too.
        kept = {path.name: path.read_bytes() for path in agents.iterdir()}
        self.assertEqual(kept.pop("hvsm-agent-99.0"), b"another")
        self.assertIn(agent, kept.values())

    def test_5_removed_it_leaves_its_configuration_and_state(self) -> None:
        said = self.root.apt("remove", "hvsm", "hvsm-agent")
        self.assertNotIn("not empty", said)
        # That a unit was enabled is configuration, too.
        left = {path for path in self.own() if not re.search("/deb-systemd-helper|target.wants", path)}
        self.assertEqual(left, {"/etc/hvsm", CONFIG, f"{CONFIG}.dpkg-dist", "/var/lib/hvsm",
                                "/var/lib/hvsm/reports", REPORT})

    def test_6_purged_it_leaves_nothing_but_its_user(self) -> None:
        self.root.apt("purge", "hvsm", "hvsm-agent")
        self.assertEqual(self.own(), set())
        self.assertEqual(self.before - self.root.paths(), set())
        self.assertIn("/usr/sbin/nologin", self.root.sh("getent passwd hvsm"))


class LintianTest(unittest.TestCase):
    def test_nothing_to_complain_of(self) -> None:
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *packages()],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


if __name__ == "__main__":
    unittest.main()
