#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Processes from outside: what intruders leave in them is found, and nothing else is."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import scan  # noqa: E402
from lab.technique import CLOUD, Technique, prove  # noqa: E402

PIDS = "/tmp/intrude.pids"
CHECKS = ("process-disguise,process-image,process-memory,process-preload,process-shell,"
          "process-stack,process-tracing")


def intrude(mode: str, *before: str, after: str = "") -> dict[str, Callable[[Guest], None]]:
    """Start and stop of guest/intrude.c in a MODE; BEFORE: commands, AFTER: one when it is gone."""
    def start(guest: Guest) -> None:
        for command in before:
            guest.sh(command)
        guest.sh(f"intrude {mode} >>{PIDS}")

    def stop(guest: Guest) -> None:
        # A process that is gone is no more a process of the guest's once it was reaped.
        guest.sh(f"for pid in $(cat {PIDS}); do kill -9 -$pid; done; "
                 f"for pid in $(cat {PIDS}); do while [ -e /proc/$pid ]; do sleep 0.02; done; done; "
                 f"rm {PIDS}; {after or 'true'}")

    return {"start": start, "stop": stop}


def on_process(module: str, **params: str) -> dict[str, Callable[[Guest], None]]:
    """A process that a module does something to: not to be killed before that is undone."""
    run = intrude("sleep")

    def start(guest: Guest) -> None:
        run["start"](guest)
        guest.insmod(module, pid=int(guest.sh(f"tail -n 1 {PIDS}")), **params)

    def stop(guest: Guest) -> None:
        guest.rmmod(module)
        run["stop"](guest)

    return {"start": start, "stop": stop}


def alone(mode: str) -> dict[str, Callable[[Guest], None]]:
    """One whose main thread has ended, while another one runs on."""
    return {"start": lambda guest: guest.sh(f"ALONE=1 intrude {mode} >>{PIDS}") and None,
            "stop": intrude(mode)["stop"]}


def commands(start: str, stop: str) -> dict[str, Callable[[Guest], None]]:
    return {"start": lambda guest: guest.sh(start) and None, "stop": lambda guest: guest.sh(stop) and None}


TECHNIQUES = (
    Technique("anonymous-code", "code in anonymous memory, as shellcode and loaders have it",
              "process-memory", r"\d+ anonymous code",
              "the area with its rights, and the process with its program", **intrude("code"),
              seen_in="Metasploit"),
    Technique("executable-heap", "heap made executable", "process-memory", r"\d+ executable heap",
              "the area with its rights, and the process with its program", **intrude("heap")),
    Technique("executable-stack", "stack made executable", "process-memory", r"\d+ executable stack",
              "the area with its rights, and the process with its program", **intrude("stack")),
    Technique("code-in-memfd", "library in memory of memfd_create(2)", "process-memory",
              r"\d+ code in memory file", "the area and the name of the memfd", **intrude("memfd")),
    Technique("code-of-deleted-file", "library deleted once it was loaded", "process-memory",
              r"\d+ code of deleted file", "the area and the name that the file had",
              **intrude("deleted-library")),
    Technique("writable-code", "code of a file mapped writable", "process-memory", r"\d+ writable code",
              "the area with its rights, and its file", **intrude("writable")),
    Technique("page-without-area", "page of code mapped into a process by its page table alone", "process-memory",
              r"\d+ hidden code", "how many pages, and the first of them", **on_process("user_page")),
    Technique("page-with-rights", "stack made executable by its page table alone", "process-memory",
              r"\d+ hidden code", "how many pages, and the first of them", **on_process("user_page", how="rights")),
    Technique("program-in-memfd", "program run out of memory, without a file", "process-image",
              r"\d+ program in memory", "the name of the memfd", **intrude("in-memory"),
              also=("process-memory",), seen_in="Ezuri"),
    Technique("deleted-program", "program deleted once it runs", "process-image", r"\d+ deleted program",
              "the name that the program had", **intrude("deleted"), also=("process-memory",),
              seen_in="Mirai, FritzFrog"),
    Technique("hollow-program", "program's code replaced in memory", "process-image", r"\d+ other code",
              "what is mapped where the program's code begins", **intrude("hollow"),
              also=("process-memory",)),
    Technique("false-program", "another program's name taken (PR_SET_MM_EXE_FILE)", "process-image",
              r"\d+ other code", "the program it says it is, and what is mapped instead",
              **intrude("other-name"), also=("process-memory",)),
    Technique("thread-name", "process that calls itself as a kernel thread", "process-disguise",
              r"\d+ kernel name", "its name", **intrude("thread-name")),
    Technique("thread-argument", "process that ps(1) shows as a kernel thread", "process-disguise",
              r"\d+ kernel name", "its first argument", **intrude("thread-argument")),
    Technique("thread-name-alone", "process that calls itself as a kernel thread, and whose main thread ended",
              "process-disguise", r"\d+ kernel name", "its name", **alone("thread-name")),
    Technique("thread-mark", "process marked as a kernel thread (PF_KTHREAD)", "process-disguise",
              r"\d+ kernel mark", "its memory, and its parent", **on_process("disguise_task")),
    Technique("stack-pivot", "stack pointer led into the data of a program", "process-stack",
              r"\d+ stack pointer", "the stack pointer and the area that it lies in", **intrude("pivot")),
    Technique("stack-nowhere", "stack pointer led out of all memory", "process-stack",
              r"\d+ stack pointer", "the stack pointer", **intrude("nowhere")),
    Technique("call-from-data", "system call out of injected code", "process-stack",
              r"\d+ instruction pointer", "the instruction pointer and the area that it lies in",
              **intrude("call-from-data"), also=("process-memory",)),
    Technique("trace-guard", "sshd traced, for its passwords", "process-tracing", r"\d+ tracer",
              "the tracer with its program", owner=r"PID \d+ 'intrude'",
              **intrude("trace $(tail -n 1 /tmp/intrude.pids)",
                        "cp /sbin/intrude /usr/sbin/sshd", f"/usr/sbin/sshd sleep >{PIDS}",
                        after="rm /usr/sbin/sshd"),
              seen_in="3snake"),
    Technique("trace-from-temp", "process traced by a program that nobody installed", "process-tracing",
              r"\d+ tracer", "the tracer with its program", owner=r"PID \d+ 'tracer'",
              **intrude(f"sleep >>{PIDS}; /tmp/tracer trace $(tail -n 1 {PIDS})",
                        "cp /sbin/intrude /tmp/tracer", after="rm /tmp/tracer")),
    Technique("preloaded-library", "library preloaded by the environment", "process-preload",
              r"\d+ LD_PRELOAD", "the library, why it is none of a package's, and what is mapped",
              **intrude("preload /tmp/preload.so", "cp /bin/busybox /tmp/preload.so",
                        after="rm /tmp/preload.so"),
              seen_in="Azazel, Jynx2"),
    Technique("audit-library", "library hidden and loaded as an auditor", "process-preload",
              r"\d+ LD_AUDIT", "the library, and why it is none of a package's",
              **intrude("audit /usr/lib/.audit/audit.so")),
    Technique("library-path", "libraries taken from where anybody may put some", "process-preload",
              r"\d+ LD_LIBRARY_PATH", "the directory", **intrude("library-path /usr/lib:/tmp")),
    Technique("preload-file", "library preloaded into every program", "process-preload",
              r"/etc/ld\.so\.preload", "what the file names",
              **commands("echo /tmp/.x/lib.so >/etc/ld.so.preload", "rm /etc/ld.so.preload"),
              seen_in="Azazel, Jynx2, HiddenWasp"),
    Technique("reverse-shell", "shell that takes its commands from a connection", "process-shell",
              r"\d+ connection", "both ends of the connection", **intrude("shell"),
              seen_in="netcat, Metasploit"),
    Technique("connection-alone", "program of a temporary directory on a connection, whose main thread ended",
              "process-shell", r"\d+ connection", "both ends of the connection",
              start=lambda guest: guest.sh(f"cp /sbin/intrude /tmp/tool; ALONE=1 /tmp/tool connection >>{PIDS}") and None,
              stop=intrude("", after="rm /tmp/tool")["stop"]),
)


# What looks like it, and is not: commands that leave processes behind, all at once.
LEGITIMATE = (
    ("program that a package replaced", "cp /sbin/intrude /usr/bin/old; /usr/bin/old sleep; rm /usr/bin/old"),
    ("program that was built again", "cp /sbin/intrude /root/built; /root/built sleep; "
     "rm /root/built; cp /sbin/intrude /root/built"),
    ("program in a temporary directory", "cp /sbin/intrude /tmp/unpacked; /tmp/unpacked sleep"),
    ("library that a package preloads", "cp /bin/busybox /usr/lib/stdbuf.so; "
     "intrude preload /usr/lib/stdbuf.so"),
    ("libraries of an application's own", "intrude library-path /opt/x/lib:/tmp/unpacked.d/lib"),
    ("service with a connection", "intrude service"),
    ("program of a container", "modprobe overlay; mkdir -p /tmp/lower /tmp/other /mnt/root; "
     "cp /sbin/intrude /tmp/lower/; mount -t overlay -o lowerdir=/tmp/lower:/tmp/other none /mnt/root; "
     "/mnt/root/intrude sleep"),
    ("debugger", "intrude trace $(intrude sleep)"),
)


class ProcessTest(unittest.TestCase):
    """One method per kernel, made below."""

    def prove_all(self, kernel: str) -> None:
        with Guest(kernel, memory="256M") as guest:
            for what, command in LEGITIMATE:
                with self.subTest(what):
                    guest.sh(command)
                    report = scan(f"qemu:{guest.pid}", "--only", CHECKS)
                    self.assertEqual(report.status, 0, report.out)
            for technique in TECHNIQUES:
                if kernel in technique.kernels:
                    with self.subTest(technique.name):
                        prove(self, guest, technique)


def add(kernel: str) -> None:
    name = f"test_techniques_{kernel.replace('.', '_').replace('-', '_')}"
    setattr(ProcessTest, name, lambda self: self.prove_all(kernel))


for each in CLOUD:
    add(each)

if __name__ == "__main__":
    unittest.main(verbosity=2)
