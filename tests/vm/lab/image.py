"""The guest's root: an initramfs of busybox, the kernel's modules and the lab's own programs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from . import LabError
from .cache import TOP, VM_DIR, cache_dir, digest, lock, run, used
from .kernels import BOOT_MODULES, Kernel

GUEST_DIR = VM_DIR / "guest"
DIRECTORIES = ("bin sbin etc dev proc sys run tmp root var mnt usr usr/bin usr/sbin lib "
               "lib/modules home").split()
PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nlab:x:1000:1000:lab:/home:/bin/sh\n"
GROUP = "root:x:0:\ndaemon:x:1:\nlab:x:1000:\n"


class Cpio:
    """Writes the "newc" archive that Linux takes as an initramfs; device nodes need no root here."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.inode = 0

    def add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields)
        self.data += name.encode() + b"\0"
        self._pad()
        self.data += data
        self._pad()

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self.data)

    def _pad(self) -> None:
        self.data += bytes(-len(self.data) % 4)


def busybox() -> Path:
    """The host's static busybox (Debian: busybox-static)."""
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if path.exists():
            # A static program has no interpreter segment; readelf comes with the compiler.
            if "INTERP" in run("readelf", "-lW", path, what=str(path)):
                raise LabError(f"{path} is not static; install busybox-static")
            return path
    raise LabError("no busybox; install busybox-static")


def programs() -> dict[str, Path]:
    """Every guest/*.c as a static program, compiled when its source changed: {name: file}."""
    made = {}
    agent = TOP / "src" / "agent" / "format.h"      # what one of them attacks
    for source in sorted(GUEST_DIR.glob("*.c")):
        file = cache_dir("programs") / f"{source.stem}-{digest(source, agent)}"
        with lock(f"program-{source.stem}"):
            if not file.exists():
                part = file.with_suffix(".part")
                run("gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-pthread",
                    "-iquote", TOP / "src", "-o", part, source, "-lsodium",
                    what=f"guest program {source.name}")
                part.rename(file)
        made[source.stem] = file
    return made


def initramfs(kernel: Kernel) -> Path:
    """The initramfs of KERNEL; made again only when something in it changed."""
    contents = programs()
    init = GUEST_DIR / "init"
    key = digest(kernel.release, kernel.version, (kernel.dir / "meta.json"), busybox(), init,
                 Path(__file__), *contents.values(), " ".join(BOOT_MODULES))
    file = cache_dir("images") / f"{kernel.name}-{key}.cpio"
    with lock(f"image-{kernel.name}"):
        if not file.exists():
            part = file.with_suffix(".part")
            part.write_bytes(_archive(kernel, contents))
            part.rename(file)
        return used(file, f"{kernel.name}-*.cpio")


def _archive(kernel: Kernel, contents: dict[str, Path]) -> bytes:
    cpio = Cpio()
    for name in DIRECTORIES:
        cpio.add(name, 0o040755)
    cpio.add("dev/console", 0o020600, device=(5, 1))
    cpio.add("bin/busybox", 0o100755, busybox().read_bytes())
    applets = subprocess.run([busybox(), "--list"], capture_output=True, text=True, check=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            cpio.add(f"bin/{applet}", 0o120777, b"busybox")
    for name, path in contents.items():
        cpio.add(f"sbin/{name}", 0o100755, path.read_bytes())
    cpio.add("init", 0o100755, (GUEST_DIR / "init").read_bytes())
    for name, text in (("passwd", PASSWD), ("group", GROUP), ("hostname", "lab\n"),
                       ("boot-modules", "\n".join(BOOT_MODULES) + "\n")):
        cpio.add(f"etc/{name}", 0o100644, text.encode())
    add_modules(cpio, kernel, "lib/modules")
    return cpio.finish()


def add_modules(cpio: Cpio, kernel: Kernel, where: str, with_index: bool = False) -> None:
    """The kernel's modules, with a modules.dep that speaks of these files and no others.

    busybox reads that text; kmod wants the index that depmod makes of it.
    """
    with tempfile.TemporaryDirectory() as temp:
        tree = Path(temp) / "lib/modules" / kernel.release
        shutil.copytree(kernel.modules, tree)
        run("depmod", "-b", temp, kernel.release, what="depmod of the image")
        for path in [tree, *sorted(tree.rglob("*"))]:
            name = f"{where}/{path.relative_to(tree.parent)}"
            if path.is_dir():
                cpio.add(name, 0o040755)
            elif with_index or path.suffix != ".bin":
                cpio.add(name, 0o100644, path.read_bytes())
