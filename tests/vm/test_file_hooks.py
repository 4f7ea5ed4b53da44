#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Operations of files, devices, types and security modules: each hook is found, where it is."""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.technique import CLOUD, Technique, prove  # noqa: E402

POINTER = "the pointer, where it lies, the code there and whose it is"


def restore(guest: Guest) -> None:
    """A module that is off the list cannot be unloaded."""
    guest.sh("echo 1 >/sys/module/hook_file/parameters/restore")


def row(what: str, title: str, check: str, object: str, listed: bool = False,
        **more: Any) -> Technique:
    """By a module that is hidden, or by one that is LISTED: then whose function it is tells."""
    return Technique(
        name=f"hook-{what.replace('_', '-')}{'-listed' if listed else ''}",
        title=title + (", by a module that does not hide" if listed else ""),
        check=check, object=object, evidence=POINTER, module="hook_file",
        owner="module hook_file" if listed else "no one.*",
        params={"what": what} if listed else {"what": what, "hide": 1},
        stop=None if listed else restore, **more)


FILES, SYSFS, DEVICES = "file-operations", "sysfs-files", "device-operations"
TYPES, LSM, PROC = "registered-types", "security-hooks", "proc-files"

PROC_ROOT = row("proc_root", "iterate_shared of the directory /proc replaced, to hide processes",
                FILES, r"root of proc: file_operations\.iterate_shared", seen_in="adore-ng")
ROOT_DIR = row("root_dir", "lookup of a directory replaced, at its inode", FILES,
               r"root of .+: inode_operations\.lookup")
CDEV = row("cdev", "open of /dev/null replaced, at its device", DEVICES,
           r"character device 1:\d+: file_operations\.open")
LDISC = row("ldisc", "receive_buf of the terminals' line discipline replaced, to log what is typed",
            DEVICES, r"n_tty_ops\.receive_buf", seen_in="vlogger")
KEY = row("key", "function of a key type replaced", TYPES, r"key_type_user\.describe")
HOOK = row("lsm", "hook of security modules added or replaced", LSM,
           r"(security_hook_heads|static_calls_table)\.capable")

TECHNIQUES = (
    PROC_ROOT,
    ROOT_DIR,
    row("open_file", "operations of one open file replaced", FILES,
        r".+: file_operations\.llseek"),
    row("super", "statfs of a mounted file system replaced", FILES,
        r".+: super_operations\.statfs"),
    row("kobj", "type of a directory in /sys replaced", SYSFS, r"/sys/kernel: kobj_type\.release"),
    row("kernfs", "operations of a file in /sys replaced", SYSFS,
        r"/sys/kernel/uevent_seqnum: kernfs_ops\.seq_show"),
    row("attribute", "show function of an attribute in /sys replaced", SYSFS,
        r"uevent_seqnum_attr\.show"),
    CDEV,
    row("tty", "write of a terminal driver replaced", DEVICES, r".+: tty_operations\.write"),
    LDISC,
    row("input", "input handler registered, to log what is typed", DEVICES,
        r"lab-input: input_handler\.event"),
    row("bus", "function of a bus replaced", DEVICES, r"platform_bus_type\.uevent"),
    row("driver", "probe of a driver replaced", DEVICES, r".+\.probe"),
    row("misc", "misc device registered", DEVICES, r"lab-misc: file_operations\.open"),
    row("binfmt", "binary format registered, to see what is run", TYPES,
        r"binary format: linux_binfmt\.load_binary"),
    row("crypto", "update of a hash algorithm replaced", TYPES, r".+\.update"),
    KEY,
    HOOK,
    row("proc", "file in /proc of a module that hides", PROC,
        r"/proc/lab-proc: proc_ops\.proc_open"),
    row("proc_root", PROC_ROOT.title, FILES, PROC_ROOT.object, listed=True),
    row("root_dir", ROOT_DIR.title, FILES, ROOT_DIR.object, listed=True),
    row("cdev", CDEV.title, DEVICES, CDEV.object, listed=True),
    row("ldisc", LDISC.title, DEVICES, LDISC.object, listed=True),
    row("key", KEY.title, TYPES, KEY.object, listed=True),
    row("lsm", HOOK.title, LSM, HOOK.object, listed=True),
)


class FileHooksTest(unittest.TestCase):
    """One method per kernel, made below: one guest for all rows."""

    def techniques(self, kernel: str) -> None:
        with Guest(kernel, smp=1, memory="256M") as guest:
            for technique in TECHNIQUES:
                if kernel in technique.kernels:
                    with self.subTest(technique.name):
                        prove(self, guest, technique)


def case(kernel: str) -> Callable[[FileHooksTest], None]:
    return lambda self: self.techniques(kernel)


for kernel_name in CLOUD:
    setattr(FileHooksTest, re.sub(r"\W", "_", f"test_{kernel_name}"), case(kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
