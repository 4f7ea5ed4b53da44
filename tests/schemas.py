# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas of docs/: each document is held against the one that it names."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema

DOCS = Path(__file__).resolve().parents[1] / "docs"
# One document each; the others are definitions of what is named after them.
ALONE = {"report", "event"}
SHARED = ("views", "daemon")


@functools.cache
def schema(name: str) -> Any:
    return json.loads((DOCS / f"hvsm.{name}.1.schema.json").read_text(encoding="utf-8"))


@functools.cache
def validator(kind: str) -> jsonschema.Draft202012Validator:
    """For the documents of this kind."""
    if kind in ALONE:
        return jsonschema.Draft202012Validator(schema(kind))
    of = [schema(name) for name in SHARED if {"$ref": f"#/$defs/{kind}"} in schema(name)["oneOf"]]
    assert len(of) == 1, f"{len(of)} schemas define hvsm.{kind}/1"
    return jsonschema.Draft202012Validator({**of[0], "oneOf": [{"$ref": f"#/$defs/{kind}"}]})


def validate(document: Any) -> None:
    """A document against the schema that it names."""
    kind = re.fullmatch(r"hvsm\.([a-z-]+)/1", str(document["schema"]))
    assert kind, document["schema"]
    validator(kind.group(1)).validate(document)
