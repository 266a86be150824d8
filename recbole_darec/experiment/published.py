"""Published numbers and how far ours may lie from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_darec.keys import ConfigError, Key
from recbole_darec.paths import properties_dir
from recbole_darec.yaml_file import read_yaml

_KEYS = {
    "source": Key(str),
    "config": Key(dict),
    "seeds": Key(list),
    "expected": Key(dict),
    "judged": Key(list),
    "tolerance": Key(float, low=0),
    "above_is_fine": Key(bool),
}


@dataclass(frozen=True)
class Published:
    """One published result: a file of ``properties/experiment/``, or one of the user's.

    Attributes:
        name: of the file.
        source: where it was published.
        config: parameters of the run.
        seeds: whose mean is compared.
        expected: published value by metric, as in ``test_result`` (``recall@20``).
        judged: metrics that decide; the others are shown.
        tolerance: largest relative difference of a judged metric.
        above_is_fine: whether a better value may differ by more.
    """

    name: str
    source: str
    config: Mapping[str, Any]
    seeds: list[int]
    expected: Mapping[str, float]
    judged: list[str]
    tolerance: float
    above_is_fine: bool

    @classmethod
    def load(cls, name: str) -> Published:
        """Read one by name, or a yaml of the user's by path.

        Raises:
            ConfigError: if there is no such file, or a key of it is missing, unknown or wrong.
        """
        file = Path(name) if name.endswith((".yaml", ".yml")) else _folder() / f"{name}.yaml"
        if not file.is_file():
            raise ConfigError(
                f"experiment '{name}' does not exist; known are: {', '.join(known())}"
            )
        values = read_yaml(file, "experiment")
        if set(values) != set(_KEYS):
            raise ConfigError(f"{file} must have exactly the keys {', '.join(_KEYS)}")
        checked = {key: declared.check(key, values[key]) for key, declared in _KEYS.items()}
        checked["expected"] = {str(k).lower(): v for k, v in checked["expected"].items()}
        checked["judged"] = [m.lower() if isinstance(m, str) else m for m in checked["judged"]]
        unknown = [name for name in checked["judged"] if str(name) not in checked["expected"]]
        if unknown or not checked["judged"]:
            raise ConfigError(f"{file}: 'judged' must name metrics of 'expected', got {unknown}")
        if not all(isinstance(v, float | int) and v > 0 for v in checked["expected"].values()):
            raise ConfigError(f"{file}: 'expected' must hold numbers above 0")
        if not checked["seeds"] or not all(isinstance(seed, int) for seed in checked["seeds"]):
            raise ConfigError(f"{file}: 'seeds' must list at least one whole number")
        if len(set(checked["seeds"])) < len(checked["seeds"]):
            raise ConfigError(f"{file}: 'seeds' names a seed twice")
        if "seed" in checked["config"]:
            raise ConfigError(f"{file}: give 'seed' of 'config' in the list 'seeds'")
        return cls(name=file.stem, **checked)

    def differences(self, ours: Mapping[str, float]) -> dict[str, float]:
        """Relative difference of each metric, ``ours / theirs - 1``."""
        return {metric: ours[metric] / value - 1 for metric, value in self.expected.items()}

    def reproduced(self, ours: Mapping[str, float]) -> bool:
        """Whether all judged metrics are within the tolerance."""
        differences = self.differences(ours)
        return all(self.within(metric, differences[metric]) for metric in self.judged)

    def within(self, metric: str, difference: float) -> bool:
        """Whether a relative difference of a metric is tolerated."""
        from recbole_darec.user_values import smaller_is_better

        better = -difference if smaller_is_better(metric) else difference
        return -self.tolerance <= better and (self.above_is_fine or better <= self.tolerance)


def known() -> list[str]:
    """Names of the published results that come with this package."""
    return sorted(file.stem for file in _folder().glob("*.yaml"))


def _folder() -> Path:
    return properties_dir() / "experiment"
