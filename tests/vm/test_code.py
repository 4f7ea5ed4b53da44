#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Code and constants: every byte that somebody changed is found, and who changed it is named."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import TOP, findings, scan  # noqa: E402
from lab.technique import Technique  # noqa: E402

BUILD = Path(os.environ.get("HVSM_BUILD", TOP / "build"))
KERNELS = [f"{generation}-{flavour}" for generation in ("5.10", "6.1", "6.12", "new")
           for flavour in ("cloud", "generic")]
MODULES = ("loop", "dummy", "tun", "veth", "bridge", "nf_tables", "ext4", "sctp")
TRACING = "/sys/kernel/tracing"
FLIPS = 1000
MINE = "kernel-code,kernel-rodata,kernel-pointers,kernel-profile,module-code,ftrace-trampolines"


@dataclass(frozen=True)
class Attack:
    """One way to change code, and what hvsm must say of it."""

    mode: str
    name: str                   # of the finding's object, as a pattern
    check: str = "kernel-code"
    symbol: str = ""
    offset: int = 0
    owner: str = "module patch_code"
    found: str = "lab_stub"     # in what the evidence says was found
    count: int | None = 1       # of findings; None: at least one

    @property
    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = {"mode": self.mode}
        if self.symbol:
            params["symbol"] = self.symbol
        if self.offset:
            params["offset"] = self.offset
        return params


ATTACKS = (
    Attack("prologue", "kernel_restart"),
    Attack("middle", "kernel_restart"),
    Attack("int3", "kernel_restart", owner="", found="int3"),
    Attack("call", "kernel_restart", owner="kernel", found="kernel_halt"),
    Attack("return", "version_proc_show", symbol="version_proc_show"),
    Attack("ftrace_call", "kernel_restart"),
    Attack("ftrace_jump", "kernel_restart"),
    Attack("ftrace_nop", "kernel_restart", owner="", found="nop"),
    Attack("ftrace_caller", "ftrace_call"),
    Attack("pv_ops", r"pv_ops(\+0x[0-9a-f]+)?", check="kernel-pointers"),
    Attack("pv_call", r"\w+"),
    Attack("static_call", "do_one_initcall"),
    # Each call, and the trampoline, lead elsewhere than the key says.
    Attack("static_key", r"\w+", count=None, owner="kernel", found="__traceiter_initcall_finish"),
    Attack("static_trampoline", r"\w+", symbol="__SCT__tp_func_initcall_level"),
    Attack("jump_label", "do_one_initcall", owner="kernel", found="do_one_initcall"),
    Attack("alternative", "__get_user_nocheck_8", symbol="__get_user_nocheck_8", owner="", found="nop"),
    Attack("pointer", "full_fops", check="kernel-rodata", symbol="full_fops"),
    Attack("byte", "inat_primary_table", check="kernel-rodata", symbol="inat_primary_table", owner="", found=""),
    Attack("prologue", r"lo_ioctl \[loop\]", check="module-code", symbol="lo_ioctl"),
    Attack("ftrace_call", r"lo_ioctl \[loop\]", check="module-code", symbol="lo_ioctl"),
    Attack("slack", r".*loop.*", check="module-code", symbol="lo_ioctl", owner="", found="f30f1efa31c0c3"),
)


def row(name: str, title: str, attack: str, evidence: str, seen_in: str = "", **more: Any) -> Technique:
    """Of docs/detection.md: what ATTACKS has under this mode."""
    return Technique(name, title, next(a.check for a in ATTACKS if a.mode == attack),
                     next(a.name for a in ATTACKS if a.mode == attack), evidence,
                     kernels=tuple(KERNELS), seen_in=seen_in, **more)


BYTES = "the bytes that should be there and that are, disassembled; the function; who owns where they lead"
TECHNIQUES = (
    row("prologue", "jump at the start of a function", "prologue", BYTES, "Reptile, Suterusu"),
    row("middle", "jump in the middle of a function", "middle", BYTES),
    row("int3", "breakpoint that no kprobe set", "int3", BYTES),
    row("call", "call that leads to another function of the kernel", "call", BYTES),
    row("return", "return that leads elsewhere", "return", BYTES),
    row("ftrace-call", "call at an ftrace site that is not ftrace's", "ftrace_call", BYTES),
    row("ftrace-jump", "jump at an ftrace site", "ftrace_jump", BYTES),
    row("ftrace-nop", "call at an ftrace site taken out while somebody traces there", "ftrace_nop", BYTES),
    row("ftrace-caller", "ftrace's own trampoline calls another", "ftrace_caller", BYTES),
    row("pv-ops", "paravirt operation replaced", "pv_ops", "the pointer, and who owns its target"),
    row("pv-call", "patched paravirt call that leads elsewhere", "pv_call", BYTES),
    row("static-call", "static call that does not follow its key", "static_call", BYTES),
    row("static-key", "key of a static call changed", "static_key", "each call that does not follow it"),
    row("static-trampoline", "trampoline of a static call replaced", "static_trampoline", BYTES),
    row("jump-label", "jump label that does not follow its key", "jump_label", BYTES),
    row("alternative", "another alternative at one place", "alternative", BYTES),
    row("constant-pointer", "pointer to a function in constant data", "pointer",
        "the pointer that should be there and that is; who owns its target"),
    row("constant-byte", "one bit of constant data", "byte", "the bytes that should be there and that are"),
    row("module-slack", "code behind the end of a module's text", "slack", BYTES),
    row("flips", f"any byte of code or constants ({FLIPS} at random on each kernel)", "prologue", BYTES,
        also=("kernel-rodata", "module-code", "ftrace-trampolines")),
)


class CodeTest(unittest.TestCase):
    """One method per kernel, made below: one guest each."""

    guest: Guest

    def scan(self) -> Any:
        return scan(f"qemu:{self.guest.pid}", "--reference", self.guest.kernel.dir, "--store", self.store,
                    "--only", MINE)

    def clean(self, what: str) -> Any:
        outcome = self.scan()
        self.assertEqual(findings(outcome.json), [], what)
        self.assertEqual(outcome.status, 0, f"{what}: {outcome.out}{outcome.err}")
        return outcome.json

    def expect(self, attack: Attack) -> None:
        at = int(self.guest.sh("cat /sys/module/patch_code/parameters/address"))
        outcome = self.scan()
        self.assertEqual(outcome.status, 1, outcome.out + outcome.err)
        found = findings(outcome.json)
        if attack.count:
            self.assertEqual(len(found), attack.count, outcome.out)
        for finding in found:
            self.assertEqual(finding["check"], attack.check, outcome.out)
            self.assertRegex(finding["object"]["name"], f"^{attack.name}$")
            self.assertEqual(finding["owner"] or "", attack.owner, outcome.out)
        evidence = found[0]["evidence"]
        if attack.mode != "static_key":
            near = [item for item in evidence if item["address"] and int(item["address"], 16) - at in range(8)]
            self.assertTrue(near, f"{at:#x}: {outcome.out}")
        self.assertIn(attack.found, " ".join(item["found"] or "" for item in evidence))

    def attack(self, attack: Attack) -> None:
        self.guest.insmod("patch_code", **attack.params)
        try:
            self.expect(attack)
        finally:
            self.guest.rmmod("patch_code")

    def flip_bytes(self) -> None:
        """tests/vm/mutate.c, on the memory that the guest has while somebody traces it."""
        core = Path(self.store) / "guest.core"
        self.guest.sh(f"echo 'vfs_*' > {TRACING}/set_ftrace_filter; echo function > {TRACING}/current_tracer; "
                      f"echo p:lab do_sys_openat2 > {TRACING}/kprobe_events; "
                      f"echo 1 > {TRACING}/events/kprobes/lab/enable")
        self.guest.dump(core)
        self.guest.sh(f"echo 0 > {TRACING}/events/kprobes/lab/enable; echo > {TRACING}/kprobe_events; "
                      f"echo nop > {TRACING}/current_tracer")
        seed = random.randrange(1 << 32)
        done = subprocess.run([BUILD / "tests" / "vm" / "mutate", core, str(FLIPS), str(seed),
                               self.guest.kernel.dir], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=600, check=False)
        out = done.stdout.decode(errors="replace")
        core.unlink()
        self.assertEqual(done.returncode, 0, f"seed {seed}: {out[-4000:]}")
        sums = json.loads(out.splitlines()[-1])
        del sums["seed"], sums["padding"]
        self.assertEqual(sum(kind["found"] for kind in sums.values()), FLIPS)
        for kind in sums.values():
            self.assertGreater(kind["found"], 0, out)

    def check_kernel(self, kernel: str) -> None:
        with tempfile.TemporaryDirectory(prefix="hvsm-code-") as self.store, \
                Guest(kernel, memory="384M") as self.guest:
            for module in MODULES:
                self.guest.call(f"modprobe -q {module}")
            report = self.clean("before")
            self.assertEqual(report["assurance"], "reference", report)
            self.flip_bytes()
            for attack in ATTACKS:
                # What one leaves behind the next one finds: it counts its findings.
                with self.subTest(mode=attack.mode, symbol=attack.symbol):
                    self.attack(attack)
            self.clean("after")


def case(kernel: str) -> Callable[[CodeTest], None]:
    return lambda self: self.check_kernel(kernel)


for kernel_name in KERNELS:
    setattr(CodeTest, re.sub(r"\W", "_", f"test_{kernel_name}"), case(kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
