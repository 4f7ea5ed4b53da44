#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""System calls and interrupts: each hook is found, by the right check, on the right object, with its owner."""

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
    "la57_pti_smp2": {"la57": True, "pti": True, "smp": 2},
    "no_retpoline": {"append": "mitigations=off"},
}
MINE = "syscall-table,syscall32-table,syscall-dispatch,idt,hidden-module,executable-memory"
KILL, GETPID, GETPID_32 = 62, 39, 20


def row(name: str, title: str, check: str, seen_in: str = "", **more: Any) -> Technique:
    return Technique(name, title, check, "", "the entry, where it should lead and where it does, and whose "
                     "code is there", kernels=tuple(KERNELS), seen_in=seen_in, **more)


TECHNIQUES = (
    row("syscall-table", "entry of sys_call_table replaced", "syscall-table", "Diamorphine"),
    row("syscall32-table", "entry of ia32_sys_call_table replaced", "syscall32-table",
        also=("syscall-dispatch",)),
    row("syscall-dispatch", "dispatch of system calls patched in code", "syscall-dispatch", "SucKIT"),
    row("idt", "gate of the IDT replaced", "idt"),
)


def target(guest: Guest) -> str:
    return f"qemu:{guest.pid}"


class SyscallTest(unittest.TestCase):
    """One method per kernel and shape, made below."""

    def clean(self, guest: Guest, what: str) -> Any:
        report = scan(target(guest), "--only", MINE)
        self.assertEqual(findings(report.json), [], what)
        self.assertEqual(report.status, 0, f"{what}: {report.out}")
        return report.json

    def expect(self, guest: Guest, module: str, check: str, name: str) -> None:
        report = scan(target(guest), "--only", MINE)
        self.assertEqual(report.status, 1, report.out + report.err)
        found = findings(report.json)
        self.assertEqual([f["check"] for f in found], [check], report.out)
        self.assertRegex(found[0]["object"]["name"], f"^{name}$")
        self.assertEqual(found[0]["owner"], f"module {module}")
        self.assertEqual(found[0]["severity"], "critical")
        text = " ".join(e["found"] or "" for e in found[0]["evidence"])
        self.assertIn(f"lab_stub [{module}]", text)
        self.assertIn("endbr64; lock inc", text)        # what the hook's code does

    def hooks(self, guest: Guest) -> dict[str, tuple[dict[str, int], str, str]]:
        """Module, parameters, check and object, which depend on how this kernel dispatches."""
        symbols = guest.fetch("/proc/kallsyms").decode()
        by_code, by_table = " x64_sys_call\n" in symbols, " ia32_sys_call_table\n" in symbols
        hooks = {
            "hook_syscall64": ({"nr": KILL}, "syscall-table", rf"sys_call_table\[{KILL}\]"),
            "hook_syscall32": ({"nr": GETPID_32}, "syscall32-table" if by_table else "syscall-dispatch",
                               rf"ia32_sys_call(_table)?\[{GETPID_32}\]"),
            "hook_dispatch": ({"nr": GETPID}, "syscall-dispatch",
                              rf"x64_sys_call\[{GETPID}\]" if by_code else r"do_syscall_64\+0x[0-9a-f]+"),
            "hook_idt": ({"vector": 4}, "idt", r"idt_table\[4\]"),
        }
        # Through a table and a register there is no direct branch that could be patched.
        if not by_code and "mitigations=off" in guest.cmdline:
            del hooks["hook_dispatch"]
        return hooks

    def covers(self, report: Any) -> None:
        """Clean says what it looked at, and that is all there is."""
        covered = {check["id"]: check["covered"] for check in report["checks"]}
        self.assertEqual(covered["idt"]["gates"], 256)
        self.assertGreater(covered["syscall-table"]["entries"], 430)
        self.assertGreater(covered["syscall-dispatch"]["parts"], 5)
        self.assertGreater(covered["hidden-module"]["modules"], 0)

    def check_hooks(self, kernel: str, shape: dict[str, Any]) -> None:
        with Guest(kernel, **shape) as guest:
            self.covers(self.clean(guest, "before"))
            for module, (params, check, name) in self.hooks(guest).items():
                with self.subTest(module=module):
                    guest.insmod(module, **params)
                    self.expect(guest, module, check, name)
                    guest.rmmod(module)
                    self.clean(guest, f"after {module}")


def case(kernel: str, shape: dict[str, Any]) -> Callable[[SyscallTest], None]:
    return lambda self: self.check_hooks(kernel, shape)


for kernel_name in KERNELS:
    shapes = {"plain": {}} | (SHAPES if kernel_name.endswith("-cloud") else {})
    for shape_name, options in shapes.items():
        method = re.sub(r"\W", "_", f"test_{kernel_name}_{shape_name}")
        setattr(SyscallTest, method, case(kernel_name, options))


if __name__ == "__main__":
    unittest.main(verbosity=2)
