# SPDX-License-Identifier: Apache-2.0
"""hvsm watch beside a guest: its events as they come, each against its schema."""

from __future__ import annotations

import calendar
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .product import TOP, binary

sys.path.insert(0, str(TOP / "tests"))

from schemas import validate  # noqa: E402

# Reached only where an event never comes.
LIMIT_S = 90.0

VALIDATED_MAX = 5

Event = dict[str, Any]


def ns(text: str) -> int:
    """RFC 3339 with nanoseconds, as such since 1970."""
    seconds = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(text[20:29])


class Watch:
    """`hvsm watch TARGET --json ARGS`, from entering to leaving it."""

    def __init__(self, target: str, *args: object) -> None:
        self.events: list[Event] = []
        self._came = threading.Condition()
        self._process = subprocess.Popen([str(binary()), "watch", target, "--json", *map(str, args)],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._came:
                self.events.append(json.loads(line))
                self._came.notify_all()

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C: the exit status, and what was said on stderr."""
        self._process.send_signal(signal.SIGINT)
        status = self._process.wait(LIMIT_S)
        self._reader.join()
        assert self._process.stderr
        return status, self._process.stderr.read()

    def validate(self) -> None:
        """Some events of each kind: a kernel that boots logs a thousand lines."""
        kinds: Counter[str] = Counter()
        for event in self.events:
            kinds[event["event"]] += 1
            if kinds[event["event"]] <= VALIDATED_MAX:
                validate(event)

    def wait(self, kind: str, **fields: object) -> Event:
        """The first event of this kind whose object has all FIELDS, once it is there."""
        return self.wait_for(lambda event: event["event"] == kind and
                             all(event["object"].get(key) == value for key, value in fields.items()),
                             f"{kind} {fields}")

    def wait_for(self, wanted: Callable[[Event], bool], what: str) -> Event:
        end = time.monotonic() + LIMIT_S
        seen = 0
        with self._came:
            while True:
                for event in self.events[seen:]:
                    if wanted(event):
                        return event
                seen = len(self.events)
                left = end - time.monotonic()
                if left <= 0 or (self._process.poll() is not None and not self._reader.is_alive()):
                    recent = "\n".join(json.dumps(event) for event in self.events[-20:])
                    raise AssertionError(f"no event: {what}; the last that came:\n{recent}")
                self._came.wait(min(left, 0.5))
