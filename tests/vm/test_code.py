#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Code: every byte that somebody changed is found, and nothing that the kernel changes itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab.guest import Guest  # noqa: E402
from lab.product import TOP, findings, scan  # noqa: E402
from test_module import btf_functions  # noqa: E402

BUILD = Path(os.environ.get("HVSM_BUILD", TOP / "build"))
CLOUD = ("5.10-cloud", "6.1-cloud", "6.12-cloud", "new-cloud")
GENERIC = ("5.10-generic", "6.1-generic", "6.12-generic", "new-generic")
