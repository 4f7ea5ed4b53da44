#!/usr/bin/python3
"""RAM of a guest: the ranges are where QEMU has them, the bytes are what the guest sees, and
reading them leaves no trace in QEMU; for every way in which QEMU can hold it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import LabError  # noqa: E402
from lab.backends import size_bytes  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.monitor import ask  # noqa: E402
from lab.product import LIMIT_S, binary  # noqa: E402
from lab.qmp import Qmp  # noqa: E402

KERNEL = "6.1-cloud"
PAGE = 4096
HOLE_END = 4 << 30
PASSES = 100

SHAPES: dict[str, dict[str, Any]] = {
    "anon": {},
    "memfd": {"backend": "memfd"},
    "memfd_private": {"backend": "memfd-private"},
    "file": {"backend": "file"},
    "file_private": {"backend": "file-private"},
    "hugetlb": {"backend": "hugetlb"},
    "numa2": {"backend": "numa2", "smp": 2},
    "numa2_memfd": {"backend": "numa2-memfd", "smp": 2},
    "pc_5g": {"memory": "5G"},
    "q35_5g": {"memory": "5G", "machine": "q35"},
    "q35_5g_numa2": {"memory": "5G", "machine": "q35", "backend": "numa2", "smp": 2},
    "q35_5g_memfd": {"memory": "5G", "machine": "q35", "backend": "memfd"},
    "microvm": {"machine": "microvm"},
    "microvm_5g": {"machine": "microvm", "memory": "5G"},
}


def ramtool() -> Path:
    return binary().parents[1] / "tests" / "vm" / "ramtool"


def call(*args: object, program: Path | None = None,
         before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*before, str(program or ramtool()), *map(str, args)], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)


def layout(target: str) -> Any:
    done = call(target, "layout")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def read(target: str, at: int, size: int) -> bytes:
    done = call(target, "read", hex(at), size)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Traces:
    """What a reader could leave behind in QEMU: memory, page tables, blocks of files.

    Not what QEMU's own threads leave: they run while the guest is stopped, and a page of the
    program or of a library that they come to for the first time is mapped then. So mappings of
    files that hold code are left out, and faults are not counted: the kernel counts those that
    a reader makes with the reader, never with QEMU."""

    KEYS = ("RssAnon", "RssShmem", "VmPTE", "VmSwap")

    def __init__(self, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text()
        self.seen = {key: re.search(rf"^{key}:\s*(\d+)", status, re.M)[1] for key in self.KEYS}
        # Counters of "status" are estimates; these are counted.
        self.seen |= self.resident(Path(f"/proc/{pid}/smaps").read_text())
        for link in sorted(Path(f"/proc/{pid}/fd").iterdir(), key=lambda path: int(path.name)):
            if re.search(r"memfd:|/ram$", os.readlink(link)):
                self.seen[f"blocks of fd {link.name}"] = str(link.stat().st_blocks)

    @staticmethod
    def resident(smaps: str) -> dict[str, str]:
        """Resident memory of each mapping but of files that are mapped executable."""
        mappings = re.findall(r"^([0-9a-f]+)-[0-9a-f]+ (\S{4}) \S+ \S+ \S+ *(.*)\n((?:\w+:.*\n)+)",
                              smaps, re.M)
        code = {path for _, rights, path, _ in mappings if "x" in rights and path.startswith("/")}
        return {f"{key} at {start}": re.search(rf"^{key}:\s*(\d+)", about, re.M)[1]
                for start, _, path, about in mappings if path not in code
                for key in ("Rss", "Anonymous", "Private_Hugetlb", "Shared_Hugetlb")}


class RamTest(unittest.TestCase):
    """One method per shape, made below."""

    def check_shape(self, guest: Guest) -> None:
        target = f"qemu:{guest.pid}"
        guest.monitor("stop")
        by_qmp = layout(target)
        self.assertEqual(by_qmp["layout"], "QMP")
        self.assertEqual(layout(f"qmp:{guest.qmp_socket}"), by_qmp)
        with Qmp(guest.qmp_socket):     # taken: the next client gets no answer
            start = time.monotonic()
            by_machine = layout(target)
            took = time.monotonic() - start
            self.assertIn("machine type", by_machine["layout"])
            self.assertIn("busy", by_machine["layout"])
            self.assertLess(took, 30)   # it gives up
            if size_bytes(guest.memory) > 2 << 30:
                self.assertIn("verified", by_machine["layout"])
            self.check_traces(guest, target)
        self.assertEqual(by_machine["ranges"], by_qmp["ranges"])
        self.check_ranges(guest, by_qmp["ranges"])
        self.check_contents(guest, target, by_qmp["ranges"])

    def check_ranges(self, guest: Guest, ranges: list[list[int]]) -> None:
        """Every range of QEMU's flat view that is the guest's RAM is in ours, and ours are
        as large as the guest's memory."""
        self.assertEqual(sum(size for _, size in ranges), size_bytes(guest.memory))
        view = re.search(r'AS "memory".*?Root memory region: system\n(.*?)\n\n',
                         guest.monitor("info mtree -f"), re.S)
        self.assertIsNotNone(view)
        seen = 0
        for first, last, name in re.findall(
                r"^  ([0-9a-f]+)-([0-9a-f]+) \(prio \d+, ram\): (\S+)", view[1], re.M):
            if re.fullmatch(r"pc\.ram|microvm\.ram|ram\d?", name):
                at, end = int(first, 16), int(last, 16) + 1
                seen += end - at
                self.assertTrue(any(start <= at and end <= start + size
                                    for start, size in ranges), (first, last, ranges))
        # All but the VGA window and the firmware's shadow.
        self.assertGreaterEqual(seen, size_bytes(guest.memory) - (1 << 20))

    def check_contents(self, guest: Guest, target: str, ranges: list[list[int]]) -> None:
        """The guest's own view (pmemsave) of memory that the kernel uses, of both sides of the
        hole, and of what it never touched."""
        places = [(0x1000, PAGE), (16 << 20, 16 << 20), (17 * PAGE + 5, 3 * PAGE + 1)]
        for start, size in ranges:
            end = start + size
            places += [(max(start, 1 << 20), 65536), (end - 65536, 65536), (end - 7, 7)]
            places += [(random.Random(size + i).randrange(start // PAGE + 256, end // PAGE) * PAGE,
                        PAGE) for i in range(48)]
        zeros = 0
        for at, size in places:
            file = guest.dir / "saved"
            guest.monitor(f'pmemsave {at:#x} {size} "{file}"')
            truth = file.read_bytes()
            self.assertEqual(len(truth), size)
            self.assertEqual(read(target, at, size), truth, f"{at:#x}+{size:#x}")
            zeros += not any(truth)
        self.assertLess(zeros, len(places))
        for start, size in ranges:      # one byte beyond is no RAM
            done = call(target, "read", hex(start + size), 1)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(b"no RAM at", done.stderr)

    def check_traces(self, guest: Guest, target: str) -> None:
        """100 passes over what is populated, and one over all of it, change nothing."""
        reader = subprocess.Popen([str(ramtool()), target, "passes", str(PASSES)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(reader.stdout.readline(), "ready\n")
            before = Traces(guest.pid).seen
            out, _ = reader.communicate("go\n", timeout=600)
            after = Traces(guest.pid).seen
        finally:
            reader.kill()
            reader.wait()
        self.assertEqual(reader.returncode, 0)
        result = json.loads(out)
        self.assertGreater(result["populated"], 16 << 20)
        if guest.backend != "hugetlb":  # a file system that knows no holes
            self.assertLess(result["populated"], size_bytes(guest.memory))
        # The host's kernel drops pages of a memfd that only hold zeros when it is asked to
        # (drop_caches): fewer blocks are its doing, more would be ours.
        blocks = {key: int(value) for key, value in before.items() if key.startswith("blocks")}
        for key, value in blocks.items():
            self.assertLessEqual(int(after[key]), value, key)
        self.assertEqual({key: value for key, value in after.items() if key not in blocks},
                         {key: value for key, value in before.items() if key not in blocks})


def case(shape: dict[str, Any]) -> Callable[[RamTest], None]:
    def run(self: RamTest) -> None:
        guest = Guest(KERNEL, **shape)
        try:
            guest.start()
        except LabError as error:
            if shape.get("backend") != "hugetlb" or "2 MiB" not in str(error):
                raise
            self.skipTest(str(error))
        try:
            self.check_shape(guest)
        finally:
            guest.stop()
    return run


for shape_name, shape_options in SHAPES.items():
    setattr(RamTest, f"test_{shape_name}", case(shape_options))


class BareQemu:
    """QEMU without a kernel: its firmware is enough to look at."""

    def __init__(self, *args: str, before: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, "qemu-system-x86_64", "-display", "none", "-nic", "none", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True)

    def __enter__(self) -> "BareQemu":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stderr.close()

    def pid(self) -> int:
        """Of QEMU itself, once its RAM is there; it may be a child of what was started."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    session = path.joinpath("stat").read_text().rpartition(")")[2].split()[3]
                    exe = os.readlink(path / "exe")
                except OSError:
                    continue
                if int(session) == self.process.pid and "qemu-system" in exe:
                    done = call(f"qemu:{path.name}", "layout")
                    if done.returncode == 0:
                        return int(path.name)
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.process.kill()
        raise LabError(f"QEMU did not come up: {self.process.stderr.read().decode()}")


class AttachTest(unittest.TestCase):
    """Who can be attached, and what is said where it cannot."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="hvsm-ram-")
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)

    def refused(self, target: str, words: str, **options: Any) -> None:
        done = call(target, "layout", **options)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(words, done.stderr.decode())

    def test_no_permission_is_told_with_what_to_do(self) -> None:
        tool = self.dir / "ramtool"
        self.dir.chmod(0o755)
        shutil.copy(ramtool(), tool)
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        with BareQemu("-m", "64") as qemu:
            self.refused(f"qemu:{qemu.pid()}", "run as root, or with CAP_SYS_PTRACE",
                         program=tool, before=nobody)

    def test_guest_in_a_container(self) -> None:
        """Other PIDs, other mounts, a socket with a relative path that only exists in there."""
        inner = ('mount -t tmpfs none /mnt && cd /mnt && '
                 'exec qemu-system-x86_64 -display none -nic none -m 64 -M q35 '
                 '-object memory-backend-file,id=m,size=64M,mem-path=/mnt/ram,share=on '
                 '-machine memory-backend=m -qmp unix:here.qmp,server=on,wait=off')
        with BareQemu(before=("unshare", "--mount", "--pid", "--fork", "--kill-child",
                              "sh", "-c", inner, "sh")) as qemu:
            pid = qemu.pid()
            self.assertFalse(Path("/mnt/here.qmp").exists())
            self.assertEqual(layout(f"qemu:{pid}"), {"layout": "QMP", "ranges": [[0, 64 << 20]]})
            # The real mode vectors, once the firmware has got to them.
            end = time.monotonic() + LIMIT_S
            while not any(read(f"qemu:{pid}", 0, 64)):
                self.assertLess(time.monotonic(), end, "the firmware writes no vectors")
                time.sleep(0.05)

    def test_socket_of_somebody_else_is_not_spoken_to(self) -> None:
        """A command line may name any socket: nothing is sent there."""
        path = self.dir / "other"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(10)
            # The character device connects as a client, so the socket is not QEMU's.
            with BareQemu("-m", "64", "-chardev",
                          f"socket,id=c,path={path},server=off", "-mon",
                          "chardev=c,mode=control") as qemu:
                ours, _ = listener.accept()
                done = layout(f"qemu:{qemu.pid()}")
                self.assertIn("another process", done["layout"])
                ours.close()
                heard = b""
                while True:
                    try:
                        listener.settimeout(0.2)
                        client, _ = listener.accept()
                    except TimeoutError:
                        break
                    client.settimeout(5)
                    heard += client.recv(1)
                    client.close()
                self.assertEqual(heard, b"")

    def test_guest_that_ends_while_it_is_read(self) -> None:
        with BareQemu("-m", "64") as qemu:
            pid = qemu.pid()
            reader = subprocess.Popen([str(ramtool()), f"qemu:{pid}", "passes", "1000000"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
            self.assertEqual(reader.stdout.readline(), "ready\n")
            reader.stdin.write("go\n")
            reader.stdin.flush()
            time.sleep(0.1)
            qemu.process.kill()
            qemu.process.wait()
            _, errors = reader.communicate(timeout=60)
            self.assertEqual(reader.returncode, 2)
            self.assertIn(f"process {pid} ended", errors)
            self.refused(f"qemu:{pid}", f"no process {pid}")

    def test_two_guests_of_one_name(self) -> None:
        with BareQemu("-m", "64", "-name", "twin") as one, \
                BareQemu("-m", "64", "-name", "twin") as two:
            pids = sorted((one.pid(), two.pid()))
            self.refused("twin", f"qemu:{pids[0]} qemu:{pids[1]}")

    def test_what_is_no_guest(self) -> None:
        self.refused(f"qemu:{os.getpid()}", "is not QEMU")
        self.refused("qemu:0", "not a process id")
        self.refused("qemu:web", "not a process id")
        self.refused("xen:1", "does not run on Xen")
        self.refused("nobody-has-this-name", "no guest is called")
        self.refused("/nonexistent/image", "No such file")
        self.refused("qmp:/nonexistent", "No such file")
        self.refused("image:/dev/null", "not a file")


class ImageTest(unittest.TestCase):
    """What QEMU dumps is read as the same memory."""

    def test_elf_core_of_dump_guest_memory(self) -> None:
        for machine, memory in (("pc", "512M"), ("q35", "3G")):
            with self.subTest(machine), Guest(KERNEL, machine=machine, memory=memory) as guest:
                guest.monitor("stop")
                live = layout(f"qemu:{guest.pid}")
                core = guest.dir / "core"
                guest.qmp_command("dump-guest-memory", paging=False, protocol=f"file:{core}")
                image = layout(f"image:{core}")
                # It leaves the VGA window out, and has video memory and firmware besides.
                (_, low), *high = live["ranges"]
                for start, size in [[0, 0xa0000], [0xc0000, low - 0xc0000], *high]:
                    self.assertTrue(any(at <= start and start + size <= at + n
                                        for at, n in image["ranges"]), (image, live))
                self.assertNotIn("truncated", image["layout"])
                for start, size in live["ranges"]:
                    for at in (start or 1 << 20, start + (16 << 20), start + size - (1 << 20)):
                        self.assertEqual(read(f"image:{core}", at, 1 << 20),
                                         read(f"qemu:{guest.pid}", at, 1 << 20), hex(at))
                os.truncate(core, core.stat().st_size - (8 << 20))
                self.assertIn("truncated", layout(f"image:{core}")["layout"])

    def test_raw_file_of_a_backend(self) -> None:
        with Guest(KERNEL, backend="file") as guest:
            guest.monitor("stop")
            raw = guest.dir / "ram"
            self.assertEqual(layout(str(raw))["ranges"], [[0, 512 << 20]])
            self.assertEqual(read(str(raw), 16 << 20, 1 << 20),
                             read(f"qemu:{guest.pid}", 16 << 20, 1 << 20))


if __name__ == "__main__":
    unittest.main(verbosity=2)
