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
        model, *pairs = spec.split(":")
        options = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not (model and key and equals):
                raise ConfigError(f"'{spec}' in --models is not of the form Model:key=value")
            options[key] = value
        variants.append(Variant(spec, model, options))
    labels = [variant.label for variant in variants]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"--models names a variant twice: {text}")
    return variants


def split_list(text: str) -> list[str]:
    """Entries of a comma-separated list; commas inside brackets part nothing.

    Raises:
        ConfigError: if an entry is empty.
    """
    entries = [entry.strip() for entry in re.split(r",(?![^\[(]*[\])])", text)]
    if not all(entries):
        raise ConfigError(f"the list '{text}' has an empty entry")
    return entries
