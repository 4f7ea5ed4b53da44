#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Code of modules: what the distribution shipped is equal, however patched; a changed byte is one finding."""

from __future__ import annotations

import re
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import findings, hvsm, scan  # noqa: E402

KERNELS = [f"{generation}-{flavour}" for generation in ("5.10", "6.1", "6.12", "new")
           for flavour in ("cloud", "generic")]
CLOUD = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud")

# Processors on which the kernel patches itself otherwise; TCG has what they need.
PROCESSORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("skylake", {"cpu": "Skylake-Server-noTSX-IBRS,-cx16", "pti": True, "smp": 2}),
    ("epyc", {"cpu": "EPYC-v3,-cx16", "smp": 2}),
)
MODULES = ("loop", "dummy", "tun", "veth", "bridge", "nf_tables", "nft_ct", "ext4", "xfs", "sctp",
           "virtio_net", "fuse", "overlay", "btrfs", "kvm_intel", "kvm_amd", "vxlan", "wireguard")
TRACING = "/sys/kernel/tracing"

# How patch_code changes a module, in which of its symbols, and what the finding is called.
CHANGES = (
    ("middle", "dummy_setup", r"^dummy_setup \[dummy\]$"),
    ("byte", "dummy_setup", r"^dummy_setup \[dummy\]$"),
    ("ftrace_call", "dummy_setup", r"^dummy_setup \[dummy\]$"),
    ("ftrace_jump", "dummy_dev_init", r"^dummy_dev_init \[dummy\]$"),
    ("prologue", "dummy_dev_init", r"^dummy_dev_init \[dummy\]$"),
    ("int3", "dummy_dev_init", r"^dummy_dev_init \[dummy\]$"),
    ("byte", "dummy_netdev_ops", r"^dummy_netdev_ops \[dummy\]$"),
    ("slack", "dummy_setup", r"^dummy at 0x"),
)


class ModuleCodeTest(unittest.TestCase):
    """One method per kernel and question, made below."""

    def setUp(self) -> None:
        store = tempfile.TemporaryDirectory()
        self.addCleanup(store.cleanup)
        self.store = store.name

    def add_reference(self, guest: Guest) -> None:
        """Into the store, where it is unpacked once."""
        # Of sid's packages some only depend on others.
        debs = [deb for deb in guest.kernel.debs if deb.stat().st_size > 1 << 20]
        added = hvsm("reference", "add", "--store", self.store, *debs)
        self.assertEqual(added.status, 0, added.err)

    def look(self, guest: Guest) -> Any:
        report = scan(f"qemu:{guest.pid}", "--only", "module-code", "--store", self.store)
        self.assertIn(report.status, (0, 1, 3), report.out + report.err)
        return report.json

    def assert_clean(self, guest: Guest, what: str) -> Any:
        report = self.look(guest)
        self.assertEqual(findings(report), [], what)
        self.assertEqual(report["checks"][0]["result"], "clean", f"{what}: {report['checks']}")
        return report

    def check_shipped(self, guest: Guest) -> None:
        for module in MODULES:
            guest.call(f"modprobe -q {module}")
        loaded = len(guest.sh("cat /proc/modules").splitlines())
        self.assertGreater(loaded, 10)
        report = self.assert_clean(guest, "the distribution's modules")
        self.assertEqual(report["checks"][0]["covered"]["modules"], loaded)

    def check_foreign(self, guest: Guest) -> None:
        guest.insmod("hook_syscall64", nr=38)
        report = self.assert_clean(guest, "a module of our own")
        self.assertIn("hook_syscall64 (OE)", report["checks"][0]["reason"])
        guest.rmmod("hook_syscall64")

    def check_record(self, guest: Guest) -> None:
        """A module that the reference lacks is held against what it was in the first sweep."""
        guest.insmod("exec_page")
        self.assert_clean(guest, "a module that is new")
        self.check_change(guest, "byte", "exec_exit", r"^(exec_exit|cleanup_module) \[exec_page\]$")
        guest.rmmod("exec_page")
        guest.insmod("exec_page")
        self.assert_clean(guest, "another load of it")
        guest.rmmod("exec_page")

    def check_change(self, guest: Guest, mode: str, symbol: str, name: str) -> None:
        with self.subTest(mode=mode, symbol=symbol):
            guest.insmod("patch_code", mode=mode, symbol=symbol)
            address = int(guest.sh("cat /sys/module/patch_code/parameters/address"))
            report = self.look(guest)
            guest.rmmod("patch_code")
            found = findings(report)
            self.assertEqual(len(found), 1, found)
            self.assertEqual(found[0]["check"], "module-code")
            self.assertEqual(found[0]["severity"], "critical")
            self.assertRegex(found[0]["object"]["name"], name)
            places = [int(evidence["address"], 16) for evidence in found[0]["evidence"]
                      if evidence.get("address")]
            self.assertTrue(any(address - 8 <= place <= address + 8 for place in places), found)
            if mode in ("middle", "ftrace_call", "ftrace_jump", "prologue"):
                self.assertEqual(found[0]["owner"], "module patch_code")
            self.assert_clean(guest, f"after {mode}")

    def check_tracers(self, guest: Guest) -> None:
        probes = (f"echo 'p:lab1 dummy:dummy_setup' > {TRACING}/kprobe_events; "
                  f"echo 'r:lab2 dummy:dummy_dev_init' >> {TRACING}/kprobe_events; "
                  f"echo 1 > {TRACING}/events/kprobes/enable")
        steps = {
            "function tracer": f"echo function > {TRACING}/current_tracer",
            "tracepoints": f"echo 1 > {TRACING}/events/enable",
            "no tracepoints": f"echo 0 > {TRACING}/events/enable",
            "graph tracer": f"echo function_graph > {TRACING}/current_tracer",
            "no tracer": f"echo nop > {TRACING}/current_tracer",
            "kprobes": probes,
            "no kprobes": f"echo 0 > {TRACING}/events/kprobes/enable; echo > {TRACING}/kprobe_events",
        }
        for what, command in steps.items():
            guest.call(command)
            self.assert_clean(guest, what)
            time.sleep(0.5)      # kprobes are optimised a moment later
            self.assert_clean(guest, f"{what}, later")

    def check_all(self, kernel: str) -> None:
        """In one guest: each change is undone."""
        with Guest(kernel, memory="640M") as guest:
            self.add_reference(guest)
            self.check_shipped(guest)
            self.check_foreign(guest)
            for mode, symbol, name in CHANGES:
                self.check_change(guest, mode, symbol, name)
            self.check_record(guest)
            guest.insmod("exec_page")
            self.check_tracers(guest)

    def check_processors(self, kernel: str) -> None:
        for name, options in PROCESSORS:
            with self.subTest(cpu=name), Guest(kernel, memory="640M", **options) as guest:
                self.add_reference(guest)
                self.check_shipped(guest)


def case(check: str, kernel: str) -> Callable[[ModuleCodeTest], None]:
    return lambda self: getattr(self, check)(kernel)


for question, kernels in (("all", KERNELS), ("processors", CLOUD)):
    for kernel_name in kernels:
        method = re.sub(r"\W", "_", f"test_{question}_{kernel_name}")
        setattr(ModuleCodeTest, method, case(f"check_{question}", kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
