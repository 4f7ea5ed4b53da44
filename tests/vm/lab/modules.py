"""The test modules (modules/*.c), built for each kernel with that kernel's own tools.

A module for another suite's kernel needs that suite's compiler and headers, so each suite has
a chroot in the cache. What is built is kept by kernel and source, so a warm cache needs neither.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import LabError
from .apt import Apt
from .cache import VM_DIR, cache_dir, digest, lock, made_whole, progress, run, used
from .kernels import FLAVOURS, GENERATIONS, Kernel, fetch

SOURCES = VM_DIR / "modules"


def source_files() -> list[Path]:
    """All that a build depends on."""
    return sorted(path for path in SOURCES.iterdir() if path.suffix in (".c", ".h") or path.name == "Kbuild")


def names() -> list[str]:
    """Every test module's name."""
    return [path.stem for path in source_files() if path.suffix == ".c"]


def built(kernel: Kernel) -> dict[str, Path]:
    """The test modules of KERNEL, built when they are not in the cache: {name: .ko file}."""
    key = digest(kernel.release, kernel.version, *(path.name for path in source_files()), *source_files())
    place = cache_dir("modules", kernel.name) / key
    with lock(f"modules-{kernel.name}"):
        if not place.is_dir():
            with made_whole(place) as part:
                _build(kernel, part)
        used(place, "*")
    return {path.stem: path for path in place.glob("*.ko")}


def _build(kernel: Kernel, target: Path) -> None:
    with lock(f"chroot-{kernel.suite}"):
        root = _chroot(kernel)
        progress(f"{kernel.name}: building the test modules")
        work = root / "build" / kernel.flavour
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for path in source_files():
            shutil.copyfile(path, work / path.name)
        # sid's objtool asks /proc; the mount is gone with the namespace.
        script = ('mount -t proc proc "$1/proc" && exec chroot "$1" '
                  'make -s -j2 -C "/lib/modules/$2/build" "M=/build/$3" modules')
        run("unshare", "--mount", "sh", "-c", script, "build", root, kernel.release, kernel.flavour,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            what=f"{kernel.name}: building the test modules")
        missing = [name for name in names() if not (work / f"{name}.ko").exists()]
        if missing:
            raise LabError(f"{kernel.name}: the build made no {' '.join(missing)}; are they in modules/Kbuild?")
        for name in names():
            shutil.copyfile(work / f"{name}.ko", target / f"{name}.ko")


def _chroot(kernel: Kernel) -> Path:
    """The suite's chroot, with the headers of both flavours as they are in the cache."""
    if os.geteuid() != 0:
        raise LabError(f"{kernel.name}: building test modules takes a chroot, so run this as root")
    generation = next(name for name, suite in GENERATIONS.items() if suite == kernel.suite)
    headers = sorted(f"linux-headers-{fetch(f'{generation}-{flavour}').release}" for flavour in FLAVOURS)
    root = cache_dir("chroots") / f"{kernel.suite}-{digest(*headers)}"
    if root.is_dir():
        return root
    for old in root.parent.glob(f"{kernel.suite}-*"):
        shutil.rmtree(old)
    progress(f"{kernel.suite}: making a chroot with {' '.join(headers)} (a minute or two)")
    with made_whole(root) as part:
        try:
            run("mmdebstrap", "--quiet", "--variant=apt", "--architectures=amd64",
                '--aptopt=APT::Install-Recommends "false"',
                '--aptopt=Acquire::Check-Valid-Until "false"',
                f"--include=make,{','.join(headers)}",
                # Nothing is installed later: what apt keeps for that is dead weight.
                "--customize-hook=rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/usr/share/doc/*",
                kernel.suite, part, *Apt(kernel.suite).source_lines(),
                env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                what=f"{kernel.suite}: chroot for building modules")
        except LabError as error:
            raise LabError(f"{error}\n  If Debian has a newer kernel by now: lab.py fetch --refresh") from None
    return root
