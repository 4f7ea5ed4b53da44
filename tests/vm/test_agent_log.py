#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent measures, held against what the guest's own tools say of the same files."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import time
import unittest
from collections.abc import Callable
from errno import EFBIG, ENAMETOOLONG
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "vm"))

from lab.agent import PROGRAM, install, start, stop     # noqa: E402
from lab.guest import Guest                             # noqa: E402

KERNELS = ("5.10", "6.1", "6.12", "new")
WAIT_S = 60        # a guard against an agent that hangs, no measure of anything

Record = dict[str, Any]


def ima_line(digest: str, path: str) -> str:
    """The line that IMA would have written, by its definition."""
    name = path.replace(" ", "_").encode() + b"\0"
    field = b"sha256:\0" + bytes.fromhex(digest)
    template = struct.pack("<I", len(field)) + field + struct.pack("<I", len(name)) + name
    return f"10 {hashlib.sha1(template).hexdigest()} ima-ng sha256:{digest} {path.replace(' ', '_')}"


class Log(unittest.TestCase):
    """One guest per kernel; each subject is looked for until it is there."""

    def records(self, guest: Guest) -> list[Record]:
        return [json.loads(line) for line in guest.sh(f"{PROGRAM} log --json").splitlines()]

    def status(self, guest: Guest) -> Record:
        return json.loads(guest.sh(f"{PROGRAM} status --json"))

    def wait(self, what: str, ready: Callable[[], Any]) -> Any:
        end = time.monotonic() + WAIT_S
        while not (found := ready()):
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.2)
        return found

    def wait_for_file(self, guest: Guest, path: str, data: bytes, **fields: object) -> Record:
        """The record of a file with these contents."""
        digest = hashlib.sha256(data).hexdigest()

        def ready() -> Record | None:
            for record in self.records(guest):
                if record.get("path") == path and record.get("sha256") == digest and \
                        all(record.get(name) == value for name, value in fields.items()):
                    return record
            return None
        return self.wait(f"a record of {path}", ready)

    def test_what_is_run_is_in_the_log(self) -> None:
        for kernel in KERNELS:
            with self.subTest(kernel), Guest(kernel) as guest:
                install(guest)
                self.program = guest.fetch("/bin/busybox")
                pid = start(guest)
                self.wait("an agent that runs", lambda guest=guest: guest.call(
                    f"{PROGRAM} status | grep -q running").status == 0)
                self.what_ran_before(guest)
                self.programs(guest)
                self.what_ends_soon(guest)
                self.scripts(guest)
                self.users(guest)
                self.rounds(guest)
                self.what_is_no_file(guest)
                self.ima(guest)
                stop(guest, pid)

    def what_ran_before(self, guest: Guest) -> None:
        self.wait_for_file(guest, "/bin/busybox", self.program)
        self.wait_for_file(guest, "/sbin/labd", guest.fetch("/sbin/labd"), reason="exec")
        modules = {line.split()[0] for line in guest.sh("cat /proc/modules").splitlines()}
        measured = [record["path"] for record in self.records(guest)
                    if record.get("reason") == "module"]
        self.assertEqual(len(modules), len(measured))

    def programs(self, guest: Guest) -> None:
        """Copied, changed, gone, in a name space of its own: each is what it was when it ran."""
        guest.sh("cp /bin/busybox /tmp/one; ln -s one /tmp/true; /tmp/true")
        first = self.wait_for_file(guest, "/tmp/one", self.program, reason="exec")
        guest.sh("echo more >>/tmp/one; /tmp/true")
        second = self.wait_for_file(guest, "/tmp/one", self.program + b"more\n")
        self.assertGreater(second["sequence"], first["sequence"])
        self.assertEqual(second["inode"], first["inode"])

        guest.sh("mkdir /tmp/x; cp /bin/busybox /tmp/x/sleep; echo x >>/tmp/x/sleep; "
                 "(/tmp/x/sleep 60 </dev/null >/dev/null 2>&1 &); sleep 0.1; rm /tmp/x/sleep")
        self.wait_for_file(guest, "/tmp/x/sleep", self.program + b"x\n")
        guest.sh("unshare -m sh -c 'mount -t tmpfs none /tmp/x; cp /bin/busybox /tmp/x/sleep; "
                 "echo own >>/tmp/x/sleep; /tmp/x/sleep 60' </dev/null >/dev/null 2>&1 &")
        self.wait_for_file(guest, "/tmp/x/sleep", self.program + b"own\n")

        # Not root's, and its times change all the time.
        guest.sh("mkdir /tmp/u; cp /bin/busybox /tmp/u/sleep; echo user >>/tmp/u/sleep; chown 1000 /tmp/u/sleep; "
                 "(while [ -e /tmp/u/sleep ]; do chmod 755 /tmp/u/sleep; done </dev/null >/dev/null 2>&1 &); "
                 "/tmp/u/sleep 1")
        self.wait_for_file(guest, "/tmp/u/sleep", self.program + b"user\n", reason="exec")
        guest.sh("rm /tmp/u/sleep")

    def what_ends_soon(self, guest: Guest) -> None:
        """A program in memory only, of which no event of a file tells, and which is gone before processes are looked at."""
        def ready() -> bool:
            guest.sh("meddle brief 20")
            return any(record.get("path") == "/memfd:brief" for record in self.records(guest))
        self.wait("a record of a file without a name", ready)

    def users(self, guest: Guest) -> None:
        """What is not root's may not take long: that is noted."""
        guest.sh("dd if=/bin/busybox of=/tmp/sleep bs=1M 2>/dev/null; dd if=/dev/null of=/tmp/sleep bs=1M seek=300; "
                 "chmod 755 /tmp/sleep; chown 1000 /tmp/sleep; /tmp/sleep 1")
        self.wait("a record of what is too large", lambda: [
            record for record in self.records(guest)
            if record.get("path") == "/tmp/sleep" and record["type"] == "unreadable" and record["error"] == EFBIG])
        guest.sh("rm /tmp/sleep")

    def rounds(self, guest: Guest) -> None:
        """All processes are looked at again and again, and it says so."""
        self.wait("a round of which all is measured", lambda: self.status(guest)["complete_ns"])
        self.assertGreaterEqual(self.status(guest)["round_ms"], 15000)

    def scripts(self, guest: Guest) -> None:
        direct, given = b"#!/bin/sh\nexit 0\n", b"sleep 3\n"
        guest.put("/tmp/direct script", direct, 0o755)
        guest.put("/tmp/given.sh", given)
        guest.sh("'/tmp/direct script'; cd /tmp; sh -x given.sh")
        # Who comes first: its exec's event, or a look at its interpreter's command line.
        self.wait_for_file(guest, "/tmp/direct script", direct, pages=0)
        self.wait_for_file(guest, "/tmp/given.sh", given, reason="script", pages=0)

        # Of a name that it does not take it says that there was one.
        deep = "/tmp/" + "/".join(["d" * 200] * 5)
        guest.sh(f"mkdir -p {deep}; echo sleep 3 >{deep}/s.sh; sh {deep}/s.sh")
        self.wait("a record of a long name", lambda: [
            record for record in self.records(guest) if record["type"] == "unreadable" and
            record["error"] == ENAMETOOLONG and record["path"].startswith("/tmp/" + "d" * 200)])

    def what_is_no_file(self, guest: Guest) -> None:
        """A FIFO and a device are not opened, and nobody waits for them."""
        guest.sh("mkfifo /tmp/fifo; (sh /tmp/fifo </dev/null >/dev/null 2>&1 &); sh /dev/null; "
                 "sleep 0.5")
        beat = self.status(guest)["heartbeat"]
        self.wait("a heartbeat", lambda: self.status(guest)["heartbeat"] > beat)
        guest.sh("cp /tmp/given.sh /tmp/after.sh; echo >>/tmp/after.sh; sh /tmp/after.sh")
        self.wait_for_file(guest, "/tmp/after.sh", b"sleep 3\n\n")
        self.assertEqual(self.status(guest)["lost"], 0)
        for record in self.records(guest):
            self.assertNotIn(record.get("path"), ("/tmp/fifo", "/dev/null"))

    def ima(self, guest: Guest) -> None:
        violation = f"10 {'0' * 40} "
        lines = [line for line in guest.sh(f"{PROGRAM} log --ima").splitlines() if not line.startswith(violation)]
        files = [record for record in self.records(guest) if record["type"] == "file"]
        want = [ima_line(record["sha256"], record["path"]) for record in files]
        self.assertEqual(lines, want[:len(lines)])
        self.assertGreater(len(lines), 10)


if __name__ == "__main__":
    unittest.main()
