#!/usr/bin/python3
"""What Xen tells of a PVH guest as it happens: on a host of its own, beside the others' tests."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import XenTest  # noqa: E402
from events import Events  # noqa: E402


class PvhEvents(Events, XenTest):
    kind = "pvh"


if __name__ == "__main__":
    unittest.main()
