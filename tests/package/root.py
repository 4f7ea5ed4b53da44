# SPDX-License-Identifier: Apache-2.0
"""A fresh Debian 12, as small as it gets, to install the packages in.

What the packages depend on lies in it, not installed, as apt has downloaded it: so what apt
installs, it chooses itself, and no network is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

from lab import LabError  # noqa: E402
from lab.apt import Apt  # noqa: E402
from lab.cache import cache_dir, digest, lock, made_whole, progress, run, used  # noqa: E402
from lab.product import packages  # noqa: E402

SUITE = "bookworm"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENV = {"PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
# In namespaces of its own: without a network, and the mounts are gone with it.
ENTER = ('mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/run" && mount --rbind /dev "$0/dev" && '
         'exec chroot "$0" "$@"')
# What changes whenever a package is installed, and what is not on the disk.
VOLATILE = ("/proc", "/dev", "/run", "/tmp", "/var/cache", "/var/lib/dpkg", "/var/lib/apt", "/var/log",
            "/var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants", "/root/in")


def _cached() -> Path:
    """The root that is copied, for what the packages say that they depend on."""
    if os.geteuid() != 0:
        raise LabError("installing Debian into a directory takes root")
    debs = packages()
    wants = [run("dpkg-deb", "-f", deb, "Depends", "Recommends", what=deb.name) for deb in debs]
    root = cache_dir("roots") / f"{SUITE}-{digest(SUITE, Path(__file__), *wants)}"
    with lock(f"root-{SUITE}"):
        if not root.is_dir():
            progress(f"installing Debian {SUITE} to install packages in (a minute)")
            with made_whole(root) as part:
                _make(part, debs)
        return used(root, f"{SUITE}-*")


def _make(root: Path, debs: list[Path]) -> None:
    files = " ".join(str(deb) for deb in debs)
    run("mmdebstrap", "--quiet", "--variant=apt", "--architectures=amd64", "--skip=cleanup/apt",
        '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=APT::Sandbox::User "root"',
        "--customize-hook=APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q -y -o APT::Install-Recommends=true install "
        f"--download-only {files}", SUITE, root, *Apt(SUITE).source_lines(),
        env={**os.environ, "PATH": PATH}, what="installing Debian")


class Root:
    """A copy of that root, to be changed. Use it as a context manager."""

    def __enter__(self) -> "Root":
        source = _cached()
        self._held = tempfile.TemporaryDirectory(prefix="hvsm-root-")
        self.dir = Path(self._held.name) / "root"
        run("cp", "-a", source, self.dir, what="copying the root")
        (self.dir / "root" / "in").mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.cleanup()

    def call(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it; its exit status is yours to judge."""
        return subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER,
                               self.dir, *argv], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", check=False)

    def sh(self, command: str) -> str:
        """Run a line of shell in it; what it printed, failure raises."""
        done = self.call("sh", "-ec", command)
        if done.returncode:
            raise LabError(f"'{command}' ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def take(self, deb: Path) -> str:
        """Copy a package in; its name there."""
        shutil.copyfile(deb, self.dir / "root" / "in" / deb.name)
        return f"/root/in/{deb.name}"

    def apt(self, *words: str) -> str:
        return self.sh("apt-get -q -y " + " ".join(words))

    def paths(self) -> set[str]:
        """All that lies in it, but for what any package changes."""
        found = set()
        for folder, folders, files in os.walk(self.dir):
            at = "/" + str(Path(folder).relative_to(self.dir)) if folder != str(self.dir) else ""
            folders[:] = [name for name in folders if f"{at}/{name}" not in VOLATILE]
            found |= {f"{at}/{name}" for name in folders + files}
        return found
