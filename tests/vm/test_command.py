#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every command on a real guest: JSON that fits its schema, text that fits a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "vm"))
sys.path.insert(0, str(TOP / "tests" / "cli"))

from lab.guest import Guest                                     # noqa: E402
from lab.product import binary, hvsm, scan                      # noqa: E402
from test_cli import ESCAPED, HOSTILE, on_terminal, validate    # noqa: E402

VIEWS = ["ps", "modules", "sockets", "files", "mounts", "hooks", "bpf", "log", "symbols"]


class OneGuest(unittest.TestCase):
    """A guest in which one of everything runs, shared by the tests that leave it clean."""

    guest: Guest

    @classmethod
    def setUpClass(cls) -> None:
        cls.guest = Guest("6.1")
        cls.guest.start()
        cls.addClassCleanup(cls.guest.stop)
        cls.guest.workload()

    @property
    def name(self) -> str:
        return self.guest.name

    def test_views_fit_their_schema(self) -> None:
        for view in VIEWS:
            with self.subTest(view):
                outcome = hvsm(view, self.name, "--json")
                self.assertEqual((outcome.status, outcome.err), (0, ""))
                self.assertEqual(outcome.out.count("\n"), 1)
                document = outcome.json
                validate(document)
                self.assertEqual(document["schema"], f"hvsm.{view}/1")
                self.assertEqual(document["guest"]["name"], self.name)
                self.assertEqual(document["guest"]["uuid"], self.guest.uuid)
                self.assertEqual(document["kernel"]["release"], self.guest.release)
                self.assertTrue(document["complete"])
                # The lab's guest has loaded no BPF program; test_bpf compares those.
                self.assertEqual(bool(document["items"]), view != "bpf")

    def test_report_info_and_list_fit_their_schema(self) -> None:
        for args in (("scan", self.name), ("info", self.name), ("list",)):
            with self.subTest(args[0]):
                outcome = hvsm(*args, "--json")
                self.assertEqual((outcome.status, outcome.err), (0, ""))
                validate(outcome.json)

    def test_every_way_to_name_a_guest(self) -> None:
        for target in (self.name, self.guest.uuid, f"qemu:{self.guest.pid}",
                       f"qmp:{self.guest.qmp_socket}", str(self.guest.qmp_socket)):
            with self.subTest(target):
                self.assertEqual(hvsm("info", target, "--json").json["guest"]["uuid"],
                                 self.guest.uuid)

    def test_text_on_a_terminal_fits_it_and_is_whole_in_a_pipe(self) -> None:
        for view in VIEWS[:-1]:     # symbols are not cut: they are for grep
            with self.subTest(view):
                for line in on_terminal(view, self.name, columns=80).splitlines():
                    self.assertLessEqual(len(line), 80, line)
                self.assertEqual(hvsm(view, self.name).status, 0)
        for command in (("info",), ("scan",), ("ps", "--long")):
            for line in hvsm(*command, self.name).out.splitlines():
                self.assertLessEqual(len(line), 80, line)

    def test_colours_on_a_terminal_only_and_not_where_nobody_wants_them(self) -> None:
        self.assertIn("\x1b[", on_terminal("scan", self.name, columns=80))
        self.assertNotIn("\x1b[", on_terminal("scan", self.name, columns=80,
                                              env={"NO_COLOR": "1"}))
        self.assertNotIn("\x1b[", on_terminal("scan", self.name, columns=80,
                                              env={"TERM": "dumb"}))
        self.assertNotIn("\x1b[", hvsm("scan", self.name).out)

    def test_only_and_skip(self) -> None:
        every = [check["id"] for check in hvsm("checks", "--json").json["items"]]

        def ran(*args: str) -> list[str]:
            return [check["id"] for check in scan(self.name, *args).json["checks"]]

        self.assertEqual(ran(), every)
        self.assertEqual(ran("--only", every[0]), every[:1])
        self.assertEqual(ran("--only", f"{every[1]},{every[0]}"), every[:2])
        self.assertEqual(ran("--only", every[0], "--only", every[1]), every[:2])
        self.assertEqual(ran("--skip", every[0]), every[1:])
        self.assertEqual(ran("--only", ",".join(every), "--skip", every[-1]), every[:-1])

    def test_symbols_by_name(self) -> None:
        outcome = hvsm("symbols", self.name, "init_task", "no_such_symbol", "_text")
        self.assertEqual(outcome.status, 2)
        self.assertEqual([line.split()[2] for line in outcome.out.splitlines()],
                         ["_text", "init_task"])
        self.assertIn("no_such_symbol", outcome.err)

    def test_ps_as_tree_and_flat(self) -> None:
        tree, flat = (hvsm("ps", self.name, *args).out.splitlines()[1:] for args in ([], ["--flat"]))
        self.assertEqual(len(tree), len(flat))
        pids = [int(line.split()[0]) for line in flat]
        self.assertEqual(pids, sorted(pids))
        self.assertRegex("\n".join(tree), r"(?m)^.* lab-main .*\n(.*\n)*?.*   lab-root")

    def test_reader_that_leaves_does_not_change_the_verdict(self) -> None:
        done = subprocess.run(["bash", "-c", '"$0" symbols "$1" | head -1; '
                               'exit "${PIPESTATUS[0]}"', str(binary()), self.name],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_several_targets_are_one_report_per_line(self) -> None:
        outcome = hvsm("scan", "--json", self.name, "no-such-guest", f"qemu:{self.guest.pid}")
        self.assertEqual(outcome.status, 2)
        reports = [json.loads(line) for line in outcome.out.splitlines()]
        self.assertEqual(len(reports), 2)
        for report in reports:
            validate(report)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_without_permission(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = Path(folder) / "hvsm"
            program.write_bytes(binary().read_bytes())
            program.chmod(0o755)
            done = subprocess.run([program, "scan", f"qemu:{self.guest.pid}"], text=True,
                                  capture_output=True, check=False, user="nobody",
                                  group="nogroup", extra_groups=[])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, r"\Ahvsm: [^\n]*root[^\n]*\n\Z")

    @staticmethod
    def confined_child(parent: int) -> tuple[int, str]:
        """The scanner of a scan, stopped in its sandbox, and its status; 0: it was faster."""
        while (children := Path(f"/proc/{parent}/task/{parent}/children")).exists():
            for child in map(int, children.read_text().split()):
                status = Path(f"/proc/{child}/status")
                with contextlib.suppress(OSError):
                    if "Seccomp:\t2\n" in status.read_text():
                        os.kill(child, signal.SIGSTOP)
                        return child, status.read_text()
            if not Path(f"/proc/{parent}/exe").exists():
                break
        return 0, ""

    def test_scanner_is_confined_and_its_death_is_told(self) -> None:
        for _ in range(20):         # a scan may be over before its scanner was found
            with subprocess.Popen([binary(), "scan", self.name], text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as scanning:
                scanner, status = self.confined_child(scanning.pid)
                if scanner:
                    os.kill(scanner, signal.SIGKILL)
                out, err = scanning.communicate(timeout=60)
            if scanner and scanning.returncode != 0:
                break
        self.assertEqual((scanning.returncode, out), (2, ""), err)
        self.assertRegex(err, r"\Ahvsm: cannot [^\n]*: its scanner has ended: [^\n]*SIGKILL[^\n]*\n\Z")
        for line in ("CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
            self.assertIn(line, status)
        if os.geteuid() == 0:
            self.assertIn("CapBnd:\t0000000000000000", status)
            self.assertNotRegex(status, r"(?m)^[UG]id:\t(.*\t)?0\b")

    def test_hostile_names_inside_the_guest(self) -> None:
        # A process and a file may be called anything but NUL and "/"; a comm has 15 bytes.
        script = (f"printf '%s' '{HOSTILE}' >/proc/self/comm\n"
                  f"exec 3>'/tmp/{HOSTILE}'\n"
                  "while :; do sleep 1000; done\n")
        self.guest.put("/tmp/rename.sh", script.encode())
        self.guest.sh("sh /tmp/rename.sh >/dev/null 2>&1 </dev/null &")
        for command in (("ps", "--json"), ("ps",), ("ps", "--long"), ("files", "--json"),
                        ("files",)):
            out = hvsm(command[0], self.name, *command[1:]).out
            self.assertNotRegex(out, r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
        files = hvsm("files", self.name, "--json").json["items"]
        self.assertIn("/tmp/" + ESCAPED, [file["path"] for file in files])
        names = [item["comm"] for item in hvsm("ps", self.name, "--json").json["items"]]
        self.assertTrue([name for name in names if ESCAPED.startswith(name)], names)


class Findings(unittest.TestCase):
    """What is printed when something was found."""

    def test_rootkit(self) -> None:
        with Guest("6.1") as guest:
            self.assertEqual(scan(guest.name).status, 0)
            guest.insmod("rootkit")
            first, second = scan(guest.name), scan(guest.name)
            self.assertEqual((first.status, first.err), (1, ""))
            report = first.json
            validate(report)
            self.assertEqual((report["verdict"], report["assurance"]), ("compromised", "none"))
            self.assertEqual({finding["check"] for finding in report["findings"]},
                             {"syscall-table", "hidden-module", "kernel-rodata", "module-record"})
            self.assertEqual([finding["id"] for finding in report["findings"]],
                             [finding["id"] for finding in second.json["findings"]])
            for finding in report["findings"]:
                self.assertTrue(finding["evidence"])
                self.assertTrue(finding["techniques"])

            text = hvsm("scan", guest.name)
            self.assertEqual(text.status, 1)
            self.assertRegex(text.out, r"\Acompromised  ")
            self.assertTrue(all(len(line) <= 80 for line in text.out.splitlines()))
            self.assertIn("rootkit", text.out)
            # A clean check does not make up for a finding elsewhere.
            self.assertEqual(scan(guest.name, "--only", "idt").status, 0)
            modules = hvsm("modules", guest.name, "--json").json["items"]
            found = {item["name"]: item["found_by"] for item in modules}
            self.assertEqual(found["rootkit"], ["tree"])

    def test_list_that_was_cut_short_says_so(self) -> None:
        with Guest("6.1") as guest:
            whole = len(hvsm("ps", guest.name, "--json").json["items"])
            guest.insmod("corrupt", what="task_cycle")
            outcome = hvsm("ps", guest.name, "--json")
            self.assertEqual(outcome.status, 3, outcome.err)
            validate(outcome.json)
            self.assertFalse(outcome.json["complete"])
            self.assertTrue(0 < len(outcome.json["items"]) <= whole)
            self.assertRegex(outcome.err, r"\Ahvsm: [^\n]*not complete[^\n]*\n\Z")
            text = hvsm("ps", guest.name)
            self.assertEqual((text.status, text.err), (3, outcome.err))
            self.assertIn("labd", text.out)
            guest.rmmod("corrupt")
            self.assertEqual(hvsm("ps", guest.name).status, 0)

    def test_findings_outweigh_a_target_that_is_not_there(self) -> None:
        with Guest("6.1") as guest:
            guest.insmod("rootkit")
            self.assertEqual(hvsm("scan", "no-such-guest", guest.name).status, 1)


if __name__ == "__main__":
    unittest.main()
