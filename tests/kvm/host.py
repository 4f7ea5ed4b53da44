# SPDX-License-Identifier: Apache-2.0
"""A real KVM host: Debian with systemd and kvm-amd, under emulation.

The host is a guest of the lab (tests/vm/lab) whose emulated CPU has SVM. It has what hvsm's package
depends on, and the package itself, not installed. Its QEMU is that of the machine that runs the
test, with the libraries it needs, in a directory of its own.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

from lab import LabError, debian, image, kernels, modules  # noqa: E402
from lab.cache import run  # noqa: E402
from lab.guest import Guest, host_tsc_khz  # noqa: E402
from lab.product import packages  # noqa: E402

HOST_KERNEL = "6.1-generic"     # the cloud flavour has no kvm-amd
GUEST_KERNEL = "6.1-cloud"
KVM_MODULES = ("irqbypass", "ccp", "kvm", "kvm-amd")    # in this order
FIRMWARE = ("/usr/share/qemu/bios-microvm.bin", "/usr/share/qemu/kvmvapic.bin",
            "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/pvh.bin", "/usr/share/qemu/qboot.rom",
            "/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios-microvm.bin")
QEMU = "/opt/qemu"
# These are one with the dynamic loader, and the host has its own.
LIBC = re.compile(r"/(ld-linux|libc\.|libm\.|libpthread\.|libdl\.|librt\.|libresolv\.)")
# With what hvsm serves HTTP by, and what asks it.
SYSTEM = "systemd-sysv,dbus,udev,kmod,libmicrohttpd12,openssl"
DEBS = "/root/in"
WAIT_S = 600        # a guard against what hangs, no measure of anything
# What the guest does instead of the lab's labd: it tells what it is, and does what it is told.
GUEST_INIT = """#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
stty -echo </dev/ttyS0
echo READY
while read -r line; do
	eval "$line"
	echo "DONE $?"
done </dev/ttyS0
"""


def add_file(cpio: image.Cpio, source: Path, name: str | None = None) -> None:
    """A file of this machine, at its own place or another."""
    cpio.add((name or str(source)).lstrip("/"), 0o100755, source.resolve().read_bytes())


def libraries(*programs: Path) -> list[Path]:
    """Everything that the dynamic loader maps for these programs, itself included."""
    found: set[Path] = set()
    for program in programs:
        text = run("ldd", program, what=f"the libraries of {program}")
        found |= {Path(path) for path in re.findall(r"(/\S+) \(0x", text)}
    return sorted(found)


def needed(deb: Path) -> list[str]:
    """What a package depends on; of alternatives the first, or what the host has in any case."""
    items = run("dpkg-deb", "-f", deb, "Depends", what=deb.name).split(",")
    return sorted({re.split(r"[\s(|]", item.strip())[0] for item in items} - {"systemd", "libc6"})


def unpack(kernel: kernels.Kernel, target: Path) -> None:
    """The kernel's packages: the lab keeps a selection of modules only, KVM's are not in it."""
    for deb in kernel.debs:
        run("dpkg-deb", "-x", deb, target, what=f"unpacking {deb.name}")


class Host(Guest):
    """The KVM host. Its guest is driven over a serial port whose ends are FIFOs of the host."""

    def __init__(self) -> None:
        # Without what QEMU's emulation of SVM does not hand to a nested guest.
        super().__init__(HOST_KERNEL, machine="q35", memory="3G", smp=1, system="debian",
                         cpu="EPYC,-monitor,-xsave", append="mitigations=off")
        self.inner = kernels.fetch(GUEST_KERNEL)
        self.qemu = Path(run("sh", "-c", "command -v qemu-system-x86_64", what="QEMU").strip())
        self.deb = packages()[0]

    def _initrd(self) -> Path:
        """Debian, and behind it in the same file what makes a host of it."""
        path = self.dir / "initrd"
        if not path.exists():
            system = debian.root(self.kernel, ",".join([SYSTEM, *needed(self.deb)]))
            path.write_bytes(system.read_bytes() + self._own_root())
        return path

    def _own_root(self) -> bytes:
        cpio = image.Cpio()
        for name in ("opt", QEMU, f"{QEMU}/lib", f"{QEMU}/share", "kvm", DEBS):
            cpio.add(name.lstrip("/"), 0o040755)
        add_file(cpio, self.qemu, "/usr/bin/qemu-system-x86_64")
        for path in libraries(self.qemu):
            if not LIBC.search(str(path)):
                add_file(cpio, path, f"{QEMU}/lib/{path.name}")
        for path in map(Path, FIRMWARE):
            add_file(cpio, path, f"{QEMU}/share/{path.name}")
        with tempfile.TemporaryDirectory() as temp:
            unpack(self.kernel, Path(temp))
            for name in KVM_MODULES:
                (module,) = Path(temp).glob(f"lib/modules/*/**/{name}.ko")
                add_file(cpio, module, f"/kvm/{name}.ko")
        add_file(cpio, self.inner.vmlinuz, "/kvm/vmlinuz")
        cpio.add("kvm/initrd", 0o100644, self._inner_root())
        add_file(cpio, self.deb, f"{DEBS}/{self.deb.name}")
        return cpio.finish()

    def _inner_root(self) -> bytes:
        """The lab's root for the guest, with another first program and a module that hooks."""
        cpio = image.Cpio()
        cpio.add("init", 0o100755, GUEST_INIT.encode())
        add_file(cpio, modules.built(self.inner)["hook_syscall64"], "/hook_syscall64.ko")
        return image.initramfs(self.inner).read_bytes() + cpio.finish()

    def start(self, wait: bool = True) -> None:
        super().start(wait)
        for name in KVM_MODULES:
            self.sh(f"insmod /kvm/{name}.ko")

    # --- the guest of this host ---

    def start_inner(self, name: str) -> None:
        """Boot it, on KVM, and wait until it takes orders."""
        self.sh("mkfifo /run/port.in /run/port.out; (cat /run/port.out >/run/said) >/dev/null 2>&1 &")
        # On a busy machine the guest fails to measure its clocks, and waits for ever.
        append = f"console=ttyS0 quiet panic=-1 no_timer_check tsc_early_khz={host_tsc_khz()}"
        self.sh(f"LD_LIBRARY_PATH={QEMU}/lib /usr/bin/qemu-system-x86_64 -L {QEMU}/share -name {name} -accel kvm -cpu host,-xsave -machine microvm,rtc=on"
                " -nodefaults -m 256 -no-reboot -display none -serial pipe:/run/port"
                f" -kernel /kvm/vmlinuz -initrd /kvm/initrd -append '{append}'"
                " </dev/null >/dev/null 2>/run/qemu.err &")
        self._wait("READY")

    def order(self, line: str) -> str:
        """Run a line of shell in the inner guest; what it said."""
        before = len(self.sh("cat /run/said"))
        self.sh(f"echo {shlex.quote(line)} >/run/port.in")
        return self._wait("DONE", before)

    def _wait(self, word: str, after: int = 0) -> str:
        end = time.monotonic() + WAIT_S
        said = ""
        while time.monotonic() < end:
            said = self.sh("cat /run/said")[after:]
            if re.search(rf"^{word}", said, re.MULTILINE):
                return said
            if not self.sh("pidof qemu-system-x86_64 || true").strip():
                raise LabError(f"the host's QEMU ended: {self.sh('cat /run/qemu.err')}\n{said}")
            time.sleep(0.2)
        raise LabError(f"the host's guest did not say {word}:\n{said[-2000:]}")
