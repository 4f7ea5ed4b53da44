# SPDX-License-Identifier: Apache-2.0
"""What the hvsm command makes of what hvsmd says: a daemon that is played by the test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from test_cli import HVSM, LIMIT_S, hvsm

NAME = "we\\x1bb1"      # as control says it: escaped


def event(kind: str, guest: str = "web1", **of: object) -> dict[str, object]:
    return {"schema": "hvsm.event/1", "guest": {"name": guest, "target": "qemu:1"}, "event": kind,
            "after": "2026-11-22T14:00:01.626000000Z", "before": "2026-11-22T14:00:01.726000000Z",
            "object": of}


EVENTS = [
    event("process-start", pid=115, comm="true", uid=0, ppid=1, exe=None),
    event("module-load", "db1", name="dummy", size_bytes=16384, at="0xffffffffc03f5000", taint=None),
    {"schema": "hvsm.finding/1", "change": "opened", "time": "2026-11-22T14:00:02.500000Z",
     "guest": "00256f4a-eb2b-4091-b809-584ff107a4e4", "name": "db1", "id": "00000000000000aa",
     "check": "idt", "severity": "high", "title": "A gate", "allowed": True},
    {"schema": "hvsm.tomorrow/1", "guest": "db1"},
    event("of-tomorrow"),
    event("log", "e\x1b[2J", level="notice", text="\x1b[31mred"),
]


class Daemon:
    """Answers each request by lines, and ends the connection, or keeps it."""

    def __init__(self, case: unittest.TestCase, lines: list[object], stays: bool = False) -> None:
        held = tempfile.TemporaryDirectory(prefix="hvsm-asked-")
        case.addCleanup(held.cleanup)
        self.path = str(Path(held.name) / "socket")
        self.lines, self.stays = lines, stays
        self.requests: list[object] = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen()
        case.addCleanup(self.socket.close)
        self.env = {**os.environ, "HVSM_SOCKET": self.path}
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        peer, _ = self.socket.accept()
        with peer, peer.makefile("rw") as file:
            self.requests.append(json.loads(file.readline()))
            for line in self.lines:
                file.write(line if isinstance(line, str) else json.dumps(line) + "\n")
            file.flush()
            if self.stays:
                file.readline()


WATCHING = {"schema": "hvsm.watching/1"}


class Watch(unittest.TestCase):
    """hvsm watch, without a target"""

    def test_events_of_all_guests_for_a_person(self) -> None:
        daemon = Daemon(self, [WATCHING, *EVENTS])
        done = hvsm("watch", "--count", "4", env=daemon.env)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(daemon.requests, [{"request": "watch"}])
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "14:00:01.726 web1 process-start 115 true, uid 0, parent 1")
        self.assertEqual(lines[1], "14:00:01.726 db1 module-load   dummy, 16384 bytes at 0xffffffffc03f5000")
        self.assertTrue(lines[2].endswith(" db1 finding       opened: high, allowed, idt: A gate"), lines[2])
        # Not even a daemon in other hands steers the terminal.
        self.assertEqual(lines[3], "14:00:01.726 e\\x1b[2J log           notice: \\x1b[31mred")
        self.assertEqual(len(lines), 4)

    def test_json_is_what_the_daemon_says(self) -> None:
        daemon = Daemon(self, [WATCHING, *EVENTS], stays=True)
        done = hvsm("watch", "--json", "--count", "3", env=daemon.env)
        self.assertEqual(done.returncode, 0)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], EVENTS[:3])

    def test_only_some_kinds(self) -> None:
        daemon = Daemon(self, [WATCHING, *EVENTS], stays=True)
        done = hvsm("watch", "--only", "module-load,log", "--count", "2", env=daemon.env)
        self.assertEqual([line.split()[2] for line in done.stdout.splitlines()], ["module-load", "log"])

    def test_a_line_in_pieces(self) -> None:
        text = json.dumps(event("log", level="info", text="x" * 200000)) + "\n"
        daemon = Daemon(self, [WATCHING, text[:70000], text[70000:]], stays=True)
        done = hvsm("watch", "--count", "1", env=daemon.env)
        self.assertTrue(done.stdout.endswith("info: " + "x" * 200000 + "\n"))

    def test_the_end_of_the_daemon_is_told(self) -> None:
        daemon = Daemon(self, [WATCHING, EVENTS[0]])
        done = hvsm("watch", env=daemon.env)
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (2, 1))
        self.assertIn("hvsmd closed the connection", done.stderr)

    def test_a_refusal_is_told(self) -> None:
        daemon = Daemon(self, [{"schema": "hvsm.error/1", "code": "EACCES", "text": "not you"}])
        done = hvsm("watch", env=daemon.env)
        self.assertEqual(done.returncode, 2)
        self.assertIn("not you", done.stderr)
        done = hvsm("watch", env=Daemon(self, []).env)
        self.assertEqual(done.returncode, 2)
        self.assertIn("root, group hvsm", done.stderr)

    def test_a_signal_ends_it(self) -> None:
        daemon = Daemon(self, [WATCHING, EVENTS[0]], stays=True)
        with subprocess.Popen([HVSM, "watch"], stdout=subprocess.PIPE, env=daemon.env) as watch:
            assert watch.stdout
            self.assertIn(b"process-start", watch.stdout.readline())
            watch.send_signal(signal.SIGINT)
            self.assertEqual(watch.wait(LIMIT_S), 0)


class Status(unittest.TestCase):
    """hvsm status"""

    def status(self, **of: object) -> subprocess.CompletedProcess[str]:
        guest = {"name": NAME, "target": "qemu:1", "state": "watched", "verdict": "clean",
                 "open_findings": 0, "cpu_share": 0.01, "memory_bytes": 4096, "reason": None,
                 "last_sweep": "2026-11-22T14:00:01.726000Z", **of}
        said = {"schema": "hvsm.status/1", "version": "1", "started": "2026-11-22T14:00:00.000000Z",
                "reports": {"received": 1, "records": 1, "trouble": None}, "guests": [guest]}
        return hvsm("status", env=Daemon(self, [said]).env)

    def test_names_are_escaped_once(self) -> None:
        done = self.status(state="unwatched", reason="its \\x07 is gone")
        self.assertIn("\n" + NAME + " ", done.stdout)
        self.assertIn(NAME + ": its \\x07 is gone", done.stdout)
        self.assertNotIn("x5c", done.stdout)
        # What control left out is made up for.
        self.assertIn("\nbad\\x1b[2J", self.status(name="bad\x1b[2J").stdout)

    def test_a_long_name_is_cut_between_two_characters(self) -> None:
        self.assertIn("\n" + 18 * "a" + "\u4e00 ", self.status(name=18 * "a" + 5 * "\u4e00").stdout)

    def test_the_status_is_that_of_the_gravest(self) -> None:
        for verdict, state, status in (("clean", "watched", 0), ("clean", "starting", 3),
                                       ("compromised", "watched", 1), ("inconclusive", "watched", 3)):
            self.assertEqual(self.status(verdict=verdict, state=state).returncode, status)


if __name__ == "__main__":
    unittest.main()
