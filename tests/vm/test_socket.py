#!/usr/bin/python3
"""Sockets: what `hvsm sockets` lists is what /proc/net of every namespace lists, with who holds it."""

from __future__ import annotations

import ipaddress
import re
import sys
import unittest
from collections import Counter
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.listing import listing, plain, target  # noqa: E402
from lab.product import hvsm  # noqa: E402
from lab.truth import collect  # noqa: E402

KERNELS = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud", "6.1-generic", "new-generic")
INET = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")
STATES = ("?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
          "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV")
TYPES = {"stream": 1, "dgram": 2, "raw": 3, "seqpacket": 5}
FLAG_LISTENS = 0x10000
CHURN_SWEEPS = 40


# --- inside ---

def endpoint(text: str) -> tuple[str, int]:
    """Addresses are words in the machine's byte order, ports plain hexadecimal."""
    words, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(words[i:i + 8])[::-1] for i in range(0, len(words), 8))
    return str(ipaddress.ip_address(raw)), int(port, 16)


def inet_lines(net: int, kind: str, text: str) -> list[tuple[Any, ...]]:
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        inode = int(words[9])
        # Whose a socket without an inode is, kernels tell in different ways.
        found.append((net, kind, endpoint(words[1]), endpoint(words[2]), int(words[3], 16),
                      int(words[7]) if inode else None, inode))
    return found


def unix_lines(net: int, text: bytes) -> list[tuple[Any, ...]]:
    """The path is the rest of its record, and may hold newlines: a record begins with an address."""
    found = []
    for match in re.finditer(rb"^[0-9a-f]{16}: \w+ \w+ (\w+) (\w+) (\w+) +(\d+)(?: (.*?))?$(?=\n[0-9a-f]{16}: |\n?\Z)",
                             text, re.M | re.S):
        listens = bool(int(match[1], 16) & FLAG_LISTENS)
        connected = int(match[3], 16) in (2, 3) and not listens
        found.append((net, "unix", int(match[2], 16), listens, connected, int(match[4]), match[5] or b""))
    return found


def packet_lines(net: int, text: str) -> list[tuple[Any, ...]]:
    words = [line.split() for line in text.splitlines()[1:]]
    return [(net, "packet", int(w[2]), int(w[3], 16), int(w[4]), int(w[7]), int(w[8])) for w in words]


def netlink_lines(net: int, text: str) -> list[tuple[Any, ...]]:
    words = [line.split() for line in text.splitlines()[1:]]
    return [(net, "netlink", int(w[1]), int(w[2]) & 0xffffffff, int(w[3], 16), int(w[9])) for w in words]


def inside(guest: Guest) -> Counter[tuple[Any, ...]]:
    """Every socket of every network namespace that a process is in."""
    found: list[tuple[Any, ...]] = []
    nets = guest.sh("for p in /proc/[0-9]*; do echo ${p##*/} $(readlink $p/ns/net); done 2>/dev/null; true")
    first = {int(net[5:-1]): pid for pid, net in reversed([line.split() for line in nets.splitlines() if ":" in line])}
    for net, pid in first.items():
        for kind in INET:
            text = guest.sh(f"cat /proc/{pid}/net/{kind} 2>/dev/null; true")
            found += inet_lines(net, kind, text)
        found += unix_lines(net, guest.fetch(f"/proc/{pid}/net/unix"))
        found += packet_lines(net, guest.sh(f"cat /proc/{pid}/net/packet"))
        found += netlink_lines(net, guest.sh(f"cat /proc/{pid}/net/netlink"))
    return Counter(found)


# --- outside ---

def key(item: dict[str, Any]) -> tuple[Any, ...]:
    net, kind = item["net"], item["kind"]
    if kind == "unix":
        return (net, kind, TYPES[item["type"]], item["state"] == "LISTEN", item["state"] == "ESTABLISHED",
                item["inode"], plain(item["name"]))
    if kind == "packet":
        return (net, kind, TYPES[item["type"]], item["protocol"], item["device"] or 0, item["uid"], item["inode"])
    if kind == "netlink":
        return (net, kind, item["protocol"], item["portid"], int(item["groups"], 16), item["inode"])
    state = "SYN_RECV" if item["state"] == "NEW_SYN_RECV" else item["state"]
    ends = [(str(ipaddress.ip_address(item[end]["address"])), item[end]["port"]) for end in ("local", "remote")]
    return (net, kind, *ends, STATES.index(state), item["uid"] if item["inode"] else None, item["inode"])


class SocketTest(unittest.TestCase):
    """One method per kernel and question, made below."""

    def compare(self, guest: Guest) -> None:
        guest.sh("workload")
        roles = dict(line.split() for line in guest.sh("corners").splitlines())
        before = inside(guest)
        items = listing(guest, "sockets")
        truth = collect(guest)
        after = inside(guest)

        nets = {net for net, *_ in before}
        seen = Counter(key(item) for item in items if item["listed"] and item["net"] in nets)
        self.assertEqual((before & after) - seen, Counter(), "missing")
        self.assertEqual(seen - (before | after), Counter(), "extra")
        for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "unix", "packet", "netlink"):
            self.assertTrue(any(entry[1] == kind for entry in seen), f"no {kind} was there to compare")
        self.assertGreater(len(nets), 1)
        self.owners(items, truth)
        self.corners(items, int(roles["cor-left"]), nets)

    def owners(self, items: list[dict[str, Any]], truth: Any) -> None:
        """Everybody who holds a socket, and nobody else; what no table has is held and is no lie."""
        held: dict[int, set[tuple[int, int]]] = {}
        for task in truth.tasks.values():
            for fd, file in task.fds.items():
                match = re.fullmatch(rb"socket:\[(\d+)\]", file.target)
                if match:
                    held.setdefault(int(match[1]), set()).add((task.pid, fd))
        ours: dict[int, set[tuple[int, int]]] = {}
        for item in items:
            for owner in item["owners"]:
                if owner["pid"] == owner["tid"]:
                    ours.setdefault(item["inode"], set()).add((owner["pid"], owner["fd"]))
            self.assertFalse(item["unlisted"], item)
            self.assertTrue(item["listed"] or item["held"], item)
            self.assertEqual(item["held"], bool(item["owners"]), item)
        self.assertEqual(ours, held)

    def corners(self, items: list[dict[str, Any]], left: int, nets: set[int]) -> None:
        """What /proc cannot tell."""
        def one(**want: Any) -> dict[str, Any]:
            found = [i for i in items if all(i[name] == value for name, value in want.items())]
            self.assertEqual(len(found), 1, want)
            return found[0]

        # A namespace that nobody is in any more.
        alone = one(kind="tcp", state="LISTEN", local={"address": "127.0.0.1", "port": 9200})
        self.assertTrue(alone["net"] and alone["net"] not in nets and alone["listed"])
        self.assertEqual([owner["pid"] for owner in alone["owners"]], [left])
        # A thread with a table of its own.
        own = one(kind="tcp", state="LISTEN", local={"address": "127.0.0.1", "port": 9300})
        self.assertEqual([owner["pid"] != owner["tid"] for owner in own["owners"]], [True])
        # Peers know each other; one whose peer is gone knows nobody.
        pairs = {i["inode"]: i["peer"] for i in items if i["kind"] == "unix" and i["peer"]}
        self.assertTrue(all(pairs[peer] == inode for inode, peer in pairs.items() if pairs.get(peer)))
        self.assertTrue(any(pairs.get(peer) == inode for inode, peer in pairs.items()))
        self.assertEqual(len([i for i in items if i["kind"] == "packet" and i["filter"]]), len(nets))
        # Sent to somebody who has not taken it yet: nobody's, and not lost.
        kinds = Counter(i["kind"] for i in items if not i["owners"] and i["inode"] and not i["kernel"])
        self.assertEqual(set(kinds) - {"netlink"}, set(), "only kernel sockets have no owner")

    def hidden(self, guest: Guest) -> None:
        """Sockets that are in no table any more: what their owners hold tells, and nobody else is accused."""
        pid = int(dict(line.rsplit(" ", 1) for line in guest.sh("workload").splitlines())["lab-sockets"])
        guest.sh("corners")
        chosen: dict[tuple[str, str], dict[str, Any]] = {}
        for item in listing(guest, "sockets"):
            if item["listed"] and [owner["pid"] for owner in item["owners"]] == [pid]:
                chosen.setdefault((item["kind"], item["state"]), item)
        inodes = {item["inode"] for item in chosen.values() if item["kind"] != "netlink"}
        kinds = {kind for kind, _ in chosen}
        self.assertLessEqual({"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix", "packet"}, kinds)
        fds = [str(i["owners"][0]["fd"]) for i in chosen.values() if i["inode"] in inodes]

        self.assertEqual(inodes - self.shown(guest), set())
        guest.insmod("hide_socket", pid=pid, fd=",".join(fds))
        self.assertEqual(inodes & self.shown(guest), set(), "what is hidden is still shown inside")
        self.assertEqual({i["inode"] for i in listing(guest, "sockets") if i["unlisted"]}, inodes)
        guest.rmmod("hide_socket")
        self.assertEqual(inodes - self.shown(guest), set())
        self.assertEqual([i for i in listing(guest, "sockets") if i["unlisted"]], [])

    def shown(self, guest: Guest) -> set[int]:
        """The inodes that /proc/net lists."""
        return {entry[-2] if entry[1] == "unix" else entry[-1] for entry in inside(guest)}

    def churn(self, guest: Guest) -> None:
        """Nothing stands still, and nothing breaks: at worst a list is not complete, and says so."""
        guest.sh("corners")
        still = {item["inode"] for item in listing(guest, "sockets") if item["inode"]}
        guest.sh("(while :; do corners churn 10000; done) >/dev/null 2>&1 &")
        complete = 0
        for _ in range(CHURN_SWEEPS):
            for command in ("sockets", "files", "mounts", "log"):
                seen = hvsm(command, target(guest), "--json")
                self.assertIn(seen.status, (0, 3), seen.err)
                self.assertEqual(seen.json["complete"], seen.status == 0)
                if command == "sockets" and seen.status == 0:
                    complete += 1
                    items = seen.json["items"]
                    self.assertEqual(still - {item["inode"] for item in items}, set())
        self.assertGreater(complete, 0)


def case(kernel: str, question: Callable[[SocketTest, Guest], None], **shape: Any) -> Callable[[SocketTest], None]:
    def run(self: SocketTest) -> None:
        with Guest(kernel, **shape) as guest:
            question(self, guest)
    return run


for name in KERNELS:
    method = re.sub(r"\W", "_", name)
    setattr(SocketTest, f"test_{method}_every_socket", case(name, SocketTest.compare))
    if name.endswith("-cloud"):
        setattr(SocketTest, f"test_{method}_hidden", case(name, SocketTest.hidden))
        setattr(SocketTest, f"test_{method}_under_load", case(name, SocketTest.churn, smp=2))

if __name__ == "__main__":
    unittest.main()
