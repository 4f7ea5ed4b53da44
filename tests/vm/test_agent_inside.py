#!/usr/bin/python3
"""The agent's view of its own guest: what it lists is what the guest's own commands list, whatever happens there."""

from __future__ import annotations

import re
import socket
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import LabError, agent, debian, inside  # noqa: E402
from lab.guest import Guest  # noqa: E402
from lab.inside import Inside, View  # noqa: E402
from lab.technique import CLOUD  # noqa: E402

INET = {"tcp": 6, "udp": 17, "udplite": 136, "raw": 255, "icmp": 1}
ICMPV6 = 58
KEPT = 1 << 2 | 1 << 14 | 1 << 19 | 1 << 21     # DAC_READ_SEARCH, IPC_LOCK, SYS_PTRACE, SYS_ADMIN
HOSTILE = "/mnt/new\nline and\\back\\040slash\ttab \x1b[31m#"
CHURN_VIEWS = 2
NAMES = {inside.TASK: "task", inside.MODULE: "module", inside.SOCKETS: "socket", inside.MOUNT: "mount"}


# --- what the guest's own commands say ---

def endpoint(text: str) -> tuple[bytes, int]:
    """Addresses are words in the machine's byte order, ports plain hexadecimal."""
    words, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(words[i:i + 8])[::-1] for i in range(0, len(words), 8))
    return raw.ljust(16, b"\0"), int(port, 16)


def sockets(guest: Guest) -> set[tuple[Any, ...]]:
    found = set()
    for name, protocol in INET.items():
        for version in ("", "6"):
            number = ICMPV6 if name + version == "icmp6" else protocol
            family = socket.AF_INET6 if version else socket.AF_INET
            text = guest.sh(f"cat /proc/1/net/{name}{version} 2>/dev/null; true")
            for line in text.splitlines()[1:]:
                words = line.split()
                found.add((int(family), number, *endpoint(words[1]), *endpoint(words[2]), int(words[3], 16),
                           int(words[7]), int(words[9])))
    return found


def unescape(text: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text)


def mounts(guest: Guest) -> set[tuple[Any, ...]]:
    found = set()
    for line in guest.fetch("/proc/1/mountinfo").splitlines():
        words = line.split(b" ")
        major, minor = map(int, words[2].split(b":"))
        found.add((int(words[0]), major << 20 | minor, unescape(words[4])[:4096]))
    return found


def truth(guest: Guest) -> dict[int, set[Any]]:
    modules = [line.split() for line in guest.fetch("/proc/modules").decode().splitlines()]
    return {inside.TASK: {int(name) for name in guest.sh("ls /proc").split() if name.isdigit()},
            inside.MODULE: {(words[0].encode(), int(words[1])) for words in modules},
            inside.SOCKETS: sockets(guest), inside.MOUNT: mounts(guest)}


# --- what the agent says ---

def listed(view: View) -> dict[int, set[Any]]:
    seen = set()
    for item in view.of(inside.SOCKETS):
        family, protocol, local_port, remote_port, state, uid, local, remote = inside.SOCKET.unpack(item.text)
        seen.add((family, protocol, local, local_port, remote, remote_port, state, uid, item.number))
    return {inside.TASK: {item.number for item in view.of(inside.TASK)},
            inside.MODULE: {(item.text, item.number) for item in view.of(inside.MODULE)},
            inside.SOCKETS: seen,
            inside.MOUNT: {(item.number, item.value, item.text) for item in view.of(inside.MOUNT)}}


def few(items: set[Any]) -> list[Any]:
    """Of those that should not be there, as many as one can read."""
    return [*sorted(items)[:5], *([f"and {len(items) - 5} more"] if len(items) > 5 else [])]


class InsideTest(unittest.TestCase):
    """One guest for each kernel, one method for it, made below."""

    guest: Guest
    pid: int
    memory: Inside

    def compare(self, kinds: tuple[int, ...] = tuple(NAMES)) -> View:
        """What is there before and after a view is in it, and nothing else but what has just come."""
        before = truth(self.guest)
        view = self.memory.next_view()
        after = truth(self.guest)
        seen = listed(view)
        self.assertLessEqual(view.begun_ns, view.ended_ns)
        for kind in kinds:
            self.assertFalse(view.missing & 1 << kind, NAMES[kind])
            self.assertEqual(few((before[kind] & after[kind]) - seen[kind]), [], f"{NAMES[kind]} not listed")
            extra = seen[kind] - before[kind] - after[kind]
            if kind == inside.TASK:     # the shells of our own questions
                extra = {pid for pid in extra if pid <= max(before[kind])}
            self.assertEqual(few(extra), [], f"{NAMES[kind]} that is not there")
        return view

    def views_go_on(self, n: int = 2) -> None:
        """It lives: heart and views."""
        before = self.memory.anchor()
        end = time.monotonic() + inside.WAIT_S
        while True:
            now = self.memory.anchor()
            if now["heartbeat"] >= before["heartbeat"] + n and \
                    now["inside_sequence"] >= before["inside_sequence"] + n:
                return
            self.assertLess(time.monotonic(), end, f"the agent stands still: {now}")
            time.sleep(0.2)

    # --- steps, in this order ---

    def everything(self) -> None:
        guest = self.guest
        guest.sh("workload >/dev/null")
        guest.sh("corners >/dev/null; true")
        guest.put("/tmp/mount.sh", f"mkdir -p '{HOSTILE}' && mount -t tmpfs 'od d\\\nname' '{HOSTILE}'\n".encode())
        guest.sh("sh /tmp/mount.sh")
        view = self.compare()
        self.assertIn(HOSTILE.encode(), {item.text for item in view.of(inside.MOUNT)})
        protocols = {inside.SOCKET.unpack(item.text)[:2] for item in view.of(inside.SOCKETS)}
        self.assertLessEqual({(2, 6), (10, 6), (2, 17), (10, 17), (2, 255)}, protocols)
        states = {inside.SOCKET.unpack(item.text)[4] for item in view.of(inside.SOCKETS)}
        self.assertLessEqual({1, 7, 10}, states)

    def what_happens_is_in_the_ring(self) -> None:
        guest, memory = self.guest, self.memory
        memory.next_view()
        first = memory.anchor()["events_next"]
        pid = int(guest.sh("sh -c 'echo $$; exec sleep 0.1'"))
        status = guest.call("sh -c 'echo $$; exec sh -c \"exit 7\"'")
        failed = int(status.out)
        guest.insmod("exec_page")
        guest.sh("mkdir -p /mnt/ring; mount -t tmpfs ring /mnt/ring")
        memory.next_view()
        guest.rmmod("exec_page")
        guest.sh("umount /mnt/ring")
        memory.next_view()
        events = [event for event in memory.events() if event.sequence >= first]
        self.assertEqual([e.sequence for e in events], list(range(first, first + len(events))))
        self.assertGreaterEqual(len([e for e in events if e.type == inside.EXEC and e.pid == pid]), 2)
        self.assertEqual([e.value for e in events if e.type == inside.EXIT and e.pid == pid], [0])
        self.assertEqual([e.value for e in events if e.type == inside.EXIT and e.pid == failed], [7 << 8])
        for kind, text in ((inside.MODULE_IN, b"exec_page"), (inside.MODULE_OUT, b"exec_page"),
                           (inside.MOUNTED, b"/mnt/ring"), (inside.UNMOUNTED, b"/mnt/ring")):
            found = [e for e in events if e.type == kind and e.text.rstrip(b"\0") == text]
            self.assertEqual(len(found), 1, (kind, text))
        begun = memory.anchor()["started_ns"]
        self.assertTrue(all(e.time_ns > begun for e in events))

    def it_has_given_up_what_it_can(self) -> None:
        status = dict(line.split(":\t", 1) for line in
                      self.guest.fetch(f"/proc/{self.pid}/status").decode().splitlines() if ":\t" in line)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        tasks = self.guest.sh(f"cat /proc/{self.pid}/task/*/status")
        for name in ("CapEff", "CapPrm"):
            for value in re.findall(rf"^{name}:\t(\w+)", tasks, re.M):
                self.assertEqual(int(value, 16) & ~KEPT, 0, name)
        self.assertEqual(set(re.findall(r"^Seccomp:\t(\d)", tasks, re.M)), {"2"})
        self.assertEqual(self.guest.sh(f"cat /proc/{self.pid}/oom_score_adj").strip(), "-1000")
        same = self.guest.sh(f"for n in mnt net pid user; do [ $(readlink /proc/1/ns/$n) = "
                             f"$(readlink /proc/{self.pid}/ns/$n) ] || echo $n; done")
        self.assertEqual(same, "")

    def a_crowd_is_listed_whole(self) -> None:
        """Hundreds of sockets and mounts, one of them deeper than any path is long."""
        guest = self.guest
        crowd = int(guest.sh("crowd sockets 200").split()[1])
        guest.sh("mkdir -p /mnt/many /mnt/deep; mount -t tmpfs deep /mnt/deep; mount -t tmpfs many /mnt/many;"
                 "crowd mounts 300 /mnt/many; crowd deep 30 /mnt/deep")
        view = self.compare()
        self.assertGreater(len(view.of(inside.SOCKETS)), 600)
        self.assertGreater(len(view.of(inside.MOUNT)), 300)
        self.assertIn(4096, {len(item.text) for item in view.of(inside.MOUNT)})

        # Others that come and go hide none of them.
        still = listed(view)[inside.SOCKETS]
        churn = int(guest.sh("crowd churn").split()[1])
        for _ in range(CHURN_VIEWS):
            view = self.memory.next_view()
            self.assertEqual(few(still - listed(view)[inside.SOCKETS]), [])
            self.assertFalse(view.missing & 1 << inside.SOCKETS)
        guest.sh(f"kill {churn} {crowd}")
        guest.sh("umount -l /mnt/many /mnt/deep")

    def a_fork_storm_passes(self) -> None:
        self.guest.sh("crowd forks 400")
        self.views_go_on()
        self.compare()

    def proc_may_hide_others(self) -> None:
        self.guest.sh("mount -o remount,hidepid=2 /proc")
        self.compare((inside.TASK,))
        self.guest.sh("mount -o remount,hidepid=0 /proc; mkdir -p /mnt/proc; mount -o bind /proc /mnt/proc;"
                      "mount -t tmpfs none /proc")
        self.memory.proc = "/mnt/proc"
        view = self.memory.next_view()
        self.memory.proc = "/proc"
        self.guest.sh("umount /proc /mnt/proc")
        tasks = {item.number for item in view.of(inside.TASK)}
        self.assertLessEqual({1, 2, self.pid}, tasks)

    def heartbeat(self) -> int:
        """A page of the agent's for which its group has no memory just then cannot be read from inside."""
        end = time.monotonic() + inside.WAIT_S
        while True:
            try:
                return self.memory.anchor()["heartbeat"]
            except LabError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def no_memory_is_survived(self) -> None:
        """A control group that may have less than it has."""
        guest = self.guest
        group = "/sys/fs/cgroup/tight"
        guest.sh(f"echo +memory >/sys/fs/cgroup/cgroup.subtree_control; mkdir {group};"
                 f"echo {self.pid} >{group}/cgroup.procs; echo 64K >{group}/memory.max; true")
        self.assertEqual(guest.sh(f"cat {group}/memory.max").strip(), "65536")
        before = self.heartbeat()
        guest.call("for i in $(seq 200); do true; done; crowd forks 200")
        end = time.monotonic() + inside.WAIT_S
        while self.heartbeat() < before + 3:
            self.assertLess(time.monotonic(), end, "its heart stands still")
            time.sleep(0.2)
        guest.sh(f"echo max >{group}/memory.max; echo {self.pid} >/sys/fs/cgroup/cgroup.procs; rmdir {group}")
        self.views_go_on()
        self.compare()

    def it_starts_where_there_is_little(self) -> None:
        """No room for its socket, and hardly a descriptor: it runs, and says what it lacks."""
        guest = self.guest
        agent.stop(guest, self.pid)
        guest.sh("mount -t tmpfs -o size=4k,nr_inodes=1 full /run")
        self.pid = int(guest.sh(f"ulimit -n 64; ulimit -c unlimited; {agent.PROGRAM} run </dev/null "
                                f">/tmp/agent.log 2>&1 & echo $!"))
        self.memory = Inside(guest, self.pid)
        self.views_go_on()
        self.compare()
        guest.sh("umount /run")


    def as_a_service(self) -> None:
        """systemd starts it, hears of it, and ends it; who logs in is in its view."""
        guest = self.guest
        guest.sh("systemctl enable hvsm-agent")
        shown = dict(line.split("=", 1) for line in guest.sh(
            "systemctl show -p ActiveState -p StatusText -p WatchdogUSec -p WatchdogTimestamp hvsm-agent").splitlines())
        self.assertEqual((shown["ActiveState"], shown["WatchdogUSec"]), ("active", "10min"))
        self.assertTrue(shown["StatusText"] and shown["WatchdogTimestamp"], "it does not speak to systemd")
        self.it_has_given_up_what_it_can()
        self.compare()
        guest.sh("ip link set lo up; mkdir -p /root/.ssh /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/key;"
                 "cp /root/.ssh/key.pub /root/.ssh/authorized_keys")
        guest.sh("ssh -tt -i /root/.ssh/key -o StrictHostKeyChecking=no root@127.0.0.1 sleep 600 </dev/null "
                 ">/dev/null 2>&1 & until who | grep -q root; do sleep 0.2; done")
        users = self.memory.next_view().of(inside.USER)
        line = guest.sh("who").split()[1]
        self.assertEqual([user.text for user in users], [b"root\0" + line.encode()])
        guest.sh("systemctl stop hvsm-agent")
        self.assertEqual(guest.sh("systemctl show -p Result --value hvsm-agent").strip(), "success")


STEPS: tuple[Callable[[InsideTest], None], ...] = (
    InsideTest.everything, InsideTest.what_happens_is_in_the_ring, InsideTest.it_has_given_up_what_it_can,
    InsideTest.a_crowd_is_listed_whole, InsideTest.a_fork_storm_passes, InsideTest.proc_may_hide_others,
    InsideTest.no_memory_is_survived, InsideTest.it_starts_where_there_is_little)


def case(kernel: str) -> Callable[[InsideTest], None]:
    def run(self: InsideTest) -> None:
        with Guest(kernel, smp=2) as guest:
            agent.install(guest)
            self.guest = guest
            self.pid = int(guest.sh(f"{agent.PROGRAM} run --period 500 </dev/null >/tmp/agent.log 2>&1 & echo $!"))
            self.memory = Inside(guest, self.pid)
            for step in STEPS:
                with self.subTest(step.__name__):
                    step(self)
    return run


for name in CLOUD:
    setattr(InsideTest, f"test_{re.sub(r'[^0-9a-z]', '_', name)}", case(name))

def service(self: InsideTest) -> None:
    with Guest("6.1-cloud", system="debian", memory=debian.MEMORY, smp=2) as guest:
        agent.install(guest)
        self.guest, self.pid = guest, agent.start(guest)
        self.memory = Inside(guest, self.pid)
        self.as_a_service()


setattr(InsideTest, "test_debian", service)

if __name__ == "__main__":
    unittest.main()
