#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that nobody vouches for: found by what the agent measured, and known once they are trusted."""

from __future__ import annotations

import re
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import agent  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.image import busybox, programs  # noqa: E402
from lab.product import findings, hvsm, scan  # noqa: E402
from lab.technique import CLOUD, JOINED, Technique, clean  # noqa: E402
from test_measured import changed  # noqa: E402

VICTIM = "/tmp/victim.pid"
STOP = f"for pid in $(cat {VICTIM}); do kill -9 $pid; while [ -e /proc/$pid ]; do sleep 0.02; done; done; rm {VICTIM}"
KNOWN = b"#!/usr/bin/interpreter sh\nwhile :; do sleep 1; done\n"      # who is to run it is not
SCRIPT = b"#!/bin/sh\n# %s\nwhile :; do sleep 1; done\n"


def meddle() -> bytes:
    """A program that another number in its code, or behind it, makes another file."""
    return programs()["meddle"].read_bytes()


def ran(path: str, data: bytes, command: str, mode: int = 0o755) -> dict[str, Callable[[Guest], None]]:
    """A file put into the guest, and a COMMAND there that leaves its PID; what runs it is killed."""
    def start(guest: Guest) -> None:
        guest.put(path, data, mode)
        guest.sh(f"{command} >{VICTIM}; sleep 0.3")

    return {"start": start, "stop": lambda guest: guest.sh(STOP) and None}


def background(command: str) -> str:
    return f"{command} </dev/null >/dev/null 2>&1 & echo $!"


FILE = "the file's digest, and which processes run it"

# A technique, and the contents that have to be trusted for it to be none.
ROWS: tuple[tuple[bytes, Technique], ...] = (
    (meddle() + b"1", Technique("trusted-unknown", "program executed that nobody vouches for", "process-digest",
                                "/usr/bin/unknown", FILE, result="unknown",
                                **ran("/usr/bin/unknown", meddle() + b"1", "/usr/bin/unknown start"))),
    (changed(meddle()), Technique("trusted-trojan", "program replaced by a trojan, and executed", "process-digest",
                                  "/usr/bin/tool", FILE, result="unknown",
                                  **ran("/usr/bin/tool", changed(meddle()), "/usr/bin/tool start"))),
    (SCRIPT % b"1", Technique("trusted-script", "script executed that nobody vouches for", "process-digest",
                              "/usr/bin/script", FILE, result="unknown",
                              **ran("/usr/bin/script", SCRIPT % b"1", background("/usr/bin/script")))),
    (busybox().read_bytes() + b"1",
     Technique("trusted-interpreter", "interpreter that nobody vouches for, of a script", "process-digest",
               "/usr/bin/interpreter", FILE,   # it ends at once
               **ran("/usr/bin/interpreter", busybox().read_bytes() + b"1",
                     background("/usr/bin/known")))),
    (busybox().read_bytes() + b"2",
     Technique("trusted-preload", "library preloaded that nobody vouches for", "process-digest",
               "/lib/preload.so", FILE, result="unknown",
               **ran("/lib/preload.so", busybox().read_bytes() + b"2", "intrude preload /lib/preload.so"))),
    (meddle() + b"3",
     Technique("trusted-replaced", "program replaced by another one while it runs", "process-replaced",
               "/usr/bin/daemon", "the process, and the digest of what stands there now", result="modified-on-disk",
               **ran("/usr/bin/new", meddle() + b"3",
                     "cp /sbin/meddle /usr/bin/daemon; p=$(/usr/bin/daemon start); sleep 0.3; "
                     "mv /usr/bin/new /usr/bin/daemon; echo $p"))),
)

TECHNIQUES = tuple(technique for _, technique in ROWS)


class TrustedTest(unittest.TestCase):
    """One method per kernel, made below: one guest for all rows."""

    def trust(self, store: str, *paths: object) -> None:
        outcome = hvsm("trust", "add", *paths, "--store", store)
        self.assertEqual(outcome.status, 0, outcome.err)

    def every_technique(self, guest: Guest, room: str) -> None:
        store = f"{room}/store"
        for name, path in (*programs().items(), ("busybox", busybox())):
            Path(room, name).write_bytes(path.read_bytes())
            self.trust(store, f"{room}/{name}")
        self.trust(store, guest.kernel.modules)
        Path(room, "known").write_bytes(KNOWN)
        self.trust(store, f"{room}/known")
        guest.put("/usr/bin/known", KNOWN, 0o755)
        agent.install(guest)
        agent.start(guest)
        guest.put("/usr/bin/tool", meddle(), 0o755)
        guest.sh("p=$(/usr/bin/tool start); sleep 0.2; kill $p; sleep 0.2; rm /usr/bin/tool")
        agent.wait_trusted(guest, "--store", store)
        options = ("--store", store, "--agent", agent.built())
        for number, (data, technique) in enumerate(ROWS):
            with self.subTest(technique.name):
                self.attack(guest, technique, "--only", technique.check, *options)
                Path(room, f"row{number}").write_bytes(data)
                self.trust(store, f"{room}/row{number}")

    def attack(self, guest: Guest, technique: Technique, *options: object) -> None:
        """Known; then exactly one finding; what was done before is trusted by now."""
        before = clean(f"qemu:{guest.pid}", *options)
        self.assertEqual(before.status, 0, before.out + before.err)
        assert technique.start and technique.stop
        technique.start(guest)
        try:
            outcome = clean(f"qemu:{guest.pid}", *options)
            self.assertEqual(outcome.status, 1, outcome.out + outcome.err)
            found = [f["object"]["name"] for f in findings(outcome.json)]
            self.assertEqual(len(found), 1, outcome.out)
            self.assertRegex(found[0], f"^{technique.object}$")
            if technique.result:
                self.judge(guest, technique, *options[2:])
        finally:
            technique.stop(guest)

    def judge(self, guest: Guest, technique: Technique, *options: object) -> None:
        """What its processes came to; all others are known."""
        report = scan(f"qemu:{guest.pid}", "--only", JOINED, *options).json
        victims = {int(pid) for pid in guest.sh(f"cat {VICTIM}").split()}
        results = {process["pid"]: process["result"] for process in report["processes"]}
        self.assertEqual({results[pid] for pid in victims}, {technique.result}, technique.name)
        self.assertEqual({results[pid] for pid in results.keys() - victims}, {"known"}, technique.name)


def case(kernel: str) -> Callable[[TrustedTest], None]:
    def run(self: TrustedTest) -> Any:
        with Guest(kernel, memory="256M") as guest, tempfile.TemporaryDirectory() as room:
            self.every_technique(guest, room)
    return run


for name_of in CLOUD:
    setattr(TrustedTest, "test_" + re.sub(r"\W", "_", name_of), case(name_of))


if __name__ == "__main__":
    unittest.main(verbosity=2)
