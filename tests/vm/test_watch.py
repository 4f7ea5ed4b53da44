#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hvsm watch: what happens in a guest is told, in a window that holds the time, and nothing else is."""

from __future__ import annotations

import re
import sys
import time
import unittest
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import hvsm  # noqa: E402
from lab.watching import Event, Watch, ns  # noqa: E402

KERNELS = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud")
REBOOTED = ("5.10-cloud", "new-cloud")

# What a guest that is left alone does not do.
UNCALLED = {"module-load", "module-unload", "mount", "umount", "credentials", "namespaces", "bpf-load",
            "bpf-unload", "listen", "look-incomplete", "events-dropped", "reboot", "paused", "gone"}
CALM_S = 5


class WatchTest(unittest.TestCase):
    """One method per kernel, made below."""

    def act(self, watch: Watch, action: Callable[[], object], kind: str, **fields: object) -> Event:
        """Do something; the event that tells of it, whose window holds the time."""
        began = time.time_ns()
        action()
        ended = time.time_ns()
        event = watch.wait(kind, **fields)
        self.assertLessEqual(ns(event["after"]), ended, event)
        self.assertGreaterEqual(ns(event["before"]), began, event)
        self.assertLessEqual(ns(event["after"]), ns(event["before"]), event)
        return event

    def start(self, guest: Guest, watch: Watch, *words: object) -> int:
        """A process that does these at each signal; hvsm has seen it."""
        pid = int(guest.sh(f"behave wait {' '.join(map(str, words))} >/dev/null 2>&1 </dev/null & echo $!"))
        watch.wait("exec", pid=pid, comm="behave")
        return pid

    def signal(self, guest: Guest, pid: int, number: str = "USR1") -> Callable[[], object]:
        return lambda: guest.sh(f"kill -{number} {pid}")

    def calm(self, watch: Watch) -> None:
        first = watch.wait("watch")
        time.sleep(CALM_S)
        self.assertGreater(first["object"]["processes"], 10)
        self.assertGreater(first["object"]["mounts"], 3)
        self.assertEqual([event for event in watch.events if event["event"] in UNCALLED], [])

    def processes(self, guest: Guest, watch: Watch) -> None:
        pid = self.start(guest, watch, "setuid", "unshare", "end")
        start = watch.wait("process-start", pid=pid)
        self.assertEqual((start["object"]["uid"], start["object"]["kernel_thread"]), (0, False))
        self.assertEqual(watch.wait("exec", pid=pid, comm="behave")["object"]["args"],
                         ["behave", "wait", "setuid", "unshare", "end"])
        event = self.act(watch, self.signal(guest, pid), "credentials", pid=pid)
        change = event["object"]
        self.assertEqual((change["before"]["uid"], change["after"]["uid"], change["exec"]), (0, 1000, False))
        self.assertNotEqual(change["before"]["cap_effective"], "0x0")
        self.assertEqual(change["after"]["cap_effective"], "0x0")
        # Who is not root may not: it ends with status 1.
        self.act(watch, self.signal(guest, pid), "process-exit", pid=pid)

        pid = self.start(guest, watch, "unshare", "exec")
        change = self.act(watch, self.signal(guest, pid), "namespaces", pid=pid)["object"]
        differs = {key for key in change["before"] if change["before"][key] != change["after"][key]}
        self.assertEqual(differs, {"uts", "ipc"})
        self.assertEqual(str(change["after"]["uts"]), re.sub(r"\D", "", guest.sh(f"readlink /proc/{pid}/ns/uts")))
        event = self.act(watch, self.signal(guest, pid), "exec", pid=pid, args=["behave", "wait", "end"])
        self.assertEqual(event["object"]["exe"], "/sbin/behave")
        self.act(watch, self.signal(guest, pid, "KILL"), "process-exit", pid=pid)

    def missed(self, guest: Guest, watch: Watch) -> None:
        """Children that nobody sees are counted: each one is seen, or in the count."""
        seen = len(watch.events)
        pids = {int(line.split()[0]) for line in guest.sh("behave children 0 40").splitlines()}
        # What is told of a later look comes after all that is told of them.
        pid = self.start(guest, watch, "end")
        self.act(watch, self.signal(guest, pid), "process-exit", pid=pid)
        events = watch.events[seen:]
        told = {event["object"]["pid"] for event in events if event["event"] == "process-start"} & pids
        missed = sum(event["object"]["count"] for event in events if event["event"] == "processes-missed")
        self.assertGreaterEqual(len(told) + missed, len(pids), events)

    def sockets(self, guest: Guest, watch: Watch) -> None:
        server = self.start(guest, watch, "listen 4711")
        event = self.act(watch, self.signal(guest, server), "listen", local="127.0.0.1:4711")
        self.assertEqual((event["object"]["pid"], event["object"]["comm"], event["object"]["kind"]),
                         (server, "behave", "tcp"))
        client = self.start(guest, watch, "connect 4711")
        event = self.act(watch, self.signal(guest, client), "connect", remote="127.0.0.1:4711")
        self.assertEqual(event["object"]["pid"], client)
        watch.wait("accept", local="127.0.0.1:4711")
        self.act(watch, self.signal(guest, server, "KILL"), "socket-close", local="127.0.0.1:4711", pid=server)

    def kernel_objects(self, guest: Guest, watch: Watch) -> None:
        event = self.act(watch, lambda: guest.insmod("exec_page"), "module-load", name="exec_page")
        self.assertIn("O", event["object"]["taint"])
        self.act(watch, lambda: guest.rmmod("exec_page"), "module-unload", name="exec_page")
        event = self.act(watch, lambda: guest.sh("mount -t tmpfs -o nosuid lab /mnt"), "mount", point="/mnt")
        self.assertEqual((event["object"]["source"], event["object"]["type"]), ("lab", "tmpfs"))
        self.assertIn("nosuid", event["object"]["flags"])
        self.act(watch, lambda: guest.sh("umount /mnt"), "umount", point="/mnt")
        event = self.act(watch, lambda: guest.sh("bpfload >/dev/null"), "bpf-load", name="lab_xdp")
        self.assertEqual((event["object"]["type"], event["object"]["uid"]), ("XDP", 0))
        self.act(watch, lambda: guest.sh("killall bpfload"), "bpf-unload", name="lab_xdp")
        event = self.act(watch, lambda: guest.sh("echo '<3>lab says hello' >/dev/kmsg"), "log",
                         text="lab says hello")
        self.assertEqual(event["object"]["level"], "err")

    def reboot(self, guest: Guest, watch: Watch) -> None:
        began, seen = time.time_ns(), len(watch.events)
        guest.reset()
        event = watch.wait("reboot")
        self.assertGreaterEqual(ns(event["before"]), began)
        self.assertEqual(event["object"], {"release": guest.release, "before": guest.release})
        # The end of all that ran is no news, and what overwrote it none at all.
        at = watch.events.index(event)
        flood = [other for other in watch.events[seen:at]
                 if other["event"] in UNCALLED - {"paused"} or
                 (other["event"] == "process-exit" and
                  (other["object"]["kernel_thread"] or other["object"]["pid"] == 1))]
        self.assertEqual(flood, [])
        watch.wait_for(lambda other: other["event"] == "watch" and watch.events.index(other) > at, "watch again")
        self.start(guest, watch, "end")

    def all_of_it(self, guest: Guest) -> None:
        with Watch(f"qemu:{guest.pid}") as watch:
            self.calm(watch)
            self.processes(guest, watch)
            self.missed(guest, watch)
            self.sockets(guest, watch)
            self.kernel_objects(guest, watch)
            if guest.kernel.name in REBOOTED:
                self.reboot(guest, watch)
            self.assertEqual(watch.interrupt(), (0, ""))
            watch.validate()

    def test_paused_and_gone(self) -> None:
        """A guest that stands still is paused, not a guest in which processes end."""
        with Guest("6.1-cloud") as guest:
            done = hvsm("watch", f"qemu:{guest.pid}", "--count", 1)
            self.assertEqual((done.status, done.err), (0, ""))
            self.assertRegex(done.out, r"\A\d\d:\d\d:\d\d\.\d{3} watch +Linux 6\.1\.[^\n]*processes[^\n]*\n\Z")
            with Watch(f"qemu:{guest.pid}") as watch:
                watch.wait("watch")
                guest.monitor("stop")
                watch.wait("paused")
                guest.monitor("cont")
                watch.wait("resumed")
                self.start(guest, watch, "end")
                guest.stop()
                watch.wait("gone")
                self.assertEqual(watch.events[-1]["event"], "gone")
                watch.validate()


def case(kernel: str) -> Callable[[WatchTest], None]:
    def run(self: WatchTest) -> None:
        with Guest(kernel) as guest:
            self.all_of_it(guest)
    return run


for name in KERNELS:
    setattr(WatchTest, f"test_{re.sub(r'[^0-9a-z]', '_', name)}", case(name))

if __name__ == "__main__":
    unittest.main()
