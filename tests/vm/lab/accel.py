"""Which accelerator guests get: KVM only where a stock kernel has been seen to boot on it.

That /dev/kvm opens proves nothing: there are hosts where it does and no Debian kernel runs.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from .cache import cache_dir, lock, progress
from .kernels import Kernel

# One thread for all CPUs of a guest: with one each, QEMU 7.2 may run an instruction of which the
# kernel has patched a half on another CPU, and kernels of two CPUs panic or hang once in ten boots.
TCG = "tcg,thread=single"
PROBE_S = 30


def accel(kernel: Kernel) -> str:
    """QEMU's -accel for this host; HVSM_ACCEL overrides. Probed once per boot of the host."""
    if os.environ.get("HVSM_ACCEL"):
        return os.environ["HVSM_ACCEL"]
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return TCG
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with lock("accel"):
        known = cache_dir() / f"accel-{boot}"
        if not known.exists():
            found = "kvm" if _boots(kernel) else TCG
            progress(f"guests run with -accel {found}"
                     + ("" if found == "kvm" else ": /dev/kvm opens, but a stock kernel does not boot on it"))
            known.write_text(found.partition(",")[0])
        return "kvm" if known.read_text() == "kvm" else TCG


def _boots(kernel: Kernel) -> bool:
    """Does KERNEL come as far as its panic for want of a root, under KVM?"""
    with tempfile.TemporaryDirectory() as temp:
        console = Path(temp) / "console"
        qemu = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-m", "256M",
             "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{console}",
             "-kernel", str(kernel.vmlinuz), "-append", "console=ttyS0 panic=-1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PROBE_S
        while qemu.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
        qemu.kill()
        qemu.wait()
        return console.exists() and b"Unable to mount root fs" in console.read_bytes()
