#!/usr/bin/python3
"""What hvsm watch sees of short-lived processes, and what it costs, by the period of its looks.

    tests/bench/behaviour.py [KERNEL] [CHILDREN]

In a guest of the lab, CHILDREN processes of each life time begin at random times, one after the
other; the guest's own list says which PIDs they had and how long they lived. For each period: the
share of them that was told as process-start, the share that was told or counted as missed, and
the CPU time that hvsm took, in percent of a core.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "vm"))

from lab.guest import Guest  # noqa: E402
from lab.product import binary  # noqa: E402
from lab.watching import Watch  # noqa: E402

LIVES_MS = (1, 5, 10, 50, 100)
PERIODS_MS = (10, 20, 50, 100, 200)
CALM_S = 10


def calm(guest: Guest, period_ms: int, *args: object) -> float:
    """Percent of a core that watching a guest costs in which little happens; attaching not counted."""
    def used(seconds: int) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(binary()), "watch", f"qemu:{guest.pid}", "--period", str(period_ms), "--for",
                        str(seconds), *map(str, args)], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 100 * (used(1 + CALM_S) - used(1)) / CALM_S


def seen(guest: Guest, period_ms: int, life_ms: int, count: int) -> tuple[float, float, float]:
    """Of COUNT children: percent told, percent told or counted, and how long they lived (median, ms)."""
    with Watch(f"qemu:{guest.pid}", "--period", period_ms, "--only",
               "watch,process-start,processes-missed,exec") as watch:
        watch.wait("watch")
        lines = [line.split() for line in guest.sh(f"behave children {life_ms} {count}").splitlines()]
        # What is told of a later look comes after all that is told of them.
        for _ in range(2):
            last = int(guest.sh("sleep 2 >/dev/null 2>&1 </dev/null & echo $!"))
            watch.wait("process-start", pid=last)
        pids = {int(pid) for pid, _ in lines}
        told = {event["object"]["pid"] for event in watch.events if event["event"] == "process-start"}
        missed = sum(event["object"]["count"] for event in watch.events if event["event"] == "processes-missed")
    told &= pids
    return (100 * len(told) / count, 100 * min(count, len(told) + missed) / count,
            statistics.median(int(us) / 1000 for _, us in lines))


def main() -> int:
    kernel = sys.argv[1] if len(sys.argv) > 1 else "6.1-cloud"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    lived: dict[int, list[float]] = {life: [] for life in LIVES_MS}
    with Guest(kernel) as guest:
        guest.sh("workload")
        tasks = len(json.loads(subprocess.run([str(binary()), "ps", f"qemu:{guest.pid}", "--json"],
                                              capture_output=True, check=True).stdout)["items"])
        print(f"{guest.release}, {guest.accel}, {tasks} processes, {count} children of each; "
              f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        head = " | ".join(f"{life} ms" for life in LIVES_MS)
        print(f"| period | {head} | told or counted | % of a core | processes only |")
        print(f"|---|{'---|' * (len(LIVES_MS) + 3)}", flush=True)
        for period in PERIODS_MS:
            results = [seen(guest, period, life, count) for life in LIVES_MS]
            for life, result in zip(LIVES_MS, results, strict=True):
                lived[life].append(result[2])
            cost = calm(guest, period)
            some = calm(guest, period, "--only", "process-start,process-exit,exec,processes-missed")
            shares = " | ".join(f"{told:.0f} %" for told, _, _ in results)
            counted = min(both for _, both, _ in results)
            print(f"| {period} ms | {shares} | {counted:.0f} % | {cost:.2f} | {some:.2f} |", flush=True)
            time.sleep(1)
    lives = ", ".join(f"{life} ms: {statistics.median(times):.1f}" for life, times in lived.items())
    print(f"\nin truth they lived (median, ms, from fork to wait): {lives}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
