#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hvsmd over the life of a guest: found, watched, attacked, reset, ended; and its own processes killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.daemon import BUDGET, LIMIT_S, Daemon  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.product import TOP, binary  # noqa: E402

sys.path.insert(0, str(TOP / "tests"))

from schemas import validate  # noqa: E402

GETPID = 39
REACTION = BUDGET + """
reaction "page" {{
	kind = run
	program = "{folder}/page"
	on_checks = {{ syscall-table }}
	per_hour = 1000
}}"""
RULES = """mode = enforce
	reactions = {{ page }}
	{allow}"""
ALLOW = """
	allow {
		check = syscall-table
		object = '*'
		reason = "the test's own"
		expires = never
	}
"""
# What a reaction runs: it keeps what it is told, each in a file that is whole once it has its name.
PAGE = """#!/bin/sh
cat > "{folder}/told.$$" && mv "{folder}/told.$$" "{folder}/told.$$.json"
"""


class Paging(Daemon):
    """It watches one guest, and pages somebody, of whom it keeps what he is told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        page = self.folder / "page"
        page.write_text(PAGE.format(folder=self.folder))
        page.chmod(0o700)
        self.allow("")

    def allow(self, rule: str) -> None:
        self.configure(REACTION.format(folder=self.folder), RULES.format(allow=rule))

    def told(self) -> list[Any]:
        """What the reaction's program was given."""
        return [json.loads(path.read_text()) for path in self.folder.glob("told.*.json")]

    def audits(self) -> list[Any]:
        path = self.state / "reports" / "audit.jsonl"
        lines, _, _ = path.read_text().rpartition("\n")     # what follows is being written
        return [json.loads(line) for line in lines.splitlines()]

    def guest(self) -> Any:
        """What status says of the guest; nothing where it does not, or there is no answer."""
        return next(iter(self.listed()), None)


class DaemonTest(unittest.TestCase):
    """One guest, one daemon, from the first to the last."""

    def setUp(self) -> None:
        self.guest = Guest("6.1-cloud")
        self.daemon = Paging(self.guest.name)
        self.addCleanup(self.daemon.close)

    def wait(self, what: str, is_so: Callable[[], Any]) -> Any:
        """Until it is so."""
        return self.daemon.wait(what, is_so)

    def watched(self, verdict: str) -> Any:
        """The guest, once it is watched with that verdict by all checks."""
        def is_so() -> Any:
            guest = self.daemon.guest()
            return guest if guest and guest["state"] == "watched" and guest["verdict"] == verdict \
                and guest["checks"]["not_run"] == 0 else None
        return self.wait(f"watched and {verdict}", is_so)

    def swept_again(self) -> None:
        """Every check has run at least once more: told by all of them at once."""
        before = self.daemon.guest()["sweeps"]
        self.assertIsNotNone(self.daemon.ask("scan"))
        self.wait("swept again", lambda: (self.daemon.guest() or {"sweeps": 0})["sweeps"] > before + 2)

    def findings(self) -> list[Any]:
        answer = self.daemon.ask("findings")
        validate(answer)
        return list(answer["items"])

    def open_findings(self) -> set[str]:
        return {item["check"] for item in self.findings()}

    def attack(self) -> None:
        self.guest.insmod("hook_syscall64", nr=GETPID)
        self.wait("a finding", lambda: "syscall-table" in self.open_findings())
        self.assertEqual(self.daemon.status().status, 1)
        self.assertEqual(self.daemon.guest()["verdict"], "compromised")
        self.reaction({item["id"] for item in self.findings() if item["check"] == "syscall-table"})
        self.allowed()
        self.guest.rmmod("hook_syscall64")
        self.wait("no finding", lambda: not self.open_findings())
        self.watched("clean")

    def started(self) -> list[str]:
        return [audit["finding"] for audit in self.daemon.audits() if audit["outcome"] == "started"]

    def reaction(self, ids: set[str]) -> None:
        """The program has got each of these findings, and the audit says so."""
        self.wait("a reaction", lambda: ids <= {one["finding"]["id"] for one in self.daemon.told()})
        one = next(one for one in self.daemon.told() if one["finding"]["id"] in ids)
        self.assertEqual((one["schema"], one["reaction"], one["kind"], one["mode"], one["verdict"]),
                         ("hvsm.reaction/1", "page", "run", "enforce", "compromised"))
        self.assertEqual((one["guest"]["name"], one["finding"]["check"], one["finding"]["policy"]["allowed"]),
                         (self.guest.name, "syscall-table", None))
        self.wait("its audit", lambda: ids <= {audit["finding"] for audit in self.daemon.audits()
                                               if audit["outcome"] == "done"})
        self.assertLessEqual(ids, set(self.started()))

    def allowed(self) -> None:
        """What a rule allows is marked, counts no more, and is reacted to by nobody."""
        self.daemon.allow(ALLOW)
        self.daemon.reload()
        self.wait("what is allowed", lambda: all(item["allowed"] for item in self.findings()
                                                 if item["check"] == "syscall-table"))
        self.assertIn("syscall-table", self.open_findings())
        others = {item["check"] for item in self.findings() if not item["allowed"]}
        self.assertGreaterEqual(self.daemon.guest()["allowed_findings"], 1)
        if not others:
            self.watched("clean")
        started = self.started()
        self.swept_again()
        self.assertEqual(self.started(), started)
        self.daemon.allow("")
        self.daemon.reload()

    def watch(self) -> None:
        """`hvsm watch` without a target says what the daemon sees."""
        with subprocess.Popen([binary(), "watch", "--json", "--count", "1", "--only", "process-start,exec,"
                               "process-exit,processes-missed"], stdout=subprocess.PIPE) as watch:
            assert watch.stdout
            try:
                self.wait("an event", lambda: watch.poll() is not None or self.guest.sh("sleep 0.2"))
            finally:
                watch.kill()
            self.assertEqual(watch.returncode, 0)
            self.assertEqual(json.loads(watch.stdout.read())["guest"]["name"], self.guest.name)

    def events(self) -> None:
        """Who asks for it is told what happens."""
        with socket.socket(socket.AF_UNIX) as to:
            to.connect(str(self.daemon.socket))
            to.settimeout(LIMIT_S)
            to.sendall(b'{"request":"watch"}\n')
            with to.makefile("r") as lines:
                self.assertEqual(json.loads(lines.readline())["schema"], "hvsm.watching/1")
                self.guest.insmod("hook_syscall64", nr=GETPID)
                for line in lines:
                    event = json.loads(line)
                    validate(event)
                    if event.get("event") == "module-load":
                        break
                else:
                    self.fail(f"no module was loaded, hvsmd says\n{self.daemon.said()[-4000:]}")
        self.assertEqual((event["schema"], event["guest"]["name"]), ("hvsm.event/1", self.guest.name))
        self.assertLessEqual(event["after"], event["before"])
        self.guest.rmmod("hook_syscall64")
        self.wait("no finding", lambda: not self.open_findings())

    def pause(self) -> None:
        """A guest that stands still is paused, and neither stalled nor suspicious."""
        self.guest.qmp_command("stop")
        guest = self.wait("paused", lambda: (self.daemon.guest() or {}).get("state") == "paused"
                          and self.daemon.guest())
        self.assertEqual((guest["verdict"], guest["open_findings"]), ("clean", 0))
        self.assertEqual(self.daemon.status().status, 0)
        self.guest.qmp_command("cont")
        self.watched("clean")

    def kill_scanner(self) -> None:
        pids = self.daemon.children("-scanner")
        self.assertEqual(len(pids), 1)
        before = self.daemon.guest()
        os.kill(pids[0], signal.SIGKILL)
        self.wait("another scanner", lambda: self.daemon.children("-scanner") not in ([], pids))
        self.wait("sweeps", lambda: (self.daemon.guest() or {"sweeps": 0})["sweeps"] > before["sweeps"])
        status = self.daemon.status().json
        self.assertIn("SIGKILL", " ".join(one["text"] for one in status["incidents"]))
        self.assertEqual(status["guests"][0]["scanner_restarts"], before["scanner_restarts"] + 1,
                         self.daemon.said())
        self.assertEqual(before["scanner_restarts"], 0, self.daemon.said())

    def kill_control(self) -> None:
        pids = self.daemon.children("-control")
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)
        self.wait("another control", lambda: self.daemon.children("-control") not in ([], pids))
        self.watched("clean")

    def reset(self) -> None:
        """Another boot is an event, with the time in which it began."""
        before = self.daemon.guest()
        self.assertEqual(before["reboots"], 0)
        with socket.socket(socket.AF_UNIX) as to:
            to.connect(str(self.daemon.socket))
            to.settimeout(LIMIT_S)
            to.sendall(b'{"request":"watch"}\n')
            with to.makefile("r") as lines:
                self.assertEqual(json.loads(lines.readline())["schema"], "hvsm.watching/1")
                self.guest.reset()
                event = next(line for line in map(json.loads, lines) if line.get("event") == "reboot")
        self.assertEqual((event["schema"], event["guest"]["name"]), ("hvsm.event/1", self.guest.name))
        self.assertEqual(event["object"], {"release": self.guest.release, "before": self.guest.release})
        self.assertLess(event["after"], event["before"])
        self.assertLess(before["last_sweep"][:19], event["before"])
        self.swept_again()
        self.assertEqual(self.watched("clean")["reboots"], 1)

    def kill_all(self) -> None:
        # Its processes end by themselves, once they see that nobody is there.
        self.daemon.end(signal.SIGKILL)
        self.assertEqual(self.daemon.status().status, 2)
        self.daemon.start()
        self.watched("clean")

    def stop(self) -> None:
        self.assertGreaterEqual(len(self.daemon.children()), 1)
        self.assertEqual(self.daemon.end(), 0, self.daemon.said())
        self.assertEqual(self.daemon.status().status, 2)

    def test_life_of_a_guest(self) -> None:
        self.daemon.start()
        with self.guest:
            guest = self.watched("clean")
            validate(self.daemon.status().json)
            self.assertEqual(guest["target"], f"qemu:{self.guest.pid}")
            self.assertEqual(guest["checks"]["inconclusive"], 0, self.daemon.status().out)
            self.events()
            self.watch()
            self.attack()
            self.pause()
            self.kill_scanner()
            self.kill_control()
            self.reset()
            self.kill_all()
        self.wait("a guest that is gone", lambda: self.daemon.guest() is None)
        self.assertEqual(self.daemon.status().status, 0)
        self.assertEqual(self.daemon.status().json["reports"]["trouble"], None)
        validate(self.daemon.status().json)
        self.stop()
        for said in (*self.daemon.audits(), *self.daemon.told()):
            validate(said)
        self.assertEqual(self.daemon.report("verify").status, 0)
        self.assertIn(f"System call {GETPID}", self.daemon.report("findings").out)
        found = self.daemon.said()
        self.assertEqual(found.count(" opened: "), found.count(" closed: "), found)


if __name__ == "__main__":
    unittest.main()
