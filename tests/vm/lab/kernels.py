"""The kernels that the product is proven on, taken from Debian's suites by package name."""

from __future__ import annotations

import json
import lzma
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import LabError
from .apt import Apt
from .cache import cache_dir, digest, lock, made_whole, progress, run

# generation -> suite; "new" is whatever Debian calls newest today
GENERATIONS = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "new": "sid"}
# flavour -> meta package
FLAVOURS = {"cloud": "linux-image-cloud-amd64", "generic": "linux-image-amd64"}

# What the guest may load: what it needs to talk to the lab, and enough ordinary ones that its
# list of modules looks like a machine's. Those that a kernel lacks or has built in are left out.
MODULES = """
virtio_pci virtio_mmio virtio_console virtio_net virtio_blk virtio_rng virtio_balloon
overlay loop fuse tun dummy veth bridge nf_tables nf_conntrack nft_ct nft_chain_nat xt_conntrack
ip_tables iptable_filter ext4 xfs squashfs isofs autofs4 dm_mod crc32c_generic sch_fq_codel
vsock vhost_net e1000 9p 9pnet_virtio binfmt_misc configfs efivarfs sctp kprobe_example
""".split()

# Loaded by the guest's init, in this order.
BOOT_MODULES = ("virtio_pci", "virtio_mmio", "virtio_console", "overlay")


@dataclass(frozen=True)
class Kernel:
    """One kernel in the cache."""

    name: str       # "6.1-cloud": what the command line and the tests call it
    suite: str      # "bookworm"
    flavour: str    # "cloud"
    release: str    # "6.1.0-32-cloud-amd64": what uname -r says
    version: str    # the package's version
    dir: Path       # holds vmlinuz, config and modules/ (lib/modules/RELEASE of the guest)
    debs: tuple[Path, ...]

    @property
    def vmlinuz(self) -> Path:
        return self.dir / "vmlinuz"

    @property
    def config(self) -> Path:
        return self.dir / "config"

    @property
    def modules(self) -> Path:
        return self.dir / "modules"

    @property
    def numbers(self) -> tuple[int, int]:
        """(6, 12): only for what the lab must do to boot it, never for the product."""
        found = re.match(r"(\d+)\.(\d+)", self.release)
        if not found:
            raise LabError(f"{self.name}: cannot read the release '{self.release}'")
        return int(found[1]), int(found[2])


def names() -> list[str]:
    """Every kernel's name, in order of age."""
    return [f"{generation}-{flavour}" for generation in GENERATIONS for flavour in FLAVOURS]


def full_name(name: str) -> str:
    """The name in full: a bare generation means its cloud flavour."""
    name = f"{name}-cloud" if name in GENERATIONS else name
    if name not in names():
        raise LabError(f"no kernel '{name}' (there are: {' '.join(names())})")
    return name


def cached(name: str) -> Kernel | None:
    """The kernel, if it is in the cache and made from today's list of modules."""
    path = cache_dir("kernels") / name
    try:
        meta = json.loads((path / "meta.json").read_text())
    except FileNotFoundError:
        return None
    if meta["selection"] != digest(" ".join(MODULES)):
        return None
    debs = tuple(cache_dir("debs") / deb for deb in meta["debs"])
    return Kernel(name, meta["suite"], meta["flavour"], meta["release"], meta["version"], path, debs)


def fetch(name: str, refresh: bool = False) -> Kernel:
    """The kernel NAME, from the cache; otherwise (or with REFRESH) the newest from Debian."""
    name = full_name(name)
    with lock(f"kernel-{name}"):
        kernel = cached(name)
        if kernel and not refresh:
            return kernel
        debs = None if refresh else _debs_of_old(name)
        debs = debs or _download(name)
        _unpack(name, debs)
    kernel = cached(name)
    if not kernel:
        raise LabError(f"{name}: not in the cache after it was put there")
    return kernel


def shipped(kernel: Kernel, module: str) -> bytes:
    """A module that the lab's guests have no use for elsewhere, out of the kernel's package."""
    for deb in kernel.debs:
        for line in run("dpkg-deb", "-c", deb, what=f"{deb.name}: listing").splitlines():
            path = line.split()[-1]
            if "/kernel/" in path and _module_name(path) == module:
                data = subprocess.run(f"dpkg-deb --fsys-tarfile {deb} | tar -xO {path}", shell=True, check=True,
                                      stdout=subprocess.PIPE).stdout
                return lzma.decompress(data) if path.endswith(".xz") else data
    raise LabError(f"{kernel.name}: no module {module} in {[deb.name for deb in kernel.debs]}")


def _debs_of_old(name: str) -> list[Path] | None:
    """The packages of a kernel whose selection of modules is outdated: no need for the network."""
    try:
        meta = json.loads((cache_dir("kernels") / name / "meta.json").read_text())
    except FileNotFoundError:
        return None
    debs = [cache_dir("debs") / deb for deb in meta["debs"]]
    return debs if all(deb.exists() for deb in debs) else None


def _download(name: str) -> list[Path]:
    generation, flavour = name.rsplit("-", 1)
    apt = Apt(GENERATIONS[generation])
    apt.update()
    # The meta package itself holds nothing; newer suites split the image over several packages.
    packages = apt.closure(FLAVOURS[flavour], r"linux-(image|binary|modules|base)-\d")
    return [apt.download(package) for package in packages[1:]]


def _unpack(name: str, debs: list[Path]) -> None:
    generation, flavour = name.rsplit("-", 1)
    with made_whole(cache_dir("kernels") / name) as part:
        tree = part / "tree"
        for deb in debs:
            progress(f"{name}: unpacking {deb.name}")
            run("dpkg-deb", "-x", deb, tree, what=f"{name}: unpacking")
        modules = _only(name, "directory of modules",
                        [path for top in ("lib/modules", "usr/lib/modules")
                         for path in tree.glob(f"{top}/*") if (path / "kernel").is_dir()])
        release = modules.name
        image = _only(name, "vmlinuz", [*tree.glob("boot/vmlinuz-*"), *modules.glob("vmlinuz*")])
        shutil.copyfile(image, part / "vmlinuz")
        for config in [*tree.glob("boot/config-*"), *modules.glob("config")]:
            shutil.copyfile(config, part / "config")
        _select_modules(name, release, modules, part / "modules")
        shutil.rmtree(tree)
        (part / "meta.json").write_text(json.dumps({
            "suite": GENERATIONS[generation], "flavour": flavour, "release": release,
            "version": debs[0].name.split("_")[1].replace("%3a", ":"),
            "selection": digest(" ".join(MODULES)), "debs": [deb.name for deb in debs]}, indent=1))
    progress(f"{name}: {release}")


def _only(name: str, what: str, found: list[Path]) -> Path:
    if len(found) != 1:
        raise LabError(f"{name}: expected one {what} in its packages, found {len(found)}")
    return found[0]


def _select_modules(name: str, release: str, source: Path, target: Path) -> None:
    """Copy MODULES with all they need, uncompressed, so that busybox can load them."""
    # depmod looks in BASE/lib/modules, and the tree has that at its top or in its usr.
    run("depmod", "-b", source.parents[2], release, what=f"{name}: depmod")
    paths: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    for line in (source / "modules.dep").read_text().splitlines():
        path, _, deps = line.partition(":")
        paths[_module_name(path)] = path
        needs[_module_name(path)] = [_module_name(dep) for dep in deps.split()]
    todo, taken = [module for module in MODULES if module in paths], set()
    while todo:
        module = todo.pop()
        if module not in taken:
            taken.add(module)
            todo += needs[module]
    for module in sorted(taken):
        _copy_module(source / paths[module], target / re.sub(r"\.(xz|zst|gz)$", "", paths[module]))
    for file in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (source / file).exists():
            shutil.copyfile(source / file, target / file)


def _module_name(path: str) -> str:
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def _copy_module(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unpack = {".xz": ["xz", "-dc"], ".zst": ["zstd", "-dqc"], ".gz": ["gzip", "-dc"]}
    if source.suffix in unpack:
        with open(target, "wb") as file:
            subprocess.run([*unpack[source.suffix], str(source)], stdout=file, check=True)
    else:
        shutil.copyfile(source, target)
