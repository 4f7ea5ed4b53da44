# SPDX-License-Identifier: Apache-2.0
"""The hvsm command as a stranger meets it: what it prints, where to, and how it ends.

Needs no guest; what does is in tests/vm. $HVSM is the program under test.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

import jsonschema

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from schemas import DOCS, validate  # noqa: E402

HVSM = os.environ.get("HVSM", str(TOP / "build" / "src" / "hvsm"))
LIMIT_S = 60

COMMANDS = ["list", "info", "scan", "watch", "ps", "modules", "sockets", "files", "mounts",
            "hooks", "bpf", "log", "symbols", "checks", "reference", "trust", "report", "status",
            "version", "help"]
ON_A_TARGET = ["info", "scan", "ps", "modules", "sockets", "files", "mounts", "hooks", "bpf", "log",
                "symbols"]

# What a name may hold to fool a terminal, a log, or a reader.
HOSTILE = "ev\x1b[2J\nil\u202e\u200b\x9b"
ESCAPED = "ev\\x1b[2J\\x0ail\\xe2\\x80\\xae\\xe2\\x80\\x8b\\xc2\\x9b"

STORE = tempfile.TemporaryDirectory(prefix="hvsm-cli-")
os.environ["HVSM_STORE"] = f"{STORE.name}/store"     # the host's own stays as it is


def hvsm(*args: str, **how: object) -> subprocess.CompletedProcess[str]:
    """Call hvsm; dying of a signal or a sanitizer is never right."""
    done = subprocess.run([HVSM, *args], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="strict", timeout=LIMIT_S, check=False, **how)
    assert done.returncode in (0, 1, 2, 3), f"{args}: {done}"
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def on_terminal(*args: str, columns: int, env: dict[str, str] | None = None) -> str:
    """What hvsm prints on a terminal of this width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([HVSM, *args], stdin=subprocess.DEVNULL, stdout=slave,
                          stderr=subprocess.DEVNULL,
                          env={**os.environ, "TERM": "xterm", **(env or {})}) as process:
        os.close(slave)
        out = b""
        with contextlib.suppress(OSError):      # EIO: the other end was closed
            while block := os.read(master, 65536):
                out += block
        process.wait(LIMIT_S)
    os.close(master)
    return out.decode().replace("\r\n", "\n")


@contextlib.contextmanager
def qemu(*args: str) -> Iterator[subprocess.Popen[bytes]]:
    """A QEMU that has been started and stays at its first instruction."""
    with subprocess.Popen(["qemu-system-x86_64", "-S", "-nodefaults", "-display", "none",
                           "-accel", "tcg", "-m", "32M", *args],
                          stdin=subprocess.DEVNULL) as process:
        try:
            time.sleep(0.5)
            yield process
        finally:
            process.kill()


class Case(unittest.TestCase):
    """Assertions that most tests share."""

    def assert_refused(self, done: subprocess.CompletedProcess[str], *words: str) -> None:
        """Status 2, nothing on stdout, and one line on stderr that has all the words."""
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, "", done)
        self.assertRegex(done.stderr, r"\Ahvsm: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, done.stderr)

    def assert_fits(self, text: str, columns: int = 80) -> None:
        for line in text.splitlines():
            self.assertLessEqual(len(line), columns, line)


class Usage(Case):
    def test_no_command(self) -> None:
        self.assert_refused(hvsm(), "hvsm help")

    def test_unknown_command_names_the_near_ones(self) -> None:
        self.assert_refused(hvsm("skan", "x"), "'skan'", "scan", "hvsm help")

    def test_unknown_option(self) -> None:
        for command in COMMANDS:
            self.assert_refused(hvsm(command, "--nonsense"), "--nonsense", f"{command} --help")
            self.assert_refused(hvsm(command, "-Z"), "-Z", f"{command} --help")

    def test_missing_target(self) -> None:
        for command in ON_A_TARGET:
            self.assert_refused(hvsm(command), "TARGET", f"{command} --help")

    def test_one_operand_too_many(self) -> None:
        self.assert_refused(hvsm("ps", "a", "b"), "'b'")
        self.assert_refused(hvsm("list", "a"), "'a'")

    def test_unknown_check_names_the_near_ones(self) -> None:
        for option in ("--only", "--skip"):
            done = hvsm("scan", "x", option, "syscal-table")
            self.assert_refused(done, "'syscal-table'", "syscall-table", "hvsm checks")

    def test_no_check_left(self) -> None:
        done = hvsm("scan", "x", "--only", "syscall-table", "--skip", "syscall-table")
        self.assert_refused(done, "hvsm checks")

    def test_watch_wants_a_target_and_sense(self) -> None:
        nowhere = {**os.environ, "HVSM_SOCKET": "/nonexistent/socket"}
        self.assert_refused(hvsm("watch", env=nowhere), "hvsm watch TARGET")
        self.assert_refused(hvsm("watch", "--period", "5", env=nowhere), "--period")
        self.assert_refused(hvsm("watch", "x", "--only", "exce"), "'exce'", "exec", "watch --help")
        for option in ("--period", "--count", "--for"):
            for value in ("0", "-1", "1x", " 1", "99999999999999999999"):
                self.assert_refused(hvsm("watch", "x", option, value), option, "watch --help")

    def test_option_without_its_value(self) -> None:
        self.assert_refused(hvsm("scan", "x", "--only"), "--only")

    def test_hostile_words_are_escaped(self) -> None:
        self.assert_refused(hvsm(HOSTILE), ESCAPED)
        self.assert_refused(hvsm("info", HOSTILE), ESCAPED)


class Help(Case):
    def test_every_command_is_listed(self) -> None:
        done = hvsm("help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(re.findall(r"^  ([a-z]+) ", done.stdout, re.MULTILINE), COMMANDS)
        self.assert_fits(done.stdout)
        self.assertEqual(hvsm("--help").stdout, done.stdout)

    def test_every_command_explains_itself(self) -> None:
        for command in COMMANDS:
            done = hvsm(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(done.stdout.startswith(f"usage: hvsm {command}"))
            self.assertIn(f"\nexample:\n  hvsm {command}", done.stdout)
            self.assert_fits(done.stdout)
            self.assertEqual(hvsm("help", command).stdout, done.stdout)

    def test_help_wins_over_missing_operands(self) -> None:
        self.assertEqual(hvsm("scan", "--help").returncode, 0)

    def test_version(self) -> None:
        self.assertRegex(hvsm("version").stdout, r"\Ahvsm \d+\.\d+\.\d+\n\Z")
        self.assertEqual(hvsm("--version").stdout, hvsm("version").stdout)

    def test_manual_has_every_command_and_option(self) -> None:
        manual = (TOP / "src" / "cli" / "hvsm.1").read_text(encoding="utf-8")
        for command in COMMANDS:
            self.assertIn(f".It Cm {command}", manual)
            for option in re.findall(r"^  --([a-z]+)", hvsm(command, "--help").stdout,
                                     re.MULTILINE):
                self.assertIn(f"Fl -{option}", manual)


class Output(Case):
    def test_closed_stdout(self) -> None:
        done = subprocess.run(["sh", "-c", '"$0" help >&-', HVSM], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot write", done.stderr)

    def test_full_disk(self) -> None:
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([HVSM, "help"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"\Ahvsm: [^\n]*No space left[^\n]*\n\Z")

    def test_reader_that_leaves(self) -> None:
        done = subprocess.run(["bash", "-c", '"$0" help | true; exit "${PIPESTATUS[0]}"', HVSM],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_closed_standard_streams(self) -> None:
        done = subprocess.run(["sh", "-c", '"$0" checks <&- >&- 2>&-', HVSM], check=False)
        self.assertEqual(done.returncode, 2)


class Documents(Case):
    def test_schemas_are_schemas(self) -> None:
        for path in DOCS.glob("*.schema.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            jsonschema.Draft202012Validator.check_schema(document)

    def test_checks(self) -> None:
        done = hvsm("checks", "--json")
        self.assertEqual(done.stdout.count("\n"), 1)
        document = json.loads(done.stdout)
        validate(document)
        self.assertTrue(document["items"])

    def test_checks_as_text(self) -> None:
        done = hvsm("checks")
        self.assert_fits(done.stdout)
        for check in json.loads(hvsm("checks", "--json").stdout)["items"]:
            self.assertIn(f"\n{check['id']} (", "\n" + done.stdout)

    def test_documentation_of_the_checks_is_up_to_date(self) -> None:
        done = subprocess.run([TOP / "scripts" / "make-docs", HVSM, "--check"], check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_list(self) -> None:
        done = hvsm("list", "--json")
        self.assertEqual(done.returncode, 0)
        validate(json.loads(done.stdout))


class References(Case):
    """The store of known kernels; with real kernels it is used in tests/vm."""

    made: tempfile.TemporaryDirectory[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.made = tempfile.TemporaryDirectory(prefix="hvsm-cli-")
        cls.addClassCleanup(cls.made.cleanup)
        subprocess.run([Path(HVSM).parents[1] / "tests" / "make" / "packages", cls.made.name],
                       check=True)

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="hvsm-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.store = str(self.folder / "store")
        shutil.copytree(self.made.name, self.folder, dirs_exist_ok=True)

    def call(self, *args: str) -> subprocess.CompletedProcess[str]:
        return hvsm("reference", *args, "--store", self.store)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def items(self) -> list[dict[str, object]]:
        done = self.call("list", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        document = json.loads(done.stdout)
        validate(document)
        return document["items"]

    def test_add_list_remove(self) -> None:
        done = self.call("add", self.path("good.deb"), self.path("good.rpm"), self.path("vmlinuz"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("linux-image-6.1.0-99-amd64 6.1.9-1: 1 kernel, 2 modules", done.stdout)
        self.assertIn("kernel 6.1.9-1.fc40: 0 kernels, 1 module\n", done.stdout)
        items = {str(item["package"]): item for item in self.items()}
        self.assertEqual(set(items), {"linux-image-6.1.0-99-amd64", "kernel", "None"})
        good = items["linux-image-6.1.0-99-amd64"]
        self.assertEqual((good["release"], good["version"], good["kernels"], good["modules"]),
                         ("6.1.0-99-amd64", "6.1.9-1", 1, 2))
        self.assertEqual(good["build_id"], "11" * 20)
        self.assertEqual(items["kernel"]["signature"], "signed, signature not verified")
        self.assertEqual(items["None"]["source"], "file")

        text = self.call("list").stdout
        self.assertEqual(len(text.splitlines()), 4)
        self.assertIn(str(good["id"])[:12], text)
        done = self.call("remove", str(good["id"])[:12])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("removed", done.stdout)
        self.assertEqual(len(self.items()), 2)
        self.assertEqual(len(list((self.folder / "store" / "blobs").iterdir())), 2)

    def test_adding_again_changes_nothing(self) -> None:
        self.call("add", self.path("good.deb"))
        before = self.items()
        done = self.call("add", self.path("good.deb"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("known already", done.stdout)
        self.assertEqual(self.items(), before)

    def test_directory(self) -> None:
        (self.folder / "bomb.ko.zst").unlink()
        done = self.call("add", str(self.folder))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(self.items()), 4)      # three packages, and all bare files

    def test_store_by_environment(self) -> None:
        hvsm("reference", "add", self.path("vmlinuz"), env={**os.environ, "HVSM_STORE": self.store})
        self.assertEqual(len(self.items()), 1)
        self.assertEqual(os.stat(self.store).st_mode & 0o777, 0o700)

    def test_nothing_there(self) -> None:
        done = self.call("list")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("reference add", done.stderr)
        self.assertEqual(self.items(), [])
        self.assert_refused(self.call("remove", "0123"), "no store", self.store)
        self.assertFalse(os.path.exists(self.store))

    def test_what_cannot_be_added(self) -> None:
        self.assert_refused(self.call("add", self.path("none.deb")), "none.deb", "No such file")
        self.assert_refused(self.call("add", "/dev/zero"), "/dev/zero", "not a file")
        self.assert_refused(self.call("add", self.path("bomb.ko.zst")), "bomb.ko.zst", "256 MiB")
        (self.folder / "text").write_text("neither of it")
        self.assert_refused(self.call("add", self.path("text")), "text", "neither")
        (self.folder / "cut.deb").write_bytes((self.folder / "good.deb").read_bytes()[:600])
        self.assert_refused(self.call("add", self.path("cut.deb")), "cut.deb", "damaged")
        (self.folder / "empty").mkdir()
        self.assert_refused(self.call("add", self.path("empty")), "empty", "no kernel")
        self.assertEqual(self.items(), [])

    def test_one_that_fails_does_not_keep_the_others_out(self) -> None:
        done = self.call("add", self.path("none.deb"), self.path("good.deb"))
        self.assertEqual(done.returncode, 2)
        self.assertEqual(len(self.items()), 1)

    def test_damaged_store(self) -> None:
        self.call("add", self.path("good.deb"))
        (self.folder / "store" / "store.db").write_bytes(b"no database " * 1000)
        self.assert_refused(self.call("list"), "damaged")
        self.assert_refused(self.call("add", self.path("good.deb")), "damaged")

    def test_store_that_others_may_write(self) -> None:
        self.call("add", self.path("good.deb"))
        os.chmod(self.store, 0o777)
        self.assert_refused(self.call("list"), "not safe", self.store)

    def test_usage(self) -> None:
        self.assert_refused(self.call("ad", "x"), "'ad'", "reference --help")
        self.assert_refused(self.call("add"), "PATH", "reference --help")
        self.assert_refused(self.call("list", "x"), "no operand")
        self.assert_refused(self.call("fetch", "one", "two"), "TARGET")
        self.assert_refused(self.call("fetch", "no-such-guest"), "'no-such-guest'")
        self.assert_refused(self.call("remove", "zz", "--json"), "--json")
        self.call("add", self.path("vmlinuz"))
        self.assert_refused(self.call("remove", "xyz!"), "'xyz!'", "reference list")

    def test_hostile_words_are_escaped(self) -> None:
        self.assert_refused(self.call("add", HOSTILE), ESCAPED)
        self.assert_refused(self.call(HOSTILE), ESCAPED)


def make_deb(files: dict[str, bytes], mode: int = 0o755, claim: int = 0) -> bytes:
    """A package with these files; @claim: bytes that each says to have."""
    def tar(members: dict[str, bytes], says: int = 0) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = says or len(content), mode
                archive.addfile(entry)
                out.write(content + bytes(-len(content) % 512))
        return out.getvalue()

    control = tar({"./control": b"Package: ev\x1b[2Jil\nVersion: 1-1\n"})
    deb = b"!<arch>\n"
    for name, content in {"debian-binary": b"2.0\n", "control.tar": control,
                          "data.tar": tar(files, claim)}.items():
        deb += f"{name:16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n".encode()
        deb += content + b"\n" * (len(content) % 2)
    return deb


class Trust(Case):
    """The digests of known programs; with an agent in a guest they are used in tests/vm."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="hvsm-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.store = str(self.folder / "store")

    def call(self, *args: str) -> subprocess.CompletedProcess[str]:
        return hvsm("trust", *args, "--store", self.store)

    def put(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return str(self.folder / name)

    def items(self, *args: str) -> list[dict[str, object]]:
        done = self.call("list", "--json", *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        document = json.loads(done.stdout)
        validate(document)
        return document["items"]

    def test_add_list_remove(self) -> None:
        files = {"./usr/bin/a": b"\x7fELF a", "./usr/lib/b.py": b"print()", "./bin/c": b"#!/bin/sh"}
        done = self.call("add", self.put("a.deb", make_deb(files)), self.put("tool", b"\x7fELF b"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("1-1: 3 files\n", done.stdout)
        self.assertIn("tool: 1 file\n", done.stdout)
        package, single = sorted(self.items("--long"), key=lambda item: item["source"] == "file")
        self.assertEqual((package["version"], package["files_n"]), ("1-1", 3))
        self.assertEqual({file["path"]: file["kind"] for file in package["files"]},
                         {"/usr/bin/a": "ELF", "/usr/lib/b.py": "script", "/bin/c": "script"})
        digest = hashlib.sha256(b"\x7fELF b").hexdigest()
        self.assertEqual((single["id"], single["files"][0]["sha256"]), (digest, digest))
        self.assertNotIn("files", self.items()[0])

        text = self.call("list").stdout
        self.assertEqual(len(text.splitlines()), 3)
        self.assertIn(digest[:12], text)
        self.assertIn(hashlib.sha256(b"\x7fELF a").hexdigest(), self.call("list", "--long").stdout)
        done = self.call("remove", digest[:12])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("removed", done.stdout)
        self.assertEqual([item["id"] for item in self.items()], [package["id"]])

    def test_golden_directory(self) -> None:
        (self.folder / "golden").mkdir()
        self.put("golden/tool", b"\x7fELF b")
        self.put("golden/words", b"words")
        golden = str(self.folder / "golden")
        self.assertIn("golden: 1 file\n", self.call("add", golden).stdout)
        self.assertIn("known already", self.call("add", golden).stdout)
        self.assertEqual(len(self.items()), 1)

    def test_nothing_there(self) -> None:
        done = self.call("list")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("trust add", done.stderr)
        self.assertEqual(self.items(), [])
        self.assert_refused(self.call("remove", "0123"), "nothing is trusted", self.store)
        self.assertFalse(os.path.exists(self.store))

    def test_what_cannot_be_added(self) -> None:
        self.assert_refused(self.call("add", self.put("none", b"")), "none", "empty")
        self.assert_refused(self.call("add", f"{self.folder}/gone"), "gone", "No such file")
        self.assert_refused(self.call("add", "/dev/zero"), "/dev/zero", "not a file")
        (self.folder / "empty").mkdir()
        self.assert_refused(self.call("add", f"{self.folder}/empty"), "empty", "no program")
        self.assertEqual(self.items(), [])

    def test_hostile_packages(self) -> None:
        good = make_deb({"./usr/bin/a": b"\x7fELF a", "./usr/bin/b": b"\x7fELF b" * 3000})
        for cut in (8, 60, 300, 2000, len(good) // 2):
            self.assert_refused(self.call("add", self.put("cut.deb", good[:cut])), "cut.deb",
                                "damaged")
        bomb = make_deb({"./a": b"a"}, claim=17 << 30)
        self.assert_refused(self.call("add", self.put("bomb.deb", bomb)), "bomb.deb", "16 GiB")
        deep = make_deb({"./" + "a/" * 3000 + "b": b"#!"})
        self.assert_refused(self.call("add", self.put("deep.deb", deep)), "deep.deb", "path")
        self.assertEqual(self.items(), [])

    def test_what_a_package_says_is_escaped(self) -> None:
        deb = make_deb({"../../" + HOSTILE: b"#!"})
        done = self.call("add", self.put("a.deb", deb))
        self.assertEqual(done.returncode, 0)
        for text in (done.stdout, self.call("list").stdout, self.call("list", "--long").stdout):
            self.assertNotIn("\x1b", text)
            self.assertIn("ev\\x1b[2Jil", text)
        path = self.items("--long")[0]["files"][0]["path"]
        self.assertTrue(path.startswith("../../ev\\x1b[2J\\x0ail"), path)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.deb", "store"])

    def test_damaged_store(self) -> None:
        self.call("add", self.put("a", b"a"))
        (self.folder / "store" / "trust.db").write_bytes(b"no database " * 1000)
        self.assert_refused(self.call("list"), "damaged")
        self.assert_refused(self.call("add", self.put("a", b"a")), "damaged")

    def test_store_that_others_may_write(self) -> None:
        self.call("add", self.put("a", b"a"))
        os.chmod(self.store, 0o777)
        self.assert_refused(self.call("list"), "not safe", self.store)

    def test_usage(self) -> None:
        self.assert_refused(self.call("ad", "x"), "'ad'", "trust --help")
        self.assert_refused(self.call("add"), "PACKAGE", "trust --help")
        self.assert_refused(self.call("list", "x"), "no operand")
        self.assert_refused(self.call("remove", "zz", "--json"), "--json")
        self.call("add", self.put("a", b"a"))
        self.assert_refused(self.call("remove", "xyz!"), "'xyz!'", "trust list")

    def test_hostile_words_are_escaped(self) -> None:
        self.assert_refused(self.call("add", HOSTILE), ESCAPED)
        self.assert_refused(self.call(HOSTILE), ESCAPED)


class Targets(Case):
    """What is no guest is refused by every command, in one line."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def image(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def assert_all_refuse(self, target: str, *words: str) -> None:
        for command in ON_A_TARGET:
            self.assert_refused(hvsm(command, target), *words)
            if command != "info":
                self.assert_refused(hvsm(command, target, "--json"), *words)

    def test_nobody(self) -> None:
        self.assert_all_refuse("no-such-guest", "'no-such-guest'", "hvsm list")

    def test_processes_that_are_no_guests(self) -> None:
        for pid in ("1", str(os.getpid()), "0", "-1", "4194305", "99999999999999999999", "x", ""):
            self.assert_refused(hvsm("info", f"qemu:{pid}"), "qemu:")

    def test_missing_image(self) -> None:
        self.assert_all_refuse(f"image:{self.folder}/none", "none")

    def test_what_is_no_image(self) -> None:
        for name, content in {"empty": b"", "page": bytes(4096), "zeros": bytes(8 << 20),
                              "noise": os.urandom(1 << 20), "elf": b"\x7fELF\2\1\1" + bytes(57),
                              "lime": b"EMiL" + bytes(28)}.items():
            with self.subTest(name):
                self.assert_all_refuse("image:" + self.image(name, content), name)

    def test_folder_and_device(self) -> None:
        self.assert_refused(hvsm("info", f"image:{self.folder}"), str(self.folder))
        self.assert_refused(hvsm("info", "image:/dev/null"), "/dev/null")

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_unreadable_image(self) -> None:
        path = self.image("secret", bytes(4096))
        os.chmod(path, 0o600)
        os.chmod(self.folder, 0o755)
        program = shutil.copy(HVSM, self.folder / "hvsm")   # the tree may be root's alone
        os.chmod(program, 0o755)
        done = subprocess.run([program, "info", f"image:{path}"], capture_output=True, text=True,
                              check=False, user="nobody", group="nogroup", extra_groups=[])
        self.assert_refused(done, "secret", "ermission")

    def test_several_targets_are_each_tried(self) -> None:
        done = hvsm("scan", "one", "two")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"\Ahvsm: [^\n]*'one'[^\n]*\nhvsm: [^\n]*'two'[^\n]*\n\Z")


@unittest.skipUnless(shutil.which("qemu-system-x86_64"), "QEMU is not installed")
class Guests(Case):
    """Guests in which nothing runs yet."""

    def test_guest_without_a_kernel(self) -> None:
        with qemu("-name", "cold") as process:
            for command in ON_A_TARGET:
                self.assert_refused(hvsm(command, f"qemu:{process.pid}"),
                                    f"qemu:{process.pid}")

    def test_guest_that_has_ended(self) -> None:
        with qemu() as process:
            pid = process.pid
        self.assert_refused(hvsm("scan", f"qemu:{pid}"), str(pid))

    def test_hostile_name_is_escaped_everywhere(self) -> None:
        with qemu("-name", HOSTILE.replace(",", "")) as process:
            text = hvsm("list").stdout
            self.assertIn(ESCAPED, text)
            found = [guest for guest in json.loads(hvsm("list", "--json").stdout)["items"]
                     if guest["pid"] == process.pid]
            self.assertEqual([guest["name"] for guest in found], [ESCAPED])
            self.assert_refused(hvsm("scan", HOSTILE), ESCAPED)

    def test_device_model_of_xen_is_no_guest(self) -> None:
        """A process that is called so, as it does nothing: a shell that waits."""
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "qemu-system-i386")
            shutil.copy("/bin/sh", program)
            for words, listed in (("-xen-domid", "3"), False), (("-m", "32M"), True):
                with subprocess.Popen([program, "-c", "read line", *words],
                                      stdin=subprocess.PIPE) as process:
                    found = [guest["pid"] for guest in json.loads(hvsm("list", "--json").stdout)["items"]]
                    process.communicate(b"\n")
                self.assertEqual(process.pid in found, listed, words)

    def test_rows_are_cut_to_the_terminal_only(self) -> None:
        with qemu("-name", "n" * 60) as process:
            self.assert_fits(on_terminal("list", columns=50), 50)
            self.assertIn("n" * 60, hvsm("list").stdout)
            self.assertIn(f"qemu:{process.pid}", hvsm("list").stdout)


class Completion(Case):
    def complete(self, *words: str) -> list[str]:
        """What bash would offer for the last of the words."""
        script = ('PATH=$1:$PATH; source "$2"; shift 2; COMP_WORDS=("$@"); '
                  'COMP_CWORD=$(($# - 1)); compopt() { :; }; _hvsm; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, "bash", str(Path(HVSM).parent),
                               str(TOP / "src" / "cli" / "hvsm.bash-completion"),
                               "hvsm", *words],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_commands(self) -> None:
        self.assertEqual(sorted(self.complete("")), sorted(COMMANDS))
        self.assertEqual(self.complete("sym"), ["symbols"])

    def test_options(self) -> None:
        self.assertEqual(self.complete("ps", "--"), ["--flat", "--long", "--json", "--help"])

    def test_checks(self) -> None:
        ids = [check["id"] for check in json.loads(hvsm("checks", "--json").stdout)["items"]]
        self.assertEqual(self.complete("scan", "--only", ""), ids)
        self.assertEqual(self.complete("scan", "--only", f"{ids[0]},{ids[1]}"),
                         [f"{ids[0]},{check}" for check in ids if check.startswith(ids[1])])

    def test_references(self) -> None:
        self.assertEqual(self.complete("reference", ""), ["add", "list", "remove", "fetch"])
        self.assertEqual(self.complete("reference", "re"), ["remove"])
        with tempfile.TemporaryDirectory(prefix="hvsm-cli-") as folder:
            subprocess.run([Path(HVSM).parents[1] / "tests" / "make" / "packages", folder],
                           check=True)
            self.assertEqual(sorted(self.complete("reference", "add", f"{folder}/goo")),
                             [f"{folder}/good.deb", f"{folder}/good.rpm"])
            self.assertEqual(self.complete("scan", "--reference", f"{folder}/vm"),
                             [f"{folder}/vmlinuz"])
            hvsm("reference", "add", f"{folder}/vmlinuz")
            items = json.loads(hvsm("reference", "list", "--json").stdout)["items"]
            self.assertEqual(self.complete("reference", "remove", ""),
                             [item["id"][:12] for item in items])

    @unittest.skipUnless(shutil.which("qemu-system-x86_64"), "QEMU is not installed")
    def test_guests(self) -> None:
        with qemu("-name", "two words"):
            self.assertEqual(self.complete("info", "two w"), ["two words"])


if __name__ == "__main__":
    unittest.main()
