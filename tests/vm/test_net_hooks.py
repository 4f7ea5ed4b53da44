"""Pointers of the network stack: what a module put into it is found, whoever hides."""

from __future__ import annotations

import unittest
from typing import Callable

from lab.guest import Guest
from lab.technique import CLOUD, Technique, prove

CHECKS = ("netfilter-hooks", "packet-handlers", "socket-operations", "netlink-handlers",
          "netdevice-operations", "proc-files")
NO_ONE = r"no one.*"
MODULE = r"module hook_net.*"
POINTER = "the pointer, what it should be, whose code it leads to, and that code"
TABLE = "the table, where it should be, and whose code its pointers lead to"


def restore(guest: Guest) -> None:
    guest.sh("echo 1 >/sys/module/hook_net/parameters/restore")


def hidden(how: str, title: str, check: str, name: str, evidence: str = POINTER,
           seen_in: str = "") -> Technique:
    """A module that is not on the list of modules any more."""
    return Technique(f"net-{how}", title, check, name, evidence, NO_ONE, "hook_net",
                     {"how": how, "hide": 1}, stop=restore, seen_in=seen_in)


def listed(how: str, title: str, check: str, name: str, evidence: str = POINTER) -> Technique:
    """A module that everybody can see, whose function is where only the kernel's may be."""
    return Technique(f"net-{how}-listed", title, check, name, evidence, MODULE, "hook_net",
                     {"how": how})


SOCKET = r"tcp socket 127\.0\.0\.1:4711, inode \d+"

TECHNIQUES = (
    hidden("netfilter", "netfilter hook of a hidden module", "netfilter-hooks",
           r"hooks_ipv4\[3\] -77: nf_hook_entry\.hook"),
    listed("netfilter-entry", "netfilter hook led elsewhere after it was registered",
           "netfilter-hooks", r"hooks_ipv4\[3\] -77: nf_hook_entry\.hook"),
    hidden("packet", "packet handler of a hidden module", "packet-handlers",
           r"packet handler 0x88b5: packet_type\.func"),
    hidden("packet-all", "packet sniffer of a hidden module", "packet-handlers",
           r"packet handler 0x0003: packet_type\.func"),
    listed("icmp", "IP protocol's handler replaced", "packet-handlers",
           r"(icmp_protocol\.handler|IPv4 protocol 1: net_protocol\.handler)"),
    listed("icmp-table", "IP protocol replaced by a changed copy", "packet-handlers",
           r"IPv4 protocol 1: net_protocol"),
    listed("proto", "receive function of TCP replaced", "socket-operations", r"tcp_prot\.recvmsg"),
    listed("get-port", "bind function of TCP replaced", "socket-operations", r"tcp_prot\.get_port"),
    listed("sk-prot", "protocol of one socket replaced by a changed copy", "socket-operations",
           rf"{SOCKET}: proto", TABLE),
    hidden("data-ready", "a socket's callback leads to a hidden module", "socket-operations",
           rf"{SOCKET}: sock\.sk_data_ready"),
    listed("socket-ops", "operations of one socket replaced by a changed copy",
           "socket-operations", rf"{SOCKET}: proto_ops", TABLE),
    hidden("congestion", "TCP congestion control of a hidden module", "socket-operations",
           r"congestion control labcong: tcp_congestion_ops\.ssthresh"),
    hidden("diag", "sockets are listed for ss(8) by a hidden module", "netlink-handlers",
           r"socket listing 2: sock_diag_handler", TABLE),
    listed("diag-table", "sockets are listed for ss(8) by a table on the heap",
           "netlink-handlers", r"socket listing 2: sock_diag_handler", TABLE),
    listed("genl", "operations of a generic netlink family replaced by a changed copy",
           "netlink-handlers", r"generic netlink family nlctrl: genl_\w+", TABLE),
    hidden("rtnl", "what lists network devices for ip(8) replaced", "netlink-handlers",
           r"rtnetlink family 0 message 18: rtnl_link\.dumpit"),
    listed("netdev", "operations of a network device replaced by a changed copy",
           "netdevice-operations", r"lo: net_device_ops", TABLE),
    hidden("rx-handler", "receive handler of a network device in a hidden module",
           "netdevice-operations", r"lo: net_device\.rx_handler"),
    listed("seq-show", "show function of /proc/net/tcp replaced", "proc-files",
           r"(tcp4_seq_ops\.show|/proc/net/tcp: seq_operations\.show)"),
)


class NetHooksTest(unittest.TestCase):
    def check_rows(self, kernel: str) -> None:
        with Guest(kernel, memory="256M") as guest:
            for row in TECHNIQUES:
                if kernel not in row.kernels:
                    continue
                with self.subTest(row=row.name):
                    prove(self, guest, row)


def case(kernel: str) -> Callable[[NetHooksTest], None]:
    return lambda self: self.check_rows(kernel)


for kernel_name in CLOUD:
    setattr(NetHooksTest, "test_" + kernel_name.replace(".", "_").replace("-", "_"), case(kernel_name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
