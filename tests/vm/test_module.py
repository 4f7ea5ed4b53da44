#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Modules: what hvsm lists is what the kernel lists; who hides is found; tracers and busy machines are clean."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import binary, findings, hvsm, scan  # noqa: E402
from lab.technique import Technique  # noqa: E402
from lab.truth import Module, Truth, collect  # noqa: E402

KERNELS = [f"{generation}-{flavour}" for generation in ("5.10", "6.1", "6.12", "new")
           for flavour in ("cloud", "generic")]
SOME_MODULES = ("loop", "dummy", "tun", "veth", "bridge", "nf_tables", "ext4", "sctp")
TRACING = "/sys/kernel/tracing"
MINE = "hidden-module,executable-memory,syscall-table,syscall32-table,syscall-dispatch,idt"

# Which part of a module's memory a section lies in (kernel/module/main.c, __layout_sections()).
SECTION_AREAS = {
    ".text": "text", ".noinstr.text": "text", ".rodata": "rodata", ".rodata.str1.1": "rodata",
    ".data": "data", ".bss": "data", ".gnu.linkonce.this_module": "data",
    ".data..ro_after_init": "ro_after_init",
}


def row(name: str, title: str, seen_in: str = "", check: str = "hidden-module", evidence: str = "") -> Technique:
    return Technique(name, title, check, "", evidence or "each way to modules, and whether it has this one; its memory",
                     kernels=tuple(KERNELS), seen_in=seen_in)


TECHNIQUES = (
    row("module-list", "module unlinked from the list", "Diamorphine, Reptile"),
    row("module-tree", "module taken out of the address tree"),
    row("module-sysfs", "module taken out of /sys/module"),
    row("module-name", "name of a module wiped"),
    row("module-all", "module in no list, tree or sysfs"),
    row("module-all-name", "the same with its name wiped"),
    row("orphan-code", "code in memory of its own, without a module", check="executable-memory",
        evidence="the memory, its rights, who asked for it, and the code there"),
)


def target(guest: Guest) -> str:
    return f"qemu:{guest.pid}"


def load_some(guest: Guest) -> None:
    """Modules with and without users, as far as this kernel has them."""
    for module in SOME_MODULES:
        guest.call(f"modprobe -q {module}")


def seen_modules(guest: Guest) -> dict[str, Any]:
    report = hvsm("modules", target(guest), "--json")
    if report.status:
        raise AssertionError(f"hvsm modules ended with {report.status}: {report.err}")
    return {item["name"]: item for item in report.json["items"]}


def btf_functions(blob: bytes, names: tuple[str, ...]) -> dict[str, int]:
    """The BTF ids of functions (Documentation/bpf/btf.rst), which bpfload wants."""
    _, _, _, header, types_at, types_len, names_at, _ = struct.unpack_from("<HBBIIIII", blob)
    fixed = {1: 4, 3: 12, 14: 4, 17: 4}
    each = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
    at, number, found = header + types_at, 0, {}
    while at < header + types_at + types_len:
        number += 1
        name_at, info, _ = struct.unpack_from("<III", blob, at)
        kind, length = info >> 24 & 31, info & 0xffff
        if kind == 12:
            start = header + names_at + name_at
            name = blob[start:blob.index(b"\0", start)].decode()
            if name in names:
                found[name] = number
        at += 12 + fixed.get(kind, 0) + each.get(kind, 0) * length
    return found


class ModuleTest(unittest.TestCase):
    """One method per kernel and question, made below."""

    def assert_clean(self, guest: Guest, what: str) -> None:
        report = scan(target(guest), "--only", MINE)
        self.assertEqual(findings(report.json), [], what)
        self.assertEqual(report.status, 0, f"{what}: {report.out}")

    # --- the list ---

    def compare_module(self, seen: Any, truth: Module) -> None:
        areas = {area["kind"]: area for area in seen["areas"]}
        self.assertEqual(seen["size_bytes"], truth.size)
        self.assertEqual(seen["refcount"], truth.refs)
        self.assertEqual(tuple(seen["used_by"]), tuple(u for u in truth.users if u != "[permanent]"))
        self.assertEqual(seen["permanent"], "[permanent]" in truth.users)
        self.assertEqual(seen["state"], truth.state)
        self.assertEqual(int(areas["text"]["address"], 16), truth.address)
        self.assertEqual(seen["found_by"], ["list", "tree", "sysfs"])
        self.assertFalse(seen["partial"])
        self.assertEqual(int(seen["address"], 16), truth.sections[".gnu.linkonce.this_module"])
        for section, kind in SECTION_AREAS.items():
            if section in truth.sections:
                start = int(areas[kind]["address"], 16)
                self.assertIn(truth.sections[section],
                              range(start, start + areas[kind]["size_bytes"]), section)

    def compare_symbols(self, guest: Guest, truth: Truth) -> None:
        tool = binary().parents[1] / "tests" / "vm" / "tools" / "module-symbols"
        seen = subprocess.run([tool, target(guest)], capture_output=True, text=True, check=True)
        inside = sorted(f"{symbol.address:016x} {symbol.kind.lower()} {symbol.name}\t[{symbol.module}]"
                        for symbol in truth.symbols if symbol.module in truth.modules)
        self.assertGreater(len(inside), 100)
        self.assertEqual(sorted(line.replace(" U ", " u ") for line in seen.stdout.splitlines()), inside)

    def check_list(self, guest: Guest) -> None:
        load_some(guest)
        truth = collect(guest)
        seen = seen_modules(guest)
        self.assertEqual(sorted(seen), sorted(truth.modules))
        for name, module in truth.modules.items():
            with self.subTest(module=name):
                self.compare_module(seen[name], module)
        self.compare_symbols(guest, truth)
        guest.insmod("hook_syscall64", nr=38)
        tainted = seen_modules(guest)["hook_syscall64"]
        self.assertEqual((tainted["taint"], tainted["args"]), ("OE", "nr"))
        guest.rmmod("hook_syscall64")
        self.assert_clean(guest, "after the test module")

    # --- who hides ---

    def expect(self, guest: Guest, name: str, title: str) -> None:
        report = scan(target(guest), "--only", MINE)
        self.assertEqual(report.status, 1, report.out + report.err)
        found = findings(report.json)
        self.assertEqual([f["check"] for f in found], ["hidden-module"], report.out)
        self.assertEqual(found[0]["object"]["kind"], "module")
        self.assertRegex(found[0]["object"]["name"], name)
        self.assertRegex(found[0]["title"], title)
        self.assertRegex(found[0]["owner"], f"module {name}")
        self.assertEqual(found[0]["severity"], "critical")

    def hide(self, guest: Guest, how: str) -> None:
        blank = r"\(no name\) at 0x[0-9a-f]+"
        name, title = {
            "list": ("hide_module", "hidden from the list"),
            "mod_tree": ("hide_module", "hidden from the tree"),
            "list,mod_tree": ("hide_module", "hidden from the list"),
            "blank": (blank, "name was wiped"),
            "sysfs": ("hide_module", "hidden from /sys/module"),
            "all": ("hide_module", "in no list"),
            "all,blank": (blank, "in no list"),
        }[how]
        with self.subTest(how=how):
            guest.insmod("hide_module", how=how)
            self.expect(guest, name, title)
            # What is off sysfs cannot be told to come back.
            restored = guest.call("echo 1 > /sys/module/hide_module/parameters/restore")
            if restored.status or guest.call("rmmod hide_module").status:
                guest.reset()
            self.assert_clean(guest, f"after {how}")

    def check_memory(self, guest: Guest) -> None:
        guest.insmod("exec_page")
        at = int(guest.sh("cat /sys/module/exec_page/parameters/address"))
        report = scan(target(guest), "--only", MINE)
        self.assertEqual(report.status, 1, report.out + report.err)
        found = findings(report.json)
        self.assertEqual([f["check"] for f in found], ["executable-memory"], report.out)
        self.assertEqual(found[0]["object"]["name"], f"memory at {at:#x}")
        self.assertRegex(found[0]["owner"], r"no one \(vmalloc area of (module exec_page|code at 0x)")
        text = " ".join(e["found"] or "" for e in found[0]["evidence"])
        self.assertIn("executable, writable", text)
        self.assertIn("endbr64; xor eax, eax; ret", text)
        guest.rmmod("exec_page")
        self.assert_clean(guest, "after it")

    def check_corrupt(self, guest: Guest, what: str) -> None:
        """A list that lies is never clean, and accuses no module but those that were made up for it."""
        with self.subTest(what=what):
            guest.insmod("corrupt", what=what)
            report = scan(target(guest), "--only", "hidden-module")
            guest.rmmod("corrupt")
            self.assertIn(report.status, (1, 3), report.out + report.err)
            for finding in findings(report.json):
                self.assertIn("(no name)", finding["object"]["name"])
            self.assertIn("list of modules", report.json["checks"][0]["reason"])
            self.assert_clean(guest, f"after {what}")

    # --- who does not ---

    def check_tools(self, guest: Guest) -> None:
        probes = (f"echo p:lab1 do_sys_openat2 > {TRACING}/kprobe_events; "
                  f"echo p:lab2 x64_sys_call >> {TRACING}/kprobe_events; "
                  f"echo p:lab3 vfs_read+4 >> {TRACING}/kprobe_events; "
                  f"echo r:lab4 vfs_read >> {TRACING}/kprobe_events; "
                  f"echo 1 > {TRACING}/events/kprobes/enable")
        steps = {
            "function tracer": f"echo function > {TRACING}/current_tracer",
            "graph tracer": f"echo function_graph > {TRACING}/current_tracer",
            "no tracer": f"echo nop > {TRACING}/current_tracer",
            "kprobes": probes,
            "no kprobes": f"echo 0 > {TRACING}/events/kprobes/enable; echo > {TRACING}/kprobe_events",
        }
        self.assert_clean(guest, "as it is")
        for what, command in steps.items():
            guest.call(command)
            self.assert_clean(guest, what)
            time.sleep(0.5)      # kprobes are optimised a moment later
            self.assert_clean(guest, f"{what}, later")
        ids = btf_functions(guest.fetch("/sys/kernel/btf/vmlinux"),
                            ("do_sys_openat2", "vfs_read", "x64_sys_call"))
        loaded = guest.sh("bpfload " + " ".join(f"{k}={v}" for k, v in ids.items())).splitlines()
        self.assertGreaterEqual(len([line for line in loaded if not line.startswith("failed")]), 10, loaded)
        self.assert_clean(guest, "BPF programs")

    def check_all(self, kernel: str) -> None:
        """In one guest, as long as it can be put back to what it was."""
        with Guest(kernel) as guest:
            self.check_list(guest)
            self.check_memory(guest)
            for how in ("list", "mod_tree", "list,mod_tree", "blank"):
                self.hide(guest, how)
            for what in ("module_cycle", "module_wild"):
                self.check_corrupt(guest, what)
            self.check_tools(guest)
            for how in ("sysfs", "all", "all,blank") if kernel.endswith("-cloud") else ("all",):
                self.hide(guest, how)


def case(check: str, kernel: str) -> Callable[[ModuleTest], None]:
    return lambda self: getattr(self, check)(kernel)


for kernel_name in KERNELS:
    setattr(ModuleTest, re.sub(r"\W", "_", f"test_all_{kernel_name}"), case("check_all", kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
