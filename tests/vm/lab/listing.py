"""What a command of hvsm lists of a guest, and its text as the guest wrote it."""

from __future__ import annotations

import re
from typing import Any

from .guest import Guest
from .product import hvsm


def target(guest: Guest) -> str:
    return f"qemu:{guest.pid}"


def listing(guest: Guest, command: str) -> list[dict[str, Any]]:
    """The items that `hvsm COMMAND` lists; all of them, or it is an error."""
    seen = hvsm(command, target(guest), "--json")
    if seen.status or not seen.json["complete"]:
        raise AssertionError(f"hvsm {command} ended with {seen.status}: {seen.err}")
    return seen.json["items"]


def plain(text: str | None) -> bytes:
    """What the guest wrote, before hvsm made it safe to print."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), (text or "").encode())
