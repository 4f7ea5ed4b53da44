#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""References: found by build ID in packages, in the store, in what QEMU booted; fetched by apt."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.kernels import Kernel, fetch  # noqa: E402
from lab.product import hvsm, scan  # noqa: E402

KERNELS = ["5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud"]


def packages(kernel: Kernel) -> list[Path]:
    """Those of a kernel that hold it or its modules: in newer suites linux-image has neither."""
    new = [deb for deb in kernel.debs if deb.name.startswith(("linux-binary-", "linux-modules-"))]
    return new or [deb for deb in kernel.debs if deb.name.startswith("linux-image-")]


def options(debs: list[Path]) -> list[str]:
    return [word for deb in debs for word in ("--reference", str(deb))]


@contextlib.contextmanager
def archive(debs: list[Path]) -> Iterator[None]:
    """An apt that knows these packages, and no others; the host's is not touched."""
    with tempfile.TemporaryDirectory(prefix="hvsm-apt-") as folder:
        root = Path(folder)
        for name in ("lists/partial", "archives/partial", "empty.d", "pool"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        index = ""
        for deb in debs:
            (root / "pool" / deb.name).symlink_to(deb)
            control = subprocess.run(["dpkg-deb", "-f", deb, "Package", "Version", "Architecture"],
                                     check=True, capture_output=True, text=True).stdout
            index += (f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\n"
                      f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n\n")
        (root / "pool" / "Packages").write_text(index)
        (root / "sources.list").write_text(f"deb [trusted=yes] file:{root}/pool ./\n")
        (root / "apt.conf").write_text(
            f'Dir::Etc::main "/dev/null";\nDir::Etc::parts "{root}/empty.d";\n'
            f'Dir::Etc::sourcelist "{root}/sources.list";\nDir::Etc::sourceparts "{root}/empty.d";\n'
            f'Dir::State "{root}";\nDir::State::lists "{root}/lists";\n'
            f'Dir::State::status "{root}/status";\nDir::Cache "{root}";\n'
            f'Dir::Cache::archives "{root}/archives";\n'
            'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
            'APT::Architecture "amd64";\nAPT::Architectures { "amd64"; };\n'
            'APT::Sandbox::User "root";\n')
        with mock.patch.dict(os.environ, {"APT_CONFIG": str(root / "apt.conf")}):
            subprocess.run(["apt-get", "-q", "update"], check=True, capture_output=True)
            yield


class ReferenceTest(unittest.TestCase):
    """One method per kernel, made below; all with a store of their own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="hvsm-store-")
        self.addCleanup(folder.cleanup)
        patch = mock.patch.dict(os.environ, {"HVSM_STORE": f"{folder.name}/store"})
        patch.start()
        self.addCleanup(patch.stop)

    def sources(self) -> list[Any]:
        return hvsm("reference", "list", "--json").json["items"]

    def forget(self) -> None:
        for item in self.sources():
            self.assertEqual(hvsm("reference", "remove", item["id"]).status, 0)
        self.assertEqual(self.sources(), [])

    def clean(self, guest: Guest, *args: str) -> Any:
        outcome = scan(f"qemu:{guest.pid}", *args)
        self.assertEqual(outcome.status, 0, outcome.out + outcome.err)
        report = outcome.json
        results = {check["id"]: check["result"] for check in report["checks"]}
        self.assertEqual(results["kernel-code"], "clean")
        self.assertEqual(results["kernel-rodata"], "clean")
        return report

    def refused(self, *args: object) -> str:
        outcome = hvsm(*args)
        self.assertEqual((outcome.status, outcome.out), (2, ""), outcome)
        self.assertRegex(outcome.err, r"\Ahvsm: [^\n]+\n\Z")
        return outcome.err

    def what_qemu_booted(self, guest: Guest) -> None:
        """It serves without being named, and the store has it from then on."""
        for _ in range(2):
            found = self.clean(guest)["reference"]
            self.assertEqual((found["source"], found["path"], found["package"]),
                             ("kernel file", str(guest.kernel.vmlinuz), None))
        items = self.sources()
        self.assertEqual([(i["source"], i["release"], i["modules"]) for i in items],
                         [("kernel file", guest.kernel.release, 0)])

    def named_packages(self, guest: Guest) -> None:
        debs = packages(guest.kernel)
        report = self.clean(guest, *options(debs))
        found = report["reference"]
        self.assertEqual((found["source"], found["path"]), ("package", str(debs[0])))
        self.assertEqual(found["package"], debs[0].name.split("_")[0])
        self.assertEqual(found["version"], guest.kernel.version)
        self.assertEqual(found["sha256"], hashlib.sha256(debs[0].read_bytes()).hexdigest())
        self.complete(report)

    def complete(self, report: Any) -> None:
        """With kernel and modules at hand, all of it stands on the package."""
        results = {check["id"]: check["result"] for check in report["checks"]}
        self.assertEqual(results["module-code"], "clean")
        self.assertEqual(report["assurance"], "reference")

    def wrong_package(self, guest: Guest, other: Kernel) -> None:
        """It names both builds, and how to get the right one."""
        build = hvsm("info", f"qemu:{guest.pid}", "--json").json["kernel"]["build_id"]
        err = self.refused("scan", f"qemu:{guest.pid}", *options(packages(other)))
        for word in (build, guest.kernel.release, other.release, "hvsm reference fetch"):
            self.assertIn(word, err)

    def the_store(self, guest: Guest) -> None:
        """What was added is found by the next scan, before what QEMU booted."""
        debs = packages(guest.kernel)
        added = hvsm("reference", "add", *debs)
        self.assertEqual((added.status, added.err), (0, ""))
        report = self.clean(guest)
        self.assertEqual((report["reference"]["source"], report["reference"]["package"]),
                         ("package", debs[0].name.split("_")[0]))
        self.complete(report)
        self.baseline(guest)

    def baseline(self, guest: Guest) -> None:
        """What no package tells was recorded, for this boot of this guest alone."""
        with contextlib.closing(sqlite3.connect(f"{os.environ['HVSM_STORE']}/store.db")) as store:
            self.assertEqual(store.execute("SELECT guest FROM boot").fetchall(), [(guest.uuid,)])
            before = store.execute("SELECT item, sha256 FROM record").fetchall()
        self.assertTrue(before)
        self.clean(guest)
        guest.reset()
        outcome = scan(f"qemu:{guest.pid}")
        self.assertEqual(outcome.status, 0, outcome.out + outcome.err)
        with contextlib.closing(sqlite3.connect(f"{os.environ['HVSM_STORE']}/store.db")) as store:
            self.assertEqual(store.execute("SELECT count(*) FROM boot").fetchall(), [(2,)])

    def fetched(self, guest: Guest, other: Kernel) -> None:
        target = f"qemu:{guest.pid}"
        with archive(packages(other)):
            err = self.refused("reference", "fetch", target)
            self.assertIn("apt: ", err)
        with mock.patch.dict(os.environ, {"PATH": "/nonexistent"}):
            self.assertIn("no apt", self.refused("reference", "fetch", target))
        self.assertEqual(self.sources(), [])
        with archive(packages(guest.kernel)):
            done = hvsm("reference", "fetch", target)
        self.assertEqual((done.status, done.err), (0, ""))
        items = self.sources()
        self.assertEqual({i["package"] for i in items},
                         {deb.name.split("_")[0] for deb in packages(guest.kernel)})
        for item in items:
            self.assertEqual(item["version"], guest.kernel.version)
            self.assertIn("verified by apt", item["signature"])
        self.assertEqual(self.clean(guest)["reference"]["source"], "package")


def make(name: str) -> None:
    def test(self: ReferenceTest) -> None:
        other = fetch(KERNELS[KERNELS.index(name) - 1])
        with Guest(name) as guest:
            self.what_qemu_booted(guest)
            self.wrong_package(guest, other)
            self.forget()
            self.named_packages(guest)
            self.assertEqual(self.sources(), [])
            self.the_store(guest)
            self.forget()
            self.fetched(guest, other)

    setattr(ReferenceTest, "test_" + name.replace(".", "_").replace("-", "_"), test)


for kernel_name in KERNELS:
    make(kernel_name)

if __name__ == "__main__":
    unittest.main()
