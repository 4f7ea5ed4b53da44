#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Privileges: who took them is found, with who it is; who came by them as others do is not."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.technique import CLOUD, Technique, prove  # noqa: E402

def helper(name: str, value: str) -> Callable[[Guest], None]:
    """Give the kernel's helper a value, as root does."""
    def run(guest: Guest) -> None:
        guest.sh(f"echo '{value}' > /proc/sys/kernel/{name}")

    return run


def set_release_agent(guest: Guest) -> None:
    guest.sh("mkdir -p /run/cg && mount -t cgroup -o none,name=lab cgroup /run/cg && "
             "echo /tmp/x > /run/cg/release_agent")


def umount(guest: Guest) -> None:
    guest.sh("umount /run/cg")


TASK = r"\d+"
CRED = "what the credentials say, and "


def on(role: str, name: str, title: str, what: str, check: str, evidence: str, **more: Any) -> Technique:
    """A row about the process that plays ROLE in guest/unprivileged.c."""
    return Technique(name, title, check, TASK, evidence, module="privilege",
                     params={"what": what, "role": role}, **more)


def off(name: str, title: str) -> Technique:
    """A row about one of the switches that modules/posture.c turns on."""
    def set_to(value: int) -> Callable[[Guest], None]:
        def run(guest: Guest) -> None:
            guest.sh(f"echo {name} {value} > /sys/module/posture/parameters/set")

        return run

    return Technique("posture-" + name.replace("_", "-"), title, "security-posture", name,
                     "the switch, and that it was on before", start=set_to(0), stop=set_to(1))


TECHNIQUES = (
    on("child", "cred-init", "A process is given the kernel's own credentials (init_cred)", "init-cred",
       "credentials", CRED + "that they are init_cred"),
    on("program", "cred-copied", "A process is given the credentials of another process", "copied",
       "credentials", CRED + "whose they are"),
    on("program", "cred-subjective", "A process acts with the kernel's credentials, and shows its own",
       "subjective", "credentials", CRED + "that they are init_cred"),
    on("parent", "cred-uid", "User IDs set to 0 in a process's credentials", "uids", "credentials",
       CRED + "the user that its processes count under", seen_in="Diamorphine"),
    on("child", "cred-euid", "Effective user ID set to 0 in a process that executed nothing", "euid",
       "credentials", CRED + "the unprivileged process that forked it"),
    on("program", "cred-euid-program", "Effective user ID set to 0 in a process whose program is not setuid",
       "euid", "credentials", CRED + "the unprivileged process that forked it"),
    on("program", "cred-fresh", "A process is given new credentials of the kernel (prepare_kernel_cred)", "fresh",
       "credentials", CRED + "the unprivileged process that forked it"),
    on("parent", "cred-effective", "Effective capabilities set in a process's credentials", "caps", "credentials",
       CRED + "its permitted capabilities"),
    on("child", "cred-permitted", "All capabilities set in a process's credentials", "permitted", "credentials",
       CRED + "the unprivileged process that forked it"),
    on("inside", "namespaces-entered", "A container's process is given init's namespaces", "nsproxy", "namespaces",
       "which namespaces, and that their PID namespace is outside of its own"),
    on("filtered", "seccomp-mode", "Mode of seccomp reset in a process", "seccomp-mode", "seccomp",
       "mode, number of filters, and whether they are in force"),
    on("filtered", "seccomp-flag", "The flag that leads a process's system calls to its filter cleared",
       "seccomp-flag", "seccomp", "mode, number of filters, and whether they are in force"),
    on("younger", "seccomp-all", "A process's filter of system calls removed without a trace", "seccomp-all",
       "seccomp", "its parent and an older child, which have that filter"),
    Technique("modprobe-path", "Path of the program that loads modules replaced", "usermode-helpers",
              "modprobe_path", "the path, and where programs may be",
              start=helper("modprobe", "/tmp/x"), stop=helper("modprobe", "/sbin/modprobe")),
    Technique("core-pattern", "Core dumps are piped to a program of the attacker's", "usermode-helpers",
              "core_pattern", "the pattern, and where programs may be",
              start=helper("core_pattern", "|/dev/shm/.x %P"), stop=helper("core_pattern", "core")),
    Technique("release-agent", "Program that is told of empty control groups set", "usermode-helpers",
              "release_agent of lab", "the path, and where programs may be", start=set_release_agent,
              stop=umount),
    Technique("sysctl-handler", "Handler of a file in /proc/sys replaced", "sysctl-handlers", "kernel/ostype",
              "where the handler leads, and the code there", owner="module hook_sysctl",
              module="hook_sysctl"),
    Technique("sysctl-handler-middle", "Handler of a file in /proc/sys leads into the middle of a function",
              "sysctl-handlers", "kernel/ostype", "where the handler leads, and the code there",
              owner="kernel", module="hook_sysctl", params={"offset": 8}),
    Technique("lsm-hook", "A hook of a security module taken out of its list, or switched off", "lsm-hooks",
              "cap_capable", "where the hook is missing, or its key", module="posture", params={"lsm": 1}),
    off("audit_enabled", "Audit turned off"),
    off("kexec_load_disabled", "What forbids to load another kernel turned off"),
    off("kernel_locked_down", "Lockdown turned off"),
    off("sig_enforce", "Enforcement of module signatures turned off"),
)


class PrivilegeTest(unittest.TestCase):
    """One guest per kernel, for all rows."""

    def roles(self, guest: Guest) -> dict[str, int]:
        lines = [line.split() for line in guest.sh("unprivileged").splitlines()]
        names = {"parent", "child", "program", "filtered", "older", "younger", "container"}
        self.assertEqual({role for role, _ in lines}, names)
        pids = {role: int(pid) for role, pid in lines}
        # It tells its PID as its own namespace has it: the one that counts here is another.
        pids["inside"] = int(guest.sh(
            f"grep -l '^PPid:.{pids['container']}$' /proc/[0-9]*/status").split("/")[2])
        return pids

    def prove_row(self, guest: Guest, row: Technique, pids: dict[str, int]) -> None:
        if "role" not in row.params:
            prove(self, guest, row)
            return
        pid = pids[row.params["role"]]
        params = {"what": row.params["what"], "pid": pid}
        found = prove(self, guest, Technique(**{**row.__dict__, "params": params, "object": str(pid)}))
        self.assertIn(f"PID {pid}, ", found["evidence"][0]["found"])

    def check_kernel(self, kernel: str) -> None:
        with Guest(kernel) as guest:
            pids = self.roles(guest)
            rows = [row for row in TECHNIQUES if row.check != "security-posture"]
            self.check_rows(guest, rows, pids)
            # From here on no module can be loaded: signatures are enforced.
            guest.insmod("posture")
            self.check_rows(guest, [row for row in TECHNIQUES if row not in rows], pids)

    def check_rows(self, guest: Guest, rows: list[Technique], pids: dict[str, int]) -> None:
        for row in rows:
            with self.subTest(row.name):
                self.prove_row(guest, row, pids)


def add(kernel: str) -> None:
    def test(self: PrivilegeTest) -> None:
        self.check_kernel(kernel)

    setattr(PrivilegeTest, f"test_{kernel.replace('.', '_').replace('-', '_')}", test)


for name in CLOUD:
    add(name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
