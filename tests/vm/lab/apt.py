"""A private apt for each Debian suite: the host's packages, sources and lists stay untouched.

The mirror and its proxy come from the host's own apt configuration, so the lab works wherever
the host itself can install packages.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from . import LabError
from .cache import cache_dir, lock, progress, run


def host_config() -> str:
    """How the host reaches its mirror (Acquire::*, proxies included), as apt.conf text."""
    dump = run("apt-config", "dump", what="the host's apt configuration")
    wanted = (line for line in dump.splitlines() if line.startswith("Acquire")
              and not line.startswith("Acquire::IndexTargets"))
    return "\n".join(wanted) + "\n"


def mirrors() -> dict[str, str]:
    """The host's archives: {"main": URI, "security": URI}; the latter may be missing."""
    empty = cache_dir("apt", "no-lists")
    (empty / "partial").mkdir(exist_ok=True)
    # Without lists apt must say where it would begin, which works before any update.
    text = run("apt-get", "update", "--print-uris", "-o", f"Dir::State::lists={empty}",
               what="the host's apt sources")
    host = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    found: dict[str, str] = {}
    for uri, suite in re.findall(r"'([^']+)/dists/([^']+)/InRelease'", text):
        if suite in (host, "stable", "oldstable", "testing", "unstable", "sid"):
            found.setdefault("main", uri)
        elif suite.endswith("-security"):
            found.setdefault("security", uri)
    if os.environ.get("HVSM_MIRROR"):
        found["main"] = os.environ["HVSM_MIRROR"]
    if "main" not in found:
        raise LabError("the host's apt sources name no Debian archive; set HVSM_MIRROR to the URI of one")
    return found


class Apt:
    """apt for one suite, with its own sources, lists and status."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.root = cache_dir("apt", suite)
        self.conf = self.root / "apt.conf"
        self.sources = self.root / "sources.list"

    def source_lines(self) -> list[str]:
        """The suite and what Debian adds to it after its release, in order of need."""
        where = mirrors()
        lines = [f"deb {where['main']} {self.suite} main"]
        if self.suite != "sid":
            lines.append(f"deb {where['main']} {self.suite}-updates main")
            if "security" in where:
                lines.append(f"deb {where['security']} {self.suite}-security main")
        return lines

    def _env(self) -> dict[str, str]:
        return {**os.environ, "APT_CONFIG": str(self.conf), "LC_ALL": "C"}

    def _write_conf(self) -> None:
        for name in ("lists/partial", "archives/partial", "empty.d"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        self.conf.write_text(
            host_config() +
            f'Dir::Etc::main "/dev/null";\n'
            f'Dir::Etc::parts "{self.root}/empty.d";\n'
            f'Dir::Etc::sourcelist "{self.sources}";\n'
            f'Dir::Etc::sourceparts "{self.root}/empty.d";\n'
            f'Dir::State "{self.root}";\n'
            f'Dir::State::lists "{self.root}/lists";\n'
            f'Dir::State::status "{self.root}/status";\n'
            f'Dir::Cache "{self.root}";\n'
            f'Dir::Cache::archives "{self.root}/archives";\n'
            'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
            'APT::Architecture "amd64";\nAPT::Architectures { "amd64"; };\n'
            # sid's Release file may be older than it says it is good for.
            'Acquire::Check-Valid-Until "false";\n'
            'Acquire::Languages "none";\n'
            'Acquire::Retries "3";\n'
            # The cache belongs to whoever runs the lab, which _apt cannot write.
            'APT::Sandbox::User "root";\n')

    def update(self) -> None:
        """Fetch the suite's lists. Archived suites lose their additions, so do without them then."""
        with lock(f"apt-{self.suite}"):
            progress(f"{self.suite}: reading the package lists")
            self._write_conf()
            lines = self.source_lines()
            while True:
                self.sources.write_text("\n".join(lines) + "\n")
                try:
                    run("apt-get", "-q", "--error-on=any", "update", env=self._env(),
                        what=f"package lists of {self.suite}")
                    return
                except LabError:
                    if len(lines) == 1:
                        raise
                    lines.pop()

    def depends(self, package: str) -> list[str]:
        """What the newest PACKAGE depends on, first alternatives only."""
        text = run("apt-cache", "show", "--no-all-versions", package, env=self._env(),
                   what=f"{package} in {self.suite}")
        field = re.search(r"^Depends: (.*)$", text, re.M)
        if not field:
            return []
        return [re.split(r"[\s(|]", item.strip())[0] for item in field[1].split(",")]

    def closure(self, package: str, pattern: str) -> list[str]:
        """PACKAGE and everything below it whose name matches PATTERN, in the order found."""
        found, todo = [], [package]
        while todo:
            name = todo.pop(0)
            found.append(name)
            todo += [dep for dep in self.depends(name)
                     if re.match(pattern, dep) and dep not in found + todo]
        return found

    def download(self, package: str) -> Path:
        """The newest PACKAGE as a file; fetched unless it lies there already."""
        debs = cache_dir("debs")
        uri = run("apt-get", "download", "--print-uris", package, env=self._env(),
                  what=f"{package} in {self.suite}").split()
        file = debs / uri[1]
        if not file.exists():
            progress(f"{self.suite}: downloading {file.name} ({int(uri[2]) >> 20} MiB)")
            run("apt-get", "-q", "download", package, cwd=debs, env=self._env(),
                what=f"download of {package}")
        if not file.exists():
            raise LabError(f"{package}: apt-get download made no {file}")
        return file
