# SPDX-License-Identifier: Apache-2.0
"""Prometheus's text format, 0.0.4, read as strictly as it is written down; what is wrong is a ValueError."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
VALUE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|Inf)|NaN")
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}

Labels = tuple[tuple[str, str], ...]


@dataclass
class Family:
    """A family of samples: by name and labels."""

    name: str
    help: str
    type: str = ""
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def one(self, **labels: str) -> float:
        """The only sample that has these labels, among others."""
        found = [value for (_, have), value in self.samples.items()
                 if set(labels.items()) <= set(have)]
        if len(found) != 1:
            raise ValueError(f"{self.name}: {len(found)} samples with {labels}")
        return found[0]


def labels_of(text: str) -> Labels:
    labels = []
    at = 0
    while True:
        match = LABEL.match(text, at)
        if not match:
            raise ValueError(f"no label at {at} of {text!r}")
        value = re.sub(r"\\.", lambda escape: ESCAPES[escape.group()], match.group(2))
        labels.append((match.group(1), value))
        at = match.end()
        if at == len(text):
            break
        if text[at] != ",":
            raise ValueError(f"no comma at {at} of {text!r}")
        at += 1
    if len({label for label, _ in labels}) != len(labels):
        raise ValueError(f"a label twice in {text!r}")
    return tuple(sorted(labels))


def sample(line: str, family: Family) -> None:
    name = NAME.match(line)
    if not name or name.group() not in [family.name + suffix
                                        for suffix in SUFFIXES.get(family.type, ("",))]:
        raise ValueError(f"a sample of another family than {family.name}: {line!r}")
    rest, _, value = line[name.end():].rpartition(" ")
    if not VALUE.fullmatch(value):
        raise ValueError(f"no value: {line!r}")
    if rest and not (rest.startswith("{") and rest.endswith("}")):
        raise ValueError(f"no labels: {line!r}")
    key = (name.group(), labels_of(rest[1:-1]) if rest else ())
    if key in family.samples:
        raise ValueError(f"twice: {line!r}")
    family.samples[key] = float(value)


def check_histogram(family: Family) -> None:
    buckets = [(float(dict(labels)["le"]), value)
               for (name, labels), value in family.samples.items() if name.endswith("_bucket")]
    values = [value for _, value in buckets]
    if buckets != sorted(buckets) or values != sorted(values) or buckets[-1][0] != float("inf"):
        raise ValueError(f"{family.name}: buckets that do not add up")
    if values[-1] != family.samples[(f"{family.name}_count", ())] or \
            (f"{family.name}_sum", ()) not in family.samples:
        raise ValueError(f"{family.name}: its sum or count")


def parse(text: str) -> dict[str, Family]:
    """All families; HELP, TYPE and then the samples of each, once."""
    families: dict[str, Family] = {}
    family = None
    if not text.endswith("\n"):
        raise ValueError("no newline at the end")
    for line in text[:-1].split("\n"):
        comment = re.fullmatch(r"# (HELP|TYPE) ([^ ]+) (.+)", line)
        if comment and comment.group(1) == "HELP":
            family = Family(comment.group(2), comment.group(3))
            if family.name in families or not NAME.fullmatch(family.name):
                raise ValueError(f"a family twice, or without a name: {line!r}")
            families[family.name] = family
        elif comment and family and family.name == comment.group(2) and not family.type:
            if comment.group(3) not in ("counter", "gauge", "histogram"):
                raise ValueError(f"no such type: {line!r}")
            family.type = comment.group(3)
        elif family and family.type:
            sample(line, family)
        else:
            raise ValueError(f"a sample before its HELP and TYPE: {line!r}")
    for each in families.values():
        if each.type == "histogram":
            check_histogram(each)
        if each.type == "counter" and not each.name.endswith("_total"):
            raise ValueError(f"{each.name}: a counter ends with _total")
        if any(value < 0 for value in each.samples.values()):
            raise ValueError(f"{each.name}: below 0")
    return families
