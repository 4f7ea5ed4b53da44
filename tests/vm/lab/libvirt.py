"""Guests that libvirt starts: found by hvsm although the project had no hand in them.

A libvirtd that runs already is used as it is. Otherwise one is started, with its log daemon and
a socket of its own, and ended again.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from xml.sax.saxutils import escape

from lab import LabError
from lab.cache import cache_dir
from lab.image import initramfs
from lab.kernels import fetch

START_S = 30.0

DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>2</vcpu>{elements}
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>quiet</cmdline>
  </os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}</devices>
</domain>
"""


class Libvirt:
    """A connection to libvirt. Use it as a context manager: its guests are gone after it."""

    def __init__(self) -> None:
        self.uri = "qemu:///system"
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._domains: list[str] = []
        self._temp = tempfile.TemporaryDirectory(prefix="hvsm-libvirt-")
        self.dir = Path(self._temp.name)

    def __enter__(self) -> "Libvirt":
        # QEMU runs as a user of its own, who has to reach the kernel.
        self.dir.chmod(0o755)
        # Two libvirtd of one host are in each other's way: suites that run side by side wait.
        self._turn = open(cache_dir("locks") / "libvirt", "w")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            if not self._answers():
                self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for name in self._domains:
            self.virsh("destroy", name, check=False)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait()
        self._turn.close()
        self._temp.cleanup()

    def create(self, name: str, uuid: str, kernel: str, machine: str = "q35",
               memory_mib: int = 512, devices: str = "", elements: str = "") -> None:
        """Start a transient guest, as `virsh create` does for anybody. DEVICES, ELEMENTS: more, as XML."""
        image = fetch(kernel)
        files = {}
        for role, source in (("kernel", image.vmlinuz), ("initrd", initramfs(image))):
            files[role] = self.dir / f"{role}-{uuid}"
            shutil.copyfile(source, files[role])
        xml = self.dir / f"{uuid}.xml"
        xml.write_text(DOMAIN.format(name=escape(name), uuid=uuid, machine=machine,
                                     memory_mib=memory_mib, devices=devices,
                                     elements=elements, **files))
        self.virsh("create", str(xml))
        self._domains.append(uuid)

    def change(self, uuid: str, verb: str, xml: str) -> None:
        """Attach or detach a device of a running guest."""
        file = self.dir / f"{uuid}-device.xml"
        file.write_text(xml)
        self.virsh(verb, uuid, str(file), "--live")

    def destroy(self, uuid: str) -> None:
        """Pull the plug."""
        self.virsh("destroy", uuid)
        self._domains.remove(uuid)

    def virsh(self, *args: str, check: bool = True) -> str:
        done = subprocess.run(["virsh", "-q", "-c", self.uri, *args], text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if check and done.returncode:
            raise LabError(f"virsh {' '.join(args)}: {done.stdout.strip()}")
        return done.stdout

    def _answers(self) -> bool:
        return subprocess.run(["virsh", "-q", "-c", self.uri, "uri"], check=False,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def _start(self) -> None:
        config = self.dir / "libvirtd.conf"
        config.write_text(f'unix_sock_dir = "{self.dir}"\nauth_unix_rw = "none"\n')
        self.uri = f"qemu+unix:///system?socket={self.dir}/libvirt-sock"
        self._spawn("virtlogd", "--pid-file", str(self.dir / "virtlogd.pid"))
        self.begin()

    def end(self) -> None:
        """End libvirtd, of which the guests know nothing. One that was there before stays."""
        if not self._daemons:
            raise LabError("the libvirtd of this host is not the lab's to end")
        daemon = self._daemons.pop()
        daemon.terminate()
        daemon.wait()

    def begin(self) -> None:
        """Start libvirtd, again after end()."""
        self._spawn("libvirtd", "--config", str(self.dir / "libvirtd.conf"),
                    "--pid-file", str(self.dir / "libvirtd.pid"))
        end = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > end or self._daemons[-1].poll() is not None:
                raise LabError(f"libvirtd did not start: "
                               f"{(self.dir / 'libvirtd.log').read_text()[-2000:]}")
            time.sleep(0.1)

    def _spawn(self, *argv: str) -> None:
        log = open(self.dir / f"{argv[0]}.log", "wb")
        self._daemons.append(subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *argv], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log))
        log.close()
