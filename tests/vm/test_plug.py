#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory that comes and goes while a guest runs is read, or missed and said so, and never a finding.

By QEMU's monitor where hvsm may ask it, too; where another client holds it, as libvirt does; by libvirt.
"""

from __future__ import annotations

import json
import sys
import time
import unittest
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.channel import Channel  # noqa: E402
from lab.daemon import BUDGET, Daemon  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.kernels import fetch, shipped  # noqa: E402
from lab.libvirt import Libvirt  # noqa: E402
from lab.product import hvsm, scan  # noqa: E402
from lab.qmp import Qmp  # noqa: E402
from test_life import ONLINE, USE_IT, said, watched  # noqa: E402

MIB = 1 << 20
MOVABLE = ONLINE.replace("online >", "online_movable >")    # what can be plugged out again
DIMM = "object_add memory-backend-ram,id={0},size=256M", "device_add pc-dimm,id=dimm{0},memdev={0}"
VIRTIO_MEM = ("-m", "512M,slots=4,maxmem=4G", "-object", "memory-backend-ram,id=vmem,size=1G",
              "-device", "virtio-mem-pci,id=vm0,memdev=vmem,requested-size=0",
              "-device", "virtio-balloon-pci,id=balloon0")
SLOTS = ("-m", "512M,slots=4,maxmem=4G")

# What `virsh attach-device` is given.
LIBVIRT_ROOM = """
  <features><acpi/></features>
  <maxMemory slots='4' unit='MiB'>4096</maxMemory>
  <cpu><numa><cell id='0' cpus='0-1' memory='512' unit='MiB'/></numa></cpu>"""
LIBVIRT_DIMM = "<memory model='dimm'><target><size unit='MiB'>256</size><node>0</node></target></memory>"
# Device and backend are there from the start; what is plugged is what libvirt requests of it.
LIBVIRT_VIRTIO_MEM = """
  <memory model='virtio-mem'><target>
    <size unit='MiB'>1024</size><node>0</node><block unit='MiB'>2</block><requested unit='MiB'>0</requested>
  </target></memory>"""
CHANNEL = "<channel type='unix'><target type='virtio' name='hvsm.lab'/></channel>"

Shell = Callable[[str], str]


def memory_mib(sh: Shell) -> int:
    return int(sh("grep MemTotal /proc/meminfo").split()[1]) >> 10


def eventually(what: str, is_so: Callable[[], bool]) -> None:
    """A guard against a guest that does not do it, and no measure of anything."""
    end = time.monotonic() + 200
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"not reached: {what}")
        time.sleep(0.2)


class PlugTest(unittest.TestCase):
    def nothing_was_found(self, daemon: Daemon) -> None:
        self.assertNotIn(" opened: ", daemon.said())
        self.assertNotIn("has ended", daemon.said())

    def is_read(self, target: str, sh: Shell) -> None:
        """Every process of the guest, wherever its memory is, and a sweep that is clean."""
        sh(f"({USE_IT}) >/dev/null 2>&1 </dev/null")
        sleepers = int(sh("ps | grep -c '[s]leep 1000'"))
        listed = json.loads(hvsm("ps", target, "--json").out)
        self.assertTrue(listed["complete"])
        self.assertEqual(len([task for task in listed["items"] if (task["args"] or [])[:1] == ["sleep"]]), sleepers)
        report = scan(target)
        self.assertEqual(report.status, 0, report.out)

    def test_dimms_of_a_guest_whose_monitor_is_taken(self) -> None:
        with Daemon("hvsm-plug-*") as daemon, \
                Guest("6.1-cloud", name="hvsm-plug-dimm", extra=SLOTS) as guest, Qmp(guest.qmp_socket):
            watched(daemon, guest.name)
            guest.sh(ONLINE)
            for number in range(1, 3):
                for line in DIMM:
                    self.assertEqual(guest.monitor(line.format(f"d{number}")).strip(), "")
                eventually("memory in the guest", lambda: memory_mib(guest.sh) > 380 + 230 * number)
                self.is_read(f"qemu:{guest.pid}", guest.sh)
                watched(daemon, guest.name)
            said(daemon, f"guest {guest.name} has other memory than before")
            self.assertIn("2 pieces beside it", hvsm("info", f"qemu:{guest.pid}").out)
            self.nothing_was_found(daemon)
            self.assertEqual(daemon.end(), 0)

    def check_virtio_mem(self, name: str) -> None:
        with Daemon("hvsm-plug-*") as daemon, \
                Guest(name, name=f"hvsm-plug-{name}", extra=VIRTIO_MEM) as guest:
            watched(daemon, guest.name)
            guest.sh(MOVABLE)
            guest.load(shipped(guest.kernel, "virtio_mem"))
            for wanted in (512, 64, 768):
                before = memory_mib(guest.sh)
                guest.qmp_command("qom-set", path="/machine/peripheral/vm0", property="requested-size",
                                  value=wanted * MIB)
                eventually(f"{wanted} MiB plugged", lambda: abs(memory_mib(guest.sh) - before) > 200)
                self.is_read(f"qemu:{guest.pid}", guest.sh)
                watched(daemon, guest.name)
            guest.sh("modprobe virtio_balloon")
            before = memory_mib(guest.sh)
            guest.qmp_command("balloon", value=400 * MIB)
            eventually("inflated", lambda: memory_mib(guest.sh) < before - 64)
            watched(daemon, guest.name)
            guest.qmp_command("balloon", value=1280 * MIB)
            eventually("deflated", lambda: memory_mib(guest.sh) > before - 32)
            self.is_read(f"qemu:{guest.pid}", guest.sh)
            watched(daemon, guest.name)
            self.nothing_was_found(daemon)
            self.assertEqual(daemon.end(), 0)

    def test_virtio_mem_and_balloon_6_1(self) -> None:
        self.check_virtio_mem("6.1-cloud")

    def test_virtio_mem_and_balloon_6_12(self) -> None:
        self.check_virtio_mem("6.12-cloud")

    def channel(self, libvirt: Libvirt, ident: str) -> Channel:
        tree = ElementTree.fromstring(libvirt.virsh("dumpxml", ident))
        path = tree.find("./devices/channel/source").get("path")   # type: ignore[union-attr]
        channel = Channel(Path(str(path)))
        channel.hello(100)
        return channel

    def shell(self, channel: Channel) -> Shell:
        def sh(command: str) -> str:
            answer = channel.run(command, 300)
            self.assertEqual(answer.status, 0, f"{command}: {answer.err!r}")
            return answer.out.decode()
        return sh

    def test_virtio_mem_of_libvirt(self) -> None:
        """More and less of it, as `virsh update-memory-device` does."""
        name, ident = f"plug {uuid.uuid4().hex[:6]}", str(uuid.uuid4())
        with Libvirt() as libvirt, Daemon("plug *", f'{BUDGET}\nlibvirt = "{libvirt.uri}"') as daemon:
            libvirt.create(name, ident, "6.1-cloud", devices=CHANNEL + LIBVIRT_VIRTIO_MEM, elements=LIBVIRT_ROOM)
            watched(daemon, name)
            channel = self.channel(libvirt, ident)
            sh = self.shell(channel)
            sh(MOVABLE)
            self.assertEqual(channel.load(shipped(fetch("6.1-cloud"), "virtio_mem"), "", 300).status, 0)
            for wanted in (512, 64, 768):
                before = memory_mib(sh)
                libvirt.virsh("update-memory-device", ident, "--live", "--requested-size", f"{wanted}M")
                eventually(f"{wanted} MiB plugged", lambda: abs(memory_mib(sh) - before) > 200)
                self.is_read(f"libvirt:{name}", sh)
                watched(daemon, name)
            libvirt.destroy(ident)
            daemon.wait("no guest", lambda: not daemon.guests())
            self.nothing_was_found(daemon)

    def test_what_libvirt_plugs(self) -> None:
        name, ident = f"plug {uuid.uuid4().hex[:6]}", str(uuid.uuid4())
        with Libvirt() as libvirt, Daemon("plug *", f'{BUDGET}\nlibvirt = "{libvirt.uri}"') as daemon:
            libvirt.create(name, ident, "6.1-cloud", devices=CHANNEL, elements=LIBVIRT_ROOM)
            watched(daemon, name)
            sh = self.shell(self.channel(libvirt, ident))
            sh(MOVABLE)
            libvirt.change(ident, "attach-device", LIBVIRT_DIMM)
            eventually("a DIMM in the guest", lambda: memory_mib(sh) > 600)
            self.is_read(f"libvirt:{name}", sh)
            watched(daemon, name)
            said(daemon, f"guest {name} has other memory than before")
            libvirt.destroy(ident)
            daemon.wait("no guest", lambda: not daemon.guests())
            self.nothing_was_found(daemon)


if __name__ == "__main__":
    unittest.main()
