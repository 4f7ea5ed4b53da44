"""Where the lab keeps what is expensive to make: packages, kernels, chroots, images, modules.

Everything in the cache is made beside its place and renamed into it, under a lock, so an
interrupted run or two runs at once never leave half a thing that later passes for a whole one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import LabError

VM_DIR = Path(__file__).resolve().parent.parent
TOP = VM_DIR.parent.parent


def cache_dir(*parts: str) -> Path:
    """A directory in the cache, made when it is not there: $HVSM_CACHE, or .cache/ of the tree."""
    base = Path(os.environ.get("HVSM_CACHE") or TOP / ".cache").resolve()
    path = base.joinpath("vm", *parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


# The host's own store of kernels stays as it is.
os.environ.setdefault("HVSM_STORE", str(cache_dir("store")))


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock NAME against other processes that make the same thing."""
    with open(cache_dir("locks") / name, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"{name}: waiting for another process that is making it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Give a directory to fill; it replaces PATH only when the block ends without an error."""
    part = path.with_name(f".{path.name}.part")
    remove(part)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        remove(part)
        raise
    remove(path)
    part.rename(path)


def remove(path: Path) -> None:
    """Remove a file or a whole tree, if it is there; another process may be removing it, too."""
    def gone(_function: object, _path: str, error: Any) -> None:
        if not isinstance(error[1], FileNotFoundError):
            raise error[1]

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=gone)
    else:
        path.unlink(missing_ok=True)


def used(path: Path, pattern: str) -> Path:
    """Mark PATH as used, and drop its siblings like PATTERN that nobody used for a week.

    Not sooner: another tree that shares the cache may be about to use another version.
    """
    os.utime(path)
    for other in path.parent.glob(pattern):
        if time.time() - other.stat().st_mtime > 7 * 24 * 3600:
            remove(other)
    return path


def digest(*items: bytes | str | Path) -> str:
    """A short name for some contents: a Path stands for the bytes of its file."""
    state = hashlib.sha256()
    for item in items:
        data = item.read_bytes() if isinstance(item, Path) else item
        data = data.encode() if isinstance(data, str) else data
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()[:16]


def progress(text: str) -> None:
    """One line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


def run(*argv: str | Path, what: str, env: dict[str, str] | None = None,
        cwd: Path | None = None) -> str:
    """Run a program and return its output; on failure raise WHAT with the end of its errors."""
    done = subprocess.run([str(arg) for arg in argv], text=True, capture_output=True, cwd=cwd,
                          stdin=subprocess.DEVNULL, env=env, errors="replace")
    if done.returncode:
        tail = "\n  ".join((done.stderr + done.stdout).strip().splitlines()[-15:])
        raise LabError(f"{what}: {argv[0]} ended with status {done.returncode}\n  {tail}")
    return done.stdout
