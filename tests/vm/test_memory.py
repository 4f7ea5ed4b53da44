#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Page tables and control registers: what a rootkit does to them is found once, by the right check."""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import findings, scan  # noqa: E402
from lab.technique import Technique  # noqa: E402

KERNELS = [f"{generation}-{flavour}" for generation in ("5.10", "6.1", "6.12", "new")
           for flavour in ("cloud", "generic")]
SHAPES: dict[str, dict[str, Any]] = {
    "pti_smp2": {"pti": True, "smp": 2},
    "la57_pti": {"la57": True, "pti": True},
    "efi": {"efi": True},
    "nokaslr": {"kaslr": False},
}
MINE = "page-tables,executable-memory"

# What was changed: the check that finds it, its object, and words of the title.
EXPECTED = {
    "text": ("page-tables", "memory at {address}", "Code of the kernel is mapped to other memory"),
    "task": ("page-tables", r"page table of {pid} \S+", "A process sees the kernel otherwise"),
    "program": ("page-tables", r"page table of {pid} \S+ while its program runs",
                "A process sees the kernel otherwise"),
    "open": ("page-tables", "memory at {address}", "open to programs"),
    "writable": ("executable-memory", "memory at {address}", "Code of the kernel that is writable"),
    "alias": ("executable-memory", "memory at {address}", "writable elsewhere"),
    "direct": ("executable-memory", "memory at {address}", "that no one owns"),
    "tail": ("executable-memory", r"memory at 0x[0-9a-f]+", "Code behind a trampoline of ftrace"),
    "slack": ("executable-memory", "memory at {address}", "Code in memory that BPF does not use"),
}


def changes(kernel: str, isolated: bool) -> list[str]:
    """Those that this kernel has the memory for."""
    return [how for how in EXPECTED
            if not (how == "slack" and kernel.startswith("5.10")) and not (how == "program" and not isolated)]


def row(name: str, title: str, check: str, evidence: str) -> Technique:
    return Technique(name, title, check, "", evidence, kernels=tuple(KERNELS))


PAGES = "the address, whose page table, the memory behind it and its rights"
DESCRIPTOR = "the descriptor or pointer that should be there and that is"
TECHNIQUES = (
    row("remapped-text", "code of the kernel mapped to other memory", "page-tables", PAGES),
    row("remapped-task", "the same in one process's page table", "page-tables", PAGES),
    row("remapped-program", "the same in the table that its program runs on (page table isolation)",
        "page-tables", PAGES),
    row("open-text", "memory of the kernel that programs may execute or write", "page-tables", PAGES),
    row("writable-text", "code of the kernel made writable", "executable-memory", PAGES),
    row("writable-alias", "code of the kernel writable at another address", "executable-memory", PAGES),
    row("direct-map", "the direct map made executable", "executable-memory", PAGES),
    row("trampoline-tail", "code behind a trampoline of ftrace", "executable-memory", PAGES),
    row("bpf-slack", "code in memory that BPF does not use", "executable-memory", PAGES),
    row("gdt", "gate or segment added to the GDT", "entry-points", DESCRIPTOR),
    row("ist", "stack on which an interrupt enters replaced", "entry-points", DESCRIPTOR),
    row("cpu-entry-area", "CPU entry area mapped to other memory", "entry-points", DESCRIPTOR),
    row("ldt", "call gate in a process's LDT", "entry-points", DESCRIPTOR),
    row("vdso", "code of the vDSO changed", "vdso", "the bytes that should be there and that are"),
    row("vsyscall", "vsyscall page changed", "vdso", "the bytes that should be there and that are"),
    row("real-mode", "trampoline on which CPUs start changed", "real-mode",
        "the bytes that should be there and that are"),
    row("wp-off", "CR0.WP turned off", "control-registers", "the register of each vCPU"),
    row("smep-off", "SMEP turned off, and unpinned", "control-registers", "the register and the kernel's copies"),
    row("smap-off", "SMAP turned off, and unpinned", "control-registers", "the register and the kernel's copies"),
)


class MemoryTest(unittest.TestCase):
    """One method per kernel and shape, made below."""

    def clean(self, guest: Guest, what: str) -> None:
        report = scan(f"qemu:{guest.pid}", "--only", MINE)
        self.assertEqual(findings(report.json), [], what)
        self.assertEqual(report.status, 0, f"{what}: {report.out}")

    def expect(self, guest: Guest, how: str, pid: int) -> None:
        check, name, title = EXPECTED[how]
        address = int(guest.sh("cat /sys/module/page_table/parameters/address"))
        report = scan(f"qemu:{guest.pid}", "--only", MINE)
        self.assertEqual(report.status, 1, report.out + report.err)
        found = findings(report.json)
        self.assertEqual([f["check"] for f in found], [check], report.out)
        self.assertRegex(found[0]["object"]["name"], f"^{name.format(address=hex(address), pid=pid)}$")
        self.assertIn(title, found[0]["title"])
        self.assertIn(found[0]["severity"], ("high", "critical"))

    def check_changes(self, kernel: str, shape: dict[str, Any]) -> None:
        with Guest(kernel, **shape) as guest:
            pid = guest.workload()[0][1]
            # The function tracer has a trampoline of its own while it is on.
            guest.sh("mount -t tracefs t /sys/kernel/tracing; cd /sys/kernel/tracing; "
                     "echo vfs_fsync > set_ftrace_filter; echo function > current_tracer")
            self.clean(guest, "before")
            for how in changes(kernel, bool(shape.get("pti"))):
                with self.subTest(how=how):
                    guest.insmod("page_table", how=how, pid=pid)
                    self.expect(guest, how, pid)
                    guest.rmmod("page_table")
                    self.clean(guest, f"after {how}")

    def check_forks(self, kernel: str) -> None:
        """Page tables that come and go are no findings."""
        with Guest(kernel, smp=2, pti=True) as guest:
            guest.sh("(while :; do for i in 1 2 3 4 5 6 7 8; do /bin/true & done; wait; done)"
                     " >/dev/null 2>&1 </dev/null &")
            for _ in range(20):
                self.clean(guest, "while processes come and go")


class EntryTest(unittest.TestCase):
    """What CPUs enter the kernel with, and the code that it gives to programs."""

    MINE = "entry-points,vdso,real-mode,idt,page-tables,executable-memory,kernel-code,kernel-rodata"
    EXPECTED = {
        "gdt": ("entry-points", r"CPU 0 GDT\[7\]"),
        "stack": ("entry-points", "CPU 0 IST 6"),
        "area": ("entry-points", "CPU [01] task state"),     # of the one that loaded the module
        "vdso": ("vdso", "vDSO of 64 bits"),
        "vsyscall": ("vdso", "content"),
        "trampoline": ("real-mode", "trampoline of CPUs"),
        "ldt": ("entry-points", r"LDT of {pid} \S+"),
    }

    def clean(self, guest: Guest, what: str) -> None:
        report = scan(f"qemu:{guest.pid}", "--only", self.MINE)
        self.assertEqual(findings(report.json), [], what)
        self.assertEqual(report.status, 0, f"{what}: {report.out}")

    def check_entries(self, kernel: str, shape: dict[str, Any]) -> None:
        with Guest(kernel, **shape) as guest:
            pid = guest.workload()[0][1]
            self.clean(guest, "before")
            for how, (check, name) in self.EXPECTED.items():
                with self.subTest(how=how):
                    guest.insmod("entry_point", how=how, pid=pid)
                    report = scan(f"qemu:{guest.pid}", "--only", self.MINE)
                    guest.rmmod("entry_point")
                    found = findings(report.json)
                    self.assertEqual([f["check"] for f in found], [check], report.out)
                    self.assertRegex(found[0]["object"]["name"], f"^{name.format(pid=pid)}$")
                    self.assertEqual(found[0]["severity"], "critical")
                    self.clean(guest, f"after {how}")


def entering(kernel: str, shape: dict[str, Any]) -> Callable[[EntryTest], None]:
    return lambda self: self.check_entries(kernel, shape)


class RegistersTest(unittest.TestCase):
    """Registers out of an image's notes, and by --registers from a running guest."""

    BITS = {"wp": "CR0.WP", "smep": "CR4.SMEP", "smap": "CR4.SMAP"}

    def expect(self, report: Any, how: str | None, cpus: int) -> None:
        found = findings(report.json)
        expected = [f"vCPU {i} {self.BITS[how]}" for i in range(cpus)] if how else []
        # CR4 is written anew with every flush of the TLB: to stay off, the kernel's own copies must be too.
        if how and how != "wp":
            expected += ["cr4_pinned_bits CR4", *(f"CPU {i}'s copy CR4" for i in range(cpus))]
        self.assertEqual(sorted(f["object"]["name"] for f in found), sorted(expected), report.out)
        self.assertEqual(report.status, 1 if how else 0, report.out + report.err)
        check = report.json["checks"][0]
        self.assertEqual(check["covered"]["vCPUs"], cpus)
        self.assertEqual(check["covered"]["copies of CR4"], cpus)

    def scan_both(self, guest: Guest, how: str | None) -> None:
        core = guest.dir / "core"
        core.unlink(missing_ok=True)
        guest.dump(core)
        for report in (scan(f"image:{core}", "--only", "control-registers"),
                       scan(f"qemu:{guest.pid}", "--registers", "--only", "control-registers")):
            self.expect(report, how, guest.smp)

    def check_registers(self, kernel: str) -> None:
        with Guest(kernel, memory="256M", smp=2, pti=True) as guest:
            self.scan_both(guest, None)
            report = scan(f"qemu:{guest.pid}", "--only", "control-registers")
            self.assertEqual(report.status, 0, report.out)
            self.assertNotIn("vCPUs", report.json["checks"][0]["covered"])
            self.assertIn("--registers", report.json["checks"][0]["reason"])
            for how in self.BITS:
                with self.subTest(how=how):
                    guest.insmod("control_register", how=how)
                    self.scan_both(guest, how)
                    guest.rmmod("control_register")
            self.scan_both(guest, None)

    def test_without_a_socket_registers_cannot_be_read(self) -> None:
        with Guest("6.1-cloud", qmp=False) as guest:
            report = scan(f"qemu:{guest.pid}", "--registers")
            self.assertEqual(report.status, 2, report.out)
            self.assertIn("no QMP socket", report.err)


def reading(kernel: str) -> Callable[[RegistersTest], None]:
    return lambda self: self.check_registers(kernel)


def changed(kernel: str, shape: dict[str, Any]) -> Callable[[MemoryTest], None]:
    return lambda self: self.check_changes(kernel, shape)


def forking(kernel: str) -> Callable[[MemoryTest], None]:
    return lambda self: self.check_forks(kernel)


for kernel_name in KERNELS:
    shapes = {"plain": {}} | (SHAPES if kernel_name.endswith("-cloud") else {})
    for shape_name, options in shapes.items():
        method = re.sub(r"\W", "_", f"test_{kernel_name}_{shape_name}")
        setattr(MemoryTest, method, changed(kernel_name, options))
        setattr(EntryTest, method, entering(kernel_name, options))
    if kernel_name.endswith("-cloud"):
        setattr(MemoryTest, re.sub(r"\W", "_", f"test_{kernel_name}_forks"), forking(kernel_name))
        setattr(RegistersTest, re.sub(r"\W", "_", f"test_{kernel_name}"), reading(kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
