"""The ways in which QEMU can hold a guest's RAM; each is ordinary on some host."""

from __future__ import annotations

import os
from pathlib import Path

from . import LabError

BACKENDS = ("anon", "memfd", "memfd-private", "file", "file-private", "hugetlb",
            "numa2", "numa2-memfd")


def size_bytes(text: str) -> int:
    """QEMU's own notation: 512M, 5G."""
    units = {"K": 10, "M": 20, "G": 30}
    try:
        return int(text[:-1]) << units[text[-1].upper()]
    except (KeyError, ValueError, IndexError):
        raise LabError(f"memory '{text}': give a number and K, M or G") from None


def backend_args(backend: str, size: int, directory: Path, smp: int) -> list[str]:
    """QEMU's options for SIZE bytes of RAM held by BACKEND; files go to DIRECTORY."""
    kinds = {
        "memfd": f"memory-backend-memfd,id=ram,size={size},share=on",
        # Mapped private: what the guest writes never reaches the file.
        "memfd-private": f"memory-backend-memfd,id=ram,size={size},share=off",
        "file": f"memory-backend-file,id=ram,size={size},mem-path={directory}/ram,share=on",
        "file-private": f"memory-backend-file,id=ram,size={size},mem-path={directory}/ram,share=off",
        "hugetlb": f"memory-backend-memfd,id=ram,size={size},share=on,hugetlb=on,hugetlbsize=2M",
    }
    if backend == "anon":
        return []
    if backend in kinds:
        return ["-object", kinds[backend], "-machine", "memory-backend=ram"]
    if backend in ("numa2", "numa2-memfd"):
        kind = "memory-backend-memfd,share=on" if backend == "numa2-memfd" else "memory-backend-ram"
        cpus = [f"cpus=0-{smp // 2 - 1}" if smp > 2 else "cpus=0", f"cpus={smp // 2}-{smp - 1}"]
        args = []
        for node in range(2):
            args += ["-object", f"{kind},id=ram{node},size={size // 2}",
                     "-numa", f"node,nodeid={node},memdev=ram{node}" + (f",{cpus[node]}" if smp > 1 else "")]
        if smp == 1:
            args[3] += ",cpus=0"
        return args
    raise LabError(f"no backend '{backend}' (there are: {' '.join(BACKENDS)})")


class Hugepages:
    """The host's pool of 2 MiB pages, raised for one guest and given back after it."""

    POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")

    def __init__(self, size: int) -> None:
        self.pages = -(-size // (2 << 20))
        self._change(self.pages)

    def release(self) -> None:
        self._change(-self.pages)

    def _change(self, pages: int) -> None:
        file = self.POOL / "nr_hugepages"
        try:
            wanted = int(file.read_text()) + pages
            file.write_text(str(wanted))
            got = int(file.read_text())
        except OSError as error:
            raise LabError(f"2 MiB pages of the host: {error.strerror} ({file})") from None
        if pages > 0 and got < wanted:
            file.write_text(str(got - (pages - (wanted - got))))
            raise LabError(f"the host has no {pages} free pages of 2 MiB (it gave {got})")
