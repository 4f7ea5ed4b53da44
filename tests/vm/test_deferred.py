#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the kernel calls by itself: notifiers, timers, work, interrupts, callbacks of hidden modules."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import scan  # noqa: E402
from lab.technique import CLOUD, Technique, prove  # noqa: E402

MINE = "notifiers,timers,work-items,irq-actions,kernel-callbacks"
NO_ONE = r"no one.*"
EVIDENCE = "where the pointer lies, where it leads, who owns that, and the code there"


def restore(guest: Guest) -> None:
    """The module hid itself; only one that is on the list can be unloaded."""
    guest.sh("echo 1 > /sys/module/defer/parameters/restore")


def row(mode: str, title: str, check: str, pattern: str, seen_in: str = "") -> Technique:
    return Technique(name=f"defer-{mode}", title=title, check=check, object=pattern, evidence=EVIDENCE,
                     owner=NO_ONE, module="defer", params={"mode": mode}, stop=restore,
                     seen_in=seen_in)


def notifier(mode: str, chain: str, title: str, seen_in: str = "") -> Technique:
    return row(mode, title, "notifiers", rf"{chain}: notifier_block\.notifier_call", seen_in)


TECHNIQUES = (
    notifier("keyboard", "keyboard_notifier_list", "a hidden module is told of key strokes"),
    notifier("module", "module_notify_list", "a hidden module is told of modules that are loaded"),
    notifier("die", "die_chain", "a hidden module is told of exceptions in the kernel"),
    notifier("reboot", "reboot_notifier_list", "a hidden module is told of reboots"),
    notifier("netdev", "netdev_chain", "a hidden module is told of network devices"),
    row("timer", "a timer of a hidden module", "timers", r"timer that calls .*: timer_list\.function"),
    row("hrtimer", "a high-resolution timer of a hidden module", "timers",
        r"hrtimer that calls .*: hrtimer\.function"),
    row("delayed", "delayed work of a hidden module", "timers",
        r"delayed work that calls .*: work_struct\.func"),
    row("work", "a worker is in code of a hidden module", "work-items",
        r"worker that calls .*: worker\.current_func"),
    row("tasklet", "a tasklet of a hidden module", "work-items",
        r"tasklet that calls .*: tasklet_struct\.func"),
    row("softirq", "the action of a softirq replaced", "work-items", r"softirq 4: softirq_action\.action"),
    row("rcu", "an RCU callback of a hidden module", "work-items",
        r"RCU callback that calls .*: callback_head\.func"),
    row("irq", "an interrupt handler of a hidden module", "irq-actions",
        r"IRQ \d+ hvsm-test: irqaction\.handler"),
    row("nmi", "an NMI handler of a hidden module", "irq-actions", r"NMI hvsm-test: nmiaction\.handler"),
    row("cpu", "a callback for CPUs that come up, of a hidden module", "kernel-callbacks",
        r"CPU state hvsm:test: cpuhp_step\.startup"),
    row("shrinker", "a shrinker of a hidden module", "kernel-callbacks",
        r"shrinker that calls .*: shrinker\.count_objects"),
    row("sysrq", "a SysRq key of a hidden module", "kernel-callbacks",
        r"SysRq-x: sysrq_key_op\.handler"),
    row("dumper", "a dumper of the kernel's log in a hidden module", "kernel-callbacks",
        r"dumper of the log that calls .*: kmsg_dumper\.dump"),
    row("task_work", "work for a task in a hidden module", "kernel-callbacks",
        r"task work that calls .*: callback_head\.func"),
)


class Deferred(unittest.TestCase):
    def test_techniques(self) -> None:
        for name in CLOUD:
            with Guest(name, memory="256M") as guest:
                for technique in TECHNIQUES:
                    with self.subTest(kernel=name, technique=technique.name):
                        prove(self, guest, technique)

    def test_listed_module(self) -> None:
        """A module that is on the list may do all of this, but for softirqs."""
        with Guest("6.12-cloud", memory="256M") as guest:
            for technique in TECHNIQUES:
                mode = technique.params["mode"]
                if mode == "softirq":
                    continue
                with self.subTest(mode=mode):
                    guest.insmod("defer", mode=mode, hidden=0)
                    outcome = scan(f"qemu:{guest.pid}", "--only", MINE)
                    self.assertEqual(outcome.status, 0, outcome.out + outcome.err)
                    guest.rmmod("defer")

    def test_listed_softirq(self) -> None:
        """No module may have a softirq, so hiding or not makes no difference."""
        with Guest("6.1-cloud", memory="256M") as guest:
            guest.insmod("defer", mode="softirq", hidden=0)
            outcome = scan(f"qemu:{guest.pid}", "--only", "work-items")
            self.assertEqual(outcome.status, 1, outcome.out + outcome.err)
            guest.rmmod("defer")

    def test_busy(self) -> None:
        """Timers, work and callbacks come and go as fast as they can: nothing is found, and most is sure."""
        for name in ("5.10-cloud", "new-cloud"):
            with self.subTest(kernel=name), Guest(name, memory="256M", smp=2) as guest:
                guest.workload()
                guest.sh("taskcorners churn 600 >/dev/null 2>&1 </dev/null &")
                doubtful = 0
                for _ in range(50):
                    outcome = scan(f"qemu:{guest.pid}", "--only", MINE)
                    self.assertIn(outcome.status, (0, 3), outcome.out + outcome.err)
                    doubtful += outcome.status == 3
                self.assertLess(doubtful, 25)


if __name__ == "__main__":
    unittest.main()
