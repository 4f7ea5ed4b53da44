# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of hvsmd: what it answers, to whom, and that no client can hold it."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import prometheus
from test_cli import HVSM, validate
from test_hvsmd import HVSMD, hvsmd
from test_report import REPORTS, store

TOP = Path(__file__).resolve().parents[2]
OPENAPI = json.loads((TOP / "docs" / "openapi.json").read_text(encoding="utf-8"))

# Reached only where something hangs.
LIMIT_S = 120.0
TOKEN = "0123456789abcdef-test.token"
# What a name may do to whoever prints it without care.
HOSTILE = 'web"1\\n{a="b"} 1\x1b[2J'
UUID = str(uuid.uuid4())     # another one in each run: several may run at a time

CONFIG = """user = nobody
state_dir = "{folder}/state"
socket = "{folder}/hvsmd.sock"
{http}
guest "*" {{ watch = no }}
guest "{uuid}" {{ watch = yes }}
"""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(self.path)


def ask(connection: http.client.HTTPConnection, target: str, method: str = "GET",
        token: str | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def schema_of(name: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": OPENAPI["components"], "$ref": f"#/components/schemas/{name}"}


def fits(path: str, answer: Answer) -> None:
    """Is this what the OpenAPI document says of a GET of the path?"""
    known = OPENAPI["paths"][path]["get"]["responses"][str(answer.status)]
    if "$ref" in known:
        known = OPENAPI["components"]["responses"][known["$ref"].rsplit("/", 1)[1]]
    (media, content), = known["content"].items()
    assert answer.headers["Content-Type"] == media, answer.headers["Content-Type"]
    if media == "application/json":
        jsonschema.Draft202012Validator(
            {**content["schema"], "components": OPENAPI["components"]}).validate(answer.json)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: Any, daemon: Daemon) -> Any:
    """Until it is true; an error where the daemon ends before, or nothing happens."""
    until = time.monotonic() + LIMIT_S
    while True:
        try:
            got = what()
        except OSError:
            got = None
        if got:
            return got
        if daemon.process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"it does not come about\n{daemon.said()}")
        time.sleep(0.05)


class Daemon:
    """An hvsmd with directories of its own, and reports of earlier days."""

    def __init__(self, folder: Path, section: str) -> None:
        self.folder = folder
        self.config = folder / "hvsmd.conf"
        self.unix = str(folder / "http.sock")
        (folder / "state").mkdir()
        store(str(folder / "state" / "reports"), REPORTS)
        # All of it is of who control is to be.
        nobody = pwd.getpwnam("nobody")
        for path in [folder / "state" / "reports", *(folder / "state" / "reports").iterdir()]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self.configure(section)
        self.log = (folder / "log").open("ab")
        self.process = subprocess.Popen([HVSMD, "--config", self.config], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)

    def configure(self, section: str) -> None:
        self.config.write_text(CONFIG.format(folder=self.folder, http=section, uuid=UUID))
        self.config.chmod(0o600)

    def reload(self, section: str) -> None:
        self.configure(section)
        self.process.send_signal(signal.SIGHUP)

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def get(self, target: str, method: str = "GET") -> Answer:
        return ask(UnixConnection(self.unix), target, method)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(LIMIT_S)
        self.log.close()
        # Also in its other processes: what a sanitizer has to say.
        assert status == 0 and "Sanitizer" not in self.said(), self.said()


@unittest.skipUnless(os.geteuid() == 0, "hvsmd runs as root only")
class HttpCase(unittest.TestCase):
    section = 'http { listen = "unix:{folder}/http.sock" }'
    held: tempfile.TemporaryDirectory[str]
    daemon: Daemon

    @classmethod
    def setUpClass(cls) -> None:
        cls.held = tempfile.TemporaryDirectory(prefix="hvsm-http-")
        cls.addClassCleanup(cls.held.cleanup)
        folder = Path(cls.held.name)
        folder.chmod(0o711)
        cls.prepare(folder)
        cls.daemon = Daemon(folder, cls.section.replace("{folder}", str(folder)))
        cls.addClassCleanup(cls.daemon.end)
        wait_for(lambda: "HTTP is served" in cls.daemon.said(), cls.daemon)

    @classmethod
    def prepare(cls, folder: Path) -> None:
        """What must be there before the daemon starts."""


class Api(HttpCase):
    """What is answered, with one guest that hvsmd finds; its CPUs never run."""

    @classmethod
    def prepare(cls, folder: Path) -> None:
        cls.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-S", "-display", "none", "-nodefaults", "-m", "64", "-accel",
             "tcg", "-name", f"guest={HOSTILE}", "-uuid", UUID], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.qemu.wait)
        cls.addClassCleanup(cls.qemu.kill)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        wait_for(lambda: cls.daemon.get("/v1/guests").json["items"], cls.daemon)

    def good(self, path: str, target: str | None = None) -> Answer:
        answer = self.daemon.get(target or path)
        self.assertEqual(answer.status, 200, (target, answer.body))
        fits(path, answer)
        return answer

    def test_every_path_is_served_as_the_document_says(self) -> None:
        targets = {"/v1/guests/{id}": f"/v1/guests/{UUID}", "/v1/reports/{n}": "/v1/reports/1"}
        for path in OPENAPI["paths"]:
            self.good(path, targets.get(path))
        self.assertEqual(self.good("/openapi.json").json, OPENAPI)
        # What the socket says, too, is the same as there.
        validate(self.good("/v1/status").json)

    def test_errors_are_as_the_document_says(self) -> None:
        for path, target, status in (("/v1/guests/{id}", "/v1/guests/nobody", 404),
                                     ("/v1/guests/{id}", "/v1/guests/%zz", 400),
                                     ("/v1/guests/{id}", "/v1/guests/" + "a" * 3000, 414),
                                     ("/v1/reports/{n}", "/v1/reports/4711", 404),
                                     ("/v1/reports/{n}", "/v1/reports/x", 400),
                                     ("/v1/findings", "/v1/findings?severity=bad", 400),
                                     ("/v1/status", "/v1/status?x=1", 400)):
            answer = self.daemon.get(target)
            self.assertEqual(answer.status, status, target)
            fits(path, answer)

    def test_what_is_not_named_is_not_there(self) -> None:
        for target in ("/", "/v1", "/v1/", "/v1/scan", "/v1/config", "/v1/status/", "/favicon.ico",
                       "/v1/../metrics", "/%6detrics", "//metrics", "/v1/reports/1/x", "/debug"):
            answer = self.daemon.get(target)
            self.assertEqual(answer.status, 404, target)
            jsonschema.Draft202012Validator(schema_of("error")).validate(answer.json)

    def test_nothing_can_be_changed(self) -> None:
        for path in OPENAPI["paths"]:
            target = path.replace("{id}", UUID).replace("{n}", "1")
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "SCAN"):
                answer = self.daemon.get(target, method)
                self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"),
                                 (method, target))
                fits(path, answer)

    def test_head_is_get_without_a_body(self) -> None:
        for target in ("/openapi.json", "/v1/reports/1", "/v1/nothing"):
            got, head = self.daemon.get(target), self.daemon.get(target, "HEAD")
            self.assertEqual((head.status, head.body), (got.status, b""))
            for name in ("Content-Type", "Content-Length", "Cache-Control"):
                self.assertEqual(head.headers[name], got.headers[name])

    def test_a_guest_is_found_by_all_that_it_is_called(self) -> None:
        guest = self.good("/v1/guests").json["items"][0]
        self.assertEqual((guest["key"], guest["uuid"]), (UUID, UUID))
        self.assertNotIn("\x1b", guest["name"])
        for name in (UUID, UUID.upper(), guest["target"]):
            target = f"/v1/guests/{urllib.parse.quote(name, safe='')}"
            one = self.good("/v1/guests/{id}", target).json
            self.assertEqual(one["key"], UUID)
            self.assertEqual({check["result"] for check in one["results"]}, {"not_run"})

    def test_reports_come_in_pages(self) -> None:
        all_of_them = self.good("/v1/reports").json
        self.assertEqual((len(all_of_them["items"]), all_of_them["next"]), (len(REPORTS), None))
        seen, after = [], 0
        while after is not None:
            page = self.good("/v1/reports", f"/v1/reports?limit=1&after={after}").json
            seen += page["items"]
            after = page["next"]
        self.assertEqual(seen, all_of_them["items"])
        web = self.good("/v1/reports", "/v1/reports?guest=db1").json["items"]
        self.assertEqual({record["guest"] for record in web}, {"db1"})

    def pages(self, path: str, query: str) -> list[Any]:
        """All pages, the newest first."""
        items, before = [], ""
        while True:
            page = self.good(path, f"{path}?order=newest&{query}{before}").json
            items += page["items"]
            if page["next"] is None:
                return items
            before = f"&before={page['next']}"

    def test_the_newest_come_first(self) -> None:
        records = self.good("/v1/reports").json["items"]
        self.assertEqual(self.pages("/v1/reports", "limit=2"), records[::-1])
        self.assertEqual(self.pages("/v1/reports", "limit=1&guest=web1"),
                         [record for record in records[::-1] if record["guest"] == "web1"])
        findings = self.good("/v1/findings", "/v1/findings?state=all").json["items"]
        findings.sort(key=lambda one: (one["opened_in"], one["id"]), reverse=True)
        for query, fits_it in (("state=all", lambda one: True),
                               ("state=open", lambda one: one["state"] == "open"),
                               ("state=closed", lambda one: one["state"] == "closed"),
                               ("state=all&guest=web1", lambda one: one["guest"] == "web1")):
            self.assertEqual(self.pages("/v1/findings", f"limit=1&{query}"),
                             [one for one in findings if fits_it(one)], query)
        for path, query in (("/v1/reports", "before=3"), ("/v1/findings", "order=newest&after=1"),
                            ("/v1/reports", "order=up"),
                            ("/v1/reports", f"order=newest&before=2-{1:016x}")):
            answer = self.daemon.get(f"{path}?{query}")
            self.assertEqual(answer.status, 400, query)
            fits(path, answer)

    def test_a_report_is_as_it_was_stored(self) -> None:
        for record, stored in zip(self.good("/v1/reports").json["items"], REPORTS):
            answer = self.good("/v1/reports/{n}", f"/v1/reports/{record['id']}").json
            validate(answer)
            self.assertEqual((answer["guest"], answer["findings"]),
                             (stored["guest"], stored["findings"]))

    def test_findings_are_as_the_command_lists_them(self) -> None:
        done = subprocess.run([HVSM, "report", "findings", "--json", "--ledger",
                               self.daemon.folder / "state" / "reports"], capture_output=True,
                              check=True)
        items = self.good("/v1/findings", "/v1/findings?state=all").json["items"]
        self.assertTrue(items)
        self.assertEqual(items, json.loads(done.stdout)["items"])

    def test_findings_are_filtered(self) -> None:
        everything = self.good("/v1/findings", "/v1/findings?state=all").json["items"]
        for query, fits_it in (
                ("state=open", lambda one: one["state"] == "open"),
                ("state=closed", lambda one: one["state"] == "closed"),
                ("state=all&severity=high", lambda one: one["severity"] == "high"),
                ("state=all&severity=critical", lambda one: one["severity"] == "critical"),
                ("state=all&guest=web1", lambda one: one["guest"] == "web1"),
                ("state=all&guest=web", lambda one: one["guest"] == "web"),
                ("", lambda one: one["state"] == "open")):
            got = self.good("/v1/findings", f"/v1/findings?{query}").json["items"]
            self.assertEqual(got, [one for one in everything if fits_it(one)], query)
        first = self.good("/v1/findings", "/v1/findings?state=all&limit=1").json
        self.assertEqual((first["items"], first["next"]), (everything[:1], 1))
        rest = self.good("/v1/findings", "/v1/findings?state=all&after=1").json
        self.assertEqual((rest["items"], rest["next"]), (everything[1:], None))

    def test_metrics_are_what_prometheus_takes(self) -> None:
        answer = self.good("/metrics")
        self.assertEqual(answer.headers["Content-Type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        families = prometheus.parse(answer.body.decode())
        self.assertEqual(families["hvsm_build_info"].one(), 1)
        name = dict(next(iter(families["hvsm_guest_info"].samples))[1])
        self.assertEqual((name["key"], name["uuid"]), (UUID, UUID))
        self.assertEqual(name["guest"], HOSTILE.replace("\x1b", "\\x1b"))
        self.assertEqual(sum(families["hvsm_guests"].samples.values()), 1)
        self.assertEqual(sum(families["hvsm_guest_state"].samples.values()), 1)
        self.assertEqual(families["hvsm_guest_verdict"].one(verdict="unknown"), 1)
        self.assertEqual(families["hvsm_ledger_records"].one(), len(REPORTS))
        self.assertGreater(families["hvsm_ledger_bytes"].one(), 0)
        self.assertEqual(families["hvsm_sweep_duration_seconds"].type, "histogram")
        self.assertEqual(families["hvsm_guest_cpu_budget_ratio"].one(key=UUID), 0.01)
        again = prometheus.parse(self.good("/metrics").body.decode())
        self.assertGreater(again["hvsm_http_requests_total"].one(code="200"),
                           families["hvsm_http_requests_total"].one(code="200"))
        # All of them, and no others, are in the manual.
        manual = (TOP / "docs" / "http.md").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^\| `(hvsm_\w+)`", manual, re.MULTILINE)),
                         set(families))

    def say(self, said: bytes) -> bytes:
        """All that is answered to it."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(LIMIT_S)
            peer.connect(self.daemon.unix)
            peer.sendall(said)
            got = b""
            while block := peer.recv(65536):
                got += block
        return got

    def test_connections_end_with_their_answer(self) -> None:
        got = self.say(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        self.assertEqual(got.count(b"HTTP/1.1 200 "), 1)

    def test_a_body_is_not_waited_for(self) -> None:
        for length in (10, 10 ** 12):
            got = self.say(b"POST /v1/status HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                           % length)
            self.assertTrue(got.startswith(b"HTTP/1.1 405 "), got)

    def test_what_is_no_http_ends(self) -> None:
        for said in (b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" * 20000, b"A" * 100000,
                     b"GET /healthz HTTP/1.1\r\n" + b"X: " + b"y" * 30000 + b"\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(LIMIT_S)
                peer.connect(self.daemon.unix)
                try:
                    peer.sendall(said)
                    peer.shutdown(socket.SHUT_WR)
                    got = b""
                    while block := peer.recv(65536):
                        got += block
                    self.assertNotIn(b" 200 ", got)
                except (BrokenPipeError, ConnectionResetError):
                    pass
        self.assertEqual(self.daemon.get("/healthz").status, 200)

    def test_who_is_slow_is_left_behind(self) -> None:
        """As many as there may be say a byte now and then; whoever comes later gets an answer."""
        peers = []
        self.addCleanup(lambda: [peer.close() for peer in peers])
        for _ in range(64):
            peer = socket.socket(socket.AF_UNIX)
            peers.append(peer)
            peer.connect(self.daemon.unix)
            peer.sendall(b"GET /v1/status HTTP/1.1\r\nX-Slow: ")
        done = []

        def answered() -> bool:
            for peer in list(peers):
                try:
                    peer.send(b"x", socket.MSG_NOSIGNAL)
                except OSError:
                    done.append(peer)
                    peers.remove(peer)
            return not peers

        wait_for(answered, self.daemon)
        self.assertEqual(len(done), 64)
        self.assertEqual(self.daemon.get("/healthz").status, 200)


class Tls(HttpCase):
    """Over TLS, with a token; and what a reload does."""

    @classmethod
    def prepare(cls, folder: Path) -> None:
        cls.port = free_port()
        cls.folder = folder
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key",
                        "-out", folder / "cert"], check=True, capture_output=True)
        (folder / "token").write_text(f"{TOKEN}\n")
        for name in ("key", "token"):
            (folder / name).chmod(0o600)
        cls.section = cls.tls_section(f"0.0.0.0:{cls.port}")

    @classmethod
    def tls_section(cls, listen: str, token: str = "token", cert: str = "cert") -> str:
        return (f'http {{\nlisten = "{listen}"\ntoken_file = "{cls.folder}/{token}"\n'
                f'tls_cert = "{cls.folder}/{cert}"\ntls_key = "{cls.folder}/key"\n}}\n')

    def https(self, target: str, port: int, token: str | None = TOKEN) -> Answer:
        context = ssl.create_default_context(cafile=str(self.folder / "cert"))
        return ask(http.client.HTTPSConnection("localhost", port, timeout=LIMIT_S, context=context),
                   target, token=token)

    def test_who_has_the_token_may_ask(self) -> None:
        self.assertEqual(self.https("/v1/status", self.port).status, 200)
        for token in (None, TOKEN[:-1], TOKEN + "x", TOKEN.upper(), " ", "x" * 5000):
            for target in ("/v1/status", "/metrics", "/openapi.json", "/v1/nothing"):
                answer = self.https(target, self.port, token)
                self.assertEqual((answer.status, answer.headers["WWW-Authenticate"]),
                                 (401, 'Bearer realm="hvsm"'))
                jsonschema.Draft202012Validator(schema_of("error")).validate(answer.json)
        self.assertEqual(self.https("/healthz", self.port, None).status, 200)

    def test_without_tls_there_is_no_answer(self) -> None:
        with self.assertRaises((http.client.HTTPException, OSError)):
            ask(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S), "/healthz")

    def test_old_tls_is_refused(self) -> None:
        for version, status in (("-tls1_3", 0), ("-tls1_2", 0), ("-tls1_1", 1), ("-tls1", 1)):
            done = subprocess.run(["openssl", "s_client", version, "-cipher", "ALL:@SECLEVEL=0",
                                   "-connect", f"127.0.0.1:{self.port}"], capture_output=True,
                                  stdin=subprocess.DEVNULL, text=True, check=False)
            self.assertEqual(done.returncode, status, (version, done.stderr))
            self.assertNotIn("no protocols available", done.stderr)     # it did ask

    def test_a_reload_is_all_or_nothing(self) -> None:
        (self.folder / "weak").write_text("short\n")
        (self.folder / "open").write_text(f"{TOKEN}\n")
        (self.folder / "broken").write_text("no certificate\n")
        for name, mode in (("weak", 0o600), ("open", 0o644), ("broken", 0o644)):
            (self.folder / name).chmod(mode)
        port = free_port()
        for section, why in ((self.tls_section(f"127.0.0.1:{port}", token="weak"), "weak"),
                             (self.tls_section(f"127.0.0.1:{port}", token="open"), "open"),
                             (self.tls_section(f"127.0.0.1:{port}", cert="gone"), "gone"),
                             (self.tls_section(f"127.0.0.1:{port}", cert="broken"),
                              "with this certificate and key"),
                             ('http { listen = "192.0.2.1:1" }', "token_file")):
            said = len(self.daemon.said())
            self.daemon.reload(section)
            wait_for(lambda: why in self.daemon.said()[said:], self.daemon)
            self.assertIn("the configuration stays as it was", self.daemon.said()[said:])
            self.assertEqual(self.https("/v1/status", self.port).status, 200)
            with self.assertRaises(OSError):
                self.https("/healthz", port)
        incidents = self.https("/v1/incidents", self.port).json["items"]
        self.assertTrue(any("broken" in one["text"] or "certificate" in one["text"]
                            for one in incidents))

        # To another place, and to none.
        path = self.folder / "http.sock"
        said = len(self.daemon.said())
        self.daemon.reload(f'http {{ listen = "unix:{path}" }}')
        wait_for(lambda: "was read again" in self.daemon.said()[said:], self.daemon)
        self.assertEqual(self.daemon.get("/v1/status").status, 200)
        with self.assertRaises(OSError):
            self.https("/healthz", self.port)
        said = len(self.daemon.said())
        self.daemon.reload("")
        wait_for(lambda: "was read again" in self.daemon.said()[said:], self.daemon)
        self.assertFalse(path.exists())
        self.daemon.reload(self.section)
        wait_for(lambda: self.https("/healthz", self.port).status == 200, self.daemon)

    def test_control_that_is_killed_serves_again(self) -> None:
        done = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(self.daemon.process.pid)],
                              capture_output=True, text=True, check=True)
        control, = (int(line.split()[0]) for line in done.stdout.splitlines()
                    if line.split()[1] == "hvsmd-control")
        os.kill(control, signal.SIGKILL)
        # Whoever comes meanwhile waits: the socket is the parent's.
        self.assertEqual(wait_for(lambda: self.https("/v1/status", self.port),
                                  self.daemon).status, 200)


class Check(unittest.TestCase):
    """--check-config, of http"""

    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory(prefix="hvsm-http-")
        self.addCleanup(held.cleanup)
        self.folder = Path(held.name)
        self.token = self.folder / "token"
        self.token.write_text(f"{TOKEN}\n")
        self.token.chmod(0o600)

    def check(self, section: str) -> subprocess.CompletedProcess[str]:
        path = self.folder / "hvsmd.conf"
        path.write_text(section)
        path.chmod(0o600)
        return hvsmd("--check-config", str(path))

    def test_what_is_beyond_the_host_needs_tls_and_a_token(self) -> None:
        for listen in ("0.0.0.0:9520", "192.0.2.1:9520", "[::]:9520", "[2001:db8::1]:9520"):
            for more, why in (("", "token_file"), (f'token_file = "{self.token}"\n', "tls_cert")):
                done = self.check(f'http {{\nlisten = "{listen}"\n{more}}}\n')
                self.assertEqual(done.returncode, 2, listen)
                self.assertIn(why, done.stderr)
        done = self.check('http {\nlisten = "127.0.0.1:9520"\n}\n')
        self.assertEqual(done.returncode, 2)
        self.assertIn("token_file", done.stderr)

    def test_a_good_one_is_summed_up(self) -> None:
        done = self.check(f'http {{\nlisten = "[::1]:9520"\ntoken_file = "{self.token}"\n}}\n')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("http: at [::1]:9520, with a token, without TLS", done.stdout)
        self.assertNotIn("http:", self.check("mode = observe\n").stdout)

    def test_tokens_that_are_none_are_refused(self) -> None:
        for text, mode in ((TOKEN, 0o604), (TOKEN, 0o660), ("short", 0o600), ("", 0o600),
                           (f"{TOKEN}\n{TOKEN}\n", 0o600), (f"{TOKEN} x", 0o600),
                           ("x" * 600, 0o600)):
            self.token.write_text(text)
            self.token.chmod(mode)
            done = self.check(f'http {{\nlisten = "127.0.0.1:1"\ntoken_file = "{self.token}"\n}}\n')
            self.assertEqual(done.returncode, 2, (text, mode))
            self.assertIn(str(self.token), done.stderr)
            self.assertIn("NOT USABLE", done.stdout)
            self.assertNotIn(TOKEN, done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
