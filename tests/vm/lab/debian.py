"""A guest's root as people run it: Debian with systemd, udev, D-Bus, cron and sshd.

Where the busybox root is small and quick, this one has what real systems have: control groups,
BPF programs of systemd's, dozens of modules and units, and everything that comes and goes while
they start. It is unpacked into memory, so that nothing else is needed of the guest.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import LabError
from .apt import Apt
from .cache import cache_dir, digest, lock, progress, run, used
from .image import Cpio, add_modules, programs
from .kernels import BOOT_MODULES, Kernel

SUITE = "bookworm"
PACKAGES = "systemd-sysv,dbus,udev,kmod,cron,openssh-server,iproute2"
MEMORY = "1G"

UNIT = """[Unit]
Description=the lab's hand in the guest
After=systemd-udev-settle.service

[Service]
ExecStart=/sbin/labd
Environment=HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
# What a test starts belongs to the test.
KillMode=process

[Install]
WantedBy=multi-user.target
"""


def root(kernel: Kernel, packages: str = PACKAGES) -> Path:
    """The root of a guest with this kernel: one archive for all, one with what differs."""
    base = _base(packages)
    contents = programs()
    key = digest(base.name, kernel.release, kernel.version, Path(__file__), *contents.values(),
                 " ".join(BOOT_MODULES))
    file = cache_dir("images") / f"debian-{kernel.name}-{key}.cpio"
    with lock(f"debian-{kernel.name}"):
        if not file.exists():
            part = file.with_suffix(".part")
            # The kernel unpacks one archive after the other, each packed in its own way.
            data = base.read_bytes()
            part.write_bytes(data + bytes(-len(data) % 4) + _own(kernel, contents))
            part.rename(file)
        return used(file, f"debian-{kernel.name}-*.cpio")


def _own(kernel: Kernel, contents: dict[str, Path]) -> bytes:
    cpio = Cpio()
    cpio.add("init", 0o120777, b"lib/systemd/systemd")
    cpio.add("etc/hostname", 0o100644, b"debian\n")
    cpio.add("etc/modules-load.d/lab.conf", 0o100644, "\n".join(BOOT_MODULES).encode() + b"\n")
    cpio.add("etc/systemd/system/labd.service", 0o100644, UNIT.encode())
    cpio.add("etc/systemd/system/multi-user.target.wants/labd.service", 0o120777,
             b"../labd.service")
    for name, path in contents.items():
        cpio.add(f"usr/sbin/{name}", 0o100755, path.read_bytes())
    cpio.add("usr/lib/modules", 0o040755)
    add_modules(cpio, kernel, "usr/lib/modules", with_index=True)
    return cpio.finish()


def _base(packages: str) -> Path:
    """Debian's packages, installed: the same for every kernel."""
    if os.geteuid() != 0:
        raise LabError("installing Debian into a directory takes root")
    file = cache_dir("images") / f"debian-base-{digest(SUITE, packages)}.cpio.zst"
    with lock("debian-base"):
        if not file.exists():
            progress(f"installing Debian {SUITE} for a guest (a minute or two)")
            part = file.with_suffix(".part")
            _install(part, packages)
            part.rename(file)
    return file


def _install(archive: Path, packages: str) -> None:
    directory = archive.with_suffix(".root")
    try:
        run("mmdebstrap", "--quiet", "--variant=minbase", "--architectures=amd64",
            '--aptopt=Acquire::Check-Valid-Until "false"', f"--include={packages}",
            "--customize-hook=rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/usr/share/doc/* "
            "\"$1\"/usr/share/locale/* \"$1\"/usr/share/man/*",
            SUITE, directory, *Apt(SUITE).source_lines(),
            env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, what="installing Debian")
        with open(archive, "wb") as out:
            pack = subprocess.run("find . -xdev | cpio -o -H newc --quiet | zstd -q -3", shell=True,
                                  cwd=directory, stdout=out, check=False)
        if pack.returncode:
            raise LabError("packing Debian's root failed")
    finally:
        run("rm", "-rf", "--one-file-system", directory, what="removing the unpacked root")
