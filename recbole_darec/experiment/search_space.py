"""Search spaces: declared by the parts, overridden by a file, in the syntax of ``hyper.test``."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_darec.keys import ConfigError
from recbole_darec.registry import backbone_part, parts
from recbole_darec.yaml_file import read_text, read_yaml

_SYNTAX = (
    "expected 'choice [a, b, ...]' (names in quotes), 'uniform low,high', 'quniform "
    "low,high,step' or 'loguniform low,high' (natural logarithms of the bounds)"
)
_LARGEST_EXPONENT = 700
_YAML = (".yaml", ".yml")
_N_NUMBERS = {"uniform": 2, "quniform": 3, "loguniform": 2}


@dataclass(frozen=True)
class Dimension:
    """The values that one key is searched over.

    Attributes:
        kind: ``choice``, ``uniform``, ``quniform`` or ``loguniform``, as in RecBole.
        values: the choices, or bounds (and step); of ``loguniform`` the bounds' natural logarithms.
    """

    kind: str
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, key: str, text: str) -> Dimension:
        """From ``choice [0.1, 1]`` and its like.

        Raises:
            ConfigError: if the text has another form or the bounds are empty.
        """
        kind, _, rest = str(text).strip().partition(" ")
        wrong = f"search space of '{key}' is '{text}'; {_SYNTAX}"
        try:
            value = ast.literal_eval(rest.strip() or "()")
        except (ValueError, SyntaxError) as error:
            raise ConfigError(wrong) from error
        if kind == "choice" and isinstance(value, (list, tuple)):
            if not value:
                raise ConfigError(f"search space of '{key}' is empty: it has no choice")
            return cls(kind, tuple(map(_literal, value)))
        if kind not in _N_NUMBERS or not _are_numbers(value, _N_NUMBERS[kind]):
            raise ConfigError(wrong)
        if not value[0] < value[1] or (kind == "quniform" and value[2] <= 0):
            raise ConfigError(f"search space of '{key}' is empty: '{text}'")
        if kind == "quniform" and not all(_is_multiple(v, value[2]) for v in value[:2]):
            raise ConfigError(
                f"search space of '{key}' is '{text}'; its bounds are no multiples of its step"
            )
        if kind == "loguniform" and value[1] > _LARGEST_EXPONENT:
            raise ConfigError(f"search space of '{key}' is '{text}'; its bounds are logarithms")
        return cls(kind, tuple(value))

    def corners(self) -> tuple[Any, ...]:
        """Values by which the space is checked: all choices, or the bounds."""
        if self.kind == "choice":
            return self.values
        low, high = map(float, self.bounds)
        return self.plain(low), self.plain(high)

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value of a numeric dimension."""
        low, high = self.values[:2]
        return (math.exp(low), math.exp(high)) if self.kind == "loguniform" else (low, high)

    def plain(self, value: Any) -> Any:
        """A sampled value as a key takes it: whole where bound and step are whole."""
        whole = self.kind == "quniform" and all(float(v).is_integer() for v in self.values[::2])
        return round(value) if whole else value

    def nearest(self, value: Any) -> Any:
        """The admissible value next to one that left the bounds or the steps."""
        if self.kind == "choice":
            return value
        low, high = self.bounds
        step = self.values[2] if self.kind == "quniform" else None
        return min(max(round(value / step) * step if step else value, low), high)

    def domain(self, grid: bool) -> Any:
        """Ray Tune's search space of this dimension.

        Args:
            grid: every choice in turn in the place of samples.

        Raises:
            ConfigError: if a grid is asked of a continuous dimension.
        """
        from ray import tune

        if grid:
            if self.kind != "choice":
                raise ConfigError(f"a grid needs choices, not '{self.kind}'; take random search")
            return tune.grid_search(list(self.values))
        if self.kind == "choice":
            return tune.choice(list(self.values))
        if self.kind == "quniform":
            return tune.quniform(*self.values)
        sampler = tune.loguniform if self.kind == "loguniform" else tune.uniform
        return sampler(*self.bounds)


def declared_space(model: str, backbone: str | None) -> dict[str, str]:
    """What the parts of a model declare; empty for RecBole's models.

    Args:
        model: as for ``--model``.
        backbone: of a model that has one.
    """
    chosen = (
        backbone_part(backbone) if backbone else None,
        parts("alignment").get(model),
        parts("standalone").get(model),
    )
    space: dict[str, str] = {}
    for part in filter(None, chosen):
        space.update(part.load().search_space)
    return space


def chosen_space(declared: Mapping[str, str], file: str | Path | None) -> dict[str, str | None]:
    """The declared space, changed key by key by a yaml, or replaced by a ``hyper.test`` file.

    Raises:
        ConfigError: if the file cannot be read or a line has another form.
    """
    if file is None:
        return dict(declared)
    given = read_space(file)
    return {**declared, **given} if Path(file).suffix in _YAML else given


def read_space(file: str | Path) -> dict[str, str | None]:
    """A yaml ``key: choice [..]``, or a ``hyper.test`` file of RecBole.

    Raises:
        ConfigError: if the file cannot be read or a line has another form.
    """
    if Path(file).suffix in _YAML:
        return read_yaml(file, "search space")
    space: dict[str, str | None] = {}
    for number, line in enumerate(read_text(file, "search space").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, *rest = line.split(maxsplit=1)
        if not rest:
            raise ConfigError(f"line {number} of {file} is '{line}'; {_SYNTAX}")
        if key in space:
            raise ConfigError(f"line {number} of {file}: '{key}' stands there already")
        space[key] = rest[0]
    return space


def parse_space(space: Mapping[str, str | None]) -> dict[str, Dimension]:
    """Dimensions by key; a key with nothing (yaml ``~``) is not searched.

    Raises:
        ConfigError: if nothing is left to search, or a text has another form.
    """
    found = {key: Dimension.parse(key, text) for key, text in space.items() if text is not None}
    if not found:
        raise ConfigError("the search space is empty: give one by --space FILE, or another model")
    return found


def _are_numbers(value: Any, n: int) -> bool:
    return isinstance(value, tuple) and len(value) == n and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) for v in value
    )  # fmt: skip


def _is_multiple(value: float, step: float) -> bool:
    return math.isclose(value / step, round(value / step), abs_tol=1e-9)


def _literal(value: Any) -> Any:
    """RecBole's spaces quote lists, as in ``choice ['[64]', '[64, 64]']``."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
