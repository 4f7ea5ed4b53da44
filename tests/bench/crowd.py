#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What hvsmd with its defaults costs on a host with many guests, and whether it is fair to them.

    tests/bench/crowd.py [GUESTS] [SECONDS]

GUESTS processes that hvsm takes for QEMU, over one image of a real guest (lab/fake.py). How long until
each was swept by all checks; and then, over SECONDS: CPU time of each role, by the host's own
accounts, as a share of one core, beside what the daemon itself counts for its guests; sweeps of the
guest that had the fewest and of the one that had the most; memory of a scanner; descriptors.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "vm"))

from lab.daemon import Daemon  # noqa: E402
from lab.fake import Fake, frozen  # noqa: E402

KERNEL = "6.1-cloud"
MIB = 1 << 20


def cpu_of_roles(daemon: Daemon) -> Counter[str]:
    """Seconds of CPU time, by role: /proc/PID/schedstat."""
    spent: Counter[str] = Counter()
    for pid, role in daemon.processes().items():
        try:
            spent[role] += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            pass
    return spent


def show(daemon: Daemon, seconds: float) -> None:
    cpu, before, started = cpu_of_roles(daemon), daemon.guests(), time.monotonic()
    time.sleep(seconds)
    spent, now, passed = cpu_of_roles(daemon), daemon.guests(), time.monotonic() - started
    spent.subtract(cpu)
    sweeps = sorted(now[name]["sweeps"] - guest["sweeps"] for name, guest in before.items())
    counted = sum(now[name]["cpu_seconds"] - guest["cpu_seconds"] for name, guest in before.items())
    memory = sorted(guest["memory_bytes"] for guest in now.values())
    print(f"in {passed:.0f} s, percent of one core: {100 * sum(spent.values()) / passed:.1f}; "
          + ", ".join(f"{role} {100 * share / passed:.1f}" for role, share in sorted(spent.items())))
    print(f"as the daemon counts for its guests: {100 * counted / passed:.1f}; periods are "
          f"{max(guest['period_stretch'] for guest in now.values()):.1f} times as long at most")
    print(f"sweeps of a guest: {sweeps[0]} to {sweeps[-1]}, median {sweeps[len(sweeps) // 2]}")
    print(f"memory of a scanner: {memory[0] / MIB:.1f} to {memory[-1] / MIB:.1f} MiB, all "
          f"{sum(memory) / MIB:.0f} MiB; descriptors of the parent: "
          f"{len(os.listdir(f'/proc/{daemon.pid}/fd'))}")
    print("verdicts: " + ", ".join(f"{n} {verdict}" for verdict, n in
                                   Counter(guest["verdict"] for guest in now.values()).items()))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    image = frozen(KERNEL)
    fakes = [Fake(image, name=f"crowd-{i:03}") for i in range(count)]
    try:
        for fake in fakes:
            fake.launch()
        for fake in fakes:
            fake.ready()
        with Daemon("crowd-*", "") as daemon:
            started = time.monotonic()
            daemon.wait("all found", lambda: len(daemon.listed()) == count)
            print(f"{count} guests, {os.cpu_count()} cores: found in {time.monotonic() - started:.1f} s", end="")
            daemon.wait("all swept", lambda: sum(guest["checks"]["not_run"] == 0 for guest in daemon.listed()) == count)
            print(f", all swept in {time.monotonic() - started:.1f} s", flush=True)
            show(daemon, seconds)
    finally:
        for fake in fakes:
            fake.stop()


if __name__ == "__main__":
    main()
