"""Rows of docs/detection.md: what an attacker does to a guest, and what hvsm must say of it.

A suite lists its rows in TECHNIQUES; `scripts/make-docs` reads them all, so a row is in the table
only if a test proves it, and on the kernels that it names.
"""

from __future__ import annotations

import re
import unittest
from dataclasses import dataclass, field
from typing import Any, Callable

from .guest import Guest
from .product import findings, scan

CLOUD = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud")


@dataclass(frozen=True)
class Technique:
    """One technique: how the lab's own harmless copy of it is started, and what must be found."""

    name: str                   # short and unique: "proc-seq-show"
    title: str                  # what is done: "show function of a file in /proc replaced"
    check: str                  # the check that finds it
    object: str                 # the finding's object, as a pattern
    evidence: str               # what the finding prints, in words: "the pointer and who owns its target"
    owner: str = ""             # the finding's owner, as a pattern; "": not looked at
    module: str = ""            # tests/vm/modules/NAME.c; "": start and stop do it
    params: dict[str, Any] = field(default_factory=dict)
    start: Callable[[Guest], None] | None = None
    stop: Callable[[Guest], None] | None = None
    kernels: tuple[str, ...] = CLOUD    # where the kernel has the mechanism
    also: tuple[str, ...] = ()  # other checks that find it as well
    seen_in: str = ""           # public tools known to do it
    result: str = ""            # what the process comes to, whose PID the object begins with


JOINED = "process-digest,process-code,process-replaced,agent-view"     # what a process's result is made of
CALM = 5    # scans of a guest that may be busy with just what is looked at


def clean(target: str, *options: str) -> Any:
    """A scan that is not inconclusive, where one of a few is not: what is in flight passes."""
    for _ in range(CALM):
        outcome = scan(target, *options)
        if outcome.status != 3:
            break
    return outcome


def prove(case: unittest.TestCase, guest: Guest, technique: Technique, *options: str) -> Any:
    """Clean, then exactly one finding of the check while the technique is at work, then clean."""
    only = ("--only", technique.check, *options)
    target = f"qemu:{guest.pid}"
    before = clean(target, *only)
    case.assertEqual(before.status, 0, f"before {technique.name}: {before.out}{before.err}")
    if technique.module:
        guest.insmod(technique.module, **technique.params)
    if technique.start:
        technique.start(guest)
    try:
        outcome = scan(target, *only)
        case.assertEqual(outcome.status, 1, f"{technique.name}: {outcome.out}{outcome.err}")
        found = [f for f in findings(outcome.json, technique.check)
                 if re.fullmatch(technique.object, f["object"]["name"])]
        case.assertEqual(len(found), 1, f"{technique.name}: {outcome.out}")
        case.assertEqual(len(findings(outcome.json)), 1, f"{technique.name}: {outcome.out}")
        if technique.owner:
            case.assertRegex(found[0]["owner"] or "", f"^(?:{technique.owner})$", technique.name)
        case.assertTrue(found[0]["evidence"], technique.name)
        if technique.result:
            pid = int(found[0]["object"]["name"].split()[0])
            report = scan(target, "--only", f"{technique.check},{JOINED}", *options).json
            results = {process["pid"]: process["result"] for process in report["processes"]}
            case.assertEqual(results.get(pid), technique.result, technique.name)
    finally:
        if technique.stop:
            technique.stop(guest)
        if technique.module:
            guest.rmmod(technique.module)
    after = clean(target, *only)
    case.assertEqual(after.status, 0, f"after {technique.name}: {after.out}{after.err}")
    return found[0]
