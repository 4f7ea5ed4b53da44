#!/usr/bin/python3
"""Run the VM test lab by hand; see README.md beside this file."""

from __future__ import annotations

import sys

from lab.cli import main

sys.exit(main())
