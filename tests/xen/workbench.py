#!/usr/bin/python3
"""For who writes tests: one Xen host that stays, and Python that is run with it.

    workbench.py up &                       until it is told to go
    workbench.py do 'print(host.sh("xl list"))'
    workbench.py do 'd = Domain(host, "pvh"); d.create()'       names stay
    workbench.py do 'host.renew()'         the product as it has been built since
    workbench.py do 'raise SystemExit'
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import xenlab  # noqa: E402

PLACE = Path(f"/tmp/hvsm-workbench-{os.getuid()}-{Path(__file__).resolve().parents[2].name}")


def run(code: str, names: dict[str, object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(code, names)
        except Exception:
            traceback.print_exc(file=out)
    return out.getvalue()


def up() -> None:
    with xenlab.XenHost() as host, socket.socket(socket.AF_UNIX) as listener:
        PLACE.unlink(missing_ok=True)
        os.umask(0o077)
        listener.bind(str(PLACE))
        listener.listen()
        names: dict[str, object] = vars(xenlab) | {"host": host, "xenlab": xenlab}
        print(f"up: {host.dir}", flush=True)
        try:
            while True:
                peer, _ = listener.accept()
                with peer, peer.makefile("rwb") as file:
                    file.write(run(file.read().decode(), names).encode())
        finally:
            PLACE.unlink()


def do(code: str) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(PLACE))
        peer.sendall(code.encode())
        peer.shutdown(socket.SHUT_WR)
        with peer.makefile("rb") as file:
            sys.stdout.buffer.write(file.read())


if __name__ == "__main__":
    if sys.argv[1:] == ["up"]:
        up()
    else:
        do(sys.argv[2])
