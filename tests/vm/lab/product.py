"""The product as its users call it: the hvsm command, its exit status and its JSON."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[3]

# Long enough for the slowest emulated guest; reached only when the product hangs.
LIMIT_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What one call of hvsm came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def binary() -> Path:
    """The hvsm under test: $HVSM, or the one that `make` builds."""
    return Path(os.environ.get("HVSM", TOP / "build" / "src" / "hvsm"))


def packages() -> list[Path]:
    """The Debian packages that `make deb` built: the host's, the guests'."""
    debs = [path for name in ("hvsm", "hvsm-agent") for path in (TOP / "build-deb").glob(f"{name}_*.deb")]
    if len(debs) != 2:
        raise FileNotFoundError("build-deb has no packages: run `make deb`")
    return debs


def hvsm(*args: object, limit_s: float = LIMIT_S) -> Outcome:
    """Call hvsm. A crash is a failure of the test whatever it was looking for."""
    done = subprocess.run([str(binary()), *map(str, args)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit_s,
                          check=False)
    out = done.stdout.decode(errors="replace")
    err = done.stderr.decode(errors="replace")
    if done.returncode < 0 or "Sanitizer" in err:
        raise AssertionError(f"hvsm {args} died with status {done.returncode}: {err[-4000:]}")
    return Outcome(done.returncode, out, err)


def scan(target: object, *args: object) -> Outcome:
    """Scan one target; the report is in .json."""
    return hvsm("scan", target, "--json", *args)


def findings(report: Any, check: str | None = None) -> list[Any]:
    """The findings of a report, all or those of one check."""
    return [f for f in report["findings"] if check in (None, f["check"])]
