#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""False alarms: what legitimate software does to a busy guest is never a finding, and doubts pass."""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.technique import CLOUD, clean  # noqa: E402
from test_code_live import Sweeps  # noqa: E402

SWEEPS = 200
MODULES = "bridge veth tun 8021q nf_tables nft_ct nft_chain_nat sctp vsock"

# Each goes on until the guest ends; what they do is what containers, networks and services do.
BUSY = {
    "processes": "taskcorners churn 100000",
    "containers": "mkdir -p /tmp/c; while :; do unshare -U -r -p -f -m -n -u -i sh -c "
                  "'mount -t tmpfs c /tmp/c; ip link set lo up; sleep 0.1'; done",
    "network": "ip link add v0 type veth peer name v1; ip link add b0 type bridge; ip link set v0 master b0; "
               "for i in lo v0 v1 b0; do ip link set $i up; done; "
               "while :; do (nc -l -p 4000 </dev/null &) ; echo x | nc 127.0.0.1 4000; "
               "ip link add d0 type dummy; ip link del d0; done",
    "files": "while :; do mkdir -p /tmp/d; echo x >/tmp/d/x; cat /proc/net/tcp /proc/modules; ls -R /sys/class; "
             "rm -r /tmp/d; done",
}


class CalmTest(unittest.TestCase):
    """One method per kernel, made below."""

    def busy(self, guest: Guest) -> None:
        guest.call(f"for m in {MODULES}; do modprobe -q $m; done")
        guest.workload()
        self.assertIn("equal pages", guest.sh("pages"))
        guest.sh("netbusy")
        # A module that no distribution has, and that asks to be called.
        guest.insmod("defer", mode="keyboard", hidden=0)
        for command in BUSY.values():
            guest.sh(f"({command}) </dev/null >/dev/null 2>&1 &")
        with Sweeps(guest, SWEEPS) as sweeps:
            sums, out = sweeps.end()
        print(f"{guest.kernel.name}: {sums}", file=sys.stderr)
        self.assertEqual((sums["sweeps"] >= SWEEPS, sums["findings"]), (True, 0), out[-6000:])
        self.assertLess(sums["inconclusive"], SWEEPS // 2, out[-6000:])
        # What was in doubt passes once it is quiet.
        guest.call("killall -q -9 taskcorners unshare nc pages netbusy; killall -q -9 sh")   # itself included
        after = clean(f"qemu:{guest.pid}")
        self.assertEqual(after.status, 0, after.out + after.err)


def case(kernel: str) -> Callable[[CalmTest], None]:
    def run(self: CalmTest) -> None:
        with Guest(kernel, memory="512M") as guest:
            self.busy(guest)
    return run


for name in CLOUD:
    setattr(CalmTest, "test_" + re.sub(r"\W", "_", name), case(name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
