#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reactions at a real guest: that it is paused, dumped, cut off and switched off, and that in
observe mode nothing of that happens."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.libvirt import Libvirt  # noqa: E402
from lab.product import binary, hvsm  # noqa: E402
from lab.qmp import Qmp  # noqa: E402

KERNEL = "6.1-cloud"
NETWORK = ("-netdev", "user,id=host0", "-device", "virtio-net-pci,netdev=host0,id=front0")
INTERFACE = """
  <interface type='user'><model type='virtio'/></interface>
  <interface type='user'><link state='up'/><model type='virtio'/></interface>
"""
ENDS_S = 60         # a guard against a QEMU that never ends, no measure of anything
KINDS = ("pause", "unlink", "poweroff")

CONFIG = """mode = {mode}
reaction dump {{
	kind = dump
	directory = {dir}
	timeout_s = 300
}}
""" + "".join(f"reaction {kind} {{{{ kind = {kind}\n timeout_s = 60 }}}}\n" for kind in KINDS)


class Place(unittest.TestCase):
    """A directory for a configuration, and for what is dumped."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory(prefix="hvsm-reaction-")
        self.addCleanup(place.cleanup)
        self.dir = Path(place.name)

    def configure(self, text: str) -> Path:
        config = self.dir / "hvsmd.conf"
        config.write_text(text)
        return config

    def react(self, config: Path, *args: object) -> tuple[int, str]:
        """What came of it, and what was audited."""
        done = subprocess.run([str(binary().parents[1] / "tests" / "vm" / "react"), str(config),
                               *map(str, args)], capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def dumped(self, out: str) -> Path:
        """The one file there is, which is the one that was told of."""
        cores = list(self.dir.glob("*.core*"))
        self.assertEqual(out, f"started dump \ndone dump {cores[0]}\n")
        self.assertEqual(cores[0].read_bytes()[:4], b"\x7fELF")
        return cores[0]


class AtMonitor(Place):
    """One guest, and what is done to it; what cannot be undone comes last."""

    def setUp(self) -> None:
        super().setUp()
        self.guest = Guest(KERNEL, extra=NETWORK)
        self.guest.start()
        self.addCleanup(self.guest.stop)

    def do(self, reaction: str, mode: str = "enforce") -> tuple[int, str]:
        config = self.configure(CONFIG.format(mode=mode, dir=self.dir))
        return self.react(config, self.guest.pid, self.guest.uuid, reaction)

    def runs(self) -> bool:
        status = self.guest.qmp_command("query-status")
        assert isinstance(status, dict)
        return bool(status["running"])

    def carrier(self) -> str:
        return self.guest.sh("cat /sys/class/net/eth0/carrier").strip()

    def test_reactions(self) -> None:
        self.guest.sh("modprobe virtio_net && ip link set eth0 up")
        self.assertEqual(self.carrier(), "1")
        for step in (self.observe, self.unlink, self.dump, self.another, self.busy, self.pause,
                     self.poweroff):
            with self.subTest(step.__name__):
                step()

    def observe(self) -> None:
        for reaction in ("dump", *KINDS):
            self.assertEqual(self.do(reaction, "observe"), (1, f"observed {reaction} \n"))
        self.assertTrue(self.runs())
        self.assertEqual(self.carrier(), "1")
        self.assertEqual(list(self.dir.glob("*.core*")), [])

    def unlink(self) -> None:
        self.assertEqual(self.do("unlink"),
                         (0, "started unlink \ndone unlink 1 network interface\n"))
        self.assertEqual(self.carrier(), "0")
        self.assertTrue(self.runs())

    def dump(self) -> None:
        status, out = self.do("dump")
        self.assertEqual(status, 0, out)
        scan = hvsm("scan", f"image:{self.dumped(out)}", "--json")
        self.assertEqual(scan.json["kernel"]["release"], self.guest.release)
        self.assertEqual(scan.json["findings"], [])
        self.assertTrue(self.runs())

    def another(self) -> None:
        """The PID is another guest's by now."""
        status, out = self.react(self.configure(CONFIG.format(mode="enforce", dir=self.dir)),
                                 self.guest.pid, str(uuid.uuid4()), "pause")
        self.assertEqual(status, 1)
        self.assertIn(f"QMP: process {self.guest.pid} is not that guest's any more; ", out)
        self.assertTrue(self.runs())

    def busy(self) -> None:
        with Qmp(self.guest.qmp_socket):
            status, out = self.do("pause")
        self.assertEqual(status, 1)
        self.assertIn("QMP: the monitor is busy with another client; libvirt: ", out)
        self.assertTrue(self.runs())

    def pause(self) -> None:
        self.assertEqual(self.do("pause"), (0, "started pause \ndone pause \n"))
        self.assertFalse(self.runs())

    def poweroff(self) -> None:
        self.assertEqual(self.do("poweroff"), (0, "started poweroff \ndone poweroff \n"))
        end = time.monotonic() + ENDS_S
        while self.guest.running() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertFalse(self.guest.running())


class AtLibvirt(Place):
    """A guest whose only monitor libvirt holds. What libvirt says of it is what counts."""

    def test_reactions(self) -> None:
        name, ident = f"reaction {uuid.uuid4().hex[:6]}", str(uuid.uuid4())
        config = self.configure(CONFIG.format(mode="enforce", dir=self.dir))
        with Libvirt() as libvirt:
            libvirt.create(name, ident, KERNEL, devices=INTERFACE)
            pid, = (g["pid"] for g in hvsm("list", "--json").json["items"] if g["uuid"] == ident)

            def do(reaction: str) -> tuple[int, str]:
                return self.react(config, pid, ident, reaction, libvirt.uri)

            self.assertEqual(do("unlink"),
                             (0, "started unlink \ndone unlink 2 network interfaces\n"))
            self.assertEqual(libvirt.virsh("dumpxml", ident).count("<link state='down'/>"), 2)
            status, out = do("dump")
            self.assertEqual(status, 0, out)
            self.dumped(out)
            self.assertEqual(libvirt.virsh("domstate", ident).strip(), "running")
            self.assertEqual(do("pause"), (0, "started pause \ndone pause \n"))
            self.assertEqual(libvirt.virsh("domstate", ident).strip(), "paused")
            self.assertEqual(do("poweroff"), (0, "started poweroff \ndone poweroff \n"))
            self.assertNotIn(ident, libvirt.virsh("list", "--all", "--uuid"))


class ByWebhook(Place):
    """A server whose certificate nobody vouches for gets no word of the finding."""

    def test_certificates_are_verified(self) -> None:
        key, certificate = self.dir / "key", self.dir / "certificate"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", str(key), "-out", str(certificate)], check=True,
                       capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        heard: list[bytes] = []

        def serve() -> None:
            try:
                client, _ = server.accept()
                with context.wrap_socket(client, server_side=True) as secure:
                    heard.append(secure.recv(4096))
            except OSError as error:
                heard.append(str(error).encode())

        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(ENDS_S)
            thread = threading.Thread(target=serve)
            thread.start()
            config = self.configure(f"mode = enforce\nreaction hook {{\n kind = webhook\n url = "
                                    f"https://127.0.0.1:{server.getsockname()[1]}/x\n}}\n")
            status, out = self.react(config, 0, "none", "hook")
            thread.join()
        self.assertEqual(status, 1)
        self.assertIn("(libcurl error 60)", out)    # CURLE_PEER_FAILED_VERIFICATION
        self.assertNotIn(b"POST", heard[0])


if __name__ == "__main__":
    unittest.main()
