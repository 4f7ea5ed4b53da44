"""A Xen host in an emulator, and guests in it: from Debian's packages alone.

QEMU emulates a machine on which Xen runs; its dom0 is the lab's busybox root with Xen's tools. The
tools, the product and the packages are shared with it over 9p, so that nothing is copied.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))

from lab import LabError  # noqa: E402
from lab import agent  # noqa: E402
from lab.apt import Apt  # noqa: E402
from lab.cache import cache_dir, digest, lock, made_whole, run, used  # noqa: E402
from lab.channel import Answer, Channel  # noqa: E402
from lab.image import Cpio, initramfs  # noqa: E402
from lab.kernels import Kernel, fetch  # noqa: E402
from lab.modules import built  # noqa: E402
from lab.product import TOP, binary  # noqa: E402

SUITE = "bookworm"
VERSION = "4.17"
KERNEL = "6.1-generic"      # the cloud flavour has no dom0
PACKAGES = (f"xen-hypervisor-{VERSION}-amd64", f"xen-utils-{VERSION}", "xen-utils-common", "xenstore-utils",
            "qemu-system-xen", "seabios")
TOOLS = ("xl", "xenstored", "xenconsoled", "xen-init-dom0", "libxl-save-helper")
DEVICE_MODEL = "usr/libexec/xen-qemu-system-i386"       # of HVM domains
FIRMWARE = ("linuxboot.bin", "linuxboot_dma.bin")
DOM0_MODULES = ("xen/xen-privcmd", "xen/xenfs/xenfs", "xen/xen-evtchn", "xen/xen-gntdev", "xen/xen-gntalloc",
                "net/xen-netback/xen-netback", "net/xen-netfront")
# What hvsm loads by itself, and libxl: no program names them.
LOADED = ("libxenforeignmemory.so.1", "libxencall.so.1", "libxenstore.so.4", "libxenevtchn.so.1",
          f"libxenctrl.so.{VERSION}", "libgcc_s.so.1")
PRODUCT = ("src/hvsm", "src/hvsmd", "src/hvsm-agent", "tests/vm/react")
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")

# The emulator of Debian 12 gets each of these wrong: Xen trips over the first three, and with AVX a
# guest takes an invalid opcode once another guest has run.
CPU = "EPYC,monitor=off,smap=off,rdtscp=off,xsave=off,avx=off,avx2=off,f16c=off,fma=off"
MEMORY = {"machine": 1408, "dom0": 512, "pv": 192, "pvh": 192, "hvm": 208}      # MiB
# Where an HVM guest's kernel and initramfs are put: beyond what its firmware uses (MiB).
HVM_KERNEL, HVM_ROOT = 32, 128
# Test modules that a guest has at hand; all of them would not fit.
NETWORK = "xen-netfront"
TECHNIQUES = ("hook_syscall64", "hook_idt", "hook_net", "hook_file", "hide_task", "hide_module", "patch_code",
              "control_register", "entry_point", "page_table", "fake_thread", "defer", "xen_entry")
BOOTS_MAX = 6
BOOT_S = 900        # guards against what hangs, no measure of anything
REQUEST_S = 300


def vmlinux(kernel: Kernel) -> Path:
    """The ELF file in a bzImage: Xen takes it at once, and unpacking it in the emulator takes long."""
    file = cache_dir("xen") / f"vmlinux-{kernel.release}-{digest(kernel.version)}"
    with lock("xen-vmlinux"):
        if not file.exists():
            image = kernel.vmlinuz.read_bytes()
            # Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length.
            start = (image[0x1f1] + 1) * 512 + int.from_bytes(image[0x248:0x24c], "little")
            packed = image[start:start + int.from_bytes(image[0x24c:0x250], "little")]
            part = file.with_suffix(".part")
            if packed.startswith(b"\xfd7zXZ"):
                part.write_bytes(lzma.LZMADecompressor().decompress(packed))
            else:   # the last 4 bytes are the size
                done = subprocess.run(["zstd", "-dcq"], input=packed[:-4], stdout=subprocess.PIPE, check=True)
                part.write_bytes(done.stdout)
            part.rename(file)
    return file


def hvm_setup(kernel: Kernel, root: Path) -> tuple[bytes, bytes]:
    """A bzImage in two: what the firmware reads of it, and what is in memory by then.

    The firmware reads kernel and initramfs byte by byte from the device model, which takes minutes here.
    So it gets the real-mode part alone, with a few instructions behind it that know where the device
    model has put the rest.
    """
    image = kernel.vmlinuz.read_bytes()
    end = (image[0x1f1] + 1) * 512
    # Documentation/arch/x86/boot.rst: %esi leads to ramdisk_image and ramdisk_size, which the firmware set.
    jump = struct.pack("<HIIHIIBIH", 0x86c7, 0x218, HVM_ROOT << 20, 0x86c7, 0x21c, root.stat().st_size,
                       0xb8, HVM_KERNEL << 20, 0xe0ff)
    return image[:end] + jump, image[end:]


def _packages() -> list[Path]:
    """Xen as Debian has it, and the kernel's package for its modules."""
    meta = cache_dir("xen") / f"packages-{digest(' '.join(PACKAGES))}.json"
    with lock("xen-packages"):
        if meta.exists():
            debs = [cache_dir("debs") / name for name in json.loads(meta.read_text())]
            if all(deb.exists() for deb in debs):
                return debs
        apt = Apt(SUITE)
        apt.update()
        debs = [apt.download(package) for package in PACKAGES]
        meta.write_text(json.dumps([deb.name for deb in debs]))
        return debs


def _products() -> list[Path]:
    return [binary(), binary().parent / "hvsmd"]


def tools(kernel: Kernel) -> Path:
    """What dom0 has of Xen: xen.elf, bin/, lib/, modules/."""
    debs = _packages()
    needed = {library for program in _products() for library in _needed(program)}
    key = digest(Path(__file__), kernel.release, kernel.version, *(deb.name for deb in debs),
                 *sorted(needed))
    place = cache_dir("xen") / f"tools-{key}"
    with lock("xen-tools"):
        if not place.is_dir():
            with made_whole(place) as part:
                _unpack([*debs, *kernel.debs], kernel, part)
        return used(place, "tools-*")


def _unpack(debs: list[Path], kernel: Kernel, part: Path) -> None:
    tree = part / "tree"
    for deb in debs:
        run("dpkg-deb", "-x", deb, tree, what=deb.name)
    for name in ("bin", "lib", "modules", "libexec", "share/qemu", "share/seabios"):
        (part / name).mkdir(parents=True)
    # A 32-bit multiboot ELF, which QEMU's -kernel takes; packed it does not.
    with open(part / "xen.elf", "wb") as file:
        subprocess.run(["gzip", "-dc", tree / f"boot/xen-{VERSION}-amd64.gz"], stdout=file, check=True)
    for name in TOOLS:
        shutil.copy(tree / f"usr/lib/xen-{VERSION}/bin/{name}", part / "bin")
    shutil.copy(tree / "usr/bin/xenstore", part / "bin")
    shutil.copy("/usr/bin/setpriv", part / "bin")       # busybox' knows no bounding set
    for name in ("ls", "read", "write", "list", "rm"):
        (part / f"bin/xenstore-{name}").symlink_to("xenstore")
    shutil.copytree(tree / f"usr/lib/xen-{VERSION}/boot", part / "boot")
    shutil.copy(tree / DEVICE_MODEL, part / "libexec")
    shutil.copy(tree / "usr/share/seabios/bios-256k.bin", part / "share/seabios")
    for name in FIRMWARE:
        shutil.copy(f"/usr/share/qemu/{name}", part / "share/qemu")
    shutil.copytree("/usr/share/qemu/keymaps", part / "share/qemu/keymaps")
    for name in DOM0_MODULES:
        shutil.copy(tree / f"lib/modules/{kernel.release}/kernel/drivers/{name}.ko", part / "modules")
    libraries = {LIBRARIES / name for name in LOADED}
    for program in [*(part / "bin" / name for name in (*TOOLS, "xenstore", "setpriv")),
                    part / "libexec" / Path(DEVICE_MODEL).name, *list(libraries), *_products()]:
        libraries |= _needed(program)
    for library in libraries:
        shutil.copy(library, part / "lib")
    shutil.copy("/lib64/ld-linux-x86-64.so.2", part / "lib")
    shutil.copytree(tree / "etc/xen", part / "etc-xen")
    shutil.rmtree(tree)


def _needed(program: Path) -> set[Path]:
    text = run("ldd", program, what=f"libraries of {program.name}")
    missing = re.findall(r"(\S+) => not found", text)
    if missing:
        raise LabError(f"{program.name}: no {' '.join(missing)} on this host (libxen-dev brings Xen's)")
    return {Path(path) for path in re.findall(r"=> (/\S+)", text)}


def _root(kernel: Kernel, name: str, modules: dict[str, Path], measure: Path | None = None) -> Path:
    """The lab's root with another first program: a second archive whose file replaces the first's."""
    root = initramfs(kernel)
    source = HERE / f"{name}-init"
    key = digest(root.name, source, *modules, *modules.values(), *filter(None, [measure]))
    file = cache_dir("images") / f"xen-{name}-{key}.cpio"
    with lock(f"xen-image-{name}"):
        if not file.exists():
            cpio = Cpio()
            cpio.add("init", 0o100755, source.read_bytes())
            if measure:
                cpio.add(agent.PROGRAM.lstrip("/"), 0o100755, measure.read_bytes())
            cpio.add("modules", 0o040755)
            for module, path in modules.items():
                cpio.add(f"modules/{module}.ko", 0o100644, path.read_bytes())
            data = root.read_bytes()
            part = file.with_suffix(".part")
            part.write_bytes(data + bytes(-len(data) % 4) + cpio.finish())
            part.rename(file)
        return used(file, f"xen-{name}-*.cpio")


def box() -> str:
    """A script that runs its arguments with what hvsmd.service leaves of dom0: files, devices, capabilities."""
    words: dict[str, list[str]] = {}
    for line in (TOP / "src/monitor/hvsmd.service").read_text().splitlines():
        key, _, value = line.partition("=")
        words.setdefault(key, []).extend(value.split())
    capabilities = ",".join("+" + name.removeprefix("CAP_").lower() for name in words["CapabilityBoundingSet"])
    devices = " ".join(word for word in words["DeviceAllow"] if word.startswith("/"))
    writable = " ".join(path.lstrip("-") for path in words["ReadWritePaths"])
    assert words["ProtectSystem"] == ["strict"] and words["NoNewPrivileges"] == ["yes"]
    return f"""#!/bin/sh
[ "$1" = -- ] || exec unshare -m "$0" -- "$@"
shift
mount --make-rprivate /
mkdir -p /tmp/box && mount --bind / /tmp/box && cd /tmp/box || exit 1
for d in proc sys tools build share; do mount --rbind /$d $d || exit 1; done
for d in {writable}; do [ ! -e $d ] || mount --bind $d ./$d || exit 1; done
mount -t tmpfs tmpfs dev && mkdir dev/xen || exit 1
for d in /dev/null /dev/zero /dev/full /dev/random /dev/urandom {devices}; do cp -a $d ./$d || exit 1; done
mount -o remount,bind,ro . || exit 1
exec chroot . /tools/bin/setpriv --no-new-privs --bounding-set=-all,{capabilities} "$@"
"""


class XenHost:
    """A machine with Xen, and its dom0. A context manager: it is up on entry, and gone after it."""

    def __init__(self) -> None:
        self.kernel = fetch(KERNEL)
        self.tools = tools(self.kernel)
        modules = built(self.kernel)
        self.domu_root = _root(self.kernel, "domu", {name: modules[name] for name in TECHNIQUES} |
                               {NETWORK: self.tools / f"modules/{NETWORK}.ko"}, agent.built())
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._temp: tempfile.TemporaryDirectory[str] | None = None
        self._crashed: set[str] = set()

    def __enter__(self) -> "XenHost":
        self._temp = tempfile.TemporaryDirectory(prefix=f"hvsm-lab-{os.getpid()}-xen-")
        try:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._argv()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=open(self.dir / "stderr", "wb"))
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        if self._channel:
            self._channel.close()
            self._channel = None
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._temp:
            self._temp.cleanup()
            self._temp = None

    @property
    def dir(self) -> Path:
        assert self._temp
        return Path(self._temp.name)

    @property
    def console_log(self) -> str:
        path = self.dir / "console"
        return path.read_bytes().decode(errors="replace") if path.exists() else ""

    def _argv(self) -> list[str]:
        elf = vmlinux(self.kernel)
        root = _root(self.kernel, "dom0", {})
        self.shared.mkdir()
        self.kernels.mkdir()
        for name, source in (("vmlinux", elf), ("domu.cpio", self.domu_root)):
            shutil.copy(source, self.kernels / name)
        for name, data in zip(("hvm-setup", "hvm-kernel"), hvm_setup(self.kernel, self.domu_root)):
            (self.kernels / name).write_bytes(data)
        shares = {"tools": self.tools, "build": self._product(), "kernels": self.kernels, "share": self.shared}
        argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", CPU,
                "-smp", "2", "-m", f"{MEMORY['machine']}M", "-nodefaults", "-no-reboot", "-display", "none",
                "-serial", f"file:{self.dir}/console",
                "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=lab,path={self.dir}/lab,server=on,wait=off",
                "-device", "virtserialport,chardev=lab,name=hvsm.lab",
                "-kernel", str(self.tools / "xen.elf"),
                "-append", "console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=warning "
                           f"dom0_mem={MEMORY['dom0']}M,max:{MEMORY['dom0']}M dom0_max_vcpus=1",
                "-initrd", f"{elf} console=hvc0 quiet rodata=off cryptomgr.notests,{root}"]
        for tag, path in shares.items():
            argv += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap"
                     + ("" if tag == "share" else ",readonly=on")]
        return argv

    def _product(self) -> Path:
        """A copy, which stays what it is: what runs from a file that is built anew loses it."""
        copy = self.dir / "build"
        for name in PRODUCT:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(binary().parents[1] / name, copy / name)
        return copy

    def _wait_ready(self) -> None:
        assert self._process
        end = time.monotonic() + BOOT_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise LabError("QEMU ended: " + (self.dir / "stderr").read_text(errors="replace"))
            if "Kernel panic" in self.console_log:
                raise LabError(f"dom0 panics\n{self.console_log[-3000:]}")
            try:
                if not self._channel:
                    self._channel = Channel(self.dir / "lab")
                if self._channel.hello(1):
                    return
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.05)
        raise LabError(f"dom0 is not up after {BOOT_S} s\n{self.console_log[-3000:]}")

    def share_kernel(self, name: str) -> str:
        """Have dom0 have another kernel for its guests; the suffix of its files in /kernels."""
        kernel = fetch(name)
        if not (self.kernels / f"vmlinux-{name}").exists():
            modules = built(kernel)
            shutil.copy(_root(kernel, "domu", {name: modules[name] for name in TECHNIQUES}, agent.built()),
                        self.kernels / f"domu-{name}.cpio")
            shutil.copy(vmlinux(kernel), self.kernels / f"vmlinux-{name}")
        return f"-{name}"

    # --- what happens in dom0 ---

    def call(self, command: str, timeout_s: float = REQUEST_S) -> Answer:
        """Run a shell command in dom0."""
        assert self._channel
        return self._channel.run(command, timeout_s)

    def new_crashes(self) -> list[str]:
        """Numbers of domains that Xen ended, as their vCPU could not go on, since the last call."""
        seen = set(re.findall(r"CONTEXT: hvm guest \(d(\d+)v", self.sh("xl dmesg")))
        new, self._crashed = seen - self._crashed, self._crashed | seen
        return sorted(new, key=int)

    def sh(self, command: str, timeout_s: float = REQUEST_S) -> str:
        """The same; failure raises."""
        answer = self.call(command, timeout_s)
        if answer.status:
            raise LabError(f"dom0: '{command}' ended with status {answer.status}: "
                           f"{(answer.err or answer.out).decode(errors='replace').strip()}")
        return answer.out.decode(errors="replace")

    def renew(self) -> None:
        """Take the product as it is built now; nothing of it may run."""
        self._product()
        self.sh("umount /build && share build loose")

    def hvsm(self, *args: object) -> Answer:
        """The product, as it was built, in dom0."""
        words = " ".join(shlex.quote(str(arg)) for arg in args)
        return self.call(f"/build/src/hvsm {words}")

    @property
    def kernels(self) -> Path:
        """What guests boot. dom0 keeps it in memory: libxl maps these files, and so reads them page by page."""
        return self.dir / "kernels"

    @property
    def shared(self) -> Path:
        """A directory that dom0 has as /share."""
        return self.dir / "share"


class Domain:
    """A guest of that host, driven over its console. A context manager, too."""

    def __init__(self, host: XenHost, kind: str, name: str | None = None, append: str = "",
                 network: bool = False, reboot: str = "destroy", kernel: str = "", vcpus: int = 1,
                 most: int = 0) -> None:
        self.host, self.kind, self.name = host, kind, name or f"lab-{kind}"
        self.append, self.network, self.reboot = append, network, reboot
        self.kernel, self.vcpus = kernel, vcpus         # "": that of dom0
        self.most = most                # MiB that it may have later
        self.boots = 0
        self.system = "busybox"
        self.requests = 0
        self.id = 0
        self.uuid = ""
        self.address = "10.9.9.2"       # with network=True: dom0 reaches it there

    @property
    def log(self) -> str:
        return f"/var/log/xen/console/guest-{self.name}.log"

    def __enter__(self) -> "Domain":
        self.create()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.host.call(f"xl destroy {self.name}")

    def create(self) -> None:
        """Start it, and wait until its shell answers."""
        words = f"console=hvc0 quiet loglevel=3 cryptomgr.notests {self.append}"
        suffix = self.host.share_kernel(self.kernel) if self.kernel else ""
        config = {"name": self.name, "type": self.kind, "kernel": f"/kernels/vmlinux{suffix}",
                  "ramdisk": f"/kernels/domu{suffix}.cpio",
                  "extra": words, "memory": MEMORY[self.kind], "vcpus": self.vcpus, "tsc_mode": "native",
                  "on_crash": "preserve", "on_reboot": self.reboot, "on_poweroff": "destroy"}
        if self.most:
            config["maxmem"] = self.most
        if self.network:
            config["vif"] = ["script=/etc/hvsm-vif"]
        if self.kind == "hvm":
            config |= {"kernel": "/kernels/hvm-setup", "vga": "none", "nographic": 1, "sdl": 0, "vnc": 0, "usb": 0,
                       "device_model_args_hvm": [
                           word for file, mib in (("hvm-kernel", HVM_KERNEL), ("domu.cpio", HVM_ROOT))
                           for word in ("-device", f"loader,file=/kernels/{file},addr={mib << 20:#x},force-raw=on")]}
            del config["ramdisk"]
        (self.host.shared / f"{self.name}.cfg").write_text(
            "".join(f"{key}={json.dumps(value)}\n" for key, value in config.items()))
        self._start()
        self.wait_next()
        self.uuid = self.host.sh(f"xenstore-read /local/domain/{self.id}/vm").strip().removeprefix("/vm/")
        if self.network:
            self.insmod(NETWORK)
            self.sh(f"ip link set eth0 up && ip addr add {self.address}/24 dev eth0")

    def wait_next(self) -> None:
        """Until it has booted once more: as another domain, if before it was one.

        QEMU's SVM ends a guest now and then while it boots, mostly as it reads the PIT some ten thousand
        times: the state that Xen logs as the guest's is partly its own (CS, RSP, CR3). Then it is begun anew."""
        for _ in range(BOOTS_MAX - 1):
            try:
                self._wait_boot()
                return
            except LabError:
                crashed = self.host.new_crashes()
                if not crashed:
                    raise
                print(f"{self.name}: the emulator crashed domain {', '.join(crashed)} as it booted: once more",
                      file=sys.stderr, flush=True)
            # One that is to be restarted may just be: by another xl, which gives up when it is destroyed.
            self.host.call(f"xl destroy {self.name}")
            self._start(f"xl destroy {self.name} && sleep 1")
        self._wait_boot()

    def _start(self, otherwise: str = "false") -> None:
        """@otherwise: what helps where it cannot be created, so that it is tried once more."""
        create = f"xl create -q /share/{self.name}.cfg"
        self.host.sh(f"rm -f {self.log}; {create} || {{ {otherwise} && {create}; }}")
        self.boots = 0

    def _wait_boot(self) -> None:
        self.boots += 1
        gone = f"! xl domid {self.name} >/dev/null 2>&1" if self.boots == 1 else "false"
        # All in dom0, and xl not each time: what waits must not take the time that it waits for.
        answer = self.host.call(
            f"n=0; until [ $(cat {self.log} 2>/dev/null | grep -c LAB-READY) -ge {self.boots} ]; do n=$((n + 1)); "
            f"if [ $n -gt {2 * BOOT_S} ] || {{ [ $((n % 10)) = 0 ] && {gone}; }}; then exit 1; fi; sleep 0.5; done",
            2 * BOOT_S)
        if answer.status:
            log = self.host.call(f"tail -n 30 {self.log}; xl dmesg | tail").out.decode(errors="replace")
            raise LabError(f"{self.name} does not come up\n{log}")
        self.id = int(self.host.sh(f"xl domid {self.name}"))

    def save_and_restore(self) -> None:
        """Through a pipe: a file of 9p takes no pages of a guest."""
        self.host.sh("rm -f /tmp/pipe; mkfifo /tmp/pipe; cat /tmp/pipe >/share/saved & "
                     f"xl save {self.name} /tmp/pipe && wait $! && xl restore /share/saved; s=$?; "
                     "rm -f /share/saved; exit $s", BOOT_S)
        self.id = int(self.host.sh(f"xl domid {self.name}"))

    def migrate(self) -> None:
        """To this very host, alive: there it is another domain by the time that this one ends."""
        self.host.sh(f"xl migrate -s '' {self.name} 'xl migrate-receive'", BOOT_S)
        self.id = int(self.host.sh(f"xl domid {self.name}"))

    def send(self, command: str) -> None:
        """To its shell; there is no answer."""
        self.host.sh(f"printf '%s\\n' {shlex.quote(f'0 {command}')} "
                     f">$(xenstore-read /local/domain/{self.id}/console/tty)")

    def call(self, command: str, timeout_s: float = REQUEST_S) -> tuple[int, str]:
        """Run a shell command in the guest; its status, and what it printed (stdout and stderr)."""
        self.requests += 1
        mark = f"LAB-{self.requests}-"
        line = shlex.quote(f"{self.requests} {command}")
        start = int(self.host.sh(f"stat -c %s {self.log}"))
        out = self.host.sh(
            f"printf '%s\\n' {line} >$(xenstore-read /local/domain/{self.id}/console/tty); n=0; "
            f"until tail -c +{start + 1} {self.log} | grep -q '^{mark}END [0-9]' || [ $n -ge {int(timeout_s * 10)} ]; do "
            # What waits must not take the time that it waits for.
            f"s=$((n < 10 ? 1 : 2)); n=$((n + s)); sleep 0.$s; done; tail -c +{start + 1} {self.log}", 2 * timeout_s)
        found = re.search(rf"{mark}BEGIN\n(.*){mark}END (\d+)\n", out.replace("\r", ""), re.S)
        if found:
            return int(found[2]), found[1]
        raise LabError(f"{self.name}: '{command}' did not end: {out[-2000:]}")

    def sh(self, command: str, timeout_s: float = REQUEST_S) -> str:
        status, out = self.call(command, timeout_s)
        if status:
            raise LabError(f"{self.name}: '{command}' ended with status {status}: {out}")
        return out

    def insmod(self, module: str, **params: object) -> None:
        """Load one of TECHNIQUES."""
        words = " ".join(f"{key}={value}" for key, value in params.items())
        self.sh(f"insmod /modules/{module}.ko {words}")

    def rmmod(self, module: str) -> None:
        self.sh(f"rmmod {module}")
