"""A guest: one stock QEMU with a Debian kernel, driven from inside over a virtio-serial port."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType

from . import LabError, debian
from .accel import accel
from .backends import Hugepages, backend_args, size_bytes
from .cache import remove
from .channel import Answer, Channel
from .image import initramfs
from .kernels import Kernel, fetch
from .modules import built
from .monitor import ask
from .qmp import Qmp

MACHINES = ("pc", "q35", "microvm")
BOOT_S = 300        # a guard against a guest that hangs, no measure of anything
REQUEST_S = 300
TEMP = "hvsm-lab-"
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


def host_tsc_khz() -> int:
    """What TCG's rdtsc counts by: the host's own counter, whose rate is about that of its CPU."""
    found = re.search(r"^cpu MHz\s*: ([\d.]+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return int(float(found[1]) * 1000) if found else 2500000


def _remove_stale() -> None:
    """Directories of processes that were killed before they could tidy up: RAM files may be in them."""
    for path in Path(tempfile.gettempdir()).glob(f"{TEMP}*"):
        owner = path.name[len(TEMP):].split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            remove(path)


class Guest:
    """A running guest. Use it as a context manager: it boots on entry and is gone after it.

    The options the product might depend on (RAM, machine, CPU, QMP) are what a user could have
    chosen too; the lab's only own device is the serial port. The process dies with the *thread*
    that started it, however that ends, so start guests from a thread that outlives them.
    """

    def __init__(self, kernel: str | Kernel, *, machine: str = "pc", memory: str = "512M",
                 smp: int = 1, cpu: str | None = None, append: str = "", la57: bool = False,
                 pti: bool | None = None, kaslr: bool = True, efi: bool = False,
                 backend: str = "anon", qmp: bool = True, boot: bool = True, name: str | None = None,
                 system: str = "busybox", extra: tuple[str, ...] = ()) -> None:
        """CPU: QEMU's -cpu in full (then LA57 has no effect). PTI: forced on or off; None leaves
        it to the kernel. KASLR: False adds nokaslr. BOOT: False leaves the guest in its firmware, which
        finds nothing to boot. SYSTEM: "busybox", small and quick, or "debian" with systemd, which wants
        debian.MEMORY. EXTRA: further options of QEMU."""
        if machine not in MACHINES:
            raise LabError(f"no machine '{machine}' (there are: {' '.join(MACHINES)})")
        if efi and machine == "microvm":
            raise LabError("microvm has no EFI firmware here")
        self.kernel = kernel if isinstance(kernel, Kernel) else fetch(kernel)
        self.machine, self.memory, self.smp, self.efi = machine, memory, smp, efi
        self.backend, self.qmp, self.boot, self.extra = backend, qmp, boot, extra
        self.system = system
        self.name = name or f"hvsm-{self.kernel.name}-{uuid.uuid4().hex[:6]}"
        self.uuid = str(uuid.uuid4())
        self.accel = accel(self.kernel)
        self.cpu = cpu or self._cpu(la57)
        self.cmdline = self._cmdline(pti, kaslr, append)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._hugepages: Hugepages | None = None
        self._temp: tempfile.TemporaryDirectory[str] | None = None
        self.release = ""

    def _cpu(self, la57: bool) -> str:
        cpu = "max" if la57 else "max,-la57"
        # TCG of QEMU 7.2 computes cmpxchg16b wrongly, which 6.12 and later trip over.
        if self.accel != "kvm" and self.kernel.numbers >= (6, 12):
            cpu += ",-cx16"
        return cpu

    def _cmdline(self, pti: bool | None, kaslr: bool, append: str) -> str:
        # The kernel's tests of its ciphers are a tenth of what it takes an emulated one to boot.
        words = ["console=ttyS0", "quiet", "cryptomgr.notests"]
        if pti is not None:
            words.append("pti=on" if pti else "pti=off")
        if not kaslr:
            words.append("nokaslr")
        if self.accel != "kvm":
            # The kernel waits some ticks for its timer and panics ("IO-APIC + timer doesn't
            # work") where a busy host did not let the emulator run meanwhile.
            words.append("no_timer_check")
        if self.machine == "microvm" and self.accel != "kvm":
            # On a busy host the guest fails to measure its TSC against the PIT, and microvm has
            # no other clock that ticks so early: it would wait for the first tick for ever.
            words.append(f"tsc_early_khz={host_tsc_khz()}")
        return " ".join([*words, append]).strip()

    # --- life ---

    def __enter__(self) -> "Guest":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def start(self, wait: bool = True) -> None:
        """Start QEMU, and unless WAIT is False wait until labd answers."""
        _remove_stale()
        self._temp = tempfile.TemporaryDirectory(prefix=f"{TEMP}{os.getpid()}-")
        try:
            self._launch()
            if wait and self.boot:
                self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End QEMU and remove what belonged to it; harmless when it is gone already."""
        self._kill()
        if self._temp:
            self._temp.cleanup()
            self._temp = None

    def powercycle(self) -> None:
        """Switch off and on again: a new QEMU process, with fresh memory and the same options."""
        self._kill()
        self._launch()
        if self.boot:
            self.wait_ready()

    def kexec(self, append: str = "") -> None:
        """Boot the same kernel from the running one: the machine sees no reset."""
        self.put("/tmp/vmlinuz", self.kernel.vmlinuz.read_bytes())
        self.put("/tmp/initrd", self._initrd().read_bytes())
        self.sh("kexec load /tmp/vmlinuz /tmp/initrd " + shlex.quote(f"{self.cmdline} {append}".strip()))
        self.sh("(sleep 0.2; kexec go) >/dev/null 2>&1 </dev/null &")
        self._drop_channel()
        self.wait_ready()

    def reset(self, wait: bool = True) -> None:
        """Press the reset button: the same process, and memory keeps what the old kernel left."""
        self._drop_channel()
        self.monitor("system_reset")
        if wait:
            self.wait_ready()

    def _launch(self) -> None:
        for stale in ("qmp", "lab", "monitor", "ram"):
            remove(self.dir / stale)
        if self.backend == "hugetlb":
            self._hugepages = Hugepages(size_bytes(self.memory))
        # setpriv becomes QEMU, so the PID stays; the signal outlives exec.
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self.argv()], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(self.dir / "stderr", "wb"))
        self._connect()

    def _kill(self) -> None:
        self._drop_channel()
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._hugepages:
            self._hugepages.release()
            self._hugepages = None

    def argv(self) -> list[str]:
        """QEMU's command line."""
        bus = "device" if self.machine == "microvm" else "pci"
        argv = ["qemu-system-x86_64", "-name", self.name, "-uuid", self.uuid,
                "-machine", self.machine, "-accel", self.accel, "-cpu", self.cpu,
                "-smp", str(self.smp), "-m", self.memory,
                *backend_args(self.backend, size_bytes(self.memory), self.dir, self.smp),
                "-display", "none", "-nic", "none", "-parallel", "none",
                "-serial", f"file:{self.dir}/console",
                "-monitor", f"unix:{self.dir}/monitor,server=on,wait=off",
                "-device", f"virtio-serial-{bus}",
                "-chardev", f"socket,id=lab,path={self.dir}/lab,server=on,wait=off",
                "-device", "virtserialport,chardev=lab,name=hvsm.lab"]
        if self.boot:
            argv += ["-kernel", str(self.kernel.vmlinuz), "-initrd", str(self._initrd()),
                     "-append", self.cmdline]
        if self.qmp:
            argv += ["-qmp", f"unix:{self.qmp_socket},server=on,wait=off"]
        if self.efi:
            argv += self._efi_args()
        return [*argv, *self.extra]

    def _initrd(self) -> Path:
        return {"busybox": initramfs, "debian": debian.root}[self.system](self.kernel)

    def _efi_args(self) -> list[str]:
        if not OVMF_CODE.exists():
            raise LabError(f"no {OVMF_CODE}; install ovmf")
        own = self.dir / "efivars"
        own.write_bytes(OVMF_VARS.read_bytes())
        return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
                "-drive", f"if=pflash,format=raw,unit=1,file={own}"]

    # --- what it looks like from outside ---

    @property
    def dir(self) -> Path:
        if not self._temp:
            raise LabError(f"{self.name}: not started")
        return Path(self._temp.name)

    @property
    def pid(self) -> int:
        """QEMU's process ID."""
        if not self._process:
            raise LabError(f"{self.name}: not running")
        return self._process.pid

    @property
    def qmp_socket(self) -> Path:
        if not self.qmp:
            raise LabError(f"{self.name}: started without QMP")
        return self.dir / "qmp"

    @property
    def console_log(self) -> str:
        """All that the guest wrote to its serial console."""
        path = self.dir / "console"
        return path.read_bytes().decode(errors="replace") if path.exists() else ""

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def monitor(self, line: str) -> str:
        """Run a command of QEMU's human monitor, which every lab guest has, with QMP or without."""
        return ask(self.dir / "monitor", line)

    @staticmethod
    def settle() -> None:
        """Let what has just ended go: a command of the lab's is reaped, but still there for some
        milliseconds, and an image that shows it so is rightly no clean one."""
        time.sleep(1)

    def dump(self, path: Path) -> None:
        """Write an ELF core of the guest's memory, as QEMU's dump-guest-memory makes it."""
        self.settle()
        self.monitor(f"dump-guest-memory {path}")
        if not path.exists():
            raise LabError(f"{self.name}: QEMU wrote no {path}")

    def qmp_command(self, name: str, **arguments: object) -> object:
        with Qmp(self.qmp_socket) as qmp:
            return qmp.command(name, **arguments)

    # --- what happens inside ---

    def wait_ready(self) -> None:
        """Wait for labd's greeting; a panic or QEMU's end is an error at once."""
        if not self._channel:
            self._connect()
        assert self._channel
        end = time.monotonic() + BOOT_S
        while time.monotonic() < end:
            release = self._channel.hello(1)
            if release:
                break
            if not self.running():
                raise LabError(f"{self.name}: {self._why_dead()}")
            if "Kernel panic" in self.console_log:
                raise LabError(f"{self.name}: kernel panic while booting\n{self._console_tail()}")
        else:
            raise LabError(f"{self.name}: not up after {BOOT_S} s\n{self._console_tail()}")
        self.release = release
        if release != self.kernel.release:
            raise LabError(f"{self.name}: runs {release}, expected {self.kernel.release}")

    def call(self, command: str, timeout_s: float = REQUEST_S) -> Answer:
        """Run a shell command in the guest; its exit status is yours to judge."""
        return self._request("run", command, timeout_s)

    def sh(self, command: str, timeout_s: float = REQUEST_S) -> str:
        """Run a shell command in the guest and return what it printed; failure raises."""
        answer = self.call(command, timeout_s)
        if answer.status:
            raise LabError(f"{self.name}: '{command}' ended with status {answer.status}: "
                           f"{(answer.err or answer.out).decode(errors='replace').strip()}")
        return answer.out.decode(errors="surrogateescape")

    def fetch(self, path: str, timeout_s: float = REQUEST_S) -> bytes:
        """The contents of a file of the guest, also of /proc and /sys."""
        answer = self._request("get", path, timeout_s)
        if answer.status:
            raise LabError(f"{self.name}: reading {path}: {os.strerror(answer.status)}")
        return answer.out

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file in the guest."""
        answer = self._request("put", path, data, mode, REQUEST_S)
        if answer.status:
            raise LabError(f"{self.name}: writing {path}: {os.strerror(answer.status)}")

    def workload(self) -> list[tuple[str, int]]:
        """Start one of everything (guest/workload.c); which role has which PID."""
        lines = [line.split() for line in self.sh("workload").splitlines()]
        return [(role, int(pid)) for role, pid in lines]

    def insmod(self, module: str, **params: object) -> None:
        """Load a test module (modules/MODULE.c) built for this guest's kernel."""
        modules = built(self.kernel)
        if module not in modules:
            raise LabError(f"no test module '{module}' (there are: {' '.join(sorted(modules))})")
        self.load(modules[module].read_bytes(), " ".join(f"{key}={value}" for key, value in params.items()))

    def load(self, module: bytes, words: str = "") -> None:
        """Load a module that the guest does not have as a file."""
        answer = self._request("load", module, words, REQUEST_S)
        if answer.status:
            log = "\n  ".join(self.sh("dmesg").splitlines()[-8:])
            raise LabError(f"{self.name}: loading a module {words}: {os.strerror(answer.status)}\n  {log}")

    def rmmod(self, module: str) -> None:
        answer = self._request("unload", module, REQUEST_S)
        if answer.status:
            raise LabError(f"{self.name}: unloading {module}: {os.strerror(answer.status)}")

    def _request(self, what: str, *args: object) -> Answer:
        if not self._channel:
            raise LabError(f"{self.name}: no channel to the guest")
        try:
            return getattr(self._channel, what)(*args)
        except (LabError, OSError) as error:
            why = self._why_dead() if not self.running() else str(error)
            asked = f" {args[0]!r:.200}" if isinstance(args[0], str) else ""
            raise LabError(f"{self.name}: {what}{asked}: {why}\n{self._console_tail()}") from None

    def _connect(self) -> None:
        assert self._process
        end = time.monotonic() + 30
        while True:
            try:
                self._channel = Channel(self.dir / "lab")
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if self._process.poll() is not None:
                    raise LabError(f"{self.name}: {self._why_dead()}") from None
                if time.monotonic() > end:
                    raise LabError(f"{self.name}: QEMU made no socket for the guest's channel") from None
                time.sleep(0.01)

    def _drop_channel(self) -> None:
        if self._channel:
            self._channel.close()
            self._channel = None

    def _why_dead(self) -> str:
        errors = (self.dir / "stderr").read_text(errors="replace").strip()
        status = self._process.poll() if self._process else None
        return f"QEMU ended with status {status}: {errors or 'it said nothing'}"

    def _console_tail(self) -> str:
        return "\n".join(f"  | {line}" for line in self.console_log.splitlines()[-15:])
