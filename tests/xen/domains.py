"""Tests of guests of a real Xen host, which is emulated: the one host of a program, and what each asks hvsm in its dom0."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from xenlab import HERE, Domain, XenHost  # noqa: E402

from lab import agent  # noqa: E402
from lab.image import busybox, programs  # noqa: E402
from lab.kernels import Kernel  # noqa: E402
from lab.product import binary  # noqa: E402

STORE = "/share/store"
# Reached only where something hangs: nothing here is about how long it takes.
LIMIT_S = 600.0
# What an agent in the guest would be needed for.
BY_AGENT = {"agent-alive", "agent-code", "agent-log", "agent-presence", "agent-view", "agent-watch",
            "process-code", "process-digest", "process-replaced"}


class XenTest(unittest.TestCase):
    """One host for all."""

    host: XenHost
    kind = ""
    kernel = ""         # "": dom0's

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = shared_host()

    def hvsm(self, *args: object, status: int = 0) -> Any:
        """One JSON document of hvsm's in dom0."""
        answer = self.host.hvsm(*args, "--json")
        text = (answer.err + answer.out[-3000:]).decode(errors="replace")
        self.assertEqual(answer.status, status, text)
        self.assertNotIn("Sanitizer", text)
        return json.loads(answer.out)

    def runs(self, victim: Domain) -> bool:
        return bool(re.search(rf"^{victim.name} .* [rb-]{{2}}----? ", self.host.sh(f"xl list {victim.name}"), re.M))

    def ended(self, number: int) -> None:
        """Xen has nothing of it any more."""
        self.assertNotRegex(self.host.sh("xl list"), rf"(?m)^\S+ +{number} ")

    def reaches(self, victim: Domain) -> bool:
        return self.host.call(f"ping -c 1 -W 3 {victim.address}").status == 0


class GuestTest(XenTest):
    """Each class has its guest, too."""

    guest: Domain

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.guest = Domain(cls.host, cls.kind, kernel=cls.kernel)
        cls.addClassCleanup(cls.host.call, f"xl destroy {cls.guest.name}")
        cls.guest.create()

    def scan(self, *args: object, status: int = 0) -> Any:
        return self.hvsm("scan", self.guest.name, "--store", STORE, *args, status=status)


def known(host: XenHost, kernel: Kernel, *programs: Path) -> None:
    """Into the store: a kernel and its one module that guests load, and programs."""
    for what in (("reference", "add", *kernel.debs),
                 ("trust", "add", next(kernel.modules.rglob("overlay.ko*")), *programs)):
        subprocess.run([binary(), *what, "--store", host.shared / "store"], check=True, stdout=subprocess.DEVNULL)


_HOST: XenHost | None = None


def shared_host() -> XenHost:
    """The one host, with a store that has its guests' kernel."""
    global _HOST
    if not _HOST:
        host = XenHost()
        host.__enter__()
        unittest.addModuleCleanup(host.stop)
        known(host, host.kernel, busybox(), agent.built(), HERE / "domu-init", *programs().values())
        _HOST = host
    return _HOST
