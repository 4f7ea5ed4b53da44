#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tracing and BPF: what is called by tracers, BPF objects that are hidden, and the list of them."""

from __future__ import annotations

import re
import struct
import sys
import unittest
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import findings, scan  # noqa: E402
from lab.technique import CLOUD, Technique, prove  # noqa: E402

CHECKS = "kprobes,ftrace-users,tracepoints"
HIDDEN = r"no one \(text of the hidden module trace_hook\)"
POINTER = "the pointer to the handler, whose it is, and the first instructions there"


def restore(guest: Guest) -> None:
    guest.sh("echo 1 > /sys/module/trace_hook/parameters/restore")


def traced(name: str, title: str, check: str, mode: str, symbol: str = "kernel_restart",
           *, found: str = "", kernels: tuple[str, ...] = CLOUD, seen_in: str = "") -> Technique:
    return Technique(name=name, title=title, check=check, object=found or re.escape(symbol) + r"(\+0x4)?",
                     evidence=POINTER, owner=HIDDEN, module="trace_hook",
                     params={"mode": mode, "symbol": symbol}, stop=restore, kernels=kernels,
                     also=("hidden-module",), seen_in=seen_in)


TECHNIQUES = (
    traced("kprobe-handler", "kprobe whose handler is in a hidden module", "kprobes", "kprobe"),
    traced("kretprobe-handler", "kretprobe whose handler is in a hidden module", "kprobes", "kretprobe"),
    traced("uprobe-handler", "uprobe whose handler is in a hidden module", "kprobes", "uprobe",
           found=r"inode \d+\+0x2000"),
    traced("ftrace-hook", "function hooked through ftrace by a hidden module", "ftrace-users", "ftrace"),
    traced("fprobe-handler", "fprobe whose handler is in a hidden module", "ftrace-users", "fprobe",
           found="0x[0-9a-f]+", kernels=("6.12-cloud", "new-cloud")),
    traced("tracepoint-probe", "probe of a hidden module on a tracepoint of all system calls",
           "tracepoints", "tracepoint", "sys_enter"),
)


class BpfTest(unittest.TestCase):
    """One method per kernel, made below."""

    def clean(self, guest: Guest, what: str) -> None:
        report = scan(f"qemu:{guest.pid}", "--only", CHECKS)
        self.assertEqual(findings(report.json), [], what)
        self.assertEqual(report.status, 0, f"{what}: {report.out}")

    def entry_offset(self, guest: Guest) -> int:
        """Where the first instruction of busybox is in its file: an ELF entry point, less its segment."""
        head = bytes.fromhex(guest.sh("hexdump -n 1024 -v -e '1/1 \"%02x\"' /bin/busybox").strip())
        entry, at = struct.unpack_from("<QQ", head, 24)
        size, count = struct.unpack_from("<HH", head, 54)
        for i in range(count):
            kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", head, at + i * size)
            if kind == 1 and flags & 1 and address <= entry < address + length:
                return int(entry - address + offset)
        raise AssertionError("busybox has no entry point")

    def tracers(self, guest: Guest) -> None:
        """What tracers do, and a listed module that does the same, is no finding."""
        trace = "/sys/kernel/tracing"
        guest.sh(f"mount -t tracefs tracefs {trace} 2>/dev/null; cd {trace}"
                 " && echo kernel_restart > set_ftrace_filter"
                 " && echo function > current_tracer && echo p:lab kernel_halt > kprobe_events"
                 " && echo r:labret kernel_halt >> kprobe_events"
                 f" && echo p:labup /bin/busybox:{self.entry_offset(guest):#x} > uprobe_events"
                 " && echo 1 > events/kprobes/enable && echo 1 > events/uprobes/enable"
                 " && echo 1 > events/syscalls/enable")
        self.clean(guest, "tracers")
        guest.sh(f"cd {trace} && echo 0 > events/enable && echo nop > current_tracer && echo > set_ftrace_filter"
                 " && echo > kprobe_events && echo > uprobe_events")
        for mode in ("kprobe", "kretprobe", "uprobe", "ftrace", "tracepoint"):
            guest.insmod("trace_hook", mode=mode, hide=0,
                         symbol="sys_enter" if mode == "tracepoint" else "kernel_restart")
            self.clean(guest, f"listed module: {mode}")
            guest.rmmod("trace_hook")
        self.clean(guest, "after tracers")

    def check_kernel(self, kernel: str) -> None:
        with Guest(kernel, memory="192M") as guest:
            for technique in TECHNIQUES:
                if kernel in technique.kernels:
                    with self.subTest(technique=technique.name):
                        prove(self, guest, technique)
            self.tracers(guest)


def case(kernel: str) -> Callable[[BpfTest], None]:
    return lambda self: self.check_kernel(kernel)


for kernel_name in CLOUD:
    setattr(BpfTest, re.sub(r"\W", "_", f"test_{kernel_name}"), case(kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
