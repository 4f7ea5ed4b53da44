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
from lab.product import findings, hvsm, scan  # noqa: E402
from lab.technique import CLOUD, Technique, prove  # noqa: E402

CHECKS = "kprobes,ftrace-users,tracepoints,bpf-programs"
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


def listed(guest: Guest) -> dict[str, list[list[str]]]:
    """What bpf(2) lists: bpfload.c says in which order."""
    items: dict[str, list[list[str]]] = {"program": [], "map": [], "link": []}
    for line in guest.sh("bpfload list").splitlines():
        kind, *words = line.split(" ")
        items[kind].append(words)
    return items


def load(guest: Guest, what: str) -> None:
    loaded = guest.sh(f"bpfload {what}")
    if "failed" in loaded:
        raise AssertionError(loaded)


def unload(guest: Guest) -> None:
    guest.sh("killall bpfload; while pidof bpfload > /dev/null; do usleep 10000; done;"
             " umount /tmp/lab_bpf /tmp/lab_trace 2> /dev/null; rmdir /tmp/lab_cgroup/lab 2> /dev/null;"
             " umount /tmp/lab_cgroup 2> /dev/null; true")


def hide(kind: str, name: str) -> Callable[[Guest], None]:
    def start(guest: Guest) -> None:
        load(guest, "places")
        found = [words[0] for words in listed(guest)[kind] if name in ("", words[-1])]
        guest.insmod("hide_bpf", what=kind.replace("program", "prog"), id=found[0])
    return start


def show(guest: Guest) -> None:
    guest.rmmod("hide_bpf")
    unload(guest)


def hidden(kind: str, name: str, where: str, *, owner: str = "") -> Technique:
    return Technique(name=f"bpf-hidden-{kind}" + ("-attached" if "attached" in where else ""),
                     title=f"BPF {kind}, {where}, taken out of the table by which bpf(2) lists it",
                     check="bpf-programs", object=r"\d+" + (f" {name}" if name else ""), owner=owner,
                     evidence="what leads to it, that its number is missing, who holds it",
                     start=hide(kind, name), stop=show)


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
    hidden("program", "lab_egress", "held by a process", owner=r"process \d+ bpfload"),
    hidden("program", "lab_lo", "attached to a network device"),
    hidden("map", "lab_map", "used by a pinned program"),
    hidden("link", "", "held by a process", owner=r"process \d+ bpfload"),
    Technique(name="bpf-write-user", title="BPF program that writes into the memory of processes",
              check="bpf-programs", object=r"\d+ lab_write", owner=r"process \d+ bpfload",
              evidence="the helper that it calls, who holds it, where it is attached",
              start=lambda guest: load(guest, "write"), stop=unload),
)

TYPES = {"1": "socket_filter", "2": "kprobe", "3": "sched_cls", "5": "tracepoint", "6": "xdp",
         "8": "cgroup_skb", "17": "raw_tracepoint"}


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

    def view(self, guest: Guest) -> None:
        """`hvsm bpf` says what the guest itself says, and where programs are attached."""
        load(guest, "places")
        truth = listed(guest)
        seen = hvsm("bpf", f"qemu:{guest.pid}", "--json")
        self.assertEqual(seen.status, 0, seen.err)
        items = seen.json["items"]
        programs = {item["name"]: item for item in items if item["kind"] == "program"}
        told = [[str(item["id"]), item["type"], str(item["program"]["uid"]), str(item["program"]["code_bytes"]),
                 str(len(item["program"]["maps"])), item["program"]["tag"], item["name"] or ""]
                for item in items if item["kind"] == "program" and "table" in item["found_by"]]
        self.assertEqual(sorted(told), sorted([w[0], TYPES[w[1]], *w[2:]] for w in truth["program"]))
        self.assertEqual(sorted([str(i["id"]), str(i["map"]["key_bytes"]), str(i["map"]["value_bytes"]),
                                 str(i["map"]["entries"]), i["name"]] for i in items if i["kind"] == "map"),
                         sorted([w[0], *w[2:]] for w in truth["map"]))
        self.assertEqual(sorted([str(i["id"]), str(i["link"]["program"])] for i in items if i["kind"] == "link"),
                         sorted([w[0], w[2]] for w in truth["link"]))
        for name, kind, where in (("lab_egress", "cgroup", "lab"), ("lab_lo", "device", "lo xdp"),
                                  ("lab_event", "event", "sched_process_exec"),
                                  ("lab_raw", "tracepoint", "sys_enter")):
            self.assertIn({"kind": kind, "where": where}, programs[name]["attached"])
        self.assertIn("pin", programs["lab_pinned"]["found_by"])
        self.assertEqual(programs["lab_pinned"]["held_by"], [])
        self.assertEqual({h["comm"] for h in programs["lab_egress"]["held_by"]}, {"bpfload"})
        self.clean(guest, "BPF programs")
        unload(guest)

    def check_kernel(self, kernel: str) -> None:
        with Guest(kernel, memory="192M") as guest:
            for technique in TECHNIQUES:
                if kernel in technique.kernels:
                    with self.subTest(technique=technique.name):
                        prove(self, guest, technique)
            self.view(guest)
            self.tracers(guest)


def case(kernel: str) -> Callable[[BpfTest], None]:
    return lambda self: self.check_kernel(kernel)


for kernel_name in CLOUD:
    setattr(BpfTest, re.sub(r"\W", "_", f"test_{kernel_name}"), case(kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
