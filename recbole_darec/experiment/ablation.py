"""An ablation: variants of one aligned model, their placebos and their bases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_darec.embedding.keys import KEYS as EMBEDDING_KEYS
from recbole_darec.experiment.variant import Variant
from recbole_darec.keys import ConfigError
from recbole_darec.paths import properties_dir
from recbole_darec.registry import alignment_class, parts
from recbole_darec.yaml_file import read_yaml

PLACEBOS = ("shuffle", "gaussian")
BASE = "Backbone"


@dataclass(frozen=True)
class Member:
    """One line of an ablation and what it is compared with.

    Attributes:
        variant: the aligned model.
        base: label of its backbone without alignment.
        placebos: by kind, label of the same model with embeddings that mean nothing.
        curve: key of the curve that it is a point of, and its value there; None off the curves.
    """

    variant: Variant
    base: str
    placebos: Mapping[str, str]
    curve: tuple[str, Any] | None = None

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.variant.label


@dataclass(frozen=True)
class Ablation:
    """What a yaml of ``properties/ablation/`` describes.

    Attributes:
        model: an alignment method.
        variants: name -> keys; the first is the one that the others are compared with.
        curves: key -> values.
        placebos: kinds of ``embedding_placebo`` that every variant and point is repeated with.
        seeds: how many, or a list.
    """

    model: str
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curves: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    placebos: Sequence[str] = ()
    seeds: int | str | Sequence[int] = 1

    @property
    def seeds_as_given(self) -> str:
        """The seeds as ``--seeds`` takes them."""
        if isinstance(self.seeds, list):
            return "".join(f"{seed}," for seed in self.seeds)
        return str(self.seeds)

    @classmethod
    def read(cls, name: str) -> Ablation:
        """An ablation of this package by name, or a yaml file by path.

        Raises:
            ConfigError: if it does not exist or says something that has no meaning.
        """
        folder = properties_dir() / "ablation"
        file = Path(name) if Path(name).suffix in (".yaml", ".yml") else folder / f"{name}.yaml"
        if not file.is_file():
            known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
            raise ConfigError(f"ablation '{name}' does not exist; give a yaml file, or: {known}")
        content = read_yaml(file, "ablation")
        known = ", ".join(cls.__dataclass_fields__)
        if "model" not in content:
            raise ConfigError(f"ablation {file} must hold model, of {known}")
        foreign = sorted(content.keys() - cls.__dataclass_fields__.keys())
        if foreign:
            raise ConfigError(f"ablation {file} has '{foreign[0]}', which is none of {known}")
        ablation = cls(**content)
        ablation._check(file)
        return ablation

    def _check(self, file: Path) -> None:
        if str(self.model) not in parts("alignment"):
            known = ", ".join(parts("alignment"))
            raise ConfigError(
                f"{file}: model '{self.model}' is no alignment method; known: {known}"
            )
        self._check_strings(file)
        variants_ok = isinstance(self.variants, dict) and all(
            isinstance(keys, dict) for keys in self.variants.values()
        )
        if not variants_ok:
            raise ConfigError(f"{file}: variants must be 'name: {{key: value}}' lines")
        curves_ok = isinstance(self.curves, dict) and all(
            isinstance(values, list) and values for values in self.curves.values()
        )
        if not curves_ok:
            raise ConfigError(f"{file}: curves must be 'key: [value, ...]' lines")
        if not (self.variants or self.curves):
            raise ConfigError(f"{file} has neither variants nor curves")
        if not isinstance(self.placebos, (list, tuple)):
            raise ConfigError(f"{file}: placebos must be a list, such as [shuffle]")
        wrong = [kind for kind in self.placebos if kind not in PLACEBOS]
        if wrong:
            raise ConfigError(f"{file}: placebo {wrong[0]!r} is none of {', '.join(PLACEBOS)}")
        self._check_names(file)

    def _check_strings(self, file: Path) -> None:
        """YAML reads an unquoted ``on`` or ``off`` as a truth value."""
        content = [part for part in (self.variants, self.curves) if isinstance(part, dict)]
        inner = [keys for part in content for keys in part.values() if isinstance(keys, dict)]
        for name in (name for part in (*content, *inner) for name in part):
            if not isinstance(name, str):
                raise ConfigError(f"{file}: the name {name!r} is not a text; put it in quotes")

    def _check_names(self, file: Path) -> None:
        lines = self.members()
        names = [name for line in lines for name in (line.label, *line.placebos.values())]
        names += {line.base for line in lines}
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ConfigError(
                f"{file}: two of its runs are called '{twice[0]}'; call a variant otherwise, or "
                "take a value away"
            )

    def members(self) -> list[Member]:
        """Its lines: the variants, then the points of the curves."""
        lines = [self._member(name, keys) for name, keys in self.variants.items()]
        for key, values in self.curves.items():
            for value in values:
                lines.append(self._member(f"{key}={value}", {key: value}, (key, value)))
        return lines

    def runs(self) -> list[Variant]:
        """All models that must be trained: bases, variants and placebos, each once."""
        found: dict[str, Variant] = {}
        for member in self.members():
            options = dict(member.variant.options)
            found[member.base] = Variant(member.base, BASE, self._of_backbone(options))
            found[member.label] = member.variant
            for kind, label in member.placebos.items():
                found[label] = Variant(label, self.model, {**options, "embedding_placebo": kind})
        return list(found.values())

    def _member(
        self, name: str, keys: Mapping[str, Any], curve: tuple[str, Any] | None = None
    ) -> Member:
        placebos = {kind: f"{name} [{kind}]" for kind in self.placebos}
        options = self._of_backbone(keys)
        said = ", ".join(f"{key}={value}" for key, value in options.items())
        base = f"{BASE} {said}".strip()
        return Member(Variant(name, self.model, keys), base, placebos, curve)

    def _of_backbone(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        """The keys that are not the alignment's or the embeddings' own."""
        own = {*alignment_class(self.model).keys, *EMBEDDING_KEYS}
        return {key: value for key, value in keys.items() if key not in own}
