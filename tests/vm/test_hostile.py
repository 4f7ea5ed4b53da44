#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory that is broken or lies: hvsm ends, says so, and never calls it clean.

A real guest's memory is damaged on purpose, one way at a time, and every command is run on it.
"""

from __future__ import annotations

import mmap
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from array import array
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import images                                  # noqa: E402
from lab.guest import Guest                             # noqa: E402
from lab.product import TOP, Outcome, hvsm, scan        # noqa: E402

VIEWS = ("info", "ps", "modules", "sockets", "files", "mounts", "hooks", "log")
PAGE = 4096
MEMORY = 256 << 20              # of a guest
WILD = 0xFFFFC0DEC0DEC0D8       # nothing is mapped there
MEMORY_MAX_KIB = 2 << 20        # of hvsm, with the image that it maps


class Btf:
    """Where members of named structs lie: so much of BTF as the damage needs."""

    def __init__(self, blob: bytes) -> None:
        header, types, types_bytes, strings = struct.unpack_from("<IIII", blob, 4)
        data = blob[header + types:header + types + types_bytes]
        text = blob[header + strings:]
        self.members: dict[str, dict[str, int]] = {}
        at = 0
        extra = {1: 4, 3: 12, 14: 4, 17: 4}
        each = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
        while at < len(data):
            name, info, _ = struct.unpack_from("<III", data, at)
            kind, count = info >> 24 & 31, info & 0xFFFF
            at += 12
            if kind == 4 and name:
                offsets = self.members.setdefault(self.string(text, name), {})
                for i in range(count):
                    member, _, place = struct.unpack_from("<III", data, at + 12 * i)
                    offsets.setdefault(self.string(text, member), (place & 0xFFFFFF) // 8)
            at += extra.get(kind, 0) + each.get(kind, 0) * count

    @staticmethod
    def string(text: bytes, at: int) -> str:
        return text[at:text.index(b"\0", at)].decode()


class Image:
    """A raw image that can be damaged, and is whole again afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.target = f"image:{path}"
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        info = hvsm("info", self.target, "--json").json
        self.text = int(info["kernel"]["text_base"], 16)
        self.end = int(info["layout"]["text_end"], 16)
        self.base = int(info["layout"]["image"], 16)
        self.direct_map = int(info["layout"]["direct_map"], 16)
        self.symbols: dict[str, int] = {}
        for line in hvsm("symbols", self.target).out.splitlines():
            at, _, name = line.split(None, 2)
            self.symbols.setdefault(name, int(at, 16))
        start, stop = (self.physical(self.symbols[f"__{end}_BTF"]) for end in ("start", "stop"))
        self.btf = Btf(self.memory[start:stop]).members
        self.undo: list[tuple[int, bytes]] = []

    def physical(self, at: int) -> int:
        """Of an address of the image or of the direct map."""
        return at - self.text + self.base if at >= self.text else at - self.direct_map

    def read(self, at: int) -> int:
        """The pointer at a guest-virtual address."""
        return int.from_bytes(self.memory[self.physical(at):self.physical(at) + 8], "little")

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite physical memory until mend()."""
        self.undo.append((offset, self.memory[offset:offset + len(data)]))
        self.memory[offset:offset + len(data)] = data

    def write(self, at: int, *values: int) -> None:
        """Overwrite numbers of 8 bytes at a guest-virtual address."""
        self.put(self.physical(at), struct.pack(f"<{len(values)}Q", *values))

    def mend(self) -> None:
        for offset, data in reversed(self.undo):
            self.memory[offset:offset + len(data)] = data
        self.undo.clear()

    def close(self) -> None:
        self.memory.close()

    def nodes(self, head: int) -> list[int]:
        """The links of a list, as the guest has them."""
        found, at = [], self.read(head)
        while at != head:
            found.append(at)
            at = self.read(at)
        return found

    def tasks(self) -> tuple[int, list[int]]:
        head = self.symbols["init_task"] + self.btf["task_struct"]["tasks"]
        return head, self.nodes(head)

    def free_pages(self, count: int) -> int:
        """Where as many pages in a row are all zero."""
        run = 0
        for page in range(len(self.memory) // PAGE):
            zero = not any(self.memory[page * PAGE:(page + 1) * PAGE])
            run = run + 1 if zero and page * PAGE >= 1 << 24 else 0
            if run == count:
                return (page - count + 1) * PAGE
        raise unittest.SkipTest("the guest has no free memory left")


Damage = Callable[[Image], None]


def kallsyms(offset: int, data: bytes) -> Damage:
    """So far from each place in the image where tokens stand like those of the digits."""
    def damage(image: Image) -> None:
        digits = b"".join(b"%d\0" % i for i in range(10))
        at = image.memory.find(digits, image.base)
        found = []
        while 0 <= at < image.physical(image.end):
            found.append(at)
            at = image.memory.find(digits, at + 1)
        for at in found:
            image.put(at + offset, data)
    return damage


def page_table(image: Image) -> int:
    return image.physical(image.symbols["init_top_pgt"])


def tables_below(image: Image, table: int) -> list[int]:
    """The tables that the upper half of a table leads to."""
    entries = struct.unpack_from("<512Q", image.memory, table)
    return [entry & 0xFFFFFFFFFF000 for entry in entries[256:] if entry & 0x81 == 1]


def loop_all_tables(image: Image) -> None:
    root = page_table(image)
    for table in tables_below(image, root):
        image.put(table, struct.pack("<Q", table | 0x63) * 510)


def cycle(image: Image, head: int, nodes: list[int]) -> None:
    """The third link leads back to the first."""
    image.write(nodes[2], nodes[0])


def closed_cycle(image: Image, head: int, nodes: list[int]) -> None:
    """The second and the third node form a list of their own, each link right."""
    image.write(nodes[1], nodes[2], nodes[2])
    image.write(nodes[2], nodes[1], nodes[1])


def long_list(image: Image, head: int, nodes: list[int]) -> None:
    """A million nodes more, all links right, 16 bytes each."""
    count = 1 << 20
    first = image.direct_map + image.free_pages(count * 16 // PAGE)
    links = array("Q", bytes(16 * count))
    for i in range(count):
        links[2 * i] = first + 16 * (i + 1)
        links[2 * i + 1] = first + 16 * (i - 1)
    links[1], links[-2] = nodes[0], nodes[1]
    image.put(image.physical(first), links.tobytes())
    image.write(nodes[0], first)
    image.write(nodes[1] + 8, first + 16 * (count - 1))


def of_tasks(what: Callable[[Image, int, list[int]], None]) -> Damage:
    return lambda image: what(image, *image.tasks())


def of_modules(what: Callable[[Image, int, list[int]], None]) -> Damage:
    """Modules lie in vmalloc space: only the head can be reached by arithmetic."""
    return lambda image: what(image, image.symbols["modules"], [])


def wild(image: Image, head: int, nodes: list[int]) -> None:
    image.write(nodes[1] if nodes else head, WILD)


def symbol(name: str, *values: int) -> Damage:
    return lambda image: image.write(image.symbols[name], *values)


def btf(offset: int, data: bytes) -> Damage:
    return lambda image: image.put(image.physical(image.symbols["__start_BTF"]) + offset, data)


# What is damaged; no scan of it may be clean.
DAMAGES: dict[str, Damage] = {
    "everything zero": lambda image: image.put(0, bytes(len(image.memory))),
    "everything ones": lambda image: image.put(0, b"\xff" * len(image.memory)),
    "kernel's image zero": lambda image: image.put(image.base, bytes(image.end - image.text)),
    "kallsyms: a token": kallsyms(-20, b"\n"),
    "kallsyms: no digits": kallsyms(0, b"x" * 20),
    "kallsyms: index": kallsyms(1024, b"\xaa" * 512),
    "kallsyms: names": kallsyms(-(1 << 19), b"\x01" * (1 << 16)),
    "BTF: magic": btf(0, b"\0\0"),
    "BTF: header's length": btf(4, b"\xff\xff\xff\xff"),
    "BTF: types' length": btf(12, b"\xff\xff\xff\x7f"),
    "BTF: strings' offset": btf(16, b"\xff\xff\xff\xff"),
    "BTF: ids": btf(24 + (1 << 16), b"\xee" * (1 << 16)),
    "BTF: all types": btf(24, b"\x01" * (1 << 20)),
    "page tables: root to itself": lambda image: image.put(
        page_table(image) + 8 * 256, struct.pack("<Q", page_table(image) | 0x63) * 256),
    "page tables: all loops": loop_all_tables,
    "page tables: root zero": lambda image: image.put(page_table(image), bytes(PAGE)),
    "tasks: cycle": of_tasks(cycle),
    "tasks: closed cycle": of_tasks(closed_cycle),
    "tasks: wild link": of_tasks(wild),
    "tasks: a million": of_tasks(long_list),
    "tasks: to user space": of_tasks(lambda image, _, nodes: image.write(nodes[3], 0x1000)),
    "modules: wild link": of_modules(wild),
    "modules: to itself": lambda image: image.write(image.symbols["modules"],
                                                    image.symbols["modules"]),
    "module tree: wild": symbol("mod_tree", WILD, WILD),
    "PID map: wild": lambda image: image.write(
        image.symbols["init_pid_ns"] + image.btf["pid_namespace"]["idr"] + 8, WILD | 2, WILD | 2),
    "per-CPU: wild": symbol("__per_cpu_offset", WILD, WILD),
    "CPUs: none": lambda image: image.put(image.physical(image.symbols["nr_cpu_ids"]), bytes(4)),
    "CPUs: 2^32 - 1": lambda image: image.put(image.physical(image.symbols["nr_cpu_ids"]),
                                              b"\xff" * 4),
    "IDT: zero": lambda image: image.write(image.symbols["idt_table"], *[0] * 512),
    "direct map: elsewhere": symbol("page_offset_base", WILD),
    "phys_base: elsewhere": symbol("phys_base", WILD),
    "banner: gone": lambda image: image.put(image.physical(image.symbols["linux_banner"]), bytes(64)),
    "init_task: ones": lambda image: image.put(image.physical(image.symbols["init_task"]),
                                               b"\xff" * 4096),
}


class HostileImage(unittest.TestCase):
    """A guest's memory, damaged on purpose; one class per kernel below."""

    kernel: str
    image: Image
    dir: Path

    @classmethod
    def setUpClass(cls) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="hvsm-hostile-")
        cls.addClassCleanup(temporary.cleanup)
        cls.dir = Path(temporary.name)
        raw = cls.dir / "guest.raw"
        with Guest(cls.kernel, memory=f"{MEMORY >> 20}M") as guest:
            guest.workload()
            guest.settle()
            guest.qmp_command("pmemsave", val=0, size=MEMORY, filename=str(raw))
        cls.image = Image(raw)
        cls.addClassCleanup(cls.image.close)

    def tearDown(self) -> None:
        self.image.mend()

    def assert_ends_well(self, outcome: Outcome) -> None:
        """A status that hvsm knows; where it gives up, one line that says why."""
        self.assertIn(outcome.status, (0, 1, 2, 3), outcome.err)
        if outcome.status == 2:
            self.assertEqual(len(outcome.err.splitlines()), 1, outcome.err)

    def assert_not_clean(self, target: str) -> None:
        outcome = scan(target)
        self.assert_ends_well(outcome)
        self.assertNotEqual(outcome.status, 0, outcome.out[:2000])
        for view in VIEWS:
            self.assert_ends_well(hvsm(view, target, "--json"))

    def test_whole_image_is_clean(self) -> None:
        outcome = scan(self.image.target)
        self.assertEqual(outcome.status, 0, outcome.out[:2000])

    def test_damage_is_never_clean(self) -> None:
        for name, damage in DAMAGES.items():
            with self.subTest(name):
                damage(self.image)
                self.assert_not_clean(self.image.target)
            self.image.mend()
        self.assertEqual(scan(self.image.target).status, 0)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, MEMORY_MAX_KIB)

    def test_cpus_that_are_not_there_hide_nothing(self) -> None:
        self.image.put(self.image.physical(self.image.symbols["nr_cpu_ids"]),
                       struct.pack("<I", 8192))
        self.assert_ends_well(scan(self.image.target))

    def test_without_the_trampoline_the_kernel_is_found(self) -> None:
        for page in range(0x1000, 0x100000, PAGE):
            last = page + PAGE - 8
            if self.image.memory[last] & 0x81 == 1:
                self.image.put(last, bytes(8))
        outcome = hvsm("info", self.image.target, "--json")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual(outcome.json["attach"]["found_by"], "page-table scan")
        self.assertEqual(scan(self.image.target).status, 0)

    def test_truncated_image_is_never_clean(self) -> None:
        size = len(self.image.memory)
        dice = random.Random(1)
        cuts = [0, 1, PAGE - 1, PAGE, 1 << 20, self.image.base, self.image.base + PAGE,
                self.image.base + (16 << 20), self.image.physical(self.image.end), size - PAGE]
        copy = self.dir / "cut.raw"
        # What lies behind the last page in use is no loss.
        last = size
        while not any(self.image.memory[last - PAGE:last]):
            last -= PAGE
        for cut in sorted(cuts + [dice.randrange(size) for _ in range(12)], reverse=True):
            with self.subTest(cut):
                if cut == max(cuts):
                    continue
                images.truncated(self.image.path, copy, cut)
                outcome = scan(f"image:{copy}")
                self.assert_ends_well(outcome)
                if cut < self.image.physical(self.image.end):
                    self.assertEqual(outcome.status, 2, outcome.out[:2000])

    def test_random_pages_never_break_it(self) -> None:
        dice = random.Random(2)
        for count in (1, 10, 100, 1000, 10000):
            for _ in range(4):
                with self.subTest(count):
                    for page in dice.sample(range(len(self.image.memory) // PAGE), count):
                        self.image.put(page * PAGE, dice.randbytes(PAGE))
                    self.assert_ends_well(scan(self.image.target))
                    self.assert_ends_well(hvsm(dice.choice(VIEWS), self.image.target))
                self.image.mend()

    def test_wild_words_never_break_it(self) -> None:
        """Thousands of damages, in one process: tests/vm/damage.c."""
        build = Path(os.environ.get("HVSM_BUILD", TOP / "build"))
        done = subprocess.run([build / "tests" / "vm" / "damage", self.image.path, "400"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace")[-4000:])


class Hostile61(HostileImage):
    kernel = "6.1-cloud"


class HostileNew(HostileImage):
    kernel = "new-cloud"


del HostileImage    # what they share is no test of its own


class HostileGuest(unittest.TestCase):
    """Lists that a running guest has made to harm (modules/corrupt.c)."""

    def test_hostile_lists_are_never_clean_while_they_last(self) -> None:
        for kernel in ("5.10-cloud", "6.12-cloud"):
            with Guest(kernel, memory="512M") as guest:
                for what, options in (("task_cycle", {}), ("task_wild", {}), ("module_cycle", {}),
                                      ("module_wild", {}), ("long_list", {"count": 10_000_000})):
                    with self.subTest(kernel=kernel, what=what):
                        guest.insmod("corrupt", what=what, **options)
                        outcome = scan(f"qemu:{guest.pid}")
                        self.assertIn(outcome.status, (1, 3), outcome.out[:2000] + outcome.err)
                        for view in VIEWS:
                            self.assertIn(hvsm(view, f"qemu:{guest.pid}").status, (0, 2, 3))
                        guest.rmmod("corrupt")
                        outcome = scan(f"qemu:{guest.pid}")
                        self.assertEqual(outcome.status, 0, outcome.out[:2000])

    def test_firmware_is_no_kernel_yet(self) -> None:
        for options in ({}, {"machine": "q35", "efi": True}, {"memory": "5G"}):
            with self.subTest(options):
                guest = Guest("6.1-cloud", boot=False, **options)
                guest.start(wait=False)
                self.addCleanup(guest.stop)
                # From power-on into the wait for something to boot.
                until = time.monotonic() + 15
                while time.monotonic() < until:
                    outcome = scan(f"qemu:{guest.pid}")
                    self.assertEqual(outcome.status, 2, outcome.out[:2000])
                    self.assertEqual(len(outcome.err.splitlines()), 1, outcome.err)
                self.assertIn("no Linux kernel", outcome.err)
                guest.stop()

    def test_boot_by_efi_from_power_on_and_through_resets(self) -> None:
        guest = Guest("6.12-cloud", machine="q35", efi=True, smp=2)
        guest.start(wait=False)
        self.addCleanup(guest.stop)
        for round_ in range(3):
            clean = 0
            while clean < 3:
                self.assertTrue(guest.running(), guest.console_log)
                outcome = scan(f"qemu:{guest.pid}")
                self.assertIn(outcome.status, (0, 2, 3), outcome.out[:4000])
                clean = clean + 1 if outcome.status == 0 else 0
            if round_ < 2:
                guest.wait_ready()
                guest.reset(wait=False)

    def test_guest_that_dies_while_it_is_scanned(self) -> None:
        for delay_ms in (0, 5, 20, 40, 80):
            with self.subTest(delay_ms), Guest("6.1-cloud") as guest:
                with subprocess.Popen([os.environ.get("HVSM", TOP / "build" / "src" / "hvsm"),
                                       "scan", f"qemu:{guest.pid}"], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE) as process:
                    try:
                        process.wait(delay_ms / 1000)
                    except subprocess.TimeoutExpired:
                        pass
                    os.kill(guest.pid, 9)
                    _, err = process.communicate(timeout=120)
                self.assertIn(process.returncode, (0, 2, 3), err)
                self.assertLessEqual(len(err.splitlines()), 1, err)


if __name__ == "__main__":
    unittest.main()
