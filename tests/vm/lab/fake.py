"""Guests that cost next to nothing: a process that hvsm takes for QEMU, over an image of a real guest.

    with Fake(frozen("6.1-cloud")) as fake:         # the guest is booted once, its image is cached
        fake.name, fake.uuid, fake.pid
        fake.command("stop")                        # its clock stands still; cont, system_reset
        fake.poke("sys_call_table", 39 * 8, 0x1234) # what a root kit would write
        fake.command("x-churn", on=True)            # it rewrites its lists as fast as it can
        fake.command("x-load", file=other)          # another kernel lies there now

All of them share one file, of which each has what was written to its memory for itself: a hundred
take a few MiB. Only the guest's clock moves. tests/make/fake_qemu.c is the program.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from pathlib import Path
from types import TracebackType

from . import LabError, images
from .cache import cache_dir, digest, lock, used
from .guest import Guest
from .image import initramfs
from .kernels import fetch
from .qmp import Qmp

MIB = 1 << 20
MEMORY_MIB = 256


def program() -> Path:
    """The fake, of the build under test."""
    build = Path(os.environ.get("HVSM_BUILD", Path(__file__).resolve().parents[3] / "build"))
    return build / "tests" / "make" / "qemu-system-x86_64"


def frozen(kernel: str) -> Path:
    """A raw image of a guest of that kernel, which was busy for a moment; made once."""
    of = fetch(kernel)
    key = digest(initramfs(of), Path(images.__file__), str(MEMORY_MIB))
    file = cache_dir("frozen") / f"{of.name}-{key}.raw"
    with lock(f"frozen-{of.name}"):
        if not file.exists():
            part, core = file.with_suffix(".part"), file.with_suffix(".core")
            with Guest(of, memory=f"{MEMORY_MIB}M") as guest:
                guest.workload()
                guest.settle()
                guest.dump(core)
            images.to_raw(core, part)
            os.truncate(part, MEMORY_MIB * MIB)
            core.unlink()
            part.rename(file)
        return used(file, f"{of.name}-*.raw")


class Fake:
    """One such guest. It ends with the thread that started it, as others do."""

    def __init__(self, image: Path, name: str = "", monitor: bool = True) -> None:
        self.image = image
        self.name = name or f"hvsm-fake-{uuid.uuid4().hex[:6]}"
        self.uuid = str(uuid.uuid4())
        self._monitor = monitor
        self._temp: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Fake":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def argv(self) -> list[str]:
        size = self.image.stat().st_size
        argv = [str(program()), "-name", f"guest={self.name}", "-uuid", self.uuid,
                "-machine", "pc,memory-backend=ram", "-m", f"{size // MIB}M", "-object",
                f"memory-backend-file,id=ram,size={size},mem-path={self.image},share=off"]
        return argv + (["-qmp", f"unix:{self.qmp_socket},server=on,wait=off"] if self._monitor else [])

    def launch(self) -> None:
        """Start it, and wait for nothing: ready() does, so that many can start together."""
        self._temp = tempfile.TemporaryDirectory(prefix="hvsm-fake-")
        self._process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE)

    def ready(self) -> None:
        assert self._process and self._process.stdout
        if self._process.stdout.readline() != b"ready\n":
            raise LabError(f"fake guest {self.name} did not start")

    def start(self) -> None:
        self.launch()
        self.ready()

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
            self._process = None
        if self._temp:
            self._temp.cleanup()
            self._temp = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def qmp_socket(self) -> Path:
        assert self._temp
        return Path(self._temp.name) / "qmp"

    def command(self, name: str, **arguments: object) -> object:
        """One QMP command: those that fake_qemu.c lists."""
        with Qmp(self.qmp_socket) as qmp:
            return qmp.command(name, **arguments)

    def poke(self, symbol: str, offset: int, value: int) -> None:
        """Write 8 bytes of the guest's kernel; system_reset takes all of that back."""
        self.command("x-poke", symbol=symbol, offset=offset,
                     value=value - (1 << 64) if value >> 63 else value)
