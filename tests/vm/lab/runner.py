"""A guest for people and scripts: one process holds it, others talk to it by its name."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import LabError
from .cache import progress
from .guest import Guest

CHANNEL = re.compile(r"socket,id=lab,path=(.*)/lab,server=on,wait=off")


@dataclass(frozen=True)
class Running:
    """A lab guest of any process on this host."""

    name: str
    pid: int
    dir: Path


def running() -> list[Running]:
    """The lab's guests, known by the serial port that only they have."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        channel = [match for match in map(CHANNEL.fullmatch, argv) if match]
        if channel and "-name" in argv:
            name = argv[argv.index("-name") + 1]
            found.append(Running(name, int(path.parent.name), Path(channel[0][1])))
    return sorted(found, key=lambda guest: guest.pid)


def ask(name: str, request: str, *args: Any, **params: Any) -> str:
    """Have the process that runs guest NAME do what Guest can: sh, insmod, rmmod, reset."""
    guests = [guest for guest in running() if guest.name == name]
    if not guests:
        raise LabError(f"no lab guest '{name}' (see: lab.py list)")
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(guests[0].dir / "control"))
        except OSError:
            raise LabError(f"guest '{name}' belongs to a test, not to 'lab.py run'") from None
        with sock.makefile("rw", encoding="utf-8") as file:
            file.write(json.dumps({"request": request, "args": args, "params": params}) + "\n")
            file.flush()
            line = file.readline()
    if not line:
        raise LabError(f"guest '{name}' went away")
    answer = json.loads(line)
    if "error" in answer:
        raise LabError(answer["error"])
    return answer["result"] or ""


def hold(guest: Guest) -> None:
    """Serve requests for GUEST until SIGTERM, Ctrl-C, or its end."""
    signal.signal(signal.SIGTERM, _interrupt)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(guest.dir / "control"))
        os.chmod(guest.dir / "control", 0o600)
        listener.listen()
        listener.settimeout(1)
        print("ready", flush=True)
        while guest.running():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            with client, client.makefile("rw", encoding="utf-8") as file:
                client.settimeout(None)
                _serve(guest, file)
    progress(f"{guest.name}: ended by itself")


def _serve(guest: Guest, file: Any) -> None:
    try:
        request = json.loads(file.readline())
        if request["request"] not in ("sh", "insmod", "rmmod", "reset"):
            raise LabError(f"no request '{request['request']}'")
        result = getattr(guest, request["request"])(*request["args"], **request["params"])
        answer = {"result": result}
    except LabError as error:
        answer = {"error": str(error)}
    except (ValueError, KeyError, TypeError) as error:
        answer = {"error": f"bad request: {error}"}
    try:
        file.write(json.dumps(answer) + "\n")
        file.flush()
    except BrokenPipeError:
        pass


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
