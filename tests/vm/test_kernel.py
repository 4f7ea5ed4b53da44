#!/usr/bin/python3
"""The kernel model: what hvsm says of a kernel is what the kernel says of itself.

Every kernel as it comes, and the cloud flavours in every shape that changes how memory is laid
out: machine types, 4 and 5 levels of paging, PTI, no KASLR, EFI, RAM on both sides of the hole.
"""

from __future__ import annotations

import re
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import hvsm, scan  # noqa: E402

KERNELS = [f"{generation}-{flavour}" for generation in ("5.10", "6.1", "6.12", "new")
           for flavour in ("cloud", "generic")]
SHAPES: dict[str, dict[str, Any]] = {
    "q35_smp2": {"machine": "q35", "smp": 2},
    "microvm": {"machine": "microvm"},
    "la57": {"la57": True},
    "pti": {"pti": True},
    "la57_pti": {"la57": True, "pti": True, "smp": 2},
    "no_kaslr": {"kaslr": False},
    "efi": {"machine": "q35", "efi": True},
    "5g_pc": {"machine": "pc", "memory": "5G"},
    "5g_q35": {"machine": "q35", "memory": "5G"},
    "memfd": {"backend": "memfd"},
    "no_qmp": {"qmp": False, "memory": "5G"},
}


def target(guest: Guest) -> str:
    return f"qemu:{guest.pid}"


class KernelTest(unittest.TestCase):
    """One method per kernel and shape, made below."""

    def check_kernel(self, guest: Guest) -> None:
        truth = guest.fetch("/proc/kallsyms").decode()
        symbols = [line for line in truth.splitlines() if "\t[" not in line]
        seen = hvsm("symbols", target(guest))
        self.assertEqual((seen.status, seen.err), (0, ""))
        self.assertEqual(seen.out.splitlines(), symbols)

        info = hvsm("info", target(guest), "--json")
        self.assertEqual((info.status, info.err), (0, ""))
        kernel = info.json["kernel"]
        text = next(line.split()[0] for line in symbols if line.endswith(" _text"))
        self.assertIs(info.json["memory"]["confirmed"], True)
        self.assertEqual(kernel["release"], guest.sh("uname -r").strip())
        self.assertEqual(kernel["banner"], guest.sh("cat /proc/version").strip())
        self.assertEqual(int(kernel["text_base"], 16), int(text, 16))
        flags = guest.sh("grep -m1 ^flags /proc/cpuinfo").split()
        self.assertEqual(kernel["paging_levels"], 5 if "la57" in flags else 4)

        report = scan(target(guest))
        self.assertEqual(report.status, 0, report.out[:4000])
        self.assertEqual(report.json["verdict"], "clean")


def case(kernel: str, shape: dict[str, Any]) -> Callable[[KernelTest], None]:
    def run(self: KernelTest) -> None:
        with Guest(kernel, **shape) as guest:
            self.check_kernel(guest)
    return run


for name in KERNELS:
    shapes = {"plain": {}} | (SHAPES if name.endswith("-cloud") else {})
    for shape_name, shape_options in shapes.items():
        method = re.sub(r"\W", "_", f"test_{name}_{shape_name}")
        setattr(KernelTest, method, case(name, shape_options))


class RebootTest(unittest.TestCase):
    """What a reset leaves behind is never taken for a running kernel."""

    def test_scans_across_resets_are_never_wrong(self) -> None:
        with Guest("6.1-cloud") as guest:
            before = self.text_base(guest)
            for _ in range(5):
                guest.reset(wait=False)
                self.scan_until_up(guest)
                guest.wait_ready()
            self.assertNotEqual(before, self.text_base(guest))

    def test_scans_across_kexec_are_never_wrong(self) -> None:
        with Guest("6.1-cloud") as guest, ThreadPoolExecutor(1) as pool:
            before = self.text_base(guest)
            going = pool.submit(guest.kexec)
            while not going.done():
                report = scan(target(guest))
                self.assertIn(report.status, (0, 2, 3), report.out[:4000] + report.err)
            going.result()
            self.scan_until_up(guest)
            self.assertNotEqual(before, self.text_base(guest))

    def test_scans_from_power_on_are_never_wrong(self) -> None:
        for kernel in ("5.10-cloud", "6.1-generic", "6.12-cloud", "new-generic"):
            with self.subTest(kernel):
                guest = Guest(kernel)
                try:
                    guest.start(wait=False)
                    self.scan_until_up(guest)
                finally:
                    guest.stop()

    def text_base(self, guest: Guest) -> str:
        return hvsm("info", target(guest), "--json").json["kernel"]["text_base"]

    def scan_until_up(self, guest: Guest) -> None:
        """2: no kernel yet. 3: it boots, or what is there are remains. 0: it is up, and stays so."""
        clean = 0
        while clean < 3:
            self.assertTrue(guest.running(), guest.console_log)
            report = scan(target(guest))
            self.assertIn(report.status, (0, 2, 3), report.out[:4000] + report.err)
            if report.status == 2:
                self.assertEqual(len(report.err.splitlines()), 1, report.err)
            clean = clean + 1 if report.status == 0 else 0

    def test_paused_guest_is_inconclusive(self) -> None:
        with Guest("6.1-cloud") as guest:
            guest.qmp_command("stop")
            report = scan(target(guest))
            self.assertEqual(report.status, 3, report.out[:4000])
            self.assertIn("stands still", report.out)
            guest.qmp_command("cont")
            self.assertEqual(scan(target(guest)).status, 0)

    def test_guest_without_a_kernel(self) -> None:
        with Guest("6.1-cloud") as guest:
            guest.qmp_command("stop")
            guest.qmp_command("system_reset")
            # The boot loader never gets to run: what is there is firmware or remains.
            report = scan(target(guest))
            self.assertIn(report.status, (2, 3), report.out[:4000])

    def test_guest_that_ends_in_mid_scan(self) -> None:
        guest = Guest("6.1-cloud")
        with guest:
            where = target(guest)
            self.assertEqual(scan(where).status, 0)
        gone = scan(where)
        self.assertEqual(gone.status, 2)
        self.assertEqual(len(gone.err.splitlines()), 1, gone.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
