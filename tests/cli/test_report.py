# SPDX-License-Identifier: Apache-2.0
"""hvsm report: what is in the ledger, whether it is as it was signed, and other programs' forms."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import test_cli
from test_cli import HVSM, Case, hvsm, on_terminal, validate

LEDGERS = Path(HVSM).parents[1] / "tests" / "make" / "ledgers"

Report = dict[str, object]


def check(name: str, result: str, reason: str | None = None) -> Report:
    return {"id": name, "result": result, "reason": reason, "covered": {"entries": 256},
            "duration_us": 10, "repeats": 0}


def finding(number: int, name: str, title: str = "Gate leads elsewhere") -> Report:
    return {"id": f"{number:016x}", "check": name, "severity": "high", "title": title,
            "techniques": ["T1014"], "owner": "module evil",
            "object": {"kind": "idt-gate", "name": "idt[3]", "address": None},
            "evidence": [{"what": "gate", "address": "0xffffffff81000010", "symbol": "idt+0x10",
                          "expected": "asm_exc_int3", "found": "0xffffffffc0000000"}],
            "first_seen": "2025-03-01T14:02:11.000000Z"}


def report(name: str, sweep: int, checks: list[Report], findings: list[Report]) -> Report:
    made = {
        "schema": "hvsm.report/1",
        "guest": {"name": name, "uuid": None, "target": "qemu:4711", "hypervisor": "QEMU 7.2"},
        "kernel": {"os": "linux", "release": "6.1.0-32-amd64", "banner": "Linux version 6.1",
                   "build_id": None, "text_base": "0xffffffff81000000", "paging_levels": 4,
                   "symbols": "kallsyms: relative offsets"},
        "reference": None, "agent": None,
        "sweep": {"started": f"2025-03-01T14:02:{sweep:02}.000000Z", "duration_us": 5000,
                  "pages_read": 7, "bytes_read": 28672, "repeats": 0},
        "verdict": "compromised" if findings else "clean", "assurance": "none",
        "checks": checks, "findings": findings, "processes": None,
    }
    validate(made)
    return made


REPORTS = [
    report("web1", 1, [check("idt", "clean")], []),
    report("web1", 2, [check("idt", "finding"), check("vdso", "inconclusive", "it changed")],
           [finding(1, "idt"), finding(2, "idt", "a\\x1b[2J] \"b\" " + "long " * 30)]),
    report("web1", 3, [check("idt", "finding"), check("vdso", "inconclusive", "it changed")],
           [finding(1, "idt"), finding(2, "idt", "a\\x1b[2J] \"b\" " + "long " * 30)]),
    report("db1", 4, [check("idt", "clean")], []),
    report("web1", 5, [check("idt", "finding"), check("vdso", "clean")], [finding(1, "idt")]),
]


def store(folder: str, reports: list[Report]) -> None:
    subprocess.run([LEDGERS, folder], input="".join(f"{json.dumps(r)}\n" for r in reports),
                   text=True, check=True, capture_output=True)


class Ledger(Case):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory(prefix="hvsm-report-")
        cls.good = f"{cls.folder.name}/ledger"
        store(cls.good, REPORTS)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def run_on(self, *args: str, ledger: str = "", status: int = 0) -> str:
        done = hvsm("report", *args, "--ledger", ledger or self.good)
        self.assertEqual((done.returncode, done.stderr), (status, ""), done)
        return done.stdout

    def items(self, *args: str) -> list[Report]:
        document = json.loads(self.run_on(*args, "--json"))
        validate(document)
        return document["items"]

    def test_list(self) -> None:
        items = self.items("list")
        self.assertEqual([item["id"] for item in items], [1, 2, 3, 4, 5])
        self.assertEqual([item["kind"] for item in items],
                         ["report", "report", "same", "report", "report"])
        self.assertEqual((items[2]["refers"], items[2]["findings"]), (2, 2))
        self.assertEqual([item["id"] for item in self.items("list", "db1")], [4])
        self.assertEqual(self.items("list", "nobody"), [])
        text = self.run_on("list")
        self.assert_fits(text)
        self.assertEqual(len(text.splitlines()), 6)
        self.assertRegex(text, r"(?m)^ *3 +\d{4}-.* compromised +2 +2 +web1$")

    def pages(self, *args: str) -> list[list[Report]]:
        """All pages of --limit; each names the next one, in JSON as for people."""
        pages, more = [], []
        while not pages or more:
            document = json.loads(self.run_on(*args, *more, "--json"))
            validate(document)
            pages.append(document["items"])
            following = f"--before {document['next']}"
            done = hvsm("report", *args, *more, "--ledger", self.good)
            self.assertEqual(done.stderr, f"hvsm: there are older ones: {following}\n"
                             if document["next"] else "")
            self.assertEqual(len(done.stdout.splitlines()), len(document["items"]) + 1)
            more = following.split() if document["next"] else []
        return pages

    def test_pages(self) -> None:
        self.assertEqual([[item["id"] for item in page] for page in
                          self.pages("list", "--limit", "2")], [[5, 4], [3, 2], [1]])
        self.assertEqual([[item["id"] for item in page] for page in
                          self.pages("list", "web1", "--limit", "4")], [[5, 3, 2, 1]])
        self.assertEqual([[item["id"][-1] for item in page] for page in
                          self.pages("findings", "--limit", "1")], [["2"], ["1"]])
        self.assertEqual([item["id"] for item in self.items("list", "--before", "3")], [2, 1])
        self.assertEqual(self.items("findings", "--before", "2"), [])
        self.assertIsNone(json.loads(self.run_on("list", "--json"))["next"])
        for wrong in (["list", "--limit", "0"], ["list", "--limit", "x"], ["findings", "--before", "0"],
                      ["findings", "--before", "2-12"], ["list", "--before", f"2-{1:016x}"]):
            self.assert_refused(hvsm("report", *wrong, "--ledger", self.good), wrong[1])
        self.assert_refused(hvsm("report", "export", "--limit", "1"), "--limit")

    def test_since(self) -> None:
        self.assertEqual(len(self.items("list", "--since", "1h")), 5)
        self.assertEqual(self.items("list", "--since", "2500-01-01"), [])
        self.assertEqual(len(self.items("findings", "--since", "2025-03-01 14:02")), 2)
        self.assert_refused(hvsm("report", "list", "--since", "soon", "--ledger", self.good),
                            "'soon'", "12h")

    def test_findings(self) -> None:
        by_id = {item["id"]: item for item in self.items("findings")}
        one, two = by_id[f"{1:016x}"], by_id[f"{2:016x}"]
        self.assertEqual((one["state"], one["sweeps"], one["opened_in"], one["last_in"]),
                         ("open", 3, 2, 5))
        self.assertEqual((two["state"], two["sweeps"], two["last_in"], two["closed_in"]),
                         ("closed", 2, 3, 5))
        self.assertEqual([item["id"] for item in self.items("findings", "--open")], [one["id"]])
        self.assertEqual(self.items("findings", "db1"), [])
        self.assertEqual(hvsm("report", "findings", "db1", "--ledger", self.good).stderr,
                         "hvsm: there is no such finding\n")
        self.assertIn("a\\x1b[2J]", self.run_on("findings"))
        self.assert_fits(on_terminal("report", "findings", "--ledger", self.good, columns=80))

    def test_allowed(self) -> None:
        """What the policy allowed when it was seen last says so."""
        rule = {"reason": "the vendor's tracer", "expires": "never", "line": 7}
        past = {"reason": "until the upgrade", "expires": "2025-02-01", "line": 9}
        found = [finding(1, "idt") | {"policy": {"severity": "high", "allowed": rule, "expired": None}},
                 finding(2, "idt") | {"policy": {"severity": "low", "allowed": None, "expired": None}},
                 finding(3, "idt") | {"policy": {"severity": "high", "allowed": None, "expired": past}}]
        ledger = f"{self.folder.name}/allowed"
        store(ledger, [report("web1", 1, [check("idt", "finding")], found)])
        document = json.loads(self.run_on("findings", "--json", ledger=ledger))
        self.assertEqual({item["id"][15]: (item["allowed"], item["state"]) for item in document["items"]},
                         {"1": (True, "open"), "2": (False, "open"), "3": (False, "open")})
        rows = self.run_on("findings", ledger=ledger).splitlines()[1:]
        self.assertEqual(sorted(row.split()[1] for row in rows), ["allowed", "open", "open"])
        text = self.run_on("show", "1", ledger=ledger)
        self.assert_fits(text)
        for words in ("policy   allowed, expires never: the vendor's tracer\n", "policy   counts as low\n",
                      "policy   was allowed, expired 2025-02-01: until the upgrade\n"):
            self.assertIn(words, text)

    def test_show(self) -> None:
        for number, wanted in ((1, 0), (2, 1), (3, 1), (5, 4)):
            self.assertEqual(json.loads(self.run_on("show", str(number), "--json")),
                             REPORTS[wanted])
        text = self.run_on("show", "3")
        self.assert_fits(text)
        for words in ("compromised  web1\n", "same as report 2", "asm_exc_int3", "module evil",
                      "inconclusive  vdso", "it changed", "ATT&CK T1014", "a\\x1b[2J]"):
            self.assertIn(words, text)
        for wrong in ("6", "0", "x", "", "-1", "1x"):
            self.assert_refused(hvsm("report", "show", "--ledger", self.good, "--", wrong))

    def test_verify(self) -> None:
        document = json.loads(self.run_on("verify", "--json"))
        validate(document)
        self.assertTrue(document["intact"])
        self.assertEqual(self.run_on("key").strip(), document["key"])
        text = self.run_on("verify", "--key", document["key"], "--head", document["head"])
        self.assertIn("intact: reports 1 to 5\n", text)
        self.assertIn(document["head"], text)
        self.run_on("verify", "--head", str(self.items("list")[1]["hash"]))
        self.run_on("verify", "--head", "0" * 64, status=1)
        self.run_on("verify", "--key", "0" * 64, status=1)
        for wrong in ("0", "0" * 63, "g" * 64, "0" * 66):
            self.assert_refused(hvsm("report", "verify", "--head", wrong), "64 hex digits")

    def test_tampered(self) -> None:
        copy = f"{self.folder.name}/copy"
        shutil.copytree(self.good, copy)
        with sqlite3.connect(f"{copy}/ledger.db") as database:
            database.execute("UPDATE record SET verdict = 'clean' WHERE seq = 2")
        database.close()
        text = self.run_on("verify", ledger=copy, status=1)
        self.assertIn("report 2: it was changed", text)
        self.assertIn("TAMPERED: 1 problem\n", text)
        document = json.loads(self.run_on("verify", "--json", ledger=copy, status=1))
        validate(document)
        self.assertEqual((document["intact"], [p["record"] for p in document["problems"]]),
                         (False, [2]))
        Path(f"{copy}/ledger.db").write_bytes(b"no database at all, not even a part of one" * 99)
        done = hvsm("report", "verify", "--ledger", copy)
        self.assertEqual(done.returncode, 1)
        self.assertIn("damaged", done.stderr)

    def test_export_json(self) -> None:
        lines = [json.loads(line) for line in self.run_on("export").splitlines()]
        self.assertEqual(lines, [REPORTS[0], REPORTS[1], REPORTS[3], REPORTS[4]])

    def test_export_ocsf(self) -> None:
        events = [json.loads(line)
                  for line in self.run_on("export", "--format", "ocsf").splitlines()]
        self.assertEqual([(event["class_uid"], event["activity_id"]) for event in events],
                         [(2004, 1), (2004, 3)])
        self.assertEqual(events[0]["evidences"][0]["data"]["found"], "0xffffffffc0000000")
        self.assertEqual(events[1]["evidences"][0]["data"]["found"], "0xffffffffc0000000")

    def test_export_syslog(self) -> None:
        lines = self.run_on("export", "--format", "syslog").splitlines()
        self.assertEqual(len(lines), 2)
        # RFC 5424, 6: the header, one element of structured data, the message.
        form = re.compile(r'<(\d+)>1 [0-9TZ:.-]+ [!-~]+ hvsm - finding-(open|closed) '
                          r'\[hvsm@32473( [a-z]+="(\\["\\\]]|[^"\\\]])*")+\] (.*)')
        found = [form.fullmatch(line) for line in lines]
        self.assertEqual([match.group(1, 2) for match in found],
                         [("107", "open"), ("110", "closed")])
        self.assertTrue(found[1].group(5).startswith("a\\x1b[2J] \"b\" "))
        self.assert_refused(hvsm("report", "export", "--format", "xml", "--ledger", self.good),
                            "'xml'", "ocsf")

    def test_nothing_there(self) -> None:
        for action in (["list"], ["findings"], ["show", "1"], ["verify"], ["export"], ["key"]):
            self.assert_refused(hvsm("report", *action, "--ledger",
                                     f"{self.folder.name}/nowhere"), "hvsmd", "--ledger")
        self.assertFalse(os.path.exists(f"{self.folder.name}/nowhere"))

    def test_environment(self) -> None:
        done = hvsm("report", "list", env={**os.environ, "HVSM_LEDGER": self.good})
        self.assertIn("web1", done.stdout)

    def test_usage(self) -> None:
        self.assert_refused(hvsm("report", "frobnicate"), "frobnicate", "verify")
        self.assert_refused(hvsm("report", "show"), "ID")
        self.assert_refused(hvsm("report", "list", "--open"), "--open", "report --help")
        self.assert_refused(hvsm("report", "verify", "--since", "1h"), "--since")
        self.assert_refused(hvsm("report", "key", "--json"), "--json")

    def test_directory_that_others_may_write(self) -> None:
        copy = f"{self.folder.name}/open"
        shutil.copytree(self.good, copy)
        os.chmod(copy, 0o777)
        self.assert_refused(hvsm("report", "list", "--ledger", copy), "not safe")


class Completion(Case):
    complete = test_cli.Completion.complete

    def test_reports(self) -> None:
        self.assertEqual(self.complete("report", "v"), ["verify"])
        self.assertEqual(self.complete("report", "export", "--format", "o"), ["ocsf"])
        with tempfile.TemporaryDirectory(prefix="hvsm-report-") as folder:
            store(folder, REPORTS)
            os.environ["HVSM_LEDGER"] = folder
            try:
                self.assertEqual(self.complete("report", "show", ""), ["1", "2", "3", "4", "5"])
            finally:
                del os.environ["HVSM_LEDGER"]
