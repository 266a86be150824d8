"""A model with options, as one column of a comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recbole_darec.keys import ConfigError


@dataclass(frozen=True)
class Variant:
    """A model and the keys in which it differs from the others.

    Attributes:
        label: its name in tables.
        model: as for ``--model``.
        options: parameters by key; they win over what all variants are given.
    """

    label: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_models(text: str) -> list[Variant]:
    """Variants from ``DaRec:backbone=SGL:alignment_weight=0.1,LightGCN,BPR``.

    Raises:
        ConfigError: if the list is empty, an option is not ``key=value`` or a variant stands twice.
    """
    variants = []
    for spec in split_list(text):
        # Values may hold colons: a URL, or openai:MODEL.
        model, *pairs = re.split(r":(?=\w+=)", spec)
        if not model or ":" in model:
            raise ConfigError(f"'{spec}' in --models is not of the form Model:key=value")
        variants.append(Variant(spec, model, dict(pair.split("=", 1) for pair in pairs)))
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"--models names a variant twice: {text}")
    return variants


def split_list(text: str) -> list[str]:
    """Entries of a comma-separated list; commas inside brackets of any kind part nothing.

    Raises:
        ConfigError: if an entry is empty.
    """
    entries, depth = [""], 0
    for character in text:
        depth += (character in "[({") - (character in "])}")
        if character == "," and depth == 0:
            entries.append("")
        else:
            entries[-1] += character
    entries = [entry.strip() for entry in entries]
    if not all(entries):
        raise ConfigError(f"the list '{text}' has an empty entry")
    return entries
