#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Code of busy guests: what the kernel does to its own code is never a finding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import TOP  # noqa: E402
from test_module import btf_functions  # noqa: E402

BUILD = Path(os.environ.get("HVSM_BUILD", TOP / "build"))
TRACING = "/sys/kernel/tracing"

# The processors that the cloud kernels run on. TCG lacks some of their features and says so.
# One CPU each: with two, QEMU's TCG now and then hangs a guest whose code is patched under it.
INTEL = {"cpu": "Skylake-Client-IBRS", "pti": True}                 # retpolines, ITS thunks, PTI
AMD = {"cpu": "EPYC"}                                               # untrained return thunk
NEWEST = {}                                                         # all that TCG can do
MODELS: dict[str, dict[str, Any]] = {"intel": INTEL, "amd": AMD, "newest": NEWEST}
CLOUD_SWEEPS, GENERIC_SWEEPS = 70, 200
PAUSE_MS = 10

# A module that is just being loaded makes a sweep unsure, so that some of the time none is.
CHURN = ("(while :; do for m in loop dummy tun veth; do modprobe $m; done; sleep 1; "
         "for m in veth tun dummy loop; do modprobe -r $m; done; sleep 1; "
         "ls -lR /sys/kernel >/dev/null; done) </dev/null >/dev/null 2>&1 &")
FEW = f"echo 'vfs_*' > {TRACING}/set_ftrace_filter"
PROBES = (f"echo p:lab1 do_sys_openat2 > {TRACING}/kprobe_events; "
          f"echo p:lab2 x64_sys_call >> {TRACING}/kprobe_events; "
          f"for i in 4 5 7 9 12 15 20 24 28; do echo p:at$i vfs_read+$i >> {TRACING}/kprobe_events; done; "
          f"echo r:lab4 vfs_read >> {TRACING}/kprobe_events; "
          f"for i in {TRACING}/events/kprobes/*/enable; do echo 1 > $i; done")
NO_PROBES = (f"for i in {TRACING}/events/kprobes/*/enable; do echo 0 > $i; done; "
             f"echo > {TRACING}/kprobe_events")
# Switched in turn while the sweeps go on; a tracer of all functions patches every one of them.
STEPS = (
    f"{FEW}; echo function > {TRACING}/current_tracer",
    PROBES,
    f"echo function_graph > {TRACING}/current_tracer",
    NO_PROBES,
    f"echo nop > {TRACING}/current_tracer; echo > {TRACING}/set_ftrace_filter",
    f"echo 1 > {TRACING}/events/sched/enable; echo 1 > {TRACING}/events/raw_syscalls/enable",
    f"echo 0 > {TRACING}/events/enable",
)
EVERY_FUNCTION = (f"echo function > {TRACING}/current_tracer", f"echo nop > {TRACING}/current_tracer")


def options(kernel: str, model: str) -> dict[str, Any]:
    """Of the guest."""
    chosen = dict(MODELS[model])
    # TCG of QEMU 7.2 computes cmpxchg16b wrongly, which 6.12 and later trip over.
    if "cpu" in chosen and not kernel.startswith(("5.10", "6.1-")):
        chosen["cpu"] += ",-cx16"
    return chosen


class Sweeps:
    """tests/vm/sweeps.c beside the guest."""

    def __init__(self, guest: Guest, count: int) -> None:
        self.store = tempfile.TemporaryDirectory(prefix="hvsm-live-")
        # Into a file: nobody reads a pipe while the guest is kept busy.
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [BUILD / "tests" / "vm" / "sweeps", f"qemu:{guest.pid}", str(count), str(PAUSE_MS),
             self.store.name, guest.kernel.dir], stdin=subprocess.PIPE, stdout=self.said, stderr=subprocess.STDOUT)

    def __enter__(self) -> "Sweeps":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        self.process.stdin.close()
        self.said.close()
        self.store.cleanup()

    def end(self) -> tuple[dict[str, int], str]:
        """The sums, and all that was said."""
        self.process.communicate(timeout=300)
        self.said.seek(0)
        out = self.said.read().decode(errors="replace")
        if self.process.returncode:
            raise AssertionError(f"sweeps ended with {self.process.returncode}: {out[-4000:]}")
        return json.loads(out.splitlines()[-1]), out


class CodeLiveTest(unittest.TestCase):
    """One method per kernel and processor, made below."""

    def livepatch(self, guest: Guest) -> None:
        guest.insmod("livepatch")
        self.assertEqual(guest.fetch("/proc/cmdline"), b"this was patched\n")

    def no_livepatch(self, guest: Guest) -> None:
        state = "/sys/kernel/livepatch/livepatch"
        guest.sh(f"echo 0 > {state}/enabled; while [ -e {state} ]; do sleep 0.1; done", timeout_s=60)
        guest.rmmod("livepatch")

    def programs(self, guest: Guest) -> None:
        """They stay until the guest ends."""
        ids = btf_functions(guest.fetch("/sys/kernel/btf/vmlinux"), ("do_sys_openat2", "vfs_read"))
        loaded = guest.sh("bpfload " + " ".join(f"{k}={v}" for k, v in ids.items())).splitlines()
        self.assertGreaterEqual(len([line for line in loaded if not line.startswith("failed")]), 10, loaded)

    def expect_nothing(self, sweeps: Sweeps, what: str, count: int) -> None:
        sums, out = sweeps.end()
        self.assertGreaterEqual(sums["sweeps"], count)
        print(f"{what}: {sums['sweeps']} sweeps, {sums['inconclusive']} inconclusive, {sums['repeats']} repeats, "
              f"{sums['ms'] // sums['sweeps']} ms each", file=sys.stderr)
        self.assertEqual(sums["findings"], 0, f"{what}: {out[-6000:]}")
        self.assertLess(sums["inconclusive"], sums["sweeps"] // 2, f"{what}: {out[-6000:]}")

    def check(self, kernel: str, model: str, count: int) -> None:
        with Guest(kernel, memory="384M", **options(kernel, model)) as guest:
            guest.workload()
            guest.sh(CHURN)
            self.programs(guest)
            self.livepatch(guest)
            with Sweeps(guest, count) as sweeps:
                for step in STEPS:
                    guest.sh(step)
                    time.sleep(0.3)
                self.no_livepatch(guest)
                self.expect_nothing(sweeps, f"{kernel} {model}", count)

    def check_every_function(self, kernel: str) -> None:
        """Tens of thousands of places are patched: sweeps meanwhile may not be sure."""
        with Guest(kernel, memory="384M", **options(kernel, "intel")) as guest:
            with Sweeps(guest, 20) as sweeps:
                for step in EVERY_FUNCTION:
                    guest.sh(step)
                    time.sleep(1)
                sums, out = sweeps.end()
            self.assertEqual(sums["findings"], 0, out[-6000:])
            self.assertLess(sums["inconclusive"], sums["sweeps"], out[-6000:])


def case(*args: Any) -> Callable[[CodeLiveTest], None]:
    return lambda self: self.check(*args)


def every_function(kernel: str) -> Callable[[CodeLiveTest], None]:
    return lambda self: self.check_every_function(kernel)


for generation in ("5.10", "6.1", "6.12", "new"):
    for model_name in MODELS:
        method = re.sub(r"\W", "_", f"test_{generation}_cloud_{model_name}")
        setattr(CodeLiveTest, method, case(f"{generation}-cloud", model_name, CLOUD_SWEEPS))
    generic = re.sub(r"\W", "_", f"test_{generation}_generic")
    setattr(CodeLiveTest, generic, case(f"{generation}-generic", "newest", GENERIC_SWEEPS))
    traced = re.sub(r"\W", "_", f"test_{generation}_every_function")
    setattr(CodeLiveTest, traced, every_function(f"{generation}-cloud"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
